//! One message as FETCH and SEARCH see it.
//!
//! Everything here is a pure function of the message's octets in CRLF form. [`Parsed::new`] goes
//! over them once and keeps a flat tree of offsets; the views are made from it on demand:
//!
//! - [`Parsed::envelope`] and [`Parsed::body_structure`] give header text raw: unfolded, and
//!   without RFC 5322 quoting where RFC 3501 §7.4.2 says so; decoded are only parameters, for
//!   IMAP4rev2 (RFC 9051 §7.5.2);
//! - [`Parsed::section`] finds the octets of a body section (RFC 3501 §6.4.5);
//! - [`Parsed::header_contains`], [`Parsed::body_contains`] and [`Parsed::text_contains`] search
//!   decoded text (RFC 3501 §6.4.4).
//!
//! What listing and searching need most is also made into records ([`Record`]), which the store
//! keeps.
//!
//! Any octets are a message. Time is linear in their number and memory is bounded (S32): see
//! [`MAX_LEVELS`], [`MAX_PARTS`] and [`MAX_ITEMS`]. What is beyond a limit is opaque, and what is
//! sent is well-formed all the same (S33).

mod address;
mod body_structure;
mod charset;
mod continuation;
mod date;
mod decoder;
mod encoded_word;
mod envelope;
mod header;
mod media;
mod mime;
mod preview;
mod record;
mod section;
mod steps;
mod structures;
mod text;
mod thread;
mod token;
mod transcoding;
mod transfer;

pub use address::Address;
pub use body_structure::{
    BodyStructure, Content, Disposition, Extension, Form, Multipart, Single, write_body_structure,
};
pub use charset::decode as decode_charset;
pub use decoder::{Decoder, Encoding, Undecodable};
pub use envelope::{Envelope, write_envelope};
pub use header::Header;
pub use media::Parameter;
pub use mime::{Implied, Kind, MAX_LEVELS, MAX_PARTS, Parsed, Part};
pub(crate) use preview::{FIRST, MOST, preview, preview_of_beginning};
pub use record::{Listed, Record, Summary};
pub use section::{SectionOctets, part_of};
pub use text::Needle;
pub use thread::ThreadKey;
pub use transcoding::Transcoding;

pub use crate::extension::imap_rev2::Revision;

/// How many addresses, parameters and language tags one ENVELOPE or BODYSTRUCTURE holds, those of
/// nested messages included. The rest is left out (S32).
pub const MAX_ITEMS: usize = 25_000;

/// What is left of [`MAX_ITEMS`].
#[derive(Debug)]
struct Budget(usize);

impl Budget {
    /// The whole of it.
    fn new() -> Self {
        Self(MAX_ITEMS)
    }

    /// Takes one item; `false` if there are none left.
    fn take(&mut self) -> bool {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
