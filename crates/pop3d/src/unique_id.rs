//! How the unique-ids of UIDL are made (RFC 1939 §7): by a format as Dovecot's `pop3_uidl_format`,
//! so that clients of a mail tree that comes from another server see no message as new.
//!
//! # Syntax
//!
//! Text, in which `%%` is a percent sign, and variables: `%`, a width, modifiers, and one of
//!
//! | Variable | Is |
//! |---|---|
//! | `u`, `v` | UID and UIDVALIDITY, in decimal |
//! | `f` | the base name of the file: all before the `:` |
//! | `g` | the GUID that another server has given to the message; the base name if none has |
//! | `m` | the MD5 sum of some header fields, see `header_digest` |
//!
//! Modifiers work one after the other: `X` makes a number hexadecimal, `L` and `U` change the case,
//! `M` takes the MD5 sum. A width that begins with `0` fills up with zeros from the left; any other
//! cuts.
//!
//! # What may be sent
//!
//! An octet outside of 0x21 to 0x7E, which can only come from a file name, becomes `+` and two
//! hexadecimal digits: a blank would end the unique-id.
//!
//! Interop: RFC 1939 §7 allows 70 octets, and file names may be longer. Then the unique-id is longer
//! as well, because clients know it as it is from the server before; another would have them
//! download all mail again. For the same reason two messages may have the same one, which RFC 1939
//! §7 allows for sums of the contents: a number to tell them apart would change when one is deleted.

use std::fmt;
use std::io::Write as _;

use mailstore::{Uid, UidValidity};
use md5::{Digest as _, Md5};

use crate::digits::{decimal, hexadecimal};

/// How unique-ids are made. The default is Dovecot's, `%08Xu%08Xv`: UID and UIDVALIDITY in 8
/// hexadecimal digits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidlFormat {
    pieces: Vec<Piece>,
}

/// What is wrong with a format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UidlFormatError {
    /// It is neither a name nor a format.
    #[error("{0:?} is not known")]
    Unknown(String),
    /// It has a variable that there is not.
    #[error("holds %{0}, which is not known")]
    Variable(char),
    /// It ends with a variable that is not complete.
    #[error("ends within a variable")]
    Incomplete,
    /// A width is above `MAX_WIDTH`.
    #[error("holds a width above 70")]
    Width,
    /// `X` is for numbers.
    #[error("makes hexadecimal what is no number")]
    NoNumber,
    /// Nothing in it differs from message to message.
    #[error("is the same for all messages")]
    Constant,
    /// It has octets that no unique-id may have (RFC 1939 §7).
    #[error("holds what no unique-id may hold")]
    Text,
}

