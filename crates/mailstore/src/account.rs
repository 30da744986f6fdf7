//! An account: the Maildir++ tree of one user.

mod attaching;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::acl::{Acl, Rights, Who};
use crate::error::{Error, Result};
use crate::file_system::is_read_only;
use crate::foreign::Exported;
use crate::lock::FileLock;
use crate::mailbox::{Again, Mailbox};
use crate::name::{MailboxName, Namespace};
use crate::quota::{Counting, Ledger, Limits, Origin, Policy, Resource, Usage};
use crate::special::SpecialUses;
use crate::store::Store;
use crate::subscriptions::{self, Change};
use crate::tree::Tree;
use crate::uid_validity;
use crate::watch::AccountWatch;
pub use attaching::{AnnotateError, Annotation, AnnotationLimits};

/// One user's Maildir++ tree.
#[derive(Clone, Debug)]
pub struct Account {
    store: Arc<Store>,
    root: Arc<Path>,
    ledger: Arc<Ledger>,
}

/// A name in the listing of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The mailbox.
    pub name: MailboxName,
    /// Whether it exists; else it is only the parent of mailboxes that do (`\Noselect`).
    pub selectable: bool,
}

/// The exclusive lock on a maildrop (RFC 1939 §4), held by the kernel and gone with its holder.
#[derive(Debug)]
pub struct MaildropLock {
    _lock: Option<FileLock>,
}

impl Account {
    /// The account in `root`, which is made, with an INBOX in it, if it is not there.
    pub(crate) fn new(store: Arc<Store>, root: &Path) -> Result<Self> {
        Tree::new(root, store.options()).make_inbox()?;
        let ledger = store.ledger(root);
        // Who logs in is told what is there now, whoever had the tree before.
        ledger.doubt();
        Ok(Self {
            store,
            root: root.into(),
            ledger,
        })
    }

    /// The account of a ledger.
    pub(crate) fn of_ledger(store: Arc<Store>, ledger: &Arc<Ledger>) -> Self {
        Self {
            store,
            root: ledger.root().into(),
            ledger: Arc::clone(ledger),
        }
    }

    /// How names look to clients.
    pub fn namespace(&self) -> &Namespace {
        &self.store.options().namespace
    }

