//! BINARY (RFC 3516 §4.2): sections without their transfer encoding.
//!
//! A section is decoded once to know its size, and whether it can be decoded at all: a client that
//! has been told how many octets come gets them. If they are many, they are decoded again as they
//! are sent. A part that cannot be decoded costs the response its item and the command its OK, and
//! nothing else.

use mailstore::{Error, Mailbox, Message};

use super::pieces::{Flushed, Pieces, SKIPPED_PER_SLICE};
use super::plan::{Loaded, STREAMED_FROM, stretch};
use crate::command::{BinarySection, BinaryWanted, Partial};
use crate::encode::{Fetch, Literal};
use crate::handler::content::{CHUNK, Content, Resume};
use crate::message::{Decoder, Encoding, Undecodable};
use crate::response::{Code, Completion};
use crate::session::responses::Responses;

/// The answer to a command that asked for a part that cannot be decoded (RFC 3516 §4.3).
pub(super) fn unknown_cte() -> Completion {
    let text = "A part is encoded in an unknown way, or damaged";
    Completion::no(text).with(Code::UnknownCte)
}

/// A section as it was decoded.
struct Measured {
    /// All octets it has.
    size: u64,
    /// The first of them that is wanted, and how many are.
    wanted: (u64, u64),
    /// Those that are wanted, if they are few.
    octets: Option<Vec<u8>>,
    literal: Literal,
}

impl Loaded {
    /// A decoded section, or its size; what is large is left to be decoded when it is sent.
    pub(super) fn binary(
        &self,
        section: &BinarySection,
        fetch: &mut Fetch,
        pieces: &mut Pieces,
        mailbox: &Mailbox,
        message: Message<'_>,
    ) -> Result<Result<(), Undecodable>, Error> {
        let found = self.content.as_ref().and_then(|content| {
            let Content { octets, parsed } = content;
            let (range, encoding) = parsed.encoded(octets, &section.part, self.revision)?;
            let start = u64::try_from(range.start).unwrap_or(u64::MAX);
            Some((octets.get(range)?, start, encoding))
        });
        let (partial, found) = match (section.wanted, found) {
            (BinaryWanted::Octets(partial, _), Some(found)) => (partial, found),
            (BinaryWanted::Octets(..), None) => {
                fetch.binary_nil(pieces.wire(), section);
                return Ok(Ok(()));
            }
            (BinaryWanted::Size, found) => {
                let size = found.map_or(Ok(0), |(octets, _, encoding)| {
                    Ok(Measured::new(octets, encoding, None)?.size)
                });
                return Ok(size.map(|size| fetch.binary_size(pieces.wire(), section, size)));
            }
        };
        let (encoded, start, encoding) = found;
        let measured = match Measured::new(encoded, encoding, partial) {
            Ok(measured) => measured,
            Err(undecodable) => return Ok(Err(undecodable)),
        };
        let (origin, wanted) = measured.wanted;
        if let Some(octets) = measured.octets {
            fetch.binary_open(pieces.wire(), section, wanted, measured.literal);
            pieces.wire().extend_from_slice(&octets);
            return Ok(Ok(()));
        }
        let Ok(decoder) = Decoder::new(encoding) else {
            return Ok(Err(Undecodable));
        };
        let stretch = Decoding {
            from: Resume::open(None, 0, mailbox, message)?,
            pass: start,
            left: u64::try_from(encoded.len()).unwrap_or(u64::MAX),
            decoder,
            ready: Vec::new(),
            at: 0,
            skip: origin,
            send: wanted,
        };
        fetch.binary_open(pieces.wire(), section, wanted, measured.literal);
        pieces.decoding(stretch);
        Ok(Ok(()))
    }
}

impl Measured {
    /// Decodes a section.
    fn new(
        encoded: &[u8],
        encoding: Encoding,
        partial: Option<Partial>,
    ) -> Result<Self, Undecodable> {
        let mut decoder = Decoder::new(encoding)?;
        let (first, end) = match partial {
            None => (0, u64::MAX),
            Some(Partial { origin, octets }) => (origin, origin.saturating_add(octets)),
        };
        let mut size: u64 = 0;
        let mut wanted = Some(Vec::new());
        let mut literal = Literal::WithoutNul;
        let mut decoded = Vec::new();
        for chunk in encoded.chunks(CHUNK) {
            decoded.clear();
            decoder.piece(chunk, &mut decoded)?;
            let within = |place: u64| {
                let place = place.saturating_sub(size);
                usize::try_from(place).map_or(decoded.len(), |it| it.min(decoded.len()))
            };
            let inside = decoded.get(within(first)..within(end)).unwrap_or_default();
            if memchr::memchr(0, inside).is_some() {
                literal = Literal::Any;
            }
            if let Some(octets) = &mut wanted {
                octets.extend_from_slice(inside);
            }
            let octets = wanted.as_ref().map_or(0, Vec::len);
            if u64::try_from(octets).unwrap_or(u64::MAX) > STREAMED_FROM {
                wanted = None;
            }
            size += u64::try_from(decoded.len()).unwrap_or(0);
        }
        decoder.end()?;
        Ok(Self {
            size,
            wanted: stretch(partial, size),
            octets: wanted,
            literal,
        })
    }
}

/// A section that is decoded when it is sent.
#[derive(Debug)]
pub(super) struct Decoding {
    /// The message, read up to a place.
    from: Resume,
    /// Octets of it to pass over first.
    pass: u64,
    /// Octets to decode then.
    left: u64,
    decoder: Decoder,
    /// What was decoded, and up to where it is used.
    ready: Vec<u8>,
    at: usize,
    /// Decoded octets to pass over.
    skip: u64,
    /// Decoded octets to send then, no more and no less.
    send: u64,
}

impl Decoding {
    /// Gives out as much as fits.
    pub(super) fn flush(&mut self, out: &mut Responses) -> Flushed {
        let mut read = 0;
        while self.send > 0 {
            if out.is_full() || read >= SKIPPED_PER_SLICE {
                return Flushed::More;
            }
            let ready = self.ready.get(self.at..).unwrap_or_default();
            let skipped = at_most(ready, self.skip);
            let (passed, ready) = ready.split_at(skipped);
            let sent = at_most(ready, self.send).min(CHUNK);
            out.wire()
                .extend_from_slice(ready.get(..sent).unwrap_or_default());
            self.at += passed.len() + sent;
            self.skip -= u64::try_from(skipped).unwrap_or(0);
            self.send -= u64::try_from(sent).unwrap_or(0);
            if self.at < self.ready.len() || self.send == 0 {
                continue;
            }
            match self.decode_more() {
                Some(octets) => read += octets,
                None => return Flushed::Broken,
            }
        }
        Flushed::All
    }

    /// Reads and decodes the next octets; gives how many were read, `None` if there are none.
    fn decode_more(&mut self) -> Option<u64> {
        self.ready.clear();
        self.at = 0;
        let mut chunk = [0; CHUNK];
        let limit = if self.pass > 0 { self.pass } else { self.left };
        let octets = self.from.read(&mut chunk, limit);
        if octets == 0 {
            return None;
        }
        if self.pass > 0 {
            self.pass -= octets;
            return Some(octets);
        }
        self.left -= octets;
        let chunk = chunk.get(..usize::try_from(octets).ok()?)?;
        self.decoder.piece(chunk, &mut self.ready).ok()?;
        Some(octets)
    }
}

/// How many octets there are, or `most`.
fn at_most(octets: &[u8], most: u64) -> usize {
    usize::try_from(most).map_or(octets.len(), |most| most.min(octets.len()))
}
