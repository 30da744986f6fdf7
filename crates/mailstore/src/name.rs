//! Mailbox names: as a client writes them, as we hold them, and as a Maildir++ directory.

mod utf7;

use std::borrow::Cow;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// A mailbox of one account: `INBOX`, or a path of levels below the account's root.
///
/// Held as UTF-8 with `.` between the levels, which is what a Maildir++ directory name is before
/// its encoding; therefore no level is empty or contains `.`, `/`, NUL or another control
/// character, and none ever leaves the account's root. `INBOX` is upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left of the name.
    #[error("mailbox name is empty")]
    Empty,
    /// Two separators in a row, or one at the start.
    #[error("mailbox name has an empty level")]
    EmptyLevel,
    /// Not modified UTF-7 in its only canonical form (RFC 3501 §5.1.3).
    #[error("mailbox name is not valid modified UTF-7")]
    Utf7,
    /// Not UTF-8 (RFC 3629).
    #[error("mailbox name is not valid UTF-8")]
    Utf8,
    /// A control character, encoded or not.
    #[error("mailbox name contains a control character")]
    Control,
    /// A character that the directory layout cannot hold.
    #[error(
        "mailbox name contains a character that cannot be stored: '.' or '/' inside a level, or '~' at its start"
    )]
    Unstorable,
    /// Outside the namespace prefix.
    #[error("mailbox name is outside the namespace")]
    Prefix,
    /// The name is over 255 octets on disk, or has more than [`MailboxName::MAX_LEVELS`] levels.
    #[error("mailbox name is too long")]
    TooLong,
    /// A second `INBOX` in any letter case, where `INBOX` itself is outside the prefix.
    #[error("mailbox name is reserved")]
    Reserved,
}

impl MailboxName {
    /// How many levels a name can have.
    pub const MAX_LEVELS: usize = 32;

    /// INBOX (RFC 3501 §5.1).
    pub fn inbox() -> Self {
        Self(INBOX.to_owned())
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == INBOX
    }

    /// The levels of the hierarchy, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The name one level up, if there is one. Above `inbox.a` in any letter case is INBOX.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('.')?;
        Some(if is_inbox(parent.as_bytes()) {
            Self::inbox()
        } else {
            Self(parent.to_owned())
        })
    }

    /// Whether this name is somewhere below `ancestor` in the hierarchy.
    pub fn is_inferior_to(&self, ancestor: &Self) -> bool {
        let rest = self.0.strip_prefix(&ancestor.0);
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    /// This name with `from` at its start replaced by `to`; `None` if it is neither `from` nor
    /// below it.
    pub(crate) fn rebased(&self, from: &Self, to: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&from.0)?;
        (rest.is_empty() || rest.starts_with('.')).then(|| Self(format!("{}{rest}", to.0)))
    }

    /// This name as Net-Unicode has it: in normalization form C (RFC 5198 §3, RFC 9051 §5.1).
    pub fn normalized(&self) -> Self {
        Self(normalized(&self.0).into_owned())
    }

    /// The canonical form: UTF-8 with `.` between the levels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How mailbox names look to clients and on disk: prefix, hierarchy separator and encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What every name but INBOX begins with: empty, or for example `INBOX.`. Not stored on disk.
    pub prefix: String,
    /// `/` or `.`.
    pub separator: char,
    /// Whether directory names are UTF-8 instead of modified UTF-7.
    pub utf8_on_disk: bool,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            separator: '/',
            utf8_on_disk: false,
        }
    }
}

impl Namespace {
    /// Reads a name as a client writes it: modified UTF-7 (RFC 3501 §5.1.3), with this prefix and
    /// separator; one separator at the end is ignored (RFC 3501 §6.3.3), `INBOX` is
    /// case-insensitive.
    ///
    /// # Errors
    /// Says why the name cannot be a mailbox.
    pub fn parse(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        self.parse_text(&Self::decode(name)?)
    }

