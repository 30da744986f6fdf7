//! IMAP4rev2 (RFC 9051), for sessions that enable it (§7.2.2); all others speak IMAP4rev1 (RFC 3501).
//!
//! Most of what it has are extensions that every session is offered. What only it has, or has no
//! more, is decided where it is told, by the [`Revision`] of the session.

use std::iter::successors;

use mailstore::{Error, MailboxName};

use super::children::{Children, attribute};
use super::enable::{Enabled, Feature};
use super::{Capabilities, Capability, Extension, Shown, special_use};
use crate::error::Refused;
use crate::response::{ListEntry, PlainCode, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::place::{Owner, Place};
use crate::session::responses::Responses;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ImapRev2,
    capability: "IMAP4rev2",
    rfc: 9051,
    shown: Shown::Always,
    enables: Some(Feature::ImapRev2),
};

/// The version of the protocol that a session follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// IMAP4rev1.
    Rev1,
    /// IMAP4rev2.
    Rev2,
}

impl Enabled {
    /// The version that the client has asked for.
    pub(crate) const fn revision(self) -> Revision {
        if self.has(Feature::ImapRev2) {
            Revision::Rev2
        } else {
            Revision::Rev1
        }
    }
}

impl Revision {
    /// Of what is offered, what this version understands: arguments that only the other one has are
    /// refused like those of an extension that is hidden.
    pub(crate) const fn understands(self, offered: Capabilities) -> Capabilities {
        match self {
            Self::Rev1 => offered.without(Capabilities::NONE.with(Capability::ImapRev2)),
            // STATUS has DELETED in any case (RFC 9051 §6.3.11), of which only a quota knows else.
            Self::Rev2 => offered
                .without(Capabilities::NONE.with(Capability::ImapRev1))
                .with(Capability::QuotaMessage),
        }
    }
}

/// What IMAP4rev2 consists of that can be hidden by itself (RFC 9051 §E).
const PARTS: [Capability; 14] = [
    Capability::SaslIr,
    Capability::Enable,
    Capability::Idle,
    Capability::Namespace,
    Capability::Unselect,
    Capability::Children,
    Capability::UidPlus,
    Capability::ListExtended,
    Capability::ListStatus,
    Capability::Move,
    Capability::Esearch,
    Capability::SearchRes,
    Capability::StatusSize,
    Capability::Binary,
];

/// What can be offered of these: without one of its parts there is no IMAP4rev2.
pub(crate) fn possible(offered: Capabilities) -> Capabilities {
    if PARTS.into_iter().all(|part| offered.has(part)) {
        offered
    } else {
        offered.without(Capabilities::NONE.with(Capability::ImapRev2))
    }
}

/// Why a command is not understood that needs a capability which is not there for this client.
pub(crate) fn missing(capability: Capability, offered: Capabilities) -> String {
    let rev2 = offered.has(Capability::ImapRev2);
    if capability == Capability::ImapRev1 {
        "not in IMAP4rev2".to_owned()
    } else if capability == Capability::ImapRev2 && rev2 {
        "not without ENABLE IMAP4rev2".to_owned()
    } else {
        format!("{} is not offered", capability.name())
    }
}

/// Tells the name of the mailbox that is selected now (RFC 9051 §6.3.2).
pub(crate) fn selected(account: &Authenticated, name: &[u8], out: &mut Responses) {
    if account.enabled.revision() == Revision::Rev1 {
        return;
    }
    let Ok(place) = account.place(name) else {
        return;
    };
    let entry = entry(account, &place);
    let typed = account.typed(name).ok();
    let other = typed.filter(|typed| place.owner == Owner::Own && *typed != place.name);
    out.untagged(match other {
        None => Untagged::List(entry),
        Some(typed) => Untagged::ListWithOldName(entry, account.shown(&typed)),
    });
}

