//! UNSELECT (RFC 3691): CLOSE without expunging.

use super::{Capability, Extension, Shown};
use crate::response::Completion;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Unselect,
    capability: "UNSELECT",
    rfc: 3691,
    shown: Shown::Always,
    enables: None,
};

/// The answer; the mailbox is let go as by CLOSE, but nothing is removed (RFC 3691 §2).
pub(crate) fn completion() -> Completion {
    Completion::ok("UNSELECT completed")
}
