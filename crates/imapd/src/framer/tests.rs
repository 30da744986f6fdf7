//! Tests of the framer: whole and partial input, limits, resynchronization.

mod uploads;

use proptest::prelude::*;

use crate::command::Piece;
use crate::extension::Capability;
use crate::types::Tag;

use super::*;

/// What to do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Accept,
    Refuse,
}

/// A frame in short.
fn tell(frame: &Frame) -> String {
    let text = |octets: &[u8]| octets.escape_ascii().to_string();
    let tag_text = |tag: &Option<Tag>| tag.as_ref().map_or("*".to_owned(), Tag::to_string);
    match frame {
        Frame::More => "more".to_owned(),
        Frame::Continue => "continue".to_owned(),
        Frame::Command(octets) => format!("command {}", text(octets)),
        Frame::Line(octets) => format!("line {}", text(octets)),
        Frame::Message(command, announced) => {
            format!(
                "message {} {} {:?}",
                command.tag, announced.octets, announced.kind
            )
        }
        Frame::MessageData(octets) => format!("data {}", text(octets)),
        Frame::NextMessage(pieces, announced) => {
            let kind = announced.kind;
            format!("next {} {} {kind:?}", tell_pieces(pieces), announced.octets)
        }
        Frame::MessageEnd(Ok(pieces)) => format!("end {}", tell_pieces(pieces)),
        Frame::MessageEnd(Err(refusal)) => format!("end: {refusal}"),
        Frame::Bad { tag, refusal } => {
            let code = if refusal.code.is_some() {
                "[TOOBIG] "
            } else {
                ""
            };
            format!("bad {} {code}{refusal}", tag_text(tag))
        }
        Frame::Fatal(error) => format!("fatal {error}"),
    }
}

/// The pieces of a segment in short.
fn tell_pieces(pieces: &[Piece]) -> String {
    let tell = |piece: &Piece| match piece {
        Piece::Message { .. } => "message".to_owned(),
        Piece::Octets(octets) => octets.to_string(),
        Piece::AnyOctets(octets) => format!("~{octets}"),
        Piece::Utf8(octets) => format!("UTF8 ~{octets}"),
        Piece::Text(octets) => format!("text {octets}"),
        Piece::Url(url) => url.escape_ascii().to_string(),
        Piece::End => "whole".to_owned(),
    };
    let told: Vec<String> = pieces.iter().map(tell).collect();
    format!("[{}]", told.join(" "))
}

/// All frames up to the next `More`; pieces of a message are joined.
fn drain(framer: &mut Framer, choice: Choice, frames: &mut Vec<String>) {
    loop {
        let frame = framer.next();
        match (&frame, frames.last_mut()) {
            (Frame::More, _) => return,
            (Frame::MessageData(octets), Some(last)) if last.starts_with("data ") => {
                assert!(octets.len() <= CHUNK);
                last.push_str(&octets.escape_ascii().to_string());
            }
            _ => frames.push(tell(&frame)),
        }
        if matches!(frame, Frame::Message(..) | Frame::NextMessage(..)) {
            match choice {
                Choice::Accept => framer.accept_message(),
                Choice::Refuse => framer.refuse_message(),
            }
        }
    }
}

/// The frames of an input that is pushed in pieces of `size`.
fn frames(phase: Phase, choice: Choice, input: &[u8], size: usize) -> Vec<String> {
    let mut framer = Framer::new(&Limits::default());
    framer.set_phase(phase);
    let mut frames = Vec::new();
    for piece in input.chunks(size) {
        framer.push(piece);
        drain(&mut framer, choice, &mut frames);
    }
    frames
}

/// Checks the frames of an input after login, whole and octet by octet.
fn check(choice: Choice, input: &str, expected: &[&str]) {
    for size in [input.len().max(1), 1] {
        let found = frames(Phase::AfterLogin, choice, input.as_bytes(), size);
        assert_eq!(found, expected, "{input:?} in pieces of {size}");
    }
}

