//! The commands about rights (RFC 4314 §3).

use super::MailboxArg;

/// An identifier as the client wrote it.
pub type IdentifierArg = Vec<u8>;

/// A command about rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclCommand {
    /// SETACL (RFC 4314 §3.1).
    Set {
        /// The mailbox.
        mailbox: MailboxArg,
        /// Whose rights change.
        identifier: IdentifierArg,
        /// How they change.
        rights: ModRights,
    },
    /// DELETEACL (RFC 4314 §3.2).
    Delete {
        /// The mailbox.
        mailbox: MailboxArg,
        /// Who is taken off the list.
        identifier: IdentifierArg,
    },
    /// GETACL (RFC 4314 §3.3).
    Get(MailboxArg),
    /// LISTRIGHTS (RFC 4314 §3.4).
    ListRights {
        /// The mailbox.
        mailbox: MailboxArg,
        /// Who may be given rights.
        identifier: IdentifierArg,
    },
    /// MYRIGHTS (RFC 4314 §3.5).
    MyRights(MailboxArg),
}

/// `mod-rights` (RFC 4314 §7): rights, and how they are combined with those that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModRights {
    /// How.
    pub combine: mailstore::Combine,
    /// Which; the obsolete `c` and `d` are what they stand for (RFC 4314 §2.1.1).
    pub rights: mailstore::Rights,
    /// Whether one of them was named that RFC 2086 does not have.
    pub newer: Newer,
}

/// Whether rights were named that came with RFC 4314 (`k`, `x`, `t`, `e`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// They were.
    Named,
    /// They were not.
    Unnamed,
}
