//! Bytes to lines, with limits. The only part that knows about partial input.
//!
//! A line over its limit is thrown away as it arrives and reported once its end is seen, so that a
//! client without line ends costs a bounded amount of memory; past `FLOOD` octets the client is
//! given up.

/// Collects bytes and hands out whole lines.
#[derive(Debug)]
pub struct Framer {
    limits: LineLimits,
    buffer: Vec<u8>,
    /// Where the line that is next begins in the buffer.
    start: usize,
    /// Up to where the buffer has been searched for a line end.
    scanned: usize,
    /// How many octets of the line that is next were thrown away.
    discarded: usize,
}

/// The longest lines accepted, in octets with their line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineLimits {
    /// For commands (RFC 2449 §4).
    pub command: usize,
    /// For AUTH commands and SASL responses (RFC 5034 §4).
    pub sasl: usize,
}

/// What the next line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A command.
    Command,
    /// A SASL response.
    Sasl,
}

/// What the framer found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line, without its line end.
    Line(&'a [u8]),
    /// A line that was over its limit; its octets are gone.
    TooLong,
    /// Far too many octets without a line end: this is not a POP3 client.
    Flood,
}

impl Framer {
    /// Starts with nothing.
    pub const fn new(limits: LineLimits) -> Self {
        Self {
            limits,
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            discarded: 0,
        }
    }

    /// Takes bytes from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets everything, as at the start of TLS (RFC 2595 §4).
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The next line, if it is complete.
    ///
    /// A bare LF ends a line too. Interop: people type into `nc`, and scripts forget the CR.
    pub fn next(&mut self, expect: Expect) -> Option<Frame<'_>> {
        let unscanned = self.buffer.get(self.scanned..).unwrap_or_default();
        let Some(offset) = unscanned.iter().position(|&byte| byte == b'\n') else {
            return self.incomplete(expect);
        };
        let (start, end) = (self.start, self.scanned + offset);
        self.start = end + 1;
        self.scanned = self.start;
        let line = self.buffer.get(start..end).unwrap_or_default();
        let discarded = std::mem::take(&mut self.discarded);
        if discarded > 0 || line.len() + 1 > self.limits.of(line, expect) {
            return Some(Frame::TooLong);
        }
        Some(Frame::Line(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    /// Keeps the beginning of a line for later, or throws it away if it is too long already.
    fn incomplete(&mut self, expect: Expect) -> Option<Frame<'_>> {
        self.scanned = self.buffer.len();
        let begun = self.buffer.get(self.start..).unwrap_or_default();
        if begun.is_empty() {
            // An idle session keeps no buffer.
            self.buffer = Vec::new();
            (self.start, self.scanned) = (0, 0);
            return None;
        }
        if self.discarded > 0 || begun.len() >= self.limits.of(begun, expect) {
            self.discarded += begun.len();
            self.buffer = Vec::new();
            (self.start, self.scanned) = (0, 0);
        }
        (self.discarded > FLOOD).then_some(Frame::Flood)
    }
}

impl LineLimits {
    /// The limit for a line that begins like this.
    ///
    /// Interop: clients send initial responses that are longer than RFC 5034 §4 allows them to,
    /// with tokens for passwords.
    fn of(self, line: &[u8], expect: Expect) -> usize {
        let auth = line
            .get(..5)
            .is_some_and(|keyword| keyword.eq_ignore_ascii_case(b"AUTH "));
        match expect {
            Expect::Command if !auth => self.command,
            Expect::Command | Expect::Sasl => self.sasl,
        }
    }
}

/// After this many octets of one line the connection is not worth keeping.
const FLOOD: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: LineLimits = LineLimits {
        command: 255,
        sasl: 1024,
    };

    /// The lines that `input` holds, fed in pieces of `piece` octets.
    fn frames(input: &[u8], piece: usize) -> Vec<String> {
        let mut framer = Framer::new(LIMITS);
        let mut found = Vec::new();
        for bytes in input.chunks(piece) {
            framer.push(bytes);
            while let Some(frame) = framer.next(Expect::Command) {
                found.push(match frame {
                    Frame::Line(line) => String::from_utf8_lossy(line).into_owned(),
                    Frame::TooLong => "(too long)".to_owned(),
                    Frame::Flood => return vec!["(flood)".to_owned()],
                });
            }
        }
        found
    }

    #[test]
    fn lines_come_out_whatever_the_pieces() {
        let input = b"USER a\r\nPASS b c\r\n\r\nQUIT\nrest";
        for piece in 1..=input.len() {
            assert_eq!(frames(input, piece), ["USER a", "PASS b c", "", "QUIT"]);
        }
    }

    #[test]
    fn a_line_of_255_octets_is_accepted_and_one_of_256_is_not() {
        let line = |octets: usize| format!("{}\r\nNOOP\r\n", "x".repeat(octets - 2));
        for piece in [1, 7, 4096] {
            assert_eq!(frames(line(255).as_bytes(), piece)[0].len(), 253);
            assert_eq!(frames(line(256).as_bytes(), piece), ["(too long)", "NOOP"]);
        }
    }

    #[test]
    fn auth_lines_may_be_longer() {
        let line = format!("auth PLAIN {}\r\n", "A".repeat(800));
        assert_eq!(frames(line.as_bytes(), 10)[0].len(), 811);
        let line = format!("AUTH PLAIN {}\r\n", "A".repeat(1100));
        assert_eq!(frames(line.as_bytes(), 10), ["(too long)"]);
    }

    #[test]
    fn a_flood_keeps_no_memory_and_is_reported() {
        let mut framer = Framer::new(LIMITS);
        let mut flooded = false;
        for _ in 0..65 {
            framer.push(&[b'x'; 1024]);
            flooded = framer.next(Expect::Command) == Some(Frame::Flood);
            assert!(framer.buffer.capacity() <= 4096);
        }
        assert!(flooded);
    }

    #[test]
    fn an_idle_framer_holds_no_buffer() {
        let mut framer = Framer::new(LIMITS);
        framer.push(b"NOOP\r\n");
        assert_eq!(framer.next(Expect::Command), Some(Frame::Line(b"NOOP")));
        assert_eq!(framer.next(Expect::Command), None);
        assert_eq!(framer.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn pieces_never_change_what_comes_out(
            input in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..700),
            piece in 1usize..600,
        ) {
            prop_assert_eq!(frames(&input, piece), frames(&input, 2000));
        }
    }
}
