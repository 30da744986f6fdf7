//! The one writer of a mailbox: locking, refreshing, committing, publishing.

mod look;
mod notice;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};

use rustix::fs::OFlags;

use super::Mailbox;
use super::takeover::Lists;
use super::transaction::{Looked, Transaction};
use crate::error::{Error, Result};
use crate::file_system::Reach;
use crate::id::{ModSeq, UidValidity};
use crate::index::{Entry, FileTime, Force, Index, Refreshed};
use crate::lock::FileLock;
use crate::replace::{open_regular, touch};
use crate::snapshot::Place;
use crate::source::Source;

pub(super) use look::Looks;

/// What only one thread at a time works on.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The index; read anew when it is `None`.
    index: Option<Index>,
    /// The UIDVALIDITY that the sessions know; when it changes, the mailbox is gone for them.
    uid_validity: Option<UidValidity>,
    /// Whether the directories were read by the current transaction, to make a new index.
    looked: Looked,
    /// Whether the index could not be forced to the disk: it is written anew before it is used.
    doubtful: bool,
    /// Directories that could not be forced to the disk: that comes before any further change.
    unforced: BTreeSet<Place>,
    /// Whether the last look succeeded.
    has_looked: bool,
}

/// Why a refresh without the lock is not enough.
enum Short {
    /// There is no index, or it must be mended.
    NeedsLock,
    /// Anything else.
    Failed(Error),
}

impl From<Error> for Short {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Mailbox {
    /// Does a change under both locks, then publishes. Entries that `work` has left uncommitted
    /// are committed even if it fails: they tell what was done.
    pub(super) fn transact<T>(
        &self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.check()?;
        let mut writer = self.writer();
        let result = self.transact_with(&mut writer, work);
        let result = self.finish(writer, result);
        self.pass_on();
        result
    }

    /// Reads the index, as it is in memory, if it is.
    pub(super) fn with_index(&self, read: impl FnOnce(&Index)) {
        let writer = self.writer();
        if let Some(index) = &writer.index {
            read(index);
        }
        drop(writer);
        self.heed();
    }

    /// Forces flag changes to the disk.
    pub(super) fn force_flags(&self) {
        let mut writer = self.writer();
        let forced = if writer.doubtful {
            self.transact_with(&mut writer, |_| Ok(()))
        } else {
            let forced = writer.index.as_mut().map_or(Ok(()), Index::force);
            writer.doubtful |= writer.index.as_ref().is_some_and(Index::is_doubtful);
            forced
        };
        if let Err(error) = forced {
            tracing::warn!(mailbox = %self.name, %error, "flags not forced to disk");
        }
        self.notices.end_work(self.pause());
        drop(writer);
        self.heed();
    }

    /// Ends the use of the index in good order: no mod-sequence is in flight any more.
    pub(super) fn close(&self) {
        let mut writer = self.writer();
        let boot = self.environment.boot();
        let open = |index: &Index| index.state.reserve.mod_seq != 0 && !index.is_in_memory();
        if self.is_gone() || !writer.index.as_ref().is_some_and(open) {
            return;
        }
        let closed = self.transact_with(&mut writer, |transaction| {
            transaction.index.force()?;
            if transaction.index.state.reserve.boot == boot {
                transaction.entries.push(Entry::Close);
            }
            Ok(())
        });
        match closed {
            Ok(()) | Err(Error::NotFound | Error::Locked) => {}
            Err(error) => tracing::warn!(mailbox = %self.name, %error, "index not closed"),
        }
    }

    /// The present by the clock of the file system, which is what modification times tell.
    pub(super) fn file_system_time(&self) -> FileTime {
        let lock = open_regular(&self.lock_path(), OFlags::RDWR | OFlags::CREATE);
        let touched = lock.ok().and_then(|file| touch(&file).ok());
        let now = touched.unwrap_or_else(|| self.environment.options.source.wall());
        FileTime::from(now)
    }

    /// The lock, for a change of the index as a whole.
    pub(super) fn lock_for_takeover(&self) -> Result<FileLock> {
        FileLock::acquire(&self.lock_path(), self.environment.options.lock_timeout)
    }

    fn lock_path(&self) -> PathBuf {
        self.directory.join(LOCK)
    }

