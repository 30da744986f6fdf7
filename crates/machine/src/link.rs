//! What a machine is told about its connection when it starts.

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

/// A connection as its machine sees it.
#[derive(Clone, Debug)]
pub struct Link {
    /// How it is protected at the start.
    pub security: Security,
    /// Whether a password may cross it in the clear.
    pub plaintext_auth: PlaintextAuth,
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
