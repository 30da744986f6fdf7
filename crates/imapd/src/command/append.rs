//! The arguments of APPEND and REPLACE, as far as they have come.
//!
//! A message is never held in memory, so the arguments are parsed in segments: one goes up to the
//! announcement of a literal that holds octets of a message, and the next begins behind it.

use std::time::SystemTime;

use mailstore::FlagChange;

use super::MailboxArg;

/// APPEND, or what REPLACE has of it, with its first segment.
#[derive(Debug)]
pub struct Append {
    /// The target mailbox.
    pub mailbox: MailboxArg,
    /// The pieces of the first segment.
    pub pieces: Vec<Piece>,
}

/// A piece of a segment, in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `append-opts` (RFC 4466 §3): a message begins.
    Message {
        /// Its flags ([`FlagOp::Replace`](mailstore::FlagOp::Replace)).
        flags: FlagChange,
        /// Its internal date, if given.
        internal_date: Option<SystemTime>,
    },
    /// So many octets of the message are to come. This is the last piece of its segment.
    Octets(u64),
    /// The same, of a `literal8`: NUL may be among them (RFC 3516 §4.4).
    AnyOctets(u64),
    /// The same, of a message with a header in UTF-8 (RFC 6855 §4).
    Utf8(u64),
    /// So many octets of the message are to come, and more of it after them (`TEXT`, RFC 4469 §3).
    /// This is the last piece of its segment.
    Text(u64),
    /// Octets of another message belong here: an IMAP URL (RFC 4469 §3).
    Url(Vec<u8>),
    /// The message is whole.
    End,
}

/// What a segment follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The literal that is a message.
    Literal,
    /// The literal of a message within the parentheses of UTF8.
    Utf8,
    /// A literal within the parentheses of CATENATE.
    Text,
}
