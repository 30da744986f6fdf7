//! A session that believes what it is told, and checks that it can be believed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use pillarbox_tests::client::Client;

use crate::disk::{Message, number};

/// What all sessions together have learned of one account.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// UIDVALIDITY by mailbox.
    validity: BTreeMap<String, u64>,
    /// The message of every UID that was ever seen, by mailbox.
    messages: BTreeMap<(String, u64), u64>,
    /// The UIDs that are gone for good.
    dead: BTreeSet<(String, u64)>,
}

impl Known {
    /// The messages of a mailbox are these, while nothing changes: no other UID may come again.
    fn bury(&mut self, mailbox: &str, alive: &BTreeSet<u64>) {
        let known = self
            .messages
            .keys()
            .filter(|(name, uid)| name == mailbox && !alive.contains(uid));
        self.dead.extend(known.cloned());
    }

    fn learn(&mut self, mailbox: &str, uid: u64, message: u64) {
        let key = (mailbox.to_owned(), uid);
        assert!(!self.dead.contains(&key), "{key:?} is back");
        let known = *self.messages.entry(key.clone()).or_insert(message);
        assert_eq!(known, message, "{key:?} names two messages");
    }
}

/// What a session has been told of the message at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    uid: Option<u64>,
    letters: Option<String>,
}

/// A session with a mailbox.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    known: Arc<Mutex<Known>>,
    pub(crate) mailbox: String,
    view: Vec<Seen>,
}

impl Session {
    /// Logs in and selects a mailbox.
    pub(crate) fn new(server: SocketAddr, known: &Arc<Mutex<Known>>, mailbox: &str) -> Self {
        let mut client = Client::connect(server);
        assert!(client.line().starts_with("* OK"));
        client.ok("LOGIN ann pw");
        let mut session = Self {
            client,
            known: Arc::clone(known),
            mailbox: String::new(),
            view: Vec::new(),
        };
        session.select(mailbox);
        session
    }

    /// Selects another mailbox.
    pub(crate) fn select(&mut self, mailbox: &str) {
        self.view.clear();
        mailbox.clone_into(&mut self.mailbox);
        let answer = self.command(&format!("SELECT {mailbox}"));
        assert!(answer.contains(" OK "), "{answer}");
        let validity = value(&answer, "[UIDVALIDITY ").expect("UIDVALIDITY");
        let mut known = self.known.lock().unwrap();
        let first = *known.validity.entry(mailbox.to_owned()).or_insert(validity);
        assert_eq!(first, validity, "UIDVALIDITY of {mailbox}");
    }

    /// How many messages there are, as far as was told.
    pub(crate) fn count(&self) -> usize {
        self.view.len()
    }

    /// Sends a command and believes the whole answer, which may be a refusal; gives the answer.
    pub(crate) fn command(&mut self, command: &str) -> String {
        // The numbers of messages are the ones of the moment at which the command was sent.
        let numbered = ["FETCH", "STORE", "SEARCH"]
            .iter()
            .any(|name| command.starts_with(name));
        let mut whole = String::new();
        let mut completion = String::new();
        for response in self.client.command(command) {
            let response = String::from_utf8(response).unwrap();
            let expunged = numbered && response.ends_with(" EXPUNGE\r\n");
            assert!(!expunged, "EXPUNGE in {command}");
            self.believe(&response);
            whole.push_str(&response);
            completion = response;
        }
        let refused = completion.split(' ').nth(1);
        assert!(
            matches!(refused, Some("OK" | "NO")),
            "{command}: {completion}"
        );
        whole
    }

    /// Begins to wait for news.
    pub(crate) fn idle(&mut self) {
        self.client.send("idle IDLE\r\n");
        loop {
            let response = String::from_utf8(self.client.response()).unwrap();
            if response.starts_with('+') {
                return;
            }
            self.believe(&response);
        }
    }

    /// Reads what is pushed until it tells of what is there.
    pub(crate) fn is_pushed(&mut self, there: &[Message]) {
        while !self.could_be(there) {
            let response = String::from_utf8(self.client.response()).unwrap();
            self.believe(&response);
        }
    }

    /// Stops to wait.
    pub(crate) fn done(&mut self) {
        self.client.send("DONE\r\n");
        for response in self.client.until("idle") {
            self.believe(&String::from_utf8(response).unwrap());
        }
    }

