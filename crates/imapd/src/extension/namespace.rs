//! NAMESPACE (RFC 2342): where a user's mailboxes are.

use super::{Capability, Extension, Shown};
use crate::response::Untagged;
use crate::session::authenticated::Authenticated;
use crate::sharing::Sharing;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Namespace,
    capability: "NAMESPACE",
    rfc: 2342,
    shown: Shown::Always,
    enables: None,
};

/// The personal namespace, and that of other users if there is one; there are no shared ones
/// (RFC 2342 §5).
pub(crate) fn response(account: &Authenticated) -> Untagged {
    let others = account.shown_others_prefix();
    Untagged::Namespace {
        personal: (account.shown_prefix(), account.namespace().separator),
        others: others.map(|prefix| (prefix, Sharing::SEPARATOR)),
    }
}
