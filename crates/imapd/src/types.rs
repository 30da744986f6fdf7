//! Small types that commands and responses share.

use std::fmt;
use std::num::NonZeroU32;

use mailstore::Uid;

use crate::command::ExpungeRule;

/// A message sequence number (RFC 3501 §2.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNum(NonZeroU32);

impl SeqNum {
    /// Accepts `1..=2^32-1` (RFC 3501 §9, `nz-number`).
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The sequence number of the message at a position counted from 0.
    pub fn from_position(position: usize) -> Option<Self> {
        Self::new(u32::try_from(position).ok()?.checked_add(1)?)
    }

    /// The position of the message, counted from 0.
    pub fn position(self) -> usize {
        self.0.get() as usize - 1
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A command's tag (RFC 3501 §2.2.1): ASTRING-CHARs without `+`, so it is always ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(pub(crate) String);

impl Tag {
    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One end of a range: a number, or `*` for the largest in use (RFC 3501 §9 `seq-number`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A number, never 0.
    Number(NonZeroU32),
    /// `*`.
    Largest,
}

/// A `sequence-set` as it was written (RFC 3501 §9): ranges in any order, ends in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(pub Vec<(Bound, Bound)>);

impl SequenceSet {
    /// The set as ascending ranges that neither overlap nor touch, with `*` as `largest`, the
    /// largest number in use (RFC 3501 §9). Nothing is expanded: `1:4294967295` is one range.
    ///
    /// With 0 as `largest` (an empty mailbox) ranges with `*` name nothing.
    pub fn resolve(&self, largest: u32) -> Ranges {
        let number = |bound: Bound| match bound {
            Bound::Number(number) => number.get(),
            Bound::Largest => largest,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|&(first, second)| (number(first), number(second)))
            .filter(|&(first, second)| first != 0 && second != 0)
            .map(|(first, second)| (first.min(second), first.max(second)))
            .collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, range| {
            let touches = next.0 <= range.1.saturating_add(1);
            if touches {
                range.1 = range.1.max(next.1);
            }
            touches
        });
        Ranges(ranges)
    }

    /// The largest number written out, `*` not counted: a command that uses a sequence number
    /// beyond the number of messages is answered `BAD` (RFC 3501 §9, `seq-number`).
    pub fn largest_number(&self) -> Option<u32> {
        let bounds = self.0.iter().flat_map(|&(first, second)| [first, second]);
        bounds
            .filter_map(|bound| match bound {
                Bound::Number(number) => Some(number.get()),
                Bound::Largest => None,
            })
            .max()
    }

    /// The set as ranges, if it is in ascending order and has no `*` (RFC 7162 §7).
    pub fn ascending(&self) -> Option<Ranges> {
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(self.0.len());
        for range in &self.0 {
            let &(Bound::Number(first), Bound::Number(last)) = range else {
                return None;
            };
            let (first, last) = (first.get(), last.get());
            let follows = ranges.last().is_none_or(|before| before.1 < first);
            if first > last || !follows {
                return None;
            }
            ranges.push((first, last));
        }
        Some(Ranges(ranges))
    }

    /// Whether `*` is in the set, which a mailbox without messages cannot give a number.
    pub fn names_largest(&self) -> bool {
        let is_largest = |bound: &Bound| *bound == Bound::Largest;
        self.0
            .iter()
            .any(|(first, second)| is_largest(first) || is_largest(second))
    }
}

/// The messages that a command is about: by sequence number, or by UID in the UID forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Messages {
    /// Message sequence numbers.
    Seq(SequenceSet),
    /// Unique identifiers.
    Uid(SequenceSet),
    /// `$`: what the last SEARCH with SAVE found, in either form of a command (RFC 5182 §2.1).
    Saved(ByUid),
}

impl Messages {
    /// Whether the command came in its UID form.
    pub const fn by_uid(&self) -> ByUid {
        match self {
            Self::Seq(_) => ByUid::No,
            Self::Uid(_) => ByUid::Yes,
            Self::Saved(by_uid) => *by_uid,
        }
    }
}

/// Whether a command was given in its UID form: decides what it answers with, and whether EXPUNGE
/// may be sent during it (RFC 3501 §7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByUid {
    /// The plain form.
    No,
    /// The UID form.
    Yes,
}

impl ByUid {
    /// Whether a command about messages may let EXPUNGE through (RFC 3501 §7.4.1).
    pub const fn expunge_rule(self) -> ExpungeRule {
        match self {
            Self::No => ExpungeRule::Held,
            Self::Yes => ExpungeRule::Allowed,
        }
    }
}

/// A set of UIDs or sequence numbers as ranges, first and last number of each included: as
/// responses write it, and as [`SequenceSet::resolve`] gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(pub Vec<(u32, u32)>);

impl Ranges {
    /// Collects numbers in the order given; neighbors that follow each other become a range, so
    /// that expanding the ranges gives the numbers in the same order (RFC 4315 §3).
    pub fn collect(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut ranges = Self::default();
        for number in numbers {
            ranges.push(number);
        }
        ranges
    }

