//! BODYSTRUCTURE and BODY (RFC 3501 §7.4.2).
//!
//! Values are raw header text, but for parameters in pieces or in charsets. Added are only the
//! defaults that the grammar asks for: the type of a part without a valid Content-Type, `US-ASCII`
//! for text without a charset, `7BIT`.
//!
//! IMAP4rev2 tells the message in a message/global part, as that in message/rfc822 (RFC 9051
//! §7.5.2). Where such a part is encoded, or beyond the limits, it is told to hold an empty message:
//! nothing else has this type then.
//! A multipart or message beyond the limits is application/octet-stream, because its parts cannot
//! be told.

use super::envelope::{Envelope, envelope, write_envelope};
use super::header::{Fields, trim};
use super::media::{self, ContentType, Parameter, Parameters};
use super::mime::{Implied, Kind, Parsed, Part};
use super::{Budget, continuation, steps};
use crate::encode::string::{nstring, string};
use crate::extension::imap_rev2::Revision;

/// The structure of a part and of all within it (`body`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyStructure {
    /// `body-type-mpart`.
    Multipart(Multipart),
    /// `body-type-1part`.
    Single(Single),
}

/// A multipart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    /// Its parts, at least one.
    pub parts: Vec<BodyStructure>,
    /// The subtype.
    pub subtype: Vec<u8>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// The rest of the extension data.
    pub extension: Extension,
}

/// A part that is no multipart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// The type.
    pub media_type: Vec<u8>,
    /// The subtype.
    pub subtype: Vec<u8>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding.
    pub encoding: Vec<u8>,
    /// The octets of its body, as it is encoded.
    pub octets: usize,
    /// What else is told by the type.
    pub content: Content,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// The rest of the extension data.
    pub extension: Extension,
}

/// What the structure tells besides, by the part's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// `body-type-basic`: nothing.
    Basic,
    /// `body-type-text`: the number of lines.
    Text(usize),
    /// `body-type-msg`: the message in it, and the number of lines.
    Message(Box<(Envelope, BodyStructure)>, usize),
}

/// Extension data that every part has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extension {
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// The tags of Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
}

/// Content-Disposition (RFC 2183).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// The disposition type.
    pub kind: Vec<u8>,
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

/// The two forms of the structure (RFC 3501 §6.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `BODY`: without extension data.
    Body,
    /// `BODYSTRUCTURE`: with it.
    BodyStructure,
}

impl Parsed {
    /// The body structure of the message, as it is told to sessions of a revision.
    pub fn body_structure(&self, message: &[u8], revision: Revision) -> BodyStructure {
        self.structure(message, revision).0
    }

    /// The same, and whether it is told otherwise to sessions of the other revision.
    pub(super) fn structure(&self, message: &[u8], revision: Revision) -> (BodyStructure, bool) {
        let mut builder = Builder {
            parsed: self,
            message,
            revision,
            differs: false,
            budget: Budget::new(),
        };
        (builder.part(0), builder.differs)
    }
}

/// Writes `body` (RFC 3501 §9).
pub fn write_body_structure(structure: &BodyStructure, form: Form, out: &mut Vec<u8>) {
    out.push(b'(');
    match structure {
        BodyStructure::Multipart(multipart) => write_multipart(multipart, form, out),
        BodyStructure::Single(single) => write_single(single, form, out),
    }
    out.push(b')');
}

/// Writes `body-type-mpart`.
fn write_multipart(multipart: &Multipart, form: Form, out: &mut Vec<u8>) {
    for part in &multipart.parts {
        write_body_structure(part, form, out);
    }
    out.push(b' ');
    string(out, &multipart.subtype);
    if form == Form::BodyStructure {
        out.push(b' ');
        write_parameters(&multipart.parameters, out);
        write_extension(&multipart.extension, out);
    }
}

/// Writes `body-type-1part`.
fn write_single(single: &Single, form: Form, out: &mut Vec<u8>) {
    string(out, &single.media_type);
    out.push(b' ');
    string(out, &single.subtype);
    out.push(b' ');
    write_parameters(&single.parameters, out);
    out.push(b' ');
    nstring(out, single.id.as_deref());
    out.push(b' ');
    nstring(out, single.description.as_deref());
    out.push(b' ');
    string(out, &single.encoding);
    write_number(single.octets, out);
    match &single.content {
        Content::Basic => {}
        Content::Text(lines) => write_number(*lines, out),
        Content::Message(inner, lines) => {
            out.push(b' ');
            write_envelope(&inner.0, out);
            out.push(b' ');
            write_body_structure(&inner.1, form, out);
            write_number(*lines, out);
        }
    }
    if form == Form::BodyStructure {
        out.push(b' ');
        nstring(out, single.md5.as_deref());
        write_extension(&single.extension, out);
    }
}

