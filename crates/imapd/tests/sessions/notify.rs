//! NOTIFY (RFC 5465): what others do while new messages are sent.

use crate::world::World;

/// The responses, each with the octets of its literals left out, and how many these are in all.
fn responses(answer: &str) -> (Vec<String>, usize) {
    let (mut responses, mut octets, mut rest) = (Vec::new(), 0, answer);
    let mut response = String::new();
    while let Some((line, after)) = rest.split_once("\r\n") {
        rest = after;
        response.push_str(line);
        let literal = line
            .strip_suffix('}')
            .and_then(|line| line.rsplit_once('{'));
        if let Some(size) = literal.and_then(|(_, size)| size.parse::<usize>().ok()) {
            octets += size;
            rest = rest.get(size..).unwrap();
        } else {
            responses.push(std::mem::take(&mut response));
        }
    }
    (responses, octets)
}

#[test]
fn what_others_do_is_told_between_responses() {
    let world = World::new();
    let mut client = world.select();
    let asks = "a NOTIFY SET (SELECTED (MessageNew (UID BODY[]) MessageExpunge FlagChange))\r\n";
    client.expect(asks, &["a OK …"]);
    let large = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(300_000));
    for _ in 0..3 {
        world.deliver(&large);
    }
    // The sizes are known, so that each message is seen on its own.
    let mut other = world.select();
    other.send("b FETCH 1:* RFC822.SIZE\r\n");
    client.send_only(b"b NOOP\r\n");
    let mut answer = String::new();
    while let Some(octets) = client.step() {
        answer.push_str(&String::from_utf8_lossy(&octets));
        other.send("c STORE 1 FLAGS (\\Flagged)\r\nc STORE 1 FLAGS (\\Answered)\r\n");
        other.send("c APPEND INBOX (\\Seen) {1+}\r\nx\r\n");
    }
    answer.push_str(&client.listen());
    let (responses, octets) = responses(&answer);
    for uid in 1..=3 {
        let begin = format!("* {uid} FETCH (UID {uid} ");
        let size = format!("BODY[] {{{}}})", large.len());
        let whole = |it: &&String| it.starts_with(&begin) && it.ends_with(&size);
        assert_eq!(responses.iter().filter(whole).count(), 1, "{responses:#?}");
    }
    assert!(octets >= 3 * large.len());
    let grown = responses.iter().filter(|it| it.ends_with(" EXISTS"));
    assert!(grown.count() > 1, "{responses:#?}");
}
