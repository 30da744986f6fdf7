//! Accounts that are counted, by whatever way they change.

mod accounting;
mod admission;
mod neighbours;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::{Limits, Policy, Usage};
use crate::account::Account;
use crate::flag::{FlagChange, FlagOp, FlagSet};
use crate::mailbox::{Appending, Mailbox};
use crate::name::{MailboxName, Namespace};
use crate::source::Source;
use crate::store::{Fsync, Options, Store};

/// A clock that is the system's, and runs ahead of it when it is told to.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "compared with the times of files"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// A process of its own, as far as the store goes.
fn store(clock: &Clock) -> Arc<Store> {
    let (clock, random) = (clock.clone(), AtomicU64::new(rand()));
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(60),
        mtime_guard: Duration::ZERO,
        cache_bytes: 1 << 20,
        source: Source::new(
            move || clock.now(),
            move || random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst),
        ),
    })
}

/// Something that differs from one store to the next.
fn rand() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::SeqCst) << 32
}

fn account(root: &Path, policy: Policy) -> Account {
    let account = store(&Clock::default()).account(root).unwrap();
    account.set_policy(policy);
    account
}

fn limited(storage: Option<u64>, messages: Option<u64>) -> Policy {
    Policy {
        limits: Limits { storage, messages },
        ..Policy::default()
    }
}

/// That looks at all directories each time.
fn always() -> Policy {
    Policy {
        look_interval: Duration::ZERO,
        ..limited(Some(1 << 40), None)
    }
}

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).expect(text)
}

fn usage(messages: u64, octets: u64) -> Usage {
    Usage { messages, octets }
}

fn count(account: &Account) -> Usage {
    let mut counting = super::Counting::default();
    loop {
        if let Some(usage) = account.count(&mut counting).unwrap() {
            return usage;
        }
    }
}

fn staged(mailbox: &Mailbox, octets: usize) -> Appending {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(&vec![b'x'; octets]).unwrap();
    Appending {
        staged,
        flags: FlagChange {
            op: FlagOp::Replace,
            system: FlagSet::EMPTY,
            keywords: Vec::new(),
        },
        internal_date: None,
    }
}

fn append(account: &Account, mailbox: &str, octets: usize) -> crate::Result<()> {
    let mailbox = account.open(&name(mailbox))?;
    mailbox.append(vec![staged(&mailbox, octets)]).map(drop)
}

/// What another program does, with or without the size in the name.
fn drop_in(directory: &Path, name: &str, octets: usize) {
    fs::write(directory.join("tmp").join(name), vec![b'y'; octets]).unwrap();
    fs::rename(
        directory.join("tmp").join(name),
        directory.join("new").join(name),
    )
    .unwrap();
}

/// What the files are, without any index.
fn on_disk(root: &Path) -> Usage {
    let mut all = Usage::default();
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| {
        let name = entry.file_name().into_string().unwrap();
        name.starts_with('.') && !name.starts_with("..")
    });
    for directory in folders
        .map(|entry| entry.path())
        .chain([root.to_path_buf()])
    {
        for place in ["new", "cur"] {
            let Ok(files) = fs::read_dir(directory.join(place)) else {
                continue;
            };
            for file in files {
                let octets = file.unwrap().metadata().unwrap().len();
                all = all.plus(Usage::of_message(octets));
            }
        }
    }
    all
}
