//! Watching an account: which mailboxes there are, and which names are subscribed.
//!
//! All sessions that watch one account share a [`Roster`]: what was there when it was last looked
//! at, and a log of what has changed since. Each has its own place in the log. Whoever comes first
//! after something may have changed looks, under the lock that renames take, so that nobody sees
//! half of one.
//!
//! Three say that something may have changed: this process when it makes, removes, renames or
//! subscribes; the kernel, of the root directory, for other processes and programs; and
//! [`Store::poll`](crate::Store::poll), where the kernel does not watch.
//!
//! A renamed mailbox is known again by its directory. What happens to one name between two looks is
//! told as it comes out at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use super::hanging::Hanging;
use super::notices::WatchNumber;
use crate::attached;
use crate::attached::annotations::Place;
use crate::error::Result;
use crate::file_system::Reach;
use crate::name::MailboxName;
use crate::store::Environment;
use crate::subscriptions;
use crate::tree::{Identity, Tree};

/// A change of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountChange {
    /// A mailbox was made.
    Created(MailboxName),
    /// A mailbox was removed.
    Deleted(MailboxName),
    /// A mailbox was renamed. Its inferiors have changes of their own, after this one.
    Renamed {
        /// The name it had.
        from: MailboxName,
        /// The name it has.
        to: MailboxName,
    },
    /// A name was put on the subscription list.
    Subscribed(MailboxName),
    /// A name was taken off the subscription list.
    Unsubscribed(MailboxName),
    /// Entries of a mailbox, or of the account itself, were set or removed.
    Annotated(Place, Vec<String>),
    /// A mailbox has other special uses.
    SpecialUses(MailboxName),
}

/// A session's interest in an account; ends when dropped. Its waker is called when there may be
/// something new.
pub struct AccountWatch {
    roster: Arc<Roster>,
    id: u64,
    /// How much of the log this session has seen.
    seen: u64,
}

/// What the sessions that watch one account share.
#[derive(Debug)]
pub(crate) struct Roster {
    root: PathBuf,
    environment: Arc<Environment>,
    reach: Reach,
    /// Something may have changed since the last look began.
    unseen: AtomicBool,
    known: Mutex<Known>,
    wakers: Mutex<Wakers>,
    kernel: Mutex<Kernel>,
}

/// What there was at the last look, and what has changed before it.
#[derive(Debug, Default)]
struct Known {
    has_looked: bool,
    census: BTreeMap<MailboxName, Identity>,
    subscribed: BTreeSet<MailboxName>,
    attached: Hanging,
    log: VecDeque<AccountChange>,
    /// How many changes are not in the log any more.
    forgotten: u64,
    /// The times that still hold if nothing has changed since; none if they were too young.
    settled: Option<Times>,
}

/// When entries of the root, and its files, were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times([Option<SystemTime>; 5]);

#[derive(Debug, Default)]
struct Wakers {
    next: u64,
    wakers: Vec<(u64, Waker)>,
}

/// Whether the kernel watches the root.
#[derive(Clone, Copy, Debug, Default)]
enum Kernel {
    /// Not yet, or it has lost it.
    #[default]
    Unasked,
    /// By this number.
    Watches(WatchNumber),
    /// It has no room for more.
    Refused,
}

impl AccountWatch {
    /// Begins to watch; what is there now is known.
    pub(crate) fn begin(roster: Arc<Roster>, waker: Waker) -> Result<Self> {
        let mut wakers = roster.wakers();
        let id = wakers.next;
        wakers.next += 1;
        wakers.wakers.push((id, waker));
        drop(wakers);
        let mut watch = Self {
            roster,
            id,
            seen: 0,
        };
        watch.roster.unseen.store(true, Ordering::SeqCst);
        watch.roster.look_if_unseen()?;
        watch.seen = watch.roster.known().end();
        Ok(watch)
    }

    /// What has changed since this was last asked, in an order in which it could have happened;
    /// `None` if that is more than is remembered for a session that does not ask.
    ///
    /// # Errors
    /// If the account cannot be looked at now; what has changed is told the next time.
    pub fn changes(&mut self) -> Result<Option<Vec<AccountChange>>> {
        self.roster.look_if_unseen()?;
        let known = self.roster.known();
        let seen = std::mem::replace(&mut self.seen, known.end());
        let skipped = seen.checked_sub(known.forgotten);
        Ok(skipped.map(|skipped| {
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            known.log.iter().skip(skipped).cloned().collect()
        }))
    }

