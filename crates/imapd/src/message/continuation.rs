//! Parameter values in several pieces, and in charsets (RFC 2231).
//!
//! Pieces (`name*0`, `name*1`) become one parameter in every session (RFC 2231 §6). If they name a
//! charset, IMAP4rev1 gets the whole as it would stand in one piece, `name*` with its
//! charset and its percent signs; IMAP4rev2 gets the text itself in UTF-8, still as `name*`
//! (RFC 9051 §7.5.2).
//!
//! What is not sound stays as it stands in the message, piece by piece:
//! - pieces with a gap, twice the same one, none with the number 0, or a number with a leading zero;
//! - a charset that the first piece does not name, or that is not known; octets that are malformed
//!   in it, or stand for control characters; a percent sign without two digits behind it;
//! - pieces of a parameter that is there in one piece, too.
//!
//! Time is that of sorting the names, whatever they are (S32).

use std::borrow::Cow;
use std::cmp::Ordering;

use super::media::{Parameter, Parameters};
use super::{charset, steps};
use crate::extension::imap_rev2::Revision;

/// The parameters of a field as a session is told them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) parameters: Vec<Parameter>,
    /// Whether the other revision of the protocol is told them in another way.
    pub(super) differs: bool,
}

/// Joins what is in pieces, and decodes what a session of this revision gets decoded.
pub(super) fn join(parameters: Vec<Parameter>, revision: Revision) -> Joined {
    let mut joined = Joined {
        parameters: Vec::new(),
        differs: false,
    };
    // Most have nothing of all this.
    if !parameters.iter().any(|it| it.name.contains(&b'*')) {
        joined.parameters = parameters;
        return joined;
    }
    let mut all: Vec<_> = parameters.iter().enumerate().map(Entry::new).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut changes = Vec::new();
    for group in all.chunk_by(|a, b| a.name.same_base(&b.name)) {
        joined.differs |= change_group(group, revision, &mut changes);
    }
    let mut told: Vec<_> = parameters.iter().cloned().map(Some).collect();
    for (at, change) in changes {
        if let Some(place) = told.get_mut(at) {
            *place = change;
        }
    }
    joined.parameters = told.into_iter().flatten().collect();
    joined
}

/// The value of a parameter, be it in one piece, in a charset, or in many pieces; octets of a
/// charset are not converted.
pub(super) fn find<'a>(parameters: Parameters<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut pieces = Vec::new();
    for (full, value) in parameters {
        let found = Name::of(full);
        match found.section {
            Section::Whole if full.eq_ignore_ascii_case(name) => return Some(value),
            Section::Extended | Section::Piece { .. } if found.base.eq_ignore_ascii_case(name) => {
                pieces.push((found.section, value));
            }
            Section::Whole | Section::Extended | Section::Piece { .. } => {}
        }
    }
    pieces.sort_by_key(|(section, _)| *section);
    if let Some((Section::Extended, value)) = pieces.first() {
        return Some(Cow::Owned(Extended::read(value)?.octets()?));
    }
    let sections = pieces.iter().map(|(section, _)| *section);
    let coding = sound(sections)?;
    let values = pieces.iter().map(|(section, value)| (*section, &**value));
    let whole = concat(values, coding);
    Some(Cow::Owned(match coding {
        Coding::Extended => Extended::read(&whole)?.octets()?,
        Coding::Plain => whole,
    }))
}

