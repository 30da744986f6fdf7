//! One client's connection, and what it has been told.

use std::collections::{BTreeMap, BTreeSet};

use imapd::types::Access;
use pillarbox_tests::bare::Bare;

/// The flags of a message, by name.
pub(crate) type Flags = BTreeSet<String>;

/// What no message ever changes: EMAILID (RFC 8474 §5.1) and SAVEDATE (RFC 8514 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lasting {
    pub(crate) email_id: String,
    pub(crate) save_date: String,
}

/// What one client knows: the UIDs (once told) and flags of its messages, by position.
pub(crate) struct Client {
    pub(crate) name: usize,
    pub(crate) connection: Bare<imapd::Session>,
    pub(crate) view: Vec<(Option<u32>, Flags)>,
    /// What it was told that no message ever changes, by UID.
    pub(crate) lasting: BTreeMap<u32, Lasting>,
    pub(crate) commands: u32,
    pub(crate) access: Access,
    pub(crate) log: Vec<String>,
}

/// Whether a command may be answered with EXPUNGE.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Expunges {
    Held,
    Allowed,
}

impl Client {
    pub(crate) fn fail(&self, problem: &str) -> ! {
        let tail = self.log.len().saturating_sub(30);
        panic!(
            "client {}: {problem}\n{}",
            self.name,
            self.log[tail..].join("\n")
        );
    }

    /// Runs a command, applies what is told on the way, and gives the untagged SEARCH numbers.
    pub(crate) fn run(&mut self, command: &str, expunges: Expunges) -> Vec<u32> {
        self.commands += 1;
        let tag = format!("a{}", self.commands);
        self.log.push(format!("C: {tag} {command}"));
        let answer = self
            .connection
            .send(format!("{tag} {command}\r\n").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        let found = self.apply(&answer, expunges);
        let last = answer.lines().last().unwrap_or_default().to_owned();
        // Storing to messages that are all gone may be refused (RFC 5530 §3, RFC 2180 §4.2).
        let gone = last.starts_with(&format!("{tag} NO [EXPUNGEISSUED]"));
        let refused = gone && command.contains("STORE");
        if !refused && !last.starts_with(&format!("{tag} OK")) {
            self.fail(&format!("not OK: {last}"));
        }
        found
    }

    /// Applies untagged responses to the view, checking each.
    pub(crate) fn apply(&mut self, answer: &str, expunges: Expunges) -> Vec<u32> {
        let mut found = Vec::new();
        for line in answer.lines() {
            self.log.push(format!("S: {line}"));
            let Some(rest) = line.strip_prefix("* ") else {
                continue;
            };
            let words: Vec<&str> = rest.splitn(3, ' ').collect();
            match words.as_slice() {
                [number, "EXISTS"] => self.exists(number.parse().unwrap()),
                [number, "EXPUNGE"] => {
                    let number: usize = number.parse().unwrap();
                    if expunges == Expunges::Held {
                        self.fail("EXPUNGE during FETCH, STORE or SEARCH");
                    }
                    if number == 0 || number > self.view.len() {
                        self.fail("EXPUNGE of a number that does not exist");
                    }
                    self.view.remove(number - 1);
                }
                [number, "FETCH", data] => self.fetched(number.parse().unwrap(), data),
                ["SEARCH", ..] => {
                    found.extend(rest.split(' ').skip(1).map(|n| n.parse::<u32>().unwrap()));
                }
                ["BYE", ..] => self.fail("BYE"),
                _ => {}
            }
        }
        found
    }

    pub(crate) fn exists(&mut self, number: usize) {
        if number < self.view.len() {
            self.fail("EXISTS shrank");
        }
        self.view.resize(number, (None, Flags::new()));
    }

    pub(crate) fn fetched(&mut self, number: usize, data: &str) {
        if number == 0 || number > self.view.len() {
            self.fail("FETCH of a number that does not exist");
        }
        let uid = data.split_once("UID ").map(|(_, rest)| {
            rest.chars()
                .take_while(char::is_ascii_digit)
                .collect::<String>()
                .parse::<u32>()
                .unwrap()
        });
        if let (Some(told), Some(known)) = (uid, self.view[number - 1].0)
            && told != known
        {
            self.fail(&format!(
                "message {number} was UID {known} and is now UID {told}"
            ));
        }
        if uid.is_some() {
            self.view[number - 1].0 = uid;
        }
        if let Some((uid, lasting)) = uid.zip(lasting(data)) {
            self.lasting.insert(uid, lasting);
        }
        if let Some((_, rest)) = data.split_once("FLAGS (") {
            let names = rest.split_once(')').unwrap().0;
            let flags = names
                .split(' ')
                .filter(|name| !name.is_empty() && *name != "\\Recent");
            self.view[number - 1].1 = flags.map(str::to_owned).collect();
        }
    }

    pub(crate) fn select(&mut self, access: Access) {
        self.view.clear();
        self.access = access;
        let command = match access {
            Access::ReadWrite => "SELECT INBOX",
            Access::ReadOnly => "EXAMINE INBOX",
        };
        self.run(command, Expunges::Allowed);
        self.learn();
    }

    /// Asks for the UIDs of messages that are new to this client.
    pub(crate) fn learn(&mut self) {
        while let Some(first) = self.view.iter().position(|(uid, _)| uid.is_none()) {
            let last = self.view.len();
            self.run(
                &format!("FETCH {}:{last} (UID FLAGS EMAILID SAVEDATE)", first + 1),
                Expunges::Held,
            );
        }
        let uids: Vec<Option<u32>> = self.view.iter().map(|(uid, _)| *uid).collect();
        if !uids.is_sorted() {
            self.fail("UIDs do not ascend");
        }
    }

    pub(crate) fn noop(&mut self) {
        self.run("NOOP", Expunges::Allowed);
        self.learn();
    }

    pub(crate) fn known(&self) -> BTreeMap<u32, Flags> {
        self.view
            .iter()
            .map(|(uid, flags)| (uid.unwrap(), flags.clone()))
            .collect()
    }
}

/// What a FETCH response tells of it.
fn lasting(data: &str) -> Option<Lasting> {
    let between = |start: &str, end| {
        let (_, rest) = data.split_once(start)?;
        Some(rest.split_once(end)?.0.to_owned())
    };
    Some(Lasting {
        email_id: between("EMAILID (", ')')?,
        save_date: between("SAVEDATE \"", '"')?,
    })
}
