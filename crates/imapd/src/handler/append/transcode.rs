//! Messages with octets that IMAP and the store have no way to keep (RFC 3516 §4.4).
//!
//! A message that came as a `literal8` may have NUL, which no literal can hold, and the lone CR and
//! LF of binary data, which stored text does not keep. The parts that have them are encoded as
//! base64, and only they: nothing is lost, and FETCH of BODY and BODYSTRUCTURE tell one thing
//! (RFC 3516 §6). Elsewhere than in a part, in a header say, they cannot be kept.

use mailstore::{Appending, Mailbox};

use super::upload::not_written;
use crate::error::Refused;
use crate::message::{Transcoding, Undecodable};
use crate::response::{Code, Completion};

/// Encodes what has to be encoded of a message that is whole.
///
/// # Errors
/// `NO [UNKNOWN-CTE]` if it cannot be kept, or if it cannot be read or written.
pub(super) fn transcode(mailbox: &Mailbox, message: &mut Appending) -> Result<(), Refused> {
    let octets = message.staged.read()?;
    let transcoding = Transcoding::new(&octets).map_err(|Undecodable| {
        let text = "Message has NUL where it cannot be encoded";
        Refused(Completion::no(text).with(Code::UnknownCte))
    })?;
    if transcoding.is_needed() {
        let mut staged = mailbox.stage()?;
        transcoding.write(&mut staged).map_err(not_written)?;
        message.staged = staged;
    }
    Ok(())
}

/// A look at the octets of a message as they come: most have nothing that could have to be encoded,
/// and need not be read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OctetWatch {
    found: bool,
    /// The last octet was a CR.
    after_cr: bool,
}

impl OctetWatch {
    /// Looks at the next octets.
    pub(super) fn look(&mut self, octets: &[u8]) {
        for &octet in octets {
            let lone = (octet == b'\n') != self.after_cr;
            self.found |= octet == 0 || lone;
            self.after_cr = octet == b'\r';
        }
    }

    /// Whether there was a NUL, or a CR or LF without the other.
    pub(super) fn may_need_encoding(self) -> bool {
        self.found || self.after_cr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_to_be_encoded_is_found_however_it_is_cut() {
        let rows: [(&[u8], bool); 8] = [
            (b"", false),
            (b"a\r\nb\r\n\r\n", false),
            (b"a\nb", true),
            (b"\n", true),
            (b"a\rb", true),
            (b"a\r", true),
            (b"a\r\r\n", true),
            (b"a\0", true),
        ];
        for (octets, expected) in rows {
            for size in 1..=octets.len().max(1) {
                let mut watch = OctetWatch::default();
                octets.chunks(size).for_each(|chunk| watch.look(chunk));
                assert_eq!(watch.may_need_encoding(), expected, "{octets:?} {size}");
            }
        }
    }
}