/// What is made of the parameters with one base name, sorted by their sections; whether the other
/// revision makes something else of them.
fn change_group(
    group: &[Entry<'_>],
    revision: Revision,
    changes: &mut Vec<(usize, Option<Parameter>)>,
) -> bool {
    let mut differs = false;
    let (mut is_whole, mut is_in_charset) = (false, false);
    let mut pieces = Vec::new();
    for entry in group {
        match entry.name.section {
            Section::Whole => is_whole = true,
            Section::Piece { .. } => pieces.push(*entry),
            Section::Extended => {
                is_in_charset = true;
                let text = Extended::read(entry.value).and_then(Extended::text);
                let Some(text) = text else { continue };
                differs = true;
                if revision == Revision::Rev2 {
                    let parameter = entry.with_value(b"*", text.into_bytes());
                    changes.push((entry.at, Some(parameter)));
                }
            }
        }
    }
    let Some(coding) = sound(pieces.iter().map(|it| it.name.section)) else {
        return differs;
    };
    let told = match coding {
        Coding::Plain => !is_whole,
        Coding::Extended => !is_in_charset && are_whole(&pieces),
    };
    if !told {
        return differs;
    }
    let values = pieces.iter().map(|it| (it.name.section, it.value));
    let whole = concat(values, coding);
    let (suffix, value): (&[u8], _) = match (coding, revision) {
        (Coding::Plain, _) => (b"", Some(whole)),
        (Coding::Extended, Revision::Rev1) => (b"*", Some(whole)),
        (Coding::Extended, Revision::Rev2) => {
            let text = Extended::read(&whole).and_then(Extended::text);
            (b"*", text.map(String::into_bytes))
        }
    };
    if let (Some(value), [first, ..]) = (value, &pieces[..]) {
        changes.extend(pieces.iter().map(|it| (it.at, None)));
        let at = pieces.iter().map(|it| it.at).min().unwrap_or(first.at);
        changes.push((at, Some(first.with_value(suffix, value))));
    }
    differs || coding == Coding::Extended
}

/// Whether the first of these pieces names a charset, and none ends within a percent sign and its
/// digits.
fn are_whole(pieces: &[Entry<'_>]) -> bool {
    let names_charset = |piece: &Entry<'_>| Extended::read(piece.value).is_some();
    let is_cut = |piece: &Entry<'_>| {
        piece.name.section.is_extended() && matches!(piece.value, [.., b'%'] | [.., b'%', _])
    };
    pieces.first().is_some_and(names_charset) && !pieces.iter().any(is_cut)
}

/// A parameter among the others of its field.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// Its place.
    at: usize,
    name: Name<'a>,
    value: &'a [u8],
}

impl<'a> Entry<'a> {
    fn new((at, parameter): (usize, &'a Parameter)) -> Self {
        Self {
            at,
            name: Name::of(&parameter.name),
            value: &parameter.value,
        }
    }

    /// The parameter without its number.
    fn with_value(&self, suffix: &[u8], value: Vec<u8>) -> Parameter {
        Parameter {
            name: [self.name.base, suffix].concat(),
            value,
        }
    }
}

/// The name of a parameter, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name<'a> {
    /// What is before the first asterisk.
    base: &'a [u8],
    section: Section,
}

/// What asterisks and a number say (RFC 2231 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    /// Nothing, or nothing that means anything.
    Whole,
    /// `name*`: in a charset.
    Extended,
    /// `name*0`, or `name*0*`, which may be encoded.
    Piece { number: u32, coding: Coding },
}

/// Whether a value may hold a charset and percent signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coding {
    /// It stands for itself.
    Plain,
    /// `extended-value` (RFC 2231 §7).
    Extended,
}

impl Section {
    fn is_extended(self) -> bool {
        match self {
            Self::Whole => false,
            Self::Extended => true,
            Self::Piece { coding, .. } => coding == Coding::Extended,
        }
    }
}

impl<'a> Name<'a> {
    fn of(full: &'a [u8]) -> Self {
        steps::add(full.len());
        let split = memchr::memchr(b'*', full).and_then(|at| full.split_at_checked(at));
        let Some((base, asterisks)) = split.filter(|(base, _)| !base.is_empty()) else {
            return Self::whole(full);
        };
        let section = match asterisks {
            b"*" => Some(Section::Extended),
            [b'*', number @ .., b'*'] => piece(number, Coding::Extended),
            [_, number @ ..] => piece(number, Coding::Plain),
            [] => None,
        };
        section.map_or(Self::whole(full), |section| Self { base, section })
    }

