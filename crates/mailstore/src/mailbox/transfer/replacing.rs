//! Putting a new message in the place of an old one (RFC 8508 §3.4): never is there neither.
//!
//! Order in one mailbox: the new file is whole in `tmp/`, forced to the disk → lock → is the old
//! message there? → rename the new file into `cur/` → fsync of `cur/` → remove the old file → fsync
//! of `cur/` → one frame of the index that tells of both → fdatasync of the index.
//!
//! What a crash leaves, by where it comes:
//!
//! | Before | On the disk | The next look |
//! |---|---|---|
//! | the rename | the old one, and a file in `tmp/` | finds nothing new |
//! | the old file is removed | both | takes the new one in: an APPEND without an answer |
//! | the frame is on the disk | the new one | takes it in, and tells that the old one is gone |
//!
//! In one frame both have the same mod-sequence, so that nobody sees a state in between.
//!
//! With another mailbox as the target both locks are taken, in the order of the directories as for
//! a move. Then come the steps of APPEND in the target, to their end, and those of EXPUNGE in the
//! source. A crash in between leaves both messages, each in its mailbox.
//!
//! Other programs do not heed the lock. If one renames the old file between the look and the
//! removal, the new message is committed first, and then the old one is looked for.

use std::collections::BTreeSet;

use super::Incoming;
use super::r#move::take_back;
use crate::error::Result;
use crate::id::Uid;
use crate::mailbox::transaction::Transaction;
use crate::mailbox::{Appended, Appending, Copied, Mailbox};
use crate::snapshot::Place;
use crate::watch::WatchId;

impl Mailbox {
    /// Replaces a message by the session of a watch, which cannot ask for it any more, or by nobody
    /// that watches.
    pub(crate) fn replace(
        &self,
        by: Option<WatchId>,
        old: Uid,
        target: &Self,
        new: Appending,
    ) -> Result<Appended> {
        self.check()?;
        target.check()?;
        let _admission = target.admit_replacement(self, old, &new)?;
        let new = target.incoming(new)?;
        if self.directory == target.directory {
            return self.transact(|both| both.replace(by, old, new));
        }
        if self.directory < target.directory {
            self.transact(|from| target.transact(|to| exchange(from, to, by, old, new)))
        } else {
            target.transact(|to| self.transact(|from| exchange(from, to, by, old, new)))
        }
    }
}

impl Transaction<'_> {
    /// Replaces a message within the mailbox.
    fn replace(&mut self, by: Option<WatchId>, old: Uid, new: Incoming) -> Result<Appended> {
        self.locate(old)?;
        let (appended, removed) = self.put_and(vec![new], |transaction| {
            transaction.sync_places(&BTreeSet::from([Place::Cur]))?;
            let removed = transaction.take_away(old, by)?;
            if removed.is_none() {
                transaction.commit()?;
            }
            Ok(removed)
        })?;
        match removed {
            Some(removed) => self.note_removed(&removed)?,
            None => self.remove(&[old], by)?,
        }
        Ok(appended)
    }
}

/// Replaces a message of one mailbox by one in another, while both are locked.
fn exchange(
    from: &mut Transaction<'_>,
    to: &mut Transaction<'_>,
    by: Option<WatchId>,
    old: Uid,
    new: Incoming,
) -> Result<Appended> {
    from.locate(old)?;
    let appended = to.put(vec![new])?;
    if let Err(error) = from.remove(&[old], by) {
        let uids = appended.uids.iter().map(|uid| (old, *uid)).collect();
        let uid_validity = appended.uid_validity;
        take_back(from, to, &Copied { uid_validity, uids });
        return Err(error);
    }
    Ok(appended)
}

#[cfg(test)]
mod tests;
