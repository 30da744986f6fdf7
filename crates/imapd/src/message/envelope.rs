//! ENVELOPE (RFC 3501 §7.4.2).

use std::sync::Arc;

use super::address::{self, Address};
use super::header::{Field, Fields};
use super::mime::{Parsed, Part};
use super::{Budget, steps};
use crate::encode::string::nstring;

/// The envelope structure of a message: header text, unfolded and otherwise raw.
///
/// Of a field that may stand once, the first counts. Address fields that are repeated are joined,
/// so that no address hides in the second one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date; empty, not `None`, if the field is there without a value. So are the other strings.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Arc<[Address]>,
    /// Sender, by default From.
    pub sender: Arc<[Address]>,
    /// Reply-To, by default From.
    pub reply_to: Arc<[Address]>,
    /// To.
    pub to: Arc<[Address]>,
    /// Cc.
    pub cc: Arc<[Address]>,
    /// Bcc.
    pub bcc: Arc<[Address]>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

impl Parsed {
    /// The envelope of the message.
    pub fn envelope(&self, message: &[u8]) -> Envelope {
        envelope(self.root(), message, &mut Budget::new())
    }
}

impl Envelope {
    /// The envelope by the header alone; what follows the blank line is not looked at.
    pub fn of_header(header: &[u8]) -> Self {
        of_header(header, &mut Budget::new())
    }
}

/// The envelope of the message whose part that is.
pub(super) fn envelope(part: Part, message: &[u8], budget: &mut Budget) -> Envelope {
    of_header(message.get(part.header()).unwrap_or_default(), budget)
}

fn of_header(header: &[u8], budget: &mut Budget) -> Envelope {
    let mut draft = Draft::default();
    for field in Fields::new(header) {
        draft.add(&field, budget);
    }
    draft.finish()
}

/// Writes `envelope` (RFC 3501 §9).
pub fn write_envelope(envelope: &Envelope, out: &mut Vec<u8>) {
    out.push(b'(');
    nstring(out, envelope.date.as_deref());
    out.push(b' ');
    nstring(out, envelope.subject.as_deref());
    for list in [
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ] {
        out.push(b' ');
        write_addresses(list, out);
    }
    out.push(b' ');
    nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

/// Writes `"(" 1*address ")" / nil`.
fn write_addresses(addresses: &[Address], out: &mut Vec<u8>) {
    if addresses.is_empty() {
        return nstring(out, None);
    }
    out.push(b'(');
    for address in addresses {
        steps::add(1);
        out.push(b'(');
        nstring(out, address.name.as_deref());
        out.push(b' ');
        nstring(out, address.route.as_deref());
        out.push(b' ');
        nstring(out, address.mailbox.as_deref());
        out.push(b' ');
        nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

/// An envelope whose fields are still coming in.
#[derive(Default)]
struct Draft {
    date: Option<Vec<u8>>,
    subject: Option<Vec<u8>>,
    from: Vec<Address>,
    sender: Vec<Address>,
    reply_to: Vec<Address>,
    to: Vec<Address>,
    cc: Vec<Address>,
    bcc: Vec<Address>,
    in_reply_to: Option<Vec<u8>>,
    message_id: Option<Vec<u8>>,
}

impl Draft {
    /// Takes a field if it belongs to the envelope.
    fn add(&mut self, field: &Field<'_>, budget: &mut Budget) {
        let text = if field.is(b"Date") {
            &mut self.date
        } else if field.is(b"Subject") {
            &mut self.subject
        } else if field.is(b"In-Reply-To") {
            &mut self.in_reply_to
        } else if field.is(b"Message-ID") {
            &mut self.message_id
        } else {
            if let Some(addresses) = self.addresses(field) {
                address::parse(field.value, budget, addresses);
            }
            return;
        };
        if text.is_none() {
            *text = Some(field.unfolded().into_owned());
        }
    }

    /// The list that an address field adds to.
    fn addresses(&mut self, field: &Field<'_>) -> Option<&mut Vec<Address>> {
        if field.is(b"From") {
            Some(&mut self.from)
        } else if field.is(b"To") {
            Some(&mut self.to)
        } else if field.is(b"Cc") {
            Some(&mut self.cc)
        } else if field.is(b"Sender") {
            Some(&mut self.sender)
        } else if field.is(b"Reply-To") {
            Some(&mut self.reply_to)
        } else if field.is(b"Bcc") {
            Some(&mut self.bcc)
        } else {
            None
        }
    }

    /// The envelope, with the defaults of Sender and Reply-To.
    fn finish(self) -> Envelope {
        let from: Arc<[Address]> = self.from.into();
        let or_from = |addresses: Vec<Address>| {
            if addresses.is_empty() {
                Arc::clone(&from)
            } else {
                addresses.into()
            }
        };
        Envelope {
            date: self.date,
            subject: self.subject,
            sender: or_from(self.sender),
            reply_to: or_from(self.reply_to),
            to: self.to.into(),
            cc: self.cc.into(),
            bcc: self.bcc.into(),
            in_reply_to: self.in_reply_to,
            message_id: self.message_id,
            from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(message: &str) -> String {
        let mut out = Vec::new();
        let envelope = Parsed::new(message.as_bytes()).envelope(message.as_bytes());
        assert_eq!(Envelope::of_header(message.as_bytes()), envelope);
        write_envelope(&envelope, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn absent_is_nil_and_empty_is_empty() {
        assert_eq!(wire("\r\n"), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            wire("Date:\r\nSubject: \r\nFrom:\r\nTo: \r\nIn-Reply-To:\r\nMessage-ID:\r\n\r\n"),
            "(\"\" \"\" NIL NIL NIL NIL NIL NIL \"\" \"\")"
        );
    }

    #[test]
    fn sender_and_reply_to_default_to_from() {
        assert_eq!(
            wire("From: A <a@b>\r\nSender:\r\nReply-To: r@s\r\n\r\n"),
            "(NIL NIL ((\"A\" NIL \"a\" \"b\")) ((\"A\" NIL \"a\" \"b\")) ((NIL NIL \"r\" \"s\")) \
             NIL NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn text_is_raw_and_unfolded() {
        assert_eq!(
            wire("subject: =?utf-8?q?=C3=A9?=\r\n\tb \"c\"\r\nSubject: second\r\n\r\n"),
            "(NIL \"=?utf-8?q?=C3=A9?=\tb \\\"c\\\"\" NIL NIL NIL NIL NIL NIL NIL NIL)"
        );
        assert_eq!(
            wire("Subject: \u{e9}\r\n\r\n"),
            "(NIL {2}\r\n\u{e9} NIL NIL NIL NIL NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn repeated_address_fields_are_joined() {
        assert_eq!(
            wire("To: a@b\r\nSubject: x\r\nTo: c@d\r\n\r\n"),
            "(NIL \"x\" NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"d\")) NIL NIL NIL NIL)"
        );
    }
}