/// What unique-ids are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) uid: Uid,
    pub(crate) uid_validity: UidValidity,
    /// Base name and GUID; only if the format [needs](UidlFormat::needs_names) them.
    pub(crate) base: &'a [u8],
    pub(crate) guid: &'a [u8],
    /// The digest of the header; only asked for if the format [needs](UidlFormat::needs_digest) it.
    pub(crate) digest: Option<[u8; 16]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Variable {
        variable: Variable,
        modifiers: Vec<Modifier>,
        width: Width,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Uid,
    UidValidity,
    FileName,
    Guid,
    Digest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Modifier {
    Hexadecimal,
    Lower,
    Upper,
    Md5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Any,
    AtLeast(usize),
    AtMost(usize),
}

impl UidlFormat {
    /// The formats that have names, with what they stand for.
    pub const NAMES: [(&'static str, &'static str); 6] = [
        ("dovecot", "%08Xu%08Xv"),
        ("courier", "UID%u-%v"),
        ("cyrus", "%v.%u"),
        ("filename", "%f"),
        ("guid", "%g"),
        ("md5", "%m"),
    ];

    /// Reads a format, or the name of one.
    ///
    /// # Errors
    /// If it is none; [`UidlFormatError`] says why.
    pub fn parse(text: &str) -> Result<Self, UidlFormatError> {
        let named = Self::NAMES.iter().find(|(name, _)| *name == text);
        let format = match named {
            Some((_, format)) => format,
            None if text.contains('%') => text,
            None => return Err(UidlFormatError::Unknown(text.to_owned())),
        };
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = format.chars().peekable();
        while let Some(character) = rest.next() {
            if character == '%' && rest.next_if_eq(&'%').is_none() {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(variable(&mut rest)?);
                continue;
            }
            match u8::try_from(character) {
                Ok(byte) if byte.is_ascii_graphic() => plain.push(byte),
                Ok(_) | Err(_) => return Err(UidlFormatError::Text),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if !pieces.iter().any(Piece::is_particular) {
            return Err(UidlFormatError::Constant);
        }
        Ok(Self { pieces })
    }

    /// Whether the header of each message must be read.
    pub(crate) fn needs_digest(&self) -> bool {
        self.uses(&[Variable::Digest])
    }

    /// Whether names of files are a part of unique-ids.
    pub(crate) fn needs_names(&self) -> bool {
        self.uses(&[Variable::FileName, Variable::Guid])
    }

    fn uses(&self, variables: &[Variable]) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Text(_) => false,
            Piece::Variable { variable, .. } => variables.contains(variable),
        })
    }

    /// Appends the unique-id of a message.
    pub(crate) fn write(&self, parts: &Parts<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        for piece in &self.pieces {
            piece.write(parts, out);
        }
        make_printable(out, start);
    }
}

/// Appends a unique-id that another server has given.
pub(crate) fn write_kept(unique_id: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(unique_id);
    make_printable(out, start);
}

impl Default for UidlFormat {
    fn default() -> Self {
        let variable = |variable| Piece::Variable {
            variable,
            modifiers: vec![Modifier::Hexadecimal],
            width: Width::AtLeast(8),
        };
        Self {
            pieces: vec![variable(Variable::Uid), variable(Variable::UidValidity)],
        }
    }
}

impl Piece {
    /// Whether it differs from message to message.
    fn is_particular(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Variable {
                variable, width, ..
            } => *variable != Variable::UidValidity && *width != Width::AtMost(0),
        }
    }

    fn write(&self, parts: &Parts<'_>, out: &mut Vec<u8>) {
        let (variable, modifiers, width) = match self {
            Self::Text(text) => return out.extend_from_slice(text),
            Self::Variable {
                variable,
                modifiers,
                width,
            } => (variable, modifiers, width),
        };
        let start = out.len();
        let first = modifiers.first();
        match variable {
            Variable::Uid => number(parts.uid.get(), first, out),
            Variable::UidValidity => number(parts.uid_validity.get(), first, out),
            Variable::FileName => out.extend_from_slice(parts.base),
            Variable::Guid => out.extend_from_slice(parts.guid),
            Variable::Digest => digits(&parts.digest.unwrap_or_default(), out),
        }
        for modifier in modifiers {
            modifier.apply(out, start);
        }
        let length = out.len() - start;
        match *width {
            Width::Any => {}
            Width::AtLeast(width) => {
                let zeros = width.saturating_sub(length);
                out.resize(out.len() + zeros, b'0');
                out.get_mut(start..).unwrap_or_default().rotate_right(zeros);
            }
            Width::AtMost(width) => out.truncate(start + width.min(length)),
        }
    }
}

impl Modifier {
    /// Changes what has been written from `start` on.
    fn apply(self, out: &mut Vec<u8>, start: usize) {
        let written = out.get_mut(start..).unwrap_or_default();
        match self {
            // The number was written so.
            Self::Hexadecimal => {}
            Self::Lower => written.make_ascii_lowercase(),
            Self::Upper => written.make_ascii_uppercase(),
            Self::Md5 => {
                let sum: [u8; 16] = Md5::digest(&*written).into();
                out.truncate(start);
                digits(&sum, out);
            }
        }
    }
}

