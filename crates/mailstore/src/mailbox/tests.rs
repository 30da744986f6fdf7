//! What sessions, other programs and accidents do to a mailbox.

mod memory;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::flag::{FlagOp, FlagSet, Keyword, Keywords, SystemFlag};
use crate::id::ModSeq;
use crate::name::Namespace;
use crate::source::Source;
use crate::store::{Fsync, Store};

/// A Maildir in a temporary directory.
struct Maildir {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Maildir {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        for name in ["", "cur", "new", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        Self {
            _temporary: temporary,
            root,
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.root.join(from), self.root.join(to)).unwrap();
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Makes the directories look as if nothing had happened for long.
    fn age(&self) {
        for name in ["new", "cur"] {
            let directory = fs::File::open(self.root.join(name)).unwrap();
            directory
                .set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
                .unwrap();
        }
    }

    fn store(&self) -> Arc<Store> {
        Store::new(options(Fsync::Never))
    }

    fn open(&self) -> Arc<Mailbox> {
        self.open_in(&self.store())
    }

    fn open_in(&self, store: &Arc<Store>) -> Arc<Mailbox> {
        store
            .open_mailbox(&self.root, &self.root, MailboxName::inbox())
            .unwrap()
    }
}

fn options(fsync: Fsync) -> Options {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let random = || SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    Options {
        fsync,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(10),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_750_000_000), random),
    }
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn uids(snapshot: &Snapshot) -> Vec<u32> {
    snapshot.iter().map(|message| message.uid().get()).collect()
}

fn change(op: FlagOp, system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
    FlagChange {
        op,
        system: system
            .iter()
            .fold(FlagSet::EMPTY, |set, flag| set.with(*flag)),
        keywords: keywords
            .iter()
            .map(|name| Keyword::new(name).unwrap())
            .collect(),
    }
}

fn text(mailbox: &Mailbox, snapshot: &Snapshot, value: u32) -> String {
    let message = snapshot.by_uid(uid(value)).unwrap();
    let bytes = mailbox.read(message).unwrap().read_crlf().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn append(mailbox: &Mailbox, text: &str, flags: &[SystemFlag]) -> u32 {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(text.as_bytes()).unwrap();
    let appended = mailbox.append(vec![Appending {
        staged,
        flags: change(FlagOp::Replace, flags, &[]),
        internal_date: None,
    }]);
    appended.unwrap().uids[0].get()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

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
fn flags_go_to_the_name_and_foreign_letters_stay() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,PS,U=7", "a");
    let mailbox = maildir.open();
    let add = change(FlagOp::Add, &[SystemFlag::Flagged], &["$Later"]);
    let snapshot = mailbox.store_flags(&[uid(1), uid(9)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FPSa,U=7"]);
    assert_eq!(
        fs::read_to_string(maildir.root.join("dovecot-keywords")).unwrap(),
        "0 $Later\n"
    );
    let message = snapshot.get(0).unwrap();
    assert!(message.flags().has_keyword(0));
    assert!(message.mod_seq() > ModSeq::MIN);
    let replace = change(FlagOp::Replace, &[SystemFlag::Draft], &[]);
    mailbox.store_flags(&[uid(1)], &replace).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,DP,U=7"]);
    let later = mailbox.snapshot();
    let again = mailbox.store_flags(&[uid(1)], &replace).unwrap();
    assert_eq!(again.highest_mod_seq(), later.highest_mod_seq());
}

#[test]
fn keywords_past_the_letters_live_in_the_index() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    let names: Vec<String> = (0..Keywords::MAX)
        .map(|number| format!("k{number}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[], &names))
        .unwrap();
    assert!(maildir.names("cur")[0].ends_with(":2,abcdefghijklmnopqrstuvwxyz"));
    let extra = change(FlagOp::Add, &[SystemFlag::Seen], &["k1", "more"]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &extra),
        Err(Error::Limit(_))
    ));
    drop(mailbox);
    let mailbox = maildir.open();
    let snapshot = mailbox.snapshot();
    let flags = snapshot.get(0).unwrap().flags();
    assert!(flags.has_keyword(58) && !flags.has(SystemFlag::Seen));
    let position = snapshot.keywords().position(&Keyword::new("K40").unwrap());
    assert_eq!(position, Some(40));
}

#[test]
fn a_letter_without_a_name_gets_one() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,c", "a");
    maildir.write("dovecot-keywords", "0 First\n");
    let snapshot = maildir.open().snapshot();
    assert_eq!(snapshot.keywords().get(0).unwrap().as_str(), "First");
    assert_eq!(snapshot.keywords().get(2).unwrap().as_str(), "unknown-2");
    assert!(snapshot.get(0).unwrap().flags().has_keyword(2));
}

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
fn flags_that_others_have_taken_away_are_set_again() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,S", "a");
    maildir.write("cur/2.host:2,S", "b");
    let mailbox = maildir.open();
    maildir.rename("cur/1.host:2,S", "cur/1.host:2,");
    fs::remove_file(maildir.root.join("cur/2.host:2,S")).unwrap();
    let add = change(FlagOp::Add, &[SystemFlag::Seen], &[]);
    let snapshot = mailbox.store_flags(&[uid(1), uid(2)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,S"]);
    assert_eq!(uids(&snapshot), [1]);
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

#[test]
fn a_deleted_mailbox_is_gone_for_all() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    fs::remove_dir_all(&maildir.root).unwrap();
    assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    assert!(matches!(mailbox.stage(), Err(Error::NotFound)));
    let add = change(FlagOp::Add, &[SystemFlag::Seen], &[]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &add),
        Err(Error::NotFound)
    ));
    let again = maildir
        .store()
        .open_mailbox(&maildir.root, &maildir.root, MailboxName::inbox());
    assert!(matches!(again, Err(Error::NotFound)));
}

#[test]
fn a_mailbox_made_anew_under_the_same_name_is_another() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    let options = options(Fsync::Never);
    let other = UidValidity::new(mailbox.snapshot().uid_validity().get() + 5).unwrap();
    initialize(&maildir.root, other, &options).unwrap();
    assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    let again = maildir.open_in(&store);
    assert_eq!(again.snapshot().uid_validity(), other);
    assert_eq!(again.snapshot().len(), 1);
}

