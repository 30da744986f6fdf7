//! Locks between processes and, since each holder opens the file itself, between threads.
//!
//! [`FileLock`] is the kernel's lock on a file that is never replaced or removed, so it is gone
//! with its holder however that ends (S8). [`Dotlock`] is the older kind that other mail programs
//! understand: the lock is that a file exists. It is only taken by somebody who holds a
//! [`FileLock`] already, so that two of us never dispute over a stale one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use rustix::process::{Pid, test_kill_process};

use crate::error::{Error, Result};
use crate::replace::{failed, open_regular};

/// A kernel lock on a file; released when dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

impl FileLock {
    /// Waits for the exclusive lock on a file, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire(path: &Path, timeout: Duration) -> Result<Self> {
        Self::acquire_by(path, timeout, File::try_lock)
    }

    /// Waits for the lock that many can have at once while nobody has the exclusive one.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire_shared(path: &Path, timeout: Duration) -> Result<Self> {
        Self::acquire_by(path, timeout, File::try_lock_shared)
    }

    /// As [`acquire_shared`](Self::acquire_shared), on a file that is there and may be read-only:
    /// for those who change nothing, not even a time. `None` without a file.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire_to_read(path: &Path, timeout: Duration) -> Result<Option<Self>> {
        Self::acquire_there(path, timeout, File::try_lock_shared)
    }

    /// As [`acquire`](Self::acquire), on a file that is there and cannot be written to. `None`
    /// without a file.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire_read_only(path: &Path, timeout: Duration) -> Result<Option<Self>> {
        Self::acquire_there(path, timeout, File::try_lock)
    }

    /// The locked file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    fn acquire_there(
        path: &Path,
        timeout: Duration,
        attempt: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>> {
        let file = match open_regular(path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        Self::wait(path, file, timeout, attempt).map(Some)
    }

    fn acquire_by(
        path: &Path,
        timeout: Duration,
        attempt: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self> {
        let file = open_regular(path, OFlags::RDWR | OFlags::CREATE)?;
        Self::wait(path, file, timeout, attempt)
    }

    fn wait(
        path: &Path,
        file: File,
        timeout: Duration,
        attempt: impl Fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Self> {
        for pause in pauses(timeout) {
            match attempt(&file) {
                Ok(()) => return Ok(Self { file }),
                Err(TryLockError::WouldBlock) => thread::sleep(pause),
                Err(TryLockError::Error(error)) => return Err(failed(path)(error)),
            }
        }
        Err(Error::Locked)
    }
}

/// A lock that is held as long as a file exists; removed when dropped.
#[derive(Debug)]
pub(crate) struct Dotlock {
    path: PathBuf,
}

impl Dotlock {
    /// Waits for the lock file to be ours. One whose process is dead, or that has not changed for
    /// [`STALE`] by the file system's clock `now`, is removed.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire(
        path: &Path,
        timeout: Duration,
        now: impl Fn() -> Result<SystemTime>,
    ) -> Result<Self> {
        Self::acquire_with(path, timeout, STALE, now)
    }

    /// As [`acquire`](Self::acquire), for a file that other programs give another time to be
    /// `stale`.
    ///
    /// # Errors
    /// [`Error::Locked`] when `timeout` is over.
    pub(crate) fn acquire_with(
        path: &Path,
        timeout: Duration,
        stale: Duration,
        now: impl Fn() -> Result<SystemTime>,
    ) -> Result<Self> {
        let holder = format!("{}:{}", std::process::id(), host());
        for pause in pauses(timeout) {
            match place(path, holder.as_bytes()) {
                Ok(()) => {
                    let path = path.to_owned();
                    return Ok(Self { path });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !remove_stale(path, stale, now()?) {
                        thread::sleep(pause);
                    }
                }
                Err(error) => return Err(failed(path)(error)),
            }
        }
        Err(Error::Locked)
    }
}

impl Drop for Dotlock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "lock file not removed");
        }
    }
}

/// Makes a lock file, unless there is one. It says whose it is from the first moment on, so that
/// nobody has to wait for it after a crash.
fn place(path: &Path, holder: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    // What a crash has left.
    drop(fs::remove_file(&temporary));
    if write_new(&temporary, holder).is_err() {
        return write_new(path, holder);
    }
    let linked = fs::hard_link(&temporary, path);
    drop(fs::remove_file(&temporary));
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            // There are file systems without links.
            write_new(path, holder)
        }
        linked => linked,
    }
}

/// Makes a new file with these contents, or none.
fn write_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file.write_all(contents);
    if written.is_err() {
        drop(fs::remove_file(path));
    }
    written
}

/// Removes a lock file whose holder is gone; says whether trying again at once makes sense.
fn remove_stale(path: &Path, stale: Duration, now: SystemTime) -> bool {
    let Ok(before) = fs::symlink_metadata(path) else {
        return true;
    };
    let age = before.modified().ok();
    let age = age.and_then(|modified| now.duration_since(modified).ok());
    let is_stale = age.is_some_and(|age| age > stale);
    if !(is_stale || is_orphaned(path)) {
        return false;
    }
    let same = fs::symlink_metadata(path)
        .is_ok_and(|after| (after.dev(), after.ino()) == (before.dev(), before.ino()));
    same && fs::remove_file(path).is_ok()
}

/// Whether a lock file names a process of this machine that does not exist any more.
fn is_orphaned(path: &Path) -> bool {
    let Ok(Some(contents)) = crate::replace::read(path) else {
        return false;
    };
    let holder = String::from_utf8_lossy(&contents.bytes);
    let Some((process, holder_host)) = holder.trim_end().split_once(':') else {
        return false;
    };
    let host = host();
    if host.is_empty() || holder_host != host {
        return false;
    }
    let process = process.parse().ok().and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) == Err(rustix::io::Errno::SRCH))
}

