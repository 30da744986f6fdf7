//! Who may do what with a mailbox: its list of rights (RFC 4314), in the file `dovecot-acl` in its
//! directory, in Dovecot's format, so that a tree that Dovecot has served keeps its rights, and has
//! them when it goes back.
//!
//! # What a list means
//!
//! As in Dovecot: without a file the owner may do everything and nobody else anything. Entries are
//! applied from the most general identifier to the most special one, and each that is about the
//! user takes the place of those before it; what is taken away (`-`) is taken away at the end.
//! Entries for everybody are not about the owner. The owner keeps [`Acl::KEPT`] whatever the list
//! says, so that nobody can lock themselves out.
//!
//! We know no groups. Whoever is not the owner may be a member of any: an entry for a group takes
//! away what it does not grant, and grants nothing.
//!
//! # Damage
//!
//! A file of which one line cannot be understood is of no use as a whole: the line may be the one
//! that takes something away. Then only the owner has access, the log says which line it is, and
//! nothing changes the file but its administrator. The same holds for what is not a regular file,
//! and for one that cannot be read.
//!
//! # Changes
//!
//! The file is small and replaced as a whole (see `replace`), under the exclusive lock of the tree,
//! which RENAME and CREATE take, too, and Dovecot's `dovecot-acl.lock`. It is in the mailbox's
//! directory, so that it goes where the mailbox goes. A new mailbox gets the list of the nearest
//! mailbox above it before anybody can see it; from then on they are independent of each other.

mod file;
mod rights;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lock::Dotlock;
use crate::replace::{self, Replacement};
use crate::store::Options;
pub use rights::Rights;

/// A list of rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// The most special identifier last.
    entries: BTreeMap<Identifier, Entry>,
}

/// Whom an entry is about, the most general first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// Everybody but the owner.
    Anyone,
    /// Everybody but the owner who has logged in, which is everybody here.
    Authenticated,
    /// The members of a group.
    Group(String),
    /// The owner.
    Owner,
    /// A user, by canonical name.
    User(String),
    /// The members of a group, whatever is said of them as users.
    GroupOverride(String),
}

/// Whether an entry gives rights or takes them away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It gives them.
    Positive,
    /// It takes them away (RFC 4314 §2).
    Negative,
}

/// How rights are combined with those that are there (RFC 4314 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// They take their place.
    Replace,
    /// They are added.
    Add,
    /// They are taken out.
    Remove,
}

/// Who wants to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who<'a> {
    /// The owner of the tree, by canonical name.
    Owner(&'a str),
    /// Another user, by canonical name.
    Other(&'a str),
}

/// What is said of an identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    positive: Option<Granted>,
    negative: Option<Granted>,
}

/// Rights, and the names of those that only other programs know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Granted {
    rights: Rights,
    others: BTreeSet<String>,
}

/// What an identifier has to do with a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// It is a group, of whose members we know nothing.
    Perhaps,
}

impl Acl {
    /// What the owner can always do.
    pub const KEPT: Rights = Rights::LOOKUP.union(Rights::ADMINISTER);

    /// What somebody may do.
    pub fn rights_of(&self, who: Who<'_>) -> Rights {
        let mut rights = match who {
            Who::Owner(_) => Rights::ALL,
            Who::Other(_) => Rights::NONE,
        };
        let mut taken = Rights::NONE;
        let of = |granted: &Option<Granted>| granted.as_ref().map(|it| it.rights);
        for (identifier, entry) in &self.entries {
            let (given, taken_here) = (of(&entry.positive), of(&entry.negative));
            match identifier.matches(who) {
                Match::No => {}
                Match::Yes => {
                    rights = given.unwrap_or(rights);
                    taken = taken_here.unwrap_or(taken);
                }
                Match::Perhaps => {
                    rights = given.map_or(rights, |given| rights.intersection(given));
                    taken = taken_here.map_or(taken, |here| taken.union(here));
                }
            }
        }
        let rights = rights.without(taken);
        match who {
            Who::Owner(_) => rights.union(Self::KEPT),
            Who::Other(_) => rights,
        }
    }

