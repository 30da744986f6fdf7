//! Watching a mailbox that is not selected.
//!
//! An observer is woken as whoever has the mailbox selected, but keeps no bytes of expunged
//! messages. It costs the mailbox one waker and the session two words and a count.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use super::WatchId;
use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::snapshot::Snapshot;

/// A session's interest in a mailbox that it has not selected; ends when dropped.
pub struct Observation {
    mailbox: Arc<Mailbox>,
    id: WatchId,
    /// How often the mailbox's wakers had been called when it was last looked at.
    seen: u64,
}

impl Observation {
    pub(crate) fn begin(mailbox: Arc<Mailbox>, waker: Waker) -> Result<(Self, Arc<Snapshot>)> {
        let id = mailbox.watchers().add_observer(waker);
        let mut observation = Self {
            mailbox,
            id,
            seen: 0,
        };
        let mailbox = &observation.mailbox;
        mailbox.notices().want(mailbox);
        observation.seen = mailbox.watchers().calls();
        // The kernel watches from this look on.
        let snapshot = mailbox.refresh()?;
        Ok((observation, snapshot))
    }

    /// The mailbox.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Has [`news`](Self::news) give a snapshot also if the waker is not called any more.
    pub fn doubt(&mut self) {
        self.seen = self.seen.wrapping_sub(1);
    }

    /// The newest snapshot if the waker was called for this mailbox since this was last asked.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the mailbox has been deleted, renamed or
    /// made anew.
    pub fn news(&mut self) -> Result<Option<Arc<Snapshot>>> {
        let calls = self.mailbox.watchers().calls();
        if std::mem::replace(&mut self.seen, calls) == calls {
            return Ok(None);
        }
        self.mailbox.refresh_woken().map(Some)
    }
}

impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observation({})", self.mailbox.name())
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.mailbox.watchers().remove_observer(self.id);
    }
}
