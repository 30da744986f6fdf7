//! Content transfer encodings (RFC 2045 §6), decoded piece by piece for searches.
//!
//! Broken encodings never fail: what cannot be decoded is passed over (base64) or left as it is
//! (quoted-printable).

use super::steps;

/// A decoder that keeps its place between pieces.
#[derive(Debug)]
pub(super) enum TransferDecoder {
    /// 7bit, 8bit, binary, and whatever is not known.
    Identity,
    /// Base64 (RFC 2045 §6.8).
    Base64(Base64),
    /// Quoted-printable (RFC 2045 §6.7).
    QuotedPrintable,
}

impl TransferDecoder {
    /// For a value of Content-Transfer-Encoding.
    pub(super) fn new(encoding: &[u8]) -> Self {
        if encoding.eq_ignore_ascii_case(b"base64") {
            Self::Base64(Base64::default())
        } else if encoding.eq_ignore_ascii_case(b"quoted-printable") {
            Self::QuotedPrintable
        } else {
            Self::Identity
        }
    }

    /// Decodes a piece. Pieces of quoted-printable are whole lines.
    pub(super) fn piece(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        steps::add(octets.len());
        match self {
            Self::Identity => out.extend_from_slice(octets),
            Self::Base64(base64) => base64.piece(octets, out),
            Self::QuotedPrintable => quoted_printable(octets, out),
        }
    }
}

/// The bits of base64 that do not make an octet yet.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    bits: u32,
    count: u32,
}

impl Base64 {
    /// Decodes a piece: white space and foreign characters are passed over, and after padding
    /// another encoded text may begin.
    pub(super) fn piece(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.reserve(octets.len() / 4 * 3);
        for &octet in octets {
            let Some(value) = sextet(octet) else {
                if octet == b'=' {
                    *self = Self::default();
                }
                continue;
            };
            self.bits = (self.bits << 6) | u32::from(value);
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                let [.., last] = (self.bits >> self.count).to_be_bytes();
                out.push(last);
                self.bits &= (1 << self.count) - 1;
            }
        }
    }
}

/// Decodes whole lines of quoted-printable.
fn quoted_printable(octets: &[u8], out: &mut Vec<u8>) {
    out.reserve(octets.len());
    let mut rest = octets;
    while let Some(at) = memchr::memchr(b'=', rest) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        if let Some(octet) = hex_pair(rest) {
            out.push(octet);
            rest = rest.get(2..).unwrap_or_default();
            continue;
        }
        let spaces = rest
            .iter()
            .take_while(|&&octet| matches!(octet, b' ' | b'\t'))
            .count();
        let behind = rest.get(spaces..).unwrap_or_default();
        if let Some(next) = behind
            .strip_prefix(b"\r\n")
            .or_else(|| behind.strip_prefix(b"\n"))
        {
            rest = next;
        } else if !behind.is_empty() {
            out.push(b'=');
        } else {
            rest = behind;
        }
    }
    out.extend_from_slice(rest);
}

/// The octet that two hexadecimal digits stand for.
pub(super) fn hex_pair(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// The value of a character of base64 (RFC 2045 §6.8).
pub(super) fn sextet(octet: u8) -> Option<u8> {
    match octet {
        b'A'..=b'Z' => Some(octet - b'A'),
        b'a'..=b'z' => Some(octet - b'a' + 26),
        b'0'..=b'9' => Some(octet - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        let mut decoder = TransferDecoder::new(encoding);
        let mut out = Vec::new();
        for piece in pieces {
            decoder.piece(piece, &mut out);
        }
        out
    }

    #[test]
    fn base64_in_pieces() {
        for (pieces, expected) in [
            (&[b"aGVsbG8=" as &[u8]] as &[&[u8]], b"hello" as &[u8]),
            (&[b"aG", b"Vsb\r\n", b"G8="], b"hello"),
            (&[b"aGVs*bG8"], b"hello"),
            (&[b"aGk=aGk="], b"hihi"),
            (&[b"===="], b""),
            (&[b"a"], b""),
        ] {
            assert_eq!(decoded(b"BASE64", pieces), expected);
        }
    }

    #[test]
    fn quoted_printable_lines() {
        for (text, expected) in [
            (b"caf=C3=A9\r\n" as &[u8], b"caf\xc3\xa9\r\n" as &[u8]),
            (b"soft=\r\nbreak", b"softbreak"),
            (b"soft= \t\r\nbreak", b"softbreak"),
            (b"low=e9", b"low\xe9"),
            (b"1 = 2, =ZZ", b"1 = 2, =ZZ"),
            (b"end=", b"end"),
            (b"==3D", b"=="),
        ] {
            assert_eq!(decoded(b"quoted-printable", &[text]), expected);
        }
    }
}
