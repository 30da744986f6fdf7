//! ID (RFC 2971): who is speaking.

use super::{Capability, Extension, Shown};
use crate::response::Untagged;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Id,
    capability: "ID",
    rfc: 2971,
    shown: Shown::Always,
    enables: None,
};

/// The longest value of a field that is logged, in characters.
const LOGGED: usize = 64;

/// What we say of ourselves (RFC 2971 §3.3).
pub(crate) fn response() -> Untagged {
    Untagged::Id(vec![
        ("name".to_owned(), "Pillarbox".to_owned()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ])
}

/// Logs the client's name and version: nothing is decided by them (RFC 2971 §3), and nothing is
/// kept of them.
pub(crate) fn note(fields: &[(Vec<u8>, Option<Vec<u8>>)]) {
    let value = |wanted: &str| -> String {
        let field = fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        let value = field.and_then(|(_, value)| value.as_deref());
        let text = String::from_utf8_lossy(value.unwrap_or_default());
        text.chars()
            .filter(|it| !it.is_control())
            .take(LOGGED)
            .collect()
    };
    tracing::debug!(
        name = value("name"),
        version = value("version"),
        "client named itself"
    );
}
