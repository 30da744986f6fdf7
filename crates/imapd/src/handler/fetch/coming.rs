//! The messages that a FETCH answers next: which they are, and what is kept of them.

use std::collections::VecDeque;
use std::sync::Arc;

use mailstore::{FlagChange, FlagOp, FlagSet, Message, Snapshot, SystemFlag, Uid};

use super::plan::Plan;
use super::quick::Batch;
use crate::handler::shelf::Shelf;
use crate::message::Record;
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::selected::Selected;
use crate::session::view::Own;

/// How many messages get `\Seen` at once, and after how many octets a batch ends: what the client
/// never receives because its connection breaks should stay unseen.
const BATCH: usize = 50;
const BATCH_OCTETS: u64 = 64 * 1024;

/// How many messages a batch has that sets nothing.
const AHEAD: usize = 512;

/// How many octets of records are read ahead: they wait with the session while its client is slow
/// (S37).
const AHEAD_OCTETS: u64 = 128 * 1024;

/// Fewer messages than this are read one after the other.
const FEW: usize = 8;

/// What a message is taken for whose size is not known yet.
const USUAL_OCTETS: u64 = 4 * 1024;

/// The messages that are left, and what is at hand of them.
#[derive(Debug)]
pub(super) struct Coming {
    left: Positions,
    /// The messages that come next. What is kept of them was read.
    batch: VecDeque<usize>,
    /// How many they were at first.
    batched: usize,
    /// Those after them, which were taken from `left` at the same time.
    later: VecDeque<usize>,
    /// Which of both have just got `\Seen`, ascending.
    newly_seen: Vec<Uid>,
    /// What is kept of messages.
    pub(super) shelf: Shelf,
}

impl Coming {
    /// The messages at these positions.
    pub(super) fn new(left: Positions) -> Self {
        Self {
            left,
            batch: VecDeque::new(),
            batched: 0,
            later: VecDeque::new(),
            newly_seen: Vec::new(),
            shelf: Shelf::default(),
        }
    }

    /// Whether it is time for the next batch.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Whether no message is left.
    pub(super) fn is_done(&self) -> bool {
        self.batch.is_empty() && self.later.is_empty() && self.left.is_empty()
    }

    /// How many messages are left.
    pub(super) fn len(&self) -> usize {
        self.batch.len() + self.later.len() + self.left.len()
    }

    /// Takes one message.
    pub(super) fn pop(&mut self) -> Option<usize> {
        self.batch.pop_front()
    }

    /// Which messages have just got `\Seen`, ascending.
    pub(super) fn newly_seen(&self) -> &[Uid] {
        &self.newly_seen
    }

    /// Whether a message has just got `\Seen`.
    pub(super) fn is_newly_seen(&self, uid: Uid) -> bool {
        self.newly_seen.binary_search(&uid).is_ok()
    }

    /// The batch with all that is at hand of it.
    pub(super) fn batch(&mut self) -> Batch<'_> {
        Batch {
            positions: &mut self.batch,
            read: self.batched,
            shelf: &self.shelf,
            newly_seen: &self.newly_seen,
        }
    }

    /// Takes the next messages, and sets `\Seen` on them if a section asks for it
    /// (RFC 3501 §6.4.5). A mailbox that cannot be changed does not keep anybody from reading.
    /// Says whether flags may have changed.
    pub(super) fn next_batch(
        &mut self,
        plan: &Plan,
        selected: &mut Selected,
        out: &mut Responses,
    ) -> bool {
        if !self.later.is_empty() {
            std::mem::swap(&mut self.batch, &mut self.later);
            return false;
        }
        self.newly_seen.clear();
        if !plan.sets_seen() {
            self.batch.extend(self.left.by_ref().take(AHEAD));
            return false;
        }
        let snapshot = Arc::clone(selected.view.snapshot());
        let mut octets = 0;
        while self.batch.len() < BATCH && octets < BATCH_OCTETS {
            let Some(position) = self.left.next() else {
                break;
            };
            let size = snapshot.get(position).and_then(|it| it.rfc822_size());
            octets = size.unwrap_or(USUAL_OCTETS).saturating_add(octets);
            self.batch.push_back(position);
        }
        let messages = self.batch.iter().filter_map(|&it| snapshot.get(it));
        let unseen = messages.filter(|it| !it.flags().has(SystemFlag::Seen));
        let uids: Vec<Uid> = unseen.map(|it| it.uid()).collect();
        let Ok(mut mailbox) = selected.writable() else {
            return false;
        };
        // Who may not change it reads all the same (RFC 4314 §4).
        if uids.is_empty() || !mailbox.permitted().has(SystemFlag::Seen) {
            return false;
        }
        match mailbox.store_flags(&uids, &seen(), Own::Told(&uids)) {
            Ok(_) => self.newly_seen = uids,
            Err(error) => tracing::warn!(%error, "flag could not be set"),
        }
        mailbox.tell_keywords(out);
        true
    }

    /// Reads what is kept of the messages of a batch, which ends where that is enough.
    pub(super) fn read_ahead(&mut self, records: &[Record], selected: &Selected) {
        self.shelf.forget_ahead();
        if let Ok(kinds @ 1..) = u64::try_from(records.len()) {
            let messages = messages(&self.batch, selected.view.snapshot());
            let mut looked = messages.len();
            for record in records {
                let messages = messages.get(..looked).unwrap_or_default();
                let most = AHEAD_OCTETS / kinds;
                looked = self.shelf.fetch(&selected.mailbox, *record, messages, most);
            }
            if (1..messages.len()).contains(&looked) {
                self.later = self.batch.split_off(looked);
            }
        }
        self.batched = self.batch.len();
    }

    /// Reads the messages that come next, if something is missing that records should have; says
    /// how many were read.
    pub(super) fn make_ahead(&mut self, records: &[Record], selected: &Selected) -> usize {
        if records.is_empty() || self.batch.len() < FEW {
            return 0;
        }
        let snapshot = selected.view.snapshot();
        // While the next one waits for something else, nothing is made.
        let first = self.batch.front().and_then(|it| snapshot.get(*it));
        match first {
            Some(first) if self.shelf.lacks(records, first.uid()) => {
                let messages = messages(&self.batch, snapshot);
                self.shelf.make_ahead(&selected.mailbox, records, &messages)
            }
            Some(_) | None => 0,
        }
    }
}

/// The messages at some positions, which ascend, as far as there are any.
fn messages<'a>(positions: &VecDeque<usize>, snapshot: &'a Snapshot) -> Vec<Message<'a>> {
    let mut messages = Vec::with_capacity(positions.len());
    let (mut at, mut next) = (0, snapshot.iter_from(0));
    for &position in positions {
        if position != at {
            (at, next) = (position, snapshot.iter_from(position));
        }
        messages.extend(next.next());
        at += 1;
    }
    messages
}

/// The change that reading makes.
fn seen() -> FlagChange {
    FlagChange {
        op: FlagOp::Add,
        system: FlagSet::EMPTY.with(SystemFlag::Seen),
        keywords: Vec::new(),
    }
}
