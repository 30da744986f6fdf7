//! Special uses of mailboxes (RFC 6154 §2, RFC 8457 §3), and the names that mailboxes of such a use
//! commonly have.
//!
//! A mailbox has a use because somebody gave it to it, which `pillarbox.account` says, or because of
//! its name, while nobody has said anything about that use. One use belongs to one mailbox at most.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::attached::Renames;
use crate::name::MailboxName;

/// What a mailbox is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialUse {
    /// Messages that are kept out of the way.
    Archive,
    /// Messages that are being written.
    Drafts,
    /// Messages that are likely to be important (RFC 8457 §3).
    Important,
    /// Spam.
    Junk,
    /// Copies of messages that were sent.
    Sent,
    /// Messages that were deleted.
    Trash,
}

impl SpecialUse {
    /// All of them, by name.
    pub const ALL: [Self; 6] = [
        Self::Archive,
        Self::Drafts,
        Self::Important,
        Self::Junk,
        Self::Sent,
        Self::Trash,
    ];

    /// Its attribute (RFC 6154 §2, RFC 8457 §3).
    pub const fn attribute(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Important => "\\Important",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }

    /// The use that has this attribute, in any letter case.
    pub fn from_attribute(attribute: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|it| it.attribute().as_bytes().eq_ignore_ascii_case(attribute))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of special uses.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialUses(u8);

impl SpecialUses {
    /// None.
    pub const NONE: Self = Self(0);

    /// With one more.
    #[must_use]
    pub const fn with(self, special_use: SpecialUse) -> Self {
        Self(self.0 | special_use.bit())
    }

    /// Whether it is one of them.
    pub const fn has(self, special_use: SpecialUse) -> bool {
        self.0 & special_use.bit() != 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, by name.
    pub fn iter(self) -> impl Iterator<Item = SpecialUse> {
        SpecialUse::ALL.into_iter().filter(move |it| self.has(*it))
    }
}

impl FromIterator<SpecialUse> for SpecialUses {
    fn from_iter<I: IntoIterator<Item = SpecialUse>>(uses: I) -> Self {
        uses.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for SpecialUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The names that tell what a mailbox is for, and whether such mailboxes are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialNames {
    /// For each use, the names that mailboxes of it have. The first one that exists has it.
    pub names: Vec<(SpecialUse, Vec<MailboxName>)>,
    /// Whether mailboxes are made for uses that none is for.
    pub missing: Missing,
}

/// What becomes of a use that no mailbox is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Nothing.
    #[default]
    Left,
    /// A mailbox with the first name is made and subscribed, once for each account.
    Made,
}

/// Which mailboxes of an account have special uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialMailboxes(BTreeMap<SpecialUse, MailboxName>);

impl SpecialMailboxes {
    /// Of what was `given`, which says for a use whose it is or that it is nobody's, and of `names`,
    /// that which concerns mailboxes that exist.
    pub(crate) fn new(
        given: &BTreeMap<SpecialUse, Option<MailboxName>>,
        names: &SpecialNames,
        exists: impl Fn(&MailboxName) -> bool,
    ) -> Self {
        let mut all = BTreeMap::new();
        for (special_use, mailbox) in given {
            if let Some(mailbox) = mailbox.as_ref().filter(|it| exists(it)) {
                all.insert(*special_use, mailbox.clone());
            }
        }
        for (special_use, names) in &names.names {
            let is_nobodys = given.get(special_use).is_some_and(Option::is_none);
            if is_nobodys || all.contains_key(special_use) {
                continue;
            }
            if let Some(named) = names.iter().find(|it| exists(it)) {
                all.insert(*special_use, named.clone());
            }
        }
        Self(all)
    }

    /// What a mailbox is for.
    pub fn of(&self, mailbox: &MailboxName) -> SpecialUses {
        let own = self.0.iter().filter(|(_, it)| *it == mailbox);
        own.map(|(special_use, _)| *special_use).collect()
    }

    /// The mailbox that is for this.
    pub fn mailbox(&self, special_use: SpecialUse) -> Option<&MailboxName> {
        self.0.get(&special_use)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives mailboxes their new names.
    pub(crate) fn rename(&mut self, renames: &Renames) {
        for name in self.0.values_mut() {
            if let Some(new) = renames.get(name) {
                *name = new.clone();
            }
        }
    }

    /// The mailboxes that have uses, each once.
    pub fn mailboxes(&self) -> BTreeSet<&MailboxName> {
        self.0.values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Namespace;

    fn name(text: &str) -> MailboxName {
        Namespace::default().parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_was_said_goes_before_names() {
        use SpecialUse::{Drafts, Junk, Sent, Trash};
        let names = SpecialNames {
            names: vec![
                (Drafts, vec![name("Drafts")]),
                (Sent, vec![name("Sent"), name("Sent Items")]),
                (Trash, vec![name("Trash")]),
                (Junk, vec![name("Junk"), name("Spam")]),
            ],
            missing: Missing::Left,
        };
        let existing = ["Drafts", "Sent Items", "Trash", "Spam", "Other"].map(name);
        let given = BTreeMap::from([
            (Drafts, Some(name("Other"))),
            (Trash, None),
            // It does not exist any more.
            (Junk, Some(name("Gone"))),
        ]);
        let special = SpecialMailboxes::new(&given, &names, |it| existing.contains(it));
        assert_eq!(special.of(&name("Drafts")), SpecialUses::NONE);
        assert_eq!(special.mailbox(Drafts), Some(&name("Other")));
        assert_eq!(special.mailbox(Sent), Some(&name("Sent Items")));
        assert_eq!(special.mailbox(Trash), None);
        assert_eq!(special.mailbox(Junk), Some(&name("Spam")));
    }

    #[test]
    fn attributes_are_read_in_any_letter_case() {
        for special_use in SpecialUse::ALL {
            let attribute = special_use.attribute();
            for attribute in [attribute.to_owned(), attribute.to_ascii_uppercase()] {
                let read = SpecialUse::from_attribute(attribute.as_bytes());
                assert_eq!(read, Some(special_use));
            }
        }
        for unknown in ["\\All", "\\Flagged", "Sent", "", "\\"] {
            assert_eq!(SpecialUse::from_attribute(unknown.as_bytes()), None);
        }
    }
}
