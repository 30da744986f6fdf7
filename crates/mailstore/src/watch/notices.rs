//! Who is told of what the kernel notices.
//!
//! Any thread may read the kernel's queue: a session does it before it decides whether to read a
//! directory, so that everything which has happened by then counts. What is read for other
//! mailboxes is left to the thread in [`Notices::run`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use super::absent::Inotify;
use super::account::Roster;
#[cfg(any(target_os = "linux", target_os = "android"))]
use super::inotify::Inotify;
use super::noticed::Noticed;
use super::roots::Roots;
use crate::snapshot::Place;
use crate::source::Source;

/// Names one watched directory to the kernel.
pub(super) type WatchNumber = i32;

/// What a watched directory is to its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// `new/`
    New,
    /// `cur/`
    Cur,
    /// The directory that has them, and the index.
    Mailbox,
}

/// What the kernel has noticed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// A name is in a directory now that was not.
    Appeared(WatchNumber, &'a [u8]),
    /// A name is not in a directory any more.
    Vanished(WatchNumber, &'a [u8]),
    /// A file in a directory was written to.
    Written(WatchNumber, &'a [u8]),
    /// A directory was removed, renamed or unmounted.
    Lost(WatchNumber),
    /// Notices were thrown away, because there were too many.
    Overflow,
}

/// A change of a name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// It was not there before.
    Appeared,
    /// It is not there any more.
    Vanished,
}

/// The kernel's notices of a store's changes ([`Store::notices`](crate::Store::notices)), for the
/// one thread that waits for them.
#[derive(Clone, Debug)]
pub struct Notices(Arc<Shared>);

/// The notices that all mailboxes of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    kernel: Inotify,
    watched: Mutex<Watched>,
    pub(super) roots: Mutex<Roots>,
    todo: Mutex<Todo>,
    /// Nobody waits for notices any more.
    closed: AtomicBool,
    /// The log has been told that there are too many watches.
    warned: AtomicBool,
    hasher: RandomState,
    source: Source,
    /// How many directories can still be watched.
    #[cfg(test)]
    pub(super) room: std::sync::atomic::AtomicUsize,
}

/// Whose directories these are.
pub(super) type Watched = HashMap<WatchNumber, Vec<(Role, Arc<Noticed>)>>;

/// What is left to the thread.
#[derive(Debug, Default)]
struct Todo {
    /// Mailboxes with notices that nobody has looked at.
    touched: Vec<Arc<Noticed>>,
    /// Accounts whose sessions are to be woken.
    accounts: Vec<Arc<Roster>>,
    /// Mailboxes whose sessions are to be woken later.
    deferred: Vec<(Instant, Arc<Noticed>)>,
    /// The end.
    stopped: bool,
}

impl Notices {
    /// Opens them.
    ///
    /// # Errors
    /// If the system has none, or none left.
    pub(crate) fn open(source: &Source) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            kernel: Inotify::open()?,
            watched: Mutex::default(),
            roots: Mutex::default(),
            todo: Mutex::default(),
            closed: AtomicBool::new(false),
            warned: AtomicBool::new(false),
            hasher: RandomState::new(),
            source: source.clone(),
            #[cfg(test)]
            room: usize::MAX.into(),
        })))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    /// Waits for notices and wakes the watchers of mailboxes that others have changed, until
    /// [`stop`](Self::stop). Blocks; to be called by a thread of its own. Without it, or after it
    /// has ended, [`Store::poll`](crate::Store::poll) finds all changes.
    pub fn run(&self) {
        let shared = &self.0;
        // Also if it panics: then polling finds what nobody tells.
        let _closing = Closing(shared);
        let mut pace = Pace::Calm;
        loop {
            let todo = shared.todo();
            if todo.stopped {
                return;
            }
            let timeout = todo.next(shared.source.instant());
            drop(todo);
            let waited = match pace {
                Pace::Calm => shared.kernel.wait(timeout),
                Pace::Busy => shared.kernel.wait_for_bell(GATHERING),
            };
            if let Err(error) = waited {
                tracing::error!(%error, "no more change notices; polling");
                return;
            }
            pace = self.attend();
        }
    }

    /// Does what there is to do now.
    pub(super) fn attend(&self) -> Pace {
        let shared = &self.0;
        let pace = shared.read(None);
        let mut todo = shared.todo();
        let touched = std::mem::take(&mut todo.touched);
        let accounts = std::mem::take(&mut todo.accounts);
        let due = todo.due(shared.source.instant());
        drop(todo);
        for noticed in touched {
            noticed.heed();
        }
        for noticed in due {
            noticed.wake_if_changed();
        }
        for account in accounts {
            account.wake();
        }
        pace
    }

    /// Nobody will call [`run`](Self::run): polling finds all changes.
    pub fn give_up(&self) {
        drop(Closing(&self.0));
    }

    /// Has [`run`](Self::run) return, whenever it is called.
    pub fn stop(&self) {
        self.0.todo().stopped = true;
        self.0.kernel.ring();
    }
}

