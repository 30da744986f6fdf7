//! An open mailbox, shared by all sessions of the process.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use crate::content::MessageFile;
use crate::deliver::Staged;
use crate::error::Result;
use crate::flag::FlagChange;
use crate::id::{Uid, UidValidity};
use crate::name::MailboxName;
use crate::snapshot::{Message, Snapshot};
use crate::watch::Watch;

/// A mailbox. All methods may be called by many sessions at once; they block on the disk.
#[derive(Debug)]
pub struct Mailbox {
    name: MailboxName,
}

/// A message to append.
#[derive(Debug)]
pub struct Appending {
    /// The bytes, staged in this mailbox ([`Mailbox::stage`]).
    pub staged: Staged,
    /// Its flags, as [`FlagOp::Replace`](crate::FlagOp::Replace).
    pub flags: FlagChange,
    /// Its internal date; the present if not given (RFC 3501 §6.3.11).
    pub internal_date: Option<SystemTime>,
}

/// What [`Mailbox::append`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The new messages' UIDs, in the order given.
    pub uids: Vec<Uid>,
}

/// What [`Mailbox::copy_to`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Source and target UID of each message, ascending.
    pub uids: Vec<(Uid, Uid)>,
}

impl Mailbox {
    /// The mailbox's name when it was opened.
    pub fn name(&self) -> &MailboxName {
        &self.name
    }

    /// The newest snapshot known to this process; no I/O.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        todo!()
    }

    /// Looks at what other programs and processes did, and gives the newest snapshot. Costs two or
    /// three `stat` calls if nothing happened.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound) if the mailbox has been deleted.
    pub fn refresh(&self) -> Result<Arc<Snapshot>> {
        todo!()
    }

    /// Moves messages from `new/` to `cur/` and claims for the caller all messages that nobody
    /// has claimed as `\Recent` yet (RFC 3501 §2.3.2): at SELECT and when new messages are
    /// noticed, never for EXAMINE or STATUS. Gives the claimed UID range, possibly empty.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn claim_recent(&self) -> Result<Range<u32>> {
        todo!()
    }

    /// Opens a message's file, wherever it is by now.
    ///
    /// # Errors
    /// [`Error::Expunged`](crate::Error::Expunged) if its bytes are gone.
    pub fn read(&self, message: Message<'_>) -> Result<MessageFile> {
        let _ = message;
        todo!()
    }

    /// The message's size in CRLF form (RFC822.SIZE); reads the file once if it is not known yet,
    /// and remembers it.
    ///
    /// # Errors
    /// [`Error::Expunged`](crate::Error::Expunged) if its bytes are gone.
    pub fn rfc822_size(&self, message: Message<'_>) -> Result<u64> {
        let _ = message;
        todo!()
    }

    /// The message's internal date in seconds since 1970; asks the file system once if it is not
    /// known yet, and remembers it.
    ///
    /// # Errors
    /// [`Error::Expunged`](crate::Error::Expunged) if its file is gone.
    pub fn internal_date(&self, message: Message<'_>) -> Result<i64> {
        let _ = message;
        todo!()
    }

    /// Remembers a size that the caller has learned by reading the whole message.
    pub fn note_rfc822_size(&self, uid: Uid, octets: u64) {
        let _ = (uid, octets);
        todo!()
    }

    /// Changes the flags of messages; UIDs that are gone are ignored. All or nothing for new
    /// keywords: if there is no room for one, nothing changes.
    ///
    /// # Errors
    /// If a file cannot be renamed for lack of space or permission, or
    /// [`Error::Limit`](crate::Error::Limit) for a keyword too many.
    pub fn store_flags(&self, uids: &[Uid], change: &FlagChange) -> Result<Arc<Snapshot>> {
        let _ = (uids, change);
        todo!()
    }

    /// Removes messages for good; UIDs that are gone are ignored.
    ///
    /// # Errors
    /// If a file cannot be removed. Those removed before stay removed.
    pub fn expunge(&self, uids: &[Uid]) -> Result<Arc<Snapshot>> {
        let _ = uids;
        todo!()
    }

    /// Copies messages with flags, keywords and internal dates (RFC 3501 §6.4.7): all or nothing.
    /// The target may be this mailbox.
    ///
    /// # Errors
    /// [`Error::Expunged`](crate::Error::Expunged) if one of them is gone; or as for
    /// [`append`](Self::append).
    pub fn copy_to(&self, uids: &[Uid], target: &Self) -> Result<Copied> {
        let _ = (uids, target);
        todo!()
    }

    /// Starts a new message in `tmp/`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn stage(&self) -> Result<Staged> {
        todo!()
    }

    /// Adds staged messages: all or nothing, durable when this returns.
    ///
    /// # Errors
    /// [`Error::NoSpace`](crate::Error::NoSpace) and the like; then nothing was added.
    pub fn append(&self, messages: Vec<Appending>) -> Result<Appended> {
        let _ = messages;
        todo!()
    }

    /// Calls `waker` after every change from now on, until the [`Watch`] is dropped.
    pub fn watch(self: &Arc<Self>, waker: Waker) -> Watch {
        let _ = waker;
        todo!()
    }
}
