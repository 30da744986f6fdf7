//! The file `pillarbox.index`: a snapshot of the mailbox, and the changes since.
//!
//! # Format
//!
//! Little endian. First a snapshot (`columns`), then frames (`frame`), each with everything
//! that one command changed. The file's *generation* is a random number that changes whenever the
//! file is replaced.
//!
//! # Reading needs no lock
//!
//! A reader remembers the generation and the offset up to which it has applied frames. To refresh,
//! it compares the file's identity, size and times; if they differ, it applies the valid frames
//! after its offset and stops at the first that is not valid (it is being written). If the file was
//! replaced, it reads all of it. What it then shows to a client must be on the disk: if the
//! *committed* field does not reach as far as new UIDs, the reader forces them to the disk itself,
//! because the process that wrote them may die before it does.
//!
//! # Writing
//!
//! Under the lock (`pillarbox.lock`): refresh → cut off an invalid tail → file-system work → one
//! `pwrite` at the end → `fdatasync` (if the change asks for it) → note the length as committed.
//! The note itself is not forced to the disk; it may be older than the truth but never newer.
//! On a network file system the file is opened for that refresh, whatever its name says of it.
//!
//! # Compaction
//!
//! When the frames exceed 64 KiB and half the snapshot: write `pillarbox.index.tmp` → `fdatasync` →
//! `rename` → `fsync` of the directory, all under the lock.
//!
//! # The first file
//!
//! Where there is no index, there is nothing that half a file could take away: `rename` →
//! `fdatasync` → `fsync` of the directory, which journaling file systems do in one commit, where
//! the order of compaction takes two. Up to then nothing is noted as committed, not even the
//! snapshot, so whoever reads it earlier forces the file and its name to the disk himself before he
//! shows anything of it. What a loss of power leaves of it is damaged or whole.
//!
//! # Crashes
//!
//! A crash leaves a prefix of the file that reaches at least as far as it is committed. Flag
//! changes may be lost with the machine's power (never with the process alone), and a client may
//! have seen their mod-sequences. So mod-sequences whose frames are not on the disk stay below a
//! durable *reserve*. A reserve of an earlier boot that was not closed means that power was lost:
//! then every message gets a mod-sequence above the reserve, and who knows an earlier one is told
//! all UIDs that are gone.
//!
//! # Disks that fail
//!
//! After an fsync that has failed, the system takes what it could not write for written, and the
//! next fsync says nothing of it. So it is not tried again: the whole file is written anew, under
//! the lock, before anything else is changed or shown.
//!
//! # Damage
//!
//! If the snapshot, or any frame within the committed length, does not have the right CRC, nothing
//! of the file is used: the mailbox is scanned anew under a new UIDVALIDITY. A UID that was given
//! to a client therefore never names another message.

mod codec;
mod columns;
mod file;
mod frame;
mod stamp;
mod state;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::id::{ModSeq, UidValidity};
use crate::replace::{failed, open_regular, sync_directory};
use columns::{Claim, Encoder, Header};
use file::{
    Identity, Known, Pending, Trust, append_frame, commit, damaged, read_from, sync, write_whole,
};

pub(crate) use codec::FileTime;
pub(crate) use frame::{Entry, Rename, runs};
pub(crate) use stamp::{Stamp, Stamps};
pub(crate) use state::{Agreed, Reserve, State};

/// When an appended frame has to be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Force {
    /// Before going on.
    Now,
    /// Some time later, by [`Index::force`].
    Later,
    /// Never: the store's data is thrown away.
    Never,
}

/// The index file as this process knows it. Holds no descriptor.
#[derive(Debug)]
pub(crate) struct Index {
    /// What it says.
    pub(crate) state: State,
    path: PathBuf,
    /// `None` if the index is only in memory, because the tree is read-only.
    file: Option<Known>,
}

/// What a refresh found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// Everything that can be read has been applied.
    Whole,
    /// There are octets after the last valid frame: being written, or left by a crash.
    Tail,
}

