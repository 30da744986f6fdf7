//! What an administrator can set about IMAP; every limit is here.

use std::sync::Arc;
use std::time::Duration;

use mailstore::Store;

use crate::extension::Capabilities;

/// Settings shared by all sessions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mail.
    pub store: Arc<Store>,
    /// The host name in the greeting.
    pub hostname: String,
    /// Sizes and counts.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// Capabilities that are neither shown nor understood.
    pub hidden: Capabilities,
}

/// Bounds on what a client may send and hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command line without literals, before login.
    pub line_before_login: usize,
    /// Octets of a literal before login.
    pub literal_before_login: usize,
    /// Octets of all arguments of one command before login.
    pub arguments_before_login: usize,
    /// Octets of a command line without literals, after login.
    pub line: usize,
    /// Octets of all arguments of one command after login, APPEND's message not counted.
    pub arguments: usize,
    /// Nesting of parentheses and search keys.
    pub nesting: usize,
    /// Octets of a message given to APPEND.
    pub message: u64,
    /// Bad commands and failed logins before login; then the connection is closed.
    pub bad_commands: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_before_login: 8 * 1024,
            literal_before_login: 8 * 1024,
            arguments_before_login: 64 * 1024,
            line: 64 * 1024,
            arguments: 1024 * 1024,
            nesting: 100,
            message: 50 * 1024 * 1024,
            bad_commands: 10,
        }
    }
}

/// How long things may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the greeting to a successful login, in all.
    pub login: Duration,
    /// Between commands after login (RFC 3501 §5.4 asks for at least 30 minutes).
    pub idle: Duration,
    /// Between the untagged keepalives of IDLE.
    pub keepalive: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(180),
            idle: Duration::from_secs(30 * 60),
            keepalive: Duration::from_secs(2 * 60),
        }
    }
}

impl Settings {
    /// The capabilities that are not hidden.
    pub(crate) fn offered(&self) -> Capabilities {
        Capabilities::all().without(self.hidden)
    }

    /// The defaults, over `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            hostname: "localhost".to_owned(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            hidden: Capabilities::NONE,
        }
    }
}
