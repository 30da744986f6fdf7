//! Clients that lose their connection and resynchronise by QRESYNC: from whatever they knew, they
//! come to exactly what the server says (RFC 7162 §3.2, §6).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a client that is told nonsense fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};

use crate::believer::{Dice, Known};
use crate::world::{Client, World};

/// What a client keeps while it has no connection.
#[derive(Clone, Debug, Default)]
struct Cache {
    uid_validity: u32,
    mod_seq: u64,
    flags: BTreeMap<u32, BTreeSet<String>>,
    /// The highest UID that it has ever known.
    highest: u32,
}

/// A client with its idea of the mailbox.
struct Believer {
    client: Client,
    messages: Vec<Known>,
    cache: Cache,
    /// The highest mod-sequence since the last tagged response, and the last HIGHESTMODSEQ.
    heard: (u64, Option<u64>),
}

impl Believer {
    fn connect(world: &World, cache: Cache) -> Self {
        let mut client = world.log_in();
        client.expect("x ENABLE QRESYNC\r\n", &["* ENABLED QRESYNC", "x OK …"]);
        Self {
            client,
            messages: Vec::new(),
            cache,
            heard: (0, None),
        }
    }

    /// Sends a command and takes in what is answered; then knows up to where it knows everything
    /// (RFC 7162 §6).
    fn run(&mut self, command: &str) -> String {
        let answer = self.client.send(format!("x {command}\r\n"));
        assert!(
            answer.contains("\r\nx OK") || answer.starts_with("x OK"),
            "{command}: {answer}"
        );
        self.heard = (0, None);
        for line in answer.lines() {
            self.take(line, command);
        }
        match self.heard {
            (_, Some(highest)) => self.cache.mod_seq = highest,
            (highest, None) => self.cache.mod_seq = self.cache.mod_seq.max(highest),
        }
        answer
    }

    fn take(&mut self, line: &str, command: &str) {
        if let Some(highest) = after(line, "[HIGHESTMODSEQ ") {
            self.heard.1 = Some(highest);
        }
        if let Some(uids) = line.strip_prefix("* VANISHED (EARLIER) ") {
            for uid in numbers(uids) {
                self.cache.flags.remove(&uid);
            }
            return;
        }
        if let Some(uids) = line.strip_prefix("* VANISHED ") {
            let held = ["FETCH", "STORE", "SEARCH"];
            assert!(
                !held.iter().any(|it| command.starts_with(it)),
                "{command}: {line}"
            );
            for uid in numbers(uids) {
                self.remove(uid, command);
            }
            return;
        }
        let Some((number, rest)) = line.strip_prefix("* ").and_then(|it| it.split_once(' ')) else {
            return;
        };
        let Ok(number) = number.parse::<usize>() else {
            return;
        };
        assert_ne!(rest, "EXPUNGE", "{command}");
        if rest == "EXISTS" {
            assert!(number >= self.messages.len(), "EXISTS shrinks: {command}");
            self.messages.resize(number, Known::default());
        } else if let Some(items) = rest.strip_prefix("FETCH (") {
            self.take_items(number - 1, items, command);
        }
    }

    fn take_items(&mut self, position: usize, items: &str, command: &str) {
        let known = &mut self.messages[position];
        let uid = after(items, "UID ").map(|uid| u32::try_from(uid).unwrap());
        let uid = uid.or(known.uid);
        assert!(
            known.uid.is_none() || known.uid == uid,
            "{command}: {items}"
        );
        known.uid = uid;
        if let Some(flags) = flags(items) {
            known.flags = Some(flags.clone());
            let uid = uid.unwrap_or_else(|| panic!("no UID in {items}"));
            self.cache.flags.insert(uid, flags);
            self.cache.highest = self.cache.highest.max(uid);
        }
        self.heard.0 = self.heard.0.max(after(items, "MODSEQ (").unwrap_or(0));
    }

    /// A message that vanishes is one that the client counts; if it never heard its UID, it is one
    /// of those that came last.
    fn remove(&mut self, uid: u32, command: &str) {
        self.cache.flags.remove(&uid);
        let named = self.messages.iter().position(|it| it.uid == Some(uid));
        let unnamed = || self.messages.iter().position(|it| it.uid.is_none());
        let position = named.or_else(unnamed);
        let position = position.unwrap_or_else(|| panic!("{command}: {uid} vanishes"));
        self.messages.remove(position);
    }

