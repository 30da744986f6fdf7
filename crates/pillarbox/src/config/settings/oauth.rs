//! How tokens of OAuth are checked, if they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use auth::Secret;
use auth::oauth::{self, Admitted, Introspection, KeySource, Proof, Signature, Wanted};
use serde::{Deserialize, Deserializer};
use ureq::http::Uri;
use ureq::http::uri::Scheme;

use crate::config::unit::{HOUR, MINUTE, SECOND};
use crate::config::value::{Refused, duration, list, text};

/// How tokens of OAuth are checked. They are only taken if there is an issuer or an introspection
/// endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct OAuth {
    /// Who issues tokens, as they have it in `iss`.
    #[serde(deserialize_with = "url")]
    pub issuer: Option<String>,
    /// Whom tokens must be meant for: one of these.
    #[serde(deserialize_with = "words")]
    pub audience: Vec<String>,
    /// What tokens must allow: all of these.
    #[serde(deserialize_with = "words")]
    pub scope: Vec<String>,
    /// The claim that holds the name of the user.
    #[serde(deserialize_with = "claim")]
    pub user_claim: String,
    /// Who of those that the issuer knows may log in.
    #[serde(with = "AdmittedWord")]
    pub accounts: Admitted,
    /// Where the issuer's keys are, if its configuration does not say.
    #[serde(deserialize_with = "place")]
    pub jwks: Option<Place>,
    /// How old the issuer's keys may get until they are asked for again.
    #[serde(deserialize_with = "duration::<_, MINUTE, { 24 * HOUR }>")]
    pub jwks_refresh: Duration,
    /// Where the issuer says whether a token is good, if it is asked.
    #[serde(deserialize_with = "url")]
    pub introspection: Option<String>,
    /// As whom it is asked.
    #[serde(deserialize_with = "some")]
    pub client_id: Option<String>,
    /// The file with the secret of that client.
    #[serde(deserialize_with = "path")]
    pub client_secret: Option<PathBuf>,
    /// How long it is remembered that a token is good.
    #[serde(deserialize_with = "duration::<_, 0, HOUR>")]
    pub cache: Duration,
    /// By how much the issuer's clock and ours may differ.
    #[serde(deserialize_with = "duration::<_, 0, { 5 * MINUTE }>")]
    pub leeway: Duration,
    /// How long the issuer may take to answer.
    #[serde(deserialize_with = "duration::<_, { SECOND / 10 }, MINUTE>")]
    pub timeout: Duration,
    /// The file with the certificate authorities that may vouch for the issuer, in the place of
    /// the system's.
    #[serde(deserialize_with = "path")]
    pub ca: Option<PathBuf>,
    /// What clients are told of where the issuer's configuration is.
    #[serde(deserialize_with = "url")]
    pub openid_configuration: Option<String>,
    /// The names of this server that clients may say to have connected to.
    #[serde(deserialize_with = "words")]
    pub hosts: Vec<String>,
}

/// Where something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url(String),
}

impl OAuth {
    /// Whether tokens are taken.
    pub fn is_on(&self) -> bool {
        self.issuer.is_some() || self.introspection.is_some()
    }

    /// How `auth` checks tokens; `secret` is what the file `client_secret` holds.
    pub fn checks(&self, secret: Option<Secret>) -> oauth::Options {
        let proof = match &self.introspection {
            Some(url) => Proof::Introspection(Introspection {
                url: url.clone(),
                client: self.client_id.clone().zip(secret),
                cache: self.cache,
            }),
            None => Proof::Signature(Signature {
                keys: match &self.jwks {
                    Some(Place::File(path)) => KeySource::File(path.clone()),
                    Some(Place::Url(url)) => KeySource::Url(url.clone()),
                    None => KeySource::Discovery,
                },
                refresh: self.jwks_refresh,
            }),
        };
        oauth::Options {
            proof,
            wanted: Wanted {
                issuer: self.issuer.clone(),
                audience: self.audience.clone(),
                scope: self.scope.clone(),
                user_claim: self.user_claim.clone(),
                leeway: self.leeway,
            },
            accounts: self.accounts,
            openid_configuration: self.openid_configuration.clone(),
            hosts: self.hosts.clone(),
        }
    }

