//! Up to 512 messages of a snapshot: fixed-size records and one arena for their file names.

use std::sync::OnceLock;

use super::kept::Kept;
use crate::filename::physical_size;
use crate::flag::{FlagSet, SystemFlag};
use crate::id::{ModSeq, Uid};

/// Which directory a message's file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Place {
    /// `cur/`.
    Cur = 0,
    /// `new/`: delivered and not yet seen by a session that selected the mailbox.
    New = 1,
}

impl Place {
    /// The directory's name.
    pub(crate) const fn directory(self) -> &'static str {
        match self {
            Self::Cur => "cur",
            Self::New => "new",
        }
    }
}

/// A message as the index tells of it, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added<Name = Vec<u8>> {
    pub(crate) uid: Uid,
    pub(crate) flags: FlagSet,
    pub(crate) mod_seq: ModSeq,
    /// RFC822.SIZE, if known.
    pub(crate) size: Option<u64>,
    /// The internal date in seconds since 1970, if known.
    pub(crate) date: Option<i64>,
    /// When it was saved here in seconds since 1970, 0 if unknown.
    pub(crate) saved: u32,
    pub(crate) place: Place,
    /// The file's name in its directory: 1 to 255 octets.
    pub(crate) name: Name,
}

/// One message, 48 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) flags: FlagSet,
    pub(super) mod_seq: ModSeq,
    size: u64,
    date: i64,
    pub(super) uid: Uid,
    name_start: u32,
    pub(super) saved: u32,
    name_length: u8,
    pub(super) place: Place,
}

const UNKNOWN_SIZE: u64 = u64::MAX;
const UNKNOWN_DATE: i64 = i64::MIN;

impl Record {
    /// RFC822.SIZE, if known.
    pub(super) fn size(&self) -> Option<u64> {
        (self.size != UNKNOWN_SIZE).then_some(self.size)
    }

    /// The internal date, if known.
    pub(super) fn date(&self) -> Option<i64> {
        (self.date != UNKNOWN_DATE).then_some(self.date)
    }

    /// Fills in what has been learned.
    pub(super) fn learn(&mut self, size: Option<u64>, date: Option<i64>) {
        if let Some(size) = size {
            self.size = size;
        }
        if let Some(date) = date {
            self.date = date;
        }
    }
}

/// A run of messages, ascending by UID.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    pub(super) records: Vec<Record>,
    /// What other servers knew of some of them, ascending.
    pub(super) kept: Vec<(Uid, Kept)>,
    names: Vec<u8>,
    /// Octets of `names` that no record uses any more.
    garbage: usize,
    /// How many messages are in `new/`.
    in_new: usize,
    /// How many messages have no `\Seen`.
    unseen: usize,
    /// No message has a higher mod-sequence; 0 if there never was one.
    highest: u64,
    /// The octets of all files, once somebody has asked.
    octets: OnceLock<u64>,
}

impl Chunk {
    /// An empty chunk with room for what comes after a full one, which is most often like it.
    pub(super) fn like(full: &Self) -> Self {
        let names = full.names.len();
        Self {
            records: Vec::with_capacity(MESSAGES),
            names: Vec::with_capacity(names + names / (4 * SLACK)),
            ..Self::default()
        }
    }

    /// The position of `uid`, or where it would be.
    pub(super) fn find(&self, uid: Uid) -> Result<usize, usize> {
        self.records.binary_search_by_key(&uid, |record| record.uid)
    }

    /// The last message's UID.
    pub(super) fn last_uid(&self) -> Option<Uid> {
        self.records.last().map(|record| record.uid)
    }

    /// A record's file name.
    pub(super) fn name(&self, record: &Record) -> &[u8] {
        let start = usize::try_from(record.name_start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::from(record.name_length));
        self.names.get(start..end).unwrap_or_default()
    }

    /// The file names of the records one after the other, if that is how they are kept.
    pub(super) fn all_names(&self) -> Option<&[u8]> {
        (self.garbage == 0).then_some(&self.names)
    }

