//! What a mailbox held at one moment: immutable, cheap to share, cheap to compare.

use std::sync::Arc;

use crate::flag::{FlagSet, Keywords};
use crate::id::{ModSeq, Uid, UidValidity};

/// The messages of a mailbox at one moment, ascending by UID, and what is known about the whole.
///
/// A vector of [`Arc`] chunks: a change replaces only the chunks it touches, so two snapshots of
/// one mailbox share the rest, and comparing them skips what is shared.
#[derive(Clone, Debug)]
pub struct Snapshot {
    _private: Arc<()>,
}

/// A message in a [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    _snapshot: &'a Snapshot,
}

/// What changed from one snapshot to a newer one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Messages that the older one has and the newer one has not, ascending.
    pub expunged: Vec<Uid>,
    /// Messages in both whose flags differ, ascending.
    pub changed: Vec<Uid>,
    /// Messages that only the newer one has, ascending. All are above those of the older one.
    pub added: Vec<Uid>,
}

impl Snapshot {
    /// The mailbox's UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        todo!()
    }

    /// The UID that the next message will have at the least (UIDNEXT).
    pub fn uid_next(&self) -> Uid {
        todo!()
    }

    /// The highest mod-sequence of the mailbox.
    pub fn highest_mod_seq(&self) -> ModSeq {
        todo!()
    }

    /// The first UID that no session has claimed as `\Recent` yet.
    pub fn first_recent(&self) -> Uid {
        todo!()
    }

    /// The mailbox's keywords.
    pub fn keywords(&self) -> &Keywords {
        todo!()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message at a position, counted from 0 (the sequence number less one).
    pub fn get(&self, position: usize) -> Option<Message<'_>> {
        let _ = position;
        todo!()
    }

    /// The message with a UID.
    pub fn by_uid(&self, uid: Uid) -> Option<Message<'_>> {
        let _ = uid;
        todo!()
    }

    /// The position of a UID, counted from 0.
    pub fn position(&self, uid: Uid) -> Option<usize> {
        let _ = uid;
        todo!()
    }

    /// The position of the first message whose UID is `uid` or above ([`Self::len`] if none).
    pub fn lower_bound(&self, uid: Uid) -> usize {
        let _ = uid;
        todo!()
    }

    /// All messages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        (0..self.len()).filter_map(|position| self.get(position))
    }

    /// What a client that knows `self` must be told to know `newer`. Skips shared chunks.
    pub fn difference(&self, newer: &Self) -> Difference {
        let _ = newer;
        todo!()
    }

    /// `newer` with the messages of `self` that it lacks put back in their places: what a client
    /// may be told while EXPUNGE must not be sent (RFC 3501 §7.4.1). Is `newer` itself if nothing
    /// is missing.
    #[must_use]
    pub fn keeping_expunged(self: &Arc<Self>, newer: &Arc<Self>) -> Arc<Self> {
        let _ = newer;
        todo!()
    }
}

impl Message<'_> {
    /// The message's UID.
    pub fn uid(&self) -> Uid {
        todo!()
    }

    /// Its flags.
    pub fn flags(&self) -> FlagSet {
        todo!()
    }

    /// Its mod-sequence.
    pub fn mod_seq(&self) -> ModSeq {
        todo!()
    }

    /// Its size in CRLF form (RFC822.SIZE), if it is known without reading the file.
    pub fn rfc822_size(&self) -> Option<u64> {
        todo!()
    }

    /// Its internal date in seconds since 1970, if it is known without asking the file system.
    pub fn internal_date(&self) -> Option<i64> {
        todo!()
    }
}
