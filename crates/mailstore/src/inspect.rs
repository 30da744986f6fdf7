//! Looking at mailboxes without changing anything: what an index says, and whether it is true.
//!
//! Nothing here makes, writes or touches a file, so it is right on a tree that another server
//! serves, on a read-only one, and for a user who must not own what is made there. A lock is taken
//! only for reading, and only on a lock file that exists.

mod listing;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Result;
use crate::id::ModSeq;
use crate::id::Uid;
use crate::index::{Index, Refreshed, State};
use crate::lock::FileLock;
use crate::mailbox::LOCK;
use crate::name::{MailboxName, Namespace};
use crate::snapshot::{Message, Snapshot};

pub use listing::{Listed, Listing, is_maildir, list};
pub use verify::{Finding, Sizes, Verification, verify};

/// The index of a mailbox as it is on the disk.
#[derive(Debug)]
pub struct Inspection {
    directory: PathBuf,
    state: State,
    octets: u64,
    tail: bool,
}

/// UIDs that were expunged in one change (RFC 7162 §3.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VanishedUids {
    /// The first.
    pub first: Uid,
    /// The last.
    pub last: Uid,
    /// The mod-sequence of the change.
    pub mod_seq: ModSeq,
}

/// What the index says about the file of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDetails<'a> {
    /// Its directory in the mailbox: `cur` or `new`.
    pub place: &'static str,
    /// Its name in that directory.
    pub name: &'a [u8],
    /// When it was saved in this mailbox in seconds since 1970, if that is known.
    pub saved: Option<u32>,
}

impl Inspection {
    /// Reads the index of the mailbox in `directory`. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it is damaged.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let Some((index, refreshed)) = Index::load(directory)? else {
            return Ok(None);
        };
        let octets = std::fs::symlink_metadata(Index::path_in(directory));
        Ok(Some(Self {
            directory: directory.to_owned(),
            state: index.state,
            octets: octets.map_or(0, |metadata| metadata.len()),
            tail: refreshed == Refreshed::Tail,
        }))
    }

    /// The directory of the mailbox.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The messages, the keywords and the numbers of the mailbox.
    pub fn snapshot(&self) -> &Snapshot {
        &self.state.snapshot
    }

    /// The number that no other mailbox has, kept over renames (RFC 8474 §4.1).
    pub fn mailbox_id(&self) -> u128 {
        self.state.snapshot.mailbox_id()
    }

    /// The UIDs that were expunged, oldest change first, as far as they are remembered.
    pub fn vanished(&self) -> impl Iterator<Item = VanishedUids> {
        let ranges = self.state.snapshot.vanished().ranges();
        ranges.map(|range| VanishedUids {
            first: range.first,
            last: range.last,
            mod_seq: range.mod_seq,
        })
    }

    /// Up to this mod-sequence, expunged UIDs may have been forgotten; 0 if none was.
    pub fn vanished_floor(&self) -> u64 {
        self.state.snapshot.vanished().floor()
    }

    /// The size of the index file in octets.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Whether there are octets after what can be read: being written, or left by a crash. The
    /// next writer removes them.
    pub fn has_tail(&self) -> bool {
        self.tail
    }

    /// What the index says about the file of one of its messages.
    pub fn file<'a>(&self, message: Message<'a>) -> FileDetails<'a> {
        FileDetails {
            place: message.place().directory(),
            name: message.file_name(),
            saved: Some(message.saved()).filter(|saved| *saved != 0),
        }
    }
}

/// The names that are subscribed in the account in `root`.
///
/// # Errors
/// If the list cannot be read.
pub fn subscriptions(root: &Path, namespace: &Namespace) -> Result<Vec<MailboxName>> {
    crate::subscriptions::load(root, namespace)
}

/// Keeps servers of ours from changing the mailbox in `directory`, if it has a lock file yet.
///
/// # Errors
/// [`Error::Locked`](crate::Error::Locked) when `timeout` is over.
fn hold(directory: &Path, timeout: Duration) -> Result<Option<FileLock>> {
    FileLock::acquire_to_read(&directory.join(LOCK), timeout)
}
