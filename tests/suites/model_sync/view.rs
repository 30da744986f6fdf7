//! What a client believes of the mailbox that it has selected, by the RFCs alone.

use std::collections::BTreeMap;

use crate::truth::Flags;

/// A message, as far as the client has heard of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<Flags>,
    /// That of the flags; unknown again when flags come without it.
    pub(crate) mod_seq: Option<u64>,
}

/// The messages, by position. With UIDONLY positions mean nothing: those whose UIDs are known
/// ascend, and the others are at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) messages: Vec<Known>,
}

/// Up to which mod-sequence a client knows everything (RFC 7162 §6).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Complete {
    pub(crate) up_to: Option<u64>,
    /// HIGHESTMODSEQ since the last tagged response.
    said: Option<u64>,
    /// The highest MODSEQ since.
    seen: u64,
}

impl View {
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    /// EXISTS (RFC 3501 §7.3.1); false if it shrinks, which only EXPUNGE may do.
    pub(crate) fn exists(&mut self, number: usize) -> bool {
        let grows = number >= self.len();
        self.messages.resize(number, Known::default());
        grows
    }

    pub(crate) fn position(&self, uid: u32) -> Option<usize> {
        self.messages.iter().position(|it| it.uid == Some(uid))
    }

    pub(crate) fn knows(&self, uid: u32) -> bool {
        self.position(uid).is_some()
    }

    /// Where a message is of which only the UID is told (RFC 9586 §3.3).
    pub(crate) fn place(&mut self, uid: u32) -> Option<usize> {
        if let Some(position) = self.position(uid) {
            return Some(position);
        }
        let unknown = self.messages.iter().rposition(|it| it.uid.is_none())?;
        self.messages.remove(unknown);
        let later = |it: &Known| it.uid.is_none_or(|it| it > uid);
        let at = self.messages.iter().position(later);
        let at = at.unwrap_or(self.len());
        let known = Known {
            uid: Some(uid),
            ..Known::default()
        };
        self.messages.insert(at, known);
        Some(at)
    }

    /// VANISHED names this UID (RFC 7162 §3.2.10.2): it is one of those that EXISTS has counted.
    pub(crate) fn vanish(&mut self, uid: u32) -> bool {
        let position = self.position(uid).or_else(|| self.gap(uid));
        if let Some(position) = position {
            self.messages.remove(position);
        }
        position.is_some()
    }

    /// An unknown message that can have this UID, for they ascend.
    fn gap(&self, uid: u32) -> Option<usize> {
        let mut before = 0;
        for (position, message) in self.messages.iter().enumerate() {
            match message.uid {
                Some(known) if known > uid => return None,
                Some(known) => before = known,
                None => {
                    let mut after = self.messages[position..].iter().filter_map(|it| it.uid);
                    if before < uid && after.next().is_none_or(|after| uid < after) {
                        return Some(position);
                    }
                }
            }
        }
        None
    }

    /// The first message of which the client has to ask, and the UID before it.
    pub(crate) fn unknown(&self) -> Option<(usize, u32)> {
        let unknown = |it: &Known| it.uid.is_none() || it.flags.is_none();
        let position = self.messages.iter().position(unknown)?;
        let before = self.messages[..position].iter().rev().find_map(|it| it.uid);
        Some((position, before.unwrap_or(0)))
    }

    pub(crate) fn uids_ascend(&self) -> bool {
        let uids: Vec<u32> = self.messages.iter().filter_map(|it| it.uid).collect();
        uids.windows(2).all(|pair| pair[0] < pair[1])
    }

    /// All UIDs, each of which is known.
    pub(crate) fn uids(&self) -> Vec<u32> {
        let uids = self.messages.iter().map(|it| it.uid);
        uids.map(|uid| uid.unwrap()).collect()
    }

    /// All that is known, if everything is.
    pub(crate) fn whole(&self) -> Option<BTreeMap<u32, Flags>> {
        let known = self.messages.iter();
        known.map(|it| Some((it.uid?, it.flags.clone()?))).collect()
    }
}

impl Complete {
    pub(crate) fn say(&mut self, highest: u64) {
        self.said = Some(highest);
    }

    pub(crate) fn see(&mut self, mod_seq: u64) {
        self.seen = self.seen.max(mod_seq);
    }

    /// A tagged response has come: what was said counts even if higher ones were seen.
    pub(crate) fn tagged(&mut self) {
        let seen = self.up_to.map(|it| it.max(self.seen));
        *self = Self {
            up_to: self.said.or(seen),
            ..Self::default()
        };
    }
}
