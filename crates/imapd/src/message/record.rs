//! What is kept of a message, so that listing and searching again need not read it.
//!
//! A record is made from the message alone. It is what the answers are made from also when it was
//! just made, so that an answer does not depend on whether the record was kept.

use super::body_structure::Form;
use super::envelope::{Envelope, write_envelope};
use super::header::{Field, Header, is_blank};
use super::mime::Parsed;
use super::structures;
use crate::command::SectionText;
use crate::extension::imap_rev2::Revision;

/// The kinds of records. A number is never used again for another form: what the store has may be
/// older than this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Record {
    /// The header as it is.
    Header = 2,
    /// [`Summary`]: the envelope, and the header fields that message lists show.
    Summary = 4,
    /// BODYSTRUCTURE, as it is sent to sessions of either revision.
    BodyStructure = 7,
    /// BODY without section, as it is sent to sessions of either revision.
    Body = 8,
    /// [`ThreadKey`](super::ThreadKey): what the messages of a thread have in common.
    Thread = 9,
    /// The preview, as it is sent: UTF-8.
    Preview = 10,
}

impl Record {
    /// What a header section can be taken from; `None` if it is about something else.
    pub fn for_section(text: &SectionText) -> Option<Self> {
        match text {
            SectionText::HeaderFields(names) if names.iter().all(|name| is_listed(name)) => {
                Some(Self::Summary)
            }
            SectionText::Header
            | SectionText::HeaderFields(_)
            | SectionText::HeaderFieldsNot(_) => Some(Self::Header),
            SectionText::Text | SectionText::Mime => None,
        }
    }

    /// What a header field can be searched in.
    pub fn for_field(name: &[u8]) -> Self {
        match is_listed(name) {
            true => Self::Summary,
            false => Self::Header,
        }
    }

    /// What has the structure of a message in a form.
    pub fn for_form(form: Form) -> Self {
        match form {
            Form::Body => Self::Body,
            Form::BodyStructure => Self::BodyStructure,
        }
    }

    /// The form that it has the structure in, if it has: making it takes the whole message.
    pub fn form(self) -> Option<Form> {
        match self {
            Self::Header | Self::Summary | Self::Thread | Self::Preview => None,
            Self::BodyStructure => Some(Form::BodyStructure),
            Self::Body => Some(Form::Body),
        }
    }

    /// Makes the structure in a form.
    pub fn make_structure(parsed: &Parsed, message: &[u8], form: Form) -> Vec<u8> {
        structures::make(parsed, message, form)
    }

    /// What a session of this revision is told of a structure; `None` if it is not readable.
    pub fn structure(octets: &[u8], revision: Revision) -> Option<&[u8]> {
        structures::read(octets, revision)
    }

    /// The number that the store knows it by.
    pub fn number(self) -> u8 {
        match self {
            Self::Header => 2,
            Self::Summary => 4,
            Self::BodyStructure => 7,
            Self::Body => 8,
            Self::Thread => 9,
            Self::Preview => 10,
        }
    }
}

/// The envelope and some header fields of a message.
///
/// The record is the length of the envelope in 4 octets, the envelope, a table of the fields, the
/// fields as they are, and the blank line if there is one. The table has their number in one octet
/// and for each of them its place in `LISTED` in one octet and its length in two; it is empty if
/// it could not tell of all.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// `envelope`, as it is sent.
    pub envelope: &'a [u8],
    table: &'a [[u8; ENTRY]],
    /// The header, without fields that lists do not show.
    pub header: Header<'a>,
}

/// Some of the fields that lists show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed(u32);

impl<'a> Summary<'a> {
    /// Makes the record.
    pub fn make(header: &[u8]) -> Vec<u8> {
        let mut envelope = Vec::new();
        write_envelope(&Envelope::of_header(header), &mut envelope);
        let mut table = Some(Vec::new());
        let fields = Header::new(header).subset(|field: &Field<'_>| {
            let Some(place) = place(field.name) else {
                return false;
            };
            table = table.take().and_then(|mut table| {
                let [low, high] = u16::try_from(field.raw.len()).ok()?.to_le_bytes();
                table.push([place, low, high]);
                Some(table)
            });
            true
        });
        let table = table.filter(|it| it.len() <= usize::from(u8::MAX));
        let table = table.unwrap_or_default();
        let length = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
        let entries = u8::try_from(table.len()).unwrap_or(0);
        [
            &length.to_le_bytes(),
            &envelope[..],
            &[entries],
            table.as_flattened(),
            &fields,
        ]
        .concat()
    }

    /// Reads the record.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (length, rest) = record.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (envelope, rest) = rest.split_at_checked(length)?;
        let (entries, rest) = rest.split_first()?;
        let (table, header) = rest.split_at_checked(usize::from(*entries) * ENTRY)?;
        Some(Self {
            envelope,
            table: table.as_chunks().0,
            header: Header::new(header),
        })
    }

    /// The pieces of the header that are some fields, one after the other, and the blank line;
    /// `None` if the table does not tell.
    pub fn fields(self, listed: Listed) -> Option<impl Iterator<Item = &'a [u8]> + Clone> {
        let header = self.header.octets();
        let lengths = self.table.iter().map(|entry| length(*entry));
        let (_, end) = header.split_at_checked(lengths.sum())?;
        if self.table.is_empty() && !end.is_empty() && !is_blank(end) {
            return None;
        }
        let mut rest = header;
        let fields = self.table.iter().filter_map(move |entry| {
            let (field, after) = rest.split_at_checked(length(*entry))?;
            rest = after;
            listed.has(entry[0]).then_some(field)
        });
        Some(fields.chain([end]))
    }
}

