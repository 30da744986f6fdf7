//! ESEARCH (RFC 4731): SEARCH tells only what it is asked for, in one response of its own.
//!
//! A search for the lowest or the highest message ends when that is found: one from the front, the
//! other from the back, both from both ends (RFC 4731 §1).

use std::ops::Range;

use mailstore::ModSeq;

use super::{Capability, Extension, InProgressState, Shown};
use crate::response::{ExtendedSearch, Untagged};
use crate::session::view::number;
use crate::types::{ByUid, Ranges, Tag};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Esearch,
    capability: "ESEARCH",
    rfc: 4731,
    shown: Shown::Always,
    enables: None,
};

/// `search-return-opt` (RFC 4731 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultOption {
    /// `MIN`: the lowest message found.
    Min = 1 << 0,
    /// `MAX`: the highest message found.
    Max = 1 << 1,
    /// `COUNT`: how many messages were found.
    Count = 1 << 2,
    /// `ALL`: all messages found.
    All = 1 << 3,
    /// `SAVE`: `$` stands for what is found (RFC 5182 §2.1).
    Save = 1 << 4,
}

/// The result options of a SEARCH (RFC 4466 §2.6.1): a set, as their order means nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultOptions(u8);

impl ResultOptions {
    /// With one more option; one that is given twice counts once.
    #[must_use]
    pub const fn with(self, option: ResultOption) -> Self {
        Self(self.0 | option as u8)
    }

    /// Whether an option was given.
    pub const fn has(self, option: ResultOption) -> bool {
        self.0 & option as u8 != 0
    }

    /// Whether the lowest or the highest message found, or both, are all that is wanted, also to be
    /// saved (RFC 5182 §2.4).
    const fn is_extremes(self) -> bool {
        const EXTREMES: u8 = ResultOption::Min as u8 | ResultOption::Max as u8;
        const ALL_FOUND: u8 = ResultOption::Count as u8 | ResultOption::All as u8;
        self.0 & EXTREMES != 0 && self.0 & ALL_FOUND == 0
    }

    /// The answer to the command `tag`, which found these UIDs or sequence numbers. `()` asks for
    /// `ALL`; what nothing was found for is left out, but for the count (RFC 4731 §3.1). There is
    /// none if the result is only to be saved (RFC 5182 §2.1). `mod_seq` is the highest of what
    /// was found, if it was searched by mod-sequence (RFC 4731 §3.2).
    pub(crate) fn response(
        self,
        tag: Tag,
        by_uid: ByUid,
        found: Ranges,
        mod_seq: Option<ModSeq>,
    ) -> Option<Untagged> {
        let asked = match self.0 {
            0 => self.with(ResultOption::All),
            SAVE_ALONE => return None,
            _ => self,
        };
        let if_asked = |option, number: Option<u32>| number.filter(|_| asked.has(option));
        Some(Untagged::ExtendedSearch(ExtendedSearch {
            tag: Some(tag),
            by_uid,
            min: if_asked(ResultOption::Min, found.first()),
            max: if_asked(ResultOption::Max, found.last()),
            count: if_asked(ResultOption::Count, Some(found.count())),
            all: Some(found).filter(|found| asked.has(ResultOption::All) && !found.is_empty()),
            mod_seq,
        }))
    }
}

/// `(SAVE)`.
const SAVE_ALONE: u8 = ResultOption::Save as u8;

/// The messages that a search has still to look at, and from which end.
#[derive(Debug)]
pub(crate) struct Sweep {
    left: Range<usize>,
    /// How many messages were looked at.
    looked: usize,
    end: End,
    /// What is wanted, if it is not all that can be found.
    extremes: Option<ResultOptions>,
}

/// An end of the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Front,
    Back,
}

impl Sweep {
    /// Looks at as many of the messages as these options need; without options at all of them.
    pub(crate) fn new(options: Option<ResultOptions>, messages: usize) -> Self {
        let extremes = options.filter(|options| options.is_extremes());
        let front = extremes.is_none_or(|options| options.has(ResultOption::Min));
        Self {
            left: 0..messages,
            looked: 0,
            end: if front { End::Front } else { End::Back },
            extremes,
        }
    }

    /// The position of the next message.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let next = match self.end {
            End::Front => self.left.next(),
            End::Back => self.left.next_back(),
        };
        self.looked += usize::from(next.is_some());
        next
    }

    /// How far it is (RFC 9585 §4). Where it ends early, nobody knows how many messages it takes.
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        match self.extremes {
            None => InProgressState::of(self.looked, self.looked + self.left.len()),
            Some(_) => Some(InProgressState::Counting(number(self.looked))),
        }
    }

    /// The message that was looked at last is one of those searched for.
    pub(crate) fn found(&mut self) {
        let Some(options) = self.extremes else {
            return;
        };
        if self.end == End::Front && options.has(ResultOption::Max) {
            self.end = End::Back;
        } else {
            self.left = 0..0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(options: &[ResultOption]) -> ResultOptions {
        let with = |all: ResultOptions, &option: &ResultOption| all.with(option);
        options.iter().fold(ResultOptions::default(), with)
    }

    /// The positions that a search looks at, and those that it finds, if these match.
    fn sweep(options: Option<ResultOptions>, matching: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let mut sweep = Sweep::new(options, 6);
        let (mut seen, mut found) = (Vec::new(), Vec::new());
        while let Some(position) = sweep.next() {
            seen.push(position);
            if matching.contains(&position) {
                found.push(position);
                sweep.found();
            }
        }
        (seen, found)
    }

    #[test]
    fn a_search_ends_when_what_is_wanted_is_found() {
        use ResultOption::{All, Count, Max, Min};
        let whole = vec![0, 1, 2, 3, 4, 5];
        let table = [
            (None, whole.clone(), vec![1, 2, 4]),
            (Some(vec![]), whole.clone(), vec![1, 2, 4]),
            (Some(vec![Min]), vec![0, 1], vec![1]),
            (Some(vec![Max]), vec![5, 4], vec![4]),
            (Some(vec![Max, Min]), vec![0, 1, 5, 4], vec![1, 4]),
            (Some(vec![Min, Count]), whole.clone(), vec![1, 2, 4]),
            (Some(vec![Max, All]), whole.clone(), vec![1, 2, 4]),
            (Some(vec![Count]), whole.clone(), vec![1, 2, 4]),
        ];
        for (wanted, seen, found) in table {
            let wanted = wanted.as_deref().map(options);
            assert_eq!(sweep(wanted, &[1, 2, 4]), (seen, found), "{wanted:?}");
        }
    }

    #[test]
    fn nothing_and_one_message_are_found_from_both_ends() {
        use ResultOption::{Max, Min};
        let whole = vec![0, 1, 2, 3, 4, 5];
        let back = vec![5, 4, 3, 2, 1, 0];
        let table = [
            (vec![Min], vec![], whole.clone(), vec![]),
            (vec![Max], vec![], back, vec![]),
            (vec![Min, Max], vec![], whole, vec![]),
            (vec![Min, Max], vec![3], vec![0, 1, 2, 3, 5, 4], vec![3]),
        ];
        for (wanted, matching, seen, found) in table {
            let answer = sweep(Some(options(&wanted)), &matching);
            assert_eq!(answer, (seen, found), "{wanted:?} {matching:?}");
        }
    }
}
