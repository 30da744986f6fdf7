//! Commands that name mailboxes (RFC 3501 §6.3, §9).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::combinator::{map, map_opt, verify};
use nom::error::context;
use nom::sequence::{preceded, separated_pair, terminated};

use mailstore::FlagOp;

use crate::command::{Append, Authenticated, Command, MailboxArg, StatusItem};
use crate::types::Tag;

use super::core::{astring, is_astring_char, list1, literal_size, sp, string, tag, word};
use super::date::date_time;
use super::flag::{change, flag_list};
use super::{Failed, Parsed};

/// `mailbox = "INBOX" / astring` (RFC 3501 §9): kept as sent
pub(super) fn mailbox(input: &[u8]) -> Parsed<'_, MailboxArg> {
    context("a mailbox name", astring).parse(input)
}

/// `rename = "RENAME" SP mailbox SP mailbox` (RFC 3501 §9), behind the name and its space
pub(super) fn rename(input: &[u8]) -> Parsed<'_, Authenticated> {
    let names = separated_pair(mailbox, sp, mailbox);
    map(names, |(from, to)| Authenticated::Rename { from, to }).parse(input)
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox` (RFC 3501 §9), behind the name and its space
pub(super) fn lsub(input: &[u8]) -> Parsed<'_, Authenticated> {
    let names = separated_pair(mailbox, sp, list_mailbox);
    map(names, |(reference, pattern)| Authenticated::Lsub {
        reference,
        pattern,
    })
    .parse(input)
}

/// `list-mailbox = 1*list-char / string` (RFC 3501 §9)
pub(super) fn list_mailbox(input: &[u8]) -> Parsed<'_, MailboxArg> {
    let plain = map(take_while1(is_list_char), <[u8]>::to_vec);
    context(
        "a mailbox name with possible wildcards",
        alt((plain, string)),
    )
    .parse(input)
}

/// `list-char = ATOM-CHAR / list-wildcards / resp-specials` (RFC 3501 §9)
fn is_list_char(octet: u8) -> bool {
    is_astring_char(octet) || octet == b'%' || octet == b'*'
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"` (RFC 3501 §9), behind the
/// name and its space
pub(super) fn status(input: &[u8]) -> Parsed<'_, Authenticated> {
    let arguments = separated_pair(mailbox, sp, status_att_list);
    map(arguments, |(mailbox, items)| Authenticated::Status {
        mailbox,
        items,
    })
    .parse(input)
}

/// `"(" status-att *(SP status-att) ")"` (RFC 3501 §9), each item once
pub(super) fn status_att_list(input: &[u8]) -> Parsed<'_, Vec<StatusItem>> {
    let (input, asked) = list1(status_att)(input)?;
    let mut items = Vec::new();
    for item in asked {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok((input, items))
}

/// `status-att = "MESSAGES" / "RECENT" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN"` (RFC 3501 §9),
/// `status-att =/ "APPENDLIMIT"` (RFC 7889 §5)
fn status_att(input: &[u8]) -> Parsed<'_, StatusItem> {
    let item = map_opt(word, |name| match name.as_slice() {
        b"MESSAGES" => Some(StatusItem::Messages),
        b"RECENT" => Some(StatusItem::Recent),
        b"UIDNEXT" => Some(StatusItem::UidNext),
        b"UIDVALIDITY" => Some(StatusItem::UidValidity),
        b"UNSEEN" => Some(StatusItem::Unseen),
        b"APPENDLIMIT" => Some(StatusItem::AppendLimit),
        _ => None,
    });
    context("a STATUS item", item).parse(input)
}

/// `tag SP "APPEND" SP`: how a command begins that may have a message
pub(super) fn append_start(input: &[u8]) -> Parsed<'_, Tag> {
    let name = verify(word, |name: &Vec<u8>| name == b"APPEND");
    terminated(tag, (sp, name, sp)).parse(input)
}

/// `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal` (RFC 3501 §9), behind
/// the name and its space, up to the announcement of a literal of `octets`; `None` if it is the
/// mailbox that the literal holds
pub(super) fn append_arguments(input: &[u8], octets: u64) -> Parsed<'_, Option<Command>> {
    if let Ok((rest @ [], _)) = literal_size(input) {
        return Ok((rest, None));
    }
    let (input, append) = append(input, octets)?;
    if input.is_empty() {
        let command = Command::Authenticated(Authenticated::Append(append));
        Ok((input, Some(command)))
    } else {
        Err(Failed::error(input, "nothing but the message"))
    }
}

/// `mailbox [SP flag-list] [SP date-time] SP` and the announcement of the message (RFC 3501 §9)
fn append(input: &[u8], octets: u64) -> Parsed<'_, Append> {
    let (input, mailbox) = mailbox(input)?;
    let (input, flags) = opt_if(b" (", flag_list, input)?;
    let (input, internal_date) = opt_if(b" \"", date_time, input)?;
    let message = preceded(sp, context("the message as a literal", literal_size));
    let (input, _) = map(message, |_| ()).parse(input)?;
    let append = Append {
        mailbox,
        flags: change(FlagOp::Replace, flags.unwrap_or_default()),
        internal_date,
        octets,
    };
    Ok((input, append))
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