/// Writes `body-fld-param`.
fn write_parameters(parameters: &[Parameter], out: &mut Vec<u8>) {
    if parameters.is_empty() {
        return nstring(out, None);
    }
    for (position, parameter) in parameters.iter().enumerate() {
        steps::add(1);
        out.push(if position == 0 { b'(' } else { b' ' });
        string(out, &parameter.name);
        out.push(b' ');
        string(out, &parameter.value);
    }
    out.push(b')');
}

/// Writes ` body-fld-dsp SP body-fld-lang SP body-fld-loc`.
fn write_extension(extension: &Extension, out: &mut Vec<u8>) {
    out.push(b' ');
    match &extension.disposition {
        Some(disposition) => {
            out.push(b'(');
            string(out, &disposition.kind);
            out.push(b' ');
            write_parameters(&disposition.parameters, out);
            out.push(b')');
        }
        None => nstring(out, None),
    }
    out.push(b' ');
    match extension.language.as_slice() {
        [] => nstring(out, None),
        [tag] => string(out, tag),
        tags => {
            for (position, tag) in tags.iter().enumerate() {
                out.push(if position == 0 { b'(' } else { b' ' });
                string(out, tag);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    nstring(out, extension.location.as_deref());
}

/// Writes ` number`.
fn write_number(number: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(" {number}").as_bytes());
}

/// Makes structures of parts.
struct Builder<'a> {
    parsed: &'a Parsed,
    message: &'a [u8],
    revision: Revision,
    /// Whether there was anything that the other revision tells otherwise.
    differs: bool,
    budget: Budget,
}

/// The header fields of a part that its structure shows, folded.
#[derive(Default)]
struct Described<'a> {
    content_type: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    description: Option<&'a [u8]>,
    md5: Option<&'a [u8]>,
    disposition: Option<&'a [u8]>,
    language: Option<&'a [u8]>,
    location: Option<&'a [u8]>,
}

impl<'a> Builder<'a> {
    /// The structure of the part at a position. Recursion is bounded by the levels of the tree.
    fn part(&mut self, position: usize) -> BodyStructure {
        let part = self.parsed.part(position);
        let described = Described::new(self.message.get(part.header()).unwrap_or_default());
        match part.kind {
            Kind::Multipart => BodyStructure::Multipart(self.multipart(position, &described)),
            Kind::Leaf | Kind::Message | Kind::Global | Kind::Opaque => {
                BodyStructure::Single(self.single(position, part, &described))
            }
        }
    }

    fn multipart(&mut self, position: usize, described: &Described<'a>) -> Multipart {
        let parsed = self.parsed;
        let parts = parsed.children(position).map(|child| self.part(child));
        let parts = parts.collect();
        let content_type = described.content_type.and_then(ContentType::parse);
        Multipart {
            parts,
            subtype: content_type
                .as_ref()
                .map_or_else(|| b"MIXED".to_vec(), |found| found.subtype.to_vec()),
            parameters: content_type
                .map_or_else(Vec::new, |found| self.parameters(found.parameters)),
            extension: self.extension(described),
        }
    }

    fn single(&mut self, position: usize, part: Part, described: &Described<'a>) -> Single {
        let (media_type, subtype, parameters, content) = self.media(position, part, described);
        let value = |field: Option<&[u8]>| {
            let text = super::header::unfold(field?);
            (!text.is_empty()).then(|| text.into_owned())
        };
        Single {
            media_type,
            subtype,
            parameters,
            id: value(described.id),
            description: value(described.description),
            encoding: described
                .encoding
                .and_then(media::first_word)
                .unwrap_or(b"7BIT")
                .to_vec(),
            octets: part.body().len(),
            content,
            md5: value(described.md5),
            extension: self.extension(described),
        }
    }

