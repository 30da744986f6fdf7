//! Where the accounts are.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Where the accounts are, if not in the users file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// What keeps them.
    pub backend: Backend,
    /// Where the PostgreSQL server is, or the file of SQLite. Holds no password.
    pub connection: String,
    /// The file with the password for the PostgreSQL server, if it wants one.
    pub password_file: Option<PathBuf>,
    /// Whether the connection to it is in TLS.
    pub tls: DatabaseTls,
    /// The authorities that may vouch for it, in PEM.
    pub tls_ca: PathBuf,
    /// How an account is found.
    pub query: String,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How many connections there may be.
    pub connections: usize,
    /// How long an account that was found is known while the database is away.
    pub keep: Duration,
    /// How many of them.
    pub keep_accounts: usize,
    /// Whether the mail of an account may be anywhere, if the query tells where it is.
    pub mail_anywhere: bool,
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            backend: Backend::File,
            connection: String::new(),
            password_file: None,
            tls: DatabaseTls::Auto,
            tls_ca: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            query: String::new(),
            timeout: Duration::from_secs(5),
            connections: 4,
            keep: Duration::from_hours(1),
            keep_accounts: 10_000,
            mail_anywhere: false,
        }
    }
}

/// What keeps the accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// The users file.
    #[default]
    File,
    /// A PostgreSQL server.
    Postgresql,
    /// An SQLite database.
    Sqlite,
}

/// Whether the connection to a database is in TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseTls {
    /// If it leaves this machine.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}
