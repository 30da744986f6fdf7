//! The values of Content-Type, Content-Disposition and Content-Language (RFC 2045 §5.1, RFC 2183
//! §2, RFC 3282 §2).
//!
//! Values are raw: quoting and folding are undone, RFC 2047 and RFC 2231 encodings stay, but where
//! the value of one parameter is wanted.

use std::borrow::Cow;

use super::continuation;
use super::header::is_space;
use super::token::Lexer;

/// A parameter: its name as it is written, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The attribute.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// A content type with its parameters yet to be read.
#[derive(Clone, Debug)]
pub(super) struct ContentType<'a> {
    /// The type, as it is written.
    pub(super) kind: &'a [u8],
    /// The subtype, as it is written.
    pub(super) subtype: &'a [u8],
    /// The parameters.
    pub(super) parameters: Parameters<'a>,
}

impl<'a> ContentType<'a> {
    /// Reads `type "/" subtype *(";" parameter)`. A value that is none stands for no value at all
    /// (RFC 2045 §5.2).
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        lexer.skip_cfws();
        let kind = lexer.take_while(is_type_char);
        lexer.skip_cfws();
        if kind.is_empty() || !lexer.eat(b'/') {
            return None;
        }
        lexer.skip_cfws();
        let subtype = lexer.take_while(is_type_char);
        (!subtype.is_empty()).then_some(Self {
            kind,
            subtype,
            parameters: Parameters { lexer },
        })
    }

    /// Whether the type is `kind`.
    pub(super) fn is_kind(&self, kind: &[u8]) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// Whether this is that type and subtype.
    pub(super) fn is(&self, kind: &[u8], subtype: &[u8]) -> bool {
        self.is_kind(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// Whether this is message/global (RFC 6532 §3.7).
    pub(super) fn is_global(&self) -> bool {
        self.is(b"message", b"global")
    }

    /// The value of the first parameter of that name, or of its pieces.
    pub(super) fn parameter(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        continuation::find(self.parameters.clone(), name)
    }
}

/// The disposition type of Content-Disposition, and its parameters.
pub(super) fn disposition(value: &[u8]) -> Option<(&[u8], Parameters<'_>)> {
    let mut lexer = Lexer::new(value);
    let kind = word(&mut lexer);
    (!kind.is_empty()).then_some((kind, Parameters { lexer }))
}

/// The language tags of Content-Language.
pub(super) fn languages(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut lexer = Lexer::new(value);
    std::iter::from_fn(move || {
        loop {
            let tag = word(&mut lexer);
            if !tag.is_empty() {
                return Some(tag);
            }
            lexer.peek()?;
            lexer.bump();
        }
    })
}

/// The first word of a value, comments aside: a transfer encoding, say.
pub(super) fn first_word(value: &[u8]) -> Option<&[u8]> {
    let found = word(&mut Lexer::new(value));
    (!found.is_empty()).then_some(found)
}

/// The parameters of a value, lazily: name and value.
///
/// Interop: an unquoted value may hold white space, as in `name=annual report.pdf`; a parenthesis
/// within a word is no comment, as in `name=report(1).pdf`.
#[derive(Clone, Debug)]
pub(super) struct Parameters<'a> {
    lexer: Lexer<'a>,
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            // Whatever stands before the next semicolon belongs to nothing.
            self.lexer.skip_cfws();
            while self.lexer.peek().is_some_and(|octet| octet != b';') {
                if self.lexer.eat(b'"') {
                    self.lexer.quoted();
                } else {
                    self.lexer.bump();
                }
                self.lexer.skip_cfws();
            }
            if !self.lexer.eat(b';') {
                return None;
            }
            self.lexer.skip_cfws();
            let name = self
                .lexer
                .take_while(|octet| !is_space(octet) && !matches!(octet, b'=' | b';' | b'('));
            self.lexer.skip_cfws();
            if !name.is_empty() && self.lexer.eat(b'=') {
                return Some((name, self.value()));
            }
        }
    }
}

