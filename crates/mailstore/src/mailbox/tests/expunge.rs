//! Messages that go, and who can still read them.

use super::*;

#[test]
fn expunge_is_seen_by_all_and_removes_files() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    for text in ["a", "b", "c"] {
        append(&mailbox, text, &[]);
    }
    let snapshot = mailbox.expunge(&[uid(3), uid(1), uid(7)]).unwrap();
    assert_eq!(uids(&snapshot), [2]);
    assert_eq!(maildir.names("cur").len(), 1);
    assert!(maildir.names("tmp").is_empty());
    assert_eq!(append(&mailbox, "d", &[]), 4);
}

#[test]
fn expunged_bytes_stay_for_those_who_watch() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "gone", &[]);
    append(&mailbox, "here", &[]);
    let watch = mailbox.watch(Waker::noop().clone());
    let old = mailbox.snapshot();
    mailbox.expunge(&[uid(1)]).unwrap();
    assert_eq!(text(&mailbox, &old, 1), "gone");
    // A later expunge does not take away what an older snapshot can ask for.
    mailbox.expunge(&[uid(2)]).unwrap();
    assert_eq!(text(&mailbox, &old, 2), "here");
    let kept = old.keeping_expunged(&mailbox.snapshot());
    drop(old);
    mailbox.refresh().unwrap();
    assert_eq!(text(&mailbox, &kept, 1), "gone");
    let message = kept.by_uid(uid(1)).unwrap();
    drop(watch);
    assert!(matches!(mailbox.read(message), Err(Error::Expunged)));
    assert!(maildir.names("tmp").is_empty());
}

#[test]
fn expunged_bytes_go_when_nobody_can_ask() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "gone", &[]);
    let _watch = mailbox.watch(Waker::noop().clone());
    mailbox.expunge(&[uid(1)]).unwrap();
    mailbox.refresh().unwrap();
    assert!(maildir.names("tmp").is_empty());
}

#[test]
fn who_expunges_keeps_no_bytes_for_himself() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    for text in ["one", "two", "three"] {
        append(&mailbox, text, &[]);
    }
    let watch = mailbox.watch(Waker::noop().clone());
    let old = mailbox.snapshot();
    let left = watch.expunge(&[uid(1)]).unwrap();
    assert_eq!(uids(&left), [2, 3]);
    assert!(maildir.names("tmp").is_empty());
    let message = old.by_uid(uid(1)).unwrap();
    assert!(matches!(mailbox.read(message), Err(Error::Expunged)));
    // Another one's messages stay readable, whoever of the two expunges.
    let other = mailbox.watch(Waker::noop().clone());
    watch.expunge(&[uid(2)]).unwrap();
    other.expunge(&[uid(3)]).unwrap();
    assert_eq!(text(&mailbox, &old, 2), "two");
    assert_eq!(text(&mailbox, &old, 3), "three");
    drop((watch, other));
    assert!(maildir.names("tmp").is_empty());
}

#[test]
fn left_over_graves_and_old_files_are_cleaned_away() {
    let maildir = Maildir::new();
    // No process has this number: it is above the kernel's limit.
    maildir.write("tmp/pillarbox-expunged.2147483000.5.7.host", "x");
    maildir.write("tmp/pillarbox-expunged.2147483000.5.7.elsewhere", "x");
    maildir.write("tmp/1.M1P1.host", "being delivered");
    maildir.open();
    let left = ["1.M1P1.host", "pillarbox-expunged.2147483000.5.7.elsewhere"];
    assert_eq!(maildir.names("tmp"), left);
}
