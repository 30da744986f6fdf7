//! Processes that are killed while they move messages: every message is still in a mailbox.
//!
//! They are this very test binary, started again with [`CHILD`] set.

#[cfg(test)]
mod moving {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Write};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use mailstore::{
        Account, Appending, FlagChange, FlagOp, FlagSet, Fsync, Mailbox, Namespace, Options,
        Source, Store, Uid,
    };

    /// Tells a child where to work.
    const CHILD: &str = "PILLARBOX_MOVE_ROOT";
    /// How many messages there are.
    const MESSAGES: usize = 20;

    fn account(root: &Path) -> Account {
        let seed = AtomicU64::new(std::process::id().into());
        let random = move || seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let options = Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(60),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 1 << 20,
            source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000), random),
        };
        Store::new(options).account(root).unwrap()
    }

    fn open(account: &Account, name: &str) -> Arc<Mailbox> {
        let name = account.namespace().parse(name.as_bytes()).unwrap();
        account.open(&name).unwrap()
    }

    fn append(mailbox: &Mailbox, text: &str) {
        let mut staged = mailbox.stage().unwrap();
        staged.write_all(text.as_bytes()).unwrap();
        let flags = FlagChange {
            op: FlagOp::Replace,
            system: FlagSet::EMPTY,
            keywords: Vec::new(),
        };
        let message = Appending {
            staged,
            flags,
            internal_date: None,
        };
        mailbox.append(vec![message]).unwrap();
    }

    /// Not a test of its own: moves all messages to and fro until it is killed.
    #[test]
    fn mover_child() {
        let Some(root) = std::env::var_os(CHILD) else {
            return;
        };
        let account = account(Path::new(&root));
        let ends = [open(&account, "INBOX"), open(&account, "other")];
        let mut stdout = std::io::stdout();
        for round in 0.. {
            let (source, target) = (&ends[round % 2], &ends[(round + 1) % 2]);
            let snapshot = source.refresh().unwrap();
            let uids: Vec<Uid> = snapshot.iter().map(|message| message.uid()).collect();
            let mut moving = source.begin_move(target);
            moving.add(&uids).unwrap();
            moving.finish().unwrap();
            writeln!(stdout, "moved").unwrap();
            stdout.flush().unwrap();
        }
    }

    #[test]
    fn killed_moves_lose_nothing() {
        let root = tempfile::tempdir().unwrap();
        {
            let account = account(root.path());
            let other = account.namespace().parse(b"other").unwrap();
            account.create(&other).unwrap();
            let inbox = open(&account, "INBOX");
            for text in 0..MESSAGES {
                append(&inbox, &text.to_string());
            }
        }
        for round in 0..12 {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "moving::mover_child", "--nocapture"])
                .env(CHILD, root.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let moved = lines.map_while(Result::ok).filter(|line| line == "moved");
            assert_eq!(moved.take(round + 1).count(), round + 1);
            child.kill().unwrap();
            child.wait().unwrap();
            check(root.path());
        }
    }

    /// Every message is somewhere; what is there twice is removed.
    fn check(root: &Path) {
        let account = account(root);
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for name in ["INBOX", "other"] {
            let mailbox = open(&account, name);
            let snapshot = mailbox.refresh().unwrap();
            for message in snapshot.iter() {
                let bytes = mailbox.read(message).unwrap().read_crlf().unwrap();
                let copies = found.entry(String::from_utf8(bytes).unwrap()).or_default();
                *copies += 1;
                assert!(*copies <= 2, "a move makes one copy");
                if *copies == 2 {
                    mailbox.expunge(&[message.uid()]).unwrap();
                }
            }
        }
        assert_eq!(found.len(), MESSAGES, "{found:?}");
    }
}
