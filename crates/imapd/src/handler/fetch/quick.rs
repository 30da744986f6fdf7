//! Responses that are copied straight to where they are sent from: what the index and the records
//! have, and whole messages that are not large.

use std::collections::VecDeque;

use mailstore::{Message, Uid, push_crlf};

use super::flags::Flags;
use super::pieces::substitute_nul;
use super::plan::{Plan, record_for};
use crate::command::{FetchItem, FetchSection, Partial, Section, SectionText};
use crate::encode::{Fetch, section_name};
use crate::extension::imap_rev2::Revision;
use crate::extension::{ObjectId, Priority};
use crate::handler::shelf::{Shelf, header_in};
use crate::message::{Form, Listed, Record, Summary, ThreadKey, part_of};
use crate::response::FetchData;
use crate::session::responses::Responses;
use crate::session::view::View;
use crate::types::SeqNum;

/// The items of a FETCH, prepared to be written for many messages.
#[derive(Debug)]
pub(super) struct Quick {
    items: Vec<Item>,
    revision: Revision,
    flags: Flags,
    source: Source,
}

/// What the items are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The index and records.
    Kept,
    /// The index and the whole message.
    Message,
}

/// A message that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whole<'a> {
    /// Its octets as they are in the file.
    pub(super) raw: &'a [u8],
    /// Their number in CRLF form; without it being right there is no response.
    pub(super) size: u64,
    /// The internal date.
    pub(super) modified: i64,
}

/// An item.
#[derive(Debug)]
enum Item {
    Uid,
    Flags,
    /// The flags if they have just changed.
    NewFlags,
    ModSeq,
    SaveDate,
    EmailId,
    ThreadId,
    Preview(Priority),
    InternalDate,
    Rfc822Size,
    Envelope,
    Structure(&'static str, Form),
    /// Header fields that summaries have.
    Fields(Named, Listed),
    /// Another section of a header.
    Header(Named, Record, SectionText),
    /// All of the message.
    Whole(Vec<u8>),
}

/// A section with its name as it is written.
#[derive(Debug)]
struct Named {
    name: Vec<u8>,
    partial: Option<Partial>,
}

/// The messages that are to be answered next.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// Their positions.
    pub(super) positions: &'a mut VecDeque<usize>,
    /// How many of them there were when the records were read.
    pub(super) read: usize,
    /// The records.
    pub(super) shelf: &'a Shelf,
    /// Those whose flags have just changed, ascending.
    pub(super) newly_seen: &'a [Uid],
}

/// What a response is taken from.
#[derive(Clone, Copy, Debug)]
struct From<'a> {
    view: &'a View,
    /// The records, and where the message probably is among them.
    shelf: Option<(&'a Shelf, usize)>,
    whole: Option<Whole<'a>>,
    newly_seen: &'a [Uid],
}

impl From<'_> {
    /// Size and internal date of a message that was read.
    fn learned(&self, uid: Uid) -> Option<(u64, i64)> {
        match self.whole {
            Some(Whole { size, modified, .. }) => Some((size, modified)),
            None => self.shelf?.0.learned(uid),
        }
    }
}

/// How many items a response has at the most that is written at once: a record is short, but a
/// client may ask for it many times (S37).
const ITEMS_MAX: usize = 16;