    const fn whole(full: &'a [u8]) -> Self {
        Self {
            base: full,
            section: Section::Whole,
        }
    }

    fn same_base(&self, other: &Self) -> bool {
        self.base.eq_ignore_ascii_case(other.base)
    }

    /// By base name in any case, then by section.
    fn cmp(&self, other: &Self) -> Ordering {
        let folded = |base: &'a [u8]| base.iter().map(u8::to_ascii_lowercase);
        let by_base = folded(self.base).cmp(other.base.iter().map(u8::to_ascii_lowercase));
        by_base.then(self.section.cmp(&other.section))
    }
}

/// A piece with a number, which has no leading zeros.
fn piece(number: &[u8], coding: Coding) -> Option<Section> {
    let decimal = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    if !decimal || (number.starts_with(b"0") && number != b"0") {
        return None;
    }
    let number = str::from_utf8(number).ok()?.parse().ok()?;
    Some(Section::Piece { number, coding })
}

/// Whether sorted sections are pieces without gaps; if so, whether they have a charset, which the
/// first one names.
fn sound(sections: impl Iterator<Item = Section>) -> Option<Coding> {
    let mut first = None;
    for (section, expected) in sections.zip(0..) {
        match section {
            Section::Piece { number, coding } if number == expected => {
                if coding > *first.get_or_insert(coding) {
                    return None;
                }
            }
            Section::Whole | Section::Extended | Section::Piece { .. } => return None,
        }
    }
    first
}

/// Puts pieces together. Where there is a charset, all of them are encoded then, also those that
/// were not.
fn concat<'v>(pieces: impl Iterator<Item = (Section, &'v [u8])>, coding: Coding) -> Vec<u8> {
    let mut whole = Vec::new();
    for (section, value) in pieces {
        steps::add(value.len());
        if coding == Coding::Extended && !section.is_extended() {
            for &octet in value {
                match is_attribute_char(octet) {
                    true => whole.push(octet),
                    false => whole.extend_from_slice(format!("%{octet:02X}").as_bytes()),
                }
            }
        } else {
            whole.extend_from_slice(value);
        }
    }
    whole
}

/// `extended-initial-value := [charset] "'" [language] "'" extended-other-values` (RFC 2231 §7)
#[derive(Clone, Copy)]
struct Extended<'a> {
    charset: &'a [u8],
    encoded: &'a [u8],
}

impl<'a> Extended<'a> {
    fn read(value: &'a [u8]) -> Option<Self> {
        let mut fields = value.splitn(3, |&octet| octet == b'\'');
        let (charset, _language) = (fields.next()?, fields.next()?);
        Some(Self {
            charset,
            encoded: fields.next()?,
        })
    }

    /// The octets, without percent signs; `None` if these are not followed by two digits.
    fn octets(self) -> Option<Vec<u8>> {
        steps::add(self.encoded.len());
        let mut octets = Vec::with_capacity(self.encoded.len());
        let mut rest = self.encoded;
        loop {
            rest = match rest {
                [] => return Some(octets),
                [b'%', high, low, rest @ ..] => {
                    let digit = |octet: u8| char::from(octet).to_digit(16);
                    let octet = digit(*high)? * 16 + digit(*low)?;
                    octets.push(u8::try_from(octet).ok()?);
                    rest
                }
                [b'%', ..] => return None,
                [octet, rest @ ..] => {
                    octets.push(*octet);
                    rest
                }
            }
        }
    }

    /// The text, if all of it is sound. Without a charset it has to be UTF-8.
    fn text(self) -> Option<String> {
        let octets = self.octets()?;
        let text = if self.charset.is_empty() || charset::is_utf8(self.charset) {
            String::from_utf8(octets).ok()?
        } else {
            let text = charset::decode(self.charset, &octets)?;
            (!text.contains(char::REPLACEMENT_CHARACTER)).then_some(text)?
        };
        (!text.contains(char::is_control)).then_some(text)
    }
}

