//! What of HTML is shown: its text, but nothing that is hidden, no scripts and no quotations.
//!
//! It is not parsed as browsers do: tags that are not closed, or in the wrong order, only make the
//! preview worse. One pass, nothing is looked at twice but attributes.

use mail_parser::decoders::html::add_html_token;

use super::Line;
use crate::message::steps;

/// The beginning of the text, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut reader = Reader {
        rest: text,
        own: Line::default(),
        quoted: Line::default(),
        inside: None,
    };
    while !reader.own.is_full() && !reader.rest.is_empty() {
        reader.step();
    }
    if reader.own.text.is_empty() {
        reader.quoted.text
    } else {
        reader.own.text
    }
}

struct Reader<'a> {
    rest: &'a str,
    own: Line,
    quoted: Line,
    /// The element that is not shown, or not as the sender's own.
    inside: Option<Element<'a>>,
}

/// An element whose end is looked for.
struct Element<'a> {
    name: &'a str,
    /// How many elements of this name are open, it among them.
    depth: usize,
    is: Apart,
}

/// What is not shown as the sender's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Apart {
    Hidden,
    Quoted,
}

impl<'a> Reader<'a> {
    /// Reads some text, or one tag.
    fn step(&mut self) {
        let end = memchr::memchr2(b'<', b'&', self.rest.as_bytes());
        let text = self.take(end.unwrap_or(self.rest.len()));
        self.show(text);
        match self.rest.as_bytes().first() {
            Some(b'&') => self.entity(),
            Some(b'<') => self.markup(),
            Some(_) | None => {}
        }
    }

    /// Takes so many octets, which end with a character.
    fn take(&mut self, octets: usize) -> &'a str {
        let (taken, rest) = self
            .rest
            .split_at_checked(octets)
            .unwrap_or((self.rest, ""));
        steps::add(taken.len());
        self.rest = rest;
        taken
    }

    /// The line that text goes to now.
    fn line(&mut self) -> Option<&mut Line> {
        match &self.inside {
            None => Some(&mut self.own),
            Some(element) if element.is == Apart::Quoted => Some(&mut self.quoted),
            Some(_) => None,
        }
    }

    fn show(&mut self, text: &str) {
        if let Some(line) = self.line() {
            line.push(text);
        }
    }

    /// An entity, or only its sign.
    fn entity(&mut self) {
        let near = self.rest.as_bytes().iter().take(ENTITY);
        let end = near.clone().position(|octet| *octet == b';');
        let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'#';
        let length = end.filter(|end| near.skip(1).take(end - 1).all(is_name));
        let token = self.take(length.map_or(1, |end| end + 1));
        let mut decoded = String::new();
        add_html_token(&mut decoded, token.as_bytes(), false);
        self.show(&decoded);
    }

    /// A comment, a tag, or only a sign.
    fn markup(&mut self) {
        if self.rest.starts_with("<!--") {
            let end = memchr::memmem::find(self.rest.as_bytes(), b"-->");
            self.take(end.map_or(self.rest.len(), |end| end + 3));
            return;
        }
        let is_tag = |octet: &u8| octet.is_ascii_alphabetic() || b"/!?".contains(octet);
        if !self.rest.as_bytes().get(1).is_some_and(is_tag) {
            let sign = self.take(1);
            self.show(sign);
            return;
        }
        let end = tag_end(self.rest.as_bytes());
        let tag = self.take(end);
        let tag = tag.trim_start_matches('<').trim_end_matches('>');
        let (tag, is_end) = match tag.strip_prefix('/') {
            Some(tag) => (tag, true),
            None => (tag, false),
        };
        let name = tag.bytes().position(|octet| !octet.is_ascii_alphanumeric());
        let (name, attributes) = tag
            .split_at_checked(name.unwrap_or(tag.len()))
            .unwrap_or((tag, ""));
        if !is_listed(&INLINE, name)
            && let Some(line) = self.line()
        {
            line.space();
        }
        if is_end {
            self.close(name);
        } else if !attributes.ends_with('/') && !is_listed(&VOID, name) {
            self.open(name, attributes);
        }
    }

    fn open(&mut self, name: &'a str, attributes: &str) {
        if is_listed(&RAW, name) {
            return self.skip_raw(name);
        }
        if let Some(element) = &mut self.inside {
            if element.name.eq_ignore_ascii_case(name) {
                element.depth += 1;
            }
            // What is hidden within a quotation may as well be shown.
            return;
        }
        let is = if is_listed(&UNSEEN, name) || is_hidden(attributes) {
            Apart::Hidden
        } else if name.eq_ignore_ascii_case("blockquote") || is_quotation(attributes) {
            Apart::Quoted
        } else {
            return;
        };
        self.inside = Some(Element { name, depth: 1, is });
    }

    fn close(&mut self, name: &str) {
        let Some(element) = &mut self.inside else {
            return;
        };
        if element.name.eq_ignore_ascii_case(name) {
            element.depth -= 1;
            if element.depth == 0 {
                self.inside = None;
            }
        }
    }

    /// Skips an element in which there are no tags.
    fn skip_raw(&mut self, name: &str) {
        let mut rest = self.rest;
        while let Some(end) = memchr::memmem::find(rest.as_bytes(), b"</") {
            rest = rest.get(end + 2..).unwrap_or_default();
            let found = rest.get(..name.len());
            if found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
                let skipped = self.rest.len() - rest.len();
                self.take(skipped + tag_end(rest.as_bytes()));
                return;
            }
        }
        self.take(self.rest.len());
    }
}

