//! COPY (RFC 3501 §6.4.7): a second link to the file of each message, all or none.
//!
//! Order: force the bytes to the disk where they may not be there yet → lock the target → link
//! into `cur/` → frame → fdatasync of the index → fsync of `cur/` → unlock. Where a link is not
//! possible, the bytes are copied to `tmp/` first.
//!
//! # When bytes are on the disk
//!
//! Our own deliveries force them there, but others may not have cared. The system writes what was
//! written at last after some seconds. Therefore a file whose bytes nobody has written for
//! [`SETTLED_AFTER`] needs no sync, unless the system is told to wait longer or everything is to be
//! forced (`Fsync::Always`). Few others are forced one by one. For many, the whole file system is:
//! it waits once for the disk and not as often as there are messages.
//!
//! When bytes were written at last is told by the modification time, if it is the kernel's. Programs
//! set it too, to when a message was received: that is before the file was made (btime), or in whole
//! seconds, and then, as where there is no btime, ctime counts, which nobody can set. But every
//! change of flags, which renames the file, and every link makes ctime the present, and mail is
//! often moved just after it was flagged.
//!
//! If one cannot be forced, what it has on the disk is not known any more, and a second attempt
//! would succeed without writing anything. From then on this process copies bytes.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::{ATTEMPTS, Arriving, Incoming, by_name, cannot_link};
use crate::error::{Error, Result};
use crate::flag::{FlagChange, FlagSet};
use crate::id::Uid;
use crate::mailbox::{Appended, Copied, Mailbox};
use crate::replace::{failed, open_regular, sync_file_system};
use crate::snapshot::{Message, Snapshot};
use crate::store::Fsync;
use crate::sync::message_path;

/// The file of a message that is copied.
#[derive(Debug)]
pub(super) struct Original {
    pub(super) path: PathBuf,
    /// Its size before any conversion.
    pub(super) octets: u64,
    /// Its modification time in seconds since 1970, the internal date.
    pub(super) date: i64,
    /// When its bytes were written at the latest, in seconds since 1970.
    changed: i64,
    /// The file system that it is on.
    device: u64,
}

impl Original {
    /// Asks for what is needed, without opening the file. [`Error::NotFound`] if it has another
    /// name by now.
    fn find(path: PathBuf) -> Result<Self> {
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            Err(error) => return Err(failed(&path)(error)),
        };
        if !metadata.is_file() {
            let problem = "not a regular file";
            return Err(Error::Corrupt { path, problem });
        }
        Ok(Self {
            octets: metadata.len(),
            date: metadata.mtime(),
            changed: written(&metadata),
            device: metadata.dev(),
            path,
        })
    }

    /// Makes the second link. [`Error::NotFound`] if it has another name by now.
    pub(super) fn link(&self, target: &Path) -> Result<()> {
        match fs::hard_link(&self.path, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound),
            linked => linked.map_err(failed(target)),
        }
    }
}

/// When the bytes of a file were written at the latest.
fn written(metadata: &fs::Metadata) -> i64 {
    let times = metadata.created().ok().zip(metadata.modified().ok());
    match times {
        Some((born, modified)) if modified >= born && metadata.mtime_nsec() != 0 => {
            metadata.mtime()
        }
        _ => metadata.ctime(),
    }
}

impl Mailbox {
    pub(in crate::mailbox) fn copy(&self, uids: &[Uid], target: &Self) -> Result<Copied> {
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        for _ in 0..ATTEMPTS {
            self.check()?;
            target.check()?;
            if self.environment.distrusts_files() {
                return self.copy_by_files(&uids, target);
            }
            match self.copy_by_links(&uids, target) {
                // A file was renamed by somebody; nothing has been copied.
                Err(Error::NotFound) if !target.is_gone() => {
                    self.transact(|transaction| transaction.scan())?;
                }
                Err(Error::Io { source, .. }) if cannot_link(&source) => {
                    return self.copy_by_files(&uids, target);
                }
                // Also what file systems say that have no links.
                Err(Error::NoPermission { .. }) => return self.copy_by_files(&uids, target),
                copied => return copied,
            }
        }
        Err(Error::Locked)
    }

    /// Copies by second links in `cur/` of the target.
    fn copy_by_links(&self, uids: &BTreeSet<Uid>, target: &Self) -> Result<Copied> {
        let snapshot = self.snapshot();
        let mut translated = Translated::default();
        let originals = self.originals(&snapshot, uids)?;
        self.settle(&originals)?;
        let messages = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        let originals = messages.zip(originals);
        let incoming = originals.into_iter().map(|(message, original)| {
            let (size, date) = (message.rfc822_size(), original.date);
            let file = Arriving::Original(original);
            Incoming {
                flags: translated.flags(&snapshot, message),
                name: file.name(&target.environment, size),
                size,
                date,
                file,
            }
        });
        Ok(copied(uids, target.place(incoming.collect())?))
    }

