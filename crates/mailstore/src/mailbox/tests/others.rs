//! What other programs and other stores do on the same files.

use super::*;

#[test]
fn changes_of_other_programs_are_seen() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("cur/2.host:2,", "b");
    maildir.age();
    let mailbox = maildir.open();
    let before = mailbox.snapshot();
    maildir.rename("cur/1.host:2,", "cur/1.host:2,S");
    fs::remove_file(maildir.root.join("cur/2.host:2,")).unwrap();
    maildir.write("new/9.host", "c");
    let after = mailbox.refresh().unwrap();
    let difference = before.difference(&after);
    assert_eq!(difference.changed, [uid(1)]);
    assert_eq!(difference.expunged, [uid(2)]);
    assert_eq!(difference.added, [uid(3)]);
    let changed = after.by_uid(uid(1)).unwrap();
    assert!(changed.mod_seq() > before.by_uid(uid(1)).unwrap().mod_seq());
}

#[test]
fn files_renamed_behind_our_back_are_found() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("cur/2.host:2,", "b");
    let mailbox = maildir.open();
    let old = mailbox.snapshot();
    maildir.rename("cur/1.host:2,", "cur/1.host:2,F");
    assert_eq!(text(&mailbox, &old, 1), "a");
    maildir.rename("cur/1.host:2,F", "cur/1.host:2,FR");
    let add = change(FlagOp::Add, &[SystemFlag::Seen], &[]);
    mailbox.store_flags(&[uid(1), uid(2)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FRS", "2.host:2,S"]);
    maildir.rename("cur/2.host:2,S", "cur/2.host:2,ST");
    mailbox.expunge(&[uid(2)]).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FRS"]);
    maildir.rename("cur/1.host:2,FRS", "cur/1.host:2,");
    let copied = mailbox.copy_to(&[uid(1)], &mailbox).unwrap();
    assert_eq!(copied.uids, [(uid(1), uid(3))]);
    fs::remove_file(maildir.root.join("cur/1.host:2,")).unwrap();
    let message = old.by_uid(uid(1)).unwrap();
    assert!(matches!(mailbox.read(message), Err(Error::Expunged)));
}

#[test]
fn a_change_in_the_same_tick_as_the_look_is_not_missed() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    for number in 0..200 {
        maildir.write(&format!("new/{number}.host"), "x");
        assert_eq!(mailbox.refresh().unwrap().len(), number + 1);
    }
}

#[test]
fn a_change_in_the_same_tick_as_ours_is_seen_when_calm() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("cur/2.host:2,", "b");
    maildir.age();
    let mailbox = maildir.open();
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]))
        .unwrap();
    let cur = fs::File::open(maildir.root.join("cur")).unwrap();
    let ours = cur.metadata().unwrap().modified().unwrap();
    maildir.rename("cur/2.host:2,", "cur/2.host:2,F");
    cur.set_modified(ours).unwrap();
    let hidden = mailbox.refresh().unwrap();
    assert!(
        !hidden
            .by_uid(uid(2))
            .unwrap()
            .flags()
            .has(SystemFlag::Flagged)
    );
    // To this store, every moment is calm enough.
    let mut calm = options(Fsync::Never);
    calm.mtime_guard = Duration::ZERO;
    let seen = maildir.open_in(&Store::new(calm)).snapshot();
    assert!(
        seen.by_uid(uid(2))
            .unwrap()
            .flags()
            .has(SystemFlag::Flagged)
    );
}

#[test]
fn renames_in_the_middle_of_a_look_expunge_nothing() {
    let maildir = Maildir::new();
    let base = |number: u32| format!("{number}.M{number}P1Q{number}.a-long-host-name.example.org");
    for number in 0..1500 {
        maildir.write(&format!("cur/{}:2,", base(number)), "x");
    }
    let mailbox = maildir.open();
    let before = uids(&mailbox.snapshot());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let infos = ["", "S", "FS", "DFRS", "F"];
            for round in 0..usize::MAX {
                let (old, new) = (infos[round % 5], infos[(round + 1) % 5]);
                for number in 0..1500 {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let from = format!("cur/{}:2,{old}", base(number));
                    maildir.rename(&from, &format!("cur/{}:2,{new}", base(number)));
                }
            }
        });
        for _ in 0..20 {
            let snapshot = mailbox.refresh();
            let same = snapshot.is_ok_and(|snapshot| uids(&snapshot) == before);
            if !same {
                stop.store(true, Ordering::Relaxed);
            }
            assert!(same);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn our_own_changes_do_not_make_us_read_the_directories() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    maildir.write("cur/2.host:2,", "b");
    maildir.age();
    let mailbox = maildir.open();
    mailbox.refresh().unwrap();
    // A file that a look would find, hidden from the times.
    let cur = fs::File::open(maildir.root.join("cur")).unwrap();
    let before = cur.metadata().unwrap().modified().unwrap();
    maildir.write("cur/3.host:2,", "hidden");
    cur.set_modified(before).unwrap();
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]))
        .unwrap();
    assert_eq!(mailbox.refresh().unwrap().len(), 2);
    for system in [SystemFlag::Flagged, SystemFlag::Answered] {
        let highest = Some(mailbox.snapshot().highest_mod_seq());
        let flagged = change(FlagOp::Add, &[system], &[]);
        let stored = mailbox.store_flags_unchanged(&[uid(1)], &flagged, highest);
        assert_eq!(stored.unwrap().snapshot.len(), 2);
    }
    append(&mailbox, "c", &[]);
    assert_eq!(mailbox.refresh().unwrap().len(), 3);
    mailbox.expunge(&[uid(2)]).unwrap();
    assert_eq!(mailbox.refresh().unwrap().len(), 2);
}

