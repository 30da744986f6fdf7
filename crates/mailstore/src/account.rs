//! An account: the Maildir++ tree of one user.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::mailbox::Mailbox;
use crate::name::{MailboxName, Namespace};
use crate::store::Store;

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
    _file: std::fs::File,
}

impl Account {
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
        todo!("list")
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
        let _ = name;
        todo!("create")
    }

    /// Deletes a mailbox with its messages; its children stay (RFC 3501 §6.3.4).
    ///
    /// # Errors
    /// If it is INBOX, does not exist, or cannot be removed.
    pub fn delete(&self, name: &MailboxName) -> Result<()> {
        let _ = name;
        todo!("delete")
    }

    /// Renames a mailbox and its children; renaming INBOX moves its messages into a new mailbox
    /// and leaves it empty (RFC 3501 §6.3.5).
    ///
    /// # Errors
    /// If the old name does not exist or the new one does.
    pub fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<()> {
        let _ = (from, to);
        todo!("rename")
    }

    /// The names on the subscription list, whether or not they exist (RFC 3501 §6.3.9).
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn subscriptions(&self) -> Result<Vec<MailboxName>> {
        todo!("subscriptions")
    }

    /// Puts a name on the subscription list (RFC 3501 §6.3.6).
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn subscribe(&self, name: &MailboxName) -> Result<()> {
        let _ = name;
        todo!("subscribe")
    }

    /// Takes a name off the subscription list (RFC 3501 §6.3.7). A name that is not on it is no
    /// error.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn unsubscribe(&self, name: &MailboxName) -> Result<()> {
        let _ = name;
        todo!("unsubscribe")
    }

    /// Takes the exclusive lock of the maildrop, without waiting.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) if another session has it.
    pub fn lock_maildrop(&self) -> Result<MaildropLock> {
        todo!("lock_maildrop")
    }
}
