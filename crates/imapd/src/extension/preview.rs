//! PREVIEW (RFC 8970): the beginning of a message's text, as lists show it.
//!
//! It is made from the message (`message::preview`) and kept with what else is kept of it. With LAZY
//! (§4.1) a message is not read for it: there is what is kept, or NIL.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Preview,
    capability: "PREVIEW",
    rfc: 8970,
    shown: Shown::Always,
    enables: None,
};

/// Whether a client waits for a preview (RFC 8970 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It does.
    Now,
    /// `LAZY`: not if the message had to be read for it.
    Lazy,
}
