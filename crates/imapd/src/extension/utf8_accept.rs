//! UTF8=ACCEPT (RFC 9755, RFC 6855): mailbox names in UTF-8, and UTF-8 in quoted strings.
//!
//! What a client says may be in UTF-8 at any time: a name with an octet of 8 bits cannot be
//! anything else (RFC 9755 §3). What it hears is in UTF-8 once it has said with ENABLE that it
//! understands that; from then on nothing is modified UTF-7, in either direction.

use mailstore::{MailboxName, NameError};

use super::enable::{Enabled, Feature};
use super::{Capability, Extension, Shown};
use crate::command::Search;
use crate::error::Refused;
use crate::session::authenticated::Authenticated;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Utf8Accept,
    capability: "UTF8=ACCEPT",
    rfc: 9755,
    shown: Shown::Always,
    enables: Some(Feature::Utf8Accept),
};

impl Authenticated {
    /// The mailbox that a client names.
    ///
    /// # Errors
    /// If the name cannot be a mailbox.
    pub(crate) fn name(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        let beyond_ascii = !name.is_ascii() && self.offered.has(Capability::Utf8Accept);
        // Interop: Thunderbird sends `&` as it is after ENABLE.
        if beyond_ascii || self.enabled.speaks_utf8() {
            self.namespace().parse_utf8(name)
        } else {
            self.namespace().parse(name)
        }
    }

    /// A mailbox that a client wants to have.
    ///
    /// # Errors
    /// Also if the name has a line or paragraph separator (RFC 9755 §3). A mailbox that another
    /// program has given such a name can still be opened.
    pub(crate) fn new_name(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        let name = self.name(name)?;
        if name.as_str().contains(['\u{2028}', '\u{2029}']) {
            return Err(NameError::Control);
        }
        Ok(name)
    }

    /// A mailbox as this client is told of it.
    pub(crate) fn shown(&self, name: &MailboxName) -> String {
        if self.enabled.speaks_utf8() {
            self.namespace().display_utf8(name)
        } else {
            self.namespace().display(name)
        }
    }

    /// What names begin with, as this client is told of it.
    pub(crate) fn shown_prefix(&self) -> String {
        if self.enabled.speaks_utf8() {
            self.namespace().prefix.clone()
        } else {
            self.namespace().display_prefix()
        }
    }
}

impl Enabled {
    /// Whether mailbox names are UTF-8.
    pub(crate) const fn speaks_utf8(self) -> bool {
        self.has(Feature::Utf8Accept) || self.has(Feature::ImapRev2)
    }
}

/// Refuses a charset where all strings are UTF-8 already (RFC 9755 §3).
///
/// # Errors
/// `BAD` if the search names one.
pub(crate) fn check_charset(search: &Search, enabled: Enabled) -> Result<(), Refused> {
    if search.charset.is_some() && enabled.has(Feature::Utf8Accept) {
        return Err(Refused::bad("expected no charset after ENABLE UTF8=ACCEPT"));
    }
    Ok(())
}
