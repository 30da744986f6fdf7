//! The Maildir, the clients and other programs at work on it, and what must be true.

use std::collections::BTreeMap;
use std::sync::Arc;

use imapd::types::Access;
use mailstore::Store;
use pillarbox_tests::random::Random;
use pillarbox_tests::tree::{File, Tree, store};

use crate::client::{Client, Expunges, Flags, Lasting};

/// The whole world: the clients, the Maildir, and what must be true of it.
pub(crate) struct World {
    tree: Tree,
    clients: Vec<Client>,
    random: Random,
    /// The messages that exist, with their flags.
    truth: BTreeMap<u32, Flags>,
    /// What each copy was copied from in the first place, by UID.
    originals: BTreeMap<u32, u32>,
    /// What somebody was told of messages, also of those that are gone.
    lasting: BTreeMap<u32, Lasting>,
    next_uid: u32,
    processes: usize,
}

impl World {
    /// Clients take turns in the processes, which are stores of their own on the same files.
    pub(crate) fn new(seed: u64, clients: usize, processes: usize) -> Self {
        let tree = Tree::new();
        let stores: Vec<Arc<Store>> = (0..processes).map(|_| store()).collect();
        let clients = (0..clients)
            .map(|name| login(name, &tree, &stores[name % processes]))
            .collect();
        let truth = BTreeMap::new();
        Self {
            tree,
            clients,
            random: Random::new(seed),
            truth,
            originals: BTreeMap::new(),
            lasting: BTreeMap::new(),
            next_uid: 1,
            processes,
        }
    }

    /// One random act by one of the clients or by another program.
    pub(crate) fn step(&mut self) {
        let who = self.random.below(self.clients.len());
        match self.random.below(20) {
            0 | 1 => self.clients[who].noop(),
            2 | 3 => self.fetch(who),
            4..=7 => self.change_flags(who),
            8 | 9 => self.expunge(who),
            10 | 11 => self.append(who),
            12 => self.copy(who),
            13 | 14 => self.search(who),
            15 => self.select_again(who),
            16 => self.deliver(),
            17 => self.rename(),
            18 => self.unlink(),
            _ => self.idle(who),
        }
    }

    /// A random sequence set over a client's view, in its plain or UID form, with the UIDs it
    /// stands for.
    fn messages(&mut self, who: usize) -> Option<(String, String, Vec<u32>)> {
        let len = self.clients[who].view.len();
        if len == 0 {
            return None;
        }
        let (a, b) = (self.random.below(len), self.random.below(len));
        let (low, high) = (a.min(b), a.max(b));
        let uid = |at: usize| self.clients[who].view[at].0.unwrap();
        let uids = (low..=high).map(uid).collect();
        Some(if self.random.below(2) == 0 {
            (String::new(), format!("{}:{}", b + 1, a + 1), uids)
        } else {
            (
                "UID ".to_owned(),
                format!("{}:{}", uid(low), uid(high)),
                uids,
            )
        })
    }

    fn held(prefix: &str) -> Expunges {
        if prefix.is_empty() {
            Expunges::Held
        } else {
            Expunges::Allowed
        }
    }

    /// What a client was just told about these messages must be the truth.
    fn told_truly(&self, who: usize, uids: &[u32]) {
        let client = &self.clients[who];
        for (uid, flags) in &client.view {
            let Some(uid) = uid.filter(|uid| uids.contains(uid)) else {
                continue;
            };
            if let Some(truth) = self.truth.get(&uid)
                && truth != flags
            {
                client.fail(&format!("UID {uid} has {truth:?}, but {flags:?} was told"));
            }
        }
    }

    fn fetch(&mut self, who: usize) {
        // What another process has changed is told at the latest after NOOP.
        let asks = self.random.below(2) == 0;
        if asks {
            self.clients[who].noop();
        }
        let Some((prefix, set, uids)) = self.messages(who) else {
            return;
        };
        let command = format!("{prefix}FETCH {set} (UID FLAGS)");
        self.clients[who].run(&command, Self::held(&prefix));
        if asks || self.processes == 1 {
            self.told_truly(who, &uids);
        }
        self.clients[who].learn();
    }

    fn change_flags(&mut self, who: usize) {
        let Some((prefix, set, uids)) = self.messages(who) else {
            return;
        };
        if self.clients[who].access == Access::ReadOnly {
            return;
        }
        let sign = *self.random.pick(&["+", "-", ""]);
        let silent = *self.random.pick(&["", ".SILENT"]);
        let count = self.random.below(3);
        let named: Flags = (0..count)
            .map(|_| (*self.random.pick(&FLAGS)).to_owned())
            .collect();
        let list = named.iter().cloned().collect::<Vec<_>>().join(" ");
        for uid in &uids {
            let Some(flags) = self.truth.get_mut(uid) else {
                continue;
            };
            match sign {
                "+" => flags.extend(named.iter().cloned()),
                "-" => flags.retain(|flag| !named.contains(flag)),
                _ => flags.clone_from(&named),
            }
        }
        let client = &mut self.clients[who];
        let command = format!("{prefix}STORE {set} {sign}FLAGS{silent} ({list})");
        client.run(&command, Self::held(&prefix));
        if silent.is_empty() {
            self.told_truly(who, &uids);
        } else {
            // A silent change is known to the client that made it.
            for (uid, flags) in &mut client.view {
                let Some(uid) = uid.filter(|uid| uids.contains(uid)) else {
                    continue;
                };
                if let Some(truth) = self.truth.get(&uid) {
                    flags.clone_from(truth);
                }
            }
        }
        self.clients[who].learn();
    }

