//! Content transfer encodings (RFC 2045 §6) decoded exactly, or not at all.
//!
//! For BINARY (RFC 3516): a client that is given octets takes them for the part. Where an encoding
//! is not known, or was damaged, it is told so and sees to it itself. White space between base64
//! characters is passed over (RFC 2045 §6.8), and at the end of lines of quoted-printable
//! (RFC 2045 §6.7); anything else that does not belong there is damage.

use super::header::Fields;
use super::media::first_word;
use super::transfer::sextet;

/// How a part is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 7bit, 8bit: not at all.
    Identity,
    /// Not at all, and it need not be text (RFC 2045 §2.9).
    Binary,
    /// Base64 (RFC 2045 §6.8).
    Base64,
    /// Quoted-printable (RFC 2045 §6.7).
    QuotedPrintable,
    /// In a way that we do not know.
    Unknown,
}

impl Encoding {
    /// That of the part with this header.
    pub(super) fn of(header: &[u8]) -> Self {
        let field = Fields::named(header, b"Content-Transfer-Encoding");
        Self::named(field.and_then(|field| first_word(field.value)))
    }

    /// Whether the octets are those of the part.
    pub(super) fn is_none(self) -> bool {
        matches!(self, Self::Identity | Self::Binary)
    }

    /// By the value of Content-Transfer-Encoding; without one it is 7bit (RFC 2045 §6.1).
    fn named(name: Option<&[u8]>) -> Self {
        let known: [(&[u8], Self); 6] = [
            (b"", Self::Identity),
            (b"7bit", Self::Identity),
            (b"8bit", Self::Identity),
            (b"binary", Self::Binary),
            (b"base64", Self::Base64),
            (b"quoted-printable", Self::QuotedPrintable),
        ];
        let name = name.unwrap_or_default();
        let found = known.iter().find(|it| it.0.eq_ignore_ascii_case(name));
        found.map_or(Self::Unknown, |it| it.1)
    }
}

/// A part cannot be decoded (RFC 3516 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

/// What pieces come to.
type Decoded = Result<(), Undecodable>;

/// A decoder that keeps its place between pieces, wherever they are cut.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    Identity,
    Base64(Base64),
    QuotedPrintable(QuotedPrintable),
}

impl Decoder {
    /// For an encoding.
    ///
    /// # Errors
    /// If it is not known.
    pub fn new(encoding: Encoding) -> Result<Self, Undecodable> {
        Ok(Self(match encoding {
            Encoding::Identity | Encoding::Binary => State::Identity,
            Encoding::Base64 => State::Base64(Base64::default()),
            Encoding::QuotedPrintable => State::QuotedPrintable(QuotedPrintable::default()),
            Encoding::Unknown => return Err(Undecodable),
        }))
    }

    /// Decodes a piece.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn piece(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Decoded {
        match &mut self.0 {
            State::Identity => out.extend_from_slice(octets),
            State::Base64(base64) => {
                out.reserve(octets.len() / 4 * 3 + 3);
                for &octet in octets {
                    base64.octet(octet, out)?;
                }
            }
            State::QuotedPrintable(quoted) => {
                out.reserve(octets.len());
                for &octet in octets {
                    quoted.octet(octet, out)?;
                }
            }
        }
        Ok(())
    }

    /// The part has ended.
    ///
    /// # Errors
    /// If something is missing at its end.
    pub fn end(&self) -> Decoded {
        let whole = match &self.0 {
            State::Identity => true,
            State::Base64(base64) => base64.sextets == 0 || base64.is_padded(),
            State::QuotedPrintable(quoted) => !matches!(quoted.place, Place::Hex(_)),
        };
        if whole { Ok(()) } else { Err(Undecodable) }
    }
}

/// The place in base64.
#[derive(Debug, Default)]
struct Base64 {
    /// Bits that do not make an octet yet.
    bits: u32,
    /// Characters of the current group of four.
    sextets: u32,
    /// Padding characters that came after them.
    padding: u32,
}

impl Base64 {
    /// Whether the encoded text has come to its end.
    const fn is_padded(&self) -> bool {
        self.padding > 0 && self.sextets + self.padding == 4
    }

    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) -> Decoded {
        match (octet, sextet(octet)) {
            (b' ' | b'\t' | b'\r' | b'\n', _) => Ok(()),
            (b'=', _) if self.sextets >= 2 && !self.is_padded() => {
                self.padding += 1;
                Ok(())
            }
            (_, Some(value)) if self.padding == 0 => {
                self.bits = (self.bits << 6 | u32::from(value)) & 0xff_ffff;
                self.sextets += 1;
                // The second, third and fourth character of a group each complete an octet.
                if self.sextets > 1 {
                    let unused = 2 * (4 - self.sextets);
                    let [.., last] = (self.bits >> unused).to_be_bytes();
                    out.push(last);
                }
                self.sextets %= 4;
                Ok(())
            }
            _ => Err(Undecodable),
        }
    }
}

