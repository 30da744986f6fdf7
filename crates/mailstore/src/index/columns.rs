//! The snapshot at the start of the index file.
//!
//! ```text
//! header      128 octets, the last four are the CRC-32 of those before
//! committed    16 octets: length u64, CRC-32 of generation and length u32, unused u32
//! columns     for n messages: uid u32*n, flags u64*n, mod-sequence u64*n, size u64*n, date i64*n,
//!             saved u32*n, place u8*n, length of the name u8*n
//! vanished    first u32, last u32, mod-sequence u64 for each range
//! names       the file names, one after the other
//! extras      stamps; whether another server's list was agreed with u8, its time and size;
//!             number of keywords u8, then each: position u8, length u8, octets;
//!             what is kept of messages: UID u32, fields u8, fields (see `frame`)
//! CRC-32      of everything from the columns on
//! ```
//!
//! In version 1 the extras are the stamps and the keywords up to the end. It is read, and written
//! again as version 2.
//!
//! *Committed* is the only part that is ever overwritten: so many octets of the file are known to
//! be on the disk. It tells a crash (which can only lose what was not committed) from damage.

use std::io::{self, Write};

use super::State;
use super::codec::{Reader, Writer};
use super::frame::{decode_agreed, decode_kept, decode_mod_seq, decode_place, decode_stamps};
use super::frame::{decode_uid, encode_kept, encode_stamps, is_file_name};
use super::state::Agreed;
use crate::flag::{FlagSet, Keyword, Keywords};
use crate::id::{ModSeq, Uid, UidValidity};
use crate::snapshot::{Added, Message, Snapshot, Vanished, VanishedRange};

/// What the header says.
#[derive(Clone, Debug)]
pub(super) struct Header {
    version: u32,
    pub(super) generation: u64,
    pub(super) uid_validity: UidValidity,
    uid_next: Uid,
    first_recent: Uid,
    messages: usize,
    mod_seq: ModSeq,
    floor: u64,
    mailbox_id: u128,
    reserved: u64,
    boot: u64,
    vanished: usize,
    names: usize,
    extras: usize,
}

impl Header {
    /// Reads a header; `None` if it is not one of ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER)?;
        let (fields, crc) = bytes.split_at_checked(HEADER - 4)?;
        if Reader(crc).u32()? != crc32fast::hash(fields) {
            return None;
        }
        let mut input = Reader(fields);
        if input.bytes(8)? != MAGIC {
            return None;
        }
        let version = Some(input.u32()?).filter(|version| (OLDEST..=VERSION).contains(version))?;
        let size = |input: &mut Reader<'_>| usize::try_from(input.u32()?).ok();
        Some(Self {
            version,
            messages: size(&mut input)?,
            generation: input.u64()?,
            uid_validity: UidValidity::new(input.u32()?)?,
            uid_next: decode_uid(&mut input)?,
            first_recent: decode_uid(&mut input)?,
            vanished: size(&mut input)?,
            mod_seq: decode_mod_seq(&mut input)?,
            floor: input.u64()?,
            mailbox_id: u128::from_le_bytes(input.array()?),
            reserved: input.u64()?,
            boot: input.u64()?,
            names: size(&mut input)?,
            extras: size(&mut input)?,
        })
    }

    fn encode(&self) -> Option<Vec<u8>> {
        let size = |value: usize| u32::try_from(value).ok();
        let mut out = Writer::default();
        out.bytes(MAGIC);
        out.u32(self.version);
        out.u32(size(self.messages)?);
        out.u64(self.generation);
        out.u32(self.uid_validity.get());
        out.u32(self.uid_next.get());
        out.u32(self.first_recent.get());
        out.u32(size(self.vanished)?);
        out.u64(self.mod_seq.get());
        out.u64(self.floor);
        out.bytes(&self.mailbox_id.to_le_bytes());
        out.u64(self.reserved);
        out.u64(self.boot);
        out.u32(size(self.names)?);
        out.u32(size(self.extras)?);
        out.0.resize(HEADER - 4, 0);
        out.u32(crc32fast::hash(&out.0));
        Some(out.0)
    }

    /// The length of the snapshot in the file; `None` if no file can be so long.
    fn snapshot_length(&self) -> Option<usize> {
        let columns = self.messages.checked_mul(PER_MESSAGE)?;
        let vanished = self.vanished.checked_mul(PER_RANGE)?;
        let rest = columns.checked_add(vanished)?.checked_add(self.names)?;
        rest.checked_add(self.extras)?
            .checked_add(HEADER + COMMITTED + 4)
    }
}

