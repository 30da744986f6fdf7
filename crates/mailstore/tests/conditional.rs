//! Changes of flags on condition: of all who try it with what they know of a message, one wins, in
//! one process and in several (RFC 7162 §3.1.3).
//!
//! Other processes are this very test binary, started again with [`CHILD`] set.

#[cfg(test)]
mod conditional {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Barrier};
    use std::thread;
    use std::time::{Duration, UNIX_EPOCH};

    use mailstore::{
        FlagChange, FlagOp, FlagSet, Fsync, Keyword, Mailbox, MailboxName, ModSeq, Namespace,
        Options, Source, Store, SystemFlag, Uid,
    };

    /// Tells a child its number and what to work on.
    const CHILD: &str = "PILLARBOX_CONDITIONAL_ROOT";
    const MESSAGES: u32 = 60;

    fn store(fsync: Fsync) -> Arc<Store> {
        static SEED: AtomicU64 = AtomicU64::new(1);
        let process = u64::from(std::process::id()) << 32;
        let random = move || process ^ SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        Store::new(Options {
            fsync,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(60),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_750_000_000), random),
        })
    }

    fn open(store: &Arc<Store>, root: &Path) -> Arc<Mailbox> {
        let account = store.account(root).unwrap();
        account.open(&MailboxName::inbox()).unwrap()
    }

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
                fs::write(root.join(format!("cur/{number}.host:2,")), "a: b\n\n").unwrap();
            }
            Self {
                _temporary: temporary,
                root,
            }
        }
    }

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn add(system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
        let set = system
            .iter()
            .fold(FlagSet::EMPTY, |set, flag| set.with(*flag));
        FlagChange {
            op: FlagOp::Add,
            system: set,
            keywords: keywords
                .iter()
                .map(|it| Keyword::new(it).unwrap())
                .collect(),
        }
    }

    /// Claims every message that is as it was at a mod-sequence, and gives the UIDs that it got.
    fn claim(mailbox: &Mailbox, name: &str, since: ModSeq) -> Vec<u32> {
        let claim = add(&[], &[name]);
        let mut won = Vec::new();
        for value in 1..=MESSAGES {
            let stored = mailbox.store_flags_unchanged(&[uid(value)], &claim, Some(since));
            if stored.unwrap().modified.is_empty() {
                won.push(value);
            }
        }
        won
    }

    /// Who has a message, by the flags on the disk.
    fn owners(root: &Path) -> Vec<Vec<String>> {
        let mailbox = open(&store(Fsync::Never), root);
        let snapshot = mailbox.snapshot();
        let names = |bits: FlagSet| {
            let names = bits.keywords().filter_map(|it| snapshot.keywords().get(it));
            names.map(|it| it.as_str().to_owned()).collect()
        };
        snapshot
            .iter()
            .map(|message| names(message.flags()))
            .collect()
    }

    fn all_claimed_once(root: &Path, won: &[(String, Vec<u32>)]) {
        let owners = owners(root);
        assert_eq!(owners.len(), MESSAGES as usize);
        for (value, owners) in (1..).zip(owners) {
            let winners: Vec<&String> = won
                .iter()
                .filter_map(|(name, uids)| uids.contains(&value).then_some(name))
                .collect();
            assert_eq!(
                owners.iter().collect::<Vec<_>>(),
                winners,
                "message {value}"
            );
            assert_eq!(winners.len(), 1, "message {value}");
        }
    }

    #[test]
    fn of_two_stores_on_one_tree_one_wins() {
        let maildir = Maildir::new(MESSAGES);
        let mailboxes: Vec<_> = (0..2)
            .map(|_| open(&store(Fsync::Never), &maildir.root))
            .collect();
        let since = mailboxes[0].snapshot().highest_mod_seq();
        let barrier = Barrier::new(4);
        let won: Vec<(String, Vec<u32>)> = thread::scope(|scope| {
            let claimers: Vec<_> = (0..4)
                .map(|number| {
                    let (mailbox, barrier) = (&mailboxes[number % 2], &barrier);
                    scope.spawn(move || {
                        let name = format!("claimer{number}");
                        barrier.wait();
                        let won = claim(mailbox, &name, since);
                        (name, won)
                    })
                })
                .collect();
            claimers.into_iter().map(|it| it.join().unwrap()).collect()
        });
        all_claimed_once(&maildir.root, &won);
    }

    #[test]
    fn of_several_processes_one_wins() {
        let maildir = Maildir::new(MESSAGES);
        let since = open(&store(Fsync::Never), &maildir.root)
            .snapshot()
            .highest_mod_seq();
        let mut children: Vec<Child> = (0..4)
            .map(|number| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "conditional::claimer_child", "--nocapture"])
                    .env(
                        CHILD,
                        format!("{number}:{since}:{}", maildir.root.display()),
                    )
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut lines: Vec<_> = children
            .iter_mut()
            .map(|child| BufReader::new(child.stdout.take().unwrap()).lines())
            .collect();
        for lines in &mut lines {
            assert!(lines.any(|line| line.unwrap().ends_with("ready")));
        }
        for child in &mut children {
            child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        }
        let mut won = Vec::new();
        for (number, lines) in lines.into_iter().enumerate() {
            let uids = lines.map_while(Result::ok).filter_map(|line| {
                let uid = line.strip_prefix("won ")?;
                uid.parse().ok()
            });
            won.push((format!("claimer{number}"), uids.collect()));
        }
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        all_claimed_once(&maildir.root, &won);
    }

    /// Not a test: what another process does.
    #[test]
    fn claimer_child() {
        let Ok(argument) = std::env::var(CHILD) else {
            return;
        };
        let mut words = argument.splitn(3, ':');
        let number = words.next().unwrap();
        let since = ModSeq::new(words.next().unwrap().parse().unwrap()).unwrap();
        let mailbox = open(&store(Fsync::Never), Path::new(words.next().unwrap()));
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        for uid in claim(&mailbox, &format!("claimer{number}"), since) {
            println!("won {uid}");
        }
    }

    #[test]
    fn what_was_changed_is_left_and_told_and_the_rest_is_done() {
        let maildir = Maildir::new(4);
        let mailbox = open(&store(Fsync::Never), &maildir.root);
        let since = mailbox.snapshot().highest_mod_seq();
        mailbox
            .store_flags(&[uid(2)], &add(&[SystemFlag::Seen], &[]))
            .unwrap();
        let all = [uid(1), uid(2), uid(3), uid(9)];
        let stored = mailbox
            .store_flags_unchanged(&all, &add(&[SystemFlag::Flagged], &[]), Some(since))
            .unwrap();
        assert_eq!(stored.modified, [uid(2)]);
        let flagged = |value| {
            let message = stored.snapshot.by_uid(uid(value)).unwrap();
            message.flags().has(SystemFlag::Flagged)
        };
        assert_eq!([1, 2, 3, 4].map(flagged), [true, false, true, false]);
        let untouched = stored.snapshot.by_uid(uid(4)).unwrap();
        assert_eq!(untouched.mod_seq(), since);
    }

    #[test]
    fn nothing_is_older_than_the_mod_sequence_0() {
        let maildir = Maildir::new(2);
        let mailbox = open(&store(Fsync::Never), &maildir.root);
        let before = mailbox.snapshot();
        let change = add(&[], &["$MDNSent"]);
        let stored = mailbox
            .store_flags_unchanged(&[uid(2), uid(1)], &change, None)
            .unwrap();
        assert_eq!(stored.modified, [uid(1), uid(2)]);
        assert_eq!(stored.snapshot.highest_mod_seq(), before.highest_mod_seq());
        assert_eq!(
            stored.snapshot.keywords(),
            before.keywords(),
            "nothing was done"
        );
    }

    #[test]
    fn a_change_by_another_program_counts() {
        let maildir = Maildir::new(2);
        let mailbox = open(&store(Fsync::Never), &maildir.root);
        let since = Some(mailbox.snapshot().highest_mod_seq());
        let rename = |from: &str, to: &str| {
            fs::rename(
                maildir.root.join("cur").join(from),
                maildir.root.join("cur").join(to),
            )
        };
        rename("1.host:2,", "1.host:2,S").unwrap();
        let answered = add(&[SystemFlag::Answered], &[]);
        let stored = mailbox
            .store_flags_unchanged(&[uid(1), uid(2)], &answered, since)
            .unwrap();
        assert_eq!(stored.modified, [uid(1)]);
        let names: BTreeSet<_> = fs::read_dir(maildir.root.join("cur"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let expected = ["1.host:2,S", "2.host:2,R"].map(str::to_owned);
        assert_eq!(names, BTreeSet::from(expected));
    }

    #[test]
    fn what_changes_nothing_keeps_the_mod_sequence() {
        let maildir = Maildir::new(2);
        let mailbox = open(&store(Fsync::Never), &maildir.root);
        let all = [uid(1), uid(2)];
        mailbox
            .store_flags(&all, &add(&[SystemFlag::Seen], &["$Todo"]))
            .unwrap();
        let before = mailbox.snapshot();
        let unknown = Keyword::new("$Unknown").unwrap();
        let remove = |system: &[SystemFlag], keywords: Vec<Keyword>| FlagChange {
            op: FlagOp::Remove,
            keywords,
            ..add(system, &[])
        };
        let changes = [
            add(&[SystemFlag::Seen], &["$Todo"]),
            add(&[], &[]),
            remove(&[SystemFlag::Flagged], vec![unknown]),
            FlagChange {
                op: FlagOp::Replace,
                ..add(&[SystemFlag::Seen], &["$Todo"])
            },
        ];
        for change in changes {
            let since = Some(before.highest_mod_seq());
            mailbox.store_flags(&all, &change).unwrap();
            mailbox.store_flags_unchanged(&all, &change, since).unwrap();
            let after = mailbox.snapshot();
            assert_eq!(
                after.highest_mod_seq(),
                before.highest_mod_seq(),
                "{change:?}"
            );
            let same = before.iter().zip(after.iter());
            assert!(
                same.into_iter().all(|(a, b)| a.mod_seq() == b.mod_seq()),
                "{change:?}"
            );
        }
        mailbox.claim_recent().unwrap();
        assert_eq!(
            mailbox.snapshot().highest_mod_seq(),
            before.highest_mod_seq()
        );
    }

    #[test]
    fn expunged_uids_outlive_the_process() {
        let maildir = Maildir::new(9);
        let first = open(&store(Fsync::Never), &maildir.root);
        let since = Some(first.snapshot().highest_mod_seq());
        first.expunge(&[uid(2), uid(3)]).unwrap();
        let between = Some(first.snapshot().highest_mod_seq());
        first.expunge(&[uid(7)]).unwrap();
        fs::remove_file(maildir.root.join("cur/9.host:2,")).unwrap();
        drop(first);
        let again = open(&store(Fsync::Never), &maildir.root).snapshot();
        assert_eq!(
            again.vanished_since(since),
            [(uid(2), uid(3)), (uid(7), uid(7)), (uid(9), uid(9))]
        );
        assert_eq!(
            again.vanished_since(between),
            [(uid(7), uid(7)), (uid(9), uid(9))]
        );
        assert!(
            again
                .vanished_since(Some(again.highest_mod_seq()))
                .is_empty()
        );
    }
}