impl Index {
    /// The index file of the mailbox in `directory`.
    pub(crate) fn path_in(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// An index that is only in memory.
    pub(crate) fn in_memory(directory: &Path, state: State) -> Self {
        let path = Self::path_in(directory);
        Self {
            state,
            path,
            file: None,
        }
    }

    /// Reads the index of the mailbox in `directory`. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged.
    pub(crate) fn load(directory: &Path) -> Result<Option<(Self, Refreshed)>> {
        let path = Self::path_in(directory);
        let file = match open_regular(&path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (index, refreshed) = Self::read(path, &file)?;
        Ok(Some((index, refreshed)))
    }

    /// The UIDVALIDITY of the mailbox in `directory`, as far as its index says one.
    pub(crate) fn uid_validity_in(directory: &Path) -> Option<UidValidity> {
        let file = open_regular(&Self::path_in(directory), OFlags::RDONLY).ok()?;
        let head = read_from(&file, 0, HEAD).ok()?;
        Header::decode(&head).map(|header| header.uid_validity)
    }

    fn read(path: PathBuf, file: &File) -> Result<(Self, Refreshed)> {
        let metadata = file.metadata().map_err(failed(&path))?;
        let identity = Identity::of(&metadata);
        let bytes = read_from(file, 0, identity.size).map_err(failed(&path))?;
        let header = Header::decode(&bytes).ok_or_else(|| damaged(&path, "has no valid header"))?;
        let (state, length) = columns::decode(&header, &bytes)
            .ok_or_else(|| damaged(&path, "has a damaged snapshot"))?;
        let snapshot = u64::try_from(length).unwrap_or(u64::MAX);
        let committed = columns::read_committed(header.generation, &bytes);
        let first = committed < snapshot;
        let mut index = Self {
            state,
            path,
            file: Some(Known {
                identity,
                generation: header.generation,
                snapshot,
                offset: snapshot,
                pending: if first {
                    Pending::All
                } else {
                    Pending::Nothing
                },
                trust: Trust::Sound,
            }),
        };
        let frames = bytes.get(length..).unwrap_or_default();
        let refreshed = index.apply_frames(frames, committed)?;
        Ok((index, refreshed))
    }

    /// Up to where it was read, and which file: its generation and an offset.
    pub(crate) fn position(&self) -> Option<(u64, u64)> {
        self.file.map(|known| (known.generation, known.offset))
    }

    /// Whether the file is as it was when it was last read or written, to the end.
    pub(crate) fn is_current(&self) -> bool {
        let Some(known) = self.file else {
            return true;
        };
        std::fs::symlink_metadata(&self.path).is_ok_and(|metadata| {
            let identity = Identity::of(&metadata);
            identity == known.identity && identity.size == known.offset
        })
    }

    /// Applies what others have appended, or reads everything anew if the file was replaced.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged or gone.
    pub(crate) fn refresh(&mut self) -> Result<Refreshed> {
        let Some(known) = self.file else {
            return Ok(Refreshed::Whole);
        };
        let path = &self.path;
        let metadata = match std::fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(path, "is gone"));
            }
            Err(error) => return Err(failed(path)(error)),
        };
        let identity = Identity::of(&metadata);
        if identity == known.identity && identity.size == known.offset {
            return Ok(Refreshed::Whole);
        }
        self.refresh_opened()
    }

    /// As [`refresh`](Self::refresh), but opens the file even if it seems to be unchanged. On a
    /// network file system, only that asks the server: what a name says of a file may be from a
    /// cache, and UIDs that another machine has given since would be given again.
    ///
    /// # Errors
    /// As `refresh`.
    pub(crate) fn refresh_opened(&mut self) -> Result<Refreshed> {
        let Some(known) = self.file else {
            return Ok(Refreshed::Whole);
        };
        let path = &self.path;
        let file = match open_regular(path, OFlags::RDONLY) {
            Err(Error::NotFound) => return Err(damaged(path, "is gone")),
            opened => opened?,
        };
        let identity = Identity::of(&file.metadata().map_err(failed(path))?);
        if identity == known.identity && identity.size == known.offset {
            return Ok(Refreshed::Whole);
        }
        let head = read_from(&file, 0, HEAD).map_err(failed(path))?;
        let header = Header::decode(&head);
        let same = identity.is_same_file(&known.identity)
            && header.is_some_and(|header| header.generation == known.generation);
        if !same {
            let (read, refreshed) = Self::read(self.path.clone(), &file)?;
            *self = read;
            return Ok(refreshed);
        }
        if identity.size < known.offset {
            return Err(damaged(&self.path, "has been cut"));
        }
        let frames = read_from(&file, known.offset, identity.size).map_err(failed(path))?;
        if let Some(known) = &mut self.file {
            known.identity = identity;
        }
        let committed = columns::read_committed(known.generation, &head);
        self.apply_frames(&frames, committed)
    }

    /// Applies the valid frames in `bytes`, which begin at the offset.
    fn apply_frames(&mut self, bytes: &[u8], committed: u64) -> Result<Refreshed> {
        let Some(known) = &mut self.file else {
            return Ok(Refreshed::Whole);
        };
        let mut rest = bytes;
        let mut entries = Vec::new();
        while let Some((length, more)) = frame::decode(known.generation, known.offset, rest) {
            known.offset += u64::try_from(length).unwrap_or_default();
            if known.offset > committed {
                known.pending = known.pending.max(Pending::of(&more));
            }
            rest = rest.get(length..).unwrap_or_default();
            entries.extend(more);
        }
        if known.offset < committed {
            return Err(damaged(&self.path, "has lost or damaged frames"));
        }
        self.state
            .apply(&entries)
            .ok_or_else(|| damaged(&self.path, "contradicts itself"))?;
        Ok(if rest.is_empty() {
            Refreshed::Whole
        } else {
            Refreshed::Tail
        })
    }

    /// Cuts off what is after the last valid frame. Only under the lock, after a refresh.
    pub(crate) fn cut_tail(&mut self) -> Result<()> {
        self.change_file(|file, known| file.set_len(known.offset))?
            .ok_or_else(|| damaged(&self.path, "was replaced without the lock"))
    }

    /// Appends a frame and applies it. Only under the lock, after a refresh that left no tail. If
    /// it fails, nothing has been applied.
    pub(crate) fn append(&mut self, entries: &[Entry], force: Force) -> Result<()> {
        if let Some(known) = self.file {
            let too_large = || Error::Limit("changes at once");
            let frame = frame::encode(known.generation, known.offset, entries);
            let frame = frame.ok_or_else(too_large)?;
            let path = self.path.clone();
            let to = (frame.as_slice(), path.as_path());
            self.change_file(|file, known| append_frame(file, known, to, entries, force))?
                .ok_or_else(|| damaged(&self.path, "was replaced without the lock"))?;
        }
        self.state
            .apply(entries)
            .ok_or_else(|| damaged(&self.path, "contradicts itself"))
    }

    /// As [`Self::append`] and [`Self::replace`] in one: for so many entries that the frame would
    /// be replaced by a new snapshot at once.
    pub(crate) fn rewrite(
        &mut self,
        entries: &[Entry],
        generation: u64,
        force: Force,
    ) -> Result<()> {
        let before = self.state.clone();
        let rewritten = match self.state.apply(entries) {
            Some(()) => self.replace(generation, force),
            None => Err(damaged(&self.path, "contradicts itself")),
        };
        // If only the last sync has failed, the new file is there.
        let replaced = self.file.is_some_and(|it| it.generation == generation);
        if rewritten.is_err() && !replaced {
            self.state = before;
        }
        rewritten
    }

    /// Forces to the disk what is not there yet. Needs no lock.
    pub(crate) fn force(&mut self) -> Result<()> {
        if !self.is_unforced() {
            return Ok(());
        }
        let path = self.path.clone();
        let forced = self.change_file(|file, known| {
            sync(file, known, &path)?;
            commit(file, known)
        })?;
        if forced.is_none() {
            // Whoever replaced it has read, and forced to the disk, everything that was in it.
            self.believe();
        }
        Ok(())
    }

    /// Whether frames may not be on the disk yet.
    pub(crate) fn is_unforced(&self) -> bool {
        self.file
            .is_some_and(|known| known.pending != Pending::Nothing)
    }

    /// Whether no client may see the state before [`Index::force`].
    pub(crate) fn is_hidden(&self) -> bool {
        self.file
            .is_some_and(|known| known.pending >= Pending::Hidden)
    }

    /// Whether it is only in memory.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.file.is_none()
    }

    /// Whether forcing it to the disk has failed. Then the system may have dropped what it could
    /// not write, and a second attempt would succeed without writing it: only a whole new file
    /// ([`Index::replace`]) is certain.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.file
            .is_some_and(|known| known.trust == Trust::Doubtful)
    }

    /// Takes everything for durable, because the store's data is thrown away.
    pub(crate) fn believe(&mut self) {
        if let Some(known) = &mut self.file {
            known.pending = Pending::Nothing;
        }
    }

    /// Whether the frames have outgrown the snapshot.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.file
            .is_some_and(|known| known.offset - known.snapshot > COMPACT_AT.max(known.snapshot / 2))
    }

    /// Writes a whole new file of `generation` in place of the old one. Only under the lock.
    pub(crate) fn replace(&mut self, generation: u64, force: Force) -> Result<()> {
        let mut state = self.state.clone();
        state.reserve = Reserve::default();
        let too_large = || Error::Limit("messages in a mailbox");
        let encoder = Encoder::new(&state, generation).ok_or_else(too_large)?;
        if force != Force::Never && std::fs::symlink_metadata(&self.path).is_err() {
            return self.place_first(&encoder, &state);
        }
        self.write(&encoder, Claim::All, force)?;
        self.state = state;
        if force == Force::Never {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        sync_directory(directory).inspect_err(|_| {
            // The old file may come back with the power.
            if let Some(known) = &mut self.file {
                known.trust = Trust::Doubtful;
            }
        })
    }

    /// Puts the file where there is none. It gets its name before it is forced to the disk: most
    /// file systems bring both there at once. Until then nothing of it is committed.
    fn place_first(&mut self, encoder: &Encoder<'_>, state: &State) -> Result<()> {
        let (old_state, old_file) = (self.state.clone(), self.file);
        self.write(encoder, Claim::Nothing, Force::Never)?;
        self.state = state.clone();
        if let Some(known) = &mut self.file {
            known.pending = Pending::All;
        }
        self.force().inspect_err(|_| {
            // Nobody has been shown anything of it.
            std::fs::remove_file(&self.path).ok();
            (self.state, self.file) = (old_state, old_file);
        })
    }

    /// Writes the file and moves it to its place; the new name is not forced to the disk.
    fn write(&mut self, encoder: &Encoder<'_>, claim: Claim, force: Force) -> Result<()> {
        let temporary = self.path.with_extension("index.tmp");
        let contents = |mut file: &File| encoder.write(claim, &mut file);
        let identity = write_whole(&temporary, &self.path, contents, force).inspect_err(|_| {
            // The error that is reported is the first one.
            std::fs::remove_file(&temporary).ok();
        })?;
        self.file = Some(Known {
            identity,
            generation: encoder.generation(),
            snapshot: encoder.length(),
            offset: encoder.length(),
            pending: Pending::Nothing,
            trust: Trust::Sound,
        });
        Ok(())
    }

    /// The lowest mod-sequence that no message has.
    pub(crate) fn next_mod_seq(&self) -> Result<ModSeq> {
        let highest = self.state.snapshot.highest_mod_seq().get();
        ModSeq::new(highest + 1).ok_or(Error::Limit("mod-sequences"))
    }

    /// Opens the file for a change and remembers what it is like afterwards. `None` if it is not
    /// the file that we know.
    fn change_file(
        &mut self,
        change: impl FnOnce(&File, &mut Known) -> io::Result<()>,
    ) -> Result<Option<()>> {
        let Some(known) = &mut self.file else {
            return Ok(None);
        };
        let path = &self.path;
        let file = match open_regular(path, OFlags::RDWR) {
            Ok(file) => file,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let identity = Identity::of(&file.metadata().map_err(failed(path))?);
        if !identity.is_same_file(&known.identity) {
            return Ok(None);
        }
        let result = change(&file, known);
        known.identity = Identity::of(&file.metadata().map_err(failed(path))?);
        result.map_err(failed(path)).map(Some)
    }
}

pub(crate) const FILE: &str = "pillarbox.index";
/// The octets that tell which file it is and how much of it is committed.
const HEAD: u64 = (columns::HEADER + columns::COMMITTED) as u64;
/// Frames of this many octets are never too many.
const COMPACT_AT: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
