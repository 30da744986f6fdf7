//! What is known of the cache file.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::format::{self, Entry, Frame, HEAD, Header};
use super::places::Places;
use crate::id::UidValidity;

/// What is known of the file.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) identity: Option<Identity>,
    /// Up to where frames were applied.
    pub(super) offset: u64,
    pub(super) places: Places,
    /// From which length on it is worth looking for dead records.
    pub(super) check_at: u64,
}

/// Which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) generation: u64,
}

impl Known {
    /// Applies the tables that are new. A file that is not ours leaves nothing known.
    pub(super) fn refresh(&mut self, file: &File, uid_validity: UidValidity) -> io::Result<()> {
        let metadata = file.metadata()?;
        let mut head = [0; format::HEADER];
        let header = match file.read_exact_at(&mut head, 0) {
            Ok(()) => Header::decode(&head),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let header = header.filter(|header| header.uid_validity == uid_validity);
        let identity = header.map(|header| Identity::of(&metadata, header.generation));
        let size = metadata.len();
        if identity != self.identity || size < self.offset {
            *self = Self {
                identity,
                offset: format::HEADER_OCTETS,
                ..Self::default()
            };
        }
        let Some(Identity { generation, .. }) = self.identity else {
            return Ok(());
        };
        while self.offset < size {
            let Some(table) = read_table(file, generation, self.offset, size)? else {
                break;
            };
            self.offset = self.places.apply(self.offset, &table).min(size);
        }
        Ok(())
    }

    /// Begins the file anew; under the lock.
    pub(super) fn restart(
        &mut self,
        file: &File,
        uid_validity: UidValidity,
        generation: u64,
    ) -> io::Result<Identity> {
        file.set_len(0)?;
        let header = Header {
            uid_validity,
            generation,
        };
        file.write_all_at(&header.encode(), 0)?;
        let identity = Identity::of(&file.metadata()?, generation);
        *self = Self {
            identity: Some(identity),
            offset: format::HEADER_OCTETS,
            ..Self::default()
        };
        Ok(identity)
    }

    /// Adds a frame, in the place of whatever follows the last whole one; under the lock.
    pub(super) fn append(&mut self, file: &File, frame: &Frame) -> io::Result<()> {
        if file.metadata()?.len() > self.offset {
            file.set_len(self.offset)?;
        }
        file.write_all_at(&frame.octets, self.offset)?;
        self.offset = self.places.apply(self.offset, &frame.table);
        Ok(())
    }
}

impl Identity {
    fn of(metadata: &Metadata, generation: u64) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            generation,
        }
    }
}

/// Reads the table of the frame at `offset`; `None` if the frame is not whole.
fn read_table(
    file: &File,
    generation: u64,
    offset: u64,
    size: u64,
) -> io::Result<Option<Vec<Entry>>> {
    let mut octets = read_at_most(file, offset, usual_table(size - offset))?;
    let Some(head) = octets.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let Some(extent) = format::extent(head).filter(|extent| extent.frame <= size - offset) else {
        return Ok(None);
    };
    if octets.len() < extent.table {
        octets = read_at_most(file, offset, extent.table)?;
    }
    Ok(octets
        .get(..extent.table)
        .and_then(|table| format::decode_table(generation, table)))
}

/// Reads as many octets as there are, up to `length`.
fn read_at_most(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; length];
    let mut read = 0;
    while let Some(rest) = octets.get_mut(read..).filter(|rest| !rest.is_empty()) {
        let position = offset + u64::try_from(read).unwrap_or(u64::MAX);
        match file.read_at(rest, position) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    octets.truncate(read);
    Ok(octets)
}

/// How much to read for a table: usually all of it.
fn usual_table(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(USUAL_TABLE)
}

/// How much is read at once for a table.
const USUAL_TABLE: usize = 2 * 1024;
