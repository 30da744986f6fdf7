//! Changes that leave the modification time of their directory as it was: what a clock that is too
//! coarse for two of them does, here done by hand. The guard is what finds them.

#[cfg(test)]
mod equal_mtimes {
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use mailstore::{FlagSet, Fsync, Mailbox, MailboxName, Namespace, Options, Source, Store};

    /// Long enough for the slowest machine.
    const GUARD: Duration = Duration::from_secs(3600);

    /// A Maildir whose directories were changed a moment ago.
    struct Maildir {
        _temporary: tempfile::TempDir,
        root: PathBuf,
        mtime: SystemTime,
    }

    impl Maildir {
        fn new() -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let root = temporary.path().join("Maildir");
            for name in ["", "cur", "new", "tmp"] {
                fs::create_dir(root.join(name)).unwrap();
            }
            for number in 1..=3 {
                fs::write(root.join(format!("cur/{number}.host:2,")), "\n").unwrap();
            }
            fs::write(root.join("new/4.host"), "\n").unwrap();
            // Before the first look, so that only the guard keeps it from being believed.
            let changed = fs::metadata(root.join("new")).unwrap().modified().unwrap();
            let maildir = Self {
                _temporary: temporary,
                root,
                mtime: changed - Duration::from_millis(50),
            };
            maildir.restore();
            maildir
        }

        /// Makes the directories look as if nothing had been changed.
        fn restore(&self) {
            for directory in ["cur", "new"] {
                let directory = File::open(self.root.join(directory)).unwrap();
                directory.set_modified(self.mtime).unwrap();
            }
        }

        fn open(&self, guard: Duration) -> Arc<Mailbox> {
            let store = Store::new(Options {
                fsync: Fsync::Never,
                namespace: Namespace::default(),
                hostname: "host".to_owned(),
                lock_timeout: Duration::from_secs(10),
                mtime_guard: guard,
                cache_bytes: 1 << 20,
                source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_750_000_000), || 1),
            });
            let account = store.account(&self.root).unwrap();
            account.open(&MailboxName::inbox()).unwrap()
        }
    }

    /// What a mailbox shows: the UIDs and flags of its messages.
    fn shown(mailbox: &Mailbox) -> Vec<(u32, FlagSet)> {
        let snapshot = mailbox.refresh().unwrap();
        let messages = snapshot.iter();
        messages
            .map(|message| (message.uid().get(), message.flags()))
            .collect()
    }

    /// What other programs do.
    const CHANGES: [fn(&Path); 5] = [
        |root| fs::write(root.join("new/5.host"), "\n").unwrap(),
        |root| fs::write(root.join("cur/5.host:2,S"), "\n").unwrap(),
        |root| fs::rename(root.join("cur/2.host:2,"), root.join("cur/2.host:2,F")).unwrap(),
        |root| fs::rename(root.join("new/4.host"), root.join("cur/4.host:2,S")).unwrap(),
        |root| fs::remove_file(root.join("cur/1.host:2,")).unwrap(),
    ];

    /// How many of the changes are seen at the next look.
    fn seen(guard: Duration) -> usize {
        let is_seen = |change: &&fn(&Path)| {
            let maildir = Maildir::new();
            let mailbox = maildir.open(guard);
            let before = shown(&mailbox);
            assert_eq!(before.len(), 4);
            change(&maildir.root);
            maildir.restore();
            shown(&mailbox) != before
        };
        CHANGES.iter().filter(is_seen).count()
    }

    #[test]
    fn the_guard_finds_every_change_that_left_no_trace() {
        assert_eq!(seen(GUARD), CHANGES.len());
    }

    #[test]
    fn without_the_guard_every_such_change_is_missed() {
        // Were it not so, the test above would prove nothing.
        assert_eq!(seen(Duration::ZERO), 0);
    }
}
