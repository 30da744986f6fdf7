//! The extra fields of an account's line, of which three are ours: `scram_sha_256=` and
//! `scram_sha_1=`, with keys for SCRAM beside the hash of the password, and `pillarbox_app=`, with an
//! application password, as often as there are such.
//!
//! They are what passwd-file calls `extra_fields`, after six more colons and separated by blanks.
//! Dovecot carries fields that it does not know along and does nothing with them.

use crate::application::{self, ApplicationError, ApplicationPassword};
use crate::scram::{Hash, Keys, KeysError};

/// The keys among the extra fields; `rest` is all of a line behind the hash and its colon.
pub(super) fn keys(rest: &[u8]) -> Result<Vec<Keys>, KeysError> {
    let mut keys = Vec::new();
    for hash in Hash::ALL {
        let text = tokens(extra_fields(rest)).find_map(|token| token.strip_prefix(name(hash)));
        if let Some(text) = text {
            let text = std::str::from_utf8(text).unwrap_or_default();
            keys.push(Keys::parse(hash, text)?);
        }
    }
    Ok(keys)
}

/// `rest` with these keys in the place of those that it has.
pub(super) fn with_keys(rest: &[u8], keys: &[Keys]) -> Vec<u8> {
    let extra = extra_fields(rest);
    let before = rest.len() - extra.len();
    let mut new = rest.get(..before).unwrap_or_default().to_vec();
    let is_ours = |token: &[u8]| Hash::ALL.iter().any(|&hash| token.starts_with(name(hash)));
    let mut fields: Vec<Vec<u8>> = if tokens(extra).any(is_ours) {
        let theirs = tokens(extra).filter(|token| !is_ours(token));
        theirs.map(<[u8]>::to_vec).collect()
    } else if extra.is_empty() {
        Vec::new()
    } else {
        vec![extra.to_vec()]
    };
    for keys in keys {
        let mut field = name(keys.hash()).to_vec();
        field.extend_from_slice(keys.text().as_bytes());
        fields.push(field);
    }
    if !fields.is_empty() {
        let colons = new.iter().filter(|&&octet| octet == b':').count();
        new.extend(std::iter::repeat_n(
            b':',
            FIELDS_BEFORE.saturating_sub(colons),
        ));
    }
    new.extend(fields.join(&b' '));
    new
}

/// The application passwords among the extra fields.
pub(super) fn application(rest: &[u8]) -> Result<Vec<ApplicationPassword>, ApplicationError> {
    let texts = tokens(extra_fields(rest)).filter_map(|token| token.strip_prefix(APPLICATION));
    // One more than there may be is enough to refuse them.
    let texts = texts.take(application::MOST + 1);
    let all: Vec<_> = texts
        .map(ApplicationPassword::parse)
        .collect::<Result<_, _>>()?;
    application::check(&all)?;
    Ok(all)
}

/// `rest` with another application password.
pub(super) fn with_application(rest: &[u8], one: &ApplicationPassword) -> Vec<u8> {
    let mut new = rest.to_vec();
    let colons = new.iter().filter(|&&octet| octet == b':').count();
    new.extend(std::iter::repeat_n(
        b':',
        FIELDS_BEFORE.saturating_sub(colons),
    ));
    if !extra_fields(&new).is_empty() {
        new.push(b' ');
    }
    new.extend_from_slice(APPLICATION);
    new.extend_from_slice(one.text().as_bytes());
    new
}

/// `rest` without the application password of this label.
pub(super) fn without_application(rest: &[u8], label: &str) -> Vec<u8> {
    let extra = extra_fields(rest);
    let before = rest.len() - extra.len();
    let mut new = rest.get(..before).unwrap_or_default().to_vec();
    let is_it = |token: &[u8]| {
        token
            .strip_prefix(APPLICATION)
            .and_then(|text| ApplicationPassword::parse(text).ok())
            .is_some_and(|found| found.label() == label)
    };
    let others: Vec<&[u8]> = tokens(extra).filter(|token| !is_it(token)).collect();
    new.extend(others.join(&b' '));
    new
}

/// The extra fields, empty if there are none.
fn extra_fields(rest: &[u8]) -> &[u8] {
    let mut fields = rest.splitn(FIELDS_BEFORE + 1, |&octet| octet == b':');
    fields
        .nth(FIELDS_BEFORE)
        .unwrap_or(rest.get(rest.len()..).unwrap_or_default())
}

