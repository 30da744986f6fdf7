//! What a client wants to hear of the mailbox that it has selected (RFC 5465 §3.1), and what it does
//! not hear.

use std::ops::Range;

use mailstore::Uid;

/// What a client wants to hear of changes by others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of them, as without NOTIFY.
    #[default]
    Everything,
    /// New and expunged messages.
    Messages,
    /// None: the mailbox stays as it was for this client, but for its own changes.
    Nothing,
}

/// What a view of the mailbox needs for that.
#[derive(Debug, Default)]
pub(crate) struct Narrowed {
    pub(crate) wanted: Wanted,
    /// Where messages are that the client has been told of last.
    pub(crate) arrived: Range<usize>,
    /// Messages that the client itself has expunged, of which it is to hear in any case.
    expunged: Vec<Uid>,
    /// Messages whose flags have changed without the client having been told.
    untold: Vec<Uid>,
}

impl Narrowed {
    /// Whether something may have happened, or will, that the client does not hear of.
    pub(crate) fn leaves_out(&self) -> bool {
        match self.wanted {
            Wanted::Everything => false,
            Wanted::Messages => !self.untold.is_empty(),
            Wanted::Nothing => true,
        }
    }

    /// Leaves changed flags of a message untold.
    pub(crate) fn leave(&mut self, uid: Uid) {
        // Each message is noted about twice at the most.
        if self.untold.len() == self.untold.capacity() {
            self.untold.sort_unstable();
            self.untold.dedup();
        }
        self.untold.push(uid);
    }

    /// Messages whose flags were left untold, ascending.
    pub(crate) fn take_untold(&mut self) -> Vec<Uid> {
        let mut untold = std::mem::take(&mut self.untold);
        untold.sort_unstable();
        untold.dedup();
        untold
    }

    /// Notes messages that the client itself expunges.
    pub(crate) fn note_expunged(&mut self, uids: &[Uid]) {
        if self.wanted == Wanted::Nothing {
            self.expunged.extend(uids);
        }
    }

    /// Those messages, ascending.
    pub(crate) fn take_expunged(&mut self) -> Vec<Uid> {
        let mut expunged = std::mem::take(&mut self.expunged);
        expunged.sort_unstable();
        expunged
    }
}