impl Listed {
    /// Those of these names; `None` if one is not listed.
    pub fn new(names: &[Vec<u8>]) -> Option<Self> {
        let places = names.iter().map(|name| place(name));
        let bits = places.map(|place| Some(1 << place?));
        let all = bits.reduce(|all, bit: Option<u32>| Some(all? | bit?));
        Some(Self(all.unwrap_or(Some(0))?))
    }

    /// Whether the field at a place is among them.
    fn has(self, place: u8) -> bool {
        1_u32
            .checked_shl(place.into())
            .is_some_and(|bit| self.0 & bit != 0)
    }
}

/// The length of an entry in a [`Summary`]'s table.
const ENTRY: usize = 3;

/// The length of the field that an entry tells of.
fn length([_, low, high]: [u8; ENTRY]) -> usize {
    usize::from(u16::from_le_bytes([low, high]))
}

/// Whether a field is in the summary.
fn is_listed(name: &[u8]) -> bool {
    place(name).is_some()
}

/// The place of a name among those that are.
fn place(name: &[u8]) -> Option<u8> {
    let found = LISTED
        .iter()
        .position(|listed| listed.eq_ignore_ascii_case(name))?;
    u8::try_from(found).ok()
}

/// The fields in a summary: those of the envelope, and those that clients ask for to list messages,
/// to thread them, and to filter. A change needs another [`Record`] number.
const LISTED: [&[u8]; 26] = [
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"Content-Type",
    b"References",
    b"In-Reply-To",
    b"Reply-To",
    b"Cc",
    b"Bcc",
    b"Sender",
    b"Priority",
    b"X-Priority",
    b"Importance",
    b"X-MSMail-Priority",
    b"Newsgroups",
    b"List-ID",
    b"List-Post",
    b"List-Unsubscribe",
    b"Content-Transfer-Encoding",
    b"Disposition-Notification-To",
    b"Delivered-To",
    b"Autocrypt",
    b"X-Uniform-Type-Identifier",
    b"X-Universally-Unique-Identifier",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The fields of a summary by its table; `None` if it has none.
    fn by_table(record: &[u8], names: &[Vec<u8>]) -> Option<Vec<u8>> {
        let fields = Summary::read(record)?.fields(Listed::new(names)?)?;
        Some(fields.collect::<Vec<_>>().concat())
    }

    #[test]
    fn too_many_fields_have_no_table() {
        let names = [b"To".to_vec()];
        for (fields, told) in [(255, true), (256, false)] {
            let header = format!("{}\r\n", "To: x\r\n".repeat(fields));
            let record = Summary::make(header.as_bytes());
            let expected = told.then(|| header.clone().into_bytes());
            assert_eq!(by_table(&record, &names), expected);
            let summary = Summary::read(&record).unwrap();
            assert_eq!(summary.header.octets(), header.as_bytes());
        }
        let long = Summary::make(format!("To: {}\r\n", "x".repeat(70_000)).as_bytes());
        assert_eq!(by_table(&long, &names), None);
    }

    #[test]
    fn names_that_no_list_shows_are_not_listed() {
        let listed = |names: &[&str]| {
            let names = names.iter().map(|name| name.as_bytes().to_vec());
            Listed::new(&names.collect::<Vec<_>>())
        };
        assert!(listed(&["to", "FROM", "x-universally-unique-identifier"]).is_some());
        assert_eq!(listed(&["To", "Received"]), None);
        assert_eq!(listed(&[]), Some(Listed(0)));
    }

    proptest! {
        #[test]
        fn the_table_finds_what_the_header_has(
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..30),
            names in prop::collection::vec(prop::sample::select(&LISTED[..]), 0..5),
        ) {
            let header = pieces.concat();
            let end = (0..header.len()).find(|&at| is_blank(&header.as_bytes()[at..])
                && (at == 0 || header.as_bytes()[at - 1] == b'\n'));
            let header = &header.as_bytes()[..end.map_or(header.len(), |end| end + 2)];
            let names: Vec<Vec<u8>> = names.into_iter().map(<[u8]>::to_vec).collect();
            let text = SectionText::HeaderFields(names.clone());
            let expected = Header::new(header).section(&text).unwrap();
            let record = Summary::make(header);
            prop_assert_eq!(by_table(&record, &names).unwrap(), expected.into_owned());
        }
    }

    const PIECES: &[&str] = &[
        "To: a\r\n",
        "to : b\r\n",
        "FROM:\r\n",
        "Subject: s\r\n",
        " folded\r\n",
        "\tmore\r\n",
        "Received: x\r\n",
        "no field\r\n",
        "\r\n",
        "Date: d\r\n",
        "References: <a>\r\n",
        "Cc: end",
    ];
}
