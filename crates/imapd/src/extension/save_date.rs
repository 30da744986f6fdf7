//! SAVEDATE (RFC 8514): when a message came into the mailbox that it is in.
//!
//! The index has it: what comes by IMAP is saved when it is answered, what other programs deliver
//! has the time at which its file came (`mailstore`). It is in UTC, and so are the days that are
//! searched for, as with internal dates.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::SaveDate,
    capability: "SAVEDATE",
    rfc: 8514,
    shown: Shown::Always,
    enables: None,
};
