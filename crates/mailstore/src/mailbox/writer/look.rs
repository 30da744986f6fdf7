//! Looking at what others did, for one session on behalf of all.
//!
//! A client that asks is told of everything that happened before it asked, so its session looks
//! itself, or takes what came of a look that began after it was asked. A session that was woken
//! leaves the look to whoever is at work on the mailbox; who looks then looks again. So a thousand
//! sessions do not wait in a row for one mailbox, each with a thread.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::time::Duration;

use super::{Mailbox, Short, Writer};
use crate::error::{Error, Result};
use crate::index::{FileTime, Force, Index};
use crate::sync::{Observed, Scan};
use crate::watch::Outlook;

/// What looks of different sessions know of each other.
#[derive(Debug, Default)]
pub(in crate::mailbox) struct Looks {
    /// How many have begun; counted with the writer's mutex.
    begun: AtomicU64,
    /// A session has left its look to whoever has the writer's mutex.
    left: AtomicBool,
}

impl Looks {
    /// Leaves the look to whoever has the writer's mutex, if trying for it then fails.
    fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
        // Whoever lets go of the mutex after the trial sees this.
        fence(Ordering::SeqCst);
    }

    /// Whether a look was left. Only after letting go of the writer's mutex.
    fn are_left(&self) -> bool {
        fence(Ordering::SeqCst);
        self.left.load(Ordering::SeqCst)
    }

    /// Counts a look. Only with the writer's mutex: it sees everything that those have in mind
    /// who have left theirs.
    fn begin(&self) {
        self.left.store(false, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }
}

impl Mailbox {
    /// Looks at what others did, and publishes it. Waits for the lock only if there is something
    /// to write.
    pub(in crate::mailbox) fn look(&self) -> Result<()> {
        self.check()?;
        let before = self.looks.begun();
        let writer = self.writer();
        if writer.has_looked && self.looks.begun() != before {
            // All that had happened by then was seen by another's look, which is over.
            drop(writer);
            self.heed();
            return self.check();
        }
        self.look_for_all(writer)
    }

    /// The same for a session that was woken: if there is something to see, and nobody at work
    /// whom it can leave the look to.
    pub(in crate::mailbox) fn look_if_needed(&self) -> Result<()> {
        self.check()?;
        match self.notices.outlook() {
            Outlook::Look => {}
            Outlook::Later | Outlook::Nothing => return Ok(()),
        }
        self.looks.leave();
        match self.writer_if_free() {
            Some(writer) => self.look_for_all(writer),
            None => Ok(()),
        }
    }

    /// Looks, and again for those who have left it to us meanwhile.
    fn look_for_all<'a>(&'a self, mut writer: MutexGuard<'a, Writer>) -> Result<()> {
        loop {
            self.looks.begin();
            self.notices.begin_look();
            let result = self.look_with(&mut writer);
            writer.has_looked = result.is_ok();
            self.finish(writer, result)?;
            if !self.looks.are_left() {
                return Ok(());
            }
            match self.writer_if_free() {
                Some(next) => writer = next,
                // Left to that one.
                None => return Ok(()),
            }
        }
    }

    /// Has the sessions woken again that have left their looks to us, who do not look. Only after
    /// letting go of the writer's mutex.
    pub(super) fn pass_on(&self) {
        if self.looks.are_left() && self.looks.left.swap(false, Ordering::SeqCst) {
            self.watchers.wake();
        }
    }

    /// How many looks have begun.
    #[cfg(test)]
    pub(crate) fn looks_begun(&self) -> u64 {
        self.looks.begun()
    }

    /// How long until the next look if the last one was not enough: then times can be believed.
    pub(super) fn pause(&self) -> Duration {
        self.guard + PAUSE
    }

    /// As [`Self::look`], as if nothing could be written.
    #[cfg(test)]
    pub(in crate::mailbox) fn look_without_writing(&self) -> Result<()> {
        let mut writer = self.writer();
        let result = self.look_only(&mut writer);
        self.finish(writer, result)
    }

    fn look_with(&self, writer: &mut Writer) -> Result<()> {
        self.begin_notices();
        let opening = writer.index.is_none();
        match self.catch_up(writer) {
            Ok(()) => {}
            Err(Short::NeedsLock) => return self.look_locked(writer),
            Err(Short::Failed(error)) => return Err(error),
        }
        if self.is_stale(writer)? || opening && self.has_unfinished_move() {
            return self.look_locked(writer);
        }
        Ok(())
    }

    fn is_stale(&self, writer: &Writer) -> Result<bool> {
        let Some(index) = &writer.index else {
            return Ok(true);
        };
        let observed = match Observed::now(&self.directory) {
            Err(Error::NotFound) => return Err(self.vanish()),
            other => other?,
        };
        Ok(self.must_read(observed, &index.state.stamps))
    }

    /// Reads the directories under the lock. While another process has it, what is known stays;
    /// where nothing can be written, an index is made in memory if there is none.
    fn look_locked(&self, writer: &mut Writer) -> Result<()> {
        let looked = self.transact_with(writer, |transaction| {
            if transaction.is_stale() {
                transaction.scan()?;
            }
            Ok(())
        });
        match looked {
            Err(Error::Locked) if writer.index.is_some() => Ok(()),
            Err(Error::NoPermission { .. }) => self.look_only(writer),
            // A full disk hides new messages, but not those that have UIDs.
            Err(Error::NoSpace) if self.catch_up(writer).is_ok() => Ok(()),
            looked => looked,
        }
    }

    /// Makes do without writing. Messages without a UID are not shown if there is an index,
    /// because their UIDs would not last.
    fn look_only(&self, writer: &mut Writer) -> Result<()> {
        if writer
            .index
            .as_ref()
            .is_some_and(|index| !index.is_in_memory())
        {
            return Ok(());
        }
        if writer.index.is_none() {
            let loaded = match Index::load(&self.directory) {
                Ok(Some((index, _))) => Some(index),
                Ok(None) | Err(Error::Corrupt { .. }) => None,
                Err(error) => return Err(error),
            };
            if let Some(index) = loaded {
                writer.index = Some(index);
                return self.recognize(writer);
            }
            writer.index = Some(self.index_in_memory(writer.uid_validity)?);
            self.recognize(writer)?;
        }
        let Some(index) = &mut writer.index else {
            return Err(Error::NotFound);
        };
        let entries = self.read_directories(&Scan {
            directory: &self.directory,
            state: &index.state,
            environment: &self.environment,
            guard: self.guard,
            start: FileTime::from(self.environment.options.source.wall()),
            mod_seq: index.next_mod_seq()?,
        })?;
        index.append(&entries, Force::Never)
    }
}

/// More than the clocks of file systems are coarse.
const PAUSE: Duration = Duration::from_millis(250);
