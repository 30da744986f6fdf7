//! What of plain text is shown: what its sender wrote, before what was written to him.

use super::Line;
use crate::message::steps;

/// The beginning of the text, on one line.
pub(super) fn shown(text: &str) -> String {
    let mut plain = Plain::default();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        steps::add(line.len() + 1);
        if line.starts_with(ENCRYPTED) {
            return String::new();
        }
        if line.starts_with(SIGNED) {
            // Its headers (RFC 9580 §7).
            lines.by_ref().find(|line| line.is_empty());
            continue;
        }
        if plain.add(line) == Next::Nothing {
            break;
        }
    }
    plain.finish()
}

/// Whether more of the text is of use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Nothing,
}

/// Lines, of which the last ones may only introduce a quotation.
#[derive(Default)]
struct Plain<'a> {
    own: Line,
    quoted: Line,
    /// Lines that are shown unless a quotation follows.
    held: Vec<&'a str>,
    /// What the last line was.
    last: Last,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Text,
    Blank,
}

impl<'a> Plain<'a> {
    fn add(&mut self, line: &'a str) -> Next {
        if let Some(quotation) = line.strip_prefix('>') {
            self.quote(quotation);
            return Next::More;
        }
        let is_separator = !line.chars().any(char::is_alphanumeric) && line.is_ascii();
        if line == "--" || line.starts_with(SIGNATURE) {
            return Next::Nothing;
        }
        if line.is_empty() || is_separator {
            self.last = Last::Blank;
            if !self.introduces() {
                self.release();
            }
        } else {
            if self.last == Last::Blank || self.held.len() >= INTRODUCTION {
                self.release();
            }
            self.last = Last::Text;
            self.held.push(line.strip_prefix("- ").unwrap_or(line));
        }
        if self.own.is_full() {
            Next::Nothing
        } else {
            Next::More
        }
    }

    /// A quotation: what introduces it is not shown either.
    fn quote(&mut self, line: &str) {
        if self.introduces() {
            self.held.clear();
        } else {
            self.release();
        }
        self.last = Last::Blank;
        self.quoted.push(line.trim_start_matches(['>', ' ']));
        self.quoted.space();
    }

    /// Whether the lines that are held say whose words follow.
    fn introduces(&self) -> bool {
        self.held.last().is_some_and(|line| line.ends_with(':'))
    }

    /// Shows what is held.
    fn release(&mut self) {
        for line in self.held.drain(..) {
            self.own.push(line);
            self.own.space();
        }
    }

    fn finish(mut self) -> String {
        self.release();
        if self.own.text.is_empty() {
            self.quoted.text
        } else {
            self.own.text
        }
    }
}

/// How many lines introduce a quotation at the most, as long ones are folded.
const INTRODUCTION: usize = 3;
/// How encrypted text begins (RFC 9580 §6.2).
const ENCRYPTED: &str = "-----BEGIN PGP MESSAGE-----";
/// How signed text begins (RFC 9580 §7).
const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
/// What comes behind it.
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
