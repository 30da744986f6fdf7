//! Commands by their names (RFC 3501 §9).

use nom::Parser;
use nom::branch::alt;
use nom::character::complete::char;
use nom::combinator::{map, recognize, value};
use nom::error::context;
use nom::sequence::{preceded, separated_pair, terminated};

use auth::Secret;
use auth::sasl::Mechanism;

use crate::command::{Any, Authenticated, Command, MailboxArg, NotAuthenticated, Selected};
use crate::settings::Limits;
use crate::types::{ByUid, Messages, SequenceSet, Tag};

use super::core::{
    astring, atom, base64, end_lenient, list1, nil, nstring, sequence_set, sp, string, tag, word,
};
use super::fetch::fetch_items;
use super::flag::store_att_flags;
use super::mailbox::{list, mailbox, rename, status};
use super::search::search;
use super::{Failed, Parsed};

/// `tag SP` (RFC 3501 §9, `command`)
pub(super) fn tagged(input: &[u8]) -> Parsed<'_, Tag> {
    terminated(tag, sp).parse(input)
}

/// `command-any / command-auth / command-nonauth / command-select`, up to the end of the command
/// (RFC 3501 §9, `command`)
pub(super) fn command_lenient<'a>(input: &'a [u8], limits: &Limits) -> Parsed<'a, Command> {
    let (rest, name) = context("a command", word).parse(input)?;
    let (rest, command) = match without_arguments(&name) {
        Some(command) => (rest, command),
        None if takes_arguments(&name) => {
            let (rest, _) = sp(rest)?;
            with_arguments(&name, limits, rest)?
        }
        None => return Err(Failed::error(input, "a command")),
    };
    let (rest, ()) = end_lenient(rest)?;
    Ok((rest, command))
}

/// The commands without arguments (RFC 3501 §9, RFC 2177 §4, RFC 2342 §6, RFC 3691 §4)
fn without_arguments(name: &[u8]) -> Option<Command> {
    Some(match name {
        b"CAPABILITY" => Command::Any(Any::Capability),
        b"NOOP" => Command::Any(Any::Noop),
        b"LOGOUT" => Command::Any(Any::Logout),
        b"STARTTLS" => Command::NotAuthenticated(NotAuthenticated::StartTls),
        b"NAMESPACE" => Command::Authenticated(Authenticated::Namespace),
        b"IDLE" => Command::Authenticated(Authenticated::Idle),
        b"CHECK" => Command::Selected(Selected::Check),
        b"CLOSE" => Command::Selected(Selected::Close),
        b"UNSELECT" => Command::Selected(Selected::Unselect),
        b"EXPUNGE" => Command::Selected(Selected::Expunge(None)),
        _ => return None,
    })
}

/// Whether a command of this name has arguments
fn takes_arguments(name: &[u8]) -> bool {
    const NAMES: [&str; 19] = [
        "APPEND",
        "AUTHENTICATE",
        "COPY",
        "CREATE",
        "DELETE",
        "EXAMINE",
        "FETCH",
        "ID",
        "LIST",
        "LOGIN",
        "LSUB",
        "RENAME",
        "SEARCH",
        "SELECT",
        "STATUS",
        "STORE",
        "SUBSCRIBE",
        "UID",
        "UNSUBSCRIBE",
    ];
    NAMES.iter().any(|known| known.as_bytes() == name)
}

/// The arguments of the command `name`
fn with_arguments<'a>(name: &[u8], limits: &Limits, input: &'a [u8]) -> Parsed<'a, Command> {
    let of_mailbox = |make: fn(MailboxArg) -> Authenticated| {
        move |input: &'a [u8]| map(mailbox, make).parse(input)
    };
    let (rest, command) = match name {
        b"ID" => return map(id_params_list, |fields| Command::Any(Any::Id(fields))).parse(input),
        b"LOGIN" => return map(login, Command::NotAuthenticated).parse(input),
        b"AUTHENTICATE" => return map(authenticate, Command::NotAuthenticated).parse(input),
        b"SELECT" => of_mailbox(Authenticated::Select)(input)?,
        b"EXAMINE" => of_mailbox(Authenticated::Examine)(input)?,
        b"CREATE" => of_mailbox(Authenticated::Create)(input)?,
        b"DELETE" => of_mailbox(Authenticated::Delete)(input)?,
        b"SUBSCRIBE" => of_mailbox(Authenticated::Subscribe)(input)?,
        b"UNSUBSCRIBE" => of_mailbox(Authenticated::Unsubscribe)(input)?,
        b"RENAME" => rename(input)?,
        b"LIST" => map(list, |(reference, pattern)| Authenticated::List {
            reference,
            pattern,
        })
        .parse(input)?,
        b"LSUB" => map(list, |(reference, pattern)| Authenticated::Lsub {
            reference,
            pattern,
        })
        .parse(input)?,
        b"STATUS" => status(input)?,
        b"APPEND" => return Err(append_without_message(input)),
        b"UID" => return map(|input| uid(limits, input), Command::Selected).parse(input),
        name => {
            let (rest, command) = about_messages(name, ByUid::No, limits, input)?;
            return Ok((rest, Command::Selected(command)));
        }
    };
    Ok((rest, Command::Authenticated(command)))
}

