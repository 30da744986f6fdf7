//! Positions in a view: what a sequence set comes down to.

use std::ops::Range;

use crate::types::Ranges;

/// Positions counted from 0, ascending, each once; taken from the front as a command proceeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    ranges: Vec<Range<usize>>,
    /// The first range that is not used up.
    front: usize,
}

impl Positions {
    /// From ranges that ascend and do not overlap; empty ones are left out.
    pub(crate) fn new(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        let ranges = ranges.into_iter().filter(|range| range.start < range.end);
        Self {
            ranges: ranges.collect(),
            front: 0,
        }
    }

    /// From ascending ranges of sequence numbers, as far as there are messages.
    pub(crate) fn of_numbers(numbers: &Ranges, exists: usize) -> Self {
        let position = |number: u32| (number as usize).min(exists);
        Self::new(numbers.0.iter().map(|&(first, last)| {
            let start = position(first.saturating_sub(1));
            start..position(last)
        }))
    }

    /// From positions that ascend.
    pub(crate) fn of_ascending(positions: impl Iterator<Item = usize>) -> Self {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for position in positions {
            match ranges.last_mut() {
                Some(last) if last.end == position => last.end += 1,
                _ => ranges.push(position..position + 1),
            }
        }
        Self { ranges, front: 0 }
    }

    /// How many are left.
    pub(crate) fn len(&self) -> usize {
        let left = self.ranges.get(self.front..).unwrap_or_default();
        left.iter().map(ExactSizeIterator::len).sum()
    }

    /// Whether none is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.front >= self.ranges.len()
    }

    /// Whether a position is among those that are left.
    pub(crate) fn contains(&self, position: usize) -> bool {
        let left = self.ranges.get(self.front..).unwrap_or_default();
        let after = left.partition_point(|range| range.start <= position);
        let range = after.checked_sub(1).and_then(|index| left.get(index));
        range.is_some_and(|range| range.contains(&position))
    }
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let range = self.ranges.get_mut(self.front)?;
        let position = range.next();
        if range.start >= range.end {
            self.front += 1;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_positions_that_exist() {
        let rows = [
            (vec![(1, 3), (5, 5)], 10, vec![0, 1, 2, 4]),
            (vec![(2, u32::MAX)], 4, vec![1, 2, 3]),
            (vec![(7, 9)], 4, vec![]),
            (vec![(1, u32::MAX)], 0, vec![]),
            (vec![], 3, vec![]),
        ];
        for (ranges, exists, expected) in rows {
            let positions = Positions::of_numbers(&Ranges(ranges), exists);
            assert_eq!(positions.clone().collect::<Vec<_>>(), expected);
            assert_eq!(positions.len(), expected.len());
            for position in 0..12 {
                assert_eq!(positions.contains(position), expected.contains(&position));
            }
        }
    }

    #[test]
    fn ascending_positions_become_ranges() {
        let positions = Positions::of_ascending([0, 1, 2, 5, 7, 8].into_iter());
        assert_eq!(positions, Positions::new([0..3, 5..6, 7..9]));
        assert!(Positions::of_ascending([].into_iter()).is_empty());
    }

    #[test]
    fn a_position_that_was_taken_is_gone() {
        let mut positions = Positions::new([0..2, 5..6]);
        assert_eq!(positions.next(), Some(0));
        assert!(!positions.contains(0));
        assert_eq!(positions.len(), 2);
        assert_eq!(positions.by_ref().last(), Some(5));
        assert_eq!(positions.next(), None);
    }
}
