//! LIST-METADATA (RFC 9590): annotations of mailboxes, with the entries of LIST.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ListMetadata,
    capability: "LIST-METADATA",
    rfc: 9590,
    shown: Shown::Always,
    enables: None,
};
