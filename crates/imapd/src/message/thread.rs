//! Which messages belong together (RFC 8474 §5.2), told from the header of each by itself.
//!
//! A THREADID must never change, and be the same for all copies of a message. So it cannot depend on
//! which other messages there are: it is made from the first message identifier that the message
//! has, in the order of RFC 5256 §3 (REFERENCES): the first of References, which is the beginning of
//! the thread; else the first of In-Reply-To; else its own Message-ID, with which a thread begins.
//!
//! The subject is no part of it. RFC 5256 puts messages together by their references whatever their
//! subjects are, and people translate "Re:" and "Fwd:" in ways that no base subject knows.
//!
//! Where a program writes In-Reply-To without References, an answer to an answer begins another
//! thread, since nothing in it tells of the first message.

use sha2::{Digest, Sha256};

use super::header::{Fields, unfold};
use super::steps;

/// What the messages of a thread have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadKey(u128);

impl ThreadKey {
    /// That of the message with this header; `None` if there is no message identifier in it.
    pub(crate) fn of(header: &[u8]) -> Option<Self> {
        let names: [&[u8]; 3] = [b"References", b"In-Reply-To", b"Message-ID"];
        let mut first = [None; 3];
        for field in Fields::new(header) {
            let place = names.iter().position(|name| field.is(name));
            if let Some(found) = place.and_then(|place| first.get_mut(place)) {
                found.get_or_insert(field.value);
            }
        }
        first.into_iter().flatten().find_map(|value| {
            let digest: [u8; 32] = Sha256::digest(first_id(value)?).into();
            let (kept, _) = digest.split_first_chunk()?;
            Some(Self(u128::from_be_bytes(*kept)))
        })
    }

    /// Makes the record: the number, or nothing if there is none.
    pub(crate) fn record(key: Option<Self>) -> Vec<u8> {
        key.map_or(Vec::new(), |key| key.0.to_be_bytes().to_vec())
    }

    /// Reads the record; `None` if it is none.
    pub(crate) fn read(record: &[u8]) -> Option<Option<Self>> {
        if record.is_empty() {
            return Some(None);
        }
        let number = record.try_into().ok()?;
        Some(Some(Self(u128::from_be_bytes(number))))
    }

    /// The number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// The first message identifier in a value, without angle brackets, quotation marks and white space:
/// senders break long ones, and `<"a"@b>` is `<a@b>` (RFC 5256 §3, REFERENCES).
fn first_id(value: &[u8]) -> Option<Vec<u8>> {
    let value = unfold(value);
    let mut rest: &[u8] = &value;
    while let Some(start) = memchr::memchr(b'<', rest) {
        let inside = rest.get(start + 1..)?;
        let end = memchr::memchr(b'>', inside)?;
        steps::add(end);
        let (inside, behind) = inside.split_at_checked(end)?;
        let is_kept = |octet: &u8| !matches!(octet, b'"' | b' ' | b'\t' | b'<');
        let id: Vec<u8> = inside.iter().copied().filter(is_kept).collect();
        if !id.is_empty() {
            return Some(id);
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_identifier_of_the_conversation_counts() {
        let key = |header: &str| ThreadKey::of(header.as_bytes());
        let first = key("Message-ID: <a@x>\r\n\r\n");
        assert!(first.is_some());
        for header in [
            "Subject: s\r\nmessage-id:\r\n  <a@x> (first)\r\n\r\n",
            "Message-ID: <b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n",
            "In-Reply-To: Your message of \"today\" <a@x>\r\nMessage-ID: <b@x>\r\n\r\n",
            "In-Reply-To: <b@x>\r\nReferences: <a@x>\r\n <b@x>\r\nMessage-ID: <c@x>\r\n\r\n",
            "References: <\"a\"@x>\r\nReferences: <z@x>\r\n\r\n",
            "References: <a\r\n @x> <b@x>\r\n\r\n",
            "References: none\r\nIn-Reply-To: <>\r\nMessage-ID: <a@x>\r\n\r\n",
            "References: <> <a@x>\r\n\r\n",
        ] {
            assert_eq!(key(header), first, "{header:?}");
        }
        assert_ne!(key("Message-ID: <b@x>\r\n\r\n"), first);
        assert_ne!(key("Message-ID: <A@x>\r\n\r\n"), first);
        for header in [
            "",
            "\r\n",
            "Message-ID: a@x\r\n\r\n",
            "References: <a@x\r\n\r\n",
        ] {
            assert_eq!(key(header), None, "{header:?}");
        }
    }

    #[test]
    fn records_come_back_as_they_went() {
        for key in [None, ThreadKey::of(b"Message-ID: <a@x>\r\n\r\n")] {
            assert_eq!(ThreadKey::read(&ThreadKey::record(key)), Some(key));
        }
        assert_eq!(ThreadKey::read(b"0123456789abcde"), None);
    }

    #[test]
    fn hostile_references_take_linear_time() {
        let references = |count: usize| {
            let ids = "<".repeat(count) + &"<>".repeat(count) + &"\"<".repeat(count);
            format!("References: {ids}\r\n\r\n")
        };
        let steps = |count| {
            let header = references(count);
            steps::measure(|| assert_eq!(ThreadKey::of(header.as_bytes()), None))
        };
        let (few, many) = (steps(1_000), steps(10_000));
        assert!(many <= 11 * few, "{few} {many}");
    }
}
