//! Under which UIDVALIDITY values this mailbox has ever been served by us.
//!
//! A list of another server is out of date from the moment on that we give a UID of our own under
//! its UIDVALIDITY. If our index is lost after that, the list must not be used again, or a UID
//! would be given twice. So the values are noted where neither an index that is damaged nor one
//! that is removed takes them along: in `pillarbox.lock`, ten digits and a line end for each. A
//! value is noted, durably, after the index that brings it is in its place and before anybody is
//! shown a UID (`mailbox::takeover`). Where no other server has left anything, there is no list that it
//! could keep from being used, and it need not be forced to the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::id::UidValidity;
use crate::index::Force;
use crate::mailbox::LOCK;
use crate::replace::{failed, open_regular};

/// What is noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// These values.
    Only(Vec<u32>),
    /// It cannot be read any more: perhaps every value.
    Unknown,
}

impl Served {
    /// What is noted in the mailbox in `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self> {
        let path = directory.join(LOCK);
        let file = match open_regular(&path, OFlags::RDONLY) {
            Err(Error::NotFound) => return Ok(Self::Only(Vec::new())),
            opened => opened?,
        };
        read(&file).map_err(failed(&path))
    }

    /// Whether UIDs may have been given under a value.
    pub(crate) fn has(&self, uid_validity: UidValidity) -> bool {
        match self {
            Self::Only(values) => values.contains(&uid_validity.get()),
            Self::Unknown => true,
        }
    }

    /// Whether nothing was ever served.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Only(values) if values.is_empty())
    }

    /// The highest value that is noted.
    pub(crate) fn highest(&self) -> Option<u32> {
        match self {
            Self::Only(values) => values.iter().copied().max(),
            Self::Unknown => None,
        }
    }
}

/// Notes a value in the mailbox in `directory`, unless it is noted already.
/// Only under the lock.
pub(crate) fn note(directory: &Path, uid_validity: UidValidity, force: Force) -> Result<()> {
    let path = directory.join(LOCK);
    let file = open_regular(&path, OFlags::RDWR | OFlags::CREATE)?;
    let noted = || -> io::Result<()> {
        let end = match read(&file)? {
            Served::Only(values) if values.contains(&uid_validity.get()) => return Ok(()),
            Served::Only(values) if values.len() >= MAX_VALUES => 0,
            Served::Only(values) => values.len() * RECORD,
            Served::Unknown => return Ok(()),
        };
        let record = format!("{uid_validity:010}\n");
        file.write_all_at(record.as_bytes(), u64::try_from(end).unwrap_or_default())?;
        match force {
            Force::Now => file.sync_data(),
            Force::Later | Force::Never => Ok(()),
        }
    };
    noted().map_err(failed(&path))
}

fn read(file: &File) -> io::Result<Served> {
    let mut bytes = vec![0; RECORD * (MAX_VALUES + 1)];
    let read = file.read_at(&mut bytes, 0)?;
    let records = bytes.get(..read).unwrap_or_default().chunks(RECORD);
    let values: Option<Vec<u32>> = records.map(value).collect();
    Ok(values.map_or(Served::Unknown, Served::Only))
}

fn value(record: &[u8]) -> Option<u32> {
    let digits = record.strip_suffix(b"\n")?;
    if digits.len() + 1 != RECORD || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// The octets of a value.
const RECORD: usize = 11;
/// How many values are noted; a mailbox that is indexed anew so often forgets the first.
const MAX_VALUES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn values_are_noted_once_and_damage_means_all() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let validity = |value| UidValidity::new(value).unwrap();
        assert!(Served::load(directory).unwrap().is_nothing());
        for value in [7, u32::MAX, 7] {
            note(directory, validity(value), Force::Now).unwrap();
        }
        let served = Served::load(directory).unwrap();
        assert_eq!(served, Served::Only(vec![7, u32::MAX]));
        assert!(served.has(validity(7)) && !served.has(validity(8)));
        assert_eq!(served.highest(), Some(u32::MAX));
        let path = directory.join(LOCK);
        for damage in [
            "x",
            "0000000007",
            "0000000007\n00",
            "000000000x\n",
            "\0\0\0\0",
        ] {
            fs::write(&path, damage).unwrap();
            let served = Served::load(directory).unwrap();
            assert!(served.has(validity(8)) && !served.is_nothing(), "{damage}");
            note(directory, validity(9), Force::Now).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), damage);
        }
    }

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        for value in 1..1000 {
            let value = UidValidity::new(value).unwrap();
            note(directory.path(), value, Force::Never).unwrap();
            assert!(Served::load(directory.path()).unwrap().has(value));
        }
        let length = fs::metadata(directory.path().join(LOCK)).unwrap().len();
        assert_eq!(length, (RECORD * MAX_VALUES) as u64);
    }
}