    /// Checks that the server says what the client believes, and learns what it does not know.
    fn compare(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let before = self.messages.clone();
        let answer = self.run("FETCH 1:* (UID FLAGS MODSEQ)");
        // What comes after the answers is news.
        for (line, known) in answer.lines().zip(&before) {
            let uid = after(line, "UID ").map(|uid| u32::try_from(uid).unwrap());
            let same = known.flags.is_none() || known.flags == flags(line);
            let same = same && (known.uid.is_none() || known.uid == uid);
            assert!(same, "{known:?}: {line}");
        }
    }

    /// Selects the mailbox for the first time.
    fn select(&mut self) {
        let answer = self.run("SELECT INBOX");
        let validity = after(&answer, "[UIDVALIDITY ").unwrap();
        self.cache.uid_validity = u32::try_from(validity).unwrap();
        self.compare();
    }

    /// Selects it with what it knows, and checks what it then believes.
    fn resynchronise(&mut self, dice: &mut Dice) {
        let cache = self.cache.clone();
        let uids: Vec<String> = cache.flags.keys().map(u32::to_string).collect();
        let known = match dice.roll(3) {
            0 => format!(" 1:{}", cache.highest.max(1)),
            1 if !uids.is_empty() => format!(" {}", uids.join(",")),
            _ => String::new(),
        };
        let matches = match dice.roll(3) {
            0 if !uids.is_empty() => format!(" (1:{} {})", uids.len(), uids.join(",")),
            1 if !uids.is_empty() => {
                let at = dice.roll(uids.len());
                format!(" ({} {})", at + 1, uids[at])
            }
            _ => String::new(),
        };
        let (validity, mod_seq) = (cache.uid_validity, cache.mod_seq);
        let select = format!("SELECT INBOX (QRESYNC ({validity} {mod_seq}{known}{matches}))");
        let answer = self.run(&select);
        let highest = self.cache.highest;
        let believed = self.cache.flags.clone();
        self.run("FETCH 1:* (UID FLAGS MODSEQ)");
        let actual: BTreeMap<u32, BTreeSet<String>> = self
            .messages
            .iter()
            .map(|it| (it.uid.unwrap(), it.flags.clone().unwrap()))
            .collect();
        for (uid, flags) in &believed {
            assert_eq!(
                Some(flags),
                actual.get(uid),
                "{uid} after {select}: {answer}"
            );
        }
        for uid in actual
            .keys()
            .filter(|uid| **uid <= cache.highest.min(highest))
        {
            assert!(believed.contains_key(uid), "{uid} after {select}: {answer}");
        }
    }
}

