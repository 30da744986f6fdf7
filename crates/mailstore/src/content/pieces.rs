//! A message as it is in its file, piece by piece.

use std::fs::File;
use std::io;

use rustix::buffer::spare_capacity;

/// Reads a message file as it is, up to the size that it had when it was opened.
#[derive(Debug)]
pub struct RawPieces {
    file: File,
    /// How much of the file has not been read.
    left: u64,
    piece: Vec<u8>,
}

impl RawPieces {
    /// Reads `size` octets of a file, from where it stands.
    pub(super) fn new(file: File, size: u64) -> Self {
        Self {
            file,
            left: size,
            piece: Vec::new(),
        }
    }

    /// Reads the next `most` octets into the [`piece`](Self::piece), or as many as are left: none
    /// only at the end. A file that has become shorter ends early.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read_next(&mut self, most: usize) -> io::Result<()> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = left.min(most);
        self.piece.clear();
        self.piece.try_reserve_exact(wanted)?;
        while self.piece.len() < wanted {
            match rustix::io::read(&self.file, spare_capacity(&mut self.piece)) {
                Ok(0) => {
                    self.left = 0;
                    return Ok(());
                }
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // There may have been more room than was wanted.
        self.piece.truncate(left);
        let read = u64::try_from(self.piece.len()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(read);
        Ok(())
    }

    /// What was read last.
    pub fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// Whether all of the file has been read.
    pub fn is_at_end(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::MessageFile;
    use super::*;

    fn opened(directory: &tempfile::TempDir, contents: &[u8]) -> RawPieces {
        let path = directory.path().join("message");
        std::fs::write(&path, contents).unwrap();
        MessageFile::open(&path).unwrap().into_pieces()
    }

    /// All that a reader gives, in pieces of so many octets.
    fn pieces(mut reader: RawPieces, most: usize) -> Vec<u8> {
        let mut read = Vec::new();
        while !reader.is_at_end() {
            reader.read_next(most).unwrap();
            read.extend_from_slice(reader.piece());
        }
        reader.read_next(most).unwrap();
        assert!(reader.piece().is_empty());
        read
    }

    #[test]
    fn pieces_are_as_the_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let raw = b"a\nb\r\n.c\r";
        for most in 1..=raw.len() + 1 {
            assert_eq!(pieces(opened(&directory, raw), most), raw, "by {most}");
        }
        assert!(opened(&directory, b"").is_at_end());
    }

    #[test]
    fn pieces_keep_to_the_size_at_the_opening() {
        let directory = tempfile::tempdir().unwrap();
        for (now, given) in [
            (&b"longer than before"[..], &b"longer"[..]),
            (b"cut", b"cut"),
        ] {
            let reader = opened(&directory, b"before");
            std::fs::write(directory.path().join("message"), now).unwrap();
            assert_eq!(pieces(reader, 64), given);
        }
    }
}
