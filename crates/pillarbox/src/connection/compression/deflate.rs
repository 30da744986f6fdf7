//! What a compressed connection knows (RFC 1951), without the connection.
//!
//! This file needs nothing of the rest of the server: a fuzz target has it as it is.

use std::io;
use std::sync::{Mutex, PoisonError};

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};

/// The compressors of a server, lent for one piece of output at a time: there are never more than
/// threads that compress.
#[derive(Debug, Default)]
pub(crate) struct Compressors(Mutex<Vec<Compress>>);

/// What a compressed connection remembers.
pub(crate) struct Compression {
    inflater: Decompress,
    /// What came from the peer and is not inflated yet.
    input: Vec<u8>,
    /// How much of `input` is inflated.
    inflated: usize,
    /// Up to where it may be inflated before the machine has seen what came of that: compression
    /// may end where the peer has flushed its compressor (RFC 8437 §4.1).
    flushed: usize,
    /// How much of the mark of a flush has been seen at `flushed`.
    mark: usize,
    /// Whether the inflater may have more to say without more input.
    pending: bool,
    /// The last octets that were sent, before they were compressed.
    history: Vec<u8>,
}

/// What came of inflating.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inflated {
    /// So many octets, at least one.
    Octets(usize),
    /// Nothing without more input.
    Hungry,
    /// The stream ended with its final block; nothing can follow.
    End,
}

impl Compression {
    /// A connection whose compression begins with `unread` from the peer.
    pub(crate) fn new(unread: Vec<u8>) -> Self {
        Self {
            inflater: Decompress::new(false),
            pending: !unread.is_empty(),
            input: unread,
            inflated: 0,
            flushed: 0,
            mark: 0,
            history: Vec::new(),
        }
    }

    /// Takes what was read from the peer.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        self.pending = true;
    }

    /// Forgets all input.
    pub(crate) fn give_up(&mut self) {
        self.input = Vec::new();
        self.inflated = 0;
        self.flushed = 0;
        self.pending = false;
    }

    /// Whether there may be more without more input.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    /// The octets from the peer that are not inflated.
    pub(crate) fn into_rest(mut self) -> Vec<u8> {
        self.input.split_off(self.inflated.min(self.input.len()))
    }

    /// Goes on to the end of the next flush, or of the input; `false` at the end of the input.
    fn next_flush(&mut self) -> bool {
        let left = self.input.get(self.flushed..).unwrap_or_default();
        let any = !left.is_empty();
        for &octet in left {
            self.flushed += 1;
            self.mark = match (self.mark, octet) {
                (1 | 2, 0) => 2,
                (_, 0) => 1,
                (2, 0xFF) => 3,
                (3, 0xFF) => 4,
                _ => 0,
            };
            if self.mark == 4 {
                break;
            }
        }
        any
    }

    /// Inflates into `piece`, as much as there is and fits. Memory for input is given back when it
    /// is used up.
    ///
    /// # Errors
    /// If the peer sent what is no DEFLATE stream.
    pub(crate) fn inflate(&mut self, piece: &mut [u8]) -> io::Result<Inflated> {
        let mut octets = 0;
        let mut status = Status::Ok;
        loop {
            let (read, written) = (self.inflater.total_in(), self.inflater.total_out());
            let input = self.input.get(self.inflated..self.flushed);
            let input = input.unwrap_or_default();
            let room = piece.get_mut(octets..).unwrap_or_default();
            if status == Status::StreamEnd || room.is_empty() {
                break;
            }
            let flush = FlushDecompress::None;
            status = self.inflater.decompress(input, room, flush)?;
            let read = since(read, self.inflater.total_in());
            let written = since(written, self.inflater.total_out());
            self.inflated += read;
            octets += written;
            if read == 0 && written == 0 && (octets > 0 || !self.next_flush()) {
                break;
            }
        }
        // A piece that is full may have stopped in the middle of what is known already.
        let left = self.inflated < self.input.len();
        self.pending = status == Status::StreamEnd || octets == piece.len() || left && octets > 0;
        if !left {
            self.input = Vec::new();
            self.inflated = 0;
            self.flushed = 0;
        }
        Ok(match (octets, status) {
            (0, Status::StreamEnd) => Inflated::End,
            (0, Status::Ok | Status::BufError) => Inflated::Hungry,
            _ => Inflated::Octets(octets),
        })
    }

    /// Compresses a piece of output so that the peer can inflate all of it at once: it ends with
    /// an empty stored block (RFC 1951 §3.2.4), at the border of an octet.
    ///
    /// # Errors
    /// If the compressor fails, which has no known cause.
    pub(crate) fn deflate(
        &mut self,
        compressors: &Compressors,
        output: &[u8],
    ) -> io::Result<Vec<u8>> {
        let mut compressor = compressors.borrow();
        compressor.reset();
        if !self.history.is_empty() {
            compressor.set_dictionary(&self.history)?;
        }
        let mut deflated = Vec::with_capacity(output.len() / 2 + LEAST_ROOM);
        let mut rest = output;
        loop {
            let before = compressor.total_in();
            compressor.compress_vec(rest, &mut deflated, FlushCompress::Sync)?;
            let taken = since(before, compressor.total_in());
            rest = rest.get(taken..).unwrap_or_default();
            // The flush is complete when it leaves room.
            if rest.is_empty() && deflated.len() < deflated.capacity() {
                break;
            }
            deflated.reserve(deflated.len() / 2 + LEAST_ROOM);
        }
        compressors.give_back(compressor);
        self.remember(output);
        Ok(deflated)
    }

    /// Keeps the end of what was sent.
    fn remember(&mut self, output: &[u8]) {
        let new = output
            .get(output.len().saturating_sub(HISTORY)..)
            .unwrap_or(output);
        let surplus = (self.history.len() + new.len()).saturating_sub(HISTORY);
        self.history.drain(..surplus);
        self.history.reserve_exact(new.len());
        self.history.extend_from_slice(new);
    }
}

impl Compressors {
    /// One that nobody else uses.
    fn borrow(&self) -> Compress {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(|| Compress::new(Level::new(LEVEL), false))
    }

    /// Takes one back, for the next.
    fn give_back(&self, compressor: Compress) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(compressor);
    }
}

/// How far a counter of a stream went on: never further than the length of a slice.
fn since(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

/// Octets of inflated input that the machine is given at once.
pub(crate) const PIECE: usize = 16 * 1024;

/// Octets of what was sent that are kept for the compressor. Headers that are fetched one by one
/// shrink to 29 % with it, to 52 % without, and to 25 % with a compressor of their own.
const HISTORY: usize = 4 * 1024;

/// The level of compression. One more gains 3 % on headers and nothing on bodies, and costs a
/// tenth of the speed.
const LEVEL: u32 = 3;

/// Room for a small answer and its flush.
const LEAST_ROOM: usize = 128;

#[cfg(test)]
#[path = "deflate/tests.rs"] // The same place for whoever includes this file by its path.
mod tests;
