//! What moves leave behind, alone and against each other.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Waker;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use crate::account::Account;
use crate::error::Error;
use crate::flag::{FlagChange, FlagOp, FlagSet, Keyword, SystemFlag};
use crate::id::Uid;
use crate::mailbox::{Appending, Mailbox};
use crate::name::{MailboxName, Namespace};
use crate::source::Source;
use crate::store::{Fsync, Options, Store};

pub(in crate::mailbox::transfer) fn account(root: &Path) -> Account {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let random = || SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let options = Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(60),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000), random),
    };
    Store::new(options).account(root).unwrap()
}

pub(in crate::mailbox::transfer) fn open(account: &Account, name: &str) -> Arc<Mailbox> {
    let name: MailboxName = account.namespace().parse(name.as_bytes()).unwrap();
    match account.create(&name) {
        Ok(()) | Err(Error::Exists) => {}
        Err(error) => panic!("{error}"),
    }
    account.open(&name).unwrap()
}

pub(in crate::mailbox::transfer) fn change(system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
    let system = system.iter();
    FlagChange {
        op: FlagOp::Replace,
        system: system.fold(FlagSet::EMPTY, |set, flag| set.with(*flag)),
        keywords: keywords
            .iter()
            .map(|it| Keyword::new(it).unwrap())
            .collect(),
    }
}

pub(in crate::mailbox::transfer) fn append(mailbox: &Mailbox, text: &str) -> Uid {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(text.as_bytes()).unwrap();
    let appended = mailbox.append(vec![Appending {
        staged,
        flags: change(&[SystemFlag::Seen], &["$Work"]),
        internal_date: Some(UNIX_EPOCH + Duration::from_secs(1_234_567_890)),
    }]);
    appended.unwrap().uids[0]
}

pub(in crate::mailbox::transfer) fn uids(mailbox: &Mailbox) -> Vec<Uid> {
    let snapshot = mailbox.refresh().unwrap();
    snapshot.iter().map(|message| message.uid()).collect()
}

pub(in crate::mailbox::transfer) fn texts(mailbox: &Mailbox) -> Vec<String> {
    let snapshot = mailbox.refresh().unwrap();
    let text = |message| {
        let bytes = mailbox.read(message).unwrap().read_crlf().unwrap();
        String::from_utf8(bytes).unwrap()
    };
    snapshot.iter().map(text).collect()
}

/// The files of a mailbox, also those in `tmp/`.
pub(in crate::mailbox::transfer) fn files(mailbox: &Mailbox) -> usize {
    let parts = ["cur", "new", "tmp"].into_iter();
    let count = |part| {
        fs::read_dir(mailbox.directory.join(part))
            .into_iter()
            .flatten()
            .count()
    };
    parts.map(count).sum()
}

pub(in crate::mailbox::transfer) fn move_to(
    source: &Arc<Mailbox>,
    uids: &[Uid],
    target: &Arc<Mailbox>,
) -> Result<usize, Error> {
    let mut moving = source.begin_move(target);
    moving.add(uids)?;
    Ok(moving.finish()?.uids.len())
}

#[test]
fn a_move_takes_everything_along_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    for (from, to) in [("a", "b"), ("z", "y")] {
        let (source, target) = (open(&account, from), open(&account, to));
        append(&target, "before");
        let moved = [append(&source, "one\n"), append(&source, "two\n")];
        let stays = append(&source, "three\n");
        let mut moving = source.begin_move(&target);
        moving.add(&moved[..1]).unwrap();
        moving.add(&moved[1..]).unwrap();
        // What happens in the meantime goes along too.
        let flags = change(&[SystemFlag::Flagged], &["$Other"]);
        source.store_flags(&moved[1..], &flags).unwrap();
        let copied = moving.finish().unwrap();

        let expected = moved
            .iter()
            .copied()
            .zip([2, 3].map(|it| Uid::new(it).unwrap()));
        assert_eq!(copied.uids, expected.collect::<Vec<_>>());
        assert_eq!(copied.uid_validity, target.snapshot().uid_validity());
        assert_eq!(uids(&source), [stays]);
        assert_eq!(texts(&target), ["before", "one\r\n", "two\r\n"]);
        assert_eq!((files(&source), files(&target)), (1, 3));
        let snapshot = target.snapshot();
        let named = |uid: u32| {
            let message = snapshot.by_uid(Uid::new(uid).unwrap()).unwrap();
            let keywords = message.flags().keywords();
            let names = keywords.filter_map(|it| snapshot.keywords().get(it));
            (
                message.flags().has(SystemFlag::Flagged),
                names.map(ToString::to_string).collect::<Vec<_>>(),
                message.internal_date(),
            )
        };
        let date = Some(1_234_567_890);
        assert_eq!(named(2), (false, vec!["$Work".to_owned()], date));
        assert_eq!(named(3), (true, vec!["$Other".to_owned()], date));
    }
}

#[test]
fn a_move_of_a_message_that_is_gone_moves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let both = [append(&source, "one"), append(&source, "two")];
    let mut moving = source.begin_move(&target);
    moving.add(&both).unwrap();
    source.expunge(&both[..1]).unwrap();
    assert!(matches!(moving.finish(), Err(Error::Expunged)));
    assert!(matches!(
        move_to(&source, &both, &target),
        Err(Error::Expunged)
    ));
    assert_eq!(uids(&source), both[1..]);
    assert!(uids(&target).is_empty());
    let mut moving = source.begin_move(&target);
    moving.add(&both[1..]).unwrap();
    drop(moving);
    assert_eq!((files(&source), files(&target)), (1, 0));
}

