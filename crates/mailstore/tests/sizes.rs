//! Sizes of many messages at once are what they are one by one.

#[cfg(test)]
mod sizes {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use mailstore::{
        Error, Fsync, Mailbox, MailboxName, Message, Namespace, Options, Source, Store,
    };

    fn open(root: &Path) -> Arc<Mailbox> {
        let present = UNIX_EPOCH + Duration::from_secs(1_750_000_000);
        let store = Store::new(Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(10),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: Source::new(move || present, || 1),
        });
        let account = store.account(root).unwrap();
        account.open(&MailboxName::inbox()).unwrap()
    }

    /// A Maildir with these messages.
    fn maildir(messages: impl Iterator<Item = Vec<u8>>) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["cur", "new", "tmp"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        for (number, message) in (1..).zip(messages) {
            fs::write(
                root.path().join(format!("cur/{number}.M1P1.host:2,S")),
                message,
            )
            .unwrap();
        }
        root
    }

    #[test]
    fn many_at_once_are_as_one_by_one_and_remembered() {
        let message = |number: usize| b"line\n".repeat(number % 90);
        let root = maildir((1..=500).map(message));
        let mailbox = open(root.path());
        let snapshot = mailbox.snapshot();
        let messages: Vec<Message<'_>> = snapshot.iter().collect();
        fs::remove_file(root.path().join("cur/77.M1P1.host:2,S")).unwrap();
        let sizes = mailbox.rfc822_sizes(&messages);
        assert_eq!(sizes.len(), 500);
        for (number, size) in (1u64..).zip(sizes) {
            match size {
                Ok(size) => assert_eq!(size, 6 * (number % 90), "{number}"),
                Err(error) => {
                    assert_eq!(number, 77, "{error}");
                    assert!(matches!(error, Error::Expunged | Error::Locked), "{error}");
                }
            }
        }

        // From now on no file is read for them.
        drop(mailbox);
        for number in (1..=500).filter(|number| *number != 77) {
            let path = root.path().join(format!("cur/{number}.M1P1.host:2,S"));
            fs::write(path, "x").unwrap();
        }
        let mailbox = open(root.path());
        let snapshot = mailbox.snapshot();
        let known = |message: &Message<'_>| message.rfc822_size().is_some();
        assert_eq!(snapshot.iter().filter(known).count(), 499);
        let last = snapshot.get(snapshot.len() - 1).unwrap();
        assert_eq!(mailbox.rfc822_size(last).unwrap(), 6 * (500 % 90));
    }

    #[test]
    fn large_messages_take_more_than_one_call() {
        let root = maildir((0..40).map(|_| vec![b'\n'; 1 << 20]));
        let mailbox = open(root.path());
        let snapshot = mailbox.snapshot();
        let messages: Vec<Message<'_>> = snapshot.iter().collect();
        let (mut left, mut calls) = (&messages[..], 0);
        while !left.is_empty() {
            let sizes = mailbox.rfc822_sizes(left);
            assert!(!sizes.is_empty() && sizes.len() < 40, "{}", sizes.len());
            assert!(sizes.iter().all(|size| matches!(size, Ok(0x20_0000))));
            left = &left[sizes.len()..];
            calls += 1;
        }
        assert!(calls >= 2, "{calls}");
        assert!(mailbox.rfc822_sizes(&[]).is_empty());
    }
}
