//! What the mailboxes of an account take up, added up, and who may add to it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use super::limits::{self, SetLimits};
use super::maildirsize::{Change, MaildirsizeFile, Own};
use super::record::Records;
use super::{Adding, Limits, Maildirsize, Origin, Policy, Resource, Usage};
use crate::error::{Error, Result};
use crate::index::FileTime;
use crate::source::Source;
use crate::store::Store;
use crate::sync::Observed;

/// What a mailbox takes up by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) usage: Usage,
    /// The time of `new/` that the index has seen.
    pub(crate) new: FileTime,
    /// The time of `cur/` that the index has seen.
    pub(crate) cur: FileTime,
    /// Whether unchanged times can be believed.
    pub(crate) settled: bool,
}

impl Tally {
    /// Whether it is right, the times of the directories being these now.
    pub(super) fn holds(&self, observed: Observed) -> bool {
        self.settled && self.new == observed.new && self.cur == observed.cur
    }

    /// Of a mailbox that is gone.
    const NOTHING: Self = Self {
        usage: Usage {
            messages: 0,
            octets: 0,
        },
        new: FileTime::NEVER,
        cur: FileTime::NEVER,
        settled: false,
    };
}

/// The usage of an account and its limits, shared by all who use the account in this process.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) store: Weak<Store>,
    root: PathBuf,
    source: Source,
    /// Whether anybody wants to know: before, changes are not even noted.
    active: AtomicBool,
    book: Mutex<Book>,
}

/// What is written down.
#[derive(Debug)]
struct Book {
    policy: Policy,
    set: SetLimits,
    /// By the names of directories in the root; INBOX has none.
    tallies: BTreeMap<Vec<u8>, Tally>,
    records: Records,
    maildirsize: MaildirsizeFile,
    /// What has been admitted and is not in yet.
    admitted: Usage,
    /// When all directories were last looked at.
    looked: Option<SystemTime>,
}

/// The right to add messages; ends when dropped, after they have been added.
#[derive(Debug)]
pub(crate) struct Admission {
    ledger: Arc<Ledger>,
    usage: Usage,
}

impl Ledger {
    /// That of the account in `root`; nothing is read yet.
    pub(crate) fn new(store: Weak<Store>, root: &Path, source: Source) -> Arc<Self> {
        Arc::new(Self {
            store,
            root: root.to_path_buf(),
            source,
            active: AtomicBool::new(false),
            book: Mutex::new(Book {
                policy: Policy::default(),
                set: SetLimits::default(),
                tallies: BTreeMap::new(),
                records: Records::of(root),
                maildirsize: MaildirsizeFile::of(root),
                admitted: Usage::default(),
                looked: None,
            }),
        })
    }

    /// Whether changes have to be noted.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Decides about the account.
    pub(crate) fn set_policy(&self, policy: Policy) {
        let mut book = self.book();
        book.policy = policy;
        let (limits, _) = book.limits(&self.root);
        let kept = match policy.maildirsize {
            Maildirsize::Auto => book.maildirsize.exists(),
            Maildirsize::Always => true,
            Maildirsize::Never => false,
        };
        if limits != Limits::NONE || kept {
            self.active.store(true, Ordering::Release);
        }
    }

    /// What the account may hold, and who says so.
    pub(crate) fn limits(&self) -> (Limits, Origin) {
        self.book().limits(&self.root)
    }

    /// Sets limits that hold from now on, whatever the policy says; durably.
    pub(crate) fn set_limits(&self, limits: Limits) -> Result<()> {
        limits::store(&self.root, limits)?;
        self.active.store(true, Ordering::Release);
        Ok(())
    }

    /// What is known of the usage.
    pub(crate) fn usage(&self) -> Usage {
        self.book().usage()
    }

    /// Notes what a mailbox takes up; under its lock, so that nobody notes something newer before.
    pub(crate) fn note(&self, directory: &Path, tally: Tally, own: Change) {
        let name = self.name_of(directory);
        let mut book = self.book();
        if book.policy.maildirsize != Maildirsize::Never {
            book.maildirsize.append(own);
        }
        let before = book.tallies.get(name).copied();
        if before == Some(tally) {
            return;
        }
        if before.is_some_and(|before| before.usage == tally.usage && !tally.settled) {
            // Others look for themselves.
            book.tallies.insert(name.to_vec(), tally);
            return;
        }
        book.write(name, tally, &self.source);
    }