/// `uid = "UID" SP (copy / fetch / search / store)` (RFC 3501 §9), and
/// `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §4), behind UID and its space
fn uid<'a>(limits: &Limits, input: &'a [u8]) -> Parsed<'a, Selected> {
    let (rest, name) = context("a command that has a UID form", word).parse(input)?;
    match name.as_slice() {
        b"COPY" | b"FETCH" | b"SEARCH" | b"STORE" => {
            let (rest, _) = sp(rest)?;
            about_messages(&name, ByUid::Yes, limits, rest)
        }
        b"EXPUNGE" => map(preceded(sp, sequence_set), |uids| {
            Selected::Expunge(Some(uids))
        })
        .parse(rest),
        _ => Err(Failed::error(input, "a command that has a UID form")),
    }
}

/// `copy / fetch / search / store` (RFC 3501 §9), behind the name and its space
fn about_messages<'a>(
    name: &[u8],
    by_uid: ByUid,
    limits: &Limits,
    input: &'a [u8],
) -> Parsed<'a, Selected> {
    if name == b"SEARCH" {
        return search(by_uid, limits, input).map(|(rest, found)| (rest, Selected::Search(found)));
    }
    let messages = |set: SequenceSet| match by_uid {
        ByUid::No => Messages::Seq(set),
        ByUid::Yes => Messages::Uid(set),
    };
    let (rest, messages) = terminated(map(sequence_set, messages), sp).parse(input)?;
    match name {
        b"COPY" => {
            let (rest, mailbox) = mailbox(rest)?;
            Ok((rest, Selected::Copy { messages, mailbox }))
        }
        b"FETCH" => {
            let (rest, items) = fetch_items(rest)?;
            Ok((rest, Selected::Fetch { messages, items }))
        }
        b"STORE" => {
            let (rest, (change, echo)) = store_att_flags(rest)?;
            let store = Selected::Store {
                messages,
                change,
                echo,
            };
            Ok((rest, store))
        }
        _ => Err(Failed::error(input, "a command")),
    }
}

/// Why an APPEND that the framer took for a whole command is none: it has no message
fn append_without_message(input: &[u8]) -> nom::Err<Failed<'_>> {
    match super::mailbox::append_arguments(input, 0) {
        Err(error) => error,
        Ok((rest, _)) => Failed::error(rest, "the message as a literal"),
    }
}

/// `login = "LOGIN" SP userid SP password` (RFC 3501 §9), behind the name and its space
fn login(input: &[u8]) -> Parsed<'_, NotAuthenticated> {
    let userid = context("a user name", astring);
    let password = context("a password", astring);
    map(separated_pair(userid, sp, password), |(user, password)| {
        NotAuthenticated::Login {
            user,
            password: Secret::new(password),
        }
    })
    .parse(input)
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")] *(CRLF base64)` (RFC 4959 §7),
/// behind the name and its space, up to the first line end
fn authenticate(input: &[u8]) -> Parsed<'_, NotAuthenticated> {
    let (rest, auth_type) = context("a mechanism", atom).parse(input)?;
    let mechanism = Mechanism::from_name(auth_type);
    if end_lenient(rest).is_ok() {
        let initial = None;
        return Ok((rest, NotAuthenticated::Authenticate { mechanism, initial }));
    }
    let empty = recognize(char('='));
    let (rest, initial) = preceded(sp, alt((base64, empty))).parse(rest)?;
    let initial = Some(Secret::new(initial));
    Ok((rest, NotAuthenticated::Authenticate { mechanism, initial }))
}

/// `id_params_list ::= "(" #(string SPACE nstring) ")" / nil` (RFC 2971 §4)
fn id_params_list(input: &[u8]) -> Parsed<'_, Vec<(Vec<u8>, Option<Vec<u8>>)>> {
    let none = value(Vec::new(), (char('('), char(')')));
    if input.starts_with(b"(") {
        alt((none, list1(id_param))).parse(input)
    } else {
        context("a list in parentheses or NIL", value(Vec::new(), nil)).parse(input)
    }
}

/// `string SPACE nstring` (RFC 2971 §4)
fn id_param(input: &[u8]) -> Parsed<'_, (Vec<u8>, Option<Vec<u8>>)> {
    separated_pair(string, sp, nstring).parse(input)
}
