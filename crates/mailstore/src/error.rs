//! What can go wrong in the store, by what the caller can do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::foreign::Problem;
use crate::name::NameError;
use crate::quota::Resource;

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
    /// The disk, the inodes or a quota of the file system are exhausted.
    #[error("no space left for mail")]
    NoSpace,
    /// The account may not hold so much (RFC 9208).
    #[error("over quota: {}", .0.name())]
    OverQuota(Resource),
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
    /// What another server left in the mailbox cannot be used, and somebody has to decide.
    #[error(
        "{path}: {problem}; bring the file back, or let all messages have new UIDs: pillarbox index rebuild {}",
        mailbox_of(path)
    )]
    Takeover {
        /// The file of the other server.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
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

impl Error {
    /// Sorts a failed call on `path` by what the caller can do about it.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        );
        let refused = matches!(
            source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        );
        let path = path.to_path_buf();
        match (full, refused) {
            (true, _) => Self::NoSpace,
            (_, true) => Self::NoPermission { path },
            (false, false) => Self::Io { path, source },
        }
    }
}

/// The mailbox of a file in its directory.
fn mailbox_of(path: &Path) -> std::path::Display<'_> {
    path.parent().unwrap_or(path).display()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disks_and_refusals_are_told_apart() {
        let path = Path::new("/mail/cur");
        let sorted = |errno| Error::io(path, io::Error::from_raw_os_error(errno));
        assert!(matches!(sorted(28), Error::NoSpace));
        assert!(matches!(sorted(122), Error::NoSpace));
        assert!(matches!(sorted(30), Error::NoPermission { .. }));
        assert!(matches!(sorted(13), Error::NoPermission { .. }));
        assert!(matches!(sorted(5), Error::Io { .. }));
    }
}
