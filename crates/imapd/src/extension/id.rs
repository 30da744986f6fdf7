//! ID (RFC 2971): who is speaking.

use super::{Capability, Extension, Shown};
use crate::command::IdField;
use crate::response::Untagged;
use crate::settings::ClientId;

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
/// The most fields that are logged (RFC 2971 §3.3 allows as many).
const FIELDS: usize = 30;

/// What we say of ourselves (RFC 2971 §3.3).
pub(crate) fn response() -> Untagged {
    Untagged::Id(vec![
        ("name".to_owned(), "Pillarbox".to_owned()),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ])
}

/// Logs what the client says of itself: nothing is decided by it (RFC 2971 §3), and nothing is kept
/// of it.
pub(crate) fn note(fields: &[IdField], client_id: ClientId) {
    match client_id {
        ClientId::Quiet => {
            let value = |wanted: &str| {
                let mut fields = fields.iter();
                let named = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
                named.map(|(_, value)| printable(value.as_deref().unwrap_or_default()))
            };
            let (name, version) = (value("name"), value("version"));
            tracing::debug!(name, version, "client named itself");
        }
        ClientId::Logged => tracing::info!(id = all(fields), "client named itself"),
    }
}

/// All fields on one line: names and values in quotes, as they may hold anything.
fn all(fields: &[IdField]) -> String {
    let fields = fields.iter().take(FIELDS);
    let shown = fields.map(|(name, value)| match value {
        Some(value) => format!("{:?}={:?}", printable(name), printable(value)),
        None => format!("{:?}=NIL", printable(name)),
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// A value as it is logged: its beginning, without what could break a line.
fn printable(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let kept = text.chars().filter(|it| !it.is_control());
    kept.take(LOGGED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_bounded_and_on_one_line() {
        let long = (b"support-url".to_vec(), Some(vec![b'x'; 5000]));
        let broken = (b"name\r\n".to_vec(), Some(b"a\"\0b\n".to_vec()));
        let line = all(&[broken, (b"os".to_vec(), None)]);
        assert_eq!(line, r#""name"="a\"b" "os"=NIL"#);
        let most = all(&vec![long; 1000]);
        assert!(most.len() < FIELDS * (2 * LOGGED + 20), "{}", most.len());
        assert!(!most.contains('\n'));
    }
}
