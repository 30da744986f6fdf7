//! STORE and UID STORE (RFC 3501 §6.4.6), also on condition (RFC 7162 §3.1.3).

use std::collections::VecDeque;
use std::sync::Arc;

use mailstore::{FlagChange, FlagMask, Message, Snapshot, Uid};

use crate::command::{Echo, UnchangedSince};
use crate::error::Refused;
use crate::extension::InProgressState;
use crate::response::{Code, Completion, PlainCode};
use crate::session::place::not_permitted;
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Writable;
use crate::session::view::{Own, View, number};
use crate::types::{ByUid, Ranges, SeqNum};

/// How many messages one slice of work changes.
const BATCH: usize = 200;

/// A STORE under way.
#[derive(Debug)]
pub(crate) struct Storing {
    left: Positions,
    /// How many messages there were at first.
    goal: usize,
    change: FlagChange,
    echo: Echo,
    by_uid: ByUid,
    /// Which of the messages are left alone.
    condition: Option<UnchangedSince>,
    /// Messages that are to be told, and what of them.
    echoes: VecDeque<(usize, Told)>,
    /// Messages that were left alone: sequence numbers, or UIDs for UID STORE.
    modified: Ranges,
    /// Messages that were there.
    stored: usize,
    /// Messages that another session had expunged.
    gone: usize,
}

/// What is told of a message.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Its flags.
    Flags,
    /// Its mod-sequence only: the client knows the flags.
    ModSeq,
}

impl Storing {
    /// Changes the flags of the messages at these positions.
    pub(crate) fn new(left: Positions, change: FlagChange, echo: Echo, by_uid: ByUid) -> Self {
        Self {
            goal: left.len(),
            left,
            change,
            echo,
            by_uid,
            condition: None,
            echoes: VecDeque::new(),
            modified: Ranges::default(),
            stored: 0,
            gone: 0,
        }
    }

    /// The same, but leaves messages alone that have been changed since.
    pub(crate) fn on_condition(mut self, condition: Option<UnchangedSince>) -> Self {
        self.condition = condition;
        self
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
        let change = self.permitted(mailbox.permitted())?;
        let before = Arc::clone(mailbox.view().snapshot());
        let messages = batch.iter().filter_map(|&position| before.get(position));
        let uids: Vec<Uid> = messages.map(|message| message.uid()).collect();
        let (newest, modified) = match self.condition {
            Some(condition) => {
                let stored = mailbox.store_flags_unchanged(&uids, &change, condition)?;
                (stored.snapshot, stored.modified)
            }
            None => {
                let own = match self.echo {
                    Echo::Flags => Own::Told(&uids),
                    Echo::Silent => Own::Silent(&uids, &change),
                };
                (mailbox.store_flags(&uids, &change, own)?, Vec::new())
            }
        };
        mailbox.tell_keywords(out);
        for (position, uid) in batch.into_iter().zip(uids) {
            let Some(message) = newest.by_uid(uid) else {
                self.gone += 1;
                continue;
            };
            let told = if modified.binary_search(&uid).is_ok() {
                self.modified.push(match self.by_uid {
                    ByUid::Yes => uid.get(),
                    ByUid::No => number(position.saturating_add(1)),
                });
                Some(Told::Flags)
            } else {
                self.stored += 1;
                self.told(message, (&before, &newest), mailbox.view())
            };
            self.echoes.extend(told.map(|told| (position, told)));
        }
        self.echo(mailbox.view(), out);
        Ok(Step::More)
    }

    /// The part of the change that the user may make (RFC 4314 §4). Where that is not all of it,
    /// the client cannot know what came of it, and is told.
    ///
    /// # Errors
    /// `NO [NOPERM]` if nothing is left of it.
    fn permitted(&mut self, mask: FlagMask) -> Result<FlagChange, Refused> {
        let change = self.change.clone().only(mask);
        let nothing = change.is_empty() && !self.change.is_empty();
        if mask.is_empty() || nothing {
            return Err(not_permitted());
        }
        if change != self.change {
            self.echo = Echo::Flags;
        }
        Ok(change)
    }

    /// How many of the messages have been changed and told.
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        let left = self.left.len() + self.echoes.len();
        InProgressState::of(self.goal.saturating_sub(left), self.goal)
    }

    /// What is told of a message whose flags have been changed: with `.SILENT`, clients that know
    /// of mod-sequences hear the new one (RFC 7162 §3.1.3), also on a condition that was met
    /// without a change.
    fn told(
        &self,
        message: Message<'_>,
        (before, newest): (&Snapshot, &Snapshot),
        view: &View,
    ) -> Option<Told> {
        match self.echo {
            Echo::Flags => Some(Told::Flags),
            Echo::Silent if !view.tracking().has_mod_seqs() => None,
            Echo::Silent => {
                let uid = message.uid();
                let known = Own::Silent(&[uid], &self.change).explains(uid, before, newest);
                let old = before.by_uid(uid).map(|it| it.mod_seq());
                match self.condition {
                    Some(_) if !known => Some(Told::Flags),
                    Some(_) => Some(Told::ModSeq),
                    // What the client does not know, it is told at the end.
                    None => (known && old != Some(message.mod_seq())).then_some(Told::ModSeq),
                }
            }
        }
    }

    /// Tells the flags of the messages that were changed; `false` if there are more than fit now.
    fn echo(&mut self, view: &View, out: &mut Responses) -> bool {
        while let Some((position, told)) = self.echoes.pop_front() {
            let message = view.snapshot().get(position);
            if let (Some(seq), Some(message)) = (SeqNum::from_position(position), message) {
                let items = match told {
                    Told::Flags => view.flags_response(message, self.by_uid),
                    Told::ModSeq => view.mod_seq_response(message),
                };
                out.untagged(view.fetch_response(seq, message, items));
            }
            if out.is_full() {
                return self.echoes.is_empty();
            }
        }
        true
    }

    /// The answer, after RFC 2180 §4.2: messages that are gone are no failure, unless there was
    /// nothing else and the client waits for flags.
    fn completion(&mut self) -> Completion {
        if !self.modified.is_empty() {
            let code = Code::Modified(std::mem::take(&mut self.modified));
            return Completion::ok("Conditional STORE failed").with(code);
        }
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