    /// Reads a name as a client writes it that speaks UTF-8: `&` stands for itself.
    ///
    /// # Errors
    /// Says why the name cannot be a mailbox.
    pub fn parse_utf8(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        let name = str::from_utf8(name).map_err(|_| NameError::Utf8)?;
        if name.chars().any(char::is_control) {
            return Err(NameError::Control);
        }
        self.parse_text(name)
    }

    /// Reads a name that is decoded.
    fn parse_text(&self, name: &str) -> Result<MailboxName, NameError> {
        let name = name.strip_suffix(self.separator).unwrap_or(name);
        if is_inbox(name.as_bytes()) {
            return Ok(MailboxName::inbox());
        }
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        let path = self.without_prefix(name).ok_or(NameError::Prefix)?;
        let levels: Vec<&str> = path.split(self.separator).collect();
        self.checked(&levels)
    }

    /// What a client writes in modified UTF-7, whatever it is the name of (RFC 3501 §5.1.3).
    ///
    /// # Errors
    /// Says why it cannot be a name.
    pub fn decode(name: &[u8]) -> Result<String, NameError> {
        if name.iter().any(u8::is_ascii_control) {
            return Err(NameError::Control);
        }
        utf7::decode(name).ok_or(NameError::Utf7)
    }

    /// A name in modified UTF-7.
    pub fn encode(name: &str) -> String {
        utf7::encode(name)
    }

    /// The name for a client: prefix and separator put in, in modified UTF-7.
    pub fn display(&self, name: &MailboxName) -> String {
        utf7::encode(&self.display_utf8(name))
    }

    /// A name in modified UTF-7, as [`display`](Self::display) gives it, in UTF-8.
    pub fn decode_display(shown: &str) -> Option<String> {
        utf7::decode(shown.as_bytes())
    }

    /// The prefix for a client, in modified UTF-7.
    pub fn display_prefix(&self) -> String {
        utf7::encode(&self.prefix)
    }

    /// The name for a client that speaks UTF-8: prefix and separator put in.
    pub fn display_utf8(&self, name: &MailboxName) -> String {
        if name.is_inbox() {
            return INBOX.to_owned();
        }
        let mut out = String::with_capacity(self.prefix.len() + name.0.len());
        out.push_str(&self.prefix);
        for (position, level) in name.levels().enumerate() {
            if position > 0 {
                out.push(self.separator);
            }
            out.push_str(level);
        }
        out
    }

    /// The directory below the account's root (`""` for INBOX, else `.Level.Level`).
    pub fn directory(&self, name: &MailboxName) -> String {
        if name.is_inbox() {
            String::new()
        } else {
            [".", &self.stored(name)].concat()
        }
    }

    /// The mailbox that a directory entry of the root stands for; `None` if it is not one of ours
    /// (no leading dot, two leading dots, not decodable, an `INBOX` that is not the root).
    pub fn from_directory(&self, entry: &[u8]) -> Option<MailboxName> {
        self.decoded(entry.strip_prefix(b".")?)
    }

    /// The name in files that the store shares with other programs: as on disk, without prefix.
    pub(crate) fn stored(&self, name: &MailboxName) -> String {
        if self.utf8_on_disk {
            name.0.clone()
        } else {
            utf7::encode(&name.0)
        }
    }

    /// A text in files that the store shares with other programs.
    pub(crate) fn stored_text(&self, text: &str) -> String {
        if self.utf8_on_disk {
            text.to_owned()
        } else {
            utf7::encode(text)
        }
    }

    /// Reads a text that [`stored_text`](Self::stored_text) or another program wrote.
    pub(crate) fn read_stored_text(&self, stored: &[u8]) -> Option<String> {
        if self.utf8_on_disk {
            str::from_utf8(stored).ok().map(str::to_owned)
        } else {
            utf7::decode(stored)
        }
    }

    /// Reads a name that [`stored`](Self::stored) or another program wrote.
    pub(crate) fn read_stored(&self, stored: &[u8]) -> Option<MailboxName> {
        if is_inbox(stored) {
            return Some(MailboxName::inbox());
        }
        self.decoded(stored)
    }

    /// Whether a name that was put together from others can be a mailbox.
    pub(crate) fn check(&self, name: &MailboxName) -> Result<(), NameError> {
        let levels: Vec<&str> = name.levels().collect();
        self.checked(&levels).map(drop)
    }