/// `attribute-char := <any (US-ASCII) CHAR except SPACE, CTLs, "*", "'", "%", or tspecials>`
/// (RFC 2231 §7)
fn is_attribute_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"*'%()<>@,;:\\\"/[]?=".contains(&octet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::media::ContentType;
    use super::*;

    fn parameters(text: &str) -> Vec<Parameter> {
        let value = format!("a/b{text}");
        let found = ContentType::parse(value.as_bytes()).unwrap();
        found
            .parameters
            .map(|(name, value)| Parameter {
                name: name.to_vec(),
                value: value.into_owned(),
            })
            .collect()
    }

    /// The parameters as a revision is told them: `name=value|…`.
    fn told(text: &str, revision: Revision) -> String {
        let joined = join(parameters(text), revision);
        let show = |it: &Parameter| {
            let (name, value) = (&it.name, &it.value);
            format!(
                "{}={}",
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(value)
            )
        };
        let all: Vec<_> = joined.parameters.iter().map(show).collect();
        all.join("|")
    }

    #[test]
    fn sound_pieces_become_one() {
        for (text, rev1, rev2) in [
            // The examples of RFC 2231 §3, §4 and §4.1.
            (
                "; access-type=URL; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu/pub\"",
                "access-type=URL|URL=ftp://cs.utk.edu/pub",
                "access-type=URL|URL=ftp://cs.utk.edu/pub",
            ),
            (
                "; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A",
                "title*=This is ***fun***",
            ),
            (
                "; title*0*=us-ascii'en'This%20is%20even%20more%20; \
                 title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
                "title*=us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!",
                "title*=This is even more ***fun*** isn't it!",
            ),
            // In any order, in any case, beside a value for older clients, where the first stood.
            (
                "; x=1; Name*1=b; y=2; NAME*0=a; name*2=\"c d\"; z=3",
                "x=1|NAME=abc d|y=2|z=3",
                "x=1|NAME=abc d|y=2|z=3",
            ),
            (
                "; filename=e.txt; filename*=''%e2%82%ac.txt",
                "filename=e.txt|filename*=''%e2%82%ac.txt",
                "filename=e.txt|filename*=\u{20ac}.txt",
            ),
            // A character in two pieces.
            (
                "; n*0*=utf-8''%e2%82; n*1*=%ac",
                "n*=utf-8''%e2%82%ac",
                "n*=\u{20ac}",
            ),
            (
                "; n*0*=ISO-8859-1''%e9; n*1=t",
                "n*=ISO-8859-1''%e9t",
                "n*=\u{e9}t",
            ),
            // Quotes behind those of the charset, and percent signs that stand for themselves.
            ("; n*0*=''a'b; n*1=\"50%\"", "n*=''a'b50%25", "n*=a'b50%"),
            ("; n*0=only", "n=only", "n=only"),
            ("; n*0=; n*1=", "n=", "n="),
        ] {
            assert_eq!(told(text, Revision::Rev1), rev1, "{text}");
            assert_eq!(told(text, Revision::Rev2), rev2, "{text}");
        }
    }

    #[test]
    fn what_is_not_sound_stays_as_it_is() {
        for text in [
            // No first piece, a gap, one twice, leading zeros, numbers that are none.
            "; n*1=a; n*2=b",
            "; n*0=a; n*2=b",
            "; n*0=a; n*0=b; n*1=c",
            "; n*0=a; n*1=b; N*1*=c",
            "; n*00=a; n*01=b",
            "; n*0x=a; n*-1=b; n*=c; n**=d; *0=e; *=f; a*b*0=g",
            "; n*99999999999999999999=a; n*4294967295=b",
            // A charset that only a later piece could name.
            "; n*0=a; n*1*=utf-8''b",
            // Beside the same in one piece.
            "; n=x; n*0=a; n*1=b",
        ] {
            let plain = parameters(text);
            for revision in [Revision::Rev1, Revision::Rev2] {
                assert_eq!(
                    join(plain.clone(), revision),
                    Joined {
                        parameters: plain.clone(),
                        differs: false,
                    },
                    "{text}"
                );
            }
        }
        for value in ["utf-8'no second quote", "no quotes", "", "utf-8''%4", "''%"] {
            let all = format!("; n*=\"{value}\"; m*0*=\"{value}\"; m*1*=\"'b\"");
            let expected = format!("n*={value}|m*0*={value}|m*1*='b");
            assert_eq!(told(&all, Revision::Rev1), expected);
            assert_eq!(told(&all, Revision::Rev2), expected);
        }
        let whole = "; n*=utf-8''x; n*0*=utf-8''a; n*1=b";
        assert_eq!(told(whole, Revision::Rev2), "n*=x|n*0*=utf-8''a|n*1=b");
    }

    #[test]
    fn what_cannot_be_decoded_stays_encoded() {
        for value in [
            "x-unknown''%e9",
            "utf-8''%e9",
            "us-ascii''%ff",
            "utf-8''%zz",
            "utf-8''a%0d%0ab",
            "utf-8''%00",
        ] {
            let whole = format!("; n*=\"{value}\"");
            assert_eq!(told(&whole, Revision::Rev1), format!("n*={value}"));
            assert_eq!(told(&whole, Revision::Rev2), format!("n*={value}"));
            let pieces = format!("; n*0*=\"{value}\"; n*1*=b");
            assert_eq!(told(&pieces, Revision::Rev1), format!("n*={value}b"));
            assert_eq!(
                told(&pieces, Revision::Rev2),
                format!("n*0*={value}|n*1*=b")
            );
        }
    }

    #[test]
    fn a_value_is_found_in_any_form() {
        for (text, expected) in [
            ("; Boundary=x", Some("x")),
            ("; boundary*0=x; boundary*1=y", Some("xy")),
            ("; boundary*=us-ascii''x%2By", Some("x+y")),
            ("; boundary*0*=''x%2B; boundary*1=\"%2B\"", Some("x+%2B")),
            ("; boundary*0=x; boundary=y", Some("y")),
            ("; boundary*1=x", None),
            ("; boundary*=x", None),
            ("; boundaries=x", None),
        ] {
            let value = format!("a/b{text}");
            let found = ContentType::parse(value.as_bytes()).unwrap();
            let found = find(found.parameters, b"boundary");
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_split_is_put_together(
            text in "\\PC{0,30}",
            sizes in prop::collection::vec(1..5_usize, 1..40),
        ) {
            let encoded: String = text.bytes().map(|octet| format!("%{octet:02x}")).collect();
            let mut rest = encoded.as_str();
            let mut pieces = vec!["utf-8''".to_owned()];
            for size in sizes {
                let (piece, behind) = rest.split_at((size * 3).min(rest.len()));
                pieces.push(piece.to_owned());
                rest = behind;
            }
            pieces.push(rest.to_owned());
            let all = pieces.iter().enumerate().rev();
            let all: String = all.map(|(at, piece)| format!("; n*{at}*=\"{piece}\"")).collect();
            prop_assert_eq!(told(&all, Revision::Rev1), format!("n*=utf-8''{encoded}"));
            prop_assert_eq!(told(&all, Revision::Rev2), format!("n*={text}"));
        }

        #[test]
        fn any_parameters_are_told(
            names in prop::collection::vec("[ab]?\\*?[0-2]{0,2}\\*{0,2}", 0..12),
            value in "[a%'0]{0,6}",
        ) {
            let all: String = names.iter().map(|name| format!("; {name}=\"{value}\"")).collect();
            let [one, two] = [Revision::Rev1, Revision::Rev2].map(|it| join(parameters(&all), it));
            prop_assert_eq!(one.differs, two.differs);
            prop_assert!(one.differs || one == two);
        }
    }
}
