//! What of a message must be read for the items of a FETCH, and the items made from it.

use std::borrow::Cow;

use mailstore::{Error, Mailbox, Message};

use super::pieces::{End, Pieces};
use super::quick::{Quick, Source};
use crate::command::{BinaryWanted, FetchItem, FetchSection, Partial, Section, SectionText, Seen};
use crate::encode::Fetch;
use crate::extension::Priority;
use crate::extension::imap_rev2::Revision;
use crate::handler::content::{Content, Resume};
use crate::handler::shelf::{Found, Shelf};
use crate::message::{
    Form, Record, SectionOctets, ThreadKey, part_of, preview, write_body_structure, write_envelope,
};
use crate::response::FetchData;
use crate::types::ByUid;

/// The items of a FETCH, and what they need.
#[derive(Debug)]
pub(super) struct Plan {
    items: Vec<FetchItem>,
    by_uid: ByUid,
    revision: Revision,
    need: Need,
    /// What is needed besides the whole of a message that is left to be read when it is sent.
    need_besides: Need,
    /// The records that have everything that the index does not know; none if that is not so.
    records: Vec<Record>,
    /// These, and what is told only if it is kept.
    looked_at: Vec<Record>,
}

/// How much of a message is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// What the index knows.
    Nothing,
    /// Its header.
    Header,
    /// Its octets from the first to the last, but not its structure.
    Octets,
    /// Its octets and its structure.
    Structure,
}

/// A message up to this size is read at once; a larger one streams.
pub(super) const STREAMED_FROM: u64 = 128 * 1024;

/// What was read of a message, or is kept of it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) content: Option<Content>,
    found: Found,
    /// Whether it is all of the message.
    extent: Extent,
    /// For whom.
    pub(super) revision: Revision,
}

/// How much of a message was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// The header, or nothing.
    Header,
    /// All of it.
    Whole,
}

impl Plan {
    /// Looks through the items.
    pub(super) fn new(items: Vec<FetchItem>, by_uid: ByUid, revision: Revision) -> Self {
        let others = items.iter().map(need).filter(|it| *it != Need::Octets);
        let records = records(&items);
        let mut looked_at = records.clone();
        let lazy = FetchItem::Preview(Priority::Lazy);
        if items.contains(&lazy) && !records.contains(&Record::Preview) {
            looked_at.push(Record::Preview);
        }
        Self {
            need: most(items.iter().map(need)),
            need_besides: most(others),
            records,
            looked_at,
            items,
            by_uid,
            revision,
        }
    }

    /// The same prepared for many messages, if it can be.
    pub(super) fn quick(&self) -> Option<Quick> {
        let source = match (self.need, self.records.is_empty()) {
            (Need::Nothing, _) | (_, false) => Source::Kept,
            (Need::Octets, true) => Source::Message,
            (Need::Header | Need::Structure, true) => return None,
        };
        Quick::new(self, source)
    }

    /// The items.
    pub(super) fn items(&self) -> &[FetchItem] {
        &self.items
    }

    /// The revision that the session follows.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether the UID is told: when asked for, and always in a UID command (RFC 3501 §6.4.8).
    pub(super) fn wants_uid(&self) -> bool {
        self.by_uid == ByUid::Yes || self.items.contains(&FetchItem::Uid)
    }

    /// Whether the flags are asked for.
    pub(super) fn wants_flags(&self) -> bool {
        self.items.contains(&FetchItem::Flags)
    }

    /// Whether reading sets `\Seen`.
    pub(super) fn sets_seen(&self) -> bool {
        self.items.iter().any(|item| match item {
            FetchItem::Section(section) => section.seen == Seen::Set,
            FetchItem::Binary(section) => {
                matches!(section.wanted, BinaryWanted::Octets(_, Seen::Set))
            }
            FetchItem::Flags
            | FetchItem::InternalDate
            | FetchItem::Rfc822Size
            | FetchItem::Uid
            | FetchItem::Body
            | FetchItem::BodyStructure
            | FetchItem::Envelope
            | FetchItem::ModSeq
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::ThreadId
            | FetchItem::Preview(_) => false,
        })
    }

