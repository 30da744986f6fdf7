//! Rules that all commands share (RFC 3501 §9).

use std::num::NonZeroU32;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag as octets, take, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{map, map_opt, opt, recognize, value, verify};
use nom::error::context;
use nom::multi::{fold_many0, separated_list1};
use nom::sequence::{delimited, preceded, separated_pair};

use crate::types::{Bound, ByUid, Messages, SequenceSet, Tag};

use super::{Failed, Parsed};

/// `tag = 1*<any ASTRING-CHAR except "+">` (RFC 3501 §9)
pub(super) fn tag(input: &[u8]) -> Parsed<'_, Tag> {
    let is_tag_char = |octet| is_astring_char(octet) && octet != b'+';
    let text = map_opt(take_while1(is_tag_char), |tag: &[u8]| {
        String::from_utf8(tag.to_vec()).ok()
    });
    context("a tag", map(text, Tag)).parse(input)
}

/// `SP` (RFC 5234 §B.1): exactly one space (RFC 3501 §9)
pub(super) fn sp(input: &[u8]) -> Parsed<'_, char> {
    context("a space", char(' ')).parse(input)
}

/// A name that the grammar itself defines: letters, digits and dots.
pub(super) fn word(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let is_word_char = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'.';
    let word = take_while1(is_word_char);
    map(word, <[u8]>::to_ascii_uppercase).parse(input)
}

/// `astring = 1*ASTRING-CHAR / string` (RFC 3501 §9)
pub(super) fn astring(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let plain = map(take_while1(is_astring_char), <[u8]>::to_vec);
    context("a string", alt((plain, string))).parse(input)
}

/// `atom = 1*ATOM-CHAR` (RFC 3501 §9)
pub(super) fn atom(input: &[u8]) -> Parsed<'_, &str> {
    let text = map_opt(take_while1(is_atom_char), |atom| str::from_utf8(atom).ok());
    context("an atom", text).parse(input)
}

/// `nstring = string / nil` (RFC 3501 §9)
pub(super) fn nstring(input: &[u8]) -> Parsed<'_, Option<Vec<u8>>> {
    context(
        "a string in quotes or NIL",
        alt((map(string, Some), map(nil, |()| None))),
    )
    .parse(input)
}

/// `nil = "NIL"` (RFC 3501 §9)
pub(super) fn nil(input: &[u8]) -> Parsed<'_, ()> {
    let nil = verify(word, |word: &Vec<u8>| word == b"NIL");
    context("NIL", value((), nil)).parse(input)
}

/// `string = quoted / literal` (RFC 3501 §9)
pub(super) fn string(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    context("a string in quotes or a literal", alt((quoted, literal))).parse(input)
}

/// `quoted = DQUOTE *uQUOTED-CHAR DQUOTE`, where `uQUOTED-CHAR = QUOTED-CHAR / UTF8-2 / UTF8-3 /
/// UTF8-4` (RFC 9755 §3): octets of 8 bits that are not UTF-8 are refused, here and not where the
/// string is used.
///
/// Interop: clients send passwords and search strings in UTF-8 without asking, so this holds also
/// where UTF8=ACCEPT is hidden
pub(super) fn quoted(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let octets = fold_many0(quoted_octet, Vec::new, |mut text, octet| {
        text.push(octet);
        text
    });
    let (rest, text) = delimited(char('"'), octets, context("a quote", char('"'))).parse(input)?;
    let raw = input.get(..input.len() - rest.len()).unwrap_or_default();
    match str::from_utf8(raw) {
        Ok(_) => Ok((rest, text)),
        Err(error) => Err(nom::Err::Failure(Failed {
            rest: input.get(error.valid_up_to()..).unwrap_or_default(),
            expected: Some("UTF-8 in quotes"),
        })),
    }
}