    fn decoded(&self, stored: &[u8]) -> Option<MailboxName> {
        let name = if self.utf8_on_disk {
            str::from_utf8(stored).ok()?.to_owned()
        } else {
            utf7::decode(stored)?
        };
        let levels: Vec<&str> = name.split('.').collect();
        self.checked(&levels).ok()
    }

    /// What follows the prefix. A prefix that begins with INBOX does so in any letter case.
    fn without_prefix<'a>(&self, name: &'a str) -> Option<&'a str> {
        let (start, path) = name.split_at_checked(self.prefix.len())?;
        let inbox = self.prefix.get(..INBOX.len());
        let matches = match inbox {
            Some(inbox) if is_inbox(inbox.as_bytes()) => {
                let (start_inbox, start_rest) = start.split_at_checked(INBOX.len())?;
                is_inbox(start_inbox.as_bytes())
                    && Some(start_rest) == self.prefix.get(INBOX.len()..)
            }
            Some(_) | None => start == self.prefix,
        };
        matches.then_some(path)
    }

    /// Puts levels together if each of them, and the whole, can be a Maildir++ directory.
    fn checked(&self, levels: &[&str]) -> Result<MailboxName, NameError> {
        if levels.len() > MailboxName::MAX_LEVELS {
            return Err(NameError::TooLong);
        }
        for level in levels {
            if level.is_empty() {
                return Err(NameError::EmptyLevel);
            }
            if level.chars().any(char::is_control) {
                return Err(NameError::Control);
            }
            if level.contains(['.', '/']) {
                return Err(NameError::Unstorable);
            }
        }
        if levels.first().is_some_and(|first| first.starts_with('~')) {
            return Err(NameError::Unstorable);
        }
        let name = MailboxName(levels.join("."));
        if is_inbox(name.0.as_bytes()) {
            return Err(NameError::Reserved);
        }
        // All levels are one directory entry, so the limit of an entry is the limit of the whole.
        if self.stored(&name).len() >= MAX_ENTRY {
            return Err(NameError::TooLong);
        }
        Ok(name)
    }
}

/// Text in normalization form C (RFC 5198 §3).
pub fn normalized(text: &str) -> Cow<'_, str> {
    if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Whether this is the one case-insensitive name (RFC 3501 §5.1).
fn is_inbox(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(INBOX.as_bytes())
}

/// The name of the root.
const INBOX: &str = "INBOX";

/// The longest directory entry, in octets, that every usual file system can hold.
const MAX_ENTRY: usize = 255;

#[cfg(test)]
mod tests {
    use super::{MailboxName, NameError, Namespace};
    use proptest::prelude::*;

    fn namespace(prefix: &str, separator: char) -> Namespace {
        Namespace {
            prefix: prefix.to_owned(),
            separator,
            utf8_on_disk: false,
        }
    }