#[test]
fn commands_end_with_their_line() {
    check(
        Choice::Accept,
        "a NOOP\r\nb NOOP\nc",
        &["command a NOOP", "command b NOOP"],
    );
    check(
        Choice::Accept,
        "\r\n\n\r\na NOOP\r\n\r\n",
        &["command a NOOP"],
    );
    check(Choice::Accept, "a b\rc\r\n", &["command a b\\rc"]);
    check(Choice::Accept, " \r\n", &["command  "]);
}

#[test]
fn only_synchronizing_literals_are_continued() {
    check(
        Choice::Accept,
        "a LOGIN {3}\r\nfoo {4+}\r\nb\r\nr\r\nb NOOP\r\n",
        &[
            "continue",
            r"command a LOGIN {3}\r\nfoo {4+}\r\nb\r\nr",
            "command b NOOP",
        ],
    );
    check(
        Choice::Accept,
        "a LOGIN {0}\r\n {0+}\n\r\n",
        &["continue", r"command a LOGIN {0}\r\n {0+}\n"],
    );
    check(
        Choice::Accept,
        "a LOGIN \"{3}\" x}\r\n",
        &[r#"command a LOGIN \"{3}\" x}"#],
    );
}

#[test]
fn literals_that_were_not_permitted_are_skipped() {
    let run = |offered, input: &str| {
        let mut framer = Framer::new(&Limits::default());
        framer.set_phase(Phase::AfterLogin);
        framer.set_offered(offered);
        framer.reset();
        framer.set_phase(Phase::AfterLogin);
        framer.push(input.as_bytes());
        let mut frames = Vec::new();
        drain(&mut framer, Choice::Accept, &mut frames);
        frames
    };
    let minus = Capabilities::NONE.with(Capability::LiteralMinus);
    let expected = "expected a synchronizing literal for more than 4096 octets";
    let long = "\n".repeat(4097);
    assert_eq!(
        run(
            minus,
            &format!("a SUBSCRIBE {{4097+}}\r\n{long}\r\nb NOOP\r\n")
        ),
        [
            format!("bad a {expected} at octet 21"),
            "command b NOOP".to_owned()
        ]
    );
    // RFC 7888 §5: APPEND is told that it was the size, whatever the literal was.
    for start in ["a APPEND x", "a APPEND"] {
        let input = format!("{start} {{4097+}}\r\n{long}\r\nb NOOP\r\n");
        let at = start.len() + 10;
        assert_eq!(
            run(minus, &input),
            [
                format!("bad a [TOOBIG] {expected} at octet {at}"),
                "command b NOOP".to_owned()
            ]
        );
    }
    assert_eq!(
        run(minus, "a SUBSCRIBE {1+}\r\nx\r\n"),
        [r"command a SUBSCRIBE {1+}\r\nx"]
    );
    assert_eq!(
        run(
            Capabilities::NONE,
            "a SUBSCRIBE {1+}\r\nx\r\nb SUBSCRIBE {1}\r\nx\r\n"
        ),
        [
            "bad a expected a synchronizing literal at octet 18",
            "continue",
            r"command b SUBSCRIBE {1}\r\nx"
        ]
    );
}

#[test]
fn lines_are_not_looked_into() {
    let mut framer = Framer::new(&Limits::default());
    framer.push(b"a IDLE\r\nDONE\r\n\r\n{3}\r\nb NOOP\r\n");
    assert_eq!(tell(&framer.next()), "command a IDLE");
    framer.set_mode(Mode::Lines);
    assert_eq!(tell(&framer.next()), "line DONE");
    assert_eq!(tell(&framer.next()), "line ");
    assert_eq!(tell(&framer.next()), "line {3}");
    framer.set_mode(Mode::Commands);
    assert_eq!(tell(&framer.next()), "command b NOOP");
    assert_eq!(tell(&framer.next()), "more");
    framer.set_mode(Mode::Lines);
    framer.push(&[b'x'; 8193]);
    framer.push(b"{3+}\r\nfoo\r\n");
    assert!(tell(&framer.next()).starts_with("bad * expected a line within"));
    assert_eq!(tell(&framer.next()), "line foo");
}

#[test]
fn limits_before_login_hold() {
    let line = |octets: usize| format!("a {}", "x".repeat(octets - 2));
    let run = |input: &str| {
        let whole = frames(
            Phase::BeforeLogin,
            Choice::Accept,
            input.as_bytes(),
            input.len(),
        );
        let pieces = frames(Phase::BeforeLogin, Choice::Accept, input.as_bytes(), 1);
        assert_eq!(whole, pieces);
        whole
    };
    let fits = line(8192);
    assert_eq!(run(&format!("{fits}\r\n")), [format!("command {fits}")]);
    let bad = "bad a expected a line within the limits at octet 8192";
    assert_eq!(
        run(&format!("{}\r\nb NOOP\r\n", line(8193))),
        [bad, "command b NOOP"]
    );
    assert_eq!(
        run(&format!("{}{{2+}}\r\n\r\n\r\nb NOOP\r\n", line(8193))),
        [bad, "command b NOOP"]
    );
    let fatal = "fatal expected a command within the limits at octet 0";
    assert_eq!(run(&format!("{}\r\nb NOOP\r\n", line(65_537))), [fatal]);
    assert_eq!(
        run(&format!("a LOGIN {{8192}}\r\n{} x\r\n", "u".repeat(8192))).len(),
        2
    );
    let literal = |tag, at| format!("bad {tag} expected a literal within the limits at octet {at}");
    assert_eq!(
        run("a LOGIN {8193}\r\nb LOGIN {4000000000}\r\nc NOOP\r\n"),
        [
            literal("a", 16),
            literal("b", 22),
            "command c NOOP".to_owned()
        ]
    );
    assert_eq!(
        run(&format!(
            "a LOGIN {{8193+}}\r\n{}\r\nc NOOP\r\n",
            "\n".repeat(8193)
        )),
        [literal("a", 17), "command c NOOP".to_owned()]
    );
    assert_eq!(run("a LOGIN {65537+}\r\nb NOOP\r\n"), [fatal]);
    let many = format!(
        "a ID{} {{8000+}}\r\n",
        format!(" {{8000+}}\r\n{}", "y".repeat(8000)).repeat(8)
    );
    assert_eq!(
        run(&format!("{many}{}\r\nb NOOP\r\n", "z".repeat(8000))),
        [literal("a", many.len()), "command b NOOP".to_owned()]
    );
}

#[test]
fn sizes_that_cannot_be_read_are_refused() {
    check(
        Choice::Accept,
        "a LOGIN {18446744073709551616}\r\nb NOOP\r\n",
        &[
            "bad a expected a literal's size at octet 32",
            "command b NOOP",
        ],
    );
    check(
        Choice::Accept,
        "a LOGIN {18446744073709551616+}\r\nb NOOP\r\n",
        &["fatal expected a literal's size at octet 0"],
    );
    check(
        Choice::Refuse,
        "a APPEND x {18446744073709551615}\r\nb NOOP\r\n",
        &["message a 18446744073709551615 Sync", "command b NOOP"],
    );
}

#[test]
fn an_endless_line_costs_little_and_ends_the_connection() {
    let mut framer = Framer::new(&Limits::default());
    let mut frames = Vec::new();
    for _ in 0..4096 {
        framer.push(&[b'('; 16 * 1024]);
        drain(&mut framer, Choice::Accept, &mut frames);
        assert!(framer.input.capacity() <= 100_000, "S18");
    }
    assert_eq!(frames.len(), 1);
    assert!(frames[0].starts_with("fatal "), "{frames:?}");
}

#[test]
fn memory_is_bounded_before_login_and_given_back() {
    let mut framer = Framer::new(&Limits::default());
    let mut frames = Vec::new();
    let mut most = 0;
    for _ in 0..100 {
        framer.push(b"a X");
        for _ in 0..20 {
            framer.push(b" {8000+}\r\n");
            for _ in 0..8 {
                framer.push(&[b'x'; 1000]);
                drain(&mut framer, Choice::Accept, &mut frames);
                most = most.max(framer.input.capacity());
            }
        }
        framer.push(b"\r\n");
        drain(&mut framer, Choice::Accept, &mut frames);
        assert_eq!(framer.input.capacity(), 0, "nothing is buffered");
    }
    assert_eq!(frames.len(), 100);
    assert!(most <= 100_000, "{most}");
}

#[test]
fn a_reset_forgets_everything() {
    for before in [
        &b"b LOGIN x"[..],
        b"b LOGIN {100+}\r\nabc",
        b"b APPEND x {100+}\r\nabc",
        &[b'x'; 9000],
        &[b'x'; 90_000],
    ] {
        let mut framer = Framer::new(&Limits::default());
        framer.push(b"a STARTTLS\r\n");
        framer.push(before);
        assert_eq!(tell(&framer.next()), "command a STARTTLS");
        let mut frames = Vec::new();
        drain(&mut framer, Choice::Accept, &mut frames);
        framer.reset();
        assert_eq!(framer.buffered(), 0);
        framer.push(b"c NOOP\r\n");
        assert_eq!(tell(&framer.next()), "command c NOOP");
    }
}

#[test]
fn debug_shows_no_input() {
    let mut framer = Framer::new(&Limits::default());
    framer.push(b"a LOGIN tim hunter2\r\nb LOGIN tim hunter2");
    let frame = framer.next();
    assert!(matches!(frame, Frame::Command(_)));
    assert!(matches!(framer.next(), Frame::More));
    let shown = format!("{framer:?} {frame:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("104, 117"),
        "{shown}"
    );
}

/// Input made of what matters to a framer.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            &b"\r\n"[..], b"\n", b"\r", b" ", b"a ", b"{3}", b"{0+}", b"{5+}\r\n", b"{2}\r\n", b"{70+}\r\n",
            b"{9000+}\r\n", b"{90}\n", b"{18446744073709551616}\r\n", b"{000000000000000000000000000000009+}\r\n",
            b"a APPEND x {4}\r\n", b"a APPEND {1+}\r\nx {4+}\r\n", b"a APPEND x (\\Seen {4+}\r\n", b" (\\Seen) {3+}\r\n", b"a APPEND x CATENATE (TEXT {4+}\r\n", b" URL {1+}\r\nu", b" TEXT {3+}\r\n", b")", b" {2}\r\n", b" {70+}\r\n", b"\"", b"}", b"+}",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (0usize..120).prop_map(|octets| vec![b'x'; octets]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        input in input(),
        size in 1usize..20,
        before_login in any::<bool>(),
        accept in any::<bool>(),
    ) {
        let limits = Limits {
            line_before_login: 40,
            literal_before_login: 40,
            arguments_before_login: 100,
            line: 200,
            arguments: 300,
            ..Limits::default()
        };
        let phase = if before_login { Phase::BeforeLogin } else { Phase::AfterLogin };
        let choice = if accept { Choice::Accept } else { Choice::Refuse };
        let mut told = Vec::new();
        for size in [input.len().max(1), size, 1] {
            let mut framer = Framer::new(&limits);
            framer.set_phase(phase);
            let mut frames = Vec::new();
            for piece in input.chunks(size) {
                framer.push(piece);
                drain(&mut framer, choice, &mut frames);
            }
            told.push(frames);
        }
        prop_assert_eq!(&told[0], &told[1]);
        prop_assert_eq!(&told[0], &told[2]);
    }

    #[test]
    fn any_bytes_never_panic(
        input in prop::collection::vec(any::<u8>(), 0..400),
        lines in any::<bool>(),
    ) {
        let mut framer = Framer::new(&Limits::default());
        if lines {
            framer.set_mode(Mode::Lines);
        }
        framer.push(&input);
        let mut frames = Vec::new();
        drain(&mut framer, Choice::Accept, &mut frames);
        prop_assert!(framer.buffered() <= input.len());
    }

    #[test]
    fn what_is_framed_is_parsed_or_refused(input in input()) {
        let mut framer = Framer::new(&Limits::default());
        framer.set_phase(Phase::AfterLogin);
        framer.push(&input);
        loop {
            match framer.next() {
                Frame::More | Frame::Fatal(_) => break,
                Frame::Command(octets) => {
                    if let Err((_, error)) = grammar::command(&octets, &Limits::default()) {
                        prop_assert!(error.at() <= octets.len());
                    }
                }
                Frame::Message(..) | Frame::NextMessage(..) => framer.accept_message(),
                Frame::Continue
                | Frame::Line(_)
                | Frame::MessageData(_)
                | Frame::MessageEnd(_)
                | Frame::Bad { .. } => {}
            }
        }
    }
}
