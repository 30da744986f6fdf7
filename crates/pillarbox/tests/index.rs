//! `pillarbox index …` of the real binary, on trees made by hand.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

/// Two accounts below a directory, as Dovecot leaves them.
struct World(tempfile::TempDir);

impl World {
    fn new() -> io::Result<Self> {
        let world = Self(tempfile::tempdir()?);
        let ann = world.0.path().join("mail/example.org/ann");
        make(&ann, &["1.M1P1.h:2,Sa", "2.M1P1.h:2,", "4.M1P1.h:2,"])?;
        let list = "3 V1700000001 N9 G000102030405060708090a0b0c0d0e0f\n\
                    3 Pold :1.M1P1.h\n5 :2.M1P1.h\n8 :3.M1P1.h\n";
        fs::write(ann.join("dovecot-uidlist"), list)?;
        fs::write(ann.join("dovecot-keywords"), "0 Project\n")?;
        fs::write(ann.join("subscriptions"), "V\t2\n\nSent\n")?;
        make(&ann.join(".Entw&APw-rfe"), &["7.M1P1.h:2,"])?;
        let list = "3 V1700000002 N2\n1 :7.M1P1.h\n";
        fs::write(ann.join(".Entw&APw-rfe/dovecot-uidlist"), list)?;
        make(&world.0.path().join("mail/example.org/bob"), &[])?;
        Ok(world)
    }

    fn mail(&self) -> PathBuf {
        self.0.path().join("mail")
    }

    fn ann(&self) -> PathBuf {
        self.mail().join("example.org/ann")
    }

    /// Exit code, standard output and standard error, with `DIR` for the directory.
    fn index(&self, arguments: &[&str]) -> io::Result<(Option<i32>, String, String)> {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
            .arg("index")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()?;
        let dir = self.0.path().canonicalize()?.display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&dir, "DIR");
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        Ok((output.status.code(), out, err))
    }
}

fn make(mailbox: &Path, files: &[&str]) -> io::Result<()> {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(mailbox.join(part))?;
    }
    for file in files {
        fs::write(mailbox.join("cur").join(file), "Subject: x\n\ny\n")?;
    }
    Ok(())
}

/// Everything below a directory: names, bytes and times.
fn everything(root: &Path) -> io::Result<BTreeMap<PathBuf, (Vec<u8>, SystemTime)>> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        let mut bytes = Vec::new();
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else {
            bytes = fs::read(&path)?;
        }
        all.insert(path, (bytes, metadata.modified()?));
    }
    Ok(all)
}

const TABLE: &str = "\
DIR/mail/example.org/ann: 1 subscription
MAILBOX   FROM     UIDVALIDITY  MESSAGES  UIDS KEPT  NEW UIDS  KEYWORDS  UIDLS  PROBLEMS
INBOX     Dovecot   1700000001         3          2         1         1      1         0
Entw\u{fc}rfe  Dovecot   1700000002         1          1         0         0      0         0

DIR/mail/example.org/bob: 0 subscriptions
MAILBOX  FROM  UIDVALIDITY  MESSAGES  UIDS KEPT  NEW UIDS  KEYWORDS  UIDLS  PROBLEMS
INBOX    -             new         0          0         0         0      0         0

";

#[test]
fn import_tells_the_same_dry_and_for_real() -> io::Result<()> {
    let world = World::new()?;
    let before = everything(world.0.path())?;
    let told = world.index(&["import", "--dry-run", "mail"])?;
    let sum = "2 accounts, 3 mailboxes, 4 messages: 3 UIDs and 1 POP3 UIDL kept, 0 problems";
    let dry = format!("{TABLE}{sum}; nothing was changed\n");
    assert_eq!(told, (Some(0), dry, String::new()));
    assert_eq!(everything(world.0.path())?, before);

    let told = world.index(&["import", "mail"])?;
    assert_eq!(told, (Some(0), format!("{TABLE}{sum}\n"), String::new()));
    let (code, dump, _) = world.index(&["dump", "mail/example.org/ann"])?;
    assert_eq!(code, Some(0));
    for told in [
        "Mailbox id        000102030405060708090a0b0c0d0e0f\n",
        "UIDVALIDITY       1700000001\n",
        "UIDNEXT           10\n",
        "Keyword           Project (letter a)\n",
    ] {
        assert!(dump.contains(told), "{dump}");
    }
    let lines: Vec<&str> = dump.lines().filter(|line| line.contains("cur/")).collect();
    assert_eq!(lines.len(), 3, "{dump}");
    for (line, parts) in lines.iter().zip([
        ["  3  ", "(\\Seen Project)", "cur/1.M1P1.h:2,Sa  UIDL old"],
        ["  5  ", "()", "cur/2.M1P1.h:2,"],
        ["  9  ", "()", "cur/4.M1P1.h:2,"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    Ok(())
}

#[test]
fn check_lists_each_difference_and_export_mends_them() -> io::Result<()> {
    let world = World::new()?;
    let (code, text, _) = world.index(&["check", "mail"])?;
    // Nobody has opened them, which is no fault.
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning: DIR/mail/example.org/bob: has no index yet\n"));
    assert!(text.contains("pillarbox index import DIR/mail/example.org/bob\n"));
    assert!(
        text.ends_with("3 mailboxes, 0 messages: no difference; 3 without an index\n"),
        "{text}"
    );

    world.index(&["import", "mail"])?;
    let before = everything(world.0.path())?;
    let (code, text, _) = world.index(&["check", "--sizes", "mail"])?;
    // The new UID is not in the list; the message that was gone before does not matter.
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("dovecot-uidlist is older than the last UIDs; 1 message has one\n"),
        "{text}"
    );
    assert!(!text.contains("error:"), "{text}");
    assert!(
        text.ends_with(": no difference; 1 with an older list of Dovecot's\n"),
        "{text}"
    );
    assert!(text.contains("pillarbox index export --format dovecot DIR/mail/example.org/ann;"));
    assert_eq!(everything(world.0.path())?, before);

    let (code, text, _) = world.index(&["export", "--format", "dovecot", "mail"])?;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.ends_with("3 mailboxes, 4 messages written for Dovecot\n"),
        "{text}"
    );
    let (code, text, _) = world.index(&["check", "mail"])?;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.ends_with("3 mailboxes, 4 messages: no difference\n"),
        "{text}"
    );
    let list = fs::read_to_string(world.ann().join("dovecot-uidlist"))?;
    assert_eq!(
        list,
        "3 V1700000001 N10 G000102030405060708090a0b0c0d0e0f\n\
         3 Pold :1.M1P1.h\n5 :2.M1P1.h\n9 :4.M1P1.h\n"
    );
    Ok(())
}