    /// Has [`changes`](Self::changes) look at the account even if nobody has told of a change: when
    /// a mailbox turns out not to be what it was.
    pub fn doubt(&self) {
        self.roster.note();
    }

    /// The mailboxes at the last look, INBOX first.
    pub fn mailboxes(&self) -> Vec<MailboxName> {
        let known = self.roster.known();
        let others = known.census.keys().cloned();
        [MailboxName::inbox()].into_iter().chain(others).collect()
    }

    /// The subscription list at the last look.
    pub fn subscriptions(&self) -> BTreeSet<MailboxName> {
        self.roster.known().subscribed.clone()
    }
}

impl fmt::Debug for AccountWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountWatch({})", self.roster.root.display())
    }
}

impl Drop for AccountWatch {
    fn drop(&mut self) {
        self.roster.wakers().wakers.retain(|(id, _)| *id != self.id);
    }
}

impl Roster {
    pub(crate) fn new(root: PathBuf, environment: Arc<Environment>) -> Arc<Self> {
        Arc::new(Self {
            reach: Reach::of(&root),
            root,
            environment,
            unseen: AtomicBool::new(true),
            known: Mutex::default(),
            wakers: Mutex::default(),
            kernel: Mutex::default(),
        })
    }

    /// Notes that something may have changed; `false` if that is known already.
    pub(super) fn note(&self) -> bool {
        !self.unseen.swap(true, Ordering::SeqCst)
    }

    /// Notes that something has changed, and wakes the sessions.
    pub(crate) fn tell(&self) {
        self.note();
        self.wake();
    }

    /// Notes that the root is not where it was.
    pub(super) fn lose(&self) {
        *self.kernel() = Kernel::Unasked;
    }

    /// Wakes the sessions.
    pub(super) fn wake(&self) {
        let wakers: Vec<Waker> = {
            let inner = self.wakers();
            inner
                .wakers
                .iter()
                .map(|(_, waker)| waker.clone())
                .collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Looks if the kernel does not, and wakes the sessions if something is new.
    pub(crate) fn poll(self: &Arc<Self>) {
        if self.is_quiet() {
            return;
        }
        let known = self.known();
        if known.settled.is_some() && known.settled == self.times() {
            return;
        }
        let before = known.end();
        drop(known);
        self.note();
        match self.look_if_unseen() {
            Ok(()) if self.known().end() == before => {}
            Ok(()) => self.wake(),
            Err(error) => {
                tracing::warn!(root = %self.root.display(), %error, "account not looked at");
            }
        }
    }

    /// Whether the kernel would tell if there were anything to see, and there is nothing.
    fn is_quiet(&self) -> bool {
        let watches = matches!(*self.kernel(), Kernel::Watches(_));
        let open = self.environment.notices();
        watches && open.is_some_and(|it| it.is_open()) && !self.unseen.load(Ordering::SeqCst)
    }

    /// Looks at the account unless nothing can have changed.
    fn look_if_unseen(self: &Arc<Self>) -> Result<()> {
        let mut known = self.known();
        self.begin_notices();
        if !self.unseen.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let looked = self.look(&mut known);
        if looked.is_err() {
            self.note();
        }
        looked
    }

    fn look(&self, known: &mut Known) -> Result<()> {
        let options = &self.environment.options;
        let began = options.source.wall();
        let times = self.times();
        let tree = Tree::new(&self.root, options);
        let census = tree.census()?;
        let subscribed = match subscriptions::load(&self.root, &options.namespace) {
            Ok(subscribed) => subscribed.into_iter().collect(),
            // Whoever asks for the list is told.
            Err(error) => {
                tracing::debug!(root = %self.root.display(), %error, "subscriptions not read");
                known.subscribed.clone()
            }
        };
        let special = &self.environment.special;
        let attached = Hanging::look(&tree.attached(), special, &census, &known.attached);
        known.learn(census, subscribed, attached);
        let guard = self.reach.guard(options.mtime_guard);
        known.settled = times.filter(|times| times.are_older(began, guard));
        Ok(())
    }

    /// The times as they are now, if there is a root.
    fn times(&self) -> Option<Times> {
        let modified = |path: &Path| path.symlink_metadata().and_then(|it| it.modified()).ok();
        let root = modified(&self.root)?;
        let of = |name: &str| modified(&self.root.join(name));
        let [ours, couriers] = subscriptions::LISTS.map(of);
        let [uses, annotations] = attached::FILES.map(of);
        Some(Times([Some(root), ours, couriers, uses, annotations]))
    }

    /// Has the kernel watch the root, where it can.
    fn begin_notices(self: &Arc<Self>) {
        let Some(shared) = self.environment.notices() else {
            return;
        };
        let mut kernel = self.kernel();
        let is_asked = !matches!(*kernel, Kernel::Unasked);
        if is_asked || self.reach == Reach::Remote || !shared.is_open() {
            return;
        }
        match shared.watch_root(&self.root, self) {
            Ok(number) => {
                *kernel = Kernel::Watches(number);
                self.note();
            }
            // The look itself will tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                *kernel = Kernel::Refused;
                shared.warn(&error);
            }
        }
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whole even if a thread panicked while it had it: it is replaced in one step.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        let kernel = *self.kernel();
        if let (Kernel::Watches(number), Some(shared)) = (kernel, self.environment.notices()) {
            shared.unwatch_root(number);
        }
    }
}

impl Times {
    /// Whether a change after a look that began then would show.
    fn are_older(&self, began: SystemTime, guard: Duration) -> bool {
        let mut times = self.0.iter().flatten();
        times.all(|time| began.duration_since(*time).is_ok_and(|age| age > guard))
    }
}

impl Known {
    /// How many changes there have been.
    fn end(&self) -> u64 {
        self.forgotten + u64::try_from(self.log.len()).unwrap_or(u64::MAX)
    }

