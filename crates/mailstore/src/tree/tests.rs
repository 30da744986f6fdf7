//! Tests of the tree: names that appear and go, renames that nobody sees half of.

use super::{Tree, is_directory, journal, journal::Move};
use crate::error::Error;
use crate::name::{MailboxName, NameError, Namespace};
use crate::source::Source;
use crate::special::SpecialNames;
use crate::store::{Fsync, Options};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

fn options() -> Options {
    Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(60),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 0,
        source: Source::new(|| UNIX_EPOCH, || 7),
    }
}

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).expect(text)
}

/// An account with mailboxes, each holding one message that is its name.
fn account(mailboxes: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let options = options();
    let tree = Tree::new(root.path(), &options);
    tree.make_inbox().unwrap();
    for mailbox in mailboxes {
        let fill = |path: &Path| {
            fs::write(path.join("new/1.h"), mailbox).unwrap();
            Ok(())
        };
        tree.create(&name(mailbox), fill).unwrap();
    }
    root
}

/// The listing; names that are only parents in parentheses.
fn list(root: &TempDir) -> Vec<String> {
    let entries = Tree::new(root.path(), &options()).list().unwrap();
    let show = |entry: super::Entry| match entry.selectable {
        true => entry.name.to_string(),
        false => format!("({})", entry.name),
    };
    entries.into_iter().map(show).collect()
}

fn create(root: &TempDir, mailbox: &str) -> super::Result<()> {
    Tree::new(root.path(), &options()).create(&name(mailbox), |_| Ok(()))
}

fn delete(root: &TempDir, mailbox: &str) -> super::Result<()> {
    Tree::new(root.path(), &options()).delete(&name(mailbox), |_| {})
}

fn rename(root: &TempDir, from: &str, to: &str) -> super::Result<()> {
    Tree::new(root.path(), &options()).rename(
        &name(from),
        &name(to),
        &SpecialNames::default(),
        |_| {},
    )
}

/// What the message in a mailbox's directory says.
fn message(root: &TempDir, directory: &str) -> String {
    let path = root.path().join(directory).join("new/1.h");
    fs::read_to_string(path).expect(directory)
}

fn files(root: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(root).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    entries.map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn a_new_account_has_an_inbox_that_others_cannot_read() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("domain/user");
    let options = options();
    let tree = Tree::new(&root, &options);
    tree.make_inbox().unwrap();
    tree.make_inbox().unwrap();
    assert_eq!(
        files(&root),
        ["cur", "new", "tmp", "pillarbox.tree.lock"]
            .map(str::to_owned)
            .into()
    );
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let only = tree.list().unwrap();
    assert_eq!(only.len(), 1);
    assert!(only[0].name.is_inbox() && only[0].selectable);
}

#[test]
fn a_root_that_is_a_file_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("user");
    fs::write(&root, "").unwrap();
    let options = options();
    let tree = Tree::new(&root, &options);
    assert!(tree.make_inbox().is_err());
    assert!(tree.list().is_err());
}

#[test]
fn a_new_mailbox_is_a_complete_maildir_folder() {
    let root = account(&[]);
    create(&root, "Work/2026").unwrap();
    let path = root.path().join(".Work.2026");
    let expected = ["cur", "new", "tmp", "maildirfolder"];
    assert_eq!(files(&path), expected.map(str::to_owned).into());
    assert_eq!(fs::read(path.join("maildirfolder")).unwrap(), b"");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(!root.path().join("maildirfolder").exists());
    assert_eq!(list(&root), ["INBOX", "(Work)", "Work.2026"]);
    create(&root, "Work").unwrap();
    assert_eq!(list(&root), ["INBOX", "Work", "Work.2026"]);
}

#[test]
fn what_exists_is_not_created() {
    let root = account(&["a"]);
    fs::write(root.path().join(".file"), "").unwrap();
    symlink("nowhere", root.path().join(".link")).unwrap();
    for taken in ["a", "file", "link"] {
        assert!(
            matches!(create(&root, taken), Err(Error::Exists)),
            "{taken}"
        );
    }
    assert!(matches!(create(&root, "INBOX"), Err(Error::Inbox)));
    assert_eq!(list(&root), ["INBOX", "a"]);
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let root = account(&[]);
    let options = options();
    let tree = Tree::new(root.path(), &options);
    let before = files(root.path());
    let failed = tree.create(&name("a"), |_| Err(Error::NoSpace));
    assert!(matches!(failed, Err(Error::NoSpace)));
    assert_eq!(list(&root), ["INBOX"]);
    assert_eq!(files(root.path()), before);
}

