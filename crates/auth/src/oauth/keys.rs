//! The issuer's keys as they are known now, and when to ask for them again.
//!
//! Keys are asked for when they are first needed, when they are older than
//! [`Signature::refresh`], and when a token names one that is not known, as it is after the issuer
//! has changed its key. However many tokens name keys that nobody knows, the issuer is asked at
//! most once in [`PAUSE`]. Keys that are known stay in use while the issuer cannot be reached.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::claims::{Claims, Reason};
use super::jwks::{KeySet, KeySetError};
use super::jwt::Jwt;
use super::{Fetch, FetchError, Refusal, Request};
use crate::Secret;

/// How signed tokens are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Where the issuer's keys are.
    pub keys: KeySource,
    /// How old keys may get until the issuer is asked again, if it gives them.
    pub refresh: Duration,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At this URL.
    Url(String),
    /// Where the issuer's configuration says (OpenID Connect Discovery 1.0 §4).
    Discovery,
}

/// The issuer's keys.
pub(super) struct Keys {
    source: Source,
    refresh: Duration,
    known: RwLock<Known>,
    /// When the issuer was last asked; who asks holds it.
    asked: Mutex<Option<Instant>>,
}

/// [`KeySource`], with what is needed to follow it.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(String),
    Issuer(String),
}

/// What is known of the keys.
#[derive(Clone, Default)]
struct Known {
    /// The keys, if there ever were any.
    keys: Option<Arc<KeySet>>,
    /// When they are to be replaced by newer ones.
    until: Option<Instant>,
    /// The file that they are from, as it was then.
    stamp: Option<Stamp>,
    /// Whether the last try to get newer ones has failed.
    is_cut_off: bool,
}

/// Tells a changed file from an unchanged one: inode, length and time of modification.
type Stamp = (u64, u64, i64, i64);

impl Keys {
    /// Reads the keys if they are in a file; else they are asked for when they are needed.
    pub(super) fn new(signature: Signature, issuer: Option<&str>) -> Result<Self, KeySetError> {
        let source = match signature.keys {
            KeySource::File(path) => Source::File(path),
            KeySource::Url(url) => Source::Url(url),
            KeySource::Discovery => Source::Issuer(issuer.ok_or(KeySetError::NoIssuer)?.to_owned()),
        };
        let mut known = Known::default();
        if let Source::File(path) = &source {
            known.stamp = stamp(path);
            known.keys = Some(Arc::new(KeySet::load(path)?));
        }
        Ok(Self {
            source,
            refresh: signature.refresh,
            known: RwLock::new(known),
            asked: Mutex::new(None),
        })
    }

    /// The claims of `token`, if the issuer has signed them.
    pub(super) fn verify(
        &self,
        token: &Secret,
        now: Instant,
        fetch: &Fetch,
    ) -> Result<Claims, Refusal> {
        let token = Jwt::parse(token.expose())?;
        let known = self.known_now(now, fetch);
        if let Some(claims) = known.claims(&token) {
            return claims;
        }
        let known = self.known_anew(&token, now, fetch);
        match known.claims(&token) {
            Some(claims) => claims,
            // It may be signed with a key that is newer than what we know.
            None if known.is_cut_off || known.keys.is_none() => Err(Refusal::Unavailable),
            None => Err(Refusal::Invalid(Reason::Key)),
        }
    }