/// Whether there were notices to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// There were none: the next is read as soon as it comes.
    Calm,
    /// There were: those that come next are read together, or we would be woken for every name
    /// that our own transactions change.
    Busy,
}

struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::SeqCst);
    }
}

impl Todo {
    /// How long until sessions are to be woken.
    fn next(&self, now: Option<Instant>) -> Option<Duration> {
        let first = self.deferred.iter().map(|(at, _)| *at).min()?;
        let now = now.unwrap_or(first);
        // The kernel may wake a little early.
        Some(first.saturating_duration_since(now) + Duration::from_micros(50))
    }

    /// Takes out what is due.
    fn due(&mut self, now: Option<Instant>) -> Vec<Arc<Noticed>> {
        let is_due = |at: &Instant| now.is_none_or(|now| *at <= now);
        let due = self.deferred.extract_if(.., |(at, _)| is_due(at));
        due.map(|(_, noticed)| noticed).collect()
    }
}

impl Shared {
    /// Whether anybody waits for notices, or will.
    pub(super) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::SeqCst)
    }

    /// Watches the directories of a mailbox, or those that are there; none of them if one cannot be
    /// watched.
    ///
    /// # Errors
    /// If the mailbox is gone, or there are too many watches.
    pub(super) fn watch(&self, directory: &Path, noticed: &Arc<Noticed>) -> io::Result<()> {
        // Locked as long: nobody may let go of the same directory in between.
        let mut watched = self.watched();
        for (role, path) in [
            (Role::Mailbox, directory.to_path_buf()),
            (Role::New, directory.join(Place::New.directory())),
            (Role::Cur, directory.join(Place::Cur.directory())),
        ] {
            match self.watch_one(&path, role) {
                Ok(number) => {
                    noticed.add_number(number);
                    let all = watched.entry(number).or_default();
                    all.push((role, Arc::clone(noticed)));
                }
                // Then the directory that should have it tells what comes of it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && role != Role::Mailbox => {
                    noticed.lose();
                }
                Err(error) => {
                    self.release(&mut watched, noticed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(super) fn watch_one(&self, path: &Path, role: Role) -> io::Result<WatchNumber> {
        #[cfg(test)]
        {
            let one_less = |room: usize| room.checked_sub(1);
            let room = &self.room;
            if room
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_err()
            {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        self.kernel.watch(path, role)
    }

    /// Watches the directories of a mailbox no longer.
    pub(super) fn unwatch(&self, noticed: &Arc<Noticed>) {
        self.release(&mut self.watched(), noticed);
    }

    fn release(&self, watched: &mut Watched, noticed: &Arc<Noticed>) {
        for number in noticed.take_numbers() {
            if let Entry::Occupied(mut all) = watched.entry(number) {
                all.get_mut()
                    .retain(|(_, other)| !Arc::ptr_eq(other, noticed));
                if all.get().is_empty() {
                    all.remove();
                    if !self.is_root(number) {
                        self.forget(number);
                    }
                }
            }
        }
    }

    /// Has the kernel watch a directory no longer.
    pub(super) fn forget(&self, number: WatchNumber) {
        self.kernel.unwatch(number);
    }

    /// Says once that there are too many watches.
    pub(super) fn warn(&self, error: &io::Error) {
        if !self.warned.swap(true, Ordering::SeqCst) {
            warn_of_limit(error, "fs.inotify.max_user_watches");
        }
    }

    /// Takes in every notice that the kernel has. Those for others than `own` are left to the
    /// thread.
    pub(super) fn read(&self, own: Option<&Arc<Noticed>>) -> Pace {
        let (mut touched, mut accounts) = (Vec::new(), Vec::new());
        let mut pace = Pace::Calm;
        self.kernel.drain(|event| {
            pace = Pace::Busy;
            self.take(event, &mut touched);
            let concerned = self.concerned(event).into_iter();
            accounts.extend(concerned.filter(|account| account.note()));
        });
        if let Some(own) = own {
            touched.retain(|noticed| !Arc::ptr_eq(noticed, own));
        }
        if !touched.is_empty() || !accounts.is_empty() {
            let mut todo = self.todo();
            todo.touched.extend(touched);
            todo.accounts.extend(accounts);
            drop(todo);
            if own.is_some() {
                self.kernel.ring();
            }
        }
        pace
    }

    fn take(&self, event: Event<'_>, touched: &mut Vec<Arc<Noticed>>) {
        let watched = self.watched();
        let (number, change) = match event {
            Event::Overflow => {
                for (_, noticed) in watched.values().flatten() {
                    noticed.note_overflow(touched);
                }
                return;
            }
            Event::Lost(number) => {
                for (_, noticed) in watched.get(&number).into_iter().flatten() {
                    noticed.note_loss(touched);
                }
                return;
            }
            Event::Written(number, name) => (number, (None, name)),
            Event::Appeared(number, name) => (number, (Some(Change::Appeared), name)),
            Event::Vanished(number, name) => (number, (Some(Change::Vanished), name)),
        };
        let (change, name) = change;
        for (role, noticed) in watched.get(&number).into_iter().flatten() {
            match (role, change) {
                (Role::New, Some(change)) => {
                    noticed.note(self.weight(Place::New, name, change), touched);
                }
                (Role::Cur, Some(change)) => {
                    noticed.note(self.weight(Place::Cur, name, change), touched);
                }
                (Role::Mailbox, _) if name == crate::index::FILE.as_bytes() => {
                    noticed.note_index(touched);
                }
                (Role::Mailbox, Some(Change::Appeared)) if is_place(name) => {
                    noticed.note_loss(touched);
                }
                (Role::Mailbox, _) | (Role::New | Role::Cur, None) => {}
            }
        }
    }

    /// How many directories the kernel watches.
    #[cfg(test)]
    pub(super) fn watched_directories(&self) -> usize {
        self.watched().len()
    }

    /// A number that stands for a change; nobody outside can make two changes that have the same.
    pub(super) fn weight(&self, place: Place, name: &[u8], change: Change) -> u64 {
        self.hasher.hash_one((place == Place::Cur, change, name))
    }

    /// Has the sessions of a mailbox woken at a given time.
    pub(super) fn defer(&self, noticed: &Arc<Noticed>, until: Instant) {
        self.todo().deferred.push((until, Arc::clone(noticed)));
        self.kernel.ring();
    }

    /// The present, if there is a clock.
    pub(super) fn now(&self) -> Option<Instant> {
        self.source.instant()
    }

    pub(super) fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a directory of this name has messages.
fn is_place(name: &[u8]) -> bool {
    [Place::New, Place::Cur]
        .iter()
        .any(|place| place.directory().as_bytes() == name)
}

/// Tells the log that a limit of the system has been reached.
pub(crate) fn warn_of_limit(error: &io::Error, setting: &str) {
    tracing::warn!(
        %error,
        "out of change notices: mailboxes are polled; raise the sysctl {setting}"
    );
}

/// How long notices gather after others were read. Clients do not notice it.
const GATHERING: Duration = Duration::from_millis(2);
