//! The bytes of a message, always in CRLF form.

use std::fs::File;
use std::io::{self, Read};

use crate::error::Result;

/// An open message file. Stays readable when the message is expunged or renamed meanwhile.
#[derive(Debug)]
pub struct MessageFile {
    _file: File,
}

impl MessageFile {
    /// The size of the file in octets, before any conversion.
    pub fn physical_size(&self) -> u64 {
        todo!()
    }

    /// The whole message in CRLF form. A bare LF becomes CRLF; a CRLF stays; a bare CR stays.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read_crlf(self) -> Result<Vec<u8>> {
        todo!()
    }

    /// Reads the message in CRLF form piece by piece, for messages too large for memory.
    pub fn into_reader(self) -> CrlfReader {
        todo!()
    }
}

/// Reads a message file, giving CRLF line ends.
#[derive(Debug)]
pub struct CrlfReader {
    _file: File,
}

impl Read for CrlfReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = buffer;
        todo!()
    }
}
