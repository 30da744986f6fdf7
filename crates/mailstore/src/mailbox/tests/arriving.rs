//! Messages that come: found, delivered, appended, copied, and who sees them as recent.

use super::*;

#[test]
fn files_that_were_there_get_uids_by_the_time_in_their_names() {
    let maildir = Maildir::new();
    maildir.write("cur/20.M1P1.host:2,S", "two\n");
    maildir.write("new/3.M9P1.host", "one\n");
    maildir.write("cur/20.M2P1.host:2,FR", "three\n");
    let mailbox = maildir.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(uids(&snapshot), [1, 2, 3]);
    assert_eq!(text(&mailbox, &snapshot, 1), "one\r\n");
    assert_eq!(text(&mailbox, &snapshot, 2), "two\r\n");
    let flags = snapshot.by_uid(uid(3)).unwrap().flags();
    assert!(flags.has(SystemFlag::Flagged) && flags.has(SystemFlag::Answered));
}

#[test]
fn uids_outlive_the_process() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("cur/2.host:2,", "b");
    let first = maildir.open();
    let old = first.expunge(&[uid(1)]).unwrap();
    drop(first);
    maildir.write("new/0.host", "c");
    let mailbox = maildir.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(snapshot.uid_validity(), old.uid_validity());
    assert_eq!(uids(&snapshot), [2, 3]);
    assert_eq!(text(&mailbox, &snapshot, 3), "c");
}

#[test]
fn a_file_that_comes_back_gets_a_new_uid() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mailbox = maildir.open();
    mailbox.expunge(&[uid(1)]).unwrap();
    maildir.write("cur/1.host:2,", "a");
    assert_eq!(uids(&mailbox.refresh().unwrap()), [2]);
}

#[test]
fn append_is_whole_and_named() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    assert_eq!(append(&mailbox, "a\nb\n", &[SystemFlag::Seen]), 1);
    let names = maildir.names("cur");
    assert!(names[0].ends_with(",S=4,W=6:2,S"), "{names:?}");
    assert!(maildir.names("tmp").is_empty());
    let snapshot = mailbox.snapshot();
    let message = snapshot.get(0).unwrap();
    assert_eq!(message.rfc822_size(), Some(6));
    assert_eq!(message.internal_date(), Some(1_750_000_000));
    assert_eq!(mailbox.internal_date(message).unwrap(), 1_750_000_000);
    assert_eq!(text(&mailbox, &snapshot, 1), "a\r\nb\r\n");
}

#[test]
fn what_is_not_delivered_leaves_nothing() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(b"half").unwrap();
    assert_eq!(maildir.names("tmp").len(), 1);
    drop(staged);
    assert!(maildir.names("tmp").is_empty());
    assert!(mailbox.refresh().unwrap().is_empty());
}

#[test]
fn delivery_goes_to_new_and_is_seen() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(b"hello\n").unwrap();
    mailbox.deliver(staged).unwrap();
    assert_eq!(maildir.names("new").len(), 1);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1]);
}

#[test]
fn an_append_that_fails_adds_nothing() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "kept", &[]);
    let staged = |name: &str| {
        let mut staged = mailbox.stage().unwrap();
        staged.write_all(name.as_bytes()).unwrap();
        Appending {
            staged,
            flags: change(FlagOp::Replace, &[], &[]),
            internal_date: None,
        }
    };
    let (first, second) = (staged("a"), staged("b"));
    // The second file is taken away, so its move fails when the first has been moved.
    let lost = maildir
        .names("tmp")
        .into_iter()
        .max_by_key(|name| fs::read_to_string(maildir.root.join("tmp").join(name)).unwrap());
    fs::remove_file(maildir.root.join("tmp").join(lost.unwrap())).unwrap();
    assert!(mailbox.append(vec![first, second]).is_err());
    assert_eq!(maildir.names("cur").len(), 1);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1]);
}

#[test]
fn copies_keep_flags_keywords_and_dates() {
    let maildir = Maildir::new();
    let other = Maildir::new();
    let store = maildir.store();
    let (source, target) = (maildir.open_in(&store), other.open_in(&store));
    append(&source, "first", &[]);
    append(&source, "x\ny", &[SystemFlag::Answered]);
    source
        .store_flags(&[uid(2)], &change(FlagOp::Add, &[], &["a", "b"]))
        .unwrap();
    append(&target, "before", &[]);
    target
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[], &["b"]))
        .unwrap();
    let copied = source.copy_to(&[uid(2)], &target).unwrap();
    assert_eq!(copied.uids, [(uid(2), uid(2))]);
    let snapshot = target.snapshot();
    assert_eq!(copied.uid_validity, snapshot.uid_validity());
    let message = snapshot.by_uid(uid(2)).unwrap();
    assert!(message.flags().has(SystemFlag::Answered));
    assert_eq!(message.flags().keywords().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(message.internal_date(), Some(1_750_000_000));
    assert_eq!(text(&target, &snapshot, 2), "x\r\ny");
    assert!(matches!(
        source.copy_to(&[uid(1), uid(5)], &target),
        Err(Error::Expunged)
    ));
    assert_eq!(target.refresh().unwrap().len(), 2);
    assert!(other.names("tmp").is_empty());
    let twice = source.copy_to(&[uid(1)], &source).unwrap();
    assert_eq!(twice.uids, [(uid(1), uid(3))]);
}

