//! `pillarbox index` on trees that the real Dovecot makes and then serves again.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "another suite uses more of it")]
#[path = "takeover/tree.rs"]
mod tree;
#[expect(dead_code, reason = "another suite uses more of it")]
#[path = "takeover/view.rs"]
mod view;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mailstore::{
    Appending, FlagChange, FlagOp, FlagSet, Fsync, Keyword, MailboxName, Namespace, Options,
    Source, Store, Uid,
};
use pillarbox_tests::binary::executable;
use pillarbox_tests::peer::{Kind, Place, have_dovecot};
use pillarbox_tests::program::output;

use crate::tree::Names;
use crate::view::{Account, assert_same};

/// A tree that Dovecot has made, and what it showed of it.
struct Past {
    place: Place,
    kind: Kind,
    names: Names,
    account: Account,
}

impl Past {
    fn new(prefix: &'static str, separator: char) -> Self {
        let kind = Kind::Dovecot {
            prefix,
            separator,
            settings: "",
        };
        let names = Names { prefix, separator };
        let place = Place::new();
        let peer = place.serve(kind);
        tree::deliver(&place, 4);
        tree::fill(peer.imap, names);
        let account = Account::seen(peer.imap, peer.pop3);
        drop(peer);
        let past = Self {
            place,
            kind,
            names,
            account,
        };
        past.take();
        past
    }

    /// Makes the tree ours, as far as the commands ask.
    fn take(&self) {
        let us = rustix::process::geteuid().as_raw();
        if us == 0 {
            chown(self.place.maildir(), Some(0), Some(0)).unwrap();
        }
    }

    fn seen(&self) -> Account {
        let peer = self.place.serve(self.kind);
        let account = Account::seen(peer.imap, peer.pop3);
        drop(peer);
        self.take();
        account
    }

    /// Runs a command on the account.
    fn index(&self, line: &str) -> Output {
        self.index_at(line, &self.place.maildir())
    }

    fn index_at(&self, line: &str, path: &Path) -> Output {
        let mut command = Command::new(executable().unwrap());
        command.arg("index").args(line.split(' '));
        if !line.starts_with("rebuild") && !line.starts_with("dump") {
            let separator = self.names.separator.to_string();
            command.args(["--prefix", self.names.prefix, "--separator", &separator]);
        }
        output(command.arg(path))
    }

    /// Removes every file of Dovecot whose name begins so.
    fn remove(&self, beginnings: &[&str]) {
        let is_meant = |path: &Path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            beginnings.iter().any(|start| name.starts_with(start))
        };
        for path in everything(&self.place.maildir()).into_keys() {
            if path.is_file() && is_meant(&path) {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

/// Everything below a directory: names, bytes and times.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime, u64)> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mut bytes = Vec::new();
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            left.extend(entries.map(|entry| entry.unwrap().path()));
        } else {
            bytes = fs::read(&path).unwrap();
        }
        let modified = metadata.modified().unwrap();
        all.insert(path, (bytes, modified, metadata.ino()));
    }
    all
}

/// Standard output of a command that ends well.
fn well(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert_eq!(errors, "", "no progress without a terminal");
    text
}

fn store() -> Arc<Store> {
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_mins(1),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| fs_time().unwrap(), || 7),
    })
}

/// The present, as a new file has it.
fn fs_time() -> std::io::Result<SystemTime> {
    tempfile::tempfile()?.metadata()?.modified()
}