/// The octets of the *committed* field that says `length`.
pub(super) fn committed(generation: u64, length: u64) -> Vec<u8> {
    let mut out = Writer::default();
    out.u64(length);
    let crc = crc32fast::hash(&[generation.to_le_bytes(), length.to_le_bytes()].concat());
    out.u32(crc);
    out.u32(0);
    out.0
}

/// How many octets of the file are committed, by its first octets; 0 if that cannot be read, for
/// example because it is being written.
pub(super) fn read_committed(generation: u64, head: &[u8]) -> u64 {
    let field = head.get(HEADER..HEADER + COMMITTED).unwrap_or_default();
    let length = Reader(field).u64().unwrap_or_default();
    if field == committed(generation, length) {
        length
    } else {
        0
    }
}

/// A snapshot that is to become a file. It is written piece by piece, because it may be long.
pub(super) struct Encoder<'a> {
    state: &'a State,
    header: Header,
    extras: Vec<u8>,
    length: u64,
}

/// Whether a file says from the start that all of it is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It does: it is forced to the disk before it gets its name.
    All,
    /// It says that nothing is.
    Nothing,
}

impl<'a> Encoder<'a> {
    /// For a file of `generation`; `None` if no file can be so long.
    pub(super) fn new(state: &'a State, generation: u64) -> Option<Self> {
        let snapshot = &state.snapshot;
        let extras = encode_extras(state)?;
        let names = snapshot.iter().map(|message| message.file_name().len());
        let header = Header {
            version: VERSION,
            generation,
            uid_validity: snapshot.uid_validity(),
            uid_next: snapshot.uid_next(),
            first_recent: snapshot.first_recent(),
            messages: snapshot.len(),
            mod_seq: snapshot.highest_mod_seq(),
            floor: snapshot.vanished().floor(),
            mailbox_id: snapshot.mailbox_id(),
            reserved: state.reserve.mod_seq,
            boot: state.reserve.boot,
            vanished: snapshot.vanished().len(),
            names: names.sum(),
            extras: extras.len(),
        };
        // What does not fit into a header is found now, not half-way.
        header.encode()?;
        let length = u64::try_from(header.snapshot_length()?).ok()?;
        Some(Self {
            state,
            header,
            extras,
            length,
        })
    }

    /// The generation of the file.
    pub(super) fn generation(&self) -> u64 {
        self.header.generation
    }

    /// How many octets the file has.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes the file.
    pub(super) fn write(&self, claim: Claim, out: &mut impl Write) -> io::Result<()> {
        let committed_length = match claim {
            Claim::All => self.length,
            Claim::Nothing => 0,
        };
        let mut head = self.header.encode().unwrap_or_default();
        head.extend(committed(self.header.generation, committed_length));
        let mut pieces = Pieces::of(out, &head);
        self.write_columns(&mut pieces)?;
        pieces.buffer.bytes(&self.extras);
        pieces.end()
    }