#[test]
fn moving_everything_leaves_nothing_behind() {
    let maildir = Maildir::new();
    let other = Maildir::new();
    let store = maildir.store();
    let (source, target) = (maildir.open_in(&store), other.open_in(&store));
    for text in ["a", "b", "c"] {
        append(&source, text, &[SystemFlag::Seen]);
    }
    source.move_all_to(&target).unwrap();
    assert!(source.snapshot().is_empty());
    assert_eq!(target.snapshot().len(), 3);
    assert_eq!(text(&target, &target.snapshot(), 3), "c");
}

#[test]
fn recent_is_claimed_once() {
    let maildir = Maildir::new();
    maildir.write("new/1.host", "a");
    maildir.write("new/2.host", "b");
    let (one, two) = (maildir.open(), maildir.open());
    assert_eq!(one.claim_recent().unwrap(), 1..3);
    assert_eq!(maildir.names("cur"), ["1.host:2,", "2.host:2,"]);
    assert!(two.claim_recent().unwrap().is_empty());
    assert!(one.claim_recent().unwrap().is_empty());
    maildir.write("new/3.host", "c");
    assert_eq!(two.claim_recent().unwrap(), 3..4);
    assert!(one.claim_recent().unwrap().is_empty());
    let snapshot = one.refresh().unwrap();
    assert_eq!(snapshot.first_recent(), uid(4));
    assert_eq!(text(&one, &snapshot, 3), "c");
}

#[test]
fn very_many_new_messages_are_claimed_at_once_and_moved_bit_by_bit() {
    let maildir = Maildir::new();
    for number in 1..=2500 {
        maildir.write(&format!("new/{number}.host"), "a");
    }
    // Its name has no room for more: it cannot be moved.
    maildir.write(&format!("new/9{}", "0".repeat(253)), "a");
    let mailbox = maildir.open();
    assert_eq!(mailbox.claim_recent().unwrap(), 1..2502);
    assert_eq!(maildir.names("cur").len(), 1024);
    let snapshot = mailbox.snapshot();
    assert_eq!(text(&mailbox, &snapshot, 2500), "a");
    mailbox.take_in_rest();
    assert_eq!(maildir.names("cur").len(), 2500);
    assert_eq!(maildir.names("new").len(), 1);
    // Who was not told of it finds the message all the same.
    assert_eq!(text(&mailbox, &snapshot, 2500), "a");
    assert_eq!(mailbox.snapshot().len(), 2501);
    assert!(mailbox.claim_recent().unwrap().is_empty());
    mailbox.take_in_rest();
    assert_eq!(maildir.names("new").len(), 1);
}

#[test]
fn what_comes_while_recent_is_claimed_is_claimed_next() {
    let maildir = Maildir::new();
    maildir.write("new/1.host", "a");
    maildir.write("new/2.host", "b");
    let mailbox = maildir.open();
    maildir.write("new/3.host", "c");
    fs::remove_file(maildir.root.join("new/2.host")).unwrap();
    assert_eq!(mailbox.claim_recent().unwrap(), 1..3);
    assert_eq!(maildir.names("cur"), ["1.host:2,"]);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1, 3]);
    assert_eq!(mailbox.claim_recent().unwrap(), 3..4);
    assert_eq!(maildir.names("cur"), ["1.host:2,", "3.host:2,"]);
    assert!(mailbox.claim_recent().unwrap().is_empty());
}

#[test]
fn internal_dates_are_those_of_the_files() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    let date = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(b"x").unwrap();
    let flags = change(FlagOp::Replace, &[], &[]);
    let message = Appending {
        staged,
        flags,
        internal_date: Some(date),
    };
    mailbox.append(vec![message]).unwrap();
    let path = maildir.root.join("cur").join(&maildir.names("cur")[0]);
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), date);
    let snapshot = mailbox.snapshot();
    assert_eq!(
        snapshot.get(0).unwrap().internal_date(),
        Some(1_234_567_890)
    );
}

