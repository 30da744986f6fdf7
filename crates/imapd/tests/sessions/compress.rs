//! COMPRESS (RFC 4978): where compression begins, and what becomes of input read ahead.

use machine::Event;

use crate::world::World;

const COMPRESS: &[u8] = b"a compress Deflate\r\n";

#[test]
fn compression_begins_behind_the_tagged_ok() {
    let world = World::new();
    let mut client = world.log_in();
    client.send_only(COMPRESS);
    let ok = client.step().unwrap();
    assert_eq!(ok, b"a OK DEFLATE active\r\n");
    assert_eq!(client.compressed, None, "the OK itself is in the clear");
    assert_eq!(client.step(), Some(Vec::new()));
    assert_eq!(client.compressed, Some(Vec::new()));
    assert_eq!(client.step(), None, "then the next command is wanted");
    client.expect("b NOOP\r\n", &["b OK NOOP completed"]);
}

#[test]
fn what_came_behind_the_command_is_given_back_and_not_interpreted() {
    let world = World::new();
    let mut client = world.select();
    let ahead = b"b NOOP\r\n\x00\xff{5}\r\n".as_slice();
    let packet = [b"z NOOP\r\n", COMPRESS, ahead].concat();
    client.expect(&packet, &["z OK NOOP completed", "a OK DEFLATE active"]);
    assert_eq!(client.compressed.as_deref(), Some(ahead));
    // The driver inflates it and gives it again.
    client.expect("c NOOP\r\n", &["c OK NOOP completed"]);
}

#[test]
fn compression_that_is_active_is_not_asked_for_again() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect(COMPRESS, &["a OK DEFLATE active"]);
    client.compressed = None;
    let again = ["a BAD [COMPRESSIONACTIVE] DEFLATE is active already"];
    client.expect(COMPRESS, &again);
    assert_eq!(client.compressed, None);
}

#[test]
fn a_stopping_server_says_goodbye_behind_the_ok() {
    let world = World::new();
    let mut client = world.log_in();
    client.send_only(COMPRESS);
    assert_eq!(client.step().unwrap(), b"a OK DEFLATE active\r\n");
    let answer = client.event(Event::Shutdown);
    assert!(answer.starts_with("* BYE "), "{answer}");
    assert!(client.compressed.is_some(), "the goodbye is compressed");
    assert!(!client.open);
}

#[test]
fn a_client_that_has_gone_is_not_compressed_for() {
    let world = World::new();
    let mut client = world.log_in();
    client.send_only(COMPRESS);
    assert_eq!(client.step().unwrap(), b"a OK DEFLATE active\r\n");
    client.event(Event::Eof);
    assert_eq!(client.compressed, None);
    assert!(!client.open);
}
