//! SEARCHRES (RFC 5182): `$` stands for what the last SEARCH with SAVE found.
//!
//! The result is kept as UIDs, so that nothing has to be done when messages are expunged: a UID
//! that is gone names nothing and never comes back (RFC 5182 §2.1). It ends with the selected
//! mailbox, whose view holds it.

use mailstore::Snapshot;

use super::{Capability, Extension, Shown};
use crate::error::Refused;
use crate::response::{Code, Completion};
use crate::types::{Ranges, SeqNum};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::SearchRes,
    capability: "SEARCHRES",
    rfc: 5182,
    shown: Shown::Always,
    enables: None,
};

/// The search result variable (RFC 5182 §2.1).
#[derive(Debug, Default)]
pub(crate) struct SearchResult {
    uids: Ranges,
}

impl SearchResult {
    /// Empties it: a SEARCH with SAVE that fails leaves nothing in it (RFC 5182 §2.1).
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Keeps the messages with these sequence numbers. UIDs between neighbors belong to no message
    /// that is there or will ever come, so they need not be told apart.
    ///
    /// # Errors
    /// `NO [NOTSAVED]` if that takes more than so many octets (RFC 5182 §2.5).
    pub(crate) fn save(
        &mut self,
        numbers: &Ranges,
        snapshot: &Snapshot,
        octets: usize,
    ) -> Result<(), Refused> {
        self.reset();
        if numbers.0.len() > octets / size_of::<(u32, u32)>() {
            let text = "The result is in too many pieces to be saved";
            return Err(Refused(Completion::no(text).with(Code::NotSaved)));
        }
        let uid = |number| {
            let message = snapshot.get(SeqNum::new(number)?.position())?;
            Some(message.uid().get())
        };
        let ranges = numbers.0.iter();
        let ranges = ranges.filter_map(|&(first, last)| Some((uid(first)?, uid(last)?)));
        self.uids = Ranges(ranges.collect());
        Ok(())
    }

    /// The UIDs, ascending; also of messages that have been expunged since.
    pub(crate) fn uids(&self) -> &Ranges {
        &self.uids
    }
}
