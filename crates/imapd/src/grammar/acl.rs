//! Commands about rights (RFC 4314 §7).

use nom::Parser;
use nom::combinator::map;
use nom::error::context;
use nom::sequence::{preceded, separated_pair};

use mailstore::{Combine, Rights};

use crate::command::{AclCommand, Authenticated, IdentifierArg, ModRights, Newer};

use super::core::{astring, sp};
use super::mailbox::mailbox;
use super::{Failed, Parsed};

/// `setacl / deleteacl / getacl / listrights / myrights` (RFC 4314 §7), behind the name
pub(super) fn acl<'a>(name: &[u8], input: &'a [u8]) -> Option<Parsed<'a, Authenticated>> {
    let about = |input| separated_pair(mailbox, sp, identifier).parse(input);
    let parsed = match name {
        b"SETACL" => preceded(sp, setacl).parse(input),
        b"DELETEACL" => map(preceded(sp, about), |(mailbox, identifier)| {
            AclCommand::Delete {
                mailbox,
                identifier,
            }
        })
        .parse(input),
        b"GETACL" => map(preceded(sp, mailbox), AclCommand::Get).parse(input),
        b"LISTRIGHTS" => map(preceded(sp, about), |(mailbox, identifier)| {
            AclCommand::ListRights {
                mailbox,
                identifier,
            }
        })
        .parse(input),
        b"MYRIGHTS" => map(preceded(sp, mailbox), AclCommand::MyRights).parse(input),
        _ => return None,
    };
    Some(parsed.map(|(rest, command)| (rest, Authenticated::Acl(command))))
}

/// `setacl = "SETACL" SP mailbox SP identifier SP mod-rights` (RFC 4314 §7), behind the name and
/// its space
fn setacl(input: &[u8]) -> Parsed<'_, AclCommand> {
    let (rest, (mailbox, identifier)) = separated_pair(mailbox, sp, identifier).parse(input)?;
    let (rest, rights) = preceded(sp, mod_rights).parse(rest)?;
    let set = AclCommand::Set {
        mailbox,
        identifier,
        rights,
    };
    Ok((rest, set))
}

/// `identifier = astring` (RFC 4314 §7)
fn identifier(input: &[u8]) -> Parsed<'_, IdentifierArg> {
    context("an identifier", astring).parse(input)
}

/// `mod-rights = astring` (RFC 4314 §7): `+` or `-` or neither, then letters. One that is no right
/// is an error, and so is one in upper case (RFC 4314 §3.1).
fn mod_rights(input: &[u8]) -> Parsed<'_, ModRights> {
    let (rest, text) = context("rights", astring).parse(input)?;
    let (combine, letters) = match text.split_first() {
        Some((b'+', letters)) => (Combine::Add, letters),
        Some((b'-', letters)) => (Combine::Remove, letters),
        Some(_) | None => (Combine::Replace, text.as_slice()),
    };
    let mut mod_rights = ModRights {
        combine,
        rights: Rights::NONE,
        newer: Newer::Unnamed,
    };
    for &letter in letters {
        let letter = char::from(letter);
        if letter.is_ascii_uppercase() {
            return Err(Failed::error(input, "rights in lower case"));
        }
        let right = Rights::from_letter(letter);
        if right.is_some_and(|right| NEWER.has(right)) {
            mod_rights.newer = Newer::Named;
        }
        let right = right.or(match letter {
            'c' => Some(CREATE),
            'd' => Some(DELETE),
            _ => None,
        });
        let right = right.ok_or_else(|| Failed::error(input, "rights of lrswipkxteacd"))?;
        mod_rights.rights = mod_rights.rights.union(right);
    }
    Ok((rest, mod_rights))
}

/// What the obsolete `c` stands for (RFC 4314 §2.1.1).
pub(crate) const CREATE: Rights = Rights::CREATE.union(Rights::DELETE);
/// What the obsolete `d` stands for (RFC 4314 §2.1.1).
pub(crate) const DELETE: Rights = Rights::DELETED.union(Rights::EXPUNGE);
/// What RFC 2086 does not have.
const NEWER: Rights = CREATE.union(DELETE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_modified_as_they_are_written() {
        for (text, expected) in [
            ("lr", "Replace lr"),
            ("+lr", "Add lr"),
            ("-lr", "Remove lr"),
            ("\"\"", "Replace "),
            ("+", "Add "),
            ("-", "Remove "),
            ("{2}\r\nlr", "Replace lr"),
            ("c", "Replace kx"),
            ("lrswida", "Replace lrwsitea"),
            ("+cda", "Add kxtea"),
            ("llrr", "Replace lr"),
        ] {
            let (rest, it) = mod_rights(text.as_bytes()).expect(text);
            assert!(rest.is_empty(), "{text}");
            assert_eq!(
                format!("{:?} {}", it.combine, it.rights),
                expected,
                "{text}"
            );
        }
        for text in [
            "lrQswicda",
            "lrqswicda",
            "l r+",
            "1",
            "++l",
            "l+",
            "\u{fc}",
            "",
        ] {
            let parsed = mod_rights(text.as_bytes());
            let whole = parsed.as_ref().is_ok_and(|(rest, _)| rest.is_empty());
            assert!(!whole, "{text}: {parsed:?}");
        }
    }

    #[test]
    fn whether_a_right_is_newer_is_known() {
        for (text, newer) in [
            ("lrcd", Newer::Unnamed),
            ("lrt", Newer::Named),
            ("k", Newer::Named),
        ] {
            let (_, it) = mod_rights(text.as_bytes()).unwrap();
            assert_eq!(it.newer, newer, "{text}");
        }
    }
}
