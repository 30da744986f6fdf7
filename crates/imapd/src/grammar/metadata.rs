//! GETMETADATA and SETMETADATA (RFC 5464 §5).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take;
use nom::character::complete::char;
use nom::combinator::{map, map_opt};
use nom::error::context;
use nom::sequence::{preceded, separated_pair};

use crate::command::{Authenticated, Depth, EntryName, GetMetadata, SetMetadata};

use super::core::{astring, atom, list1, literal_size, nstring, number, sp, spaced1};
use super::mailbox::mailbox;
use super::{Failed, Parsed};

/// The longest entry name.
const MAX_ENTRY: usize = 1000;
/// The most entries of one command.
const MAX_ENTRIES: usize = 1000;

/// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries` (RFC 5464 §5),
/// behind the name and its space. The options may stand behind the mailbox as well, and entries
/// without parentheses, which is how the examples of RFC 5464 §4.2 and §4.4.1 have them
pub(super) fn getmetadata_lenient(input: &[u8]) -> Parsed<'_, Authenticated> {
    let mut options = Options::default();
    let (rest, mailbox) = if input.starts_with(b"(") {
        let (rest, ()) = getmetadata_options(input, &mut options)?;
        preceded(sp, mailbox).parse(rest)?
    } else {
        mailbox(input)?
    };
    let (mut rest, _) = sp(rest)?;
    if is_options(rest) {
        let (behind, ()) = getmetadata_options(rest, &mut options)?;
        (rest, _) = sp(behind)?;
    }
    let (rest, entries) = if rest.starts_with(b"(") {
        entry_list(rest)?
    } else {
        map(bounded(spaced1(get_entry)), no_doubles).parse(rest)?
    };
    let command = GetMetadata {
        mailbox,
        max_size: options.max_size,
        depth: options.depth,
        entries,
    };
    Ok((rest, Authenticated::GetMetadata(Box::new(command))))
}

/// `setmetadata = "SETMETADATA" SP mailbox SP entry-values`,
/// `entry-values = "(" entry-value *(SP entry-value) ")"` (RFC 5464 §5), behind the name and its
/// space
pub(super) fn setmetadata(input: &[u8]) -> Parsed<'_, Authenticated> {
    let values = bounded(list1(entry_value));
    let command = separated_pair(mailbox, sp, values);
    map(command, |(mailbox, values)| {
        Authenticated::SetMetadata(Box::new(SetMetadata { mailbox, values }))
    })
    .parse(input)
}

/// `"(" entry *(SP entry) ")"` (RFC 5464 §5, RFC 9590 §5), each entry once
pub(super) fn entry_list(input: &[u8]) -> Parsed<'_, Vec<EntryName>> {
    map(bounded(list1(get_entry)), no_doubles).parse(input)
}

/// The options of GETMETADATA.
#[derive(Default)]
struct Options {
    max_size: Option<u32>,
    depth: Depth,
}

/// Whether a list is one of options: names of entries begin with a slash
fn is_options(input: &[u8]) -> bool {
    let first = input.strip_prefix(b"(").and_then(<[u8]>::first);
    first.is_some_and(u8::is_ascii_alphabetic)
}

/// `getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"` (RFC 5464 §5), with
/// `maxsize-opt = "MAXSIZE" SP number` and `scope-opt = "DEPTH" SP ("0" / "1" / "infinity")`
fn getmetadata_options<'a>(input: &'a [u8], options: &mut Options) -> Parsed<'a, ()> {
    let option = |input: &'a [u8]| {
        let (rest, name) = context("MAXSIZE or DEPTH", atom).parse(input)?;
        if name.eq_ignore_ascii_case("MAXSIZE") {
            let (rest, octets) = preceded(sp, number).parse(rest)?;
            options.max_size = Some(octets);
            Ok((rest, ()))
        } else if name.eq_ignore_ascii_case("DEPTH") {
            let depth = map_opt(atom, |depth| match depth.to_ascii_lowercase().as_str() {
                "0" => Some(Depth::Zero),
                "1" => Some(Depth::One),
                "infinity" => Some(Depth::Infinity),
                _ => None,
            });
            let (rest, depth) = preceded(sp, context("0, 1 or infinity", depth)).parse(rest)?;
            options.depth = depth;
            Ok((rest, ()))
        } else {
            Err(Failed::error(input, "MAXSIZE or DEPTH"))
        }
    };
    map(list1(option), |_| ()).parse(input)
}

