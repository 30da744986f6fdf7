//! The mechanisms by name, sets of them, and what a connection gives them to go by.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::scram::Hash;

/// A mechanism that we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// SCRAM-SHA-256-PLUS (RFC 7677).
    ScramSha256Plus,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
    /// SCRAM-SHA-1-PLUS (RFC 5802), for old clients.
    ScramSha1Plus,
    /// SCRAM-SHA-1 (RFC 5802), for old clients.
    ScramSha1,
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
    pub const ALL: [Self; 8] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::ScramSha1Plus,
        Self::ScramSha1,
        Self::Plain,
        Self::Login,
        Self::OAuthBearer,
        Self::XOAuth2,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha1 => "SCRAM-SHA-1",
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

    /// Whether it binds the login to the channel (RFC 5802 §6).
    const fn binds(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha1Plus)
    }

    /// Its place in a set.
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a connection gives mechanisms to go by; nothing without TLS.
#[derive(Clone, Copy, Default)]
pub struct Channel<'c> {
    /// The channel binding `tls-exporter` (RFC 9266), where there is TLS 1.3.
    pub exporter: Option<&'c [u8]>,
    /// The channel binding `tls-server-end-point` (RFC 5929 §4).
    pub server_end_point: Option<&'c [u8]>,
}

impl fmt::Debug for Channel<'_> {
    /// Shows which bindings there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("exporter", &self.exporter.is_some())
            .field("server_end_point", &self.server_end_point.is_some())
            .finish()
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

    /// Those that need keys for this hash function.
    pub const fn with_keys(hash: Hash) -> Self {
        match hash {
            Hash::Sha256 => Self::NONE
                .with(Mechanism::ScramSha256Plus)
                .with(Mechanism::ScramSha256),
            Hash::Sha1 => Self::NONE
                .with(Mechanism::ScramSha1Plus)
                .with(Mechanism::ScramSha1),
        }
    }

    /// Those that are possible on a connection like this.
    ///
    /// Channels are bound with TLS 1.3 only: before, clients want to use `tls-unique` (RFC 9266 §3),
    /// which rustls does not tell, and would fail where they are offered to.
    #[must_use]
    pub fn on(self, channel: &Channel<'_>) -> Self {
        let bound = channel.exporter.is_some();
        self.iter()
            .filter(|mechanism| bound || !mechanism.binds())
            .collect()
    }

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

    /// Those that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
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

impl FromIterator<Mechanism> for Mechanisms {
    fn from_iter<I: IntoIterator<Item = Mechanism>>(mechanisms: I) -> Self {
        mechanisms.into_iter().fold(Self::NONE, Self::with)
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
    fn a_channel_is_bound_where_there_is_something_to_bind_it_to() {
        let both = Mechanisms::with_keys(Hash::Sha256).union(Mechanisms::WITH_PASSWORD);
        let unbound = both.on(&Channel::default());
        assert!(unbound.has(Mechanism::ScramSha256) && unbound.has(Mechanism::Plain));
        assert!(!unbound.has(Mechanism::ScramSha256Plus));
        let tls_1_2 = Channel {
            server_end_point: Some(b"hash"),
            ..Channel::default()
        };
        assert_eq!(both.on(&tls_1_2), unbound);
        let tls_1_3 = Channel {
            exporter: Some(b"exported"),
            ..tls_1_2
        };
        assert_eq!(both.on(&tls_1_3), both);
        assert_eq!(
            both.without(unbound),
            Mechanisms::NONE.with(Mechanism::ScramSha256Plus)
        );
        assert!(!format!("{tls_1_3:?}").contains("101"));
    }

    #[test]
    fn an_offer_is_shared() {
        let offer = Offer::default();
        let session = offer.clone();
        offer.set(Mechanisms::NONE.with(Mechanism::Login));
        assert_eq!(session.now(), Mechanisms::NONE.with(Mechanism::Login));
    }
}