#[test]
fn a_move_within_a_mailbox_gives_new_uids() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let mailbox = open(&account, "a");
    let (one, two) = (append(&mailbox, "one"), append(&mailbox, "two"));
    assert_eq!(move_to(&mailbox, &[one], &mailbox).unwrap(), 1);
    assert_eq!(texts(&mailbox), ["two", "one"]);
    assert_eq!(uids(&mailbox), [two, Uid::new(3).unwrap()]);
    assert_eq!(files(&mailbox), 2);
}

#[test]
fn a_moved_message_can_be_read_by_those_who_were_not_told() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let uid = append(&source, "one");
    let (watch, old) = (source.watch(Waker::noop().clone()), source.snapshot());
    move_to(&source, &[uid], &target).unwrap();
    let message = old.by_uid(uid).unwrap();
    let bytes = source.read(message).unwrap().read_crlf().unwrap();
    assert_eq!(bytes, b"one");
    drop((watch, old));
    source.flush();
    assert_eq!(files(&source), 0);
}

#[test]
fn what_is_no_file_any_more_is_not_moved() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let uid = append(&source, "one");
    let mut moving = source.begin_move(&target);
    moving.add(&[uid]).unwrap();
    let cur = source.directory.join("cur");
    let entry = fs::read_dir(cur).unwrap().next().unwrap().unwrap();
    fs::remove_file(entry.path()).unwrap();
    fs::create_dir(entry.path()).unwrap();
    moving.finish().unwrap_err();
    assert!(uids(&target).is_empty());
    assert_eq!(files(&target), 0);
}

#[test]
fn many_messages_need_few_descriptors() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let all: Vec<Uid> = (0..50).map(|_| append(&source, "x")).collect();
    let mut moving = source.begin_move(&target);
    moving.add(&all).unwrap();
    let below = |path: std::path::PathBuf| path.starts_with(root.path());
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter(|it| fs::read_link(it.path()).is_ok_and(below));
    assert_eq!(open.count(), 0);
    moving.finish().unwrap();
}

#[test]
fn a_message_that_a_stranger_renames_is_moved_all_the_same() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let (source, target) = (open(&account, "a"), open(&account, "b"));
    let both = [append(&source, "one"), append(&source, "two")];
    let mut moving = source.begin_move(&target);
    moving.add(&both).unwrap();
    let cur = source.directory.join("cur");
    for entry in fs::read_dir(&cur).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        fs::rename(cur.join(&name), cur.join(format!("{name}T"))).unwrap();
    }
    assert_eq!(moving.finish().unwrap().uids.len(), 2);
    assert_eq!(texts(&target), ["one", "two"]);
    assert!(uids(&source).is_empty());
    let snapshot = target.snapshot();
    let deleted = snapshot
        .iter()
        .filter(|it| it.flags().has(SystemFlag::Deleted));
    assert_eq!(deleted.count(), 2);
}

/// Two moves of the same messages at once, from one process or from two.
#[test]
fn of_two_moves_at_once_one_wins() {
    let root = tempfile::tempdir().unwrap();
    let first = account(root.path());
    let second = account(root.path());
    for (round, other) in [&first, &second].repeat(10).into_iter().enumerate() {
        let source = open(&first, "m");
        append(&source, &format!("{round}"));
        let all = uids(&source);
        let targets = if round % 4 < 2 {
            ["a", "z"]
        } else {
            ["z", "a"]
        };
        let barrier = Barrier::new(2);
        let attempt = |account: &Account, target: &str| {
            let (source, target) = (open(account, "m"), open(account, target));
            assert_eq!(uids(&source), all);
            barrier.wait();
            move_to(&source, &all, &target)
        };
        let results = thread::scope(|scope| {
            let one = scope.spawn(|| attempt(&first, targets[0]));
            let two = scope.spawn(|| attempt(other, targets[1]));
            [one.join().unwrap(), two.join().unwrap()]
        });
        let won = results.iter().filter(|it| it.is_ok()).count();
        let lost = results
            .iter()
            .filter(|it| matches!(it, Err(Error::Expunged)));
        assert_eq!((won, lost.count()), (1, 1), "{results:?}");
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for name in ["m", "a", "z"] {
            for text in texts(&open(&first, name)) {
                *count.entry(text).or_default() += 1;
            }
        }
        assert_eq!(count.len(), round + 1);
        assert!(count.values().all(|copies| *copies == 1), "{count:?}");
    }
}

#[test]
fn moves_in_opposite_directions_do_not_wait_for_each_other() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let ends = [open(&account, "a"), open(&account, "b")];
    for mailbox in &ends {
        for text in 0..20 {
            append(mailbox, &text.to_string());
        }
    }
    let (from_a, from_b) = (uids(&ends[0]), uids(&ends[1]));
    thread::scope(|scope| {
        scope.spawn(|| {
            for uid in &from_a {
                move_to(&ends[0], &[*uid], &ends[1]).unwrap();
            }
        });
        scope.spawn(|| {
            for uid in &from_b {
                move_to(&ends[1], &[*uid], &ends[0]).unwrap();
            }
        });
    });
    for mailbox in &ends {
        assert_eq!(uids(mailbox).len(), 20);
        assert_eq!(uids(mailbox)[0].get(), 21);
        assert_eq!(files(mailbox), 20);
    }
}
