//! A note of the move that is under way, so that a crash leaves few messages in two mailboxes.
//!
//! `pillarbox.moving` in the source, there while both locks are held, from before the first link
//! until the source's frame is written: a header, the directory of the target in the account's
//! root, and for each message its base in the source and the one that it gets in the target, each
//! of them ended by NUL; then their CRC-32. Whoever takes the source's lock next and finds it
//! carries the move out; so does whoever opens the source.
//!
//! # Why nothing is lost by it
//!
//! - A file is removed only when the target has the same inode under the noted base, and after the
//!   target's `cur/` was forced to the disk: one name of two for the same bytes, wherever they are
//!   by then. Every other message is left alone, and is in both mailboxes at the worst.
//! - The note itself is not forced. The death of a process does not lose it. After a power cut it
//!   may be missing or half there (the CRC tells), and messages stay in both mailboxes; or it may be
//!   back after a finished move, and then it names files that the source has no more, because no
//!   base is given twice.
//! - It is made only where nothing has its name, and removed without a look at what it is. If it
//!   cannot be made, for lack of space, the move goes on without it.
//! - No note is made where bytes are copied instead of links made: the inodes would differ.
//!
//! # Without the target's lock
//!
//! Taking it could wait for somebody who waits for ours. What happens in the target meanwhile:
//!
//! - A new flag renames the file: it is found by its base, or, in the same instant, not found.
//! - It is expunged, moved on, or its mailbox deleted or renamed: before we looked, and the message
//!   is not found and stays in the source; or after it, as if the move had been finished first.
//! - The link has no UID yet: the next look at the target finds it, as it finds any delivery.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, statat};

use super::{Arriving, Incoming};
use crate::error::{Error, Result};
use crate::filename::{self, FileName};
use crate::id::Uid;
use crate::mailbox::Mailbox;
use crate::mailbox::transaction::Transaction;
use crate::name::Namespace;
use crate::replace::{self, failed, open_regular};
use crate::store::Fsync;
use crate::sync::message_path;

/// A note that was written; it stays where it is unless it is removed.
#[derive(Debug)]
pub(super) struct Written(PathBuf);

impl Written {
    /// Notes that messages are about to get links in the target, if that can be noted.
    pub(super) fn write(source: &Mailbox, target: &Mailbox, incoming: &[Incoming]) -> Option<Self> {
        let target = target.directory.strip_prefix(&source.root).ok()?;
        let mut note = Note::to(target.as_os_str().as_bytes());
        for message in incoming {
            let Arriving::Original(original) = &message.file else {
                return None;
            };
            let base = filename::base(original.name());
            note.add(base, message.name.as_bytes());
        }
        let path = source.note_path();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        // What is there already may be another's link to anything.
        let mut file = open_regular(&path, flags)
            .inspect_err(|error| tracing::debug!(path = %path.display(), %error, "move not noted"))
            .ok()?;
        let written = Self(path);
        match file.write_all(&note.finish()) {
            Ok(()) => Some(written),
            Err(error) => {
                tracing::debug!(path = %written.0.display(), %error, "move not noted");
                written.remove();
                None
            }
        }
    }

    /// The move is over.
    pub(super) fn remove(self) {
        remove(&self.0);
    }
}

/// Removes what has the name of a note.
fn remove(path: &Path) {
    if let Err(error) = replace::remove(path) {
        tracing::warn!(path = %path.display(), %error, "note of a move not removed");
    }
}

/// The bytes of a note.
struct Note(Vec<u8>);

impl Note {
    /// Begins a note of a move into a directory of the root.
    fn to(target: &[u8]) -> Self {
        Self([HEADER, b"\0", target, b"\0"].concat())
    }

    /// Adds a message, if there is still room.
    fn add(&mut self, source: &[u8], copy: &[u8]) {
        if self.0.len() < MOST_OCTETS {
            for base in [source, copy] {
                self.0.extend_from_slice(base);
                self.0.push(0);
            }
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let crc = crc32fast::hash(&self.0);
        self.0.extend(crc.to_le_bytes());
        self.0
    }
}

/// A note that was found.
#[derive(Debug, PartialEq, Eq)]
struct Move<'a> {
    /// The directory of the target in the account's root; empty for the root.
    target: &'a [u8],
    /// The base of each message in the target, by its base in the source.
    messages: HashMap<&'a [u8], &'a [u8]>,
}

impl<'a> Move<'a> {
    /// Reads a note; `None` if it is not whole, or not one that we write: every name is checked to
    /// be that of a mailbox or of a message, and none may be on both sides.
    fn read(bytes: &'a [u8], namespace: &Namespace) -> Option<Self> {
        let (text, crc) = bytes.split_last_chunk()?;
        if crc32fast::hash(text) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut words = text.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        words.next().filter(|header| *header == HEADER)?;
        let target = words.next()?;
        let is_root = target.is_empty();
        if !is_root && (target.contains(&b'/') || namespace.from_directory(target).is_none()) {
            return None;
        }
        let mut messages = HashMap::new();
        let mut copies = HashSet::new();
        while let Some(source) = words.next() {
            let copy = words.next()?;
            if !(is_base(source) && is_base(copy)) {
                return None;
            }
            messages.insert(source, copy);
            copies.insert(copy);
        }
        // Of two links that name each other, both would go.
        let once = messages.keys().all(|source| !copies.contains(source));
        once.then_some(Self { target, messages })
    }
}

