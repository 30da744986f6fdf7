//! LITERAL+ (RFC 7888): literals that the client sends without waiting.
//!
//! The framer reads them; see [`framer`](crate::framer).

use super::{Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    capability: "LITERAL+",
    rfc: 7888,
    shown: Shown::Always,
};