    /// Asks for keys at the next token.
    pub(super) fn doubt(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.until = None;
        known.stamp = None;
        drop(known);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is known; newer keys if it is time for them and nobody else is asking.
    fn known_now(&self, now: Instant, fetch: &Fetch) -> Known {
        if let Source::File(path) = &self.source {
            return self.file(path);
        }
        let known = self.known();
        if known.keys.is_none() || known.until.is_some_and(|until| now < until) {
            return known;
        }
        match self.asked.try_lock() {
            Ok(asked) => self.ask(asked, now, fetch),
            Err(TryLockError::Poisoned(asked)) => self.ask(asked.into_inner(), now, fetch),
            Err(TryLockError::WouldBlock) => known,
        }
    }

    /// What is known once nobody is asking, for a token that no known key fits; asks the issuer
    /// once more if that was not done lately.
    fn known_anew(&self, token: &Jwt<'_>, now: Instant, fetch: &Fetch) -> Known {
        if matches!(self.source, Source::File(_)) {
            return self.known();
        }
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asked meanwhile may have brought it.
        let known = self.known();
        if known.claims(token).is_some() {
            return known;
        }
        self.ask(asked, now, fetch)
    }

    /// Asks the issuer, if that was not done lately.
    fn ask(
        &self,
        mut asked: MutexGuard<'_, Option<Instant>>,
        now: Instant,
        fetch: &Fetch,
    ) -> Known {
        if asked.is_some_and(|asked| now.saturating_duration_since(asked) < PAUSE) {
            return self.known();
        }
        *asked = Some(now);
        let answer = self.source.keys(fetch);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.is_cut_off = answer.is_err();
        match answer {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the issuer's keys were fetched");
                known.keys = Some(Arc::new(keys));
                known.until = Some(now + self.refresh);
            }
            Err(error) if known.keys.is_some() => {
                tracing::warn!("the issuer's keys stay as they were: {error}");
            }
            Err(error) => {
                tracing::error!("no token can be checked without the issuer's keys: {error}");
            }
        }
        known.clone()
    }

    /// What is known, from the file as it is now.
    fn file(&self, path: &Path) -> Known {
        let stamp = stamp(path);
        let known = self.known();
        if known.stamp == stamp {
            return known;
        }
        let keys = KeySet::load(path);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.stamp = stamp;
        match keys {
            Ok(keys) => known.keys = Some(Arc::new(keys)),
            // Once for each change, because the new stamp is kept.
            Err(error) => tracing::error!("the issuer's keys stay as they were: {error}"),
        }
        known.clone()
    }

    /// What is known; a panic elsewhere cannot leave it half-written.
    fn known(&self) -> Known {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Known {
    /// The claims of `token`; `None` if no key fits it.
    fn claims(&self, token: &Jwt<'_>) -> Option<Result<Claims, Refusal>> {
        token.claims(self.keys.as_deref()?)
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("source", &self.source)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Asks for the keys.
    fn keys(&self, fetch: &Fetch) -> Result<KeySet, AskError> {
        let get = |url: &str| {
            let answer = fetch(&Request {
                url,
                form: None,
                limit: LIMIT,
            });
            answer.map_err(|source| AskError::Fetch {
                url: url.to_owned(),
                source,
            })
        };
        let set = |url: &str| {
            KeySet::parse(&get(url)?).map_err(|source| AskError::Keys {
                url: url.to_owned(),
                source,
            })
        };
        match self {
            Self::File(path) => Ok(KeySet::load(path)?),
            Self::Url(url) => set(url),
            Self::Issuer(issuer) => {
                let url = configuration_of(issuer);
                let malformed = || AskError::Configuration { url: url.clone() };
                let found: Configuration =
                    serde_json::from_slice(&get(&url)?).map_err(|_| malformed())?;
                // OpenID Connect Discovery 1.0 §4.3: the issuer must be the one that was asked.
                if found.issuer != *issuer || !is_as_safe(&found.jwks_uri, issuer) {
                    return Err(malformed());
                }
                set(&found.jwks_uri)
            }
        }
    }
}

/// What of an issuer's configuration matters (OpenID Connect Discovery 1.0 §3).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

/// Where an issuer has its configuration (OpenID Connect Discovery 1.0 §4).
pub fn configuration_of(issuer: &str) -> String {
    let issuer = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{issuer}/.well-known/openid-configuration")
}

/// Whether `url` is fetched over TLS if `issuer` is.
fn is_as_safe(url: &str, issuer: &str) -> bool {
    url.starts_with("https://") || (url.starts_with("http://") && issuer.starts_with("http://"))
}

/// Why there are no newer keys.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("{url}: {source}")]
    Fetch { url: String, source: FetchError },
    #[error("{url}: {source}")]
    Keys { url: String, source: KeySetError },
    #[error(
        "{url}: it is not the configuration of the issuer that was asked, or has no jwks_uri that can be trusted"
    )]
    Configuration { url: String },
    #[error(transparent)]
    File(#[from] KeySetError),
}

/// The stamp of the file at `path`, if there is one.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

/// Between two questions for keys.
const PAUSE: Duration = Duration::from_mins(1);

/// The most octets that an issuer's keys, or its configuration, may have.
const LIMIT: u64 = 256 << 10;
