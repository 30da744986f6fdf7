//! The file that a [`Throttle`] is kept in over restarts.
//!
//! It is written as a whole: `throttle.new`, fsync, rename to `throttle`, fsync of the directory. A
//! crash loses what has happened since the last time, and no more. It is for its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use super::Throttle;

/// Keeps a throttle in a file.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    /// Writing has failed, and the log says so already.
    failing: bool,
}

impl Keeper {
    /// Keeps it in this directory.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(NAME),
            failing: false,
        }
    }

    /// Gives the throttle what was kept of it. What is damaged is forgotten.
    pub(crate) fn restore(&self, throttle: &mut Throttle, now: Instant, wall: SystemTime) {
        let problem = match read(&self.path) {
            Ok(None) => return,
            Ok(Some(kept)) => match throttle.restore(&kept, now, wall) {
                Ok(()) => return,
                Err(super::state::Damaged) => "the file is damaged".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let path = self.path.display();
        tracing::warn!(%path, problem, "failed logins of before the start are forgotten");
    }

    /// Writes what [`Throttle::save`] gave.
    pub(crate) fn write(&mut self, contents: &[u8]) {
        match replace(&self.path, contents) {
            Ok(()) => self.failing = false,
            Err(error) => {
                let path = self.path.display();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(%path, %error, "failed logins could not be kept for a restart");
                }
            }
        }
    }

    /// Whether the last attempt to write has failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }
}

/// What is in the file, if there is one.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_file() => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let mut contents = Vec::new();
    // What is longer is cut, and then found damaged.
    File::open(path)?.take(LONGEST).read_to_end(&mut contents)?;
    Ok(Some(contents))
}

/// Puts `contents` into the place of the file, durably.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// The name of the file.
const NAME: &str = "throttle";

/// The longest file that is read: more than the largest tables come to.
const LONGEST: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::super::Delays;
    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(Delays::default(), &|| 7)
    }

    fn now() -> (Instant, SystemTime) {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do, and std has no other"
        )]
        let instant = Instant::now();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
        (instant, wall)
    }

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// The delay of the next failure, in seconds, of what is kept in `directory`.
    fn next(directory: &Path) -> u64 {
        let (instant, wall) = now();
        let mut throttle = throttle();
        Keeper::new(directory).restore(&mut throttle, instant, wall);
        throttle.failed("ann", ADDRESS, instant, 0).as_secs()
    }

    #[test]
    fn what_was_written_is_there_after_a_restart_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let (instant, wall) = now();
        assert_eq!(next(directory.path()), 1);
        let mut keeper = Keeper::new(directory.path());
        let mut throttle = throttle();
        for expected in [2, 4] {
            throttle.failed("ann", ADDRESS, instant, 0);
            keeper.write(&throttle.save(instant, wall).unwrap());
            assert_eq!(next(directory.path()), expected);
        }
        let mode = fs::metadata(directory.path().join("throttle")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_forgotten_and_what_cannot_be_written_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let (instant, wall) = now();
        let mut throttle = throttle();
        throttle.failed("ann", ADDRESS, instant, 0);
        let kept = throttle.save(instant, wall).unwrap();
        let file = directory.path().join("throttle");
        for damaged in [&b""[..], b"pillarbox throttle 1\n", &kept[1..]] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(next(directory.path()), 1);
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(next(directory.path()), 1);
        let mut keeper = Keeper::new(directory.path());
        keeper.write(&kept);
        assert!(keeper.is_failing());
        fs::remove_dir(&file).unwrap();
        // A crash in the middle left this.
        fs::write(directory.path().join("throttle.new"), "half").unwrap();
        keeper.write(&kept);
        assert!(!keeper.is_failing());
        assert_eq!(next(directory.path()), 2);
    }
}
