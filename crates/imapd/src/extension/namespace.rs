//! NAMESPACE (RFC 2342): where a user's mailboxes are.

use super::{Capability, Extension, Shown};
use crate::response::Untagged;
use crate::session::authenticated::Authenticated;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Namespace,
    capability: "NAMESPACE",
    rfc: 2342,
    shown: Shown::Always,
    enables: None,
};

/// The personal namespace; there are neither other users' nor shared ones (RFC 2342 §5).
pub(crate) fn response(account: &Authenticated) -> Untagged {
    Untagged::Namespace(account.shown_prefix(), account.namespace().separator)
}