impl Quick {
    /// Prepares items; `None` if there may be more to them than one of the sources has.
    pub(super) fn new(plan: &Plan, source: Source) -> Option<Self> {
        let first = [
            (plan.wants_uid(), Item::Uid),
            (plan.wants_flags(), Item::Flags),
            (plan.sets_seen() && !plan.wants_flags(), Item::NewFlags),
        ];
        let mut all: Vec<_> = first
            .into_iter()
            .filter_map(|(wanted, item)| wanted.then_some(item))
            .collect();
        let (mut kept, mut whole) = (0, 0);
        for item in plan.items() {
            let item = match item {
                FetchItem::Uid | FetchItem::Flags => continue,
                FetchItem::ModSeq => Item::ModSeq,
                FetchItem::SaveDate => Item::SaveDate,
                FetchItem::EmailId => Item::EmailId,
                FetchItem::ThreadId => Item::ThreadId,
                FetchItem::Preview(priority) => Item::Preview(*priority),
                FetchItem::InternalDate => Item::InternalDate,
                FetchItem::Rfc822Size => Item::Rfc822Size,
                FetchItem::Envelope => Item::Envelope,
                FetchItem::Body => Item::Structure("BODY", Form::Body),
                FetchItem::BodyStructure => Item::Structure("BODYSTRUCTURE", Form::BodyStructure),
                FetchItem::Section(section) => Item::section(section)?,
                FetchItem::Binary(_) => return None,
            };
            match item {
                Item::Whole(_) => whole += 1,
                Item::Envelope
                | Item::ThreadId
                | Item::Preview(_)
                | Item::Structure(..)
                | Item::Fields(..)
                | Item::Header(..) => kept += 1,
                Item::Uid
                | Item::Flags
                | Item::NewFlags
                | Item::ModSeq
                | Item::SaveDate
                | Item::EmailId
                | Item::InternalDate
                | Item::Rfc822Size => {}
            }
            all.push(item);
        }
        let fits = match source {
            Source::Kept => whole == 0,
            Source::Message => whole == 1 && kept == 0,
        };
        (fits && all.len() <= ITEMS_MAX).then(|| Self {
            items: all,
            revision: plan.revision(),
            flags: Flags::default(),
            source,
        })
    }

    /// What the items are taken from.
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Forgets what another snapshot may tell otherwise.
    pub(super) fn begin(&mut self) {
        self.flags.forget();
    }

    /// Answers messages as long as there is room and nothing has to be read; says how many.
    pub(super) fn answer(
        &mut self,
        batch: &mut Batch<'_>,
        view: &View,
        out: &mut Responses,
    ) -> usize {
        let Some(&first) = batch.positions.front() else {
            return 0;
        };
        if out.is_empty() {
            let usual = batch.positions.len().saturating_mul(USUAL_RESPONSE);
            out.wire().reserve(usual.min(SLICE) + SPARE);
        }
        let snapshot = view.snapshot();
        let (mut at, mut messages) = (first, snapshot.iter_from(first));
        let mut answered = 0;
        while let Some(&position) = batch.positions.front() {
            if out.len() >= SLICE {
                break;
            }
            if position != at {
                (at, messages) = (position, snapshot.iter_from(position));
            }
            let (Some(seq), Some(message)) = (SeqNum::from_position(position), messages.next())
            else {
                break;
            };
            let place = batch.read.saturating_sub(batch.positions.len());
            let from = From {
                view,
                shelf: Some((batch.shelf, place)),
                whole: None,
                newly_seen: batch.newly_seen,
            };
            if self.write(seq, message, from, out.wire()).is_none() {
                break;
            }
            batch.positions.pop_front();
            at += 1;
            answered += 1;
        }
        answered
    }