/// Each of the extra fields.
fn tokens(extra: &[u8]) -> impl Iterator<Item = &[u8]> {
    let tokens = extra.split(|octet| matches!(octet, b' ' | b'\t'));
    tokens.filter(|token| !token.is_empty())
}

/// The name of a field, with its equals sign.
const fn name(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => b"scram_sha_256=",
        Hash::Sha1 => b"scram_sha_1=",
    }
}

/// The name of a field with an application password, with its equals sign.
const APPLICATION: &[u8] = b"pillarbox_app=";

/// Between the hash and the extra fields: uid, gid, gecos, home and shell.
const FIELDS_BEFORE: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;
    use crate::scram::Iterations;

    fn made(hash: Hash, password: &str) -> Keys {
        Keys::derive(hash, &Secret::new(password), b"salt", Iterations::FEWEST)
    }

    #[test]
    fn keys_stand_behind_what_else_there_is() {
        let (new, other) = (made(Hash::Sha256, "x"), made(Hash::Sha256, "y"));
        let old = made(Hash::Sha1, "x");
        let field = |keys: &Keys| {
            let name = if keys.hash() == Hash::Sha1 {
                "scram_sha_1"
            } else {
                "scram_sha_256"
            };
            format!("{name}={}", keys.text())
        };
        for (rest, expected) in [
            ("", ":::::KEYS"),
            ("1000:1000", "1000:1000::::KEYS"),
            (":::::", ":::::KEYS"),
            (":::/home/a:/bin/sh", ":::/home/a:/bin/sh:KEYS"),
            (
                ":::::userdb_quota_rule=*:storage=1G nologin",
                ":::::userdb_quota_rule=*:storage=1G nologin KEYS",
            ),
            (
                &format!(":::::{} a=b  {}", field(&other), field(&old)),
                ":::::a=b KEYS",
            ),
        ] {
            let written = with_keys(rest.as_bytes(), std::slice::from_ref(&new));
            let text = String::from_utf8(written.clone()).unwrap();
            assert_eq!(text, expected.replace("KEYS", &field(&new)), "{rest}");
            assert_eq!(keys(&written), Ok(vec![new.clone()]), "{rest}");
            assert_eq!(
                with_keys(&written, std::slice::from_ref(&new)),
                written,
                "{rest}"
            );
        }
        let both = with_keys(b"", &[new.clone(), old.clone()]);
        assert_eq!(keys(&both), Ok(vec![new, old]));
        assert_eq!(
            with_keys(b"1000:1000::::nologin", &[]),
            b"1000:1000::::nologin"
        );
        assert_eq!(with_keys(b"", &[]), b"");
    }

    #[test]
    fn malformed_keys_are_a_mistake() {
        assert!(keys(b":::::scram_sha_256=4096,x").is_err());
        assert!(keys(b":::::scram_sha_1=\xff").is_err());
        assert_eq!(
            keys(b"::scram_sha_256=4096,x:::"),
            Ok(Vec::new()),
            "a gecos field"
        );
    }

    #[test]
    fn application_passwords_come_and_go() {
        let named = |label| {
            let label = application::Label::new(label).unwrap();
            ApplicationPassword::new(label, 5, [1; 16], &Secret::new("x"))
        };
        let (phone, laptop) = (named("my phone"), named("laptop"));
        for rest in ["", ":::::", "1000:1000::/home/a:", ":::::a=b:c nologin"] {
            let one = with_application(rest.as_bytes(), &phone);
            let both = with_application(&one, &laptop);
            assert!(both.starts_with(rest.as_bytes()), "{rest}");
            assert_eq!(application(&both), Ok(vec![phone.clone(), laptop.clone()]));
            // A new password keeps them.
            let keys = with_keys(&both, &[made(Hash::Sha256, "y")]);
            assert_eq!(application(&keys).map(|all| all.len()), Ok(2), "{rest}");
            assert_eq!(without_application(&both, "laptop"), one, "{rest}");
            let none = without_application(&one, "my phone");
            assert_eq!(application(&none), Ok(Vec::new()));
            assert!(none.starts_with(rest.as_bytes()), "{rest}");
        }
        assert!(application(b":::::pillarbox_app=x").is_err());
    }

    proptest! {
        #[test]
        fn what_is_not_ours_stays(rest in "[a-z0-9:/ =]{0,40}") {
            let new = made(Hash::Sha256, "x");
            let written = with_keys(rest.as_bytes(), std::slice::from_ref(&new));
            prop_assert!(written.starts_with(rest.trim_end().as_bytes()));
            prop_assert_eq!(keys(&written), Ok(vec![new]));
        }
    }
}
