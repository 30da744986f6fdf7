//! The process's one [`Store`]: its options and its open mailboxes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::account::Account;
use crate::error::{Error, Result};
use crate::filename::{Series, Unique};
use crate::index::Force;
use crate::mailbox::{Again, Mailbox};
use crate::name::{MailboxName, Namespace};
use crate::quota::Ledger;
use crate::source::Source;
use crate::special::SpecialNames;
use crate::watch::{Notices, Roster, Shared, warn_of_limit};

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
    /// How long to wait for another process's lock before [`Error::Locked`].
    pub lock_timeout: Duration,
    /// A directory modified less than this before a scan may still change unseen.
    pub mtime_guard: Duration,
    /// How many bytes of mailboxes that nobody has open stay in memory.
    pub cache_bytes: usize,
    /// Time and randomness.
    pub source: Source,
}

/// What everything in a store shares.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) options: Options,
    /// What names say of mailboxes.
    pub(crate) special: SpecialNames,
    /// Names for new files.
    pub(crate) unique: Unique,
    boot: OnceLock<u64>,
    writes_back_soon: OnceLock<bool>,
    distrusts_files: AtomicBool,
    notices: OnceLock<Notices>,
    /// What accounts take up, for those who want to know it.
    ledgers: Mutex<HashMap<PathBuf, Weak<Ledger>>>,
}

impl Environment {
    /// With these options.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            unique: Unique::new(&options.hostname),
            options,
            special: SpecialNames::default(),
            boot: OnceLock::new(),
            writes_back_soon: OnceLock::new(),
            distrusts_files: AtomicBool::new(false),
            notices: OnceLock::new(),
            ledgers: Mutex::default(),
        }
    }

    /// Names for files that come together.
    pub(crate) fn series(&self) -> Series<'_> {
        self.unique.series(&self.options.source)
    }

    /// The kernel's notices, if anybody has asked for them.
    pub(crate) fn notices(&self) -> Option<&Arc<Shared>> {
        self.notices.get().map(Notices::shared)
    }

    /// What the account in `root` takes up, if anybody wants to know it.
    pub(crate) fn ledger(&self, root: &Path) -> Option<Arc<Ledger>> {
        let ledger = self.ledgers().get(root)?.upgrade()?;
        ledger.is_active().then_some(ledger)
    }

    fn ledgers(&self) -> MutexGuard<'_, HashMap<PathBuf, Weak<Ledger>>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that differs from one boot of the machine to the next; 0 if the system has none.
    pub(crate) fn boot(&self) -> u64 {
        *self.boot.get_or_init(|| {
            let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
            let digits = id.iter().filter_map(|byte| char::from(*byte).to_digit(16));
            digits
                .take(16)
                .fold(0, |number, digit| number << 4 | u64::from(digit))
        })
    }

    /// Whether it may be left to the system to write to the disk what programs have written: it
    /// does so within a minute unless told to wait longer. Never where everything is forced, as on
    /// a network file system, which has more systems than one.
    pub(crate) fn writes_back_soon(&self) -> bool {
        if self.options.fsync == Fsync::Always {
            return false;
        }
        let centiseconds = |name: &str| {
            let text = std::fs::read_to_string(Path::new("/proc/sys/vm").join(name)).ok()?;
            text.trim().parse::<u32>().ok()
        };
        *self.writes_back_soon.get_or_init(|| {
            let expires = centiseconds("dirty_expire_centisecs");
            let looks = centiseconds("dirty_writeback_centisecs");
            // Nought means never.
            let looks = looks.filter(|pause| *pause > 0);
            expires
                .zip(looks)
                .is_some_and(|(expires, looks)| expires.saturating_add(looks) <= 6000)
        })
    }

    /// A message's file could not be forced to the disk. The system may have dropped what it could
    /// not write, and would not say so a second time.
    pub(crate) fn distrust_files(&self) {
        self.distrusts_files.store(true, Ordering::Relaxed);
    }

    /// Whether the bytes of messages have to be written again where a second link would do.
    pub(crate) fn distrusts_files(&self) -> bool {
        self.distrusts_files.load(Ordering::Relaxed)
    }

    /// When changes that clients rely on must be on the disk.
    pub(crate) fn force_messages(&self) -> Force {
        match self.options.fsync {
            Fsync::Optimized | Fsync::Always => Force::Now,
            Fsync::Never => Force::Never,
        }
    }

    /// When changes of flags must be on the disk.
    pub(crate) fn force_flags(&self) -> Force {
        match self.options.fsync {
            Fsync::Optimized => Force::Later,
            Fsync::Always => Force::Now,
            Fsync::Never => Force::Never,
        }
    }
}

