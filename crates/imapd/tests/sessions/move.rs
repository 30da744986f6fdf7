//! MOVE in slices, and against other sessions.

use machine::Event;

use crate::world::World;

const DONE: &str = "x OK …";

#[test]
fn a_move_is_prepared_in_slices_and_told_as_one() {
    let world = World::new();
    world.deliver_many(700);
    let mut client = world.select();
    client.expect("x CREATE all\r\n", &[DONE]);
    let before = client.slices;
    let answer = client.send("x MOVE 1:* all\r\n");
    assert!(client.slices - before >= 4, "slices: {}", client.slices);
    let lines: Vec<&str> = answer.lines().collect();
    assert!(lines[0].starts_with("* OK [COPYUID "), "{}", lines[0]);
    assert!(lines[0].contains(" 1:700 1:700] "), "{}", lines[0]);
    assert!(lines[1..=700].iter().all(|it| *it == "* 1 EXPUNGE"));
    assert_eq!(lines[701..], ["* 0 RECENT", "x OK MOVE completed"]);
    client.expect(
        "x STATUS all (MESSAGES)\r\n",
        &["* STATUS all (MESSAGES 700)", DONE],
    );
    assert!(world.files("cur").is_empty());
}

#[test]
fn a_move_that_another_session_disturbs_moves_nothing() {
    let world = World::new();
    world.deliver_many(300);
    let mut slow = world.select();
    let mut quick = world.select();
    quick.expect("x CREATE slow\r\n", &[DONE]);
    quick.expect("x CREATE quick\r\n", &[DONE]);
    slow.send_only(b"x UID MOVE 1:* slow\r\n");
    let prepared = slow.slices + 1;
    while slow.slices < prepared {
        assert_eq!(slow.step(), Some(Vec::new()));
    }
    quick.expect(
        "x MOVE 7 quick\r\n",
        &["* OK [COPYUID …", "* 7 EXPUNGE", DONE],
    );
    let answer = slow.settle();
    assert_eq!(
        answer,
        "* 7 EXPUNGE\r\n* 299 RECENT\r\nx NO [EXPUNGEISSUED] Some messages have been expunged\r\n"
    );
    for (name, count) in [("slow", 0), ("quick", 1), ("INBOX", 299)] {
        let expected = format!("* STATUS {name} (MESSAGES {count})");
        quick.expect(
            format!("x STATUS {name} (MESSAGES)\r\n"),
            &[&expected, DONE],
        );
    }
}

#[test]
fn a_move_that_is_cut_off_moves_nothing() {
    let world = World::new();
    world.deliver_many(300);
    let mut client = world.select();
    client.expect("x CREATE all\r\n", &[DONE]);
    client.send_only(b"x MOVE 1:* all\r\n");
    let prepared = client.slices + 1;
    while client.slices < prepared {
        assert_eq!(client.step(), Some(Vec::new()));
    }
    client.event(Event::Eof);
    for directory in ["tmp", "cur"] {
        let target = world.root().join(".all").join(directory);
        assert_eq!(std::fs::read_dir(target).unwrap().count(), 0);
    }
    let mut other = world.log_in();
    other.expect(
        "x STATUS INBOX (MESSAGES)\r\n",
        &["* STATUS INBOX (MESSAGES 300)", DONE],
    );
}
