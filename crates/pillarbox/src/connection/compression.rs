//! DEFLATE in both directions of a connection (RFC 4978, RFC 1951).
//!
//! A compressor is large (about 270 KiB) and needs little of what it knows: every piece of output
//! ends with a flush, where a new one may begin, and all that it profits from is the text that the
//! peer can still refer to. A connection therefore holds no compressor, but the last few KiB
//! that it sent; a compressor is lent for each piece of output and primed with them.
//!
//! The inflater stays with its connection: the peer may refer to the last 32 KiB that it sent.
//! Inflated input comes in pieces of bounded size, so that what was compressed to nearly nothing
//! costs no more than what was not compressed.

mod deflate;

use std::io;

use auth::{Credential, Verdict};
use machine::{Event, Machine};
use tokio::task::yield_now;
use tracing::debug;

use super::{Brought, Connection, Ended, Input, Transport};
pub(crate) use deflate::{Compression, Compressors};
use deflate::{Inflated, PIECE};

impl<M, T> Connection<M, T>
where
    M: Machine<Credential = Credential, Verdict = Verdict>,
    T: Transport,
{
    /// Compresses both directions from here on, beginning with what the machine has `unread`.
    pub(super) fn start_compression(&mut self, mut unread: Vec<u8>) {
        unread.append(&mut self.ahead);
        self.compression = Some(Box::new(Compression::new(unread)));
    }

    /// Compresses no more, if it did: the stream to the peer gets its end, and what came behind the
    /// last flush of the peer is as it is.
    pub(super) async fn end_compression(&mut self) -> io::Result<()> {
        let Some(compression) = self.compression.take() else {
            return Ok(());
        };
        self.ahead = compression.into_rest();
        self.stream.send(&FINAL_BLOCK).await
    }

    /// Takes what was read; tells the machine, or as much of it as one piece of inflated input.
    pub(super) fn take_in(&mut self, bytes: &[u8]) -> Result<Brought, Ended> {
        let Some(compression) = &mut self.compression else {
            self.tell(Event::Bytes(bytes))?;
            return Ok(Brought::News);
        };
        compression.push(bytes);
        self.inflate()
    }

    /// Tells the machine the next piece of what has been read already.
    pub(super) async fn inflate_more(&mut self) -> Result<Brought, Ended> {
        let compression = self.compression.as_ref();
        if !compression.is_some_and(|compression| compression.is_pending()) {
            return Ok(Brought::Nothing);
        }
        // A little input may become very much: others go in between.
        yield_now().await;
        self.inflate()
    }

    /// Inflates one piece and tells the machine. A peer whose stream is damaged or has ended is
    /// one that has gone, but for what it may still send.
    fn inflate(&mut self) -> Result<Brought, Ended> {
        let Some(compression) = &mut self.compression else {
            return Ok(Brought::Nothing);
        };
        let mut piece = [0; PIECE];
        match compression.inflate(&mut piece) {
            Ok(Inflated::Octets(octets)) => {
                self.tell(Event::Bytes(piece.get(..octets).unwrap_or_default()))?;
                return Ok(Brought::News);
            }
            Ok(Inflated::Hungry) => return Ok(Brought::Nothing),
            Ok(Inflated::End) => debug!("compressed input ended"),
            Err(error) => debug!(%error, "compressed input is damaged"),
        }
        compression.give_up();
        self.input = Input::Refused;
        self.tell(Event::Eof)?;
        Ok(Brought::News)
    }

    /// Deflates output, if it is to be.
    pub(super) async fn deflate(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(compression) = &mut self.compression else {
            return Ok(bytes);
        };
        let deflated = compression.deflate(&self.services.compressors, &bytes)?;
        if bytes.len() > PIECE {
            // It took about a tenth of a millisecond for each 16 KiB: what this thread was given
            // meanwhile goes first.
            yield_now().await;
        }
        Ok(deflated)
    }
}

/// What a DEFLATE stream ends with at the border of an octet: a final block with nothing in it
/// (RFC 1951 §3.2.3).
const FINAL_BLOCK: [u8; 2] = [0x03, 0x00];