    /// The writer's state; read anew if a thread panicked while it had it. Whoever has had it calls
    /// [`Self::heed`] afterwards, because others leave work to him meanwhile.
    fn writer(&self) -> MutexGuard<'_, Writer> {
        let writer = self.writer.lock();
        writer.unwrap_or_else(|poisoned| self.recover(poisoned))
    }

    /// The same if nobody else has it.
    fn writer_if_free(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(TryLockError::Poisoned(poisoned)) => Some(self.recover(poisoned)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn recover<'a>(&self, poisoned: PoisonError<MutexGuard<'a, Writer>>) -> MutexGuard<'a, Writer> {
        self.writer.clear_poison();
        let mut writer = poisoned.into_inner();
        writer.index = None;
        writer
    }

    /// Publishes, unlocks, and wakes the watchers if there is something to see.
    fn finish<T>(&self, mut writer: MutexGuard<'_, Writer>, result: Result<T>) -> Result<T> {
        let published = self.publish(&mut writer);
        if result.is_ok() && published.is_ok() {
            self.notices.end_work(self.pause());
        } else {
            self.notices.fail_work();
        }
        drop(writer);
        if matches!(published, Ok(true)) || self.is_gone() {
            self.watchers.wake();
        }
        self.weigh_notices();
        self.sweep_graves();
        result.and_then(|value| published.map(|_| value))
    }

    /// Applies what others appended to the index, without the lock.
    fn catch_up(&self, writer: &mut Writer) -> Result<(), Short> {
        if writer.doubtful {
            return Err(Short::NeedsLock);
        }
        let before = writer.position();
        match &mut writer.index {
            Some(index) => match index.refresh() {
                Ok(_) => {}
                // Whoever removes it removes the rest too: not even a lock is to be made anew.
                Err(Error::Corrupt { path, .. })
                    if path.symlink_metadata().is_err() && writer.uid_validity.is_some() =>
                {
                    tracing::warn!(path = %path.display(), "index was removed");
                    return Err(Short::Failed(self.vanish()));
                }
                Err(Error::Corrupt { .. }) => return Err(Short::NeedsLock),
                Err(error) => return Err(Short::Failed(error)),
            },
            None => match Index::load(&self.directory) {
                Ok(Some((index, _))) if self.lost_power(&index) || self.disagrees(&index) => {
                    return Err(Short::NeedsLock);
                }
                Ok(Some((index, _))) => writer.index = Some(index),
                Ok(None) | Err(Error::Corrupt { .. }) => return Err(Short::NeedsLock),
                Err(error) => return Err(Short::Failed(error)),
            },
        }
        if writer.position() != before {
            self.notices.others_wrote();
        }
        Ok(self.recognize(writer)?)
    }

    /// The same under the lock, mending what has to be mended.
    fn catch_up_locked(&self, writer: &mut Writer) -> Result<()> {
        let before = writer.position();
        if writer.index.as_ref().is_some_and(Index::is_in_memory) {
            writer.index = None;
        }
        let opening = writer.index.is_none();
        let caught_up = match writer.index.take() {
            Some(mut index) => {
                let refreshed = match self.reach {
                    Reach::Local => index.refresh(),
                    Reach::Remote => index.refresh_opened(),
                };
                refreshed.map(|refreshed| Some((index, refreshed)))
            }
            None => Index::load(&self.directory),
        };
        let (mut index, refreshed) = match caught_up {
            Ok(Some(loaded)) => loaded,
            Ok(None) => self.rebuild(writer)?,
            Err(Error::Corrupt { path, problem }) => {
                if path.symlink_metadata().is_ok() {
                    tracing::error!(path = %path.display(), problem, "index is damaged");
                } else {
                    tracing::warn!(path = %path.display(), "index was removed");
                }
                self.rebuild(writer)?
            }
            Err(error) => return Err(error),
        };
        if before != Some(index.position()) {
            self.notices.others_wrote();
        }
        if refreshed == Refreshed::Tail {
            index.cut_tail()?;
        }
        if self.lost_power(&index) {
            let reserved = ModSeq::new(index.state.reserve.mod_seq);
            let mod_seq = index.next_mod_seq()?.max(reserved.unwrap_or(ModSeq::MIN));
            let entries = [Entry::TouchAll(mod_seq), Entry::Close];
            index.append(&entries, self.environment.force_messages())?;
        }
        if opening && self.disagrees(&index) {
            self.agree(&mut index)?;
        }
        if writer.doubtful {
            let random = self.environment.options.source.random();
            match index.replace(random, self.environment.force_messages()) {
                Ok(()) => writer.doubtful = false,
                // Removing must work on a full disk. What is at stake is the UIDVALIDITY.
                Err(Error::NoSpace) => {}
                Err(error) => return Err(error),
            }
        }
        writer.index = Some(index);
        self.recognize(writer)
    }

