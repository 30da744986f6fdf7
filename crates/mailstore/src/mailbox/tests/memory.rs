//! What an open mailbox takes: bytes for each message, and no descriptors.

use std::task::Waker;

use super::*;

/// The descriptors of this process for files below a directory.
fn descriptors(root: &Path) -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|it| fs::read_link(it.path()).is_ok_and(|path| path.starts_with(root)))
        .count()
}

#[test]
fn a_message_costs_at_most_120_bytes_in_an_open_mailbox() {
    let maildir = Maildir::new();
    for number in 0..4096 {
        let name = format!("17{number:08}.M123456P12345678.mail.example.org,S=123,W=125:2,S");
        assert_eq!(name.len(), 60);
        maildir.write(&format!("cur/{name}"), "");
    }
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    let per_message = |mailbox: &Mailbox| mailbox.bytes().div_ceil(mailbox.snapshot().len());
    assert!(per_message(&mailbox) <= 120, "{}", mailbox.bytes());
    let all: Vec<Uid> = mailbox.snapshot().iter().map(|it| it.uid()).collect();
    let flagged = change(FlagOp::Add, &[SystemFlag::Flagged], &[]);
    mailbox.store_flags(&all, &flagged).unwrap();
    assert!(per_message(&mailbox) <= 120, "{}", mailbox.bytes());
    mailbox.expunge(&all[1024..]).unwrap();
    assert!(per_message(&mailbox) <= 120, "{}", mailbox.bytes());
    // As another process reads it.
    let read = maildir.open();
    assert_eq!(read.snapshot().len(), 1024);
    assert!(per_message(&read) <= 120, "{}", read.bytes());
}

#[test]
fn what_is_remembered_of_expunged_messages_counts() {
    let maildir = Maildir::new();
    for number in 1..=1000 {
        maildir.write(&format!("cur/{number}.host:2,"), "");
    }
    let mailbox = maildir.open();
    let odd: Vec<Uid> = (1..=1000).step_by(2).map(uid).collect();
    mailbox.expunge(&odd).unwrap();
    let messages = mailbox.snapshot().bytes();
    assert!(
        mailbox.bytes() >= messages + 500 * 16,
        "{}",
        mailbox.bytes()
    );
}

#[test]
fn an_open_mailbox_holds_no_descriptor() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "one", &[]);
    append(&mailbox, "two", &[]);
    let flagged = change(FlagOp::Add, &[SystemFlag::Flagged], &[]);
    mailbox.store_flags(&[uid(1)], &flagged).unwrap();
    text(&mailbox, &mailbox.snapshot(), 1);
    let watch = mailbox.watch(Waker::noop().clone());
    mailbox.expunge(&[uid(2)]).unwrap();
    drop(watch);
    store.flush();
    assert_eq!(descriptors(&maildir.root), 0);
    drop(mailbox);
    assert!(store.is_open(&maildir.root), "it stays in memory");
    assert_eq!(descriptors(&maildir.root), 0);
}
