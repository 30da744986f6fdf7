//! New messages: written to `tmp/` first, then moved into place in one step.
//!
//! Order: create in `tmp/` (nobody looks there) → write → set the modification time, which is the
//! internal date → fsync → then either `rename` into `new/` and fsync of `new/` (delivery: no lock
//! and no index; whoever opens the mailbox finds the file), or the steps of APPEND, under the lock,
//! into `cur/`. A crash leaves a file in `tmp/` or a whole message.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::content::{self, MessageFile};
use crate::error::{Error, Result};
use crate::index::FileTime;
use crate::replace::{failed, sync_directory};
use crate::store::{Environment, Fsync};

/// A message being written to `tmp/`. Removed when dropped before it was delivered.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// Open until nothing more is done to its contents.
    file: Option<File>,
    /// The first part of its name, unique.
    base: String,
    octets: u64,
    /// The size in CRLF form, if known.
    size: Option<u64>,
    /// The date of a file that had one before.
    date: i64,
    last: Option<u8>,
    placed: bool,
}

impl Staged {
    /// Starts a file in `tmp/` of a mailbox's directory, which is made if it is missing.
    pub(crate) fn create(directory: &Path, environment: &Environment) -> Result<Self> {
        let tmp = directory.join("tmp");
        let base = environment.unique.next(&environment.options.source);
        let path = tmp.join(&base);
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&path)
        };
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => {
                crate::sync::make_directory(&tmp)?;
                open()
            }
            other => other,
        };
        Ok(Self {
            file: Some(file.map_err(failed(&path))?),
            path,
            base,
            octets: 0,
            size: Some(0),
            date: 0,
            last: None,
            placed: false,
        })
    }

    /// A second link to a message's file, in `tmp/` of another mailbox.
    pub(crate) fn link(
        source: &Path,
        file: MessageFile,
        size: Option<u64>,
        directory: &Path,
        environment: &Environment,
    ) -> Result<Self> {
        let tmp = directory.join("tmp");
        let base = environment.unique.next(&environment.options.source);
        let path = tmp.join(&base);
        match std::fs::hard_link(source, &path) {
            // Either of the two is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !tmp.is_dir() => {
                crate::sync::make_directory(&tmp)?;
                std::fs::hard_link(source, &path).map_err(failed(&path))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::NotFound),
            linked => linked.map_err(failed(&path))?,
        }
        Ok(Self {
            path,
            base,
            octets: file.physical_size(),
            size,
            date: file.modified(),
            file: Some(file.into_file()),
            last: None,
            placed: false,
        })
    }

    /// Reads back what was written so far.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.path).map_err(failed(&self.path))
    }

    /// How many octets were written so far.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Its size in CRLF form, if known.
    pub(crate) fn rfc822_size(&self) -> Option<u64> {
        self.size
    }

    /// Its internal date, in seconds since 1970.
    pub(crate) fn date(&self) -> i64 {
        self.date
    }

    /// The first part of the name it will have: unique, with the sizes.
    pub(crate) fn name(&self) -> String {
        with_sizes(self.base.clone(), Some(self.octets), self.size)
    }

    /// Gives the file its date, forces it to the disk and closes it: many messages may wait to be
    /// placed together.
    pub(crate) fn finish(&mut self, date: SystemTime, fsync: Fsync) -> Result<()> {
        self.date = FileTime::from(date).seconds;
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let done = file.set_modified(date).and_then(|()| match fsync {
            Fsync::Never => Ok(()),
            Fsync::Optimized | Fsync::Always => file.sync_all(),
        });
        done.map_err(failed(&self.path))
    }

    /// Forces the bytes of a file that is complete to the disk, and closes it.
    pub(crate) fn close(&mut self, fsync: Fsync) -> Result<()> {
        match (self.file.take(), fsync) {
            (None, _) | (_, Fsync::Never) => Ok(()),
            (Some(file), Fsync::Optimized | Fsync::Always) => {
                file.sync_data().map_err(failed(&self.path))
            }
        }
    }

    /// Moves the file to its place.
    pub(crate) fn place(&mut self, target: &Path) -> Result<()> {
        std::fs::rename(&self.path, target).map_err(failed(target))?;
        self.placed = true;
        Ok(())
    }

    /// Delivers the finished message into `new/` of a mailbox's directory, durably.
    pub(crate) fn deliver(mut self, directory: &Path, environment: &Environment) -> Result<()> {
        let new = directory.join("new");
        let fsync = environment.options.fsync;
        self.finish(environment.options.source.wall(), fsync)?;
        self.place(&new.join(self.name()))?;
        match fsync {
            Fsync::Never => Ok(()),
            Fsync::Optimized | Fsync::Always => sync_directory(&new),
        }
    }
}

/// The first part of a message's name, with its size on the disk and in CRLF form, if known.
pub(crate) fn with_sizes(mut base: String, octets: Option<u64>, size: Option<u64>) -> String {
    for (field, value) in [(",S=", octets), (",W=", size)] {
        if let Some(value) = value {
            base.push_str(field);
            base.push_str(&value.to_string());
        }
    }
    base
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut();
        let file = file.ok_or_else(|| io::Error::other("the message is finished"))?;
        let written = file.write(bytes)?;
        let bytes = bytes.get(..written).unwrap_or_default();
        self.octets += u64::try_from(written).unwrap_or_default();
        let size = content::count(bytes, self.last);
        self.size = self.size.map(|before| before + size);
        self.last = bytes.last().copied().or(self.last);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.placed {
            // Nobody waits for the answer, and tmp/ is cleaned of old files anyway.
            std::fs::remove_file(&self.path).ok();
        }
    }
}