/// The mail of this process: hands out accounts, and shares open mailboxes between sessions.
///
/// A mailbox that nobody has open any more stays in memory until those take more than
/// [`Options::cache_bytes`]; the one that was used longest ago goes first. No mailbox holds a
/// descriptor.
#[derive(Debug)]
pub struct Store {
    environment: Arc<Environment>,
    registry: Mutex<Registry>,
    /// The accounts that somebody watches, by their roots.
    rosters: Mutex<HashMap<PathBuf, Weak<Roster>>>,
}

#[derive(Debug, Default)]
struct Registry {
    mailboxes: HashMap<PathBuf, Registered>,
    /// Counts the openings.
    clock: u64,
    /// The bytes of all of them, as far as known.
    bytes: usize,
    /// From how many bytes on it is worth looking for mailboxes to drop.
    full_at: usize,
}

impl Registry {
    fn is_full(&self) -> bool {
        self.bytes > self.full_at
    }
}

#[derive(Debug)]
struct Registered {
    mailbox: Arc<Mailbox>,
    used: u64,
    bytes: usize,
}

impl Store {
    /// Makes a store. Nothing is read yet.
    pub fn new(options: Options) -> Arc<Self> {
        Self::with_special(options, SpecialNames::default())
    }

    /// Makes a store in which names say what mailboxes are for.
    pub fn with_special(options: Options, special: SpecialNames) -> Arc<Self> {
        let environment = Arc::new(Environment {
            special,
            ..Environment::new(options)
        });
        Arc::new(Self {
            registry: Mutex::new(Registry {
                full_at: environment.options.cache_bytes,
                ..Registry::default()
            }),
            rosters: Mutex::default(),
            environment,
        })
    }

    /// How this store works.
    pub fn options(&self) -> &Options {
        &self.environment.options
    }

    /// What names say of mailboxes.
    pub fn special_names(&self) -> &SpecialNames {
        &self.environment.special
    }

    /// The account whose Maildir++ tree has this root; made (with an INBOX) if it is not there.
    ///
    /// # Errors
    /// If the root cannot be made or is not a directory.
    pub fn account(self: &Arc<Self>, root: &Path) -> Result<Account> {
        Account::new(Arc::clone(self), root)
    }

    /// Has the kernel tell of changes by other programs, where it can: on file systems of this
    /// machine, while a mailbox is watched. A thread must wait for what it tells
    /// ([`Notices::run`]). `None` if the kernel has no notices to give, which the log says; then,
    /// and without this call, only [`poll`](Self::poll) finds changes.
    pub fn notices(&self) -> Option<Notices> {
        let environment = &self.environment;
        if environment.notices.get().is_none() {
            match Notices::open(&environment.options.source) {
                // Perhaps another was faster.
                Ok(notices) => drop(environment.notices.set(notices)),
                Err(error) => warn_of_limit(&error, "fs.inotify.max_user_instances"),
            }
        }
        environment.notices.get().cloned()
    }

