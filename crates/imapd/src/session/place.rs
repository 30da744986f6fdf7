//! Where a mailbox is that a client names, and what the user may do there (RFC 4314 §4, §6).
//!
//! Every command that names a mailbox comes by here, and says which rights it needs. Who lacks a
//! right is told so only if the user may know that the mailbox exists (`l`); else it is as if there
//! were none.

use std::sync::Arc;

use mailstore::{Account, Error, FlagMask, Mailbox, MailboxName, Rights, Who};

use super::authenticated::Authenticated;
use crate::error::Refused;
use crate::extension::utf8_accept::check_new;
use crate::response::{Code, Completion, PlainCode};
use crate::sharing;

/// A mailbox that a client names, whether or not it exists.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The tree that it is in.
    pub(crate) account: Account,
    /// Whose tree that is.
    pub(crate) owner: Owner,
    /// Its name there.
    pub(crate) name: MailboxName,
}

/// Whose a tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The user's own.
    Own,
    /// That of this user.
    Other(Box<str>),
}

impl Owner {
    /// The user, in relation to the owner.
    pub(crate) fn who<'a>(&self, user: &'a str) -> Who<'a> {
        match self {
            Self::Own => Who::Owner(user),
            Self::Other(_) => Who::Other(user),
        }
    }

    /// The owner's name.
    pub(crate) fn name<'a>(&'a self, user: &'a str) -> &'a str {
        match self {
            Self::Own => user,
            Self::Other(owner) => owner,
        }
    }
}

impl Place {
    /// What the user may do with the mailbox.
    ///
    /// # Errors
    /// If it does not exist.
    pub(crate) fn rights(&self, user: &str) -> Result<Rights, Error> {
        self.account.rights(&self.name, self.owner.who(user))
    }

    /// Makes sure that the user has all of these rights, and gives those that there are.
    ///
    /// # Errors
    /// If there is no such mailbox, or as if there were none, or `NO [NOPERM]`.
    pub(crate) fn require(&self, user: &str, needed: Rights) -> Result<Rights, Refused> {
        let rights = self.rights(user)?;
        check(rights, needed)?;
        Ok(rights)
    }

    /// Makes sure that the user may create a mailbox of this name: what counts is the nearest one
    /// above it. Where there is none, it is the owner's to begin (RFC 4314 §4).
    ///
    /// # Errors
    /// As for [`require`](Self::require).
    fn require_above(&self, user: &str) -> Result<(), Refused> {
        let above = self.account.nearest_above(&self.name)?;
        match (above, &self.owner) {
            (Some(name), _) => {
                let above = Self {
                    name,
                    ..self.clone()
                };
                above.require(user, Rights::CREATE).map(drop)
            }
            (None, Owner::Own) => Ok(()),
            (None, Owner::Other(_)) => Err(Error::NotFound.into()),
        }
    }

