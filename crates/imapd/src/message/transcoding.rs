//! Parts that are encoded anew as base64, because their octets cannot be kept as they are.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::decoder::{Encoding, Undecodable};
use super::header::Header;
use super::mime::{Kind, Parsed, Part};

/// Octets of a line of base64, which has at most 76 characters (RFC 2045 §6.8).
const LINE: usize = 57;

/// What has to be encoded of a message.
#[derive(Debug)]
pub struct Transcoding<'a> {
    message: &'a [u8],
    /// Leaves, in the order they begin.
    parts: Vec<Part>,
}

impl<'a> Transcoding<'a> {
    /// Looks for parts with NUL, and for binary ones with line ends that are no CRLF.
    ///
    /// # Errors
    /// If there is NUL elsewhere.
    pub fn new(message: &'a [u8]) -> Result<Self, Undecodable> {
        let parsed = Parsed::new(message);
        let cannot_be_kept = |part: &&Part| {
            let header = message.get(part.header()).unwrap_or_default();
            let body = message.get(part.body()).unwrap_or_default();
            part.kind == Kind::Leaf
                && match Encoding::of(header) {
                    Encoding::Binary => has_nul(body) || has_lone_line_end(body),
                    Encoding::Identity => has_nul(body),
                    // What is encoded has no NUL, whatever it stands for.
                    Encoding::Base64 | Encoding::QuotedPrintable | Encoding::Unknown => false,
                }
        };
        let parts = parsed.parts().iter().filter(cannot_be_kept).copied();
        let transcoding = Self {
            message,
            parts: parts.collect(),
        };
        if transcoding.kept().any(has_nul) {
            return Err(Undecodable);
        }
        Ok(transcoding)
    }

    /// Whether anything has to be encoded.
    pub fn is_needed(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Writes the message.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut out = io::BufWriter::new(out);
        let mut from = 0;
        for part in &self.parts {
            out.write_all(self.message.get(from..part.start).unwrap_or_default())?;
            let header = self.message.get(part.header()).unwrap_or_default();
            out.write_all(&header_of_base64(header))?;
            let body = self.message.get(part.body()).unwrap_or_default();
            let mut line_end: &[u8] = b"";
            for line in body.chunks(LINE) {
                out.write_all(line_end)?;
                out.write_all(STANDARD.encode(line).as_bytes())?;
                line_end = b"\r\n";
            }
            from = part.end;
        }
        out.write_all(self.message.get(from..).unwrap_or_default())?;
        out.flush()
    }

    /// The stretches that stay as they are, but for the field that names the encoding.
    fn kept(&self) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.parts.iter().map(|part| part.end));
        let ends = self.parts.iter().map(|part| part.body);
        let ends = ends.chain(std::iter::once(self.message.len()));
        let message = self.message;
        starts
            .zip(ends)
            .map(move |(start, end)| message.get(start..end).unwrap_or_default())
    }
}

/// A header that says that its part is encoded as base64.
fn header_of_base64(header: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"Content-Transfer-Encoding";
    let mut header = Header::new(header).subset(|field| !field.is(NAME));
    let blank = header.len().saturating_sub(2);
    header.truncate(blank);
    header.extend_from_slice(NAME);
    header.extend_from_slice(b": base64\r\n\r\n");
    header
}

fn has_nul(octets: &[u8]) -> bool {
    memchr::memchr(0, octets).is_some()
}

/// Whether there is a CR without LF behind it, or an LF without CR before it.
fn has_lone_line_end(octets: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', octets).any(|at| match octets.get(at) {
        Some(b'\r') => octets.get(at + 1) != Some(&b'\n'),
        _ => at.checked_sub(1).and_then(|before| octets.get(before)) != Some(&b'\r'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::imap_rev2::Revision;
    use crate::message::Decoder;

    fn transcoded(message: &[u8]) -> Option<Vec<u8>> {
        let transcoding = Transcoding::new(message).ok()?;
        let mut out = Vec::new();
        transcoding.write(&mut out).unwrap();
        assert_eq!(transcoding.is_needed(), out != message);
        Some(out)
    }

    #[test]
    fn only_parts_that_cannot_be_kept_are_encoded() {
        let rows: [(&[u8], &[u8]); 7] = [
            (b"A: b\r\n\r\nplain\r\n", b"A: b\r\n\r\nplain\r\n"),
            (
                b"A: b\r\n\r\na\0b",
                b"A: b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi",
            ),
            (
                b"content-transfer-encoding: binary\r\nA: b\r\n\r\na\nb",
                b"A: b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQpi",
            ),
            (
                b"Content-Transfer-Encoding: binary\r\n\r\na\r\nb",
                b"Content-Transfer-Encoding: binary\r\n\r\na\r\nb",
            ),
            // Without `binary` it is text with the line ends of another system.
            (b"A: b\r\n\r\na\nb", b"A: b\r\n\r\na\nb"),
            (
                b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\
                Content-Type: a/b\r\n\r\n\0\r\n--x\r\n\r\n\0\0\r\n--x--\r\n",
                b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n\
                Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n--x\r\n\
                Content-Transfer-Encoding: base64\r\n\r\nAAA=\r\n--x--\r\n",
            ),
            (b"\r\n\0", b"Content-Transfer-Encoding: base64\r\n\r\nAA=="),
        ];
        for (message, expected) in rows {
            let found = transcoded(message).unwrap();
            assert_eq!(
                found.escape_ascii().to_string(),
                expected.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn what_is_no_part_cannot_be_encoded() {
        for message in [
            &b"A: \0\r\n\r\nbody"[..],
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n\0\r\n--x\r\n\r\none\r\n--x--\r\n",
            b"Content-Transfer-Encoding: base64\r\n\r\nAA\0==",
        ] {
            assert_eq!(transcoded(message), None, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn nothing_is_lost() {
        let octets = (0..100_000_u32).map(|it| (it * 7 / 3).to_le_bytes()[0]);
        let body: Vec<u8> = octets.collect();
        let header = b"Content-Transfer-Encoding: BINARY\r\n\r\n";
        let out = transcoded(&[&header[..], &body].concat()).unwrap();
        let (range, encoding) = Parsed::new(&out)
            .encoded(&out, &[1], Revision::Rev1)
            .unwrap();
        let encoded = out.get(range).unwrap();
        assert!(
            encoded
                .split(|it| *it == b'\n')
                .all(|line| line.len() <= 77)
        );
        let mut decoder = Decoder::new(encoding).unwrap();
        let mut decoded = Vec::new();
        decoder.piece(encoded, &mut decoded).unwrap();
        assert!(decoder.end().is_ok() && decoded == body);
    }
}
