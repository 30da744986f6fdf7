//! The names of capabilities as types, and sets of them.

use std::fmt;

use auth::sasl::{Mechanism, Mechanisms};

use super::REGISTRY;

/// A capability that we have; [`REGISTRY`] has a row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the registry's rows say what each one is")]
pub enum Capability {
    ImapRev1,
    StartTls,
    LoginDisabled,
    AuthScramSha256Plus,
    AuthScramSha256,
    AuthScramSha1Plus,
    AuthScramSha1,
    AuthPlain,
    AuthLogin,
    AuthOAuthBearer,
    AuthXOAuth2,
    SaslIr,
    LiteralPlus,
    LiteralMinus,
    Id,
    Enable,
    Compress,
    Idle,
    Namespace,
    Unselect,
    Children,
    UidPlus,
    ListExtended,
    ListStatus,
    SpecialUse,
    CreateSpecialUse,
    Xlist,
    Metadata,
    MetadataServer,
    ListMetadata,
    Move,
    Replace,
    AppendLimit,
    Quota,
    QuotaStorage,
    QuotaMessage,
    QuotaSet,
    MultiAppend,
    Condstore,
    Qresync,
    Binary,
    Catenate,
    Esearch,
    SearchRes,
    Notify,
    UidOnly,
    Utf8Accept,
    StatusSize,
    SaveDate,
    ObjectId,
    Preview,
    ImapRev2,
    InProgress,
    Unauthenticate,
    Acl,
    Rights,
    ListMyRights,
}

impl Capability {
    /// The capability of this name, in any letter case (RFC 3501 §9, `capability`).
    pub fn from_name(name: &str) -> Option<Self> {
        let mut rows = REGISTRY.iter();
        let row = rows.find(|row| row.capability.eq_ignore_ascii_case(name));
        row.map(|row| row.is)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let row = REGISTRY.iter().find(|row| row.is == self);
        row.map_or("", |row| row.capability)
    }

    /// Whether it can be hidden. The protocol itself cannot, and neither can the word that logins
    /// are refused.
    pub const fn can_be_hidden(self) -> bool {
        !matches!(self, Self::ImapRev1 | Self::LoginDisabled)
    }

    /// That of a SASL mechanism.
    pub(crate) const fn of_mechanism(mechanism: Mechanism) -> Self {
        match mechanism {
            Mechanism::ScramSha256Plus => Self::AuthScramSha256Plus,
            Mechanism::ScramSha256 => Self::AuthScramSha256,
            Mechanism::ScramSha1Plus => Self::AuthScramSha1Plus,
            Mechanism::ScramSha1 => Self::AuthScramSha1,
            Mechanism::Plain => Self::AuthPlain,
            Mechanism::Login => Self::AuthLogin,
            Mechanism::OAuthBearer => Self::AuthOAuthBearer,
            Mechanism::XOAuth2 => Self::AuthXOAuth2,
        }
    }

    /// Its place in a set.
    const fn bit(self) -> u128 {
        1 << self as u32
    }
}

/// What cannot be offered without another one: QRESYNC brings CONDSTORE (RFC 7162 §3.2.3), SEARCHRES,
/// LIST-STATUS and SPECIAL-USE are options of ESEARCH and LIST-EXTENDED (RFC 5182 §2.1,
/// RFC 5819 §2, RFC 6154 §2), XLIST tells special uses alone, quotas are of resources
/// (RFC 9208 §3.1), METADATA covers METADATA-SERVER, LIST-METADATA is an option as well
/// (RFC 9590 §3), and some are switched on by ENABLE only.
const DEPENDENTS: [(Capability, Capability); 19] = [
    (Capability::Qresync, Capability::Condstore),
    (Capability::Qresync, Capability::Enable),
    (Capability::UidOnly, Capability::Enable),
    (Capability::Utf8Accept, Capability::Enable),
    (Capability::SearchRes, Capability::Esearch),
    (Capability::ListStatus, Capability::ListExtended),
    (Capability::SpecialUse, Capability::ListExtended),
    // And what is not there without that, directly or not.
    (Capability::Xlist, Capability::SpecialUse),
    (Capability::Xlist, Capability::ListExtended),
    (Capability::Rights, Capability::Acl),
    (Capability::ListMyRights, Capability::Acl),
    (Capability::ListMyRights, Capability::ListExtended),
    (Capability::QuotaStorage, Capability::Quota),
    (Capability::QuotaMessage, Capability::Quota),
    (Capability::QuotaSet, Capability::Quota),
    (Capability::Metadata, Capability::MetadataServer),
    (Capability::ListMetadata, Capability::ListExtended),
    (Capability::ListMetadata, Capability::Metadata),
    (Capability::ListMetadata, Capability::MetadataServer),
];

/// A set of capabilities.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u128);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// All that we have.
    pub fn all() -> Self {
        REGISTRY.iter().map(|row| row.is).collect()
    }

    /// Puts one in.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// With those that cannot be without one of them.
    #[must_use]
    pub(crate) fn with_dependents(self) -> Self {
        let dependents = DEPENDENTS.iter().filter(|(_, needed)| self.has(*needed));
        dependents.fold(self, |all, (dependent, _)| all.with(*dependent))
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
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// The SASL mechanisms among them.
    pub fn mechanisms(self) -> Mechanisms {
        let all = Mechanism::ALL.into_iter();
        all.filter(|&it| self.has(Capability::of_mechanism(it)))
            .collect()
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, in the order they are advertised.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = REGISTRY.iter().map(|row| row.is);
        all.filter(move |&capability| self.has(capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let capabilities = capabilities.into_iter();
        capabilities.fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_one_row() {
        for row in REGISTRY {
            let named = |other: &&super::super::Extension| {
                other.is == row.is || other.capability.eq_ignore_ascii_case(row.capability)
            };
            assert_eq!(REGISTRY.iter().filter(named).count(), 1, "{:?}", row.is);
            assert_eq!(Capability::from_name(row.capability), Some(row.is));
            assert_eq!(row.is.name(), row.capability);
        }
        for mechanism in Mechanism::ALL {
            let name = Capability::of_mechanism(mechanism).name();
            assert_eq!(name, format!("AUTH={}", mechanism.name()));
            let one = Capabilities::NONE.with(Capability::of_mechanism(mechanism));
            assert_eq!(one.mechanisms().iter().collect::<Vec<_>>(), [mechanism]);
        }
    }

    #[test]
    fn sets_are_sets() {
        let mut set = Capabilities::NONE.with(Capability::Idle);
        set.insert(Capability::Move);
        assert!(set.has(Capability::Idle) && set.has(Capability::Move));
        let rest = set.without(Capabilities::NONE.with(Capability::Idle));
        assert_eq!(rest.iter().collect::<Vec<_>>(), [Capability::Move]);
        assert!(rest.without(Capabilities::all()).is_empty());
    }
}