    /// Adds a number behind the others.
    pub fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => self.0.push((number, number)),
        }
    }

    /// Collects UIDs.
    pub fn of_uids(uids: impl IntoIterator<Item = Uid>) -> Self {
        Self::collect(uids.into_iter().map(Uid::get))
    }

    /// Whether a number is in one of the ranges, which must ascend.
    pub fn contains(&self, number: u32) -> bool {
        let after = self.0.partition_point(|&(start, _)| start <= number);
        let range = after.checked_sub(1).and_then(|index| self.0.get(index));
        range.is_some_and(|&(_, end)| number <= end)
    }

    /// The numbers that are also in `other`; both must ascend.
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(&&one), Some(&&another)) = (ours.peek(), theirs.peek()) {
            let (first, last) = (one.0.max(another.0), one.1.min(another.1));
            if first <= last {
                both.push((first, last));
            }
            if one.1 < another.1 {
                ours.next();
            } else {
                theirs.next();
            }
        }
        Self(both)
    }

    /// The numbers above a number; the ranges must ascend.
    pub fn above(&self, number: u32) -> Self {
        match number.checked_add(1) {
            Some(first) => self.intersection(&Self(vec![(first, u32::MAX)])),
            None => Self::default(),
        }
    }

    /// The numbers one by one.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|&(start, end)| start..=end)
    }

    /// The first number.
    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|&(start, _)| start)
    }

    /// The last number.
    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|&(_, end)| end)
    }

    /// How many numbers there are, as far as they can be counted.
    pub fn count(&self) -> u32 {
        let ranges = self.0.iter();
        let counts = ranges.map(|&(start, end)| end.saturating_sub(start).saturating_add(1));
        counts.fold(0, u32::saturating_add)
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (start, end)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if start == end {
                write!(f, "{start}")?
            } else {
                write!(f, "{start}:{end}")?
            }
        }
        Ok(())
    }
}

/// Whether a mailbox may be changed by the session that selected it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// SELECT.
    ReadWrite,
    /// EXAMINE.
    ReadOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let bound = |number| NonZeroU32::new(number).map_or(Bound::Largest, Bound::Number);
        SequenceSet(
            ranges
                .iter()
                .map(|&(first, second)| (bound(first), bound(second)))
                .collect(),
        )
    }

    #[test]
    fn sets_resolve_as_rfc_3501_says() {
        // The examples of RFC 3501 §9, with 0 for `*`.
        let table = [
            (vec![(2, 2), (4, 7), (9, 9), (12, 0)], 15, "2,4:7,9,12:15"),
            (vec![(0, 4), (5, 7)], 10, "4:10"),
            (vec![(4, 2)], 10, "2:4"),
            (vec![(3291, 0)], 7, "7:3291"),
            (vec![(1, u32::MAX)], 3, "1:4294967295"),
            (
                vec![(u32::MAX, u32::MAX), (1, u32::MAX - 1)],
                3,
                "1:4294967295",
            ),
            (vec![(0, 0)], 0, ""),
            (vec![(1, 0), (5, 5)], 0, "5"),
        ];
        for (ranges, largest, expected) in table {
            let resolved = set(&ranges).resolve(largest);
            assert_eq!(resolved.to_string(), expected, "{ranges:?}");
        }
    }

    #[test]
    fn ranges_intersect_as_sets_do() {
        let rows = [
            (vec![(1, 9)], vec![(3, 4), (8, 20)], "3:4,8:9"),
            (vec![(1, 2), (4, 5), (7, u32::MAX)], vec![(2, 7)], "2,4:5,7"),
            (vec![(1, 2)], vec![(3, 4)], ""),
            (vec![], vec![(1, u32::MAX)], ""),
        ];
        for (one, other, expected) in rows {
            let (one, other) = (Ranges(one), Ranges(other));
            assert_eq!(one.intersection(&other).to_string(), expected);
            assert_eq!(other.intersection(&one).to_string(), expected);
        }
        assert_eq!(Ranges(vec![(1, 3), (5, 9)]).above(6).to_string(), "7:9");
        assert!(Ranges(vec![(1, u32::MAX)]).above(u32::MAX).is_empty());
    }

    #[test]
    fn overlapping_ranges_cost_nothing() {
        let ranges: Vec<(u32, u32)> = (1..=4000).map(|start| (start, u32::MAX)).collect();
        let resolved = set(&ranges).resolve(10);
        assert_eq!(resolved, Ranges(vec![(1, u32::MAX)]));
        assert!(resolved.contains(u32::MAX) && !resolved.contains(0));
        assert_eq!(
            size_of::<(Bound, Bound)>(),
            8,
            "a set is as small as it can be"
        );
    }

    #[test]
    fn the_largest_number_is_known() {
        assert_eq!(set(&[(2, 9), (5, 0)]).largest_number(), Some(9));
        assert_eq!(set(&[(0, 0)]).largest_number(), None);
        assert!(set(&[(2, 0)]).names_largest());
        assert!(!set(&[(2, 9)]).names_largest());
    }
}
