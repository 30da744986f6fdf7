//! Accounts that come into being at their first login, for `pillarbox dev` and for tests.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Away, Directory, Secrets};
use crate::password::Stored;
use crate::sasl::Mechanisms;
use crate::users::{EditError, LoadError};
use crate::{Name, Secret};

/// The accounts made so far.
pub(crate) struct OpenHouse(Mutex<HashMap<Name, Arc<Secrets>>>);

impl OpenHouse {
    /// With these to begin with.
    pub(crate) fn new(known: impl IntoIterator<Item = (Name, Secret)>) -> Self {
        let known = known.into_iter();
        Self(Mutex::new(
            known
                .map(|(name, password)| (name, secrets(&password)))
                .collect(),
        ))
    }

    /// The accounts; a panic elsewhere cannot leave one half-written.
    fn known(&self) -> MutexGuard<'_, HashMap<Name, Arc<Secrets>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an account with this password has.
fn secrets(password: &Secret) -> Arc<Secrets> {
    Arc::new(Secrets {
        password: Stored::plain(password),
    })
}

impl Directory for OpenHouse {
    fn lookup(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Away> {
        Ok(self.known().get(name).cloned())
    }

    fn decoy(&self, _: u64) -> Option<Arc<Secrets>> {
        None
    }

    fn welcome(&self, name: &Name, password: &Secret) -> bool {
        let mut known = self.known();
        let free = !known.contains_key(name) && Stored::plain(password).is_some();
        if free {
            known.insert(name.clone(), secrets(password));
        }
        free
    }

    fn upgrade(&self, _: &Name, _: &Stored, _: &str) -> Result<bool, EditError> {
        Ok(false)
    }

    fn mechanisms(&self) -> Mechanisms {
        Mechanisms::WITH_PASSWORD
    }

    fn reload(&self) -> Result<(), LoadError> {
        Ok(())
    }
}

impl fmt::Debug for OpenHouse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenHouse({} accounts)", self.known().len())
    }
}
