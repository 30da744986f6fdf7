//! FETCH: order, `\Seen`, and messages larger than what is buffered.

use crate::world::World;

const DONE: &str = "x OK …";

#[test]
fn reading_sets_seen_and_tells_it() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.select();
    let mut other = world.select();
    client.expect(
        "x FETCH 1 BODY.PEEK[TEXT]\r\n",
        &["* 1 FETCH (BODY[TEXT] {8}", "body 1", ")", DONE],
    );
    client.expect(
        "x FETCH 1 BODY[TEXT]\r\n",
        &[
            "* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT] {8}",
            "body 1",
            ")",
            DONE,
        ],
    );
    // Not told again.
    client.expect(
        "x UID FETCH 1 RFC822.TEXT\r\n",
        &["* 1 FETCH (UID 1 RFC822.TEXT {8}", "body 1", ")", DONE],
    );
    client.expect("x NOOP\r\n", &[DONE]);
    other.expect("x NOOP\r\n", &["* 1 FETCH (FLAGS (\\Seen))", DONE]);
}

#[test]
fn the_uid_comes_first_and_replies_ascend() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.expect(
        "x UID FETCH 3,1:2 (RFC822.SIZE FLAGS)\r\n",
        &[
            "* 1 FETCH (UID 1 FLAGS (\\Recent) RFC822.SIZE 22)",
            "* 2 FETCH (UID 2 FLAGS (\\Recent) RFC822.SIZE 22)",
            "* 3 FETCH (UID 3 FLAGS (\\Recent) RFC822.SIZE 22)",
            DONE,
        ],
    );
}

#[test]
fn changes_by_others_come_after_the_replies() {
    let world = World::new();
    world.deliver_many(60);
    let mut client = world.select();
    let mut other = world.select();
    other.send("x STORE 1 +FLAGS.SILENT (\\Flagged)\r\n");
    let answer = client.send("x FETCH 2:60 BODY[TEXT]\r\n");
    let told: Vec<u32> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("* ")?.split_once(" FETCH "))
        .map(|(seq, _)| seq.parse().unwrap())
        .collect();
    let expected: Vec<u32> = (2..=60).chain([1]).collect();
    assert_eq!(told, expected);
}

/// A message of `size` octets in CRLF form, whose file has LF line ends.
fn large(size: usize) -> (Vec<u8>, String) {
    let line = "0123456789abcdefghijklmnopqrstuvwxyz".repeat(2);
    let mut text = String::from("Subject: large\r\n\r\n");
    while text.len() < size {
        text.push_str(&line);
        text.push_str("\r\n");
    }
    (text.replace("\r\n", "\n").into_bytes(), text)
}

#[test]
fn a_large_message_streams_byte_for_byte() {
    let world = World::new();
    let (file, text) = large(3 * 1024 * 1024);
    world.deliver(&file);
    let mut client = world.select();
    let answer = client.send("x FETCH 1 (BODY.PEEK[] RFC822.SIZE ENVELOPE)\r\n");
    let size = text.len();
    let start = format!("* 1 FETCH (BODY[] {{{size}}}\r\n");
    let rest = answer.strip_prefix(&start).expect("the size is announced");
    let after = rest.strip_prefix(&text);
    let after = after.expect("the octets are those of the message");
    assert!(
        after.starts_with(&format!(" RFC822.SIZE {size} ENVELOPE (NIL \"large\"")),
        "{after}"
    );
    assert!(
        client.largest_write <= 128 * 1024,
        "{}",
        client.largest_write
    );
    assert!(client.slices > 40, "{}", client.slices);
}

#[test]
fn parts_of_a_large_message_fit_together() {
    let world = World::new();
    let (file, text) = large(1024 * 1024);
    world.deliver(&file);
    let mut client = world.select();
    let mut whole = String::new();
    for origin in (0..text.len() + 200_000).step_by(200_000) {
        let answer = client.send(format!("x FETCH 1 BODY.PEEK[]<{origin}.200000>\r\n"));
        let (first, rest) = answer.split_once("\r\n").unwrap();
        let (start, size) = first.split_once('{').unwrap();
        assert_eq!(start, format!("* 1 FETCH (BODY[]<{origin}> "));
        let size: usize = size.trim_end_matches('}').parse().unwrap();
        let (part, after) = rest.split_at(size);
        whole.push_str(part);
        assert!(after.starts_with(")\r\nx OK "), "{after}");
    }
    assert!(whole == text, "the parts make the whole");
}