/// Where a tag ends: `>` outside of quotation marks, or else the end.
fn tag_end(tag: &[u8]) -> usize {
    let mut quote = None;
    for (at, octet) in tag.iter().enumerate() {
        match (quote, octet) {
            (None, b'>') => return at + 1,
            (None, b'"' | b'\'') => quote = Some(octet),
            (Some(open), octet) if open == octet => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Whether attributes hide an element.
fn is_hidden(attributes: &str) -> bool {
    let attributes = attributes.get(..ATTRIBUTES).unwrap_or(attributes);
    let mut folded = attributes.to_ascii_lowercase();
    folded.retain(|character| !character.is_whitespace());
    let hides = ["display:none", "visibility:hidden", "mso-hide:all"];
    let zero = ["font-size:0", "max-height:0", "opacity:0"];
    let is_zero = |property: &&str| {
        let mut found = folded.match_indices(property);
        // And not 0.9 of something.
        found.any(|(at, _)| {
            let behind = folded.get(at + property.len()..).unwrap_or_default();
            !behind.starts_with('.')
        })
    };
    hides.iter().any(|it| folded.contains(it))
        || zero.iter().any(is_zero)
        || attributes
            .split_ascii_whitespace()
            .any(|word| word.eq_ignore_ascii_case("hidden"))
}

/// Whether attributes mark what was written before, as mail programs do.
fn is_quotation(attributes: &str) -> bool {
    let attributes = attributes.get(..ATTRIBUTES).unwrap_or(attributes);
    CLASSES.iter().any(|class| attributes.contains(class))
}

fn is_listed(names: &[&str], name: &str) -> bool {
    names.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

/// Elements that do not part words.
const INLINE: [&str; 24] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "em", "font", "i", "ins",
    "kbd", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "u", "wbr",
];
/// Elements in which there are no tags.
const RAW: [&str; 4] = ["script", "style", "title", "textarea"];
/// Elements that are not shown.
const UNSEEN: [&str; 7] = [
    "template", "svg", "math", "object", "select", "noscript", "iframe",
];
/// Elements without an end.
const VOID: [&str; 11] = [
    "area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr",
];
/// What programs call their quotations, and what introduces these.
const CLASSES: [&str; 6] = [
    "gmail_quote",
    "gmail_attr",
    "yahoo_quoted",
    "moz-cite-prefix",
    "OutlookMessageHeader",
    "protonmail_quote",
];
/// How long an entity may be.
const ENTITY: usize = 40;
/// How much of attributes is looked at.
const ATTRIBUTES: usize = 2048;
