//! What the kernel's notices mean to the writer.

use std::sync::atomic::{Ordering, fence};

use super::{Mailbox, Writer};
use crate::error::Result;
use crate::file_system::Reach;
#[cfg(test)]
use crate::id::Uid;
use crate::index::{Entry, FileTime, Index, Stamps};
use crate::sync::{Observed, Scan};
use crate::watch::Standing;

impl Mailbox {
    /// Has the kernel watch the directories if sessions want that.
    pub(super) fn begin_notices(&self) {
        if self.reach == Reach::Remote {
            return;
        }
        let notices = self.environment.notices();
        self.notices.begin(notices, &self.directory);
    }

    /// Whether the directories must be read, their times being `observed` now.
    pub(in crate::mailbox) fn must_read(&self, observed: Observed, stamps: &Stamps) -> bool {
        match self.notices.standing() {
            Standing::Changed => true,
            Standing::Known => !observed.matches(stamps),
            Standing::Unsure => {
                let now = || self.file_system_time();
                let stale = observed.is_stale(stamps, self.guard, now);
                if !stale && stamps.are_settled() {
                    self.notices.settle();
                }
                stale
            }
        }
    }

    /// Reads the directories and says what has to change in the index.
    ///
    /// # Errors
    /// If a directory cannot be read; then nothing is known.
    pub(in crate::mailbox) fn read_directories(&self, scan: &Scan<'_>) -> Result<Vec<Entry>> {
        let scanning = self.notices.begin_scan();
        let entries = scan.run()?;
        let noted = entries.iter().rev().find_map(|entry| {
            let Entry::Synced(stamps) = entry else {
                return None;
            };
            Some(*stamps)
        });
        let stamps = noted.unwrap_or(scan.state.stamps);
        scanning.succeeded(if stamps.new.mtime == FileTime::NEVER {
            Standing::Unsure
        } else {
            Standing::Known
        });
        Ok(entries)
    }

    /// Sees to what others have left to whoever had the writer's mutex.
    pub(crate) fn heed(&self) {
        self.weigh_notices();
        self.pass_on();
    }

    /// Looks whether notices that nobody has seen are of others' changes, and wakes the watchers
    /// then. While a thread has the writer's mutex, that is left to it: it calls this afterwards.
    pub(super) fn weigh_notices(&self) {
        // Whoever noted them without getting the mutex has done so before we let go of it.
        fence(Ordering::SeqCst);
        while self.notices.unseen() {
            let Some(writer) = self.writer_if_free() else {
                return;
            };
            let call = self.notices.weigh(|| writer.is_current());
            drop(writer);
            call.make(self);
            fence(Ordering::SeqCst);
        }
    }

    /// Removes messages, and does something else before the locks are released.
    #[cfg(test)]
    pub(crate) fn remove_while(&self, uids: &[Uid], also: impl FnOnce()) -> Result<()> {
        self.transact(|transaction| {
            transaction.remove(uids, None)?;
            also();
            Ok(())
        })
    }
}

impl Writer {
    /// What was read of the index.
    pub(super) fn position(&self) -> Option<Option<(u64, u64)>> {
        self.index.as_ref().map(Index::position)
    }

    /// Whether the index is as it was left.
    fn is_current(&self) -> bool {
        self.index.as_ref().is_some_and(Index::is_current)
    }
}
