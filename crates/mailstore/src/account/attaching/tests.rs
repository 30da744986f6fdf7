//! What hangs on mailboxes goes where they go, and is the same for all processes.

use super::*;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::name::Namespace;
use crate::source::Source;
use crate::special::SpecialNames;
use crate::store::{Fsync, Options, Store};

const LIMITS: AnnotationLimits = AnnotationLimits {
    entries: 3,
    octets: 1000,
};

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).expect(text)
}

fn names(missing: Missing) -> SpecialNames {
    SpecialNames {
        names: vec![
            (SpecialUse::Drafts, vec![name("Drafts")]),
            (SpecialUse::Sent, vec![name("Sent"), name("Sent Items")]),
        ],
        missing,
    }
}

/// The account in `root`, as one process of its own sees it.
fn account(root: &Path, special: SpecialNames) -> Account {
    let options = Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(60),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000), || 7),
    };
    let store = Store::with_special(options, special);
    store.account(root).unwrap()
}

fn only(special_use: SpecialUse) -> SpecialUses {
    SpecialUses::NONE.with(special_use)
}

/// The name of the mailbox for a use.
fn owner(account: &Account, special_use: SpecialUse) -> Option<String> {
    let listed = account.special_mailboxes(&account.list().unwrap());
    let special = account.special();
    assert_eq!(special, listed);
    special.mailbox(special_use).map(ToString::to_string)
}

fn annotate(account: &Account, mailbox: &str, entry: &str, value: &str) {
    let place = Some(name(mailbox));
    let change = (entry.to_owned(), Some(value.as_bytes().to_vec()));
    account.annotate(&place, &[change], LIMITS).unwrap();
}

/// What the only entry of a mailbox says.
fn comment(account: &Account, mailbox: &str) -> Option<String> {
    let annotations = account.annotations().unwrap();
    let entries = annotations.of(&Some(name(mailbox)))?;
    let value = entries.values().next()?;
    Some(String::from_utf8(value.clone()).unwrap())
}

#[test]
fn uses_and_annotations_follow_their_mailboxes() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), SpecialNames::default());
    make_chain(&account);
    // One gets the name of another.
    account.rename(&name("a"), &name("a/b")).unwrap();
    assert_chain(&account, "");
    account.delete(&name("a/b")).unwrap();
    account.create(&name("a/b")).unwrap();
    assert_eq!(owner(&account, SpecialUse::Trash), None);
    assert_eq!(comment(&account, "a/b"), None);
    assert_eq!(comment(&account, "a/b/b/c").as_deref(), Some("of c"));
}

/// Three mailboxes, of which two get the names of others when a is renamed to a/b.
fn make_chain(account: &Account) {
    account
        .create_special(&name("a"), only(SpecialUse::Trash))
        .unwrap();
    account
        .create_special(&name("a/b/c"), only(SpecialUse::Junk))
        .unwrap();
    account.create(&name("a/b/b/c")).unwrap();
    annotate(account, "a", "/private/comment", "of a");
    annotate(account, "a/b/c", "/private/comment", "of c");
    annotate(account, "a/b/b/c", "/private/comment", "of b");
}

/// They have been renamed.
fn assert_chain(account: &Account, context: &str) {
    let owners = [SpecialUse::Trash, SpecialUse::Junk].map(|it| owner(account, it));
    let expected = ["a.b", "a.b.b.c"].map(|name| Some(name.to_owned()));
    assert_eq!(owners, expected, "{context}");
    let comments = ["a", "a/b", "a/b/c", "a/b/b/c", "a/b/b/b/c"];
    let comments = comments.map(|name| comment(account, name));
    let expected = [None, Some("of a"), None, Some("of c"), Some("of b")];
    assert_eq!(
        comments,
        expected.map(|it| it.map(str::to_owned)),
        "{context}"
    );
}

