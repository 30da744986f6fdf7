//! What is kept of a message, so that listing and searching again need not read it.
//!
//! A record is made from the message alone. It is what the answers are made from also when it was
//! just made, so that an answer does not depend on whether the record was kept.

use super::body_structure::{Form, write_body_structure};
use super::envelope::{Envelope, write_envelope};
use super::header::{Field, Header};
use super::mime::Parsed;
use crate::command::SectionText;

/// The kinds of records. A number is never used again for another form: what the store has may be
/// older than this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Record {
    /// [`Summary`]: the envelope, and the header fields that message lists show.
    Summary = 1,
    /// The header as it is.
    Header = 2,
    /// [`Structure`]: BODY and BODYSTRUCTURE.
    Structure = 3,
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

    /// The number that the store knows it by.
    pub fn number(self) -> u8 {
        match self {
            Self::Summary => 1,
            Self::Header => 2,
            Self::Structure => 3,
        }
    }
}

/// The envelope and some header fields of a message.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// `envelope`, as it is sent.
    pub envelope: &'a [u8],
    /// The header, without fields that lists do not show.
    pub header: Header<'a>,
}

impl<'a> Summary<'a> {
    /// Makes the record.
    pub fn make(header: &[u8]) -> Vec<u8> {
        let mut envelope = Vec::new();
        write_envelope(&Envelope::of_header(header), &mut envelope);
        let fields = Header::new(header).subset(|field: &Field<'_>| is_listed(field.name));
        join(&envelope, &fields)
    }

    /// Reads the record.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (envelope, header) = split(record)?;
        Some(Self {
            envelope,
            header: Header::new(header),
        })
    }
}

/// The structure of a message in both forms.
#[derive(Clone, Copy, Debug)]
pub struct Structure<'a> {
    /// `body` without extension data, as it is sent.
    pub body: &'a [u8],
    /// `body` with it.
    pub body_structure: &'a [u8],
}

impl<'a> Structure<'a> {
    /// Makes the record.
    pub fn make(message: &[u8], parsed: &Parsed) -> Vec<u8> {
        let structure = parsed.body_structure(message);
        let [mut short, mut long] = [const { Vec::new() }; 2];
        write_body_structure(&structure, Form::Body, &mut short);
        write_body_structure(&structure, Form::BodyStructure, &mut long);
        join(&short, &long)
    }

    /// Reads the record.
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (body, body_structure) = split(record)?;
        Some(Self {
            body,
            body_structure,
        })
    }

    /// One of the forms.
    pub fn form(&self, form: Form) -> &'a [u8] {
        match form {
            Form::Body => self.body,
            Form::BodyStructure => self.body_structure,
        }
    }
}

/// Puts two strings together, after the length of the first.
fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), first, second].concat()
}

/// Takes them apart.
fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = record.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// Whether a field is in the summary.
fn is_listed(name: &[u8]) -> bool {
    LISTED
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(name))
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
