//! COPY (RFC 3501 §6.4.7): a second link to the file of each message, all or none.
//!
//! Order: force the bytes to the disk where they may not be there yet → lock the target → link
//! into `cur/` → frame → fdatasync of the index → fsync of `cur/` → unlock. Where a link is not
//! possible, the bytes are copied to `tmp/` first. Of [`UNSEEN`] messages or more, the bytes are
//! forced after the links; see below.
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
//!
//! # Very many messages
//!
//! To ask for the times of a file takes a fifth of the time of its link (ext4). So of [`UNSEEN`]
//! messages or more none is asked for: one system call each. Order: lock the target → links into
//! `cur/` → syncfs → frame → fdatasync of the index → fsync of `cur/` → unlock.
//!
//! - *What is shown.* No UID before the frame is written, and that is not before bytes and links
//!   are on the disk: the index never names a file that a loss of power can take away or empty, on
//!   no file system, whether it keeps the order of writes (the ext4 journal) or not. The last two
//!   syncs find only the index to be written. They stay: before Linux 5.8 syncfs did not tell of
//!   what it could not write, and a new name of the index is in another directory.
//! - *A crash before the frame* leaves links without UIDs: the next look at the target gives them
//!   new ones, as for any delivery, or they are gone with the power. Nothing was acknowledged, and
//!   no UID was given.
//! - *A loss of power before syncfs* may leave links to a file whose bytes are not there. That is
//!   the source's file too, under its own name, which is not touched: bytes belong to the file and
//!   not to its names, so that nothing is worse than without the copy. MOVE removes the old name
//!   only after all of these steps.
//! - *If syncfs fails*, the links are taken back, and bytes are copied from then on.
//! - *What is not a regular file* was not listed, so the index does not have it. If a symbolic link
//!   has taken a message's name since, it is linked as it is; nobody follows it in the target
//!   either, and the next look leaves it out.
//! - *The date* stays unknown if it is not in the source's index: it is the file's, and is found
//!   there when somebody asks. The size in the new name is that in the old one.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::OFlags;

use super::{ATTEMPTS, Arriving, Incoming, by_name, cannot_link};
use crate::error::{Error, Result};
use crate::filename::FileName;
use crate::flag::{FlagChange, FlagMask, FlagSet};
use crate::id::Uid;
use crate::mailbox::directories::Directories;
use crate::mailbox::{Appended, Copied, Mailbox};
use crate::replace::{failed, open_regular, sync_file_system};
use crate::snapshot::{Message, Place, Snapshot};
use crate::store::Fsync;

/// The file of a message that is copied.
#[derive(Debug)]
pub(super) struct Original {
    directories: Rc<Directories>,
    place: Place,
    name: Vec<u8>,
    /// What the file system says of it, if it was asked.
    seen: Option<Seen>,
}

/// What the file system says of a file.
#[derive(Debug)]
struct Seen {
    /// Its size before any conversion.
    octets: u64,
    /// Its modification time in seconds since 1970, the internal date.
    date: i64,
    /// When its bytes were written at the latest, in seconds since 1970.
    changed: i64,
    /// The file system that it is on.
    device: u64,
}

impl Original {
    /// A message's file, as the index has it.
    pub(super) fn new(directories: &Rc<Directories>, message: Message<'_>) -> Self {
        Self {
            directories: Rc::clone(directories),
            place: message.place(),
            name: message.file_name().to_vec(),
            seen: None,
        }
    }

    /// Its whole path.
    fn path(&self) -> PathBuf {
        self.directories.path(self.place, &self.name)
    }

    /// The name that it has.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Takes over the name that the index has now.
    pub(super) fn rename(&mut self, message: Message<'_>) {
        self.place = message.place();
        self.name = message.file_name().to_vec();
    }

    /// Its size before any conversion: what its name says where the file system was not asked.
    pub(super) fn octets(&self) -> Option<u64> {
        match &self.seen {
            Some(seen) => Some(seen.octets),
            None => FileName::parse(&self.name)?.size,
        }
    }

    /// The internal date, if the file system was asked.
    pub(super) fn date(&self) -> Option<i64> {
        self.seen.as_ref().map(|seen| seen.date)
    }

    /// Whether the file system was not asked.
    pub(super) fn is_unseen(&self) -> bool {
        self.seen.is_none()
    }

