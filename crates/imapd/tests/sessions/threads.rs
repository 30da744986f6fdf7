//! Sessions that really run at the same time.

use std::thread;

use crate::world::World;

#[test]
fn no_flag_update_is_lost() {
    let world = World::new();
    world.deliver_many(20);
    world.select();
    thread::scope(|scope| {
        for number in 0..6 {
            let mut client = world.select();
            scope.spawn(move || {
                for message in 1..=20 {
                    let command = format!("x STORE {message} +FLAGS (word{number})\r\n");
                    let answer = client.send(command);
                    assert!(answer.contains("x OK "), "{answer}");
                }
            });
        }
    });
    let mut client = world.select();
    for number in 0..6 {
        let answer = client.send(format!("x SEARCH UNKEYWORD word{number}\r\n"));
        assert!(answer.starts_with("* SEARCH\r\n"), "word{number}: {answer}");
    }
}

#[test]
fn no_two_messages_get_the_same_uid() {
    let world = World::new();
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut client = world.select();
            scope.spawn(move || {
                for _ in 0..10 {
                    let answer = client.send("x APPEND INBOX {1+}\r\nx\r\n");
                    assert!(answer.contains("x OK [APPENDUID "), "{answer}");
                }
            });
        }
    });
    let mut client = world.select();
    let expected: Vec<String> = (1..=40).map(|uid: u32| uid.to_string()).collect();
    let expected = format!("* SEARCH {}", expected.join(" "));
    client.expect("x UID SEARCH ALL\r\n", &[expected.as_str(), "x OK …"]);
}
