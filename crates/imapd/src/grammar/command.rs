//! Commands by their names (RFC 3501 §9).

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::char;
use nom::combinator::{map, recognize, value};
use nom::error::context;
use nom::multi::many1;
use nom::sequence::{delimited, preceded, separated_pair, terminated};

use auth::Secret;
use auth::sasl::Mechanism;

use crate::command::{
    Any, Authenticated, Command, IdField, MailboxArg, NotAuthenticated, Selected,
};
use crate::settings::Limits;
use crate::types::{ByUid, Tag};

use super::acl::acl;
use super::append::{Segment, append, replace};
use super::condstore::{fetch_modifiers, select_params, store_modifiers};
use super::core::{
    astring, atom, base64, end_lenient, list1, messages, nil, nstring, sp, string, tag, word,
};
use super::fetch::fetch_items;
use super::flag::store_att_flags;
use super::list::list;
use super::mailbox::{create, lsub, mailbox, rename, status, xlist};
use super::metadata::{getmetadata_lenient, setmetadata};
use super::notify::notify;
use super::quota::{getquota, getquotaroot, setquota};
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
        None => with_arguments(&name, limits, rest)
            .unwrap_or_else(|| Err(Failed::error(input, "a command")))?,
    };
    let (rest, ()) = end_lenient(rest)?;
    Ok((rest, command))
}

/// `tag SP` and the name of a command, whatever follows (RFC 3501 §9, `command`)
pub(super) fn name_lenient<'a>(input: &'a [u8], limits: &Limits) -> Parsed<'a, ()> {
    let (input, _) = tagged(input)?;
    let (rest, name) = context("a command", word).parse(input)?;
    if without_arguments(&name).is_none() && with_arguments(&name, limits, &[]).is_none() {
        return Err(Failed::error(input, "a command"));
    }
    Ok((rest, ()))
}

/// The commands without arguments (RFC 3501 §9, RFC 2177 §4, RFC 2342 §6, RFC 3691 §4, RFC 8437 §6)
fn without_arguments(name: &[u8]) -> Option<Command> {
    Some(match name {
        b"CAPABILITY" => Command::Any(Any::Capability),
        b"NOOP" => Command::Any(Any::Noop),
        b"LOGOUT" => Command::Any(Any::Logout),
        b"STARTTLS" => Command::NotAuthenticated(NotAuthenticated::StartTls),
        b"NAMESPACE" => Command::Authenticated(Authenticated::Namespace),
        b"IDLE" => Command::Authenticated(Authenticated::Idle),
        b"UNAUTHENTICATE" => Command::Authenticated(Authenticated::Unauthenticate),
        b"CHECK" => Command::Selected(Selected::Check),
        b"CLOSE" => Command::Selected(Selected::Close),
        b"UNSELECT" => Command::Selected(Selected::Unselect),
        b"EXPUNGE" => Command::Selected(Selected::Expunge(None)),
        _ => return None,
    })
}

/// The arguments of the command `name`, with the space before them
fn with_arguments<'a>(
    name: &[u8],
    limits: &Limits,
    input: &'a [u8],
) -> Option<Parsed<'a, Command>> {
    let id = |fields| Command::Any(Any::Id(fields));
    Some(match name {
        b"ID" => map(preceded(sp, id_params_list), id).parse(input),
        b"ENABLE" => map(enable, Command::Authenticated).parse(input),
        b"COMPRESS" => map(preceded(sp, algorithm), Command::Authenticated).parse(input),
        b"LOGIN" => map(preceded(sp, login), Command::NotAuthenticated).parse(input),
        b"AUTHENTICATE" => map(preceded(sp, authenticate), Command::NotAuthenticated).parse(input),
        b"APPEND" => preceded(sp, whole_append).parse(input),
        b"REPLACE" => {
            let replace = preceded(sp, |input| whole_replace(ByUid::No, input));
            map(replace, Command::Selected).parse(input)
        }
        b"UID" => map(|input| uid(limits, input), Command::Selected).parse(input),
        name => {
            let selected = about_messages(name, ByUid::No, limits, input)
                .map(|parsed| parsed.map(|(rest, it)| (rest, Command::Selected(it))));
            let authenticated = || {
                about_mailboxes(name, input)
                    .or_else(|| acl(name, input))
                    .map(|parsed| parsed.map(|(rest, it)| (rest, Command::Authenticated(it))))
            };
            return selected.or_else(authenticated);
        }
    })
}

/// `create / delete / examine / list / lsub / rename / select / status / subscribe /
/// unsubscribe` (RFC 3501 §9, `command-auth`), behind the name
fn about_mailboxes<'a>(name: &[u8], input: &'a [u8]) -> Option<Parsed<'a, Authenticated>> {
    let of = |make: fn(MailboxArg) -> Authenticated| map(preceded(sp, mailbox), make);
    Some(match name {
        b"SELECT" => map(
            preceded(sp, (mailbox, select_params)),
            |(name, parameters)| Authenticated::Select(name, parameters),
        )
        .parse(input),
        b"EXAMINE" => map(
            preceded(sp, (mailbox, select_params)),
            |(name, parameters)| Authenticated::Examine(name, parameters),
        )
        .parse(input),
        b"CREATE" => preceded(sp, create).parse(input),
        b"DELETE" => of(Authenticated::Delete).parse(input),
        b"SUBSCRIBE" => of(Authenticated::Subscribe).parse(input),
        b"UNSUBSCRIBE" => of(Authenticated::Unsubscribe).parse(input),
        b"RENAME" => preceded(sp, rename).parse(input),
        b"STATUS" => preceded(sp, status).parse(input),
        b"LIST" => preceded(sp, list).parse(input),
        b"LSUB" => preceded(sp, lsub).parse(input),
        b"XLIST" => preceded(sp, xlist).parse(input),
        b"GETQUOTA" => getquota(input),
        b"GETQUOTAROOT" => getquotaroot(input),
        b"SETQUOTA" => setquota(input),
        b"GETMETADATA" => preceded(sp, getmetadata_lenient).parse(input),
        b"SETMETADATA" => preceded(sp, setmetadata).parse(input),
        b"NOTIFY" => map(preceded(sp, notify), |notify| {
            Authenticated::Notify(Box::new(notify))
        })
        .parse(input),
        _ => return None,
    })
}

