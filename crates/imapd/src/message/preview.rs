//! The beginning of a message's text, for lists of messages (RFC 8970 §3).
//!
//! - The first part that is text/plain or text/html, no attachment, and has anything to show; of
//!   alternatives (RFC 2046 §5.1.4) that is the plainest. Messages within the message are not looked
//!   into, and of encrypted ones (RFC 1847 §2.2, RFC 8551 §3.3, RFC 9580) there is nothing to tell:
//!   their preview is empty, as of a message without text.
//! - Transfer encoding and charset are undone, HTML loses its markup and what it hides (`html`), plain
//!   text its quotations, signature and armor (`plain`). If there is nothing but quotations, they are
//!   shown.
//! - White space becomes single spaces. Controls, and what has no width or turns the direction of
//!   text, are left out.
//!
//! A preview is made from the first [`FIRST`] octets of a message, or, if these do not fill it, from
//! the first [`MOST`]: what is behind them is never read for it. Time is linear in these.

mod html;
mod plain;

use super::charset::TextDecoder;
use super::header::Fields;
use super::media::{self, ContentType};
use super::mime::{Implied, Kind, Parsed, Part};
use super::text::piece_len;
use super::transfer::TransferDecoder;

/// How much of a message is looked at first.
pub(crate) const FIRST: usize = 64 * 1024;
/// How much of a message is looked at, at the most (RFC 8970 §8).
pub(crate) const MOST: usize = 1024 * 1024;
/// How many characters a preview has at the most (RFC 8970 §3.3).
const CHARACTERS: usize = 200;

/// The preview of a message, given all of it or at least its first [`MOST`] octets.
pub(crate) fn preview(message: &[u8]) -> String {
    let first = message.get(..FIRST).unwrap_or(message);
    let made = made_of(first);
    if first.len() == message.len() || is_full(&made) {
        return made;
    }
    made_of(message.get(..MOST).unwrap_or(message))
}

/// The same, given only the first [`FIRST`] octets of a longer message; `None` if they do not
/// suffice.
pub(crate) fn preview_of_beginning(first: &[u8]) -> Option<String> {
    let made = made_of(first);
    is_full(&made).then_some(made)
}

/// Whether nothing more would be added to a preview.
fn is_full(preview: &str) -> bool {
    preview.chars().nth(CHARACTERS - 2).is_some()
}

/// The preview of as much of a message as there is.
fn made_of(message: &[u8]) -> String {
    let parsed = Parsed::new(message);
    let parts = parsed.parts();
    let mut at = 0;
    while let Some(part) = parts.get(at) {
        let header = message.get(part.header()).unwrap_or_default();
        let kind = Fields::named(header, b"Content-Type");
        let kind = kind.and_then(|field| ContentType::parse(field.value));
        at = match (part.kind, &kind) {
            (Kind::Multipart, Some(kind)) if kind.is(b"multipart", b"encrypted") => part.next,
            (Kind::Multipart, _) => at + 1,
            (Kind::Leaf, _) => {
                let shown = leaf(part, header, kind, message);
                if !shown.is_empty() {
                    return shown;
                }
                part.next
            }
            // The message itself, if that is one within nothing, has no text of its own.
            (Kind::Message | Kind::Global | Kind::Opaque, _) => part.next,
        };
    }
    String::new()
}

/// What there is to show of a part.
fn leaf(part: &Part, header: &[u8], kind: Option<ContentType<'_>>, message: &[u8]) -> String {
    let disposition = Fields::named(header, b"Content-Disposition");
    let disposition = disposition.and_then(|field| media::disposition(field.value));
    if disposition.is_some_and(|(word, _)| word.eq_ignore_ascii_case(b"attachment")) {
        return String::new();
    }
    let is_html = match &kind {
        Some(kind) if kind.is(b"text", b"plain") => false,
        Some(kind) if kind.is(b"text", b"html") => true,
        None if part.implied == Implied::Text => false,
        Some(_) | None => return String::new(),
    };
    let charset = kind.and_then(|kind| kind.parameter(b"charset"));
    let body = message.get(part.body()).unwrap_or_default();
    let text = decoded(header, charset.as_deref().unwrap_or_default(), body);
    if is_html {
        html::shown(&text)
    } else {
        plain::shown(&text)
    }
}

/// The text of a part, without transfer encoding and charset.
fn decoded(header: &[u8], charset: &[u8], body: &[u8]) -> String {
    let encoding = Fields::named(header, b"Content-Transfer-Encoding");
    let encoding = encoding.and_then(|field| media::first_word(field.value));
    let mut transfer = TransferDecoder::new(encoding.unwrap_or_default());
    let mut decoder = TextDecoder::new(charset);
    let mut text = String::new();
    let mut octets = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(piece_len(rest, PIECE));
        rest = behind;
        octets.clear();
        transfer.piece(piece, &mut octets);
        text += &decoder.piece(&octets);
    }
    text += &decoder.finish();
    text
}

/// Text on one line, which ends when it is long enough.
#[derive(Debug, Default)]
struct Line {
    text: String,
    characters: usize,
    /// Whether white space comes before what comes next.
    spaced: bool,
}

impl Line {
    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if self.is_full() {
                return;
            }
            if is_invisible(character) {
                continue;
            }
            if character.is_whitespace() || character.is_control() {
                self.space();
                continue;
            }
            let needed = if self.spaced { 2 } else { 1 };
            if self.characters + needed > CHARACTERS {
                // Not with a space at its end.
                self.characters = CHARACTERS;
                return;
            }
            if std::mem::take(&mut self.spaced) {
                self.text.push(' ');
            }
            self.text.push(character);
            self.characters += needed;
        }
    }

    /// What comes next is another word.
    fn space(&mut self) {
        self.spaced = self.characters > 0;
    }

    fn is_full(&self) -> bool {
        self.characters >= CHARACTERS
    }
}

/// Whether a character has no width, or only turns the direction of others: senders fill HTML with
/// them so that lists show nothing more.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
    )
}

/// How much is decoded at a time.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests;
