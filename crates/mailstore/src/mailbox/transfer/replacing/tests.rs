//! What a replacement leaves behind, alone and when it fails.

use std::fs;
use std::io::Write;
use std::task::Waker;

use crate::error::Error;
use crate::flag::SystemFlag;
use crate::id::Uid;
use crate::mailbox::transfer::r#move::tests::{account, append, change, files, open, texts, uids};
use crate::mailbox::{Appending, Mailbox};

/// A message staged in a mailbox.
fn staged(mailbox: &Mailbox, text: &str) -> Appending {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(text.as_bytes()).unwrap();
    Appending {
        staged,
        flags: change(&[SystemFlag::Draft], &[]),
        internal_date: None,
    }
}

fn replace(source: &Mailbox, old: Uid, target: &Mailbox, text: &str) -> Result<Uid, Error> {
    let appended = source.replace(None, old, target, staged(target, text))?;
    Ok(appended.uids[0])
}

#[test]
fn both_are_told_with_one_mod_sequence_and_nothing_is_inherited() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let mailbox = open(&account, "a");
    let (old, other) = (append(&mailbox, "old"), append(&mailbox, "other"));
    let before = mailbox.snapshot().highest_mod_seq();
    let new = replace(&mailbox, old, &mailbox, "new").unwrap();
    assert_eq!(uids(&mailbox), [other, new]);
    assert_eq!(texts(&mailbox), ["other", "new"]);
    assert_eq!(files(&mailbox), 2);
    let snapshot = mailbox.snapshot();
    let message = snapshot.by_uid(new).unwrap();
    assert_eq!(snapshot.highest_mod_seq(), message.mod_seq());
    assert_eq!(message.mod_seq().get(), before.get() + 1);
    assert!(message.flags().has(SystemFlag::Draft));
    assert!(!message.flags().has(SystemFlag::Seen));
    assert_eq!(message.flags().keywords().count(), 0);
}

#[test]
fn the_target_may_be_before_or_behind_the_source() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    for (from, to) in [("a", "b"), ("z", "y")] {
        let (source, target) = (open(&account, from), open(&account, to));
        let (old, stays) = (append(&source, "old"), append(&source, "stays"));
        let new = replace(&source, old, &target, "new").unwrap();
        assert_eq!((uids(&source), uids(&target)), (vec![stays], vec![new]));
        assert_eq!(
            (texts(&target), files(&source)),
            (vec!["new".to_owned()], 1)
        );
    }
}

#[test]
fn what_is_gone_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    for target in [&source, &target] {
        // Expunged, and removed by another program.
        let (expunged, removed) = (append(&source, "one"), append(&source, "two"));
        source.expunge(&[expunged]).unwrap();
        for entry in fs::read_dir(source.directory.join("cur")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for old in [expunged, removed] {
            let replaced = replace(&source, old, target, "new");
            assert!(matches!(replaced, Err(Error::Expunged)), "{replaced:?}");
        }
        assert!(uids(target).is_empty());
        assert_eq!(files(target), 0);
    }
}

#[test]
fn a_message_that_a_stranger_renames_is_replaced_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    for target in [&source, &target] {
        let old = append(&source, "old");
        let cur = source.directory.join("cur");
        for entry in fs::read_dir(&cur).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            fs::rename(cur.join(&name), cur.join(format!("{name}T"))).unwrap();
        }
        let new = replace(&source, old, target, "new").unwrap();
        assert_eq!(uids(target), [new]);
        assert_eq!(files(target), 1);
        source.expunge(&uids(&source)).unwrap();
        assert_eq!(files(&source), 0);
    }
}

#[test]
fn a_replaced_message_can_be_read_by_those_who_were_not_told() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let mailbox = open(&account, "a");
    let old = append(&mailbox, "old");
    let (own, other) = (
        mailbox.watch(Waker::noop().clone()),
        mailbox.watch(Waker::noop().clone()),
    );
    let before = mailbox.snapshot();
    let first = own.replace(old, &mailbox, staged(&mailbox, "new")).unwrap();
    let message = before.by_uid(old).unwrap();
    let bytes = mailbox.read(message).unwrap().read_crlf().unwrap();
    assert_eq!(bytes, b"old");
    drop((other, before));
    mailbox.flush();
    assert_eq!(files(&mailbox), 1);
    // Alone, it has no use for the bytes.
    let newest = staged(&mailbox, "newest");
    own.replace(first.uids[0], &mailbox, newest).unwrap();
    assert_eq!(files(&mailbox), 1);
}

#[test]
fn what_is_no_file_any_more_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let old = append(&source, "old");
    let cur = source.directory.join("cur");
    let entry = fs::read_dir(&cur).unwrap().next().unwrap().unwrap();
    fs::remove_file(entry.path()).unwrap();
    fs::create_dir(entry.path()).unwrap();
    for target in [&source, &target] {
        replace(&source, old, target, "new").unwrap_err();
        assert!(uids(target).is_empty());
    }
    assert_eq!((files(&source), files(&target)), (1, 0));
}

/// What a crash leaves that comes before the frame of the index: the old index with the new files.
#[test]
fn a_crash_leaves_the_old_or_the_new_or_both() {
    let root = tempfile::tempdir().unwrap();
    let (index, old) = {
        let account = account(root.path());
        let mailbox = open(&account, "a");
        let old = append(&mailbox, "old");
        (mailbox.directory.join("pillarbox.index"), old)
    };
    let before = fs::read(&index).unwrap();
    let cur = index.with_file_name("cur");
    let file = fs::read_dir(&cur).unwrap().next().unwrap().unwrap().path();
    {
        let account = account(root.path());
        let mailbox = open(&account, "a");
        replace(&mailbox, old, &mailbox, "new").unwrap();
    }
    fs::write(&index, before).unwrap();
    let account = account(root.path());
    let mailbox = open(&account, "a");
    assert_eq!(texts(&mailbox), ["new"]);
    assert!(uids(&mailbox)[0] > old);
    // And with the old file, which had not been removed.
    fs::write(&file, "old").unwrap();
    assert_eq!(texts(&mailbox), ["new", "old"]);
}