/// `uid = "UID" SP (copy / fetch / search / store / move / replace)` (RFC 3501 §9, RFC 6851 §5,
/// RFC 8508 §5), and `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §4), behind UID
fn uid<'a>(limits: &Limits, input: &'a [u8]) -> Parsed<'a, Selected> {
    let (input, _) = sp(input)?;
    let (rest, name) = context("a command that has a UID form", word).parse(input)?;
    if name == b"EXPUNGE" {
        let expunge = |uids| Selected::Expunge(Some(uids));
        let messages = |input| messages(ByUid::Yes, input);
        return map(preceded(sp, messages), expunge).parse(rest);
    }
    if name == b"REPLACE" {
        return preceded(sp, |input| whole_replace(ByUid::Yes, input)).parse(rest);
    }
    about_messages(&name, ByUid::Yes, limits, rest)
        .unwrap_or_else(|| Err(Failed::error(input, "a command that has a UID form")))
}

/// `copy / fetch / search / store` (RFC 3501 §9) and `move` (RFC 6851 §5), behind the name
fn about_messages<'a>(
    name: &[u8],
    by_uid: ByUid,
    limits: &Limits,
    input: &'a [u8],
) -> Option<Parsed<'a, Selected>> {
    let messages = delimited(sp, |input| messages(by_uid, input), sp);
    Some(match name {
        b"SEARCH" => {
            let search = preceded(sp, |input| search(by_uid, limits, input));
            map(search, Selected::Search).parse(input)
        }
        b"COPY" => map((messages, mailbox), |(messages, mailbox)| Selected::Copy {
            messages,
            mailbox,
        })
        .parse(input),
        b"MOVE" => map((messages, mailbox), |(messages, mailbox)| Selected::Move {
            messages,
            mailbox,
        })
        .parse(input),
        b"FETCH" => {
            let modifiers = |input| fetch_modifiers(by_uid, input);
            let fetch = (messages, fetch_items, modifiers);
            map(fetch, |(messages, items, changed_since)| Selected::Fetch {
                messages,
                items,
                changed_since,
            })
            .parse(input)
        }
        b"STORE" => {
            let store = (messages, store_modifiers, store_att_flags);
            map(store, |(messages, condition, (change, echo))| {
                Selected::Store {
                    messages,
                    change,
                    echo,
                    condition,
                }
            })
            .parse(input)
        }
        _ => return None,
    })
}

/// `append` (RFC 4466 §3) that is whole at its first segment, behind the name and its space
fn whole_append(input: &[u8]) -> Parsed<'_, Command> {
    whole(append(input)?)
}

/// `replace` (RFC 8508 §5) that is whole at its first segment, behind the name and its space
fn whole_replace(by_uid: ByUid, input: &[u8]) -> Parsed<'_, Selected> {
    whole(replace(by_uid, input)?)
}

/// A first segment that is the last one, too
fn whole<T>((rest, segment): (&[u8], Segment<T>)) -> Parsed<'_, T> {
    match segment {
        Segment::Last(command) => Ok((rest, command)),
        Segment::UpToOctets(..) | Segment::UpToArgument => Err(Failed::error(rest, "the message")),
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

/// `"ENABLE" 1*(SP capability)` (RFC 5161 §4), behind the name
fn enable(input: &[u8]) -> Parsed<'_, Authenticated> {
    let capability = map(context("a capability", atom), |name| {
        name.as_bytes().to_vec()
    });
    map(many1(preceded(sp, capability)), Authenticated::Enable).parse(input)
}

/// `algorithm = "DEFLATE"` (RFC 4978 §5), behind COMPRESS and its space
fn algorithm(input: &[u8]) -> Parsed<'_, Authenticated> {
    let deflate = context("DEFLATE", tag_no_case("DEFLATE"));
    map(deflate, |_| Authenticated::Compress).parse(input)
}

/// `id_params_list ::= "(" #(string SPACE nstring) ")" / nil` (RFC 2971 §4)
fn id_params_list(input: &[u8]) -> Parsed<'_, Vec<IdField>> {
    let none = value(Vec::new(), (char('('), char(')')));
    if input.starts_with(b"(") {
        alt((none, list1(id_param))).parse(input)
    } else {
        context("a list in parentheses or NIL", value(Vec::new(), nil)).parse(input)
    }
}

/// `string SPACE nstring` (RFC 2971 §4)
fn id_param(input: &[u8]) -> Parsed<'_, IdField> {
    separated_pair(string, sp, nstring).parse(input)
}
