//! SASLprep (RFC 4013): the form in which user names and passwords are compared.
//!
//! What a client presents is a query ([`query`]), what is kept to compare it with is stored
//! ([`stored`]); they differ in the code points that Unicode 3.2 did not have yet, which a query may
//! hold and a stored string may not (RFC 3454 §7, RFC 4616 §2).
//!
//! ```
//! use auth::prepare;
//!
//! // A ligature, a soft hyphen and a no-break space, as keyboards and input methods make them.
//! assert_eq!(prepare::query("\u{FB01}nal\u{AD}\u{A0}word"), Ok("final word".into()));
//! assert_eq!(prepare::stored("bell\u{7}"), Err(prepare::Unprepared::Prohibited));
//! ```

use std::borrow::Cow;

use stringprep::tables;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::Secret;

/// Why a string cannot be prepared. Never shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unprepared {
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Nothing, or nothing is left of it (RFC 4616 §2, RFC 5802 §5.1).
    #[error("is empty")]
    Empty,
    /// A control character, or another one of RFC 4013 §2.3.
    #[error("holds a character that SASLprep (RFC 4013) prohibits")]
    Prohibited,
    /// Text from right to left that is mixed with text from left to right, or that does not begin
    /// and end with such a letter (RFC 3454 §6).
    #[error("mixes directions of writing, or ends a right-to-left text with something else")]
    Direction,
    /// A code point that Unicode 3.2 did not have, in a string to store (RFC 4013 §2.5).
    #[error("holds a character that SASLprep (RFC 4013) does not know")]
    Unassigned,
}

/// Prepares a string that is kept for comparison (RFC 3454 §7, "stored string").
///
/// # Errors
/// Says why it can never match; an empty result is an error, too.
pub fn stored(text: &str) -> Result<Cow<'_, str>, Unprepared> {
    let prepared = query(text)?;
    if !text.is_ascii() && prepared.contains(tables::unassigned_code_point) {
        return Err(Unprepared::Unassigned);
    }
    Ok(prepared)
}

/// Prepares a string that is compared with a stored one (RFC 3454 §7, "query string").
///
/// # Errors
/// Says why it can never match; an empty result is an error, too.
pub fn query(text: &str) -> Result<Cow<'_, str>, Unprepared> {
    if plain(text)? {
        return Ok(Cow::Borrowed(text));
    }
    let prepared = mapped(text);
    check(&prepared)?;
    Ok(Cow::Owned(prepared))
}

/// Prepares a password that is kept, as [`stored`] does, without leaving a copy in memory.
///
/// # Errors
/// As [`stored`].
pub fn stored_password(password: &Secret) -> Result<Secret, Unprepared> {
    let prepared = query_password(password)?;
    let unassigned = std::str::from_utf8(prepared.expose())
        .is_ok_and(|text| text.contains(tables::unassigned_code_point));
    if unassigned {
        return Err(Unprepared::Unassigned);
    }
    Ok(prepared)
}

/// The form in which a password is hashed, and compared with what was hashed.
///
/// What only the rule about directions refuses (RFC 3454 §6), such as digits after Hebrew letters,
/// stays as it was typed, because SASLprep's successor has no such rule for passwords (RFC 8265
/// §4.2); so does what is not UTF-8.
///
/// # Errors
/// If nothing is left of it, or it holds what RFC 4013 §2.3 prohibits (RFC 6856 §2.2).
pub fn password(typed: &Secret) -> Result<Secret, Unprepared> {
    match query_password(typed) {
        Err(Unprepared::Direction | Unprepared::NotUtf8) => Ok(typed.clone()),
        prepared => prepared,
    }
}

/// Prepares a password that a client sent, as [`query`] does, without leaving a copy in memory.
///
/// # Errors
/// As [`query`].
pub fn query_password(password: &Secret) -> Result<Secret, Unprepared> {
    let text = std::str::from_utf8(password.expose()).map_err(|_| Unprepared::NotUtf8)?;
    if plain(text)? {
        return Ok(password.clone());
    }
    let prepared = Zeroizing::new(mapped(text));
    check(&prepared)?;
    Ok(Secret::new(prepared.as_bytes()))
}

/// Whether the text is US-ASCII, which stays as it is.
fn plain(text: &str) -> Result<bool, Unprepared> {
    if text.is_empty() {
        Err(Unprepared::Empty)
    } else if !text.is_ascii() {
        Ok(false)
    } else if text.bytes().any(|octet| octet.is_ascii_control()) {
        Err(Unprepared::Prohibited)
    } else {
        Ok(true)
    }
}

/// Maps (RFC 4013 §2.1) and normalizes (§2.2).
pub(crate) fn mapped(text: &str) -> String {
    let characters = || {
        text.chars()
            .map(|character| {
                if tables::non_ascii_space_character(character) {
                    ' '
                } else {
                    character
                }
            })
            .filter(|&character| !tables::commonly_mapped_to_nothing(character))
            .nfkc()
    };
    // Sized beforehand, so that no copy of a password is left behind by growth.
    let mut prepared = String::with_capacity(characters().map(char::len_utf8).sum());
    prepared.extend(characters());
    prepared
}

/// Checks a string that is mapped and normalized (RFC 4013 §2.3, §2.4).
fn check(prepared: &str) -> Result<(), Unprepared> {
    if prepared.is_empty() {
        return Err(Unprepared::Empty);
    }
    if prepared.contains(prohibited) {
        return Err(Unprepared::Prohibited);
    }
    if prepared.contains(tables::bidi_r_or_al) {
        let first = prepared.chars().next().is_some_and(tables::bidi_r_or_al);
        let last = prepared
            .chars()
            .next_back()
            .is_some_and(tables::bidi_r_or_al);
        if !first || !last || prepared.contains(tables::bidi_l) {
            return Err(Unprepared::Direction);
        }
    }
    Ok(())
}

