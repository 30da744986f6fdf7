//! The client's side of COMPRESS (RFC 4978): raw DEFLATE over any stream.

use std::fmt;
use std::io::{self, Read, Write};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// What both directions of a connection remember.
pub(crate) struct Deflate {
    compressor: Compress,
    inflater: Decompress,
    inflated: Vec<u8>,
}

impl Deflate {
    /// A connection that is compressed from here on.
    pub(crate) fn new() -> Self {
        Self {
            compressor: Compress::new(Compression::default(), false),
            inflater: Decompress::new(false),
            inflated: Vec::new(),
        }
    }

    /// Reads and inflates.
    pub(crate) fn read(&mut self, from: &mut impl Read, to: &mut [u8]) -> io::Result<usize> {
        let mut compressed = [0; 16 * 1024];
        while self.inflated.is_empty() {
            let read = from.read(&mut compressed)?;
            if read == 0 {
                return Ok(0);
            }
            self.inflate(compressed.get(..read).unwrap_or_default())?;
        }
        let ready = to.len().min(self.inflated.len());
        for (octet, slot) in self.inflated.drain(..ready).zip(to) {
            *slot = octet;
        }
        Ok(ready)
    }

    /// Inflates all of this.
    fn inflate(&mut self, mut compressed: &[u8]) -> io::Result<()> {
        let none = FlushDecompress::None;
        loop {
            self.inflated.reserve(64 * 1024);
            let before = self.inflater.total_in();
            self.inflater
                .decompress_vec(compressed, &mut self.inflated, none)?;
            let taken = usize::try_from(self.inflater.total_in() - before);
            let taken = taken.map_err(io::Error::other)?;
            compressed = compressed.get(taken..).unwrap_or_default();
            let full = self.inflated.len() == self.inflated.capacity();
            if compressed.is_empty() && !full {
                return Ok(());
            }
        }
    }

    /// Deflates and writes all of this, with nothing left in the compressor.
    pub(crate) fn write(&mut self, to: &mut impl Write, mut bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len();
        let mut compressed = Vec::new();
        loop {
            compressed.reserve(bytes.len() + 64);
            let before = self.compressor.total_in();
            let sync = FlushCompress::Sync;
            self.compressor.compress_vec(bytes, &mut compressed, sync)?;
            let taken = usize::try_from(self.compressor.total_in() - before);
            bytes = bytes
                .get(taken.map_err(io::Error::other)?..)
                .unwrap_or_default();
            if bytes.is_empty() && compressed.len() < compressed.capacity() {
                break;
            }
        }
        to.write_all(&compressed)?;
        Ok(length)
    }
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflate")
    }
}
