//! The messages of APPEND.

use super::*;

#[test]
fn a_message_is_handed_through() {
    check(
        Choice::Accept,
        "a APPEND x (\\Seen) {6}\r\nab\r\ncd\r\nb NOOP\r\n",
        &[
            "message a 6 Sync",
            r"data ab\r\ncd",
            "end [whole]",
            "command b NOOP",
        ],
    );
    check(
        Choice::Accept,
        "a APPEND {1}\r\nx {0+}\r\n\nb NOOP\r\n",
        &[
            "continue",
            "message a 0 NonSync",
            "end [whole]",
            "command b NOOP",
        ],
    );
    let long = "x".repeat(200_000);
    check(
        Choice::Accept,
        &format!("a APPEND x {{200000+}}\r\n{long}\r\n"),
        &[
            "message a 200000 NonSync",
            &format!("data {long}"),
            "end [whole]",
        ],
    );
}

#[test]
fn a_message_that_replaces_is_handed_through() {
    check(
        Choice::Accept,
        "a REPLACE 1 x {2+}\r\nab\r\nb UID REPLACE 2 {1}\r\nx {2}\r\ncd\r\nc NOOP\r\n",
        &[
            "message a 2 NonSync",
            "data ab",
            "end [whole]",
            "continue",
            "message b 2 Sync",
            "data cd",
            "end [whole]",
            "command c NOOP",
        ],
    );
    check(
        Choice::Accept,
        "a REPLACE x y {3+}\r\nabc\r\nb NOOP\r\n",
        &[
            "bad a expected a number from 1 to 2^32-1 or * at octet 10",
            "command b NOOP",
        ],
    );
}

#[test]
fn a_refused_message_is_skipped() {
    check(
        Choice::Refuse,
        "a APPEND x {3}\r\nb NOOP\r\n",
        &["message a 3 Sync", "command b NOOP"],
    );
    check(
        Choice::Refuse,
        "a APPEND x {8+}\r\nb NOOP\r\n {3+}\r\n\r\n\n\r\nc NOOP\r\n",
        &["message a 8 NonSync", "command c NOOP"],
    );
}

#[test]
fn messages_follow_each_other() {
    check(
        Choice::Accept,
        "a APPEND x {1}\r\nm {2+}\r\n\r\n (\\Seen) \" 1-Jan-1970 00:00:09 +0000\" {0}\n \r\nb NOOP\r\n",
        &[
            "message a 1 Sync",
            "data m",
            "next [whole message 2] 2 NonSync",
            r"data \r\n",
            "next [whole message 0] 0 Sync",
            "end [whole]",
            "command b NOOP",
        ],
    );
    check(
        Choice::Refuse,
        "a APPEND x {2+}\r\nab {3+}\r\n\r\nc {4}\r\nb NOOP\r\n",
        &["message a 2 NonSync", "command b NOOP"],
    );
}

#[test]
fn a_message_is_put_together() {
    check(
        Choice::Accept,
        "a APPEND x CATENATE (URL {1+}\r\nu TEXT {1}\r\nm URL v TEXT {2+}\r\n\r\n URL {1}\r\nw) {1}\r\nn CATENATE (URL x)\r\nb NOOP\r\n",
        &[
            "message a 1 Sync",
            "data m",
            "next [v text 2] 2 NonSync",
            r"data \r\n",
            "continue",
            "next [w whole message 1] 1 Sync",
            "data n",
            "end [whole message x whole]",
            "command b NOOP",
        ],
    );
    check(
        Choice::Accept,
        "a APPEND x CATENATE (URL u)\r\n",
        &["command a APPEND x CATENATE (URL u)"],
    );
    let end = "end: expected a space or a closing parenthesis at octet 0";
    check(
        Choice::Accept,
        "a APPEND x CATENATE (TEXT {1+}\r\nm\r\nb NOOP\r\n",
        &["message a 1 NonSync", "data m", end, "command b NOOP"],
    );
}

#[test]
fn what_may_not_follow_a_message_is_skipped() {
    let end = |expected: &str, at| format!("end: expected {expected} at octet {at}");
    let space = end("a space", 0);
    let literal = end("the message as a literal", 1);
    for (input, kind, end) in [
        ("a APPEND x {1}\r\nmx\r\nb NOOP\r\n", "Sync", &space),
        ("a APPEND x {1}\r\nm\rx\r\nb NOOP\r\n", "Sync", &space),
        (
            "a APPEND x {1+}\r\nm{1+}\r\ny\r\nb NOOP\r\n",
            "NonSync",
            &space,
        ),
        ("a APPEND x {1}\r\nm{1}\r\nb NOOP\r\n", "Sync", &space),
        (
            "a APPEND x {1}\r\nm x {1+}\r\ny z\r\nb NOOP\r\n",
            "Sync",
            &literal,
        ),
        ("a APPEND x {1}\r\nm x\r\nb NOOP\r\n", "Sync", &literal),
    ] {
        let announced = format!("message a 1 {kind}");
        check(
            Choice::Accept,
            input,
            &[&announced, "data m", end, "command b NOOP"],
        );
    }
    check(
        Choice::Accept,
        "a APPEND x {1+}\r\nm {99999999999999999999}\r\nb NOOP\r\n",
        &[
            "message a 1 NonSync",
            "data m",
            &end("a literal's size", 25),
            "command b NOOP",
        ],
    );
    let long = " ".repeat(70_000);
    check(
        Choice::Accept,
        &format!("a APPEND x {{1+}}\r\nm{long}{{1+}}\r\nx\r\nb NOOP\r\n"),
        &[
            "message a 1 NonSync",
            "data m",
            &end("a line within the limits", 65_536),
            "command b NOOP",
        ],
    );
}

#[test]
fn a_broken_append_is_skipped() {
    check(
        Choice::Accept,
        "a APPEND x (\\Seen {3}\r\nb NOOP\r\n",
        &["bad a expected a flag at octet 18", "command b NOOP"],
    );
    check(
        Choice::Accept,
        "a APPEND x y {9+}\r\nz NOOP\r\nx\r\nb NOOP\r\n",
        &[
            "bad a expected the message as a literal at octet 11",
            "command b NOOP",
        ],
    );
    check(Choice::Accept, "a APPEND\r\n", &["command a APPEND"]);
}

#[test]
fn an_upload_is_not_buffered() {
    let mut framer = Framer::new(&Limits::default());
    framer.set_phase(Phase::AfterLogin);
    framer.push(b"a APPEND x {52428800+}\r\n");
    assert!(matches!(framer.next(), Frame::Message(..)));
    framer.accept_message();
    let mut octets = 0;
    for _ in 0..3200 {
        framer.push(&[b'x'; 16 * 1024]);
        while let Frame::MessageData(data) = framer.next() {
            octets += data.len();
        }
        assert_eq!(framer.input.capacity(), 0);
    }
    assert_eq!(octets, 52_428_800);
    framer.push(b"\r\n");
    assert_eq!(tell(&framer.next()), "end [whole]");
}
