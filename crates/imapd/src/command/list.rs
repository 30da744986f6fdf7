//! What an extended LIST asks for (RFC 5258 §3, RFC 5819 §2, RFC 6154 §2).

use super::{EntryName, MailboxArg, StatusItem};

/// LIST with options or with several patterns (RFC 5258 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedList {
    /// The reference name.
    pub reference: MailboxArg,
    /// Mailbox names with possible wildcards; one of them has to match.
    pub patterns: Vec<MailboxArg>,
    /// Which names are wanted, each option once.
    pub selection: Vec<SelectionOption>,
    /// What is wanted of each, each option once.
    pub returns: Vec<ReturnOption>,
}

impl ExtendedList {
    /// LIST without options.
    pub(crate) fn basic(reference: MailboxArg, pattern: MailboxArg) -> Self {
        Self {
            reference,
            patterns: vec![pattern],
            selection: Vec::new(),
            returns: Vec::new(),
        }
    }
}

/// `list-select-opt` (RFC 5258 §3.1, RFC 6154 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectionOption {
    /// `SUBSCRIBED`: names that are subscribed, whether or not they exist.
    Subscribed,
    /// `REMOTE`: remote mailboxes as well. There are none.
    Remote,
    /// `RECURSIVEMATCH`: also names that have such below them.
    RecursiveMatch,
    /// `SPECIAL-USE`: mailboxes that have a special use (RFC 6154 §2).
    SpecialUse,
}

/// `return-option` (RFC 5258 §3.2, RFC 5819 §4, RFC 6154 §6, RFC 9590 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReturnOption {
    /// `SUBSCRIBED`: whether the name is subscribed.
    Subscribed,
    /// `CHILDREN`: whether there are mailboxes below it.
    Children,
    /// `SPECIAL-USE`: what it is for, if anything.
    SpecialUse,
    /// `MYRIGHTS`: which rights the user has (RFC 8440 §3).
    MyRights,
    /// `METADATA`: these annotations of it (RFC 9590 §3).
    Metadata(Vec<EntryName>),
    /// `STATUS`: what STATUS tells of it, in the order asked.
    Status(Vec<StatusItem>),
}
