//! MOVE and UID MOVE (RFC 6851): COPY and EXPUNGE in one, with no state in between.
//!
//! Like COPY it is all or nothing. The client is told where the messages went before it is told
//! that they are gone (RFC 6851 §4.3), and EXPUNGE may be sent also for the form with sequence
//! numbers (RFC 6851 §3.3).

use std::sync::Arc;

use mailstore::{Moving, Rights, Uid};

use super::{Capability, Extension, Shown, uidplus};
use crate::response::{Completion, Status, Untagged};
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Move,
    capability: "MOVE",
    rfc: 6851,
    shown: Shown::Always,
    enables: None,
};

/// What takes a message out of the selected mailbox: STORE of `\Deleted`, and EXPUNGE
/// (RFC 6851 §4.2, RFC 8508 §4.1).
pub(crate) const REMOVAL: Rights = Rights::DELETED.union(Rights::EXPUNGE);

/// How many messages one slice of work prepares.
const BATCH: usize = 200;

/// A MOVE under way. Its messages are prepared in slices, without keeping anybody from anything;
/// then the store moves them in one piece, because it must not be done by halves.
#[derive(Debug)]
pub(crate) struct Move {
    messages: Positions,
    target: Vec<u8>,
    moving: Option<Moving>,
}

impl Move {
    /// Moves the messages at these positions.
    pub(crate) fn new(messages: Positions, target: Vec<u8>) -> Self {
        Self {
            messages,
            target,
            moving: None,
        }
    }

    /// Prepares a batch, or moves what is prepared.
    pub(crate) fn step(&mut self, selected: &mut Selected, out: &mut Responses) -> Outcome {
        let mut moving = match self.moving.take() {
            Some(moving) => moving,
            None => {
                selected.may(REMOVAL)?;
                let (target, kept) = selected.account.open_target(&self.target)?;
                selected.writable()?.begin_move(&target).keeping(kept)
            }
        };
        let snapshot = selected.view.snapshot();
        let batch = self.messages.by_ref().take(BATCH);
        let uids: Vec<Uid> = batch
            .filter_map(|position| snapshot.get(position))
            .map(|message| message.uid())
            .collect();
        if !uids.is_empty() {
            moving.add(&uids)?;
            self.moving = Some(moving);
            return Ok(Step::More);
        }
        let target = Arc::clone(moving.target());
        let moved = moving.finish()?;
        let (gone, added): (Vec<Uid>, Vec<Uid>) = moved.uids.iter().copied().unzip();
        selected.view.note_expunged(&gone);
        selected.note_added(&target, &added);
        if moved.uids.is_empty() {
            return Ok(Step::Done(Completion::ok("Nothing to move")));
        }
        if let Some(code) = uidplus::copy_uid(&moved, selected.account.offered) {
            let text = "Messages moved".to_owned();
            out.untagged(Untagged::Status(Status::Ok, Some(code), text));
        }
        Ok(Step::Done(Completion::ok("MOVE completed")))
    }
}