    /// The entries, those of the owner first: there always is one.
    pub fn entries(&self, owner: &str) -> Vec<(Identifier, Sign, Rights)> {
        let mut acl = self.clone();
        acl.adopt(owner);
        let entry = acl.entries.entry(Identifier::Owner).or_default();
        let mut own = entry.positive.take().map_or(Rights::ALL, |it| it.rights);
        if entry.negative.is_none() {
            own = own.union(Self::KEPT);
        }
        let mut all = vec![(Identifier::Owner, Sign::Positive, own)];
        for (identifier, entry) in acl.entries {
            let parts = [
                (Sign::Positive, entry.positive),
                (Sign::Negative, entry.negative),
            ];
            let parts = parts
                .into_iter()
                .filter_map(|(sign, part)| Some((identifier.clone(), sign, part?.rights)));
            all.extend(parts);
        }
        all.sort_by_key(|(identifier, ..)| *identifier != Identifier::Owner);
        all
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that are given any rights, but for the owner.
    pub fn grantees(&self) -> impl Iterator<Item = &Identifier> {
        let given = |entry: &Entry| {
            entry
                .positive
                .as_ref()
                .is_some_and(|it| !it.rights.is_empty())
        };
        let entries = self.entries.iter();
        entries
            .filter(move |(identifier, entry)| **identifier != Identifier::Owner && given(entry))
            .map(|(identifier, _)| identifier)
    }

    /// Changes what is said of an identifier, in the mailbox of `owner`. Rights that only other
    /// programs know stay.
    pub fn change(
        &mut self,
        owner: &str,
        (identifier, sign): (Identifier, Sign),
        combine: Combine,
        rights: Rights,
    ) {
        self.adopt(owner);
        let is_owner = identifier == Identifier::Owner && sign == Sign::Positive;
        let mut granted = self.part(&identifier, sign).unwrap_or(Granted {
            rights: if is_owner { Rights::ALL } else { Rights::NONE },
            others: BTreeSet::new(),
        });
        granted.rights = match combine {
            Combine::Replace => rights,
            Combine::Add => granted.rights.union(rights),
            Combine::Remove => granted.rights.without(rights),
        };
        if is_owner {
            granted.rights = granted.rights.union(Self::KEPT);
        }
        let says_nothing = granted.rights.is_empty() && granted.others.is_empty();
        let granted = Some(granted).filter(|_| sign == Sign::Positive || !says_nothing);
        self.put(identifier, sign, granted);
    }

    /// Takes an identifier off the list, in the mailbox of `owner`. The owner is left with what
    /// cannot be taken.
    pub fn remove(&mut self, owner: &str, (identifier, sign): (Identifier, Sign)) {
        self.adopt(owner);
        let kept = (identifier == Identifier::Owner && sign == Sign::Positive).then(|| Granted {
            rights: Self::KEPT,
            others: BTreeSet::new(),
        });
        self.put(identifier, sign, kept);
    }

    /// Turns entries for a user who is the owner into those of the owner, which they take the
    /// place of.
    fn adopt(&mut self, owner: &str) {
        let is_owner = |identifier: &Identifier| matches!(identifier, Identifier::User(user) if user.eq_ignore_ascii_case(owner));
        let found = self.entries.keys().find(|it| is_owner(it)).cloned();
        let Some(found) = found.and_then(|found| self.entries.remove(&found)) else {
            return;
        };
        let entry = self.entries.entry(Identifier::Owner).or_default();
        entry.positive = found.positive.or(entry.positive.take());
        entry.negative = found.negative.or(entry.negative.take());
    }

    /// Puts a part of an entry in the place of what is there; an entry without any goes.
    fn put(&mut self, identifier: Identifier, sign: Sign, granted: Option<Granted>) {
        let mut slot = match self.entries.entry(identifier) {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(slot) => slot.insert_entry(Entry::default()),
        };
        let entry = slot.get_mut();
        match sign {
            Sign::Positive => entry.positive = granted,
            Sign::Negative => entry.negative = granted,
        }
        if entry.positive.is_none() && entry.negative.is_none() {
            slot.remove();
        }
    }

    fn part(&self, identifier: &Identifier, sign: Sign) -> Option<Granted> {
        let entry = self.entries.get(identifier)?;
        match sign {
            Sign::Positive => entry.positive.clone(),
            Sign::Negative => entry.negative.clone(),
        }
    }

    /// The list of the mailbox in a directory.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is damaged.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let Some(contents) = replace::read(&path)? else {
            return Ok(Self::default());
        };
        file::parse(&contents.bytes).map_err(|damage| {
            let (line, problem) = (damage.line, damage.problem);
            tracing::error!(path = %path.display(), line, problem, "list of rights not understood");
            Error::Corrupt { path, problem }
        })
    }

    /// What somebody may do with the mailbox in a directory: where the list is of no use, only the
    /// owner anything.
    pub(crate) fn rights_in(directory: &Path, who: Who<'_>) -> Rights {
        let acl = Self::load(directory).unwrap_or_else(|error| {
            tracing::error!(%error, "only the owner has access");
            Self::default()
        });
        acl.rights_of(who)
    }

    /// Changes the list of the mailbox in a directory, durably. Under the exclusive lock of the
    /// tree.
    ///
    /// # Errors
    /// If it is damaged or cannot be written.
    pub(crate) fn change_in(
        directory: &Path,
        options: &Options,
        change: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Self> {
        let path = directory.join(FILE);
        let begun = Replacement::begin(&path)?;
        let now = || begun.file_system_time();
        let lock = directory.join(LOCK);
        let _lock = Dotlock::acquire(&lock, options.lock_timeout, now)?;
        let mut acl = Self::load(directory)?;
        let before = acl.clone();
        change(&mut acl)?;
        if acl.is_empty() {
            drop(begun);
            replace::remove(&path)?;
            replace::sync_directory(directory)?;
        } else if acl != before {
            let after = replace::read(&path)?.map(|contents| contents.modified);
            // Dovecot notices a change by the time or the size.
            begun.commit(file::format(&acl).as_bytes(), after)?;
        }
        Ok(acl)
    }
}