    /// Asks for what is needed, without opening the file. [`Error::NotFound`] if it has another
    /// name by now.
    fn look(&mut self) -> Result<()> {
        let path = self.path();
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            Err(error) => return Err(failed(&path)(error)),
        };
        if !metadata.is_file() {
            let problem = "not a regular file";
            return Err(Error::Corrupt { path, problem });
        }
        self.seen = Some(Seen {
            octets: metadata.len(),
            date: metadata.mtime(),
            changed: written(&metadata),
            device: metadata.dev(),
        });
        Ok(())
    }

    /// Makes the second link, in `cur/` of the target. [`Error::NotFound`] if it has another name
    /// by now.
    pub(super) fn link(&self, target: &Directories, copy: &[u8]) -> Result<()> {
        self.directories
            .link((self.place, &self.name), target, copy)
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
    pub(in crate::mailbox) fn copy(
        &self,
        uids: &[Uid],
        target: &Self,
        kept: FlagMask,
    ) -> Result<Copied> {
        let uids: BTreeSet<Uid> = uids.iter().copied().collect();
        for _ in 0..ATTEMPTS {
            self.check()?;
            target.check()?;
            if self.environment.distrusts_files() {
                return self.copy_by_files(&uids, target, kept);
            }
            match self.copy_by_links(&uids, target, kept) {
                // A file was renamed by somebody; nothing has been copied.
                Err(Error::NotFound) if !target.is_gone() => {
                    self.transact(|transaction| transaction.scan())?;
                }
                Err(Error::Io { source, .. }) if cannot_link(&source) => {
                    return self.copy_by_files(&uids, target, kept);
                }
                // Also what file systems say that have no links.
                Err(Error::NoPermission { .. }) => {
                    return self.copy_by_files(&uids, target, kept);
                }
                copied => return copied,
            }
        }
        Err(Error::Locked)
    }

    /// Copies by second links in `cur/` of the target.
    fn copy_by_links(&self, uids: &BTreeSet<Uid>, target: &Self, kept: FlagMask) -> Result<Copied> {
        let snapshot = self.snapshot();
        let mut translated = Translated::keeping(kept);
        let originals = self.originals(&snapshot, uids)?;
        self.settle(&originals)?;
        let messages = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        let originals = messages.zip(originals);
        let series = target.environment.series();
        let incoming = originals.into_iter().map(|(message, original)| {
            let date = original.date().or(message.internal_date());
            let size = message.rfc822_size();
            let file = Arriving::Original(original);
            Incoming {
                flags: translated.flags(&snapshot, message),
                name: file.name(&series, size, message.email_id()),
                size,
                date,
                file,
            }
        });
        Ok(copied(uids, target.place(incoming.collect())?))
    }

    /// Copies by files in `tmp/` of the target: where links are not possible, the bytes.
    fn copy_by_files(&self, uids: &BTreeSet<Uid>, target: &Self, kept: FlagMask) -> Result<Copied> {
        let mut incoming = Vec::with_capacity(uids.len());
        let mut translated = Translated::keeping(kept);
        for uid in uids {
            let (mut staged, snapshot) = self.link(*uid, target)?;
            // Whoever delivered it may not have cared.
            let closed = staged.close(self.environment.options.fsync);
            closed.inspect_err(|_| self.environment.distrust_files())?;
            let message = snapshot.by_uid(*uid).ok_or(Error::Expunged)?;
            incoming.push(Incoming {
                flags: translated.flags(&snapshot, message),
                name: message.email_id().written_to(staged.name()),
                size: staged.rfc822_size(),
                date: Some(staged.date()),
                file: Arriving::Staged(staged),
            });
        }
        Ok(copied(uids, target.place(incoming)?))
    }

    /// The files of messages. [`Error::NotFound`] if one has another name by now and the file
    /// system was asked: if there are many, the links will tell.
    pub(super) fn originals(
        &self,
        snapshot: &Snapshot,
        uids: &BTreeSet<Uid>,
    ) -> Result<Vec<Original>> {
        let directories = Rc::new(Directories::of(&self.directory));
        let original = |uid: &Uid| {
            let message = snapshot.by_uid(*uid).ok_or(Error::Expunged)?;
            let mut original = Original::new(&directories, message);
            if uids.len() < UNSEEN {
                original.look()?;
            }
            Ok(original)
        };
        uids.iter().map(original).collect()
    }

    /// Makes sure that the bytes of files are on the disk, unless that is done after the links.
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
                let path = original.path();
                let file = open_regular(&path, OFlags::RDONLY)?;
                let forced = file.sync_data().map_err(failed(&path));
                forced.inspect_err(|_| environment.distrust_files())
            }),
            Forcing::FileSystem(original) => {
                let path = original.path();
                let file = open_regular(&path, OFlags::RDONLY)?;
                let forced = sync_file_system(&file).map_err(failed(&path));
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
        let settled =
            |seen: &Seen| now.is_some_and(|now| now.saturating_sub(seen.changed) > SETTLED_AFTER);
        let seen = originals
            .iter()
            .filter_map(|it| Some((it, it.seen.as_ref()?)));
        let fresh = seen.filter(|(_, seen)| !settled(seen));
        let (fresh, seen): (Vec<&Original>, Vec<&Seen>) = fresh.unzip();
        match fresh.first().zip(seen.split_first()) {
            Some((original, (first, rest)))
                if rest.len() >= SINGLY && rest.iter().all(|it| it.device == first.device) =>
            {
                Self::FileSystem(original)
            }
            _ => Self::Each(fresh),
        }
    }
}

/// Flags in terms of another mailbox; many messages have the same.
pub(super) struct Translated {
    known: HashMap<FlagSet, FlagChange>,
    /// Which flags the messages keep.
    kept: FlagMask,
}

impl Translated {
    pub(super) fn keeping(kept: FlagMask) -> Self {
        Self {
            known: HashMap::new(),
            kept,
        }
    }

    pub(super) fn flags(&mut self, snapshot: &Snapshot, message: Message<'_>) -> FlagChange {
        let flags = self.known.entry(message.flags());
        let flags = flags.or_insert_with(|| by_name(snapshot, message.flags()).only(self.kept));
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
/// From how many messages on the file system is not asked about each.
const UNSEEN: usize = 4096;

#[cfg(test)]
mod tests;
