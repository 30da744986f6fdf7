//! What an administrator can set about IMAP; every limit is here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::sasl::Offer;
use ipnet::IpNet;
use mailstore::Store;
use mailstore::quota::Policies;

use crate::extension::Capabilities;
use crate::sharing::Sharing;

/// Settings shared by all sessions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The mail.
    pub store: Arc<Store>,
    /// The host name in the greeting.
    pub hostname: String,
    /// Sizes and counts.
    pub limits: Limits,
    /// What may be annotated, and what is said of the server (RFC 5464).
    pub metadata: Arc<Metadata>,
    /// Times.
    pub timeouts: Timeouts,
    /// The domain of user names that have none.
    pub default_domain: Option<String>,
    /// How much accounts may hold, and who decides.
    pub quotas: Arc<Policies>,
    /// How users get to mailboxes of others, if they do.
    pub sharing: Option<Arc<Sharing>>,
    /// What is hidden, and from whom; each of these counts.
    pub hidden: Vec<Hidden>,
    /// Whether the fields of a client's ID are logged (RFC 2971).
    pub client_id: ClientId,
    /// What becomes of an APPEND with octets of 8 bits in its header.
    pub utf8_headers: Utf8Headers,
    /// How clients can authenticate.
    pub mechanisms: Offer,
}

/// Capabilities that are neither shown to a client nor understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Which ones.
    pub capabilities: Capabilities,
    /// From whom, by address; from everybody if there are none.
    pub addresses: Vec<IpNet>,
    /// From whom, by canonical user name and hence after login only; from everybody if there are
    /// none.
    pub users: Vec<String>,
}

impl Hidden {
    /// Whether they are hidden from a client at `peer` that has logged in as `user`.
    fn concerns(&self, peer: IpAddr, user: Option<&str>) -> bool {
        let address = self.addresses.iter().any(|range| range.contains(&peer));
        let named = |user| self.users.iter().any(|hidden| hidden == user);
        (address || self.addresses.is_empty()) && (user.is_some_and(named) || self.users.is_empty())
    }
}

/// What becomes of an APPEND with octets of 8 bits in its header, by a client that has enabled
/// neither UTF8=ACCEPT nor IMAP4rev2 (RFC 9755 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Utf8Headers {
    /// It is taken as it is.
    ///
    /// Interop: mbsync, OfflineIMAP and imapsync enable neither, and raw octets of 8 bits are
    /// common in headers. A refusal leaves mail behind when an account is moved or synchronised.
    #[default]
    Take,
    /// It is refused with `NO [CANNOT]`.
    Refuse,
}

/// What is logged of a client's ID (RFC 2971).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientId {
    /// Name and version, at level `debug`.
    #[default]
    Quiet,
    /// All fields, at level `info`.
    Logged,
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
    /// Messages of one APPEND.
    pub messages: usize,
    /// Identifiers that have rights to one mailbox (RFC 4314).
    pub acl_entries: usize,
    /// Mailboxes that NOTIFY watches for one client.
    pub notify_mailboxes: usize,
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
            messages: 10_000,
            acl_entries: 1000,
            notify_mailboxes: 1000,
            bad_commands: 10,
        }
    }
}

/// Annotations (RFC 5464).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Octets of a value; at least 1024 (RFC 5464 §4.1).
    pub value: usize,
    /// Entries of a mailbox, and of the server as one user sees it; at least 10 (RFC 5464 §4.1).
    pub entries: usize,
    /// Octets of all entries of an account, names and values.
    pub octets: usize,
    /// A comment about the server, for all its users (RFC 5464 §3.2.1.1).
    pub comment: Option<String>,
    /// A URI by which to reach the administrator (RFC 5464 §3.2.1.1).
    pub admin: Option<String>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            value: 64 * 1024,
            entries: 100,
            octets: 1024 * 1024,
            comment: None,
            admin: None,
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
    /// The capabilities that are hidden from a client at `peer` that has logged in as `user`.
    pub fn hidden_from(&self, peer: IpAddr, user: Option<&str>) -> Capabilities {
        let hidden = self.hidden.iter().filter(|it| it.concerns(peer, user));
        let hidden = hidden.fold(Capabilities::NONE, |all, it| all.union(it.capabilities));
        hidden.with_dependents()
    }

    /// The defaults, over `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            hostname: "localhost".to_owned(),
            limits: Limits::default(),
            metadata: Arc::default(),
            timeouts: Timeouts::default(),
            default_domain: None,
            quotas: Arc::default(),
            sharing: None,
            hidden: Vec::new(),
            client_id: ClientId::default(),
            utf8_headers: Utf8Headers::default(),
            mechanisms: Offer::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Capability;

    #[test]
    fn what_is_hidden_depends_on_address_and_user() {
        let idle = Capabilities::NONE.with(Capability::Idle);
        let hidden = Hidden {
            capabilities: idle,
            addresses: vec!["192.0.2.0/24".parse().unwrap()],
            users: vec!["ann@example.org".to_owned()],
        };
        let inside = "192.0.2.7".parse().unwrap();
        let outside = "198.51.100.7".parse().unwrap();
        assert!(hidden.concerns(inside, Some("ann@example.org")));
        assert!(!hidden.concerns(inside, Some("bob@example.org")));
        assert!(!hidden.concerns(inside, None));
        assert!(!hidden.concerns(outside, Some("ann@example.org")));
        assert!(Hidden::default().concerns(outside, None));
    }
}