    /// Makes sure that the user may take a mailbox away, or all of those below a name that is none.
    ///
    /// # Errors
    /// As for [`require`](Self::require).
    pub(crate) fn require_removal(&self, user: &str) -> Result<(), Refused> {
        match self.rights(user) {
            Ok(rights) => check(rights, Rights::DELETE),
            Err(Error::NotFound) => {
                let mut found = false;
                for entry in self.account.list()? {
                    if entry.selectable && entry.name.is_inferior_to(&self.name) {
                        let name = entry.name;
                        let below = Self {
                            name,
                            ..self.clone()
                        };
                        below.require(user, Rights::DELETE)?;
                        found = true;
                    }
                }
                // One that may not be looked up is not told of by what comes next, either.
                found.then_some(()).ok_or(Error::NotFound.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the mailbox for somebody who has all of these rights.
    ///
    /// # Errors
    /// As for [`require`](Self::require), or if it cannot be opened.
    pub(crate) fn open(&self, user: &str, needed: Rights) -> Result<Arc<Mailbox>, Refused> {
        let mailbox = self.open_for(user)?;
        check(mailbox.rights(self.owner.who(user)), needed)?;
        Ok(mailbox)
    }

    /// Opens the mailbox for somebody who has any rights there; whoever has none touches nothing.
    /// The user's own INBOX is made by that.
    ///
    /// # Errors
    /// If it does not exist, or cannot be opened.
    pub(crate) fn open_for(&self, user: &str) -> Result<Arc<Mailbox>, Error> {
        if self.owner != Owner::Own && self.rights(user)?.is_empty() {
            return Err(Error::NotFound);
        }
        self.account.open(&self.name)
    }

    /// The mailboxes of the tree that the user may look up.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub(crate) fn visible(&self, user: &str) -> Result<Vec<MailboxName>, Error> {
        if self.owner != Owner::Own {
            return Ok(sharing::visible(&self.account, user));
        }
        let entries = self.account.list()?.into_iter();
        let mailboxes = entries.filter(|it| it.selectable);
        Ok(mailboxes.map(|it| it.name).collect())
    }
}

impl Authenticated {
    /// The mailbox that a client names.
    ///
    /// # Errors
    /// If the name cannot be a mailbox.
    pub(crate) fn place(&self, name: &[u8]) -> Result<Place, Refused> {
        match self
            .decoded(name)
            .and_then(|text| self.place_of_another(&text))
        {
            Some(place) => place,
            None => Ok(self.own(self.name(name)?)),
        }
    }

    /// A mailbox that a client wants to have.
    ///
    /// # Errors
    /// If the user may not create it, or it cannot have that name.
    pub(crate) fn new_place(&self, name: &[u8]) -> Result<Place, Refused> {
        let place = self.place(name)?;
        place.require_above(&self.user)?;
        check_new(&place.name)?;
        Ok(place)
    }

    /// A mailbox of the user's own.
    pub(crate) fn own(&self, name: MailboxName) -> Place {
        Place {
            account: self.account.clone(),
            owner: Owner::Own,
            name,
        }
    }

    /// A mailbox as this client is told of it.
    pub(crate) fn shown_place(&self, place: &Place) -> String {
        match &place.owner {
            Owner::Own => self.shown(&place.name),
            Owner::Other(owner) => self.shown_other(owner, &place.name),
        }
    }

    /// The mailbox that a client names to put messages into it.
    ///
    /// # Errors
    /// `NO [TRYCREATE]` if it cannot exist, or the name cannot be a mailbox.
    pub(crate) fn target(&self, name: &[u8]) -> Result<Place, Refused> {
        let is_missing =
            |refused: &Refused| refused.0.code == Some(Code::Plain(PlainCode::NonExistent));
        match self.place(name) {
            Err(refused) if is_missing(&refused) => Err(try_create()),
            place => place,
        }
    }

    /// Opens the mailbox that APPEND, COPY and the like put messages into, and says which flags
    /// they may bring (RFC 4314 §4).
    ///
    /// # Errors
    /// `NO [TRYCREATE]` if it does not exist (RFC 3501 §6.3.11, §6.4.7), or if it cannot be opened,
    /// or not by this user.
    pub(crate) fn open_target(&self, name: &[u8]) -> Result<(Arc<Mailbox>, FlagMask), Refused> {
        let place = self.target(name)?;
        let mailbox = match place.open_for(&self.user) {
            Err(Error::NotFound) => return Err(try_create()),
            opened => opened?,
        };
        let rights = mailbox.rights(place.owner.who(&self.user));
        match check(rights, Rights::INSERT) {
            Ok(()) => Ok((mailbox, flag_mask(rights))),
            Err(_) if !rights.has(Rights::LOOKUP) => Err(try_create()),
            Err(refused) => Err(refused),
        }
    }
}

/// Makes sure that all of these rights are there.
///
/// # Errors
/// `NO [NOPERM]`, or as if there were no such mailbox.
pub(crate) fn check(rights: Rights, needed: Rights) -> Result<(), Refused> {
    if rights.has(needed) {
        Ok(())
    } else if rights.has(Rights::LOOKUP) {
        Err(not_permitted())
    } else {
        Err(Error::NotFound.into())
    }
}

/// `NO [NOPERM]` (RFC 5530 §3).
pub(crate) fn not_permitted() -> Refused {
    Refused::no(PlainCode::NoPerm, "You have not the right to do that")
}

/// `NO [TRYCREATE]`.
fn try_create() -> Refused {
    let completion = Completion::no("No such mailbox; create it first");
    Refused(completion.with(Code::TryCreate))
}

/// Which flags somebody may change (RFC 4314 §4).
pub(crate) fn flag_mask(rights: Rights) -> FlagMask {
    let each = [
        (Rights::SEEN, FlagMask::SEEN),
        (Rights::DELETED, FlagMask::DELETED),
        (Rights::WRITE, FlagMask::OTHERS),
    ];
    let permitted = each.into_iter().filter(|(right, _)| rights.has(*right));
    permitted.fold(FlagMask::NONE, |mask, (_, flags)| mask.union(flags))
}
