//! SEARCH: every key against a small mailbox.

use crate::world::World;

const DONE: &str = "x OK …";

/// Five messages with known flags, dates and texts.
fn world() -> World {
    let world = World::new();
    let mut client = world.log_in();
    let messages = [
        (
            "(\\Seen \\Answered) \"01-Jan-2020 12:00:00 +0000\"",
            "From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nSubject: first\r\n\
             Date: Wed, 1 Jan 2020 10:00:00 +0000\r\n\r\nhello world\r\n",
        ),
        (
            "(\\Flagged) \"02-Jan-2020 23:30:00 -0100\"",
            "From: Bob <bob@example.org>\r\nCc: carl@example.org\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n\
             Date: Thu, 2 Jan 2020 10:00:00 +0000\r\n\r\nGRÜN und blau\r\n",
        ),
        (
            "(\\Deleted word) \"10-Feb-2020 00:00:00 +0000\"",
            "From: carl@example.org\r\nBcc: dora@example.org\r\nX-Empty:\r\n\r\nthird\r\n",
        ),
        (
            "(\\Draft) \"11-Feb-2020 00:00:00 +0000\"",
            "Subject: fourth\r\nDate: nonsense\r\n\r\nlonger text that is longer than the others \
             0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789\r\n",
        ),
        ("() \"12-Feb-2020 00:00:00 +0000\"", "\r\n"),
    ];
    for (arguments, text) in messages {
        let size = text.len();
        let answer = client.send(format!(
            "x APPEND INBOX {arguments} {{{size}+}}\r\n{text}\r\n"
        ));
        assert!(answer.starts_with("x OK "), "{answer}");
    }
    world
}