/// `entry-value = entry SP value` (RFC 5464 §5)
fn entry_value(input: &[u8]) -> Parsed<'_, (EntryName, Option<Vec<u8>>)> {
    separated_pair(set_entry, sp, value).parse(input)
}

/// `value = nstring / literal8` (RFC 5464 §5)
fn value(input: &[u8]) -> Parsed<'_, Option<Vec<u8>>> {
    alt((map(literal8, Some), nstring)).parse(input)
}

/// `literal8 = "~{" number ["+"] "}" CRLF *OCTET` (RFC 4466 §3): any octets
fn literal8(input: &[u8]) -> Parsed<'_, Vec<u8>> {
    let (rest, octets) = preceded(char('~'), literal_size).parse(input)?;
    let octets = usize::try_from(octets).unwrap_or(usize::MAX);
    map(take(octets), <[u8]>::to_vec).parse(rest)
}

/// `entry` (RFC 5464 §3.2, §5) to be set: at least two components, and four below `vendor`
fn set_entry(input: &[u8]) -> Parsed<'_, EntryName> {
    let whole = |name: &EntryName| {
        let mut components = name.split('/').skip(2);
        match components.next() {
            None => false,
            Some("vendor") => components.count() >= 2,
            Some(_) => true,
        }
    };
    let entry = map_opt(astring, |name| entry_name(&name).filter(whole));
    context("an entry name", entry).parse(input)
}

/// `entry` (RFC 5464 §3.2, §5) to be told, which may stand for what is below it
fn get_entry(input: &[u8]) -> Parsed<'_, EntryName> {
    let entry = map_opt(astring, |name| entry_name(&name));
    context("an entry name", entry).parse(input)
}

/// A name that an entry can have (RFC 5464 §3.2), in lower case
fn entry_name(name: &[u8]) -> Option<EntryName> {
    let is_octet = |octet: &u8| (0x1A..0x80).contains(octet) && !b"*%".contains(octet);
    if name.len() > MAX_ENTRY || !name.iter().all(is_octet) {
        return None;
    }
    let name = str::from_utf8(name).ok()?.to_ascii_lowercase();
    let mut components = name.strip_prefix('/')?.split('/');
    let scope = components.clone().next()?;
    let is_known = matches!(scope, "private" | "shared");
    (is_known && components.all(|it| !it.is_empty())).then_some(name)
}

/// No more items than [`MAX_ENTRIES`]
fn bounded<'a, T>(
    mut items: impl FnMut(&'a [u8]) -> Parsed<'a, Vec<T>>,
) -> impl FnMut(&'a [u8]) -> Parsed<'a, Vec<T>> {
    move |input| {
        let (rest, items) = items(input)?;
        if items.len() > MAX_ENTRIES {
            return Err(Failed::error(input, "at most 1000 entries"));
        }
        Ok((rest, items))
    }
}

/// Each entry once
fn no_doubles(entries: Vec<EntryName>) -> Vec<EntryName> {
    let mut seen = std::collections::HashSet::new();
    let mut once = entries;
    once.retain(|entry| seen.insert(entry.clone()));
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_names_are_checked() {
        for name in [
            "/shared/comment",
            "/PRIVATE/Comment",
            "/private/vendor/x/y",
            "/private/a b",
        ] {
            let lower = name.to_ascii_lowercase();
            assert_eq!(entry_name(name.as_bytes()), Some(lower), "{name}");
        }
        for name in [
            "",
            "/",
            "comment",
            "/comment",
            "/public/comment",
            "/shared//comment",
            "/shared/comment/",
            "/shared/",
            "/shared/c*",
            "/shared/c%",
            "/shared/\u{19}",
            "/shared/\u{e9}",
        ] {
            assert_eq!(entry_name(name.as_bytes()), None, "{name:?}");
        }
        let longest = format!("/shared/{}", "x".repeat(MAX_ENTRY - 8));
        assert!(entry_name(longest.as_bytes()).is_some());
        assert!(entry_name(format!("{longest}x").as_bytes()).is_none());
        for (name, fits) in [
            ("/shared", false),
            ("/shared/vendor", false),
            ("/shared/vendor/x", false),
            ("/shared/vendor/x/y", true),
            ("/shared/x", true),
        ] {
            assert_eq!(set_entry(name.as_bytes()).is_ok(), fits, "{name}");
            assert!(get_entry(name.as_bytes()).is_ok(), "{name}");
        }
    }
}
