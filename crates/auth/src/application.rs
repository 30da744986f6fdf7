//! Application passwords: generated secrets beside the password of an account, one for each program
//! that logs in, so that one can be taken back without the others.
//!
//! Such a secret has more than 90 bits of chance in it, so nobody guesses it however fast guesses
//! are. A salted SHA-256 is therefore as good here as argon2, which makes up for passwords that
//! people think of, and costs a login nearly nothing. There is then no need to remember logins,
//! and one that is revoked is refused at the next login.

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::Secret;

/// What an application is called: 1 to 64 characters that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

/// Why a label was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an application password is called by 1 to {LONGEST} printable characters, without a space at either end"
)]
pub struct LabelError;

impl Label {
    /// Checks a label.
    ///
    /// # Errors
    /// If it is empty or too long, or holds what cannot be seen.
    pub fn new(text: &str) -> Result<Self, LabelError> {
        let hidden = |c: char| {
            c.is_control()
                || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{feff}')
        };
        let sound = (1..=LONGEST).contains(&text.chars().take(LONGEST + 1).count())
            && text.trim() == text
            && !text.chars().any(hidden);
        sound.then(|| Self(text.to_owned())).ok_or(LabelError)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is kept of an application password.
#[derive(Clone, PartialEq, Eq)]
pub struct ApplicationPassword {
    label: Label,
    /// When it was made, in seconds since 1970.
    made: u64,
    salt: [u8; 16],
    hash: [u8; digest::SHA256_OUTPUT_LEN],
}

/// Why an application password in a users file was refused. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplicationError {
    /// Something is wrong inside.
    #[error("application password is malformed or cut off")]
    Malformed,
    /// Two have the same label.
    #[error("two application passwords have the same name")]
    Twice,
    /// There are too many.
    #[error("more than {MOST} application passwords")]
    TooMany,
}

impl ApplicationPassword {
    /// Keeps `secret`; `made` is in seconds since 1970.
    pub fn new(label: Label, made: u64, salt: [u8; 16], secret: &Secret) -> Self {
        let hash = hashed(&salt, secret);
        Self {
            label,
            made,
            salt,
            hash,
        }
    }

    /// What it is called.
    pub fn label(&self) -> &str {
        self.label.as_str()
    }

    /// When it was made, in seconds since 1970.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// Reads it as it stands in a users file: `label,made,salt,hash`, all but the second in base64.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ApplicationError> {
        let read = || {
            let mut fields = std::str::from_utf8(text).ok()?.split(',');
            let label = URL_SAFE_NO_PAD.decode(fields.next()?).ok()?;
            let made = fields.next()?;
            let salt = STANDARD.decode(fields.next()?).ok()?;
            let hash = STANDARD.decode(fields.next()?).ok()?;
            let sound = made.bytes().all(|digit| digit.is_ascii_digit()) && fields.next().is_none();
            sound.then_some(Self {
                label: Label::new(std::str::from_utf8(&label).ok()?).ok()?,
                made: made.parse().ok()?,
                salt: salt.try_into().ok()?,
                hash: hash.try_into().ok()?,
            })
        };
        read().ok_or(ApplicationError::Malformed)
    }

    /// As it stands in a users file.
    pub(crate) fn text(&self) -> String {
        format!(
            "{},{},{},{}",
            URL_SAFE_NO_PAD.encode(self.label()),
            self.made,
            STANDARD.encode(self.salt),
            STANDARD.encode(self.hash)
        )
    }
}

impl fmt::Debug for ApplicationPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApplicationPassword")
            .field(&self.label())
            .finish()
    }
}

/// Checks that there are not too many, and that all have labels of their own.
pub(crate) fn check(all: &[ApplicationPassword]) -> Result<(), ApplicationError> {
    if all.len() > MOST {
        return Err(ApplicationError::TooMany);
    }
    let twice = |(place, one): (usize, &ApplicationPassword)| {
        all.iter()
            .skip(place + 1)
            .any(|other| other.label == one.label)
    };
    if all.iter().enumerate().any(twice) {
        return Err(ApplicationError::Twice);
    }
    Ok(())
}

/// The one of these that `secret` is. As many hashes are made and compared as an account can have,
/// whether it has any or not (S24).
pub(crate) fn find<'a>(
    all: &'a [ApplicationPassword],
    secret: &Secret,
) -> Option<&'a ApplicationPassword> {
    let mut found = u8::MAX;
    for place in 0..MOST_PLACES {
        let known = all.get(usize::from(place));
        let (salt, hash) = known.map_or((&[0; 16], &[0; 32]), |known| (&known.salt, &known.hash));
        let right = hashed(salt, secret).ct_eq(hash) & Choice::from(u8::from(known.is_some()));
        found.conditional_assign(&place, right);
    }
    all.get(usize::from(found))
}

