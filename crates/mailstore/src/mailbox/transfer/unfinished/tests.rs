//! Moves that were cut off, and notes that nobody of ours has written.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;

use super::super::r#move::tests::{account, append, change, files, move_to, open, texts, uids};
use super::{FILE, HEADER, MOST_OCTETS, Move, Note, Written};
use crate::account::Account;
use crate::filename::base;
use crate::mailbox::Mailbox;
use crate::name::Namespace;

/// The only file in `cur/`.
fn only(mailbox: &Mailbox) -> PathBuf {
    let mut entries = fs::read_dir(mailbox.directory.join("cur")).unwrap();
    let found = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    found
}

fn name(path: &Path) -> OsString {
    path.file_name().unwrap().to_owned()
}

/// The bytes of a note of messages with these bases.
fn noted(target: &str, messages: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut note = Note::to(target.as_bytes());
    for (source, copy) in messages {
        note.add(source, copy);
    }
    note.finish()
}

/// A message in `from` whose move to `to` was cut off after the link: its file, and the link.
fn cut_off(account: &Account, from: &str, to: &str) -> (PathBuf, PathBuf) {
    let (source, target) = (open(account, from), open(account, to));
    append(&source, "text");
    let file = only(&source);
    let link = target.directory.join("cur").join("1.copy.host:2,S");
    fs::hard_link(&file, &link).unwrap();
    let bytes = noted(
        &format!(".{to}"),
        &[(base(name(&file).as_bytes()), b"1.copy.host")],
    );
    fs::write(source.directory.join(FILE), bytes).unwrap();
    (file, link)
}

fn is_noted(mailbox: &Mailbox) -> bool {
    mailbox.directory.join(FILE).symlink_metadata().is_ok()
}

/// Where the message is after the mailboxes have been opened by another process.
fn reopened(root: &Path) -> (Arc<Mailbox>, Arc<Mailbox>) {
    let after = account(root);
    let (source, target) = (open(&after, "a"), open(&after, "b"));
    assert!(!is_noted(&source));
    (source, target)
}

#[test]
fn whoever_opens_the_source_finishes_the_move() {
    let root = tempfile::tempdir().unwrap();
    cut_off(&account(root.path()), "a", "b");
    let (source, target) = reopened(root.path());
    assert_eq!(texts(&source), [] as [&str; 0]);
    assert_eq!(texts(&target), ["text"]);
    assert_eq!((files(&source), files(&target)), (0, 1));
}

#[test]
fn whoever_takes_the_lock_finishes_the_move() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    cut_off(&account, "a", "b");
    let (watch, old) = (source.watch(Waker::noop().clone()), source.snapshot());
    append(&source, "another");
    assert_eq!(texts(&source), ["another"]);
    assert_eq!(texts(&target), ["text"]);
    assert!(!is_noted(&source));
    // Who was not told yet can still read it.
    let message = old.iter().next().unwrap();
    let bytes = source.read(message).unwrap().read_crlf().unwrap();
    assert_eq!(bytes, b"text");
    drop((watch, old));
    source.flush();
    assert_eq!(files(&source), 1);
}

#[test]
fn files_that_were_renamed_since_are_found() {
    let root = tempfile::tempdir().unwrap();
    let (file, link) = cut_off(&account(root.path()), "a", "b");
    let mut renamed = file.clone().into_os_string();
    renamed.push("T");
    fs::rename(&file, renamed).unwrap();
    fs::rename(&link, link.with_file_name("1.copy.host:2,FS")).unwrap();
    let (source, target) = reopened(root.path());
    assert_eq!((files(&source), files(&target)), (0, 1));
    assert_eq!(texts(&target), ["text"]);
}

#[test]
fn a_message_that_did_not_arrive_stays() {
    let ways: [fn(&Path, &Path); 5] = [
        |_, link| fs::remove_file(link).unwrap(),
        |_, link| {
            fs::remove_file(link).unwrap();
            fs::write(link, "text").unwrap();
        },
        |file, link| {
            fs::remove_file(link).unwrap();
            symlink(file, link).unwrap();
        },
        |_, link| fs::rename(link, link.with_file_name("2.copy.host:2,S")).unwrap(),
        |_, link| fs::remove_dir_all(link.parent().unwrap().parent().unwrap()).unwrap(),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = cut_off(&account(root.path()), "a", "b");
        way(&file, &link);
        let (source, _) = reopened(root.path());
        assert_eq!(texts(&source), ["text"], "{number}");
    }
}

#[test]
fn a_move_within_a_mailbox_is_finished() {
    let root = tempfile::tempdir().unwrap();
    cut_off(&account(root.path()), "a", "a");
    let (source, _) = reopened(root.path());
    assert_eq!(texts(&source), ["text"]);
    assert_eq!(name(&only(&source)), "1.copy.host:2,S");
}

