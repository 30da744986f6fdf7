//! UTF8=ACCEPT (RFC 9755, RFC 6855): mailbox names in UTF-8, and UTF-8 in quoted strings.
//!
//! What a client says may be in UTF-8 at any time: a name with an octet of 8 bits cannot be
//! anything else (RFC 9755 §3). What it hears is in UTF-8 once it has said with ENABLE that it
//! understands that; from then on nothing is modified UTF-7, in either direction.

use mailstore::{Error, MailboxName, NameError, Namespace, normalized};

use super::enable::{Enabled, Feature};
use super::{Capability, Extension, Shown};
use crate::command::Search;
use crate::error::Refused;
use crate::handler::list::Pattern;
use crate::response::PlainCode;
use crate::session::authenticated::Authenticated;
use crate::settings::Utf8Headers;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Utf8Accept,
    capability: "UTF8=ACCEPT",
    rfc: 9755,
    shown: Shown::Always,
    enables: Some(Feature::Utf8Accept),
};

impl Authenticated {
    /// The mailbox that a client names, in whatever form of Unicode (RFC 9051 §5.1).
    ///
    /// # Errors
    /// If the name cannot be a mailbox.
    pub(crate) fn name(&self, name: &[u8]) -> Result<MailboxName, Error> {
        self.account.resolve(self.typed(name)?)
    }

    /// A name as a client writes it.
    ///
    /// # Errors
    /// If it cannot be a mailbox.
    pub(crate) fn typed(&self, name: &[u8]) -> Result<MailboxName, NameError> {
        let beyond_ascii = !name.is_ascii() && self.offered.has(Capability::Utf8Accept);
        // Interop: Thunderbird sends `&` as it is after ENABLE.
        if beyond_ascii || self.enabled.speaks_utf8() {
            self.namespace().parse_utf8(name)
        } else {
            self.namespace().parse(name)
        }
    }

    /// The text of a name, if it can be decoded.
    pub(crate) fn decoded(&self, name: &[u8]) -> Option<String> {
        let beyond_ascii = !name.is_ascii() && self.offered.has(Capability::Utf8Accept);
        if beyond_ascii || self.enabled.speaks_utf8() {
            String::from_utf8(name.to_vec()).ok()
        } else {
            Namespace::decode(name).ok()
        }
    }

    /// The names that a client lists by a pattern.
    pub(crate) fn pattern(&self, wanted: &[u8]) -> NamePattern {
        let separator = self.namespace().separator;
        let utf8 = self.enabled.speaks_utf8() || self.offered.has(Capability::Utf8Accept);
        match str::from_utf8(wanted) {
            Ok(text) if utf8 && !text.is_ascii() => NamePattern {
                pattern: Pattern::new(normalized(text).as_bytes(), separator),
                against: match self.enabled.speaks_utf8() {
                    true => Against::FormC,
                    false => Against::Decoded,
                },
            },
            Ok(_) | Err(_) => NamePattern {
                pattern: Pattern::new(wanted, separator),
                against: Against::Shown,
            },
        }
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

/// Checks the name of a mailbox that a client wants to have. One that another program has given such
/// a name can still be opened.
///
/// # Errors
/// If it has a line or paragraph separator (RFC 9755 §3).
pub(crate) fn check_new(name: &MailboxName) -> Result<(), NameError> {
    match name.as_str().contains(['\u{2028}', '\u{2029}']) {
        true => Err(NameError::Control),
        false => Ok(()),
    }
}

/// A pattern for mailbox names. What it says in UTF-8 is in UTF-8 before ENABLE as well, as in any
/// name (RFC 9755 §3), and in any form of Unicode.
#[derive(Debug)]
pub(crate) struct NamePattern {
    pattern: Pattern,
    against: Against,
}

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug)]
enum Against {
    /// Names as the client is told of them.
    Shown,
    /// These in normalization form C.
    FormC,
    /// The same, out of modified UTF-7.
    Decoded,
}

