//! Flags (RFC 3501 §9).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag as octets, tag_no_case};
use nom::character::complete::{char, one_of};
use nom::combinator::{map, map_opt, opt, value, verify};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use mailstore::{FlagChange, FlagOp, FlagSet, Keyword, SystemFlag};

use crate::command::Echo;

use super::core::{atom, list1, sp, spaced1};
use super::{Failed, Parsed};

/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
/// (RFC 3501 §9)
pub(super) fn store_att_flags(input: &[u8]) -> Parsed<'_, (FlagChange, Echo)> {
    let operation = map(opt(one_of("+-")), |sign| match sign {
        Some('+') => FlagOp::Add,
        Some(_) => FlagOp::Remove,
        None => FlagOp::Replace,
    });
    let echo = map(opt(tag_no_case(".SILENT")), |silent| match silent {
        Some(_) => Echo::Silent,
        None => Echo::Flags,
    });
    let name = context(
        "FLAGS, +FLAGS or -FLAGS",
        (terminated(operation, tag_no_case("FLAGS")), echo),
    );
    let (input, ((op, echo), flags)) =
        (terminated(name, sp), alt((flag_list, flags))).parse(input)?;
    Ok((input, (change(op, flags), echo)))
}

/// `flag *(SP flag)` (RFC 3501 §9, `store-att-flags`)
fn flags(input: &[u8]) -> Parsed<'_, Vec<Named>> {
    bounded(spaced1(flag_lenient)).parse(input)
}

/// `flag-list = "(" [flag *(SP flag)] ")"` (RFC 3501 §9)
pub(super) fn flag_list(input: &[u8]) -> Parsed<'_, Vec<Named>> {
    // In one piece, so that what is wrong in a list is not told to be wrong here.
    let none = value(Vec::new(), octets("()"));
    alt((none, bounded(list1(flag_lenient)))).parse(input)
}

/// No more flags than [`MOST_FLAGS`]
fn bounded<'a>(
    flags: impl FnMut(&'a [u8]) -> Parsed<'a, Vec<Named>>,
) -> impl Parser<&'a [u8], Output = Vec<Named>, Error = Failed<'a>> {
    let bounded = verify(flags, |flags: &Vec<Named>| flags.len() <= MOST_FLAGS);
    context("at most 1000 flags", bounded)
}

/// A flag as a client names it.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// A flag that every mailbox has.
    System(SystemFlag),
    /// A keyword.
    Keyword(Keyword),
    /// A flag that a client cannot change.
    Ignored,
}

/// `flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword /
/// flag-extension` (RFC 3501 §9)
///
/// Interop: clients copy `\Recent` from FETCH into STORE and APPEND. It is ignored, as is every
/// flag-extension, for PERMANENTFLAGS does not list it (RFC 3501 §7.1).
fn flag_lenient(input: &[u8]) -> Parsed<'_, Named> {
    let system = map(preceded(char('\\'), atom), |name| {
        let named = |flag: &SystemFlag| {
            let known = flag.name().trim_start_matches('\\');
            known.eq_ignore_ascii_case(name)
        };
        let flag = SystemFlag::ALL.into_iter().find(named);
        flag.map_or(Named::Ignored, Named::System)
    });
    let keyword = map(flag_keyword, Named::Keyword);
    context("a flag", alt((system, keyword))).parse(input)
}

/// `flag-keyword = atom` (RFC 3501 §9), of at most 255 octets (S43)
fn flag_keyword(input: &[u8]) -> Parsed<'_, Keyword> {
    map_opt(atom, Keyword::new).parse(input)
}

/// The change that named flags make, each of them once.
pub(super) fn change(op: FlagOp, flags: Vec<Named>) -> FlagChange {
    let mut change = FlagChange {
        op,
        system: FlagSet::EMPTY,
        keywords: Vec::new(),
    };
    for flag in flags {
        match flag {
            Named::System(flag) => change.system = change.system.with(flag),
            Named::Keyword(keyword) if !change.keywords.contains(&keyword) => {
                change.keywords.push(keyword);
            }
            Named::Keyword(_) | Named::Ignored => {}
        }
    }
    change
}

/// The most flags in one list: far more than a mailbox can have (S43).
const MOST_FLAGS: usize = 1000;