#[test]
fn files_stay_in_tmp_for_36_hours() {
    let maildir = Maildir::new();
    maildir.write("tmp/being-delivered", "Subject: ");
    fs::create_dir(maildir.root.join("tmp/directory")).unwrap();
    let mailbox = maildir.open();
    // When something last happened to a file is what nobody can set.
    let old = fs::File::open(maildir.root.join("tmp/being-delivered")).unwrap();
    old.set_modified(UNIX_EPOCH).unwrap();
    let now = mailbox.file_system_time().seconds;
    mailbox.clean_tmp_at(|| now + 36 * 3600 - 60);
    assert_eq!(maildir.names("tmp"), ["being-delivered", "directory"]);
    mailbox.clean_tmp_at(|| now + 36 * 3600 + 60);
    assert_eq!(maildir.names("tmp"), ["directory"]);
}

#[test]
fn save_dates_are_those_of_arriving() {
    const NOW: i64 = 1_750_000_000;
    let (maildir, other) = (Maildir::new(), Maildir::new());
    let store = maildir.store();
    let (mailbox, target) = (maildir.open_in(&store), other.open_in(&store));
    append(&mailbox, "appended", &[]);
    maildir.write("new/1.host", "delivered");
    let came = |name: &str| {
        let metadata = fs::metadata(maildir.root.join(name)).unwrap();
        std::os::unix::fs::MetadataExt::ctime(&metadata)
    };
    let delivered = came("new/1.host");
    mailbox.refresh().unwrap();
    let saved = |mailbox: &Mailbox| -> Vec<Option<i64>> {
        let snapshot = mailbox.snapshot();
        snapshot.iter().map(|message| message.save_date()).collect()
    };
    assert_eq!(saved(&mailbox), [Some(NOW), Some(delivered)]);

    mailbox.copy_to(&[uid(2)], &target).unwrap();
    assert_eq!(saved(&target), [Some(NOW)]);
    let flagged = change(FlagOp::Add, &[SystemFlag::Flagged], &[]);
    mailbox.store_flags(&[uid(1), uid(2)], &flagged).unwrap();
    assert_eq!(saved(&mailbox), [Some(NOW), Some(delivered)]);

    // In the index they outlive the process, and a rename by somebody else.
    drop((mailbox, store));
    let name = &maildir.names("cur")[0];
    maildir.rename(&format!("cur/{name}"), "cur/1.host:2,RS");
    assert_eq!(saved(&maildir.open()), [Some(NOW), Some(delivered)]);
}

#[test]
fn without_an_index_save_dates_are_those_of_the_files() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("new/2.host", "b");
    fs::File::open(maildir.root.join("new/2.host"))
        .unwrap()
        .set_modified(UNIX_EPOCH)
        .unwrap();
    let came = |name: &str| {
        let metadata = fs::metadata(maildir.root.join(name)).unwrap();
        Some(std::os::unix::fs::MetadataExt::ctime(&metadata))
    };
    let expected = [came("cur/1.host:2,"), came("new/2.host")];
    let snapshot = maildir.open().snapshot();
    let saved: Vec<_> = snapshot.iter().map(|message| message.save_date()).collect();
    assert_eq!(saved, expected);
}

#[test]
fn copies_have_the_email_id_of_what_they_are_copied_from() {
    let (maildir, other) = (Maildir::new(), Maildir::new());
    let store = maildir.store();
    let (source, target) = (maildir.open_in(&store), other.open_in(&store));
    append(&source, "a", &[]);
    append(&source, "a", &[]);
    let ids = |mailbox: &Mailbox| -> Vec<EmailId> {
        let snapshot = mailbox.refresh().unwrap();
        snapshot.iter().map(|message| message.email_id()).collect()
    };
    let first = ids(&source);
    assert_ne!(first[0], first[1]);
    source
        .copy(&[uid(1), uid(2)], &target, FlagMask::ALL)
        .unwrap();
    assert_eq!(ids(&target), first);
    // Copies of copies, back where they came from, by both ways, and moved.
    target.copy(&[uid(2)], &source, FlagMask::ALL).unwrap();
    source.environment.distrust_files();
    target.copy(&[uid(1)], &source, FlagMask::ALL).unwrap();
    let mut moving = source.begin_move(&target);
    moving.add(&[uid(1)]).unwrap();
    moving.finish().unwrap();
    assert_eq!(ids(&source), [first[1], first[1], first[0]]);
    assert_eq!(ids(&target), [first[0], first[1], first[0]]);
    // New flags and a new start change nothing, nor does the loss of the index.
    let flagged = change(FlagOp::Add, &[SystemFlag::Flagged], &["x"]);
    target
        .store_flags(&[uid(1), uid(2), uid(3)], &flagged)
        .unwrap();
    drop((source, target, store));
    assert_eq!(ids(&other.open()), [first[0], first[1], first[0]]);
    fs::remove_file(other.root.join("pillarbox.index")).unwrap();
    let mut found = ids(&other.open());
    found.sort_unstable();
    let mut expected = vec![first[0], first[1], first[0]];
    expected.sort_unstable();
    assert_eq!(found, expected);
}
