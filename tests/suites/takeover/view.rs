//! All that a client can know of an account.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use pillarbox_tests::client::Client;

/// An account as its owner sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// By name.
    pub(crate) mailboxes: BTreeMap<String, Mailbox>,
    /// The names that LSUB tells.
    pub(crate) subscribed: BTreeSet<String>,
    /// Unique-id and octets of each message in POP3.
    pub(crate) maildrop: Vec<(String, String)>,
}

/// A mailbox in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mailbox {
    /// UIDVALIDITY, UIDNEXT, MESSAGES and UNSEEN, as STATUS tells them.
    pub(crate) status: BTreeMap<String, u64>,
    /// By UID.
    pub(crate) messages: BTreeMap<u32, Message>,
}

/// A message in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Flags and keywords without `\Recent`.
    pub(crate) flags: BTreeSet<String>,
    pub(crate) size: u64,
    /// INTERNALDATE.
    pub(crate) date: String,
    /// BODY[].
    pub(crate) text: String,
}

/// Connects over IMAP and logs in, if that is needed.
pub(crate) fn log_in(server: SocketAddr) -> Client {
    let mut client = Client::connect(server);
    let greeting = client.line();
    if !greeting.starts_with("* PREAUTH") {
        assert!(greeting.starts_with("* OK"), "{greeting}");
        client.ok("LOGIN ann pw");
    }
    client
}

impl Account {
    /// Looks at everything, and changes nothing.
    pub(crate) fn seen(imap: SocketAddr, pop3: SocketAddr) -> Self {
        let mut client = log_in(imap);
        let listed = names(&client.ok("LIST \"\" *"), "* LIST ");
        let subscribed = names(&client.ok("LSUB \"\" *"), "* LSUB ");
        let mailboxes = listed
            .into_iter()
            .map(|name| {
                let mailbox = Mailbox::seen(&mut client, &name);
                (name, mailbox)
            })
            .collect();
        client.ok("LOGOUT");
        Self {
            mailboxes,
            subscribed,
            maildrop: maildrop(pop3),
        }
    }
}

impl Account {
    /// What has changed since then for `mbsync` and for `fetchmail`: messages added, messages with
    /// other flags or gone, and messages with new unique-ids.
    pub(crate) fn since(&self, before: &Self) -> ([u32; 3], usize) {
        let (mut added, mut changed) = (0, 0);
        for (name, mailbox) in &self.mailboxes {
            let nothing = Mailbox::default();
            let old = before.mailboxes.get(name).unwrap_or(&nothing);
            for (uid, message) in &mailbox.messages {
                match old.messages.get(uid) {
                    None => added += 1,
                    Some(old) => changed += u32::from(old.letters() != message.letters()),
                }
            }
            let gone = |uid: &&u32| !mailbox.messages.contains_key(*uid);
            changed += u32::try_from(old.messages.keys().filter(gone).count()).unwrap();
        }
        let is_new = |message: &&(String, String)| !before.maildrop.contains(message);
        let fetched = self.maildrop.iter().filter(is_new).count();
        ([added, changed, 0], fetched)
    }
}

impl Message {
    /// The flags that `mbsync` knows.
    fn letters(&self) -> BTreeSet<&String> {
        let known = |flag: &&String| flag.starts_with('\\') || *flag == "$Forwarded";
        self.flags.iter().filter(known).collect()
    }
}

