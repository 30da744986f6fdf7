//! Body sections (RFC 3501 §6.4.5): which octets of a message a client asks for.
//!
//! Part numbers are those of the RFC: a message that is no multipart has the one part 1, and so
//! has the message in a message/rfc822 part. IMAP4rev2 numbers the parts within message/global, too
//! (RFC 9051 §6.4.5.1). Of the text forms only MIME is about the part itself;
//! HEADER and TEXT are about the message in it. MIME of part 1 of a message that is no multipart
//! is the header of that message, for there its MIME header fields are.

use std::borrow::Cow;
use std::ops::Range;

use super::decoder::Encoding;
use super::header::{Field, Header};
use super::mime::{Kind, Parsed};
use crate::command::{Partial, Section, SectionText};
use crate::extension::imap_rev2::Revision;

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
        part_of(all, partial)
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

/// The octets that a partial fetch asks for.
pub fn part_of(all: &[u8], partial: Option<Partial>) -> &[u8] {
    let Some(partial) = partial else { return all };
    let origin = usize::try_from(partial.origin).unwrap_or(usize::MAX);
    let wanted = usize::try_from(partial.octets).unwrap_or(usize::MAX);
    let rest = all.get(origin..).unwrap_or_default();
    rest.get(..wanted).unwrap_or(rest)
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
    pub fn section(
        &self,
        message: &[u8],
        section: &Section,
        revision: Revision,
    ) -> Option<SectionOctets> {
        let extent = self.extent(message.len(), section, revision)?;
        Some(match section.text.as_ref().filter(|it| it.is_fields()) {
            Some(text) => {
                let header = Header::new(message.get(extent).unwrap_or_default());
                SectionOctets::Fields(header.section(text)?.into_owned())
            }
            None => SectionOctets::Range(extent),
        })
    }

    /// Where a section is in a message of so many octets; for header fields, where the header is
    /// that has them. `None` if the message has no such part.
    pub fn extent(
        &self,
        octets: usize,
        section: &Section,
        revision: Revision,
    ) -> Option<Range<usize>> {
        let place = self.place(&section.part, revision)?;
        let Some(text) = &section.text else {
            return Some(match place {
                Place::Message(_) => 0..octets,
                Place::Part(position) => self.part(position).body(),
            });
        };
        if let (SectionText::Mime, Place::Part(position)) = (text, place) {
            return Some(self.part(position).header());
        }
        let inner = self.part(self.message_at(place, revision)?);
        Some(match text {
            SectionText::Text => inner.body(),
            SectionText::Header
            | SectionText::Mime
            | SectionText::HeaderFields(_)
            | SectionText::HeaderFieldsNot(_) => inner.header(),
        })
    }

    /// The octets of a part, and how they are encoded (RFC 3516 §3); `None` if there is no such
    /// part. A message and a multipart are not encoded, whatever they say (RFC 2045 §6.4).
    pub fn encoded(
        &self,
        message: &[u8],
        part: &[u32],
        revision: Revision,
    ) -> Option<(Range<usize>, Encoding)> {
        let Place::Part(position) = self.place(part, revision)? else {
            return Some((0..message.len(), Encoding::Identity));
        };
        let part = self.part(position);
        let encoding = match part.kind {
            Kind::Leaf => {
                let header = message.get(part.header()).unwrap_or_default();
                Encoding::of(header)
            }
            Kind::Multipart | Kind::Message | Kind::Global | Kind::Opaque => Encoding::Identity,
        };
        Some((part.body(), encoding))
    }

    /// What a path of part numbers leads to.
    fn place(&self, path: &[u32], revision: Revision) -> Option<Place> {
        path.iter().try_fold(Place::Message(0), |place, &number| {
            self.numbered(place, number, revision)
        })
    }

    /// The part with a number (RFC 3501 §6.4.5).
    fn numbered(&self, place: Place, number: u32, revision: Revision) -> Option<Place> {
        let number = usize::try_from(number).ok()?.checked_sub(1)?;
        let multipart = match place {
            Place::Part(position) if self.part(position).kind == Kind::Multipart => position,
            Place::Part(_) | Place::Message(_) => {
                let inner = self.message_at(place, revision)?;
                if self.part(inner).kind != Kind::Multipart {
                    return (number == 0).then_some(Place::Part(inner));
                }
                inner
            }
        };
        self.children(multipart).nth(number).map(Place::Part)
    }

    /// The position of the message at a place: itself, or the one in a part that holds a message.
    fn message_at(&self, place: Place, revision: Revision) -> Option<usize> {
        match place {
            Place::Message(position) => Some(position),
            Place::Part(position) => {
                let kind = self.part(position).kind.seen_by(revision);
                (kind == Kind::Message).then_some(position + 1)
            }
        }
    }
}

