//! Mailboxes that other servers left, went on with, and damaged.

mod deciding;
mod from_courier;

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::account::Account;
use crate::flag::{Keyword, SystemFlag};
use crate::foreign::{Survey, Uidlist, survey};
use crate::id::Uid;
use crate::name::{MailboxName, Namespace};
use crate::source::Source;
use crate::store::{Options, Store};

/// The present in seconds since 1970.
const NOW: u64 = 1_700_000_000;
/// A list with a stale next UID, and everything that a message can have.
const LIST: &str = "3 V1234 N7 G000102030405060708090a0b0c0d0e0f\n\
    2 :100.M1P1.host\n\
    5 W7 S6 P0000000500000abc O3 G99aa :101.M1P1.host\n\
    7 P :102.M1P1.host,S=6:2,S\n\
    9 :gone.host\n";

struct Tree {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Tree {
    /// With INBOX as another server left it: `files` in `cur/`.
    fn new(list: &str, files: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        for name in ["", "cur", "new", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let tree = Self {
            _temporary: temporary,
            root,
        };
        tree.put("dovecot-uidlist", list);
        for file in files {
            tree.put(&format!("cur/{file}"), "a: b\n\n");
        }
        tree
    }

    fn dovecot() -> Self {
        Self::new(
            LIST,
            &[
                "100.M1P1.host:2,",
                "101.M1P1.host:2,FS",
                "102.M1P1.host,S=6:2,a",
            ],
        )
    }

    fn put(&self, name: &str, contents: &str) {
        fs::write(self.root.join(name), contents).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root.join(name)).unwrap();
    }

    /// Opens INBOX in a process of its own.
    fn account(&self) -> Account {
        let options = Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(60),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: Source::new(|| UNIX_EPOCH + Duration::from_secs(NOW), || 7),
        };
        Store::new(options).account(&self.root).unwrap()
    }

    fn open(&self) -> Arc<Mailbox> {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Arc<Mailbox>> {
        self.account().open(&MailboxName::inbox())
    }

    fn survey(&self) -> Survey {
        survey(&self.root).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).unwrap() {
            names.push(entry.unwrap().file_name().into_string().unwrap());
        }
        names.sort();
        names
    }
}

/// UIDs and bases.
fn uids(mailbox: &Mailbox) -> Vec<(u32, String)> {
    let snapshot = mailbox.snapshot();
    let messages = snapshot.iter();
    let text = |message: crate::Message<'_>| {
        let base = filename::base(message.file_name()).to_vec();
        (message.uid().get(), String::from_utf8(base).unwrap())
    };
    messages.map(text).collect()
}