    /// Puts a message at the end; `false` if its name has no place (over 255 octets).
    #[must_use]
    pub(super) fn push(&mut self, added: &Added<impl AsRef<[u8]>>) -> bool {
        let Some((name_start, name_length)) = self.store_name(added.name.as_ref()) else {
            return false;
        };
        self.records.push(Record {
            flags: added.flags,
            mod_seq: added.mod_seq,
            size: added.size.unwrap_or(UNKNOWN_SIZE),
            date: added.date.unwrap_or(UNKNOWN_DATE),
            uid: added.uid,
            name_start,
            saved: added.saved,
            name_length,
            place: added.place,
        });
        self.count_in(added.flags, added.mod_seq, added.place);
        self.octets.take();
        if self.records.len() == MESSAGES {
            // Nothing more comes, and this stays in memory for long.
            self.records.shrink_to_fit();
            self.names.shrink_to_fit();
        }
        true
    }

    /// Puts a message of another chunk at the end.
    #[must_use]
    pub(super) fn push_from(&mut self, other: &Self, record: &Record) -> bool {
        let Some((name_start, name_length)) = self.store_name(other.name(record)) else {
            return false;
        };
        self.records.push(Record {
            name_start,
            name_length,
            ..*record
        });
        self.count_in(record.flags, record.mod_seq, record.place);
        self.octets.take();
        if let Some(kept) = other.kept(record.uid) {
            self.keep(record.uid, kept.clone());
        }
        true
    }

    /// What is kept of a message.
    pub(super) fn kept(&self, uid: Uid) -> Option<&Kept> {
        let at = self.kept.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        self.kept.get(at).map(|(_, kept)| kept)
    }

    /// Keeps something of a message.
    pub(super) fn keep(&mut self, uid: Uid, kept: Kept) {
        if self.kept.last().is_none_or(|(last, _)| *last < uid) {
            self.kept.push((uid, kept));
            return;
        }
        match self.kept.binary_search_by_key(&uid, |(uid, _)| *uid) {
            Ok(at) => {
                if let Some(old) = self.kept.get_mut(at) {
                    old.1 = kept;
                }
            }
            Err(at) => self.kept.insert(at, (uid, kept)),
        }
    }

    /// Gives the record at `position` flags, a mod-sequence and a place; `None` if there is none.
    pub(super) fn restyle(
        &mut self,
        position: usize,
        (flags, mod_seq): (FlagSet, ModSeq),
        place: Place,
    ) -> Option<Record> {
        let record = self.records.get_mut(position)?;
        let old = *record;
        record.flags = flags;
        record.mod_seq = mod_seq;
        record.place = place;
        let new = *record;
        self.in_new -= usize::from(old.place == Place::New);
        self.unseen -= usize::from(is_unseen(old.flags));
        self.count_in(flags, mod_seq, place);
        Some(new)
    }

    /// Gives the record at `position` a new name.
    #[must_use]
    pub(super) fn rename(&mut self, position: usize, name: &[u8]) -> bool {
        let Some(old) = self.records.get(position).copied() else {
            return false;
        };
        if self.name(&old) == name {
            return true;
        }
        if physical_size(self.name(&old)) != physical_size(name) {
            self.octets.take();
        }
        let Some((name_start, name_length)) = self.store_name(name) else {
            return false;
        };
        if let Some(record) = self.records.get_mut(position) {
            record.name_start = name_start;
            record.name_length = name_length;
        }
        self.garbage += usize::from(old.name_length);
        self.collect_if_worth_it();
        true
    }

    /// Removes the messages from `first` to `last`, giving their UIDs to `gone`.
    pub(super) fn remove(&mut self, first: Uid, last: Uid, gone: &mut Vec<Uid>) {
        let records = &self.records;
        let start = records.partition_point(|record| record.uid < first);
        let end = records.partition_point(|record| record.uid <= last);
        // The other way round if `last` is below `first`.
        if start < end {
            self.octets.take();
        }
        for record in self.records.drain(start..end.max(start)) {
            gone.push(record.uid);
            self.garbage += usize::from(record.name_length);
            self.in_new -= usize::from(record.place == Place::New);
            self.unseen -= usize::from(is_unseen(record.flags));
        }
        if !self.kept.is_empty() {
            self.kept.retain(|(uid, _)| !(first..=last).contains(uid));
        }
        if self.records.len() < self.records.capacity() / SLACK * (SLACK - 1) {
            self.records.shrink_to_fit();
        }
        self.collect_if_worth_it();
    }

