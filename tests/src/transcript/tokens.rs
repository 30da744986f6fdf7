//! Tokens of OAuth in a transcript: who they stand for, and an issuer that says so.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use auth::{Accounts, Authenticator};
use serde_json::{Value, json};

use super::script::{Header, User};
use super::world::users_file;
use crate::issuer::{Answer, Issuer, introspect};

/// The tokens of a transcript.
#[derive(Debug)]
pub(super) struct Tokens {
    known: Vec<(String, Value)>,
    /// Says what is known to a server.
    _issuer: Option<Issuer>,
}

impl Tokens {
    /// The tokens that a transcript sets, if any; then `settings` are to take them.
    pub(super) fn new(header: &Header, settings: &mut pillarbox::Settings) -> Result<Self> {
        let mut known = Vec::new();
        for (_, value) in header.settings.iter().filter(|(name, _)| name == "token") {
            let mut words = value.split(' ');
            let user = words.next().context("token without a user")?;
            let token = words.next().context("user without a token")?;
            let scope = words.next().unwrap_or_default();
            let said = json!({"active": true, "email": user, "scope": scope});
            known.push((token.to_owned(), said));
        }
        if known.is_empty() {
            let issuer = None;
            return Ok(Self {
                known,
                _issuer: issuer,
            });
        }
        let issuer = Issuer::http()?;
        issuer.answer("/introspect", Answer::Tokens(known.clone()));
        settings.oauth.introspection = Some(issuer.url("/introspect"));
        Ok(Self {
            known,
            _issuer: Some(issuer),
        })
    }

    /// What checks tokens on the bare machine, without a socket.
    pub(super) fn authenticator(
        &self,
        settings: &pillarbox::Settings,
        dir: &Path,
        users: &[User],
    ) -> Result<Authenticator> {
        let options = auth::Options {
            accounts: Accounts::File(users_file(dir, users)?),
            ..settings.authentication()
        };
        let authenticator = Authenticator::new(options, || 7)?;
        if !settings.oauth.is_on() {
            return Ok(authenticator);
        }
        let known = self.known.clone();
        let fetch = move |request: &auth::oauth::Request<'_>| {
            let form = request.form.as_ref().map(|form| form.body.expose());
            let body = String::from_utf8_lossy(form.unwrap_or_default()).into_owned();
            Ok(introspect(&known, &body).to_string().into_bytes())
        };
        let clock = || SystemTime::UNIX_EPOCH;
        let checks = settings.oauth.checks(None);
        Ok(authenticator.with_tokens(checks, Box::new(fetch), Box::new(clock))?)
    }
}