#[test]
fn a_mailbox_is_invisible_while_it_is_made() {
    let root = account(&[]);
    let options = options();
    let tree = Tree::new(root.path(), &options);
    let looked = tree.create(&name("a"), |_| {
        assert_eq!(tree.scan().unwrap().names.len(), 0);
        Ok(())
    });
    looked.unwrap();
}

#[test]
fn the_listing_is_sorted_by_levels() {
    let mailboxes = ["b", "a/c", "a b", "a", "INBOX/x", "Z", "a/b/c", "&AOQ-"];
    let root = account(&mailboxes);
    let expected = [
        "INBOX", "INBOX.x", "Z", "a", "(a.b)", "a.b.c", "a.c", "a b", "b", "ä",
    ];
    assert_eq!(list(&root), expected);
}

#[test]
fn what_is_no_mailbox_is_not_listed() {
    let root = account(&["a"]);
    for directory in [
        "plain",
        "..",
        "..hidden",
        ".a..b",
        ".x&AGE-",
        ".INBOX",
        "courierimapkeywords",
    ] {
        fs::create_dir_all(root.path().join(directory).join("cur")).unwrap();
    }
    fs::write(root.path().join(".dovecot.svbin"), "").unwrap();
    symlink(root.path().join(".a"), root.path().join(".link")).unwrap();
    assert_eq!(list(&root), ["INBOX", "a"]);
    let options = options();
    let tree = Tree::new(root.path(), &options);
    for missing in ["link", "dovecot"] {
        let result = tree.existing(&name(missing));
        assert!(matches!(result, Err(Error::NotFound)), "{missing}");
        assert!(matches!(delete(&root, missing), Err(Error::NotFound)));
        let result = rename(&root, missing, "other");
        assert!(matches!(result, Err(Error::NotFound)), "{missing}");
    }
    assert_eq!(message(&root, ".a"), "a");
}

#[test]
fn deleting_keeps_the_children() {
    let root = account(&["a", "a/b"]);
    let gone = RefCell::new(Vec::new());
    let options = options();
    let tree = Tree::new(root.path(), &options);
    let note = |path: &Path| gone.borrow_mut().push(path.to_owned());
    tree.delete(&name("a"), note).unwrap();
    assert_eq!(gone.into_inner(), [root.path().join(".a")]);
    assert_eq!(list(&root), ["INBOX", "(a)", "a.b"]);
    assert!(matches!(delete(&root, "a"), Err(Error::NotFound)));
    assert!(matches!(delete(&root, "INBOX"), Err(Error::Inbox)));
    delete(&root, "a/b").unwrap();
    assert_eq!(list(&root), ["INBOX"]);
    assert!(!files(root.path()).iter().any(|file| file.starts_with('.')));
}

#[test]
fn deleting_does_not_follow_links() {
    let root = account(&["a"]);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("kept"), "").unwrap();
    symlink(outside.path(), root.path().join(".a/cur/link")).unwrap();
    delete(&root, "a").unwrap();
    assert!(outside.path().join("kept").exists());
    assert!(!root.path().join(".a").exists());
}

#[test]
fn leftovers_of_a_crash_are_hidden_and_removed() {
    let root = account(&["a"]);
    for leftover in [
        "..pillarbox-new",
        "..pillarbox-trash.7.0",
        "..DOVECOT-TRASHED",
    ] {
        fs::create_dir_all(root.path().join(leftover).join("cur")).unwrap();
    }
    assert_eq!(list(&root), ["INBOX", "a"]);
    let left = files(root.path());
    assert!(!left.contains("..pillarbox-new"), "nobody is making it");
    assert!(
        left.contains("..pillarbox-trash.7.0"),
        "somebody may be at it"
    );
    assert!(left.contains("..DOVECOT-TRASHED"));
    // The name in the trash is taken.
    delete(&root, "a").unwrap();
    assert_eq!(list(&root), ["INBOX"]);
}

