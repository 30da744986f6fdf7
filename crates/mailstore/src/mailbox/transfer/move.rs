//! Moving messages to another mailbox (RFC 6851 §3.3): one copy is left, whoever else is at it.
//!
//! Order: force the bytes to the disk where they may not be there yet (as COPY does) → a link to
//! every message in the target's `tmp/`, without a lock → the locks of both
//! mailboxes → are the messages all there? → the steps of COPY in the target → those of EXPUNGE in
//! the source → unlock. A crash leaves messages in both mailboxes at the worst, never in none.
//!
//! Both locks are always taken in the order of the directories, so that moves in opposite
//! directions never wait for each other. While they are held nobody else can move or remove the
//! messages, nor see them in both mailboxes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Arriving, Incoming, by_name};
use crate::deliver::Staged;
use crate::error::{Error, Result};
use crate::id::Uid;
use crate::mailbox::transaction::Transaction;
use crate::mailbox::{Copied, Mailbox};
use crate::snapshot::Snapshot;
use crate::store::Fsync;
use crate::sync::message_path;
use crate::watch::WatchId;

/// Messages on their way to another mailbox. Dropped before it is finished, nothing has happened.
#[derive(Debug)]
pub struct Moving {
    source: Arc<Mailbox>,
    target: Arc<Mailbox>,
    /// Who moves, if he watches the source.
    by: Option<WatchId>,
    staged: BTreeMap<Uid, Staged>,
}

impl Mailbox {
    /// Begins to move messages to `target`, which may be this mailbox (RFC 6851 §3.3).
    pub fn begin_move(self: &Arc<Self>, target: &Arc<Self>) -> Moving {
        Moving::begin(self, target, None)
    }
}

impl Moving {
    /// Begins a move by the session of a watch of the source, or by nobody that watches it.
    pub(crate) fn begin(source: &Arc<Mailbox>, target: &Arc<Mailbox>, by: Option<WatchId>) -> Self {
        Self {
            source: Arc::clone(source),
            target: Arc::clone(target),
            by,
            staged: BTreeMap::new(),
        }
    }

    /// Adds messages to those that are moved; a few at a time, because each costs some file-system
    /// work. Nobody is kept from anything yet.
    ///
    /// # Errors
    /// [`Error::Expunged`] if one of them is gone, or if the target has no space.
    pub fn add(&mut self, uids: &[Uid]) -> Result<()> {
        self.source.check()?;
        self.target.check()?;
        let settled = self.source.settle_messages(uids)?;
        for uid in uids {
            let (mut staged, _) = self.source.link(*uid, &self.target)?;
            // Whoever delivered it may not have cared.
            staged.close(if settled.contains(uid) {
                Fsync::Never
            } else {
                self.source.environment.options.fsync
            })?;
            self.staged.insert(*uid, staged);
        }
        Ok(())
    }

    /// Moves them with flags, keywords and internal dates, all or none, durably.
    ///
    /// # Errors
    /// [`Error::Expunged`] if one of them is gone; or as for [`Mailbox::append`]. Then nothing is
    /// moved, unless it was removing from the source that failed: what could not be removed stays.
    pub fn finish(self) -> Result<Copied> {
        let (source, target, staged) = (&self.source, &self.target, self.staged);
        let by = self.by;
        if source.directory == target.directory {
            return source.transact(|both| {
                let (uids, incoming) = incoming(both.snapshot(), staged)?;
                let appended = both.put(incoming)?;
                both.remove(&uids, by)?;
                Ok(Copied {
                    uid_validity: appended.uid_validity,
                    uids: uids.into_iter().zip(appended.uids).collect(),
                })
            });
        }
        if source.directory < target.directory {
            source.transact(|from| target.transact(|to| hand_over(from, to, by, staged)))
        } else {
            target.transact(|to| source.transact(|from| hand_over(from, to, by, staged)))
        }
    }
}

/// Moves messages while both mailboxes are locked.
fn hand_over(
    from: &mut Transaction<'_>,
    to: &mut Transaction<'_>,
    by: Option<WatchId>,
    staged: BTreeMap<Uid, Staged>,
) -> Result<Copied> {
    let (uids, incoming) = incoming(from.snapshot(), staged)?;
    let appended = to.put(incoming)?;
    let copied = Copied {
        uid_validity: appended.uid_validity,
        uids: uids.iter().copied().zip(appended.uids).collect(),
    };
    if let Err(error) = from.remove(&uids, by) {
        take_back(from, to, &copied);
        return Err(error);
    }
    Ok(copied)
}

/// Removes the copies of messages that could not be removed from the source: those whose files
/// are certainly there.
fn take_back(from: &Transaction<'_>, to: &mut Transaction<'_>, copied: &Copied) {
    let directory = &from.mailbox.directory;
    let is_there = |uid: Uid| {
        from.snapshot().by_uid(uid).is_some_and(|message| {
            let path = message_path(directory, message.place(), message.file_name());
            path.symlink_metadata()
                .is_ok_and(|metadata| metadata.is_file())
        })
    };
    let doubled = copied.uids.iter().filter(|(source, _)| is_there(*source));
    let doubled: Vec<Uid> = doubled.map(|(_, copy)| *copy).collect();
    if let Err(error) = to.remove(&doubled, None) {
        tracing::warn!(mailbox = %to.mailbox.name, %error, "messages stay in two mailboxes");
    }
}

/// The messages as they are to be in the target, with the flags that they have now.
fn incoming(
    snapshot: &Snapshot,
    staged: BTreeMap<Uid, Staged>,
) -> Result<(Vec<Uid>, Vec<Incoming>)> {
    let mut uids = Vec::with_capacity(staged.len());
    let mut incoming = Vec::with_capacity(staged.len());
    let mut translated = HashMap::new();
    for (uid, staged) in staged {
        let message = snapshot.by_uid(uid).ok_or(Error::Expunged)?;
        let flags = translated.entry(message.flags());
        let flags = flags.or_insert_with(|| by_name(snapshot, message.flags()));
        uids.push(uid);
        incoming.push(Incoming {
            flags: flags.clone(),
            size: staged.rfc822_size(),
            date: staged.date(),
            file: Arriving::Staged(staged),
        });
    }
    Ok((uids, incoming))
}

#[cfg(test)]
mod tests;
