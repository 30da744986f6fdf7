//! Records of messages at hand: read for many messages at once, made from the message where one is
//! missing, and given to the store to keep, many at once, when a slice of work ends.

use std::collections::BTreeMap;

use mailstore::{Cached, Error, Mailbox, Message, Snapshot, Uid};

use super::ahead::{Made, make_ahead};
use super::content::{Content, header_octets, preview_of};
use crate::extension::imap_rev2::Revision;
use crate::message::{Form, Header, Parsed, Record, Summary, ThreadKey, preview};

/// The records at hand.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    windows: Vec<Window>,
    /// What was made ahead of its turn of the messages that come next; `None` where that cannot be.
    ahead: BTreeMap<Uid, Option<Made>>,
    /// What was made and is not kept yet.
    made: Vec<mailstore::Record>,
}

/// The records of some neighboring messages.
#[derive(Debug)]
struct Window {
    record: Record,
    /// Ascending.
    uids: Vec<Uid>,
    cached: Cached,
}

/// Records of one message.
#[derive(Debug)]
pub(crate) struct Found {
    records: Vec<(Record, Vec<u8>)>,
    /// How many octets of the message were read for them; `None` if all were kept.
    pub(crate) read: Option<usize>,
}

impl Found {
    /// No records.
    pub(crate) const NOTHING: Self = Self {
        records: Vec::new(),
        read: None,
    };

    /// One of the records.
    fn get(&self, record: Record) -> Option<&[u8]> {
        let found = self.records.iter().find(|(it, _)| *it == record);
        found.map(|(_, octets)| &octets[..])
    }

    /// The summary.
    pub(crate) fn summary(&self) -> Option<Summary<'_>> {
        Summary::read(self.get(Record::Summary)?)
    }

    /// What messages of its thread have in common.
    pub(crate) fn thread(&self) -> Option<Option<ThreadKey>> {
        ThreadKey::read(self.get(Record::Thread)?)
    }

    /// The preview.
    pub(crate) fn preview(&self) -> Option<&[u8]> {
        self.get(Record::Preview)
    }

    /// The structure in a form, as it is sent to a session of this revision.
    pub(crate) fn structure(&self, form: Form, revision: Revision) -> Option<&[u8]> {
        Record::structure(self.get(Record::for_form(form))?, revision)
    }

    /// The header, or as much of it as `record` has.
    pub(crate) fn header(&self, record: Record) -> Option<Header<'_>> {
        header_in(record, self.get(record)?)
    }
}

