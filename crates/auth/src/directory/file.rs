//! The users file as a directory: read at the start, and again when it has changed.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Away, Directory, Secrets};
use crate::sasl::Mechanisms;
use crate::users::{EditError, Editor, LoadError, Users};
use crate::{Name, Secret};

/// The accounts of a users file.
#[derive(Debug)]
pub(crate) struct UsersFile {
    path: PathBuf,
    default_domain: Option<String>,
    loaded: RwLock<Loaded>,
}

/// A users file as it was when it was last looked at.
#[derive(Debug)]
struct Loaded {
    users: Arc<Users>,
    stamp: Option<Stamp>,
}

/// Tells a changed file from an unchanged one: device, inode, length and time of modification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

impl UsersFile {
    /// Reads the users file at `path`; names without a domain get `default_domain`.
    pub(crate) fn load(path: PathBuf, default_domain: Option<String>) -> Result<Self, LoadError> {
        let stamp = Stamp::of(&path);
        let users = Arc::new(Users::load(&path, default_domain.as_deref())?);
        Ok(Self {
            path,
            default_domain,
            loaded: RwLock::new(Loaded { users, stamp }),
        })
    }

    /// The accounts as they were read last.
    fn known(&self) -> Arc<Users> {
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&loaded.users)
    }

    /// The accounts as they are in the file now.
    fn users(&self) -> Arc<Users> {
        let stamp = Stamp::of(&self.path);
        let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
        let changed = loaded.stamp != stamp;
        drop(loaded);
        if changed && let Err(error) = self.reload() {
            // Once for each change, because the new stamp is kept; the old accounts stay.
            tracing::error!("kept the accounts as they were: {error}");
        }
        self.known()
    }
}

impl Directory for UsersFile {
    fn lookup(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Away> {
        Ok(self.users().get(name).cloned())
    }

    fn decoy(&self, number: u64) -> Option<Arc<Secrets>> {
        self.known().decoy(number).cloned()
    }

    fn welcome(&self, _: &Name, _: &Secret) -> bool {
        false
    }

    fn upgrade(&self, name: &Name, old: &Secrets, new: &Secrets) -> Result<bool, EditError> {
        // Somebody else is changing the file; there will be other logins.
        let Some(mut editor) = Editor::open_now(&self.path, self.default_domain.as_deref())? else {
            return Ok(false);
        };
        if !editor.holds(name, old) {
            return Ok(false);
        }
        editor.change(name, new)?;
        editor.save()?;
        Ok(true)
    }

    fn mechanisms(&self) -> Mechanisms {
        self.known().mechanisms()
    }

    fn reload(&self) -> Result<(), LoadError> {
        // The stamp is taken first: a change while reading is then noticed at the next login.
        let stamp = Stamp::of(&self.path);
        let users = Users::load(&self.path, self.default_domain.as_deref());
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.stamp = stamp;
        loaded.users = Arc::new(users?);
        Ok(())
    }
}

impl Stamp {
    /// The stamp of the file at `path`, if there is one.
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self(
            found.dev(),
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
        )
    }
}
