//! The UPDATE state (RFC 1939 §6): messages marked as deleted are removed, then all is said.

use mailstore::Uid;

use super::State;
use super::context::Context;
use super::maildrop::Maildrop;
use crate::error::{Code, Refused, severity};

/// The user has quit; messages are being removed.
pub(super) struct Update {
    maildrop: Maildrop,
    uids: Vec<Uid>,
    next: usize,
}

impl Update {
    /// Collects what DELE has marked.
    pub(super) fn new(maildrop: Maildrop) -> Self {
        Self {
            uids: maildrop.marked(),
            maildrop,
            next: 0,
        }
    }

    /// Removes some messages; after the last ones, releases the lock and answers QUIT. May touch
    /// the disk.
    pub(super) fn work(mut self: Box<Self>, context: &mut Context) -> State {
        let end = self.uids.len().min(self.next + SLICE_MESSAGES);
        let uids = self.uids.get(self.next..end).unwrap_or_default();
        if !uids.is_empty() {
            if let Err(error) = self.maildrop.expunge(uids) {
                tracing::error!(%error, "deleted messages could not be removed");
                return self.finish(Err(severity(&error)), context);
            }
            self.next = end;
        }
        if end < self.uids.len() {
            return State::Update(self);
        }
        self.finish(Ok(()), context)
    }

    /// Releases the lock, so that a client that has the answer can come back at once, and answers
    /// QUIT.
    fn finish(self, result: Result<(), Code>, context: &mut Context) -> State {
        let (left, _) = self.maildrop.totals();
        let removed = self.next;
        drop(self);
        tracing::info!(removed, left, "quit");
        match (result, left) {
            (Err(code), _) => context.responses.refuse(&Refused::NotRemoved(code)),
            (Ok(()), 0) => context.goodbye(format_args!(" (maildrop empty)")),
            (Ok(()), 1) => context.goodbye(format_args!(" (1 message left)")),
            (Ok(()), left) => context.goodbye(format_args!(" ({left} messages left)")),
        }
        State::Ended
    }
}

/// How many messages one slice of work removes; each slice is one durable change of the index.
const SLICE_MESSAGES: usize = 2000;