impl Shelf {
    /// Reads what is kept of these messages, which ascend, up to about `most` octets; says for how
    /// many of them.
    pub(crate) fn fetch(
        &mut self,
        mailbox: &Mailbox,
        record: Record,
        messages: &[Message<'_>],
        most: u64,
    ) -> usize {
        let old = self.windows.iter().position(|it| it.record == record);
        let mut window = match old {
            Some(old) => self.windows.swap_remove(old),
            None => Window {
                record,
                uids: Vec::new(),
                cached: Cached::default(),
            },
        };
        window.uids.clear();
        mailbox.read_cached(messages, record.number(), most, &mut window.cached);
        let looked = window.cached.looked();
        let uids = messages.iter().map(|message| message.uid());
        window.uids.extend(uids.take(looked));
        self.windows.push(window);
        looked
    }

    /// The record of the message at a position if it is kept; of the following ones, what is kept
    /// is read, too.
    pub(crate) fn search(
        &mut self,
        mailbox: &Mailbox,
        record: Record,
        snapshot: &Snapshot,
        position: usize,
    ) -> Option<&[u8]> {
        let uid = snapshot.get(position)?.uid();
        let window = self.windows.iter().find(|it| it.record == record);
        if window.is_none_or(|it| it.uids.binary_search(&uid).is_err()) {
            let following = position..position.saturating_add(AHEAD);
            let messages: Vec<_> = following.map_while(|it| snapshot.get(it)).collect();
            self.fetch(mailbox, record, &messages, SEARCHED);
        }
        self.kept(record, uid)
    }

    /// A record among those that were read, of a message that is probably at `place` among theirs.
    pub(crate) fn kept_at(&self, record: Record, place: usize, uid: Uid) -> Option<&[u8]> {
        let window = self.windows.iter().find(|it| it.record == record)?;
        if window.uids.get(place) == Some(&uid) {
            let cached = window.cached.get(place);
            return cached.or_else(|| self.made_ahead(record, uid));
        }
        self.kept(record, uid)
    }

    /// Makes the records of these messages, as far as none was made yet and as many as may be read
    /// at once; says how many were made.
    pub(crate) fn make_ahead(
        &mut self,
        mailbox: &Mailbox,
        records: &[Record],
        messages: &[Message<'_>],
    ) -> usize {
        // What was made before has been of use: messages are answered in order.
        self.ahead.clear();
        let mut missing = messages.to_vec();
        missing.retain(|it| self.lacks(records, it.uid()));
        let made = make_ahead(mailbox, records, &missing);
        let count = made.len();
        for (uid, made) in made {
            for (record, octets) in made.iter().flat_map(|it| &it.records) {
                self.put(*record, uid, octets);
            }
            self.ahead.insert(uid, made);
        }
        count
    }

    /// Whether a record of a message is missing that nobody tried to make ahead.
    pub(crate) fn lacks(&self, records: &[Record], uid: Uid) -> bool {
        let kept = |record: &Record| self.kept(*record, uid).is_some();
        !self.ahead.contains_key(&uid) && !records.iter().all(kept)
    }

    /// Size and internal date of a message that was read ahead.
    pub(crate) fn learned(&self, uid: Uid) -> Option<(u64, i64)> {
        let made = self.ahead.get(&uid)?.as_ref()?;
        Some((made.size, made.modified))
    }

    /// Forgets what was made ahead.
    pub(crate) fn forget_ahead(&mut self) {
        self.ahead.clear();
    }

    /// A record that was made ahead of its turn.
    fn made_ahead(&self, record: Record, uid: Uid) -> Option<&[u8]> {
        let made = self.ahead.get(&uid)?.as_ref()?;
        let (_, octets) = made.records.iter().find(|(it, _)| *it == record)?;
        Some(octets)
    }

    /// A record among those that were read.
    pub(crate) fn kept(&self, record: Record, uid: Uid) -> Option<&[u8]> {
        let window = self.windows.iter().find(|it| it.record == record)?;
        let place = window.uids.binary_search(&uid).ok();
        let cached = place.and_then(|place| window.cached.get(place));
        cached.or_else(|| self.made_ahead(record, uid))
    }

    /// Records among those that were read, or made from the message, which is read once then.
    ///
    /// # Errors
    /// If the message has to be read and cannot be.
    pub(crate) fn take(
        &mut self,
        mailbox: &Mailbox,
        records: &[Record],
        message: Message<'_>,
    ) -> Result<Found, Error> {
        let uid = message.uid();
        let mut found = Found::NOTHING;
        let mut missing = Vec::new();
        for &record in records {
            let kept = self.kept(record, uid);
            match kept.filter(|octets| is_readable(record, octets)) {
                Some(octets) => found.records.push((record, octets.to_vec())),
                None => missing.push(record),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        if missing.contains(&Record::Preview) {
            let (made, read) = preview_of(mailbox, message)?;
            self.put(Record::Preview, uid, made.as_bytes());
            found.records.push((Record::Preview, made.into_bytes()));
            found.read = Some(read);
            missing.retain(|record| *record != Record::Preview);
            if missing.is_empty() {
                return Ok(found);
            }
        }
        let (octets, parsed) = if missing.iter().any(|it| it.form().is_some()) {
            let Content { octets, parsed } = Content::whole(mailbox, message)?;
            (octets, Some(parsed))
        } else {
            (header_octets(mailbox, message)?, None)
        };
        found.read = Some(octets.len() + found.read.unwrap_or(0));
        for record in missing {
            let made = make(record, &octets, parsed.as_ref());
            self.put(record, uid, &made);
            found.records.push((record, made));
        }
        Ok(found)
    }

    /// Puts a record here that was made.
    pub(crate) fn put(&mut self, record: Record, uid: Uid, octets: &[u8]) {
        if octets.len() <= mailstore::cache::MAX_OCTETS {
            self.made.push((uid, record.number(), octets.to_vec()));
        }
    }

    /// Has everything kept that was made.
    pub(crate) fn keep(&mut self, mailbox: &Mailbox) {
        if !self.made.is_empty() {
            mailbox.cache(std::mem::take(&mut self.made));
        }
    }
}

/// The header in a record, as far as it is there.
pub(crate) fn header_in(record: Record, octets: &[u8]) -> Option<Header<'_>> {
    match record {
        Record::Summary => Some(Summary::read(octets)?.header),
        Record::Header => Some(Header::new(octets)),
        Record::BodyStructure | Record::Body | Record::Thread | Record::Preview => None,
    }
}

/// Makes a record of the octets of a message, which are only its header if it was not parsed; then
/// there is no structure.
pub(crate) fn make(record: Record, octets: &[u8], parsed: Option<&Parsed>) -> Vec<u8> {
    let header = parsed.map_or(0..octets.len(), Parsed::header);
    let header = octets.get(header).unwrap_or_default();
    match (record, record.form(), parsed) {
        (Record::Summary, ..) => Summary::make(header),
        (Record::Thread, ..) => ThreadKey::record(ThreadKey::of(header)),
        (Record::Preview, ..) => preview(octets).into_bytes(),
        (_, Some(form), Some(parsed)) => Record::make_structure(parsed, octets, form),
        (Record::Header | Record::BodyStructure | Record::Body, ..) => header.to_vec(),
    }
}

/// Whether a record has the form that it should have.
fn is_readable(record: Record, octets: &[u8]) -> bool {
    match record {
        Record::Summary => Summary::read(octets).is_some(),
        Record::Thread => ThreadKey::read(octets).is_some(),
        Record::Preview => true,
        Record::Header => true,
        Record::BodyStructure | Record::Body => Record::structure(octets, Revision::Rev1).is_some(),
    }
}

/// For how many messages is read what is kept of them when one is searched.
const AHEAD: usize = 128;

/// How many octets of it.
const SEARCHED: u64 = 128 * 1024;
