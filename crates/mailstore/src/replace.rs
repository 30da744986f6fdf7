//! Small files that are read and replaced as a whole.
//!
//! Order of a replacement: write `<name>.tmp`, fsync it, rename it over `<name>`, fsync the
//! directory. A reader sees the old file or the new one; a crash leaves at most the `.tmp`, which
//! the next writer removes. Writers of one file must hold a lock.
//!
//! The directory may hold anything: what is not a regular file is never followed, waited for or
//! read (S36).

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, Result};

/// The new contents of a file, not yet in its place. Removed when dropped before that.
#[derive(Debug)]
pub(crate) struct Replacement {
    target: PathBuf,
    temporary: PathBuf,
    file: File,
    placed: bool,
}

impl Replacement {
    /// Starts an empty replacement of `target`.
    pub(crate) fn begin(target: &Path) -> Result<Self> {
        let mut name = target.as_os_str().to_owned();
        name.push(".tmp");
        let temporary = PathBuf::from(name);
        remove(&temporary)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed(&temporary))?;
        Ok(Self {
            target: target.to_owned(),
            temporary,
            file,
            placed: false,
        })
    }

    /// The file system's present time, which is the one that the times of files compare with.
    pub(crate) fn file_system_time(&self) -> Result<SystemTime> {
        touch(&self.file).map_err(failed(&self.temporary))
    }

    /// Puts `contents` into the place of the target, durably. Its modification time, in whole
    /// seconds, is then later than `after`.
    pub(crate) fn commit(mut self, contents: &[u8], after: Option<SystemTime>) -> Result<()> {
        self.write(contents, after)
            .map_err(failed(&self.temporary))?;
        rename(&self.temporary, &self.target)?;
        self.placed = true;
        let parent = self.target.parent().unwrap_or(Path::new("."));
        sync_directory(parent)
    }

    /// Puts what `write` writes into the place of the target, for contents that may be lost with
    /// the machine's power.
    pub(crate) fn commit_unforced(
        mut self,
        write: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<()> {
        write(&self.file).map_err(failed(&self.temporary))?;
        rename(&self.temporary, &self.target)?;
        self.placed = true;
        Ok(())
    }

    /// Puts `contents` into the place of the target without forcing them to the disk: for what
    /// a crash may take back.
    pub(crate) fn place(mut self, contents: &[u8]) -> Result<()> {
        let written = self.file.write_all(contents);
        written.map_err(failed(&self.temporary))?;
        rename(&self.temporary, &self.target)?;
        self.placed = true;
        Ok(())
    }

    fn write(&mut self, contents: &[u8], after: Option<SystemTime>) -> io::Result<()> {
        // Whoever could read the old file (a group that shares it) can read the new one.
        if let Ok(old) = fs::symlink_metadata(&self.target)
            && old.is_file()
        {
            self.file.set_permissions(old.permissions())?;
        }
        self.file.write_all(contents)?;
        if let Some(after) = after
            && touch(&self.file)? < following_second(after)
        {
            self.file.set_modified(following_second(after))?;
        }
        self.file.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.placed {
            // Best effort: the next writer removes it otherwise.
            drop(fs::remove_file(&self.temporary));
        }
    }
}

/// A file that was read as a whole.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its modification time.
    pub(crate) modified: SystemTime,
}

/// Reads a whole file; `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Contents>> {
    let file = match open_regular(path, OFlags::RDONLY) {
        Ok(file) => file,
        Err(Error::NotFound) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let modified = file.metadata().and_then(|metadata| metadata.modified());
    let modified = modified.map_err(failed(path))?;
    file.take(MAX_OCTETS + 1)
        .read_to_end(&mut bytes)
        .map_err(failed(path))?;
    if bytes.len() as u64 > MAX_OCTETS {
        return Err(Error::Corrupt {
            path: path.to_owned(),
            problem: "file is too large",
        });
    }
    Ok(Some(Contents { bytes, modified }))
}

