//! The grammar of commands (RFC 3501 §9): one rule, one function.
//!
//! [`command()`] parses what the framer found to be whole, with complete parsers. A failure says what
//! was expected and where, and never repeats what the client sent.
//!
//! Leniency is in functions named `…_lenient`, each with the reason.

pub(crate) mod acl;
mod append;
mod command;
mod condstore;
mod core;
mod date;
mod fetch;
mod flag;
mod list;
mod mailbox;
mod metadata;
mod notify;
mod quota;
mod search;

use std::fmt;

use nom::error::{ContextError, ErrorKind, ParseError};

use crate::command::{Behind, Piece, Section, Tagged};
use crate::settings::Limits;
use crate::types::Tag;

use self::append::Segment;

/// Parses one whole command without its final CRLF; literals are inline as `{n}` CRLF and octets.
///
/// # Errors
/// What was expected, with the command's tag if it has one.
pub fn command(bytes: &[u8], limits: &Limits) -> Result<Tagged, (Option<Tag>, SyntaxError)> {
    let (input, tag) =
        command::tagged(bytes).map_err(|error| (tag(bytes), SyntaxError::new(bytes, error)))?;
    match command::command_lenient(input, limits) {
        Ok((_, command)) => Ok(Tagged { tag, command }),
        Err(error) => Err((Some(tag), SyntaxError::new(bytes, error))),
    }
}

/// The tag of a command that may be broken behind it.
pub(crate) fn tag(bytes: &[u8]) -> Option<Tag> {
    match core::tag(bytes) {
        Ok(([] | [b' ', ..], tag)) => Some(tag),
        Ok(_) | Err(_) => None,
    }
}

/// What the literal is that an unfinished command ends with.
#[derive(Debug)]
pub(crate) enum Announces<T> {
    /// A part of a command that is neither APPEND nor REPLACE.
    Argument,
    /// An argument of one of these, such as its mailbox.
    ArgumentOfAppend,
    /// Octets of a message, with the segment up to them.
    Octets(T, Behind),
}

impl<T> Announces<T> {
    /// With something else in the place of the segment.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Announces<U> {
        match self {
            Self::Argument => Announces::Argument,
            Self::ArgumentOfAppend => Announces::ArgumentOfAppend,
            Self::Octets(it, behind) => Announces::Octets(make(it), behind),
        }
    }

    /// Whether it belongs to an APPEND or REPLACE.
    pub(crate) const fn is_of_append(&self) -> bool {
        matches!(self, Self::ArgumentOfAppend | Self::Octets(..))
    }
}

