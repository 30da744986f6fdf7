//! What the kernel has noticed of one mailbox, and what that means.
//!
//! # Telling our own changes from others'
//!
//! While a mailbox is watched, every change of a name in `new/` or `cur/` is noted twice: by the
//! transaction that makes it ([`Slot::note_own`](super::Slot::note_own)), and by the kernel. Both go into a [`Tally`]. A
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
//!
//! # No look is forgotten
//!
//! Sessions are woken once for what is new, and whoever looks may find that it cannot be settled
//! now: another process has the lock, files were on the move, a time is too young to be believed.
//! Then they are woken again after a while ([`Noticed::look_again`]), until the index is known to
//! agree. A session that is woken when there is nothing to see, or too soon, does not look at all
//! ([`Noticed::outlook`]).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::notices::{Shared, WatchNumber};
use crate::mailbox::Mailbox;

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
pub(super) struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    pub(super) fn add(&mut self, weight: u64) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(weight);
    }
}

/// The notices of one mailbox, from the time that it is watched to the time that it is not.
#[derive(Debug)]
pub(crate) struct Noticed {
    mailbox: Weak<Mailbox>,
    pub(super) shared: Arc<Shared>,
    /// There are notices that nobody has weighed.
    unseen: AtomicBool,
    state: Mutex<State>,
}

/// What is not to be had any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    /// Notices: there were too many.
    Notices,
    /// A directory: it is not where it was.
    Directory,
}

#[derive(Debug)]
pub(super) struct State {
    numbers: Vec<WatchNumber>,
    /// What our transactions have changed, and what the kernel says.
    pub(super) ours: Tally,
    kernels: Tally,
    pub(super) standing: Standing,
    /// The index was written to.
    pub(super) index: bool,
    /// The index was written to by another process, and nobody has read that yet.
    pub(super) behind: bool,
    pub(super) lost: Lost,
    /// When the look at the directories began that is under way.
    pub(super) scanning: Option<Instant>,
    /// Until when the sessions are not woken.
    rest: Option<Instant>,
    /// When the sessions will be woken if there is still something to see.
    deferred: Option<Instant>,
}

impl Noticed {
    pub(super) fn new(mailbox: Weak<Mailbox>, shared: Arc<Shared>) -> Arc<Self> {
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
                behind: false,
                lost: Lost::Nothing,
                scanning: None,
                rest: None,
                deferred: None,
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

    /// Whether there are notices that nobody has weighed.
    pub(super) fn is_unseen(&self) -> bool {
        self.unseen.load(Ordering::SeqCst)
    }

    /// There are notices to be weighed again.
    pub(super) fn set_unseen(&self) {
        self.unseen.store(true, Ordering::SeqCst);
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

    /// Wakes the sessions if nobody has looked meanwhile.
    pub(super) fn wake_if_changed(&self) {
        let mut state = self.state();
        state.deferred = None;
        let wanted = self.has_news(&state);
        drop(state);
        if wanted && let Some(mailbox) = self.mailbox.upgrade() {
            mailbox.watchers().wake();
        }
    }

    /// Whether a look might find something.
    fn has_news(&self, state: &State) -> bool {
        state.standing != Standing::Known
            || state.lost != Lost::Nothing
            || state.index
            || state.behind
            || self.is_unseen()
    }

    /// What a session that was woken has to do.
    pub(super) fn outlook(self: &Arc<Self>) -> Outlook {
        let mut state = self.state();
        if !self.has_news(&state) {
            return Outlook::Nothing;
        }
        let now = self.shared.now();
        match state.rest.zip(now) {
            Some((rest, now)) if rest > now => {
                self.defer(&mut state, rest);
                Outlook::Later
            }
            _ => Outlook::Look,
        }
    }

    /// Has the sessions woken at a given time if there is still something to see then.
    pub(super) fn defer(self: &Arc<Self>, state: &mut State, at: Instant) {
        if state.deferred.is_none_or(|deferred| at < deferred) {
            state.deferred = Some(at);
            self.shared.defer(self, at);
        }
    }

    /// A look or a change is over; whatever it has forced to the disk is part of it. Under a flood
    /// of changes, the next look for the sake of a notice comes no sooner than after as much time
    /// as this one took, so that at most half of the time goes into looking.
    pub(super) fn end_scan(&self) {
        let mut state = self.state();
        if let Some((began, now)) = state.scanning.take().zip(self.shared.now()) {
            let took = now.saturating_duration_since(began);
            state.rest = Some(now + took.min(REST_AT_MOST));
        }
    }

    /// Has the sessions woken for another look after `pause` if the last one could not make certain
    /// that the index agrees with the directories.
    pub(super) fn look_again(self: &Arc<Self>, pause: Duration) {
        let mut state = self.state();
        if state.standing == Standing::Known || state.deferred.is_some() {
            return;
        }
        if let Some(now) = self.shared.now() {
            self.defer(&mut state, now + pause);
        }
    }

    /// Whether the kernel would tell if there were anything to see, and there is nothing.
    pub(super) fn is_quiet(&self) -> bool {
        self.shared.is_open() && !self.has_news(&self.state())
    }

    /// Compares what the kernel has noticed with what we did. Only with the writer's mutex.
    pub(super) fn weigh(self: &Arc<Self>) -> News {
        self.shared.read(Some(self));
        self.unseen.store(false, Ordering::SeqCst);
        let mut state = self.state();
        let before = state.standing;
        let index = std::mem::take(&mut state.index);
        let lost = state.lost;
        if lost != Lost::Nothing {
            // What is known to have changed has changed all the same.
            state.forget(if before == Standing::Changed {
                Standing::Changed
            } else {
                Standing::Unsure
            });
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
            is_new: before != state.standing || lost != Lost::Nothing,
            index,
            rest: state.rest,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins new tallies.
    pub(super) fn forget(&mut self, standing: Standing) {
        self.ours = Tally::default();
        self.kernels = Tally::default();
        self.standing = standing;
    }
}

/// What the notices since the last time amount to.
pub(super) struct News {
    pub(super) standing: Standing,
    /// Whether the standing is another than before, or notices were lost.
    pub(super) is_new: bool,
    /// Whether the index was written to, by whomever.
    pub(super) index: bool,
    pub(super) rest: Option<Instant>,
}

/// What a session that was woken has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// Look at the disk.
    Look,
    /// Nothing yet: it will be woken again.
    Later,
    /// Nothing: what was published is all there is.
    Nothing,
}

/// The longest rest after a look at the directories.
const REST_AT_MOST: Duration = Duration::from_secs(2);
