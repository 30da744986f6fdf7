//! CHILDREN (RFC 3348): whether a mailbox has any below it.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Children,
    capability: "CHILDREN",
    rfc: 3348,
    shown: Shown::Always,
    enables: None,
};

/// The attribute of a mailbox that has others below it, or has not (RFC 3348 §3). One of the two
/// is always told where the extension is offered.
pub(crate) const fn attribute(children: Children) -> &'static str {
    match children {
        Children::Some => "\\HasChildren",
        Children::None => "\\HasNoChildren",
    }
}

/// Whether there is a mailbox below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// At least one.
    Some,
    /// None.
    None,
}
