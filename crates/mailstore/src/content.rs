//! The bytes of a message, always in CRLF form.
//!
//! Files come with LF or with CRLF line ends, or both; a client only ever sees CRLF (RFC 5322
//! §2.3), and every size and offset is of that form. A bare LF becomes CRLF, a CRLF stays, and so
//! does a bare CR.

mod pieces;

use std::fs::File;
use std::io::{self, Read, Take};
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::Result;
use crate::replace::{failed, open_regular_with_metadata};

pub use pieces::RawPieces;

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

        let (file, metadata) = open_regular_with_metadata(path, OFlags::RDONLY)?;
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
    pub fn modified(&self) -> i64 {
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
        push_crlf(&raw, &mut converted);
        Ok(converted)
    }

    /// Reads the file as it is, at most so many octets from its start, into memory that may have
    /// been used before, and gives what was read. [`push_crlf`] puts it into CRLF form.
    ///
    /// # Errors
    /// If reading fails.
    pub fn read_raw(self, most: usize, memory: &mut Vec<u8>) -> Result<&[u8]> {
        let failed = || failed(Path::new("message"));
        let size = usize::try_from(self.size).unwrap_or(usize::MAX).min(most);
        if memory.len() < size {
            memory
                .try_reserve_exact(size - memory.len())
                .map_err(|_| failed()(io::ErrorKind::OutOfMemory.into()))?;
            memory.resize(size, 0);
        }
        let mut read = 0;
        while let Some(rest) = memory.get_mut(read..size).filter(|rest| !rest.is_empty()) {
            match (&self.file).read(rest) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(memory.get(..read).unwrap_or_default())
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

    /// Reads the message piece by piece as it is in the file, for those who make the line ends CRLF
    /// themselves.
    pub fn into_pieces(self) -> RawPieces {
        RawPieces::new(self.file, self.size)
    }

    /// The size in CRLF form, counted in pieces.
    pub(crate) fn count_crlf(self) -> io::Result<u64> {
        self.count_crlf_in(&mut Vec::new())
    }

    /// The size in CRLF form, counted in pieces that are read into `piece`, which grows to what is
    /// needed and may be used again.
    pub(crate) fn count_crlf_in(self, piece: &mut Vec<u8>) -> io::Result<u64> {
        // Most files fit, so that they take one read.
        let size = usize::try_from(self.size).unwrap_or(PIECE).clamp(1, PIECE);
        if piece.len() < size {
            piece.resize(size, 0);
        }
        let mut raw = self.into_raw();
        let (mut octets, mut last) = (0, None);
        loop {
            let read = match raw.read(piece) {
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
    /// Octets as they are in the file; those from `position` on have not been given out.
    piece: Vec<u8>,
    position: usize,
    /// The last octet that was given out.
    last: Option<u8>,
}

impl CrlfReader {
    /// Reads the next piece of the file, not much more of it than is wanted.
    fn refill(&mut self, wanted: usize) -> io::Result<()> {
        let left = usize::try_from(self.raw.limit()).unwrap_or(usize::MAX);
        self.piece
            .resize(left.min(wanted.clamp(LEAST_PIECE, PIECE)), 0);
        self.position = self.piece.len();
        let read = self.raw.read(&mut self.piece)?;
        self.piece.truncate(read);
        self.position = 0;
        Ok(())
    }
}

impl Read for CrlfReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.piece.len() && !buffer.is_empty() {
            self.refill(buffer.len())?;
        }
        let mut given = 0;
        while let Some(rest) = self.piece.get(self.position..)
            && let Some(room) = buffer.get_mut(given..)
            && !rest.is_empty()
            && !room.is_empty()
        {
            let reach = rest.get(..room.len()).unwrap_or(rest);
            let text = memchr::memchr(b'\n', reach).unwrap_or(reach.len());
            if let (Some(to), Some(from)) = (room.get_mut(..text), rest.get(..text)) {
                to.copy_from_slice(from);
                self.last = from.last().copied().or(self.last);
            }
            given += text;
            self.position += text;
            if text == reach.len() {
                continue;
            }
            let bare = self.last != Some(b'\r');
            if bare && let Some(end) = room.get_mut(text..text + 2) {
                end.copy_from_slice(b"\r\n");
                self.last = Some(b'\n');
                self.position += 1;
                given += 2;
            } else if let Some(end) = room.get_mut(text) {
                // A CR that was added keeps its LF from getting another in the next read.
                *end = if bare { b'\r' } else { b'\n' };
                self.last = Some(*end);
                self.position += usize::from(!bare);
                given += 1;
            }
        }
        Ok(given)
    }
}

/// The size of `bytes` in CRLF form, `last` being the octet before them.
pub(crate) fn count(bytes: &[u8], last: Option<u8>) -> u64 {
    let size = bytes.len() + bare_line_feeds(bytes, last);
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// The size in CRLF form of a whole message as it is in its file.
pub fn crlf_size(raw: &[u8]) -> u64 {
    count(raw, None)
}

/// Puts a whole message, as it is in its file, at the end of `out` in CRLF form.
pub fn push_crlf(raw: &[u8], out: &mut Vec<u8>) {
    convert(raw, None, out);
}

/// How many LF in `bytes` have no CR before them.
fn bare_line_feeds(bytes: &[u8], last: Option<u8>) -> usize {
    let Some((first, rest)) = bytes.split_first() else {
        return 0;
    };
    let first = usize::from(*first == b'\n' && last != Some(b'\r'));
    // Octets beside those before them, in groups whose sums an octet can hold: the compiler makes
    // this compare many octets at a time, which is faster than going from line to line.
    let groups = rest.chunks(GROUP).zip(bytes.chunks(GROUP));
    let bare = groups.map(|(octets, before)| {
        let pairs = octets.iter().zip(before);
        let bare = pairs.map(|(octet, before)| u8::from(*octet == b'\n' && *before != b'\r'));
        usize::from(bare.fold(0, u8::wrapping_add))
    });
    first + bare.sum::<usize>()
}

/// Puts `bytes` in CRLF form at the end of `out`.
fn convert(bytes: &[u8], last: Option<u8>, out: &mut Vec<u8>) {
    let (mut last, mut start) = (last, 0);
    for end in memchr::memchr_iter(b'\n', bytes) {
        let text = bytes.get(start..end).unwrap_or_default();
        out.extend_from_slice(text);
        if text.last().copied().or(last) == Some(b'\r') {
            out.push(b'\n');
        } else {
            out.extend_from_slice(b"\r\n");
        }
        last = Some(b'\n');
        start = end + 1;
    }
    out.extend_from_slice(bytes.get(start..).unwrap_or_default());
}

/// How much is read at once, at the most and, if there is so much, at the least.
const PIECE: usize = 64 * 1024;
const LEAST_PIECE: usize = 8 * 1024;

/// How many line ends are counted in one octet.
const GROUP: usize = 192;

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
            let mut memory = vec![b'x'; 3];
            assert_eq!(file(raw).read_raw(usize::MAX, &mut memory).unwrap(), raw);
            let start = file(raw).read_raw(1, &mut memory).unwrap().to_vec();
            assert_eq!(start, raw.get(..1).unwrap_or_default());
            assert_eq!(crlf_size(raw), crlf.len() as u64);
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

        #[test]
        fn counts_of_long_texts_agree(text in "[a\r\n]{150,700}") {
            prop_assert_eq!(count(text.as_bytes(), None), naive(text.as_bytes()).len() as u64);
        }

        #[test]
        fn a_reader_gives_the_same_by_any_steps(text in "[a\r\n]{0,40}", step in 1..5usize) {
            let mut reader = file(text.as_bytes()).into_reader();
            let mut read = Vec::new();
            let mut buffer = vec![0; step];
            loop {
                match reader.read(&mut buffer).unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&buffer[..count]),
                }
            }
            prop_assert_eq!(read, naive(text.as_bytes()));
        }
    }
}
