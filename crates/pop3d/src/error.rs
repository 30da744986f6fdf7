//! Everything that is answered with `-ERR`, and its response code.

use std::fmt;

use crate::command::MsgNum;
use crate::grammar::SyntaxError;

/// An extended response code (RFC 2449 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The maildrop is locked by another session (RFC 2449 §8.1.2).
    InUse,
    /// A failure of ours that may go away by itself (RFC 3206 §4).
    SysTemp,
    /// A failure of ours that needs somebody's help (RFC 3206 §4).
    SysPerm,
    /// The user's credentials are the problem (RFC 3206 §5).
    Auth,
    /// The message needs UTF-8 mode (RFC 6856 §5).
    Utf8,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "IN-USE",
            Self::SysTemp => "SYS/TEMP",
            Self::SysPerm => "SYS/PERM",
            Self::Auth => "AUTH",
            Self::Utf8 => "UTF8",
        })
    }
}

/// Why a command is answered with `-ERR`. Its text is the rest of that line.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not a command.
    #[error("unknown command")]
    UnknownCommand,
    /// Wrong arguments.
    #[error("syntax error, expected {0}")]
    Syntax(&'static str),
    /// Over the limit of RFC 2449 §4.
    #[error("line too long")]
    LineTooLong,
    /// A command of the TRANSACTION state before the login.
    #[error("log in first")]
    NotLoggedIn,
    /// A command of the AUTHORIZATION state after the login (RFC 5034 §4).
    #[error("already logged in")]
    LoggedIn,
    /// PASS without a USER right before it (RFC 1939 §7).
    #[error("send USER first")]
    NoUser,
    /// APOP, which our greeting does not offer (RFC 1939 §7).
    #[error("APOP is not offered, use USER or AUTH")]
    ApopNotOffered,
    /// A password would cross the network in the clear (RFC 8314 §3).
    #[error("passwords are refused without TLS")]
    PlaintextRefused,
    /// AUTH with a mechanism that we do not have (RFC 5034 §4).
    #[error("unknown mechanism")]
    UnknownMechanism,
    /// The client has cancelled AUTH with `*` (RFC 5034 §4).
    #[error("authentication cancelled")]
    AuthCancelled,
    /// A SASL response that is not base64 (RFC 5034 §4).
    #[error("not base64")]
    NotBase64,
    /// A SASL response that the mechanism does not allow.
    #[error("malformed response")]
    MalformedResponse,
    /// Unknown user or wrong password.
    #[error("authentication failed")]
    Denied,
    /// The password cannot be checked now.
    #[error("authentication is not available, try again later")]
    AuthUnavailable,
    /// The user's limit of sessions is reached.
    #[error("too many sessions, try again later")]
    TooManySessions,
    /// Another session holds the maildrop (RFC 1939 §4).
    #[error("maildrop is in use by another session")]
    MaildropInUse,
    /// STLS where TLS is active (RFC 2595 §4).
    #[error("command not permitted when TLS is active")]
    TlsActive,
    /// STLS where it is not offered.
    #[error("TLS is not offered here")]
    TlsNotOffered,
    /// STLS after UTF8 (RFC 6856 §2.1).
    #[error("STLS is not permitted after UTF8")]
    StlsAfterUtf8,
    /// LANG with a language that we do not speak (RFC 6856 §3.2).
    #[error("invalid language")]
    InvalidLanguage,
    /// A message-number that names no message.
    #[error("no such message, only {0} messages in maildrop")]
    NoSuchMessage(usize),
    /// A message marked as deleted (RFC 1939 §5).
    #[error("message {0} already deleted")]
    AlreadyDeleted(MsgNum),
    /// A message that somebody else has removed meanwhile.
    #[error("message {0} was removed by another session")]
    Gone(MsgNum),
    /// A message that cannot be read.
    #[error("message {0} cannot be read")]
    Unreadable(MsgNum),
    /// A message that needs UTF-8 mode (RFC 6856 §5).
    #[error("message {0} needs UTF-8 mode")]
    NeedsUtf8(MsgNum),
    /// The maildrop cannot be opened.
    #[error("maildrop cannot be opened")]
    NotOpened(Code),
    /// UPDATE could not remove everything (RFC 1939 §6).
    #[error("some deleted messages not removed")]
    NotRemoved(Code),
    /// The server is stopping.
    #[error("server is shutting down")]
    ShuttingDown,
}

impl Refused {
    /// The response code, if one fits.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::MaildropInUse => Some(Code::InUse),
            Self::AuthUnavailable | Self::TooManySessions | Self::ShuttingDown => {
                Some(Code::SysTemp)
            }
            Self::Unreadable(_) => Some(Code::SysPerm),
            Self::Denied => Some(Code::Auth),
            Self::NeedsUtf8(_) => Some(Code::Utf8),
            Self::NotOpened(code) | Self::NotRemoved(code) => Some(*code),
            Self::UnknownCommand
            | Self::Syntax(_)
            | Self::LineTooLong
            | Self::NotLoggedIn
            | Self::LoggedIn
            | Self::NoUser
            | Self::ApopNotOffered
            | Self::PlaintextRefused
            | Self::UnknownMechanism
            | Self::AuthCancelled
            | Self::NotBase64
            | Self::MalformedResponse
            | Self::TlsActive
            | Self::TlsNotOffered
            | Self::StlsAfterUtf8
            | Self::InvalidLanguage
            | Self::NoSuchMessage(_)
            | Self::AlreadyDeleted(_)
            | Self::Gone(_) => None,
        }
    }
}

impl From<SyntaxError> for Refused {
    fn from(error: SyntaxError) -> Self {
        match error {
            SyntaxError::Unknown => Self::UnknownCommand,
            SyntaxError::Expected(expected) => Self::Syntax(expected),
        }
    }
}

/// Whether a failure of the store may go away by itself (RFC 3206 §4).
pub const fn severity(error: &mailstore::Error) -> Code {
    match error {
        mailstore::Error::Locked
        | mailstore::Error::NoSpace
        | mailstore::Error::Expunged
        | mailstore::Error::Io { .. } => Code::SysTemp,
        mailstore::Error::NotFound
        | mailstore::Error::Exists
        | mailstore::Error::Name(_)
        | mailstore::Error::Inbox
        | mailstore::Error::NoPermission { .. }
        | mailstore::Error::OverQuota(_)
        | mailstore::Error::Limit(_)
        | mailstore::Error::Corrupt { .. }
        | mailstore::Error::Takeover { .. } => Code::SysPerm,
    }
}
