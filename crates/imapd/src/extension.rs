//! The extensions that we speak: one row each, and one file each where there is code of its own.
//!
//! CAPABILITY, the greeting and the code in the answer to a login are made from these rows.

pub(crate) mod children;
pub(crate) mod id;
pub(crate) mod idle;
pub(crate) mod list_extended;
mod list_status;
pub(crate) mod literal_plus;
pub(crate) mod r#move;
pub(crate) mod namespace;
pub(crate) mod sasl_ir;
pub(crate) mod uidplus;
pub(crate) mod unselect;

use auth::sasl::Mechanism;
use machine::{Link, Security};

/// A capability and where it is specified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// The capability's name; `AUTH=` stands for one name per SASL mechanism.
    pub capability: &'static str,
    /// The RFC that specifies it.
    pub rfc: u16,
    /// When it is advertised.
    pub shown: Shown,
}

/// When a capability is advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In every state.
    Always,
    /// Before login, while the connection is in the clear and can be protected.
    StartTls,
    /// Before login, if a password may be sent now.
    PasswordsAllowed,
    /// Before login, if a password may not be sent now.
    PasswordsRefused,
}

/// Whether the user has logged in yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Not yet.
    Before,
    /// Already.
    After,
}

/// Every capability, in the order they are advertised.
pub const REGISTRY: &[Extension] = &[
    Extension {
        capability: "IMAP4rev1",
        rfc: 3501,
        shown: Shown::Always,
    },
    Extension {
        capability: "STARTTLS",
        rfc: 3501,
        shown: Shown::StartTls,
    },
    Extension {
        capability: "LOGINDISABLED",
        rfc: 3501,
        shown: Shown::PasswordsRefused,
    },
    Extension {
        capability: "AUTH=",
        rfc: 3501,
        shown: Shown::PasswordsAllowed,
    },
    sasl_ir::ROW,
    literal_plus::ROW,
    id::ROW,
    idle::ROW,
    namespace::ROW,
    unselect::ROW,
    children::ROW,
    uidplus::ROW,
    list_extended::ROW,
    list_status::ROW,
    r#move::ROW,
];

/// The capabilities of a connection as it is now (RFC 3501 §7.2.1).
pub(crate) fn capabilities(link: &Link, login: Login) -> Vec<String> {
    let before = login == Login::Before;
    let mut names = Vec::with_capacity(REGISTRY.len() + Mechanism::ALL.len());
    for row in REGISTRY {
        let shown = match row.shown {
            Shown::Always => true,
            Shown::StartTls => before && link.security == Security::StartTlsOffered,
            Shown::PasswordsAllowed => before && link.allows_passwords(),
            Shown::PasswordsRefused => before && !link.allows_passwords(),
        };
        if !shown {
            continue;
        }
        if row.capability.ends_with('=') {
            let mechanisms = Mechanism::ALL.into_iter();
            names.extend(mechanisms.map(|it| format!("{}{}", row.capability, it.name())));
        } else {
            names.push(row.capability.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::task::Waker;

    use machine::PlaintextAuth;

    use super::*;

    fn shown(security: Security, plaintext_auth: PlaintextAuth, login: Login) -> String {
        let link = Link {
            security,
            plaintext_auth,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            waker: Waker::noop().clone(),
        };
        capabilities(&link, login).join(" ")
    }

    #[test]
    fn capabilities_follow_tls_and_login() {
        use PlaintextAuth::{Allowed, Refused};
        use Security::{Clear, StartTlsOffered, Tls};
        const REST: &str = "LITERAL+ ID IDLE NAMESPACE UNSELECT CHILDREN UIDPLUS \
            LIST-EXTENDED LIST-STATUS MOVE";
        const AUTH: &str = "AUTH=PLAIN AUTH=LOGIN SASL-IR";
        let rows = [
            (
                Clear,
                Refused,
                Login::Before,
                format!("LOGINDISABLED {REST}"),
            ),
            (Clear, Allowed, Login::Before, format!("{AUTH} {REST}")),
            (
                StartTlsOffered,
                Refused,
                Login::Before,
                format!("STARTTLS LOGINDISABLED {REST}"),
            ),
            (
                StartTlsOffered,
                Allowed,
                Login::Before,
                format!("STARTTLS {AUTH} {REST}"),
            ),
            (Tls, Refused, Login::Before, format!("{AUTH} {REST}")),
            (Tls, Refused, Login::After, REST.to_owned()),
            (StartTlsOffered, Allowed, Login::After, REST.to_owned()),
        ];
        for (security, plaintext, login, expected) in rows {
            assert_eq!(
                shown(security, plaintext, login),
                format!("IMAP4rev1 {expected}"),
                "{security:?} {plaintext:?} {login:?}"
            );
        }
    }
}
