//! An issuer and a server that takes its tokens.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pillarbox_tests::client::Client;
use pillarbox_tests::issuer::{Issuer, SigningKey};
use pillarbox_tests::serve::{Serve, Setup};
use serde_json::{Value, json};

/// An issuer under HTTPS.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    /// Its certificate, which is the server's too.
    pub(crate) ca: PathBuf,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        Self {
            issuer: Issuer::https(&ca).unwrap(),
            ca,
            _dir: dir,
        }
    }

    /// Claims that are good for an hour.
    pub(crate) fn claims(&self, user: &str) -> Value {
        let until = in_an_hour();
        json!({"iss": self.issuer.url(""), "aud": "mail", "exp": until, "email": user})
    }

    /// A token that is good for an hour.
    pub(crate) fn token(&self, key: &SigningKey, user: &str) -> String {
        key.token(&self.claims(user)).unwrap()
    }

    /// A server that checks signatures with the keys that the issuer publishes.
    pub(crate) fn serve_signed(&self) -> Serve {
        let issuer = self.issuer.url("");
        self.serve(&format!("issuer = {issuer:?}\naudience = [\"mail\"]\n"))
    }

    /// A server with these lines about tokens, which logs everything and punishes nobody.
    pub(crate) fn serve(&self, lines: &str) -> Serve {
        let tables = format!(
            "[auth]\ndefault_domain = \"localhost\"\nfailure_delay = \"0s\"\n\
             failure_delay_max = \"0s\"\n[log]\nlevel = \"trace\"\n[oauth]\nca = {:?}\n{lines}",
            self.ca.display().to_string()
        );
        let setup = Setup {
            tables,
            ..Setup::default()
        };
        Serve::start(&setup).unwrap()
    }
}

/// In seconds since 1970.
pub(crate) fn in_an_hour() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "tokens are for the server's own time"
    )]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    (now.unwrap() + Duration::from_hours(1)).as_secs()
}

/// The message of OAUTHBEARER, in base64.
pub(crate) fn bearer(user: &str, token: &str) -> String {
    STANDARD.encode(format!("n,a={user},\x01auth=Bearer {token}\x01\x01"))
}

/// What comes of a token in IMAP: the completion, or the error that the server told before it.
pub(crate) fn log_in(server: &Serve, user: &str, token: &str) -> String {
    let mut client = Client::greeted(server, "imap");
    let answer = client.ask(&format!(
        "a AUTHENTICATE OAUTHBEARER {}",
        bearer(user, token)
    ));
    let Some(error) = answer.strip_prefix("+ ") else {
        return answer;
    };
    let told = STANDARD.decode(error.trim_end()).unwrap();
    let completion = client.ask("AQ==");
    assert_eq!(
        completion,
        "a NO [AUTHENTICATIONFAILED] Authentication failed\r\n"
    );
    String::from_utf8(told).unwrap()
}