fn is_base(base: &[u8]) -> bool {
    FileName::is_message(base) && !base.contains(&b'/') && filename::base(base) == base
}

/// The `cur/` of a target, opened without following a link.
struct Target {
    directory: File,
    /// The names of the files that messages became, by their bases.
    names: HashMap<Vec<u8>, Vec<u8>>,
}

impl Target {
    /// Opens it, and looks for the files.
    fn open(root: &Path, moving: &Move<'_>) -> io::Result<Self> {
        let directory = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let inner = directory | OFlags::NOFOLLOW;
        let mut cur: OwnedFd = openat(CWD, root, directory, Mode::empty())?;
        if !moving.target.is_empty() {
            cur = openat(&cur, OsStr::from_bytes(moving.target), inner, Mode::empty())?;
        }
        cur = openat(&cur, "cur", inner, Mode::empty())?;
        let wanted: HashSet<&[u8]> = moving.messages.values().copied().collect();
        let mut names = HashMap::new();
        for entry in Dir::read_from(&cur)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let base = filename::base(name);
            if wanted.contains(base) {
                names.insert(base.to_vec(), name.to_vec());
            }
        }
        Ok(Self {
            directory: File::from(cur),
            names,
        })
    }

    /// Whether a message became a link to this file.
    fn has(&self, copy: &[u8], (device, inode): (u64, u64)) -> bool {
        let name = self.names.get(copy).map(|name| OsStr::from_bytes(name));
        let found = name.and_then(|name| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            statat(&self.directory, name, flags).ok()
        });
        found.is_some_and(|found| (found.st_dev, found.st_ino) == (device, inode))
    }
}

/// Messages of the source that have arrived in the target.
struct Arrived {
    uids: Vec<Uid>,
    /// Whether a file of the source was not where the index has it.
    astray: bool,
}

impl Mailbox {
    fn note_path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Whether a move was cut off, or is under way in another process.
    pub(in crate::mailbox) fn has_unfinished_move(&self) -> bool {
        self.note_path().symlink_metadata().is_ok()
    }
}

impl Transaction<'_> {
    /// Carries out a move from this mailbox that was cut off. What cannot be carried out stays in
    /// both mailboxes, and the note goes; but on a full disk it is tried again.
    ///
    /// # Errors
    /// If the index could not be written.
    pub(in crate::mailbox) fn finish_move(&mut self) -> Result<()> {
        let mailbox = self.mailbox;
        if !mailbox.has_unfinished_move() || self.index.is_in_memory() {
            return Ok(());
        }
        let path = mailbox.note_path();
        match self.finish_noted(&path) {
            Ok(0) => {}
            Ok(messages) => {
                tracing::info!(mailbox = %mailbox.name, messages, "move finished that was cut off");
            }
            Err(Error::NoSpace) => {
                // What was removed is found missing by the next look.
                self.leave_untold();
                self.mend();
                return Ok(());
            }
            Err(error) if self.is_broken() => return Err(error),
            Err(error) => {
                tracing::warn!(mailbox = %mailbox.name, %error, "move not finished");
            }
        }
        remove(&path);
        Ok(())
    }

    /// Carries out a note; gives the number of messages that were left to be removed.
    fn finish_noted(&mut self, path: &Path) -> Result<usize> {
        let mailbox = self.mailbox;
        let contents = replace::read(path)?;
        let bytes = contents.map(|contents| contents.bytes).unwrap_or_default();
        let options = &mailbox.environment.options;
        let Some(moving) = Move::read(&bytes, &options.namespace) else {
            return Ok(0);
        };
        let target = match Target::open(&mailbox.root, &moving) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            opened => opened.map_err(failed(path))?,
        };
        let mut arrived = self.arrived(&moving, &target);
        if arrived.astray {
            self.scan()?;
            arrived = self.arrived(&moving, &target);
        }
        if arrived.uids.is_empty() {
            return Ok(0);
        }
        if options.fsync != Fsync::Never {
            target.directory.sync_all().map_err(failed(path))?;
        }
        self.remove(&arrived.uids, None)?;
        Ok(arrived.uids.len())
    }

    /// The messages whose files are here and in the target.
    fn arrived(&self, moving: &Move<'_>, target: &Target) -> Arrived {
        let mut arrived = Arrived {
            uids: Vec::new(),
            astray: false,
        };
        for message in self.snapshot().iter() {
            let name = message.file_name();
            let Some(copy) = moving.messages.get(filename::base(name)) else {
                continue;
            };
            let path = message_path(&self.mailbox.directory, message.place(), name);
            match fs::symlink_metadata(path) {
                Ok(file) if file.is_file() && target.has(copy, inode(&file)) => {
                    arrived.uids.push(message.uid());
                }
                Ok(_) => {}
                Err(_) => arrived.astray = true,
            }
        }
        arrived
    }
}

fn inode(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// The note, in the directory of the source.
const FILE: &str = "pillarbox.moving";
/// How it begins.
const HEADER: &[u8] = b"pillarbox moving 1";
/// How long it may become, so that it is read at once: some 8,000 messages.
const MOST_OCTETS: usize = 1 << 20;

#[cfg(test)]
mod tests;