fn pairs(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    let pairs = list.iter();
    pairs
        .map(|(uid, base)| (*uid, (*base).to_owned()))
        .collect()
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn expect_takeover(result: Result<Arc<Mailbox>>) -> Problem {
    match result {
        Err(Error::Takeover { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_knows_only_the_other_server_is_told_of_all_that_is_gone() {
    let tree = Tree::dovecot();
    let taken = tree.open().snapshot();
    let uid = |value| Uid::new(value).unwrap();
    let gone = [
        (uid(1), uid(1)),
        (uid(3), uid(4)),
        (uid(6), uid(6)),
        (uid(8), uid(9)),
    ];
    assert_eq!(taken.vanished_since(ModSeq::new(5000)), gone);
    assert!(
        taken
            .vanished_since(Some(taken.highest_mod_seq()))
            .is_empty()
    );
    assert_eq!(taken.changed_since(ModSeq::new(5000)).count(), 3);
    // As the index says to whoever reads it later.
    let again = tree.open().snapshot();
    assert_eq!(again.vanished_since(ModSeq::new(5000)), gone);
}

#[test]
fn the_identity_of_a_mailbox_goes_with_its_uid_validity() {
    let tree = Tree::dovecot();
    let taken = tree.open().snapshot();
    assert_eq!(tree.open().snapshot().mailbox_id(), taken.mailbox_id());
    // The list is still there, and so are its GUIDs, which belong to files.
    tree.remove("pillarbox.index");
    let anew = tree.open().snapshot();
    assert_ne!(anew.uid_validity(), taken.uid_validity());
    assert_ne!(anew.mailbox_id(), taken.mailbox_id());
    let ids = |snapshot: &Snapshot| {
        let ids = snapshot.iter().map(|message| message.email_id());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids(&anew), ids(&taken));
}

#[test]
fn everything_in_dovecots_list_is_taken_over() {
    let tree = Tree::dovecot();
    tree.put("dovecot-keywords", "0 $Work\n");
    tree.put("new/103.M1P1.host", "a: b\n\n");
    let before = tree.files();
    let survey = tree.survey();
    assert_eq!(tree.files(), before, "a survey changes nothing");
    let mailbox = tree.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(snapshot.uid_validity().get(), 1234);
    assert_eq!(
        uids(&mailbox),
        pairs(&[
            (2, "100.M1P1.host"),
            (5, "101.M1P1.host"),
            (7, "102.M1P1.host,S=6"),
            (10, "103.M1P1.host"),
        ])
    );
    assert_eq!(snapshot.uid_next().get(), 11);
    assert_eq!(
        snapshot.mailbox_id(),
        0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f
    );
    assert_eq!(
        snapshot.first_recent().get(),
        8,
        "what is in cur/ is not recent"
    );
    assert!(snapshot.kept(uid(2)).is_none());
    let kept = snapshot.kept(uid(5)).unwrap();
    assert_eq!(kept.uidl.as_deref(), Some(b"0000000500000abc".as_slice()));
    assert_eq!(
        (kept.order, kept.guid.as_deref()),
        (Some(3), Some(b"99aa".as_slice()))
    );
    let email_id = |value| snapshot.by_uid(uid(value)).unwrap().email_id();
    assert_eq!(email_id(5), EmailId::of(b"99aa"));
    assert_eq!(email_id(7), EmailId::of(b"102.M1P1.host,S=6"));
    let kept = snapshot.kept(uid(7)).unwrap();
    assert_eq!(kept.uidl.as_deref(), Some(b"102.M1P1.host,S=6".as_slice()));
    let message = snapshot.by_uid(uid(5)).unwrap();
    assert_eq!(message.rfc822_size(), Some(7));
    assert!(message.flags().has(SystemFlag::Flagged));
    assert!(
        snapshot
            .iter()
            .all(|message| message.mod_seq().get() == NOW * 1_000_000)
    );
    assert_eq!(snapshot.highest_mod_seq().get(), NOW * 1_000_000);
    let work = snapshot
        .keywords()
        .position(&Keyword::new("$work").unwrap());
    assert_eq!(work, Some(0));
    assert!(snapshot.by_uid(uid(7)).unwrap().flags().has_keyword(0));
    let expected = Survey {
        indexed: false,
        server: Some(Server::Dovecot),
        uid_validity: Some(snapshot.uid_validity()),
        uid_next: Some(uid(10)),
        messages: 4,
        uids: 3,
        gone: 1,
        keywords: 1,
        uidls: 2,
        problems: Vec::new(),
    };
    assert_eq!(survey, expected);
    assert_eq!(
        fs::read_to_string(tree.root.join("dovecot-uidlist")).unwrap(),
        LIST
    );
    let again = Survey {
        indexed: true,
        uids: 4,
        uid_next: Some(uid(11)),
        ..expected
    };
    assert_eq!(tree.survey(), again);
    assert!(!again.is_refused());
}

#[test]
fn an_unchanged_list_is_not_looked_at_again() {
    let tree = Tree::dovecot();
    drop(tree.open());
    let index = || fs::read(tree.root.join("pillarbox.index")).unwrap();
    let written = index();
    let mailbox = tree.open();
    assert_eq!(uids(&mailbox).len(), 3);
    drop(mailbox);
    assert_eq!(index(), written);
}

#[test]
fn a_lost_index_never_brings_old_uids_back() {
    let tree = Tree::dovecot();
    drop(tree.open());
    tree.put("cur/200.M1P1.host:2,", "x\n");
    assert_eq!(uids(&tree.open()).last().unwrap().0, 10);
    for damage in 0..2 {
        let old = tree.open().snapshot().uid_validity();
        if damage == 0 {
            tree.remove("pillarbox.index");
        } else {
            tree.put("pillarbox.index", "garbage");
        }
        // Without the list, UID 10 could go to another message.
        tree.remove("cur/100.M1P1.host:2,");
        tree.put("cur/100.M1P1.host:2,", "x\n");
        let mailbox = tree.open();
        let snapshot = mailbox.snapshot();
        assert!(snapshot.uid_validity() > old, "{damage}");
        let message = snapshot
            .iter()
            .find(|message| message.kept().is_some())
            .unwrap();
        let kept = message.kept().unwrap();
        assert_eq!(
            kept.uidl.as_deref(),
            Some(b"0000000500000abc".as_slice()),
            "UIDLs belong to files"
        );
        assert_eq!(message.rfc822_size(), Some(7));
    }
    tree.remove("pillarbox.index");
    assert_eq!(tree.survey().problems, [Problem::Served]);
    let imported = tree.account().import(&MailboxName::inbox());
    assert!(matches!(
        imported,
        Err(Error::Takeover {
            problem: Problem::Served,
            ..
        })
    ));
}

#[test]
fn a_crash_in_the_middle_repeats_or_ends_the_takeover() {
    let tree = Tree::dovecot();
    drop(tree.open());
    let index = fs::read(tree.root.join("pillarbox.index")).unwrap();
    // The mark that index and list agree is the last frame: a kind, a time and a size.
    let frame = 8 + 1 + 12 + 8;
    let mut cut = index[..index.len() - frame].to_vec();
    let committed = 128..144;
    cut[committed.clone()].fill(0);
    tree.put("pillarbox.lock", "");
    fs::write(tree.root.join("pillarbox.index"), &cut).unwrap();
    let mailbox = tree.open();
    assert_eq!(mailbox.snapshot().uid_validity().get(), 1234);
    assert_eq!(
        uids(&mailbox)
            .iter()
            .map(|(uid, _)| *uid)
            .collect::<Vec<_>>(),
        [2, 5, 7]
    );
    assert_eq!(
        fs::read(tree.root.join("pillarbox.lock")).unwrap(),
        b"0000001234\n"
    );
}

#[test]
fn a_list_that_moved_on_brings_its_messages() {
    let tree = Tree::dovecot();
    drop(tree.open());
    // The other server expunged one, delivered one, and gave a known file back under a new UID.
    tree.remove("cur/100.M1P1.host:2,");
    tree.put("cur/110.M1P1.host:2,", "x\n");
    let list = "3 V1234 N30\n5 W7 P0000000500000abc :101.M1P1.host\n\
        12 :102.M1P1.host,S=6\n20 Pnew :110.M1P1.host\n";
    tree.put("dovecot-uidlist", list);
    let survey = tree.survey();
    let mailbox = tree.open();
    assert_eq!(
        uids(&mailbox),
        pairs(&[
            (5, "101.M1P1.host"),
            (12, "102.M1P1.host,S=6"),
            (20, "110.M1P1.host")
        ])
    );
    let snapshot = mailbox.snapshot();
    assert_eq!(
        (snapshot.uid_next().get(), snapshot.uid_validity().get()),
        (30, 1234)
    );
    let kept = snapshot.kept(uid(20)).unwrap();
    assert_eq!(kept.uidl.as_deref(), Some(b"new".as_slice()));
    assert!(snapshot.highest_mod_seq().get() > NOW * 1_000_000);
    assert_eq!(survey.uid_next, Some(uid(30)));
    assert_eq!(survey.problems, [Problem::Conflicts(1)]);
}

#[test]
fn a_read_only_tree_shows_the_uids_of_the_list() {
    let tree = Tree::dovecot();
    let source = Source::new(|| UNIX_EPOCH + Duration::from_secs(NOW), || 7);
    let mut options = tree
        .account()
        .open(&MailboxName::inbox())
        .unwrap()
        .environment
        .options
        .clone();
    options.source = source;
    tree.remove("pillarbox.index");
    tree.remove("pillarbox.lock");
    let environment = Arc::new(crate::store::Environment::new(options));
    let mailbox = Mailbox::unread(environment, &tree.root, &tree.root, MailboxName::inbox());
    mailbox.look_without_writing().unwrap();
    assert_eq!(mailbox.snapshot().uid_validity().get(), 1234);
    assert_eq!(
        uids(&mailbox)
            .iter()
            .map(|(uid, _)| *uid)
            .collect::<Vec<_>>(),
        [2, 5, 7]
    );
    assert!(!tree.root.join("pillarbox.index").exists());
}

#[test]
fn cut_anywhere_no_uid_has_two_messages() {
    // A header that is as far as the lines: of lines that are lost nothing else can tell.
    let list = LIST.replace(" N7 ", " N10 ");
    let whole = Uidlist::parse(list.as_bytes()).unwrap();
    for length in 0..list.len() {
        let tree = Tree::dovecot();
        let cut = list.get(..length).unwrap();
        tree.put("dovecot-uidlist", cut);
        let mailbox = match tree.try_open() {
            Ok(mailbox) => mailbox,
            Err(Error::Takeover { .. }) => continue,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(mailbox.snapshot().uid_validity(), whole.uid_validity);
        for (uid, base) in uids(&mailbox) {
            let entries = || whole.entries.iter();
            let mut owner = entries().filter(|entry| entry.uid.get() == uid);
            assert!(
                owner.all(|entry| *entry.base == *base.as_bytes()),
                "{length}"
            );
        }
    }
}

/// What a server did while it had the mailbox: deliveries and removals, by number.
fn steps() -> impl Strategy<Value = Vec<(bool, u8)>> {
    prop::collection::vec((any::<bool>(), any::<u8>()), 0..6)
}

/// The UIDs that clients of either server have seen, each with its message.
#[derive(Default)]
struct Seen(std::collections::HashMap<u32, HashSet<String>>);

impl Seen {
    fn see(&mut self, uid: u32, base: &str) {
        self.0.entry(uid).or_default().insert(base.to_owned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Both servers have the mailbox in turn, and each begins where its own files left it. What
    /// Pillarbox shows is never a UID under which a client of either has seen another message.
    #[test]
    fn no_uid_is_shown_that_was_another_messages(
        turns in prop::collection::vec((any::<bool>(), steps()), 1..6),
    ) {
        let tree = Tree::new("3 V5 N3\n1 :1.a\n2 :2.a\n", &["1.a:2,", "2.a:2,"]);
        let mut seen = Seen::default();
        let mut number = 10;
        for (ours, steps) in turns {
            let list = tree.root.join("dovecot-uidlist");
            let mut mailbox = None;
            if ours {
                let opened = tree.open();
                for (uid, base) in uids(&opened) {
                    let others = seen.0.get(&uid);
                    let same = others.is_none_or(|bases| bases.iter().all(|other| *other == base));
                    prop_assert!(same, "{} {} {:?}", uid, base, others);
                }
                mailbox = Some(opened);
            }
            let mut other = Uidlist::parse(&fs::read(&list).unwrap()).unwrap();
            for (deliver, which) in steps {
                if deliver {
                    number += 1;
                    tree.put(&format!("cur/{number}.a:2,"), "x\n");
                } else {
                    remove_any(&tree.root, usize::from(which));
                }
                if let Some(mailbox) = &mailbox {
                    mailbox.refresh().unwrap();
                    uids(mailbox).iter().for_each(|(uid, base)| seen.see(*uid, base));
                } else {
                    serve_as_dovecot(&tree.root, &mut other);
                    let entries = other.entries.iter();
                    entries.for_each(|entry| seen.see(entry.uid.get(), str::from_utf8(&entry.base).unwrap()));
                    fs::write(&list, other.write()).unwrap();
                }
            }
        }
    }
}

fn remove_any(root: &Path, which: usize) {
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("cur"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    if let Some(path) = files.get(which % files.len().max(1)) {
        fs::remove_file(path).unwrap();
    }
}

/// Brings a list up to date as its own server does, which knows nothing of our index.
fn serve_as_dovecot(root: &Path, list: &mut Uidlist) {
    let names = fs::read_dir(root.join("cur")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_vec());
    let mut bases: Vec<Vec<u8>> = names.map(|name| filename::base(&name).to_vec()).collect();
    bases.sort();
    list.entries
        .retain(|entry| bases.iter().any(|base| **base == *entry.base));
    for base in bases {
        if list.entries.iter().all(|entry| *entry.base != *base) {
            let entry = foreign::UidlistEntry::new(list.next_uid, &base);
            list.entries.push(entry);
            list.next_uid = list.next_uid.next().unwrap();
        }
    }
}
