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

use crate::mailbox::Mailbox;

/// A session's interest in a mailbox; ends when dropped.
///
/// While it lives, the session's waker is called after every change by anybody else or by itself,
/// and the bytes of messages that are expunged stay readable for it.
pub struct Watch {
    mailbox: Arc<Mailbox>,
    id: u64,
}

impl Watch {
    pub(crate) fn new(mailbox: Arc<Mailbox>, waker: Waker) -> Self {
        let id = mailbox.watchers().add(waker);
        Self { mailbox, id }
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
    wakers: Vec<(u64, Waker)>,
}

impl Watchers {
    /// Whether nobody watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().wakers.is_empty()
    }

    /// Calls every waker.
    pub(crate) fn wake(&self) {
        let wakers = self.lock().wakers.clone();
        for (_, waker) in wakers {
            waker.wake();
        }
    }

    fn add(&self, waker: Waker) -> u64 {
        let mut inner = self.lock();
        let id = inner.next;
        inner.next += 1;
        inner.wakers.push((id, waker));
        id
    }

    fn remove(&self, id: u64) {
        self.lock().wakers.retain(|(other, _)| *other != id);
    }

    /// The list is whole even if a thread panicked while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
