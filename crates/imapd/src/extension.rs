//! The extensions that we speak: one row each, and one file each where there is code of its own.
//!
//! CAPABILITY, the greeting and the code in the answer to a login are made from these rows.

pub(crate) mod acl;
pub(crate) mod append_limit;
mod binary;
mod capability;
pub(crate) mod catenate;
pub(crate) mod children;
pub(crate) mod compress;
pub(crate) mod condstore;
pub(crate) mod enable;
pub(crate) mod esearch;
pub(crate) mod id;
pub(crate) mod idle;
pub(crate) mod imap_rev2;
pub(crate) mod inprogress;
pub(crate) mod list_extended;
mod list_metadata;
mod list_my_rights;
mod list_status;
pub(crate) mod literal;
pub(crate) mod metadata;
pub(crate) mod r#move;
mod multi_append;
pub(crate) mod namespace;
pub(crate) mod notify;
pub(crate) mod object_id;
mod preview;
pub(crate) mod qresync;
pub(crate) mod quota;
pub(crate) mod replace;
pub(crate) mod sasl_ir;
mod save_date;
pub(crate) mod searchres;
pub(crate) mod special_use;
pub(crate) mod status_size;
pub(crate) mod uid_only;
pub(crate) mod uidplus;
pub(crate) mod unauthenticate;
pub(crate) mod unselect;
pub(crate) mod utf8_accept;
pub(crate) mod xlist;

use auth::sasl::{Mechanism, Mechanisms};
use machine::{Link, Security};

pub use capability::{Capabilities, Capability};
pub use enable::Feature;
pub use inprogress::{InProgress, InProgressState};
pub use object_id::ObjectId;
pub use preview::Priority;

use crate::settings::Limits;

/// A capability and where it is specified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which one it is.
    pub is: Capability,
    /// Its name.
    pub capability: &'static str,
    /// The RFC that specifies it.
    pub rfc: u16,
    /// When it is advertised.
    pub shown: Shown,
    /// What ENABLE switches on by its name (RFC 5161 §3.1).
    pub enables: Option<Feature>,
}

/// When a capability is advertised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In every state.
    Always,
    /// In every state, if that one is hidden.
    InPlaceOf(Capability),
    /// After login.
    AfterLogin,
    /// Before login, while the connection is in the clear and can be protected.
    StartTls,
    /// Before login, if a password may be sent now.
    PasswordsAllowed,
    /// Before login, if a password may be sent now and the server can do this mechanism.
    Mechanism(Mechanism),
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
        is: Capability::ImapRev1,
        capability: "IMAP4rev1",
        rfc: 3501,
        shown: Shown::Always,
        enables: None,
    },
    Extension {
        is: Capability::StartTls,
        capability: "STARTTLS",
        rfc: 3501,
        shown: Shown::StartTls,
        enables: None,
    },
    Extension {
        is: Capability::LoginDisabled,
        capability: "LOGINDISABLED",
        rfc: 3501,
        shown: Shown::PasswordsRefused,
        enables: None,
    },
    Extension {
        is: Capability::AuthScramSha256Plus,
        capability: "AUTH=SCRAM-SHA-256-PLUS",
        rfc: 7677,
        shown: Shown::Mechanism(Mechanism::ScramSha256Plus),
        enables: None,
    },
    Extension {
        is: Capability::AuthScramSha256,
        capability: "AUTH=SCRAM-SHA-256",
        rfc: 7677,
        shown: Shown::Mechanism(Mechanism::ScramSha256),
        enables: None,
    },
    Extension {
        is: Capability::AuthScramSha1Plus,
        capability: "AUTH=SCRAM-SHA-1-PLUS",
        rfc: 5802,
        shown: Shown::Mechanism(Mechanism::ScramSha1Plus),
        enables: None,
    },
    Extension {
        is: Capability::AuthScramSha1,
        capability: "AUTH=SCRAM-SHA-1",
        rfc: 5802,
        shown: Shown::Mechanism(Mechanism::ScramSha1),
        enables: None,
    },
    Extension {
        is: Capability::AuthPlain,
        capability: "AUTH=PLAIN",
        rfc: 3501,
        shown: Shown::Mechanism(Mechanism::Plain),
        enables: None,
    },
    Extension {
        is: Capability::AuthLogin,
        capability: "AUTH=LOGIN",
        rfc: 3501,
        shown: Shown::Mechanism(Mechanism::Login),
        enables: None,
    },
    Extension {
        is: Capability::AuthOAuthBearer,
        capability: "AUTH=OAUTHBEARER",
        rfc: 7628,
        shown: Shown::Mechanism(Mechanism::OAuthBearer),
        enables: None,
    },
    Extension {
        is: Capability::AuthXOAuth2,
        capability: "AUTH=XOAUTH2",
        rfc: 7628,
        shown: Shown::Mechanism(Mechanism::XOAuth2),
        enables: None,
    },
    sasl_ir::ROW,
    literal::PLUS,
    literal::MINUS,
    id::ROW,
    enable::ROW,
    compress::ROW,
    idle::ROW,
    namespace::ROW,
    unselect::ROW,
    children::ROW,
    uidplus::ROW,
    list_extended::ROW,
    list_status::ROW,
    special_use::ROW,
    special_use::CREATE,
    xlist::ROW,
    metadata::ROW,
    metadata::SERVER,
    list_metadata::ROW,
    r#move::ROW,
    replace::ROW,
    notify::ROW,
    append_limit::ROW,
    quota::ROW,
    quota::STORAGE,
    quota::MESSAGE,
    quota::SET,
    multi_append::ROW,
    condstore::ROW,
    qresync::ROW,
    binary::ROW,
    catenate::ROW,
    esearch::ROW,
    searchres::ROW,
    utf8_accept::ROW,
    uid_only::ROW,
    status_size::ROW,
    save_date::ROW,
    object_id::ROW,
    preview::ROW,
    imap_rev2::ROW,
    inprogress::ROW,
    unauthenticate::ROW,
    acl::ROW,
    acl::RIGHTS,
    list_my_rights::ROW,
];

