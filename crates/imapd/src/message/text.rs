//! Searches in decoded text (RFC 3501 §6.4.4): HEADER and its kin, BODY and TEXT.
//!
//! - Header fields are unfolded, and their encoded words decoded; 8-bit text is UTF-8 or else
//!   windows-1252.
//! - Of bodies, parts of type text and those of type message that hold no message (a delivery
//!   status, say) are searched, after transfer encoding and charset are undone, in nested messages
//!   too, those of message/global included. Other parts are not text. HTML is searched as its source.
//! - BODY looks at bodies only. TEXT looks at the headers besides, those of parts and of nested
//!   messages included.
//! - Case is that of Unicode. There is no normalization: an accent as a character of its own is
//!   another text.

use memchr::memmem::Finder;

use super::charset::TextDecoder;
use super::encoded_word;
use super::header::{Field, Fields, Header, line_len};
use super::media::{self, ContentType};
use super::mime::{Implied, Kind, Parsed, Part};
use super::steps;
use super::transfer::TransferDecoder;

/// A string to look for, folded once.
#[derive(Clone, Debug)]
pub struct Needle {
    finder: Finder<'static>,
}

impl Needle {
    /// Looks for a string in any case.
    pub fn new(text: &str) -> Self {
        let mut folded = Vec::new();
        fold(text, &mut folded);
        Self {
            finder: Finder::new(&folded).into_owned(),
        }
    }

    /// Whether a text contains it.
    pub fn is_in(&self, text: &str) -> bool {
        let mut folded = Vec::with_capacity(text.len());
        fold(text, &mut folded);
        self.finder.find(&folded).is_some()
    }

    /// Whether it is the empty string, which is in everything.
    pub fn is_empty(&self) -> bool {
        self.finder.needle().is_empty()
    }
}

impl Header<'_> {
    /// Whether a field of that name contains the string; with an empty string, whether there is
    /// such a field.
    pub fn contains(self, name: &[u8], needle: &Needle) -> bool {
        Fields::new(self.octets())
            .filter(|field| field.is(name))
            .any(|field| {
                needle.is_empty() || needle.is_in(&encoded_word::decode(&field.unfolded()))
            })
    }
}

impl Parsed {
    /// See [`Header::contains`].
    pub fn header_contains(&self, message: &[u8], name: &[u8], needle: &Needle) -> bool {
        let header = message.get(self.header()).unwrap_or_default();
        Header::new(header).contains(name, needle)
    }

    /// Whether the body contains the string (`BODY`).
    pub fn body_contains(&self, message: &[u8], needle: &Needle) -> bool {
        needle.is_empty()
            || self
                .parts()
                .iter()
                .any(|part| body_contains(part, message, needle))
    }

    /// Whether the header or the body contains the string (`TEXT`).
    pub fn text_contains(&self, message: &[u8], needle: &Needle) -> bool {
        needle.is_empty()
            || self.parts().iter().any(|part| {
                header_contains(part, message, needle) || body_contains(part, message, needle)
            })
    }
}

/// Whether any line of a part's header contains the string.
fn header_contains(part: &Part, message: &[u8], needle: &Needle) -> bool {
    let header = message.get(part.header()).unwrap_or_default();
    Fields::new(header).any(|field| needle.is_in(&shown(&field)))
}

/// A field as it is read: decoded, on one line.
fn shown(field: &Field<'_>) -> String {
    encoded_word::decode(&super::header::unfold(field.raw))
}

/// Whether a part is text and contains the string.
fn body_contains(part: &Part, message: &[u8], needle: &Needle) -> bool {
    if part.kind != Kind::Leaf {
        return false;
    }
    let header = message.get(part.header()).unwrap_or_default();
    let content_type =
        Fields::named(header, b"Content-Type").and_then(|field| ContentType::parse(field.value));
    let is_text = match &content_type {
        Some(found) => found.is_kind(b"text") || found.is_kind(b"message"),
        None => part.implied == Implied::Text,
    };
    if !is_text {
        return false;
    }
    let encoding = Fields::named(header, b"Content-Transfer-Encoding")
        .and_then(|field| media::first_word(field.value))
        .unwrap_or_default();
    let charset = content_type.and_then(|found| found.parameter(b"charset"));
    let search = Search {
        needle,
        transfer: TransferDecoder::new(encoding),
        text: TextDecoder::new(charset.as_deref().unwrap_or_default()),
        octets: Vec::new(),
        folded: Vec::new(),
    };
    search.body(message.get(part.body()).unwrap_or_default())
}

/// A search through one body, piece by piece.
struct Search<'n> {
    needle: &'n Needle,
    transfer: TransferDecoder,
    text: TextDecoder,
    octets: Vec<u8>,
    /// Folded text that has not been searched, after the last of what has been.
    folded: Vec<u8>,
}