/// The number after a word.
fn after(line: &str, word: &str) -> Option<u64> {
    let rest = line.split_once(word)?.1;
    let digits = rest.split(|it: char| !it.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn numbers(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let ranges = set.split(',').map(|range| match range.split_once(':') {
        Some((first, last)) => number(first)..=number(last),
        None => number(range)..=number(range),
    });
    ranges.flatten().collect()
}

fn flags(items: &str) -> Option<BTreeSet<String>> {
    let list = items.split_once("FLAGS (")?.1.split_once(')')?.0;
    let names = list.split_whitespace().filter(|it| *it != "\\Recent");
    Some(names.map(str::to_owned).collect())
}

const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Deleted", "one", "two"];

/// What one of the others does.
fn act(other: &mut Client, dice: &mut Dice) {
    let (uid, flag, sign) = (dice.roll(40) + 1, dice.pick(&FLAGS), dice.pick(&['+', '-']));
    let command = match dice.roll(6) {
        0 => "APPEND INBOX (one) {6+}\r\nA: b\r\n".to_owned(),
        1 => format!("UID STORE {uid} +FLAGS (\\Deleted)\r\nx UID EXPUNGE {uid}"),
        2 => format!("UID STORE {uid}:{} {sign}FLAGS.SILENT ({flag})", uid + 5),
        3 => "EXPUNGE".to_owned(),
        4 => format!("UID MOVE {uid} INBOX"),
        _ => format!("UID STORE {uid} FLAGS ({flag})"),
    };
    other.send(format!("x {command}\r\n"));
}

/// What the client does. Its connection may break right after.
fn believe(one: &mut Believer, dice: &mut Dice) {
    let count = one.messages.len();
    let (number, flag) = (dice.roll(count.max(1)) + 1, dice.pick(&FLAGS));
    let command = match dice.roll(8) {
        0 => "NOOP".to_owned(),
        1 => "EXPUNGE".to_owned(),
        2 => format!("UID STORE {} +FLAGS ({flag})", dice.roll(40) + 1),
        3 => "IDLE\r\nDONE".to_owned(),
        _ if count == 0 => "CHECK".to_owned(),
        4 => format!("STORE {number} +FLAGS ({flag})"),
        5 => {
            let since = one.cache.mod_seq.saturating_sub(2);
            format!("STORE {number}:* (UNCHANGEDSINCE {since}) -FLAGS ({flag})")
        }
        6 => format!("FETCH {number} (UID FLAGS BODY[TEXT])"),
        _ => format!("FETCH {number} (MODSEQ)"),
    };
    one.run(&command);
}

#[test]
fn whoever_comes_back_comes_to_what_the_server_says() {
    for seed in 0..25 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        world.deliver_many(12);
        let mut one = Believer::connect(&world, Cache::default());
        one.select();
        for _ in 0..12 {
            let mut other = world.select();
            for _ in 0..dice.roll(10) {
                match dice.roll(3) {
                    0 => act(&mut other, &mut dice),
                    _ => believe(&mut one, &mut dice),
                }
                if dice.roll(3) == 0 {
                    one.compare();
                }
            }
            let cache = one.cache.clone();
            drop(one);
            for _ in 0..dice.roll(4) {
                act(&mut other, &mut dice);
            }
            drop(other);
            if dice.roll(3) == 0 {
                world.restart();
            }
            one = Believer::connect(&world, cache);
            one.resynchronise(&mut dice);
        }
    }
}

#[test]
fn beyond_what_is_remembered_all_that_is_gone_is_told() {
    let world = World::new();
    world.deliver_many(0);
    let directory = world.root();
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(directory.join(part)).unwrap();
    }
    let list = "3 V1234 N9 G000102030405060708090a0b0c0d0e0f\n2 :100.M1P1.host\n5 :101.M1P1.host\n";
    std::fs::write(directory.join("dovecot-uidlist"), list).unwrap();
    for name in ["100.M1P1.host:2,S", "101.M1P1.host:2,"] {
        std::fs::write(directory.join("cur").join(name), "a: b\n\n").unwrap();
    }
    let mut client = world.log_in();
    client.expect("x ENABLE QRESYNC\r\n", &["* ENABLED QRESYNC", "x OK …"]);
    let told = |client: &mut Client, known: &str| {
        let answer = client.send(format!("x SELECT INBOX (QRESYNC (1234 {known}))\r\n"));
        let lines = answer
            .lines()
            .filter(|line| line.contains("VANISHED") || line.contains("FETCH"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    // The mod-sequence is another server's.
    let lines = told(&mut client, "5000");
    assert_eq!(lines[0], "* VANISHED (EARLIER) 1,3:4,6:8");
    assert_eq!(lines.len(), 3, "{lines:?}");
    let lines = told(&mut client, "5000 3:7 (1:2 2,5)");
    assert_eq!(lines[0], "* VANISHED (EARLIER) 6:7");
    let highest = after(
        &client.send("x STATUS INBOX (HIGHESTMODSEQ)\r\n"),
        "HIGHESTMODSEQ ",
    );
    let lines = told(&mut client, &highest.unwrap().to_string());
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn a_long_answer_comes_in_slices_and_in_order() {
    let world = World::new();
    world.deliver_many(3_000);
    let mut other = world.select();
    let odd: Vec<String> = (1..=3_000).step_by(2).map(|it| it.to_string()).collect();
    other.send(format!(
        "x UID STORE {} +FLAGS.SILENT (\\Deleted)\r\n",
        odd.join(",")
    ));
    other.send("x EXPUNGE\r\n");
    let mut one = world.log_in();
    one.expect("x ENABLE QRESYNC\r\n", &["* ENABLED QRESYNC", "x OK …"]);
    let validity = after(
        &one.send("x STATUS INBOX (UIDVALIDITY)\r\n"),
        "UIDVALIDITY ",
    )
    .unwrap();
    let answer = one.send(format!("x SELECT INBOX (QRESYNC ({validity} 1))\r\n"));
    assert!(one.largest_write < 200 * 1024, "{}", one.largest_write);
    let gone: Vec<u32> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("* VANISHED (EARLIER) "))
        .flat_map(numbers)
        .collect();
    assert_eq!(gone.len(), 1_500);
    assert!(gone.windows(2).all(|pair| pair[0] < pair[1]));
    let first = answer.find("FETCH").unwrap_or(usize::MAX);
    assert!(answer.rfind("VANISHED").unwrap() < first);
}
