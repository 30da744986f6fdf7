//! Telling sessions that a mailbox has changed.
//!
//! Wakers are called when there is something to look at, never while a lock of the mailbox is held:
//! after a new snapshot has been published, and when the kernel tells of a change by somebody else.
//! Who is woken calls [`Mailbox::refresh_woken`]; the first to do so does the work, and the others
//! leave it to him.
//!
//! # Changes by others
//!
//! With [`Store::notices`](crate::Store::notices), the kernel watches `new/`, `cur/` and the
//! mailbox's directory (for its index) from the first [`Mailbox::refresh`] after a session began
//! to watch until some time after no session does (`inotify`, `notices`). What it tells is compared
//! with what we did ourselves (`noticed`, `slot`); only what differs wakes anybody. The first notice
//! is read at once, and all that came with it; then each mailbox is seen to once. What comes in the
//! next milliseconds is read together.
//!
//! [`Store::poll`](crate::Store::poll) does for all others: on network file systems, where the
//! kernel has no more room for watches, on systems without notices, and while notices say nothing
//! for certain.
//!
//! A session that waits also looks at each keepalive, so that even a directory high above the
//! mailbox can be renamed.
//!
//! # Sessions that watch much
//!
//! A session may observe mailboxes that it has not selected (`observe`), and the account as a whole
//! (`account`): which mailboxes there are, and what is subscribed. All observers of one thing share
//! what the kernel watches for it.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod absent;
mod account;
mod hanging;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod inotify;
mod noticed;
mod notices;
mod observe;
mod roots;
mod slot;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::error::Result;
use crate::id::Uid;
use crate::mailbox::{Appended, Appending, Mailbox, Moving};
use crate::snapshot::Snapshot;

pub(crate) use account::Roster;
pub use account::{AccountChange, AccountWatch};
pub(crate) use noticed::{Outlook, Standing};
pub use notices::Notices;
pub(crate) use notices::{Change, Shared, warn_of_limit};
pub use observe::Observation;
pub(crate) use slot::Slot;

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
    pub(crate) fn new(mailbox: Arc<Mailbox>, waker: Option<Waker>) -> Self {
        let wants_notices = waker.is_some();
        let id = mailbox.watchers().add(waker);
        if wants_notices {
            mailbox.notices().want(&mailbox);
        }
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

    /// Puts a message, staged in `target`, in the place of one in the mailbox that is watched
    /// (RFC 8508 §3.4). The two mailboxes may be the same. Durable when this returns.
    ///
    /// # Errors
    /// [`Error::Expunged`](crate::Error::Expunged) if the old one is gone; or as for
    /// [`Mailbox::append`] and [`expunge`](Self::expunge). The old message is still there then, or
    /// the new one is.
    pub fn replace(&self, old: Uid, target: &Mailbox, new: Appending) -> Result<Appended> {
        self.mailbox.replace(Some(self.id), old, target, new)
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
pub(crate) struct Watchers {
    wakers: Mutex<Wakers>,
    /// How often they were called.
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    wakers: Vec<(WatchId, Option<Waker>)>,
    /// Those of sessions that have another mailbox selected, or none.
    observers: Vec<(WatchId, Waker)>,
}

impl Watchers {
    /// Whether nobody has a use for the bytes of expunged messages.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().wakers.is_empty()
    }

    /// Whether anybody watches who can be woken.
    pub(crate) fn any_to_wake(&self) -> bool {
        let inner = self.lock();
        let mut wakers = inner.wakers.iter();
        !inner.observers.is_empty() || wakers.any(|(_, waker)| waker.is_some())
    }

    /// Whether anybody but one watches.
    pub(crate) fn has_others(&self, but: Option<WatchId>) -> bool {
        let wakers = &self.lock().wakers;
        wakers.iter().any(|(id, _)| Some(*id) != but)
    }

    /// Calls every waker.
    pub(crate) fn wake(&self) {
        // Counted first: whoever is woken finds it counted.
        self.calls.fetch_add(1, Ordering::SeqCst);
        let inner = self.lock();
        let wakers = inner.wakers.iter().filter_map(|(_, waker)| waker.as_ref());
        let observers = inner.observers.iter().map(|(_, waker)| waker);
        let wakers: Vec<Waker> = wakers.chain(observers).cloned().collect();
        drop(inner);
        for waker in wakers {
            waker.wake();
        }
    }

    /// How often the wakers were called.
    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn add(&self, waker: Option<Waker>) -> WatchId {
        let mut inner = self.lock();
        let id = inner.next_id();
        inner.wakers.push((id, waker));
        id
    }

    fn add_observer(&self, waker: Waker) -> WatchId {
        let mut inner = self.lock();
        let id = inner.next_id();
        inner.observers.push((id, waker));
        id
    }

    fn remove(&self, id: WatchId) {
        self.lock().wakers.retain(|(other, _)| *other != id);
    }

    fn remove_observer(&self, id: WatchId) {
        self.lock().observers.retain(|(other, _)| *other != id);
    }

    /// The list is whole even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wakers {
    fn next_id(&mut self) -> WatchId {
        let id = WatchId(self.next);
        self.next += 1;
        id
    }
}

#[cfg(test)]
mod tests;
