//! What mail clients will hold against a certificate, as far as it shows without knowing whom they
//! trust.

use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};

use super::{Certificates, PoisonError, provider};

/// A reason for clients to refuse a certificate, now or soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Objection {
    /// It is not valid yet.
    Early,
    /// It expired this many days ago.
    Expired(u64),
    /// It expires in this many days.
    Expiring(u64),
    /// It is not made for servers (RFC 5280 §4.2.1.12).
    Purpose,
    /// It does not cover our name, only these (RFC 6125 §6).
    Name(Vec<String>),
}

impl Certificates {
    /// What clients that connect to `hostname` will object to, at `now` or soon after.
    pub(crate) fn objections(&self, hostname: &str, now: SystemTime) -> Vec<Objection> {
        let pair = self.resolver.current.read();
        let pair = pair.unwrap_or_else(PoisonError::into_inner).clone();
        let Some(leaf) = pair.cert.first() else {
            return Vec::new();
        };
        [validity(leaf, now), coverage(leaf, hostname)]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Whether the certificate can be used from now on and for some time.
fn validity(leaf: &CertificateDer<'_>, now: SystemTime) -> Option<Objection> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let days_between = |early: Duration, late: Duration| late.saturating_sub(early).as_secs() / DAY;
    match flaw(leaf, now) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => {
            let end = Duration::from_secs(not_after.as_secs());
            return Some(Objection::Expired(days_between(end, now)));
        }
        Some(CertificateError::NotValidYetContext { .. }) => return Some(Objection::Early),
        Some(CertificateError::InvalidPurposeContext { .. }) => return Some(Objection::Purpose),
        Some(_) | None => {}
    }
    match flaw(leaf, now + Duration::from_secs(SOON_DAYS * DAY)) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => {
            let end = Duration::from_secs(not_after.as_secs());
            Some(Objection::Expiring(days_between(now, end)))
        }
        Some(_) | None => None,
    }
}

/// What is wrong with a certificate at a time after the epoch. Nobody is trusted here, so that a
/// perfect one has an unknown issuer; what is asked for is checked before its issuer.
fn flaw(leaf: &CertificateDer<'_>, when: Duration) -> Option<CertificateError> {
    let leaf = ParsedCertificate::try_from(leaf).ok()?;
    let verified = verify_server_cert_signed_by_trust_anchor(
        &leaf,
        &RootCertStore::empty(),
        &[],
        UnixTime::since_unix_epoch(when),
        provider().signature_verification_algorithms.all,
    );
    match verified {
        Err(Error::InvalidCertificate(flaw)) => Some(flaw),
        Ok(()) | Err(_) => None,
    }
}

/// Whether the certificate covers `hostname`.
fn coverage(leaf: &CertificateDer<'_>, hostname: &str) -> Option<Objection> {
    let leaf = ParsedCertificate::try_from(leaf).ok()?;
    let name = ServerName::try_from(hostname).ok()?;
    match verify_server_name(&leaf, &name) {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) => {
            let names = presented.iter().map(|name| plain(name).to_owned());
            Some(Objection::Name(names.collect()))
        }
        Ok(()) | Err(_) => None,
    }
}

/// A name without the type that rustls shows around it: `DnsName("localhost")`.
fn plain(shown: &str) -> &str {
    shown
        .split_once('(')
        .and_then(|(_, name)| name.strip_suffix(')'))
        .map_or(shown, |name| name.trim_matches('"'))
}

/// How many days before its end a certificate is objected to: those who renew automatically have
/// done so long before.
const SOON_DAYS: u64 = 14;

/// A day in seconds.
const DAY: u64 = 86_400;
