//! Telling sessions that a mailbox has changed.
//!
//! Wakers are called after a new snapshot has been published, never while a lock of the mailbox is
//! held. Changes by this process are told at once; those of others are found by
//! [`Store::poll`](crate::Store::poll).
//!
//! This is the place for the kernel's change notices (inotify): while a mailbox is watched, an
//! event on its `new/`, `cur/` or `pillarbox.index` that does not match what was published calls
//! [`Mailbox::refresh`], and polling becomes the fallback.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::error::Result;
use crate::id::Uid;
use crate::mailbox::{Mailbox, Moving};
use crate::snapshot::Snapshot;

/// A session's interest in a mailbox; ends when dropped.
///
/// While it lives, the session's waker is called after every change by anybody else or by itself,
/// and the bytes of messages that others expunge stay readable for it.
pub struct Watch {
    mailbox: Arc<Mailbox>,
    id: WatchId,
}

/// Tells the watches of one mailbox apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchId(u64);

impl Watch {
    pub(crate) fn new(mailbox: Arc<Mailbox>, waker: Waker) -> Self {
        let id = mailbox.watchers().add(waker);
        Self { mailbox, id }
    }

    /// As [`Mailbox::expunge`], by the session that watches: it has no more use for the bytes of
    /// what it removes, so that they are only kept if somebody else watches too.
    ///
    /// # Errors
    /// As for [`Mailbox::expunge`].
    pub fn expunge(&self, uids: &[Uid]) -> Result<Arc<Snapshot>> {
        self.mailbox.expunge_by(Some(self.id), uids)
    }

    /// As [`Mailbox::begin_move`], by the session that watches the source, with no more use for
    /// the bytes in it.
    pub fn begin_move(&self, target: &Arc<Mailbox>) -> Moving {
        Moving::begin(&self.mailbox, target, Some(self.id))
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.mailbox.name())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.mailbox.watchers().remove(self.id);
        self.mailbox.sweep_graves();
    }
}

/// The wakers of one mailbox.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Mutex<Wakers>);

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    wakers: Vec<(WatchId, Waker)>,
}

impl Watchers {
    /// Whether nobody watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().wakers.is_empty()
    }

    /// Whether anybody but one watches.
    pub(crate) fn has_others(&self, but: Option<WatchId>) -> bool {
        let wakers = &self.lock().wakers;
        wakers.iter().any(|(id, _)| Some(*id) != but)
    }

    /// Calls every waker.
    pub(crate) fn wake(&self) {
        let wakers = self.lock().wakers.clone();
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    fn add(&self, waker: Waker) -> WatchId {
        let mut inner = self.lock();
        let id = WatchId(inner.next);
        inner.next += 1;
        inner.wakers.push((id, waker));
        id
    }

    fn remove(&self, id: WatchId) {
        self.lock().wakers.retain(|(other, _)| *other != id);
    }

    /// The list is whole even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