    /// Copies by files in `tmp/` of the target: where links are not possible, the bytes.
    fn copy_by_files(&self, uids: &BTreeSet<Uid>, target: &Self) -> Result<Copied> {
        let mut incoming = Vec::with_capacity(uids.len());
        let mut translated = Translated::default();
        for uid in uids {
            let (mut staged, snapshot) = self.link(*uid, target)?;
            // Whoever delivered it may not have cared.
            let closed = staged.close(self.environment.options.fsync);
            closed.inspect_err(|_| self.environment.distrust_files())?;
            let message = snapshot.by_uid(*uid).ok_or(Error::Expunged)?;
            incoming.push(Incoming {
                flags: translated.flags(&snapshot, message),
                name: staged.name(),
                size: staged.rfc822_size(),
                date: staged.date(),
                file: Arriving::Staged(staged),
            });
        }
        Ok(copied(uids, target.place(incoming)?))
    }

    /// The files of messages. [`Error::NotFound`] if one has another name by now.
    pub(super) fn originals(
        &self,
        snapshot: &Snapshot,
        uids: &BTreeSet<Uid>,
    ) -> Result<Vec<Original>> {
        let original = |uid: &Uid| {
            let message = snapshot.by_uid(*uid).ok_or(Error::Expunged)?;
            let path = message_path(&self.directory, message.place(), message.file_name());
            Original::find(path)
        };
        uids.iter().map(original).collect()
    }

    /// Makes sure that the bytes of files are on the disk.
    pub(super) fn settle(&self, originals: &[Original]) -> Result<()> {
        let environment = &self.environment;
        let never = environment.options.fsync == Fsync::Never;
        if never || originals.is_empty() || environment.distrusts_files() {
            return Ok(());
        }
        let now = || self.file_system_time().seconds;
        let now = environment.writes_back_soon().then(now);
        match Forcing::needed(originals, now) {
            Forcing::Each(fresh) => fresh.into_iter().try_for_each(|original| {
                let file = open_regular(&original.path, OFlags::RDONLY)?;
                let forced = file.sync_data().map_err(failed(&original.path));
                forced.inspect_err(|_| environment.distrust_files())
            }),
            Forcing::FileSystem(original) => {
                let file = open_regular(&original.path, OFlags::RDONLY)?;
                let forced = sync_file_system(&file).map_err(failed(&original.path));
                forced.inspect_err(|_| environment.distrust_files())
            }
        }
    }
}

/// What has to be forced to the disk.
#[derive(Debug)]
enum Forcing<'a> {
    /// These files.
    Each(Vec<&'a Original>),
    /// All that is on the file system of this one.
    FileSystem(&'a Original),
}

impl<'a> Forcing<'a> {
    /// What has to be forced for these files, `now` being the file system's time if the system
    /// writes files back by itself.
    fn needed(originals: &'a [Original], now: Option<i64>) -> Self {
        let settled = |original: &Original| {
            now.is_some_and(|now| now.saturating_sub(original.changed) > SETTLED_AFTER)
        };
        let fresh = originals.iter().filter(|original| !settled(original));
        let fresh: Vec<&Original> = fresh.collect();
        match fresh.split_first() {
            Some((first, rest))
                if rest.len() >= SINGLY && rest.iter().all(|it| it.device == first.device) =>
            {
                Self::FileSystem(first)
            }
            _ => Self::Each(fresh),
        }
    }
}

/// Flags in terms of another mailbox; many messages have the same.
#[derive(Default)]
pub(super) struct Translated(HashMap<FlagSet, FlagChange>);

impl Translated {
    pub(super) fn flags(&mut self, snapshot: &Snapshot, message: Message<'_>) -> FlagChange {
        let flags = self.0.entry(message.flags());
        let flags = flags.or_insert_with(|| by_name(snapshot, message.flags()));
        flags.clone()
    }
}

/// Which message has become which.
pub(super) fn copied(uids: &BTreeSet<Uid>, appended: Appended) -> Copied {
    Copied {
        uid_validity: appended.uid_validity,
        uids: uids.iter().copied().zip(appended.uids).collect(),
    }
}

/// After how many seconds without a change a file is on the disk.
const SETTLED_AFTER: i64 = 120;
/// How many files are forced to the disk one by one.
const SINGLY: usize = 32;

#[cfg(test)]
mod tests;
