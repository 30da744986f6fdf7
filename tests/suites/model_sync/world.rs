//! The mailboxes, the clients, and what must be true at every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use imapd::types::Access;
use mailstore::Store;
use pillarbox_tests::random::Random;
use pillarbox_tests::tree::{Tree, store};

use crate::client::Client;
use crate::resync::Remembered;
use crate::told::{Answer, Condstore, Features, Log, Notify, Revision, Selected};
use crate::truth::{Flags, Mailbox};

/// The mailbox that other programs work on, too.
pub(crate) const INBOX: usize = 0;
/// The other one.
pub(crate) const OTHER: usize = 1;

/// The whole world.
pub(crate) struct World {
    pub(crate) tree: Tree,
    stores: Vec<Arc<Store>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) truth: [Mailbox; 2],
    pub(crate) random: Random,
    pub(crate) remembered: Vec<Remembered>,
    log: Log,
    commands: u64,
    /// How often each kind of thing has happened.
    happened: BTreeMap<&'static str, u64>,
}

impl World {
    /// Clients take turns in the processes, which are stores of their own on the same files.
    pub(crate) fn new(seed: u64, processes: usize) -> Self {
        let stores = (0..processes).map(|_| store()).collect();
        let mut world = Self {
            tree: Tree::new(),
            stores,
            clients: Vec::new(),
            truth: [Mailbox::new("INBOX"), Mailbox::new("Other")],
            random: Random::new(seed),
            remembered: Vec::new(),
            log: Log::default(),
            commands: 0,
            happened: BTreeMap::new(),
        };
        for name in 0..5 {
            let client = world.connect(name);
            world.clients.push(client);
            if name == 0 {
                world.run(name, "CREATE Other");
            }
        }
        world
    }

    /// How many commands the clients have sent.
    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    /// Whether all sessions are of one process.
    pub(crate) fn one_process(&self) -> bool {
        self.stores.len() == 1
    }

    /// Counts what has happened.
    pub(crate) fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// What the client of this name is like this time. Each is of its own kind, and some of them of
    /// others as well.
    fn features(&mut self, name: usize) -> Features {
        let ways = [
            Condstore::Enable,
            Condstore::Select,
            Condstore::Fetch,
            Condstore::ChangedSince,
            Condstore::UnchangedSince,
            Condstore::Search,
            Condstore::Status,
        ];
        let way = *self.random.pick(&ways);
        let some = self.random.once_in(2);
        let condstore = match name {
            0 => Condstore::Never,
            1 | 2 => way,
            _ if some => way,
            _ => Condstore::Never,
        };
        let qresync = name == 2 || (name > 2 && self.random.once_in(3));
        let uid_only = name == 3;
        let rev2 = name == 4 || (uid_only && self.random.once_in(4));
        Features {
            condstore: if qresync {
                Condstore::Enable
            } else {
                condstore
            },
            qresync,
            uid_only,
            revision: if rev2 { Revision::Rev2 } else { Revision::Rev1 },
        }
    }

    /// A client connects and logs in.
    pub(crate) fn connect(&mut self, name: usize) -> Client {
        let features = self.features(name);
        let store = &self.stores[name % self.stores.len()];
        let mut client = Client::new(name, features, self.tree.connect(store), &self.log);
        client.run("LOGIN model model");
        let answer = client.run("CAPABILITY");
        let offered = answer.data("CAPABILITY")[0];
        for needed in NEEDED {
            if !offered.iter().any(|it| it.word() == needed) {
                client.fail(&format!("no {needed}"));
            }
        }
        let enabled = [
            (
                features.condstore == Condstore::Enable && !features.qresync,
                "CONDSTORE",
            ),
            (features.qresync, "QRESYNC"),
            (features.uid_only, "UIDONLY"),
            (features.is_rev2(), "IMAP4rev2"),
        ];
        for (wanted, name) in enabled {
            if wanted {
                let answer = client.run(&format!("ENABLE {name}"));
                let told = answer.data("ENABLED");
                if !told.iter().any(|it| it.len() == 1 && it[0].word() == name) {
                    client.fail(&format!("{name} is not enabled"));
                }
            }
        }
        self.commands += 4;
        client
    }

    /// All connections break and the stores start anew.
    pub(crate) fn restart(&mut self) {
        let processes = self.stores.len();
        self.clients.clear();
        self.stores = Vec::new();
        self.stores = (0..processes).map(|_| store()).collect();
        for name in 0..5 {
            let client = self.connect(name);
            self.clients.push(client);
        }
        self.note("restart");
    }

