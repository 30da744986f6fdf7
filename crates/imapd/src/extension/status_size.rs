//! STATUS=SIZE (RFC 8438): how many octets the messages of a mailbox have.
//!
//! Most sizes are known. Those that are not have to be read once, in slices, before STATUS answers.

use mailstore::{Mailbox, Message, Rights, Snapshot};

use super::{Capability, Extension, InProgressState, Shown};
use crate::command::StatusItem;
use crate::error::Refused;
use crate::session::authenticated::Authenticated;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::StatusSize,
    capability: "STATUS=SIZE",
    rfc: 8438,
    shown: Shown::Always,
    enables: None,
};

/// How many messages one slice of work reads at the most.
const BATCH: usize = 500;

/// The reading of sizes that are not known.
#[derive(Debug, Default)]
pub(crate) struct Sizing {
    /// The last UID that was tried.
    tried: u32,
    /// How many were read.
    read: usize,
    /// How many there were to read at first.
    goal: Option<usize>,
}

/// Whether STATUS can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// It can.
    Known,
    /// There are more to read.
    Unknown,
}

impl Sizing {
    /// Reads some sizes if these items ask for them. What cannot be read is not tried again.
    ///
    /// # Errors
    /// If the mailbox cannot be opened.
    pub(crate) fn step(
        &mut self,
        items: &[StatusItem],
        account: &Authenticated,
        name: &[u8],
    ) -> Result<Sizes, Refused> {
        if !items.contains(&StatusItem::Size) {
            return Ok(Sizes::Known);
        }
        let mailbox = account.place(name)?.open(&account.user, Rights::READ)?;
        let snapshot = mailbox.snapshot();
        let sizes = mailbox.known_sizes(&snapshot);
        let unknown = snapshot
            .iter()
            .zip(sizes)
            .filter(|(_, size)| size.is_none());
        let mut untried = unknown.filter(|(message, _)| message.uid().get() > self.tried);
        let next = untried.by_ref().take(BATCH);
        let batch: Vec<Message<'_>> = next.map(|(message, _)| message).collect();
        self.goal
            .get_or_insert_with(|| batch.len() + untried.count());
        let read = mailbox.rfc822_sizes(&batch).len();
        self.read += read;
        Ok(match batch.iter().take(read).next_back() {
            Some(message) => {
                self.tried = message.uid().get();
                Sizes::Unknown
            }
            None => Sizes::Known,
        })
    }
}

impl Sizing {
    /// How many of the sizes are known that were not (RFC 9585 §4).
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        InProgressState::of(self.read, self.goal?)
    }
}

/// The sum of all sizes (RFC 8438 §3), also of messages that came while others were read.
pub(crate) fn sum(mailbox: &Mailbox, snapshot: &Snapshot) -> u64 {
    let known = mailbox.known_sizes(snapshot);
    let sizes = snapshot.iter().zip(known);
    let sizes = sizes.map(|(message, known)| known.or_else(|| mailbox.rfc822_size(message).ok()));
    sizes.flatten().fold(0, u64::saturating_add)
}
