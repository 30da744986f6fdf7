//! The arguments of GETMETADATA and SETMETADATA (RFC 5464 §5).

use super::MailboxArg;

/// An entry name (RFC 5464 §3.2), in lower case: letter case does not matter.
pub type EntryName = String;

/// GETMETADATA (RFC 5464 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetMetadata {
    /// The mailbox; empty for the server.
    pub mailbox: MailboxArg,
    /// Only values of so many octets are told, if anything is said (RFC 5464 §4.2.1).
    pub max_size: Option<u32>,
    /// What is told below the entries.
    pub depth: Depth,
    /// The entries.
    pub entries: Vec<EntryName>,
}

/// `scope-opt` (RFC 5464 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// `0`: nothing below.
    #[default]
    Zero,
    /// `1`: what is immediately below.
    One,
    /// `infinity`: all that is below.
    Infinity,
}

/// SETMETADATA (RFC 5464 §4.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMetadata {
    /// The mailbox; empty for the server.
    pub mailbox: MailboxArg,
    /// The entries with their new values; without one, an entry is removed.
    pub values: Vec<(EntryName, Option<Vec<u8>>)>,
}