#[test]
fn hostile_files_are_no_messages() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "good");
    maildir.write("cur/.hidden:2,", "no");
    fs::create_dir(maildir.root.join("cur/2.host:2,")).unwrap();
    symlink("/etc/passwd", maildir.root.join("cur/3.host:2,")).unwrap();
    let fifo = maildir.root.join("new/4.host");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let mailbox = maildir.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(uids(&snapshot), [1]);
    // A message that turns into something else spoils only itself.
    fs::remove_file(maildir.root.join("cur/1.host:2,")).unwrap();
    symlink("/etc/passwd", maildir.root.join("cur/1.host:2,")).unwrap();
    let read = mailbox.read(snapshot.get(0).unwrap());
    assert!(matches!(read, Err(Error::Corrupt { .. })));
    append(&mailbox, "still works", &[]);
}

#[test]
fn a_file_without_a_base_gets_one() {
    let maildir = Maildir::new();
    maildir.write("cur/:2,S", "nameless");
    let mailbox = maildir.open();
    let snapshot = mailbox.refresh().unwrap();
    assert_eq!(uids(&snapshot), [1]);
    assert_eq!(text(&mailbox, &snapshot, 1), "nameless");
}

#[test]
fn one_base_counts_once() {
    let maildir = Maildir::new();
    maildir.write("new/1.host", "a");
    fs::hard_link(
        maildir.root.join("new/1.host"),
        maildir.root.join("cur/1.host:2,S"),
    )
    .unwrap();
    maildir.write("cur/2.host:2,", "b");
    maildir.write("cur/2.host:2,S", "other");
    let snapshot = maildir.open().snapshot();
    assert_eq!(uids(&snapshot), [1, 2]);
    assert!(snapshot.get(0).unwrap().flags().has(SystemFlag::Seen));
}

#[test]
fn sizes_and_dates_are_learned_once() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a\nb");
    // What can be true is believed until the message is read; what cannot be is not.
    maildir.write("cur/2.host,S=3,W=6:2,", "a\nb");
    maildir.write("cur/3.host,S=7,W=6:2,", "a\nb");
    maildir.write("cur/4.host,S=3,W=7:2,", "a\nb");
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    let snapshot = mailbox.snapshot();
    let index = Index::path_in(&maildir.root);
    let before = fs::metadata(&index).unwrap().len();
    let size = |value| {
        mailbox
            .rfc822_size(snapshot.by_uid(uid(value)).unwrap())
            .unwrap()
    };
    assert_eq!(mailbox.known_sizes(&snapshot), [None; 4]);
    assert_eq!([size(1), size(2), size(4)], [4, 6, 4]);
    let known = mailbox.known_sizes(&snapshot);
    assert_eq!(known, [Some(4), Some(6), None, Some(4)]);
    assert_eq!(size(3), 4);
    mailbox.note_rfc822_size(uid(2), 4);
    assert_eq!(size(2), 4);
    assert_eq!(fs::metadata(&index).unwrap().len(), before);
    store.flush();
    assert!(fs::metadata(&index).unwrap().len() > before);
    drop((mailbox, store));
    let snapshot = maildir.open().snapshot();
    let known = snapshot.iter().map(|message| message.rfc822_size());
    assert_eq!(known.collect::<Vec<_>>(), [Some(4); 4]);
    assert!(snapshot.get(0).unwrap().internal_date().is_some());
}

#[test]
fn two_stores_on_one_tree_see_each_other() {
    let maildir = Maildir::new();
    let (one, two) = (maildir.open(), maildir.open());
    assert_eq!(append(&one, "a", &[]), 1);
    assert_eq!(append(&two, "b", &[]), 2);
    assert_eq!(uids(&one.refresh().unwrap()), [1, 2]);
    one.store_flags(
        &[uid(2)],
        &change(FlagOp::Add, &[SystemFlag::Seen], &["later"]),
    )
    .unwrap();
    let seen = two.refresh().unwrap();
    assert!(seen.by_uid(uid(2)).unwrap().flags().has(SystemFlag::Seen));
    assert_eq!(seen.keywords().get(0).unwrap().as_str(), "later");
    two.expunge(&[uid(1)]).unwrap();
    assert_eq!(uids(&one.refresh().unwrap()), [2]);
    for number in 0..600 {
        let op = if number % 2 == 0 {
            FlagOp::Add
        } else {
            FlagOp::Remove
        };
        one.store_flags(&[uid(2)], &change(op, &[SystemFlag::Draft], &[]))
            .unwrap();
    }
    assert_eq!(append(&two, "c", &[]), 3);
    assert_eq!(
        one.refresh().unwrap().highest_mod_seq(),
        two.snapshot().highest_mod_seq()
    );
}

#[test]
fn watchers_are_woken_by_changes_and_only_by_them() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    let count = Arc::new(Count::default());
    let watch = mailbox.watch(Waker::from(Arc::clone(&count)));
    let woken = || count.0.swap(0, Ordering::Relaxed);
    mailbox.refresh().unwrap();
    store.poll();
    assert_eq!(woken(), 0);
    append(&mailbox, "a", &[]);
    assert_eq!(woken(), 1);
    mailbox
        .rfc822_size(mailbox.snapshot().get(0).unwrap())
        .unwrap();
    store.flush();
    assert_eq!(woken(), 0);
    maildir.write("new/7.host", "b");
    store.poll();
    assert_eq!(woken(), 1);
    store.forget(&maildir.root);
    assert_eq!(woken(), 1);
    assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    drop(watch);
}