    /// Looks for changes by other programs in the mailboxes and accounts that somebody watches, but
    /// for those that the kernel watches too, and wakes the watchers. To be called every poll
    /// interval.
    pub fn poll(&self) {
        for roster in self.watched_accounts() {
            roster.poll();
        }
        for mailbox in self.open_mailboxes() {
            mailbox.rest();
            if !mailbox.needs_polling() {
                continue;
            }
            match mailbox.refresh() {
                // Its watchers were woken and will see for themselves.
                Ok(_) | Err(Error::NotFound) => {}
                Err(error) => tracing::warn!(mailbox = %mailbox.name(), %error, "poll failed"),
            }
        }
    }

    /// Forces flag changes to disk that are not yet ([`Fsync::Optimized`]), and moves to `cur/` what
    /// SELECT has left in `new/`. To be called every few seconds and at the end.
    pub fn flush(&self) {
        for mailbox in self.open_mailboxes() {
            mailbox.flush();
        }
        for mailbox in self.open_mailboxes() {
            mailbox.take_in_rest();
        }
        self.evict();
    }

    /// Opens the mailbox in `directory` of the account in `root`, or gives the one that another
    /// session of this process has open.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the directory does not exist.
    pub(crate) fn open_mailbox(
        self: &Arc<Self>,
        root: &Path,
        directory: &Path,
        name: MailboxName,
    ) -> Result<Arc<Mailbox>> {
        if let Some(mailbox) = self.open_again(directory)? {
            return Ok(mailbox);
        }
        let environment = Arc::clone(&self.environment);
        let opened = Arc::new(Mailbox::open(environment, root, directory, name)?);
        let mailbox = self.register(directory, &opened);
        if self.registry().is_full() {
            self.evict();
        }
        Ok(mailbox)
    }

