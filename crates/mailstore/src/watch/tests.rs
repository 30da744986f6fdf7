//! What the kernel tells, and what it means.
//!
//! Nothing here waits: the notices of a change are there when the change is done.

mod accounts;
mod directories;
mod observers;
mod waiting;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::*;
use crate::flag::{FlagChange, FlagOp, FlagSet, SystemFlag};
use crate::name::{MailboxName, Namespace};
use crate::source::Source;
use crate::store::{Fsync, Options, Store};
use crate::{Appending, Error};

/// Counts how often it is called.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A Maildir with a session that watches it, and a store with notices but without their thread.
struct World {
    temporary: tempfile::TempDir,
    store: Arc<Store>,
    notices: Notices,
    mailbox: Arc<Mailbox>,
    counter: Arc<Counter>,
    watch: Watch,
    /// The monotonic clock, in milliseconds.
    clock: Arc<AtomicU64>,
}

fn store(clock: &Arc<AtomicU64>) -> Arc<Store> {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let random = || SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    let clock = Arc::clone(clock);
    let start = the_present();
    // Every look at the clock takes 10 milliseconds.
    let instant = move || start + Duration::from_millis(clock.fetch_add(10, Ordering::SeqCst));
    let wall = || UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_millis(50),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(wall, random).with_clock(instant),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the clock of a test begins"
)]
fn the_present() -> Instant {
    Instant::now()
}

impl World {
    /// A mailbox with one message, long settled, watched by a session that has looked.
    fn new() -> Self {
        let world = Self::unseen();
        world.look();
        assert_eq!(world.mailbox.notices().standing(), Standing::Known);
        world
    }

    /// The same before the session has looked.
    fn unseen() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        for name in ["", "cur", "new", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        fs::write(root.join("cur/1.first.host:2,"), "Subject: 1\n\n").unwrap();
        age(&root);
        let clock = Arc::default();
        let store = store(&clock);
        let notices = store.notices().unwrap();
        let mailbox = open(&store, &root);
        let counter = Arc::<Counter>::default();
        let watch = mailbox.watch(Waker::from(Arc::clone(&counter)));
        Self {
            temporary,
            store,
            notices,
            mailbox,
            counter,
            watch,
            clock,
        }
    }

