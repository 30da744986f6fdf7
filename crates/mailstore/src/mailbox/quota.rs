//! What a mailbox takes up, for the quota of its account.

use std::fs;

use super::Mailbox;
use super::transaction::Transaction;
use crate::deliver::Staged;
use crate::error::Result;
use crate::filename::physical_size;
use crate::id::Uid;
use crate::index::Index;
use crate::mailbox::Appending;
use crate::quota::{Adding, Admission, Change, Tally, Usage};
use crate::snapshot::{Message, Place, Snapshot};
use crate::sync::message_path;

impl Mailbox {
    /// The octets of a message's file: what its name tells, or the file system.
    pub fn file_octets(&self, message: Message<'_>) -> u64 {
        let named = physical_size(message.file_name());
        let octets = named.or_else(|| self.octets_on_disk(message));
        octets.or(message.rfc822_size()).unwrap_or_default()
    }

    /// Notes for the account what the mailbox takes up, as far as it is known.
    pub(crate) fn take_stock(&self) -> Result<()> {
        self.check()?;
        self.with_index(|index| self.tally(index, Change::default()));
        Ok(())
    }

    /// Notes for the account what the mailbox takes up by its index, and what of that is new by our
    /// own doing.
    pub(super) fn tally(&self, index: &Index, own: Change) {
        let Some(ledger) = self.environment.ledger(&self.root) else {
            return;
        };
        let stamps = &index.state.stamps;
        let tally = Tally {
            usage: self.usage(&index.state.snapshot),
            new: stamps.new.mtime,
            cur: stamps.cur.mtime,
            settled: stamps.are_settled(),
        };
        ledger.note(&self.directory, tally, own);
    }

    /// Notes that a message was delivered.
    pub(super) fn note_delivery(&self, usage: Usage) {
        if let Some(ledger) = self.environment.ledger(&self.root) {
            ledger.note_delivery(&self.directory, usage);
        }
    }

    /// Asks whether so much may be added.
    pub(super) fn admit(&self, wanted: Usage, by: Adding) -> Result<Option<Admission>> {
        match self.environment.ledger(&self.root) {
            Some(ledger) => ledger.admit(wanted, by),
            None => Ok(None),
        }
    }

    /// Asks whether staged messages may be added.
    pub(super) fn admit_staged(&self, messages: &[Appending]) -> Result<Option<Admission>> {
        let staged = messages.iter().map(|message| usage_of(&message.staged));
        self.admit(staged.fold(Usage::default(), Usage::plus), Adding::Client)
    }

    /// Asks whether copies of messages of `source` may be added.
    pub(super) fn admit_copies(&self, source: &Self, uids: &[Uid]) -> Result<Option<Admission>> {
        if self.environment.ledger(&self.root).is_none() {
            return Ok(None);
        }
        let snapshot = source.snapshot();
        let messages = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        let copies = messages.map(|message| Usage::of_message(source.file_octets(message)));
        self.admit(copies.fold(Usage::default(), Usage::plus), Adding::Client)
    }

    /// Asks whether a staged message may take the place of one in `source`.
    pub(super) fn admit_replacement(
        &self,
        source: &Self,
        old: Uid,
        new: &Appending,
    ) -> Result<Option<Admission>> {
        let mut wanted = usage_of(&new.staged);
        if source.root == self.root
            && let Some(old) = source.snapshot().by_uid(old)
        {
            wanted = wanted.less(Usage::of_message(source.file_octets(old)));
        }
        self.admit(wanted, Adding::Client)
    }

    fn usage(&self, snapshot: &Snapshot) -> Usage {
        Usage {
            messages: u64::try_from(snapshot.len()).unwrap_or(u64::MAX),
            octets: snapshot.octets(|message| self.octets_on_disk(message)),
        }
    }

    fn octets_on_disk(&self, message: Message<'_>) -> Option<u64> {
        let path = message_path(&self.directory, message.place(), message.file_name());
        fs::symlink_metadata(path)
            .ok()
            .map(|metadata| metadata.len())
    }
}

impl Transaction<'_> {
    /// Notes that messages have been added.
    pub(super) fn note_added(&mut self, usage: Usage) {
        self.own = self.own.and(Change::adding(usage));
    }

    /// Notes that messages have been removed.
    pub(super) fn note_gone(&mut self, usage: Usage) {
        self.own = self.own.and(Change::removing(usage));
    }

    /// Notes that files have been put in their places, if anybody counts.
    pub(super) fn note_placed(&mut self, names: &[Vec<u8>]) {
        let mailbox = self.mailbox;
        // Names that do not tell their octets cost a look at each file.
        if mailbox.environment.ledger(&mailbox.root).is_some() {
            let octets = names.iter().map(|name| self.octets_placed(name));
            let messages = octets.map(Usage::of_message);
            self.note_added(messages.fold(Usage::default(), Usage::plus));
        }
    }

    /// The octets of a file that has just been put in its place.
    fn octets_placed(&self, name: &[u8]) -> u64 {
        let path = || message_path(&self.mailbox.directory, Place::Cur, name);
        let asked = || fs::symlink_metadata(path()).ok();
        physical_size(name)
            .or_else(|| asked().map(|metadata| metadata.len()))
            .unwrap_or_default()
    }
}

/// What a message takes up by its name, or else by what is known of it: its file is not there any
/// more.
pub(super) fn named_usage(message: Message<'_>) -> Usage {
    let named = physical_size(message.file_name());
    Usage::of_message(named.or(message.rfc822_size()).unwrap_or_default())
}

fn usage_of(staged: &Staged) -> Usage {
    Usage::of_message(staged.octets())
}