/// Tells what the mailbox is named that a client named in another form of Unicode
/// (RFC 9051 §6.3.9.7): it was made, is gone, or is written to.
pub(crate) fn normalized(account: &Authenticated, typed: &[u8], place: &Place) -> Option<Untagged> {
    let typed = account.typed(typed).ok()?;
    let own = place.owner == Owner::Own;
    if account.enabled.revision() == Revision::Rev1 || !own || typed == place.name {
        return None;
    }
    let mut entry = entry(account, place);
    if place.account.open(&place.name).is_err() {
        entry.attributes.insert(0, "\\NonExistent");
    }
    Some(Untagged::ListWithOldName(entry, account.shown(&typed)))
}

/// The LIST response of a mailbox that exists, with all its attributes (RFC 9051 §6.3.2). What
/// cannot be read now is left out.
fn entry(account: &Authenticated, place: &Place) -> ListEntry {
    let mut attributes = Vec::new();
    let own = place.owner == Owner::Own;
    let shown = account.shown_place(place);
    let subscribed = match own {
        true => account
            .account
            .subscriptions()
            .map(|it| it.contains(&place.name)),
        false => account.subscribed_others().map(|it| it.contains(&shown)),
    };
    if subscribed.unwrap_or_default() {
        attributes.push("\\Subscribed");
    }
    if let Ok(mailboxes) = place.visible(&account.user) {
        let mut below = mailboxes.iter().filter(|it| is_below(it, &place.name));
        let children = match below.next() {
            Some(_) => Children::Some,
            None => Children::None,
        };
        attributes.push(attribute(children));
    }
    if own {
        attributes.extend(special_use::attributes_of(account, &place.name));
    }
    ListEntry {
        attributes,
        separator: Some(account.namespace().separator),
        name: account.shown_place(place),
    }
}

/// Whether a mailbox is somewhere below another one.
fn is_below(name: &MailboxName, ancestor: &MailboxName) -> bool {
    successors(name.parent(), MailboxName::parent).any(|parent| parent == *ancestor)
}

/// Tells what a mailbox was named before, if it is not INBOX, which stays (RFC 9051 §6.3.6).
pub(crate) fn renamed(account: &Authenticated, from: &Place, to: &Place, out: &mut Responses) {
    if account.enabled.revision() == Revision::Rev1 || from.name.is_inbox() {
        return;
    }
    // The name of nothing but others below it is no mailbox.
    if to.account.open(&to.name).is_ok() {
        let old_name = account.shown_place(from);
        out.untagged(Untagged::ListWithOldName(entry(account, to), old_name));
    }
}

/// Why a mailbox that does not exist cannot be deleted: in IMAP4rev2 it is told that there are
/// others below it (RFC 9051 §6.3.5).
pub(crate) fn not_deleted(account: &Authenticated, place: &Place) -> Refused {
    let told = account.enabled.revision() == Revision::Rev2;
    let mailboxes = place.visible(&account.user);
    let is_below = |it: &MailboxName| is_below(it, &place.name);
    let has_children = mailboxes.is_ok_and(|mailboxes| mailboxes.iter().any(is_below));
    if told && has_children {
        let text = "There are mailboxes below this name";
        Refused::no(PlainCode::HasChildren, text)
    } else {
        Error::NotFound.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_imap4rev2_without_one_of_its_parts() {
        let without = |hidden| possible(Capabilities::all().without(hidden));
        assert!(without(Capabilities::NONE).has(Capability::ImapRev2));
        let other = Capabilities::NONE.with(Capability::Id);
        assert!(without(other).has(Capability::ImapRev2));
        for part in PARTS {
            let offered = without(Capabilities::NONE.with(part));
            assert!(!offered.has(Capability::ImapRev2), "{part:?}");
            assert!(offered.has(Capability::ImapRev1), "{part:?}");
        }
    }

    #[test]
    fn each_version_understands_what_it_has() {
        let all = Capabilities::all();
        let rev1 = Revision::Rev1.understands(all);
        let rev2 = Revision::Rev2.understands(all);
        assert!(rev1.has(Capability::ImapRev1) && !rev1.has(Capability::ImapRev2));
        assert!(rev2.has(Capability::ImapRev2) && !rev2.has(Capability::ImapRev1));
        let mut enabled = Enabled::default();
        assert_eq!(enabled.revision(), Revision::Rev1);
        enabled.insert(Feature::ImapRev2);
        assert_eq!(enabled.revision(), Revision::Rev2);
    }
}
