//! ACL (RFC 4314): who may do what with a mailbox.
//!
//! What the rights mean for each command stands where the command is; see
//! [`place`](crate::session::place). Here are the commands that tell and change them.
//!
//! Identifiers are user names as they are for logins, `anyone`, and what Dovecot's files know
//! besides: `authenticated`, `owner`, and groups (`$name`, and `!$name` for those that override),
//! which have no members here. One with `-` before it takes rights away. No rights are tied
//! together.

use mailstore::{Acl, Error, Identifier, Rights, Sign};

use super::{Capability, Extension, Shown};
use crate::command::{AclCommand, ModRights};
use crate::error::Refused;
use crate::grammar::acl::{CREATE, DELETE};
use crate::response::{Completion, PlainCode, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::place::{Place, check};
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::settings::Settings;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Acl,
    capability: "ACL",
    rfc: 4314,
    shown: Shown::Always,
    enables: None,
};

/// The row of the rights that RFC 2086 does not have (RFC 4314 §2.2, §5.1.1).
pub(super) const RIGHTS: Extension = Extension {
    is: Capability::Rights,
    capability: "RIGHTS=kxte",
    rfc: 4314,
    shown: Shown::Always,
    enables: None,
};

/// Who needs one of these may ask for their own rights (RFC 4314 §4, MYRIGHTS).
const ANY: Rights = Rights::LOOKUP
    .union(Rights::READ)
    .union(Rights::INSERT)
    .union(CREATE)
    .union(Rights::ADMINISTER);

/// Carries out a command about rights.
///
/// # Errors
/// If the user may not do it, or it cannot be done.
pub(crate) fn carry_out(
    command: &AclCommand,
    account: &Authenticated,
    settings: &Settings,
    out: &mut Responses,
) -> Outcome {
    let domain = settings.default_domain.as_deref();
    let text = match command {
        AclCommand::Set {
            mailbox,
            identifier,
            rights,
        } => {
            let place = administered(account, mailbox)?;
            let whom = parse_identifier(identifier, place.owner.name(&account.user), domain)?;
            set(&place, account, whom, *rights, settings.limits.acl_entries)?;
            account.note_sharing(&place);
            "SETACL completed"
        }
        AclCommand::Delete {
            mailbox,
            identifier,
        } => {
            let place = administered(account, mailbox)?;
            let owner = place.owner.name(&account.user);
            let whom = parse_identifier(identifier, owner, domain)?;
            place.account.change_acl(&place.name, |acl| {
                acl.remove(owner, whom);
                Ok(())
            })?;
            account.note_sharing(&place);
            "DELETEACL completed"
        }
        AclCommand::Get(mailbox) => {
            let place = administered(account, mailbox)?;
            let acl = place.account.acl(&place.name)?;
            let shown = account.shown_place(&place);
            let owner = place.owner.name(&account.user);
            out.untagged(Untagged::Acl(shown, entries(&acl, owner)));
            "GETACL completed"
        }
        AclCommand::ListRights {
            mailbox,
            identifier,
        } => {
            let place = administered(account, mailbox)?;
            let whom = parse_identifier(identifier, place.owner.name(&account.user), domain)?;
            let shown = account.shown_place(&place);
            out.untagged(list_rights(shown, identifier, &whom));
            "LISTRIGHTS completed"
        }
        AclCommand::MyRights(mailbox) => {
            let place = account.place(mailbox)?;
            out.untagged(my_rights(&place, account)?);
            "MYRIGHTS completed"
        }
    };
    Ok(Step::Done(Completion::ok(text)))
}

/// A mailbox whose rights the user may see and change. INBOX is made by opening it.
fn administered(account: &Authenticated, name: &[u8]) -> Result<Place, Refused> {
    let place = account.place(name)?;
    if place.name.is_inbox() {
        place.open_for(&account.user)?;
    }
    place.require(&account.user, Rights::ADMINISTER)?;
    Ok(place)
}

