//! What a line of a transcript stands for: text with visible wildcards and variables.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};

/// The values of variables, by name.
pub(super) type Variables = BTreeMap<String, Vec<u8>>;

/// A text with wildcards and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

/// A part of a [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Exactly these octets.
    Literal(Vec<u8>),
    /// Any text of a kind.
    Wildcard(Kind),
    /// A variable: captured the first time, the same text afterwards.
    Variable(String, Kind),
}

/// Kinds of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any octets, also none.
    Any,
    /// Decimal digits.
    Digits,
    /// Hexadecimal digits in lower case.
    Hex,
    /// No spaces, control characters, parentheses, brackets or quotes.
    Word,
}

impl Pattern {
    /// Reads a pattern: `${name}`, `${name:kind}`, `%{kind}`, `%{0d 0a}` (octets), `%{x*99}`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("${").into_iter().chain(rest.find("%{")).min() {
            let (before, special) = rest.split_at(at);
            push_literal(&mut pieces, before.as_bytes());
            let (inside, after) = special
                .get(2..)
                .and_then(|special| special.split_once('}'))
                .with_context(|| format!("no closing brace in {special:?}"))?;
            if special.starts_with('$') {
                let (name, kind) = inside.split_once(':').unwrap_or((inside, "word"));
                ensure!(!name.is_empty(), "a variable without a name");
                let kind = Kind::parse(kind).with_context(|| format!("no such kind: {kind}"))?;
                pieces.push(Piece::Variable(name.to_owned(), kind));
            } else if let Some(kind) = Kind::parse(inside) {
                pieces.push(Piece::Wildcard(kind));
            } else {
                push_literal(&mut pieces, &octets(inside)?);
            }
            rest = after;
        }
        push_literal(&mut pieces, rest.as_bytes());
        Ok(Self(pieces))
    }

    /// Appends a line end and another pattern.
    pub(super) fn continue_with(&mut self, line: Self) {
        push_literal(&mut self.0, b"\r\n");
        for piece in line.0 {
            match piece {
                Piece::Literal(octets) => push_literal(&mut self.0, &octets),
                piece @ (Piece::Wildcard(_) | Piece::Variable(..)) => self.0.push(piece),
            }
        }
    }

    /// The text with the values of its variables, to be sent.
    pub(super) fn expand(&self, variables: &Variables) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(octets) => text.extend_from_slice(octets),
                Piece::Variable(name, _) => text.extend_from_slice(
                    variables
                        .get(name)
                        .with_context(|| format!("{name} has no value yet"))?,
                ),
                Piece::Wildcard(_) => bail!("a wildcard cannot be sent"),
            }
        }
        Ok(text)
    }

    /// Whether `text` is what this stands for; then variables get their values.
    pub(super) fn matches(&self, text: &[u8], variables: &mut Variables) -> bool {
        let mut captured = variables.clone();
        let matches = pieces_match(&self.0, text, &mut captured);
        if matches {
            *variables = captured;
        }
        matches
    }
}

impl fmt::Display for Pattern {
    /// Shows it as it is written, line ends and octets escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Literal(octets) => {
                    let text = String::from_utf8_lossy(octets);
                    f.write_str(&text.escape_debug().to_string().replace("\\\"", "\""))?;
                }
                Piece::Wildcard(kind) => write!(f, "%{{{}}}", kind.name())?,
                Piece::Variable(name, _) => write!(f, "${{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Kind {
    /// The name of a kind.
    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Digits => "digits",
            Self::Hex => "hex",
            Self::Word => "word",
        }
    }

    /// The kind with a name.
    fn parse(name: &str) -> Option<Self> {
        match name {
            "any" => Some(Self::Any),
            "digits" => Some(Self::Digits),
            "hex" => Some(Self::Hex),
            "word" => Some(Self::Word),
            _ => None,
        }
    }

    /// Whether an octet may be in a text of this kind.
    const fn admits(self, octet: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Digits => octet.is_ascii_digit(),
            Self::Hex => matches!(octet, b'0'..=b'9' | b'a'..=b'f'),
            Self::Word => {
                octet > b' '
                    && !matches!(octet, b'(' | b')' | b'[' | b']' | b'<' | b'>' | b'"' | 0x7f)
            }
        }
    }

    /// The fewest octets a text of this kind has.
    const fn least(self) -> usize {
        match self {
            Self::Any => 0,
            Self::Digits | Self::Hex | Self::Word => 1,
        }
    }
}