/// `QUOTED-CHAR = <any TEXT-CHAR except quoted-specials> / "\" quoted-specials` (RFC 3501 §9), or
/// an octet of UTF-8
fn quoted_octet(input: &[u8]) -> Parsed<'_, u8> {
    match input {
        [b'\\', octet @ (b'"' | b'\\'), rest @ ..] => Ok((rest, *octet)),
        [b'\\', rest @ ..] => Err(nom::Err::Failure(Failed {
            rest,
            expected: Some("a quote or a backslash"),
        })),
        [b'"' | b'\r' | b'\n' | b'\0', ..] | [] => Err(Failed::error(input, "a quote")),
        [octet, rest @ ..] => Ok((rest, *octet)),
    }
}

/// `literal = "{" number ["+"] "}" CRLF *CHAR8` (RFC 7888 §6): any octets but NUL
fn literal(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (input, octets) = literal_size(input)?;
    let octets = usize::try_from(octets).unwrap_or(usize::MAX);
    let without_nul = verify(take(octets), |literal: &[u8]| !literal.contains(&0));
    context("a literal without NUL", map(without_nul, <[u8]>::to_vec)).parse(input)
}

/// `"{" number ["+"] "}" CRLF`: what announces a literal (RFC 7888 §6)
///
/// Interop: the line may end with a bare LF, as any other.
pub(super) fn literal_size(input: &[u8]) -> Parsed<'_, u64> {
    let line_end = alt((octets("\r\n"), octets("\n")));
    let announcement = (opt(char('+')), char('}'), line_end);
    let size = delimited(char('{'), number64, announcement);
    context("a literal", size).parse(input)
}

/// `number = 1*DIGIT` (RFC 3501 §9): `0 <= n < 4,294,967,296`
pub(super) fn number(input: &[u8]) -> Parsed<'_, u32> {
    context("a number below 2^32", map_opt(digit1, decimal)).parse(input)
}

/// `number64`: a number of up to 64 bits, as sizes have
pub(super) fn number64(input: &[u8]) -> Parsed<'_, u64> {
    context("a number below 2^64", map_opt(digit1, decimal)).parse(input)
}

/// `nz-number = digit-nz *DIGIT` (RFC 3501 §9): `0 < n < 4,294,967,296`
pub(super) fn nz_number(input: &[u8]) -> Parsed<'_, NonZeroU32> {
    let digits = verify(digit1, |digits: &[u8]| !digits.starts_with(b"0"));
    context(
        "a number from 1 to 2^32-1",
        map_opt(digits, |digits| decimal(digits).and_then(NonZeroU32::new)),
    )
    .parse(input)
}

/// The value of decimal digits, if it fits.
fn decimal<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// `sequence-set = (seq-number / seq-range) *("," sequence-set)` (RFC 3501 §9)
pub(super) fn sequence_set(input: &[u8]) -> Parsed<'_, SequenceSet> {
    let one = map(seq_number, |number| (number, number));
    let ranges = separated_list1(char(','), alt((seq_range, one)));
    let mut set = map(ranges, |mut ranges| {
        ranges.shrink_to_fit();
        SequenceSet(ranges)
    });
    set.parse(input)
}

/// `sequence-set =/ seq-last-command`, where `seq-last-command = "$"` (RFC 5182 §3)
pub(super) fn messages<'a>(by_uid: ByUid, input: &'a [u8]) -> Parsed<'a, Messages> {
    let saved = value(Messages::Saved(by_uid), char('$'));
    let set = map(sequence_set, |set| match by_uid {
        ByUid::No => Messages::Seq(set),
        ByUid::Yes => Messages::Uid(set),
    });
    alt((saved, set)).parse(input)
}

/// `seq-range = seq-number ":" seq-number` (RFC 3501 §9)
fn seq_range(input: &[u8]) -> Parsed<'_, (Bound, Bound)> {
    separated_pair(seq_number, char(':'), seq_number).parse(input)
}

/// `seq-number = nz-number / "*"` (RFC 3501 §9)
pub(super) fn seq_number(input: &[u8]) -> Parsed<'_, Bound> {
    let largest = value(Bound::Largest, char('*'));
    let number = map(nz_number, Bound::Number);
    context("a number from 1 to 2^32-1 or *", alt((number, largest))).parse(input)
}

