//! Maildir++ directories: made, checked and renamed, never through a symbolic link.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use maildir::Maildir;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::replace::failed;

/// Makes a Maildir++ folder, which the file `maildirfolder` tells from an account's root.
pub(super) fn make_mailbox(path: &Path) -> Result<()> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(failed(path))?;
    let made = Maildir::from(path.to_owned()).create_dirs();
    made.map_err(failed(path))?;
    let marker = path.join("maildirfolder");
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&marker);
    made.map(drop).map_err(failed(&marker))
}

/// Renames a directory to a name that is not there; never over an existing one.
pub(super) fn rename_to_new(from: &Path, to: &Path) -> Result<()> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can; the lock keeps our own kind away, at least.
        Err(Errno::INVAL | Errno::NOSYS) if exists(to)? => Err(io::Error::from(Errno::EXIST)),
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to),
        renamed => renamed.map_err(io::Error::from),
    };
    renamed.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
        true => Error::Exists,
        false => failed(to)(error),
    })
}

/// Makes `cur`, `new` and `tmp` where another program has left them out, and says whether that was
/// needed. A mailbox that had them once has lost them with its mail in them, and must not look
/// empty.
pub(super) fn complete(path: &Path) -> Result<bool> {
    let mut missing = false;
    for part in PARTS {
        missing |= !is_directory(&path.join(part))?;
    }
    if missing && exists(&path.join(INDEX))? {
        return Err(Error::Corrupt {
            path: path.to_owned(),
            problem: "cur, new or tmp is missing",
        });
    }
    if missing {
        let made = Maildir::from(path.to_owned()).create_dirs();
        made.map_err(failed(path))?;
    }
    Ok(missing)
}

/// Removes a directory with everything in it, never following a link. What stays is removed
/// another time.
pub(super) fn remove_tree(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "directory not removed");
        }
        Ok(()) | Err(_) => {}
    }
}

/// Whether anything has this name.
pub(super) fn exists(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some())
}

/// Whether a directory, and not a link to one, has this name.
pub(super) fn is_directory(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some_and(|metadata| metadata.is_dir()))
}

fn metadata(path: &Path) -> Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// The directories of a Maildir.
const PARTS: [&str; 3] = ["cur", "new", "tmp"];
/// The file that a mailbox which was open once has.
const INDEX: &str = "pillarbox.index";

#[cfg(test)]
mod tests {
    use super::rename_to_new;
    use crate::error::Error;
    use std::fs;

    #[test]
    fn a_directory_is_never_renamed_over_another() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        fs::create_dir(&a).unwrap();
        fs::create_dir(&b).unwrap();
        assert!(matches!(rename_to_new(&a, &b), Err(Error::Exists)));
        assert!(a.exists());
    }
}