#[test]
fn the_next_part_is_read_from_where_the_last_one_ended() {
    let world = World::new();
    let (file, text) = large(20 * 1024 * 1024);
    world.deliver(&file);
    let mut client = world.select();
    client.send("x FETCH 1 RFC822.SIZE\r\n");
    let fetch = |origin: usize, client: &mut crate::world::Client| {
        client.slices = 0;
        let answer = client.send(format!("x FETCH 1 BODY.PEEK[]<{origin}.1000>\r\n"));
        assert!(
            answer.contains(text.get(origin..origin + 1000).unwrap()),
            "octets from {origin}"
        );
        client.slices
    };
    assert!(
        fetch(15_000_000, &mut client) > 2,
        "what comes before has to be passed over"
    );
    assert_eq!(fetch(15_001_000, &mut client), 1);
    assert_eq!(fetch(15_002_100, &mut client), 1);
    assert!(
        fetch(14_000_000, &mut client) > 2,
        "backwards it is read anew"
    );
    client.send("x NOOP\r\nx CHECK\r\n");
    assert!(
        fetch(14_001_000, &mut client) > 2,
        "nothing is kept for long"
    );
}

#[test]
fn a_message_that_shrinks_while_it_is_sent_ends_the_connection() {
    let world = World::new();
    let (file, _) = large(1024 * 1024);
    world.deliver(&file);
    let mut client = world.select();
    let start = client.send_for_one_slice("x FETCH 1 BODY.PEEK[]\r\n");
    let path = world.files("cur").remove(0);
    let shortened = std::fs::OpenOptions::new().write(true).open(path);
    shortened.unwrap().set_len(500_000).unwrap();
    // The message is read as it is sent, and its literal cannot be completed any more.
    let answer = start + &client.settle();
    assert!(answer.starts_with("* 1 FETCH (BODY[] {"));
    assert!(
        !answer.contains("\r\nx "),
        "no answer after a broken literal"
    );
    assert!(!client.open);
}

#[test]
fn a_wrong_size_in_a_file_name_is_corrected() {
    for wrong in [-30, 30] {
        let world = World::new();
        let (file, text) = large(300_000);
        let said = isize::try_from(text.len()).unwrap() + wrong;
        world.deliver_as(&format!(",S={},W={said}", file.len()), &file);
        // No client takes a wrong number of octets for the message.
        let mut client = world.select();
        let answer = client.send("x FETCH 1 BODY.PEEK[]\r\n");
        let whole = format!("* 1 FETCH (BODY[] {{{}}}\r\n{text})\r\n", text.len());
        assert!(answer.starts_with(&whole) || !client.open);
        let mut again = world.select();
        let answer = again.send("x FETCH 1 BODY.PEEK[]\r\n");
        assert!(answer.starts_with(&whole), "off by {wrong}");
    }
}

#[test]
fn nul_never_reaches_the_client() {
    let world = World::new();
    world.deliver(b"Subject: nul\r\n\r\na\0b\r\n");
    let mut client = world.select();
    let answer = client.send("x FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT])\r\n");
    assert!(!answer.contains('\0'), "{answer:?}");
    assert!(answer.contains("{21}"), "{answer:?}");
}

#[test]
fn a_section_that_is_not_there_is_nil() {
    let world = World::new();
    world.deliver_many(1);
    let mut client = world.select();
    client.expect(
        "x FETCH 1 (BODY.PEEK[7.MIME] BODY.PEEK[1])\r\n",
        &[
            "* 1 FETCH (BODY[7.MIME] NIL BODY[1] {8}",
            "body 1",
            ")",
            DONE,
        ],
    );
}

#[test]
fn a_mailbox_that_cannot_be_written_can_be_read() {
    let world = World::new();
    world.deliver_many(1);
    let mut client = world.examine();
    client.expect(
        "x FETCH 1 BODY[TEXT]\r\n",
        &["* 1 FETCH (BODY[TEXT] {8}", "body 1", ")", DONE],
    );
}
