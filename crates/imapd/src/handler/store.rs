//! STORE and UID STORE (RFC 3501 §6.4.6).

use std::collections::VecDeque;

use mailstore::{FlagChange, Uid};

use crate::command::Echo;
use crate::response::{Code, Completion, PlainCode, Untagged};
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Writable;
use crate::session::view::{Own, View};
use crate::types::{ByUid, SeqNum};

/// How many messages one slice of work changes.
const BATCH: usize = 200;

/// A STORE under way.
#[derive(Debug)]
pub(crate) struct Storing {
    left: Positions,
    change: FlagChange,
    echo: Echo,
    by_uid: ByUid,
    /// Messages whose flags have been changed and are to be told.
    echoes: VecDeque<usize>,
    /// Messages that were there.
    stored: usize,
    /// Messages that another session had expunged.
    gone: usize,
}

impl Storing {
    /// Changes the flags of the messages at these positions.
    pub(crate) fn new(left: Positions, change: FlagChange, echo: Echo, by_uid: ByUid) -> Self {
        Self {
            left,
            change,
            echo,
            by_uid,
            echoes: VecDeque::new(),
            stored: 0,
            gone: 0,
        }
    }

    /// Changes one batch, and tells the flags even where nothing changed.
    pub(crate) fn step(&mut self, mailbox: &mut Writable<'_>, out: &mut Responses) -> Outcome {
        if !self.echo(mailbox.view(), out) {
            return Ok(Step::More);
        }
        let batch: Vec<usize> = self.left.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(Step::Done(self.completion()));
        }
        let snapshot = mailbox.view().snapshot();
        let messages = batch.iter().filter_map(|&position| snapshot.get(position));
        let uids: Vec<Uid> = messages.map(|message| message.uid()).collect();
        let own = match self.echo {
            Echo::Flags => Own::Told(&uids),
            Echo::Silent => Own::Silent(&uids, &self.change),
        };
        let newest = mailbox.store_flags(&uids, &self.change, own)?;
        mailbox.tell_keywords(out);
        for (position, uid) in batch.into_iter().zip(uids) {
            if newest.by_uid(uid).is_none() {
                self.gone += 1;
                continue;
            }
            self.stored += 1;
            if self.echo == Echo::Flags {
                self.echoes.push_back(position);
            }
        }
        self.echo(mailbox.view(), out);
        Ok(Step::More)
    }

    /// Tells the flags of the messages that were changed; `false` if there are more than fit now.
    fn echo(&mut self, view: &View, out: &mut Responses) -> bool {
        while let Some(position) = self.echoes.pop_front() {
            let message = view.snapshot().get(position);
            if let (Some(seq), Some(message)) = (SeqNum::from_position(position), message) {
                let items = view.flags_response(message, self.by_uid);
                out.untagged(Untagged::Fetch(seq, items));
            }
            if out.is_full() {
                return self.echoes.is_empty();
            }
        }
        true
    }

    /// The answer, after RFC 2180 §4.2: messages that are gone are no failure, unless there was
    /// nothing else and the client waits for flags.
    fn completion(&self) -> Completion {
        let gone = Code::Plain(PlainCode::ExpungeIssued);
        if self.gone == 0 {
            return Completion::ok("STORE completed");
        }
        if self.stored == 0 && self.echo == Echo::Flags {
            return Completion::no("The messages have been expunged").with(gone);
        }
        Completion::ok("STORE completed; some messages have been expunged").with(gone)
    }
}
