//! SPECIAL-USE and CREATE-SPECIAL-USE (RFC 6154), with `\Important` (RFC 8457): what mailboxes are
//! for.
//!
//! The store remembers whose a use is, and goes by names where nothing was said
//! ([`mailstore::special`]). A use belongs to one mailbox at most: whoever gets it takes it away from
//! the one that has it. `\All` and `\Flagged` are for mailboxes that collect messages of others, and
//! there are none of that kind.

use std::collections::HashMap;

use mailstore::{Entry, MailboxName, SpecialMailboxes, SpecialUse, SpecialUses};

use super::{Capability, Extension, Shown};
use crate::error::Refused;
use crate::response::{Code, Completion};
use crate::session::authenticated::Authenticated;

/// The row of the registry for the options of LIST.
pub(super) const ROW: Extension = Extension {
    is: Capability::SpecialUse,
    capability: "SPECIAL-USE",
    rfc: 6154,
    shown: Shown::Always,
    enables: None,
};

/// The row of the registry for CREATE.
pub(super) const CREATE: Extension = Extension {
    is: Capability::CreateSpecialUse,
    capability: "CREATE-SPECIAL-USE",
    rfc: 6154,
    shown: Shown::Always,
    enables: None,
};

/// Special uses by the names that a client sees.
#[derive(Debug, Default)]
pub(crate) struct Special(HashMap<String, SpecialUses>);

impl Special {
    /// Those of these mailboxes, if this client is to hear of them.
    pub(crate) fn among(mailboxes: &[Entry], account: &Authenticated) -> Self {
        Self::shown(account, || account.account.special_mailboxes(mailboxes))
    }

    /// Those of all mailboxes, if this client is to hear of them.
    pub(crate) fn all(account: &Authenticated) -> Self {
        Self::shown(account, || account.account.special())
    }

    /// What the mailbox is for that a client sees under this name.
    pub(crate) fn of(&self, shown: &str) -> SpecialUses {
        self.0.get(shown).copied().unwrap_or_default()
    }

    fn shown(account: &Authenticated, look: impl FnOnce() -> SpecialMailboxes) -> Self {
        if !account.offered.has(Capability::SpecialUse) {
            return Self::default();
        }
        let special = look();
        let mailboxes = special.mailboxes().into_iter();
        Self(
            mailboxes
                .map(|name| (account.shown(name), special.of(name)))
                .collect(),
        )
    }
}

/// The attributes of a mailbox that is for this (RFC 6154 §2). Responses to the plain LIST and to
/// LSUB have them as well, which RFC 6154 allows.
///
/// Interop: Outlook up to 2016 looks for them there.
pub(crate) fn attributes(uses: SpecialUses) -> impl Iterator<Item = &'static str> {
    uses.iter().map(SpecialUse::attribute)
}

/// The attributes of one mailbox, if this client is to hear of them.
pub(crate) fn attributes_of(
    account: &Authenticated,
    name: &MailboxName,
) -> impl Iterator<Item = &'static str> {
    let uses = match account.offered.has(Capability::SpecialUse) {
        true => account.account.special().of(name),
        false => SpecialUses::NONE,
    };
    attributes(uses)
}

/// The uses that a client names for a mailbox.
///
/// # Errors
/// `NO [USEATTR]` if there is one that mailboxes here cannot have, or if the mailbox is INBOX
/// (RFC 6154 §3).
pub(crate) fn wanted(name: &MailboxName, attributes: &[Vec<u8>]) -> Result<SpecialUses, Refused> {
    if name.is_inbox() && !attributes.is_empty() {
        return Err(refused("INBOX has its own use"));
    }
    let uses = attributes.iter().map(|it| {
        SpecialUse::from_attribute(it).ok_or_else(|| refused("No such special use here"))
    });
    uses.collect()
}

fn refused(text: &str) -> Refused {
    Refused(Completion::no(text).with(Code::UseAttr))
}
