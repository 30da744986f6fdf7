//! The bytes of a message, always in CRLF form.
//!
//! Files come with LF or with CRLF line ends, or both; a client only ever sees CRLF (RFC 5322
//! §2.3), and every size and offset is of that form. A bare LF becomes CRLF, a CRLF stays, and so
//! does a bare CR.

use std::fs::File;
use std::io::{self, Read, Take};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::Result;
use crate::replace::{failed, open_regular};

/// An open message file. Stays readable when the message is expunged or renamed meanwhile.
#[derive(Debug)]
pub struct MessageFile {
    file: File,
    size: u64,
    modified: i64,
}

impl MessageFile {
    /// Opens a regular file and nothing else, without following a link or waiting for a FIFO.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        use std::os::unix::fs::MetadataExt;

        let file = open_regular(path, OFlags::RDONLY)?;
        let metadata = file.metadata().map_err(failed(path))?;
        Ok(Self {
            size: metadata.len(),
            modified: metadata.mtime(),
            file,
        })
    }

    /// The size of the file in octets, before any conversion.
    pub fn physical_size(&self) -> u64 {
        self.size
    }

    /// The file's modification time in seconds since 1970, which is the internal date.
    pub(crate) fn modified(&self) -> i64 {
        self.modified
    }

    /// The open file, for forcing it to the disk.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The open file itself.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// The whole message in CRLF form. A bare LF becomes CRLF; a CRLF stays; a bare CR stays.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read_crlf(self) -> Result<Vec<u8>> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut raw = Vec::new();
        raw.try_reserve_exact(size)
            .map_err(|_| failed(Path::new("message"))(io::ErrorKind::OutOfMemory.into()))?;
        self.into_raw()
            .read_to_end(&mut raw)
            .map_err(failed(Path::new("message")))?;
        let added = bare_line_feeds(&raw, None);
        if added == 0 {
            return Ok(raw);
        }
        let mut converted = Vec::with_capacity(raw.len() + added);
        convert(&raw, None, &mut converted);
        Ok(converted)
    }

    /// Reads the message in CRLF form piece by piece, for messages too large for memory.
    pub fn into_reader(self) -> CrlfReader {
        CrlfReader {
            raw: self.into_raw(),
            piece: Vec::new(),
            position: 0,
            last: None,
        }
    }

    /// The size in CRLF form, counted in pieces.
    pub(crate) fn count_crlf(self) -> io::Result<u64> {
        // Most files fit, so that they take one read.
        let size = usize::try_from(self.size).unwrap_or(PIECE);
        let mut piece = vec![0; size.clamp(1, PIECE)];
        let mut raw = self.into_raw();
        let (mut octets, mut last) = (0, None);
        loop {
            let read = match raw.read(&mut piece) {
                Ok(0) => return Ok(octets),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = piece.get(..read).unwrap_or_default();
            octets += count(bytes, last);
            last = bytes.last().copied();
        }
    }

    /// The file as it is, up to the size that it had when it was opened.
    pub(crate) fn into_raw(self) -> Take<File> {
        self.file.take(self.size)
    }
}

/// Reads a message file, giving CRLF line ends.
#[derive(Debug)]
pub struct CrlfReader {
    raw: Take<File>,
    /// Converted octets; those from `position` on have not been given out.
    piece: Vec<u8>,
    position: usize,
    /// The last octet before the piece.
    last: Option<u8>,
}

impl Read for CrlfReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.piece.len() {
            let mut raw = vec![0; PIECE];
            let read = self.raw.read(&mut raw)?;
            raw.truncate(read);
            self.piece.clear();
            self.position = 0;
            convert(&raw, self.last, &mut self.piece);
            self.last = raw.last().copied().or(self.last);
        }
        let rest = self.piece.get(self.position..).unwrap_or_default();
        let given = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..given), rest.get(..given)) {
            to.copy_from_slice(from);
        }
        self.position += given;
        Ok(given)
    }
}

/// The size of `bytes` in CRLF form, `last` being the octet before them.
pub(crate) fn count(bytes: &[u8], last: Option<u8>) -> u64 {
    let size = bytes.len() + bare_line_feeds(bytes, last);
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// How many LF in `bytes` have no CR before them.
fn bare_line_feeds(bytes: &[u8], last: Option<u8>) -> usize {
    let first = bytes.first() == Some(&b'\n') && last != Some(b'\r');
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let bare = pairs.filter(|(before, byte)| **byte == b'\n' && **before != b'\r');
    bare.count() + usize::from(first)
}

/// Puts `bytes` in CRLF form at the end of `out`.
fn convert(bytes: &[u8], last: Option<u8>, out: &mut Vec<u8>) {
    let mut last = last;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if let Some(text) = line.strip_suffix(b"\n") {
            let before = text.last().copied().or(last);
            out.extend_from_slice(text);
            if before != Some(b'\r') {
                out.push(b'\r');
            }
            out.push(b'\n');
        } else {
            out.extend_from_slice(line);
        }
        last = line.last().copied();
    }
}

/// How much is read at once.
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(bytes: &[u8]) -> MessageFile {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("message");
        std::fs::write(&path, bytes).unwrap();
        MessageFile::open(&path).unwrap()
    }

    fn naive(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            if *byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        out
    }

    #[test]
    fn line_ends_become_crlf() {
        for (raw, crlf) in [
            (&b""[..], &b""[..]),
            (b"a\nb\n", b"a\r\nb\r\n"),
            (b"a\r\nb", b"a\r\nb"),
            (b"\n\n", b"\r\n\r\n"),
            (b"a\rb\r\r\n", b"a\rb\r\r\n"),
        ] {
            assert_eq!(file(raw).read_crlf().unwrap(), crlf);
            assert_eq!(file(raw).count_crlf().unwrap(), crlf.len() as u64);
        }
    }

    #[test]
    fn a_line_end_split_between_two_pieces_stays_one() {
        for raw in [
            vec![b'\n'; PIECE + 1],
            [vec![b'x'; PIECE - 1], b"\r\nx\n".to_vec()].concat(),
        ] {
            let mut read = Vec::new();
            file(&raw).into_reader().read_to_end(&mut read).unwrap();
            assert_eq!(read, naive(&raw));
            assert_eq!(file(&raw).count_crlf().unwrap(), read.len() as u64);
        }
    }

    #[test]
    fn what_is_not_a_regular_file_is_not_a_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(MessageFile::open(&path).is_err());
        assert!(MessageFile::open(directory.path()).is_err());
    }

    proptest! {
        #[test]
        fn pieces_and_counts_agree_with_the_whole(text in "[a\r\n]{0,40}", cut in 0..40usize) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut out = Vec::new();
            convert(head, None, &mut out);
            convert(tail, head.last().copied(), &mut out);
            prop_assert_eq!(&out, &naive(bytes));
            let counted = count(head, None) + count(tail, head.last().copied());
            prop_assert_eq!(counted, out.len() as u64);
        }
    }
}
