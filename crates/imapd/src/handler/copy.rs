//! COPY and UID COPY (RFC 3501 §6.4.7): all or nothing.

use mailstore::Uid;

use crate::extension::uidplus;
use crate::response::Completion;
use crate::session::positions::Positions;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;

/// A COPY to be done. The store does it in one piece, because it must not be done by halves.
#[derive(Debug)]
pub(crate) struct Copying {
    messages: Positions,
    target: Vec<u8>,
}

impl Copying {
    /// Copies the messages at these positions.
    pub(crate) fn new(messages: Positions, target: Vec<u8>) -> Self {
        Self { messages, target }
    }

    /// Copies.
    pub(crate) fn step(&mut self, selected: &mut Selected) -> Outcome {
        let (target, kept) = selected.account.open_target(&self.target)?;
        let snapshot = selected.view.snapshot();
        let messages = self.messages.by_ref();
        let uids: Vec<Uid> = messages
            .filter_map(|position| snapshot.get(position))
            .map(|message| message.uid())
            .collect();
        if uids.is_empty() {
            return Ok(Step::Done(Completion::ok("Nothing to copy")));
        }
        let copied = selected.mailbox.copy_keeping(&uids, &target, kept)?;
        let added: Vec<Uid> = copied.uids.iter().map(|(_, to)| *to).collect();
        selected.note_added(&target, &added);
        let code = uidplus::copy_uid(&copied, selected.account.offered);
        Ok(Step::Done(Completion::ok("COPY completed").with_any(code)))
    }
}
