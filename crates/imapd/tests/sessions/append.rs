//! APPEND: checked before the message is asked for, streamed, and all or nothing.

use machine::Event;

use crate::world::{World, check};

const READY: &str = "+ …";

#[test]
fn a_message_is_appended_with_its_uid() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a APPEND INBOX (\\Seen word) {19}\r\n", &[READY]);
    let answer = client.send("Subject: x\r\n\r\nbody\r\n\r\n");
    assert!(answer.contains("* 1 EXISTS\r\n* 1 RECENT\r\n"), "{answer}");
    assert!(answer.contains("a OK [APPENDUID "), "{answer}");
    assert!(answer.contains(" 1] "), "{answer}");
    client.expect(
        "b FETCH 1 (FLAGS RFC822.SIZE)\r\n",
        &[
            "* 1 FETCH (FLAGS (\\Seen word \\Recent) RFC822.SIZE 19)",
            "b OK …",
        ],
    );
}

#[test]
fn a_message_in_pieces_is_the_same_message() {
    let world = World::new();
    let mut client = world.log_in();
    let text = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(50_000));
    client.send(format!("a APPEND INBOX {{{}}}\r\n", text.len()));
    for piece in text.as_bytes().chunks(70_001) {
        client.expect(piece, &[]);
    }
    client.expect("\r\nb NOOP\r\n", &["a OK [APPENDUID …", "b OK …"]);
    client.send("c SELECT INBOX\r\n");
    let answer = client.send("d FETCH 1 BODY.PEEK[]\r\n");
    assert!(
        answer.contains(&text),
        "the octets are those of the message"
    );
}

#[test]
fn what_cannot_be_appended_is_refused_before_the_message() {
    let world = World::with(|settings| settings.limits.message = 1000);
    let mut client = world.log_in();
    let rows = [
        ("nowhere {10", "a NO [TRYCREATE] …"),
        ("INBOX {1001", "a NO [TOOBIG] …"),
        ("INBOX {0", "a NO [CANNOT] …"),
        ("a//b {10", "a NO [CANNOT] …"),
    ];
    for (arguments, expected) in rows {
        client.expect(format!("a APPEND {arguments}}}\r\n"), &[expected]);
        client.expect("b NOOP\r\n", &["b OK …"]);
    }
    // A message that comes without asking is let pass.
    let message = "x".repeat(1001);
    client.expect(
        format!("a APPEND INBOX {{1001+}}\r\n{message}\r\nb NOOP\r\n"),
        &["a NO [TOOBIG] …", "b OK …"],
    );
}

#[test]
fn a_broken_connection_leaves_nothing_behind() {
    let world = World::new();
    world.deliver_many(1);
    let mut other = world.select();
    for sent in ["", "Subject: half", "Subject: whole, but no line end\r\n"] {
        let mut client = world.select();
        let size = 33;
        client.expect(format!("a APPEND INBOX {{{size}}}\r\n"), &[READY]);
        client.send(sent);
        assert_eq!(client.event(Event::Eof), "");
        assert!(!client.open);
        assert!(world.files("tmp").is_empty(), "after {sent:?}");
        other.expect("x NOOP\r\n", &["x OK …"]);
    }
}

#[test]
fn something_after_the_message_undoes_it() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a APPEND INBOX {4+}\r\ntext garbage\r\n", &["a BAD …"]);
    client.expect(
        "a APPEND INBOX {4+}\r\ntext and {4+}\r\nmore\r\n",
        &["a BAD …"],
    );
    client.expect("b NOOP\r\n", &["b OK …"]);
    assert!(world.files("tmp").is_empty());
}

#[test]
fn messages_before_the_one_that_fails_are_undone() {
    let world = World::with(|settings| {
        settings.limits.message = 100;
        settings.limits.messages = 3;
    });
    let mut client = world.log_in();
    let four = " {1+}\r\nx".repeat(4);
    let rows = [
        (" {4+}\r\ntext {101}\r\n".to_owned(), "a NO [TOOBIG] …"),
        (" {4+}\r\ntext {0}\r\n".to_owned(), "a NO [CANNOT] …"),
        (format!("{four}\r\n"), "a NO [LIMIT] …"),
        (" {4+}\r\ntext (\\Seen\r\n".to_owned(), "a BAD …"),
    ];
    for (messages, expected) in rows {
        client.expect(format!("a APPEND INBOX{messages}"), &[expected]);
        assert!(world.files("tmp").is_empty(), "{messages:?}");
        client.expect(
            "b STATUS INBOX (MESSAGES)\r\n",
            &["* STATUS INBOX (MESSAGES 0)", "b OK …"],
        );
    }
    let mut gone = world.log_in();
    gone.expect("a APPEND INBOX {4+}\r\ntext {4}\r\n", &[READY]);
    assert_eq!(world.files("tmp").len(), 2);
    assert_eq!(gone.event(Event::Eof), "");
    assert!(world.files("tmp").is_empty());
}

