//! What is in `new/` and `cur/`: many names, read and looked up without an allocation for each.

use std::hash::{BuildHasher, RandomState};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};

use crate::error::{Error, Result};
use crate::filename::{self, FileName, SortKey};
use crate::flag::FlagSet;
use crate::replace::failed;
use crate::snapshot::Place;

/// A file in a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    start: u32,
    length: u8,
    /// How much of the name is its base.
    base: u8,
    pub(super) place: Place,
}

/// A file that is not in the index, and what its name says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unlisted {
    pub(super) file: File,
    pub(super) flags: FlagSet,
    /// When it came, in seconds since 1970, 0 if that was not asked or cannot be told.
    pub(super) saved: u32,
}

/// Files of a [`Listing`] in the order in which messages that are found get their UIDs.
#[derive(Debug)]
pub(super) struct Sorted {
    /// A part of the time in the name, and the number of the file.
    order: Vec<(u64, u32)>,
    /// Whether two of them have the same base.
    pub(super) has_twins: bool,
}

/// Files and their names, which are all in one place.
#[derive(Debug, Default)]
pub(super) struct Listing {
    names: Vec<u8>,
    files: Vec<File>,
}

impl Listing {
    /// With room for so many files.
    pub(super) fn with_capacity(files: usize) -> Self {
        Self {
            names: Vec::with_capacity(files.saturating_mul(TYPICAL_NAME)),
            files: Vec::with_capacity(files),
        }
    }

    /// Adds a file. A name that no file can have is left out.
    pub(super) fn push(&mut self, name: &[u8], place: Place) -> Result<()> {
        let length = |octets: &[u8]| u8::try_from(octets.len()).ok();
        if let (Some(base), Some(length)) = (length(filename::base(name)), length(name)) {
            let start = u32::try_from(self.names.len());
            self.files.push(File {
                start: start.map_err(|_| Error::Limit("messages in a mailbox"))?,
                length,
                base,
                place,
            });
            self.names.extend_from_slice(name);
        }
        Ok(())
    }

    /// Adds the regular files in the directory of `place` that may be messages. Gives the names
    /// that have no base.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn read(&mut self, directory: &Path, place: Place) -> Result<Vec<Vec<u8>>> {
        let path = directory.join(place.directory());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = rustix::fs::openat(CWD, &path, flags, Mode::empty());
        let open = open.map_err(|error| failed(&path)(error.into()))?;
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(&open, &mut buffer);
        let mut baseless = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| failed(&path)(error.into()))?;
            let name = entry.file_name();
            // Some file systems do not tell the type; a file that is gone meanwhile has none.
            let kind = entry.file_type();
            let is_file = kind.is_file() || (kind == FileType::Unknown && is_regular(&open, name));
            let name = name.to_bytes();
            if !is_file {
                continue;
            }
            if FileName::is_message(name) {
                self.push(name, place)?;
            } else if name.first() == Some(&b':') {
                baseless.push(name.to_vec());
            }
        }
        Ok(baseless)
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The files, numbered from 0.
    pub(super) fn numbers(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.files.len()).unwrap_or(u32::MAX)
    }

    /// A file by its number.
    pub(super) fn get(&self, number: u32) -> Option<File> {
        let number = usize::try_from(number).ok()?;
        self.files.get(number).copied()
    }

    /// A file's name.
    pub(super) fn name(&self, file: File) -> &[u8] {
        self.octets(file.start, file.length)
    }

    /// The part of a file's name that is its identity.
    pub(super) fn base(&self, file: File) -> &[u8] {
        self.octets(file.start, file.base)
    }

    /// The files but those that `known` marks by their numbers, in the order in which messages that
    /// are found get their UIDs.
    pub(super) fn unknown(&self, known: &[bool]) -> Vec<Unlisted> {
        let numbered = self.numbers().zip(known);
        let unknown = numbered.filter_map(|(number, known)| (!known).then_some(number));
        self.unlisted(&self.sorted(unknown))
    }

    /// All files in that order.
    pub(super) fn all_sorted(&self) -> Sorted {
        self.sorted(self.numbers())
    }

    fn sorted(&self, numbers: impl Iterator<Item = u32>) -> Sorted {
        let key = |number| Some(SortKey::new(self.base(self.get(number)?)).coarse());
        let order = numbers.filter_map(|number| Some((key(number)?, number)));
        let mut order: Vec<(u64, u32)> = order.collect();
        // Numbers are compared faster than names, and few times are equal.
        order.sort_unstable_by_key(|(time, _)| *time);
        let mut has_twins = false;
        for equal in order.chunk_by_mut(|(a, _), (b, _)| a == b) {
            if equal.len() > 1 {
                let base = |number| self.get(number).map(|file| SortKey::new(self.base(file)));
                equal.sort_unstable_by(|(_, a), (_, b)| base(*a).cmp(&base(*b)));
                let mut pairs = equal.windows(2);
                has_twins |= pairs.any(|pair| match pair {
                    [(_, a), (_, b)] => base(*a) == base(*b),
                    _ => false,
                });
            }
        }
        Sorted { order, has_twins }
    }

    /// What the names of files say.
    pub(super) fn unlisted(&self, sorted: &Sorted) -> Vec<Unlisted> {
        let files = sorted.order.iter();
        let files = files.filter_map(|(_, number)| self.get(*number));
        let unlisted = files.map(|file| Unlisted {
            file,
            flags: filename::flags(self.name(file)),
            saved: 0,
        });
        unlisted.collect()
    }

    /// Asks the file system when files came: a file's ctime is set when it gets its name in a
    /// directory, and nobody can set it to another time.
    pub(super) fn ask_when_saved(&self, directory: &Path, files: &mut [Unlisted]) {
        for place in [Place::New, Place::Cur] {
            let mut files = files.iter_mut().filter(|it| it.file.place == place);
            let Some(first) = files.next() else {
                continue;
            };
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let path = directory.join(place.directory());
            let Ok(open) = rustix::fs::openat(CWD, &path, flags, Mode::empty()) else {
                continue;
            };
            for unlisted in std::iter::once(first).chain(files) {
                let name = std::ffi::OsStr::from_bytes(self.name(unlisted.file));
                let metadata = rustix::fs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW);
                // What is gone by now will be found missing.
                let saved = metadata.ok().map(|metadata| metadata.st_ctime);
                let saved = saved.and_then(|seconds| u32::try_from(seconds).ok());
                unlisted.saved = saved.unwrap_or_default();
            }
        }
    }

    fn octets(&self, start: u32, length: u8) -> &[u8] {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::from(length));
        self.names.get(start..end).unwrap_or_default()
    }
}