/// `base64 = *(4base64-char) [base64-terminal]` (RFC 3501 §9)
pub(super) fn base64(input: &[u8]) -> Parsed<'_, &[u8]> {
    let is_base64_char =
        |octet: u8| octet.is_ascii_alphanumeric() || octet == b'+' || octet == b'/';
    let text = recognize((take_while1(is_base64_char), opt(char('=')), opt(char('='))));
    let whole = verify(text, |text: &[u8]| text.len().is_multiple_of(4));
    context("base64", whole).parse(input)
}

/// `item *(SP item)`: items with single spaces between them, up to the end of the command or to
/// what is not a space
pub(super) fn spaced1<'a, T>(
    mut item: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> impl FnMut(&'a [u8]) -> Parsed<'a, Vec<T>> {
    move |input| {
        let (mut input, first) = item(input)?;
        let mut items = vec![first];
        while !only_spaces(input) && input.starts_with(b" ") {
            let (rest, next) = preceded(sp, &mut item).parse(input)?;
            items.push(next);
            input = rest;
        }
        Ok((input, items))
    }
}

/// `"(" item *(SP item) ")"`
pub(super) fn list1<'a, T>(
    item: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> impl FnMut(&'a [u8]) -> Parsed<'a, Vec<T>> {
    let mut items = spaced1(item);
    move |input| {
        let (input, _) = context("an opening parenthesis", char('(')).parse(input)?;
        let (input, items) = items(input)?;
        let (input, _) = context("a closing parenthesis", char(')')).parse(input)?;
        Ok((input, items))
    }
}

/// `"(" [item *(SP item)] ")"`
pub(super) fn list0<'a>(
    item: impl FnMut(&'a [u8]) -> Parsed<'a, ()>,
    input: &'a [u8],
) -> Parsed<'a, ()> {
    if input.starts_with(b"()") {
        value((), (char('('), char(')'))).parse(input)
    } else {
        map(list1(item), |_| ()).parse(input)
    }
}

/// The end of a command.
///
/// Interop: simple clients and people at a terminal leave spaces at the end of a line.
pub(super) fn end_lenient(input: &[u8]) -> Parsed<'_, ()> {
    if only_spaces(input) {
        Ok((&[], ()))
    } else {
        Err(Failed::error(input, "the end of the command"))
    }
}

/// Whether a command has nothing more to say.
fn only_spaces(input: &[u8]) -> bool {
    input.iter().all(|&octet| octet == b' ')
}