    fn write_columns<W: Write>(&self, pieces: &mut Pieces<'_, W>) -> io::Result<()> {
        let columns: [fn(Message<'_>, &mut Writer); 8] = [
            |message, out| out.u32(message.uid().get()),
            |message, out| out.u64(message.flags().bits()),
            |message, out| out.u64(message.mod_seq().get()),
            |message, out| out.u64(message.rfc822_size().unwrap_or(u64::MAX)),
            |message, out| out.i64(message.internal_date().unwrap_or(i64::MIN)),
            |message, out| out.u32(message.saved()),
            |message, out| out.u8(message.place() as u8),
            |message, out| out.u8(u8::try_from(message.file_name().len()).unwrap_or(u8::MAX)),
        ];
        for column in columns {
            for run in self.state.snapshot.runs() {
                run.iter()
                    .for_each(|message| column(message, &mut pieces.buffer));
                pieces.pass_on()?;
            }
        }
        for range in self.state.snapshot.vanished().ranges() {
            pieces.buffer.u32(range.first.get());
            pieces.buffer.u32(range.last.get());
            pieces.buffer.u64(range.mod_seq.get());
        }
        for run in self.state.snapshot.runs() {
            match run.names() {
                Some(names) => pieces.buffer.bytes(names),
                None => run
                    .iter()
                    .for_each(|message| pieces.buffer.bytes(message.file_name())),
            }
            pieces.pass_on()?;
        }
        Ok(())
    }
}

/// A file on its way: what is short is written at once.
struct Pieces<'a, W> {
    out: &'a mut W,
    buffer: Writer,
    /// How much of the buffer is not covered by the last CRC.
    head: usize,
    crc: crc32fast::Hasher,
}

impl<'a, W: Write> Pieces<'a, W> {
    /// Begins with octets that the last CRC does not cover.
    fn of(out: &'a mut W, head: &[u8]) -> Self {
        let mut buffer = Writer(Vec::with_capacity(PIECE + PIECE / 2));
        buffer.bytes(head);
        Self {
            out,
            buffer,
            head: head.len(),
            crc: crc32fast::Hasher::new(),
        }
    }

    /// Writes what there is, if it is enough to be worth it.
    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.0.len() >= PIECE {
            self.cover();
            self.out.write_all(&self.buffer.0)?;
            self.buffer.0.clear();
            self.head = 0;
        }
        Ok(())
    }

    /// Takes the buffer into the CRC.
    fn cover(&mut self) {
        let covered = self.buffer.0.get(self.head..).unwrap_or_default();
        self.crc.update(covered);
    }

    /// Writes the rest, and the CRC.
    fn end(mut self) -> io::Result<()> {
        self.cover();
        self.buffer.u32(self.crc.finalize());
        self.out.write_all(&self.buffer.0)
    }
}

fn encode_extras(state: &State) -> Option<Vec<u8>> {
    let snapshot = &state.snapshot;
    let mut extras = Writer::default();
    encode_stamps(&state.stamps, &mut extras);
    encode_agreed(state.agreed, &mut extras);
    extras.u8(u8::try_from(snapshot.keywords().iter().count()).ok()?);
    for (position, keyword) in snapshot.keywords().iter() {
        extras.u8(position);
        extras.short(keyword.as_str().as_bytes());
    }
    for (uid, kept) in snapshot.all_kept() {
        encode_kept(uid, kept, &mut extras);
    }
    Some(extras.0)
}

