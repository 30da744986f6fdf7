//! Asking the issuer whether a token is good (RFC 7662).
//!
//! What it says of good tokens is remembered for a short time, and never beyond the end of the
//! token. Not the token is remembered, but a code of it under a key that is made anew with each
//! process and never leaves it. A refusal is never remembered.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::claims::{Claims, Reason, end, seconds};
use super::fetch::{push_encoded, push_field};
use super::{Fetch, FetchError, Form, Refusal, Request, Wanted};
use crate::Secret;

/// How the issuer is asked.
#[derive(Clone, Debug)]
pub struct Introspection {
    /// Where.
    pub url: String,
    /// As whom: the id and the secret of a client that the issuer knows.
    pub client: Option<(String, Secret)>,
    /// How long what it says of good tokens is remembered; zero is not at all.
    pub cache: Duration,
}

/// The issuer, and what it has said lately.
pub(super) struct Asked {
    introspection: Introspection,
    key: hmac::Key,
    good: Mutex<HashMap<Code, Good>>,
}

/// A message authentication code of a token.
type Code = Vec<u8>;

/// A token that was good.
struct Good {
    user: String,
    until: Instant,
    /// When the token ends, in seconds since 1970: the clock may be set meanwhile.
    end: Option<u64>,
}

impl Asked {
    /// Has asked nothing yet.
    pub(super) fn new(introspection: Introspection, random: &dyn Fn() -> u64) -> Self {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        for part in key.chunks_mut(8) {
            part.copy_from_slice(&random().to_le_bytes());
        }
        Self {
            introspection,
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()),
            good: Mutex::default(),
        }
    }

    /// Whom `token` stands for, as the issuer says or has said lately.
    pub(super) fn check(
        &self,
        token: &Secret,
        now: Instant,
        wall: SystemTime,
        fetch: &Fetch,
        wanted: &Wanted,
    ) -> Result<String, Refusal> {
        let code = hmac::sign(&self.key, token.expose()).as_ref().to_vec();
        if let Some(good) = self.good().get(&code)
            && now < good.until
            && good.end.is_none_or(|end| seconds(wall) < end)
        {
            return Ok(good.user.clone());
        }
        let claims = self.ask(token, fetch).map_err(|error| {
            let url = &self.introspection.url;
            tracing::error!("token cannot be checked: {url}: {error}");
            Refusal::Unavailable
        })?;
        // RFC 7662 §2.2: `active` is the one thing that must be there.
        if claims.get("active").and_then(serde_json::Value::as_bool) != Some(true) {
            return Err(Refusal::Invalid(Reason::Inactive));
        }
        let user = wanted.hold(&claims, wall)?;
        let end = end(&claims);
        let left = end.map_or(Duration::MAX, |end| {
            Duration::from_secs(end.saturating_sub(seconds(wall)))
        });
        let keep = self.introspection.cache.min(left);
        if !keep.is_zero() {
            let until = now + keep;
            let good = Good {
                user: user.clone(),
                until,
                end,
            };
            self.remember(code, good, now);
        }
        Ok(user)
    }

    /// Forgets what the issuer has said.
    pub(super) fn forget(&self) {
        self.good().clear();
    }

    /// Asks the issuer (RFC 7662 §2.1).
    fn ask(&self, token: &Secret, fetch: &Fetch) -> Result<Claims, AskError> {
        let token = token.expose();
        // Room for all, so that no copy of the token is left behind by growth.
        let mut body = Vec::with_capacity(3 * token.len() + 64);
        push_field(&mut body, "token", token);
        push_field(&mut body, "token_type_hint", b"access_token");
        let client = self.introspection.client.as_ref();
        let answer = fetch(&Request {
            url: &self.introspection.url,
            form: Some(Form {
                body: Secret::new(body),
                authorization: client.map(|(id, secret)| basic(id, secret)),
            }),
            limit: LIMIT,
        })?;
        serde_json::from_slice(&answer).map_err(|_| AskError::Malformed)
    }

    /// Remembers a good token. Makes room by forgetting what is old, and if that is not enough,
    /// everything: the issuer is only asked again.
    fn remember(&self, code: Code, token: Good, now: Instant) {
        let mut good = self.good();
        if good.len() >= CAPACITY {
            good.retain(|_, good| now < good.until);
        }
        if good.len() >= CAPACITY {
            good.clear();
        }
        good.insert(code, token);
    }

    /// The good tokens; a panic elsewhere cannot leave one half-written.
    fn good(&self) -> MutexGuard<'_, HashMap<Code, Good>> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("introspection", &self.introspection)
            .finish_non_exhaustive()
    }
}

/// How a client says who it is (RFC 6749 §2.3.1: both parts encoded as in a form).
fn basic(id: &str, secret: &Secret) -> Secret {
    let mut pair = Vec::with_capacity(3 * (id.len() + secret.expose().len()) + 1);
    push_encoded(&mut pair, id.as_bytes());
    pair.push(b':');
    push_encoded(&mut pair, secret.expose());
    let pair = Secret::new(pair);
    let mut field = String::with_capacity(pair.expose().len().div_ceil(3) * 4 + 6);
    field.push_str("Basic ");
    STANDARD.encode_string(pair.expose(), &mut field);
    Secret::new(field)
}

/// Why the issuer could not be asked.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("its answer is not a JSON object")]
    Malformed,
}

/// The most octets that an answer may have.
const LIMIT: u64 = 64 << 10;

/// How many good tokens are remembered, at some 200 octets each.
const CAPACITY: usize = 16_384;
