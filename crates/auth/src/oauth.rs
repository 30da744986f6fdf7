//! Bearer tokens of OAuth 2.0 (RFC 6749, RFC 6750) in the place of passwords.
//!
//! Who a token stands for is found out in one of two ways. A token that is a JWT (RFC 7519) is
//! signed by its issuer, and is checked against the issuer's keys (RFC 7517); any other is shown to
//! the issuer, who says whether it is good (introspection, RFC 7662).
//!
//! This crate has no sockets: what must be asked of the issuer is asked by a function that is
//! given, [`Fetch`]. It blocks, as verifying does. The time on the wall is given likewise.
//!
//! Invariant: no token, no claim and no secret is in an error, in a log or shown by `Debug`; a
//! token becomes a name only after everything in [`Wanted`] was found to hold.

mod claims;
mod fetch;
mod introspection;
mod jwks;
mod jwt;
mod keys;
pub mod message;

use std::fmt;
use std::time::{Instant, SystemTime};

use crate::Secret;

pub use claims::{Reason, Wanted};
pub use fetch::{Fetch, FetchError, Form, Request};
pub use introspection::Introspection;
pub use jwks::{KeySet, KeySetError};
pub use keys::{KeySource, Signature, configuration_of};

use introspection::Asked;
use keys::Keys;

/// How tokens are checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// How it is proved that a token is good.
    pub proof: Proof,
    /// What a good token must say.
    pub wanted: Wanted,
    /// Who of those that the issuer knows may log in.
    pub accounts: Admitted,
    /// Where clients find the issuer's configuration, told to those whose token is refused
    /// (RFC 7628 §3.2.2).
    pub openid_configuration: Option<String>,
    /// The names that this server has for clients; a client that says to have connected to another
    /// one is refused (RFC 7628 §3.2). Empty if it does not matter.
    pub hosts: Vec<String>,
}

/// How it is proved that a token is good.
#[derive(Clone, Debug)]
pub enum Proof {
    /// By the issuer's signature.
    Signature(Signature),
    /// By asking the issuer.
    Introspection(Introspection),
}

/// Who may log in with a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admitted {
    /// Whoever has an account here, too.
    #[default]
    Listed,
    /// Whoever the issuer knows.
    Any,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not good (RFC 6750 §3.1 `invalid_token`).
    #[error("{0}")]
    Invalid(Reason),
    /// It is good, but not for mail (RFC 6750 §3.1 `insufficient_scope`).
    #[error("the scope that is wanted is missing")]
    InsufficientScope,
    /// It could not be checked; why is in the log.
    #[error("the issuer cannot be asked")]
    Unavailable,
}

/// Checks tokens. Shared by all connections.
pub struct Issuer {
    options: Options,
    prover: Prover,
    fetch: Box<Fetch>,
    clock: Box<Clock>,
}

/// Tells the time on the wall.
pub type Clock = dyn Fn() -> SystemTime + Send + Sync;

/// [`Proof`] at work.
#[derive(Debug)]
enum Prover {
    Signature(Keys),
    Introspection(Box<Asked>),
}

impl Issuer {
    /// Gets ready to check tokens; asks the issuer nothing yet. `random` must not be foreseeable,
    /// but in tests.
    ///
    /// # Errors
    /// If the issuer's keys are in a file, and that cannot be used.
    pub fn new(
        options: Options,
        fetch: Box<Fetch>,
        clock: Box<Clock>,
        random: &dyn Fn() -> u64,
    ) -> Result<Self, KeySetError> {
        let prover = match options.proof.clone() {
            Proof::Signature(signature) => {
                let issuer = options.wanted.issuer.as_deref();
                Prover::Signature(Keys::new(signature, issuer)?)
            }
            Proof::Introspection(introspection) => {
                Prover::Introspection(Box::new(Asked::new(introspection, random)))
            }
        };
        Ok(Self {
            options,
            prover,
            fetch,
            clock,
        })
    }

    /// Whom `token` stands for, as the claim has it that holds the user. May ask the issuer, and
    /// so may take as long as [`Fetch`] waits.
    ///
    /// # Errors
    /// Says why it is refused.
    pub fn check(&self, token: &Secret, now: Instant) -> Result<String, Refusal> {
        if !is_b64token(token.expose()) {
            return Err(Refusal::Invalid(Reason::NoToken));
        }
        match &self.prover {
            Prover::Signature(keys) => {
                let claims = keys.verify(token, now, &self.fetch)?;
                self.options.wanted.hold_for_signed(&claims, (self.clock)())
            }
            Prover::Introspection(asked) => asked.check(
                token,
                now,
                (self.clock)(),
                &self.fetch,
                &self.options.wanted,
            ),
        }
    }

    /// How tokens are checked.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Forgets what the issuer said of tokens, and asks for its keys anew when they are next
    /// needed; keys in a file are read again.
    pub fn forget(&self) {
        match &self.prover {
            Prover::Signature(keys) => keys.doubt(),
            Prover::Introspection(asked) => asked.forget(),
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 6750 §2.1)
fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|&&octet| octet == b'=');
    let text = token.get(..token.len() - padding.count());
    let fits = |octet: &u8| octet.is_ascii_alphanumeric() || b"-._~+/".contains(octet);
    text.is_some_and(|text| !text.is_empty() && text.iter().all(fits))
}

#[cfg(test)]
mod tests;
