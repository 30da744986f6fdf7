//! What the kernel has noticed of one mailbox, and what that means.
//!
//! # Telling our own changes from others'
//!
//! While a mailbox is watched, every change of a name in `new/` or `cur/` is noted twice: by the
//! transaction that makes it ([`Slot::note_own`]), and by the kernel. Both go into a [`Tally`]. A
//! transaction has the mutex of the writer, and the kernel notes a change before the call that
//! makes it returns. So whoever has the mutex, and then reads all notices, finds the tallies equal
//! if nobody else has changed anything. If they differ, the directories are read; what was done
//! without being noted costs a look too many, never one too few. The kernel may throw equal
//! notices together, which also costs a look and hides none.
//!
//! # What is known, and since when
//!
//! Notices tell of changes only. That the index agrees with the directories is known
//! ([`Standing::Known`]) after a look at them that began when they were watched already, or when
//! their times, asked after that, say that the last look still holds. From then on neither clocks
//! nor guards matter. Until then, after an overflow, and when another process has written to the
//! index, the times count as if nobody watched ([`Standing::Unsure`]); the times themselves are
//! always compared.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::notices::{Change, Shared, WatchNumber};
use crate::mailbox::Mailbox;
use crate::snapshot::Place;

/// What notices say of the directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The index agrees with them.
    Known,
    /// Somebody else has changed them.
    Changed,
    /// Nothing.
    Unsure,
}

/// A number of changes, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, weight: u64) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight);
    }
}

/// The notices of one mailbox, from the time that it is watched to the time that it is not.
#[derive(Debug)]
pub(crate) struct Noticed {
    mailbox: Weak<Mailbox>,
    shared: Arc<Shared>,
    /// There are notices that nobody has weighed.
    unseen: AtomicBool,
    state: Mutex<State>,
}

/// What is not to be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// Notices: there were too many.
    Notices,
    /// A directory: it is not where it was.
    Directory,
}

#[derive(Debug)]
struct State {
    numbers: Vec<WatchNumber>,
    /// What our transactions have changed, and what the kernel says.
    ours: Tally,
    kernels: Tally,
    standing: Standing,
    /// The index was written to.
    index: bool,
    lost: Lost,
    /// Until when the sessions are not woken.
    rest: Option<Instant>,
}

