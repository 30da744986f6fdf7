//! Asking issuers of tokens over HTTP: small, blocking, and in one way.
//!
//! It runs on the threads that check credentials. A question and its whole answer have a time limit
//! and the answer a size limit; no redirection is followed, no proxy is used that the environment
//! names, and nothing is believed without TLS but what comes from this host.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use auth::Secret;
use auth::oauth::{Fetch, FetchError, Request};
use ureq::http::StatusCode;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::config::OAuth;
use crate::tls;

/// Why issuers cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with certificate authorities is bad.
    #[error("`ca` in [oauth]: {0}")]
    Authorities(#[from] tls::Error),
    /// The system has no certificate authorities.
    #[error(
        "no certificate authorities found on this system; install them (package ca-certificates), \
         or set `ca` in [oauth]"
    )]
    NoAuthorities,
    /// The secret of the client cannot be read.
    #[error("`client_secret` in [oauth]: cannot read {}: {source}", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The secret of the client is not there.
    #[error("`client_secret` in [oauth]: {} is empty", path.display())]
    NoSecret {
        /// The file.
        path: PathBuf,
    },
}

/// What asks issuers, by these settings.
///
/// # Errors
/// If it is not known who may vouch for them.
pub fn fetcher(settings: &OAuth) -> Result<Box<Fetch>, Error> {
    let tls = TlsConfig::builder()
        .root_certs(roots(settings)?)
        .unversioned_rustls_crypto_provider(tls::provider())
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_global(Some(settings.timeout))
        .max_response_header_size(MAX_HEADER)
        .max_idle_connections(MAX_IDLE)
        .user_agent(concat!("pillarbox/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    Ok(Box::new(move |request| ask(&agent, request)))
}

/// The secret that the settings name, without the line end of its file.
///
/// # Errors
/// If it cannot be read, or is empty.
pub fn client_secret(settings: &OAuth) -> Result<Option<Secret>, Error> {
    let Some(path) = &settings.client_secret else {
        return Ok(None);
    };
    let text = std::fs::read(path).map_err(|source| Error::Secret {
        path: path.clone(),
        source,
    })?;
    let text = Secret::new(text);
    let secret = text.expose().trim_ascii_end();
    if secret.is_empty() {
        return Err(Error::NoSecret { path: path.clone() });
    }
    Ok(Some(Secret::new(secret)))
}

/// Who may vouch for issuers.
fn roots(settings: &OAuth) -> Result<RootCerts, Error> {
    let roots = match &settings.ca {
        Some(path) => tls::read_certificates(path)?,
        // What cannot be read is told by what is missing.
        None => rustls_native_certs::load_native_certs().certs,
    };
    if roots.is_empty() {
        return Err(Error::NoAuthorities);
    }
    let roots = roots
        .iter()
        .map(|root| Certificate::from_der(root).to_owned());
    Ok(RootCerts::Specific(Arc::new(roots.collect())))
}

/// Asks, and takes the answer.
fn ask(agent: &Agent, request: &Request<'_>) -> Result<Vec<u8>, FetchError> {
    let answer = match &request.form {
        None => agent.get(request.url).header(ACCEPT, JSON).call(),
        Some(form) => {
            let mut post = agent
                .post(request.url)
                .header(ACCEPT, JSON)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some(authorization) = &form.authorization {
                post = post.header(AUTHORIZATION, authorization.expose());
            }
            post.send(form.body.expose())
        }
    };
    let mut answer = answer.map_err(|error| away(error, request.limit))?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    read(answer.body_mut(), request.limit)
}

/// The whole body, if it is not too long.
fn read(body: &mut Body, limit: u64) -> Result<Vec<u8>, FetchError> {
    body.with_config()
        .limit(limit)
        .read_to_vec()
        .map_err(|error| away(error, limit))
}

/// What went wrong. Errors of `ureq` show no more of a request than its URL.
fn away(error: ureq::Error, limit: u64) -> FetchError {
    if matches!(error, ureq::Error::BodyExceedsLimit(_)) {
        return FetchError::TooLong(limit);
    }
    FetchError::Away(error.into_io())
}

/// What issuers speak.
const JSON: &str = "application/json";

/// The longest header of an answer, in octets.
const MAX_HEADER: usize = 16 << 10;

/// How many connections to issuers are kept for the next question.
const MAX_IDLE: usize = 4;
