//! The MIME tree of a message: offsets and line counts, found in one pass (RFC 2046 §5).
//!
//! Parts are kept flat, in the order in which they begin: a part's first child follows it
//! directly, its next sibling is at [`Part::next`]. There is nothing in a [`Part`] but numbers.
//!
//! What real mail makes of the rules:
//! - A line is a delimiter if it is `--`, the boundary of an open multipart, perhaps `--`, and
//!   white space. Nothing else may follow, so that one boundary can be the beginning of another.
//!   Of equal boundaries the innermost counts. It closes whatever is open within its multipart.
//! - A delimiter within a part's header ends the header and the part.
//! - A multipart without a delimiter (none in the body, or no boundary parameter) has one part:
//!   its whole body as text/plain, so that `1*body` (RFC 3501 §9) holds and the text is reachable.
//! - A message/rfc822 part has one child: the message in it, even if that is empty. So has a
//!   message/global part, unless it is encoded, as it alone may be (RFC 6532 §3.5).
//! - Beyond [`MAX_LEVELS`] multiparts and messages are [`Kind::Opaque`], and message/global parts
//!   leaves; after [`MAX_PARTS`] the last part goes on to the end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use memchr::memmem::Finder;

use super::decoder::Encoding;
use super::header::{Fields, is_blank, line_len, trim_end};
use super::media::ContentType;
use super::steps;
use crate::extension::imap_rev2::Revision;

/// How deep parts are followed; the message itself is level 1 (S32).
pub const MAX_LEVELS: usize = 100;

/// How many parts are told apart (S32).
pub const MAX_PARTS: usize = 10_000;

/// A message's structure: a tree of [`Part`]s, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    parts: Vec<Part>,
}

/// The extent of one part. Offsets are into the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where its header begins.
    pub start: usize,
    /// Where its body begins, after the blank line.
    pub body: usize,
    /// Where its body ends, before the line end that belongs to the delimiter.
    pub end: usize,
    /// The number of line ends in its body.
    pub lines: usize,
    /// The position of the part after all that are within this one.
    pub next: usize,
    /// What it holds.
    pub kind: Kind,
    /// What it is without a valid Content-Type.
    pub implied: Implied,
}

/// What a part holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Octets.
    Leaf,
    /// Parts (RFC 2046 §5.1).
    Multipart,
    /// A message, its only child (RFC 2046 §5.2.1).
    Message,
    /// A message/global part that is not encoded (RFC 6532 §3.7), with the message in it as its only
    /// child: a message in IMAP4rev2, a leaf in IMAP4rev1 (RFC 9051 §7.5.2).
    Global,
    /// Parts or a message, beyond the limits and so not looked into.
    Opaque,
}

/// The default content type (RFC 2045 §5.2, RFC 2046 §5.1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implied {
    /// text/plain.
    Text,
    /// message/rfc822: in multipart/digest.
    Message,
}

impl Kind {
    /// What a session of this revision takes it for.
    pub(super) fn seen_by(self, revision: Revision) -> Self {
        match (self, revision) {
            (Self::Global, Revision::Rev1) => Self::Leaf,
            (Self::Global, Revision::Rev2) => Self::Message,
            (Self::Leaf | Self::Multipart | Self::Message | Self::Opaque, _) => self,
        }
    }
}

impl Parsed {
    /// Parses a message in CRLF form.
    pub fn new(message: &[u8]) -> Self {
        let mut builder = Builder::new(message);
        builder.run();
        Self {
            parts: builder.parts,
        }
    }

    /// The parts; the message itself comes first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The message's header, with the blank line.
    pub fn header(&self) -> Range<usize> {
        self.root().header()
    }

    /// The message's body.
    pub fn body(&self) -> Range<usize> {
        self.root().body()
    }

    /// The part for the message itself.
    pub(super) fn root(&self) -> Part {
        self.part(0)
    }

    /// The part at a position.
    pub(super) fn part(&self, position: usize) -> Part {
        self.parts.get(position).copied().unwrap_or(Part::EMPTY)
    }

    /// The positions of a part's children.
    pub(super) fn children(&self, position: usize) -> impl Iterator<Item = usize> {
        let end = self.part(position).next;
        let mut child = position + 1;
        std::iter::from_fn(move || {
            let found = (child < end).then_some(child)?;
            child = self.part(found).next.max(found + 1);
            Some(found)
        })
    }
}

impl Part {
    /// A part with nothing in it.
    const EMPTY: Self = Self {
        start: 0,
        body: 0,
        end: 0,
        lines: 0,
        next: 0,
        kind: Kind::Leaf,
        implied: Implied::Text,
    };

    /// Its header, with the blank line.
    pub fn header(&self) -> Range<usize> {
        self.start..self.body
    }