    fn root(&self) -> PathBuf {
        self.temporary.path().join("Maildir")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn look(&self) -> usize {
        self.mailbox.refresh().unwrap().len()
    }

    /// As a session that was woken.
    fn look_woken(&self) -> usize {
        self.mailbox.refresh_woken().unwrap().len()
    }

    /// Has the notices attended to, and says how often the session was woken since the last time.
    fn woken(&self) -> usize {
        self.notices.attend();
        self.counter.0.swap(0, Ordering::SeqCst)
    }

    /// How often the directories were read since the last time.
    fn scans(&self) -> usize {
        self.mailbox.notices().scans.swap(0, Ordering::SeqCst)
    }

    fn rest(&self) {
        self.clock.fetch_add(60_000, Ordering::SeqCst);
    }
}

fn open(store: &Arc<Store>, root: &Path) -> Arc<Mailbox> {
    store
        .open_mailbox(root, root, MailboxName::inbox())
        .unwrap()
}

/// Makes the directories look as if nothing had happened for long.
fn age(root: &Path) {
    for name in ["new", "cur"] {
        let directory = File::open(root.join(name)).unwrap();
        let long_ago = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        directory.set_modified(long_ago).unwrap();
    }
}

fn flags(op: FlagOp, flag: SystemFlag) -> FlagChange {
    FlagChange {
        op,
        system: FlagSet::EMPTY.with(flag),
        keywords: Vec::new(),
    }
}

fn append(mailbox: &Mailbox) {
    let staged = mailbox.stage().unwrap();
    let appending = Appending {
        staged,
        flags: flags(FlagOp::Replace, SystemFlag::Seen),
        internal_date: None,
    };
    mailbox.append(vec![appending]).unwrap();
}

fn uids(mailbox: &Mailbox) -> Vec<Uid> {
    let snapshot = mailbox.snapshot();
    snapshot.iter().map(|message| message.uid()).collect()
}

#[test]
fn a_delivery_wakes_the_session_once() {
    let world = World::new();
    assert_eq!(world.woken(), 0);
    fs::write(world.path("tmp/2.second.host"), "x\n").unwrap();
    assert_eq!(world.woken(), 0, "nobody looks at tmp/");
    fs::rename(
        world.path("tmp/2.second.host"),
        world.path("new/2.second.host"),
    )
    .unwrap();
    assert_eq!(world.woken(), 1);
    fs::write(world.path("new/3.third.host"), "x\n").unwrap();
    assert_eq!(world.woken(), 0, "it was told to look, and has not yet");
    assert_eq!(world.look(), 3);
    world.woken();
    assert_eq!((world.look(), world.woken()), (3, 0));
}

#[test]
fn what_others_do_in_cur_wakes_the_session() {
    let world = World::new();
    let (old, new) = (
        world.path("cur/1.first.host:2,"),
        world.path("cur/1.first.host:2,S"),
    );
    fs::rename(old, &new).unwrap();
    assert_eq!(world.woken(), 1);
    world.look();
    world.woken();
    fs::remove_file(new).unwrap();
    world.rest();
    assert_eq!(world.woken(), 1);
    assert_eq!(world.look(), 0);
}

/// A change in the very tick of a look, with the same time: it cannot be told by the time.
#[test]
fn a_change_that_leaves_the_time_as_it_was_is_found() {
    let world = World::new();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    age(&world.root());
    assert_eq!(
        world.look(),
        2,
        "without the thread: a look reads the notices"
    );
    append(&world.mailbox);
    let stamp = fs::metadata(world.path("cur")).unwrap().modified().unwrap();
    fs::write(world.path("cur/4.fourth.host:2,"), "x\n").unwrap();
    let directory = File::open(world.path("cur")).unwrap();
    directory.set_modified(stamp).unwrap();
    assert_eq!(world.look(), 4);
}

#[test]
fn our_own_changes_cost_no_look_and_wake_once() {
    let world = World::new();
    world.scans();
    let seen = flags(FlagOp::Add, SystemFlag::Seen);
    let unseen = flags(FlagOp::Remove, SystemFlag::Seen);
    for _ in 0..3 {
        world
            .mailbox
            .store_flags(&uids(&world.mailbox), &seen)
            .unwrap();
        world
            .mailbox
            .store_flags(&uids(&world.mailbox), &unseen)
            .unwrap();
        append(&world.mailbox);
    }
    assert_eq!(world.woken(), 9, "by what was published");
    for _ in 0..3 {
        world.look();
        world.store.poll();
        world.rest();
    }
    assert_eq!(world.woken(), 0);
    let two = uids(&world.mailbox).split_off(2);
    world.watch.expunge(&two).unwrap();
    world
        .mailbox
        .copy_to(&uids(&world.mailbox), &world.mailbox)
        .unwrap();
    assert_eq!(world.woken(), 2);
    assert_eq!(world.look(), 4);
    assert_eq!(world.scans(), 0);
    // Nor is the look missing that a stranger's change asks for.
    fs::write(world.path("cur/9.ninth.host:2,"), "x\n").unwrap();
    assert_eq!((world.woken(), world.look(), world.scans()), (1, 5, 1));
}

/// SELECT, and at once STORE: the times tell that nobody has changed anything before.
#[test]
fn a_change_before_the_first_look_costs_none_later() {
    let world = World::unseen();
    world.scans();
    let seen = flags(FlagOp::Add, SystemFlag::Seen);
    let uids = uids(&world.mailbox);
    world.mailbox.store_flags(&uids, &seen).unwrap();
    assert_eq!(world.mailbox.notices().standing(), Standing::Known);
    world.store.poll();
    assert_eq!((world.look(), world.scans()), (1, 0));
}

#[test]
fn what_is_claimed_as_recent_is_our_own() {
    let world = World::unseen();
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    world.look();
    world.woken();
    world.look();
    world.scans();
    world.mailbox.claim_recent().unwrap();
    assert_eq!(fs::read_dir(world.path("new")).unwrap().count(), 0);
    assert_eq!((world.woken(), world.look(), world.scans()), (1, 2, 0));
}

/// Expunged messages go to `tmp/` while another session watches, else they are removed.
#[test]
fn expunging_is_our_own_either_way() {
    let world = World::new();
    append(&world.mailbox);
    append(&world.mailbox);
    world.scans();
    world.watch.expunge(&uids(&world.mailbox)[..1]).unwrap();
    world.mailbox.expunge(&uids(&world.mailbox)[..1]).unwrap();
    world.woken();
    assert_eq!((world.look(), world.woken(), world.scans()), (1, 0, 0));
}

/// A name that appears while a transaction of ours is under way is not taken for ours.
#[test]
fn a_stranger_in_the_middle_of_our_change_is_found() {
    let world = World::new();
    append(&world.mailbox);
    world.woken();
    let first = uids(&world.mailbox).split_off(1);
    let stranger = || fs::write(world.path("cur/2.second.host:2,"), "x\n").unwrap();
    world.mailbox.remove_while(&first, stranger).unwrap();
    assert_eq!((world.woken(), world.look()), (2, 2));
}

#[test]
fn the_other_process_wakes_us_by_its_index() {
    let world = World::new();
    let other = store(&Arc::default());
    let theirs = open(&other, &world.root());
    world.scans();
    append(&theirs);
    assert_eq!(world.woken(), 1);
    assert_eq!(world.look(), 2);
    assert_eq!(world.scans(), 0, "all was in the index");
    world.woken();
    let keyword = FlagChange {
        op: FlagOp::Add,
        system: FlagSet::EMPTY,
        keywords: (0..27)
            .filter_map(|n| crate::Keyword::new(&format!("k{n}")))
            .collect(),
    };
    world.rest();
    theirs.store_flags(&uids(&theirs)[..1], &keyword).unwrap();
    assert_ne!(world.woken(), 0, "even without a change of a name");
    world.look();
    world.woken();
    // Where notices say nothing for certain, polling goes on.
    assert!(world.mailbox.needs_polling());
}

#[test]
fn where_the_kernel_watches_nobody_polls() {
    let world = World::new();
    assert!(!world.mailbox.needs_polling());
    fs::write(world.path("new/2.second.host"), "x\n").unwrap();
    world.notices.attend();
    assert!(world.mailbox.needs_polling(), "until somebody has looked");
    world.store.poll();
    assert_eq!(world.mailbox.snapshot().len(), 2);
    world.notices.attend();
    world.store.poll();
    assert!(!world.mailbox.needs_polling());
}
