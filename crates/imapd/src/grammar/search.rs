//! SEARCH (RFC 3501 §6.4.4, §9).

use nom::Parser;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::combinator::{map, map_opt, verify};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use mail_parser::decoders::charsets::DecoderFnc;
use mail_parser::decoders::charsets::map::charset_decoder;
use mailstore::{Keyword, SystemFlag};

use crate::command::{DateOp, ResultOption, ResultOptions, Search, SearchKey, UnknownCharset};
use crate::settings::Limits;
use crate::types::ByUid;

use super::condstore::search_modsequence;
use super::core::{astring, atom, list0, messages, number64, sp, word};
use super::date::date;
use super::fetch::header_fld_name;
use super::{Failed, Parsed};

/// `search = "SEARCH" [search-return-opts] SP search-program` (RFC 4466 §3), behind the name and
/// its space, where `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`
pub(super) fn search<'a>(by_uid: ByUid, limits: &Limits, input: &'a [u8]) -> Parsed<'a, Search> {
    let (input, returns) = search_return_opts(input)?;
    let name = verify(word, |name: &Vec<u8>| name == b"CHARSET");
    let (input, name) = match terminated(name, sp).parse(input) {
        Ok((input, _)) => {
            let charset = context("a charset", astring);
            map(terminated(charset, sp), Some).parse(input)?
        }
        Err(_) => (input, None),
    };
    let charset = name.as_deref().map(Charset::named_lenient);
    let charset = charset.unwrap_or(Charset::Utf8);
    let mut keys = Keys {
        charset,
        left: limits.arguments / size_of::<SearchKey>(),
    };
    let (input, parsed) = keys.spaced(limits.nesting, input)?;
    let keys = match charset {
        Charset::Unknown => Err(UnknownCharset),
        Charset::UsAscii | Charset::Utf8 | Charset::Decoded(_) => Ok(parsed),
    };
    let search = Search {
        by_uid,
        returns,
        charset: name,
        keys,
    };
    Ok((input, search))
}

/// `[search-return-opts SP]`, where `search-return-opts = SP "RETURN" SP "(" [search-return-opt
/// *(SP search-return-opt)] ")"` (RFC 4466 §3), behind the first space
fn search_return_opts(input: &[u8]) -> Parsed<'_, Option<ResultOptions>> {
    let name = verify(word, |name: &Vec<u8>| name == b"RETURN");
    let Ok((input, _)) = terminated(name, sp).parse(input) else {
        return Ok((input, None));
    };
    let mut options = ResultOptions::default();
    let option = |input| {
        let (input, option) = search_return_opt(input)?;
        options = options.with(option);
        Ok((input, ()))
    };
    let (input, ()) = list0(option, input)?;
    let (input, _) = sp(input)?;
    Ok((input, Some(options)))
}

