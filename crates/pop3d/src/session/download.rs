//! RETR and TOP: a message on its way out, a slice at a time (RFC 1939 §5, §7).

use std::io::{self, Read};

use mailstore::RawPieces;

use super::context::{Context, Utf8Mode};
use super::maildrop::Maildrop;
use crate::command::MsgNum;
use crate::error::Refused;
use crate::response::{Encoding, SLICE};
use crate::settings::Utf8Headers;

/// How much of a message is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it: RETR.
    Whole,
    /// The header, the blank line and this many lines of the body: TOP.
    Top(u64),
}

/// A message that is being sent.
#[derive(Debug)]
pub(super) struct Download {
    position: usize,
    pieces: RawPieces,
    /// The size in CRLF form of what was sent.
    octets: u64,
    top: Option<Top>,
    encoding: Encoding,
}

/// Whether a download goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to send.
    More,
    /// The response is complete.
    Complete,
}

impl Download {
    /// Opens a message and sends the first line of the response, and the message itself if it is
    /// small. May touch the disk.
    pub(super) fn start(
        position: usize,
        extent: Extent,
        maildrop: &mut Maildrop,
        context: &mut Context,
    ) -> Result<Option<Self>, Refused> {
        if context.settings.utf8_headers == Utf8Headers::Refuse && context.utf8 == Utf8Mode::Off {
            refuse_utf8(position, maildrop)?;
        }
        let mut download = Self {
            position,
            pieces: maildrop.read(position)?.into_pieces(),
            octets: 0,
            top: match extent {
                Extent::Whole => None,
                Extent::Top(lines) => Some(Top::new(lines)),
            },
            encoding: Encoding::default(),
        };
        let first = match extent {
            Extent::Whole => SLICE,
            Extent::Top(_) => TOP_PIECE,
        };
        let unreadable = |_| Refused::Unreadable(MsgNum::at(position));
        download.pieces.read_next(first).map_err(unreadable)?;
        let line = match extent {
            Extent::Top(_) => {
                context.responses.ok("top of message follows");
                None
            }
            // The end is in sight, so the size will be exact whatever the file's name says.
            Extent::Whole if download.pieces.is_at_end() => {
                Some(context.responses.octets(maildrop.octets(position)))
            }
            Extent::Whole => {
                let octets = maildrop.measure_one(position)?;
                context.responses.ok(format_args!("{octets} octets"));
                None
            }
        };
        let progress = download.send(maildrop, context);
        if let Some(line) = line {
            context.responses.correct(line, download.octets);
        }
        Ok((progress == Progress::More).then_some(download))
    }

    /// Sends the next slice. May touch the disk.
    ///
    /// # Errors
    /// If the file cannot be read on. There is no way to say so inside a message.
    pub(super) fn step(
        &mut self,
        maildrop: &mut Maildrop,
        context: &mut Context,
    ) -> io::Result<Progress> {
        self.pieces.read_next(SLICE)?;
        Ok(self.send(maildrop, context))
    }

    /// Sends what was read, and the end of the response after the last of it.
    fn send(&mut self, maildrop: &mut Maildrop, context: &mut Context) -> Progress {
        let piece = self.pieces.piece();
        let wanted = self.top.as_mut().map_or(piece.len(), |top| top.take(piece));
        let kept = piece.get(..wanted).unwrap_or(piece);
        self.octets += context.responses.message(kept, &mut self.encoding);
        let enough = self.top.as_ref().is_some_and(Top::is_complete);
        if !self.pieces.is_at_end() && !enough {
            return Progress::More;
        }
        if self.pieces.is_at_end() && wanted == piece.len() {
            maildrop.note_octets(self.position, self.octets);
        }
        context.responses.message_end(&self.encoding);
        Progress::Complete
    }
}

/// Finds the end of what TOP asks for, across the pieces of a message. Line ends may be LF or CRLF.
#[derive(Clone, Copy, Debug)]
struct Top {
    /// How many lines of the body are still wanted; nothing while the header lasts.
    lines: u64,
    part: Part,
    /// What the current line of the header holds so far.
    line: Line,
}

/// The part of a message that is passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The header, with the blank line that ends it.
    Header,
    /// The body.
    Body,
}

/// A line of the header as far as it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing.
    Empty,
    /// A single CR.
    Cr,
    /// Anything else.
    Text,
}