    /// The mailbox in `directory` if this process has it in memory, brought up to date.
    pub(crate) fn open_again(&self, directory: &Path) -> Result<Option<Arc<Mailbox>>> {
        let Some(mailbox) = self.registered(directory) else {
            return Ok(None);
        };
        match mailbox.refresh() {
            Ok(_) => Ok(Some(mailbox)),
            // Deleted and perhaps made again by another process.
            Err(Error::NotFound) => {
                self.forget(directory);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the mailbox in `directory` is in memory.
    pub(crate) fn is_registered(&self, directory: &Path) -> bool {
        self.registry().mailboxes.contains_key(directory)
    }

    /// Indexes the mailbox in `directory` again; sessions that have it open lose it.
    pub(crate) fn index_again(
        &self,
        root: &Path,
        directory: &Path,
        name: MailboxName,
        again: Again,
    ) -> Result<()> {
        self.forget(directory);
        let environment = Arc::clone(&self.environment);
        Mailbox::index_again(environment, root, directory, name, again)
    }

    /// Notes that a mailbox is open, unless another session was faster: then gives that one.
    fn register(&self, directory: &Path, opened: &Arc<Mailbox>) -> Arc<Mailbox> {
        let bytes = opened.bytes();
        let mut registry = self.registry();
        registry.clock += 1;
        let used = registry.clock;
        if let Some(faster) = registry.mailboxes.get_mut(directory) {
            faster.used = used;
            return Arc::clone(&faster.mailbox);
        }
        registry.bytes += bytes;
        let mailbox = Arc::clone(opened);
        let registered = Registered {
            mailbox,
            used,
            bytes,
        };
        registry
            .mailboxes
            .insert(directory.to_path_buf(), registered);
        Arc::clone(opened)
    }

    /// Ends the use of the mailbox in `directory`, which was deleted or renamed: its sessions get
    /// [`Error::NotFound`], its watchers are woken.
    pub(crate) fn forget(&self, directory: &Path) {
        let mut registry = self.registry();
        let registered = registry.mailboxes.remove(directory);
        let bytes = registered.as_ref().map_or(0, |registered| registered.bytes);
        registry.bytes = registry.bytes.saturating_sub(bytes);
        drop(registry);
        if let Some(registered) = registered {
            registered.mailbox.leave();
        }
    }

    /// What all share that use the account in `root`.
    pub(crate) fn ledger(self: &Arc<Self>, root: &Path) -> Arc<Ledger> {
        let mut ledgers = self.environment.ledgers();
        if let Some(ledger) = ledgers.get(root).and_then(Weak::upgrade) {
            return ledger;
        }
        if ledgers.len() == ledgers.capacity() {
            ledgers.retain(|_, ledger| ledger.strong_count() > 0);
        }
        let source = self.options().source.clone();
        let ledger = Ledger::new(Arc::downgrade(self), root, source);
        ledgers.insert(root.to_path_buf(), Arc::downgrade(&ledger));
        ledger
    }

    /// What the sessions share that watch the account in `root`.
    pub(crate) fn roster(&self, root: &Path) -> Arc<Roster> {
        let mut rosters = self.rosters();
        if let Some(roster) = rosters.get(root).and_then(Weak::upgrade) {
            return roster;
        }
        let roster = Roster::new(root.to_path_buf(), Arc::clone(&self.environment));
        rosters.insert(root.to_path_buf(), Arc::downgrade(&roster));
        roster
    }

    /// This process has changed which mailboxes an account has, or its subscriptions.
    pub(crate) fn account_changed(&self, root: &Path) {
        let roster = self.rosters().get(root).and_then(Weak::upgrade);
        if let Some(roster) = roster {
            roster.tell();
        }
    }

    fn watched_accounts(&self) -> Vec<Arc<Roster>> {
        let mut rosters = self.rosters();
        rosters.retain(|_, roster| roster.strong_count() > 0);
        rosters.values().filter_map(Weak::upgrade).collect()
    }

    fn rosters(&self) -> MutexGuard<'_, HashMap<PathBuf, Weak<Roster>>> {
        self.rosters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the mailbox in `directory` is in memory.
    #[cfg(test)]
    pub(crate) fn is_open(&self, directory: &Path) -> bool {
        self.registry().mailboxes.contains_key(directory)
    }

    /// The open mailbox in `directory`, marked as used.
    fn registered(&self, directory: &Path) -> Option<Arc<Mailbox>> {
        let mut registry = self.registry();
        registry.clock += 1;
        let used = registry.clock;
        let registered = registry.mailboxes.get_mut(directory)?;
        registered.used = used;
        Some(Arc::clone(&registered.mailbox))
    }

    /// Drops mailboxes that nobody has open, the longest unused first, until the rest fits.
    fn evict(&self) {
        let mut registry = self.registry();
        let gone = registry
            .mailboxes
            .extract_if(|_, registered| registered.mailbox.is_gone());
        let mut dropped: Vec<Registered> = gone.map(|(_, registered)| registered).collect();
        let mut total = 0;
        for registered in registry.mailboxes.values_mut() {
            registered.bytes = registered.mailbox.bytes();
            total += registered.bytes;
        }
        let mut closed: Vec<(u64, usize, PathBuf)> = Vec::new();
        for (directory, registered) in &registry.mailboxes {
            // Nobody can take another reference while the registry is locked.
            if Arc::strong_count(&registered.mailbox) == 1 {
                closed.push((registered.used, registered.bytes, directory.clone()));
            }
        }
        closed.sort_unstable();
        let mut closed_bytes: usize = closed.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, directory) in closed {
            if closed_bytes <= self.options().cache_bytes {
                break;
            }
            closed_bytes -= bytes;
            total -= bytes;
            dropped.extend(registry.mailboxes.remove(&directory));
        }
        registry.bytes = total;
        // Those in use do not count; without slack, every opening would look again.
        let cache = self.options().cache_bytes;
        registry.full_at = total.max(cache) + cache / 4;
        drop(registry);
        // Only now: the end of a mailbox writes what it has learned.
        drop(dropped);
    }

    fn open_mailboxes(&self) -> Vec<Arc<Mailbox>> {
        let registry = self.registry();
        let registered = registry.mailboxes.values();
        registered
            .map(|registered| Arc::clone(&registered.mailbox))
            .collect()
    }

    /// The map is whole even if a thread panicked while it held the lock.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
