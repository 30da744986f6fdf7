//! NOTIFY (RFC 5465 §8).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::char;
use nom::combinator::{map, value};
use nom::error::context;
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, separated_pair};

use crate::command::{
    EventGroup, FetchItem, InitialStatus, MailboxArg, MailboxFilter, Notify, NotifyEvent,
};

use super::core::{atom, list1, sp};
use super::fetch::fetch_att;
use super::mailbox::mailbox;
use super::{Failed, Parsed};

/// `notify = "NOTIFY" SP (notify-set / notify-none)` (RFC 5465 §8), behind the name and its space
pub(super) fn notify(input: &[u8]) -> Parsed<'_, Notify> {
    let (rest, form) = context("SET or NONE", atom).parse(input)?;
    if form.eq_ignore_ascii_case("NONE") {
        return Ok((rest, Notify::None));
    }
    if form.eq_ignore_ascii_case("SET") {
        return notify_set(rest);
    }
    Err(Failed::error(input, "SET or NONE"))
}

/// `notify-set = "SET" [status-indicator] SP event-groups` (RFC 5465 §8), behind SET. Only one of
/// the groups can be about the selected mailbox (RFC 5465 §6.1)
fn notify_set(input: &[u8]) -> Parsed<'_, Notify> {
    let status = preceded(sp, tag_no_case(&b"STATUS"[..]));
    let told = map(status, |_| InitialStatus::Told);
    let omitted = value(InitialStatus::Omitted, nom::combinator::success(()));
    let (rest, initial) = alt((told, omitted)).parse(input)?;
    let (rest, groups) = preceded(sp, separated_list1(sp, event_group)).parse(rest)?;
    let selected = groups.iter().filter(|it| is_selected(&it.mailboxes));
    if selected.count() > 1 {
        return Err(Failed::error(input, "one group for the selected mailbox"));
    }
    Ok((rest, Notify::Set { initial, groups }))
}

/// `event-group = "(" filter-mailboxes SP events ")"` (RFC 5465 §8)
fn event_group(input: &[u8]) -> Parsed<'_, EventGroup> {
    let group = separated_pair(filter_mailboxes, sp, events);
    let open = context("a group of events in parentheses", char('('));
    let close = context("a closing parenthesis", char(')'));
    let (rest, (mailboxes, events)) = delimited(open, group, close).parse(input)?;
    match objection(&mailboxes, &events) {
        Some(expected) => Err(Failed::error(input, expected)),
        None => Ok((rest, EventGroup { mailboxes, events })),
    }
}

/// What a group must have and has not (RFC 5465 §5, §6.1, §8).
fn objection(mailboxes: &MailboxFilter, events: &[NotifyEvent]) -> Option<&'static str> {
    let has = |is: fn(&NotifyEvent) -> bool| events.iter().any(is);
    let new = has(|event| matches!(event, NotifyEvent::MessageNew(_)));
    let fetches = has(|event| matches!(event, NotifyEvent::MessageNew(items) if !items.is_empty()));
    let expunge = has(|event| *event == NotifyEvent::MessageExpunge);
    let flags = has(|event| *event == NotifyEvent::FlagChange);
    let names = has(|event| {
        matches!(
            event,
            NotifyEvent::MailboxName
                | NotifyEvent::SubscriptionChange
                | NotifyEvent::MailboxMetadataChange
                | NotifyEvent::ServerMetadataChange
        )
    });
    if new != expunge || flags && !new {
        Some("MessageNew and MessageExpunge together")
    } else if is_selected(mailboxes) && names {
        Some("events about messages of the selected mailbox")
    } else if !is_selected(mailboxes) && fetches {
        Some("MessageNew without items but for the selected mailbox")
    } else {
        None
    }
}

/// `filter-mailboxes-selected` (RFC 5465 §8)
fn is_selected(mailboxes: &MailboxFilter) -> bool {
    matches!(
        mailboxes,
        MailboxFilter::Selected | MailboxFilter::SelectedDelayed
    )
}

/// `filter-mailboxes = filter-mailboxes-selected / filter-mailboxes-other` (RFC 5465 §8)
fn filter_mailboxes(input: &[u8]) -> Parsed<'_, MailboxFilter> {
    let (rest, name) = context("which mailboxes", atom).parse(input)?;
    let filter = match name.to_ascii_lowercase().as_str() {
        "selected" => MailboxFilter::Selected,
        "selected-delayed" => MailboxFilter::SelectedDelayed,
        "inboxes" => MailboxFilter::Inboxes,
        "personal" => MailboxFilter::Personal,
        "subscribed" => MailboxFilter::Subscribed,
        "subtree" => return map(one_or_more_mailbox, MailboxFilter::Subtree).parse(rest),
        "mailboxes" => return map(one_or_more_mailbox, MailboxFilter::Mailboxes).parse(rest),
        _ => return Err(Failed::error(input, "which mailboxes")),
    };
    Ok((rest, filter))
}

