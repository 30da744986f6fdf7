//! BINARY (RFC 3516): body sections without their transfer encoding, and octets that a literal
//! cannot hold.
//!
//! What FETCH does is in `handler/fetch/binary.rs`, what APPEND does with a `literal8` in
//! `handler/append/transcode.rs`.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Binary,
    capability: "BINARY",
    rfc: 3516,
    shown: Shown::Always,
    enables: None,
};
