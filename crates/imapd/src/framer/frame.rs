//! What the framer hands out.

use std::fmt;

use crate::command::{Piece, Tagged};
use crate::grammar::SyntaxError;
use crate::types::Tag;

use super::Refusal;
use super::announcement::Announced;

/// What the framer found.
pub enum Frame {
    /// Nothing is whole: more input is needed.
    More,
    /// A synchronizing literal was announced and is welcome: send `+ …` and go on.
    Continue,
    /// A whole command without its final CRLF; literals are inline, as they were announced.
    Command(Vec<u8>),
    /// In [`Mode::Lines`](super::Mode::Lines): a line without its CRLF.
    Line(Vec<u8>),
    /// An APPEND up to the announcement of its message, or of a part of it. The next call must be
    /// [`Framer::accept_message`](super::Framer::accept_message), after `+ …` for [`Literal::Sync`](super::Literal::Sync), or
    /// [`Framer::refuse_message`](super::Framer::refuse_message).
    Message(Tagged, Announced),
    /// The next octets of an accepted message.
    MessageData(Vec<u8>),
    /// What follows the accepted message, up to the announcement of more octets; then as for
    /// [`Message`](Self::Message).
    NextMessage(Vec<Piece>, Announced),
    /// What follows the accepted message up to the end of the command; with an error, that is
    /// skipped, and nothing may be appended.
    MessageEnd(Result<Vec<Piece>, Refusal>),
    /// Something over a limit or malformed, which is already skipped.
    Bad {
        /// The command's tag, if it has one.
        tag: Option<Tag>,
        /// What is wrong with it.
        refusal: Refusal,
    },
    /// The next command cannot be found: say BYE and close. All further input is dropped.
    Fatal(SyntaxError),
}

impl fmt::Debug for Frame {
    /// Shows no octets: they may be passwords or messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::More => f.write_str("More"),
            Self::Continue => f.write_str("Continue"),
            Self::Command(octets) => write!(f, "Command({} octets)", octets.len()),
            Self::Line(octets) => write!(f, "Line({} octets)", octets.len()),
            Self::Message(command, announced) => {
                write!(f, "Message({}, {announced:?})", command.tag)
            }
            Self::NextMessage(pieces, announced) => {
                write!(f, "NextMessage({pieces:?}, {announced:?})")
            }
            Self::MessageData(octets) => write!(f, "MessageData({} octets)", octets.len()),
            Self::MessageEnd(result) => write!(f, "MessageEnd({result:?})"),
            Self::Bad { tag, refusal } => write!(f, "Bad({tag:?}, {refusal:?})"),
            Self::Fatal(error) => write!(f, "Fatal({error:?})"),
        }
    }
}
