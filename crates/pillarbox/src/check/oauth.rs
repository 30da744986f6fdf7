//! What tokens are checked with: keys, secret and certificate authorities, readable and of use.
//!
//! The issuer itself is not asked: whether it answers now says nothing of when it is needed.

use auth::oauth::{KeySet, KeySetError};

use super::{Check, is_world_readable};
use crate::config::{Finding, Place};
use crate::issuer;

/// Checks all that `[oauth]` names.
pub(super) fn check(check: &mut Check<'_>) {
    let settings = &check.settings.oauth;
    if !settings.is_on() {
        return;
    }
    let mut findings = Vec::new();
    if let Some(Place::File(path)) = &settings.jwks
        && let Err(error) = KeySet::load(path)
    {
        let problem = match error {
            KeySetError::Io { source, .. } => format!("cannot be read: {source}"),
            KeySetError::File { source, .. } => source.to_string(),
            KeySetError::Malformed
            | KeySetError::TooMany
            | KeySetError::NoKey
            | KeySetError::NoIssuer => error.to_string(),
        };
        let fix = "fetch it from the issuer, or correct `jwks` in [oauth]";
        findings.push(Finding::error(path, None, problem, fix));
    }
    if let Err(error) = issuer::fetcher(settings) {
        let file = settings.ca.as_deref().unwrap_or(check.path);
        let fix = "correct `ca` in [oauth]: it names a PEM file";
        findings.push(Finding::error(file, None, error.to_string(), fix));
    }
    if let Some(path) = &settings.client_secret {
        if let Err(error) = issuer::client_secret(settings) {
            let fix = "write the secret into it that the issuer has for `client_id`";
            findings.push(Finding::error(path, None, error.to_string(), fix));
        } else if is_world_readable(path) {
            let problem = "other users of this machine can read the secret";
            let fix = format!("chmod o-rwx {}", path.display());
            findings.push(Finding::warning(path, None, problem, fix));
        }
    }
    for finding in findings {
        check.push("oauth", finding);
    }
}