/// SETACL (RFC 4314 §3.1).
fn set(
    place: &Place,
    account: &Authenticated,
    whom: (Identifier, Sign),
    rights: ModRights,
    most: usize,
) -> Result<(), Refused> {
    if is_group(&whom.0) {
        return Err(Refused::no(PlainCode::Cannot, "There are no groups"));
    }
    let owner = place.owner.name(&account.user);
    place.account.change_acl(&place.name, |acl| {
        acl.change(owner, whom, rights.combine, rights.rights);
        match acl.len() > most {
            true => Err(Error::Limit("identifiers with rights to a mailbox")),
            false => Ok(()),
        }
    })?;
    Ok(())
}

/// The MYRIGHTS response of a mailbox (RFC 4314 §3.8).
///
/// # Errors
/// As if there were no such mailbox, if the user has none of the rights that it takes.
pub(crate) fn my_rights(place: &Place, account: &Authenticated) -> Result<Untagged, Refused> {
    if place.name.is_inbox() {
        place.open_for(&account.user)?;
    }
    let rights = place.rights(&account.user)?;
    if !rights.has_any(ANY) {
        check(rights, ANY)?;
    }
    let shown = account.shown_place(place);
    Ok(Untagged::MyRights(shown, letters(rights)))
}

/// What can be given to an identifier (RFC 4314 §3.7): each right by itself.
fn list_rights(mailbox: String, identifier: &[u8], whom: &(Identifier, Sign)) -> Untagged {
    let (required, optional) = match whom {
        (Identifier::Owner, Sign::Positive) => (Acl::KEPT, Rights::ALL.without(Acl::KEPT)),
        (identifier, _) if is_group(identifier) => (Rights::NONE, Rights::NONE),
        _ => (Rights::NONE, Rights::ALL),
    };
    let optional = letters(optional);
    let optional = optional.chars().map(String::from).collect();
    Untagged::ListRights {
        mailbox,
        identifier: identifier.to_vec(),
        required: letters(required),
        optional,
    }
}

/// The entries of a list, each with its rights.
fn entries(acl: &Acl, owner: &str) -> Vec<(String, String)> {
    let entries = acl.entries(owner).into_iter();
    let entry = |(identifier, sign, rights): (Identifier, Sign, Rights)| {
        let name = match identifier {
            Identifier::Anyone => ANYONE.to_owned(),
            Identifier::Authenticated => AUTHENTICATED.to_owned(),
            Identifier::Owner => owner.to_owned(),
            Identifier::User(name) => name,
            Identifier::Group(name) => format!("{GROUP}{name}"),
            Identifier::GroupOverride(name) => format!("{OVERRIDE}{name}"),
        };
        let name = match sign {
            Sign::Positive => name,
            Sign::Negative => format!("-{name}"),
        };
        (name, letters(rights))
    };
    entries.map(entry).collect()
}

/// Rights as they are told: with the obsolete ones (RFC 4314 §2.1.1).
fn letters(rights: Rights) -> String {
    let mut letters = String::new();
    for letter in "lrswipkxte".chars() {
        let right = Rights::from_letter(letter);
        if right.is_some_and(|right| rights.has(right)) {
            letters.push(letter);
        }
    }
    for (letter, members) in [('c', CREATE), ('d', DELETE), ('a', Rights::ADMINISTER)] {
        if rights.has_any(members) {
            letters.push(letter);
        }
    }
    letters
}

