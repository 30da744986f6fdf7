//! Where the records are.

use std::collections::BTreeMap;

use super::format::{CRC, ENTRY, Entry, HEAD};
use crate::id::Uid;

/// Where a record is: 12 octets, for there is one of each kind for every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Whose it is.
    pub(super) uid: Uid,
    /// The offset, in two parts.
    low: u32,
    high: u16,
    length: u16,
}

impl Place {
    /// A record of so many octets whose CRC begins at `offset`; `None` if it is longer, or further
    /// on, than a place can tell.
    fn new(uid: Uid, offset: u64, length: u32) -> Option<Self> {
        Some(Self {
            uid,
            low: u32::try_from(offset & u64::from(u32::MAX)).ok()?,
            high: u16::try_from(offset >> 32).ok()?,
            length: u16::try_from(length).ok()?,
        })
    }

    /// Where its CRC begins, which it follows.
    pub(super) fn offset(&self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    /// The length of the record.
    pub(super) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// The length of CRC and record.
    pub(super) fn stored(&self) -> usize {
        self.length().saturating_add(CRC)
    }

    /// Whether a record follows so closely that both are read at once.
    pub(super) fn is_near(&self, next: &Self) -> bool {
        let between = next.offset().checked_sub(self.end());
        between.is_some_and(|octets| octets <= GAP)
    }

    /// Where the record ends.
    pub(super) fn end(&self) -> u64 {
        self.offset()
            .saturating_add(u64::try_from(self.stored()).unwrap_or(u64::MAX))
    }
}

/// Puts places in order of which the first `known` are: usually only the last of these are
/// concerned, for records that took longer to make are written with those of the next messages.
fn put_in_order(places: &mut Vec<Place>, known: usize) {
    let (old, new) = places.split_at_checked(known).unwrap_or_default();
    let Some(least) = new.iter().map(|place| place.uid).min() else {
        return;
    };
    let mut tail = places.split_off(old.partition_point(|place| place.uid < least));
    tail.sort_unstable_by_key(|place| (place.uid, u64::MAX - place.offset()));
    tail.dedup_by_key(|place| place.uid);
    places.append(&mut tail);
}

/// What two records may have between them to be read at once.
const GAP: u64 = 4 * 1024;

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

    /// The places of one kind, to be looked up for messages that ascend.
    pub(super) fn walk(&self, kind: u8) -> Walk<'_> {
        let places = self.kinds.get(&kind).map_or(&[][..], Vec::as_slice);
        Walk {
            all: places,
            rest: places,
        }
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
            let known = places.len();
            let mut ascending = true;
            for entry in same {
                if let Some(place) = Place::new(entry.uid, offset, entry.length) {
                    ascending &= places.last().is_none_or(|last| last.uid < place.uid);
                    places.push(place);
                }
                offset = offset.saturating_add(entry.stored());
            }
            if !ascending {
                put_in_order(places, known);
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
        all.sort_unstable_by_key(|(_, place)| place.offset());
        all
    }

    /// The memory they take.
    pub(super) fn bytes(&self) -> usize {
        let places = self.kinds.values().map(Vec::capacity);
        places.sum::<usize>() * size_of::<Place>()
    }
}

/// Looks up the places of messages, fastest if they ascend.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    all: &'a [Place],
    /// Those of the messages that were not passed yet.
    rest: &'a [Place],
}

impl Walk<'_> {
    /// Where a message's record is.
    pub(super) fn find(&mut self, uid: Uid) -> Option<Place> {
        // Usually it is the next one.
        if self.rest.first().is_none_or(|next| next.uid != uid) {
            let at = self.all.partition_point(|place| place.uid < uid);
            self.rest = self.all.get(at..).unwrap_or_default();
        }
        let (place, rest) = self.rest.split_first().filter(|it| it.0.uid == uid)?;
        self.rest = rest;
        Some(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    #[test]
    fn a_place_tells_far_offsets() {
        let offset = 0xFEDC_BA98_7654;
        let place = Place::new(uid(1), offset, 8192).unwrap();
        assert_eq!((place.offset(), place.length()), (offset, 8192));
        assert_eq!(place.end(), offset + 4 + 8192);
        assert_eq!(Place::new(uid(1), 1 << 48, 1), None);
        assert_eq!(Place::new(uid(1), 1, 1 << 16), None);
        assert_eq!(size_of::<Place>(), 12);
    }

    #[test]
    fn records_are_found_in_whatever_order_they_came() {
        // Of each message the last record counts, here known by its length.
        let frames: [&[u32]; 6] = [
            &[5, 6, 9],
            &[7, 10, 11],
            &[12, 9, 9],
            &[1],
            &[1, 20],
            &[2, 6],
        ];
        let mut places = Places::default();
        let (mut offset, mut length, mut last) = (0, 0, BTreeMap::new());
        for frame in frames {
            let entries = frame.iter().map(|number| {
                length += 1;
                last.insert(*number, length);
                Entry {
                    uid: uid(*number),
                    kind: 1,
                    length,
                }
            });
            offset = places.apply(offset, &entries.collect::<Vec<_>>());
            for number in 1..=21 {
                let found = places.find(1, uid(number)).map(|place| place.length());
                let expected = last.get(&number).map(|length| *length as usize);
                assert_eq!(found, expected, "{number} after {frame:?}");
            }
        }
    }

    #[test]
    fn a_walk_finds_what_a_search_finds() {
        let mut places = Places::default();
        let entry = |number: &u32| Entry {
            uid: uid(*number),
            kind: 1,
            length: *number,
        };
        places.apply(0, &[2, 3, 7, 8, 9].iter().map(entry).collect::<Vec<_>>());
        let mut walk = places.walk(1);
        for number in [1, 2, 3, 4, 8, 9, 10, 3, 2, 7] {
            assert_eq!(
                walk.find(uid(number)),
                places.find(1, uid(number)),
                "{number}"
            );
        }
        assert_eq!(places.walk(2).find(uid(2)), None);
    }
}