    /// Answers one message that was read; writes nothing and gives `None` if its size is wrong.
    pub(super) fn answer_whole(
        &mut self,
        (seq, message): (SeqNum, Message<'_>),
        whole: Whole<'_>,
        (view, newly_seen): (&View, &[Uid]),
        out: &mut Responses,
    ) -> Option<()> {
        let from = From {
            view,
            shelf: None,
            whole: Some(whole),
            newly_seen,
        };
        self.write(seq, message, from, out.wire())
    }

    /// Writes a response, or nothing when something is missing.
    fn write(
        &mut self,
        seq: SeqNum,
        message: Message<'_>,
        from: From<'_>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let start = out.len();
        let written = self.write_items(seq, message, from, out);
        if written.is_none() {
            out.truncate(start);
        }
        written
    }

    fn write_items(
        &mut self,
        seq: SeqNum,
        message: Message<'_>,
        from: From<'_>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (view, uid) = (from.view, message.uid());
        let kept = |record| {
            let (shelf, place) = from.shelf?;
            shelf.kept_at(record, place, uid)
        };
        let mut fetch = view.fetch_open(out, seq, message);
        for item in &self.items {
            match item {
                Item::Uid => fetch.uid(out, uid),
                Item::Flags => fetch.written(out, self.flags.of(message, view)),
                Item::NewFlags => {
                    if from.newly_seen.binary_search(&uid).is_ok() {
                        fetch.written(out, self.flags.of(message, view));
                    }
                }
                Item::ModSeq => fetch.item(out, &FetchData::ModSeq(message.mod_seq())),
                Item::SaveDate => fetch.item(out, &FetchData::SaveDate(message.save_date())),
                Item::EmailId => {
                    fetch.object_id(out, "EMAILID", ObjectId::Email(message.email_id()));
                }
                Item::ThreadId => {
                    let key = ThreadKey::read(kept(Record::Thread)?)?;
                    let id = ObjectId::of_thread(key, message.email_id());
                    fetch.object_id(out, "THREADID", id);
                }
                Item::Preview(priority) => match (kept(Record::Preview), priority) {
                    (None, Priority::Now) => return None,
                    (kept, _) => fetch.preview(out, kept),
                },
                Item::InternalDate => {
                    let known = message.internal_date();
                    let date = known.or_else(|| Some(from.learned(uid)?.1))?;
                    fetch.item(out, &FetchData::InternalDate(date));
                }
                Item::Rfc822Size => {
                    let known = message.rfc822_size().filter(|_| from.whole.is_none());
                    let size = known.or_else(|| Some(from.learned(uid)?.0))?;
                    fetch.item(out, &FetchData::Rfc822Size(size));
                }
                Item::Whole(name) => {
                    let Whole { raw, size, .. } = from.whole?;
                    fetch.named_section_open(out, name, size);
                    let start = out.len();
                    push_crlf(raw, out);
                    let octets = out.get_mut(start..)?;
                    if u64::try_from(octets.len()) != Ok(size) {
                        return None;
                    }
                    substitute_nul(octets);
                }
                Item::Envelope => {
                    let summary = Summary::read(kept(Record::Summary)?)?;
                    fetch.wire(out, "ENVELOPE", summary.envelope);
                }
                Item::Structure(name, form) => {
                    let record = kept(Record::for_form(*form))?;
                    fetch.wire(out, name, Record::structure(record, self.revision)?);
                }
                Item::Fields(named, listed) => {
                    let summary = Summary::read(kept(Record::Summary)?)?;
                    let fields = summary.fields(*listed)?;
                    named.write(fields, &mut fetch, out);
                }
                Item::Header(named, record, text) => {
                    let found = header_in(*record, kept(*record)?)?.section(text)?;
                    named.write([&*found].into_iter(), &mut fetch, out);
                }
            }
        }
        fetch.close(out);
        Some(())
    }
}

impl Item {
    /// Prepares a section; `None` if neither a record has it nor it is the whole message.
    fn section(section: &FetchSection) -> Option<Self> {
        let mut name = Vec::new();
        section_name(&mut name, section);
        if section.section == Section::default() && section.partial.is_none() {
            return Some(Self::Whole(name));
        }
        let record = record_for(&section.section)?;
        let text = section.section.text.clone()?;
        let named = Named {
            name,
            partial: section.partial,
        };
        if let SectionText::HeaderFields(names) = &text
            && let Some(listed) = Listed::new(names)
        {
            return Some(Self::Fields(named, listed));
        }
        Some(Self::Header(named, record, text))
    }
}

impl Named {
    /// Writes the section, which is these pieces, or the part of it that was asked for.
    fn write<'a>(
        &self,
        pieces: impl Iterator<Item = &'a [u8]> + Clone,
        fetch: &mut Fetch,
        out: &mut Vec<u8>,
    ) {
        let mut open = |out: &mut Vec<u8>, octets| {
            let announced = u64::try_from(octets).unwrap_or(u64::MAX);
            fetch.named_section_open(out, &self.name, announced);
            out.len()
        };
        let start = if self.partial.is_some() {
            let all = pieces.collect::<Vec<_>>().concat();
            let part = part_of(&all, self.partial);
            let start = open(out, part.len());
            out.extend_from_slice(part);
            start
        } else {
            let start = open(out, pieces.clone().map(<[u8]>::len).sum());
            for piece in pieces {
                out.extend_from_slice(piece);
            }
            start
        };
        substitute_nul(out.get_mut(start..).unwrap_or_default());
    }
}

/// Output after which a slice of work ends: more than usual, for it is made in no time, and what
/// it costs to send grows with the number of slices. A slow client keeps it in memory (S37).
const SLICE: usize = 2 * Responses::SLICE;

/// How long most responses are.
const USUAL_RESPONSE: usize = 512;

/// How far a response usually goes beyond a slice.
const SPARE: usize = 4 * 1024;
