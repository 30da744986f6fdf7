//! LITERAL+ (RFC 7888): literals that the client sends without waiting.
//!
//! The framer reads them; see [`framer`](crate::framer).

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::LiteralPlus,
    capability: "LITERAL+",
    rfc: 7888,
    shown: Shown::Always,
    enables: None,
};
