//! APPEND (RFC 3501 §9, RFC 3502, RFC 4466 §3) and REPLACE (RFC 8508 §5) in segments: see
//! [`Append`].

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::char;
use nom::combinator::{map, value, verify};
use nom::error::context;
use nom::sequence::{preceded, separated_pair, terminated};

use mailstore::FlagOp;

use crate::command::{Append, Authenticated, Behind, Command, Piece, Selected};
use crate::types::{ByUid, Messages, SequenceSet, Tag};

use super::core::{astring, end_lenient, literal_size, seq_number, sp, tag, word};
use super::date::date_time;
use super::flag::{change, flag_list};
use super::mailbox::mailbox;
use super::{Failed, Parsed};

/// A segment of an APPEND or REPLACE.
#[derive(Debug)]
pub(super) enum Segment<T> {
    /// It ends with the announcement of octets of a message.
    UpToOctets(T, Behind),
    /// It is not whole: it ends with the announcement of an argument.
    UpToArgument,
    /// It ends with the command.
    Last(T),
}

impl<T> Segment<T> {
    fn map<U>(self, make: impl FnOnce(T) -> U) -> Segment<U> {
        match self {
            Self::UpToOctets(it, behind) => Segment::UpToOctets(make(it), behind),
            Self::UpToArgument => Segment::UpToArgument,
            Self::Last(it) => Segment::Last(make(it)),
        }
    }
}

/// Where in the arguments the parser is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first message.
    First,
    /// Behind a message.
    Between,
}

/// A command that takes messages.
#[derive(Clone, Copy)]
pub(super) enum Taker {
    /// APPEND.
    Append,
    /// REPLACE, or UID REPLACE.
    Replace(ByUid),
}

/// `tag SP ("APPEND" / "REPLACE" / "UID" SP "REPLACE") SP`: how a command begins that may have a
/// message
pub(super) fn message_start(input: &[u8]) -> Parsed<'_, (Tag, Taker)> {
    let named = |name: &'static [u8]| verify(word, move |word: &Vec<u8>| word == name);
    let taker = alt((
        value(Taker::Append, named(b"APPEND")),
        value(Taker::Replace(ByUid::No), named(b"REPLACE")),
        value(
            Taker::Replace(ByUid::Yes),
            (named(b"UID"), sp, named(b"REPLACE")),
        ),
    ));
    terminated(separated_pair(tag, sp, taker), sp).parse(input)
}

/// The first segment, behind the name and its space
pub(super) fn first_segment(input: &[u8], taker: Taker) -> Parsed<'_, Segment<Command>> {
    match taker {
        Taker::Append => append(input),
        Taker::Replace(by_uid) => {
            let (rest, segment) = replace(by_uid, input)?;
            Ok((rest, segment.map(Command::Selected)))
        }
    }
}

/// `append = "APPEND" SP mailbox 1*append-message` (RFC 4466 §3), behind the name and its space:
/// the first segment
pub(super) fn append(input: &[u8]) -> Parsed<'_, Segment<Command>> {
    let (rest, segment) = arguments(input)?;
    let command = |append| Command::Authenticated(Authenticated::Append(append));
    Ok((rest, segment.map(command)))
}

/// `replace = "REPLACE" SP seq-number SP mailbox append-message` (RFC 8508 §5), behind the name and
/// its space: the first segment
pub(super) fn replace(by_uid: ByUid, input: &[u8]) -> Parsed<'_, Segment<Selected>> {
    let (input, number) = terminated(seq_number, sp).parse(input)?;
    let set = SequenceSet(vec![(number, number)]);
    let message = match by_uid {
        ByUid::No => Messages::Seq(set),
        ByUid::Yes => Messages::Uid(set),
    };
    let (rest, segment) = arguments(input)?;
    if let Segment::UpToOctets(append, _) | Segment::Last(append) = &segment
        && has_several(&append.pieces)
    {
        return Err(Failed::error(rest, "one message"));
    }
    let command = |append| Selected::Replace { message, append };
    Ok((rest, segment.map(command)))
}

/// Whether another message begins behind the first.
fn has_several(pieces: &[Piece]) -> bool {
    let mut behind = pieces.iter().skip(1);
    behind.any(|piece| matches!(piece, Piece::Message { .. }))
}

/// `mailbox 1*append-message` (RFC 4466 §3): the first segment
fn arguments(input: &[u8]) -> Parsed<'_, Segment<Append>> {
    if let Ok((rest @ [], _)) = literal_size(input) {
        return Ok((rest, Segment::UpToArgument));
    }
    let (input, mailbox) = mailbox(input)?;
    let (input, segment) = messages(input, Place::First, Vec::new())?;
    Ok((input, segment.map(|pieces| Append { mailbox, pieces })))
}

/// `*append-message` (RFC 4466 §3), behind octets of a message: a later segment
pub(super) fn append_continued(input: &[u8], behind: Behind) -> Parsed<'_, Segment<Vec<Piece>>> {
    match behind {
        Behind::Literal => messages(input, Place::Between, vec![Piece::End]),
        Behind::Utf8 => {
            let (input, _) = context("a closing parenthesis", char(')')).parse(input)?;
            messages(input, Place::Between, vec![Piece::End])
        }
        Behind::Text => {
            let mut pieces = Vec::new();
            let (input, end) = cat_parts(input, &mut pieces)?;
            match end {
                Some(end) => Ok((input, end.map(|()| pieces))),
                None => messages(input, Place::Between, pieces),
            }
        }
    }
}

