//! XLIST, which Gmail had before there was SPECIAL-USE: LIST with names for special mailboxes.
//!
//! It has no specification but Gmail's description. INBOX is `\Inbox`; spam is `\Spam`, besides
//! `\Junk`, which other servers say. All else is as in LIST.

use mailstore::{SpecialUse, SpecialUses};

use super::{Capability, Extension, Shown, special_use};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Xlist,
    capability: "XLIST",
    rfc: 6154,
    shown: Shown::Always,
    enables: None,
};

/// The attributes of a mailbox that a client sees under this name.
///
/// Interop: Outlook 2013 and mobile clients of its time find special mailboxes by XLIST alone.
pub(crate) fn attributes(shown: &str, uses: SpecialUses) -> Vec<&'static str> {
    let mut attributes: Vec<_> = special_use::attributes(uses).collect();
    if shown == "INBOX" {
        attributes.push("\\Inbox");
    }
    if uses.has(SpecialUse::Junk) {
        attributes.push("\\Spam");
    }
    attributes
}