/// A new secret: four groups of five letters, none of which looks like another or like a digit;
/// `random` gives numbers that nobody can foresee.
///
/// # Errors
/// As `random`.
pub fn generate<E>(mut random: impl FnMut() -> Result<[u8; 16], E>) -> Result<Secret, E> {
    // Sized beforehand, so that no copy of the secret is left behind by growth.
    let mut text = Zeroizing::new(Vec::with_capacity(LETTERS + LETTERS / GROUP));
    let mut letters = 0;
    while letters < LETTERS {
        let drawn = Zeroizing::new(random()?);
        // What is beyond a multiple of their number would make some letters likelier.
        let fair = drawn.iter().filter(|&&octet| octet < FAIR);
        for &octet in fair.take(LETTERS - letters) {
            if letters > 0 && letters % GROUP == 0 {
                text.push(b'-');
            }
            text.extend(ALPHABET.get(usize::from(octet) % ALPHABET.len()));
            letters += 1;
        }
    }
    Ok(Secret::new(text.as_slice()))
}

/// SHA-256 of salt and secret.
fn hashed(salt: &[u8; 16], secret: &Secret) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(secret.expose());
    let mut hash = [0; digest::SHA256_OUTPUT_LEN];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The most characters of a label.
const LONGEST: usize = 64;

/// The most of one account.
pub const MOST: usize = MOST_PLACES as usize;

/// The same, as a place among them.
const MOST_PLACES: u8 = 16;

/// All letters but i, l and o: 23, of which 20 have 90.4 bits.
const ALPHABET: &[u8; 23] = b"abcdefghjkmnpqrstuvwxyz";

/// The largest multiple of their number in an octet.
const FAIR: u8 = 253;

/// The letters of a secret.
const LETTERS: usize = 20;

/// The letters between two hyphens.
const GROUP: usize = 5;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn made(label: &str, secret: &str) -> ApplicationPassword {
        let label = Label::new(label).unwrap();
        ApplicationPassword::new(label, 1_700_000_000, [7; 16], &Secret::new(secret))
    }

    #[test]
    fn a_secret_has_twenty_fair_letters() {
        let mut calls = 0u8;
        let Ok(secret) = generate(|| {
            calls += 1;
            let mut octets = [255; 16];
            for (octet, number) in octets.iter_mut().skip(8).zip(calls * 8..) {
                *octet = number;
            }
            Ok::<_, Infallible>(octets)
        });
        assert_eq!(secret.expose(), b"jkmnp-qrstu-vwxyz-abcde");
        assert_eq!(usize::from(FAIR) % ALPHABET.len(), 0);
        assert!(20.0 * 23f64.log2() >= 90.0);
        assert_eq!(generate(|| Err("none")).unwrap_err(), "none");
    }

    #[test]
    fn labels_can_be_seen() {
        let long = "é".repeat(64);
        for good in ["phone", "Ann's phone: the old, red one", &long] {
            assert_eq!(Label::new(good).unwrap().as_str(), good);
        }
        let longer = "x".repeat(65);
        for bad in [
            "",
            " ",
            " a",
            "a ",
            "a\tb",
            "a\u{202e}b",
            "a\u{85}b",
            &longer,
        ] {
            assert_eq!(Label::new(bad), Err(LabelError), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let one = made("Ann's phone: the old, red one", "x");
        let text = one.text();
        assert!(!text.contains([':', ' ', '\t']), "{text}");
        assert_eq!(ApplicationPassword::parse(text.as_bytes()), Ok(one.clone()));
        let malformed = Err(ApplicationError::Malformed);
        for end in 0..text.len() {
            assert_eq!(
                ApplicationPassword::parse(&text.as_bytes()[..end]),
                malformed
            );
        }
        assert_eq!(
            ApplicationPassword::parse(format!("{text},").as_bytes()),
            malformed
        );
        assert_eq!(ApplicationPassword::parse(b"\xff"), malformed);
        assert_eq!(
            format!("{one:?}"),
            "ApplicationPassword(\"Ann's phone: the old, red one\")"
        );
    }

    #[test]
    fn each_is_found_by_its_secret_alone() {
        let all: Vec<_> = (0..MOST)
            .map(|n| made(&format!("l{n}"), &format!("s{n}")))
            .collect();
        assert_eq!(check(&all), Ok(()));
        for (place, one) in all.iter().enumerate() {
            assert_eq!(find(&all, &Secret::new(format!("s{place}"))), Some(one));
            assert_eq!(find(&all[..place], &Secret::new(format!("s{place}"))), None);
        }
        assert_eq!(find(&all, &Secret::new("")), None);
        let mut more = all.clone();
        more.push(made("one more", "x"));
        assert_eq!(check(&more), Err(ApplicationError::TooMany));
        let same = [made("a", "x"), made("b", "x"), made("a", "y")];
        assert_eq!(check(&same), Err(ApplicationError::Twice));
    }
}