    /// Client name, what it is to us, its directory, and how it is shown again.
    #[test]
    fn names_that_are_accepted() {
        let table = [
            ("", '/', "INBOX", "INBOX", "", "INBOX"),
            ("", '/', "inBox", "INBOX", "", "INBOX"),
            ("", '/', "INBOX/", "INBOX", "", "INBOX"),
            ("", '/', "INBOX/a", "INBOX.a", ".INBOX.a", "INBOX/a"),
            ("", '/', "Inbox/a", "Inbox.a", ".Inbox.a", "Inbox/a"),
            ("", '/', "INBOXa", "INBOXa", ".INBOXa", "INBOXa"),
            ("", '/', "Work/2026", "Work.2026", ".Work.2026", "Work/2026"),
            ("", '/', "Work/", "Work", ".Work", "Work"),
            (
                "",
                '.',
                "Work.2026.",
                "Work.2026",
                ".Work.2026",
                "Work.2026",
            ),
            ("", '/', "R&-D", "R&D", ".R&-D", "R&-D"),
            ("", '/', "cur", "cur", ".cur", "cur"),
            ("", '/', "a~", "a~", ".a~", "a~"),
            ("", '/', "a%*\"\\ ", "a%*\"\\ ", ".a%*\"\\ ", "a%*\"\\ "),
            (
                "",
                '/',
                "Entw&APw-rfe/&U,BTFw-",
                "Entwürfe.台北",
                ".Entw&APw-rfe.&U,BTFw-",
                "Entw&APw-rfe/&U,BTFw-",
            ),
            ("INBOX.", '.', "INBOX", "INBOX", "", "INBOX"),
            ("INBOX.", '.', "INBOX.", "INBOX", "", "INBOX"),
            ("INBOX.", '.', "INBOX.Sent", "Sent", ".Sent", "INBOX.Sent"),
            ("INBOX.", '.', "inbox.Sent", "Sent", ".Sent", "INBOX.Sent"),
            ("INBOX/", '/', "INBOX/a/b", "a.b", ".a.b", "INBOX/a/b"),
            ("Mail/", '/', "Mail/a", "a", ".a", "Mail/a"),
            ("Mail/", '/', "inbox", "INBOX", "", "INBOX"),
            ("Böx/", '/', "B&APY-x/a", "a", ".a", "B&APY-x/a"),
        ];
        for (prefix, separator, client, ours, directory, shown) in table {
            let namespace = namespace(prefix, separator);
            let name = namespace.parse(client.as_bytes()).expect(client);
            assert_eq!(name.as_str(), ours);
            assert_eq!(namespace.directory(&name), directory);
            assert_eq!(namespace.display(&name), shown);
            assert_eq!(name.is_inbox(), directory.is_empty());
            if !name.is_inbox() {
                let back = namespace.from_directory(directory.as_bytes());
                assert_eq!(back, Some(name.clone()), "{directory}");
            }
            assert_eq!(
                namespace.read_stored(namespace.stored(&name).as_bytes()),
                Some(name)
            );
        }
    }

    #[test]
    fn names_that_are_refused() {
        let table: [(&str, char, &[u8], NameError); 46] = [
            ("", '/', b"", NameError::Empty),
            ("", '/', b"/", NameError::Empty),
            ("", '/', b"//", NameError::EmptyLevel),
            ("", '/', b"/a", NameError::EmptyLevel),
            ("", '/', b"a//b", NameError::EmptyLevel),
            ("", '/', b"a//", NameError::EmptyLevel),
            ("", '.', b".a", NameError::EmptyLevel),
            ("", '.', b"a..b", NameError::EmptyLevel),
            // Ways out of the root (S34).
            ("", '/', b"../u10", NameError::Unstorable),
            ("", '/', b"a/../../u10", NameError::Unstorable),
            ("", '/', b"..", NameError::Unstorable),
            ("", '/', b".", NameError::Unstorable),
            ("", '.', b"..", NameError::EmptyLevel),
            ("", '.', b"../u10", NameError::EmptyLevel),
            ("", '.', b"a/../u10", NameError::Unstorable),
            ("", '/', b"/etc/passwd", NameError::EmptyLevel),
            ("", '.', b"/etc/passwd", NameError::Unstorable),
            ("", '/', b"~root", NameError::Unstorable),
            ("", '/', b"~/a", NameError::Unstorable),
            ("", '.', b"~root.a", NameError::Unstorable),
            ("", '/', b"&AC4ALg-/u10", NameError::Utf7),
            ("", '/', b"..&AC8-u10", NameError::Utf7),
            ("", '/', b"a&AC8-b", NameError::Utf7),
            ("", '.', b"a&AC4-b", NameError::Utf7),
            ("", '/', b"&AH4-root", NameError::Utf7),
            ("INBOX.", '.', b"INBOX../u10", NameError::EmptyLevel),
            ("INBOX.", '.', b"INBOX./u10", NameError::Unstorable),
            ("INBOX.", '.', b"INBOX.~root", NameError::Unstorable),
            // The other separator.
            ("", '/', b"a.b", NameError::Unstorable),
            ("", '.', b"a/b", NameError::Unstorable),
            // Control characters, plain and encoded (S35).
            ("", '/', b"a\0b", NameError::Control),
            ("", '/', b"a\r\nb", NameError::Control),
            ("", '/', b"a\x7F", NameError::Control),
            ("", '/', b"a&AAA-b", NameError::Control),
            ("", '/', b"a&AA0ACg-b", NameError::Control),
            ("", '/', b"a&AH8-", NameError::Control),
            ("", '/', b"a&AIU-", NameError::Control),
            // Not modified UTF-7.
            ("", '/', b"a&b", NameError::Utf7),
            ("", '/', b"Entw\xC3\xBCrfe", NameError::Utf7),
            ("", '/', b"Entw\xFCrfe", NameError::Utf7),
            // The namespace.
            ("INBOX.", '.', b"Sent", NameError::Prefix),
            ("INBOX.", '.', b"INBOXSent", NameError::Prefix),
            ("Mail/", '/', b"mail/a", NameError::Prefix),
            ("Mail/", '/', b"Mail/", NameError::Prefix),
            ("INBOX.", '.', b"INBOX.INBOX", NameError::Reserved),
            ("INBOX.", '.', b"INBOX.inbox", NameError::Reserved),
        ];
        for (prefix, separator, client, error) in table {
            let result = namespace(prefix, separator).parse(client);
            assert_eq!(result, Err(error), "{:?}", client.escape_ascii());
        }
    }

