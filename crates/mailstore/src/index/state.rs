//! What the index says, and how a frame changes it.

use super::codec::FileTime;
use super::frame::{Entry, runs};
use super::stamp::Stamps;
use crate::flag::Keyword;
use crate::id::Uid;
use crate::snapshot::{Snapshot, VanishedRange};

/// Everything the index says.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// The messages. A working copy; it is published by cloning.
    pub(crate) snapshot: Snapshot,
    /// The last look at the directories.
    pub(crate) stamps: Stamps,
    /// The mod-sequences that may be in use without being on the disk.
    pub(crate) reserve: Reserve,
    /// The other server's list of UIDs as it was when the two were last made to agree.
    pub(crate) agreed: Option<Agreed>,
}

/// What a file was like: it is read again if it has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) modified: FileTime,
    pub(crate) size: u64,
}

/// Mod-sequences below `mod_seq` may have been used without being on the disk, in this boot of the
/// machine; none if `mod_seq` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reserve {
    pub(crate) mod_seq: u64,
    pub(crate) boot: u64,
}

impl State {
    /// A state without history.
    pub(crate) fn new(mut snapshot: Snapshot, mailbox_id: u128) -> Self {
        snapshot.set_mailbox_id(mailbox_id);
        Self {
            snapshot,
            stamps: Stamps::NEVER,
            reserve: Reserve::default(),
            agreed: None,
        }
    }

    /// Does what a frame says; `None` if it contradicts the state.
    pub(super) fn apply(&mut self, entries: &[Entry]) -> Option<()> {
        for entry in entries {
            self.apply_entry(entry)?;
        }
        self.snapshot.reindex();
        Some(())
    }

    fn apply_entry(&mut self, entry: &Entry) -> Option<()> {
        let snapshot = &mut self.snapshot;
        match entry {
            Entry::Add(added) => snapshot.push(added).then_some(())?,
            Entry::Flags {
                uid,
                flags,
                mod_seq,
                place,
                rename,
            } => {
                let state = (*flags, *mod_seq);
                let named = snapshot.update(*uid, state, *place, |old| rename.apply(old));
                named.then_some(())?;
            }
            Entry::Expunge {
                first,
                last,
                mod_seq,
            } => {
                let gone = snapshot.remove(*first, *last);
                let seen = snapshot.uid_next();
                snapshot.raise(seen, Uid::MIN, *mod_seq);
                for (first, last) in runs(&gone) {
                    let mod_seq = *mod_seq;
                    snapshot.note_vanished(VanishedRange {
                        first,
                        last,
                        mod_seq,
                    });
                }
            }
            Entry::Meta {
                uid_next,
                first_recent,
                mod_seq,
            } => {
                snapshot.raise(*uid_next, *first_recent, *mod_seq);
            }
            Entry::Synced(stamps) => self.stamps = *stamps,
            Entry::Reserve { mod_seq, boot } => {
                let (mod_seq, boot) = (*mod_seq, *boot);
                self.reserve = Reserve { mod_seq, boot };
            }
            Entry::TouchAll(mod_seq) => {
                snapshot.touch_all(*mod_seq);
                snapshot.forget_vanished(*mod_seq);
            }
            Entry::Close => self.reserve = Reserve::default(),
            Entry::Keyword { position, name } => {
                let keyword = Keyword::new(str::from_utf8(name).ok()?)?;
                let mut keywords = snapshot.keywords().clone();
                keywords.set(*position, keyword);
                snapshot.set_keywords(keywords);
            }
            Entry::Learned { uid, size, date } => snapshot.learn(*uid, *size, *date),
            Entry::Keep { uid, kept } => snapshot.keep(*uid, kept.clone()),
            Entry::Agreed(agreed) => self.agreed = Some(*agreed),
        }
        Some(())
    }
}
