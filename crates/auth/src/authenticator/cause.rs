//! What the log says of a login that fails: one line each, which `conf/fail2ban` reads.

use super::Authenticator;
use super::token::Fault;

/// Why a login failed. For the log alone: a client is never told (S24).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    /// There is no such account.
    #[default]
    #[error("unknown user")]
    UnknownUser,
    /// The account has another password.
    #[error("wrong password")]
    WrongPassword,
    /// The account has no keys for SCRAM.
    #[error("no keys for SCRAM")]
    NoKeys,
    /// The user wanted to act as another (RFC 4616 §2).
    #[error("acting as another user")]
    ActingAsAnother,
    /// The password is right, but was proved on another TLS connection: somebody is in between, or
    /// a proxy ends TLS before us (RFC 5802 §6).
    #[error("bound to another channel")]
    AnotherChannel,
    /// Too many attempts wait already: the credential was not looked at.
    #[error("too many attempts")]
    TooManyAttempts,
    /// The token was refused.
    #[error(transparent)]
    Token(Fault),
}

impl Cause {
    /// Whether the name is certainly one of an account.
    fn is_of_account(self) -> bool {
        match self {
            Self::WrongPassword | Self::NoKeys | Self::ActingAsAnother | Self::AnotherChannel => {
                true
            }
            Self::UnknownUser | Self::TooManyAttempts | Self::Token(_) => false,
        }
    }
}

impl Authenticator {
    /// Logs that `user` was refused, or somebody who has given no name.
    ///
    /// What is no account may be a password that somebody has typed into the wrong field, so it is
    /// logged on request only. Whoever writes the log escapes what is in a name (S42).
    pub(super) fn log_failure(&self, user: Option<&str>, cause: Cause) {
        let shown = cause.is_of_account() || self.log_unknown_users;
        let cause = cause.to_string();
        let cause = cause.as_str();
        if let Some(user) = user.filter(|_| shown) {
            let end = user.char_indices().nth(LONGEST).map(|(at, _)| at);
            let user = end.and_then(|end| user.get(..end)).unwrap_or(user);
            tracing::info!(cause, user, "login failed");
        } else {
            tracing::info!(cause, "login failed");
        }
    }
}

/// How much of a name is logged, in characters.
const LONGEST: usize = 200;