/// Reads a variable behind its `%`.
fn variable(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Piece, UidlFormatError> {
    let mut figures = String::new();
    while let Some(figure) = rest.next_if(char::is_ascii_digit) {
        figures.push(figure);
    }
    let number = match figures.as_str() {
        "" => None,
        figures => Some(figures.parse().unwrap_or(usize::MAX)),
    };
    let width = match number {
        None | Some(0) => Width::Any,
        Some(width) if width > MAX_WIDTH => return Err(UidlFormatError::Width),
        Some(width) if figures.starts_with('0') => Width::AtLeast(width),
        Some(width) => Width::AtMost(width),
    };
    let mut modifiers = Vec::new();
    loop {
        let character = rest.next().ok_or(UidlFormatError::Incomplete)?;
        let variable = match character {
            'X' => {
                modifiers.push(Modifier::Hexadecimal);
                continue;
            }
            'L' => {
                modifiers.push(Modifier::Lower);
                continue;
            }
            'U' => {
                modifiers.push(Modifier::Upper);
                continue;
            }
            'M' => {
                modifiers.push(Modifier::Md5);
                continue;
            }
            'u' => Variable::Uid,
            'v' => Variable::UidValidity,
            'f' => Variable::FileName,
            'g' => Variable::Guid,
            'm' => Variable::Digest,
            other => return Err(UidlFormatError::Variable(other)),
        };
        let is_number = matches!(variable, Variable::Uid | Variable::UidValidity);
        let hexadecimal = |modifier: &Modifier| *modifier == Modifier::Hexadecimal;
        let last = modifiers.iter().rposition(hexadecimal);
        if last.is_some_and(|last| last > 0 || !is_number) {
            return Err(UidlFormatError::NoNumber);
        }
        return Ok(Piece::Variable {
            variable,
            modifiers,
            width,
        });
    }
}

/// Appends a number, as its first modifier wants it.
fn number(number: u32, first: Option<&Modifier>, out: &mut Vec<u8>) {
    match first {
        Some(Modifier::Hexadecimal) => hexadecimal(number.into(), 0, out),
        Some(Modifier::Lower | Modifier::Upper | Modifier::Md5) | None => {
            decimal(number.into(), out);
        }
    }
}

/// Appends octets as hexadecimal digits.
fn digits(octets: &[u8], out: &mut Vec<u8>) {
    for octet in octets {
        hexadecimal((*octet).into(), 2, out);
    }
}

/// Replaces what no unique-id may hold from `start` on, and cuts what no line can hold.
fn make_printable(out: &mut Vec<u8>, start: usize) {
    let written = out.get(start..).unwrap_or_default();
    if written.len() <= LONGEST && written.iter().all(u8::is_ascii_graphic) {
        return;
    }
    let raw = out.split_off(start.min(out.len()));
    for octet in raw {
        if octet.is_ascii_graphic() {
            out.push(octet);
        } else {
            // Writing to a Vec cannot fail.
            write!(out, "+{octet:02X}").unwrap_or_default();
        }
    }
    out.truncate(start + LONGEST);
}

/// The longest unique-id, so that it and a message-number fit in a line of 512 octets (RFC 2449 §4);
/// a file name has 255 at the most.
const LONGEST: usize = 470;

/// The widest variable: as long as RFC 1939 §7 allows a unique-id to be.
const MAX_WIDTH: usize = 70;

impl fmt::Display for UidlFormat {
    /// As [`UidlFormat::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            let (variable, modifiers, width) = match piece {
                Piece::Text(text) => {
                    f.write_str(&String::from_utf8_lossy(text).replace('%', "%%"))?;
                    continue;
                }
                Piece::Variable {
                    variable,
                    modifiers,
                    width,
                } => (variable, modifiers, width),
            };
            f.write_str("%")?;
            match width {
                Width::Any => {}
                Width::AtLeast(width) => write!(f, "0{width}")?,
                Width::AtMost(width) => write!(f, "{width}")?,
            }
            for modifier in modifiers {
                f.write_str(match modifier {
                    Modifier::Hexadecimal => "X",
                    Modifier::Lower => "L",
                    Modifier::Upper => "U",
                    Modifier::Md5 => "M",
                })?;
            }
            f.write_str(match variable {
                Variable::Uid => "u",
                Variable::UidValidity => "v",
                Variable::FileName => "f",
                Variable::Guid => "g",
                Variable::Digest => "m",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: &str) -> String {
        let format = UidlFormat::parse(format).unwrap();
        assert_eq!(UidlFormat::parse(&format.to_string()).unwrap(), format);
        let parts = Parts {
            uid: Uid::MIN,
            uid_validity: UidValidity::new(1_795_399_303).unwrap(),
            base: b"1700000001.M1P1.host",
            guid: b"guid-1",
            digest: Some([0xab; 16]),
        };
        let mut out = b"1 ".to_vec();
        format.write(&parts, &mut out);
        String::from_utf8(out.split_off(2)).unwrap()
    }

    /// What Dovecot 2.3.19 answered for this message.
    #[test]
    fn formats_give_what_dovecot_gives() {
        for (format, unique_id) in [
            ("%08Xu%08Xv", "000000016b039e87"),
            ("dovecot", "000000016b039e87"),
            ("%u-%v", "1-1795399303"),
            ("UID%u-%v", "UID1-1795399303"),
            ("courier", "UID1-1795399303"),
            ("cyrus", "1795399303.1"),
            ("%f", "1700000001.M1P1.host"),
            ("%Mf", "eb6321585bfba6c4a564dcacae365d5c"),
            ("%Uf", "1700000001.M1P1.HOST"),
            ("%Lf", "1700000001.m1p1.host"),
            ("%LUf", "1700000001.M1P1.HOST"),
            ("%4u%%x", "1%x"),
            ("%3f", "170"),
            ("%10u", "1"),
            ("%010u", "0000000001"),
            ("%8Xu", "1"),
            ("%0u", "1"),
            ("%2Xv%u", "6b1"),
            ("%02Xv%u", "6b039e871"),
            ("%XLv%u", "6b039e871"),
            ("%XUv%u", "6B039E871"),
            ("%XMu", "c4ca4238a0b923820dcc509a6f75849b"),
            ("%08Mu", "c4ca4238a0b923820dcc509a6f75849b"),
            (
                "%050f",
                "0000000000000000000000000000001700000001.M1P1.host",
            ),
            ("guid", "guid-1"),
            ("md5", "abababababababababababababababab"),
        ] {
            assert_eq!(written(format), unique_id, "{format}");
        }
        assert_eq!(UidlFormat::default().to_string(), "%08Xu%08Xv");
    }

    #[test]
    fn what_is_no_format_is_refused() {
        for (format, error) in [
            ("", UidlFormatError::Unknown(String::new())),
            ("uid", UidlFormatError::Unknown("uid".to_owned())),
            ("%v", UidlFormatError::Constant),
            ("a%%u", UidlFormatError::Constant),
            ("%q%u", UidlFormatError::Variable('q')),
            ("%{uid}", UidlFormatError::Variable('{')),
            ("%u%", UidlFormatError::Incomplete),
            ("%u%08X", UidlFormatError::Incomplete),
            ("%71u", UidlFormatError::Width),
            ("%0099999999999999999999999u", UidlFormatError::Width),
            ("%Xf", UidlFormatError::NoNumber),
            ("%MXu", UidlFormatError::NoNumber),
            ("a b%u", UidlFormatError::Text),
            ("\u{e9}%u", UidlFormatError::Text),
        ] {
            assert_eq!(UidlFormat::parse(format), Err(error), "{format:?}");
        }
    }

    #[test]
    fn odd_octets_of_names_are_escaped() {
        let mut out = b"1 a b\x7f\xe9+c".to_vec();
        make_printable(&mut out, 2);
        assert_eq!(out, b"1 a+20b+7F+E9+c");
    }
}
