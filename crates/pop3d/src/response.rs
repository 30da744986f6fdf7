//! The only place that writes wire syntax: single lines, multi-line responses and byte-stuffing
//! (RFC 1939 §3, RFC 2449 §3), and the capability list.

use std::fmt::Display;
use std::io::Write as _;
use std::ops::Range;

use auth::sasl::{Mechanism, Mechanisms};
use machine::{Link, Security};

use crate::digits::decimal;
use crate::error::Refused;
use crate::settings::Settings;

/// Responses on their way to the client.
#[derive(Debug, Default)]
pub struct Responses {
    bytes: Vec<u8>,
}

impl Responses {
    /// `+OK text`, the first line of any positive response.
    pub fn ok(&mut self, text: impl Display) {
        self.single_line("+OK", &text.to_string());
    }

    /// `-ERR [CODE] text`
    pub fn refuse(&mut self, refused: &Refused) {
        let text = match refused.code() {
            Some(code) => format!("[{code}] {refused}"),
            None => refused.to_string(),
        };
        self.single_line("-ERR", &text);
    }

    /// A SASL challenge, already in base64: `"+" SP [base64]` (RFC 5034 §5).
    pub fn challenge(&mut self, base64: &str) {
        self.bytes.extend_from_slice(b"+ ");
        self.bytes.extend_from_slice(base64.as_bytes());
        self.bytes.extend_from_slice(CRLF);
    }

    /// A line of a multi-line response that never begins with a dot.
    pub fn item(&mut self, item: impl Display) {
        // Writing to a Vec cannot fail.
        write!(self.bytes, "{item}").unwrap_or_default();
        self.bytes.extend_from_slice(CRLF);
    }

    /// A line of a listing: the message-number of a position, a blank, and what `write` appends.
    pub fn listed(&mut self, position: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let number = u64::try_from(position).unwrap_or(u64::MAX);
        decimal(number.saturating_add(1), &mut self.bytes);
        self.bytes.push(b' ');
        write(&mut self.bytes);
        self.bytes.extend_from_slice(CRLF);
    }

    /// `+OK octets octets`, before a message that is thought to have so many.
    pub fn octets(&mut self, octets: u64) -> OctetsLine {
        let start = self.bytes.len();
        self.ok(format_args!("{octets} octets"));
        OctetsLine {
            octets,
            line: start..self.bytes.len(),
        }
    }

    /// Corrects the number of octets, if need be, before anything was sent.
    pub fn correct(&mut self, line: OctetsLine, octets: u64) {
        if line.octets == octets {
            return;
        }
        let mut right = Self::default();
        right.ok(format_args!("{octets} octets"));
        if line.line.end <= self.bytes.len() {
            self.bytes.splice(line.line, right.bytes);
        }
    }

    /// A piece of a message as it is in its file. Gives how many octets it has in CRLF form.
    pub fn message(&mut self, piece: &[u8], encoding: &mut Encoding) -> u64 {
        encoding.encode(piece, &mut self.bytes)
    }

    /// The end of a message: completes its last line if need be, then ends the response.
    pub fn message_end(&mut self, encoding: &Encoding) {
        if encoding.last != b'\n' {
            self.bytes.extend_from_slice(CRLF);
        }
        self.end();
    }

    /// The line that ends a multi-line response.
    pub fn end(&mut self) {
        self.bytes.extend_from_slice(b".\r\n");
    }

    /// Takes everything written so far.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether there is so much that it should be sent before going on.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= SLICE
    }

    /// `single-line = status [SP text] CRLF`, at most 512 octets (RFC 2449 §3). What could end the
    /// line early or is not ASCII is replaced.
    fn single_line(&mut self, status: &str, text: &str) {
        self.bytes.extend_from_slice(status.as_bytes());
        if !text.is_empty() {
            self.bytes.push(b' ');
        }
        let safe = text.chars().map(|character| match character {
            ' '..='~' => u8::try_from(character).unwrap_or(b'?'),
            _ => b'?',
        });
        self.bytes.extend(safe.take(TEXT_LIMIT));
        self.bytes.extend_from_slice(CRLF);
    }
}

/// A line with a number of octets that has turned out to be another one, or not yet.
#[derive(Debug)]
#[must_use]
pub struct OctetsLine {
    octets: u64,
    line: Range<usize>,
}

/// What becomes of a message on its way from the file to the wire, across its pieces: every line
/// ends in CRLF (a bare LF becomes one, a bare CR stays), and is byte-stuffed (RFC 1939 §3).
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// The last octet of the message so far.
    last: u8,
}

impl Encoding {
    /// Appends `piece` to `output`, in one pass. Gives the octets of its CRLF form, without dots
    /// that were added.
    fn encode(&mut self, piece: &[u8], output: &mut Vec<u8>) -> u64 {
        let Some(&last) = piece.last() else {
            return 0;
        };
        // Lines are longer than this on average, as a rule.
        output.reserve(piece.len() + piece.len() / SHORT_LINE + CRLF.len());
        if self.last == b'\n' && piece.first() == Some(&b'.') {
            output.push(b'.');
        }
        let (mut copied, mut octets) = (0, piece.len());
        for end in memchr::memchr_iter(b'\n', piece) {
            let before = match end.checked_sub(1) {
                Some(before) => piece.get(before).copied(),
                None => Some(self.last),
            };
            if before != Some(b'\r') {
                output.extend_from_slice(piece.get(copied..end).unwrap_or_default());
                output.push(b'\r');
                copied = end;
                octets += 1;
            }
            if piece.get(end + 1) == Some(&b'.') {
                output.extend_from_slice(piece.get(copied..=end).unwrap_or_default());
                output.push(b'.');
                copied = end + 1;
            }
        }
        output.extend_from_slice(piece.get(copied..).unwrap_or_default());
        self.last = last;
        u64::try_from(octets).unwrap_or(u64::MAX)
    }
}