/// Reads the snapshot of a file: its state, and how long it is. `None` if it is damaged.
pub(super) fn decode(header: &Header, file: &[u8]) -> Option<(State, usize)> {
    let length = header.snapshot_length()?;
    let body = file.get(HEADER + COMMITTED..length)?;
    let (body, crc) = body.split_at_checked(body.len().checked_sub(4)?)?;
    if Reader(crc).u32()? != crc32fast::hash(body) {
        return None;
    }
    let count = header.messages;
    let mut rest = Reader(body);
    let mut column = |width: usize| rest.bytes(count.checked_mul(width)?).map(Reader);
    let (mut uids, mut flags, mut mod_seqs) = (column(4)?, column(8)?, column(8)?);
    let (mut sizes, mut dates, mut saved) = (column(8)?, column(8)?, column(4)?);
    let (mut places, mut lengths) = (column(1)?, column(1)?);
    let mut ranges = Reader(rest.bytes(header.vanished.checked_mul(PER_RANGE)?)?);
    let mut names = Reader(rest.bytes(header.names)?);

    let mut snapshot = Snapshot::empty(header.uid_validity);
    for _ in 0..count {
        let name = names.bytes(usize::from(lengths.u8()?))?;
        let added = Added {
            uid: decode_uid(&mut uids)?,
            flags: FlagSet::from_bits(flags.u64()?),
            mod_seq: decode_mod_seq(&mut mod_seqs)?,
            size: Some(sizes.u64()?).filter(|size| *size != u64::MAX),
            date: Some(dates.i64()?).filter(|date| *date != i64::MIN),
            saved: saved.u32()?,
            place: decode_place(&mut places)?,
            name: Some(name).filter(|name| is_file_name(name))?,
        };
        if !snapshot.push(&added) {
            return None;
        }
    }
    snapshot.raise(header.uid_next, header.first_recent, header.mod_seq);
    let stamps = decode_stamps(&mut rest)?;
    let agreed = decode_extras(header.version, &mut rest, &mut snapshot)?;
    snapshot.reindex();
    let mut vanished = Vec::with_capacity(header.vanished);
    for _ in 0..header.vanished {
        vanished.push(VanishedRange {
            first: decode_uid(&mut ranges)?,
            last: decode_uid(&mut ranges)?,
            mod_seq: decode_mod_seq(&mut ranges)?,
        });
    }
    snapshot.set_vanished(Vanished::of(vanished.into_iter(), header.floor));
    let mut state = State::new(snapshot, header.mailbox_id);
    state.stamps = stamps;
    state.agreed = agreed;
    state.reserve.mod_seq = header.reserved;
    state.reserve.boot = header.boot;
    Some((state, length))
}

fn encode_agreed(agreed: Option<Agreed>, out: &mut Writer) {
    out.u8(u8::from(agreed.is_some()));
    if let Some(agreed) = agreed {
        out.time(agreed.modified);
        out.u64(agreed.size);
    }
}

/// Reads what comes after the stamps.
fn decode_extras(
    version: u32,
    input: &mut Reader<'_>,
    snapshot: &mut Snapshot,
) -> Option<Option<Agreed>> {
    let mut agreed = None;
    let mut count = None;
    if version > OLDEST {
        agreed = match input.u8()? {
            0 => None,
            1 => Some(decode_agreed(input)?),
            _ => return None,
        };
        count = Some(input.u8()?);
    }
    let mut keywords = Keywords::default();
    let mut read = 0;
    while count.map_or(!input.is_empty(), |count| read < count) {
        let position = input.u8()?;
        let name = str::from_utf8(input.short()?).ok()?;
        keywords.set(position, Keyword::new(name)?);
        read = read.checked_add(1)?;
    }
    snapshot.set_keywords(keywords);
    while !input.is_empty() {
        let (uid, kept) = decode_kept(input)?;
        snapshot.keep(uid, kept);
    }
    Some(agreed)
}

const MAGIC: &[u8] = b"PBXINDEX";
/// What is written.
const VERSION: u32 = 2;
/// The oldest version that can be read.
const OLDEST: u32 = 1;
/// The octets of the header.
pub(super) const HEADER: usize = 128;
/// The octets of the *committed* field.
pub(super) const COMMITTED: usize = 16;
/// The octets of the fixed columns for one message.
const PER_MESSAGE: usize = 4 + 8 + 8 + 8 + 8 + 4 + 1 + 1;
const PER_RANGE: usize = 16;
/// How many octets are written at once, or a little more.
const PIECE: usize = 128 * 1024;
/// Where the header says how long the extras are.
#[cfg(test)]
pub(super) const EXTRAS_AT: usize = 92;