#[test]
fn a_dry_run_changes_nothing_and_tells_all() {
    if !have_dovecot() {
        return;
    }
    let past = Past::new("INBOX.", '.');
    let before = everything(past.place.dir());
    let text = well(&past.index("import --dry-run"));
    assert!(everything(past.place.dir()) == before, "{text}");
    let uids = tree::MESSAGES;
    let sum = format!(
        "1 account, 8 mailboxes, {uids} messages: {uids} UIDs and 0 POP3 UIDLs kept, 0 problems; \
         nothing was changed\n"
    );
    assert!(text.ends_with(&sum), "{text}");
    assert!(text.contains(": 4 subscriptions\n"), "{text}");
    for (name, mailbox) in &past.account.mailboxes {
        let uid_validity = mailbox.status["UIDVALIDITY"].to_string();
        let told = text.lines().any(|line| line.contains(&uid_validity));
        assert!(told, "{name}: {text}");
    }
    // What is there below a directory is found just the same.
    let found = well(&past.index_at("import --dry-run", past.place.dir()));
    assert_eq!(found, text);
}

#[test]
fn dovecot_serves_what_was_exported_as_before() {
    if !have_dovecot() {
        return;
    }
    for (prefix, separator) in [("", '/'), ("INBOX.", '.')] {
        let past = Past::new(prefix, separator);
        well(&past.index("import"));
        let before = everything(past.place.dir());
        let text = well(&past.index("check --sizes"));
        assert!(text.contains(": no difference\n"), "{text}");
        assert!(everything(past.place.dir()) == before, "check changes");
        for files in [
            // All that it has of its own.
            vec!["dovecot"],
            // The lists, so that its index is older than they are.
            vec!["dovecot-uidlist", "dovecot-keywords", "dovecot-uidvalidity"],
            // Nothing.
            Vec::new(),
        ] {
            past.remove(&files);
            well(&past.index("export --format dovecot"));
            let text = well(&past.index("check"));
            assert!(text.contains("equal"), "{text}");
            assert_same(&past.account, &past.seen(), &format!("without {files:?}"));
        }
        let log = past.place.log();
        assert!(!log.contains("Error") && !log.contains("Warning"), "{log}");
    }
}

#[test]
fn dovecot_serves_what_happened_meanwhile() {
    if !have_dovecot() {
        return;
    }
    let past = Past::new("", '/');
    well(&past.index("import"));
    let account = store().account(&past.place.maildir()).unwrap();
    let inbox = account.open(&MailboxName::inbox()).unwrap();
    let mut staged = inbox.stage().unwrap();
    staged.write_all(b"Subject: new\r\n\r\ntext\r\n").unwrap();
    let message = Appending {
        staged,
        flags: FlagChange {
            op: FlagOp::Replace,
            system: FlagSet::EMPTY,
            keywords: vec![Keyword::new("Meanwhile").unwrap()],
        },
        internal_date: None,
    };
    let added = inbox.append(vec![message]).unwrap().uids[0];
    let gone = inbox.snapshot().get(0).unwrap().uid();
    inbox.expunge(&[gone]).unwrap();
    let flagged = inbox.snapshot().get(0).unwrap().uid();
    let change = FlagChange {
        op: FlagOp::Add,
        system: FlagSet::EMPTY,
        keywords: vec![Keyword::new("Reviewed").unwrap()],
    };
    inbox.store_flags(&[flagged], &change).unwrap();
    let made = Namespace::default().parse(b"Made/here").unwrap();
    account.create(&made).unwrap();
    let made = account.open(&made).unwrap().snapshot().uid_validity();
    let text = well(&past.index("check"));
    for told in [
        "dovecot-uidlist is older than the last UIDs; 1 message has one",
        // `Made/here` has no list.
        "no difference; 1 with an older list of Dovecot's",
    ] {
        assert!(text.contains(told), "{text}");
    }
    drop((inbox, account));
    well(&past.index("export --format dovecot"));

    let peer = past.place.serve(past.kind);
    let mut client = view::log_in(peer.imap);
    client.ok("CREATE later");
    client.ok("LOGOUT");
    let after = Account::seen(peer.imap, peer.pop3);
    drop(peer);
    let (old, new) = (&past.account.mailboxes["INBOX"], &after.mailboxes["INBOX"]);
    assert_eq!(old.status["UIDVALIDITY"], new.status["UIDVALIDITY"]);
    let mut uids: Vec<u32> = old.messages.keys().copied().collect();
    uids.retain(|uid| *uid != gone.get());
    uids.push(added.get());
    assert_eq!(new.messages.keys().copied().collect::<Vec<_>>(), uids);
    assert!(new.messages[&added.get()].flags.contains("Meanwhile"));
    assert!(new.messages[&flagged.get()].flags.contains("Reviewed"));
    assert_eq!(
        after.mailboxes["Made/here"].status["UIDVALIDITY"],
        u64::from(made.get())
    );
    let later = after.mailboxes["later"].status["UIDVALIDITY"];
    let others = after.mailboxes.iter().filter(|(name, _)| *name != "later");
    for (name, mailbox) in others {
        assert!(mailbox.status["UIDVALIDITY"] < later, "{name}");
    }
}