/// The place in quoted-printable.
#[derive(Debug, Default)]
struct QuotedPrintable {
    place: Place,
    /// White space that counts only if its line goes on (RFC 2045 §6.7, rule 3).
    space: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    /// Behind an equal sign.
    Equal,
    /// Behind it and the first hexadecimal digit.
    Hex(u8),
    /// Behind it and white space, or CR.
    SoftBreak,
}

/// How much white space may stand together: a line has no more octets (RFC 5322 §2.1.1).
const MOST_SPACE: usize = 998;

impl QuotedPrintable {
    fn octet(&mut self, octet: u8, out: &mut Vec<u8>) -> Decoded {
        let digit = char::from(octet).to_digit(16);
        let digit = digit.and_then(|digit| u8::try_from(digit).ok());
        self.place = match (self.place, octet, digit) {
            (Place::Text, b'=', _) => {
                out.append(&mut self.space);
                Place::Equal
            }
            (Place::Text, b' ' | b'\t', _) => {
                self.space.push(octet);
                if self.space.len() > MOST_SPACE {
                    return Err(Undecodable);
                }
                Place::Text
            }
            (Place::Text, b'\r' | b'\n', _) => {
                self.space.clear();
                out.push(octet);
                Place::Text
            }
            (Place::Text, _, _) => {
                out.append(&mut self.space);
                out.push(octet);
                Place::Text
            }
            (Place::Equal, _, Some(digit)) => Place::Hex(digit),
            (Place::Hex(first), _, Some(digit)) => {
                out.push(first * 16 + digit);
                Place::Text
            }
            (Place::Equal | Place::SoftBreak, b' ' | b'\t' | b'\r', _) => Place::SoftBreak,
            (Place::Equal | Place::SoftBreak, b'\n', _) => Place::Text,
            (Place::Equal | Place::Hex(_) | Place::SoftBreak, _, _) => return Err(Undecodable),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, text: &[u8], size: usize) -> Option<Vec<u8>> {
        let mut decoder = Decoder::new(encoding).ok()?;
        let mut out = Vec::new();
        for piece in text.chunks(size) {
            decoder.piece(piece, &mut out).ok()?;
        }
        decoder.end().ok()?;
        Some(out)
    }

    fn check(encoding: Encoding, rows: &[(&[u8], Option<&[u8]>)]) {
        for (text, expected) in rows {
            for size in [1, 2, 3, 1000] {
                let found = decoded(encoding, text, size);
                let text = text.escape_ascii();
                assert_eq!(found.as_deref(), *expected, "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn base64_is_whole_or_damaged() {
        check(
            Encoding::Base64,
            &[
                (b"", Some(b"")),
                (b"aGVsbG8=", Some(b"hello")),
                (b"aGVs\r\nbG8=\r\n\r\n", Some(b"hello")),
                (b"aGk=", Some(b"hi")),
                (b"aA==\t ", Some(b"h")),
                (b"a A = =", Some(b"h")),
                (b"aGVs", Some(b"hel")),
                (b"AAD/", Some(b"\0\0\xff")),
                (b"aGVsbG8", None),
                (b"aA=", None),
                (b"a===", None),
                (b"=", None),
                (b"aGk==", None),
                (b"aGk=aGk=", None),
                (b"aGVs*bG8=", None),
                (b"aGk=\r\n-- \r\nlist", None),
                (b"aGVs\0", None),
            ],
        );
    }

    #[test]
    fn quoted_printable_is_whole_or_damaged() {
        check(
            Encoding::QuotedPrintable,
            &[
                (b"caf=C3=a9\r\n", Some(b"caf\xc3\xa9\r\n")),
                (b"soft=\r\nbreak", Some(b"softbreak")),
                (b"soft= \t\r\nbreak", Some(b"softbreak")),
                (b"a b \t\r\nc ", Some(b"a b\r\nc")),
                (b"a =20\r\n", Some(b"a  \r\n")),
                (b"end=", Some(b"end")),
                (b"=00", Some(b"\0")),
                (b"1 = 2", None),
                (b"=ZZ", None),
                (b"=4", None),
                (b"==3D", None),
            ],
        );
        let space = |octets| [b" ".repeat(octets), b"x".to_vec()].concat();
        let fits = decoded(Encoding::QuotedPrintable, &space(998), 7);
        assert_eq!(fits, Some(space(998)));
        assert_eq!(decoded(Encoding::QuotedPrintable, &space(999), 7), None);
    }

    #[test]
    fn an_encoding_is_known_by_its_name() {
        for (name, expected) in [
            (None, Encoding::Identity),
            (Some(&b"8BIT"[..]), Encoding::Identity),
            (Some(b"Binary"), Encoding::Binary),
            (Some(b"BASE64"), Encoding::Base64),
            (Some(b"Quoted-Printable"), Encoding::QuotedPrintable),
            (Some(b"x-uuencode"), Encoding::Unknown),
        ] {
            assert_eq!(Encoding::named(name), expected, "{name:?}");
        }
        assert!(Decoder::new(Encoding::Unknown).is_err());
        assert_eq!(
            decoded(Encoding::Identity, b"a\0=\r\n", 2).unwrap(),
            b"a\0=\r\n"
        );
    }
}
