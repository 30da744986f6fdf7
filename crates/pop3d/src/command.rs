//! Typed commands, grouped by the state in which they are valid (RFC 1939 §4, §5).

use std::fmt;

use auth::Secret;
use auth::prepare::{self, Unprepared};
use auth::sasl::Mechanism;

/// A command, its arguments parsed and checked.
#[derive(Debug)]
pub enum Command {
    /// Valid in every state.
    Any(Any),
    /// Valid before the login.
    Authorization(Authorization),
    /// Valid after the login.
    Transaction(Transaction),
}

/// Commands for every state.
#[derive(Debug, PartialEq, Eq)]
pub enum Any {
    /// CAPA (RFC 2449 §5).
    Capa,
    /// LANG (RFC 6856 §3); without an argument it lists the languages.
    Lang(Option<LanguageRange>),
    /// QUIT (RFC 1939 §4, §6).
    Quit,
}

/// Commands before the login.
#[derive(Debug)]
pub enum Authorization {
    /// USER (RFC 1939 §7).
    User(UserName),
    /// PASS (RFC 1939 §7).
    Pass(Secret),
    /// APOP (RFC 1939 §7).
    Apop,
    /// AUTH (RFC 5034 §4).
    Auth(Auth),
    /// STLS (RFC 2595 §4).
    Stls,
    /// UTF8 (RFC 6856 §2.1).
    Utf8,
}

/// The forms of AUTH.
#[derive(Debug)]
pub enum Auth {
    /// Without an argument. Interop: old Outlook expects a list of mechanisms.
    List,
    /// With a mechanism that we know.
    Start {
        /// The mechanism.
        mechanism: Mechanism,
        /// The initial response as it stood on the line: base64, or `=`.
        initial: Option<Secret>,
    },
    /// With a mechanism that we do not know.
    Unsupported,
}

/// Commands after the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// STAT (RFC 1939 §5).
    Stat,
    /// LIST (RFC 1939 §5).
    List(Option<MsgNum>),
    /// RETR (RFC 1939 §5).
    Retr(MsgNum),
    /// DELE (RFC 1939 §5).
    Dele(MsgNum),
    /// NOOP (RFC 1939 §5).
    Noop,
    /// RSET (RFC 1939 §5).
    Rset,
    /// TOP (RFC 1939 §7).
    Top {
        /// Which message.
        message: MsgNum,
        /// How many lines of its body.
        lines: u64,
    },
    /// UIDL (RFC 1939 §7).
    Uidl(Option<MsgNum>),
}

/// A message-number as a client writes it (RFC 1939 §4): any decimal number.
///
/// 0 and numbers past the end are well formed and name no message; what does not fit is held as
/// the largest number, which names none either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsgNum(u32);

impl MsgNum {
    /// Reads decimal digits, with leading zeros if the client likes them.
    pub fn from_digits(digits: &[u8]) -> Self {
        Self(u32::try_from(decimal(digits)).unwrap_or(u32::MAX))
    }

    /// The number of the message at `position`, counted from 0.
    pub fn at(position: usize) -> Self {
        Self(u32::try_from(position).map_or(u32::MAX, |position| position.saturating_add(1)))
    }

    /// The position in the maildrop, counted from 0; none for the number 0.
    pub fn position(self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(1)?).ok()
    }
}

impl fmt::Display for MsgNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A name given to USER: UTF-8 without characters that SASLprep prohibits (RFC 6856 §2.2).
#[derive(Clone, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// Accepts UTF-8 without what SASLprep prohibits (RFC 6856 §2.2).
    ///
    /// It stays as it was typed: how a name is prepared depends on its parts, and so does the rule
    /// about directions of writing.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let name = str::from_utf8(bytes).ok()?;
        match prepare::query(name) {
            Ok(_) | Err(Unprepared::Direction) => Some(Self(name.to_owned())),
            Err(_) => None,
        }
    }

    /// The name.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for UserName {
    /// Shows no name: people type passwords at the wrong prompt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserName(..)")
    }
}

/// A language range (RFC 4647 §2.1): `*`, or subtags of letters and digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanguageRange(String);

impl LanguageRange {
    /// Accepts `*` and subtags of one to eight letters or digits with hyphens between them.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let subtag = |subtag: &str| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        (text == "*" || text.split('-').all(subtag)).then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether `tag` is what the client asks for: the lookup of RFC 4647 §3.4, so that `en-US`
    /// finds `en`.
    pub fn finds(&self, tag: &str) -> bool {
        let rest = self.0.strip_prefix(tag);
        self.0 == "*" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// The number that decimal digits write; the largest one if it does not fit.
pub fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number: u64, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// The password that bytes are, unless they are not UTF-8 or SASLprep prohibits what they hold
/// (RFC 6856 §2.2). An empty one is no mistake of grammar, and is denied like any wrong one.
pub fn password(bytes: &[u8]) -> Option<Secret> {
    let password = Secret::new(bytes);
    let sound = match prepare::password(&password) {
        Ok(_) | Err(Unprepared::Empty) => str::from_utf8(bytes).is_ok(),
        Err(_) => false,
    };
    sound.then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded() {
        for (digits, position) in [
            ("1", Some(0)),
            ("007", Some(6)),
            ("0", None),
            ("4294967295", Some(4_294_967_294)),
            ("4294967296", Some(4_294_967_294)),
            ("99999999999999999999999999", Some(4_294_967_294)),
        ] {
            assert_eq!(MsgNum::from_digits(digits.as_bytes()).position(), position);
        }
    }

    #[test]
    fn language_ranges_find_english() {
        for (range, finds) in [
            ("en", true),
            ("EN", true),
            ("en-US", true),
            ("*", true),
            ("de", false),
            ("eng", false),
        ] {
            let range = LanguageRange::new(range.as_bytes()).unwrap();
            assert_eq!(range.finds("en"), finds, "{range:?}");
        }
        for bad in ["", "e n", "-", "en--us", "toolongsubtag", "é"] {
            assert_eq!(LanguageRange::new(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn names_that_saslprep_prohibits_are_refused() {
        for name in ["mrose", "jürgen@example.org", "two words", "пользователь"] {
            assert!(UserName::new(name.as_bytes()).is_some(), "{name}");
        }
        for name in [
            "a\0b",
            "a\u{7}",
            "a\u{202E}b",
            "\u{E000}",
            "\u{FFFE}",
            "\u{1FFFF}",
        ] {
            assert!(UserName::new(name.as_bytes()).is_none(), "{name:?}");
        }
        assert!(UserName::new(b"caf\xe9").is_none());
    }

    #[test]
    fn debug_shows_no_name_and_no_password() {
        let user = Command::Authorization(Authorization::User(UserName::new(b"hunter2").unwrap()));
        let pass = Command::Authorization(Authorization::Pass(Secret::new(*b"hunter2")));
        assert!(!format!("{user:?}{pass:?}").contains("hunter2"));
    }
}
