//! SEARCH (RFC 3501 §6.4.4, §9).

use nom::Parser;
use nom::character::complete::char;
use nom::combinator::{map, verify};
use nom::error::context;
use nom::sequence::terminated;

use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;
use mailstore::{Keyword, SystemFlag};

use crate::command::{DateOp, Search, SearchKey, UnknownCharset};
use crate::settings::Limits;
use crate::types::{ByUid, Messages};

use super::core::{astring, atom, number, sequence_set, sp, word};
use super::date::date;
use super::fetch::header_fld_name;
use super::{Failed, Parsed};

/// `search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)` (RFC 3501 §9), behind the name
/// and its space
pub(super) fn search<'a>(by_uid: ByUid, limits: &Limits, input: &'a [u8]) -> Parsed<'a, Search> {
    let name = verify(word, |name: &Vec<u8>| name == b"CHARSET");
    let (input, charset) = match terminated(name, sp).parse(input) {
        Ok((input, _)) => {
            let charset = context("a charset", astring);
            map(terminated(charset, sp), |name| Charset::named(&name)).parse(input)?
        }
        Err(_) => (input, Charset::Utf8),
    };
    let mut keys = Keys {
        charset,
        left: limits.arguments / size_of::<SearchKey>(),
    };
    let (input, parsed) = keys.spaced(limits.nesting, input)?;
    let keys = match charset {
        Charset::Unknown => Err(UnknownCharset),
        Charset::UsAscii | Charset::Utf8 | Charset::Decoded(_) => Ok(parsed),
    };
    Ok((input, Search { by_uid, keys }))
}

/// How the strings of a SEARCH are to be read (RFC 3501 §6.4.4).
#[derive(Clone, Copy, Debug)]
enum Charset {
    /// 7-bit only.
    UsAscii,
    /// UTF-8, also where the client names no charset: it cannot be mistaken for US-ASCII.
    Utf8,
    /// Another one that the decoding library knows.
    Decoded(DecoderFnc),
    /// None that we know. The syntax is checked all the same.
    Unknown,
}

impl Charset {
    /// The charset of a name, in any case.
    fn named(name: &[u8]) -> Self {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        if is("UTF-8") || is("UTF8") {
            return Self::Utf8;
        }
        if is("US-ASCII") || is("ASCII") {
            return Self::UsAscii;
        }
        match charset_decoder(name) {
            // Charsets that the library only replaces by U+FFFD cannot be searched for.
            Some(decode) if !decode(b"abcd").contains(char::REPLACEMENT_CHARACTER) => {
                Self::Decoded(decode)
            }
            Some(_) | None => Self::Unknown,
        }
    }

    /// The text of a string, if it is one.
    fn decode(self, string: Vec<u8>) -> Option<String> {
        match self {
            Self::UsAscii if !string.is_ascii() => None,
            Self::UsAscii | Self::Utf8 => String::from_utf8(string).ok(),
            Self::Decoded(decode) => Some(decode(&string)),
            Self::Unknown => Some(String::new()),
        }
    }
}

/// The search keys of one command.
struct Keys {
    charset: Charset,
    /// How many more keys there may be: the tree of keys is an argument, too (S30).
    left: usize,
}

impl Keys {
    /// `search-key *(SP search-key)`, with `depth` more levels inside (RFC 3501 §9)
    fn spaced<'a>(&mut self, depth: usize, input: &'a [u8]) -> Parsed<'a, Vec<SearchKey>> {
        super::core::spaced1(|input| self.search_key(depth, input))(input)
    }

    /// `search-key = … / sequence-set / "(" search-key *(SP search-key) ")"` (RFC 3501 §9)
    ///
    /// Invariant: recursion ends at `depth`, whatever the client sends (S30).
    fn search_key<'a>(&mut self, depth: usize, input: &'a [u8]) -> Parsed<'a, SearchKey> {
        self.left = match self.left.checked_sub(1) {
            Some(left) => left,
            None => return Err(Failed::error(input, "fewer search keys")),
        };
        let Some(inside) = depth.checked_sub(1) else {
            return Err(Failed::error(input, "fewer levels of search keys"));
        };
        match input {
            [b'(', rest @ ..] => {
                let (rest, keys) = self.spaced(inside, rest)?;
                let (rest, _) = context("a closing parenthesis", char(')')).parse(rest)?;
                Ok((rest, SearchKey::And(keys)))
            }
            [b'0'..=b'9' | b'*', ..] => {
                map(sequence_set, |set| SearchKey::Messages(Messages::Seq(set))).parse(input)
            }
            [..] => self.named(inside, input),
        }
    }

    /// A search key that begins with its name (RFC 3501 §9, `search-key`)
    fn named<'a>(&mut self, inside: usize, input: &'a [u8]) -> Parsed<'a, SearchKey> {
        let (rest, name) = context("a search key", word).parse(input)?;
        if let Some(key) = simple(&name) {
            return Ok((rest, key));
        }
        if !takes_argument(&name) {
            return Err(Failed::error(input, "a search key"));
        }
        let (rest, _) = sp(rest)?;
        match name.as_slice() {
            b"NOT" => {
                let (rest, key) = self.search_key(inside, rest)?;
                Ok((rest, not(key)))
            }
            b"OR" => {
                let (rest, first) = self.search_key(inside, rest)?;
                let (rest, _) = sp(rest)?;
                let (rest, second) = self.search_key(inside, rest)?;
                Ok((rest, SearchKey::Or(Box::new((first, second)))))
            }
            b"HEADER" => {
                let (rest, field) = terminated(header_fld_name, sp).parse(rest)?;
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Header(field, text)))
            }
            b"BODY" => self
                .text(rest)
                .map(|(rest, text)| (rest, SearchKey::Body(text))),
            b"TEXT" => self
                .text(rest)
                .map(|(rest, text)| (rest, SearchKey::Text(text))),
            b"BCC" | b"CC" | b"FROM" | b"SUBJECT" | b"TO" => {
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Header(name, text)))
            }
            other => with_argument(other, rest),
        }
    }

    /// An `astring` in the charset of the command, decoded
    fn text<'a>(&self, input: &'a [u8]) -> Parsed<'a, String> {
        let (rest, string) = astring(input)?;
        match self.charset.decode(string) {
            Some(text) => Ok((rest, text)),
            None => Err(Failed::error(
                input,
                "a string in the charset of the search",
            )),
        }
    }
}

