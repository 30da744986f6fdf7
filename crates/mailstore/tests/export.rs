//! Handing mail back to Dovecot, and looking at a mailbox without changing it.

#[cfg(test)]
mod export {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use mailstore::foreign::{Comparison, Disagreement, Exported, Uidlist, compare};
    use mailstore::inspect::{Finding, Inspection, Sizes, Verification, verify};
    use mailstore::{
        Account, Appending, FlagChange, FlagOp, FlagSet, Fsync, Keyword, Mailbox, MailboxName,
        Namespace, Options, Source, Store, SystemFlag, Uid, UidValidity,
    };

    const NOW: u64 = 1_700_000_000;

    fn options() -> Options {
        Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(10),
            mtime_guard: Duration::ZERO,
            cache_bytes: 1 << 20,
            source: Source::new(|| UNIX_EPOCH + Duration::from_secs(NOW), || 7),
        }
    }

    struct World {
        _temporary: tempfile::TempDir,
        root: PathBuf,
        account: Account,
    }

    impl World {
        fn new() -> Self {
            let temporary = tempfile::tempdir().unwrap();
            let root = temporary.path().join("Maildir");
            let account = Store::new(options()).account(&root).unwrap();
            Self {
                _temporary: temporary,
                root,
                account,
            }
        }

        fn inbox(&self) -> Arc<Mailbox> {
            self.account.open(&MailboxName::inbox()).unwrap()
        }

        fn append(&self, keywords: &[&str]) -> Uid {
            let inbox = self.inbox();
            let mut staged = inbox.stage().unwrap();
            staged.write_all(b"Subject: x\r\n\r\ny\r\n").unwrap();
            let words = keywords.iter();
            let flags = FlagChange {
                op: FlagOp::Replace,
                system: FlagSet::EMPTY.with(SystemFlag::Seen),
                keywords: words.map(|word| Keyword::new(word).unwrap()).collect(),
            };
            let message = Appending {
                staged,
                flags,
                internal_date: None,
            };
            inbox.append(vec![message]).unwrap().uids[0]
        }

        fn export(&self) -> Exported {
            self.account.export(&MailboxName::inbox()).unwrap()
        }

        fn list(&self) -> Uidlist {
            let file = fs::read(self.root.join("dovecot-uidlist")).unwrap();
            Uidlist::parse(&file).unwrap()
        }

        fn compare(&self) -> Comparison {
            let inspection = Inspection::read(&self.root).unwrap().unwrap();
            compare(&inspection).unwrap().unwrap()
        }

        fn verify(&self) -> Verification {
            let verified = verify(&self.root, &options(), Sizes::All, || {});
            verified.unwrap().unwrap()
        }
    }

    /// Everything below a directory: names, bytes and times.
    fn everything(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut all = BTreeMap::new();
        let mut left = vec![root.to_owned()];
        while let Some(path) = left.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mut bytes = Vec::new();
            if metadata.is_dir() {
                let entries = fs::read_dir(&path).unwrap();
                left.extend(entries.map(|entry| entry.unwrap().path()));
            } else {
                bytes = fs::read(&path).unwrap();
            }
            all.insert(path, (bytes, metadata.modified().unwrap()));
        }
        all
    }

    #[test]
    fn the_list_says_what_the_index_says() {
        let world = World::new();
        let first = world.append(&["Work"]);
        let second = world.append(&["Work", "$Later"]);
        let third = world.append(&[]);
        world.inbox().expunge(&[second, third]).unwrap();
        let exported = world.export();
        let snapshot = world.inbox().refresh().unwrap();
        assert_eq!(exported.uid_validity, snapshot.uid_validity());
        assert_eq!((exported.before, exported.messages), (None, 1));
        assert_eq!((exported.keywords, exported.lost.len()), (2, 0));
        let list = world.list();
        assert_eq!(list.uid_validity, snapshot.uid_validity());
        assert_eq!(list.next_uid, snapshot.uid_next());
        assert_eq!(list.mailbox_guid, Some(snapshot.mailbox_id()));
        let uids: Vec<Uid> = list.entries.iter().map(|entry| entry.uid).collect();
        assert_eq!(uids, [first]);
        let keywords = fs::read_to_string(world.root.join("dovecot-keywords")).unwrap();
        assert_eq!(keywords, "0 Work\n1 $Later\n");
        assert_eq!(world.compare(), Comparison::default());
        assert!(!world.root.join("dovecot-uidlist.lock").exists());
        assert!(!world.root.join("dovecot-uidlist.tmp").exists());
    }

    #[test]
    fn what_only_the_old_list_knows_goes_on() {
        let world = World::new();
        let uid = world.append(&[]);
        world.export();
        let path = world.root.join("dovecot-uidlist");
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace("\n1 ", "\n1 S15 Xmine ")
            .replacen('\n', " Qown\n", 1);
        fs::write(&path, text).unwrap();
        world.append(&[]);
        let exported = world.export();
        assert_eq!(exported.before, Some(exported.uid_validity));
        let list = world.list();
        assert_eq!(&*list.other, b"Qown");
        assert_eq!(list.entries[0].uid, uid);
        assert_eq!(list.entries[0].size, Some(15));
        assert_eq!(&*list.entries[0].other, b"Xmine");
        assert_eq!(list.entries.len(), 2);
    }

    #[test]
    fn new_mailboxes_of_dovecot_get_a_higher_uid_validity() {
        let world = World::new();
        fs::write(world.root.join("dovecot-uidvalidity"), "00000005").unwrap();
        fs::write(world.root.join("dovecot-uidvalidity.00000005"), "").unwrap();
        let given = world.export().uid_validity.get();
        let counters = || -> Vec<String> {
            let entries = fs::read_dir(&world.root).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names
                .filter(|name| name.starts_with("dovecot-uidvalidity"))
                .collect()
        };
        let raised = format!("dovecot-uidvalidity.{given:08x}");
        let mut found = counters();
        found.sort();
        assert_eq!(found, ["dovecot-uidvalidity", &raised]);
        let value = fs::read_to_string(world.root.join("dovecot-uidvalidity")).unwrap();
        assert_eq!(value, format!("{given:08x}"));
        // A counter that is higher stays.
        fs::write(world.root.join("dovecot-uidvalidity.7fffff00"), "").unwrap();
        world.export();
        assert_eq!(counters().len(), 3);
    }

    #[test]
    fn the_subscriptions_of_courier_become_dovecots() {
        let world = World::new();
        let path = world.root.join("subscriptions");
        world.export();
        assert!(!path.exists(), "nothing is subscribed");
        let courier = world.root.join("courierimapsubscribed");
        fs::write(&courier, "INBOX\nINBOX.Sent\nINBOX.a.b\n").unwrap();
        let before = world.account.subscriptions().unwrap();
        world.export();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "V\t2\n\nINBOX\nSent\na\tb\n"
        );
        assert_eq!(world.account.subscriptions().unwrap(), before);
        fs::write(&path, "V\t2\n\nOwn\n").unwrap();
        world.export();
        assert_eq!(fs::read_to_string(&path).unwrap(), "V\t2\n\nOwn\n");
    }

    #[test]
    fn keywords_without_a_letter_are_told() {
        let world = World::new();
        let words: Vec<String> = (0..28).map(|number| format!("word{number}")).collect();
        for word in &words {
            world.append(&[word]);
        }
        let last = world.append(&["word27"]);
        let lost = world.export().lost;
        let lost: Vec<(&str, usize)> = lost
            .iter()
            .map(|(keyword, messages)| (keyword.as_str(), *messages))
            .collect();
        assert_eq!(lost, [("word26", 1), ("word27", 2)]);
        world.inbox().expunge(&[last]).unwrap();
        assert_eq!(world.export().lost.len(), 2);
    }

    #[test]
    fn a_list_that_says_otherwise_is_told() {
        let world = World::new();
        for _ in 0..3 {
            world.append(&["Work"]);
        }
        world.export();
        let mut list = world.list();
        let changed = |list: &Uidlist| {
            fs::write(world.root.join("dovecot-uidlist"), list.write()).unwrap();
            let told = world.compare().disagreements;
            told.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        list.entries[1].uidl = Some(b"abc".as_slice().into());
        let told = changed(&list);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("UID 2 has POP3 UIDL none in the index, abc in"));
        list.entries[1].uidl = None;
        let gone = list.entries.remove(2);
        let told = changed(&list);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("UID 3 is not in dovecot-uidlist"));
        list.entries.push(gone);
        list.entries[2].uid = Uid::new(9).unwrap();
        list.next_uid = Uid::new(10).unwrap();
        let told = changed(&list);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("UIDNEXT is 4 in the index, 10 in"));
        assert!(told[1].contains("has UID 3 in the index, 9 in"));
        fs::write(world.root.join("dovecot-keywords"), "0 Home\n").unwrap();
        assert!(
            world
                .compare()
                .disagreements
                .contains(&Disagreement::Letter {
                    letter: 'a',
                    index: "Work".to_owned(),
                    file: "Home".to_owned(),
                })
        );
        // With another UIDVALIDITY, no UID means anything.
        list.uid_validity = UidValidity::new(7).unwrap();
        let told = changed(&list);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("UIDVALIDITY is "));
    }

    #[test]
    fn an_older_list_that_says_nothing_wrong_is_only_behind() {
        let world = World::new();
        let first = world.append(&[]);
        let second = world.append(&[]);
        world.export();
        let removed = |gone| Comparison {
            gone,
            ..Comparison::default()
        };
        // Dovecot finds out by itself.
        world.inbox().expunge(&[first]).unwrap();
        assert_eq!(world.compare(), removed(1));
        assert!(world.compare().is_equal());
        // A UID that Dovecot would give again.
        let third = world.append(&[]);
        let told = world.compare();
        assert_eq!((told.behind, told.later, told.gone), (true, 1, 1));
        assert!(told.disagreements.is_empty() && !told.is_equal());
        world.inbox().expunge(&[second, third]).unwrap();
        let told = world.compare();
        assert_eq!((told.behind, told.later, told.gone), (true, 0, 2));
        // The file of a removed message that came back is not the message that the list has.
        let base = world.list().entries[0].base.clone();
        let back = world
            .root
            .join("cur")
            .join(String::from_utf8_lossy(&base).as_ref());
        fs::write(back, "Subject: back\n\n").unwrap();
        let told = world.compare();
        assert_eq!(told.gone, 1);
        assert!(
            matches!(told.disagreements[..], [Disagreement::OnlyListed { uid, .. }] if uid == first)
        );
    }

    #[test]
    fn an_index_is_proved_against_the_files() {
        let world = World::new();
        for _ in 0..3 {
            world.append(&["Work"]);
        }
        // Once more, so that the times of the directories are believed.
        drop(world.inbox().refresh().unwrap());
        let verified = world.verify();
        assert_eq!((verified.faults.len(), verified.read), (0, 3));
        let inspection = &verified.inspection;
        let third = inspection.snapshot().get(2).unwrap();
        let path = world.root.join("cur");
        let name = |position| {
            let message = inspection.snapshot().get(position).unwrap();
            path.join(String::from_utf8_lossy(inspection.file(message).name).as_ref())
        };
        fs::remove_file(name(0)).unwrap();
        let other = name(1);
        let unseen = other.to_str().unwrap().replace(":2,Sa", ":2,a");
        fs::rename(&other, unseen).unwrap();
        fs::write(name(2), "shorter\n").unwrap();
        fs::write(path.join("9.new.host:2,"), "x\n").unwrap();
        let verified = world.verify();
        let pending: Vec<String> = verified.pending.iter().map(ToString::to_string).collect();
        assert_eq!(pending.len(), 3, "{pending:?}");
        assert!(pending[0].starts_with("UID 1 has no file"));
        assert!(pending[1].starts_with("UID 2 has flags (\\Seen Work) in the index, (Work) in"));
        assert_eq!(pending[2], "cur/9.new.host:2, has no UID");
        let sizes = verified.faults.iter().filter(
            |fault| matches!(fault, Finding::Size { uid, file: 9, .. } if *uid == third.uid()),
        );
        assert_eq!(sizes.count(), 1, "{:?}", verified.faults);
    }

    #[test]
    fn differences_are_faults_if_the_times_hide_them() {
        let world = World::new();
        world.append(&[]);
        let cur = world.root.join("cur");
        let old = UNIX_EPOCH + Duration::from_secs(NOW - 1000);
        let set = |time| fs::File::open(&cur).unwrap().set_modified(time).unwrap();
        set(old);
        fs::File::open(world.root.join("new"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        drop(world.inbox().refresh().unwrap());
        fs::write(cur.join("9.new.host:2,"), "x\n").unwrap();
        set(old);
        let verified = world.verify();
        assert_eq!((verified.pending.len(), verified.faults.len()), (0, 1));
    }

    #[test]
    fn looking_changes_nothing() {
        let world = World::new();
        world.append(&["Work"]);
        world.export();
        fs::write(world.root.join("new/9.new.host"), "x\n").unwrap();
        let before = everything(&world.root);
        assert!(before.len() > 8);
        world.verify();
        world.compare();
        mailstore::inspect::list(&world.root, &Namespace::default()).unwrap();
        mailstore::inspect::subscriptions(&world.root, &Namespace::default()).unwrap();
        assert_eq!(everything(&world.root), before);
    }

    #[test]
    fn without_an_index_there_is_nothing_to_prove() {
        let world = World::new();
        assert!(Inspection::read(&world.root).unwrap().is_none());
        let verified = verify(&world.root, &options(), Sizes::All, || {});
        assert!(verified.unwrap().is_none());
        world.append(&[]);
        fs::write(world.root.join("pillarbox.index"), "damaged").unwrap();
        assert!(Inspection::read(&world.root).is_err());
    }

    #[test]
    fn a_list_that_dovecot_is_writing_is_left_alone() {
        let world = World::new();
        world.append(&[]);
        // Its lock, and the new list that it is about to put into its place.
        let lock = world.root.join("dovecot-uidlist.lock");
        let new = world.root.join("dovecot-uidlist.tmp");
        fs::write(&lock, "1:elsewhere.example").unwrap();
        fs::write(&new, "3 V1 N2\n").unwrap();
        let hasty = Store::new(Options {
            lock_timeout: Duration::from_millis(50),
            ..options()
        });
        let account = hasty.account(&world.root).unwrap();
        let locked = account.export(&MailboxName::inbox());
        assert!(matches!(locked, Err(mailstore::Error::Locked)));
        assert_eq!(fs::read_to_string(&new).unwrap(), "3 V1 N2\n");
        // Two minutes without a sign of life are enough.
        let file = fs::File::options().write(true).open(&lock).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        let dead = written - Duration::from_secs(121);
        file.set_modified(dead).unwrap();
        account.export(&MailboxName::inbox()).unwrap();
        assert!(!lock.exists() && !new.exists());
        assert_eq!(world.list().entries.len(), 1);
    }

    #[test]
    fn a_directory_with_the_name_of_a_counter_is_no_hindrance() {
        let world = World::new();
        world.append(&[]);
        let directory = world.root.join("dovecot-uidvalidity.00000001");
        fs::create_dir(&directory).unwrap();
        let exported = world.export();
        let counter = format!("dovecot-uidvalidity.{:08x}", exported.uid_validity.get());
        assert!(world.root.join(counter).exists() && directory.exists());
    }
}
