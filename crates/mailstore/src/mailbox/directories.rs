//! The directories of a mailbox, open: a name in them is not looked up along the whole path.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat, unlinkat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::replace::{failed, sync_file_system};
use crate::snapshot::Place;
use crate::sync::message_path;

/// `cur/` and `new/` of a mailbox, each opened when it is first needed.
#[derive(Debug)]
pub(super) struct Directories {
    directory: PathBuf,
    cur: OnceCell<File>,
    new: OnceCell<File>,
}

impl Directories {
    /// Those of the mailbox in `directory`.
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            cur: OnceCell::new(),
            new: OnceCell::new(),
        }
    }

    /// [`Error::NotFound`] if it is missing.
    fn get(&self, place: Place) -> Result<&File> {
        let cell = match place {
            Place::Cur => &self.cur,
            Place::New => &self.new,
        };
        if let Some(opened) = cell.get() {
            return Ok(opened);
        }
        let path = self.directory.join(place.directory());
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(opened) => Ok(cell.get_or_init(|| File::from(opened))),
            Err(Errno::NOENT) => Err(Error::NotFound),
            Err(error) => Err(failed(&path)(error.into())),
        }
    }

    /// The whole path of a file.
    pub(super) fn path(&self, place: Place, name: &[u8]) -> PathBuf {
        message_path(&self.directory, place, name)
    }

    /// Gives a file a second name, in `cur/` of `target`; a symbolic link is not followed.
    /// [`Error::NotFound`] if it is not there.
    pub(super) fn link(
        &self,
        (place, name): (Place, &[u8]),
        target: &Self,
        copy: &[u8],
    ) -> Result<()> {
        let (from, to) = (self.get(place)?, target.get(Place::Cur)?);
        let (name, new_name) = (OsStr::from_bytes(name), OsStr::from_bytes(copy));
        match linkat(from, name, to, new_name, AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(Error::NotFound),
            Err(error) => Err(failed(&target.path(Place::Cur, copy))(error.into())),
        }
    }

    /// Removes a file. [`Error::NotFound`] if it is not there.
    pub(super) fn unlink(&self, place: Place, name: &[u8]) -> Result<()> {
        match unlinkat(self.get(place)?, OsStr::from_bytes(name), AtFlags::empty()) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(Error::NotFound),
            Err(error) => Err(failed(&self.path(place, name))(error.into())),
        }
    }

    /// Forces everything on their file system to the disk.
    pub(super) fn sync_file_system(&self) -> Result<()> {
        sync_file_system(self.get(Place::Cur)?).map_err(failed(&self.directory))
    }
}
