//! Commands that name mailboxes (RFC 3501 §6.3, §9).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::char;
use nom::combinator::{map, map_opt, recognize, verify};
use nom::error::context;
use nom::multi::separated_list1;
use nom::sequence::{preceded, separated_pair};

use crate::command::{Authenticated, MailboxArg, StatusItem};

use super::core::{astring, atom, is_astring_char, list0, list1, sp, string, word};
use super::{Failed, Parsed};

/// `mailbox = "INBOX" / astring` (RFC 3501 §9): kept as sent
pub(super) fn mailbox(input: &[u8]) -> Parsed<'_, MailboxArg> {
    context("a mailbox name", astring).parse(input)
}

/// `create = "CREATE" SP mailbox [create-params]` (RFC 4466 §2.2), behind the name and its space
pub(super) fn create(input: &[u8]) -> Parsed<'_, Authenticated> {
    let (rest, mailbox) = mailbox(input)?;
    let (rest, uses) = if rest.starts_with(b" (") {
        map(preceded(sp, create_params), Some).parse(rest)?
    } else {
        (rest, None)
    };
    Ok((rest, Authenticated::Create { mailbox, uses }))
}

/// `"(" create-param *(SP create-param) ")"` (RFC 4466 §2.2); one that we do not know is an error,
/// and one that is given twice adds to what it says
fn create_params(input: &[u8]) -> Parsed<'_, Vec<Vec<u8>>> {
    map(list1(create_param), |params| params.concat()).parse(input)
}

/// `create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"` (RFC 6154 §6)
fn create_param(input: &[u8]) -> Parsed<'_, Vec<Vec<u8>>> {
    let name = verify(atom, |name: &str| name.eq_ignore_ascii_case("USE"));
    let (rest, _) = context("USE", name).parse(input)?;
    let (rest, _) = sp(rest)?;
    let mut uses = Vec::new();
    let attribute = |input| {
        let (input, attribute) = use_attr(input)?;
        if uses.len() >= MAX_USES {
            return Err(Failed::error(input, "at most 100 special uses"));
        }
        uses.push(attribute.to_vec());
        Ok((input, ()))
    };
    let (rest, ()) = list0(attribute, rest)?;
    Ok((rest, uses))
}

/// `use-attr-ext = "\" atom` (RFC 6154 §6), which all others are as well
pub(crate) fn use_attr(input: &[u8]) -> Parsed<'_, &[u8]> {
    let attribute = recognize((char('\\'), atom));
    context("a special-use attribute", attribute).parse(input)
}

/// The most special uses that a mailbox is made for; there are not so many.
const MAX_USES: usize = 100;

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

/// XLIST, in the form of the plain LIST, behind the name and its space
pub(super) fn xlist(input: &[u8]) -> Parsed<'_, Authenticated> {
    let names = separated_pair(mailbox, sp, list_mailbox);
    map(names, |(reference, pattern)| Authenticated::Xlist {
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
/// `status-att =/ "APPENDLIMIT"` (RFC 7889 §5), `status-att =/ "HIGHESTMODSEQ"` (RFC 7162 §7),
/// `status-att =/ "DELETED" / "DELETED-STORAGE"` (RFC 9208 §7),
/// `status-att =/ "MAILBOXID"` (RFC 8474 §7)
fn status_att(input: &[u8]) -> Parsed<'_, StatusItem> {
    let name = recognize(separated_list1(char('-'), word));
    let item = map_opt(name, |name| match &*name.to_ascii_uppercase() {
        b"MESSAGES" => Some(StatusItem::Messages),
        b"RECENT" => Some(StatusItem::Recent),
        b"UIDNEXT" => Some(StatusItem::UidNext),
        b"UIDVALIDITY" => Some(StatusItem::UidValidity),
        b"UNSEEN" => Some(StatusItem::Unseen),
        b"SIZE" => Some(StatusItem::Size),
        b"DELETED" => Some(StatusItem::Deleted),
        b"DELETED-STORAGE" => Some(StatusItem::DeletedStorage),
        b"APPENDLIMIT" => Some(StatusItem::AppendLimit),
        b"HIGHESTMODSEQ" => Some(StatusItem::HighestModSeq),
        b"MAILBOXID" => Some(StatusItem::MailboxId),
        _ => None,
    });
    context("a STATUS item", item).parse(input)
}