#[test]
fn what_is_left_of_a_mailbox_that_others_removed_is_not_inherited() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), SpecialNames::default());
    for left in ["made", "renamed"] {
        account
            .create_special(&name(left), only(SpecialUse::Sent))
            .unwrap();
        annotate(&account, left, "/private/comment", "old");
        fs::remove_dir_all(root.path().join(format!(".{left}"))).unwrap();
    }
    account.create(&name("made")).unwrap();
    account.create(&name("other")).unwrap();
    account.rename(&name("other"), &name("renamed")).unwrap();
    assert_eq!(comment(&account, "made"), None);
    assert_eq!(comment(&account, "renamed"), None);
    assert_eq!(owner(&account, SpecialUse::Sent), None);
}

#[test]
fn a_use_belongs_to_one_mailbox() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), names(Missing::Left));
    account.create(&name("Sent Items")).unwrap();
    assert_eq!(
        owner(&account, SpecialUse::Sent).as_deref(),
        Some("Sent Items")
    );
    account.create(&name("Sent")).unwrap();
    assert_eq!(owner(&account, SpecialUse::Sent).as_deref(), Some("Sent"));
    let both = only(SpecialUse::Sent).with(SpecialUse::Drafts);
    account.create_special(&name("Other"), both).unwrap();
    assert_eq!(account.special().of(&name("Other")), both);
    let lost = account
        .set_special_uses(&name("Sent"), only(SpecialUse::Sent))
        .unwrap();
    assert_eq!(lost, [(name("Other"), only(SpecialUse::Drafts))]);
    // Nobody's is nobody's, whatever mailboxes are called.
    account
        .set_special_uses(&name("Sent"), SpecialUses::NONE)
        .unwrap();
    assert_eq!(owner(&account, SpecialUse::Sent), None);
    let missing = account.set_special_uses(&name("none"), both);
    assert!(matches!(missing, Err(Error::NotFound)));
}

#[test]
fn a_use_by_name_goes_along_with_the_mailbox() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), names(Missing::Left));
    account.create(&name("Sent")).unwrap();
    account.rename(&name("Sent"), &name("Old/Sent")).unwrap();
    account.create(&name("Sent")).unwrap();
    assert_eq!(
        owner(&account, SpecialUse::Sent).as_deref(),
        Some("Old.Sent")
    );
    account.delete(&name("Old/Sent")).unwrap();
    assert_eq!(owner(&account, SpecialUse::Sent).as_deref(), Some("Sent"));
}

#[test]
fn missing_mailboxes_are_made_once() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), names(Missing::Made));
    account.create(&name("Sent Items")).unwrap();
    let list = || {
        let all = account.list().unwrap();
        all.iter().map(|it| it.name.to_string()).collect::<Vec<_>>()
    };
    account.make_missing().unwrap();
    assert_eq!(list(), ["INBOX", "Drafts", "Sent Items"]);
    assert_eq!(account.subscriptions().unwrap(), [name("Drafts")]);
    account.delete(&name("Drafts")).unwrap();
    account.delete(&name("Sent Items")).unwrap();
    account.make_missing().unwrap();
    assert_eq!(list(), ["INBOX"]);
}

#[test]
fn two_processes_agree() {
    let root = tempfile::tempdir().unwrap();
    let (one, other) = (
        account(root.path(), names(Missing::Left)),
        account(root.path(), names(Missing::Left)),
    );
    std::thread::scope(|scope| {
        for (account, prefix) in [(&one, "a"), (&other, "b")] {
            scope.spawn(move || {
                for number in 0..5 {
                    let mailbox = format!("{prefix}{number}");
                    let uses = only(SpecialUse::ALL[number + usize::from(prefix == "b")]);
                    account.create_special(&name(&mailbox), uses).unwrap();
                    annotate(account, &mailbox, "/private/comment", prefix);
                }
            });
        }
    });
    for prefix in ["a", "b"] {
        for number in 0..5 {
            let mailbox = format!("{prefix}{number}");
            for account in [&one, &other] {
                assert_eq!(comment(account, &mailbox).as_deref(), Some(prefix));
            }
        }
    }
    assert_eq!(one.special(), other.special());
    let all = SpecialUse::ALL.map(|it| owner(&one, it));
    assert!(all.iter().all(Option::is_some), "{all:?}");
}