#[test]
fn one_mailbox_is_named_by_its_directory() -> io::Result<()> {
    let world = World::new()?;
    let draft = "mail/example.org/ann/.Entw&APw-rfe";
    let (code, text, _) = world.index(&["import", draft])?;
    assert_eq!(code, Some(0));
    assert!(
        text.contains("1 account, 1 mailbox, 1 message: 1 UID and 0 POP3 UIDLs"),
        "{text}"
    );
    assert!(!world.ann().join("pillarbox.index").exists());
    let (code, text, _) = world.index(&["dump", "--json", draft])?;
    assert_eq!(code, Some(0));
    let value: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(value["mailbox"], "Entw\u{fc}rfe");
    assert_eq!(value["uidvalidity"], 1_700_000_002);
    assert_eq!(value["messages"][0]["uid"], 1);
    assert_eq!(value["messages"][0]["file"], "7.M1P1.h:2,");
    assert_eq!(value["vanished"].as_array().map(Vec::len), Some(0));
    Ok(())
}

#[test]
fn a_rebuild_is_wanted_twice() -> io::Result<()> {
    let world = World::new()?;
    world.index(&["import", "mail"])?;
    let before = everything(world.0.path())?;
    let (code, out, err) = world.index(&["rebuild", "mail/example.org/ann"])?;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.starts_with("warning: every message of INBOX gets a new UID"),
        "{err}"
    );
    assert!(
        err.ends_with("--yes says that this is wanted; nothing was changed\n"),
        "{err}"
    );
    assert_eq!(everything(world.0.path())?, before);
    let line = ["rebuild", "--yes", "--all", "mail/example.org/ann"];
    let (code, out, _) = world.index(&line)?;
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("INBOX: 3 messages, UIDVALIDITY was 1700000001, is "),
        "{out}"
    );
    assert!(
        out.contains("\nEntw\u{fc}rfe: 1 message, UIDVALIDITY was 1700000002, is "),
        "{out}"
    );
    let (code, _, err) =
        world.index(&["rebuild", "--all", "mail/example.org/ann/.Entw&APw-rfe"])?;
    assert_eq!(code, Some(1));
    assert!(
        err.contains("is one mailbox; with --all, name the account: DIR/mail"),
        "{err}"
    );
    Ok(())
}

#[test]
fn without_a_path_the_users_file_names_the_accounts() -> io::Result<()> {
    let world = World::new()?;
    let config = format!(
        "mail = \"{}/{{domain}}/{{local}}\"\nusers = \"users\"\n[storage]\nprefix = \"INBOX.\"\nseparator = \".\"\n",
        world.mail().canonicalize()?.display()
    );
    fs::write(world.0.path().join("p.toml"), config)?;
    let hash = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
    let users = format!("ann@example.org:{hash}\nnone@example.org:{hash}\n");
    fs::write(world.0.path().join("users"), users)?;
    let (code, text, err) = world.index(&["import", "-n", "-c", "p.toml"])?;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(text.contains("\nINBOX.Entw\u{fc}rfe  Dovecot"), "{text}");
    assert!(
        text.contains("1 account, 2 mailboxes, 4 messages"),
        "{text}"
    );
    let (_, text, _) = world.index(&[
        "import",
        "-n",
        "-c",
        "p.toml",
        "--prefix",
        "",
        "--separator",
        "/",
    ])?;
    assert!(text.contains("\nEntw\u{fc}rfe  Dovecot"), "{text}");
    let (code, _, err) = world.index(&["import", "-n", "-c", "none.toml", "mail"])?;
    assert_eq!(code, Some(1));
    assert!(err.contains("none.toml"), "{err}");
    Ok(())
}

#[test]
fn what_clients_will_not_see_is_a_problem() -> io::Result<()> {
    let world = World::new()?;
    make(&world.ann().join(".B\u{f6}x"), &[])?;
    make(&world.ann().join("Work"), &[])?;
    let (code, text, _) = world.index(&["import", "-n", "mail"])?;
    assert_eq!(code, Some(1));
    assert!(
        text.contains(".B\u{f6}x: is not the name of a mailbox"),
        "{text}"
    );
    assert!(text.contains("--directory-names utf8"), "{text}");
    assert!(
        text.contains("ann/Work: is a Maildir inside an account"),
        "{text}"
    );
    assert!(text.contains("2 problems; nothing was changed\n"), "{text}");
    let (_, text, _) = world.index(&["import", "-n", "--directory-names", "utf8", "mail"])?;
    assert!(text.contains("\nB\u{f6}x "), "{text}");
    let (code, _, err) = world.index(&["check", "mail/none"])?;
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "pillarbox: mail/none: No such file or directory (os error 2)\n"
    );
    Ok(())
}
