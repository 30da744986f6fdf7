//! New messages: written to `tmp/` first, then moved into place in one step.

use std::io::{self, Write};
use std::path::PathBuf;

/// A message being written to `tmp/`. Removed when dropped before it was delivered.
#[derive(Debug)]
pub struct Staged {
    _path: PathBuf,
}

impl Staged {
    /// How many octets were written so far.
    pub fn octets(&self) -> u64 {
        todo!()
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