/// `ATOM-CHAR = <any CHAR except atom-specials>` (RFC 3501 §9)
pub(super) fn is_atom_char(octet: u8) -> bool {
    is_astring_char(octet) && octet != b']'
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials` (RFC 3501 §9)
pub(super) fn is_astring_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\".contains(&octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `rule` takes all of `input`, and what it makes of it.
    fn whole<T>(rule: impl Fn(&[u8]) -> Parsed<'_, T>, input: impl AsRef<[u8]>) -> Option<T> {
        let (rest, value) = rule(input.as_ref()).ok()?;
        rest.is_empty().then_some(value)
    }

    #[test]
    fn tags_are_astring_chars_without_plus() {
        for tag_text in ["a001", "A-1.b", "*"] {
            let expected = (tag_text != "*").then(|| Tag(tag_text.to_owned()));
            assert_eq!(whole(tag, tag_text), expected, "{tag_text:?}");
        }
        assert_eq!(whole(tag, "a]b"), Some(Tag("a]b".to_owned())));
        for refused in [
            "", "+", "a+b", "a b", "a(b", "a{b", "a%b", "a*b", "a\"b", "a\\b", "a\u{e9}", "a\tb",
            "a\x7f",
        ] {
            assert_eq!(whole(tag, refused), None, "{refused:?}");
        }
    }

    #[test]
    fn astrings_have_three_forms() {
        let table: [(&[u8], Option<&[u8]>); 25] = [
            (b"plain", Some(b"plain")),
            (b"a]b[c", Some(b"a]b[c")),
            (b"NIL", Some(b"NIL")),
            (b"\"\"", Some(b"")),
            (b"\"two words\"", Some(b"two words")),
            (br#""a\"b\\c""#, Some(br#"a"b\c"#)),
            (b"\"(){%*]\"", Some(b"(){%*]")),
            (b"\"tab\tdel\x7f\"", Some(b"tab\tdel\x7f")),
            (b"\"caf\xc3\xa9\"", Some(b"caf\xc3\xa9")),
            (b"\"caf\xe9\"", None),
            (b"{0}\r\n", Some(b"")),
            (b"{3}\r\na\"b", Some(b"a\"b")),
            (b"{3+}\r\na b", Some(b"a b")),
            (b"{3}\na b", Some(b"a b")),
            (b"{4}\r\n\r\n\r\n", Some(b"\r\n\r\n")),
            (b"{2}\r\n\xff\xfe", Some(b"\xff\xfe")),
            (b"", None),
            (b"\"open", None),
            (br#""a\b""#, None),
            (b"\"a\r\nb\"", None),
            (b"\"a\0b\"", None),
            (b"{3}\r\na\0b", None),
            (b"{4}\r\nabc", None),
            (b"{3++}\r\nabc", None),
            (b"caf\xc3\xa9", None),
        ];
        for (input, expected) in table {
            let expected = expected.map(<[u8]>::to_vec);
            assert_eq!(whole(astring, input), expected, "{input:?}");
        }
    }

    #[test]
    fn nstrings_are_strings_or_nil() {
        assert_eq!(whole(nstring, "NIL"), Some(None));
        assert_eq!(whole(nstring, "nil"), Some(None));
        assert_eq!(whole(nstring, "\"NIL\""), Some(Some(b"NIL".to_vec())));
        assert_eq!(whole(nstring, "NILS"), None);
        assert_eq!(whole(nstring, "atom"), None);
    }

    #[test]
    fn numbers_keep_their_value() {
        let table = [
            ("0", Some(0), None),
            ("00", Some(0), None),
            ("01", Some(1), None),
            ("1", Some(1), Some(1)),
            ("4294967295", Some(4_294_967_295), Some(u32::MAX)),
            ("4294967296", Some(4_294_967_296), None),
            ("18446744073709551615", Some(u64::MAX), None),
            ("18446744073709551616", None, None),
            ("99999999999999999999999999", None, None),
            ("-1", None, None),
            ("+1", None, None),
            ("", None, None),
        ];
        for (input, any, positive) in table {
            assert_eq!(whole(number64, input), any, "{input:?}");
            let found = whole(nz_number, input).map(NonZeroU32::get);
            assert_eq!(found, positive, "{input:?}");
        }
    }

    #[test]
    fn sequence_sets_keep_what_was_written() {
        let number = |number| Bound::Number(NonZeroU32::new(number).unwrap());
        let table = [
            ("1", Some(vec![(number(1), number(1))])),
            ("*", Some(vec![(Bound::Largest, Bound::Largest)])),
            ("2:4", Some(vec![(number(2), number(4))])),
            ("4:2", Some(vec![(number(4), number(2))])),
            (
                "*:4,5:7",
                Some(vec![(Bound::Largest, number(4)), (number(5), number(7))]),
            ),
            ("*:*", Some(vec![(Bound::Largest, Bound::Largest)])),
            ("1:4294967295", Some(vec![(number(1), number(u32::MAX))])),
            ("0", None),
            ("0:1", None),
            ("1:0", None),
            ("1,", None),
            ("1:", None),
            ("1:2:3", None),
            ("4294967296", None),
        ];
        for (input, expected) in table {
            assert_eq!(
                whole(sequence_set, input),
                expected.map(SequenceSet),
                "{input:?}"
            );
        }
    }

    #[test]
    fn base64_comes_in_fours() {
        let length = |input| base64(input).map(|(_, text)| text.len());
        for accepted in ["dGVzdAB0ZXN0AHRlc3Q=", "YQ==", "YWE=", "YWFh", "+/+/"] {
            assert_eq!(
                length(accepted.as_bytes()),
                Ok(accepted.len()),
                "{accepted:?}"
            );
        }
        for refused in [
            "", "=", "Y", "YQ", "YQ=", "YWE==", "YQ===", "YQ==YQ==", "YW-_", "Y Q=",
        ] {
            assert_ne!(length(refused.as_bytes()), Ok(refused.len()), "{refused:?}");
        }
    }
}
