//! Body sections (RFC 3501 §6.4.5): which octets of a message a client asks for.
//!
//! Part numbers are those of the RFC: a message that is no multipart has the one part 1, and so
//! has the message in a message/rfc822 part. Of the text forms only MIME is about the part itself;
//! HEADER and TEXT are about the message in it. MIME of part 1 of a message that is no multipart
//! is the header of that message, for there its MIME header fields are.

use std::ops::Range;

use super::header::{Field, Fields, has_blank_line};
use super::mime::{Kind, Parsed, Part};
use crate::command::{Partial, Section, SectionText};

/// The octets of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SectionOctets {
    /// These octets of the message.
    Range(Range<usize>),
    /// Header fields put together.
    Fields(Vec<u8>),
}

impl SectionOctets {
    /// The octets, or those of them that a partial fetch asks for. A partial fetch that begins
    /// behind the end gives none (RFC 3501 §6.4.5).
    pub fn octets<'a>(&'a self, message: &'a [u8], partial: Option<Partial>) -> &'a [u8] {
        let all = match self {
            Self::Range(range) => message.get(range.clone()).unwrap_or_default(),
            Self::Fields(fields) => fields,
        };
        let Some(partial) = partial else { return all };
        let origin = usize::try_from(partial.origin).unwrap_or(usize::MAX);
        let wanted = usize::try_from(partial.octets).unwrap_or(usize::MAX);
        let rest = all.get(origin..).unwrap_or_default();
        rest.get(..wanted).unwrap_or(rest)
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Range(range) => range.len(),
            Self::Fields(fields) => fields.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a path of part numbers leads to.
#[derive(Clone, Copy)]
enum Place {
    /// The message that begins with the part at this position.
    Message(usize),
    /// The part at this position.
    Part(usize),
}

impl Parsed {
    /// The octets of a section; `None` if the message has no such part, which is told as NIL.
    pub fn section(&self, message: &[u8], section: &Section) -> Option<SectionOctets> {
        let place = section
            .part
            .iter()
            .try_fold(Place::Message(0), |place, &number| {
                self.numbered(place, number)
            })?;
        let Some(text) = &section.text else {
            return Some(SectionOctets::Range(match place {
                Place::Message(_) => 0..message.len(),
                Place::Part(position) => self.part(position).body(),
            }));
        };
        if let (SectionText::Mime, Place::Part(position)) = (text, place) {
            return Some(SectionOctets::Range(self.part(position).header()));
        }
        let inner = self.part(self.message_at(place)?);
        let fields = |wanted: &dyn Fn(&Field<'_>) -> bool| {
            SectionOctets::Fields(subset(inner, message, wanted))
        };
        Some(match text {
            SectionText::Header | SectionText::Mime => SectionOctets::Range(inner.header()),
            SectionText::Text => SectionOctets::Range(inner.body()),
            SectionText::HeaderFields(names) => {
                let names = Names::new(names);
                fields(&|field| names.contain(field))
            }
            SectionText::HeaderFieldsNot(names) => {
                let names = Names::new(names);
                fields(&|field| !names.contain(field))
            }
        })
    }

    /// The part with a number (RFC 3501 §6.4.5).
    fn numbered(&self, place: Place, number: u32) -> Option<Place> {
        let number = usize::try_from(number).ok()?.checked_sub(1)?;
        let multipart = match place {
            Place::Part(position) if self.part(position).kind == Kind::Multipart => position,
            Place::Part(_) | Place::Message(_) => {
                let inner = self.message_at(place)?;
                if self.part(inner).kind != Kind::Multipart {
                    return (number == 0).then_some(Place::Part(inner));
                }
                inner
            }
        };
        self.children(multipart).nth(number).map(Place::Part)
    }

    /// The position of the message at a place: itself, or the one in a message/rfc822 part.
    fn message_at(&self, place: Place) -> Option<usize> {
        match place {
            Place::Message(position) => Some(position),
            Place::Part(position) => {
                (self.part(position).kind == Kind::Message).then_some(position + 1)
            }
        }
    }
}

/// The fields of a header that are wanted, as they are in the message. The blank line is always
/// included if the header has one (RFC 3501 §6.4.5).
fn subset(part: Part, message: &[u8], wanted: &dyn Fn(&Field<'_>) -> bool) -> Vec<u8> {
    let header = message.get(part.header()).unwrap_or_default();
    let mut out = Vec::new();
    for field in Fields::new(header) {
        if wanted(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    if has_blank_line(header) {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Field names, sorted and in lower case, so that many names and many fields are no product.
struct Names(Vec<Vec<u8>>);

impl Names {
    fn new(names: &[Vec<u8>]) -> Self {
        let mut names: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        Self(names)
    }

    /// Whether the name of a field is among them.
    fn contain(&self, field: &Field<'_>) -> bool {
        let name = field.name.iter().map(u8::to_ascii_lowercase);
        !field.name.is_empty()
            && self
                .0
                .binary_search_by(|known| known.iter().copied().cmp(name.clone()))
                .is_ok()
    }
}