impl Default for Encoding {
    /// A message begins at the start of a line.
    fn default() -> Self {
        Self { last: b'\n' }
    }
}

/// What CAPA lists (RFC 2449 §5). The same in both states, as RFC 2449 asks of all of these.
///
/// Interop: UIDL is there before the login too, because JavaMail decides then. USER and SASL are
/// not there where passwords are refused. With SASL stand these `mechanisms`.
pub fn capabilities(settings: &Settings, link: &Link, mechanisms: Mechanisms) -> Vec<String> {
    let mut list: Vec<String> = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        .map(str::to_owned)
        .into();
    list.push("EXPIRE NEVER".to_owned());
    if link.allows_passwords() {
        list.push("USER".to_owned());
        let names: Vec<&str> = mechanisms.iter().map(Mechanism::name).collect();
        list.push(format!("SASL {}", names.join(" ")));
    }
    if link.security == Security::StartTlsOffered {
        list.push("STLS".to_owned());
    }
    list.push("UTF8 USER".to_owned());
    list.push("LANG".to_owned());
    let printable = |character: &char| matches!(character, '!'..='~');
    let implementation: String = settings
        .implementation
        .chars()
        .map(|character| if character == ' ' { '-' } else { character })
        .filter(printable)
        .take(TEXT_LIMIT)
        .collect();
    list.push(format!("IMPLEMENTATION {implementation}"));
    list
}

/// The end of every line.
const CRLF: &[u8] = b"\r\n";

/// How much of a text fits in a line of 512 octets (RFC 2449 §4).
const TEXT_LIMIT: usize = 490;

/// A short line of text on average: room is made for an octet more for so many.
const SHORT_LINE: usize = 24;

/// How much output is worth sending at once.
pub const SLICE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message as it goes out, given in pieces.
    fn sent(message: &[u8], piece: usize) -> Vec<u8> {
        let mut responses = Responses::default();
        let mut encoding = Encoding::default();
        let mut octets = 0;
        for bytes in message.chunks(piece) {
            octets += responses.message(bytes, &mut encoding);
        }
        assert_eq!(octets, crlf(message).len() as u64);
        responses.message_end(&encoding);
        responses.take()
    }

    /// A message in CRLF form.
    fn crlf(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in message {
            if *byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }

    /// What is to be sent: the CRLF form, its last line completed, a dot more before each line
    /// that begins with one, and the end.
    fn wire(message: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in crlf(message).split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
        }
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.extend_from_slice(CRLF);
        }
        out.extend_from_slice(b".\r\n");
        out
    }

    /// What a client makes of it: lines up to the lone dot, one leading dot removed.
    fn received(wire: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        for line in wire.split_inclusive(|&byte| byte == b'\n') {
            if line == b".\r\n" {
                return message;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        panic!("no end");
    }

    #[test]
    fn dots_are_stuffed_at_the_start_of_lines_only() {
        for (message, wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a.b\r\n.c\r\n", "a.b\r\n..c\r\n.\r\n"),
            ("\r\n.\r\n.\r\n", "\r\n..\r\n..\r\n.\r\n"),
            ("..\r\n", "...\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
            ("no end\r\n.", "no end\r\n..\r\n.\r\n"),
            ("a\n.b\n\n..\n", "a\r\n..b\r\n\r\n...\r\n.\r\n"),
            ("\n\r\r\n\r.\n", "\r\n\r\r\n\r.\r\n.\r\n"),
            ("bare\r", "bare\r\r\n.\r\n"),
        ] {
            for piece in 1..=message.len().max(1) {
                let got = sent(message.as_bytes(), piece);
                assert_eq!(
                    String::from_utf8_lossy(&got),
                    wire,
                    "{message:?} by {piece}"
                );
            }
        }
    }

    #[test]
    fn texts_cannot_break_the_line() {
        let mut responses = Responses::default();
        responses.ok("a\r\n-ERR b\u{e9}\0");
        assert_eq!(responses.take(), b"+OK a??-ERR b??\r\n");
        responses.ok("x".repeat(1000));
        assert!(responses.take().len() <= 512);
    }

    #[test]
    fn a_number_of_octets_is_corrected_where_it_stands() {
        for octets in [0, 7, 12, 12_345] {
            let mut responses = Responses::default();
            responses.ok("before");
            let line = responses.octets(12);
            responses.message(b"message\r\n", &mut Encoding::default());
            responses.correct(line, octets);
            let expected = format!("+OK before\r\n+OK {octets} octets\r\nmessage\r\n");
            assert_eq!(responses.take(), expected.into_bytes());
        }
    }

    proptest! {
        #[test]
        fn one_pass_gives_what_two_do(text in "[.a\r\n]{0,40}", piece in 1usize..20) {
            prop_assert_eq!(sent(text.as_bytes(), piece), wire(text.as_bytes()));
        }

        #[test]
        fn what_is_sent_is_received(
            lines in proptest::collection::vec("[.a]{0,4}", 0..40),
            piece in 1usize..20,
        ) {
            let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            prop_assert_eq!(received(&sent(message.as_bytes(), piece)), message.into_bytes());
        }
    }
}