#[test]
fn a_lost_list_needs_a_decision() {
    if !have_dovecot() {
        return;
    }
    let past = Past::new("", '/');
    let work = past.place.maildir().join(".Work");
    fs::remove_file(work.join("dovecot-uidlist")).unwrap();
    let refused = past.index("import");
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    let fix = format!(
        "pillarbox index rebuild {}",
        work.canonicalize().unwrap().display()
    );
    assert!(text.contains(&fix), "{text}");
    assert!(text.contains("1 problem"), "{text}");
    assert!(!work.join("pillarbox.index").exists());
    // Without a terminal, nobody can be asked.
    let unasked = past.index_at("rebuild", &work);
    assert_eq!(unasked.status.code(), Some(1));
    assert!(!work.join("pillarbox.index").exists());
    let rebuilt = past.index_at("rebuild --yes", &work);
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let warning = String::from_utf8_lossy(&rebuilt.stderr).into_owned();
    assert!(warning.contains("download"), "{warning}");
    let dump = well(&past.index_at("dump --json", &work));
    let uid_validity = past.account.mailboxes["Work"].status["UIDVALIDITY"];
    assert!(
        !dump.contains(&format!("\"uidvalidity\":{uid_validity},")),
        "{dump}"
    );
    let text = well(&past.index("import"));
    assert!(text.contains("Pillarbox"), "{text}");
}

#[test]
fn a_dump_has_all_that_is_kept() {
    if !have_dovecot() {
        return;
    }
    let past = Past::new("", '/');
    let list = past.place.maildir().join("dovecot-uidlist");
    let text = fs::read_to_string(&list).unwrap();
    let first = text.lines().nth(1).unwrap();
    let (uid, rest) = first.split_once(' ').unwrap();
    let kept = format!("{uid} Pold-uidl O7 G0123456789abcdef {rest}");
    fs::write(&list, text.replace(first, &kept)).unwrap();
    well(&past.index("import"));
    let json = well(&past.index("dump --json"));
    let wanted = "\"pop3_uidl\":\"old-uidl\",\"pop3_order\":7,\"guid\":\"0123456789abcdef\"";
    assert!(json.contains(wanted), "{json}");
    let uid = Uid::new(uid.parse().unwrap()).expect("above 0");
    assert!(json.contains(&format!("{{\"uid\":{uid},")), "{json}");
    let shown = well(&past.index("dump"));
    assert!(
        shown.contains("UIDL old-uidl, order 7, GUID 0123456789abcdef"),
        "{shown}"
    );
    assert!(shown.contains("Work-0 (letter "), "{shown}");
    // On the way back, it is all there again.
    past.remove(&["dovecot-uidlist"]);
    well(&past.index("export --format dovecot"));
    let written = fs::read_to_string(&list).unwrap();
    assert!(
        written.contains(" Pold-uidl O7 G0123456789abcdef"),
        "{written}"
    );
    assert!(
        past.seen()
            .maildrop
            .iter()
            .any(|(uidl, _)| uidl == "old-uidl")
    );
}
