//! What hangs on the mailboxes of an account by their names: special uses and annotations.
//!
//! | File in the root | Holds |
//! |---|---|
//! | `pillarbox.account` | whose each special use is; see [`uses`] |
//! | `pillarbox.metadata` | annotations of mailboxes and of the account; see [`annotations`] |
//!
//! Both are small, read as a whole when they are needed, and replaced as a whole under the lock of
//! `pillarbox.account`. They are two because LIST reads the first each time, and values can be
//! large. Who changes what hangs on a mailbox has the lock of the tree as well, so that the mailbox
//! is there and stays.
//!
//! # With the mailboxes
//!
//! - CREATE: what is left of an older mailbox of that name goes, and what the new one is to have
//!   is written, before it is there.
//! - DELETE: what hung on the mailbox goes after it. A crash in between leaves what the next CREATE
//!   of the name removes.
//! - RENAME: the journal of the renames notes how both files were before it ([`Stamp`]). They are
//!   changed after the directories, and after a crash by whoever finishes the renames, unless they
//!   are not any more as they were: then it is done. A use that a mailbox has by its name is made
//!   its own first, so that it goes along.
//!
//! A file that is lost or damaged takes nothing with it but what it says: what is whole in it
//! counts, and the log tells. On a full disk mailboxes are deleted and renamed all the same, without
//! what hangs on them.

pub(crate) mod annotations;
pub(crate) mod uses;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::lock::FileLock;
use crate::name::{MailboxName, Namespace};
use crate::special::{SpecialMailboxes, SpecialNames, SpecialUses};
use crate::uid_validity;
use annotations::Annotations;
use uses::Uses;

/// The files in the root.
pub(crate) const FILES: [&str; 2] = [uid_validity::FILE, annotations::FILE];

/// How both files are: whoever finishes a RENAME finds out by it whether they are still to be
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) uses: u32,
    pub(crate) annotations: u32,
}

/// Old names with their new ones.
pub(crate) type Renames = BTreeMap<MailboxName, MailboxName>;

/// The new names that no mailbox had: what hangs on them is of one that went unnoticed.
fn left_over(renames: &Renames) -> impl Iterator<Item = &MailboxName> {
    let free = |name: &&MailboxName| !renames.contains_key(*name);
    renames.values().filter(free)
}

/// The files of the account in a root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attached<'a> {
    root: &'a Path,
    namespace: &'a Namespace,
    timeout: Duration,
}

impl<'a> Attached<'a> {
    /// Nothing is read yet.
    pub(crate) fn new(root: &'a Path, namespace: &'a Namespace, timeout: Duration) -> Self {
        Self {
            root,
            namespace,
            timeout,
        }
    }

    /// What special uses there are, as far as that can be read.
    pub(crate) fn uses(&self) -> Uses {
        uses::load(self.root, self.namespace).unwrap_or_else(|error| {
            tracing::warn!(root = %self.root.display(), %error, "special uses not read");
            Uses::default()
        })
    }

    /// The annotations.
    ///
    /// # Errors
    /// If the file cannot be read, or is of a later version.
    pub(crate) fn annotations(&self) -> Result<Annotations> {
        annotations::load(self.root, self.namespace)
    }

    /// Changes special uses, durably. Under the lock of the tree.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn change_uses<T>(&self, change: impl FnOnce(&mut Uses) -> T) -> Result<T> {
        let _lock = self.lock()?;
        uses::change(self.root, self.namespace, change)
    }

    /// Changes annotations, durably. Under the lock of the tree.
    ///
    /// # Errors
    /// What `change` says, or that they cannot be written; nothing is changed then.
    pub(crate) fn change_annotations<T, E: From<crate::Error>>(
        &self,
        change: impl FnOnce(&mut Annotations) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        annotations::change(self.root, self.namespace, change)
    }

    /// For a mailbox that is being made: takes away what is left of an older one, and gives it
    /// `special`. Gives what was said of special uses before.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(crate) fn begin(&self, name: &MailboxName, special: SpecialUses) -> Result<Uses> {
        self.end(name);
        let before = self.uses();
        if !special.is_empty() {
            self.change_uses(|uses| uses.give(name, special))?;
        }
        Ok(before)
    }

    /// Takes back what [`begin`](Self::begin) has done to special uses.
    pub(crate) fn take_back(&self, before: &Uses) {
        if self.uses() != *before {
            self.warn(self.change_uses(|uses| uses.clone_from(before)));
        }
    }

    /// A mailbox is not there any more.
    pub(crate) fn end(&self, name: &MailboxName) {
        if self.uses().owns(name) {
            self.warn(self.change_uses(|uses| uses.forget(name)));
        }
        if self.annotations().is_ok_and(|it| it.has(name)) {
            self.warn(self.change_annotations(|it| {
                it.remove(name);
                Ok::<_, crate::Error>(())
            }));
        }
    }

    /// For mailboxes that are going to be renamed: makes their own what they have by their names,
    /// and gives how both files are then; `None` if there is nothing to rename in them.
    pub(crate) fn prepare(
        &self,
        renames: &Renames,
        names: &SpecialNames,
        exists: impl Fn(&MailboxName) -> bool,
    ) -> Option<Stamp> {
        let mut uses = self.uses();
        let effective = SpecialMailboxes::new(uses.given(), names, exists);
        for mailbox in effective.mailboxes() {
            if renames.contains_key(mailbox) && effective.of(mailbox) != uses.of(mailbox) {
                let own = effective.of(mailbox);
                self.warn(self.change_uses(|uses| uses.give(mailbox, own)));
            }
        }
        uses = self.uses();
        let annotations = self.annotations().unwrap_or_default();
        let concerned = |name| uses.owns(name) || annotations.has(name);
        let mut both = renames.iter().flat_map(|(from, to)| [from, to]);
        both.any(concerned).then(|| self.stamp())
    }

    /// Mailboxes have been renamed, and what hangs on them is to go along if both files are still
    /// as they were.
    pub(crate) fn follow(&self, renames: &Renames, before: Stamp) {
        let now = self.stamp();
        if now.uses == before.uses {
            self.warn(self.change_uses(|uses| uses.rename(renames)));
        }
        if now.annotations == before.annotations {
            self.warn(self.change_annotations(|it| {
                it.rename(renames);
                Ok::<_, crate::Error>(())
            }));
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp {
            uses: self.uses().checksum(self.namespace),
            annotations: annotations::checksum(self.root),
        }
    }

    fn lock(&self) -> Result<FileLock> {
        FileLock::acquire(&self.root.join(uid_validity::LOCK), self.timeout)
    }

    /// What is not mail must not be in its way.
    fn warn(&self, result: Result<()>) {
        if let Err(error) = result {
            tracing::warn!(root = %self.root.display(), %error, "special uses or annotations not changed");
        }
    }
}
