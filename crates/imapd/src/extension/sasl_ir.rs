//! SASL-IR (RFC 4959): the initial response on the AUTHENTICATE line.
//!
//! The response is an argument of
//! [`Authenticate`](crate::command::NotAuthenticated::Authenticate); `auth` runs the exchange.

use super::{Capability, Extension, Shown};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::SaslIr,
    capability: "SASL-IR",
    rfc: 4959,
    shown: Shown::PasswordsAllowed,
    enables: None,
};
