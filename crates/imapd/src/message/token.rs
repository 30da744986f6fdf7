//! The lexical layer that RFC 5322 §3.2 and RFC 2045 §5.1 share: comments, quoted strings, words.

use std::borrow::Cow;

use super::header::is_space;
use super::steps;

/// A cursor over a folded field value. Line ends count as white space.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
}

impl<'a> Lexer<'a> {
    /// At the beginning of a value.
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    /// Steps over the next octet.
    pub(super) fn bump(&mut self) {
        self.advance(1);
    }

    /// Steps over `octet` if it is next.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.bump();
        }
        found
    }

    /// Takes octets as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&octet| !wanted(octet));
        let taken = self
            .rest
            .get(..end.unwrap_or(self.rest.len()))
            .unwrap_or_default();
        self.advance(taken.len());
        taken
    }

    /// Steps over white space and comments; whether there were any.
    pub(super) fn skip_cfws(&mut self) -> bool {
        let before = self.rest.len();
        loop {
            self.take_while(is_space);
            if !self.eat(b'(') {
                break;
            }
            self.comment();
        }
        self.rest.len() < before
    }

    /// The contents of a comment whose `(` has been taken: nested ones with their parentheses,
    /// quoted pairs and folding undone. Without its `)` it ends with the value.
    pub(super) fn comment(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut depth = 1_usize;
        while let Some(octet) = self.peek() {
            self.bump();
            match octet {
                b'\\' => {
                    out.extend(self.peek());
                    self.bump();
                    continue;
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                b'\r' | b'\n' => continue,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            out.push(octet);
        }
        out
    }

    /// The contents of a quoted string whose first `"` has been taken, quoted pairs and folding
    /// undone. Without its last `"` it ends with the value.
    pub(super) fn quoted(&mut self) -> Cow<'a, [u8]> {
        let plain = self.take_while(|octet| !matches!(octet, b'"' | b'\\' | b'\r' | b'\n'));
        if matches!(self.peek(), None | Some(b'"')) {
            self.bump();
            return Cow::Borrowed(plain);
        }
        let mut out = plain.to_vec();
        while let Some(octet) = self.peek() {
            self.bump();
            match octet {
                b'"' => break,
                b'\\' => {
                    out.extend(self.peek());
                    self.bump();
                }
                b'\r' | b'\n' => {}
                _ => out.push(octet),
            }
        }
        Cow::Owned(out)
    }

    /// The next octet.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn advance(&mut self, octets: usize) {
        steps::add(octets);
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings() {
        for (value, expected, rest) in [
            (b"plain\" x" as &[u8], b"plain" as &[u8], b" x" as &[u8]),
            (b"a\\\"b\\\\\"", b"a\"b\\", b""),
            (b"folded\r\n here\"", b"folded here", b""),
            (b"no end", b"no end", b""),
            (b"no end\\", b"no end", b""),
        ] {
            let mut lexer = Lexer::new(value);
            assert_eq!(lexer.quoted().as_ref(), expected);
            assert_eq!(lexer.rest(), rest);
        }
    }

    #[test]
    fn comments() {
        for (value, expected, rest) in [
            (b"one) x" as &[u8], b"one" as &[u8], b" x" as &[u8]),
            (b"a (b) c)", b"a (b) c", b""),
            (b"a\\)b)", b"a)b", b""),
            (b"((((", b"((((", b""),
        ] {
            let mut lexer = Lexer::new(value);
            assert_eq!(lexer.comment(), expected);
            assert_eq!(lexer.rest(), rest);
        }
    }
}
