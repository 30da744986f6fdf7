//! `pillarbox.cache` against other processes, accidents and time: a record is what was put there
//! for this message, or it is missing.

#[cfg(test)]
mod cache {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use mailstore::{Fsync, Mailbox, MailboxName, Namespace, Options, Record, Source, Store, Uid};
    use proptest::prelude::*;

    const KIND: u8 = 7;

    struct Maildir {
        _temporary: tempfile::TempDir,
        root: PathBuf,
    }

    impl Maildir {
        fn new(messages: u32) -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let root = temporary.path().join("Maildir");
            for name in ["", "cur", "new", "tmp"] {
                fs::create_dir(root.join(name)).unwrap();
            }
            for number in 1..=messages {
                let name = format!("cur/{number}.M1P1.host:2,S");
                fs::write(root.join(name), "Subject: x\n\ny\n").unwrap();
            }
            Self {
                _temporary: temporary,
                root,
            }
        }

        /// The mailbox as another process would open it.
        fn open(&self) -> Arc<Mailbox> {
            let store = Store::new(options(1));
            let account = store.account(&self.root).unwrap();
            account.open(&MailboxName::inbox()).unwrap()
        }

        fn cache(&self) -> PathBuf {
            self.root.join("pillarbox.cache")
        }
    }

    fn options(seed: u64) -> Options {
        Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(10),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: Source::new(
                || UNIX_EPOCH + Duration::from_secs(1_750_000_000),
                move || seed,
            ),
        }
    }

    fn record(uid: u32, kind: u8, octets: usize) -> Record {
        let text = format!("{uid}/{kind} ").into_bytes();
        let octets = text.into_iter().cycle().take(octets).collect();
        (Uid::new(uid).unwrap(), kind, octets)
    }

    /// The UIDs whose records are there, after checking that they are right.
    fn found(mailbox: &Mailbox, kind: u8, octets: usize) -> Vec<u32> {
        let snapshot = mailbox.snapshot();
        let messages: Vec<_> = snapshot.iter().collect();
        let cached = mailbox.cached(&messages, kind);
        let mut found = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let uid = message.uid().get();
            if let Some(got) = cached.get(index) {
                assert_eq!(got, record(uid, kind, octets).2, "UID {uid}");
                found.push(uid);
            }
        }
        found
    }

    fn keep(mailbox: &Mailbox, uids: impl IntoIterator<Item = u32>, kind: u8, octets: usize) {
        let records = uids.into_iter().map(|uid| record(uid, kind, octets));
        mailbox.cache(records.collect());
    }

    fn size(path: &Path) -> u64 {
        fs::metadata(path).unwrap().len()
    }

    #[test]
    fn records_outlive_the_process() {
        let maildir = Maildir::new(10);
        let mailbox = maildir.open();
        assert_eq!(found(&mailbox, KIND, 100), []);
        assert!(!maildir.cache().exists());
        keep(&mailbox, [9, 3, 4], KIND, 100);
        keep(&mailbox, [1, 2, 10], KIND, 100);
        keep(&mailbox, [1, 5], KIND + 1, 0);
        for mailbox in [mailbox, maildir.open()] {
            assert_eq!(found(&mailbox, KIND, 100), [1, 2, 3, 4, 9, 10]);
            assert_eq!(found(&mailbox, KIND + 1, 0), [1, 5]);
            assert_eq!(found(&mailbox, KIND + 2, 0), []);
        }
    }

    #[test]
    fn processes_add_to_one_file() {
        let maildir = Maildir::new(6);
        let (one, other) = (maildir.open(), maildir.open());
        keep(&one, [1, 2], KIND, 50);
        keep(&other, [3], KIND, 50);
        let before = size(&maildir.cache());
        // What another has added is not added again.
        keep(&one, [3], KIND, 50);
        assert_eq!(size(&maildir.cache()), before);
        keep(&one, [5], KIND, 50);
        for mailbox in [one, other] {
            assert_eq!(found(&mailbox, KIND, 50), [1, 2, 3, 5]);
        }
    }

    #[test]
    fn while_another_writes_nothing_is_added() {
        let maildir = Maildir::new(2);
        let mailbox = maildir.open();
        keep(&mailbox, [1], KIND, 50);
        let file = fs::File::open(maildir.cache()).unwrap();
        file.lock().unwrap();
        keep(&mailbox, [2], KIND, 50);
        assert_eq!(found(&mailbox, KIND, 50), [1]);
        file.unlock().unwrap();
        keep(&mailbox, [2], KIND, 50);
        assert_eq!(found(&mailbox, KIND, 50), [1, 2]);
    }

    #[test]
    fn long_records_are_not_kept() {
        let maildir = Maildir::new(2);
        let mailbox = maildir.open();
        keep(&mailbox, [1], KIND, mailstore::cache::MAX_OCTETS);
        keep(&mailbox, [2], KIND, mailstore::cache::MAX_OCTETS + 1);
        assert_eq!(found(&mailbox, KIND, mailstore::cache::MAX_OCTETS), [1]);
    }

    #[test]
    fn records_are_no_other_messages() {
        let maildir = Maildir::new(3);
        let mailbox = maildir.open();
        let index = maildir.root.join("pillarbox.index");
        let old = fs::read(&index).unwrap();
        // A fourth message gets UID 4; then the old index is put back, and a fifth gets UID 4.
        let fourth = maildir.root.join("cur/4.M1P1.host:2,");
        fs::write(&fourth, "Subject: x\n\ny\n").unwrap();
        mailbox.refresh().unwrap();
        keep(&mailbox, 1..=4, KIND, 60);
        assert_eq!(found(&mailbox, KIND, 60), [1, 2, 3, 4]);
        drop(mailbox);
        fs::rename(&fourth, maildir.root.join("cur/5.M1P1.host:2,")).unwrap();
        fs::write(&index, old).unwrap();
        let mailbox = maildir.open();
        mailbox.refresh().unwrap();
        assert_eq!(mailbox.snapshot().len(), 4);
        assert_eq!(found(&mailbox, KIND, 60), [1, 2, 3]);
        keep(&mailbox, [4], KIND, 60);
        assert_eq!(found(&mailbox, KIND, 60), [1, 2, 3, 4]);
        // A new index has a new UIDVALIDITY, and the cache begins anew.
        drop(mailbox);
        fs::remove_file(&index).unwrap();
        let mailbox = maildir.open();
        assert_eq!(found(&mailbox, KIND, 60), []);
        keep(&mailbox, [2], KIND, 60);
        assert_eq!(found(&maildir.open(), KIND, 60), [2]);
    }

    #[test]
    fn dead_records_are_cleared_away() {
        let maildir = Maildir::new(400);
        let mailbox = maildir.open();
        keep(&mailbox, 1..=200, KIND, 4000);
        keep(&mailbox, 1..=200, KIND + 1, 500);
        let uids: Vec<Uid> = (11..=300).filter_map(Uid::new).collect();
        mailbox.expunge(&uids).unwrap();
        let other = maildir.open();
        assert_eq!(found(&other, KIND, 4000), Vec::from_iter(1..=10));
        let full = size(&maildir.cache());
        keep(&other, [301], KIND, 4000);
        assert!(size(&maildir.cache()) < full / 10);
        let mut live = Vec::from_iter((1..=10).chain([301]));
        for (next, mailbox) in (302..).zip([mailbox, other, maildir.open()]) {
            assert_eq!(found(&mailbox, KIND, 4000), live);
            assert_eq!(found(&mailbox, KIND + 1, 500), Vec::from_iter(1..=10));
            keep(&mailbox, [next], KIND, 4000);
            live.push(next);
        }
        assert!(!maildir.root.join("pillarbox.cache.tmp").exists());
    }

    #[test]
    fn what_is_no_file_of_ours_is_left_alone_or_begun_anew() {
        let maildir = Maildir::new(2);
        let elsewhere = maildir.root.join("elsewhere");
        fs::write(&elsewhere, "not ours").unwrap();
        symlink(&elsewhere, maildir.cache()).unwrap();
        let mailbox = maildir.open();
        keep(&mailbox, [1], KIND, 10);
        assert_eq!(found(&mailbox, KIND, 10), []);
        assert_eq!(fs::read_link(maildir.cache()).unwrap(), elsewhere);
        assert_eq!(fs::read(&elsewhere).unwrap(), b"not ours");
        // A directory makes room, with all that is in it.
        fs::remove_file(maildir.cache()).unwrap();
        fs::create_dir(maildir.cache()).unwrap();
        fs::write(maildir.cache().join("inside"), "not ours").unwrap();
        assert_eq!(found(&mailbox, KIND, 10), []);
        keep(&mailbox, [1], KIND, 10);
        assert_eq!(found(&mailbox, KIND, 10), [1]);
        let aside = maildir.root.join("pillarbox.cache.in-the-way.0");
        assert_eq!(fs::read(aside.join("inside")).unwrap(), b"not ours");
        for foreign in [&b""[..], b"x", &[0; 4096]] {
            fs::write(maildir.cache(), foreign).unwrap();
            assert_eq!(found(&mailbox, KIND, 10), []);
            keep(&mailbox, [1], KIND, 10);
            assert_eq!(found(&mailbox, KIND, 10), [1]);
        }
        // Removed behind our back.
        fs::remove_file(maildir.cache()).unwrap();
        assert_eq!(found(&mailbox, KIND, 10), []);
        keep(&mailbox, [2], KIND, 10);
        assert_eq!(found(&mailbox, KIND, 10), [2]);
    }

    #[test]
    fn every_cut_and_every_flip_loses_records_only() {
        let maildir = Maildir::new(4);
        let mailbox = maildir.open();
        keep(&mailbox, [1, 2], KIND, 20);
        keep(&mailbox, [3], KIND, 20);
        let whole = fs::read(maildir.cache()).unwrap();
        for length in 0..whole.len() {
            fs::write(maildir.cache(), &whole[..length]).unwrap();
            assert!(found(&mailbox, KIND, 20).len() < 3);
            assert!(found(&maildir.open(), KIND, 20).len() < 3);
        }
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            fs::write(maildir.cache(), &damaged).unwrap();
            let mailbox = maildir.open();
            assert!(found(&mailbox, KIND, 20).len() < 3, "octet {position}");
            // It heals.
            keep(&mailbox, 1..=4, KIND, 20);
            assert_eq!(
                found(&maildir.open(), KIND, 20),
                [1, 2, 3, 4],
                "octet {position}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn damage_never_shows(
            batches in prop::collection::vec((1..20u32, 1..20u32, 0..3000usize), 1..6),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let maildir = Maildir::new(40);
            let (one, other) = (maildir.open(), maildir.open());
            for (kind, (first, count, octets)) in (0..).zip(&batches) {
                keep(&one, *first..first + count, kind, *octets);
            }
            for round in 0..3 {
                let mut bytes = fs::read(maildir.cache()).unwrap();
                for (position, value) in &damage {
                    let position = position.index(bytes.len());
                    bytes[position] = bytes[position].wrapping_add(*value);
                }
                if round == 1 {
                    bytes.truncate(cut.index(bytes.len()));
                }
                fs::write(maildir.cache(), bytes).unwrap();
                for mailbox in [&one, &other] {
                    for (kind, (.., octets)) in (0..).zip(&batches) {
                        found(mailbox, kind, *octets);
                        keep(mailbox, 1..40, kind, *octets);
                        let back = found(mailbox, kind, *octets);
                        prop_assert_eq!(back, Vec::from_iter(1..40));
                    }
                }
            }
        }
    }
}