/// Whom an identifier means.
///
/// # Errors
/// `BAD` for what can be no identifier (RFC 4314 §3).
fn parse_identifier(
    text: &[u8],
    owner: &str,
    default_domain: Option<&str>,
) -> Result<(Identifier, Sign), Refused> {
    let bad = || Refused::bad("expected an identifier: a user name, or \"anyone\"");
    let text = str::from_utf8(text).map_err(|_| bad())?;
    let (sign, name) = match text.strip_prefix('-') {
        Some(name) => (Sign::Negative, name),
        None => (Sign::Positive, text),
    };
    let special = [
        (ANYONE, Identifier::Anyone),
        (AUTHENTICATED, Identifier::Authenticated),
        (OWNER, Identifier::Owner),
    ];
    let mut special = special.into_iter();
    if let Some((_, identifier)) = special.find(|(it, _)| name.eq_ignore_ascii_case(it)) {
        return Ok((identifier, sign));
    }
    let groups = [
        (
            OVERRIDE,
            Identifier::GroupOverride as fn(String) -> Identifier,
        ),
        (GROUP, Identifier::Group),
    ];
    for (start, make) in groups {
        if let Some(group) = name.strip_prefix(start) {
            let valid = !group.is_empty() && !group.chars().any(char::is_control);
            return valid
                .then(|| (make(group.to_owned()), sign))
                .ok_or_else(bad);
        }
    }
    let user = auth::Name::parse(name, default_domain).map_err(|_| bad())?;
    let identifier = match user.as_str() == owner {
        true => Identifier::Owner,
        false => Identifier::User(user.as_str().to_owned()),
    };
    Ok((identifier, sign))
}

/// Whether an identifier is that of a group.
fn is_group(identifier: &Identifier) -> bool {
    matches!(
        identifier,
        Identifier::Group(_) | Identifier::GroupOverride(_)
    )
}

/// The universal identity (RFC 4314 §2).
const ANYONE: &str = "anyone";
/// Everybody who has logged in.
const AUTHENTICATED: &str = "authenticated";
/// The owner, by another name than their own.
const OWNER: &str = "owner";
/// What the name of a group begins with.
const GROUP: &str = "$";
/// What the name of a group begins with whose rights come before those of users.
const OVERRIDE: &str = "!$";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_user_names_and_a_few_words() {
        let parsed = |text: &[u8]| {
            let parsed = parse_identifier(text, "ann@x", Some("x")).ok()?;
            Some(format!("{:?} {}", parsed.1, parsed.0))
        };
        for (text, expected) in [
            ("bob", "Positive user=bob@x"),
            ("Bob@Y", "Positive user=bob@y"),
            ("-bob", "Negative user=bob@x"),
            ("ann", "Positive owner"),
            ("-ANN@X", "Negative owner"),
            ("anyone", "Positive anyone"),
            ("-Anyone", "Negative anyone"),
            ("owner", "Positive owner"),
            ("authenticated", "Positive authenticated"),
            ("$staff", "Positive group=staff"),
            ("-!$staff", "Negative group-override=staff"),
            ("a b", "Positive user=a b@x"),
            ("a\"b", "Positive user=a\"b@x"),
            ("J\u{f6}rg", "Positive user=j\u{f6}rg@x"),
        ] {
            assert_eq!(parsed(text.as_bytes()).as_deref(), Some(expected), "{text}");
        }
        for text in [
            &b""[..],
            b"-",
            b"a/b",
            b"../b",
            b"a:b",
            b"a\nb",
            b"a\0",
            b"\xfc",
            b"$",
            b"!$",
            b"-$",
            b"@",
            b"$a\r\nuser=eve lr",
        ] {
            assert_eq!(parsed(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn obsolete_rights_are_told_with_their_members() {
        let told = |text: &str| {
            let each = text.chars().filter_map(Rights::from_letter);
            letters(each.fold(Rights::NONE, Rights::union))
        };
        assert_eq!(letters(Rights::ALL), "lrswipkxtecda");
        for (rights, expected) in [
            ("", ""),
            ("lrs", "lrs"),
            ("k", "kc"),
            ("x", "xc"),
            ("lt", "ltd"),
            ("e", "ed"),
            ("lrswikteda", "lrswiktecda"),
        ] {
            assert_eq!(told(rights), expected, "{rights}");
        }
    }
}
