//! The roots of accounts among the directories that the kernel watches.
//!
//! A root is INBOX as well, so one watch of the kernel may serve both. Locks are taken in the
//! order: mailboxes' directories, then roots.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use super::account::Roster;
use super::notices::{Event, Role, Shared, WatchNumber};
use crate::{attached, subscriptions, tree};

/// Whose roots these are.
pub(super) type Roots = HashMap<WatchNumber, Vec<Weak<Roster>>>;

impl Shared {
    /// Watches the root of an account.
    ///
    /// # Errors
    /// If it is gone, or there are too many watches.
    pub(super) fn watch_root(&self, root: &Path, roster: &Arc<Roster>) -> io::Result<WatchNumber> {
        // Locked as long: nobody may let go of the same directory in between.
        let _watched = self.watched();
        let number = self.watch_one(root, Role::Mailbox)?;
        let mut roots = self.roots();
        let all = roots.entry(number).or_default();
        all.push(Arc::downgrade(roster));
        Ok(number)
    }

    /// Watches the root of an account no longer, for rosters that have ended.
    pub(super) fn unwatch_root(&self, number: WatchNumber) {
        let watched = self.watched();
        let mut roots = self.roots();
        let Some(all) = roots.get_mut(&number) else {
            return;
        };
        all.retain(|roster| roster.strong_count() > 0);
        if all.is_empty() {
            roots.remove(&number);
            if !watched.contains_key(&number) {
                self.forget(number);
            }
        }
    }

    /// Whether a directory is the root of an account that somebody watches.
    pub(super) fn is_root(&self, number: WatchNumber) -> bool {
        self.roots().contains_key(&number)
    }

    /// The rosters that have to look because of an event.
    pub(super) fn concerned(&self, event: Event<'_>) -> Vec<Arc<Roster>> {
        let (number, name) = match event {
            Event::Overflow => {
                let roots = self.roots();
                return roots.values().flatten().filter_map(Weak::upgrade).collect();
            }
            Event::Lost(number) => return self.lose_root(number),
            Event::Appeared(number, name)
            | Event::Vanished(number, name)
            | Event::Written(number, name) => (number, name),
        };
        if !is_of_account(name) {
            return Vec::new();
        }
        let roots = self.roots();
        let rosters = roots.get(&number).into_iter().flatten();
        rosters.filter_map(Weak::upgrade).collect()
    }

    /// A root is not where it was: it has to be watched anew.
    fn lose_root(&self, number: WatchNumber) -> Vec<Arc<Roster>> {
        let watched = self.watched();
        let Some(lost) = self.roots().remove(&number) else {
            return Vec::new();
        };
        if !watched.contains_key(&number) {
            self.forget(number);
        }
        drop(watched);
        let rosters: Vec<Arc<Roster>> = lost.iter().filter_map(Weak::upgrade).collect();
        rosters.iter().for_each(|roster| roster.lose());
        rosters
    }

    /// None is dropped while this is locked: its end would lock it again.
    fn roots(&self) -> MutexGuard<'_, Roots> {
        self.roots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an entry of a root tells of a mailbox, of the subscriptions, or of what hangs on mailboxes.
fn is_of_account(name: &[u8]) -> bool {
    let mut files = subscriptions::LISTS.iter().chain(&attached::FILES);
    let is_file = files.any(|file| file.as_bytes() == name);
    name.starts_with(b".") && !tree::is_hidden(name) || is_file
}
