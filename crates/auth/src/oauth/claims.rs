//! What a token says of itself (RFC 7519 §4.1, RFC 7662 §2.2), and what it must say.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::Refusal;

/// The claims of a token, not yet believed.
pub(super) type Claims = Map<String, Value>;

/// What a good token must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who must have issued it (`iss`). A signed token is checked against nothing else.
    pub issuer: Option<String>,
    /// Whom it must be meant for (`aud`): one of these. Empty if it does not matter.
    pub audience: Vec<String>,
    /// What it must allow (`scope` or `scp`): all of these.
    pub scope: Vec<String>,
    /// The claim that holds the name of the user.
    pub user_claim: String,
    /// By how much the issuer's clock and ours may differ.
    pub leeway: Duration,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is none, or it has letters that no token has.
    #[error("there is no token")]
    NoToken,
    /// It is not `header.payload.signature`, each of them as it must be.
    #[error("token is not a signed JWT")]
    NoJwt,
    /// The header wants to be understood in a way that we do not know.
    #[error("token has critical header fields")]
    Critical,
    /// `none`, an algorithm that needs a shared secret, or one that nobody knows.
    #[error("token is signed in a way that is not allowed")]
    Algorithm,
    /// None of the issuer's keys is the one it names, or fits its algorithm.
    #[error("token is signed with a key that the issuer does not have")]
    Key,
    /// The signature is wrong.
    #[error("signature of the token is wrong")]
    Signature,
    /// `iss`
    #[error("token is from another issuer")]
    Issuer,
    /// `aud`
    #[error("token is meant for somebody else")]
    Audience,
    /// `exp`, or there is none.
    #[error("token has expired")]
    Expired,
    /// `nbf`
    #[error("token is not valid yet")]
    NotYet,
    /// The issuer says so.
    #[error("token is not active")]
    Inactive,
    /// There is no claim with a name, or it is not proved to be the user's.
    #[error("token does not say who the user is")]
    Nobody,
}

impl Wanted {
    /// Whom a signed token is for, if all that is wanted holds. `iss`, `aud` and `exp` must be
    /// there.
    pub(super) fn hold_for_signed(
        &self,
        claims: &Claims,
        wall: SystemTime,
    ) -> Result<String, Refusal> {
        let invalid = |reason| Err(Refusal::Invalid(reason));
        if !claims.contains_key("iss") || self.issuer.is_none() {
            return invalid(Reason::Issuer);
        }
        if !claims.contains_key("exp") {
            return invalid(Reason::Expired);
        }
        self.hold(claims, wall)
    }

    /// Whom a token is for, if all that is wanted holds; what the issuer did not say of `iss`,
    /// `exp` and `nbf` does not count (RFC 7662 §2.2 has them optional).
    pub(super) fn hold(&self, claims: &Claims, wall: SystemTime) -> Result<String, Refusal> {
        let invalid = |reason| Err(Refusal::Invalid(reason));
        if let (Some(wanted), Some(issuer)) = (&self.issuer, claims.get("iss"))
            && issuer.as_str() != Some(wanted)
        {
            return invalid(Reason::Issuer);
        }
        if !self.audience.is_empty() && !self.is_meant_for_us(claims.get("aud")) {
            return invalid(Reason::Audience);
        }
        let (seconds, leeway) = (seconds(wall), self.leeway.as_secs());
        if let Some(until) = claims.get("exp")
            && numeric_date(until).is_none_or(|until| seconds >= until.saturating_add(leeway))
        {
            return invalid(Reason::Expired);
        }
        if let Some(from) = claims.get("nbf")
            && numeric_date(from).is_none_or(|from| seconds.saturating_add(leeway) < from)
        {
            return invalid(Reason::NotYet);
        }
        if !self.scope.iter().all(|wanted| allows(claims, wanted)) {
            return Err(Refusal::InsufficientScope);
        }
        self.user(claims).ok_or(Refusal::Invalid(Reason::Nobody))
    }

    /// Whether `aud` names us, alone or in a list (RFC 7519 §4.1.3).
    fn is_meant_for_us(&self, audience: Option<&Value>) -> bool {
        let is_us = |name: &Value| {
            name.as_str()
                .is_some_and(|name| self.audience.iter().any(|wanted| wanted == name))
        };
        match audience {
            Some(Value::Array(names)) => names.iter().any(is_us),
            Some(name) => is_us(name),
            None => false,
        }
    }

    /// The name of the user. An address that the issuer says is not verified is nobody's name.
    fn user(&self, claims: &Claims) -> Option<String> {
        let user = claims.get(&self.user_claim)?.as_str()?;
        let unproved = self.user_claim == "email"
            && claims
                .get("email_verified")
                .is_some_and(|verified| !is_true(verified));
        (!user.is_empty() && !unproved).then(|| user.to_owned())
    }
}

/// When a token ends at last, leeway not counted; `None` if it does not say.
pub(super) fn end(claims: &Claims) -> Option<u64> {
    claims.get("exp").and_then(numeric_date)
}

/// Seconds since 1970.
pub(super) fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// `NumericDate`, which may have a fraction (RFC 7519 §2).
fn numeric_date(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let seconds = value.as_f64()?;
        Some(Duration::try_from_secs_f64(seconds).ok()?.as_secs())
    })
}

/// Whether the token allows `wanted`: `scope` is words with blanks between (RFC 8693 §4.2), `scp`
/// is that or a list.
fn allows(claims: &Claims, wanted: &str) -> bool {
    let has = |value: &Value| match value {
        Value::String(words) => words.split(' ').any(|word| word == wanted),
        Value::Array(words) => words.iter().any(|word| word.as_str() == Some(wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    };
    ["scope", "scp"]
        .iter()
        .any(|claim| claims.get(*claim).is_some_and(has))
}

/// Some issuers say `"true"` for `true`.
fn is_true(value: &Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}
