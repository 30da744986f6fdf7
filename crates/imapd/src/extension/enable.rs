//! ENABLE (RFC 5161): what changes responses waits until the client says that it understands it.

use super::{Capabilities, Capability, Extension, REGISTRY, Shown};
use crate::response::{Completion, Untagged};
use crate::session::{Session, State};
use crate::types::Tag;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Enable,
    capability: "ENABLE",
    rfc: 5161,
    shown: Shown::Always,
    enables: None,
};

/// What ENABLE switches on (RFC 5161 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Mod-sequences in responses (RFC 7162 §3.1).
    Condstore,
    /// VANISHED in the place of EXPUNGE (RFC 7162 §3.2).
    Qresync,
    /// UTF-8 in quoted strings (RFC 6855 §3).
    Utf8Accept,
    /// No message sequence numbers (RFC 9586 §3).
    UidOnly,
    /// IMAP4rev2 (RFC 9051 §6.3.1).
    ImapRev2,
    /// What others change about mailboxes and the server (RFC 5464 §4.4).
    Metadata,
}

impl Feature {
    /// Its place in a set.
    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What has been switched on in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Enabled(u8);

impl Enabled {
    /// Whether this has been switched on.
    pub(crate) const fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// Switches on; `false` if it was on already. QRESYNC brings CONDSTORE (RFC 7162 §3.2.3).
    pub(crate) fn insert(&mut self, feature: Feature) -> bool {
        let new = !self.has(feature);
        self.0 |= feature.bit();
        if feature == Feature::Qresync {
            self.0 |= Feature::Condstore.bit();
        }
        new
    }
}

/// What the names of an ENABLE switch on, of what is offered; each once, in the order named. Names
/// that we do not know are ignored (RFC 5161 §3.1).
fn wanted(names: &[Vec<u8>], offered: Capabilities) -> Vec<(&'static str, Feature)> {
    let mut wanted = Vec::new();
    for name in names {
        let row = REGISTRY.iter().find(|row| {
            let named = row.capability.as_bytes().eq_ignore_ascii_case(name);
            named && offered.has(row.is)
        });
        if let Some((name, feature)) = row.and_then(|row| Some((row.capability, row.enables?)))
            && !wanted.contains(&(name, feature))
        {
            wanted.push((name, feature));
        }
    }
    wanted
}

impl Session {
    /// ENABLE (RFC 5161 §3.1): tells what this command has switched on, and not what was on before.
    /// It holds from the next command on, and is not possible any more when a mailbox is selected.
    pub(crate) fn enable(&mut self, tag: Tag, names: &[Vec<u8>]) {
        let offered = self.offered();
        let State::Authenticated(account) = &mut self.state else {
            return self.bad(Some(tag), "possible before a mailbox is selected only");
        };
        let mut switched_on = wanted(names, offered);
        let before = account.enabled;
        switched_on.retain(|(_, feature)| !before.has(*feature));
        for (_, feature) in &switched_on {
            account.enabled.insert(*feature);
        }
        let names = switched_on.into_iter().map(|(name, _)| name).collect();
        self.out.untagged(Untagged::Enabled(names));
        self.complete(tag, Completion::ok("ENABLE completed"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_switched_on_once() {
        let mut enabled = Enabled::default();
        assert!(!enabled.has(Feature::Qresync));
        assert!(enabled.insert(Feature::Qresync));
        assert!(!enabled.insert(Feature::Qresync));
        assert!(enabled.has(Feature::Qresync) && !enabled.has(Feature::UidOnly));
    }

    #[test]
    fn qresync_brings_condstore_and_not_the_reverse() {
        let mut enabled = Enabled::default();
        enabled.insert(Feature::Condstore);
        assert!(!enabled.has(Feature::Qresync));
        let mut enabled = Enabled::default();
        enabled.insert(Feature::Qresync);
        assert!(enabled.has(Feature::Condstore));
    }

    #[test]
    fn what_is_hidden_or_unknown_or_needs_no_enable_is_ignored() {
        let names = [
            b"X-GOOD-IDEA".to_vec(),
            b"idle".to_vec(),
            b"ENABLE".to_vec(),
        ];
        assert_eq!(wanted(&names, Capabilities::all()), []);
        for row in REGISTRY {
            let Some(feature) = row.enables else {
                continue;
            };
            let names = [row.capability.to_ascii_lowercase().into_bytes()];
            let expected = [(row.capability, feature)];
            assert_eq!(wanted(&names, Capabilities::all()), expected);
            let hidden = Capabilities::NONE.with(row.is);
            assert_eq!(wanted(&names, Capabilities::all().without(hidden)), []);
        }
    }
}