    /// Type, subtype, parameters, and what the type tells besides.
    fn media(
        &mut self,
        position: usize,
        part: Part,
        described: &Described<'a>,
    ) -> (Vec<u8>, Vec<u8>, Vec<Parameter>, Content) {
        let opaque = || (b"APPLICATION".to_vec(), b"OCTET-STREAM".to_vec());
        let found = described.content_type.and_then(ContentType::parse);
        let (media_type, subtype) = match (&found, part.kind, part.implied) {
            (_, Kind::Opaque, _) => opaque(),
            (Some(found), ..) => (found.kind.to_vec(), found.subtype.to_vec()),
            (None, _, Implied::Text) => (b"TEXT".to_vec(), b"PLAIN".to_vec()),
            (None, _, Implied::Message) => (b"MESSAGE".to_vec(), b"RFC822".to_vec()),
        };
        let is_text = media_type.eq_ignore_ascii_case(b"TEXT");
        let is_global = found.as_ref().is_some_and(ContentType::is_global);
        let mut parameters = found.map_or_else(Vec::new, |found| self.parameters(found.parameters));
        let has_charset = parameters
            .iter()
            .any(|parameter| is_charset(&parameter.name));
        if is_text && !has_charset {
            parameters.push(us_ascii());
        }
        self.differs |= is_global;
        let content = match part.kind.seen_by(self.revision) {
            Kind::Message => {
                let inner = position + 1;
                let envelope = envelope(self.parsed.part(inner), self.message, &mut self.budget);
                Content::Message(Box::new((envelope, self.part(inner))), part.lines)
            }
            // There is no other form for the type (RFC 9051 §9, `body-type-basic`).
            Kind::Leaf if is_global && self.revision == Revision::Rev2 => {
                let nothing = (Envelope::default(), BodyStructure::nothing());
                Content::Message(Box::new(nothing), part.lines)
            }
            Kind::Leaf if is_text => Content::Text(part.lines),
            Kind::Leaf | Kind::Multipart | Kind::Global | Kind::Opaque => Content::Basic,
        };
        (media_type, subtype, parameters, content)
    }

    fn parameters(&mut self, parameters: Parameters<'_>) -> Vec<Parameter> {
        let mut out = Vec::new();
        for (name, value) in parameters {
            if !self.budget.take() {
                break;
            }
            out.push(Parameter {
                name: name.to_vec(),
                value: value.into_owned(),
            });
        }
        let joined = continuation::join(out, self.revision);
        self.differs |= joined.differs;
        joined.parameters
    }

    fn extension(&mut self, described: &Described<'_>) -> Extension {
        let disposition = described.disposition.and_then(media::disposition);
        let disposition = disposition.map(|(kind, parameters)| Disposition {
            kind: kind.to_vec(),
            parameters: self.parameters(parameters),
        });
        let mut language = Vec::new();
        for tag in described
            .language
            .map(media::languages)
            .into_iter()
            .flatten()
        {
            if !self.budget.take() {
                break;
            }
            language.push(tag.to_vec());
        }
        Extension {
            disposition,
            language,
            location: described
                .location
                .map(super::header::unfold)
                .filter(|text| !text.is_empty())
                .map(|text| text.into_owned()),
        }
    }
}

impl BodyStructure {
    /// The structure of an empty text.
    fn nothing() -> Self {
        Self::Single(Single {
            media_type: b"TEXT".to_vec(),
            subtype: b"PLAIN".to_vec(),
            parameters: vec![us_ascii()],
            id: None,
            description: None,
            encoding: b"7BIT".to_vec(),
            octets: 0,
            content: Content::Text(0),
            md5: None,
            extension: Extension::default(),
        })
    }
}

/// The charset of text that names none (RFC 2046 §4.1.2).
fn us_ascii() -> Parameter {
    Parameter {
        name: b"CHARSET".to_vec(),
        value: b"US-ASCII".to_vec(),
    }
}

/// Whether a parameter is the charset, be it encoded itself.
fn is_charset(name: &[u8]) -> bool {
    let name = name.strip_suffix(b"*").unwrap_or(name);
    name.eq_ignore_ascii_case(b"charset")
}

impl<'a> Described<'a> {
    /// Picks the fields out of a header. Of a repeated field the first counts, as it does for the
    /// tree.
    fn new(header: &'a [u8]) -> Self {
        let mut described = Self::default();
        for field in Fields::new(header) {
            let place = if field.is(b"Content-Type") {
                &mut described.content_type
            } else if field.is(b"Content-Transfer-Encoding") {
                &mut described.encoding
            } else if field.is(b"Content-ID") {
                &mut described.id
            } else if field.is(b"Content-Description") {
                &mut described.description
            } else if field.is(b"Content-MD5") {
                &mut described.md5
            } else if field.is(b"Content-Disposition") {
                &mut described.disposition
            } else if field.is(b"Content-Language") {
                &mut described.language
            } else if field.is(b"Content-Location") {
                &mut described.location
            } else {
                continue;
            };
            place.get_or_insert(trim(field.value));
        }
        described
    }
}