    /// One random act by one of the clients or by another program.
    pub(crate) fn step(&mut self) {
        let who = self.random.below(self.clients.len());
        if self.random.once_in(200) {
            return self.restart();
        }
        if self.random.once_in(40) {
            return self.reconnect(who);
        }
        self.listen_to_some();
        if self.clients[who].idle.is_some() {
            return self.end_idle(who);
        }
        if self.clients[who].selected.is_none() {
            return self.select(who);
        }
        if self.clients[who].switches_on() && self.random.once_in(8) {
            return self.switch_on(who);
        }
        match self.random.below(34) {
            0 | 1 => self.noop(who),
            2 => self.read(who),
            3..=5 => self.fetch(who),
            6..=9 => self.change_flags(who),
            10 => self.race(who),
            11 | 12 => self.expunge(who),
            13 => self.append(who),
            14 | 32 => self.replace(who),
            15 => self.copy(who),
            16 => self.r#move(who),
            17..=19 => self.search(who),
            20 => self.select(who),
            21 => self.catch_up(who),
            22 => self.status(who),
            23 => self.use_numbers(who),
            24 => self.deliver(who),
            25 => self.toggle_seen(who),
            26 => self.unlink(who),
            27 => self.begin_idle(who),
            28..=30 => self.notify(who),
            31 => self.hold_back(who),
            _ => self.close(who),
        }
    }

    /// Runs a command of a client; whatever it is told must be true.
    pub(crate) fn run(&mut self, who: usize, command: &str) -> Answer {
        self.commands += 1;
        let answer = self.clients[who].run(command);
        self.settle(who, &answer);
        answer
    }

    /// Counts a command whose answer is settled later, when its effect is known.
    pub(crate) fn count(&mut self) {
        self.commands += 1;
    }

    /// What a client was told must be true.
    pub(crate) fn settle(&mut self, who: usize, answer: &Answer) {
        for (mailbox, uid) in &answer.gone {
            if self.truth[*mailbox].messages.contains_key(uid) {
                self.clients[who].fail(&format!("UID {uid} is told as gone, and is there"));
            }
        }
        for fetched in &answer.fetched {
            let mailbox = &mut self.truth[fetched.mailbox];
            if let (Some(uid), Some(mod_seq)) = (fetched.uid, fetched.mod_seq)
                && let Err(problem) = mailbox.tell(uid, mod_seq, fetched.flags.as_ref())
            {
                self.clients[who].fail(&problem);
            }
            let message = fetched.uid.and_then(|uid| mailbox.messages.get(&uid));
            if let (Some(subject), Some(message)) = (&fetched.subject, message)
                && *subject != message.subject
            {
                self.clients[who].fail(&format!("{subject} is {}", message.subject));
            }
        }
        for (mailbox, highest) in &answer.highest {
            self.truth[*mailbox].tell_highest(*highest);
        }
        if self.one_process() && self.clients[who].notify != Notify::Less {
            self.told_truly(who, answer);
        }
        self.remember(who);
    }

    /// The flags that a client was just told are those of the messages now.
    pub(crate) fn told_truly(&self, who: usize, answer: &Answer) {
        let last: BTreeMap<(usize, u32), &Flags> = answer
            .fetched
            .iter()
            .filter_map(|it| Some(((it.mailbox, it.uid?), it.flags.as_ref()?)))
            .collect();
        for ((mailbox, uid), flags) in last {
            if let Some(message) = self.truth[mailbox].messages.get(&uid)
                && message.flags != *flags
            {
                self.clients[who]
                    .fail(&format!("UID {uid} has {:?}, not {flags:?}", message.flags));
            }
        }
    }

    /// Has a client ask for what it does not know of the messages that it counts.
    pub(crate) fn learn(&mut self, who: usize) {
        let mut asked = 0;
        while let Some((position, before)) = self.clients[who].view.unknown() {
            asked += 1;
            if asked > 10 {
                self.clients[who].fail("cannot learn of all messages");
            }
            let client = &self.clients[who];
            let items = if client.aware {
                "(UID FLAGS MODSEQ)"
            } else {
                "(UID FLAGS)"
            };
            let command = if client.has_numbers() {
                format!("FETCH {}:{} {items}", position + 1, client.view.len())
            } else {
                // Those that are not known are the last ones most often.
                let first = if asked == 1 { before + 1 } else { 1 };
                format!("UID FETCH {first}:{} {items}", u32::MAX)
            };
            self.run(who, &command);
        }
        if !self.clients[who].view.uids_ascend() {
            self.clients[who].fail("UIDs do not ascend");
        }
    }

