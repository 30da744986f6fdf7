//! Limits and deadlines after login.

use std::time::Duration;

use machine::Event;

use crate::world::World;

#[test]
fn a_silent_client_is_logged_out_after_half_an_hour() {
    let world = World::new();
    let mut client = world.select();
    assert_eq!(client.wait(Duration::from_secs(29 * 60)), "");
    client.expect("x NOOP\r\n", &["x OK …"]);
    assert_eq!(client.wait(Duration::from_secs(29 * 60)), "");
    let answer = client.wait(Duration::from_secs(61));
    assert!(answer.starts_with("* BYE "), "{answer}");
    assert!(!client.open);
}

#[test]
fn many_pipelined_fetches_buffer_little() {
    let world = World::new();
    world.deliver(format!(
        "Subject: x\r\n\r\n{}",
        "0123456789\r\n".repeat(20_000)
    ));
    let mut client = world.select();
    let commands = "x FETCH 1 BODY.PEEK[]\r\n".repeat(200);
    client.event(Event::Bytes(commands.as_bytes()));
    assert!(
        client.largest_write <= 256 * 1024,
        "{}",
        client.largest_write
    );
    client.expect("y NOOP\r\n", &["y OK …"]);
}

#[test]
fn a_long_listing_goes_in_slices() {
    let world = World::new();
    world.deliver_many(3_000);
    let mut client = world.select();
    client.slices = 0;
    let answer = client.send("x FETCH 1:* (UID FLAGS RFC822.SIZE)\r\n");
    assert_eq!(answer.lines().count(), 3_001);
    assert!(client.slices >= 2, "{}", client.slices);
    assert!(
        client.largest_write <= 128 * 1024,
        "{}",
        client.largest_write
    );
    let answer = client.send("x STORE 1:* +FLAGS (\\Deleted)\r\n");
    assert_eq!(answer.lines().count(), 3_001);
    let answer = client.send("x EXPUNGE\r\n");
    assert_eq!(answer.matches(" EXPUNGE\r\n").count(), 3_000);
    client.expect("x SEARCH ALL\r\n", &["* SEARCH", "x OK …"]);
}

#[test]
fn shutdown_waits_for_the_current_command() {
    let world = World::new();
    let mut client = world.select();
    client.expect("a APPEND INBOX {9}\r\n", &["+ …"]);
    assert_eq!(client.event(Event::Shutdown), "");
    let answer = client.send("Subject:\n\r\n");
    assert!(answer.contains("a OK [APPENDUID "), "{answer}");
    assert!(answer.contains("* BYE [UNAVAILABLE] "), "{answer}");
    assert!(!client.open);
}

#[test]
fn enormous_sets_cost_nothing() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.expect(
        "x UID FETCH 1:4294967295 UID\r\n",
        &[
            "* 1 FETCH (UID 1)",
            "* 2 FETCH (UID 2)",
            "* 3 FETCH (UID 3)",
            "x OK …",
        ],
    );
    let overlapping: Vec<String> = (1..4_000).map(|it| format!("{it}:4294967295")).collect();
    client.expect(
        format!("x UID SEARCH UID {}\r\n", overlapping.join(",")),
        &["* SEARCH 1 2 3", "x OK …"],
    );
}