/// Opens a regular file and nothing else, and never waits for it (S36).
/// [`Error::NotFound`] if there is none.
pub(crate) fn open_regular(path: &Path, flags: OFlags) -> Result<File> {
    Ok(open_regular_with_metadata(path, flags)?.0)
}

/// Opens a regular file, as [`open_regular`], and gives what had to be asked about it for that.
pub(crate) fn open_regular_with_metadata(path: &Path, flags: OFlags) -> Result<(File, Metadata)> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR);
    let opened = match open() {
        Err(rustix::io::Errno::ISDIR) if flags.contains(OFlags::CREATE) => {
            make_way(path)?;
            open()
        }
        opened => opened,
    };
    let file = match opened {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Err(Error::NotFound),
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(irregular(path)),
        Err(error) => return Err(failed(path)(error.into())),
    };
    let metadata = file.metadata().map_err(failed(path))?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(irregular(path))
    }
}

/// Moves one of our files to its place, also if a directory is there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
            make_way(to)?;
            fs::rename(from, to).map_err(failed(to))
        }
        renamed => renamed.map_err(failed(to)),
    }
}

/// Removes one of our files if it is there, whatever it is by now.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => make_way(path),
        removed => removed.map_err(failed(path)),
    }
}

/// Gives a directory that has the name of a file of ours another name. It may hold anything, so it
/// is not removed; and nothing but a directory is renamed, whoever is quicker.
fn make_way(path: &Path) -> Result<()> {
    let with = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    let mut names = (0..MOST_IN_THE_WAY).map(|number| with(&format!(".in-the-way.{number}")));
    let aside = names.find(free).ok_or_else(|| irregular(path))?;
    tracing::warn!(path = %path.display(), aside = %aside.display(), "directory was in the way");
    // The slash makes sure that it is a directory.
    match fs::rename(with("/"), aside) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.map_err(failed(path)),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(failed(path))
}

/// Forces everything to the disk that was written to a file's file system before.
pub(crate) fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

/// What a failed system call on `path` means to the caller.
pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::io(path, source)
}

/// Sets a file's times to the present of its file system, and says what that is.
pub(crate) fn touch(file: &File) -> io::Result<SystemTime> {
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = rustix::fs::Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::futimens(file, &times)?;
    file.metadata()?.modified()
}

/// The first full second after a time: other programs compare whole seconds.
fn following_second(time: SystemTime) -> SystemTime {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds.saturating_add(1).min(MAX_SECONDS))
}

/// The error for a name that is not a regular file.
fn irregular(path: &Path) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        problem: "not a regular file",
    }
}

/// How many directories with the name of one file of ours are put aside.
const MOST_IN_THE_WAY: u32 = 100;

/// The largest file that is read as a whole.
const MAX_OCTETS: u64 = 16 << 20;

/// The last second that every file system can note (beyond year 2400).
const MAX_SECONDS: u64 = (1 << 34) - 1;

#[cfg(test)]
mod tests {
    use super::{Replacement, read};
    use crate::error::Error;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_file_is_replaced_with_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(read(&path).unwrap().is_none());
        fs::write(directory.path().join("file.tmp"), "left by a crash").unwrap();
        let begun = Replacement::begin(&path).unwrap();
        begun.commit(b"one", None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let begun = Replacement::begin(&path).unwrap();
        begun.commit(b"two", None).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().bytes, b"two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_abandoned_replacement_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(Replacement::begin(&directory.path().join("file")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_modification_time_grows_by_whole_seconds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let future = UNIX_EPOCH + Duration::from_millis(5_000_000_000_500);
        let begun = Replacement::begin(&path).unwrap();
        begun.commit(b"", Some(future)).unwrap();
        let modified = read(&path).unwrap().unwrap().modified;
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(5_000_000_001));
    }

    #[test]
    fn what_is_not_a_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        for path in [&fifo, &link, &directory.path().to_owned()] {
            assert!(matches!(read(path), Err(Error::Corrupt { .. })), "{path:?}");
        }
    }
}
