//! The UIDs that were expunged, with the mod-sequence of it (RFC 7162 §3.2.10): ranges, capped.

use crate::id::{ModSeq, Uid};

/// UIDs that went in one change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VanishedRange {
    pub(crate) first: Uid,
    pub(crate) last: Uid,
    pub(crate) mod_seq: ModSeq,
}

/// All that is remembered of expunged messages, oldest change first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vanished {
    pub(super) ranges: Vec<VanishedRange>,
    /// Up to this mod-sequence, changes may have been forgotten; 0 if none was.
    pub(super) floor: u64,
}

impl Vanished {
    /// The memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.ranges.capacity() * size_of::<VanishedRange>()
    }

    /// The ranges, oldest change first.
    pub(crate) fn ranges(&self) -> &[VanishedRange] {
        &self.ranges
    }

    /// Up to this mod-sequence, changes may have been forgotten; 0 if none was.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds a range; the oldest quarter is forgotten when there are too many.
    pub(super) fn add(&mut self, range: VanishedRange) {
        if let Some(last) = self.ranges.last_mut()
            && last.mod_seq == range.mod_seq
            && last.last.next() == Some(range.first)
        {
            last.last = range.last;
            return;
        }
        if self.ranges.len() >= MAX_RANGES {
            let forgotten = self.ranges.drain(..MAX_RANGES / 4);
            let highest = forgotten.map(|range| range.mod_seq.get()).max();
            self.floor = self.floor.max(highest.unwrap_or_default());
        }
        self.ranges.push(range);
    }
}

/// How many ranges are remembered.
pub(super) const MAX_RANGES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u32, last: u32, mod_seq: u64) -> VanishedRange {
        VanishedRange {
            first: Uid::new(first).unwrap(),
            last: Uid::new(last).unwrap(),
            mod_seq: ModSeq::new(mod_seq).unwrap(),
        }
    }

    #[test]
    fn neighbors_of_one_change_become_one_range() {
        let mut vanished = Vanished::default();
        vanished.add(range(1, 3, 7));
        vanished.add(range(4, 4, 7));
        vanished.add(range(5, 5, 8));
        assert_eq!(vanished.ranges, [range(1, 4, 7), range(5, 5, 8)]);
    }

    #[test]
    fn too_many_ranges_raise_the_floor() {
        let mut vanished = Vanished::default();
        for value in 1..=(1 << 16) + 1 {
            vanished.add(range(value * 2, value * 2, u64::from(value)));
        }
        assert!(vanished.ranges.len() <= MAX_RANGES);
        assert_eq!(vanished.floor, MAX_RANGES as u64 / 4);
        assert!(
            vanished
                .ranges
                .iter()
                .all(|range| range.mod_seq.get() > vanished.floor)
        );
    }
}
