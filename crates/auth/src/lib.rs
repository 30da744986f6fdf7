//! Who may log in: the users file, password verification, SASL mechanisms and throttling.
//!
//! This crate knows no sockets and no mail. Its face to the protocols is [`Credential`] (what a
//! client claims) and [`Verdict`] (what we think of it); the driver runs [`Authenticator::verify`]
//! off the async threads.

pub mod application;
mod authenticator;
mod budget;
mod cache;
mod credential;
pub mod directory;
pub mod name;
pub mod oauth;
pub mod password;
pub mod prepare;
pub mod sasl;
pub mod scram;
pub mod secret;
pub mod throttle;
pub mod users;

use std::net::IpAddr;

pub use authenticator::{Accounts, Authenticator, Options, Outcome};
pub use credential::{Challenge, Credential, Identity, UserPassword, Verdict};
pub use directory::{Directory, Secrets};
pub use name::{MailTemplate, Name};
pub use secret::Secret;

/// Where a login came from, for throttling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The peer's address.
    pub address: IpAddr,
}
