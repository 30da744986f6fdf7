//! What is kept of messages: answers made from it are those made from the messages.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::world::{Client, World};

/// Items that are answered from what is kept.
const ITEMS: [&str; 15] = [
    "ENVELOPE",
    "BODY",
    "BODYSTRUCTURE",
    "RFC822.HEADER",
    "BODY.PEEK[HEADER]",
    "BODY.PEEK[HEADER]<3.40>",
    "BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Content-Type)]",
    "BODY.PEEK[HEADER.FIELDS (Subject X-Nothing Received MIME-Version)]",
    "BODY.PEEK[HEADER.FIELDS (date from reply-to)]<5.30>",
    "BODY.PEEK[HEADER.FIELDS (List-Id)]",
    "BODY.PEEK[HEADER.FIELDS.NOT (Subject From)]",
    "THREADID",
    "PREVIEW",
    "EMAILID PREVIEW SAVEDATE THREADID ENVELOPE",
    "ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (References)] BODY",
];

/// Asks for a part that no message has: to know that, messages are read.
const NOTHING: &str = "BODY.PEEK[99]";
const NOTHING_TOLD: &str = " BODY[99] NIL";

/// Searches that look at what is kept.
const SEARCHES: [&str; 6] = [
    "SUBJECT e",
    "HEADER Message-ID @",
    "HEADER MIME-Version 1",
    "SENTSINCE 1-Jan-2005",
    "OR FROM example TO example",
    "NOT HEADER Received \"\" NOT CC a",
];

/// A server with the sample messages, with LF line ends as most are delivered.
fn samples() -> World {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/messages");
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "eml"));
    paths.sort();
    let world = World::new();
    for path in paths {
        world.deliver(std::fs::read(path).unwrap());
    }
    world.deliver(b"Subject: nul \0 and \xff\r\n\r\n");
    world.deliver(format!(
        "Subject: long\nX-A: {}\nTo: a\n\nx",
        "b ".repeat(9000)
    ));
    world.deliver(format!(
        "Subject: long\nTo: {}\n\nx",
        "<a@example.org>,\n ".repeat(900)
    ));
    world.deliver("");
    world
}

/// Gives the very octets of an answer.
fn ask(client: &mut Client, command: &str) -> Vec<u8> {
    client.send_only(command.as_bytes());
    let mut answer = Vec::new();
    while let Some(octets) = client.step() {
        answer.extend(octets);
    }
    answer
}

fn answers(client: &mut Client) -> Vec<Vec<u8>> {
    let fetch = |items: &&str| format!("x FETCH 1:* ({items})\r\n");
    let search = |keys: &&str| format!("x SEARCH {keys}\r\n");
    let fetches = ITEMS.iter().map(fetch);
    let commands = fetches.chain(SEARCHES.iter().map(search));
    commands.map(|command| ask(client, &command)).collect()
}

/// The answers to FETCH when messages are read whole.
fn from_messages(client: &mut Client) -> Vec<Vec<u8>> {
    let told = memchr::memmem::Finder::new(NOTHING_TOLD);
    let mut answers = Vec::new();
    for items in ITEMS {
        let mut answer = ask(client, &format!("x FETCH 1:* ({items} {NOTHING})\r\n"));
        let found: Vec<usize> = told.find_iter(&answer).collect();
        assert!(found.len() >= 30);
        for start in found.into_iter().rev() {
            answer.drain(start..start + NOTHING_TOLD.len());
        }
        answers.push(answer);
    }
    answers
}

#[track_caller]
fn check(answers: &[Vec<u8>], expected: &[Vec<u8>]) {
    for (answer, expected) in answers.iter().zip(expected) {
        assert_eq!(
            answer.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn answers_are_the_same_with_what_is_kept() {
    let mut world = samples();
    let kept = world.root().join("pillarbox.cache");
    // Nothing can be kept: somebody else is always writing.
    let blocked = std::fs::File::create(&kept).unwrap();
    blocked.lock().unwrap();
    world.select();
    let expected = answers(&mut world.examine());
    check(&from_messages(&mut world.examine()), &expected);
    assert_eq!(expected.len(), ITEMS.len() + SEARCHES.len());
    assert!(expected.concat().len() > 100_000);
    assert_eq!(blocked.metadata().unwrap().len(), 0);
    std::fs::remove_file(&kept).unwrap();
    drop(blocked);
    check(&answers(&mut world.examine()), &expected);
    assert!(kept.exists());
    check(&answers(&mut world.examine()), &expected);
    world.restart();
    check(&answers(&mut world.examine()), &expected);
}

#[test]
fn what_is_kept_is_not_read_again() {
    let mut world = World::new();
    world.deliver_many(300);
    let mut client = world.select();
    let expected = answers(&mut client);
    // What never happens to messages shows where the answers come from.
    for path in world.files("cur") {
        std::fs::write(path, "Other: x\r\nMessage-ID: <o@x>\r\n\r\nx").unwrap();
    }
    check(&answers(&mut client), &expected);
    drop(client);
    world.restart();
    check(&answers(&mut world.examine()), &expected);
}

#[test]
fn only_what_is_needed_is_read() {
    let world = World::new();
    world.deliver("Subject: a\r\nX-B: c\r\n\r\n");
    let mut client = world.select();
    client.send("x FETCH 1 ENVELOPE\r\n");
    for path in world.files("cur") {
        std::fs::write(path, "Subject: other\r\n\r\n").unwrap();
    }
    let done = "x OK …";
    client.expect("x SEARCH SUBJECT a\r\n", &["* SEARCH 1", done]);
    client.expect("x SEARCH SUBJECT other\r\n", &["* SEARCH", done]);
    client.expect("x SEARCH HEADER X-B c\r\n", &["* SEARCH", done]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn damage_does_not_show(
        damage in prop::collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..40),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut world = samples();
        world.select();
        let expected = answers(&mut world.examine());
        let kept = world.root().join("pillarbox.cache");
        let mut octets = std::fs::read(&kept).unwrap();
        for (position, change) in damage {
            let position = position.index(octets.len());
            octets[position] ^= change;
        }
        if let Some(cut) = cut {
            octets.truncate(cut.index(octets.len()));
        }
        std::fs::write(&kept, octets).unwrap();
        world.restart();
        let mut client = world.examine();
        check(&answers(&mut client), &expected);
        check(&answers(&mut client), &expected);
    }
}