    /// Its body.
    pub fn body(&self) -> Range<usize> {
        self.body..self.end
    }
}

/// A multipart, message or leaf that has not ended yet.
struct Open<'a> {
    position: usize,
    boundary: Option<Boundary<'a>>,
    /// What its parts are by default.
    children: Implied,
}

/// The boundary of an open multipart.
struct Boundary<'a> {
    text: Cow<'a, [u8]>,
    /// The level of an outer multipart with the same boundary.
    shadowed: Option<usize>,
}

/// A delimiter line.
struct Delimiter {
    /// Where the line begins.
    start: usize,
    /// Where the next line begins.
    next: usize,
    /// The level of the multipart it belongs to.
    level: usize,
    /// Whether another part follows.
    end: End,
}

/// What a delimiter ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// A part.
    Part,
    /// The multipart.
    Multipart,
}

/// The state of the pass over a message.
struct Builder<'a> {
    message: &'a [u8],
    parts: Vec<Part>,
    /// What is open, outermost first.
    open: Vec<Open<'a>>,
    /// The level (position in `open`) of each boundary that is looked for.
    boundaries: BTreeMap<Cow<'a, [u8]>, usize>,
    dashes: Finder<'static>,
    lines: Lines<'a>,
}

impl<'a> Builder<'a> {
    fn new(message: &'a [u8]) -> Self {
        Self {
            message,
            parts: Vec::new(),
            open: Vec::new(),
            boundaries: BTreeMap::new(),
            dashes: Finder::new(b"\n--"),
            lines: Lines {
                message,
                counted: 0,
                count: 0,
            },
        }
    }

    fn run(&mut self) {
        let mut at = self.open_part(0, Implied::Text);
        while let Some(delimiter) = self.next_delimiter(at) {
            if delimiter.end == End::Part && self.parts.len() >= MAX_PARTS {
                break;
            }
            self.close(delimiter.level + 1, delimiter.start);
            at = match delimiter.end {
                End::Part => {
                    let implied = self
                        .open
                        .get(delimiter.level)
                        .map_or(Implied::Text, |open| open.children);
                    self.open_part(delimiter.next, implied)
                }
                End::Multipart => {
                    self.forget_boundary(delimiter.level);
                    delimiter.next
                }
            };
        }
        self.close(0, self.message.len());
    }

    /// Begins a part, and the message in it, and the message in that. Returns where the innermost
    /// body begins.
    fn open_part(&mut self, mut at: usize, mut implied: Implied) -> usize {
        loop {
            let body = self.header_end(at);
            let header = self.message.get(at..body).unwrap_or_default();
            let content_type = Fields::named(header, b"Content-Type")
                .and_then(|field| ContentType::parse(field.value));
            let kind = self.kind(header, content_type.as_ref(), implied);
            let position = self.parts.len();
            self.parts.push(Part {
                start: at,
                body,
                end: body,
                lines: self.lines.up_to(body),
                next: position + 1,
                kind,
                implied,
            });
            let multipart = content_type.filter(|_| kind == Kind::Multipart);
            self.push(position, multipart.as_ref());
            if !matches!(kind, Kind::Message | Kind::Global) {
                return body;
            }
            at = body;
            implied = Implied::Text;
        }
    }

    /// What a part holds, by its content type and what the limits leave.
    fn kind(
        &self,
        header: &[u8],
        content_type: Option<&ContentType<'_>>,
        implied: Implied,
    ) -> Kind {
        let kind = match content_type {
            None if implied == Implied::Message => Kind::Message,
            Some(found) if found.is(b"message", b"rfc822") => Kind::Message,
            Some(found) if found.is_global() && Encoding::of(header).is_none() => Kind::Global,
            Some(found) if found.is_kind(b"multipart") => Kind::Multipart,
            None | Some(_) => return Kind::Leaf,
        };
        // The part itself and its first child have to fit.
        let fits = self.open.len() + 2 <= MAX_LEVELS && self.parts.len() + 2 <= MAX_PARTS;
        match (kind, fits) {
            (kind, true) => kind,
            (Kind::Global, false) => Kind::Leaf,
            (_, false) => Kind::Opaque,
        }
    }

