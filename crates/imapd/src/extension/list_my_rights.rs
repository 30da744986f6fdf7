//! LIST-MYRIGHTS (RFC 8440): the user's rights, with the entries of LIST.

use super::{Capability, Extension, Shown, acl};
use crate::response::Untagged;
use crate::session::authenticated::Authenticated;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ListMyRights,
    capability: "LIST-MYRIGHTS",
    rfc: 8440,
    shown: Shown::Always,
    enables: None,
};

/// The MYRIGHTS response of a mailbox that LIST tells; none if it cannot be told (RFC 8440 §3).
pub(super) fn response(account: &Authenticated, name: &str) -> Option<Untagged> {
    let place = account.place(name.as_bytes()).ok()?;
    acl::my_rights(&place, account).ok()
}
