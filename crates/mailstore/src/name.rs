//! Mailbox names: as a client writes them, as we hold them, and as a Maildir++ directory.

use std::fmt;

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
    /// A level is over 255 octets on disk, or the name over 1000, or there are too many levels.
    #[error("mailbox name is too long")]
    TooLong,
    /// A name that the store needs for itself (`cur`, `new`, `tmp`).
    #[error("mailbox name is reserved")]
    Reserved,
}

impl MailboxName {
    /// INBOX (RFC 3501 §5.1).
    pub fn inbox() -> Self {
        Self("INBOX".to_owned())
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The levels of the hierarchy, outermost first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The name one level up, if there is one.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('.')
            .map(|(parent, _)| Self(parent.to_owned()))
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
    /// separator; one separator at the end is ignored, `INBOX` is case-insensitive.
    ///
    /// # Errors
    /// Says why the name cannot be a mailbox.
    pub fn parse(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        let _ = name;
        todo!("parse")
    }

    /// The name for a client: prefix and separator put in, in modified UTF-7.
    pub fn display(&self, name: &MailboxName) -> String {
        let _ = name;
        todo!("display")
    }

    /// The directory below the account's root (`""` for INBOX, else `.Level.Level`).
    pub fn directory(&self, name: &MailboxName) -> String {
        let _ = name;
        todo!("directory")
    }

    /// The mailbox that a directory entry of the root stands for; `None` if it is not one of ours
    /// (no leading dot, two leading dots, not decodable).
    pub fn from_directory(&self, entry: &[u8]) -> Option<MailboxName> {
        let _ = entry;
        todo!("from_directory")
    }
}