impl Line {
    /// The line with more of its text.
    fn and(self, text: &[u8]) -> Self {
        match (self, text) {
            (_, []) => self,
            (Self::Empty, b"\r") => Self::Cr,
            (Self::Empty | Self::Cr | Self::Text, _) => Self::Text,
        }
    }
}

impl Top {
    /// Wants the header and `lines` lines of the body.
    const fn new(lines: u64) -> Self {
        Self {
            lines,
            part: Part::Header,
            line: Line::Empty,
        }
    }

    /// How many octets of the next piece are wanted.
    fn take(&mut self, piece: &[u8]) -> usize {
        let mut offset = 0;
        while let Some(rest) = piece.get(offset..)
            && !rest.is_empty()
            && !self.is_complete()
        {
            let end = memchr::memchr(b'\n', rest);
            let text = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            if self.part == Part::Header {
                self.line = self.line.and(text);
            }
            let Some(end) = end else {
                return piece.len();
            };
            offset += end + 1;
            match self.part {
                Part::Header if self.line == Line::Text => {}
                Part::Header => self.part = Part::Body,
                Part::Body => self.lines -= 1,
            }
            self.line = Line::Empty;
        }
        offset
    }

    /// Whether no more is wanted.
    fn is_complete(&self) -> bool {
        self.part == Part::Body && self.lines == 0
    }
}

/// Refuses a message with UTF-8 in its header (RFC 6856 §2.1, §5). May touch the disk.
fn refuse_utf8(position: usize, maildrop: &mut Maildrop) -> Result<(), Refused> {
    let number = MsgNum::at(position);
    let mut reader = maildrop.read(position)?.into_reader();
    let mut top = Top::new(0);
    let mut piece = vec![0; 8 * 1024];
    loop {
        let octets = reader
            .read(&mut piece)
            .map_err(|_| Refused::Unreadable(number))?;
        let piece = piece.get(..octets).unwrap_or_default();
        let wanted = top.take(piece);
        if !piece.get(..wanted).unwrap_or(piece).is_ascii() {
            return Err(Refused::NeedsUtf8(number));
        }
        if octets == 0 || top.is_complete() {
            return Ok(());
        }
    }
}

/// How much of a message is read at first for TOP.
const TOP_PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What TOP keeps of a message that passes in pieces.
    fn top(message: &str, lines: u64, piece: usize) -> String {
        let mut top = Top::new(lines);
        let mut kept = Vec::new();
        for bytes in message.as_bytes().chunks(piece) {
            let wanted = top.take(bytes);
            kept.extend_from_slice(&bytes[..wanted]);
        }
        String::from_utf8(kept).unwrap()
    }

    #[test]
    fn top_counts_lines_of_the_body() {
        let message = "A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\nend";
        for piece in 1..=message.len() {
            for (lines, expected) in [
                (0, "A: 1\r\nB: 2\r\n\r\n"),
                (1, "A: 1\r\nB: 2\r\n\r\none\r\n"),
                (2, "A: 1\r\nB: 2\r\n\r\none\r\n\r\n"),
                (3, "A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\n"),
                (4, message),
                (u64::MAX, message),
            ] {
                assert_eq!(top(message, lines, piece), expected, "{lines} by {piece}");
            }
        }
    }

    #[test]
    fn top_of_odd_messages() {
        for (message, lines, expected) in [
            ("", 0, ""),
            ("A: no body\r\n", 5, "A: no body\r\n"),
            ("A: no end", 0, "A: no end"),
            ("\r\nbody\r\nmore\r\n", 1, "\r\nbody\r\n"),
            ("A: 1\r\n \r\n\r\nbody\r\n", 0, "A: 1\r\n \r\n\r\n"),
            (
                "A: 1\r\n\r\r\nB: 2\r\n\r\n",
                0,
                "A: 1\r\n\r\r\nB: 2\r\n\r\n",
            ),
        ] {
            for piece in 1..=message.len().max(1) {
                assert_eq!(top(message, lines, piece), expected, "{message:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn top_keeps_the_same_lines_whatever_their_ends(
            message in "[a\r\n]{0,30}",
            lines in 0u64..6,
            piece in 1usize..9,
        ) {
            let crlf = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
            let kept = crlf(&top(&message, lines, piece));
            prop_assert_eq!(kept, top(&crlf(&message), lines, piece));
        }
    }
}