    /// Takes in what there is now.
    fn learn(
        &mut self,
        census: BTreeMap<MailboxName, Identity>,
        subscribed: BTreeSet<MailboxName>,
        attached: Hanging,
    ) {
        if self.has_looked {
            let mut changes = changes(&self.census, &census);
            let mut before = std::mem::take(&mut self.attached);
            before.rename(&changes);
            changes.extend(attached.changes(&before, &census));
            let gone = self.subscribed.difference(&subscribed).cloned();
            changes.extend(gone.map(AccountChange::Unsubscribed));
            let new = subscribed.difference(&self.subscribed).cloned();
            changes.extend(new.map(AccountChange::Subscribed));
            self.log.extend(changes);
        }
        while self.log.len() > MOST_CHANGES {
            self.log.pop_front();
            self.forgotten += 1;
        }
        self.has_looked = true;
        self.census = census;
        self.subscribed = subscribed;
        self.attached = attached;
    }
}

/// What has happened to mailboxes: first what has freed names, then what has taken them.
fn changes(
    old: &BTreeMap<MailboxName, Identity>,
    new: &BTreeMap<MailboxName, Identity>,
) -> Vec<AccountChange> {
    let gone = old.iter().filter(|(name, id)| new.get(*name) != Some(*id));
    let mut gone: HashMap<Identity, &MailboxName> = gone.map(|(name, id)| (*id, name)).collect();
    let (mut renamed, mut created) = (Vec::new(), Vec::new());
    for (name, id) in new.iter().filter(|(name, id)| old.get(*name) != Some(*id)) {
        match gone.remove(id) {
            Some(from) => renamed.push(AccountChange::Renamed {
                from: from.clone(),
                to: name.clone(),
            }),
            None => created.push(AccountChange::Created(name.clone())),
        }
    }
    let mut deleted: Vec<&MailboxName> = gone.into_values().collect();
    deleted.sort();
    let deleted = deleted.into_iter().cloned().map(AccountChange::Deleted);
    deleted.chain(renamed).chain(created).collect()
}

/// How many changes are remembered for sessions that do not ask.
const MOST_CHANGES: usize = 1024;