    /// Whether the index does not know what it may know of all that is asked for.
    pub(super) fn needs_look(&self, message: Message<'_>) -> bool {
        let unknown = |item: &FetchItem| match item {
            FetchItem::Rfc822Size => message.rfc822_size().is_none(),
            FetchItem::InternalDate => message.internal_date().is_none(),
            FetchItem::Uid
            | FetchItem::Flags
            | FetchItem::ModSeq
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::ThreadId
            | FetchItem::Preview(_)
            | FetchItem::Body
            | FetchItem::BodyStructure
            | FetchItem::Envelope
            | FetchItem::Binary(_)
            | FetchItem::Section(_) => false,
        };
        self.items.iter().any(unknown)
    }

    /// The records that have everything that the index does not know; none if that is not so.
    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records to look for: those, and what is told only if it is kept.
    pub(super) fn looked_at(&self) -> &[Record] {
        &self.looked_at
    }

    /// Reads what the items need of a message.
    pub(super) fn load(
        &self,
        shelf: &mut Shelf,
        mailbox: &Mailbox,
        message: Message<'_>,
    ) -> Result<Loaded, Error> {
        if !self.records.is_empty() {
            return Ok(Loaded {
                found: shelf.take(mailbox, &self.records, message)?,
                ..Loaded::nothing(self.revision)
            });
        }
        let file = match self.need {
            Need::Nothing => return Ok(Loaded::nothing(self.revision)),
            Need::Header => return Loaded::header(mailbox, message, self.revision),
            Need::Octets | Need::Structure => mailbox.read(message)?,
        };
        if self.need == Need::Octets && file.physical_size() > STREAMED_FROM {
            return match self.need_besides {
                Need::Nothing => Ok(Loaded::nothing(self.revision)),
                Need::Header | Need::Octets | Need::Structure => {
                    Loaded::header(mailbox, message, self.revision)
                }
            };
        }
        let content = if self.need_besides == Need::Nothing && self.need == Need::Octets {
            Content::octets_from_file(file, mailbox, message.uid())?
        } else {
            Content::from_file(file, mailbox, message.uid())?
        };
        Ok(Loaded {
            content: Some(content),
            extent: Extent::Whole,
            ..Loaded::nothing(self.revision)
        })
    }
}

impl Loaded {
    /// Nothing but what the index knows.
    const fn nothing(revision: Revision) -> Self {
        Self {
            content: None,
            found: Found::NOTHING,
            extent: Extent::Header,
            revision,
        }
    }

    /// The header.
    fn header(mailbox: &Mailbox, message: Message<'_>, revision: Revision) -> Result<Self, Error> {
        Ok(Self {
            content: Some(Content::header(mailbox, message)?),
            ..Self::nothing(revision)
        })
    }

    /// How many octets were read; `None` if the file was not needed.
    pub(super) fn octets_read(&self) -> Option<u64> {
        let content = self.content.as_ref().map(|it| it.octets.len());
        let octets = content.or(self.found.read)?;
        Some(u64::try_from(octets).unwrap_or(u64::MAX))
    }

    /// Whether it is more than a session may hold while its client is slow (S37).
    pub(super) fn is_large(&self) -> bool {
        let octets = self.content.as_ref().map_or(0, |it| it.octets.len());
        u64::try_from(octets).unwrap_or(u64::MAX) > STREAMED_FROM
    }

    /// RFC822.SIZE.
    pub(super) fn size(&self, mailbox: &Mailbox, message: Message<'_>) -> Result<u64, Error> {
        match (self.extent, self.octets_read()) {
            (Extent::Whole, Some(octets)) => Ok(octets),
            (Extent::Whole | Extent::Header, _) => mailbox.rfc822_size(message),
        }
    }