    /// The same, with paths that start at `directory` if they are relative.
    pub(in crate::config) fn below(self, directory: &Path) -> Self {
        let below = |path: PathBuf| directory.join(path);
        Self {
            jwks: self.jwks.map(|place| match place {
                Place::File(path) => Place::File(below(path)),
                Place::Url(url) => Place::Url(url),
            }),
            client_secret: self.client_secret.map(below),
            ca: self.ca.map(below),
            ..self
        }
    }
}

impl Default for OAuth {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: Vec::new(),
            scope: Vec::new(),
            user_claim: "email".to_owned(),
            accounts: Admitted::Listed,
            jwks: None,
            jwks_refresh: Duration::from_hours(1),
            introspection: None,
            client_id: None,
            client_secret: None,
            cache: Duration::from_mins(1),
            leeway: Duration::from_secs(30),
            timeout: Duration::from_secs(5),
            ca: None,
            openid_configuration: None,
            hosts: Vec::new(),
        }
    }
}

/// Who may log in with a token.
#[derive(Deserialize)]
#[serde(remote = "Admitted", rename_all = "lowercase")]
enum AdmittedWord {
    Listed,
    Any,
}

/// Reads a string; the empty one is none.
fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, |text| Ok((!text.is_empty()).then_some(text)))
}

/// Reads a path; the empty string is none.
fn path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    text(from, |text| {
        if text.contains('\0') {
            return Err(Refused::new("is not a path", "write the path of a file"));
        }
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    })
}

/// Reads a URL; the empty string is none.
fn url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, |text| {
        if text.is_empty() {
            return Ok(None);
        }
        check_url(&text)?;
        Ok(Some(text))
    })
}

/// Reads a path or a URL; the empty string is none.
fn place<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Place>, D::Error> {
    text(from, |text| {
        if text.is_empty() {
            Ok(None)
        } else if text.contains("://") {
            check_url(&text)?;
            Ok(Some(Place::Url(text)))
        } else if text.contains('\0') {
            Err(Refused::new("is not a path", "write a path or a URL"))
        } else {
            Ok(Some(Place::File(PathBuf::from(text))))
        }
    })
}

/// Tokens and keys cross the network only under TLS, and nothing but the host is asked.
fn check_url(text: &str) -> Result<(), Refused> {
    const FIX: &str = "write for example \"https://id.example.org/realms/mail\"";
    let url: Option<Uri> = text.parse().ok();
    let parts = url.as_ref().and_then(|url| Some((url, url.host()?)));
    let Some((url, host)) = parts else {
        return Err(Refused::new(format!("{text:?} is not a URL"), FIX));
    };
    // It would be shown in logs.
    if url.authority().is_some_and(|it| it.as_str().contains('@')) {
        let fix = "use `client_id` and `client_secret`";
        return Err(Refused::new("has a password in it", fix));
    }
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    if url.scheme() == Some(&Scheme::HTTPS) || (url.scheme() == Some(&Scheme::HTTP) && is_here) {
        return Ok(());
    }
    Err(Refused::new(
        format!("{text:?} is not under TLS"),
        "use https://; without TLS, a host can only be this one: localhost, 127.0.0.1 or [::1]",
    ))
}

/// Reads words without white space.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    const FIX: &str = "write for example [\"mail\"]";
    list(from, FIX, |word| {
        if word.is_empty() || word.contains(char::is_whitespace) {
            let problem = format!("has {word:?}, which is empty or holds white space");
            return Err(Refused::new(problem, FIX));
        }
        Ok(word.clone())
    })
}

/// Reads the name of a claim.
fn claim<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    text(from, |name| {
        if name.is_empty() {
            let fix = "write for example \"email\", \"preferred_username\" or \"username\"";
            return Err(Refused::new("is empty", fix));
        }
        Ok(name)
    })
}
