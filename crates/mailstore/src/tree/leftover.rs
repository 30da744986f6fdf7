//! Hidden directories: mailboxes that are being made or removed, and what crashes leave of them.
//!
//! One that is being made is under the exclusive lock of the tree all the time, so whoever has
//! that lock next may remove it. One that is being removed is not, because it can take long; it is
//! taken for abandoned by its age. Ages are by the file system's own clock.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::directory::{remove_tree, rename_to_new};
use crate::error::{Error, Result};
use crate::lock::FileLock;
use crate::replace::{failed, touch};
use crate::source::Source;

/// Renames a mailbox to a hidden name, which it gives back.
pub(super) fn discard(root: &Path, path: &Path, source: &Source) -> Result<PathBuf> {
    let random = source.random();
    for attempt in 0..MAX_ATTEMPTS {
        let trash = root.join(format!("{TRASH}{random:x}.{attempt}"));
        match rename_to_new(path, &trash) {
            Ok(()) => return Ok(trash),
            Err(Error::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Exists)
}

/// Whether this is a half-made or half-removed mailbox, of ours or of another server.
pub(crate) fn is_hidden(name: &[u8]) -> bool {
    name == NEW.as_bytes() || name.starts_with(TRASH.as_bytes()) || name == FOREIGN_TRASH.as_bytes()
}

/// Removes half-made mailboxes, and half-removed ones that are older than `age`. Under the
/// exclusive lock of the tree.
pub(super) fn remove(root: &Path, lock: &FileLock, age: Duration) -> Result<()> {
    for entry in fs::read_dir(root).map_err(failed(root))? {
        let name = entry.map_err(failed(root))?.file_name();
        let path = root.join(&name);
        let name = name.as_bytes();
        if name == NEW.as_bytes() || (is_hidden(name) && is_older(&path, lock, age)) {
            remove_tree(&path);
        }
    }
    Ok(())
}

/// Removes what [`remove`] removes, unless somebody else is using the tree.
pub(super) fn remove_if_free(root: &Path, lock: &Path) {
    let lock = FileLock::acquire(lock, Duration::ZERO);
    if let Err(error) = lock.and_then(|lock| remove(root, &lock, LONGEST_REMOVAL)) {
        tracing::debug!(root = %root.display(), %error, "leftovers not removed");
    }
}

/// Whether a directory was last changed or renamed longer ago than `age`.
fn is_older(path: &Path, lock: &FileLock, age: Duration) -> bool {
    let (Ok(metadata), Ok(now)) = (fs::symlink_metadata(path), touch(lock.file())) else {
        return false;
    };
    let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
    since_epoch(now).saturating_sub(Duration::from_secs(changed)) > age
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A mailbox that is being made.
pub(super) const NEW: &str = "..pillarbox-new";
/// A mailbox that is being removed, followed by numbers.
const TRASH: &str = "..pillarbox-trash.";
/// The same of another server.
const FOREIGN_TRASH: &str = "..DOVECOT-TRASHED";
/// How many names to try for one that is being removed.
const MAX_ATTEMPTS: u32 = 1000;
/// After this time a removal is taken for abandoned.
pub(super) const LONGEST_REMOVAL: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::{FOREIGN_TRASH, LONGEST_REMOVAL, NEW, TRASH, remove};
    use crate::lock::FileLock;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    fn directories(root: &Path) -> Vec<String> {
        let names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap());
        let names = names.filter(|entry| entry.file_type().unwrap().is_dir());
        let mut names: Vec<String> = names
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_being_removed_is_left_alone_until_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let trash = format!("{TRASH}7.0");
        for name in [NEW, &trash, FOREIGN_TRASH, ".a", "..other", "cur"] {
            fs::create_dir_all(root.join(name).join("cur")).unwrap();
        }
        let lock = FileLock::acquire(&root.join("lock"), Duration::ZERO).unwrap();
        remove(root, &lock, LONGEST_REMOVAL).unwrap();
        let left = ["..DOVECOT-TRASHED", "..other", &trash, ".a", "cur"];
        assert_eq!(directories(root), left);
        remove(root, &lock, Duration::ZERO).unwrap();
        assert_eq!(directories(root), ["..other", ".a", "cur"]);
    }
}