    /// Opens a part; its content type if that is a multipart.
    fn push(&mut self, position: usize, multipart: Option<&ContentType<'a>>) {
        let level = self.open.len();
        // A boundary does not end with white space (RFC 2046 §5.1.1).
        let boundary = multipart
            .and_then(|found| found.parameter(b"boundary"))
            .map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(trim_end(text)),
                Cow::Owned(text) => Cow::Owned(trim_end(&text).to_vec()),
            })
            .filter(|text| !text.is_empty())
            .map(|text| Boundary {
                shadowed: self.boundaries.insert(text.clone(), level),
                text,
            });
        let digest = multipart.is_some_and(|found| found.is(b"multipart", b"digest"));
        self.open.push(Open {
            position,
            boundary,
            children: if digest {
                Implied::Message
            } else {
                Implied::Text
            },
        });
    }

    /// Stops to look for the boundary of the multipart at a level.
    fn forget_boundary(&mut self, level: usize) {
        let Some(boundary) = self
            .open
            .get_mut(level)
            .and_then(|open| open.boundary.take())
        else {
            return;
        };
        match boundary.shadowed {
            Some(outer) => self.boundaries.insert(boundary.text, outer),
            None => self.boundaries.remove(&boundary.text),
        };
    }

    /// Ends everything from a level on at the delimiter line that begins at `start`, or at the
    /// end of the message.
    fn close(&mut self, level: usize, start: usize) {
        let mut end = self.before_line_end(start);
        while self.open.len() > level {
            self.forget_boundary(self.open.len() - 1);
            let Some(open) = self.open.pop() else { break };
            let position = open.position;
            let Some(part) = self.parts.get_mut(position) else {
                break;
            };
            // The line end after a header is the header's, even if a delimiter follows.
            end = end.max(part.body);
            part.end = end;
            part.lines = self.lines.up_to(end) - part.lines;
            let kind = part.kind;
            if kind == Kind::Multipart && position + 1 == self.parts.len() {
                self.adopt_body(position);
            }
            let next = self.parts.len();
            if let Some(part) = self.parts.get_mut(position) {
                part.next = next;
            }
        }
    }

    /// Gives a multipart without parts its body as the only one.
    fn adopt_body(&mut self, position: usize) {
        let Some(part) = self.parts.get_mut(position) else {
            return;
        };
        if position + 1 >= MAX_PARTS {
            part.kind = Kind::Opaque;
            return;
        }
        let child = Part {
            start: part.body,
            next: position + 2,
            kind: Kind::Leaf,
            implied: Implied::Text,
            ..*part
        };
        self.parts.push(child);
    }

    /// Where a delimiter's own line end begins: it belongs to the delimiter (RFC 2046 §5.1.1).
    fn before_line_end(&self, start: usize) -> usize {
        if start == self.message.len() {
            return start;
        }
        let before = self.message.get(..start).unwrap_or_default();
        let before = before.strip_suffix(b"\n").unwrap_or(before);
        before.strip_suffix(b"\r").unwrap_or(before).len()
    }

    /// Where the header that begins at `start` ends: after the blank line, before a delimiter, or
    /// with the message.
    fn header_end(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            let rest = self.message.get(at..).unwrap_or_default();
            let len = line_len(rest);
            steps::add(len);
            if len == 0 {
                return at;
            }
            if is_blank(rest) {
                return at + len;
            }
            let line = rest.get(..len).unwrap_or_default();
            if self.delimits(line).is_some() {
                return at;
            }
            at += len;
        }
    }

    /// The first delimiter line from the line that begins at `at`.
    fn next_delimiter(&self, mut at: usize) -> Option<Delimiter> {
        if self.boundaries.is_empty() {
            return None;
        }
        loop {
            let mut rest = self.message.get(at..)?;
            if !rest.starts_with(b"--") {
                let found = self.dashes.find(rest)? + 1;
                steps::add(found);
                at += found;
                rest = rest.get(found..)?;
            }
            let len = line_len(rest);
            steps::add(len);
            if let Some((level, end)) = self.delimits(rest.get(..len)?) {
                return Some(Delimiter {
                    start: at,
                    next: at + len,
                    level,
                    end,
                });
            }
            at += len;
            if len == 0 {
                return None;
            }
        }
    }

    /// The level of the multipart that a line delimits, and what it ends.
    fn delimits(&self, line: &[u8]) -> Option<(usize, End)> {
        if self.boundaries.is_empty() {
            return None;
        }
        let text = trim_end(line.strip_prefix(b"--")?);
        steps::add(text.len());
        if let Some(&level) = self.boundaries.get(text) {
            return Some((level, End::Part));
        }
        let level = *self.boundaries.get(text.strip_suffix(b"--")?)?;
        Some((level, End::Multipart))
    }
}

/// Counts line ends as the pass goes on, each octet once.
struct Lines<'a> {
    message: &'a [u8],
    counted: usize,
    count: usize,
}

impl Lines<'_> {
    /// The number of line ends before a position. Positions do not go back.
    fn up_to(&mut self, position: usize) -> usize {
        let more = self.message.get(self.counted..position).unwrap_or_default();
        steps::add(more.len());
        self.count += memchr::memchr_iter(b'\n', more).count();
        self.counted += more.len();
        self.count
    }
}