    /// Whether flag changes may have been lost that a client has seen.
    fn lost_power(&self, index: &Index) -> bool {
        let reserve = index.state.reserve;
        reserve.mod_seq != 0 && reserve.boot != self.environment.boot()
    }

    /// Makes a new index: takes over what another server left, or begins under a new UIDVALIDITY.
    /// Only under the lock.
    fn rebuild(&self, writer: &mut Writer) -> Result<(Index, Refreshed)> {
        if std::fs::symlink_metadata(&self.directory).is_err() || writer.uid_validity.is_some() {
            // The next to open it makes the index; the sessions of today must let go first.
            return Err(self.vanish());
        }
        let index = self.first_index(Lists::Use)?;
        writer.looked = Looked::Already;
        Ok((index, Refreshed::Whole))
    }

    /// Lets go of the mailbox if it is not the one that the sessions know.
    fn recognize(&self, writer: &mut Writer) -> Result<()> {
        let index = writer.index.as_ref();
        let found = index.map(|index| index.state.snapshot.uid_validity());
        if writer.uid_validity.is_some() && writer.uid_validity != found {
            writer.index = None;
            return Err(self.vanish());
        }
        writer.uid_validity = found;
        Ok(())
    }

    /// Marks the mailbox as gone.
    fn vanish(&self) -> Error {
        self.gone.store(true, Ordering::Release);
        Error::NotFound
    }

    fn transact_with<T>(
        &self,
        writer: &mut Writer,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let timeout = self.environment.options.lock_timeout;
        let lock = match FileLock::acquire(&self.lock_path(), timeout) {
            Err(Error::NotFound) => return Err(self.vanish()),
            other => other?,
        };
        writer.looked = Looked::NotYet;
        self.begin_notices();
        self.catch_up_locked(writer)?;
        let looked = writer.looked;
        let Some(index) = &mut writer.index else {
            return Err(Error::NotFound);
        };
        let mut transaction = Transaction::begin(self, index, looked)?;
        transaction.sync_places(&writer.unforced)?;
        writer.unforced.clear();
        let finished = transaction.finish_move();
        let result = finished.and_then(|()| work(&mut transaction));
        let committed = transaction.commit();
        let broken = transaction.is_broken() || committed.is_err();
        let own = transaction.own;
        writer.unforced.append(&mut transaction.unforced);
        writer.doubtful |= index.is_doubtful();
        if broken {
            // What the file says now is not certain.
            writer.index = None;
        } else {
            self.tally(index, own);
        }
        drop(lock);
        result.and_then(|value| committed.map(|()| value))
    }

    /// Shows the newest state to the sessions; says whether they would notice. Nothing is shown
    /// that could still be lost.
    fn publish(&self, writer: &mut Writer) -> Result<bool> {
        let Some(index) = &mut writer.index else {
            return Ok(false);
        };
        if index.is_hidden() {
            match (self.environment.force_messages(), index.force()) {
                (Force::Never, _) | (_, Err(Error::NoPermission { .. })) => index.believe(),
                (_, forced) => {
                    writer.doubtful |= index.is_doubtful();
                    forced?;
                }
            }
        }
        self.lasting.store(!index.is_in_memory(), Ordering::Release);
        let newest = &index.state.snapshot;
        let old = self.snapshot();
        if old.is_identical(newest) {
            return Ok(false);
        }
        let changed = !old.looks_like(newest);
        if !Arc::ptr_eq(old.era(), newest.era()) {
            self.graveyard().end_era(old.era());
        }
        let newest = Arc::new(newest.clone());
        *self
            .published
            .write()
            .unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(changed)
    }
}

/// A number for a new mailbox that no other has.
pub(super) fn mailbox_id(source: &Source) -> u128 {
    u128::from(source.random()) << 64 | u128::from(source.random())
}

/// The file that is locked, and says what was served (`foreign::served`); never replaced.
pub(crate) const LOCK: &str = "pillarbox.lock";
