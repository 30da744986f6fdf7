//! Special uses and annotations of an account's mailboxes.

use super::{Account, Entry};
use crate::acl;
use crate::attached::annotations::{Annotations, Place};
use crate::error::{Error, Result};
use crate::mailbox;
use crate::name::MailboxName;
use crate::special::{Missing, SpecialMailboxes, SpecialUse, SpecialUses};
use crate::tree::Tree;
use crate::uid_validity;

/// How much may be annotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnotationLimits {
    /// Entries of one mailbox, or of the account itself.
    pub entries: usize,
    /// Octets of all names and values of the account.
    pub octets: usize,
}

/// Why annotations were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AnnotateError {
    /// There would be more than [`AnnotationLimits`] allows.
    #[error("too many annotations")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

/// A change of annotations: an entry with its new value, or without one.
pub type Annotation = (String, Option<Vec<u8>>);

impl Account {
    /// As [`create`](Self::create), a mailbox for special uses, which are taken from the mailboxes
    /// that have them (RFC 6154 §3).
    ///
    /// # Errors
    /// If it exists or cannot be made; then everything is as it was.
    pub fn create_special(&self, name: &MailboxName, uses: SpecialUses) -> Result<()> {
        let options = self.store.options();
        let tree = self.tree();
        let mut before = None;
        let created = tree.create(name, |directory| {
            let uid_validity = uid_validity::next(&self.root, &options.source)?;
            mailbox::initialize(directory, uid_validity, options)?;
            if let Some((_, above)) = tree.nearest(name.parent())? {
                acl::inherit(&above, directory)?;
            }
            before = Some(tree.attached().begin(name, uses)?);
            Ok(())
        });
        if let (Err(_), Some(before)) = (&created, before) {
            tree.attached().take_back(&before);
        }
        self.changed(created)
    }

    /// Which of these mailboxes have special uses.
    pub fn special_mailboxes(&self, mailboxes: &[Entry]) -> SpecialMailboxes {
        let uses = self.tree().attached().uses();
        let exists = |name: &MailboxName| {
            let mut all = mailboxes.iter();
            all.any(|it| it.selectable && it.name == *name)
        };
        SpecialMailboxes::new(uses.given(), self.store.special_names(), exists)
    }

    /// What each mailbox is for, of those that there are.
    pub fn special(&self) -> SpecialMailboxes {
        self.special_in(&self.tree())
    }

    /// Has a mailbox be for these uses and no others; takes them from the mailboxes that have them
    /// (RFC 6154 §4), and gives what these are still for.
    ///
    /// # Errors
    /// If it does not exist, or that cannot be written.
    pub fn set_special_uses(
        &self,
        name: &MailboxName,
        uses: SpecialUses,
    ) -> Result<Vec<(MailboxName, SpecialUses)>> {
        let changed = self.tree().hold(|tree| {
            tree.existing(name)?;
            let before = self.special_in(tree);
            let old = before.of(name).iter().filter(|it| !uses.has(*it)).collect();
            tree.attached().change_uses(|it| {
                it.take_away(old);
                it.give(name, uses);
            })?;
            let after = self.special_in(tree);
            let others = before.mailboxes().into_iter().filter(|it| *it != name);
            let losers = others.filter(|it| before.of(it) != after.of(it));
            Ok(losers.map(|it| (it.clone(), after.of(it))).collect())
        });
        self.store.account_changed(&self.root);
        changed
    }

    /// Makes and subscribes mailboxes for uses that no mailbox is for, where that is wanted: once
    /// for each use, so that none comes back that was deleted.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn make_missing(&self) -> Result<()> {
        let names = self.store.special_names();
        if names.missing == Missing::Left {
            return Ok(());
        }
        let uses = self.tree().attached().uses();
        if names.names.iter().all(|(it, _)| uses.was_made(*it)) {
            return Ok(());
        }
        let special = self.special();
        for (special_use, names) in &names.names {
            let is_there = special.mailbox(*special_use).is_some();
            let was_made = uses.was_made(*special_use) || uses.given().contains_key(special_use);
            if let (Some(first), false, false) = (names.first(), is_there, was_made) {
                self.make(first, *special_use)?;
            }
        }
        self.tree().hold(|tree| {
            tree.attached().change_uses(|uses| {
                for (special_use, _) in &names.names {
                    uses.note_made(*special_use);
                }
            })
        })
    }

    /// The annotations of the account and its mailboxes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn annotations(&self) -> Result<Annotations> {
        self.tree().attached().annotations()
    }

    /// Changes annotations of a mailbox, or of the account itself: all of them or none.
    ///
    /// # Errors
    /// If the mailbox does not exist, the limits are reached, or they cannot be written.
    pub fn annotate(
        &self,
        place: &Place,
        changes: &[Annotation],
        limits: AnnotationLimits,
    ) -> Result<(), AnnotateError> {
        let changed = self.tree().hold(|tree| {
            if let Some(name) = place {
                tree.existing(name)?;
            }
            tree.attached().change_annotations(|annotations| {
                let (count, octets) = (annotations.count(place), annotations.octets());
                for (entry, value) in changes {
                    annotations.set(place, entry, value.clone());
                }
                let (more, larger) = (annotations.count(place), annotations.octets());
                // What is less than before is never too much.
                let too_many = more > limits.entries && more > count;
                let too_large = larger > limits.octets && larger > octets;
                if too_many || too_large {
                    Err(AnnotateError::TooMany)
                } else {
                    Ok(())
                }
            })
        });
        self.store.account_changed(&self.root);
        changed
    }

    /// Gives a mailbox the annotations of another one, as far as that is possible.
    pub(super) fn copy_annotations(&self, from: &MailboxName, to: &MailboxName) {
        if !self.annotations().is_ok_and(|it| it.has(from)) {
            return;
        }
        let copied = self.tree().hold(|tree| {
            tree.attached().change_annotations(|it| {
                it.copy(from, to);
                Ok::<_, Error>(())
            })
        });
        if let Err(error) = copied {
            tracing::warn!(root = %self.root.display(), %error, "annotations not copied");
        }
    }

    /// Another session may be doing the same.
    fn make(&self, name: &MailboxName, special_use: SpecialUse) -> Result<()> {
        match self.create_special(name, SpecialUses::NONE.with(special_use)) {
            Ok(()) => self.subscribe(name),
            Err(Error::Exists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn special_in(&self, tree: &Tree<'_>) -> SpecialMailboxes {
        let uses = tree.attached().uses();
        let exists = |name: &MailboxName| tree.directory(name).is_ok_and(|it| it.is_some());
        SpecialMailboxes::new(uses.given(), self.store.special_names(), exists)
    }
}

#[cfg(test)]
mod tests;
