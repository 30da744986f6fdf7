//! The only place that writes wire syntax: single lines, multi-line responses and byte-stuffing
//! (RFC 1939 §3, RFC 2449 §3), and the capability list.

use std::fmt::Display;
use std::io::Write as _;

use auth::sasl::Mechanism;
use machine::{Link, Security};
use memchr::memmem;

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

    /// A piece of a message.
    pub fn message(&mut self, piece: &[u8], stuffing: &mut Stuffing) {
        stuffing.stuff(piece, &mut self.bytes);
    }

    /// The end of a message: completes its last line if need be, then ends the response.
    pub fn message_end(&mut self, stuffing: &Stuffing) {
        if !stuffing.at_line_start {
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

/// Byte-stuffing across the pieces of one message (RFC 1939 §3).
#[derive(Clone, Copy, Debug)]
pub struct Stuffing {
    at_line_start: bool,
}

impl Stuffing {
    /// Appends `piece` to `output`, with a dot before every line that begins with one.
    fn stuff(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        output.reserve(piece.len() + piece.len() / 64);
        if self.at_line_start && piece.first() == Some(&b'.') {
            output.push(b'.');
        }
        let mut rest = piece;
        while let Some(line_end) = memmem::find(rest, b"\n.") {
            let (line, after) = rest.split_at(line_end + 1);
            output.extend_from_slice(line);
            output.push(b'.');
            rest = after;
        }
        output.extend_from_slice(rest);
        if let Some(&last) = piece.last() {
            self.at_line_start = last == b'\n';
        }
    }
}

impl Default for Stuffing {
    /// A message begins at the start of a line.
    fn default() -> Self {
        Self {
            at_line_start: true,
        }
    }
}

/// What CAPA lists (RFC 2449 §5). The same in both states, as RFC 2449 asks of all of these.
///
/// Interop: UIDL is there before the login too, because JavaMail decides then. USER and SASL are
/// not there where passwords are refused.
pub fn capabilities(settings: &Settings, link: &Link) -> Vec<String> {
    let mut list: Vec<String> = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        .map(str::to_owned)
        .into();
    list.push("EXPIRE NEVER".to_owned());
    if link.allows_passwords() {
        list.push("USER".to_owned());
        let mechanisms = Mechanism::ALL.map(Mechanism::name).join(" ");
        list.push(format!("SASL {mechanisms}"));
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

/// How much output is worth sending at once.
pub const SLICE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A message as it goes out, given in pieces.
    fn sent(message: &[u8], piece: usize) -> Vec<u8> {
        let mut responses = Responses::default();
        let mut stuffing = Stuffing::default();
        for bytes in message.chunks(piece) {
            responses.message(bytes, &mut stuffing);
        }
        responses.message_end(&stuffing);
        responses.take()
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

    proptest! {
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
