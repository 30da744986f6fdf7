//! The unique-ids of a maildrop (RFC 1939 §7): those that another server has given, which clients
//! know, and for all other messages those by the format.

use std::path::PathBuf;
use std::sync::Arc;

use mailstore::{Error, Message};

use super::{Maildrop, Mark, message};
use crate::command::MsgNum;
use crate::error::Refused;
use crate::header_digest::{HeaderDigest, header_digest};
use crate::unique_id::{Parts, UidlFormat, write_kept};

/// What the unique-ids of a maildrop are made of, besides what the snapshot knows.
#[derive(Debug)]
pub(super) struct UniqueIds {
    format: UidlFormat,
    names: Names,
    /// The digest of each message's header as far as it has been learned; none at all if the
    /// format does without.
    digests: Vec<Option<HeaderDigest>>,
}

/// Whether names of files are looked at: it takes time in a listing of very many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    Needed,
    Spared,
}

impl UniqueIds {
    /// For so many messages.
    pub(super) fn new(format: &UidlFormat, messages: usize) -> Self {
        let digests = if format.needs_digest() {
            vec![None; messages]
        } else {
            Vec::new()
        };
        Self {
            format: format.clone(),
            names: if format.needs_names() {
                Names::Needed
            } else {
                Names::Spared
            },
            digests,
        }
    }
}

impl Maildrop {
    /// Appends the unique-id of a message, and says whether there is one.
    pub(in crate::session) fn write_unique_id(&self, position: usize, out: &mut Vec<u8>) -> bool {
        let Some(message) = self.message(position) else {
            return false;
        };
        let kept = message.kept();
        if let Some(unique_id) = kept.and_then(|kept| kept.uidl.as_deref()) {
            write_kept(unique_id, out);
            return true;
        }
        let base = if self.unique_ids.names == Names::Needed {
            message.base_name()
        } else {
            Default::default()
        };
        let guid = kept.and_then(|kept| kept.guid.as_deref());
        let parts = Parts {
            uid: message.uid(),
            uid_validity: self.snapshot.uid_validity(),
            base,
            guid: guid.unwrap_or(base),
            digest: self.unique_ids.digests.get(position).copied().flatten(),
        };
        self.unique_ids.format.write(&parts, out);
        true
    }

    /// Whether the unique-id of a message can be made without the disk, or is of no interest.
    pub(in crate::session) fn is_identified(&self, position: usize) -> bool {
        let digest = self.unique_ids.digests.get(position);
        digest.is_none_or(Option::is_some)
            || self.marks.get(position) == Some(&Mark::Gone)
            || self.has_kept(position)
    }

    /// Whether another server has given the message its unique-id.
    fn has_kept(&self, position: usize) -> bool {
        let kept = self.message(position).and_then(|message| message.kept());
        kept.is_some_and(|kept| kept.uidl.is_some())
    }

    /// Whether that holds for all messages.
    pub(in crate::session) fn all_identified(&self) -> bool {
        (0..self.unique_ids.digests.len()).all(|position| self.is_identified(position))
    }

    /// Learns what the unique-ids of messages from `next` on need, for one slice of work; gives
    /// the position to go on from, or nothing if all is known. May touch the disk.
    pub(in crate::session) fn identify(&mut self, next: usize) -> Option<usize> {
        let messages = self.unique_ids.digests.len();
        let end = messages.min(next.saturating_add(SLICE_MESSAGES));
        let lacking = (next..end).filter(|position| !self.is_identified(*position));
        let lacking: Vec<usize> = lacking.collect();
        self.identify_these(&lacking);
        (end < messages).then_some(end)
    }

    /// Learns what the unique-id of one message needs. May touch the disk.
    pub(in crate::session) fn identify_one(&mut self, position: usize) -> Result<(), Refused> {
        if !self.is_identified(position) {
            self.identify_these(&[position]);
        }
        if self.marks.get(position) == Some(&Mark::Gone) {
            return Err(Refused::Gone(MsgNum::at(position)));
        }
        Ok(())
    }

    /// Takes the digests of messages from the cache, or makes them.
    fn identify_these(&mut self, positions: &[usize]) {
        let (snapshot, order) = (Arc::clone(&self.snapshot), self.order.clone());
        let at = |position: &usize| {
            let message = message(&snapshot, order.as_deref(), *position)?;
            Some((*position, message))
        };
        let mut wanted: Vec<(usize, Message<'_>)> = positions.iter().filter_map(at).collect();
        wanted.sort_unstable_by_key(|(_, message)| message.uid());
        let messages: Vec<Message<'_>> = wanted.iter().map(|(_, message)| *message).collect();
        let cached = self.mailbox.cached(&messages, CACHE_KIND);
        let mut made = Vec::new();
        for (index, (position, message)) in wanted.into_iter().enumerate() {
            let known = cached.get(index).and_then(|octets| octets.try_into().ok());
            let digest = known.or_else(|| {
                let digest = self.digest_header(position)?;
                made.push((message.uid(), CACHE_KIND, digest.to_vec()));
                Some(digest)
            });
            if let Some(entry) = self.unique_ids.digests.get_mut(position) {
                *entry = digest;
            }
        }
        self.mailbox.cache(made);
    }

    /// Reads the header of a message and makes its digest; marks it as gone if that fails.
    fn digest_header(&mut self, position: usize) -> Option<HeaderDigest> {
        let file = self.read(position).ok()?;
        match header_digest(file.into_reader()) {
            Ok(digest) => Some(digest),
            Err(source) => {
                let path = PathBuf::from("message");
                self.lost(position, &Error::Io { path, source });
                None
            }
        }
    }
}

/// The kind of our records in the cache of a mailbox; IMAP's are below 128.
const CACHE_KIND: u8 = 128;

/// How many headers one slice of work reads at most.
const SLICE_MESSAGES: usize = 100;