#[test]
fn a_missing_directory_is_an_error_and_loses_nothing() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    for name in ["cur", "new"] {
        maildir.rename(name, "away");
        assert!(matches!(mailbox.refresh(), Err(Error::Corrupt { .. })));
        let opened = store.open_mailbox(&maildir.root, &maildir.root, MailboxName::inbox());
        assert!(matches!(opened, Err(Error::Corrupt { .. })));
        maildir.write(name, "a file instead");
        assert!(matches!(mailbox.refresh(), Err(Error::Corrupt { .. })));
        fs::remove_file(maildir.root.join(name)).unwrap();
        maildir.rename("away", name);
        assert_eq!(uids(&mailbox.refresh().unwrap()), [1]);
    }
    fs::remove_dir(maildir.root.join("tmp")).unwrap();
    assert_eq!(append(&mailbox, "b", &[]), 2);
}

#[test]
fn while_another_process_has_the_lock_mail_is_read() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mut impatient = options(Fsync::Never);
    impatient.lock_timeout = Duration::ZERO;
    let mailbox = maildir.open_in(&Store::new(impatient));
    let path = maildir.root.join("pillarbox.lock");
    let lock = crate::lock::FileLock::acquire(&path, Duration::ZERO).unwrap();
    maildir.write("new/2.host", "b");
    maildir.rename("cur/1.host:2,", "cur/1.host:2,S");
    let known = mailbox.refresh().unwrap();
    assert_eq!(uids(&known), [1]);
    assert_eq!(text(&mailbox, &known, 1), "a");
    let add = change(FlagOp::Add, &[SystemFlag::Flagged], &[]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &add),
        Err(Error::Locked)
    ));
    drop(lock);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1, 2]);
    mailbox.store_flags(&[uid(1)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FS"]);
}

#[test]
fn a_refused_change_of_flags_gives_the_names_back() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mailbox = maildir.open();
    let changed = mailbox.transact(|transaction| {
        let (from, to) = ("cur/1.host:2,", "cur/1.host:2,S");
        maildir.rename(from, to);
        let (from, to) = (maildir.root.join(from), maildir.root.join(to));
        transaction.renamed.push((from, to));
        transaction.undo_renames();
        Err::<(), _>(Error::NoSpace)
    });
    assert!(matches!(changed, Err(Error::NoSpace)));
    assert_eq!(maildir.names("cur"), ["1.host:2,"]);
    assert_eq!(text(&mailbox, &mailbox.refresh().unwrap(), 1), "a");
}

#[test]
fn a_panic_under_the_lock_does_not_wedge_the_mailbox() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mailbox.transact(|_| -> Result<()> { panic!("on purpose") })
    }));
    assert!(panicked.is_err());
    assert_eq!(append(&mailbox, "b", &[]), 2);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1, 2]);
}