fn is_regular(directory: &impl std::os::fd::AsFd, name: &std::ffi::CStr) -> bool {
    let metadata = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    metadata.is_ok_and(|metadata| FileType::from_raw_mode(metadata.st_mode).is_file())
}

/// Finds files of a [`Listing`] by their bases: open addressing, half full at the most.
#[derive(Debug)]
pub(super) struct Bases {
    /// The upper half of the hash and the number of the file plus one, or 0.
    slots: Vec<u64>,
    keys: (u64, u64),
    /// The files that have given way to others with the same bases.
    left_out: Vec<u32>,
}

impl Bases {
    /// For so many files.
    pub(super) fn with_capacity(files: usize) -> Self {
        let state = RandomState::new();
        Self {
            slots: vec![0; files.saturating_mul(2).next_power_of_two().max(8)],
            keys: (state.hash_one(1u8) | 1, state.hash_one(2u8)),
            left_out: Vec::new(),
        }
    }

    /// Puts a file in, unless there is one with this base: then gives the number of that.
    pub(super) fn insert(&mut self, listing: &Listing, number: u32) -> Option<u32> {
        let base = listing.base(listing.get(number)?);
        let hash = self.hash(base);
        match self.look(listing, base, hash) {
            Ok(other) => {
                self.left_out.push(number);
                Some(other)
            }
            Err(free) => {
                if let Some(slot) = self.slots.get_mut(free) {
                    *slot = (hash & TAG) | (u64::from(number) + 1);
                }
                None
            }
        }
    }

    /// Puts a file in the place of another with the same base.
    pub(super) fn replace(&mut self, listing: &Listing, number: u32) {
        let Some(file) = listing.get(number) else {
            return;
        };
        let base = listing.base(file);
        let hash = self.hash(base);
        let at = match self.find_slot(listing, base, hash) {
            Ok((at, other)) => {
                self.left_out.push(other);
                at
            }
            Err(at) => at,
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (hash & TAG) | (u64::from(number) + 1);
        }
    }

    /// The number of the file with this base.
    pub(super) fn find(&self, listing: &Listing, base: &[u8]) -> Option<u32> {
        self.look(listing, base, self.hash(base)).ok()
    }

    /// The files of the listing that are not in it, because others have the same bases.
    pub(super) fn left_out(&self) -> &[u32] {
        &self.left_out
    }

