//! Who shares something with whom: an index over all accounts, so that nobody has to look through
//! the trees of all users to find what they may see.
//!
//! One text file: a header, then in each line an owner and an identifier that has rights to one of
//! the owner's mailboxes, separated by TAB. It is only a hint of where to look: what somebody may
//! see is decided by the list of rights of each mailbox. A line too many costs a look; without one,
//! mailboxes are not listed, but can be named. It is replaced as a whole (see `replace`) under the
//! kernel's lock on a file beside it, so that processes can share it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::acl::Identifier;
use crate::error::{Error, Result};
use crate::lock::FileLock;
use crate::replace::{self, Replacement};

/// The index.
#[derive(Debug)]
pub struct Sharers {
    path: PathBuf,
    lock_timeout: Duration,
    /// What was read last, and of which file.
    read: Mutex<Option<(Stamp, Arc<Table>)>>,
}

/// Owners, with the identifiers that they have given rights to.
type Table = BTreeMap<String, BTreeSet<Identifier>>;

/// What tells one file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    octets: u64,
    number: u64,
}

impl Sharers {
    /// The index in a file, which need not be there yet.
    pub fn new(path: PathBuf, lock_timeout: Duration) -> Self {
        Self {
            path,
            lock_timeout,
            read: Mutex::new(None),
        }
    }

    /// The owners of mailboxes that a user may have rights to, in order.
    ///
    /// # Errors
    /// If the index cannot be read.
    pub fn owners_for(&self, user: &str) -> Result<Vec<String>> {
        let table = self.table()?;
        let about = |names: &BTreeSet<Identifier>| names.iter().any(|it| it.may_be(user));
        let owners = table.iter();
        let owners = owners.filter(|(owner, names)| *owner != user && about(names));
        Ok(owners.map(|(owner, _)| owner.clone()).collect())
    }

    /// Notes all that an owner has given rights to, durably.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn note(&self, owner: &str, identifiers: BTreeSet<Identifier>) -> Result<()> {
        let known = |table: &Table| match table.get(owner) {
            Some(noted) => *noted == identifiers,
            None => identifiers.is_empty(),
        };
        if self.table().is_ok_and(|table| known(&table)) {
            return Ok(());
        }
        self.change(|table| {
            if identifiers.is_empty() {
                table.remove(owner);
            } else {
                table.insert(owner.to_owned(), identifiers);
            }
        })
    }

    /// Puts these owners in the place of all that are noted, durably; also over a damaged index.
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn rebuild(&self, owners: BTreeMap<String, BTreeSet<Identifier>>) -> Result<()> {
        self.change(|table| {
            *table = owners;
            table.retain(|_, identifiers| !identifiers.is_empty());
        })
    }

    fn change(&self, change: impl FnOnce(&mut Table)) -> Result<()> {
        let mut lock = self.path.clone().into_os_string();
        lock.push(".lock");
        let _lock = FileLock::acquire(Path::new(&lock), self.lock_timeout)?;
        let mut table = match replace::read(&self.path)? {
            Some(contents) => parse(&contents.bytes).unwrap_or_default(),
            None => Table::new(),
        };
        change(&mut table);
        Replacement::begin(&self.path)?.commit(&format(&table), None)
    }

    fn table(&self) -> Result<Arc<Table>> {
        let stamp = Stamp::of(&self.path);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, table)) = &*read
            && *known == stamp
        {
            return Ok(Arc::clone(table));
        }
        let table = match replace::read(&self.path)? {
            Some(contents) => parse(&contents.bytes).ok_or_else(|| Error::Corrupt {
                path: self.path.clone(),
                problem: "index of sharers not understood; rebuild it: pillarbox sharing rebuild",
            })?,
            None => Table::new(),
        };
        let table = Arc::new(table);
        *read = Some((stamp, Arc::clone(&table)));
        Ok(table)
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let metadata = path.symlink_metadata().ok();
        Self {
            modified: metadata.as_ref().and_then(|it| it.modified().ok()),
            octets: metadata.as_ref().map_or(0, MetadataExt::size),
            number: metadata.as_ref().map_or(0, MetadataExt::ino),
        }
    }
}

/// Reads the whole file; `None` if it is none of ours.
fn parse(octets: &[u8]) -> Option<Table> {
    let lines = str::from_utf8(octets).ok()?.strip_prefix(HEADER)?;
    let mut table = Table::new();
    for line in lines.lines() {
        let (owner, identifier) = line.split_once('\t')?;
        let identifiers: &mut BTreeSet<Identifier> = table.entry(owner.to_owned()).or_default();
        identifiers.insert(Identifier::parse(identifier)?);
    }
    Some(table)
}

/// Writes the whole file. Names have no control characters.
fn format(table: &Table) -> Vec<u8> {
    let mut out = HEADER.to_owned();
    for (owner, identifiers) in table {
        for identifier in identifiers {
            out.push_str(&format!("{owner}\t{identifier}\n"));
        }
    }
    out.into_bytes()
}

/// The first line.
const HEADER: &str = "pillarbox sharers 1\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Identifier {
        Identifier::User(name.to_owned())
    }

    #[test]
    fn owners_are_found_by_whom_they_have_given_rights() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let [one, other] = [(); 2].map(|()| Sharers::new(path.clone(), Duration::from_secs(5)));
        assert!(one.owners_for("bob").unwrap().is_empty());
        one.note("ann", BTreeSet::from([user("bob")])).unwrap();
        other
            .note("cat", BTreeSet::from([Identifier::Anyone]))
            .unwrap();
        other
            .note("a b", BTreeSet::from([user("ann"), user("x y")]))
            .unwrap();
        for index in [&one, &other] {
            assert_eq!(index.owners_for("bob").unwrap(), ["ann", "cat"]);
            assert_eq!(index.owners_for("ann").unwrap(), ["a b", "cat"]);
            assert_eq!(index.owners_for("x y").unwrap(), ["a b", "cat"]);
            assert!(index.owners_for("cat").unwrap().is_empty());
        }
        one.note("ann", BTreeSet::new()).unwrap();
        assert_eq!(other.owners_for("bob").unwrap(), ["cat"]);
    }

    #[test]
    fn a_damaged_index_is_told_and_rebuilt() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let index = Sharers::new(path.clone(), Duration::from_secs(5));
        for damage in [
            "",
            "x",
            "pillarbox sharers 1\nann",
            "pillarbox sharers 1\nann\tbob\n",
        ] {
            std::fs::write(&path, damage).unwrap();
            let found = index.owners_for("bob");
            assert!(matches!(found, Err(Error::Corrupt { .. })), "{damage}");
            let owners = BTreeMap::from([
                ("ann".to_owned(), BTreeSet::from([user("bob")])),
                ("cat".to_owned(), BTreeSet::new()),
            ]);
            index.rebuild(owners).unwrap();
            assert_eq!(index.owners_for("bob").unwrap(), ["ann"]);
        }
    }
}