    /// Notes that messages were delivered into a mailbox, which has not seen them yet.
    pub(crate) fn note_delivery(&self, directory: &Path, usage: Usage) {
        let mut book = self.book();
        if book.policy.maildirsize != Maildirsize::Never {
            book.maildirsize.append(Change::adding(usage));
        }
        if directory != self.root {
            book.looked = None;
        }
    }

    /// Notes that a mailbox is gone with all that was in it.
    pub(crate) fn note_removal(&self, directory: &Path) {
        let name = self.name_of(directory);
        let mut book = self.book();
        let Some(gone) = book.tallies.get(name).copied() else {
            book.looked = None;
            return;
        };
        if book.policy.maildirsize != Maildirsize::Never {
            book.maildirsize.append(Change::removing(gone.usage));
        }
        book.write(name, Tally::NOTHING, &self.source);
        book.tallies.remove(name);
    }

    /// Notes that a mailbox has another directory, and so have those below it. Their own directories
    /// keep their times.
    pub(crate) fn note_rename(&self, from: &Path, to: &Path) {
        let (from, to) = (self.name_of(from), self.name_of(to));
        let mut book = self.book();
        let is_moved = |name: &[u8]| {
            let rest = name.strip_prefix(from);
            rest.filter(|rest| rest.is_empty() || rest.starts_with(b"."))
                .map(<[u8]>::to_vec)
        };
        let moved = book.tallies.iter();
        let moved = moved.filter_map(|(name, tally)| Some((name.clone(), is_moved(name)?, *tally)));
        let moved: Vec<_> = moved.collect();
        // First what goes: to a name below itself, one may be the other's.
        for (name, _, _) in &moved {
            book.write(name, Tally::NOTHING, &self.source);
            book.tallies.remove(name);
        }
        for (_, rest, tally) in moved {
            book.write(&[to, &rest].concat(), tally, &self.source);
        }
    }

    /// Has all directories looked at before usage is told again.
    pub(crate) fn doubt(&self) {
        self.book().looked = None;
    }

    /// Forgets all that is known.
    pub(crate) fn forget(&self) -> Result<()> {
        let mut book = self.book();
        book.tallies.clear();
        book.looked = None;
        book.maildirsize.doubt();
        book.records.clear(self.source.random())
    }

    /// Whether the last look at all directories can still be believed. Learns what other processes
    /// have noted.
    pub(super) fn is_fresh(&self) -> bool {
        self.active.store(true, Ordering::Release);
        let mut book = self.book();
        book.learn();
        let now = self.source.wall();
        let interval = book.policy.look_interval;
        book.looked
            .and_then(|looked| now.duration_since(looked).ok())
            .is_some_and(|age| age < interval)
    }

    /// Those of these directories of mailboxes of which it is not certain what they hold. Others are
    /// not there any more.
    pub(super) fn unknown_of<T>(&self, mailboxes: Vec<(T, PathBuf)>) -> Vec<(T, PathBuf)> {
        let mut book = self.book();
        let names = mailboxes
            .iter()
            .map(|(_, path)| self.name_of(path).to_vec());
        let names: BTreeSet<Vec<u8>> = names.collect();
        // Others may have been made since these were listed.
        let is_there = |name: &[u8]| self.root.join(OsStr::from_bytes(name)).is_dir();
        book.tallies
            .retain(|name, _| names.contains(name) || is_there(name));
        let tallies = book.tallies.clone();
        drop(book);
        let is_unknown = |(_, path): &(T, PathBuf)| {
            let tally = tallies.get(self.name_of(path));
            let observed = Observed::now(path).ok();
            !tally
                .zip(observed)
                .is_some_and(|(tally, observed)| tally.holds(observed))
        };
        mailboxes.into_iter().filter(is_unknown).collect()
    }

    /// A mailbox cannot be looked at; what was known of it counts.
    pub(super) fn cannot_look(&self, directory: &Path) {
        let name = self.name_of(directory).to_vec();
        self.book().tallies.entry(name).or_insert(Tally::NOTHING);
    }

