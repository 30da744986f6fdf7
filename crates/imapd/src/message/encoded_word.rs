//! Encoded words in header text (RFC 2047), decoded for searches.
//!
//! Neighboring encoded words of one charset are decoded together, because senders cut characters
//! in two. White space between encoded words is not shown (RFC 2047 §6.2).

use super::charset::{self, raw_text};
use super::header::is_space;
use super::steps;
use super::transfer::{Base64, hex_pair};

/// Decodes unfolded header text.
pub(super) fn decode(text: &[u8]) -> String {
    let mut out = Decoded::default();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"=?") {
        let (plain, tail) = rest.split_at(at);
        steps::add(at);
        match Word::parse(tail) {
            Some((word, behind)) => {
                out.plain(plain);
                out.word(&word);
                rest = behind;
            }
            None => {
                let (plain, behind) = rest.split_at(at + 2);
                out.plain(plain);
                rest = behind;
            }
        }
    }
    out.plain(rest);
    out.finish()
}

/// `"=?" charset ["*" language] "?" encoding "?" encoded-text "?="` (RFC 2047 §2, RFC 2231 §5).
struct Word<'a> {
    charset: &'a [u8],
    encoding: Encoding,
    text: &'a [u8],
}

/// How an encoded word is encoded (RFC 2047 §4).
#[derive(Clone, Copy)]
enum Encoding {
    B,
    Q,
}

impl<'a> Word<'a> {
    /// Reads a word after which `=?` has been found; also gives what is behind it.
    ///
    /// Interop: white space in the encoded text, which many senders put there.
    fn parse(tail: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let tail = tail.get(2..)?;
        let token_end = tail
            .iter()
            .position(|&octet| octet == b'?' || octet == b'=' || is_space(octet))?;
        steps::add(token_end);
        let (token, tail) = tail.split_at_checked(token_end)?;
        let (encoding, tail) = match tail {
            [b'?', b'B' | b'b', b'?', tail @ ..] => (Encoding::B, tail),
            [b'?', b'Q' | b'q', b'?', tail @ ..] => (Encoding::Q, tail),
            _ => return None,
        };
        let end = memchr::memchr(b'?', tail)?;
        steps::add(end);
        let (text, tail) = tail.split_at_checked(end)?;
        let behind = tail.strip_prefix(b"?=")?;
        let charset = token.split(|&octet| octet == b'*').next()?;
        (!charset.is_empty()).then_some((
            Self {
                charset,
                encoding,
                text,
            },
            behind,
        ))
    }

    /// Appends the octets that the word stands for.
    fn octets(&self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::B => Base64::default().piece(self.text, out),
            Encoding::Q => {
                let mut rest = self.text;
                while let Some((&octet, tail)) = rest.split_first() {
                    rest = tail;
                    match octet {
                        b'_' => out.push(b' '),
                        b'=' => match hex_pair(tail) {
                            Some(octet) => {
                                out.push(octet);
                                rest = tail.get(2..).unwrap_or_default();
                            }
                            None => out.push(b'='),
                        },
                        _ => out.push(octet),
                    }
                }
            }
        }
    }
}

/// Decoded text, and the encoded words that are not decoded yet.
#[derive(Default)]
struct Decoded<'a> {
    text: String,
    /// The charset of the words gathered in `octets`.
    charset: Option<&'a [u8]>,
    octets: Vec<u8>,
}

impl<'a> Decoded<'a> {
    fn word(&mut self, word: &Word<'a>) {
        let same = self
            .charset
            .is_some_and(|charset| charset.eq_ignore_ascii_case(word.charset));
        if !same {
            self.flush();
            self.charset = Some(word.charset);
        }
        word.octets(&mut self.octets);
    }

    /// Adds text between encoded words; white space alone is dropped after one.
    fn plain(&mut self, text: &[u8]) {
        if text.is_empty() || (self.charset.is_some() && text.iter().all(|&o| is_space(o))) {
            return;
        }
        self.flush();
        self.text += &raw_text(text);
    }

    fn flush(&mut self) {
        if let Some(charset) = self.charset.take() {
            let octets = std::mem::take(&mut self.octets);
            steps::add(octets.len());
            self.text += &charset::decode(charset, &octets).unwrap_or_else(|| raw_text(&octets));
        }
    }

    fn finish(mut self) -> String {
        self.flush();
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_decode() {
        for (text, expected) in [
            ("plain", "plain"),
            ("=?utf-8?Q?caf=C3=A9_au_lait?=", "caf\u{e9} au lait"),
            ("=?ISO-8859-1?B?Y2Fm6Q==?= x", "caf\u{e9} x"),
            ("a =?utf-8?q?b?=  =?utf-8?q?c?= d", "a bc d"),
            ("=?utf-8?Q?=C3?= =?UTF-8?B?qQ==?=", "\u{e9}"),
            ("=?utf-8?q?b?= =?iso-8859-1?q?=e9?=", "b\u{e9}"),
            ("=?utf-8*en?q?b?=", "b"),
            ("=?utf-8?q?two words?=", "two words"),
            ("=?utf-8?x?b?=", "=?utf-8?x?b?="),
            ("=?utf-8?q?never", "=?utf-8?q?never"),
            ("=?=?utf-8?q?b?=", "=?b"),
            ("=?x-unknown?q?b?=", "b"),
            ("=?utf-8?q?b?=,=?utf-8?q?c?=", "b,c"),
            ("caf\u{e9}", "caf\u{e9}"),
        ] {
            assert_eq!(decode(text.as_bytes()), expected, "{text}");
        }
    }
}
