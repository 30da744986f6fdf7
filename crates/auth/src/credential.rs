//! What a client claims, and what comes of it: the face of this crate to the protocols.
//!
//! A protocol hands a [`Credential`] to its driver and gets a [`Verdict`] back. Accounts are only
//! ever looked at in between, by [`Authenticator::verify`](crate::Authenticator::verify), on a
//! thread that may block. Where a mechanism needs several rounds, the verdict is a [`Challenge`],
//! and what the client answers comes back as another credential.

use std::fmt;
use std::path::PathBuf;

use crate::Secret;
use crate::oauth::message::{Dialect, Message};
use crate::sasl::scram;

/// A claim of identity as a protocol received it (USER/PASS, LOGIN, or a SASL mechanism).
#[derive(Debug)]
pub enum Credential {
    /// A name with its password.
    Password(UserPassword),
    /// A token of OAuth (RFC 7628), mostly with a name.
    Token(Dialect, Message),
    /// A message of SCRAM.
    Scram(scram::Message),
}

impl Credential {
    /// A user name and a password, as USER/PASS and LOGIN give them.
    pub fn new(user: impl Into<String>, password: Secret) -> Self {
        Self::Password(UserPassword {
            user: user.into(),
            acting_as: None,
            password,
        })
    }

    /// Who the client claims to be, as it sent the name, if it did.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Password(claim) => Some(&claim.user),
            Self::Token(_, message) => message.user.as_deref(),
            Self::Scram(message) => Some(message.user()),
        }
    }
}

/// A name with its password.
#[derive(Debug)]
pub struct UserPassword {
    /// The authentication identity, as the client sent it.
    pub user: String,
    /// The authorization identity of SASL PLAIN (RFC 4616 §2), if one was given and not empty.
    pub acting_as: Option<String>,
    /// The password.
    pub password: Secret,
}

/// A user that has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The canonical name: lower case in ASCII, with its domain.
    pub name: String,
    /// The root of the user's Maildir++ tree.
    pub mail: PathBuf,
}

/// What came of checking a [`Credential`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The user is who they claim to be.
    Granted(Identity),
    /// The server has something to say first.
    Continue(Challenge),
    /// Unknown user or wrong password; which of the two is not told (RFC 5530 §3
    /// AUTHENTICATIONFAILED, RFC 3206 §4 AUTH).
    Denied,
    /// The check could not be made now (RFC 5530 §3 UNAVAILABLE, RFC 3206 §4 SYS/TEMP).
    Unavailable,
    /// The credential is right, but the user has too many sessions (RFC 5530 §3 LIMIT,
    /// RFC 2449 §8.1.1 and RFC 3206 §4 SYS/TEMP).
    TooManySessions,
}

impl Verdict {
    /// Who is let in by this verdict, at once or after the client's next response.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Granted(identity) => Some(identity),
            Self::Continue(challenge) => match &challenge.then {
                Then::Granted(identity) => Some(identity),
                Then::Denied | Then::Scram(_) => None,
            },
            Self::Denied | Self::Unavailable | Self::TooManySessions => None,
        }
    }

    /// Whether this verdict is that the claim is wrong, at once or after the client's next response.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Continue(challenge) => challenge.then == Then::Denied,
            Self::Denied => true,
            Self::Granted(_) | Self::Unavailable | Self::TooManySessions => false,
        }
    }
}

/// What the server says in the middle of an exchange, and how the exchange goes on.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    pub(crate) data: Vec<u8>,
    pub(crate) then: Then,
}

/// How an exchange goes on after a [`Challenge`].
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Then {
    /// The client takes note with an empty response, and is let in.
    Granted(Identity),
    /// The client takes note with any response, and is refused.
    Denied,
    /// What the client answers is to be verified together with this.
    Scram(Box<scram::Pending>),
}

impl Challenge {
    /// The last data of a login that succeeds. Neither IMAP nor POP3 can send them with success
    /// itself, so they are a challenge, which the client answers with an empty response
    /// (RFC 4422 §4, RFC 5034 §4).
    pub fn before_success(data: impl Into<Vec<u8>>, identity: Identity) -> Self {
        Self {
            data: data.into(),
            then: Then::Granted(identity),
        }
    }

    /// The server's first message of SCRAM, which the client answers with its proof.
    pub(crate) fn scram((data, pending): (Vec<u8>, scram::Pending)) -> Self {
        Self {
            data,
            then: Then::Scram(Box::new(pending)),
        }
    }

    /// The last data of a login that fails: why it did. What the client answers does not matter
    /// (RFC 7628 §3.2.3).
    pub fn before_failure(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            then: Then::Denied,
        }
    }
}

impl fmt::Debug for Challenge {
    /// Shows no data: they are between the client and us.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = match &self.then {
            Then::Granted(_) => "granted",
            Then::Denied => "denied",
            Then::Scram(_) => "proof",
        };
        write!(f, "Challenge({} octets, then {then})", self.data.len())
    }
}
