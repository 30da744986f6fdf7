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
