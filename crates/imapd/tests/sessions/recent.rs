//! `\Recent` (RFC 3501 §2.3.2): in exactly one session.

use crate::world::World;

const DONE: &str = "x OK …";

fn recent(answer: &str) -> Option<&str> {
    answer
        .lines()
        .find_map(|line| line.strip_prefix("* ")?.strip_suffix(" RECENT"))
}

#[test]
fn the_first_session_to_select_gets_recent() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.log_in();
    assert_eq!(recent(&one.send("x SELECT INBOX\r\n")), Some("2"));
    let mut other = world.log_in();
    assert_eq!(recent(&other.send("x SELECT INBOX\r\n")), Some("0"));
    one.expect("x SEARCH RECENT\r\n", &["* SEARCH 1 2", DONE]);
    other.expect("x SEARCH RECENT\r\n", &["* SEARCH", DONE]);
    one.expect("x SEARCH NEW\r\n", &["* SEARCH 1 2", DONE]);
    one.expect("x SEARCH OLD\r\n", &["* SEARCH", DONE]);
    assert_eq!(recent(&one.send("x SELECT INBOX\r\n")), Some("0"));
}

#[test]
fn examine_and_status_take_it_from_nobody() {
    let world = World::new();
    world.deliver_many(2);
    let mut looker = world.log_in();
    assert_eq!(recent(&looker.send("x EXAMINE INBOX\r\n")), Some("2"));
    looker.expect(
        "x STATUS INBOX (RECENT)\r\n",
        &["* STATUS INBOX (RECENT 2)", DONE],
    );
    let mut one = world.log_in();
    one.expect(
        "x STATUS INBOX (RECENT)\r\n",
        &["* STATUS INBOX (RECENT 2)", DONE],
    );
    assert_eq!(recent(&one.send("x SELECT INBOX\r\n")), Some("2"));
    one.expect(
        "x STATUS INBOX (RECENT)\r\n",
        &["* STATUS INBOX (RECENT 2)", DONE],
    );
}

#[test]
fn new_messages_are_recent_for_the_session_that_notices_them() {
    let world = World::new();
    let mut one = world.select();
    let mut other = world.select();
    world.deliver_many(1);
    one.expect("x NOOP\r\n", &["* 1 EXISTS", "* 1 RECENT", DONE]);
    other.expect("x NOOP\r\n", &["* 1 EXISTS", "* 0 RECENT", DONE]);
    one.expect(
        "x FETCH 1 FLAGS\r\n",
        &["* 1 FETCH (FLAGS (\\Recent))", DONE],
    );
    other.expect("x FETCH 1 FLAGS\r\n", &["* 1 FETCH (FLAGS ())", DONE]);
}

#[test]
fn the_count_follows_expunge() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.send("x STORE 2 +FLAGS.SILENT (\\Deleted)\r\n");
    client.expect("x EXPUNGE\r\n", &["* 2 EXPUNGE", "* 2 RECENT", DONE]);
}