/// The name of this machine, as it is in lock files; empty if the system does not say.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

/// The pauses between attempts: short at first, together about `timeout`; at least one attempt.
fn pauses(timeout: Duration) -> impl Iterator<Item = Duration> {
    let mut left = timeout;
    let mut pause = Duration::from_millis(1);
    let waits = std::iter::from_fn(move || {
        let now = pause.min(left);
        left -= now;
        pause = (pause * 2).min(LONGEST_PAUSE);
        (now > Duration::ZERO).then_some(now)
    });
    waits.chain([Duration::ZERO])
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(32);

/// How long a lock file may be unchanged before its holder is taken for dead.
pub(crate) const STALE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::{Dotlock, FileLock, STALE, host, pauses};
    use crate::error::Error;
    use std::fs;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, SystemTime};

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_add_up_to_the_timeout() {
        for timeout in [0, 1, 5, 1000].map(Duration::from_millis) {
            assert_eq!(pauses(timeout).sum::<Duration>(), timeout);
        }
        assert_eq!(pauses(Duration::ZERO).count(), 1);
    }

    #[test]
    fn an_exclusive_lock_excludes_and_ends_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = FileLock::acquire(&path, Duration::ZERO).unwrap();
        let exclusive = FileLock::acquire(&path, Duration::from_millis(3));
        assert!(matches!(exclusive, Err(Error::Locked)));
        let shared = FileLock::acquire_shared(&path, Duration::ZERO);
        assert!(matches!(shared, Err(Error::Locked)));

        let (started, start) = mpsc::channel();
        let other = path.clone();
        let waiting = thread::spawn(move || {
            started.send(()).unwrap();
            FileLock::acquire(&other, LONG).map(drop)
        });
        start.recv().unwrap();
        drop(held);
        waiting.join().unwrap().unwrap();
        assert!(path.exists(), "the file stays");
    }

    #[test]
    fn shared_locks_exclude_only_exclusive_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let one = FileLock::acquire_shared(&path, Duration::ZERO).unwrap();
        let two = FileLock::acquire_shared(&path, Duration::ZERO).unwrap();
        let exclusive = FileLock::acquire(&path, Duration::ZERO);
        assert!(matches!(exclusive, Err(Error::Locked)));
        drop((one, two));
        FileLock::acquire(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_lock_to_read_makes_no_file_and_keeps_writers_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let none = FileLock::acquire_to_read(&path, Duration::ZERO).unwrap();
        assert!(none.is_none() && !path.exists());
        drop(FileLock::acquire(&path, Duration::ZERO).unwrap());
        let reading = FileLock::acquire_to_read(&path, Duration::ZERO).unwrap();
        assert!(reading.is_some());
        let writing = FileLock::acquire(&path, Duration::ZERO);
        assert!(matches!(writing, Err(Error::Locked)));
    }

    #[test]
    fn a_lock_is_only_on_a_regular_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        let result = FileLock::acquire(&path, Duration::ZERO);
        assert!(matches!(result, Err(Error::Corrupt { .. })));
        assert!(!directory.path().join("elsewhere").exists());
    }

    #[test]
    fn a_dotlock_is_a_file_while_it_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("subscriptions.lock");
        let now = || Ok(fs::metadata(&path).unwrap().modified().unwrap());
        let held = Dotlock::acquire(&path, LONG, now).unwrap();
        let contents = fs::read_to_string(&path).unwrap();
        assert_eq!(contents, format!("{}:{}", std::process::id(), host()));
        let second = Dotlock::acquire(&path, Duration::from_millis(3), now);
        assert!(matches!(second, Err(Error::Locked)));
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn a_dotlock_of_somebody_else_is_respected_until_it_is_stale() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("subscriptions.lock");
        fs::write(&path, "1:elsewhere.example").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let at = |age: Duration| move || Ok::<SystemTime, Error>(modified + age);
        let result = Dotlock::acquire(&path, Duration::ZERO, at(STALE));
        assert!(matches!(result, Err(Error::Locked)));
        Dotlock::acquire(&path, LONG, at(STALE * 2)).unwrap();
    }

    #[test]
    fn a_dotlock_of_a_dead_process_is_removed_at_once() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("subscriptions.lock");
        fs::write(&path, format!("{}:{}", child.id(), host())).unwrap();
        let now = || Ok(fs::metadata(&path).unwrap().modified().unwrap());
        Dotlock::acquire(&path, LONG, now).unwrap();
    }

    #[test]
    fn a_dotlock_comes_into_being_with_its_holders_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("subscriptions.lock");
        let temporary = directory.path().join("subscriptions.lock.tmp");
        let now = || Ok(fs::metadata(&path).unwrap().modified().unwrap());
        // A crash in between leaves a file that is no lock.
        fs::write(&temporary, "").unwrap();
        let held = Dotlock::acquire(&path, Duration::ZERO, now).unwrap();
        assert!(!temporary.exists());
        drop(held);
        // Where that is no way, the lock is made as it is.
        fs::create_dir(&temporary).unwrap();
        let held = Dotlock::acquire(&path, Duration::ZERO, now).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with(&host()));
        let second = Dotlock::acquire(&path, Duration::ZERO, now);
        assert!(matches!(second, Err(Error::Locked)));
        drop(held);
        assert!(!path.exists());
    }
}