impl Noticed {
    fn new(mailbox: Weak<Mailbox>, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            shared,
            unseen: AtomicBool::new(false),
            state: Mutex::new(State {
                numbers: Vec::new(),
                ours: Tally::default(),
                kernels: Tally::default(),
                standing: Standing::Unsure,
                index: false,
                lost: Lost::Nothing,
                rest: None,
            }),
        })
    }

    /// Notes a change that the kernel tells of.
    pub(super) fn note(self: &Arc<Self>, weight: u64, touched: &mut Vec<Arc<Self>>) {
        self.state().kernels.add(weight);
        self.touch(touched);
    }

    /// Notes that the index was written to.
    pub(super) fn note_index(self: &Arc<Self>, touched: &mut Vec<Arc<Self>>) {
        self.state().index = true;
        self.touch(touched);
    }

    /// Notes that notices were lost.
    pub(super) fn note_overflow(self: &Arc<Self>, touched: &mut Vec<Arc<Self>>) {
        let mut state = self.state();
        if state.lost == Lost::Nothing {
            state.lost = Lost::Notices;
        }
        drop(state);
        self.touch(touched);
    }

    /// Notes that a directory is not where it was.
    pub(super) fn note_loss(self: &Arc<Self>, touched: &mut Vec<Arc<Self>>) {
        self.lose();
        self.touch(touched);
    }

    /// Has the next look begin anew with notices.
    pub(super) fn lose(&self) {
        self.state().lost = Lost::Directory;
    }

    fn touch(self: &Arc<Self>, touched: &mut Vec<Arc<Self>>) {
        if !self.unseen.swap(true, Ordering::SeqCst) {
            touched.push(Arc::clone(self));
        }
    }

    pub(super) fn add_number(&self, number: WatchNumber) {
        self.state().numbers.push(number);
    }

    pub(super) fn take_numbers(&self) -> Vec<WatchNumber> {
        std::mem::take(&mut self.state().numbers)
    }

    /// Lets the mailbox see what is unseen.
    pub(super) fn heed(&self) {
        if let Some(mailbox) = self.mailbox.upgrade() {
            mailbox.heed();
        }
    }

    /// Wakes the sessions if nobody has looked at the directories meanwhile.
    pub(super) fn wake_if_changed(&self) {
        if self.state().standing != Standing::Known
            && let Some(mailbox) = self.mailbox.upgrade()
        {
            mailbox.watchers().wake();
        }
    }

    /// Compares what the kernel has noticed with what we did. Only with the writer's mutex.
    fn weigh(self: &Arc<Self>) -> News {
        self.shared.read(Some(self));
        self.unseen.store(false, Ordering::SeqCst);
        let mut state = self.state();
        let before = state.standing;
        let index = std::mem::take(&mut state.index);
        if state.lost != Lost::Nothing {
            state.forget(Standing::Unsure);
            if state.lost == Lost::Notices {
                state.lost = Lost::Nothing;
            }
        } else if state.ours == state.kernels {
            state.forget(before);
        } else {
            state.forget(Standing::Changed);
        }
        News {
            standing: state.standing,
            is_new: before != state.standing || state.lost != Lost::Nothing,
            index,
            rest: state.rest,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins new tallies.
    fn forget(&mut self, standing: Standing) {
        self.ours = Tally::default();
        self.kernels = Tally::default();
        self.standing = standing;
    }
}

/// What the notices since the last time amount to.
struct News {
    standing: Standing,
    /// Whether the standing is another than before.
    is_new: bool,
    /// Whether the index was written to, by whomever.
    index: bool,
    rest: Option<Instant>,
}

/// A mailbox's place for notices; empty while nobody watches it, or the kernel does not.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    inner: Mutex<Inner>,
    /// How often the directories were read.
    #[cfg(test)]
    pub(crate) scans: std::sync::atomic::AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whose it is, while anybody wants notices.
    wanted: Option<Weak<Mailbox>>,
    noticed: Option<Arc<Noticed>>,
    /// The kernel has refused; not asked again until the next watch.
    refused: bool,
}

impl Slot {
    /// From now on somebody wants notices. The next look begins with them.
    pub(super) fn want(&self, mailbox: &Arc<Mailbox>) {
        let mut inner = self.inner();
        inner.wanted = Some(Arc::downgrade(mailbox));
    }

    /// Nobody wants notices any more, if `nobody` says so.
    pub(super) fn end(&self, nobody: impl FnOnce() -> bool) {
        let mut inner = self.inner();
        if nobody() {
            inner.wanted = None;
            inner.refused = false;
            inner.let_go();
        }
    }

