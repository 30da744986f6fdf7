//! Where the records are.

use std::collections::BTreeMap;

use super::format::{CRC, ENTRY, Entry, HEAD};
use crate::id::Uid;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its CRC begins, which it follows.
    pub(super) offset: u64,
    /// Whose it is.
    pub(super) uid: Uid,
    length: u32,
}

impl Place {
    /// The length of the record.
    pub(super) fn length(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// The length of CRC and record.
    pub(super) fn stored(&self) -> usize {
        self.length().saturating_add(CRC)
    }

    /// Where the record ends.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::try_from(self.stored()).unwrap_or(u64::MAX)
    }
}

/// The places of all records, by kind and then by UID.
#[derive(Debug, Default)]
pub(super) struct Places {
    kinds: BTreeMap<u8, Vec<Place>>,
}

impl Places {
    /// Where a message's record of a kind is.
    pub(super) fn find(&self, kind: u8, uid: Uid) -> Option<Place> {
        let places = self.kinds.get(&kind)?;
        let index = places.binary_search_by_key(&uid, |place| place.uid).ok()?;
        places.get(index).copied()
    }

    /// Adds what the frame at `offset` has; says where it ends. Of two records, the later counts.
    pub(super) fn apply(&mut self, offset: u64, table: &[Entry]) -> u64 {
        let head = HEAD + table.len() * ENTRY;
        let mut offset = offset + u64::try_from(head).unwrap_or(u64::MAX);
        for same in table.chunk_by(|one, other| one.kind == other.kind) {
            let Some(kind) = same.first().map(|entry| entry.kind) else {
                continue;
            };
            let places = self.kinds.entry(kind).or_default();
            let mut ascending = true;
            for entry in same {
                let place = Place {
                    offset,
                    uid: entry.uid,
                    length: entry.length,
                };
                ascending &= places.last().is_none_or(|last| last.uid < place.uid);
                places.push(place);
                offset = place.end();
            }
            if !ascending {
                places.sort_unstable_by_key(|place| (place.uid, u64::MAX - place.offset));
                places.dedup_by_key(|place| place.uid);
            }
        }
        offset
    }

    /// Forgets records that turned out to be damaged.
    pub(super) fn forget(&mut self, kind: u8, bad: &[Place]) {
        let places = self.kinds.entry(kind).or_default();
        places.retain(|place| !bad.contains(place));
    }

    /// All of them, in the order of the file.
    pub(super) fn all(&self) -> Vec<(u8, Place)> {
        let kinds = self.kinds.iter();
        let places = kinds.flat_map(|(kind, places)| places.iter().map(|place| (*kind, *place)));
        let mut all: Vec<(u8, Place)> = places.collect();
        all.sort_unstable_by_key(|(_, place)| place.offset);
        all
    }

    /// The memory they take.
    pub(super) fn bytes(&self) -> usize {
        let places = self.kinds.values().map(Vec::capacity);
        places.sum::<usize>() * size_of::<Place>()
    }
}