/// Gives a directory that nobody can see yet the list of another one, as it is.
///
/// # Errors
/// If it cannot be read or written.
pub(crate) fn inherit(from: &Path, to: &Path) -> Result<()> {
    let contents = match replace::read(&from.join(FILE)) {
        Ok(contents) => contents,
        // Of no use there either: without one, only the owner has access.
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    match contents {
        Some(contents) => Replacement::begin(&to.join(FILE))?.commit(&contents.bytes, None),
        None => Ok(()),
    }
}

impl Identifier {
    /// Reads an identifier as it is in the file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let named = |start: &str, make: fn(String) -> Self| {
            let name = text.strip_prefix(start)?;
            (!name.is_empty()).then(|| make(name.to_owned()))
        };
        match text {
            "anyone" | "anonymous" => Some(Self::Anyone),
            "authenticated" => Some(Self::Authenticated),
            "owner" => Some(Self::Owner),
            _ => named("user=", Self::User)
                .or_else(|| named("group=", Self::Group))
                .or_else(|| named("group-override=", Self::GroupOverride)),
        }
    }

    /// Whether an entry with this identifier is about somebody.
    fn matches(&self, who: Who<'_>) -> Match {
        let yes = |yes| if yes { Match::Yes } else { Match::No };
        match (self, who) {
            (Self::Anyone | Self::Authenticated, Who::Other(_)) => Match::Yes,
            (Self::Group(_) | Self::GroupOverride(_), Who::Other(_)) => Match::Perhaps,
            (Self::Owner, Who::Owner(_)) => Match::Yes,
            (Self::User(user), Who::Owner(name) | Who::Other(name)) => {
                yes(user.eq_ignore_ascii_case(name))
            }
            (Self::Owner, Who::Other(_))
            | (
                Self::Anyone | Self::Authenticated | Self::Group(_) | Self::GroupOverride(_),
                Who::Owner(_),
            ) => Match::No,
        }
    }

    /// Whether an entry with this identifier may be about a user who is not the owner.
    pub fn may_be(&self, user: &str) -> bool {
        self.matches(Who::Other(user)) != Match::No
    }
}

impl fmt::Display for Identifier {
    /// As it is in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Group(name) => write!(f, "group={name}"),
            Self::Owner => f.write_str("owner"),
            Self::User(name) => write!(f, "user={name}"),
            Self::GroupOverride(name) => write!(f, "group-override={name}"),
        }
    }
}

/// The list of rights of a mailbox, in its directory.
pub(crate) const FILE: &str = "dovecot-acl";
/// Held while it is changed.
const LOCK: &str = "dovecot-acl.lock";

#[cfg(test)]
mod tests;