    /// Has the kernel watch the directories, if that is wanted and not done yet. Only with the
    /// writer's mutex.
    pub(crate) fn begin(&self, shared: Option<&Arc<Shared>>, directory: &Path) {
        let Some(shared) = shared else {
            return;
        };
        let mut inner = self.inner();
        let lost =
            |noticed: &Arc<Noticed>| noticed.state().lost == Lost::Directory || !shared.is_open();
        if inner.noticed.as_ref().is_some_and(lost) {
            inner.let_go();
        }
        let Some(mailbox) = inner.wanted.clone() else {
            return;
        };
        if inner.noticed.is_some() || inner.refused || !shared.is_open() {
            return;
        }
        let noticed = Noticed::new(mailbox, Arc::clone(shared));
        match shared.watch(directory, &noticed) {
            Ok(()) => inner.noticed = Some(noticed),
            // The look itself will tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                inner.refused = true;
                shared.warn(&error);
            }
        }
    }

    /// What notices say of the directories now. Only with the writer's mutex.
    pub(crate) fn standing(&self) -> Standing {
        let noticed = self.noticed();
        noticed.map_or(Standing::Unsure, |noticed| {
            let news = noticed.weigh();
            if news.index {
                // Perhaps after the look that asks has read it: seen to when the look is over.
                noticed.state().index = true;
                noticed.unseen.store(true, Ordering::SeqCst);
            }
            news.standing
        })
    }

    /// Notes that the index agrees with the directories, by their times, asked while they were
    /// watched.
    pub(crate) fn settle(&self) {
        if let Some(noticed) = self.noticed() {
            let mut state = noticed.state();
            if state.standing == Standing::Unsure {
                state.standing = Standing::Known;
            }
        }
    }

    /// Notes that another process has written to the index: what the kernel has noticed may be
    /// in it.
    pub(crate) fn others_wrote(&self) {
        if let Some(noticed) = self.noticed() {
            noticed.shared.read(Some(&noticed));
            noticed.state().forget(Standing::Unsure);
        }
    }

    /// Notes a change of ours. Only in a transaction, when it has been done.
    pub(crate) fn note_own(&self, place: Place, name: &[u8], change: Change) {
        if let Some(noticed) = self.noticed() {
            let weight = noticed.shared.weight(place, name, change);
            noticed.state().ours.add(weight);
        }
    }

    /// A look at the directories begins. Only with the writer's mutex.
    pub(crate) fn begin_scan(&self) -> Scanning {
        #[cfg(test)]
        self.scans.fetch_add(1, Ordering::SeqCst);
        let noticed = self.noticed();
        let mut started = None;
        if let Some(noticed) = &noticed {
            noticed.shared.read(Some(noticed));
            // Until it has succeeded.
            noticed.state().forget(Standing::Changed);
            started = noticed.shared.now();
        }
        Scanning { noticed, started }
    }

    /// The notices, if nobody has weighed them.
    pub(crate) fn unseen(&self) -> bool {
        let inner = self.inner();
        let unseen = |noticed: &Arc<Noticed>| noticed.unseen.load(Ordering::SeqCst);
        inner.noticed.as_ref().is_some_and(unseen)
    }

    /// Weighs what was unseen. Only with the writer's mutex; `is_index_current` says whether the
    /// index is as it was left.
    pub(crate) fn weigh(&self, is_index_current: impl FnOnce() -> bool) -> Call {
        let Some(noticed) = self.noticed() else {
            return Call::Nobody;
        };
        let news = noticed.weigh();
        if news.index && !is_index_current() {
            return Call::Now;
        }
        if !news.is_new {
            return Call::Nobody;
        }
        let now = noticed.shared.now();
        match news.rest.zip(now) {
            Some((rest, now)) if rest > now => Call::Later(noticed, rest),
            _ => Call::Now,
        }
    }

    /// Whether the kernel would tell if there were anything to see, and there is nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        let inner = self.inner();
        inner.noticed.as_ref().is_some_and(|noticed| {
            let state = noticed.state();
            state.standing == Standing::Known
                && state.lost == Lost::Nothing
                && noticed.shared.is_open()
        })
    }

    fn noticed(&self) -> Option<Arc<Noticed>> {
        self.inner().noticed.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn let_go(&mut self) {
        if let Some(noticed) = self.noticed.take() {
            noticed.shared.unwatch(&noticed);
        }
    }
}

/// Whom to wake.
pub(crate) enum Call {
    /// There is nothing to see.
    Nobody,
    /// The watchers.
    Now,
    /// The watchers, later.
    Later(Arc<Noticed>, Instant),
}

impl Call {
    /// Wakes them.
    pub(crate) fn make(self, mailbox: &Mailbox) {
        match self {
            Self::Nobody => {}
            Self::Now => mailbox.watchers().wake(),
            Self::Later(noticed, at) => noticed.shared.defer(&noticed, at),
        }
    }
}

/// A look at the directories under way.
pub(crate) struct Scanning {
    noticed: Option<Arc<Noticed>>,
    started: Option<Instant>,
}

impl Scanning {
    /// It has succeeded, and notices are worth this from now on. Under a flood of changes, the next
    /// one for the sake of a notice comes no sooner than after as much time as this one took, so
    /// that at most half of the time goes into looking.
    pub(crate) fn succeeded(self, standing: Standing) {
        let Some(noticed) = self.noticed else {
            return;
        };
        let now = noticed.shared.now();
        let mut state = noticed.state();
        state.standing = standing;
        state.rest = self.started.zip(now).map(|(started, now)| {
            let took = now.saturating_duration_since(started);
            now + took.min(REST_AT_MOST)
        });
    }
}

/// The longest rest after a look at the directories.
const REST_AT_MOST: Duration = Duration::from_secs(2);
