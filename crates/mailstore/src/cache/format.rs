//! The octets of the cache file.

use crc32fast::Hasher;

use super::{MAX_OCTETS, Record};
use crate::id::{Uid, UidValidity};

/// The beginning of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// What the records' UIDs belong to.
    pub(super) uid_validity: UidValidity,
    /// Part of every CRC.
    pub(super) generation: u64,
}

/// What a table tells of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whose it is.
    pub(super) uid: Uid,
    /// Its kind.
    pub(super) kind: u8,
    /// Its length.
    pub(super) length: u32,
}

/// The records of one append, as they are written.
#[derive(Debug)]
pub(super) struct Frame {
    /// All of it.
    pub(super) octets: Vec<u8>,
    /// Its table.
    pub(super) table: Vec<Entry>,
}

/// How far a frame reaches by its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The octets of head and table.
    pub(super) table: usize,
    /// The octets of the frame.
    pub(super) frame: u64,
}

impl Entry {
    /// The octets of the record with its CRC.
    pub(super) fn stored(&self) -> u64 {
        u64::from(self.length) + CRC_OCTETS
    }
}

impl Header {
    /// As it is written.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut octets = [0; HEADER];
        let fields = [
            &MAGIC[..],
            &self.uid_validity.get().to_le_bytes(),
            &self.generation.to_le_bytes(),
        ]
        .concat();
        let crc = crc32fast::hash(&fields).to_le_bytes();
        for (to, from) in octets.iter_mut().zip(fields.iter().chain(&crc)) {
            *to = *from;
        }
        octets
    }

    /// Reads it; `None` if it is none, or of another version.
    pub(super) fn decode(octets: &[u8; HEADER]) -> Option<Self> {
        let (fields, crc) = octets.split_last_chunk()?;
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (uid_validity, rest) = fields.strip_prefix(MAGIC)?.split_first_chunk()?;
        Some(Self {
            uid_validity: UidValidity::new(u32::from_le_bytes(*uid_validity))?,
            generation: u64::from_le_bytes(*rest.first_chunk()?),
        })
    }
}

impl Frame {
    /// Puts records, each with its message's name, into a frame. They are no longer than
    /// [`MAX_OCTETS`].
    pub(super) fn new(generation: u64, records: &[(&[u8], Record)]) -> Self {
        let mut table = Vec::with_capacity(records.len());
        let mut tail = Vec::with_capacity(records.len() * ENTRY);
        let mut bodies = Vec::new();
        for (name, (uid, kind, octets)) in records {
            let length = u32::try_from(octets.len()).unwrap_or(0);
            table.push(Entry {
                uid: *uid,
                kind: *kind,
                length,
            });
            tail.extend_from_slice(&uid.get().to_le_bytes());
            tail.extend_from_slice(&(u32::from(*kind) << 24 | length).to_le_bytes());
            let crc = body_crc(generation, *kind, *uid, name, octets);
            bodies.extend_from_slice(&crc.to_le_bytes());
            bodies.extend_from_slice(octets);
        }
        let mut octets = Vec::with_capacity(HEAD + tail.len() + bodies.len());
        octets.extend_from_slice(&u32::try_from(records.len()).unwrap_or(0).to_le_bytes());
        octets.extend_from_slice(&u32::try_from(bodies.len()).unwrap_or(0).to_le_bytes());
        let crc = table_crc(generation, &octets, &tail);
        octets.extend_from_slice(&crc.to_le_bytes());
        octets.extend_from_slice(&tail);
        octets.extend_from_slice(&bodies);
        Self { octets, table }
    }

    /// How many octets it has.
    pub(super) fn length(&self) -> u64 {
        u64::try_from(self.octets.len()).unwrap_or(u64::MAX)
    }
}

/// How far the frame with this head reaches; `None` if it cannot be a head.
pub(super) fn extent(head: &[u8; HEAD]) -> Option<Extent> {
    let (count, rest) = head.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let bodies = u32::from_le_bytes(*rest.first_chunk()?);
    let table = HEAD.checked_add(count.checked_mul(ENTRY)?)?;
    let plausible = (1..=RECORDS_MAX).contains(&count);
    plausible.then_some(Extent {
        table,
        frame: u64::try_from(table).ok()?.checked_add(bodies.into())?,
    })
}

/// Reads head and table; `None` if they are not as they were written.
pub(super) fn decode_table(generation: u64, octets: &[u8]) -> Option<Vec<Entry>> {
    let (head, tail) = octets.split_first_chunk::<HEAD>()?;
    let (lengths, crc) = head.split_last_chunk()?;
    if table_crc(generation, lengths, tail) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (entries, _) = tail.as_chunks::<ENTRY>();
    let table: Vec<Entry> = entries.iter().map(decode_entry).collect::<Option<_>>()?;
    let stored = table.iter().map(Entry::stored);
    let (_, bodies) = lengths.split_last_chunk()?;
    (stored.sum::<u64>() == u64::from(u32::from_le_bytes(*bodies))).then_some(table)
}

fn decode_entry(octets: &[u8; ENTRY]) -> Option<Entry> {
    let (uid, rest) = octets.split_first_chunk()?;
    let [low, middle, high, kind] = *rest.first_chunk()?;
    let length = u32::from_le_bytes([low, middle, high, 0]);
    (usize::try_from(length).ok()? <= MAX_OCTETS).then_some(Entry {
        uid: Uid::new(u32::from_le_bytes(*uid))?,
        kind,
        length,
    })
}

/// Whether a record, after its CRC, is as it was written for the message of that name.
pub(super) fn is_whole(generation: u64, kind: u8, uid: Uid, name: &[u8], stored: &[u8]) -> bool {
    let Some((crc, octets)) = stored.split_first_chunk() else {
        return false;
    };
    body_crc(generation, kind, uid, name, octets) == u32::from_le_bytes(*crc)
}

fn body_crc(generation: u64, kind: u8, uid: Uid, name: &[u8], octets: &[u8]) -> u32 {
    let [a, b, c, d] = uid.get().to_le_bytes();
    let mut hasher = Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(&[a, b, c, d, kind]);
    hasher.update(name);
    hasher.update(b"/");
    hasher.update(octets);
    hasher.finalize()
}

fn table_crc(generation: u64, lengths: &[u8], tail: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(lengths);
    hasher.update(tail);
    hasher.finalize()
}

/// Says what the file is; the last octet is the version.
const MAGIC: &[u8; 8] = b"PbxCach\x02";

/// The length of the file's header.
pub(super) const HEADER: usize = 24;

/// The same, as an offset.
pub(super) const HEADER_OCTETS: u64 = 24;

/// The length of a frame's head.
pub(super) const HEAD: usize = 12;

/// The length of a table's entry.
pub(super) const ENTRY: usize = 8;

/// The length of a CRC.
pub(super) const CRC: usize = 4;

/// The same, for sums of lengths.
const CRC_OCTETS: u64 = 4;

/// How many records a frame may have.
const RECORDS_MAX: usize = 1 << 20;
