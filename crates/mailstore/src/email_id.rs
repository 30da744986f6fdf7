//! What tells that two messages have the same content (RFC 8474 §5.1), also in different mailboxes.
//!
//! A message has such an id from the beginning, without a look at its bytes: a digest of the base of
//! its file name, which nobody gives twice; or of the GUID that another server has given it, which
//! Dovecot lets copies keep. Dovecot's default GUID is that base, too, so that a message which it
//! has copied and its copy have one id.
//!
//! A copy needs a file name of its own, so the id of what it was copied from is in that name:
//!
//! ```text
//! <sec>.M<usec>P<pid>Q<counter>R<random>.<host>[,S=<octets>][,W=<octets>],E=<32 hexadecimal digits>
//! ```
//!
//! There it is where the message is, and not in a second place that could be lost or contradict it:
//! it outlives the index, a crash between the link and the index, a move by another program, and the
//! way to Dovecot and back. To other programs it is a part of the base, which they leave alone. Only
//! copies pay for it, 35 octets each; to know the ids of all messages takes no more than their names.
//!
//! The digest is SHA-256, of which 128 bits are kept. Those who could try to make two messages with
//! one id are those who may write into the Maildir.

use std::fmt;

use sha2::{Digest, Sha256};

/// Identifies the content of a message: its copies have the same, and no other message
/// (RFC 8474 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailId(u128);

impl EmailId {
    /// That of the message whose file name has this base, or that has this GUID.
    pub(crate) fn of(base: &[u8]) -> Self {
        written_in(base).unwrap_or_else(|| {
            let digest: [u8; 32] = Sha256::digest(base).into();
            let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
            Self(u128::from_be_bytes(*first))
        })
    }

    /// The number.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Reads the 32 digits; `None` if it is anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_digit = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != DIGITS || !text.iter().all(is_digit) {
            return None;
        }
        let text = str::from_utf8(text).ok()?;
        u128::from_str_radix(text, 16).ok().map(Self)
    }

    /// The first part of a copy's name, which is to say what it is a copy of.
    pub(crate) fn written_to(self, mut base: String) -> String {
        base.push_str(FIELD);
        base.push_str(&self.to_string());
        base
    }
}

impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The id that the base of a copy has.
fn written_in(base: &[u8]) -> Option<EmailId> {
    let fields = base.split(|octet| *octet == b',').skip(1);
    let mut ids = fields.filter_map(|field| EmailId::parse(field.strip_prefix(b"E=")?));
    ids.next()
}

/// How the field of a name begins.
const FIELD: &str = ",E=";
/// How long an id is in it.
const DIGITS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_that_of_the_base() {
        let id = EmailId::of(b"1.M2P3.host,S=4");
        assert_ne!(id, EmailId::of(b"1.M2P4.host,S=4"));
        assert_eq!(id.to_string(), "6d1005278666170e3b20b679a2b82391");
        assert_eq!(EmailId::parse(id.to_string().as_bytes()), Some(id));
    }

    #[test]
    fn a_copy_says_what_it_is_a_copy_of() {
        let id = EmailId::of(b"1.M2P3.host,S=4");
        let copy = id.written_to("5.M6P7.host,S=4,W=5".to_owned());
        assert_eq!(EmailId::of(copy.as_bytes()), id);
        assert_eq!(EmailId::of(format!("{copy},U=7").as_bytes()), id);
        let digits = "0123456789abcdef0123456789abcdef";
        let own = |name: &str| EmailId::of(name.as_bytes()).to_string() != digits;
        assert!(!own(&format!("1.host,E={digits}")));
        for name in [
            format!("1.host,E={digits}0"),
            format!("1.host,E={}", digits.trim_start_matches('0')),
            format!("1.host,E={}", digits.to_uppercase()),
            format!("1.host,E=+{}", digits.trim_start_matches('0')),
            format!("E={digits}"),
        ] {
            assert!(own(&name), "{name}");
        }
    }
}