/// A search key without arguments (RFC 3501 §6.4.4)
fn simple(name: &[u8]) -> Option<SearchKey> {
    let flag = SearchKey::Flag;
    Some(match name {
        b"ALL" => SearchKey::All,
        b"ANSWERED" => flag(SystemFlag::Answered),
        b"DELETED" => flag(SystemFlag::Deleted),
        b"DRAFT" => flag(SystemFlag::Draft),
        b"FLAGGED" => flag(SystemFlag::Flagged),
        b"SEEN" => flag(SystemFlag::Seen),
        b"UNANSWERED" => not(flag(SystemFlag::Answered)),
        b"UNDELETED" => not(flag(SystemFlag::Deleted)),
        b"UNDRAFT" => not(flag(SystemFlag::Draft)),
        b"UNFLAGGED" => not(flag(SystemFlag::Flagged)),
        b"UNSEEN" => not(flag(SystemFlag::Seen)),
        b"RECENT" => SearchKey::Recent,
        b"OLD" => not(SearchKey::Recent),
        b"NEW" => SearchKey::And(vec![SearchKey::Recent, not(flag(SystemFlag::Seen))]),
        _ => return None,
    })
}

/// Whether a search key of this name has arguments (RFC 3501 §6.4.4)
fn takes_argument(name: &[u8]) -> bool {
    const NAMES: [&str; 20] = [
        "BCC",
        "BEFORE",
        "BODY",
        "CC",
        "FROM",
        "HEADER",
        "KEYWORD",
        "LARGER",
        "NOT",
        "ON",
        "OR",
        "SENTBEFORE",
        "SENTON",
        "SENTSINCE",
        "SINCE",
        "SMALLER",
        "SUBJECT",
        "TEXT",
        "TO",
        "UID",
    ];
    NAMES.iter().any(|known| known.as_bytes() == name) || name == b"UNKEYWORD"
}

/// The argument of a search key that has no string in it (RFC 3501 §6.4.4)
fn with_argument<'a>(name: &[u8], input: &'a [u8]) -> Parsed<'a, SearchKey> {
    let internal = |op| move |date| SearchKey::InternalDate(op, date);
    let sent = |op| move |date| SearchKey::SentDate(op, date);
    match name {
        b"BEFORE" => map(date, internal(DateOp::Before)).parse(input),
        b"ON" => map(date, internal(DateOp::On)).parse(input),
        b"SINCE" => map(date, internal(DateOp::Since)).parse(input),
        b"SENTBEFORE" => map(date, sent(DateOp::Before)).parse(input),
        b"SENTON" => map(date, sent(DateOp::On)).parse(input),
        b"SENTSINCE" => map(date, sent(DateOp::Since)).parse(input),
        b"LARGER" => map(number, SearchKey::Larger).parse(input),
        b"SMALLER" => map(number, SearchKey::Smaller).parse(input),
        b"KEYWORD" => flag_keyword(input),
        b"UNKEYWORD" => map(flag_keyword, not).parse(input),
        b"UID" => map(sequence_set, |set| SearchKey::Messages(Messages::Uid(set))).parse(input),
        _ => Err(Failed::error(input, "a search key")),
    }
}

/// `flag-keyword = atom` (RFC 3501 §9): a name too long for a keyword is one that is never set
fn flag_keyword(input: &[u8]) -> Parsed<'_, SearchKey> {
    let key = map(atom, |name| SearchKey::Keyword(Keyword::new(name)));
    context("a keyword", key).parse(input)
}

/// `NOT` of a key
fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}
