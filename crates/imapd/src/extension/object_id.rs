//! OBJECTID (RFC 8474): names for mailboxes and messages that outlive renaming, moving and copying.
//!
//! - MAILBOXID is the number that the index has for its mailbox, Dovecot's GUID after a takeover.
//! - EMAILID is told by the store, which knows what is a copy of what; nothing is read for it.
//! - THREADID is made from the header of the message (`message::thread`), and kept with what else is
//!   kept of it. A message without any message identifier is a thread of its own, by its EMAILID.
//!
//! Each kind has a letter of its own before its digits (RFC 8474 §5.2, §8.1), and all letters behind
//! it are small, so that no two ids differ by case alone.

use mailstore::EmailId;

use super::{Capability, Extension, Shown};
use crate::message::ThreadKey;
use crate::response::Code;
use crate::session::authenticated::Authenticated;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ObjectId,
    capability: "OBJECTID",
    rfc: 8474,
    shown: Shown::Always,
    enables: None,
};

/// An object identifier, which is of one of three kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectId {
    /// MAILBOXID (RFC 8474 §4).
    Mailbox(u128),
    /// EMAILID (RFC 8474 §5.1).
    Email(EmailId),
    /// THREADID (RFC 8474 §5.2) of messages that have this in common.
    Thread(ThreadKey),
    /// THREADID of a message that is a thread of its own.
    Alone(EmailId),
}

impl ObjectId {
    /// THREADID of a message, by what its header says.
    pub(crate) fn of_thread(key: Option<ThreadKey>, email: EmailId) -> Self {
        key.map_or(Self::Alone(email), Self::Thread)
    }

    /// Writes `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7).
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let (kind, number) = match self {
            Self::Mailbox(id) => ("F", id),
            Self::Email(id) => ("M", id.get()),
            Self::Thread(key) => ("T", key.get()),
            // Whoever knows nothing of a message but one of the two does not know the other.
            Self::Alone(id) => ("A", id.get()),
        };
        out.extend_from_slice(kind.as_bytes());
        for nibble in (0..32).rev() {
            let digit = (number >> (4 * nibble)) & 0xf;
            let digit = u32::try_from(digit).ok();
            let digit = digit.and_then(|digit| char::from_digit(digit, 16));
            out.extend(digit.and_then(|digit| u8::try_from(digit).ok()));
        }
    }

    /// Whether it is the one that a client has written; letter case counts (RFC 8474 §7).
    pub(crate) fn is(self, written: &[u8]) -> bool {
        let mut own = Vec::with_capacity(LENGTH);
        self.write(&mut own);
        own == written
    }
}

/// The identity of a mailbox that has just been made (RFC 8474 §4.1), if this client is to know.
pub(crate) fn created(account: &Authenticated, name: &[u8]) -> Option<Code> {
    if !account.offered.has(Capability::ObjectId) {
        return None;
    }
    let place = account.place(name).ok()?;
    let mailbox = place.account.open(&place.name).ok()?;
    let id = mailbox.snapshot().mailbox_id();
    Some(Code::MailboxId(ObjectId::Mailbox(id)))
}

/// How long an id is as it is written.
const LENGTH: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_with_their_kind() {
        let written = |id: ObjectId| {
            let mut out = Vec::new();
            id.write(&mut out);
            assert_eq!(out.len(), LENGTH);
            assert!(id.is(&out) && !id.is(&out.to_ascii_uppercase()));
            String::from_utf8(out).unwrap()
        };
        let digits = "00f0000000000000000000000000beef";
        let email = EmailId::parse(digits.as_bytes()).unwrap();
        assert_eq!(
            written(ObjectId::Mailbox(email.get())),
            format!("F{digits}")
        );
        assert_eq!(written(ObjectId::Email(email)), format!("M{digits}"));
        let alone = ObjectId::of_thread(None, email);
        assert_eq!(written(alone), format!("A{digits}"));
    }
}