impl NamePattern {
    /// Whether the pattern fits a name as the client is told of it.
    pub(crate) fn matches(&self, shown: &str) -> bool {
        let fits = |name: &str| self.pattern.matches(normalized(name).as_bytes());
        match self.against {
            Against::Shown => self.pattern.matches(shown.as_bytes()),
            Against::FormC => fits(shown),
            Against::Decoded => Namespace::decode_display(shown).is_some_and(|name| fits(&name)),
        }
    }

    /// Whether `%` may hide names below those that match.
    pub(crate) fn has_level_wildcard(&self) -> bool {
        self.pattern.has_level_wildcard()
    }
}

impl Enabled {
    /// Whether mailbox names are UTF-8.
    pub(crate) const fn speaks_utf8(self) -> bool {
        self.has(Feature::Utf8Accept) || self.has(Feature::ImapRev2)
    }
}

/// Which octets the header of a message that is appended may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderOctets {
    /// Of 7 bits: the client has not said that it knows of others (RFC 9755 §4).
    SevenBit,
    /// Of 8 bits as well.
    EightBit,
}

/// What a client may append. A server without UTF8=ACCEPT has nothing to refuse by.
pub(crate) fn header_octets(account: &Authenticated, policy: Utf8Headers) -> HeaderOctets {
    let is_told = account.offered.has(Capability::Utf8Accept);
    match policy {
        Utf8Headers::Refuse if is_told && !account.enabled.speaks_utf8() => HeaderOctets::SevenBit,
        Utf8Headers::Refuse | Utf8Headers::Take => HeaderOctets::EightBit,
    }
}

/// A look at the octets of a message as they come, as long as they are of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderWatch {
    /// A line begins, or is empty so far.
    LineStart,
    /// Within a line.
    Line,
    /// What comes now may be anything.
    Over,
}

impl HeaderWatch {
    /// The look at a message that has not begun.
    pub(crate) const fn new(header: HeaderOctets) -> Self {
        match header {
            HeaderOctets::SevenBit => Self::LineStart,
            HeaderOctets::EightBit => Self::Over,
        }
    }

    /// Looks at the next octets.
    ///
    /// # Errors
    /// `NO` if the header has an octet of 8 bits (RFC 9755 §4).
    pub(crate) fn check(&mut self, octets: &[u8]) -> Result<(), Refused> {
        for &octet in octets {
            *self = match (*self, octet) {
                (Self::Over, _) => return Ok(()),
                (Self::LineStart, b'\n') => Self::Over,
                (Self::LineStart, b'\r') | (Self::Line, b'\n') => Self::LineStart,
                (Self::LineStart | Self::Line, 0x80..) => {
                    let text = "Header has octets of 8 bits; ENABLE UTF8=ACCEPT first";
                    return Err(Refused::no(PlainCode::Cannot, text));
                }
                (Self::LineStart | Self::Line, _) => Self::Line,
            };
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_of_8_bits_are_found_in_headers_only() {
        let table: [(&[u8], bool); 9] = [
            (b"Subject: x\r\n\r\n\xc3\xbc\r\n", true),
            (b"Subject: x\n\n\xc3\xbc\n", true),
            (b"\r\n\xc3\xbc", true),
            (b"Subject: x\r\n", true),
            (b"", true),
            (b"Subject: \xc3\xbc\r\n\r\n", false),
            (b"Subject: x\r\n \xfc", false),
            (b"\xfc", false),
            (b"A: b\r\nC\xfc: d\r\n\r\n", false),
        ];
        for (message, allowed) in table {
            // However it is cut into pieces.
            for size in 1..=message.len().max(1) {
                let mut strict = HeaderWatch::new(HeaderOctets::SevenBit);
                let mut pieces = message.chunks(size);
                let checked = pieces.try_for_each(|piece| strict.check(piece));
                assert_eq!(checked.is_ok(), allowed, "{}", message.escape_ascii());
                let mut open = HeaderWatch::new(HeaderOctets::EightBit);
                assert!(open.check(message).is_ok());
            }
        }
    }
}
