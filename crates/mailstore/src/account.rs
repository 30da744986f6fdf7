//! An account: the Maildir++ tree of one user.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::lock::FileLock;
use crate::mailbox::Mailbox;
use crate::name::{MailboxName, Namespace};
use crate::store::Store;
use crate::subscriptions::{self, Change};
use crate::tree::Tree;

/// One user's Maildir++ tree.
#[derive(Clone, Debug)]
pub struct Account {
    store: Arc<Store>,
    root: Arc<Path>,
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
    _lock: FileLock,
}

impl Account {
    /// The account in `root`, which is made, with an INBOX in it, if it is not there.
    pub(crate) fn new(store: Arc<Store>, root: &Path) -> Result<Self> {
        Tree::new(root, store.options()).make_inbox()?;
        Ok(Self {
            store,
            root: root.into(),
        })
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

    /// Opens a mailbox, reading its directory. INBOX is made if it is not there.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if it does not exist.
    pub fn open(&self, name: &MailboxName) -> Result<Arc<Mailbox>> {
        let _ = name;
        todo!("open")
    }

    /// Creates a mailbox with a UIDVALIDITY that no mailbox of this account had before; its
    /// missing parents become visible as non-existing names (RFC 3501 §6.3.3).
    ///
    /// # Errors
    /// If it exists or cannot be made.
    pub fn create(&self, name: &MailboxName) -> Result<()> {
        self.tree().create(name, |_directory| Ok(()))
    }

    /// Deletes a mailbox with its messages; its children stay (RFC 3501 §6.3.4).
    ///
    /// # Errors
    /// If it is INBOX, does not exist, or cannot be removed.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        self.tree().delete(name, |_directory| {})
    }

    /// Renames a mailbox and its children; renaming INBOX moves its messages into a new mailbox
    /// and leaves it empty (RFC 3501 §6.3.5).
    ///
    /// # Errors
    /// If the old name does not exist or the new one does.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        self.tree().rename(from, to, |_directory| {})
    }

    /// The names on the subscription list, whether or not they exist (RFC 3501 §6.3.9).
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        subscriptions::load(&self.root, self.namespace())
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

    /// Takes the exclusive lock of the maildrop, without waiting.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) if another session has it.
    pub fn lock_maildrop(&self) -> Result<MaildropLock> {
        let path = self.root.join(MAILDROP_LOCK);
        let lock = FileLock::acquire(&path, Duration::ZERO)?;
        Ok(MaildropLock { _lock: lock })
    }

    fn change_subscriptions(&self, name: &MailboxName, change: Change) -> Result<()> {
        let timeout = self.store.options().lock_timeout;
        subscriptions::change(&self.root, self.namespace(), name, change, timeout)
    }

    fn tree(&self) -> Tree<'_> {
        Tree::new(&self.root, self.store.options())
    }
}

/// Only ever locked; in the root.
const MAILDROP_LOCK: &str = "pillarbox.maildrop.lock";