#[test]
fn a_rename_takes_the_children_along() {
    let root = account(&["a", "a/b", "a/b/c", "ab", "x"]);
    rename(&root, "a", "y/z").unwrap();
    let expected = ["INBOX", "ab", "x", "(y)", "y.z", "y.z.b", "y.z.b.c"];
    assert_eq!(list(&root), expected);
    assert_eq!(message(&root, ".y.z"), "a");
    assert_eq!(message(&root, ".y.z.b.c"), "a/b/c");
    // Of a parent that does not exist, only the children.
    rename(&root, "y", "a").unwrap();
    assert_eq!(
        list(&root),
        ["INBOX", "(a)", "a.z", "a.z.b", "a.z.b.c", "ab", "x"]
    );
    assert!(!journal::exists(root.path()));
}

#[test]
fn a_rename_below_or_above_itself_ends() {
    let root = account(&["a", "a/x", "a/x/a"]);
    rename(&root, "a", "a/b").unwrap();
    assert_eq!(list(&root), ["INBOX", "(a)", "a.b", "a.b.x", "a.b.x.a"]);
    assert_eq!(message(&root, ".a.b.x"), "a/x");
    rename(&root, "a/b", "a").unwrap();
    assert_eq!(list(&root), ["INBOX", "a", "a.x", "a.x.a"]);
    assert_eq!(message(&root, ".a.x.a"), "a/x/a");

    // Targets that are sources too: each in its turn.
    let root = account(&["a/a", "a/a/a", "a/a/a/a"]);
    rename(&root, "a/a", "a").unwrap();
    assert_eq!(list(&root), ["INBOX", "a", "a.a", "a.a.a"]);
    assert_eq!(message(&root, ".a"), "a/a");
    assert_eq!(message(&root, ".a.a.a"), "a/a/a/a");
    let root = account(&["a/a/x", "a/x"]);
    rename(&root, "a", "a/a").unwrap();
    assert_eq!(message(&root, ".a.a.a.x"), "a/a/x");
    assert_eq!(message(&root, ".a.a.x"), "a/x");
}

#[test]
fn a_rename_that_cannot_be_whole_is_refused() {
    let root = account(&["a", "a/b", "c", "d/b"]);
    fs::write(root.path().join(".file"), "").unwrap();
    let before = list(&root);
    for (from, to) in [
        ("a", "c"),
        ("a", "a"),
        ("a", "d"),
        ("a", "a/b"),
        ("a", "INBOX"),
        ("a", "file"),
    ] {
        let result = rename(&root, from, to);
        assert!(matches!(result, Err(Error::Exists)), "{from} {to}");
    }
    assert!(matches!(rename(&root, "none", "new"), Err(Error::NotFound)));
    let long = "x".repeat(253);
    let result = rename(&root, "a", &long);
    assert!(matches!(result, Err(Error::Name(NameError::TooLong))));
    let deep = vec!["x"; MailboxName::MAX_LEVELS].join("/");
    let result = rename(&root, "a", &deep);
    assert!(matches!(result, Err(Error::Name(NameError::TooLong))));
    assert_eq!(list(&root), before);
    assert!(!journal::exists(root.path()));
}