impl Mailbox {
    fn seen(client: &mut Client, name: &str) -> Self {
        let answer = client.ok(&format!(
            "STATUS \"{name}\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"
        ));
        let (_, items) = answer.lines().next().unwrap().rsplit_once('(').unwrap();
        let words: Vec<&str> = items.trim_end_matches(')').split(' ').collect();
        let status = words
            .chunks(2)
            .map(|pair| (pair[0].to_owned(), pair[1].parse().unwrap()))
            .collect();
        let mut messages = BTreeMap::new();
        client.ok(&format!("EXAMINE \"{name}\""));
        for response in client.command("UID FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE)") {
            let line = String::from_utf8_lossy(&response).into_owned();
            if line.contains(" FETCH (") {
                let message = Message {
                    flags: flags(&line),
                    size: number(&line, "RFC822.SIZE "),
                    date: between(&line, "INTERNALDATE \"", '"').to_owned(),
                    text: String::new(),
                };
                messages.insert(uid(&line), message);
            }
        }
        for response in client.command("UID FETCH 1:* (UID BODY.PEEK[])") {
            let text = String::from_utf8_lossy(&response).into_owned();
            if text.contains(" FETCH (") {
                let octets = number(&text, "BODY[] {");
                let (_, body) = text.split_once("}\r\n").unwrap();
                let body = &body[..usize::try_from(octets).unwrap()];
                messages.get_mut(&uid(&text)).unwrap().text = body.to_owned();
            }
        }
        Self { status, messages }
    }
}

/// Says what differs, one message at a time.
pub(crate) fn assert_same(before: &Account, after: &Account, when: &str) {
    let names = |account: &Account| account.mailboxes.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after), "{when}: LIST");
    for (name, mailbox) in &before.mailboxes {
        let other = &after.mailboxes[name];
        let uids = |mailbox: &Mailbox| mailbox.messages.keys().copied().collect::<Vec<_>>();
        assert_eq!(uids(mailbox), uids(other), "{when}: UIDs of {name}");
        for (uid, message) in &mailbox.messages {
            assert_eq!(message, &other.messages[uid], "{when}: UID {uid} of {name}");
        }
        assert_eq!(mailbox.status, other.status, "{when}: STATUS of {name}");
    }
    assert_eq!(before.subscribed, after.subscribed, "{when}: LSUB");
    assert_eq!(before.maildrop, after.maildrop, "{when}: UIDL and LIST");
}

/// The names in the answer to LIST or LSUB.
fn names(answer: &str, start: &str) -> BTreeSet<String> {
    answer
        .lines()
        .filter(|line| line.starts_with(start) && !line.contains("\\NonExistent"))
        .filter(|line| !line.to_ascii_lowercase().contains("\\noselect"))
        .map(|line| {
            let (_, name) = line.split_once(") ").unwrap();
            // What comes before the name is the separator in quotes.
            name[4..].trim_matches('"').to_owned()
        })
        .collect()
}

fn uid(response: &str) -> u32 {
    u32::try_from(number(response, "UID ")).unwrap()
}

fn number(response: &str, name: &str) -> u64 {
    let (_, rest) = response.split_once(name).expect("the item");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

fn between<'a>(response: &'a str, start: &str, end: char) -> &'a str {
    let (_, rest) = response.split_once(start).expect("the item");
    rest.split_once(end).unwrap().0
}

fn flags(response: &str) -> BTreeSet<String> {
    between(response, "FLAGS (", ')')
        .split_whitespace()
        .filter(|flag| *flag != "\\Recent")
        .map(str::to_owned)
        .collect()
}

/// Unique-id and size of every message, in the order of POP3.
fn maildrop(server: SocketAddr) -> Vec<(String, String)> {
    let mut client = Client::connect(server);
    client.line();
    for login in ["USER ann", "PASS pw"] {
        let answer = client.ask(login);
        assert!(answer.starts_with("+OK"), "{login}: {answer}");
    }
    let mut list = |command: &str| {
        let answer = client.ask(command);
        assert!(answer.starts_with("+OK"), "{command}: {answer}");
        let mut values = Vec::new();
        loop {
            let line = client.line();
            if line == ".\r\n" {
                return values;
            }
            values.push(line.trim_end().split_once(' ').unwrap().1.to_owned());
        }
    };
    let (ids, sizes) = (list("UIDL"), list("LIST"));
    assert!(client.ask("QUIT").starts_with("+OK"));
    ids.into_iter().zip(sizes).collect()
}