    fn look(&self, listing: &Listing, base: &[u8], hash: u64) -> Result<u32, usize> {
        self.find_slot(listing, base, hash)
            .map(|(_, number)| number)
    }

    /// The slot of a base and what is in it, or the slot where it would be.
    fn find_slot(
        &self,
        listing: &Listing,
        base: &[u8],
        hash: u64,
    ) -> std::result::Result<(usize, u32), usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or_default() & mask;
        loop {
            let slot = self.slots.get(at).copied().unwrap_or_default();
            let Some(number) = number_in(slot) else {
                return Err(at);
            };
            let same = |file| listing.base(file) == base;
            if slot & TAG == hash & TAG && listing.get(number).is_some_and(same) {
                return Ok((at, number));
            }
            at = at.wrapping_add(1) & mask;
        }
    }

    /// Multiplies eight octets at a time; the keys are random, so that nobody can prepare names
    /// that collide.
    fn hash(&self, base: &[u8]) -> u64 {
        let mut hash = self.keys.1;
        let mut mix = |word: u64| {
            let product = u128::from(hash ^ word) * u128::from(self.keys.0 ^ MULTIPLIER);
            let folded = (product >> 64) ^ product;
            hash = u64::try_from(folded & u128::from(u64::MAX)).unwrap_or_default();
        };
        let (words, rest) = base.as_chunks();
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        mix(u64::from_le_bytes(last));
        mix(u64::try_from(base.len()).unwrap_or_default());
        hash
    }
}

fn number_in(slot: u64) -> Option<u32> {
    u32::try_from(slot & !TAG).ok()?.checked_sub(1)
}

/// The octets read from a directory at once.
const BUFFER: usize = 64 * 1024;
/// How long a name is, more or less.
const TYPICAL_NAME: usize = 56;
/// The part of a slot that is from the hash.
const TAG: u64 = !(u32::MAX as u64);
/// An odd number with ones and zeros all over.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let mut listing = Listing::with_capacity(names.len());
        for name in names {
            listing.push(name.as_bytes(), Place::Cur).unwrap();
        }
        listing
    }

    #[test]
    fn files_are_found_by_their_bases() {
        let names: Vec<String> = (0..5000).map(|n| format!("{n}.M{n}P1.host:2,S")).collect();
        let listing = listing(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut bases = Bases::with_capacity(names.len());
        for number in listing.numbers() {
            assert_eq!(bases.insert(&listing, number), None);
        }
        for number in listing.numbers() {
            let base = format!("{number}.M{number}P1.host");
            assert_eq!(bases.find(&listing, base.as_bytes()), Some(number));
        }
        assert_eq!(bases.find(&listing, b"5000.M5000P1.host"), None);
        assert_eq!(bases.find(&listing, b""), None);
        assert_eq!(bases.left_out(), []);
    }

    #[test]
    fn a_second_file_with_a_base_is_told() {
        let listing = listing(&["1.a:2,S", "1.b", "1.a"]);
        let mut bases = Bases::with_capacity(3);
        assert_eq!(bases.insert(&listing, 0), None);
        assert_eq!(bases.insert(&listing, 1), None);
        assert_eq!(bases.insert(&listing, 2), Some(0));
        assert_eq!(bases.find(&listing, b"1.a"), Some(0));
        bases.replace(&listing, 2);
        assert_eq!(bases.find(&listing, b"1.a"), Some(2));
        assert_eq!(bases.left_out(), [2, 0]);
    }

    #[test]
    fn a_listing_takes_regular_files_alone() {
        let directory = tempfile::tempdir().unwrap();
        let cur = directory.path().join("cur");
        std::fs::create_dir_all(cur.join("2.directory")).unwrap();
        for name in ["1.a:2,S", "3.b", ".hidden", ":2,S"] {
            std::fs::write(cur.join(name), "").unwrap();
        }
        std::os::unix::fs::symlink("1.a:2,S", cur.join("4.link")).unwrap();
        let mut listing = Listing::default();
        let baseless = listing.read(directory.path(), Place::Cur).unwrap();
        assert_eq!(baseless, [b":2,S"]);
        let unknown = listing.unknown(&[false; 2]);
        let names: Vec<&[u8]> = unknown.iter().map(|it| listing.name(it.file)).collect();
        assert_eq!(names, [b"1.a:2,S".as_slice(), b"3.b"]);
        assert!(listing.read(directory.path(), Place::New).is_err());
    }
}