/// `search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE"` (RFC 4731 §4, RFC 5182 §3); one
/// that we do not know is an error (RFC 4466 §2.6.1)
fn search_return_opt(input: &[u8]) -> Parsed<'_, ResultOption> {
    let option = map_opt(word, |name| {
        Some(match name.as_slice() {
            b"MIN" => ResultOption::Min,
            b"MAX" => ResultOption::Max,
            b"ALL" => ResultOption::All,
            b"COUNT" => ResultOption::Count,
            b"SAVE" => ResultOption::Save,
            _ => return None,
        })
    });
    context("a result option", option).parse(input)
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
    ///
    /// Interop: programs name charsets as their libraries do, `UTF8` and `ASCII` among them.
    fn named_lenient(name: &[u8]) -> Self {
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
            [b'0'..=b'9' | b'*' | b'$', ..] => {
                map(|input| messages(ByUid::No, input), SearchKey::Messages).parse(input)
            }
            [..] => self.named(inside, input),
        }
    }

    /// A search key that begins with its name (RFC 3501 §9, `search-key`)
    fn named<'a>(&mut self, inside: usize, input: &'a [u8]) -> Parsed<'a, SearchKey> {
        let (rest, name) = context("a search key", word).parse(input)?;
        match name.as_slice() {
            b"NOT" => {
                let (rest, key) = self.argument(inside, rest)?;
                Ok((rest, not(key)))
            }
            b"OR" => {
                let (rest, first) = self.argument(inside, rest)?;
                let (rest, second) = self.argument(inside, rest)?;
                Ok((rest, SearchKey::Or(Box::new((first, second)))))
            }
            b"HEADER" => {
                let (rest, field) = preceded(sp, header_fld_name).parse(rest)?;
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Header(field, text)))
            }
            b"BCC" | b"CC" | b"FROM" | b"SUBJECT" | b"TO" => {
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Header(name, text)))
            }
            b"BODY" => {
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Body(text)))
            }
            b"TEXT" => {
                let (rest, text) = self.text(rest)?;
                Ok((rest, SearchKey::Text(text)))
            }
            name => match without_arguments(name) {
                Some(key) => Ok((rest, key)),
                None => with_argument(name, rest)
                    .unwrap_or_else(|| Err(Failed::error(input, "a search key"))),
            },
        }
    }

    /// `SP search-key`
    fn argument<'a>(&mut self, depth: usize, input: &'a [u8]) -> Parsed<'a, SearchKey> {
        let (rest, _) = sp(input)?;
        self.search_key(depth, rest)
    }

    /// `SP astring` in the charset of the command, decoded
    fn text<'a>(&self, input: &'a [u8]) -> Parsed<'a, String> {
        let (input, _) = sp(input)?;
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
fn without_arguments(name: &[u8]) -> Option<SearchKey> {
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
        b"SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        b"RECENT" => SearchKey::Recent,
        b"OLD" => not(SearchKey::Recent),
        b"NEW" => SearchKey::And(vec![SearchKey::Recent, not(flag(SystemFlag::Seen))]),
        _ => return None,
    })
}

/// The argument of a search key that has no string in it, with its space (RFC 3501 §6.4.4)
fn with_argument<'a>(name: &[u8], input: &'a [u8]) -> Option<Parsed<'a, SearchKey>> {
    let internal = |op| {
        map(preceded(sp, date), move |date| {
            SearchKey::InternalDate(op, date)
        })
    };
    let saved = |op| {
        map(preceded(sp, date), move |date| {
            SearchKey::SaveDate(op, date)
        })
    };
    let sent = |op| {
        map(preceded(sp, date), move |date| {
            SearchKey::SentDate(op, date)
        })
    };
    let uids = |input| messages(ByUid::Yes, input);
    Some(match name {
        b"BEFORE" => internal(DateOp::Before).parse(input),
        b"ON" => internal(DateOp::On).parse(input),
        b"SINCE" => internal(DateOp::Since).parse(input),
        b"SAVEDBEFORE" => saved(DateOp::Before).parse(input),
        b"SAVEDON" => saved(DateOp::On).parse(input),
        b"SAVEDSINCE" => saved(DateOp::Since).parse(input),
        b"SENTBEFORE" => sent(DateOp::Before).parse(input),
        b"SENTON" => sent(DateOp::On).parse(input),
        b"SENTSINCE" => sent(DateOp::Since).parse(input),
        b"LARGER" => map(preceded(sp, number64), SearchKey::Larger).parse(input),
        b"SMALLER" => map(preceded(sp, number64), SearchKey::Smaller).parse(input),
        b"KEYWORD" => preceded(sp, flag_keyword).parse(input),
        b"UNKEYWORD" => map(preceded(sp, flag_keyword), not).parse(input),
        b"UID" => map(preceded(sp, uids), SearchKey::Messages).parse(input),
        b"MODSEQ" => search_modsequence(input),
        b"EMAILID" => map(preceded(sp, objectid), SearchKey::EmailId).parse(input),
        b"THREADID" => map(preceded(sp, objectid), SearchKey::ThreadId).parse(input),
        _ => return None,
    })
}

/// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7)
fn objectid(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let is_part = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    let id = map(take_while_m_n(1, 255, is_part), <[u8]>::to_vec);
    context("an object identifier", id).parse(input)
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