/// The capabilities of a connection as it is now, of those that are `offered` (RFC 3501 §7.2.1),
/// with those of `mechanisms`.
pub(crate) fn capabilities(
    link: &Link,
    login: Login,
    offered: Capabilities,
    mechanisms: Mechanisms,
    limits: &Limits,
) -> Vec<String> {
    let before = login == Login::Before;
    let rows = REGISTRY.iter().filter(|row| match row.shown {
        Shown::Always => true,
        Shown::InPlaceOf(other) => !offered.has(other),
        Shown::AfterLogin => !before,
        Shown::StartTls => before && link.security == Security::StartTlsOffered,
        Shown::PasswordsAllowed => before && link.allows_passwords(),
        Shown::Mechanism(mechanism) => {
            before && link.allows_passwords() && mechanisms.has(mechanism)
        }
        Shown::PasswordsRefused => before && !link.allows_passwords(),
    });
    let offered = rows.filter(|row| offered.has(row.is));
    let names = offered.map(|row| {
        if row.is == Capability::AppendLimit {
            append_limit::capability(limits)
        } else {
            row.capability.to_owned()
        }
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::task::Waker;

    use machine::{PlaintextAuth, Tls};

    use super::*;

    fn shown(security: Security, plaintext_auth: PlaintextAuth, login: Login) -> String {
        let link = Link {
            security,
            plaintext_auth,
            tls: Tls::default(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            waker: Waker::noop().clone(),
        };
        let (offered, mechanisms) = (Capabilities::all(), Mechanisms::WITH_PASSWORD);
        let names = capabilities(&link, login, offered, mechanisms, &Limits::default());
        names.join(" ").replace("=52428800", "")
    }

    #[test]
    fn capabilities_follow_tls_and_login() {
        use PlaintextAuth::{Allowed, Refused};
        use Security::{Clear, StartTlsOffered, Tls};
        const AUTH: &str = "AUTH=PLAIN AUTH=LOGIN SASL-IR";
        let rest = |shown: &[Shown]| {
            let rows = REGISTRY.iter().filter(|row| shown.contains(&row.shown));
            let names: Vec<&str> = rows.skip(1).map(|row| row.capability).collect();
            names.join(" ")
        };
        let after = rest(&[Shown::Always, Shown::AfterLogin]);
        let rest = rest(&[Shown::Always]);
        let rows = [
            (
                Clear,
                Refused,
                Login::Before,
                format!("LOGINDISABLED {rest}"),
            ),
            (Clear, Allowed, Login::Before, format!("{AUTH} {rest}")),
            (
                StartTlsOffered,
                Refused,
                Login::Before,
                format!("STARTTLS LOGINDISABLED {rest}"),
            ),
            (
                StartTlsOffered,
                Allowed,
                Login::Before,
                format!("STARTTLS {AUTH} {rest}"),
            ),
            (Tls, Refused, Login::Before, format!("{AUTH} {rest}")),
            (Tls, Refused, Login::After, after.clone()),
            (StartTlsOffered, Allowed, Login::After, after),
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
