//! What sessions, other programs and accidents do to a mailbox.

mod arriving;
mod expunge;
mod flags;
mod memory;
mod others;
mod trouble;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::EmailId;
use crate::flag::{FlagOp, FlagSet, Keyword, Keywords, SystemFlag};
use crate::id::ModSeq;
use crate::name::Namespace;
use crate::source::Source;
use crate::store::{Fsync, Store};

/// A Maildir in a temporary directory.
struct Maildir {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Maildir {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("Maildir");
        for name in ["", "cur", "new", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        Self {
            _temporary: temporary,
            root,
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.root.join(from), self.root.join(to)).unwrap();
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(directory)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Makes the directories look as if nothing had happened for long.
    fn age(&self) {
        for name in ["new", "cur"] {
            let directory = fs::File::open(self.root.join(name)).unwrap();
            directory
                .set_modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000))
                .unwrap();
        }
    }

    fn store(&self) -> Arc<Store> {
        Store::new(options(Fsync::Never))
    }

    fn open(&self) -> Arc<Mailbox> {
        self.open_in(&self.store())
    }

    fn open_in(&self, store: &Arc<Store>) -> Arc<Mailbox> {
        store
            .open_mailbox(&self.root, &self.root, MailboxName::inbox())
            .unwrap()
    }
}

fn options(fsync: Fsync) -> Options {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let random = || SEED.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    Options {
        fsync,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(10),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_750_000_000), random),
    }
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn uids(snapshot: &Snapshot) -> Vec<u32> {
    snapshot.iter().map(|message| message.uid().get()).collect()
}

fn change(op: FlagOp, system: &[SystemFlag], keywords: &[&str]) -> FlagChange {
    FlagChange {
        op,
        system: system
            .iter()
            .fold(FlagSet::EMPTY, |set, flag| set.with(*flag)),
        keywords: keywords
            .iter()
            .map(|name| Keyword::new(name).unwrap())
            .collect(),
    }
}

fn text(mailbox: &Mailbox, snapshot: &Snapshot, value: u32) -> String {
    let message = snapshot.by_uid(uid(value)).unwrap();
    let bytes = mailbox.read(message).unwrap().read_crlf().unwrap();
    String::from_utf8(bytes).unwrap()
}

fn append(mailbox: &Mailbox, text: &str, flags: &[SystemFlag]) -> u32 {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(text.as_bytes()).unwrap();
    let appended = mailbox.append(vec![Appending {
        staged,
        flags: change(FlagOp::Replace, flags, &[]),
        internal_date: None,
    }]);
    appended.unwrap().uids[0].get()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
