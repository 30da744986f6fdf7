//! LIST with its options (RFC 5258 §6, RFC 5819 §4, RFC 6154 §6).

use std::collections::HashSet;

use nom::Parser;
use nom::bytes::complete::tag_no_case;
use nom::combinator::{map, map_opt};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use crate::command::{
    Authenticated, EntryName, ExtendedList, MailboxArg, ReturnOption, SelectionOption, StatusItem,
};

use super::core::{atom, end_lenient, list0, list1, sp};
use super::mailbox::{list_mailbox, mailbox, status_att_list};
use super::metadata::entry_list;
use super::{Failed, Parsed};

/// The most patterns of one command. A client has no use for more, and each costs time for every
/// name.
const MAX_PATTERNS: usize = 1000;

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`
/// (RFC 5258 §6), behind the name and its space. With one of the three it is an extended LIST
/// (RFC 5258 §1).
pub(super) fn list(input: &[u8]) -> Parsed<'_, Authenticated> {
    let (rest, selection) = if_parenthesis(terminated(list_select_opts, sp), input)?;
    let (rest, reference) = terminated(mailbox, sp).parse(rest)?;
    let (rest, patterns) = if_parenthesis(patterns, rest)?;
    let several = patterns.is_some();
    let (rest, patterns) = match patterns {
        Some(patterns) => (rest, patterns),
        None => map(list_mailbox, |pattern| vec![pattern]).parse(rest)?,
    };
    let (rest, returns) = if !rest.starts_with(b" ") || end_lenient(rest).is_ok() {
        (rest, None)
    } else {
        map(preceded(sp, list_return_opts), Some).parse(rest)?
    };
    if selection.is_none() && returns.is_none() && !several {
        let pattern = patterns.into_iter().next().unwrap_or_default();
        return Ok((rest, Authenticated::List { reference, pattern }));
    }
    let list = ExtendedList {
        reference,
        patterns,
        selection: selection.unwrap_or_default(),
        returns: returns.unwrap_or_default(),
    };
    Ok((rest, Authenticated::ListExtended(Box::new(list))))
}

/// `[rule]`, where the first octet tells whether it is there: so a mistake inside of it is reported
/// as such
fn if_parenthesis<'a, T>(
    rule: impl Parser<&'a [u8], Output = T, Error = Failed<'a>>,
    input: &'a [u8],
) -> Parsed<'a, Option<T>> {
    if input.starts_with(b"(") {
        map(rule, Some).parse(input)
    } else {
        Ok((input, None))
    }
}

/// `patterns = "(" list-mailbox *(SP list-mailbox) ")"` (RFC 5258 §6)
fn patterns(input: &[u8]) -> Parsed<'_, Vec<MailboxArg>> {
    let mut count = 0;
    let pattern = |input| {
        count += 1;
        if count > MAX_PATTERNS {
            return Err(Failed::error(input, "at most 1000 patterns"));
        }
        list_mailbox(input)
    };
    list1(pattern)(input)
}

/// `list-select-opts` (RFC 5258 §6). `RECURSIVEMATCH` needs an option that it can apply to
/// (RFC 5258 §3.1), which `SPECIAL-USE` is not: that is independent, as `REMOTE` is (RFC 6154 §6)
fn list_select_opts(input: &[u8]) -> Parsed<'_, Vec<SelectionOption>> {
    let mut options = Vec::new();
    let option = |input| {
        let (input, option) = list_select_opt(input)?;
        if !options.contains(&option) {
            options.push(option);
        }
        Ok((input, ()))
    };
    let (rest, ()) = list0(option, input)?;
    let recursive = options.contains(&SelectionOption::RecursiveMatch);
    if recursive && !options.contains(&SelectionOption::Subscribed) {
        return Err(Failed::error(input, "SUBSCRIBED beside RECURSIVEMATCH"));
    }
    Ok((rest, options))
}

/// `list-select-opt` (RFC 5258 §6); one that we do not know is an error (RFC 5258 §3)
fn list_select_opt(input: &[u8]) -> Parsed<'_, SelectionOption> {
    let known = [
        ("SUBSCRIBED", SelectionOption::Subscribed),
        ("REMOTE", SelectionOption::Remote),
        ("RECURSIVEMATCH", SelectionOption::RecursiveMatch),
        ("SPECIAL-USE", SelectionOption::SpecialUse),
    ];
    let option = map_opt(atom, |name| {
        let mut known = known.iter();
        let option = known.find(|(known, _)| name.eq_ignore_ascii_case(known));
        option.map(|(_, option)| *option)
    });
    context("a selection option", option).parse(input)
}

/// `list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"` (RFC 5258 §6). An
/// option that is given twice counts once (RFC 5258 §3)
fn list_return_opts(input: &[u8]) -> Parsed<'_, Vec<ReturnOption>> {
    let (input, _) = context("RETURN", tag_no_case(&b"RETURN"[..])).parse(input)?;
    let (input, _) = sp(input)?;
    let mut options = Vec::new();
    let mut status: Vec<StatusItem> = Vec::new();
    let mut metadata: Vec<EntryName> = Vec::new();
    let mut seen = HashSet::new();
    let option = |input| {
        let (input, option) = return_option(input)?;
        match option {
            ReturnOption::Status(items) => {
                for item in items {
                    if !status.contains(&item) {
                        status.push(item);
                    }
                }
            }
            ReturnOption::Metadata(entries) => {
                for entry in entries {
                    if seen.insert(entry.clone()) {
                        metadata.push(entry);
                    }
                }
            }
            ReturnOption::Subscribed
            | ReturnOption::Children
            | ReturnOption::SpecialUse
            | ReturnOption::MyRights => {
                if !options.contains(&option) {
                    options.push(option);
                }
            }
        }
        Ok((input, ()))
    };
    let (input, ()) = list0(option, input)?;
    if !status.is_empty() {
        options.push(ReturnOption::Status(status));
    }
    if !metadata.is_empty() {
        options.push(ReturnOption::Metadata(metadata));
    }
    Ok((input, options))
}

/// `return-option = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" / "MYRIGHTS" / status-option`
/// (RFC 5258 §6, RFC 6154 §6, RFC 8440 §5, RFC 5819 §4),
/// `return-option =/ "METADATA" SP "(" entry *(SP entry) ")"` (RFC 9590 §5); one that we do not
/// know is an error (RFC 5258 §3)
fn return_option(input: &[u8]) -> Parsed<'_, ReturnOption> {
    let (rest, name) = context("a return option", atom).parse(input)?;
    if name.eq_ignore_ascii_case("STATUS") {
        return map(preceded(sp, status_att_list), ReturnOption::Status).parse(rest);
    }
    if name.eq_ignore_ascii_case("METADATA") {
        return map(preceded(sp, entry_list), ReturnOption::Metadata).parse(rest);
    }
    if name.eq_ignore_ascii_case("SUBSCRIBED") {
        Ok((rest, ReturnOption::Subscribed))
    } else if name.eq_ignore_ascii_case("CHILDREN") {
        Ok((rest, ReturnOption::Children))
    } else if name.eq_ignore_ascii_case("SPECIAL-USE") {
        Ok((rest, ReturnOption::SpecialUse))
    } else if name.eq_ignore_ascii_case("MYRIGHTS") {
        Ok((rest, ReturnOption::MyRights))
    } else {
        Err(Failed::error(input, "a return option"))
    }
}