    #[test]
    fn names_are_bounded() {
        let namespace = Namespace::default();
        let longest = "x".repeat(254);
        assert!(namespace.parse(longest.as_bytes()).is_ok());
        let too_long = "x".repeat(255);
        let error = namespace.parse(too_long.as_bytes());
        assert_eq!(error, Err(NameError::TooLong));
        // What counts is the form on disk.
        let encoded = super::utf7::encode(&"ü".repeat(100));
        let error = namespace.parse(encoded.as_bytes());
        assert_eq!(error, Err(NameError::TooLong));
        let utf8 = Namespace {
            utf8_on_disk: true,
            ..namespace.clone()
        };
        assert!(utf8.parse(encoded.as_bytes()).is_ok());

        let deepest = vec!["a"; MailboxName::MAX_LEVELS].join("/");
        assert!(namespace.parse(deepest.as_bytes()).is_ok());
        let error = namespace.parse(format!("{deepest}/a").as_bytes());
        assert_eq!(error, Err(NameError::TooLong));
        let error = namespace.parse("a/".repeat(1 << 20).as_bytes());
        assert_eq!(error, Err(NameError::TooLong));
    }

    /// Client name in UTF-8, what it is to us, its directory.
    #[test]
    fn names_can_be_spoken_in_utf8() {
        let accepted = [
            (
                "",
                '/',
                "Entwürfe/台北",
                "Entwürfe.台北",
                ".Entw&APw-rfe.&U,BTFw-",
            ),
            ("", '/', "R&D", "R&D", ".R&-D"),
            ("", '/', "&APw-", "&APw-", ".&-APw-"),
            ("", '/', "inBox/", "INBOX", ""),
            ("INBOX.", '.', "inbox.Böx.", "Böx", ".B&APY-x"),
            ("Böx/", '/', "Böx/a", "a", ".a"),
        ];
        for (prefix, separator, client, ours, directory) in accepted {
            let namespace = namespace(prefix, separator);
            let name = namespace.parse_utf8(client.as_bytes()).expect(client);
            assert_eq!(name.as_str(), ours);
            assert_eq!(namespace.directory(&name), directory);
            let shown = namespace.display_utf8(&name);
            assert_eq!(namespace.parse_utf8(shown.as_bytes()), Ok(name.clone()));
            let utf7 = namespace.display(&name);
            assert_eq!(namespace.parse(utf7.as_bytes()), Ok(name));
        }
        assert_eq!(namespace("Böx/", '/').display_prefix(), "B&APY-x/");
        let refused: [(&[u8], NameError); 8] = [
            (b"Entw\xFCrfe", NameError::Utf8),
            (b"\xC3", NameError::Utf8),
            (b"\xED\xA0\x80", NameError::Utf8),
            (b"a\0b", NameError::Control),
            ("a\u{85}b".as_bytes(), NameError::Control),
            (b"", NameError::Empty),
            (b"a//b", NameError::EmptyLevel),
            (b"../u10", NameError::Unstorable),
        ];
        for (name, error) in refused {
            let parsed = namespace("", '/').parse_utf8(name);
            assert_eq!(parsed, Err(error), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn directories_that_are_no_mailbox_are_skipped() {
        let table: [&[u8]; 15] = [
            b"",
            b".",
            b"..",
            b"cur",
            b"pillarbox.index",
            b"..DOVECOT-TRASHED",
            b"..pillarbox-trash.1",
            b".a..b",
            b".a.",
            b".~a",
            b".INBOX",
            b".inbox",
            b".a&AGE-",
            b".Entw\xC3\xBCrfe",
            b".a\n",
        ];
        for entry in table {
            let name = Namespace::default().from_directory(entry);
            assert_eq!(name, None, "{:?}", entry.escape_ascii());
        }
    }

    #[test]
    fn directories_can_be_utf8() {
        let namespace = Namespace {
            utf8_on_disk: true,
            ..Namespace::default()
        };
        let name = namespace.parse(b"Entw&APw-rfe/R&-D").unwrap();
        assert_eq!(namespace.directory(&name), ".Entwürfe.R&D");
        let name = namespace.from_directory(".Entwürfe.R&D".as_bytes());
        assert_eq!(namespace.display(&name.unwrap()), "Entw&APw-rfe/R&-D");
        assert_eq!(namespace.from_directory(b".\xFC"), None);
    }

    #[test]
    fn the_hierarchy_is_walked_by_levels() {
        let name = |text: &str| Namespace::default().parse(text.as_bytes()).unwrap();
        let deep = name("a/b/c");
        assert_eq!(deep.parent(), Some(name("a/b")));
        assert_eq!(name("a").parent(), None);
        assert_eq!(name("inbox/a").parent(), Some(MailboxName::inbox()));
        assert!(deep.is_inferior_to(&name("a")));
        assert!(!deep.is_inferior_to(&deep));
        assert!(!name("ab").is_inferior_to(&name("a")));
        assert_eq!(
            deep.rebased(&name("a"), &name("x/y")),
            Some(name("x/y/b/c"))
        );
        assert_eq!(deep.rebased(&deep, &name("x")), Some(name("x")));
        assert_eq!(name("ab").rebased(&name("a"), &name("x")), None);
    }

    proptest! {
        #[test]
        fn accepted_names_round_trip_and_stay_inside(
            name in "[&A-Za-c,+./~ -]{0,16}",
            dot in any::<bool>(),
        ) {
            let namespace = namespace("", if dot { '.' } else { '/' });
            if let Ok(parsed) = namespace.parse(name.as_bytes()) {
                let shown = namespace.display(&parsed);
                prop_assert_eq!(namespace.parse(shown.as_bytes()), Ok(parsed.clone()));
                let directory = namespace.directory(&parsed);
                prop_assert!(!directory.contains('/') && !directory.starts_with(".."));
                if !parsed.is_inbox() {
                    prop_assert_eq!(namespace.from_directory(directory.as_bytes()), Some(parsed));
                }
            }
        }

        #[test]
        fn any_bytes_never_panic(name in any::<Vec<u8>>(), prefix in any::<String>(), utf8 in any::<bool>()) {
            let namespace = Namespace { prefix, separator: '.', utf8_on_disk: utf8 };
            if let Some(found) = namespace.from_directory(&name) {
                prop_assert_eq!(namespace.directory(&found).into_bytes(), name.clone());
            }
            if let Ok(parsed) = namespace.parse_utf8(&name) {
                let shown = namespace.display_utf8(&parsed);
                prop_assert_eq!(namespace.parse_utf8(shown.as_bytes()), Ok(parsed));
            }
            if let Ok(parsed) = namespace.parse(&name) {
                prop_assert!(parsed.levels().count() <= MailboxName::MAX_LEVELS);
            }
        }
    }
}
