//! Other users' mailboxes, as a namespace of their own (RFC 2342 §5).

use std::collections::BTreeSet;
use std::sync::Arc;

use auth::{MailTemplate, Name};
use mailstore::{
    Account, Error, Identifier, MailboxName, NameError, Namespace, Rights, Sharers, Who,
};

use crate::error::Refused;
use crate::session::authenticated::Authenticated;
use crate::session::place::{Owner, Place};

/// How users get to mailboxes of others.
#[derive(Clone, Debug)]
pub struct Sharing {
    /// What the names of other users' mailboxes begin with, up to the user's name; it ends with
    /// [`SEPARATOR`](Self::SEPARATOR).
    pub prefix: String,
    /// Where the mail of a user is.
    pub mail: MailTemplate,
    /// Who shares something with whom.
    pub sharers: Arc<Sharers>,
}

impl Sharing {
    /// The hierarchy separator of these names: neither a user's name nor a level has it.
    pub const SEPARATOR: char = '/';

    /// The name of another user's mailbox, decoded.
    fn text(&self, owner: &str, name: &MailboxName) -> String {
        format!(
            "{}{owner}{}{}",
            self.prefix,
            Self::SEPARATOR,
            below_owner(name)
        )
    }
}

/// The levels of a decoded name.
fn levels(text: &str) -> Vec<String> {
    let levels = text.split(Sharing::SEPARATOR);
    levels.map(str::to_owned).collect()
}

/// A name below its owner's, with our separator.
fn below_owner(name: &MailboxName) -> String {
    let levels: Vec<&str> = name.levels().collect();
    levels.join(&Sharing::SEPARATOR.to_string())
}

impl Authenticated {
    /// The mailbox of another user that a decoded name means; `None` if it is not below the prefix.
    /// Whether such a user exists is not told to who has no rights there: every name is read to its
    /// end first.
    ///
    /// # Errors
    /// As if there were no such mailbox, or if the name cannot be a mailbox.
    pub(crate) fn place_of_another(&self, text: &str) -> Option<Result<Place, Refused>> {
        let sharing = self.sharing.as_ref()?;
        if text == sharing.prefix.trim_end_matches(Sharing::SEPARATOR) {
            return Some(Err(NameError::Reserved.into()));
        }
        let path = text.strip_prefix(&sharing.prefix)?;
        Some(self.find_other(sharing, path))
    }

    fn find_other(&self, sharing: &Sharing, path: &str) -> Result<Place, Refused> {
        let (owner, name) = path.split_once(Sharing::SEPARATOR).unwrap_or((path, ""));
        if name.is_empty() {
            return Err(Error::NotFound.into());
        }
        let namespace = Namespace {
            prefix: String::new(),
            separator: Sharing::SEPARATOR,
            utf8_on_disk: self.namespace().utf8_on_disk,
        };
        let name = namespace.parse_utf8(name.as_bytes())?;
        let domain = self.default_domain.as_deref();
        let owner = Name::parse(owner, domain).map_err(|_| Error::NotFound)?;
        let (owner, account) = self.other(sharing, &owner).ok_or(Error::NotFound)?;
        // A name may be too long in its normal form, which is found out only where there is a user.
        let name = account.resolve(name).map_err(|_| Error::NotFound)?;
        Ok(Place {
            account,
            owner: Owner::Other(owner),
            name,
        })
    }

    /// The account of another user, if there is one.
    fn other(&self, sharing: &Sharing, owner: &Name) -> Option<(Box<str>, Account)> {
        if owner.as_str() == &*self.user {
            return None;
        }
        let root = sharing.mail.expand(owner)?;
        let account = self.account.neighbor(&root)?;
        // The owner may not have logged in since the server has been started.
        account.set_policy(self.quotas.of(owner.as_str()));
        Some((owner.as_str().into(), account))
    }

    /// The name of another user's mailbox, as this client is told of it.
    pub(crate) fn shown_other(&self, owner: &str, name: &MailboxName) -> String {
        let text = match &self.sharing {
            Some(sharing) => sharing.text(owner, name),
            None => String::new(),
        };
        self.shown_text(&text)
    }

    /// The levels of the name of another user's mailbox.
    pub(crate) fn other_levels(&self, owner: &str, name: &MailboxName) -> Vec<String> {
        let text = self
            .sharing
            .as_ref()
            .map(|sharing| sharing.text(owner, name));
        levels(&text.unwrap_or_default())
    }

    /// The levels of a name that a client writes, if it is one of other users' mailboxes, whether or
    /// not it exists.
    pub(crate) fn levels_of_other(&self, name: &[u8]) -> Option<Vec<String>> {
        let sharing = self.sharing.as_ref()?;
        let text = self.decoded(name)?;
        text.starts_with(&sharing.prefix).then(|| levels(&text))
    }

