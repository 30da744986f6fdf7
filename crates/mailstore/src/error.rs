//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::PathBuf;

use crate::name::NameError;

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The mailbox does not exist (any more).
    #[error("no such mailbox")]
    NotFound,
    /// The mailbox exists already.
    #[error("mailbox already exists")]
    Exists,
    /// The name cannot be a mailbox, or not for this operation.
    #[error(transparent)]
    Name(#[from] NameError),
    /// INBOX cannot be deleted or created (RFC 3501 §6.3.3, §6.3.4).
    #[error("not possible with INBOX")]
    Inbox,
    /// Another process or session holds the lock; trying again later helps.
    #[error("in use by another session")]
    Locked,
    /// The message is gone: expunged by someone else, and its bytes with it.
    #[error("message has been expunged")]
    Expunged,
    /// The disk, the inodes or a quota are exhausted.
    #[error("no space left for mail")]
    NoSpace,
    /// The file system or its permissions do not let us write, or read.
    #[error("no permission on {path}")]
    NoPermission {
        /// The file or directory.
        path: PathBuf,
    },
    /// A limit of this store is reached (keywords per mailbox, UIDs, name depth).
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// A file of ours, or another program's, says what cannot be.
    #[error("{path}: {problem}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Any other failure of the operating system.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
