//! The file `pillarbox.cache`: what protocols have made of messages, so that they need not be read
//! and parsed again.
//!
//! A record belongs to a message and has a *kind*; what is in it is the business of whoever made
//! it. Messages never change, so a record is right for as long as the mailbox has its UIDVALIDITY.
//! Nothing is ever only here: a record that is lost or damaged is made again, and whatever goes
//! wrong with this file is never an error.
//!
//! # Format
//!
//! Little endian (`format`). A header: magic with the version, UIDVALIDITY, a *generation*, CRC.
//! Then frames, each with the records of one append: their number, the octets that follow the
//! table, a CRC of both and of the table; the table (UID, kind, length); the records, each after
//! its own CRC. The generation, a random number, is part of every CRC, so that left-over octets
//! never come back to life. The base name of the message's file is part of its records' CRC, so
//! that they are no other message's, even if an old index was put back and UIDs are given again.
//! The first frame that is not whole ends the file; a damaged record is only missed.
//!
//! # Races
//!
//! - Readers take no lock. They open the file for each call, apply the tables behind the point up
//!   to which they know the file, and check every record by its CRC.
//! - Writers have the kernel's lock on the file itself, and drop what they wanted to add if
//!   somebody else has it. After a look at what others added, and having cut off what is no whole
//!   frame, they append one frame. The file may have been replaced while they opened it; then they
//!   drop what they wanted to add, too.
//! - A file of another UIDVALIDITY or version is emptied under the lock and begun anew.
//! - When dead records outweigh the others, the live ones go into `pillarbox.cache.tmp`, which is
//!   renamed over the file, under the lock. Who still has the old file open reads it to the end.
//!
//! Nothing is ever forced to the disk: after a power cut, the CRCs sort out what is left.
//!
//! # Size
//!
//! A record has [`MAX_OCTETS`] at the most. In memory, while the mailbox is, are 12 octets for
//! each.

mod format;
mod known;
mod places;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::filename::base;
use crate::id::{Uid, UidValidity};
use crate::replace::{Replacement, failed, open_regular};
use crate::snapshot::{Message, Snapshot};
use format::{Frame, Header};
use known::{Identity, Known};
use places::Place;

/// A record: whose, of what kind, and what.
pub type Record = (Uid, u8, Vec<u8>);

/// How long a record may be; longer ones are not kept.
pub const MAX_OCTETS: usize = 8 * 1024;

/// The cache of one mailbox.
#[derive(Debug)]
pub(crate) struct Cache {
    path: PathBuf,
    known: Mutex<Known>,
    /// The memory it takes, for those who must not wait.
    bytes: AtomicUsize,
}

/// A record that is to be read.
#[derive(Debug)]
struct Wanted<'a> {
    place: Place,
    /// Where its message is among those that were asked for.
    index: usize,
    /// The base name of the message's file.
    name: &'a [u8],
}

/// What was found for some messages, in their order.
#[derive(Debug, Default)]
pub struct Cached {
    /// What was read lies at the front; the rest was of use earlier.
    octets: Vec<u8>,
    read: usize,
    found: Vec<Option<Range<usize>>>,
}

impl Cached {
    /// The record of the message at this place among those that were asked for.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.octets.get(self.found.get(index)?.clone()?)
    }

    /// For how many messages was looked, from the first one on.
    pub fn looked(&self) -> usize {
        self.found.len()
    }

    /// Begins anew, for so many messages, in the same memory.
    pub(crate) fn restart(&mut self, messages: usize) {
        self.read = 0;
        self.found.clear();
        self.found.resize(messages, None);
    }

    /// Reads a run at once; says whether all of it is as it was written.
    fn read_run(&mut self, file: &File, generation: u64, kind: u8, run: &[Wanted<'_>]) -> bool {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return true;
        };
        let (origin, start) = (first.place.offset(), self.read);
        let length = usize::try_from(last.place.end() - origin).unwrap_or(0);
        self.read = start + length;
        if self.octets.len() < self.read {
            self.octets.resize(self.read, 0);
        }
        let piece = self.octets.get_mut(start..self.read).unwrap_or_default();
        if file.read_exact_at(piece, origin).is_err() {
            return false;
        }
        let mut whole = true;
        for Wanted { place, index, name } in run {
            let from = usize::try_from(place.offset() - origin).unwrap_or(length);
            let stored = piece.get(from..from + place.stored()).unwrap_or_default();
            if !format::is_whole(generation, kind, place.uid, name, stored) {
                whole = false;
            } else if let Some(found) = self.found.get_mut(*index) {
                let from = start + from + format::CRC;
                *found = Some(from..from + place.length());
            }
        }
        whole
    }
}