#[test]
fn annotations_are_bounded_and_change_together() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), SpecialNames::default());
    let entry = |number: usize, octets: usize| {
        let value = Some(vec![b'x'; octets]);
        (format!("/private/vendor/x/{number}"), value)
    };
    let set = |changes: &[Annotation]| account.annotate(&None, changes, LIMITS);
    let count = || account.annotations().unwrap().count(&None);
    set(&[entry(1, 1), entry(2, 1)]).unwrap();
    let four = set(&[entry(1, 2), entry(3, 1), entry(4, 1)]);
    assert!(matches!(four, Err(AnnotateError::TooMany)));
    let annotations = account.annotations().unwrap();
    let kept: Vec<usize> = annotations
        .iter()
        .map(|(_, _, value)| value.len())
        .collect();
    assert_eq!(kept, [1, 1]);
    let large = set(&[entry(1, 1000)]);
    assert!(matches!(large, Err(AnnotateError::TooMany)));
    set(&[entry(3, 800)]).unwrap();
    // Less is always possible.
    let tight = AnnotationLimits {
        entries: 1,
        octets: 10,
    };
    account
        .annotate(&None, &[(entry(3, 0).0, None)], tight)
        .unwrap();
    assert_eq!(count(), 2);
    let nowhere = account.annotate(&Some(name("none")), &[entry(1, 1)], LIMITS);
    assert!(matches!(
        nowhere,
        Err(AnnotateError::Store(Error::NotFound))
    ));
}

#[test]
fn renaming_inbox_copies_its_annotations() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), SpecialNames::default());
    annotate(&account, "INBOX", "/private/comment", "both");
    account.rename(&MailboxName::inbox(), &name("old")).unwrap();
    assert_eq!(comment(&account, "INBOX").as_deref(), Some("both"));
    assert_eq!(comment(&account, "old").as_deref(), Some("both"));
}

/// Every moment at which a RENAME can be cut off, by what is on the disk then.
#[test]
fn a_rename_that_was_cut_off_is_finished() {
    let directories = [
        (".a.b.b.c", ".a.b.b.b.c"),
        (".a.b.c", ".a.b.b.c"),
        (".a", ".a.b"),
    ];
    let files = ["pillarbox.account", "pillarbox.metadata"];
    let done = directories.len() + files.len();
    for moment in 0..=done {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let account = account(root, SpecialNames::default());
        make_chain(&account);
        let before = files.map(|file| fs::read(root.join(file)).unwrap());
        let namespace = account.namespace();
        let mailbox = |directory: &str| namespace.from_directory(directory.as_bytes()).unwrap();
        let renames = directories.map(|(from, to)| (mailbox(from), mailbox(to)));
        let tree = account.tree();
        let stamp = tree
            .attached()
            .prepare(&renames.into(), &SpecialNames::default(), |_| true)
            .unwrap();
        account.rename(&name("a"), &name("a/b")).unwrap();
        // Back to a moment of it: only so many steps have been done.
        let mut journal = "pillarbox renaming 1\n".to_owned();
        for (from, to) in directories {
            journal.push_str(&format!("{from}\t{to}\n"));
        }
        let (uses, annotations) = (stamp.uses, stamp.annotations);
        journal.push_str(&format!("attached\t{uses:08x} {annotations:08x}\n"));
        fs::write(root.join("pillarbox.renaming"), journal).unwrap();
        for (step, (from, to)) in directories.iter().enumerate().rev() {
            if moment <= step {
                fs::rename(root.join(to), root.join(from)).unwrap();
            }
        }
        for (number, (file, old)) in files.iter().zip(before).enumerate() {
            if moment <= directories.len() + number {
                fs::write(root.join(file), old).unwrap();
            }
        }
        assert_chain(&account, &format!("after {moment} steps"));
        assert!(!root.join("pillarbox.renaming").exists());
    }
}