    /// Has a client hear of everything.
    pub(crate) fn noop(&mut self, who: usize) {
        let command = *self.random.pick(&["NOOP", "CHECK", "NOOP"]);
        // IMAP4rev2 has no CHECK (RFC 9051 Appendix E).
        let rev2 = self.clients[who].features.is_rev2();
        self.run(who, if rev2 { "NOOP" } else { command });
        self.agrees(who);
    }

    /// The client has just been told everything: its view must be the truth.
    pub(crate) fn agrees(&mut self, who: usize) {
        self.learn(who);
        let Some(mailbox) = self.clients[who].selected.map(|it| it.mailbox) else {
            return;
        };
        let client = &self.clients[who];
        let known = client.view.whole();
        let truth = self.truth[mailbox].flags();
        if known.as_ref() != Some(&truth) {
            client.fail(&format!("view {known:?}\nis not the truth {truth:?}"));
        }
        for message in client.view.messages.clone() {
            if let (Some(uid), Some(mod_seq)) = (message.uid, message.mod_seq)
                && let Err(problem) = self.truth[mailbox].confirm(uid, mod_seq)
            {
                self.clients[who].fail(&problem);
            }
        }
    }

    /// The mailbox that a client has selected; none if the client cannot do this with it.
    pub(crate) fn mailbox(&self, who: usize, needs: Access) -> Option<usize> {
        let Selected { mailbox, access } = self.clients[who].selected?;
        let possible = access == Access::ReadWrite || needs == Access::ReadOnly;
        possible.then_some(mailbox)
    }

    pub(crate) fn some_flags(&mut self) -> Flags {
        let count = self.random.below(3);
        (0..count)
            .map(|_| (*self.random.pick(&FLAGS)).to_owned())
            .collect()
    }

    /// All agree in the end, and the disk agrees with them.
    pub(crate) fn finish(&mut self) {
        for who in 0..self.clients.len() {
            if self.clients[who].idle.is_some() {
                self.end_idle(who);
            }
            for mailbox in [OTHER, INBOX] {
                self.open_plainly(who, mailbox);
                self.run(
                    who,
                    &format!(
                        "UID FETCH 1:{} (BODY.PEEK[HEADER.FIELDS (SUBJECT)])",
                        u32::MAX
                    ),
                );
            }
        }
        for (mailbox, directory) in [(INBOX, "."), (OTHER, ".Other")] {
            let messages = self.truth[mailbox].messages.values();
            let system = |flags: &Flags| {
                flags
                    .iter()
                    .filter(|it| it.starts_with('\\'))
                    .cloned()
                    .collect()
            };
            let mut expected: Vec<_> = messages
                .map(|it| (it.subject.clone(), system(&it.flags)))
                .collect();
            expected.sort();
            let found = Tree::on_disk(&self.tree.maildir().join(directory));
            assert_eq!(found, expected, "the disk differs");
        }
        println!("{:?}", self.happened);
        let long = self.commands >= 15_000;
        for what in EXPECTED.into_iter().filter(|_| long) {
            assert!(self.happened.contains_key(what), "never happened: {what}");
        }
    }
}

pub(crate) const FLAGS: [&str; 6] = [
    "\\Seen",
    "\\Flagged",
    "\\Answered",
    "\\Deleted",
    "$Label1",
    "later",
];

/// Without one of these, the test would not show what it is to show.
const NEEDED: [&str; 15] = [
    "IMAP4rev1",
    "IMAP4rev2",
    "CONDSTORE",
    "QRESYNC",
    "UIDONLY",
    "NOTIFY",
    "IDLE",
    "ENABLE",
    "ESEARCH",
    "SEARCHRES",
    "UIDPLUS",
    "MOVE",
    "REPLACE",
    "MULTIAPPEND",
    "UNSELECT",
];

/// What has happened by the end of a run of the usual length.
const EXPECTED: [&str; 17] = [
    "$",
    "CHANGEDSINCE",
    "COPY",
    "IDLE",
    "MODIFIED",
    "MOVE",
    "NOTIFY",
    "NOTIFY of less",
    "REPLACE",
    "VANISHED (EARLIER)",
    "proved",
    "race",
    "reconnect",
    "remembered while messages were gone",
    "restart",
    "resynchronised",
    "switched on",
];