    /// The root directory, which is INBOX.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every mailbox, and every non-existing parent of one, sorted by name with INBOX first.
    ///
    /// # Errors
    /// If the root cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>> {
        self.tree().list()
    }

    /// The mailbox that is meant by a name: the one of this very name if it exists. Otherwise it is
    /// the one whose name is the same in normalization form C, or that form itself (RFC 9051 §5.1);
    /// levels above it that exist are found in the same way.
    ///
    /// So mailboxes stay within reach that other programs named otherwise, and no mailbox is made
    /// beside another that looks alike.
    ///
    /// # Errors
    /// If the account cannot be read, or the name is too long in that form.
    pub fn resolve(&self, name: MailboxName) -> Result<MailboxName> {
        let wanted = self.in_form_c(name)?;
        if wanted.as_str().is_ascii() || self.tree().directory(&wanted)?.is_some() {
            return Ok(wanted);
        }
        let entries = self.list()?;
        let levels = |name: &MailboxName| name.levels().count();
        let nearest = entries
            .iter()
            .filter(|entry| !entry.name.as_str().is_ascii())
            .filter_map(|entry| {
                Some((
                    wanted.rebased(&entry.name.normalized(), &entry.name)?,
                    entry,
                ))
            })
            // Of names that look alike, the one that is in form C.
            .max_by_key(|(found, entry)| (levels(&entry.name), *found == wanted));
        let found = nearest.map_or(wanted, |(found, _)| found);
        self.namespace().check(&found)?;
        Ok(found)
    }

    /// A name as it is if there is such a mailbox, else in normalization form C: what
    /// [`resolve`](Self::resolve) finds without a look at all other names.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn in_form_c(&self, name: MailboxName) -> Result<MailboxName> {
        if name.as_str().is_ascii() || self.tree().directory(&name)?.is_some() {
            return Ok(name);
        }
        let name = name.normalized();
        self.namespace().check(&name)?;
        Ok(name)
    }

    /// Opens a mailbox, looking at what others did to it as [`Mailbox::refresh`] does: its snapshot
    /// is up to date. INBOX is made if it is not there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist.
    pub fn open(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let mailbox = self.open_unkept(name)?;
        mailbox.keep(&self.ledger);
        Ok(mailbox)
    }

    fn open_unkept(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let tree = self.tree();
        // One that is in memory looks for itself whether its directories are there.
        if let Some(directory) = tree.directory(name)?
            && let Some(mailbox) = self.store.open_again(&directory)?
        {
            return Ok(mailbox);
        }
        let directory = tree.existing(name)?;
        self.store
            .open_mailbox(&self.root, &directory, name.clone())
    }

    /// Whether a mailbox is in memory already, so that opening it costs little.
    pub fn is_in_memory(&self, name: &MailboxName) -> bool {
        self.store.is_registered(&self.tree().path(name))
    }

    /// Indexes a mailbox anew under a new UIDVALIDITY, whatever its index or another server's list
    /// says: clients download it again. Sessions that have it open lose it.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist.
    pub fn rebuild(&self, name: &MailboxName) -> Result<()> {
        self.index_again(name, Again::Anew)
    }

    /// Takes over another server's list of UIDs again, as opening does when the list has changed.
    /// If its UIDVALIDITY is another one, the mailbox has that from now on, and sessions that have
    /// it open lose it.
    ///
    /// # Errors
    /// [`Error::Takeover`] if there is no list, or if it is damaged or out of date.
    pub fn import(&self, name: &MailboxName) -> Result<()> {
        self.index_again(name, Again::FromList)
    }

    /// What somebody may do with a mailbox. Where its list of rights is of no use, only the owner
    /// anything, and the log says so.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist.
    pub fn rights(&self, name: &MailboxName, who: Who<'_>) -> Result<Rights> {
        let directory = self.tree().directory(name)?.ok_or(Error::NotFound)?;
        Ok(Acl::rights_in(&directory, who))
    }

    /// The list of rights of a mailbox.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Corrupt`] if its list is damaged.
    pub fn acl(&self, name: &MailboxName) -> Result<Acl> {
        let directory = self.tree().directory(name)?.ok_or(Error::NotFound)?;
        Acl::load(&directory)
    }

    /// Changes the list of rights of a mailbox, durably, and gives it as it is then.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it does not exist, [`Error::Corrupt`] if its list is damaged, and what
    /// `change` says; then nothing is changed.
    pub fn change_acl(
        &self,
        name: &MailboxName,
        change: impl FnOnce(&mut Acl) -> Result<()>,
    ) -> Result<Acl> {
        self.tree().change_acl(name, change)
    }

    /// Creates a mailbox with a UIDVALIDITY that no mailbox of this account had before, and with
    /// the rights of the nearest mailbox above it; its missing parents become visible as
    /// non-existing names (RFC 3501 §6.3.3, RFC 4314 §4).
    ///
    /// # Errors
    /// If it exists or cannot be made.
    pub fn create(&self, name: &MailboxName) -> Result<()> {
        self.create_special(name, SpecialUses::NONE)
    }

    /// The nearest mailbox above a name that exists.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn nearest_above(&self, name: &MailboxName) -> Result<Option<MailboxName>> {
        let nearest = self.tree().nearest(name.parent())?;
        Ok(nearest.map(|(name, _)| name))
    }

    /// Deletes a mailbox with its messages; its children stay (RFC 3501 §6.3.4).
    ///
    /// # Errors
    /// If it is INBOX, does not exist, or cannot be removed.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        let tree = self.tree();
        let forget = |directory: &Path| {
            self.store.forget(directory);
            self.note_removal(directory);
            tree.attached().end(name);
        };
        self.changed(tree.delete(name, forget))
    }

    /// Renames a mailbox and its children; renaming INBOX moves its messages into a new mailbox
    /// and leaves it empty (RFC 3501 §6.3.5).
    ///
    /// # Errors
    /// If the old name does not exist or the new one does.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        if from.is_inbox() {
            return self.move_inbox(to);
        }
        let forget = |directory: &Path| self.store.forget(directory);
        let special = self.store.special_names();
        let renamed = self.tree().rename(from, to, special, forget);
        if self.ledger.is_active() && renamed.is_ok() {
            let tree = self.tree();
            self.ledger.note_rename(&tree.path(from), &tree.path(to));
        }
        self.ledger.doubt();
        self.changed(renamed)
    }

    /// The names on the subscription list, whether or not they exist (RFC 3501 §6.3.9).
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        subscriptions::load(&self.root, self.namespace())
    }

    /// The account in another root of the same store, if it is there; nothing is made.
    pub fn neighbor(&self, root: &Path) -> Option<Self> {
        root.is_dir().then(|| Self {
            store: Arc::clone(&self.store),
            root: root.into(),
            ledger: self.store.ledger(root),
        })
    }

    /// The names on the subscription list by their levels, also those that are no mailboxes of this
    /// account.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn subscribed_levels(&self) -> Result<Vec<Vec<String>>> {
        subscriptions::load_levels(&self.root, self.namespace())
    }

    /// Puts a name on the subscription list that is no mailbox of this account.
    ///
    /// # Errors
    /// If the list cannot be written, or cannot hold the name.
    pub fn subscribe_levels(&self, levels: &[String]) -> Result<()> {
        self.change_subscribed_levels(levels, Change::Subscribe)
    }

    /// Takes such a name off the subscription list.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn unsubscribe_levels(&self, levels: &[String]) -> Result<()> {
        self.change_subscribed_levels(levels, Change::Unsubscribe)
    }

    fn change_subscribed_levels(&self, levels: &[String], change: Change) -> Result<()> {
        let (namespace, timeout) = (self.namespace(), self.store.options().lock_timeout);
        let root = &self.root;
        self.changed(subscriptions::change_levels(
            root, namespace, levels, change, timeout,
        ))
    }

    /// Puts a name on the subscription list (RFC 3501 §6.3.6).
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn subscribe(&self, name: &MailboxName) -> Result<()> {
        self.change_subscriptions(name, Change::Subscribe)
    }

    /// Takes a name off the subscription list (RFC 3501 §6.3.7). A name that is not on it is no
    /// error.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn unsubscribe(&self, name: &MailboxName) -> Result<()> {
        self.change_subscriptions(name, Change::Unsubscribe)
    }

    /// Calls `waker` after every change of the mailboxes there are, and of the subscription list,
    /// until the [`AccountWatch`] is dropped, which tells what has changed since this call.
    ///
    /// # Errors
    /// If the account cannot be read.
    pub fn watch(&self, waker: Waker) -> Result<AccountWatch> {
        AccountWatch::begin(self.store.roster(&self.root), waker)
    }

    /// Writes what Dovecot needs to serve a mailbox as we do: its list of UIDs, the names of the
    /// keyword letters, and for the account the subscriptions. The mailbox may be in use; what is stored in it later is not on the
    /// list.
    ///
    /// # Errors
    /// If it does not exist, or a file cannot be written.
    pub fn export(&self, name: &MailboxName) -> Result<Exported> {
        let exported = self.open(name)?.export()?;
        uid_validity::raise_foreign(&self.root, exported.uid_validity)?;
        subscriptions::adopt(&self.root, self.store.options().lock_timeout)?;
        Ok(exported)
    }

    /// Decides how much it may hold, for all who use it in this process.
    pub fn set_policy(&self, policy: Policy) {
        self.ledger.set_policy(policy);
    }

    /// How much it may hold, and who says so.
    pub fn limits(&self) -> (Limits, Origin) {
        self.ledger.limits()
    }

    /// Sets limits that hold from now on, whatever the policy says (RFC 9208 §4.1.3); durably.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn set_limits(&self, limits: Limits) -> Result<()> {
        self.ledger.set_limits(limits)
    }

    /// Counts what it takes up, a slice of the work at a time; `None` if there is more to do.
    ///
    /// # Errors
    /// If the mailboxes cannot be listed.
    pub fn count(&self, counting: &mut Counting) -> Result<Option<Usage>> {
        counting.step(self, &self.ledger)
    }

    /// Counts what it takes up from the messages that there are, without believing what is known.
    ///
    /// # Errors
    /// If the mailboxes cannot be listed.
    pub fn recount(&self) -> Result<Usage> {
        self.ledger.forget()?;
        let mut counting = Counting::default();
        loop {
            if let Some(usage) = self.count(&mut counting)? {
                return Ok(usage);
            }
        }
    }

    /// Whether there is room for so much more, by the last count.
    ///
    /// # Errors
    /// [`Error::OverQuota`] if not.
    pub fn check_room(&self, wanted: Usage) -> Result<()> {
        self.ledger.check(wanted)
    }

    /// The resource of which it has more than it may, by the last count.
    pub fn exceeded(&self) -> Option<Resource> {
        self.ledger.exceeded()
    }

    /// Its mailboxes with their directories.
    pub(crate) fn directories(&self) -> Result<Vec<(MailboxName, PathBuf)>> {
        let tree = self.tree();
        let entries = tree.list()?.into_iter().filter(|entry| entry.selectable);
        let directory = |entry: Entry| {
            let path = tree.path(&entry.name);
            (entry.name, path)
        };
        Ok(entries.map(directory).collect())
    }

    /// A mailbox is gone.
    fn note_removal(&self, directory: &Path) {
        if self.ledger.is_active() {
            self.ledger.note_removal(directory);
        }
    }

    /// Takes the exclusive lock of the maildrop, without waiting. On a read-only file system, where
    /// nobody can remove anything, it can be had without a file to lock.
    ///
    /// # Errors
    /// [`Error::Locked`] if another session has it.
    pub fn lock_maildrop(&self) -> Result<MaildropLock> {
        let path = self.root.join(MAILDROP_LOCK);
        let lock = match FileLock::acquire(&path, Duration::ZERO) {
            Err(Error::NoPermission { .. }) if is_read_only(&self.root) => {
                FileLock::acquire_read_only(&path, Duration::ZERO)?
            }
            acquired => Some(acquired?),
        };
        Ok(MaildropLock { _lock: lock })
    }

    /// RENAME of INBOX: its messages go to a new mailbox, it stays itself (RFC 3501 §6.3.5). A
    /// failure loses no message; some may have moved, or be in both.
    fn move_inbox(&self, to: &MailboxName) -> Result<()> {
        if to.is_inbox() {
            return Err(Error::Exists);
        }
        self.create(to)?;
        let target = self.open(to)?;
        self.copy_annotations(&MailboxName::inbox(), to);
        let inbox = self.open(&MailboxName::inbox());
        let moved = inbox.and_then(|inbox| move_all(&inbox, &target));
        if moved.is_err() && target.refresh().is_ok_and(|snapshot| snapshot.is_empty()) {
            self.delete(to)?;
        }
        moved
    }

    fn index_again(&self, name: &MailboxName, again: Again) -> Result<()> {
        let directory = self.tree().existing(name)?;
        let store = &self.store;
        store.index_again(&self.root, &directory, name.clone(), again)
    }

    fn change_subscriptions(&self, name: &MailboxName, change: Change) -> Result<()> {
        let timeout = self.store.options().lock_timeout;
        let changed = subscriptions::change(&self.root, self.namespace(), name, change, timeout);
        self.changed(changed)
    }

    /// Tells those who watch the account, also if not all was done.
    fn changed(&self, result: Result<()>) -> Result<()> {
        self.store.account_changed(&self.root);
        result
    }

    fn tree(&self) -> Tree<'_> {
        Tree::new(&self.root, self.store.options())
    }
}

/// Moves all messages. One that another session expunges meanwhile is left out.
fn move_all(source: &Mailbox, target: &Mailbox) -> Result<()> {
    for _ in 0..MAX_ATTEMPTS {
        match source.move_all_to(target) {
            Err(Error::Expunged) => {}
            moved => return moved,
        }
    }
    Err(Error::Locked)
}

/// How often RENAME of INBOX starts again because a message went away.
const MAX_ATTEMPTS: u32 = 10;
/// Only ever locked; in the root.
const MAILDROP_LOCK: &str = "pillarbox.maildrop.lock";

#[cfg(test)]
mod tests;
