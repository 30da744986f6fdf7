//! POP3 lines: cutting the input differently changes nothing, and any line is parsed or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pop3d::framer::{Expect, Frame, Framer, LineLimits};
use pop3d::grammar;

fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut framer = Framer::new(LineLimits {
        command: 32,
        sasl: 64,
    });
    let mut out = Vec::new();
    for piece in pieces {
        framer.push(piece);
        while let Some(frame) = framer.next(Expect::Command) {
            match frame {
                Frame::Line(line) => out.push(Some(line.to_vec())),
                Frame::TooLong => out.push(None),
                Frame::Flood => return out,
            }
        }
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let whole = lines([input].into_iter());
    assert_eq!(whole, lines(input.chunks(1)));
    assert_eq!(whole, lines(input.chunks(7)));
    for line in whole.into_iter().flatten() {
        drop(grammar::command(&line));
    }
});
