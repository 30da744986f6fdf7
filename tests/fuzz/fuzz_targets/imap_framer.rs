//! IMAP commands: cutting the input differently changes nothing, and what is held is bounded.
#![no_main]

use imapd::Limits;
use imapd::framer::{Frame, Framer, Phase};
use libfuzzer_sys::fuzz_target;

/// What the framer makes of the input when it comes in such pieces. Message data are joined,
/// because only they are handed through as they come.
fn frames<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    limits: &Limits,
    phase: Phase,
) -> Vec<(&'static str, Vec<u8>)> {
    let mut framer = Framer::new(limits);
    framer.set_phase(phase);
    let mut out: Vec<(&'static str, Vec<u8>)> = Vec::new();
    for piece in pieces {
        framer.push(piece);
        loop {
            match framer.next() {
                Frame::More => break,
                Frame::Continue => out.push(("continue", Vec::new())),
                Frame::Command(command) => out.push(("command", command)),
                Frame::Line(line) => out.push(("line", line)),
                Frame::Message(_, announced) | Frame::NextMessage(_, announced) => {
                    out.push(("message", announced.octets.to_string().into_bytes()));
                    if announced.octets % 2 == 0 {
                        framer.accept_message();
                    } else {
                        framer.refuse_message();
                    }
                }
                Frame::MessageData(data) => match out.last_mut() {
                    Some(("data", joined)) => joined.extend(data),
                    _ => out.push(("data", data)),
                },
                Frame::MessageEnd(result) => out.push(("end", vec![u8::from(result.is_ok())])),
                Frame::Bad { tag, .. } => out.push(("bad", vec![u8::from(tag.is_some())])),
                Frame::Fatal(_) => out.push(("fatal", Vec::new())),
            }
        }
        assert!(framer.buffered() <= limits.arguments + limits.line + piece.len());
    }
    out
}

fuzz_target!(|input: &[u8]| {
    let limits = Limits {
        line_before_login: 48,
        literal_before_login: 32,
        arguments_before_login: 96,
        line: 64,
        arguments: 128,
        message: 64,
        ..Limits::default()
    };
    for phase in [Phase::BeforeLogin, Phase::AfterLogin] {
        let whole = frames([input].into_iter(), &limits, phase);
        assert_eq!(whole, frames(input.chunks(1), &limits, phase));
        assert_eq!(whole, frames(input.chunks(7), &limits, phase));
    }
});
