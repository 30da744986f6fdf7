//! A response that leaves in pieces, because it may be larger than what is buffered (S37).

use std::collections::VecDeque;
use std::mem;

use super::binary::Decoding;
use crate::encode::string::NUL_SUBSTITUTE;
use crate::handler::content::{CHUNK, Resume};
use crate::session::responses::Responses;

/// The pieces of one response, in order.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    queue: VecDeque<Piece>,
    /// What is being written after them.
    tail: Vec<u8>,
    /// Where a part of a message ended that was sent.
    resume: Option<Resume>,
}

/// One piece.
#[derive(Debug)]
enum Piece {
    /// These octets, from a place on.
    Octets(Vec<u8>, usize),
    /// Octets of a message, read when they are sent.
    File(Box<Stretch>),
    /// Octets of a section, read and decoded when they are sent.
    Decoding(Box<Decoding>),
}

/// A stretch of a message.
#[derive(Debug)]
struct Stretch {
    /// The message, read up to a place.
    from: Resume,
    /// Octets to pass over first.
    skip: u64,
    /// Octets to send then, no more and no less: the client has been told how many come.
    send: u64,
    end: End,
}

/// Where a stretch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Where the message ends: nothing may follow.
    OfMessage,
    /// Before that.
    Inside,
}

/// How far the pieces have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// All of them.
    All,
    /// There is more.
    More,
    /// The message does not have the size it was said to have.
    Broken,
}

impl Pieces {
    /// Where the next octets are written.
    pub(super) fn wire(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.tail.is_empty()
    }

    /// Whether these should leave before more are added.
    pub(super) fn are_large(&self) -> bool {
        !self.queue.is_empty() || self.tail.len() >= Responses::SLICE
    }

    /// Adds octets of a message.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        let start = self.tail.len();
        self.tail.extend_from_slice(octets);
        substitute_nul(self.tail.get_mut(start..).unwrap_or_default());
    }

    /// Adds a stretch of a message that is read when it is sent: `send` octets from `origin` on.
    pub(super) fn file(&mut self, from: Resume, origin: u64, send: u64, end: End) {
        let before = mem::take(&mut self.tail);
        self.queue.push_back(Piece::Octets(before, 0));
        self.queue.push_back(Piece::File(Box::new(Stretch {
            skip: origin.saturating_sub(from.offset),
            from,
            send,
            end,
        })));
    }

    /// Adds a section that is decoded when it is sent.
    pub(super) fn decoding(&mut self, decoding: Decoding) {
        let before = mem::take(&mut self.tail);
        self.queue.push_back(Piece::Octets(before, 0));
        self.queue.push_back(Piece::Decoding(Box::new(decoding)));
    }

    /// Gives out as much as fits.
    pub(super) fn flush(&mut self, out: &mut Responses) -> Flushed {
        if !self.tail.is_empty() {
            let tail = mem::take(&mut self.tail);
            self.queue.push_back(Piece::Octets(tail, 0));
        }
        while let Some(piece) = self.queue.front_mut() {
            let flushed = match piece {
                Piece::Octets(octets, from) => flush_octets(octets, from, out),
                Piece::File(stretch) => stretch.flush(out),
                Piece::Decoding(decoding) => decoding.flush(out),
            };
            if flushed != Flushed::All {
                return flushed;
            }
            if let Some(Piece::File(stretch)) = self.queue.pop_front()
                && stretch.end == End::Inside
            {
                self.resume = Some(stretch.from);
            }
        }
        Flushed::All
    }

    /// Where the part of a message ended that was sent last.
    pub(super) fn take_resume(&mut self) -> Option<Resume> {
        self.resume.take()
    }
}

impl Stretch {
    /// Gives out as much as fits; passing over a slice's worth of octets is a slice, too.
    fn flush(&mut self, out: &mut Responses) -> Flushed {
        let mut passed = 0;
        while self.skip > 0 {
            let mut chunk = [0; CHUNK];
            let count = self.from.read(&mut chunk, self.skip);
            if count == 0 {
                return Flushed::Broken;
            }
            self.skip -= count;
            passed += count;
            if passed >= SKIPPED_PER_SLICE && self.skip > 0 {
                return Flushed::More;
            }
        }
        while self.send > 0 {
            if out.is_full() {
                return Flushed::More;
            }
            let wire = out.wire();
            let start = wire.len();
            wire.reserve((Responses::SLICE + CHUNK).saturating_sub(start));
            wire.resize(start + CHUNK, 0);
            let chunk = wire.get_mut(start..).unwrap_or_default();
            let count = self.from.read(chunk, self.send);
            wire.truncate(start.saturating_add(usize::try_from(count).unwrap_or(0)));
            if count == 0 {
                return Flushed::Broken;
            }
            substitute_nul(wire.get_mut(start..).unwrap_or_default());
            self.send -= count;
        }
        if self.end == End::OfMessage && self.from.read(&mut [0], 1) > 0 {
            return Flushed::Broken;
        }
        Flushed::All
    }
}

/// Octets that one slice of work passes over at the most.
pub(super) const SKIPPED_PER_SLICE: u64 = 4 * 1024 * 1024;

/// Gives out octets as far as they fit.
fn flush_octets(octets: &[u8], from: &mut usize, out: &mut Responses) -> Flushed {
    let left = octets.get(*from..).unwrap_or_default();
    let room = Responses::SLICE.saturating_sub(out.len());
    let now = left.len().min(room.max(1));
    out.wire()
        .extend_from_slice(left.get(..now).unwrap_or_default());
    *from += now;
    if now == left.len() {
        Flushed::All
    } else {
        Flushed::More
    }
}

/// Replaces NUL, which IMAP cannot carry, one for one.
pub(super) fn substitute_nul(octets: &mut [u8]) {
    let mut rest = octets;
    while let Some(found) = memchr::memchr(0, rest) {
        let (_, from) = rest.split_at_mut(found);
        let Some((nul, after)) = from.split_first_mut() else {
            return;
        };
        *nul = NUL_SUBSTITUTE;
        rest = after;
    }
}