    /// ENVELOPE.
    pub(super) fn envelope(&self, fetch: &mut Fetch, out: &mut Vec<u8>) {
        let name = "ENVELOPE";
        if let Some(summary) = self.found.summary() {
            return fetch.wire(out, name, summary.envelope);
        }
        let mut wire = Vec::new();
        if let Some(Content { octets, parsed }) = &self.content {
            write_envelope(&parsed.envelope(octets), &mut wire);
        }
        fetch.wire(out, name, &wire);
    }

    /// What messages of its thread have in common.
    pub(super) fn thread(&self) -> Option<ThreadKey> {
        self.found.thread().unwrap_or_else(|| {
            let Content { octets, parsed } = self.content.as_ref()?;
            ThreadKey::of(octets.get(parsed.header())?)
        })
    }

    /// PREVIEW, unless the message was not read for it.
    pub(super) fn preview(&self) -> Option<Cow<'_, [u8]>> {
        if let Some(found) = self.found.preview() {
            return Some(Cow::Borrowed(found));
        }
        let content = self.content.as_ref();
        let content = content.filter(|_| self.extent == Extent::Whole)?;
        Some(Cow::Owned(preview(&content.octets).into_bytes()))
    }

    /// BODY or BODYSTRUCTURE.
    pub(super) fn body(&self, form: Form, fetch: &mut Fetch, out: &mut Vec<u8>) {
        let name = match form {
            Form::Body => "BODY",
            Form::BodyStructure => "BODYSTRUCTURE",
        };
        if let Some(structure) = self.found.structure(form, self.revision) {
            return fetch.wire(out, name, structure);
        }
        let mut wire = Vec::new();
        if let Some(Content { octets, parsed }) = &self.content {
            let structure = parsed.body_structure(octets, self.revision);
            write_body_structure(&structure, form, &mut wire);
        }
        fetch.wire(out, name, &wire);
    }

    /// A section that a record has.
    fn kept_section(&self, wanted: &FetchSection) -> Option<Cow<'_, [u8]>> {
        let record = record_for(&wanted.section)?;
        self.found
            .header(record)?
            .section(wanted.section.text.as_ref()?)
    }

    /// A section; a large one is left to be read when it is sent.
    pub(super) fn section(
        &self,
        wanted: &FetchSection,
        fetch: &mut Fetch,
        pieces: &mut Pieces,
        mailbox: &Mailbox,
        message: Message<'_>,
        resume: &mut Option<Resume>,
    ) -> Result<(), Error> {
        if self.extent == Extent::Header && wanted.section == Section::default() {
            let size = mailbox.rfc822_size(message)?;
            let (origin, octets) = stretch(wanted.partial, size);
            let end = if origin + octets == size {
                End::OfMessage
            } else {
                End::Inside
            };
            let from = Resume::open(resume.take(), origin, mailbox, message)?;
            fetch.section_open(pieces.wire(), wanted, octets);
            pieces.file(from, origin, octets, end);
            return Ok(());
        }
        if let Some(found) = self.kept_section(wanted) {
            section_octets(part_of(&found, wanted.partial), wanted, fetch, pieces);
            return Ok(());
        }
        let content = self.content.as_ref();
        let found = content.and_then(|it| find(it, &wanted.section, self.revision));
        let (Some(content), Some(found)) = (content, found) else {
            let nil = FetchData::Section(wanted.clone(), None);
            fetch.item(pieces.wire(), &nil);
            return Ok(());
        };
        let octets = found.octets(&content.octets, wanted.partial);
        let announced = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        if let (SectionOctets::Range(range), true) = (&found, announced > STREAMED_FROM) {
            let skipped = wanted.partial.map_or(0, |it| it.origin);
            let start = u64::try_from(range.start).unwrap_or(u64::MAX);
            let origin = start.saturating_add(skipped);
            let from = Resume::open(resume.take(), origin, mailbox, message)?;
            fetch.section_open(pieces.wire(), wanted, announced);
            pieces.file(from, origin, announced, End::Inside);
            return Ok(());
        }
        section_octets(octets, wanted, fetch, pieces);
        Ok(())
    }
}

