//! EXPUNGE and CLOSE (RFC 3501 §6.4.2, §6.4.3), and UID EXPUNGE (RFC 4315 §2.1).

use mailstore::{Rights, SystemFlag, Uid};

use crate::extension::InProgressState;
use crate::response::Completion;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Writable;
use crate::session::view::View;
use crate::types::{Messages, Ranges};

/// How many messages one slice of work removes; each slice is one durable change of the index.
const BATCH: usize = 2000;

/// The removal of messages that have `\Deleted`.
#[derive(Debug)]
pub(crate) struct Expunging {
    stage: Stage,
    /// How many messages were meant, once that is known.
    goal: usize,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Which messages are meant: all, or those with these UIDs.
    Named(Option<Ranges>),
    /// Which messages are left, the next one last.
    Left(Vec<Uid>),
}

impl Expunging {
    /// EXPUNGE, or UID EXPUNGE with its set.
    pub(crate) fn new(messages: Option<&Messages>, view: &View) -> Self {
        Self {
            stage: Stage::Named(messages.map(|messages| view.uids(messages))),
            goal: 0,
        }
    }

    /// The part of CLOSE that removes messages.
    pub(crate) fn close() -> Self {
        Self {
            stage: Stage::Named(None),
            goal: 0,
        }
    }

    /// How many of the messages it has removed.
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        match &self.stage {
            Stage::Named(_) => None,
            Stage::Left(left) => InProgressState::of(self.goal - left.len(), self.goal),
        }
    }

    /// Removes one batch. What is `\Deleted` is what the mailbox says now, also by the doing of
    /// another session.
    pub(crate) fn step(&mut self, mailbox: &mut Writable<'_>) -> Outcome {
        mailbox.may(Rights::EXPUNGE)?;
        let mut left = match &mut self.stage {
            Stage::Named(named) => {
                let newest = mailbox.refresh()?;
                let named = |uid: Uid| named.as_ref().is_none_or(|it| it.contains(uid.get()));
                let deleted = newest
                    .iter()
                    .filter(|it| it.flags().has(SystemFlag::Deleted));
                let mut uids: Vec<Uid> =
                    deleted.map(|it| it.uid()).filter(|&it| named(it)).collect();
                uids.reverse();
                self.goal = uids.len();
                uids
            }
            Stage::Left(left) => std::mem::take(left),
        };
        let mut batch = left.split_off(left.len().saturating_sub(BATCH));
        batch.reverse();
        if !batch.is_empty() {
            mailbox.expunge(&batch)?;
        }
        if left.is_empty() {
            return Ok(Step::Done(Completion::ok("EXPUNGE completed")));
        }
        self.stage = Stage::Left(left);
        Ok(Step::More)
    }
}
