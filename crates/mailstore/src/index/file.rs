//! The index file as it was when it was last read or written, and the steps of writing it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::codec::FileTime;
use super::frame::Entry;
use super::{Force, columns};
use crate::error::{Error, Result};
use crate::replace::failed;

/// What is known about the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) generation: u64,
    /// Where the snapshot ends.
    pub(super) snapshot: u64,
    /// Up to where frames were applied.
    pub(super) offset: u64,
    /// What of it may not be on the disk yet.
    pub(super) pending: Pending,
    /// Whether forcing it to the disk has failed.
    pub(super) trust: Trust,
}

/// What of a file may not be on the disk yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pending {
    Nothing,
    /// Frames that clients may see before.
    Frames,
    /// Frames that no client must see before.
    Hidden,
    /// All of it, with its name; no client must see anything before.
    All,
}

impl Pending {
    /// What is pending after a frame.
    pub(super) fn of(entries: &[Entry]) -> Self {
        if entries.iter().any(Entry::must_be_durable) {
            Self::Hidden
        } else {
            Self::Frames
        }
    }
}

/// Whether what was written to a file is there, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    Sound,
    /// The system may have dropped something that it could not write to the disk.
    Doubtful,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) modified: FileTime,
    pub(super) changed: FileTime,
}

impl Identity {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        let time = |seconds, nanoseconds: i64| FileTime {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
        };
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Appends a frame, and forces it to the disk where that is asked for.
pub(super) fn append_frame(
    file: &File,
    known: &mut Known,
    (frame, path): (&[u8], &Path),
    entries: &[Entry],
    force: Force,
) -> io::Result<()> {
    if let Err(error) = file.write_all_at(frame, known.offset) {
        // A part of a frame is not a valid frame; the next writer cuts it off if we cannot.
        file.set_len(known.offset).ok();
        return Err(error);
    }
    let end = known.offset + u64::try_from(frame.len()).unwrap_or_default();
    match force {
        Force::Now => {
            sync(file, known, path)?;
            known.offset = end;
            commit(file, known)
        }
        Force::Never => {
            known.offset = end;
            commit(file, known)
        }
        Force::Later => {
            known.offset = end;
            known.pending = known.pending.max(Pending::of(entries));
            Ok(())
        }
    }
}

/// Forces the file to the disk, and its name where that may be missing, unless that has failed
/// before: then it would prove nothing.
pub(super) fn sync(file: &File, known: &mut Known, path: &Path) -> io::Result<()> {
    if known.trust == Trust::Doubtful {
        return Err(io::Error::other("was not forced to the disk before"));
    }
    known.trust = Trust::Doubtful;
    file.sync_data()?;
    if known.pending == Pending::All {
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    }
    known.trust = Trust::Sound;
    Ok(())
}

/// Notes that everything up to the offset is on the disk.
pub(super) fn commit(file: &File, known: &mut Known) -> io::Result<()> {
    known.pending = Pending::Nothing;
    let note = columns::committed(known.generation, known.offset);
    file.write_all_at(&note, u64::try_from(columns::HEADER).unwrap_or_default())
}

/// The octets from `start` to `end`, fewer if the file has become shorter.
pub(super) fn read_from(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + u64::try_from(filled).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes `temporary`, forces it to the disk and moves it to `path`; the new name is not forced.
pub(super) fn write_whole(
    temporary: &Path,
    path: &Path,
    contents: impl Fn(&File) -> io::Result<()>,
    force: Force,
) -> Result<Identity> {
    // A left-over may be a link or a FIFO by now.
    crate::replace::remove(temporary)?;
    let create = || -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)?;
        contents(&file)?;
        if force != Force::Never {
            file.sync_data()?;
        }
        Ok(file)
    };
    let file = create().map_err(failed(temporary))?;
    crate::replace::rename(temporary, path)?;
    let metadata = file.metadata().map_err(failed(path))?;
    Ok(Identity::of(&metadata))
}

/// A file that says what cannot be.
pub(super) fn damaged(path: &Path, problem: &'static str) -> Error {
    let path = path.to_path_buf();
    Error::Corrupt { path, problem }
}
