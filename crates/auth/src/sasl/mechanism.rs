//! The mechanisms by name, and sets of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// A mechanism that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login), for old clients.
    Login,
    /// OAUTHBEARER (RFC 7628).
    OAuthBearer,
    /// XOAUTH2, of Google and Microsoft, which came before it.
    XOAuth2,
}

impl Mechanism {
    /// All mechanisms, in the order they are advertised.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Login, Self::OAuthBearer, Self::XOAuth2];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
        }
    }

    /// Finds a mechanism by its name, case-insensitively (RFC 4422 §3.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Its place in a set.
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of mechanisms.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms(u16);

impl Mechanisms {
    /// None.
    pub const NONE: Self = Self(0);

    /// Those that need the password itself.
    pub const WITH_PASSWORD: Self = Self::NONE.with(Mechanism::Plain).with(Mechanism::Login);

    /// Those that need a token of OAuth.
    pub const WITH_TOKEN: Self = Self::NONE
        .with(Mechanism::OAuthBearer)
        .with(Mechanism::XOAuth2);

    /// With one more.
    #[must_use]
    pub const fn with(self, mechanism: Mechanism) -> Self {
        Self(self.0 | mechanism.bit())
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is one of them.
    pub const fn has(self, mechanism: Mechanism) -> bool {
        self.0 & mechanism.bit() != 0
    }

    /// Each of them, in the order they are advertised.
    pub fn iter(self) -> impl Iterator<Item = Mechanism> {
        let all = Mechanism::ALL.into_iter();
        all.filter(move |&mechanism| self.has(mechanism))
    }
}

impl fmt::Debug for Mechanisms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The mechanisms that the server can do at the moment, for all sessions to read.
///
/// They change when the accounts do: a mechanism is offered while some account can log in with it.
#[derive(Clone)]
pub struct Offer(Arc<AtomicU16>);

impl Offer {
    /// These, until [`set`](Self::set).
    pub fn new(mechanisms: Mechanisms) -> Self {
        Self(Arc::new(AtomicU16::new(mechanisms.0)))
    }

    /// These from here on.
    pub fn set(&self, mechanisms: Mechanisms) {
        self.0.store(mechanisms.0, Ordering::Relaxed);
    }

    /// Those of this moment.
    pub fn now(&self) -> Mechanisms {
        Mechanisms(self.0.load(Ordering::Relaxed))
    }
}

impl Default for Offer {
    /// What every server can do.
    fn default() -> Self {
        Self::new(Mechanisms::WITH_PASSWORD)
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Offer").field(&self.now()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(Mechanism::from_name("plain"), Some(Mechanism::Plain));
        assert_eq!(Mechanism::from_name("LoGiN"), Some(Mechanism::Login));
        assert_eq!(Mechanism::from_name("CRAM-MD5"), None);
    }

    #[test]
    fn sets_are_sets() {
        let login = Mechanisms::NONE.with(Mechanism::Login);
        assert!(login.has(Mechanism::Login) && !login.has(Mechanism::Plain));
        let both = login.union(Mechanisms::NONE.with(Mechanism::Plain));
        assert_eq!(both, Mechanisms::WITH_PASSWORD);
        let both: Vec<Mechanism> = both.iter().collect();
        assert_eq!(both, [Mechanism::Plain, Mechanism::Login]);
    }

    #[test]
    fn an_offer_is_shared() {
        let offer = Offer::default();
        let session = offer.clone();
        offer.set(Mechanisms::NONE.with(Mechanism::Login));
        assert_eq!(session.now(), Mechanisms::NONE.with(Mechanism::Login));
    }
}