fn step(from: &str, to: &str) -> Move {
    Move {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

#[test]
fn a_rename_that_fails_half_way_is_undone() {
    let root = account(&["a", "a/b", "a/c"]);
    let options = options();
    let tree = Tree::new(root.path(), &options);
    let moves = [
        step(".a", ".x"),
        step(".a.b", ".x.b"),
        step(".gone", ".x.c"),
    ];
    assert!(tree.carry_out(&moves).is_err());
    assert_eq!(list(&root), ["INBOX", "a", "a.b", "a.c"]);
    let moves = [step(".a", ".x"), step(".a.b", ".a.c")];
    assert!(matches!(tree.carry_out(&moves), Err(Error::Exists)));
    assert_eq!(list(&root), ["INBOX", "a", "a.b", "a.c"]);
    assert_eq!(message(&root, ".a.c"), "a/c");
}

#[test]
fn a_rename_that_a_crash_cut_short_is_finished() {
    for done in 0..=3 {
        let root = account(&["a", "a/b", "a/c"]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        let moves = tree.plan(&name("a"), &name("x")).unwrap();
        journal::write(root.path(), &moves, None).unwrap();
        tree.carry_out(&moves[..done]).unwrap();
        assert_eq!(list(&root), ["INBOX", "x", "x.b", "x.c"], "{done}");
        assert!(!journal::exists(root.path()));
    }
}

#[test]
fn a_journal_cannot_reach_out_of_the_root() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("victim")).unwrap();
    let root = parent.path().join("user");
    let options = options();
    let tree = Tree::new(&root, &options);
    tree.make_inbox().unwrap();
    let header = "pillarbox renaming 1\n";
    let bad = [
        format!("{header}../victim\t.x\n.../victim\t.y\ncur\t.z\n\t.w\n.INBOX\n"),
        "../victim\t.x\n".to_owned(),
        String::new(),
        "\0\0\0\0".to_owned(),
    ];
    for text in bad {
        fs::write(root.join("pillarbox.renaming"), text).unwrap();
        assert_eq!(tree.list().unwrap().len(), 1);
        assert!(!journal::exists(&root));
    }
    assert!(parent.path().join("victim").exists() && root.join("cur").exists());
}

#[test]
fn nobody_sees_half_of_a_rename() {
    let root = account(&["a", "a/1", "a/2", "a/2/3", "other"]);
    let stop = AtomicBool::new(false);
    let rounds = 40;
    thread::scope(|scope| {
        let lister = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !stop.load(Ordering::Relaxed) {
                let names = list(&root);
                let under = |top: &str| {
                    let family = names.iter().filter(|name| {
                        name.as_str() == top || name.starts_with(&format!("{top}."))
                    });
                    family.count()
                };
                let counts = (under("a"), under("b"), under("c"));
                let whole = [(4, 0, 0), (0, 4, 0), (0, 0, 4)];
                assert!(whole.contains(&counts), "{names:?}");
                assert!(names.contains(&"other".to_owned()));
                seen.insert(counts);
            }
            seen
        });
        let renamers = [("a", "b"), ("b", "c")].map(|(from, to)| {
            let root = &root;
            scope.spawn(move || {
                for _ in 0..rounds {
                    for (from, to) in [(from, to), (to, from)] {
                        match rename(root, from, to) {
                            Ok(()) | Err(Error::NotFound | Error::Exists) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        });
        for renamer in renamers {
            renamer.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        assert!(!lister.join().unwrap().is_empty());
    });
    assert_eq!(list(&root).len(), 6);
}

#[test]
fn mail_that_is_missing_is_no_empty_mailbox() {
    let root = account(&["a", "bare"]);
    let options = options();
    let tree = Tree::new(root.path(), &options);
    // Never opened by us: another program made it without all of its directories.
    fs::remove_dir_all(root.path().join(".bare/tmp")).unwrap();
    let path = tree.existing(&name("bare")).unwrap();
    assert!(is_directory(&path.join("tmp")).unwrap());
    // Opened before: its mail is gone.
    fs::write(root.path().join(".a/pillarbox.index"), "").unwrap();
    fs::rename(root.path().join(".a/cur"), root.path().join(".a/away")).unwrap();
    let result = tree.existing(&name("a"));
    assert!(matches!(result, Err(Error::Corrupt { .. })));
    fs::rename(root.path().join(".a/away"), root.path().join(".a/cur")).unwrap();
    assert!(tree.existing(&name("a")).is_ok());
    assert_eq!(tree.existing(&MailboxName::inbox()).unwrap(), root.path());
}

#[test]
fn a_listing_needs_no_right_to_write() {
    let root = account(&["a"]);
    let lock = root.path().join("pillarbox.tree.lock");
    fs::remove_file(&lock).unwrap();
    // A lock file that cannot be locked stands for a file system that cannot be written.
    symlink("nowhere", &lock).unwrap();
    assert_eq!(list(&root), ["INBOX", "a"]);
    assert!(create(&root, "b").is_err());
}
