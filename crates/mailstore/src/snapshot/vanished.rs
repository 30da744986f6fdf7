//! The UIDs that were expunged, with the mod-sequence of it (RFC 7162 §3.2.10): ranges, capped.
//!
//! Snapshots share what is remembered: ranges are in runs of 512, and a change copies only the
//! last of them. They are in the order of their changes, so what came after a mod-sequence is at
//! the end, and finding it costs nothing for what came before.

use std::sync::Arc;

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
    /// None is empty.
    runs: Vec<Arc<Vec<VanishedRange>>>,
    len: usize,
    /// Up to this mod-sequence, changes may have been forgotten; 0 if none was.
    floor: u64,
}

impl Vanished {
    /// What an index file says.
    pub(crate) fn of(ranges: impl Iterator<Item = VanishedRange>, floor: u64) -> Self {
        let mut vanished = Self {
            floor,
            ..Self::default()
        };
        ranges.for_each(|range| vanished.push(range));
        vanished
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let runs = self.runs.iter();
        let ranges: usize = runs.map(|run| run.capacity()).sum();
        ranges * size_of::<VanishedRange>() + self.runs.capacity() * RUN_BYTES
    }

    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The ranges, oldest change first.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = &VanishedRange> {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// The ranges of changes after a mod-sequence (0 is before all), oldest change first.
    pub(crate) fn after(&self, mod_seq: u64) -> impl Iterator<Item = &VanishedRange> {
        let is_before = move |range: &VanishedRange| range.mod_seq.get() <= mod_seq;
        let first = self
            .runs
            .partition_point(|run| run.last().is_some_and(is_before));
        let runs = self.runs.get(first..).unwrap_or_default().iter();
        runs.flat_map(move |run| {
            let from = run.partition_point(is_before);
            run.get(from..).unwrap_or_default()
        })
    }

    /// Up to this mod-sequence, changes may have been forgotten; 0 if none was.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// Adds a range; the oldest quarter is forgotten when there are too many.
    pub(crate) fn add(&mut self, range: VanishedRange) {
        if let Some(last) = self.runs.last_mut().map(Arc::make_mut)
            && let Some(last) = last.last_mut()
            && last.mod_seq == range.mod_seq
            && last.last.next() == Some(range.first)
        {
            last.last = range.last;
            return;
        }
        if self.len >= MAX_RANGES {
            self.forget_oldest();
        }
        self.push(range);
    }

    /// Forgets everything up to a mod-sequence: there may have been changes that are not known.
    pub(crate) fn forget(&mut self, mod_seq: ModSeq) {
        if mod_seq.get() <= self.floor {
            return;
        }
        let left: Vec<VanishedRange> = self.after(mod_seq.get()).copied().collect();
        *self = Self::of(left.into_iter(), mod_seq.get());
    }

    fn forget_oldest(&mut self) {
        let highest = self.ranges().nth(MAX_RANGES / 4 - 1);
        if let Some(highest) = highest.map(|range| range.mod_seq) {
            self.forget(highest);
        }
    }

    fn push(&mut self, range: VanishedRange) {
        match self.runs.last_mut() {
            Some(run) if run.len() < RUN => Arc::make_mut(run).push(range),
            _ => self.runs.push(Arc::new(vec![range])),
        }
        self.len += 1;
    }
}

/// How many ranges are remembered.
const MAX_RANGES: usize = 1 << 16;
/// How many ranges are shared together.
const RUN: usize = 512;
/// What a run takes besides its ranges: its place, its two counts of references, itself.
const RUN_BYTES: usize = 3 * size_of::<usize>() + size_of::<Vec<VanishedRange>>();

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

    fn many(count: u32) -> Vanished {
        let mut vanished = Vanished::default();
        for value in 1..=count {
            vanished.add(range(value * 2, value * 2, u64::from(value)));
        }
        vanished
    }

    #[test]
    fn neighbors_of_one_change_become_one_range() {
        let mut vanished = Vanished::default();
        vanished.add(range(1, 3, 7));
        vanished.add(range(4, 4, 7));
        vanished.add(range(5, 5, 8));
        let ranges: Vec<_> = vanished.ranges().copied().collect();
        assert_eq!(ranges, [range(1, 4, 7), range(5, 5, 8)]);
    }

    #[test]
    fn what_came_after_a_mod_sequence_is_found_in_every_run() {
        let vanished = many(1500);
        for mod_seq in [0, 1, 511, 512, 513, 1023, 1024, 1499, 1500, 1501] {
            let after: Vec<u64> = vanished.after(mod_seq).map(|it| it.mod_seq.get()).collect();
            let expected: Vec<u64> = (mod_seq + 1..=1500).collect();
            assert_eq!(after, expected, "{mod_seq}");
        }
    }

    #[test]
    fn too_many_ranges_raise_the_floor() {
        let vanished = many((1 << 16) + 1);
        assert_eq!(vanished.len(), MAX_RANGES / 4 * 3 + 1);
        assert_eq!(vanished.floor(), MAX_RANGES as u64 / 4);
        let first = vanished.ranges().next().unwrap().mod_seq.get();
        assert_eq!(first, vanished.floor() + 1);
    }

    #[test]
    fn a_change_is_never_forgotten_by_halves() {
        let mut vanished = Vanished::default();
        for value in 1..=(1 << 16) + 1 {
            let mod_seq = if value < 20_000 { 1 } else { 2 };
            vanished.add(range(value * 2, value * 2, mod_seq));
        }
        assert_eq!(vanished.floor(), 1);
        assert!(vanished.ranges().all(|range| range.mod_seq.get() == 2));
    }

    #[test]
    fn what_is_forgotten_on_request_does_not_come_back() {
        let mut vanished = many(1000);
        vanished.forget(ModSeq::new(600).unwrap());
        assert_eq!((vanished.len(), vanished.floor()), (400, 600));
        vanished.forget(ModSeq::new(5).unwrap());
        assert_eq!((vanished.len(), vanished.floor()), (400, 600));
        assert_eq!(vanished.after(0).count(), 400);
    }

    #[test]
    fn a_copy_shares_all_but_the_last_run() {
        let vanished = many(2000);
        let mut changed = vanished.clone();
        changed.add(range(5000, 5000, 2001));
        let shared = vanished.runs.iter().zip(&changed.runs);
        assert_eq!(shared.filter(|(a, b)| Arc::ptr_eq(a, b)).count(), 3);
    }
}
