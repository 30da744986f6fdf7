//! Three clients do things at random; each keeps what it was told as a client would. What it then
//! believes must be what the server says, and in the end all must believe the same (S12, S13).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a client that is told nonsense fails the test"
)]

use std::collections::BTreeSet;

use imapd::command::ExpungeRule;

use crate::believer::{Dice, Known};
use crate::world::{Client, World};

/// A client with its own idea of the mailbox.
struct Believer {
    client: Client,
    messages: Vec<Known>,
}

impl Believer {
    fn new(world: &World) -> Self {
        let mut believer = Self {
            client: world.log_in(),
            messages: Vec::new(),
        };
        believer.select();
        believer
    }

    fn select(&mut self) {
        self.messages.clear();
        self.run("SELECT INBOX");
        self.compare();
    }

    /// Sends a command and takes in what is answered.
    fn run(&mut self, command: &str) -> String {
        let answer = self.client.send(format!("x {command}\r\n"));
        let by_number = ["FETCH", "STORE", "SEARCH"];
        let rule = match by_number.iter().any(|it| command.starts_with(it)) {
            true => ExpungeRule::Held,
            false => ExpungeRule::Allowed,
        };
        assert!(
            answer.contains("\r\nx ") || answer.starts_with("x "),
            "{command}: {answer}"
        );
        for line in answer.lines() {
            self.take(line, command, rule);
        }
        answer
    }

    fn take(&mut self, line: &str, command: &str, rule: ExpungeRule) {
        let Some((number, rest)) = line.strip_prefix("* ").and_then(|it| it.split_once(' ')) else {
            return;
        };
        let Ok(number) = number.parse::<usize>() else {
            return;
        };
        if rest == "EXISTS" {
            assert!(number >= self.messages.len(), "EXISTS shrinks: {command}");
            self.messages.resize(number, Known::default());
        } else if rest == "EXPUNGE" {
            assert!(rule == ExpungeRule::Allowed, "EXPUNGE during {command}");
            assert!(
                number <= self.messages.len(),
                "EXPUNGE of nothing: {command}"
            );
            self.messages.remove(number - 1);
        } else if let Some(items) = rest.strip_prefix("FETCH (") {
            let known = &mut self.messages[number - 1];
            if let Some(uid) = uid(items) {
                assert!(known.uid.is_none_or(|it| it == uid), "{command}: {line}");
                known.uid = Some(uid);
            }
            if let Some(flags) = flags(items) {
                known.flags = Some(flags);
            }
        }
    }

    /// Checks that the server says what the client believes.
    fn compare(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let before = self.messages.clone();
        let answer = self.client.send("y FETCH 1:* (UID FLAGS)\r\n");
        let mut replies = answer.lines();
        for (position, known) in before.iter().enumerate() {
            let line = replies.next().unwrap_or_default();
            let start = format!("* {} FETCH (", position + 1);
            let items = line
                .strip_prefix(&start)
                .unwrap_or_else(|| panic!("{answer}"));
            let (uid, flags) = (uid(items), flags(items));
            assert!(
                known.uid.is_none_or(|it| Some(it) == uid),
                "{known:?}: {line}"
            );
            let same = known
                .flags
                .as_ref()
                .is_none_or(|it| Some(it) == flags.as_ref());
            assert!(same, "{known:?}: {line}");
            self.messages[position] = Known { uid, flags };
        }
        for line in replies {
            self.take(line, "FETCH", ExpungeRule::Held);
        }
    }

    /// A STORE of which the client knows the outcome itself.
    fn store_silently(&mut self, position: usize, sign: char, flag: &str) {
        if let Some(flags) = &mut self.messages[position].flags {
            match sign {
                '+' => drop(flags.insert(flag.to_owned())),
                _ => drop(flags.remove(flag)),
            }
        }
        self.run(&format!(
            "STORE {} {sign}FLAGS.SILENT ({flag})",
            position + 1
        ));
    }
}

fn uid(items: &str) -> Option<u32> {
    let rest = items.split_once("UID ")?.1;
    rest.split([' ', ')']).next()?.parse().ok()
}

fn flags(items: &str) -> Option<BTreeSet<String>> {
    let list = items.split_once("FLAGS (")?.1.split_once(')')?.0;
    let names = list.split_whitespace().filter(|it| *it != "\\Recent");
    Some(names.map(str::to_owned).collect())
}

const FLAGS: [&str; 6] = ["\\Seen", "\\Flagged", "\\Deleted", "\\Draft", "one", "two"];

/// What another program does to the files.
fn meddle(world: &World, dice: &mut Dice) {
    let mut files = world.files("cur");
    files.sort();
    if files.is_empty() || dice.roll(2) == 0 {
        return world.deliver("Subject: delivered\r\n\r\nbody\r\n");
    }
    let path = &files[dice.roll(files.len())];
    if dice.roll(3) == 0 {
        return std::fs::remove_file(path).unwrap();
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    let (base, _) = name.split_once(":2,").unwrap_or((name, ""));
    let letters = dice.pick(&["", "S", "F", "FS", "T"]);
    std::fs::rename(path, path.with_file_name(format!("{base}:2,{letters}"))).unwrap();
}

/// One client does one thing.
fn act(world: &World, one: &mut Believer, dice: &mut Dice) {
    let count = one.messages.len();
    let position = dice.roll(count.max(1));
    let number = position + 1;
    let sign = dice.pick(&['+', '-']);
    let flag = dice.pick(&FLAGS);
    let command = match dice.roll(17) {
        0 => return meddle(world, dice),
        1 => "NOOP".to_owned(),
        2 => "CHECK".to_owned(),
        3 => "EXPUNGE".to_owned(),
        4 => "APPEND INBOX (one) {6+}\r\nA: b\r\n".to_owned(),
        5 => "IDLE\r\nDONE".to_owned(),
        6 => "UID SEARCH UNSEEN".to_owned(),
        7 => "STATUS INBOX (MESSAGES)".to_owned(),
        8 => format!("UID STORE 1:* {sign}FLAGS ({flag})"),
        9 if dice.roll(4) == 0 => return one.select(),
        _ if count == 0 => "SEARCH ALL".to_owned(),
        9 => format!("COPY {number} INBOX"),
        10 => format!("FETCH {number} BODY[TEXT]"),
        11 => format!("STORE {number} {sign}FLAGS ({flag})"),
        12 => format!("STORE {number}:* FLAGS ({flag})"),
        13 => format!("UID EXPUNGE {}", dice.roll(60) + 1),
        14 => format!("UID FETCH {}:* (FLAGS)", dice.roll(60) + 1),
        15 => format!("MOVE {number} INBOX"),
        _ => return one.store_silently(position, sign, flag),
    };
    one.run(&command);
}

#[test]
fn clients_and_server_agree_at_every_step() {
    for seed in 0..12 {
        let world = World::new();
        world.deliver_many(6);
        let mut dice = Dice(seed);
        let mut believers = [(); 3].map(|()| Believer::new(&world));
        for _ in 0..150 {
            let one = &mut believers[dice.roll(3)];
            act(&world, one, &mut dice);
            one.compare();
        }
        let mut all = Vec::new();
        for round in 0..2 {
            for one in &mut believers {
                one.run("NOOP");
                one.compare();
                if round == 1 {
                    all.push(one.messages.clone());
                }
            }
        }
        assert_eq!(all[0], all[1], "seed {seed}");
        assert_eq!(all[0], all[2], "seed {seed}");
        assert_eq!(
            all[0].len(),
            world.files("cur").len() + world.files("new").len()
        );
    }
}
