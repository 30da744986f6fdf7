//! The Maildir, the clients and other programs at work on it, and what must be true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use auth::{Credential, Identity, Verdict};
use imapd::types::Access;
use machine::{Link, Now, PlaintextAuth, Security};
use mailstore::{Fsync, Namespace, Options, Source, Store};
use pillarbox_tests::bare::Bare;

use crate::client::{Client, Expunges, Flags};

/// The whole world: the clients, the Maildir, and what must be true of it.
pub(crate) struct World {
    dir: tempfile::TempDir,
    clients: Vec<Client>,
    random: Random,
    /// The messages that exist, with their flags.
    truth: BTreeMap<u32, Flags>,
    next_uid: u32,
    files: u32,
    processes: usize,
}

impl World {
    /// Clients take turns in the processes, which are stores of their own on the same files.
    pub(crate) fn new(seed: u64, clients: usize, processes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        HOME.set(dir.path().join("Maildir"));
        let stores: Vec<Arc<Store>> = (0..processes).map(|_| store()).collect();
        let clients = (0..clients)
            .map(|name| login(name, &stores[name % processes]))
            .collect();
        let truth = BTreeMap::new();
        Self {
            dir,
            clients,
            random: Random(seed | 1),
            truth,
            next_uid: 1,
            files: 0,
            processes,
        }
    }

    fn maildir(&self) -> PathBuf {
        self.dir.path().join("Maildir")
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
        let known = client.known();
        if known != self.truth {
            client.fail(&format!(
                "view {known:?}\nis not the truth {:?}",
                self.truth
            ));
        }
    }

    fn append(&mut self, who: usize) {
        let flags: Flags = (0..self.random.below(3))
            .map(|_| (*self.random.pick(&FLAGS)).to_owned())
            .filter(|flag| flag != "\\Deleted")
            .collect();
        let list = flags.iter().cloned().collect::<Vec<_>>().join(" ");
        self.files += 1;
        let text = format!("Subject: s{}e\r\n\r\nappended\r\n", self.files);
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
        self.files += 1;
        let name = format!("{}.M1P1.other", 1_700_000_000 + self.files);
        let text = format!("Subject: s{}e\n\ndelivered\n", self.files);
        let temporary = self.maildir().join("tmp").join(&name);
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.maildir().join("new").join(name)).unwrap();
        self.added(&Flags::new());
        // UIDs are given in the order of arrival only if somebody looks in between.
        self.clients[0].noop();
        self.agrees(0);
    }

    /// A random file of `cur/` whose message is known for certain, with its UID.
    fn random_file(&mut self) -> Option<(PathBuf, u32)> {
        self.clients[0].noop();
        let cur = self.maildir().join("cur");
        let mut subjects: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for entry in fs::read_dir(cur).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let subject = text
                .lines()
                .next()
                .unwrap()
                .trim_start_matches("Subject: ")
                .to_owned();
            subjects.entry(subject).or_default().push(path);
        }
        let files: Vec<(String, PathBuf)> = subjects
            .into_iter()
            .filter_map(|(subject, mut paths)| {
                Some((subject, paths.pop().filter(|_| paths.is_empty())?))
            })
            .collect();
        if files.is_empty() {
            return None;
        }
        let (subject, path) = self.random.pick(&files).clone();
        let command = format!("UID SEARCH SUBJECT {subject}");
        let found = self.clients[0].run(&command, Expunges::Allowed);
        let [uid] = found.as_slice() else { return None };
        Some((path, *uid))
    }

    /// Another program flags a message.
    fn rename(&mut self) {
        let Some((path, uid)) = self.random_file() else {
            return;
        };
        let name = path.file_name().unwrap().to_str().unwrap();
        let (base, letters) = name.rsplit_once(":2,").unwrap_or((name, ""));
        let mut letters: BTreeSet<char> = letters.chars().collect();
        let flags = self.truth.get_mut(&uid).unwrap();
        if letters.remove(&'S') {
            flags.remove("\\Seen");
        } else {
            letters.insert('S');
            flags.insert("\\Seen".to_owned());
        }
        let letters: String = letters.into_iter().collect();
        fs::rename(&path, path.with_file_name(format!("{base}:2,{letters}"))).unwrap();
        self.clients[0].noop();
        self.agrees(0);
    }

    /// Another program removes a message.
    fn unlink(&mut self) {
        let Some((path, uid)) = self.random_file() else {
            return;
        };
        fs::remove_file(path).unwrap();
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
        let named = |letter: char| match letter {
            'S' => Some("\\Seen"),
            'F' => Some("\\Flagged"),
            'R' => Some("\\Answered"),
            'T' => Some("\\Deleted"),
            _ => None,
        };
        let mut found = BTreeMap::new();
        for part in ["cur", "new"] {
            for entry in fs::read_dir(self.maildir().join(part)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
                let flags = letters
                    .chars()
                    .filter_map(named)
                    .map(str::to_owned)
                    .collect();
                *found.entry(flags).or_default() += 1;
            }
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

fn login(name: usize, store: &Arc<Store>) -> Client {
    let settings = Arc::new(imapd::Settings::new(Arc::clone(store)));
    let connection = Bare::new(start(), grant, |waker| {
        let link = Link {
            security: Security::Clear,
            plaintext_auth: PlaintextAuth::Allowed,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            waker,
        };
        imapd::Session::new(settings, link, start())
    });
    let (view, log) = (Vec::new(), Vec::new());
    let mut client = Client {
        name,
        connection,
        view,
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

#[expect(
    clippy::disallowed_methods,
    reason = "an instant has no other origin; it stands still then"
)]
fn start() -> Now {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Now {
        instant: std::time::Instant::now(),
        wall,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "directory times are the system's, so are the store's"
)]
fn store() -> Arc<Store> {
    let counter = AtomicU64::new(1);
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "model".to_owned(),
        lock_timeout: Duration::from_secs(5),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(SystemTime::now, move || {
            counter.fetch_add(1, Ordering::SeqCst)
        }),
    })
}

thread_local! {
    static HOME: std::cell::RefCell<PathBuf> = const { std::cell::RefCell::new(PathBuf::new()) };
}

fn grant(credential: Credential) -> Verdict {
    Verdict::Granted(Identity {
        name: credential.user,
        mail: HOME.with_borrow(PathBuf::clone),
    })
}

/// A small generator, so that a seed is a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
