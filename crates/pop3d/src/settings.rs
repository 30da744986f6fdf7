//! What an operator may choose, with its defaults.

use std::sync::Arc;
use std::time::Duration;

use auth::sasl::Offer;
use mailstore::Store;
use mailstore::quota::Policies;

use crate::unique_id::UidlFormat;

/// How POP3 sessions behave; shared by all of them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the mail is.
    pub store: Arc<Store>,
    /// The name of this host, shown in the greeting and at the end.
    pub hostname: String,
    /// What the IMPLEMENTATION capability says (RFC 2449 §6.9).
    pub implementation: String,
    /// Whether a message with UTF-8 in its header goes to a client that has not said UTF8.
    pub utf8_headers: Utf8Headers,
    /// How unique-ids are made.
    pub uidl_format: UidlFormat,
    /// How much a client may send.
    pub limits: Limits,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// How clients can authenticate.
    pub mechanisms: Offer,
    /// How much accounts may hold.
    pub quotas: Arc<Policies>,
}

/// How much a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest command line in octets, with its CRLF (RFC 2449 §4).
    pub command_line: usize,
    /// The longest AUTH command or SASL response in octets, with its CRLF (RFC 5034 §4).
    pub sasl_line: usize,
    /// How many bad commands and failed logins end a connection before login.
    pub bad_commands: u32,
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of the connection to the login, whatever the client sends meanwhile.
    pub login: Duration,
    /// From one command to the next after the login; at least 10 minutes (RFC 1939 §3).
    pub idle: Duration,
}

/// What happens to a message with UTF-8 in its header when the client has not said UTF8
/// (RFC 6856 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Utf8Headers {
    /// It is sent as it is.
    ///
    /// Interop: no common client says UTF8, yet raw 8-bit headers are common in the wild. A
    /// refusal hides mail from fetchmail and getmail, and stops a download half-way.
    #[default]
    Send,
    /// It is refused with `-ERR [UTF8]` (RFC 6856 §5).
    Refuse,
}

impl Settings {
    /// Settings with their defaults.
    pub fn new(store: Arc<Store>) -> Self {
        let hostname = store.options().hostname.clone();
        Self {
            store,
            hostname,
            implementation: "Pillarbox".to_owned(),
            utf8_headers: Utf8Headers::default(),
            uidl_format: UidlFormat::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            mechanisms: Offer::default(),
            quotas: Arc::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 255,
            sasl_line: 12 * 1024,
            bad_commands: 10,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(180),
            idle: Duration::from_secs(600),
        }
    }
}