    /// Whether what was told fits what is there. New messages have no flags to be told yet.
    fn could_be(&self, there: &[Message]) -> bool {
        let known = self.known.lock().unwrap();
        let mut left = there.to_vec();
        self.view.len() == there.len()
            && self.view.iter().all(|seen| {
                let message = seen
                    .uid
                    .and_then(|uid| known.messages.get(&(self.mailbox.clone(), uid)));
                let (Some(number), Some(letters)) = (message, &seen.letters) else {
                    return true;
                };
                let at = left
                    .iter()
                    .position(|(other, flags)| other == number && flags == letters);
                at.is_some_and(|at| {
                    left.swap_remove(at);
                    true
                })
            })
    }

    /// Asks for everything, octet by octet; gives what is there, or else what it was told wrongly
    /// before, though nothing changes.
    pub(crate) fn everything(&mut self) -> Result<Vec<Message>, String> {
        self.command("NOOP");
        let told = self.view.clone();
        if !told.is_empty() {
            self.command("FETCH 1:* (UID FLAGS BODY.PEEK[])");
        }
        for (at, (before, now)) in (1..).zip(told.iter().zip(&self.view)) {
            let same = before.uid.is_none_or(|_| before.uid == now.uid)
                && before
                    .letters
                    .as_ref()
                    .is_none_or(|_| before.letters == now.letters);
            if !same {
                return Err(format!("{before:?} was told of {at}, and it is {now:?}"));
            }
        }
        let mut known = self.known.lock().unwrap();
        let mut found = Vec::new();
        let mut alive = BTreeSet::new();
        for seen in &self.view {
            let (Some(uid), Some(letters)) = (seen.uid, &seen.letters) else {
                // Its file is gone, and NOOP did not say so.
                continue;
            };
            alive.insert(uid);
            let message = known.messages.get(&(self.mailbox.clone(), uid));
            found.extend(message.map(|number| (*number, letters.clone())));
        }
        if found.len() == self.view.len() {
            known.bury(&self.mailbox, &alive);
        }
        found.sort();
        Ok(found)
    }

    fn believe(&mut self, response: &str) {
        assert!(
            !response.is_empty() && !response.starts_with("* BYE"),
            "disconnected: {response}"
        );
        let Some(rest) = response.strip_prefix("* ") else {
            return;
        };
        let mut words = rest.split([' ', '\r']);
        let (Some(place), Some(what)) = (
            words.next().and_then(|word| word.parse::<usize>().ok()),
            words.next(),
        ) else {
            return;
        };
        match what {
            "EXISTS" => {
                assert!(
                    place >= self.view.len(),
                    "EXISTS must not shrink: {response}"
                );
                self.view.resize(place, Seen::default());
            }
            "EXPUNGE" => {
                self.view.remove(place - 1);
            }
            "FETCH" => self.fetched(place - 1, response),
            _ => {}
        }
    }

    fn fetched(&mut self, at: usize, response: &str) {
        let seen = &mut self.view[at];
        let head = response.split("BODY[]").next().unwrap();
        if let Some(uid) = value(head, "UID ") {
            assert!(
                seen.uid.is_none_or(|known| known == uid),
                "UID {:?}: {head}",
                seen.uid
            );
            seen.uid = Some(uid);
        }
        if let Some((_, flags)) = head.split_once("FLAGS (") {
            seen.letters = Some(letters(flags.split_once(')').unwrap().0));
        }
        if let Some((_, body)) = response.split_once("BODY[] {") {
            let (octets, body) = body.split_once("}\r\n").unwrap();
            let message = number(&body[..octets.parse().unwrap()]);
            let uid = seen.uid.expect("UID with BODY[]");
            self.known
                .lock()
                .unwrap()
                .learn(&self.mailbox, uid, message);
        }
    }
}

/// The letters of flags, in order.
fn letters(flags: &str) -> String {
    let letters: BTreeSet<char> = flags
        .split(' ')
        .filter_map(|flag| match flag {
            "\\Draft" => Some('D'),
            "\\Flagged" => Some('F'),
            "\\Answered" => Some('R'),
            "\\Seen" => Some('S'),
            "\\Deleted" => Some('T'),
            _ => None,
        })
        .collect();
    letters.into_iter().collect()
}

/// The number after this.
fn value(response: &str, name: &str) -> Option<u64> {
    let (_, rest) = response.split_once(name)?;
    rest.split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
