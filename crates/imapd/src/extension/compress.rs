//! COMPRESS=DEFLATE (RFC 4978): less octets on the wire.
//!
//! The driver does the work, see [`Effect::Compress`](machine::Effect::Compress). The session ends
//! its interpretation of the input at the line end of the command: what came behind it goes back to
//! the driver unread. A client that wrongly sends a further command in the clear before it has seen
//! the OK (RFC 4978 §3) therefore never has it taken for a command.

use super::{Capability, Extension, Shown};
use crate::response::{Code, Completion};
use crate::session::{Activity, Session};
use crate::types::Tag;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Compress,
    capability: "COMPRESS=DEFLATE",
    rfc: 4978,
    shown: Shown::Always,
    enables: None,
};

/// Whether a connection is compressed. There is no way back (RFC 4978 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// It is not.
    Off,
    /// It is, behind the tagged OK.
    Deflate,
}

impl Session {
    /// COMPRESS (RFC 4978 §3). It is `BAD` where COMPRESS is active already; `NO` would be for
    /// another layer that compresses, and TLS never does here.
    pub(crate) fn compress(&mut self, tag: Tag) {
        if self.compression == Compression::Deflate {
            let refusal = Completion::bad("DEFLATE is active already");
            return self.complete(tag, refusal.with(Code::CompressionActive));
        }
        self.compression = Compression::Deflate;
        self.activity = Activity::StartingCompression;
        self.complete(tag, Completion::ok("DEFLATE active"));
    }
}