impl<'a> Header<'a> {
    /// The octets of a section that is about a header; `None` if it is not.
    pub fn section(self, text: &SectionText) -> Option<Cow<'a, [u8]>> {
        match text {
            SectionText::Header => Some(Cow::Borrowed(self.octets())),
            SectionText::HeaderFields(names) => {
                let names = Names::new(names);
                Some(Cow::Owned(self.subset(|field| names.contain(field))))
            }
            SectionText::HeaderFieldsNot(names) => {
                let names = Names::new(names);
                Some(Cow::Owned(self.subset(|field| !names.contain(field))))
            }
            SectionText::Text | SectionText::Mime => None,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree of the example in RFC 3501 §6.4.5; every leaf's body names its place.
    const EXAMPLE: &[u8] = b"Subject: 0\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n\
        --A\r\nContent-Type: text/plain\r\n\r\none\r\n\
        --A\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n\
        --A\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: 3\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
        --B\r\n\r\nthree one\r\n\
        --B\r\nContent-Type: application/octet-stream\r\n\r\nthree two\r\n\
        --B--\r\n\
        --A\r\nContent-Type: multipart/mixed; boundary=C\r\n\r\n\
        --C\r\nContent-Type: image/gif\r\n\r\nfour one\r\n\
        --C\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: 4.2\r\nContent-Type: multipart/mixed; boundary=D\r\n\r\n\
        --D\r\n\r\nfour two one\r\n\
        --D\r\nContent-Type: multipart/alternative; boundary=E\r\n\r\n\
        --E\r\n\r\nfour two two one\r\n\
        --E\r\nContent-Type: text/richtext\r\n\r\nfour two two two\r\n\
        --E--\r\n--D--\r\n--C--\r\n--A--\r\n";

    fn found(message: &[u8], part: &[u32], text: Option<SectionText>) -> Option<Vec<u8>> {
        let section = Section {
            part: part.to_vec(),
            text,
        };
        let parsed = Parsed::new(message);
        let found = parsed.section(message, &section, Revision::Rev1)?;
        let same = parsed.section(message, &section, Revision::Rev2);
        assert_eq!(Some(&found), same.as_ref());
        Some(found.octets(message, None).to_vec())
    }

    #[test]
    fn message_global_has_parts_in_imap4rev2() {
        let message = "Content-Type: multipart/mixed; boundary=A\r\n\r\n\
            --A\r\nContent-Type: message/global\r\n\r\n\
            Subject: \u{e9}\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n\
            --B\r\n\r\none\r\n--B--\r\n\
            --A\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n\
            U3ViamVjdDogYQ0KDQpi\r\n--A--\r\n";
        let parsed = Parsed::new(message.as_bytes());
        let found = |part: &[u32], text: Option<SectionText>, revision| {
            let part = part.to_vec();
            let found = parsed.section(message.as_bytes(), &Section { part, text }, revision)?;
            Some(String::from_utf8(found.octets(message.as_bytes(), None).to_vec()).unwrap())
        };
        let fields = SectionText::HeaderFields(vec![b"subject".to_vec()]);
        for (part, text, expected) in [
            (&[1_u32, 1] as &[u32], None, "one"),
            (&[1], Some(fields), "Subject: \u{e9}\r\n\r\n"),
            (&[1], Some(SectionText::Text), "--B\r\n\r\none\r\n--B--"),
            (&[1, 1], Some(SectionText::Mime), "\r\n"),
        ] {
            assert_eq!(found(part, text.clone(), Revision::Rev1), None, "{part:?}");
            let rev2 = found(part, text, Revision::Rev2);
            assert_eq!(rev2.as_deref(), Some(expected), "{part:?}");
        }
        for revision in [Revision::Rev1, Revision::Rev2] {
            let whole = found(&[1], None, revision).unwrap();
            assert!(whole.starts_with("Subject: \u{e9}\r\n"), "{whole}");
            // What is encoded has no parts that could be told.
            assert_eq!(found(&[2, 1], None, revision), None);
            let (_, encoding) = parsed.encoded(message.as_bytes(), &[2], revision).unwrap();
            assert_eq!(encoding, Encoding::Base64);
        }
    }

    #[test]
    fn part_numbers_are_those_of_the_example() {
        for (part, expected) in [
            (&[1_u32] as &[u32], "one"),
            (&[2], "two"),
            (&[3, 1], "three one"),
            (&[3, 2], "three two"),
            (&[4, 1], "four one"),
            (&[4, 2, 1], "four two one"),
            (&[4, 2, 2, 1], "four two two one"),
            (&[4, 2, 2, 2], "four two two two"),
        ] {
            assert_eq!(found(EXAMPLE, part, None).unwrap(), expected.as_bytes());
            // A leaf has no parts, and neither header nor text of its own.
            assert_eq!(found(EXAMPLE, &[part, &[1]].concat(), None), None);
            for text in [SectionText::Header, SectionText::Text] {
                assert_eq!(found(EXAMPLE, part, Some(text)), None);
            }
        }
        for part in [
            &[0_u32] as &[u32],
            &[5],
            &[3, 3],
            &[3, 0],
            &[4, 3],
            &[4, 2, 3],
            &[u32::MAX],
        ] {
            assert_eq!(found(EXAMPLE, part, None), None);
        }
    }

    #[test]
    fn header_text_and_mime_are_those_of_the_example() {
        let starts = |part: &[u32], text, expected: &str| {
            let octets = found(EXAMPLE, part, Some(text)).unwrap();
            let octets = String::from_utf8(octets).unwrap();
            assert!(octets.starts_with(expected), "{part:?}: {octets}");
        };
        starts(&[], SectionText::Header, "Subject: 0\r\n");
        starts(&[], SectionText::Text, "--A\r\n");
        starts(&[1], SectionText::Mime, "Content-Type: text/plain\r\n\r\n");
        starts(
            &[3],
            SectionText::Mime,
            "Content-Type: message/rfc822\r\n\r\n",
        );
        starts(&[3], SectionText::Header, "Subject: 3\r\n");
        starts(&[3], SectionText::Text, "--B\r\n");
        starts(&[3, 1], SectionText::Mime, "\r\n");
        starts(
            &[4],
            SectionText::Mime,
            "Content-Type: multipart/mixed; boundary=C\r\n",
        );
        starts(
            &[4, 2],
            SectionText::Mime,
            "Content-Type: message/rfc822\r\n",
        );
        starts(&[4, 2], SectionText::Header, "Subject: 4.2\r\n");
        starts(&[4, 2], SectionText::Text, "--D\r\n");
        starts(
            &[4, 2, 2],
            SectionText::Mime,
            "Content-Type: multipart/alternative",
        );
        assert_eq!(found(EXAMPLE, &[4], Some(SectionText::Header)), None);
        assert_eq!(found(EXAMPLE, &[4], Some(SectionText::Text)), None);
        assert_eq!(found(EXAMPLE, &[], None).unwrap(), EXAMPLE);
    }

    #[test]
    fn header_subsets_keep_fields_as_they_are() {
        let message = b"A: 1\r\nb : 2\r\n\tfolded\r\nno field\r\nA: 3\r\nAB: 4\r\n\r\nA: body";
        let names = || vec![b"a".to_vec(), b"B".to_vec(), b"".to_vec(), b"none".to_vec()];
        assert_eq!(
            found(message, &[], Some(SectionText::HeaderFields(names()))).unwrap(),
            b"A: 1\r\nb : 2\r\n\tfolded\r\nA: 3\r\n\r\n"
        );
        assert_eq!(
            found(message, &[], Some(SectionText::HeaderFieldsNot(names()))).unwrap(),
            b"no field\r\nAB: 4\r\n\r\n"
        );
        let none = SectionText::HeaderFields(vec![b"none".to_vec()]);
        assert_eq!(found(message, &[], Some(none.clone())).unwrap(), b"\r\n");
        // A message without a blank line gets none.
        assert_eq!(found(b"A: 1\r\n", &[], Some(none)).unwrap(), b"");
        let nested = SectionText::HeaderFields(vec![b"subject".to_vec()]);
        assert_eq!(
            found(EXAMPLE, &[4, 2], Some(nested)).unwrap(),
            b"Subject: 4.2\r\n\r\n"
        );
    }

    #[test]
    fn partials_are_cut_at_the_end() {
        let message = b"\r\n0123456789";
        let section = Section {
            part: vec![1],
            text: None,
        };
        let parsed = Parsed::new(message);
        let found = parsed.section(message, &section, Revision::Rev1).unwrap();
        for (origin, octets, expected) in [
            (0, 4, "0123"),
            (8, 4, "89"),
            (9, u64::MAX, "9"),
            (10, 1, ""),
            (u64::MAX, u64::MAX, ""),
        ] {
            let partial = Partial { origin, octets };
            assert_eq!(found.octets(message, Some(partial)), expected.as_bytes());
        }
    }
}