/// Whether a character is prohibited in what is prepared: the tables C.1.2, C.2.1, C.2.2, C.3 to
/// C.9 of RFC 3454 (RFC 4013 §2.3). Surrogates (C.5) are no characters here.
fn prohibited(character: char) -> bool {
    tables::non_ascii_space_character(character)
        || tables::ascii_control_character(character)
        || tables::non_ascii_control_character(character)
        || tables::private_use(character)
        || tables::non_character_code_point(character)
        || tables::inappropriate_for_plain_text(character)
        || tables::inappropriate_for_canonical_representation(character)
        || tables::change_display_properties_or_deprecated(character)
        || tables::tagging_character(character)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_rfc_4013_section_3() {
        for (input, output) in [
            ("I\u{AD}X", Ok("IX")),
            ("user", Ok("user")),
            ("USER", Ok("USER")),
            ("\u{AA}", Ok("a")),
            ("\u{2168}", Ok("IX")),
            ("\u{7}", Err(Unprepared::Prohibited)),
            ("\u{627}1", Err(Unprepared::Direction)),
        ] {
            let expected = output.map(Cow::Borrowed);
            assert_eq!(query(input), expected, "{input:?}");
            assert_eq!(stored(input), expected, "{input:?}");
        }
    }

    #[test]
    fn strings_are_mapped_and_normalized() {
        for (input, output) in [
            ("two words", "two words"),
            ("ju\u{308}rgen@example.org", "jürgen@example.org"),
            ("jürgen@example.org", "jürgen@example.org"),
            ("\u{212B}ngstr\u{F6}m", "Ångström"),
            ("a\u{A0}b\u{3000}c", "a b c"),
            ("\u{FEFF}user\u{200D}", "user"),
            ("\u{FF55}ser", "user"),
            ("пользователь", "пользователь"),
            ("שלום", "שלום"),
            ("\u{627}1\u{628}", "\u{627}1\u{628}"),
        ] {
            assert_eq!(query(input).as_deref(), Ok(output), "{input:?}");
            assert_eq!(stored(input).as_deref(), Ok(output), "{input:?}");
            let password = query_password(&Secret::new(input)).unwrap();
            assert_eq!(password.expose(), output.as_bytes(), "{input:?}");
        }
    }

    #[test]
    fn strings_that_can_never_match_are_refused() {
        for (input, expected) in [
            ("", Unprepared::Empty),
            ("\u{AD}\u{200D}", Unprepared::Empty),
            ("a\0b", Unprepared::Prohibited),
            ("a\u{7F}", Unprepared::Prohibited),
            ("a\u{85}b", Unprepared::Prohibited),
            ("a\u{202E}b", Unprepared::Prohibited),
            ("\u{E000}", Unprepared::Prohibited),
            ("\u{FFFE}", Unprepared::Prohibited),
            ("\u{1FFFF}", Unprepared::Prohibited),
            ("\u{FFFD}", Unprepared::Prohibited),
            ("\u{2FF0}", Unprepared::Prohibited),
            ("\u{E0041}", Unprepared::Prohibited),
            ("שלום123", Unprepared::Direction),
            ("user שלום", Unprepared::Direction),
        ] {
            assert_eq!(query(input), Err(expected), "{input:?}");
            assert_eq!(stored(input), Err(expected), "{input:?}");
            let password = query_password(&Secret::new(input));
            assert_eq!(password.unwrap_err(), expected, "{input:?}");
        }
        let latin = query_password(&Secret::new(*b"caf\xE9"));
        assert_eq!(latin.unwrap_err(), Unprepared::NotUtf8);
    }

    #[test]
    fn passwords_are_lost_only_where_they_must_be() {
        for (typed, expected) in [
            ("secret", Some("secret")),
            ("\u{FB01}sh", Some("fish")),
            ("שלום123", Some("שלום123")),
            ("tab\t", None),
            ("", None),
        ] {
            let prepared = password(&Secret::new(typed));
            let prepared = prepared.as_ref().map(Secret::expose).ok();
            assert_eq!(prepared, expected.map(str::as_bytes), "{typed:?}");
        }
        let latin = password(&Secret::new(*b"caf\xE9")).unwrap();
        assert_eq!(latin.expose(), b"caf\xE9");
    }

    #[test]
    fn only_a_query_may_hold_what_unicode_3_2_did_not_have() {
        // A capital sharp s (Unicode 5.1) and a face (Unicode 6.1).
        for input in ["STRA\u{1E9E}E", "\u{1F600}"] {
            assert_eq!(query(input).as_deref(), Ok(input));
            assert_eq!(stored(input), Err(Unprepared::Unassigned));
            let password = Secret::new(input);
            assert!(query_password(&password).is_ok());
            assert_eq!(
                stored_password(&password).unwrap_err(),
                Unprepared::Unassigned
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_prepared_stays_as_it_is(text in "\\PC{0,20}|.{0,20}") {
            if let Ok(prepared) = query(&text) {
                prop_assert_eq!(query(&prepared), Ok(Cow::Borrowed(&*prepared)));
            }
        }

        #[test]
        fn passwords_are_prepared_as_names_are(text in ".{0,20}") {
            let password = query_password(&Secret::new(text.as_str()));
            let password = password.map(|password| password.expose().to_vec());
            prop_assert_eq!(password, query(&text).map(|name| name.as_bytes().to_vec()));
        }
    }
}