    fn expunge(&mut self, who: usize) {
        if self.clients[who].access == Access::ReadOnly {
            return;
        }
        // Everything is known first, so that what is expunged is certain.
        self.clients[who].noop();
        let deleted = |flags: &Flags| flags.contains("\\Deleted");
        let client = &mut self.clients[who];
        if self.random.below(2) == 0 {
            client.run("EXPUNGE", Expunges::Allowed);
            self.truth.retain(|_, flags| !deleted(flags));
        } else {
            let bound = 1 + u32::try_from(self.random.below(self.next_uid as usize)).unwrap();
            client.run(&format!("UID EXPUNGE 1:{bound}"), Expunges::Allowed);
            self.truth
                .retain(|uid, flags| *uid > bound || !deleted(flags));
        }
        self.agrees(who);
    }

    /// The client has just been told everything: its view must be the truth.
    fn agrees(&mut self, who: usize) {
        let client = &mut self.clients[who];
        client.learn();
        self.lasts(who);
        let client = &mut self.clients[who];
        let known = client.known();
        if known != self.truth {
            client.fail(&format!(
                "view {known:?}\nis not the truth {:?}",
                self.truth
            ));
        }
    }

    /// What the client was told of messages is what everybody was told, and tells of two that they
    /// are the same if and only if one of them is a copy.
    fn lasts(&mut self, who: usize) {
        let client = &self.clients[who];
        for (uid, told) in &client.lasting {
            let known = self.lasting.entry(*uid).or_insert_with(|| told.clone());
            if known != told {
                client.fail(&format!("UID {uid} was {known:?} and is {told:?}"));
            }
        }
        let original = |uid: &u32| *self.originals.get(uid).unwrap_or(uid);
        let mut by_id: BTreeMap<&str, u32> = BTreeMap::new();
        let mut by_original: BTreeMap<u32, &str> = BTreeMap::new();
        for (uid, told) in &self.lasting {
            let (id, original) = (told.email_id.as_str(), original(uid));
            let same = *by_id.entry(id).or_insert(original) == original
                && *by_original.entry(original).or_insert(id) == id;
            if !same {
                client.fail(&format!(
                    "UID {uid} has the EMAILID {id}, and is {original}"
                ));
            }
        }
    }

    fn append(&mut self, who: usize) {
        let flags: Flags = (0..self.random.below(3))
            .map(|_| (*self.random.pick(&FLAGS)).to_owned())
            .filter(|flag| flag != "\\Deleted")
            .collect();
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        let subject = self.tree.next_subject();
        let text = format!("Subject: {subject}\r\n\r\nappended\r\n");
        let command = format!("APPEND INBOX ({list}) {{{}+}}\r\n{text}", text.len());
        self.clients[who].run(&command, Expunges::Allowed);
        self.added(&flags);
        self.clients[who].noop();
        self.agrees(who);
    }

    /// A message was added: it has the next UID.
    fn added(&mut self, flags: &Flags) {
        self.truth.insert(self.next_uid, flags.clone());
        self.next_uid += 1;
    }

    fn copy(&mut self, who: usize) {
        self.clients[who].noop();
        let Some((prefix, set, uids)) = self.messages(who) else {
            return;
        };
        // Copies of a few are enough; the mailbox must not grow without bound.
        if uids.len() > 3 {
            return;
        }
        self.clients[who].run(&format!("{prefix}COPY {set} INBOX"), Expunges::Allowed);
        for uid in uids {
            let flags = self.truth[&uid].clone();
            let original = *self.originals.get(&uid).unwrap_or(&uid);
            self.originals.insert(self.next_uid, original);
            self.added(&flags);
        }
        self.clients[who].noop();
        self.agrees(who);
    }

    fn search(&mut self, who: usize) {
        self.clients[who].noop();
        let (key, name) = *self.random.pick(&[
            ("SEEN", "\\Seen"),
            ("DELETED", "\\Deleted"),
            ("FLAGGED", "\\Flagged"),
            ("KEYWORD later", "later"),
        ]);
        let client = &mut self.clients[who];
        let found = client.run(&format!("UID SEARCH {key}"), Expunges::Allowed);
        let set = self.truth.iter().filter(|(_, flags)| flags.contains(name));
        let expected: Vec<u32> = set.map(|(uid, _)| *uid).collect();
        if found != expected {
            client.fail(&format!("{key} found {found:?}, not {expected:?}"));
        }
        let found = client.run(&format!("SEARCH NOT {key}"), Expunges::Held);
        let unset = (1..)
            .zip(&client.view)
            .filter(|(_, (_, flags))| !flags.contains(name));
        let expected: Vec<u32> = unset.map(|(position, _)| position).collect();
        if found != expected {
            client.fail(&format!("NOT {key} found {found:?}, not {expected:?}"));
        }
    }

