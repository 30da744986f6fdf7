//! What a machine is told about its connection when it starts.

use std::fmt;
use std::net::IpAddr;
use std::task::Waker;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// In the clear, and it will stay so: no STARTTLS is offered.
    Clear,
    /// In the clear; STARTTLS or STLS is offered.
    StartTlsOffered,
    /// Protected by TLS.
    Tls,
}

/// Whether a password may cross a connection that is in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaintextAuth {
    /// It is refused before TLS (RFC 3501 §6.2.3 LOGINDISABLED, RFC 8314 §3).
    Refused,
    /// It is allowed: a setting for loopback and trusted networks.
    Allowed,
}

/// What TLS knows about a connection that a login can go by; nothing in the clear.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The channel binding `tls-exporter` (RFC 9266), with TLS 1.3.
    pub exporter: Option<[u8; 32]>,
    /// The channel binding `tls-server-end-point`: a hash of our certificate (RFC 5929 §4.1).
    pub server_end_point: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    /// Shows what there is of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("exporter", &self.exporter.is_some())
            .field("server_end_point", &self.server_end_point.is_some())
            .finish()
    }
}

/// A connection as its machine sees it.
#[derive(Clone, Debug)]
pub struct Link {
    /// How it is protected at the start.
    pub security: Security,
    /// Whether a password may cross it in the clear.
    pub plaintext_auth: PlaintextAuth,
    /// What TLS knows about it.
    pub tls: Tls,
    /// The peer's address.
    pub peer: IpAddr,
    /// Wakes the driver: [`Event::Woken`](crate::Event::Woken) follows. Given to whatever the
    /// machine wants to hear from.
    pub waker: Waker,
}

impl Link {
    /// Whether a client may send its password now.
    pub fn allows_passwords(&self) -> bool {
        self.security == Security::Tls || self.plaintext_auth == PlaintextAuth::Allowed
    }
}