#[test]
fn every_key_finds_what_it_should() {
    let world = world();
    let mut client = world.select();
    let rows = [
        ("ALL", "1 2 3 4 5"),
        ("ANSWERED", "1"),
        ("UNANSWERED", "2 3 4 5"),
        ("DELETED", "3"),
        ("UNDELETED", "1 2 4 5"),
        ("DRAFT", "4"),
        ("UNDRAFT", "1 2 3 5"),
        ("FLAGGED", "2"),
        ("UNFLAGGED", "1 3 4 5"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3 4 5"),
        ("KEYWORD WORD", "3"),
        ("UNKEYWORD word", "1 2 4 5"),
        ("KEYWORD other", ""),
        ("RECENT", "1 2 3 4 5"),
        ("NEW", "2 3 4 5"),
        ("OLD", ""),
        ("2:3", "2 3"),
        ("4:*", "4 5"),
        ("UID 1,5:9", "1 5"),
        ("LARGER 150", "4"),
        ("SMALLER 10", "5"),
        ("BEFORE 3-Jan-2020", "1"),
        ("ON 3-Jan-2020", "2"),
        ("SINCE 10-Feb-2020", "3 4 5"),
        ("SENTBEFORE 2-Jan-2020", "1"),
        ("SENTON 2-Jan-2020", "2"),
        ("SENTSINCE 1-Jan-2020", "1 2"),
        ("FROM ANN", "1"),
        ("TO bob", "1"),
        ("CC carl", "2"),
        ("BCC dora", "3"),
        ("SUBJECT fIrSt", "1"),
        ("HEADER X-Empty \"\"", "3"),
        ("HEADER Subject \"\"", "1 2 4"),
        ("BODY WORLD", "1"),
        ("BODY Subject", ""),
        ("TEXT Subject", "1 2 4"),
        ("NOT SEEN", "2 3 4 5"),
        ("NOT NOT SEEN", "1"),
        ("OR SEEN FLAGGED", "1 2"),
        ("OR BODY third (FLAGGED FROM bob)", "2 3"),
        ("UNSEEN FROM carl", "3"),
        ("(SEEN) (ANSWERED)", "1"),
        ("CHARSET UTF-8 SUBJECT {5+}\r\nGR\u{dc}N", ""),
        (
            "CHARSET UTF-8 SUBJECT {5+}\r\nGR\u{dc}N BODY {5+}\r\ngr\u{fc}n",
            "",
        ),
    ];
    for (keys, expected) in rows {
        let expected = match (keys.contains("UTF-8"), expected) {
            (true, _) => "* SEARCH 2".to_owned(),
            (false, "") => "* SEARCH".to_owned(),
            (false, found) => format!("* SEARCH {found}"),
        };
        let answer = client.send(format!("x SEARCH {keys}\r\n"));
        let first = answer.lines().next().unwrap_or_default();
        assert_eq!(first, expected, "{keys} {answer}");
    }
}

#[test]
fn uid_search_answers_with_uids() {
    let world = world();
    let mut client = world.select();
    client.send("x UID EXPUNGE 3\r\n");
    client.expect("x UID SEARCH 3:*\r\n", &["* SEARCH 4 5", DONE]);
    client.expect("x SEARCH UID 4:5\r\n", &["* SEARCH 3 4", DONE]);
}

#[test]
fn an_unknown_charset_is_refused_with_those_that_are_known() {
    let world = world();
    let mut client = world.select();
    client.expect(
        "x SEARCH CHARSET X-UNKNOWN TEXT hello\r\n",
        &["x NO [BADCHARSET (US-ASCII UTF-8)] …"],
    );
}

#[test]
fn numbers_that_no_message_has_match_nothing() {
    let world = world();
    let mut client = world.select();
    client.expect("x SEARCH 7:9\r\n", &["* SEARCH", DONE]);
    client.expect("x SEARCH UID 4294967295\r\n", &["* SEARCH", DONE]);
}

#[test]
fn a_search_through_many_messages_goes_in_slices() {
    let world = World::new();
    world.deliver_many(350);
    let mut client = world.select();
    client.slices = 0;
    client.expect("x SEARCH BODY \"body 349\"\r\n", &["* SEARCH 349", DONE]);
    assert!(client.slices >= 3, "{}", client.slices);
    client.slices = 0;
    client.expect("x SEARCH BODY body SEEN\r\n", &["* SEARCH", DONE]);
    assert_eq!(
        client.slices, 1,
        "no file is read for messages that do not match"
    );
}

#[test]
fn a_search_for_the_lowest_or_highest_reads_no_more_than_it_must() {
    let world = World::new();
    world.deliver_many(350);
    let mut client = world.select();
    let found = |what: &str| format!("* ESEARCH (TAG \"x\") {what}");
    for (asked, told, slices) in [
        ("MIN", "MIN 1", 1),
        ("MAX", "MAX 350", 1),
        ("SAVE MIN MAX", "MIN 1 MAX 350", 1),
        ("MIN COUNT", "MIN 1 COUNT 350", 3),
    ] {
        client.slices = 0;
        let command = format!("x SEARCH RETURN ({asked}) BODY body\r\n");
        client.expect(command, &[&found(told), DONE]);
        assert!(client.slices >= slices, "{asked}: {}", client.slices);
        assert!(client.slices <= slices + 1, "{asked}: {}", client.slices);
    }
    client.expect("x SEARCH $\r\n", &["* SEARCH 1 350", DONE]);
}

/// RFC 5182 §2.5: what cannot be kept is refused, and nothing is kept. What takes little room is
/// kept however many messages it names.
#[test]
fn a_result_in_too_many_pieces_is_not_saved() {
    let world = World::with(|settings| settings.limits.line = 160);
    world.deliver_many(50);
    let mut client = world.select();
    client.expect("x SEARCH RETURN (SAVE) 1:50\r\n", &[DONE]);
    client.expect(
        "x SEARCH RETURN (COUNT) $\r\n",
        &["* ESEARCH (TAG \"x\") COUNT 50", DONE],
    );
    client.expect("x EXPUNGE\r\n", &["x OK …"]);
    let every_second = |last: u32| {
        let numbers = (1..=last).filter(|number| number % 2 == 1);
        numbers
            .map(|it| it.to_string())
            .collect::<Vec<_>>()
            .join(",")
    };
    let search = |last| format!("x SEARCH RETURN (SAVE ALL) {}\r\n", every_second(last));
    let told = format!("* ESEARCH (TAG \"x\") ALL {}", every_second(39));
    client.expect(search(39), &[&told, DONE]);
    client.expect(
        "x SEARCH RETURN (COUNT) $\r\n",
        &["* ESEARCH (TAG \"x\") COUNT 20", DONE],
    );
    client.expect(search(41), &["x NO [NOTSAVED] …"]);
    client.expect("x SEARCH $\r\n", &["* SEARCH", DONE]);
}