    fn select_again(&mut self, who: usize) {
        let access = *self
            .random
            .pick(&[Access::ReadWrite, Access::ReadWrite, Access::ReadOnly]);
        self.clients[who].select(access);
        self.agrees(who);
    }

    /// Another program delivers a message.
    fn deliver(&mut self) {
        self.tree.deliver();
        self.added(&Flags::new());
        // UIDs are given in the order of arrival only if somebody looks in between.
        self.clients[0].noop();
        self.agrees(0);
    }

    /// A random file of `cur/` whose message is known for certain, with its UID.
    fn random_file(&mut self) -> Option<(File, u32)> {
        self.clients[0].noop();
        let all = self.tree.files();
        let copies = |file: &File| all.iter().filter(|it| it.subject == file.subject).count();
        let files: Vec<&File> = all.iter().filter(|it| copies(it) == 1).collect();
        if files.is_empty() {
            return None;
        }
        let file = (*self.random.pick(&files)).clone();
        let command = format!("UID SEARCH SUBJECT {}", file.subject);
        let found = self.clients[0].run(&command, Expunges::Allowed);
        let [uid] = found.as_slice() else { return None };
        Some((file, *uid))
    }

    /// Another program flags a message.
    fn rename(&mut self) {
        let Some((file, uid)) = self.random_file() else {
            return;
        };
        file.toggle_seen();
        let flags = self.truth.get_mut(&uid).unwrap();
        if !flags.remove("\\Seen") {
            flags.insert("\\Seen".to_owned());
        }
        self.clients[0].noop();
        self.agrees(0);
    }

    /// Another program removes a message.
    fn unlink(&mut self) {
        let Some((file, uid)) = self.random_file() else {
            return;
        };
        file.remove();
        self.truth.remove(&uid);
        self.clients[0].noop();
        self.agrees(0);
    }

    /// A client idles while another one works, and is told at once if both are in one process.
    fn idle(&mut self, who: usize) {
        self.clients[who].noop();
        let client = &mut self.clients[who];
        client.commands += 1;
        let tag = format!("a{}", client.commands);
        client.log.push(format!("C: {tag} IDLE"));
        let answer = client.connection.send(format!("{tag} IDLE\r\n").as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("+ "), "{answer}");
        client.apply(&answer, Expunges::Allowed);
        let other = (who + 1 + self.random.below(self.clients.len() - 1)) % self.clients.len();
        self.change_flags(other);
        self.append(other);
        let client = &mut self.clients[who];
        let told = String::from_utf8(client.connection.listen()).unwrap();
        client.apply(&told, Expunges::Allowed);
        if other % self.processes == who % self.processes && client.view.len() != self.truth.len() {
            client.fail("IDLE did not tell of a message appended in the same process");
        }
        client.log.push("C: DONE".to_owned());
        let done = String::from_utf8(client.connection.send(b"DONE\r\n")).unwrap();
        client.apply(&done, Expunges::Allowed);
        assert!(
            done.lines()
                .last()
                .unwrap()
                .starts_with(&format!("{tag} OK")),
            "{done}"
        );
        client.noop();
        self.agrees(who);
    }

    /// How often each set of system flags occurs in the file names.
    fn disk(&self) -> BTreeMap<Flags, usize> {
        let mut found = BTreeMap::new();
        for (_, flags) in Tree::on_disk(&self.tree.maildir()) {
            *found.entry(flags).or_default() += 1;
        }
        found
    }

    pub(crate) fn finish(&mut self) {
        for who in 0..self.clients.len() {
            self.clients[who].noop();
            self.agrees(who);
        }
        let mut expected: BTreeMap<Flags, usize> = BTreeMap::new();
        for flags in self.truth.values() {
            let system = flags
                .iter()
                .filter(|flag| flag.starts_with('\\'))
                .cloned()
                .collect();
            *expected.entry(system).or_default() += 1;
        }
        assert_eq!(self.disk(), expected, "the disk differs");
    }
}

fn login(name: usize, tree: &Tree, store: &Arc<Store>) -> Client {
    let connection = tree.connect(store);
    let (view, lasting, log) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut client = Client {
        name,
        connection,
        view,
        lasting,
        commands: 0,
        access: Access::ReadWrite,
        log,
    };
    client.connection.listen();
    client.run("LOGIN model model", Expunges::Allowed);
    client.select(Access::ReadWrite);
    client
}

const FLAGS: [&str; 6] = [
    "\\Seen",
    "\\Flagged",
    "\\Answered",
    "\\Deleted",
    "$Label1",
    "later",
];