/// Looks at a command up to and including the announcement of a literal: whether it holds octets of
/// a message, which are not kept in memory (RFC 3501 §6.3.11).
///
/// # Errors
/// If it is no command, or an APPEND or REPLACE that the grammar does not allow.
pub(crate) fn announces(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Announces<Tagged>, (Option<Tag>, SyntaxError)> {
    match append::message_start(bytes) {
        Ok((input, (tag, taker))) => match append::first_segment(input, taker) {
            Ok((_, Segment::UpToOctets(command, behind))) => {
                Ok(Announces::Octets(Tagged { tag, command }, behind))
            }
            Ok((_, Segment::UpToArgument | Segment::Last(_))) => Ok(Announces::ArgumentOfAppend),
            Err(error) => Err((Some(tag), SyntaxError::new(bytes, error))),
        },
        Err(_) => match command::name_lenient(bytes, limits) {
            Ok(_) => Ok(Announces::Argument),
            // Nobody is asked for a literal that no command could take (RFC 3501 §7.5).
            Err(error) => Err((tag(bytes), SyntaxError::new(bytes, error))),
        },
    }
}

/// Parses `section-spec` (RFC 3501 §9), and nothing else.
pub(crate) fn section_spec(bytes: &[u8]) -> Option<Section> {
    let (rest, section) = fetch::section_spec(bytes).ok()?;
    rest.is_empty().then_some(section)
}

/// Looks at a later segment of an APPEND up to and including the announcement of a literal.
///
/// # Errors
/// If the grammar does not allow it.
pub(crate) fn announces_behind(
    bytes: &[u8],
    behind: Behind,
) -> Result<Announces<Vec<Piece>>, SyntaxError> {
    match append::append_continued(bytes, behind) {
        Ok((_, Segment::UpToOctets(pieces, behind))) => Ok(Announces::Octets(pieces, behind)),
        Ok((_, Segment::UpToArgument | Segment::Last(_))) => Ok(Announces::ArgumentOfAppend),
        Err(error) => Err(SyntaxError::new(bytes, error)),
    }
}

/// Whether a line behind a URL of CATENATE ends with the announcement of another one.
pub(crate) fn announces_url(line: &[u8]) -> bool {
    let announces = announces_behind(line, Behind::Text);
    matches!(announces, Ok(Announces::ArgumentOfAppend))
}

/// Parses the last segment of an APPEND, without its final CRLF.
///
/// # Errors
/// If the grammar does not allow it.
pub(crate) fn last_segment(bytes: &[u8], behind: Behind) -> Result<Vec<Piece>, SyntaxError> {
    match append::append_continued(bytes, behind) {
        Ok((_, Segment::Last(pieces))) => Ok(pieces),
        Ok((_, Segment::UpToOctets(..) | Segment::UpToArgument)) => {
            Err(SyntaxError::expecting("the message", bytes.len()))
        }
        Err(error) => Err(SyntaxError::new(bytes, error)),
    }
}

/// A command that the grammar does not allow. It tells what was expected, never what was there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at octet {at}")]
pub struct SyntaxError {
    /// The place in the command, counted from 0.
    at: usize,
    /// What could have stood there.
    expected: &'static str,
}

impl SyntaxError {
    /// That `expected` is missing at `at`.
    pub(crate) const fn expecting(expected: &'static str, at: usize) -> Self {
        Self { at, expected }
    }

    /// The place in the command, counted from 0.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What could have stood there.
    pub const fn expected(&self) -> &'static str {
        self.expected
    }

    /// Finds the place of a failure in the whole command.
    fn new(command: &[u8], error: nom::Err<Failed<'_>>) -> Self {
        match error {
            nom::Err::Error(failed) | nom::Err::Failure(failed) => Self {
                at: command.len().saturating_sub(failed.rest.len()),
                expected: failed.expected.unwrap_or("something else"),
            },
            // Complete parsers never ask for more.
            nom::Err::Incomplete(_) => Self {
                at: command.len(),
                expected: "more",
            },
        }
    }
}

/// What a rule gives: the rest of the input and the value.
type Parsed<'a, T> = nom::IResult<&'a [u8], T, Failed<'a>>;

/// Why a rule does not match.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Failed<'a> {
    /// The input from the place of the failure on.
    rest: &'a [u8],
    /// What was expected there.
    expected: Option<&'static str>,
}

impl<'a> Failed<'a> {
    /// A failure to be tried otherwise, as nom wants it.
    const fn error(rest: &'a [u8], expected: &'static str) -> nom::Err<Self> {
        nom::Err::Error(Self {
            rest,
            expected: Some(expected),
        })
    }
}

impl fmt::Debug for Failed<'_> {
    /// Shows no input: it may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failed")
            .field("left", &self.rest.len())
            .field("expected", &self.expected)
            .finish()
    }
}

impl<'a> ParseError<&'a [u8]> for Failed<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Self {
        Self {
            rest,
            expected: None,
        }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two ways that do not match, the one that went further tells more.
    fn or(self, other: Self) -> Self {
        let further = other.rest.len() < self.rest.len();
        let clearer = other.rest.len() == self.rest.len() && self.expected.is_none();
        if further || clearer { other } else { self }
    }
}

impl<'a> ContextError<&'a [u8]> for Failed<'a> {
    /// A rule that does not even begin is named itself; inside of a rule its part is.
    fn add_context(input: &'a [u8], expected: &'static str, other: Self) -> Self {
        let begins = other.rest.len() < input.len();
        Self {
            expected: other.expected.filter(|_| begins).or(Some(expected)),
            ..other
        }
    }
}

#[cfg(test)]
mod tests;
