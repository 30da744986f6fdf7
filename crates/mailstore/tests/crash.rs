//! Interrupted writers, damaged files, other programs in between: no acknowledged message is lost,
//! no UID ever names two messages.
//!
//! Processes that are killed are this very test binary, started again with [`CHILD`] set.

#[cfg(test)]
mod crash {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::path::{Path, PathBuf};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use mailstore::{
        Appending, Error, FlagChange, FlagOp, FlagSet, Fsync, Keyword, Mailbox, MailboxName,
        Namespace, Options, Snapshot, Source, Store, SystemFlag, Uid, UidValidity,
    };

    /// Tells a child what to work on.
    const CHILD: &str = "PILLARBOX_CRASH_ROOT";

    fn store(fsync: Fsync, seed: u64) -> Arc<Store> {
        let state = AtomicU64::new(seed);
        let random = move || {
            let step = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            mix(step.wrapping_add(0x9e37_79b9_7f4a_7c15))
        };
        let seconds = AtomicU64::new(1_750_000_000);
        let wall =
            move || UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(1, Ordering::Relaxed));
        Store::new(Options {
            fsync,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(60),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 0,
            source: Source::new(wall, random),
        })
    }

    fn mix(value: u64) -> u64 {
        let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// Numbers that look random and come again in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            usize::try_from(mix(self.0) % u64::try_from(bound).unwrap()).unwrap()
        }

        fn one<T: Copy>(&mut self, from: &[T]) -> Option<T> {
            (!from.is_empty()).then(|| from[self.below(from.len())])
        }
    }

    fn open(store: &Arc<Store>, root: &Path) -> Arc<Mailbox> {
        let account = store.account(root).unwrap();
        account.open(&MailboxName::inbox()).unwrap()
    }

    fn change(op: FlagOp, system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
        let keywords = keywords.iter().map(|name| Keyword::new(name).unwrap());
        FlagChange {
            op,
            system: system
                .iter()
                .fold(FlagSet::EMPTY, |set, flag| set.with(*flag)),
            keywords: keywords.collect(),
        }
    }

    fn append(mailbox: &Mailbox, text: &str) -> Result<Uid, Error> {
        let mut staged = mailbox.stage()?;
        staged.write_all(text.as_bytes()).unwrap();
        let appended = mailbox.append(vec![Appending {
            staged,
            flags: change(FlagOp::Replace, &[], &[]),
            internal_date: None,
        }]);
        Ok(appended?.uids[0])
    }

    fn all(snapshot: &Snapshot) -> Vec<Uid> {
        snapshot.iter().map(|message| message.uid()).collect()
    }

    /// The text of every message that can be read.
    fn texts(mailbox: &Mailbox, snapshot: &Snapshot) -> BTreeMap<Uid, String> {
        let mut texts = BTreeMap::new();
        for message in snapshot.iter() {
            match mailbox.read(message) {
                Ok(file) => {
                    let text = String::from_utf8(file.read_crlf().unwrap()).unwrap();
                    texts.insert(message.uid(), text);
                }
                Err(Error::Expunged | Error::Locked) => {}
                Err(error) => panic!("{error}"),
            }
        }
        texts
    }

    /// What each UID has been seen to name. Panics when one names something else.
    #[derive(Default)]
    struct Names(BTreeMap<(UidValidity, Uid), String>);

    impl Names {
        fn see(&mut self, uid_validity: UidValidity, uid: Uid, text: &str) {
            let known = self
                .0
                .entry((uid_validity, uid))
                .or_insert_with(|| text.to_owned());
            assert_eq!(known, text, "UID {uid} names two messages");
        }

        fn see_all(&mut self, mailbox: &Mailbox) -> Arc<Snapshot> {
            let snapshot = mailbox.refresh().unwrap();
            for (uid, text) in texts(mailbox, &snapshot) {
                self.see(snapshot.uid_validity(), uid, &text);
            }
            snapshot
        }
    }

    // ---- Damage ----

    /// A Maildir with a history, and what it should hold.
    struct Sample {
        temporary: tempfile::TempDir,
        uid_validity: UidValidity,
        uid_next: Uid,
        texts: BTreeMap<Uid, String>,
        index: Vec<u8>,
    }

    impl Sample {
        fn new() -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let store = store(Fsync::Never, 1);
            let mailbox = open(&store, &temporary.path().join("Maildir"));
            for text in ["one", "two", "three", "four"] {
                append(&mailbox, text).unwrap();
            }
            let seen = change(FlagOp::Add, &[SystemFlag::Seen], &["kept"]);
            mailbox
                .store_flags(&all(&mailbox.snapshot()), &seen)
                .unwrap();
            let first = all(&mailbox.snapshot())[0];
            let snapshot = mailbox.expunge(&[first]).unwrap();
            let texts = texts(&mailbox, &snapshot);
            drop((mailbox, store));
            let index = fs::read(temporary.path().join("Maildir/pillarbox.index")).unwrap();
            Self {
                uid_validity: snapshot.uid_validity(),
                uid_next: snapshot.uid_next(),
                texts,
                index,
                temporary,
            }
        }

        fn root(&self) -> PathBuf {
            self.temporary.path().join("Maildir")
        }

        /// Opens the mailbox as it is now: all messages once, each under its old UID or all under
        /// a new UIDVALIDITY, and it works.
        fn check(&self, what: &str) -> UidValidity {
            let store = store(Fsync::Never, 2);
            let mailbox = open(&store, &self.root());
            let snapshot = mailbox.refresh().unwrap();
            let found = texts(&mailbox, &snapshot);
            if snapshot.uid_validity() == self.uid_validity {
                assert_eq!(found, self.texts, "{what}");
                assert!(snapshot.uid_next() >= self.uid_next, "{what}");
            } else {
                assert!(snapshot.uid_validity() > self.uid_validity, "{what}");
                let found: Vec<_> = found.values().collect();
                let expected: Vec<_> = self.texts.values().collect();
                assert_eq!(found, expected, "{what}");
            }
            let flags = snapshot
                .iter()
                .all(|message| message.flags().has(SystemFlag::Seen));
            assert!(flags, "{what}");
            snapshot.uid_validity()
        }

        fn damage(&self, bytes: &[u8], what: &str) -> UidValidity {
            fs::write(self.root().join("pillarbox.index"), bytes).unwrap();
            self.check(what)
        }
    }

    #[test]
    fn an_index_cut_anywhere_never_lies() {
        let sample = Sample::new();
        for length in (0..sample.index.len()).step_by(3) {
            let uid_validity = sample.damage(&sample.index[..length], &format!("cut at {length}"));
            assert_ne!(uid_validity, sample.uid_validity, "cut at {length}");
        }
        assert_eq!(sample.damage(&sample.index, "whole"), sample.uid_validity);
    }

    #[test]
    fn an_index_with_any_byte_changed_never_lies() {
        let sample = Sample::new();
        let mut bytes = sample.index.clone();
        for at in (0..bytes.len()).step_by(3) {
            bytes[at] ^= 0x55;
            sample.damage(&bytes, &format!("changed at {at}"));
            bytes[at] ^= 0x55;
        }
    }

    #[test]
    fn any_file_of_ours_can_be_lost() {
        let sample = Sample::new();
        let names = [
            "pillarbox.index",
            "pillarbox.lock",
            "pillarbox.account",
            "pillarbox.account.lock",
            "dovecot-keywords",
        ];
        for name in names {
            let path = sample.root().join(name);
            let Ok(old) = fs::read(&path) else {
                continue;
            };
            let half = old[..old.len() / 2].to_vec();
            for bytes in [vec![], half, vec![0; old.len()], b"garbage".to_vec()] {
                fs::write(&path, bytes).unwrap();
                sample.check(name);
            }
            fs::remove_file(&path).unwrap();
            sample.check(name);
            fs::write(&path, old).unwrap();
        }
    }

    #[test]
    fn a_damaged_index_ends_the_sessions_and_the_next_one_starts_anew() {
        let sample = Sample::new();
        let store = store(Fsync::Never, 3);
        let mailbox = open(&store, &sample.root());
        fs::write(sample.root().join("pillarbox.index"), b"garbage").unwrap();
        assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
        assert!(matches!(append(&mailbox, "lost"), Err(Error::NotFound)));
        let again = open(&store, &sample.root());
        assert_ne!(again.snapshot().uid_validity(), sample.uid_validity);
        append(&again, "five").unwrap();
        assert_eq!(again.snapshot().len(), 4);
    }

    // ---- Killed writers ----

    /// A writer that is going to be killed, and what it has been told.
    struct Writer {
        child: Child,
        lines: std::io::Lines<BufReader<ChildStdout>>,
    }

    impl Writer {
        fn start(root: &Path, seed: usize) -> Self {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "crash::writer_child",
                    "--nocapture",
                    "--test-threads=1",
                ])
                .env(CHILD, format!("{seed}:{}", root.display()))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            Self { child, lines }
        }

        /// Takes acknowledgements until there were `count` of them.
        fn take(&mut self, count: usize, into: &mut Acknowledged) {
            let mut taken = 0;
            while taken < count {
                let line = self.lines.next().expect("the writer has ended").unwrap();
                taken += usize::from(into.note(&line));
            }
        }

        /// Kills it and takes what it had written before.
        fn kill(mut self, into: &mut Acknowledged) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            for line in self.lines.map_while(Result::ok) {
                into.note(&line);
            }
        }
    }

    /// What writers have been told is done.
    #[derive(Default)]
    struct Acknowledged {
        appended: BTreeMap<Uid, String>,
        /// Asked for, perhaps done.
        removing: BTreeSet<Uid>,
        removed: BTreeSet<Uid>,
    }

    impl Acknowledged {
        /// Notes a line; `false` if it says nothing. A line without its end was cut by the kill.
        fn note(&mut self, line: &str) -> bool {
            let words: Vec<&str> = line.split(' ').collect();
            let [first, uid, text, "."] = words[..] else {
                return false;
            };
            let uid = Uid::new(uid.parse().unwrap()).unwrap();
            match first {
                "appended" => {
                    let twice = self.appended.insert(uid, text.to_owned());
                    assert_eq!(twice, None, "UID {uid} was given twice");
                }
                "removing" => drop(self.removing.insert(uid)),
                "removed" => drop(self.removed.insert(uid)),
                _ => return false,
            }
            true
        }
    }

    /// Copies a message, unless another writer has just removed it: that is a new message too.
    fn copy(mailbox: &Mailbox, uid: Uid, out: &mut impl Write) {
        let snapshot = mailbox.snapshot();
        let Some(text) = texts(mailbox, &snapshot).remove(&uid) else {
            return;
        };
        match mailbox.copy_to(&[uid], mailbox) {
            Ok(copied) => {
                let (_, copy) = copied.uids[0];
                writeln!(out, "appended {copy} {text} .").unwrap();
            }
            Err(Error::Expunged | Error::Locked) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Not a test of its own: appends, flags, copies and removes until it is killed.
    #[test]
    fn writer_child() {
        let Ok(task) = std::env::var(CHILD) else {
            return;
        };
        let (seed, root) = task.split_once(':').unwrap();
        let seed: u64 = seed.parse().unwrap();
        let store = store(Fsync::Optimized, seed.wrapping_mul(7919));
        let mailbox = open(&store, Path::new(root));
        let mut dice = Dice(seed);
        let mut out = std::io::stdout().lock();
        writeln!(out).unwrap();
        for number in 0.. {
            let text = format!("writer-{seed}-{number}");
            let uid = append(&mailbox, &text).unwrap();
            writeln!(out, "appended {uid} {text} .").unwrap();
            // Many flags at once: the index is compacted every few rounds.
            let uids = all(&mailbox.refresh().unwrap());
            let op = [FlagOp::Add, FlagOp::Remove][dice.below(2)];
            let flags = change(op, &[SystemFlag::Seen], &["keyword"]);
            mailbox.store_flags(&uids, &flags).unwrap();
            if dice.below(3) == 0
                && let Some(uid) = dice.one(&uids)
            {
                copy(&mailbox, uid, &mut out);
            }
            if dice.below(4) == 0
                && let Some(uid) = dice.one(&uids)
            {
                writeln!(out, "removing {uid} - .").unwrap();
                mailbox.expunge(&[uid]).unwrap();
                writeln!(out, "removed {uid} - .").unwrap();
            }
        }
    }

    #[test]
    fn killed_writers_lose_nothing_that_was_acknowledged() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        let store = store(Fsync::Optimized, 77);
        let mailbox = open(&store, &root);
        let uid_validity = mailbox.snapshot().uid_validity();
        let mut acknowledged = Acknowledged::default();
        let mut names = Names::default();
        let mut dice = Dice(4711);
        let mut highest = mailbox.snapshot().highest_mod_seq();
        let mut generations = BTreeSet::new();
        for round in 0..8 {
            let mut writers = [
                Writer::start(&root, 100 + round * 2),
                Writer::start(&root, 101 + round * 2),
            ];
            for _ in 0..4 {
                for writer in &mut writers {
                    writer.take(1 + dice.below(6), &mut acknowledged);
                }
                let snapshot = names.see_all(&mailbox);
                assert!(snapshot.highest_mod_seq() >= highest);
                highest = snapshot.highest_mod_seq();
                generations.insert(generation(&root));
            }
            for writer in writers {
                writer.kill(&mut acknowledged);
            }
            let snapshot = names.see_all(&mailbox);
            assert_eq!(snapshot.uid_validity(), uid_validity);
            check_acknowledged(&acknowledged, &texts(&mailbox, &snapshot));
        }
        for (uid, text) in &acknowledged.appended {
            names.see(uid_validity, *uid, text);
        }
        assert!(generations.len() > 2, "the index was not compacted");
        // Whoever comes later finds the same.
        let late = open(&crash_store(), &root);
        let snapshot = names.see_all(&late);
        assert_eq!(snapshot.uid_validity(), uid_validity);
        check_acknowledged(&acknowledged, &texts(&late, &snapshot));
        let left = fs::read_dir(root.join("cur")).unwrap().count();
        assert_eq!(left, snapshot.len());
    }

    /// The number in the index's header that changes whenever the file is replaced.
    fn generation(root: &Path) -> [u8; 8] {
        let index = fs::read(root.join("pillarbox.index")).unwrap();
        index[16..24].try_into().unwrap()
    }

    fn crash_store() -> Arc<Store> {
        store(Fsync::Optimized, 99)
    }

    fn check_acknowledged(acknowledged: &Acknowledged, found: &BTreeMap<Uid, String>) {
        for (uid, text) in &acknowledged.appended {
            if acknowledged.removed.contains(uid) {
                assert!(!found.contains_key(uid), "UID {uid} came back");
            } else if !acknowledged.removing.contains(uid) {
                assert_eq!(found.get(uid), Some(text), "UID {uid} was lost");
            }
        }
        for uid in &acknowledged.removed {
            assert!(!found.contains_key(uid), "UID {uid} came back");
        }
    }

    // ---- Other programs ----

    /// Delivers, flags and deletes as other mail programs do: without any lock.
    fn meddle(root: &Path, seed: u64, stop: &AtomicBool) {
        let mut dice = Dice(seed);
        for number in 0.. {
            if stop.load(Ordering::Acquire) {
                return;
            }
            let files = |directory: &str| -> Vec<String> {
                let entries = fs::read_dir(root.join(directory)).unwrap();
                let names = entries.flatten().map(|entry| entry.file_name());
                names.map(|name| name.into_string().unwrap()).collect()
            };
            let cur = files("cur");
            let name = match cur.len() {
                0 => None,
                count => cur.get(dice.below(count)),
            };
            match (dice.below(10), name) {
                (0..3, _) if cur.len() < 120 => {
                    let text = format!("meddler-{seed}-{number}");
                    let base = format!("{}.M{number}P{seed}.elsewhere", 1_700_000_000 + number);
                    let staged = root.join("tmp").join(&base);
                    fs::write(&staged, text).unwrap();
                    fs::rename(staged, root.join("new").join(base)).unwrap();
                }
                (3, Some(name)) => drop(fs::remove_file(root.join("cur").join(name))),
                (4, _) => {
                    for name in files("new") {
                        let to = root.join("cur").join(format!("{name}:2,"));
                        drop(fs::rename(root.join("new").join(&name), to));
                    }
                }
                (_, Some(name)) => {
                    let base = name.split(':').next().unwrap();
                    let info = ["", "S", "F", "FS", "RS", "ST"][dice.below(6)];
                    let to = root.join("cur").join(format!("{base}:2,{info}"));
                    drop(fs::rename(root.join("cur").join(name), to));
                }
                _ => {}
            }
        }
    }

    /// One session doing a bit of everything.
    fn work(root: &Path, seed: u64, rounds: usize) -> Names {
        let store = store(Fsync::Never, seed);
        let mailbox = open(&store, root);
        let watch = mailbox.watch(std::task::Waker::noop().clone());
        let mut names = Names::default();
        let mut dice = Dice(seed);
        for round in 0..rounds {
            let snapshot = mailbox.snapshot();
            let uids = all(&snapshot);
            let some: Vec<Uid> = (0..3).filter_map(|_| dice.one(&uids)).collect();
            let done = match dice.below(6) {
                0 => append(&mailbox, &format!("worker-{seed}-{round}")).map(drop),
                1 if uids.len() > 20 => mailbox.expunge(&some).map(drop),
                2 => mailbox.claim_recent().map(drop),
                3 if uids.len() < 100 => mailbox.copy_to(&some, &mailbox).map(drop),
                4 => mailbox.refresh().map(drop),
                _ => {
                    let op = [FlagOp::Add, FlagOp::Remove, FlagOp::Replace][dice.below(3)];
                    let flags = change(op, &[SystemFlag::Answered], &[]);
                    mailbox.store_flags(&some, &flags).map(drop)
                }
            };
            match done {
                // A file that keeps moving is given up for the moment.
                Ok(()) | Err(Error::Locked | Error::Expunged) => {}
                Err(error) => panic!("{error}"),
            }
            if round % 8 == 0 {
                names.see_all(&mailbox);
            }
        }
        drop(watch);
        names
    }

    #[test]
    fn other_programs_in_every_command_confuse_nobody() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        let store = store(Fsync::Never, 5);
        let mailbox = open(&store, &root);
        let stop = AtomicBool::new(false);
        let mut names = Names::default();
        std::thread::scope(|scope| {
            let meddler = scope.spawn(|| meddle(&root, 9, &stop));
            let workers = [1, 2].map(|seed| {
                let root = &root;
                scope.spawn(move || work(root, seed, 150))
            });
            let seen: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
            stop.store(true, Ordering::Release);
            meddler.join().unwrap();
            for one in seen {
                for ((uid_validity, uid), text) in one.unwrap().0 {
                    names.see(uid_validity, uid, &text);
                }
            }
        });
        // A change in the very moment of one of ours is found when things have calmed down for
        // the guard, which to this store they have at once.
        let mut options = store.options().clone();
        options.mtime_guard = Duration::ZERO;
        names.see_all(&mailbox);
        let snapshot = names.see_all(&open(&Store::new(options), &root));
        let bases = |directory: &str| -> Vec<String> {
            let entries = fs::read_dir(root.join(directory)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect()
        };
        let on_disk: Vec<String> = [bases("cur"), bases("new")].concat();
        assert_eq!(snapshot.len(), on_disk.len());
        let flagged = on_disk
            .iter()
            .filter(|name| name.ends_with('S') || name.ends_with("ST"));
        let seen = snapshot
            .iter()
            .filter(|message| message.flags().has(SystemFlag::Seen));
        assert_eq!(seen.count(), flagged.count());
        assert_eq!(texts(&mailbox, &snapshot).len(), snapshot.len());
    }
}
