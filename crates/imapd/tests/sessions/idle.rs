//! IDLE (RFC 2177).

use std::time::Duration;

use machine::Event;

use crate::world::World;

const IDLING: &str = "+ idling";

#[test]
fn changes_are_pushed() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    let mut other = world.select();
    client.expect("a IDLE\r\n", &[IDLING]);
    other.send("x STORE 2 +FLAGS.SILENT (\\Flagged)\r\n");
    client.hear(&["* 2 FETCH (FLAGS (\\Flagged \\Recent))"]);
    other.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\n");
    client.hear(&["* 1 FETCH (FLAGS (\\Deleted \\Recent))"]);
    other.send("x EXPUNGE\r\n");
    client.hear(&["* 1 EXPUNGE", "* 2 RECENT"]);
    other.send("x APPEND INBOX {1+}\r\nx\r\n");
    let answer = client.listen();
    assert!(answer.contains("* 3 EXISTS\r\n"), "{answer}");
    client.expect("DONE\r\n", &["a OK …"]);
}

#[test]
fn what_happened_before_idle_is_told_at_its_start() {
    let world = World::new();
    world.deliver_many(1);
    let mut client = world.select();
    world.deliver_many(1);
    client.expect("a IDLE\r\n", &[IDLING, "* 2 EXISTS", "* 2 RECENT"]);
}

#[test]
fn done_may_come_before_the_continuation() {
    let world = World::new();
    for mut client in [world.log_in(), world.select()] {
        client.expect("a IDLE\r\nDONE\r\n", &[IDLING, "a OK …"]);
        client.expect(
            "a NOOP\r\nb IDLE\r\ndone\r\nc NOOP\r\nd IDLE\r\nDONE\r\ne NOOP\r\n",
            &[
                "a OK …", IDLING, "b OK …", "c OK …", IDLING, "d OK …", "e OK …",
            ],
        );
    }
}

#[test]
fn anything_but_done_ends_idle_with_bad() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a IDLE\r\n", &[IDLING]);
    client.expect("b NOOP\r\n", &["a BAD …"]);
    client.expect("c NOOP\r\n", &["c OK …"]);
}

#[test]
fn keepalives_flow_and_idle_does_not_end() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a IDLE\r\n", &[IDLING]);
    let answer = client.wait(Duration::from_secs(2 * 60 * 60));
    assert_eq!(answer, "* OK Still here\r\n".repeat(60));
    assert!(client.open);
    client.expect("DONE\r\n", &["a OK …"]);
}

#[test]
fn a_keepalive_looks_at_what_other_programs_did() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a IDLE\r\n", &[IDLING]);
    world.deliver_many(1);
    let answer = client.wait(Duration::from_secs(120));
    assert_eq!(answer, "* OK Still here\r\n* 1 EXISTS\r\n* 1 RECENT\r\n");
}

#[test]
fn a_mailbox_that_is_deleted_ends_idle() {
    let world = World::new();
    let mut client = world.log_in();
    client.send("x CREATE box\r\nx SELECT box\r\n");
    client.expect("a IDLE\r\n", &[IDLING]);
    let mut other = world.log_in();
    other.send("x DELETE box\r\n");
    client.hear(&["* BYE [NONEXISTENT] …"]);
    assert!(!client.open);
}

#[test]
fn shutdown_ends_idle() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a IDLE\r\n", &[IDLING]);
    let answer = client.event(Event::Shutdown);
    assert!(answer.starts_with("* BYE [UNAVAILABLE] "), "{answer}");
    assert!(!client.open);
}
