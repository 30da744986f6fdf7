//! Who may log in: the users file, password verification, SASL mechanisms and throttling.
//!
//! This crate knows no sockets and no mail. Its face to the protocols is [`Credential`] (what a
//! client claims) and [`Verdict`] (what we think of it); the driver runs [`Authenticator::verify`]
//! off the async threads.

mod authenticator;
mod budget;
mod cache;
pub mod name;
pub mod oauth;
pub mod password;
pub mod prepare;
pub mod sasl;
pub mod secret;
pub mod throttle;
pub mod users;

use std::net::IpAddr;
use std::path::PathBuf;

pub use authenticator::{Accounts, Authenticator, Options, Outcome};
pub use name::{MailTemplate, Name};
pub use secret::Secret;

/// A claim of identity as a protocol received it (USER/PASS, LOGIN, or a SASL mechanism).
#[derive(Debug)]
pub struct Credential {
    /// The authentication identity, as the client sent it.
    pub user: String,
    /// The authorization identity of SASL PLAIN (RFC 4616 §2), if one was given and not empty.
    pub acting_as: Option<String>,
    /// The password.
    pub password: Secret,
}

impl Credential {
    /// A user name and a password, as USER/PASS and LOGIN give them.
    pub fn new(user: impl Into<String>, password: Secret) -> Self {
        Self {
            user: user.into(),
            acting_as: None,
            password,
        }
    }
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
    /// Unknown user or wrong password; which of the two is not told (RFC 5530 §3
    /// AUTHENTICATIONFAILED, RFC 3206 §4 AUTH).
    Denied,
    /// The check could not be made now (RFC 5530 §3 UNAVAILABLE, RFC 3206 §4 SYS/TEMP).
    Unavailable,
    /// The credential is right, but the user has too many sessions (RFC 5530 §3 LIMIT,
    /// RFC 2449 §8.1.1 and RFC 3206 §4 SYS/TEMP).
    TooManySessions,
}

/// Where a login came from, for throttling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The peer's address.
    pub address: IpAddr,
}
