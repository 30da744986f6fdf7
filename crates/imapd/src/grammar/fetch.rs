//! FETCH (RFC 3501 §6.4.5, §9).

use nom::Parser;
use nom::branch::alt;
use nom::character::complete::char;
use nom::combinator::{map, map_opt, not, peek, value};
use nom::error::context;
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, separated_pair};

use crate::command::{
    BinarySection, BinaryWanted, FetchItem, FetchSection, Partial, Section, SectionName,
    SectionText, Seen,
};

use crate::extension::Priority;

use super::core::{astring, list1, number64, nz_number, sp, word};
use super::{Failed, Parsed};

/// `"ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"` (RFC 3501 §9,
/// `fetch`): macros are expanded, and every item is told once
pub(super) fn fetch_items(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let one = map(fetch_att, |item| vec![item]);
    let (input, asked) = if input.starts_with(b"(") {
        list1(fetch_att)(input)?
    } else {
        alt((fetch_macro, one)).parse(input)?
    };
    let mut items = Vec::new();
    for item in asked {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok((input, items))
}

/// `"ALL" / "FULL" / "FAST"` (RFC 3501 §6.4.5)
fn fetch_macro(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let (input, length) = map_opt(word, |name| match name.as_slice() {
        b"FAST" => Some(3),
        b"ALL" => Some(4),
        b"FULL" => Some(5),
        _ => None,
    })
    .parse(input)?;
    let full = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
        FetchItem::Envelope,
        FetchItem::Body,
    ];
    Ok((input, full.into_iter().take(length).collect()))
}

/// `fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
/// "BODY" ["STRUCTURE"] / "UID" / "BODY" section ["<" number "." nz-number ">"] /
/// "BODY.PEEK" section ["<" number "." nz-number ">"]` (RFC 3501 §9),
/// `"BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary` (RFC 3516 §7),
/// `fetch-mod-sequence = "MODSEQ"` (RFC 7162 §7), `"SAVEDATE"` (RFC 8514 §5) and
/// `"EMAILID" / "THREADID"` (RFC 8474 §7),
/// `"PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]` (RFC 8970 §6)
pub(super) fn fetch_att(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (rest, name) = context("a FETCH item", word).parse(input)?;
    let item = match name.as_slice() {
        b"ENVELOPE" => FetchItem::Envelope,
        b"FLAGS" => FetchItem::Flags,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"UID" => FetchItem::Uid,
        b"MODSEQ" => FetchItem::ModSeq,
        b"SAVEDATE" => FetchItem::SaveDate,
        b"EMAILID" => FetchItem::EmailId,
        b"THREADID" => FetchItem::ThreadId,
        b"PREVIEW" => {
            let (rest, priority) = preview_mods(rest)?;
            return Ok((rest, FetchItem::Preview(priority)));
        }
        b"BODYSTRUCTURE" => FetchItem::BodyStructure,
        b"BODY" if rest.starts_with(b"[") => return body_section(Seen::Set, rest),
        b"BODY.PEEK" => return body_section(Seen::Peek, rest),
        b"BODY" => FetchItem::Body,
        b"BINARY" => return binary_octets(Seen::Set, rest),
        b"BINARY.PEEK" => return binary_octets(Seen::Peek, rest),
        b"BINARY.SIZE" => return binary_size(rest),
        b"RFC822.SIZE" => FetchItem::Rfc822Size,
        name => match rfc822(name).or_else(|| rfc822_peek_lenient(name)) {
            Some(item) => item,
            None => return Err(Failed::error(input, "a FETCH item")),
        },
    };
    Ok((rest, item))
}

/// `[SP "(" preview-mod *(SP preview-mod) ")"]`, with `preview-mod = "LAZY"` (RFC 8970 §6). Other
/// parentheses belong to FETCH.
fn preview_mods(input: &[u8]) -> Parsed<'_, Priority> {
    let lazy = map_opt(word, |name| (name == b"LAZY").then_some(()));
    match preceded(
        sp,
        delimited(char('('), separated_list1(char(' '), lazy), char(')')),
    )
    .parse(input)
    {
        Ok((rest, _)) => Ok((rest, Priority::Lazy)),
        Err(_) => Ok((input, Priority::Now)),
    }
}

/// `"RFC822" [".HEADER" / ".TEXT"]` (RFC 3501 §9): other names for sections (RFC 3501 §6.4.5)
fn rfc822(name: &[u8]) -> Option<FetchItem> {
    let (text, seen, name) = match name {
        b"RFC822" => (None, Seen::Set, SectionName::Rfc822),
        b"RFC822.HEADER" => (
            Some(SectionText::Header),
            Seen::Peek,
            SectionName::Rfc822Header,
        ),
        b"RFC822.TEXT" => (Some(SectionText::Text), Seen::Set, SectionName::Rfc822Text),
        _ => return None,
    };
    let part = Vec::new();
    Some(FetchItem::Section(FetchSection {
        section: Section { part, text },
        partial: None,
        seen,
        name,
    }))
}