/// `*append-message` (RFC 4466 §3), as many as there are: by iteration, as nothing but the line
/// limits how many
fn messages(
    mut input: &[u8],
    mut place: Place,
    mut pieces: Vec<Piece>,
) -> Parsed<'_, Segment<Vec<Piece>>> {
    loop {
        if place == Place::Between
            && let Ok((rest, ())) = end_lenient(input)
        {
            return Ok((rest, Segment::Last(pieces)));
        }
        let (rest, end) = message(input, &mut pieces)?;
        if let Some(end) = end {
            return Ok((rest, end.map(|()| pieces)));
        }
        (input, place) = (rest, Place::Between);
    }
}

/// How the segment ends that is being read; `None` if the line goes on.
type End = Option<Segment<()>>;

/// `append-message = append-opts SP append-data` (RFC 4466 §3), with
/// `append-data = literal / literal8`, `literal8 = "~{" number ["+"] "}" CRLF *OCTET` and
/// `append-data =/ "CATENATE" SP "(" cat-part *(SP cat-part) ")"` (RFC 4469 §5)
fn message<'a>(input: &'a [u8], pieces: &mut Vec<Piece>) -> Parsed<'a, End> {
    let (input, opts) = append_opts(input)?;
    pieces.push(opts);
    let (input, _) = sp(input)?;
    if let Ok((input, _)) = utf8(input) {
        let utf8_literal = preceded(char('~'), literal_size);
        let mut utf8_literal = context("a literal8", utf8_literal);
        let (input, octets) = utf8_literal.parse(input)?;
        pieces.push(Piece::Utf8(octets));
        return up_to_octets(input, Behind::Utf8);
    }
    let mut catenate = (tag_no_case("CATENATE"), sp, char('('));
    if let Ok((input, _)) = catenate.parse(input) as Parsed<'_, _> {
        let (input, end) = cat_part(input, pieces)?;
        return match end {
            Some(end) => Ok((input, Some(end))),
            None => cat_parts(input, pieces),
        };
    }
    let literal = map(literal_size, Piece::Octets);
    let literal8 = map(preceded(char('~'), literal_size), Piece::AnyOctets);
    let data = alt((literal8, literal));
    let (input, octets) = context("the message as a literal", data).parse(input)?;
    pieces.push(octets);
    up_to_octets(input, Behind::Literal)
}

/// `"UTF8" SP "("`, the start of `append-data =/ "UTF8" SP "(" literal8 ")"` (RFC 6855 §4)
fn utf8(input: &[u8]) -> Parsed<'_, ()> {
    value((), (tag_no_case("UTF8"), sp, char('('))).parse(input)
}

/// `*(SP cat-part) ")"` (RFC 4469 §5)
fn cat_parts<'a>(mut input: &'a [u8], pieces: &mut Vec<Piece>) -> Parsed<'a, End> {
    loop {
        if let Some(rest) = input.strip_prefix(b")") {
            pieces.push(Piece::End);
            return Ok((rest, None));
        }
        let mut space = context("a space or a closing parenthesis", char(' '));
        let (rest, _) = space.parse(input)?;
        let (rest, end) = cat_part(rest, pieces)?;
        if let Some(end) = end {
            return Ok((rest, Some(end)));
        }
        input = rest;
    }
}

/// `cat-part = text-literal / url`, with `text-literal = "TEXT" SP literal` and
/// `url = "URL" SP astring` (RFC 4469 §5)
fn cat_part<'a>(input: &'a [u8], pieces: &mut Vec<Piece>) -> Parsed<'a, End> {
    let name = alt((tag_no_case("TEXT"), tag_no_case("URL")));
    let name = terminated(name, sp);
    let (input, name) = context("TEXT with a literal, or a URL", name).parse(input)?;
    if name.eq_ignore_ascii_case(b"TEXT") {
        let (input, octets) = context("a literal", literal_size).parse(input)?;
        pieces.push(Piece::Text(octets));
        return up_to_octets(input, Behind::Text);
    }
    if let Ok((rest @ [], _)) = literal_size(input) {
        return Ok((rest, Some(Segment::UpToArgument)));
    }
    let (input, url) = context("a URL", astring).parse(input)?;
    pieces.push(Piece::Url(url));
    Ok((input, None))
}

/// The end of a segment behind the announcement of octets
fn up_to_octets(input: &[u8], behind: Behind) -> Parsed<'_, End> {
    if input.is_empty() {
        Ok((input, Some(Segment::UpToOctets((), behind))))
    } else {
        Err(Failed::error(input, "nothing but the message"))
    }
}

/// `append-opts = [SP flag-list] [SP date-time]` (RFC 4466 §3)
fn append_opts(input: &[u8]) -> Parsed<'_, Piece> {
    let (input, flags) = opt_if(b" (", flag_list, input)?;
    let (input, internal_date) = opt_if(b" \"", date_time, input)?;
    let message = Piece::Message {
        flags: change(FlagOp::Replace, flags.unwrap_or_default()),
        internal_date,
    };
    Ok((input, message))
}

/// `[SP rule]`, where the first two octets tell whether it is there: so a mistake inside of it is
/// reported as such
fn opt_if<'a, T>(
    start: &[u8; 2],
    rule: impl Fn(&'a [u8]) -> Parsed<'a, T>,
    input: &'a [u8],
) -> Parsed<'a, Option<T>> {
    if input.starts_with(start) {
        map(preceded(sp, rule), Some).parse(input)
    } else {
        Ok((input, None))
    }
}
