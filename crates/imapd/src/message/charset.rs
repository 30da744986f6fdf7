//! Charsets, through mail-parser.

use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;

use super::steps;

/// Decodes octets of a charset, what is malformed to U+FFFD; `None` if the charset is not known.
/// US-ASCII is taken as UTF-8. For the CHARSET argument of SEARCH (RFC 3501 §6.4.4).
pub fn decode(charset: &[u8], octets: &[u8]) -> Option<String> {
    if is_utf8(charset) {
        return Some(String::from_utf8_lossy(octets).into_owned());
    }
    Some(decoder(charset)?(octets))
}

/// A decoder of text in a message that comes piece by piece, so that a large part is never in
/// memory whole.
///
/// Pieces are decoded up to a line end, where every charset of mail is in its initial state. Text
/// without line ends is cut after [`MAX_PENDING`] octets. US-ASCII, UTF-8 and unknown charsets are
/// read as UTF-8 where they are that, else as windows-1252: that is what mislabeled mail is.
#[derive(Debug)]
pub(super) struct TextDecoder {
    foreign: Option<DecoderFnc>,
    cut: Cut,
    pending: Vec<u8>,
}

/// Where text may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// After a line end.
    AfterLine,
    /// Nowhere known: a line end is more than one octet.
    Anywhere,
}

impl TextDecoder {
    /// For text of a charset.
    pub(super) fn new(charset: &[u8]) -> Self {
        let wide = charset
            .get(..4)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"utf-"))
            && charset
                .get(4..6)
                .is_some_and(|width| width == b"16" || width == b"32");
        Self {
            foreign: if is_utf8(charset) {
                None
            } else {
                decoder(charset)
            },
            cut: if wide { Cut::Anywhere } else { Cut::AfterLine },
            pending: Vec::new(),
        }
    }

    /// Takes a piece, and gives what can be decoded of it.
    pub(super) fn piece(&mut self, octets: &[u8]) -> String {
        self.pending.extend_from_slice(octets);
        let line = match self.cut {
            Cut::AfterLine => memchr::memrchr(b'\n', &self.pending).map(|end| end + 1),
            Cut::Anywhere => None,
        };
        let cut = line.unwrap_or(if self.pending.len() >= MAX_PENDING {
            // Whole units of a wide charset.
            self.pending.len() & !3
        } else {
            0
        });
        let rest = self.pending.split_off(cut);
        let text = self.text(&self.pending);
        self.pending = rest;
        text
    }

    /// What is left at the end.
    pub(super) fn finish(self) -> String {
        self.text(&self.pending)
    }

    fn text(&self, octets: &[u8]) -> String {
        steps::add(octets.len());
        match self.foreign {
            Some(decode) => decode(octets),
            None => raw_text(octets),
        }
    }
}

/// Text without a charset: UTF-8 if it is that, else windows-1252.
pub(super) fn raw_text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => decoder(b"windows-1252").map_or_else(
            || String::from_utf8_lossy(octets).into_owned(),
            |decode| decode(octets),
        ),
    }
}

fn decoder(charset: &[u8]) -> Option<DecoderFnc> {
    if charset.is_empty() || charset.len() > MAX_NAME {
        return None;
    }
    charset_decoder(charset)
}

/// Whether a charset is UTF-8, or US-ASCII, which is read as that.
pub(super) fn is_utf8(charset: &[u8]) -> bool {
    [b"utf-8" as &[u8], b"us-ascii", b"utf8", b"ascii"]
        .iter()
        .any(|name| charset.eq_ignore_ascii_case(name))
}

/// The longest name of a charset (RFC 2978 §2.3).
const MAX_NAME: usize = 40;

/// How much text is held back to find a line end.
const MAX_PENDING: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_charsets_decode() {
        for (charset, octets, expected) in [
            ("UTF-8", b"caf\xc3\xa9" as &[u8], Some("caf\u{e9}")),
            ("US-ASCII", b"a", Some("a")),
            ("iso-8859-1", b"caf\xe9", Some("caf\u{e9}")),
            ("KOI8-R", b"\xf0\xd2\xc9", Some("\u{41f}\u{440}\u{438}")),
            ("shift_jis", b"\x83n", Some("\u{30cf}")),
            ("x-nonsense", b"a", None),
            ("", b"a", None),
        ] {
            assert_eq!(decode(charset.as_bytes(), octets).as_deref(), expected);
        }
    }

    #[test]
    fn pieces_make_the_same_text_as_the_whole() {
        let text = "gr\u{fc}n\r\n\u{30cf}\u{30ed}\u{30fc}\r\nend";
        for size in 1..text.len() {
            let mut decoder = TextDecoder::new(b"utf-8");
            let mut out = String::new();
            for piece in text.as_bytes().chunks(size) {
                out += &decoder.piece(piece);
            }
            out += &decoder.finish();
            assert_eq!(out, text, "{size}");
        }
    }

    #[test]
    fn wide_text_is_not_cut_at_octets_that_look_like_line_ends() {
        let octets: Vec<u8> = "a\nb\u{a0a}c"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        let mut decoder = TextDecoder::new(b"UTF-16BE");
        let mut out = String::new();
        for piece in octets.chunks(3) {
            out += &decoder.piece(piece);
        }
        out += &decoder.finish();
        assert_eq!(out, "a\nb\u{a0a}c");
    }

    #[test]
    fn mislabeled_text_is_windows_1252() {
        assert_eq!(raw_text(b"caf\xe9 \x80"), "caf\u{e9} \u{20ac}");
    }
}