    /// All directories have been looked at, from `began` on.
    pub(super) fn note_look(&self, began: SystemTime) {
        let mut book = self.book();
        book.looked = Some(began);
        let own = match book.policy.maildirsize {
            Maildirsize::Never => return,
            Maildirsize::Auto => Own::Neighbours,
            Maildirsize::Always => Own::Ours,
        };
        let (limits, _) = book.limits(&self.root);
        let usage = book.usage();
        book.maildirsize.reconcile(usage, own, limits);
    }

    /// The resource of which more is used than the limit allows, as far as it is known.
    pub(crate) fn exceeded(&self) -> Option<Resource> {
        let mut book = self.book();
        let (limits, _) = book.limits(&self.root);
        limits.exceeded_by(book.usage())
    }

    /// Whether so much more may come, as far as it is known.
    ///
    /// # Errors
    /// [`Error::OverQuota`] if not.
    pub(crate) fn check(&self, wanted: Usage) -> Result<()> {
        self.book().check(&self.root, wanted, Adding::Client)
    }

    /// Admits somebody who adds messages. The account is counted first, if that is due.
    ///
    /// # Errors
    /// [`Error::OverQuota`] if there is no room.
    pub(crate) fn admit(self: &Arc<Self>, wanted: Usage, by: Adding) -> Result<Option<Admission>> {
        if self.limits().0 == Limits::NONE {
            return Ok(None);
        }
        self.count();
        let mut book = self.book();
        book.check(&self.root, wanted, by)?;
        book.admitted = book.admitted.plus(wanted);
        drop(book);
        Ok(Some(Admission {
            ledger: Arc::clone(self),
            usage: wanted,
        }))
    }

    /// The root of the account.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn now(&self) -> SystemTime {
        self.source.wall()
    }

    /// The name under which a mailbox stands in the book.
    fn name_of<'a>(&self, directory: &'a Path) -> &'a [u8] {
        if directory == self.root {
            return b"";
        }
        directory.file_name().map_or(b"", OsStr::as_bytes)
    }

    /// What it tells is checked before it is relied on, so that it is of use even if a thread
    /// panicked while it had it.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn limits(&mut self, root: &Path) -> (Limits, Origin) {
        if let Some(limits) = self.set.current(root) {
            return (limits, Origin::Set);
        }
        if self.policy.limits == Limits::NONE
            && self.policy.maildirsize == Maildirsize::Auto
            && let Some(limits) = self.maildirsize.limits()
        {
            return (limits, Origin::Maildirsize);
        }
        (self.policy.limits, Origin::Policy)
    }

    fn usage(&self) -> Usage {
        let tallies = self.tallies.values();
        tallies.fold(Usage::default(), |all, tally| all.plus(tally.usage))
    }

    /// Whether so much more may come.
    fn check(&mut self, root: &Path, wanted: Usage, by: Adding) -> Result<()> {
        let (mut limits, _) = self.limits(root);
        if by == Adding::Delivery {
            limits.storage = limits.storage.map(|limit| self.policy.grace.over(limit));
        }
        let would = self.usage().plus(self.admitted).plus(wanted);
        // What is not added to may be over its limit.
        let storage = limits.storage.filter(|_| wanted.octets > 0);
        let messages = limits.messages.filter(|_| wanted.messages > 0);
        match (Limits { storage, messages }).exceeded_by(would) {
            Some(resource) => Err(Error::OverQuota(resource)),
            None => Ok(()),
        }
    }

    /// Learns what others have written down.
    fn learn(&mut self) {
        let Self {
            records, tallies, ..
        } = self;
        records.read_new(&mut |name, tally| {
            tallies.insert(name, tally);
        });
    }

    fn write(&mut self, name: &[u8], tally: Tally, source: &Source) {
        self.tallies.insert(name.to_vec(), tally);
        let written = self
            .records
            .write((name, tally), source.random(), &mut self.tallies);
        if let Err(error) = written {
            tracing::debug!(%error, "usage not noted for other processes");
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut book = self.ledger.book();
        book.admitted = book.admitted.less(self.usage);
    }
}