/// `RFC822.PEEK` and `RFC822.TEXT.PEEK` (RFC 1730 §6.4.5).
///
/// Interop: scripts from the days of RFC 1730 still send them.
fn rfc822_peek_lenient(name: &[u8]) -> Option<FetchItem> {
    match rfc822(name.strip_suffix(b".PEEK")?) {
        Some(FetchItem::Section(section)) => Some(FetchItem::Section(FetchSection {
            seen: Seen::Peek,
            ..section
        })),
        other => other,
    }
}

/// `section-binary [partial]` (RFC 3516 §7)
fn binary_octets(seen: Seen, input: &[u8]) -> Parsed<'_, FetchItem> {
    let (input, part) = section_binary(input)?;
    let (input, partial) = opt_partial(input)?;
    let wanted = BinaryWanted::Octets(partial, seen);
    Ok((input, FetchItem::Binary(BinarySection { part, wanted })))
}

/// `"BINARY.SIZE" section-binary` (RFC 3516 §7), behind the name
fn binary_size(input: &[u8]) -> Parsed<'_, FetchItem> {
    let (input, part) = section_binary(input)?;
    let wanted = BinaryWanted::Size;
    Ok((input, FetchItem::Binary(BinarySection { part, wanted })))
}

/// `section-binary = "[" [section-part] "]"` (RFC 3516 §7)
fn section_binary(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    if let Some(rest) = input.strip_prefix(b"[]") {
        return Ok((rest, Vec::new()));
    }
    let part = context("part numbers", section_part);
    let open = context("an opening bracket", char('['));
    delimited(open, part, context("a closing bracket", char(']'))).parse(input)
}

/// `["<" number "." nz-number ">"]` (RFC 3501 §9)
fn opt_partial(input: &[u8]) -> Parsed<'_, Option<Partial>> {
    if input.starts_with(b"<") {
        map(partial, Some).parse(input)
    } else {
        Ok((input, None))
    }
}

/// `section ["<" number "." nz-number ">"]` (RFC 3501 §9, `fetch-att`)
fn body_section(seen: Seen, input: &[u8]) -> Parsed<'_, FetchItem> {
    let (input, section) = section(input)?;
    let (input, partial) = opt_partial(input)?;
    let section = FetchSection {
        section,
        partial,
        seen,
        name: SectionName::Body,
    };
    Ok((input, FetchItem::Section(section)))
}

/// `partial = "<" number64 "." nz-number64 ">"` (RFC 9051 §9)
fn partial(input: &[u8]) -> Parsed<'_, Partial> {
    let octets = preceded(not(char('0')), number64);
    let range = separated_pair(number64, char('.'), octets);
    let partial = map(
        delimited(char('<'), range, char('>')),
        |(origin, octets)| Partial { origin, octets },
    );
    context("a range of octets such as <0.2048>", partial).parse(input)
}

/// `section = "[" [section-spec] "]"` (RFC 3501 §9)
fn section(input: &[u8]) -> Parsed<'_, Section> {
    let all = value(Section::default(), peek(char(']')));
    delimited(
        context("an opening bracket", char('[')),
        alt((all, section_spec)),
        context("a closing bracket", char(']')),
    )
    .parse(input)
}

/// `section-spec = section-msgtext / (section-part ["." section-text])` (RFC 3501 §9)
pub(super) fn section_spec(input: &[u8]) -> Parsed<'_, Section> {
    if input.first().is_some_and(u8::is_ascii_digit) {
        let (input, part) = section_part(input)?;
        let (input, text) = if input.starts_with(b".") {
            map(preceded(char('.'), section_text), Some).parse(input)?
        } else {
            (input, None)
        };
        Ok((input, Section { part, text }))
    } else {
        let whole = |text| Section {
            part: Vec::new(),
            text: Some(text),
        };
        map(section_msgtext, whole).parse(input)
    }
}

/// `section-part = nz-number *("." nz-number)` (RFC 3501 §9)
fn section_part(input: &[u8]) -> Parsed<'_, Vec<u32>> {
    let number = map(nz_number, std::num::NonZeroU32::get);
    separated_list1(char('.'), number).parse(input)
}

/// `section-text = section-msgtext / "MIME"` (RFC 3501 §9)
fn section_text(input: &[u8]) -> Parsed<'_, SectionText> {
    match word(input) {
        Ok((rest, name)) if name == b"MIME" => Ok((rest, SectionText::Mime)),
        Ok(_) | Err(_) => section_msgtext(input),
    }
}

/// `section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"` (RFC 3501 §9)
fn section_msgtext(input: &[u8]) -> Parsed<'_, SectionText> {
    let (rest, name) = context("a section", word).parse(input)?;
    match name.as_slice() {
        b"HEADER" => Ok((rest, SectionText::Header)),
        b"TEXT" => Ok((rest, SectionText::Text)),
        b"HEADER.FIELDS" => map(header_list, SectionText::HeaderFields).parse(rest),
        b"HEADER.FIELDS.NOT" => map(header_list, SectionText::HeaderFieldsNot).parse(rest),
        _ => Err(Failed::error(input, "a section")),
    }
}

/// `SP header-list`, with `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
/// (RFC 3501 §9)
fn header_list(input: &[u8]) -> Parsed<'_, Vec<Vec<u8>>> {
    preceded(sp, list1(header_fld_name)).parse(input)
}

/// `header-fld-name = astring` (RFC 3501 §9)
pub(super) fn header_fld_name(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    context("a header field name", astring).parse(input)
}
