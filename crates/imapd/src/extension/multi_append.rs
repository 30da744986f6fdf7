//! MULTIAPPEND (RFC 3502): many messages with one APPEND, all or none.
//!
//! The grammar of APPEND and [`handler::append`](crate::handler::append) know no other form.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::MultiAppend,
    capability: "MULTIAPPEND",
    rfc: 3502,
    shown: Shown::Always,
    enables: None,
};
