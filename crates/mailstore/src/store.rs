//! The process's one [`Store`]: its options and its open mailboxes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::account::Account;
use crate::error::Result;
use crate::name::Namespace;
use crate::source::Source;

/// When data is forced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Everything but flag changes before the answer; flag changes within 5 seconds and at close.
    #[default]
    Optimized,
    /// Everything before the answer.
    Always,
    /// Never: for runs that are thrown away.
    Never,
}

/// How a [`Store`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// When data is forced to the disk.
    pub fsync: Fsync,
    /// How names look to clients and on disk.
    pub namespace: Namespace,
    /// The host name in the names of new files (Maildir).
    pub hostname: String,
    /// How long to wait for another process's lock before [`Error::Locked`](crate::Error::Locked).
    pub lock_timeout: Duration,
    /// A directory modified less than this before a scan may still change unseen.
    pub mtime_guard: Duration,
    /// How many bytes of snapshots of mailboxes that nobody has open stay in memory.
    pub cache_bytes: usize,
    /// Time and randomness.
    pub source: Source,
}

/// The mail of this process: hands out accounts, and shares open mailboxes between sessions.
#[derive(Debug)]
pub struct Store {
    options: Options,
}

impl Store {
    /// Makes a store. Nothing is read yet.
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options })
    }

    /// How this store works.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The account whose Maildir++ tree has this root; made (with an INBOX) if it is not there.
    ///
    /// # Errors
    /// If the root cannot be made or is not a directory.
    pub fn account(self: &Arc<Self>, root: &Path) -> Result<Account> {
        let _ = root;
        todo!("account")
    }

    /// Looks for changes by other programs in all mailboxes that somebody watches, and wakes the
    /// watchers. To be called every poll interval.
    pub fn poll(&self) {
        todo!("poll")
    }

    /// Forces flag changes to disk that are not yet ([`Fsync::Optimized`]). To be called every few
    /// seconds and at the end.
    pub fn flush(&self) {
        todo!("flush")
    }
}
