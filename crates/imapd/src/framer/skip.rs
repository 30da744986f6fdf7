//! Dropping what nobody wants, up to the next command (RFC 7888 §4).

use std::fmt;

use crate::types::Tag;

use super::announcement::{Announced, Announcement, Literal};
use super::{Mode, Refusal};

/// What is being skipped: a literal, then a line, and so on as long as the line announces another
/// literal that the client does not wait with.
pub(super) struct Skip {
    /// Octets of the literal that are still to come.
    literal: u64,
    /// The end of the line so far.
    tail: Vec<u8>,
    /// Octets of text skipped so far.
    text: usize,
    /// What reads the line.
    line: Line,
    /// What to do when it is over.
    pub(super) after: After,
}

/// What is left to skip behind the literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// A line that may announce literals.
    WithLiterals,
    /// A line.
    Plain,
    /// Nothing.
    None,
}

/// What comes after skipping.
#[derive(Debug)]
pub(super) enum After {
    /// The next command.
    Nothing,
    /// The report of a bad command.
    Bad {
        /// Its tag.
        tag: Option<Tag>,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// The end of a message that is not to be appended.
    MessageEnd(Refusal),
}

/// How much may be skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Octets of text.
    pub(super) text: usize,
    /// Octets of a single literal.
    pub(super) literal: u64,
}

/// How far skipping got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipped {
    /// More is to come.
    More,
    /// All is skipped.
    Done,
    /// The budget is spent, or the end cannot be found.
    Lost,
}

impl Skip {
    /// Skips a line; in [`Mode::Commands`] with the literals that it announces.
    pub(super) const fn line(mode: Mode, after: After) -> Self {
        let line = match mode {
            Mode::Commands => Line::WithLiterals,
            Mode::Lines => Line::Plain,
        };
        Self::new(0, line, after)
    }

    /// Skips a literal and the rest of its command.
    pub(super) const fn literal(octets: u64, after: After) -> Self {
        Self::new(octets, Line::WithLiterals, after)
    }

    /// Skips nothing.
    pub(super) const fn nothing(after: After) -> Self {
        Self::new(0, Line::None, after)
    }

    const fn new(literal: u64, line: Line, after: After) -> Self {
        Self {
            literal,
            tail: Vec::new(),
            text: 0,
            line,
            after,
        }
    }

    /// Skips as much of `input` as belongs to it, and tells how much that was.
    pub(super) fn feed(&mut self, input: &[u8], budget: Budget) -> (usize, Skipped) {
        let mut used = 0;
        loop {
            if self.literal > budget.literal {
                return (used, Skipped::Lost);
            }
            let rest = input.get(used..).unwrap_or_default();
            let octets = rest
                .len()
                .min(usize::try_from(self.literal).unwrap_or(usize::MAX));
            self.literal -= octets as u64;
            used += octets;
            if self.literal > 0 {
                return (used, Skipped::More);
            }
            if self.line == Line::None {
                return (used, Skipped::Done);
            }
            let rest = input.get(used..).unwrap_or_default();
            let line = rest.split(|&octet| octet == b'\n').next().unwrap_or(rest);
            self.read_line(line);
            if self.text > budget.text {
                return (used, Skipped::Lost);
            }
            if line.len() == rest.len() {
                return (input.len(), Skipped::More);
            }
            used += line.len() + 1;
            match self.announcement() {
                Announcement::Literal(Announced {
                    octets,
                    kind: Literal::NonSync,
                }) => self.literal = octets,
                Announcement::Unreadable(Literal::NonSync) => return (used, Skipped::Lost),
                Announcement::None
                | Announcement::Unreadable(Literal::Sync)
                | Announcement::Literal(Announced {
                    kind: Literal::Sync,
                    ..
                }) => return (used, Skipped::Done),
            }
        }
    }

    /// Counts a piece of a line and keeps its end.
    fn read_line(&mut self, piece: &[u8]) {
        self.text = self.text.saturating_add(piece.len());
        // One more octet than decides, for the CR.
        let kept = Announcement::WINDOW + 2;
        let from = piece.len().saturating_sub(kept);
        self.tail
            .extend_from_slice(piece.get(from..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(kept);
        self.tail.drain(..surplus);
    }

    /// What the line that just ended announces.
    fn announcement(&mut self) -> Announcement {
        let tail = std::mem::take(&mut self.tail);
        match self.line {
            Line::WithLiterals => Announcement::at_end_of(super::without_cr(&tail)),
            Line::Plain | Line::None => Announcement::None,
        }
    }
}

impl fmt::Debug for Skip {
    /// Shows no input.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Skip")
            .field("literal", &self.literal)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}