    /// Gives every message the same mod-sequence.
    pub(super) fn touch(&mut self, mod_seq: ModSeq) {
        for record in &mut self.records {
            record.mod_seq = mod_seq;
        }
        self.highest = self.highest.max(mod_seq.get());
    }

    /// How many messages are in `new/`.
    pub(super) fn in_new(&self) -> usize {
        self.in_new
    }

    /// How many messages have no `\Seen`.
    pub(super) fn unseen(&self) -> usize {
        self.unseen
    }

    /// No message has a higher mod-sequence.
    pub(super) fn highest_mod_seq(&self) -> u64 {
        self.highest
    }

    /// The octets of all files. `ask` is for those whose names do not tell; it has `None` if they
    /// cannot be known now.
    pub(super) fn octets(&self, mut ask: impl FnMut(&Record) -> Option<u64>) -> u64 {
        if let Some(octets) = self.octets.get() {
            return *octets;
        }
        let (mut sum, mut certain) = (0u64, true);
        for record in &self.records {
            let octets = physical_size(self.name(record)).or_else(|| ask(record));
            certain &= octets.is_some();
            let octets = octets.or(record.size()).unwrap_or_default();
            sum = sum.saturating_add(octets);
        }
        if certain {
            // Whoever was faster has found the same.
            self.octets.set(sum).ok();
        }
        sum
    }

    /// The memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let kept: usize = self.kept.iter().map(|(_, kept)| kept.bytes()).sum();
        self.records.capacity() * size_of::<Record>() + self.names.capacity() + kept
    }

    /// Counts a message that has come, or has become this.
    fn count_in(&mut self, flags: FlagSet, mod_seq: ModSeq, place: Place) {
        self.in_new += usize::from(place == Place::New);
        self.unseen += usize::from(is_unseen(flags));
        self.highest = self.highest.max(mod_seq.get());
    }

    fn store_name(&mut self, name: &[u8]) -> Option<(u32, u8)> {
        let length = u8::try_from(name.len()).ok().filter(|length| *length > 0)?;
        let start = u32::try_from(self.names.len()).ok()?;
        if self.names.capacity() - self.names.len() < name.len() && self.is_settled() {
            let slack = self.names.len() / SLACK;
            self.names.reserve_exact(slack.max(name.len()));
        }
        self.names.extend_from_slice(name);
        Some((start, length))
    }

    /// Whether no message has come for long, as far as it can be told: then there is no point in
    /// room for more.
    fn is_settled(&self) -> bool {
        self.records.len() == self.records.capacity()
    }

    fn collect_if_worth_it(&mut self) {
        // Before the room for new names is full.
        if self.garbage > self.names.len() / (SLACK + 2) {
            self.collect();
        }
    }

    /// Drops the names that nobody uses.
    fn collect(&mut self) {
        let mut names = Vec::with_capacity(self.names.len().saturating_sub(self.garbage));
        let mut records = std::mem::take(&mut self.records);
        for record in &mut records {
            let start = u32::try_from(names.len()).unwrap_or(u32::MAX);
            names.extend_from_slice(self.name(record));
            record.name_start = start;
        }
        self.records = records;
        self.names = names;
        self.garbage = 0;
    }
}

/// Whether flags are without `\Seen`.
pub(super) fn is_unseen(flags: FlagSet) -> bool {
    !flags.has(SystemFlag::Seen)
}

/// How many messages are in a chunk at most.
pub(super) const MESSAGES: usize = 512;
/// One part in so many may be room that is not used.
const SLACK: usize = 8;