impl Cache {
    /// The cache of the mailbox in `directory`. Nothing is read yet.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
            known: Mutex::default(),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Reads records of one kind, in few pieces where they lie together, in the place of what
    /// `cached` had: about `most` octets, and one record at the least if there is one.
    pub(crate) fn read(
        &self,
        uid_validity: UidValidity,
        messages: &[Message<'_>],
        (kind, most): (u8, u64),
        cached: &mut Cached,
    ) {
        cached.restart(messages.len());
        match self.read_into(uid_validity, messages, (kind, most), cached) {
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => tracing::debug!(%error, "cache not read"),
        }
    }

    /// Adds records that are not there yet, of messages that are in `newest`. `random` is for the
    /// generation of a new file.
    pub(crate) fn add(&self, newest: &Snapshot, random: u64, mut records: Vec<Record>) {
        records.retain(|(.., octets)| octets.len() <= MAX_OCTETS);
        if records.is_empty() {
            return;
        }
        match self.append(newest, random, records) {
            Ok(()) | Err(Error::NotFound | Error::NoPermission { .. }) => {}
            Err(error) => tracing::debug!(%error, "cache not written"),
        }
    }

    fn read_into(
        &self,
        uid_validity: UidValidity,
        messages: &[Message<'_>],
        (kind, most): (u8, u64),
        cached: &mut Cached,
    ) -> Result<()> {
        let failed = || failed(&self.path);
        let file = open_regular(&self.path, OFlags::RDONLY)?;
        let mut known = self.known();
        known.refresh(&file, uid_validity).map_err(failed())?;
        self.count(&known);
        let Some(identity) = known.identity else {
            return Ok(());
        };
        let mut wanted = Vec::with_capacity(messages.len());
        let mut places = known.places.walk(kind);
        let mut octets = 0;
        for (index, message) in messages.iter().enumerate() {
            if let Some(place) = places.find(message.uid()) {
                let last: Option<&Wanted<'_>> = wanted.last();
                let from = last.filter(|last| last.place.is_near(&place));
                let from = from.map_or(place.offset(), |last| last.place.end());
                octets += place.end() - from;
                if octets > most && !wanted.is_empty() {
                    cached.found.truncate(index);
                    break;
                }
                wanted.push(Wanted {
                    place,
                    index,
                    name: base(message.file_name()),
                });
            }
        }
        drop(known);
        let mut bad = Vec::new();
        for run in runs(&wanted) {
            if !cached.read_run(&file, identity.generation, kind, run) {
                let found = |it: &&Wanted<'_>| matches!(cached.found.get(it.index), Some(Some(_)));
                bad.extend(run.iter().filter(|it| !found(it)).map(|it| it.place));
            }
        }
        if !bad.is_empty() {
            let mut known = self.known();
            if known.identity == Some(identity) {
                known.places.forget(kind, &bad);
            }
        }
        Ok(())
    }

    fn append(&self, newest: &Snapshot, random: u64, mut records: Vec<Record>) -> Result<()> {
        let failed = || failed(&self.path);
        let mut known = self.known();
        records.retain(|(uid, kind, _)| known.places.find(*kind, *uid).is_none());
        if records.is_empty() {
            return Ok(());
        }
        let file = open_regular(&self.path, OFlags::RDWR | OFlags::CREATE)?;
        if file.try_lock().is_err() || !self.is_current(&file).map_err(failed())? {
            return Ok(());
        }
        known
            .refresh(&file, newest.uid_validity())
            .map_err(failed())?;
        let identity = match known.identity {
            Some(identity) => identity,
            None => known
                .restart(&file, newest.uid_validity(), random)
                .map_err(failed())?,
        };
        // Somebody else may have been faster.
        records.retain(|(uid, kind, _)| known.places.find(*kind, *uid).is_none());
        // Records of one kind lie together.
        records.sort_by_key(|(uid, kind, _)| (*kind, *uid));
        records.dedup_by_key(|(uid, kind, _)| (*kind, *uid));
        let named = |record: Record| Some((name(newest, record.0)?, record));
        let records: Vec<_> = records.into_iter().filter_map(named).collect();
        if records.is_empty() {
            return Ok(());
        }
        let frame = Frame::new(identity.generation, &records);
        if let Err(error) = known.append(&file, &frame) {
            // What is only half there must not stay in the way; if it does, the next writer cuts it.
            drop(file.set_len(known.offset));
            return Err(failed()(error));
        }
        if known.offset >= known.check_at {
            self.compact(&mut known, &file, newest, random)?;
        }
        self.count(&known);
        Ok(())
    }

    /// Puts the live records into a new file, if the dead ones outweigh them.
    fn compact(
        &self,
        known: &mut Known,
        file: &File,
        newest: &Snapshot,
        random: u64,
    ) -> Result<()> {
        let mut live = known.places.all();
        live.retain(|(_, place)| newest.by_uid(place.uid).is_some());
        let live_octets: u64 = live
            .iter()
            .map(|(_, place)| place.end() - place.offset())
            .sum();
        let dead_octets = known.offset.saturating_sub(live_octets);
        known.check_at = known.offset.max(SMALL).saturating_mul(2);
        if dead_octets < SMALL || dead_octets < live_octets {
            return Ok(());
        }
        let Some(Identity { generation, .. }) = known.identity else {
            return Ok(());
        };
        let replacement = Replacement::begin(&self.path)?;
        replacement.commit_unforced(|to| {
            let uid_validity = newest.uid_validity();
            let new = Header {
                uid_validity,
                generation: random,
            };
            to.write_all_at(&new.encode(), 0)?;
            let mut end = format::HEADER_OCTETS;
            for some in live.chunks(RECORDS_PER_FRAME) {
                let mut records = Vec::new();
                for &(kind, place) in some {
                    let uid = place.uid;
                    let Some(name) = name(newest, uid) else {
                        continue;
                    };
                    let mut stored = vec![0; place.stored()];
                    file.read_exact_at(&mut stored, place.offset())?;
                    if format::is_whole(generation, kind, uid, name, &stored) {
                        records.push((name, (uid, kind, stored.split_off(format::CRC))));
                    }
                }
                if records.is_empty() {
                    continue;
                }
                let frame = Frame::new(random, &records);
                to.write_all_at(&frame.octets, end)?;
                end += frame.length();
            }
            Ok(())
        })?;
        // Read anew by whoever needs it next.
        *known = Known::default();
        Ok(())
    }

    /// Whether an open file is the one that has the name now.
    fn is_current(&self, file: &File) -> io::Result<bool> {
        let (ours, named) = (file.metadata()?, std::fs::symlink_metadata(&self.path)?);
        Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
    }

    /// Notes the memory it takes.
    fn count(&self, known: &Known) {
        self.bytes.store(known.places.bytes(), Ordering::Relaxed);
    }

    /// What is known; nothing, if a thread panicked while it had it.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| {
            self.known.clear_poison();
            let mut known = poisoned.into_inner();
            *known = Known::default();
            known
        })
    }
}

/// Splits places into runs of which each is read at once.
fn runs<'w, 'n>(wanted: &'w [Wanted<'n>]) -> impl Iterator<Item = &'w [Wanted<'n>]> {
    let mut start = wanted.first().map_or(0, |first| first.place.offset());
    wanted.chunk_by(move |Wanted { place, .. }, Wanted { place: next, .. }| {
        let joined = place.is_near(next) && next.end() - start <= RUN;
        if !joined {
            start = next.offset();
        }
        joined
    })
}

/// The base name of a message's file.
fn name(newest: &Snapshot, uid: Uid) -> Option<&[u8]> {
    Some(base(newest.by_uid(uid)?.file_name()))
}

/// The name of the file.
const FILE: &str = "pillarbox.cache";

/// How much is read at once.
const RUN: u64 = 128 * 1024;

/// How many dead octets are never worth a new file.
const SMALL: u64 = 256 * 1024;

/// How many records a frame has in a file made anew.
const RECORDS_PER_FRAME: usize = 256;