#[test]
fn a_note_that_comes_back_after_the_move_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (source, target) = {
        let account = account(root.path());
        (open(&account, "a"), open(&account, "b"))
    };
    let uid = append(&source, "text");
    let before = name(&only(&source));
    move_to(&source, &[uid], &target).unwrap();
    assert!(!is_noted(&source));
    let after = name(&only(&target));
    move_to(&target, &uids(&target), &source).unwrap();
    let messages = [(base(before.as_bytes()), base(after.as_bytes()))];
    fs::write(source.directory.join(FILE), noted(".b", &messages)).unwrap();
    let (source, target) = reopened(root.path());
    assert_eq!(texts(&source), ["text"]);
    assert_eq!(files(&target), 0);
}

/// What somebody may put in the place of a note, given what it was and the link's directory.
type Hostile = fn(&Path, &[u8]);

#[test]
fn s36_what_is_no_note_of_ours_does_nothing() {
    let ways: [(&str, Hostile); 7] = [
        ("a link", |path, bytes| {
            let elsewhere = path.with_file_name("elsewhere");
            fs::write(&elsewhere, bytes).unwrap();
            symlink(elsewhere, path).unwrap();
        }),
        ("a FIFO", |path, _| {
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .unwrap();
        }),
        ("a directory", |path, _| fs::create_dir(path).unwrap()),
        ("half of it", |path, bytes| {
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("nothing", |path, _| fs::write(path, b"").unwrap()),
        ("an octet changed", |path, bytes| {
            let mut bytes = bytes.to_vec();
            bytes[HEADER.len() + 2] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("too much", |path, bytes| {
            fs::write(path, bytes).unwrap();
            let file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.set_len(1 << 40).unwrap();
        }),
    ];
    for (what, way) in ways {
        let root = tempfile::tempdir().unwrap();
        cut_off(&account(root.path()), "a", "b");
        let note = root.path().join(".a").join(FILE);
        let bytes = fs::read(&note).unwrap();
        fs::remove_file(&note).unwrap();
        way(&note, &bytes);
        let (source, target) = reopened(root.path());
        assert_eq!(texts(&source), ["text"], "{what}");
        assert_eq!(texts(&target), ["text"], "{what}");
    }
}

#[test]
fn s36_a_target_behind_a_link_is_not_believed() {
    for part in [".b", ".b/cur"] {
        let root = tempfile::tempdir().unwrap();
        cut_off(&account(root.path()), "a", "b");
        let (real, apparent) = (root.path().join("elsewhere"), root.path().join(part));
        fs::rename(&apparent, &real).unwrap();
        symlink(&real, &apparent).unwrap();
        let after = account(root.path());
        assert_eq!(texts(&open(&after, "a")), ["text"], "{part}");
    }
}

#[test]
fn s34_only_mailboxes_and_messages_are_named() {
    let namespace = Namespace::default();
    let reads = |target: &str, messages: &[(&[u8], &[u8])]| {
        Move::read(&noted(target, messages), &namespace).is_some()
    };
    assert!(reads("", &[(b"1.a", b"2.b"), (b"1.\xff\n", b"3.b")]));
    assert!(reads(".b.c", &[]));
    for target in [
        "..", ".", "b", "/", ".b/cur", "../u2", ".../x", "/etc", "..b",
    ] {
        assert!(!reads(target, &[(b"1.a", b"2.b")]), "{target}");
    }
    for base in [&b""[..], b".", b"..", b".a", b"a/b", b"../a", b"a:2,S"] {
        assert!(!reads(".b", &[(base, b"2.b")]), "{base:?}");
        assert!(!reads(".b", &[(b"1.a", base)]), "{base:?}");
    }
    // Two links in one mailbox that name each other.
    assert!(!reads(".b", &[(b"1.a", b"1.a")]));
    assert!(!reads(".b", &[(b"1.a", b"2.b"), (b"2.b", b"1.a")]));
}

#[test]
fn a_note_has_an_end() {
    let mut note = Note::to(b".b");
    for number in 0..100_000 {
        note.add(
            format!("{number}.source").as_bytes(),
            format!("{number}.copy").as_bytes(),
        );
    }
    let bytes = note.finish();
    assert!((MOST_OCTETS..MOST_OCTETS + 1024).contains(&bytes.len()));
    let read = Move::read(&bytes, &Namespace::default()).unwrap();
    assert_eq!(read.messages[&b"7.source"[..]], b"7.copy");
}

#[test]
fn a_move_that_cannot_be_noted_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let precious = root.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    source
        .transact(|_| {
            fs::hard_link(&precious, source.directory.join(FILE)).unwrap();
            assert!(Written::write(&source, &target, &[]).is_none());
            Ok(())
        })
        .unwrap();
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    // Nobody has written it as a note, so it goes.
    let uid = append(&source, "text");
    assert!(!is_noted(&source));
    move_to(&source, &[uid], &target).unwrap();
    assert_eq!((files(&source), files(&target)), (0, 1));
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn nothing_is_noted_of_bytes_that_are_copied() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let mut staged = target.stage().unwrap();
    staged.write_all(b"text").unwrap();
    let incoming = super::Incoming {
        name: staged.name(),
        size: None,
        date: None,
        flags: change(&[], &[]),
        file: super::Arriving::Staged(staged),
    };
    assert!(Written::write(&source, &target, &[incoming]).is_none());
    assert!(!is_noted(&source));
}