    /// The same levels with the name of the owner as it is told, if it was written otherwise.
    pub(crate) fn canonical_levels(&self, levels: &[String]) -> Option<Vec<String>> {
        let owner = Name::parse(levels.get(1)?, self.default_domain.as_deref()).ok()?;
        let mut canonical = levels.to_vec();
        owner.as_str().clone_into(canonical.get_mut(1)?);
        (canonical != levels).then_some(canonical)
    }

    /// A text as a part of a name, as this client is told of it.
    fn shown_text(&self, text: &str) -> String {
        if self.enabled.speaks_utf8() {
            text.to_owned()
        } else {
            Namespace::encode(text)
        }
    }

    /// What the names of other users' mailboxes begin with, as this client is told of it.
    pub(crate) fn shown_others_prefix(&self) -> Option<String> {
        let sharing = self.sharing.as_ref()?;
        Some(self.shown_text(&sharing.prefix))
    }

    /// Whether a pattern of LIST can match names of other users' mailboxes, or those above them.
    pub(crate) fn may_name_others(&self, pattern: &[u8]) -> bool {
        let Some(prefix) = self.shown_others_prefix() else {
            return false;
        };
        let wild = pattern
            .iter()
            .position(|octet| matches!(octet, b'*' | b'%'));
        let plain = pattern.get(..wild.unwrap_or(pattern.len()));
        let plain = plain.unwrap_or_default();
        prefix.as_bytes().starts_with(plain) || plain.starts_with(prefix.as_bytes())
    }

    /// The subscribed names of other users' mailboxes, as this client is told of them.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub(crate) fn subscribed_others(&self) -> Result<Vec<String>, Error> {
        let Some(sharing) = &self.sharing else {
            return Ok(Vec::new());
        };
        let names = self.account.subscribed_levels()?.into_iter();
        let names = names.map(|levels| levels.join(&Sharing::SEPARATOR.to_string()));
        let others = names.filter(|name| name.starts_with(&sharing.prefix));
        Ok(others.map(|name| self.shown_text(&name)).collect())
    }

    /// Notes whom the owner of a tree shares something with, for those who look for it.
    pub(crate) fn note_sharing(&self, place: &Place) {
        let Some(sharing) = &self.sharing else {
            return;
        };
        let noted = grantees(&place.account).and_then(|identifiers| {
            let owner = place.owner.name(&self.user);
            sharing.sharers.note(owner, identifiers)
        });
        if let Err(error) = noted {
            tracing::error!(%error, "not noted who shares mailboxes: pillarbox sharing rebuild");
        }
    }
}

/// Whom the owner of a tree has given rights to any mailbox.
///
/// # Errors
/// If the tree cannot be read.
pub fn grantees(account: &Account) -> Result<BTreeSet<Identifier>, Error> {
    let mut identifiers = BTreeSet::new();
    for entry in account.list()?.iter().filter(|entry| entry.selectable) {
        match account.acl(&entry.name) {
            Ok(acl) => identifiers.extend(acl.grantees().cloned()),
            // Closed to all others, which the log says.
            Err(Error::Corrupt { .. } | Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(identifiers)
}

/// The way through the trees of all who share something with a user, one of them in each slice.
#[derive(Debug, Default)]
pub(crate) struct Others {
    /// Who is left; `None` before the first.
    owners: Option<Vec<String>>,
    /// The mailboxes that may be looked up, as this client is told of them.
    pub(crate) found: Vec<String>,
}

impl Others {
    /// Looks through one tree; `true` when none is left. What cannot be read is left out.
    pub(crate) fn step(&mut self, account: &Authenticated) -> bool {
        let Some(sharing) = &account.sharing else {
            return true;
        };
        let owners = self.owners.get_or_insert_with(|| {
            let owners = sharing.sharers.owners_for(&account.user);
            owners.unwrap_or_else(|error| {
                tracing::error!(%error, "not known who shares mailboxes");
                Vec::new()
            })
        });
        let Some(owner) = owners.pop() else {
            return true;
        };
        let other = Name::parse(&owner, None).ok();
        let other = other.and_then(|owner| account.other(sharing, &owner));
        if let Some((owner, tree)) = other {
            self.found.extend(
                visible(&tree, &account.user)
                    .iter()
                    .map(|name| account.shown_other(&owner, name)),
            );
        }
        owners.is_empty()
    }
}

/// The mailboxes of another user's tree that somebody may look up.
pub(crate) fn visible(tree: &Account, user: &str) -> Vec<MailboxName> {
    let entries = match tree.list() {
        Ok(entries) => entries,
        Err(error) => {
            tracing::warn!(root = %tree.root().display(), %error, "mailboxes not listed");
            return Vec::new();
        }
    };
    let names = entries.into_iter().filter(|it| it.selectable);
    let may_look_up = |name: &MailboxName| {
        let rights = tree.rights(name, Who::Other(user));
        rights.is_ok_and(|rights| rights.has(Rights::LOOKUP))
    };
    names.map(|it| it.name).filter(may_look_up).collect()
}