/// Matches pieces from the left, trying the longest text for a wildcard first.
fn pieces_match(pieces: &[Piece], text: &[u8], variables: &mut Variables) -> bool {
    let Some((piece, pieces)) = pieces.split_first() else {
        return text.is_empty();
    };
    let (kind, name) = match piece {
        Piece::Literal(octets) => {
            return text
                .strip_prefix(octets.as_slice())
                .is_some_and(|rest| pieces_match(pieces, rest, variables));
        }
        Piece::Variable(name, kind) => {
            if let Some(value) = variables.get(name).cloned() {
                return text
                    .strip_prefix(value.as_slice())
                    .is_some_and(|rest| pieces_match(pieces, rest, variables));
            }
            (*kind, Some(name))
        }
        Piece::Wildcard(kind) => (*kind, None),
    };
    let most = text.iter().take_while(|&&octet| kind.admits(octet)).count();
    (kind.least()..=most).rev().any(|length| {
        let (value, rest) = text.split_at(length);
        if let Some(name) = name {
            variables.insert(name.clone(), value.to_vec());
        }
        let matches = pieces_match(pieces, rest, variables);
        if let (false, Some(name)) = (matches, name) {
            variables.remove(name);
        }
        matches
    })
}

/// Appends octets, joining literals.
fn push_literal(pieces: &mut Vec<Piece>, octets: &[u8]) {
    if octets.is_empty() {
        return;
    }
    if let Some(Piece::Literal(last)) = pieces.last_mut() {
        last.extend_from_slice(octets);
    } else {
        pieces.push(Piece::Literal(octets.to_vec()));
    }
}

/// Octets in hexadecimal, or a character many times.
fn octets(text: &str) -> Result<Vec<u8>> {
    if let Some((repeated, times)) = text.rsplit_once('*') {
        return Ok(repeated.repeat(times.parse()?).into_bytes());
    }
    text.split(' ')
        .map(|octet| u8::from_str_radix(octet, 16).with_context(|| format!("no octet: {octet}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_their_kinds() {
        for (pattern, text, matches) in [
            ("+OK 2 320", "+OK 2 320", true),
            ("+OK 2 320", "+OK 2 3200", false),
            ("+OK%{any}", "+OK", true),
            ("+OK%{any}", "+OK anything", true),
            ("+OK %{digits} octets", "+OK 120 octets", true),
            ("+OK %{digits} octets", "+OK x octets", false),
            ("+OK %{digits} octets", "+OK  octets", false),
            ("%{any}b%{any}d", "abcbd", true),
            ("[%{word}]", "[a]b]", false),
            ("%{61 2e}", "a.", true),
            ("%{a*3}b", "aaab", true),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            let got = pattern.matches(text.as_bytes(), &mut Variables::new());
            assert_eq!(got, matches, "{pattern:?} {text}");
        }
    }

    #[test]
    fn variables_are_captured_and_then_fixed() {
        let mut variables = Variables::new();
        let pattern = Pattern::parse("1 ${id} ${id}").unwrap();
        assert!(!pattern.matches(b"1 ab cd", &mut variables));
        assert!(variables.is_empty());
        assert!(pattern.matches(b"1 ab ab", &mut variables));
        let sent = Pattern::parse("DELE ${id}").unwrap();
        assert_eq!(sent.expand(&variables).unwrap(), b"DELE ab");
        assert!(
            !Pattern::parse("${id}")
                .unwrap()
                .matches(b"xy", &mut variables)
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in ["${", "%{any", "${}", "${a:b}", "%{zz}", "%{a*b}"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
