//! The second client: it changes a mailbox while the first one is away or waits, and knows what the
//! first one has to learn.

use std::collections::{BTreeMap, BTreeSet};

use pillarbox_tests::binary::Binary;
use pillarbox_tests::client::Client;

/// Messages by UID, with their flags and keywords.
pub(crate) type View = BTreeMap<u32, BTreeSet<String>>;

/// What the second client has done since the first one last looked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Moved away and expunged.
    pub(crate) gone: BTreeSet<u32>,
    /// With other flags than before.
    pub(crate) flagged: View,
    /// Appended, with their flags.
    pub(crate) arrived: View,
}

/// A connection that makes changes in INBOX.
pub(crate) struct Second {
    client: Client,
    view: View,
    /// The UID of what is appended next, which is also in its subject.
    next: u32,
    /// How many messages have been moved to the archive.
    moved: u32,
}

/// Who everybody logs in as; the server makes the account.
pub(crate) const USER: &str = "sync@localhost";
/// The password.
pub(crate) const PASSWORD: &str = "secret";
/// Where messages are moved.
const ARCHIVE: &str = "Archive";

impl Second {
    /// Fills INBOX with so many messages, half of which are \Seen.
    pub(crate) fn new(server: &Binary, messages: u32) -> Self {
        let mut client = Client::connect(server.imap);
        assert!(client.line().starts_with("* OK"));
        client.ok(&format!("LOGIN {USER} {PASSWORD}"));
        client.ok(&format!("CREATE {ARCHIVE}"));
        client.ok("SELECT INBOX");
        let mut second = Self {
            client,
            view: View::new(),
            next: 1,
            moved: 0,
        };
        for number in 0..messages {
            let flags: &[&str] = if number % 2 == 0 { &["\\Seen"] } else { &[] };
            second.append(flags);
        }
        second
    }

    /// What is in INBOX.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// A system flag and a keyword here, a flag off there, one message moved, one expunged beside
    /// one that is only \Deleted, two appended. Can be done again.
    pub(crate) fn change(&mut self) -> Changes {
        let before = self.view.clone();
        let uids: Vec<u32> = before.keys().copied().collect();
        self.toggle(uids[1], "\\Flagged");
        self.toggle(uids[2], "$Work");
        self.toggle(uids[4], "\\Seen");
        self.toggle(uids[6], "\\Deleted");
        self.client.ok(&format!("UID MOVE {} {ARCHIVE}", uids[3]));
        self.moved += 1;
        let doomed = uids[5];
        self.toggle(doomed, "\\Deleted");
        self.client.ok(&format!("UID EXPUNGE {doomed}"));
        for gone in [uids[3], doomed] {
            self.view.remove(&gone);
        }
        self.append(&["\\Seen", "$Later"]);
        self.append(&[]);
        self.since(&before)
    }

    /// Appends a message whose subject has its UID.
    fn append(&mut self, flags: &[&str]) {
        let uid = self.next;
        let message = format!(
            "From: Anna <anna@example.org>\r\nTo: ben@example.org\r\n\
             Date: Tue, 14 Nov 2023 12:00:00 +0000\r\nSubject: message {uid}\r\n\
             Message-ID: <{uid}@example.org>\r\n\r\nA line of text.\r\n",
        );
        let answer = self.client.ok(&format!(
            "APPEND INBOX ({}) {{{}+}}\r\n{message}",
            flags.join(" "),
            message.len()
        ));
        assert!(answer.contains("[APPENDUID "), "{answer}");
        assert!(answer.contains(&format!(" {uid}] ")), "{answer}");
        self.next += 1;
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        self.view.insert(uid, flags);
    }

    /// Puts a flag on, or takes it off.
    fn toggle(&mut self, uid: u32, flag: &str) {
        let flags = self.view.get_mut(&uid).unwrap();
        let sign = if flags.remove(flag) { '-' } else { '+' };
        if sign == '+' {
            flags.insert(flag.to_owned());
        }
        self.client
            .ok(&format!("UID STORE {uid} {sign}FLAGS.SILENT ({flag})"));
    }

    /// Whether a message has a flag, as this connection sees it.
    pub(crate) fn sees(&mut self, uid: u32, flag: &str) -> bool {
        self.client.ok("NOOP");
        self.look();
        self.view[&uid].contains(flag)
    }

    /// What the first client has to do next: a message to make `$Mine`, one to move to the archive,
    /// one to expunge. It also appends a \Draft.
    pub(crate) fn task(&self) -> [u32; 3] {
        let uids: Vec<u32> = self.view.keys().copied().collect();
        [uids[1], uids[3], uids[5]]
    }

    /// Sees that just this has been done, and nothing else.
    pub(crate) fn sees_done(&mut self, task: [u32; 3]) {
        let [flagged, moved, expunged] = task;
        let mut expected = self.view.clone();
        expected.entry(flagged).or_default().insert("$Mine".into());
        expected.remove(&moved);
        expected.remove(&expunged);
        expected.insert(self.next, ["\\Draft".to_owned()].into());
        self.client.ok("NOOP");
        self.look();
        assert_eq!(self.view, expected);
        let archive = self.client.ok(&format!("STATUS {ARCHIVE} (MESSAGES)"));
        assert!(archive.contains(&format!("(MESSAGES {})", self.moved + 1)));
    }

    /// Takes what the server has for what is there: somebody else has changed flags.
    fn look(&mut self) {
        let answer = self.client.ok("FETCH 1:* (UID FLAGS)");
        self.view = answer.lines().filter_map(fetched).collect();
    }

    fn since(&self, before: &View) -> Changes {
        let gone = before.keys().filter(|uid| !self.view.contains_key(uid));
        let mut changes = Changes {
            gone: gone.copied().collect(),
            ..Changes::default()
        };
        for (&uid, flags) in &self.view {
            match before.get(&uid) {
                None => changes.arrived.insert(uid, flags.clone()),
                Some(old) if old != flags => changes.flagged.insert(uid, flags.clone()),
                Some(_) => None,
            };
        }
        changes
    }
}

/// The UID and the flags in a FETCH response that has both.
pub(crate) fn fetched(line: &str) -> Option<(u32, BTreeSet<String>)> {
    let (_, items) = line.split_once(" FETCH (")?;
    let (_, uid) = items.split_once("UID ")?;
    let (_, flags) = items.split_once("FLAGS (")?;
    let uid = uid.split([' ', ')']).next()?.parse().ok()?;
    let flags = flags.split(')').next()?.split_ascii_whitespace();
    let flags = flags.filter(|&flag| flag != "\\Recent").map(str::to_owned);
    Some((uid, flags.collect()))
}