impl<'a> Parameters<'a> {
    /// Reads a value: a quoted string, or words up to the next semicolon.
    fn value(&mut self) -> Cow<'a, [u8]> {
        self.lexer.skip_cfws();
        if self.lexer.eat(b'"') {
            return self.lexer.quoted();
        }
        let is_word = |octet| !is_space(octet) && octet != b';';
        let mut value = Cow::Borrowed(self.lexer.take_while(is_word));
        loop {
            self.lexer.skip_cfws();
            let more = self.lexer.take_while(is_word);
            if more.is_empty() {
                return value;
            }
            let text = value.to_mut();
            text.push(b' ');
            text.extend_from_slice(more);
        }
    }
}

/// A word of a structured value, after comments.
fn word<'a>(lexer: &mut Lexer<'a>) -> &'a [u8] {
    lexer.skip_cfws();
    lexer.take_while(|octet| !is_space(octet) && !matches!(octet, b';' | b',' | b'('))
}

/// Whether an octet may be part of a type or subtype; wider than `token` where nothing is
/// ambiguous.
fn is_type_char(octet: u8) -> bool {
    !is_space(octet) && !matches!(octet, b'/' | b';' | b'(' | b'"' | b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    type TypeCase = (&'static [u8], Option<(&'static [u8], &'static [u8])>);
    type ParameterCase = (&'static [u8], &'static [(&'static str, &'static str)]);

    fn parameters(value: &[u8]) -> Vec<(String, String)> {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        ContentType::parse(value)
            .unwrap()
            .parameters
            .map(|(name, value)| (text(name), text(&value)))
            .collect()
    }

    #[test]
    fn content_types() {
        let table: [TypeCase; 9] = [
            (b" text/plain", Some((b"text", b"plain"))),
            (b" TEXT / Html ; a=b", Some((b"TEXT", b"Html"))),
            (b"(c) text (d) / (e) plain", Some((b"text", b"plain"))),
            (
                b"application/vnd.x+json;a=b",
                Some((b"application", b"vnd.x+json")),
            ),
            (b"text", None),
            (b"text/", None),
            (b"/plain", None),
            (b"", None),
            (b"; charset=x", None),
        ];
        for (value, expected) in table {
            let found = ContentType::parse(value);
            assert_eq!(found.map(|found| (found.kind, found.subtype)), expected);
        }
    }

    #[test]
    fn parameter_values() {
        let table: [ParameterCase; 9] = [
            (
                b"a/b; charset=us-ascii (Plain text)",
                &[("charset", "us-ascii")],
            ),
            (b"a/b;x=\"a;\\\"b\" ; y = 2;", &[("x", "a;\"b"), ("y", "2")]),
            (
                b"a/b; name=my file.pdf; x=1",
                &[("name", "my file.pdf"), ("x", "1")],
            ),
            (b"a/b; name=report(1).pdf", &[("name", "report(1).pdf")]),
            (b"a/b; junk; =1; x=", &[("x", "")]),
            (
                b"a/b;\r\n\tname*0*=utf-8''%E2%82%AC;\r\n\tname*1=\"x\"",
                &[("name*0*", "utf-8''%E2%82%AC"), ("name*1", "x")],
            ),
            (b"a/b; x=\"never ends; y=2", &[("x", "never ends; y=2")]),
            (b"a/b; x=\"1\" \"; y=2\"; z=3", &[("x", "1"), ("z", "3")]),
            (b"a/b", &[]),
        ];
        for (value, expected) in table {
            let expected: Vec<_> = expected
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(parameters(value), expected);
        }
    }

    #[test]
    fn language_lists() {
        let tags: Vec<_> = languages(b" en, (German) de-CH,, fr ").collect();
        assert_eq!(tags, [b"en" as &[u8], b"de-CH", b"fr"]);
    }
}