impl Search<'_> {
    fn body(mut self, body: &[u8]) -> bool {
        // A piece is at least as long as the needle, so that the part of a piece that is searched
        // a second time, with the next one, is never the most of the work.
        let size = PIECE.max(self.needle.finder.needle().len());
        let mut rest = body;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(piece_len(rest, size));
            rest = behind;
            self.octets.clear();
            self.transfer.piece(piece, &mut self.octets);
            let text = self.text.piece(&self.octets);
            if self.found(&text) {
                return true;
            }
        }
        let text = std::mem::replace(&mut self.text, TextDecoder::new(b"")).finish();
        self.found(&text)
    }

    /// Searches more text, and the end of the text before for what reaches over.
    fn found(&mut self, text: &str) -> bool {
        fold(text, &mut self.folded);
        steps::add(self.folded.len());
        if self.needle.finder.find(&self.folded).is_some() {
            return true;
        }
        let keep = self.needle.finder.needle().len().saturating_sub(1);
        let searched = self.folded.len().saturating_sub(keep);
        self.folded.drain(..searched);
        false
    }
}

/// The length of the next piece: whole lines where they are not too long.
pub(super) fn piece_len(rest: &[u8], size: usize) -> usize {
    let Some(head) = rest.get(..size) else {
        return rest.len();
    };
    match memchr::memrchr(b'\n', head) {
        Some(end) => end + 1,
        None => line_len(rest).min(size),
    }
}

/// Appends text without its case: the lower case of the upper case, which makes `ß` and `SS`,
/// `ς` and `Σ` the same.
fn fold(text: &str, out: &mut Vec<u8>) {
    steps::add(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|octet| !octet.is_ascii());
        let Some((plain, behind)) = rest.split_at_checked(ascii.unwrap_or(rest.len())) else {
            return;
        };
        let start = out.len();
        out.extend_from_slice(plain.as_bytes());
        if let Some(added) = out.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        let mut chars = behind.chars();
        rest = loop {
            let before = chars.as_str();
            let Some(char) = chars.next().filter(|char| !char.is_ascii()) else {
                break before;
            };
            for folded in char.to_uppercase().flat_map(char::to_lowercase) {
                out.extend_from_slice(folded.encode_utf8(&mut [0; 4]).as_bytes());
            }
        };
    }
}

/// How much of a body is decoded at a time.
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_that_of_unicode() {
        for (needle, text, expected) in [
            ("hello", "Say HELLO", true),
            ("GR\u{dc}\u{df}E", "gr\u{fc}sse", true),
            ("\u{3a3}", "\u{3c2}", true),
            (
                "\u{43f}\u{440}\u{438}",
                "\u{41f}\u{420}\u{418}\u{412}\u{415}\u{422}",
                true,
            ),
            ("e", "\u{e9}", false),
            ("", "", true),
            ("a\u{e9}b", "xA\u{c9}By", true),
        ] {
            assert_eq!(Needle::new(needle).is_in(text), expected, "{needle}");
        }
    }

    fn message() -> &'static [u8] {
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
          X-Empty:\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n\
          preamble\r\n--b\r\n\
          Content-Type: text/plain; charset=iso-8859-1\r\n\
          Content-Transfer-Encoding: quoted-printable\r\n\r\n\
          caf=E9 soft=\r\nbreak\r\n--b\r\n\
          Content-Type: application/pdf; name=report.pdf\r\n\
          Content-Transfer-Encoding: base64\r\n\r\n\
          aGlkZGVu\r\nhidden\r\n--b\r\n\
          Content-Type: message/rfc822\r\n\r\n\
          Subject: nested\r\nContent-Transfer-Encoding: base64\r\n\r\n\
          aW5u\r\nZXI=\r\n--b--\r\nepilogue\r\n"
    }

    #[test]
    fn header_fields_are_decoded() {
        let parsed = Parsed::new(message());
        for (name, needle, expected) in [
            ("subject", "GR\u{dc}SSE", true),
            ("Subject", "=?utf-8", false),
            ("Subject", "nested", false),
            ("X-Empty", "", true),
            ("X-Empty", "x", false),
            ("X-None", "", false),
        ] {
            let needle = Needle::new(needle);
            let found = parsed.header_contains(message(), name.as_bytes(), &needle);
            assert_eq!(found, expected, "{name} {needle:?}");
        }
    }

    #[test]
    fn body_and_text() {
        let parsed = Parsed::new(message());
        for (needle, body, text) in [
            ("CAF\u{c9} softbreak", true, true),
            ("inner", true, true),
            ("hidden", false, false),
            ("nested", false, true),
            ("gr\u{fc}\u{df}e", false, true),
            ("report.pdf", false, true),
            ("subject: n", false, true),
            ("nowhere", false, false),
            ("", true, true),
        ] {
            let needle = Needle::new(needle);
            assert_eq!(parsed.body_contains(message(), &needle), body, "{needle:?}");
            assert_eq!(parsed.text_contains(message(), &needle), text, "{needle:?}");
        }
    }

    #[test]
    fn a_match_may_reach_over_pieces() {
        for filler in [b"x".repeat(PIECE - 3), b"x\r\n".repeat(PIECE / 3)] {
            let mut message = b"\r\n".to_vec();
            message.extend_from_slice(&filler);
            message.extend_from_slice(b"needle one\r\nneedle two");
            let parsed = Parsed::new(&message);
            assert!(parsed.body_contains(&message, &Needle::new("NEEDLE ONE")));
            assert!(parsed.body_contains(&message, &Needle::new("one\r\nneedle two")));
            assert!(!parsed.body_contains(&message, &Needle::new("needle three")));
        }
    }
}