#[test]
fn flags_in_flight_at_a_power_cut_are_touched_again() {
    let maildir = Maildir::new();
    let store = Store::new(options(Fsync::Optimized));
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    mailbox
        .store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]))
        .unwrap();
    let seen = mailbox.snapshot().highest_mod_seq();
    // What another boot of the machine would find.
    let lost = mailbox.transact(|transaction| {
        let mod_seq = transaction.index.state.reserve.mod_seq;
        assert!(mod_seq > seen.get());
        let entry = crate::index::Entry::Reserve { mod_seq, boot: 1 };
        transaction.index.append(&[entry], Force::Now)
    });
    lost.unwrap();
    let after = maildir.open().snapshot();
    assert!(after.get(0).unwrap().mod_seq() > seen);
    assert_eq!(after.uid_validity(), mailbox.snapshot().uid_validity());
    let touched = after.highest_mod_seq();
    assert_eq!(maildir.open().snapshot().highest_mod_seq(), touched);
}

#[test]
fn an_orderly_end_touches_nothing() {
    let maildir = Maildir::new();
    let store = Store::new(options(Fsync::Optimized));
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    let snapshot = mailbox.store_flags(&[uid(1)], &change(FlagOp::Add, &[SystemFlag::Seen], &[]));
    let highest = snapshot.unwrap().highest_mod_seq();
    drop((mailbox, store));
    let (index, _) = Index::load(&maildir.root).unwrap().unwrap();
    assert_eq!(index.state.reserve, crate::index::Reserve::default());
    assert_eq!(index.state.snapshot.highest_mod_seq(), highest);
}

#[test]
fn closed_mailboxes_stay_within_their_bytes() {
    let maildirs: Vec<Maildir> = (0..20).map(|_| Maildir::new()).collect();
    let mut options = options(Fsync::Never);
    options.cache_bytes = 4000;
    let store = Store::new(options);
    for maildir in &maildirs {
        let mailbox = maildir.open_in(&store);
        append(&mailbox, "a", &[]);
    }
    store.flush();
    let first = maildirs.first().unwrap();
    assert!(store.is_open(&maildirs.last().unwrap().root));
    assert!(!store.is_open(&first.root));
    let kept = first.open_in(&store);
    for maildir in &maildirs {
        maildir.open_in(&store);
    }
    assert!(Arc::ptr_eq(&kept, &first.open_in(&store)));
}

#[test]
fn initialize_makes_an_empty_mailbox() {
    let maildir = Maildir::new();
    let directory = maildir.root.join(".Sent");
    fs::create_dir(&directory).unwrap();
    let uid_validity = UidValidity::new(77).unwrap();
    initialize(&directory, uid_validity, &options(Fsync::Optimized)).unwrap();
    let name = Namespace::default().parse(b"Sent").unwrap();
    let mailbox = maildir
        .store()
        .open_mailbox(&maildir.root, &directory, name)
        .unwrap();
    assert_eq!(mailbox.snapshot().uid_validity(), uid_validity);
    assert_eq!(append(&mailbox, "a", &[]), 1);
}

#[test]
fn where_nothing_can_be_written_mail_can_still_be_read() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mailbox = maildir.open();
    drop(mailbox);
    maildir.write("cur/2.host:2,", "b");
    // Tests may run as root, whom no permission stops: so the fallback is called directly.
    let mailbox = open_without_writing(&maildir.root);
    let snapshot = mailbox.snapshot();
    assert_eq!(uids(&snapshot), [1]);
    assert_eq!(text(&mailbox, &snapshot, 1), "a");
    fs::remove_file(Index::path_in(&maildir.root)).unwrap();
    let fresh = open_without_writing(&maildir.root);
    assert_eq!(uids(&fresh.snapshot()), [1, 2]);
    assert!(!Index::path_in(&maildir.root).exists());
}

fn open_without_writing(root: &Path) -> Mailbox {
    let mailbox = Mailbox {
        name: MailboxName::inbox(),
        root: root.to_path_buf(),
        directory: root.to_path_buf(),
        environment: Arc::new(Environment::new(options(Fsync::Never))),
        published: RwLock::new(Arc::new(Snapshot::empty(UidValidity::MIN))),
        writer: Mutex::default(),
        looks: Looks::default(),
        learned: Mutex::default(),
        graveyard: Mutex::default(),
        watchers: Watchers::default(),
        notices: Slot::default(),
        reach: Reach::Local,
        guard: Duration::from_secs(1),
        gone: AtomicBool::new(false),
        cache: Cache::new(root),
        lasting: AtomicBool::new(false),
        left_in_new: AtomicBool::new(false),
        unseen: Mutex::default(),
    };
    mailbox.look_without_writing().unwrap();
    mailbox
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