/// Writes a section.
fn section_octets(octets: &[u8], wanted: &FetchSection, fetch: &mut Fetch, pieces: &mut Pieces) {
    let announced = u64::try_from(octets.len()).unwrap_or(u64::MAX);
    fetch.section_open(pieces.wire(), wanted, announced);
    pieces.octets(octets);
}

/// The records that have everything that the index does not know; none if there is anything that
/// no record has.
fn records(items: &[FetchItem]) -> Vec<Record> {
    let mut records = Vec::new();
    for item in items {
        let record = match item {
            FetchItem::Flags
            | FetchItem::InternalDate
            | FetchItem::ModSeq
            | FetchItem::SaveDate
            | FetchItem::EmailId
            | FetchItem::Preview(Priority::Lazy)
            | FetchItem::Rfc822Size
            | FetchItem::Uid => continue,
            FetchItem::Preview(Priority::Now) => Some(Record::Preview),
            FetchItem::ThreadId => Some(Record::Thread),
            FetchItem::Envelope => Some(Record::Summary),
            FetchItem::Body => Some(Record::Body),
            FetchItem::BodyStructure => Some(Record::BodyStructure),
            FetchItem::Section(section) => record_for(&section.section),
            FetchItem::Binary(_) => None,
        };
        match record {
            Some(record) if records.contains(&record) => {}
            Some(record) => records.push(record),
            None => return Vec::new(),
        }
    }
    records
}

/// The record that has a section.
pub(super) fn record_for(section: &Section) -> Option<Record> {
    match (&section.part[..], &section.text) {
        ([], Some(text)) => Record::for_section(text),
        _ => None,
    }
}

/// Finds a section; the whole of a message is found without its structure.
fn find(content: &Content, section: &Section, revision: Revision) -> Option<SectionOctets> {
    if *section == Section::default() {
        return Some(SectionOctets::Range(0..content.octets.len()));
    }
    content.parsed.section(&content.octets, section, revision)
}

/// The part of `size` octets that a partial fetch names: where it begins, and how long it is
/// (RFC 3501 §6.4.5). Beyond the end it is empty.
pub(super) fn stretch(partial: Option<Partial>, size: u64) -> (u64, u64) {
    match partial {
        None => (0, size),
        Some(Partial { origin, octets }) => {
            let origin = origin.min(size);
            (origin, octets.min(size - origin))
        }
    }
}

/// What is needed for all of several items.
fn most(needs: impl Iterator<Item = Need>) -> Need {
    needs.max().unwrap_or(Need::Nothing)
}

/// What an item needs.
fn need(item: &FetchItem) -> Need {
    match item {
        FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::SaveDate
        | FetchItem::EmailId
        | FetchItem::Preview(Priority::Lazy)
        | FetchItem::Rfc822Size
        | FetchItem::Uid => Need::Nothing,
        FetchItem::Envelope | FetchItem::ThreadId => Need::Header,
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Binary(_)
        | FetchItem::Preview(Priority::Now) => Need::Structure,
        FetchItem::Section(section) => match (&section.section.part[..], &section.section.text) {
            ([], None) => Need::Octets,
            (
                [],
                Some(
                    SectionText::Header
                    | SectionText::HeaderFields(_)
                    | SectionText::HeaderFieldsNot(_),
                ),
            ) => Need::Header,
            _ => Need::Structure,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_fetch_never_leaves_the_message() {
        let partial = |origin, octets| Some(Partial { origin, octets });
        let rows = [
            (None, 10, (0, 10)),
            (partial(0, 4), 10, (0, 4)),
            (partial(8, 4), 10, (8, 2)),
            (partial(10, 1), 10, (10, 0)),
            (partial(u64::MAX, u64::MAX), 10, (10, 0)),
            (partial(0, u64::MAX), 10, (0, 10)),
            (partial(u64::from(u32::MAX) + 1, 1), 1 << 33, (1 << 32, 1)),
            (partial(0, 5), 0, (0, 0)),
        ];
        for (partial, size, expected) in rows {
            assert_eq!(stretch(partial, size), expected, "{partial:?} of {size}");
        }
    }
}