#[test]
fn many_messages_hold_no_descriptors() {
    let world = World::new();
    let mut client = world.log_in();
    client.send("a APPEND INBOX {1+}\r\nx");
    let open = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let links = || {
        let tmp = world.files("tmp");
        let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        let targets = entries.filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
        targets.filter(|it| tmp.contains(it)).count()
    };
    assert!(open() > 0, "the kernel tells");
    for _ in 0..50 {
        client.expect(" {1+}\r\nx", &[]);
    }
    assert_eq!(world.files("tmp").len(), 51);
    assert!(links() <= 1, "only the last one is open");
    client.expect("\r\n", &["a OK [APPENDUID …"]);
    let code = client.send("b STATUS INBOX (UIDNEXT)\r\n");
    assert!(code.contains("UIDNEXT 52"), "{code}");
}

#[test]
fn the_message_is_written_as_it_comes() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect("a APPEND INBOX {1000000}\r\n", &[READY]);
    let mut sent = 0;
    for _ in 0..5 {
        client.expect("x".repeat(100_000), &[]);
        sent += 100_000;
        let staged = std::fs::metadata(&world.files("tmp")[0]).unwrap().len();
        assert!(staged + 64 * 1024 >= sent, "{staged} of {sent}");
    }
}

#[test]
fn others_see_the_message_when_it_is_whole() {
    let world = World::new();
    let mut client = world.log_in();
    let mut other = world.select();
    client.expect("a APPEND INBOX {10}\r\n", &[READY]);
    client.send("Subject: ");
    other.expect("x NOOP\r\n", &["x OK …"]);
    client.send("\n\r\n");
    let answer = other.send("x NOOP\r\n");
    check(&answer, &["* 1 EXISTS", "* 1 RECENT", "x OK …"]);
}

#[test]
fn catenate_looks_into_a_message_once_for_all_its_parts() {
    let world = World::new();
    let parts = |boundary: &str| {
        format!(
            "Subject: x\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n\
             --{boundary}\r\nA: b\r\n\r\none\r\n--{boundary}\r\n\r\ntwo\r\n--{boundary}--\r\n"
        )
    };
    world.deliver(parts("a"));
    world.deliver(parts("a"));
    let mut files = world.files("new");
    files.sort();
    let rewrite = |boundary| std::fs::write(&files[0], parts(boundary)).unwrap();
    let url = |uid: u32, section: &str| format!("URL \"/INBOX/;UID={uid}/;SECTION={section}\"");
    let mut client = world.log_in();
    client.send("x CREATE Sent\r\n");
    // What never happens to messages shows what was looked into: without its boundaries, this one
    // has no second part.
    let begin = format!("a APPEND Sent CATENATE ({} TEXT {{4}}\r\n", url(1, "1"));
    client.expect(begin.clone(), &[READY]);
    rewrite("b");
    let others = ["2", "1.MIME", "HEADER.FIELDS%20(SUBJECT)", "2"].map(|it| url(1, it));
    client.expect(
        format!(", a  {})\r\n", others.join(" ")),
        &["a OK [APPENDUID …"],
    );
    client.send("x EXAMINE Sent\r\n");
    client.expect(
        "x FETCH 1 BODY.PEEK[]\r\n",
        &[
            "* 1 FETCH (BODY[] {35}",
            "one, a twoA: b",
            "",
            "Subject: x",
            "",
            "two)",
            "x OK …",
        ],
    );
    client.expect(
        format!("b APPEND Sent CATENATE ({})\r\n", url(1, "2")),
        &["b NO [BADURL …"],
    );
    rewrite("a");
    client.expect(begin, &[READY]);
    rewrite("b");
    // Only one message is known at a time.
    client.expect(
        format!(", a  {} {})\r\n", url(2, "2"), url(1, "2")),
        &["a NO [BADURL …"],
    );
}