/// `SP one-or-more-mailbox`, with `one-or-more-mailbox = mailbox / many-mailboxes` and
/// `many-mailboxes = "(" mailbox *(SP mailbox) ")"` (RFC 5465 §8)
fn one_or_more_mailbox(input: &[u8]) -> Parsed<'_, Vec<MailboxArg>> {
    let (input, _) = sp(input)?;
    if input.starts_with(b"(") {
        list1(mailbox)(input)
    } else {
        map(mailbox, |mailbox| vec![mailbox]).parse(input)
    }
}

/// `events = ( "(" event *(SP event) ")" ) / "NONE"` (RFC 5465 §8)
fn events(input: &[u8]) -> Parsed<'_, Vec<NotifyEvent>> {
    if input.starts_with(b"(") {
        return list1(event)(input);
    }
    let none = tag_no_case(&b"NONE"[..]);
    context("events in parentheses or NONE", value(Vec::new(), none)).parse(input)
}

/// `event = message-event / mailbox-event / user-event / event-ext` (RFC 5465 §8)
fn event(input: &[u8]) -> Parsed<'_, NotifyEvent> {
    let (rest, name) = context("an event", atom).parse(input)?;
    let event = match name.to_ascii_lowercase().as_str() {
        "messagenew" if rest.starts_with(b" (") => {
            return map(preceded(sp, fetch_atts), NotifyEvent::MessageNew).parse(rest);
        }
        "messagenew" => NotifyEvent::MessageNew(Vec::new()),
        "messageexpunge" => NotifyEvent::MessageExpunge,
        "flagchange" => NotifyEvent::FlagChange,
        "mailboxname" => NotifyEvent::MailboxName,
        "subscriptionchange" => NotifyEvent::SubscriptionChange,
        "mailboxmetadatachange" => NotifyEvent::MailboxMetadataChange,
        "servermetadatachange" => NotifyEvent::ServerMetadataChange,
        _ => NotifyEvent::Unsupported,
    };
    Ok((rest, event))
}

/// `"(" fetch-att *(SP fetch-att) ")"` (RFC 5465 §8, `message-event`); every item is told once
fn fetch_atts(input: &[u8]) -> Parsed<'_, Vec<FetchItem>> {
    let (rest, asked) = list1(fetch_att)(input)?;
    let mut items = Vec::with_capacity(asked.len());
    for item in asked {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok((rest, items))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole of the arguments, or `None` with what was expected instead.
    fn parse(input: &str) -> Result<Notify, &'static str> {
        match notify(input.as_bytes()) {
            Ok(([], parsed)) => Ok(parsed),
            Ok(_) => Err("the end"),
            Err(nom::Err::Error(failed) | nom::Err::Failure(failed)) => {
                Err(failed.expected.unwrap_or_default())
            }
            Err(nom::Err::Incomplete(_)) => Err("more"),
        }
    }

    #[test]
    fn forms_that_are_understood() {
        assert!(matches!(parse("none"), Ok(Notify::None)));
        let Ok(Notify::Set { initial, groups }) = parse(
            "SET status (Selected (messageNEW (UID uid FLAGS) MessageExpunge FlagChange)) \
            (subtree (a \"b c\") (MailboxName)) (Mailboxes INBOX NONE) (personal (X-Y))",
        ) else {
            panic!("not understood");
        };
        assert_eq!(initial, InitialStatus::Told);
        let items = vec![FetchItem::Uid, FetchItem::Flags];
        let expected = [
            (
                MailboxFilter::Selected,
                vec![
                    NotifyEvent::MessageNew(items),
                    NotifyEvent::MessageExpunge,
                    NotifyEvent::FlagChange,
                ],
            ),
            (
                MailboxFilter::Subtree(vec![b"a".to_vec(), b"b c".to_vec()]),
                vec![NotifyEvent::MailboxName],
            ),
            (MailboxFilter::Mailboxes(vec![b"INBOX".to_vec()]), vec![]),
            (MailboxFilter::Personal, vec![NotifyEvent::Unsupported]),
        ];
        let expected = expected.map(|(mailboxes, events)| EventGroup { mailboxes, events });
        assert_eq!(groups, expected);
    }

    #[test]
    fn forms_that_are_not_understood() {
        let pair = "MessageNew and MessageExpunge together";
        let rows = [
            ("maybe", "SET or NONE"),
            ("set", "a space"),
            (
                "set personal (MailboxName)",
                "a group of events in parentheses",
            ),
            (
                "set (personal MailboxName)",
                "events in parentheses or NONE",
            ),
            ("set (personal ())", "an event"),
            ("set (everything NONE)", "which mailboxes"),
            ("set (subtree NONE)", "a space"),
            ("set (inboxes (MessageNew))", pair),
            ("set (inboxes (MessageExpunge))", pair),
            ("set (inboxes (FlagChange))", pair),
            (
                "set (selected (MailboxName))",
                "events about messages of the selected mailbox",
            ),
            (
                "set (inboxes (MessageNew (UID) MessageExpunge))",
                "MessageNew without items but for the selected mailbox",
            ),
            (
                "set (selected NONE) (selected-delayed NONE)",
                "one group for the selected mailbox",
            ),
            (
                "set (selected (MessageNew () MessageExpunge))",
                "a FETCH item",
            ),
        ];
        for (input, expected) in rows {
            assert_eq!(parse(input).err(), Some(expected), "{input}");
        }
    }
}
