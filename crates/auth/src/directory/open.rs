//! Accounts that come into being at their first login, for `pillarbox dev` and for tests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Away, Directory, Secrets};
use crate::authenticator::Random;
use crate::password::Stored;
use crate::sasl::Mechanisms;
use crate::scram::{Hash, Iterations, NewKeys};
use crate::users::{EditError, LoadError};
use crate::{Name, Secret};

/// The accounts made so far.
pub(crate) struct OpenHouse {
    known: Mutex<HashMap<Name, Arc<Secrets>>>,
    new_keys: NewKeys,
    random: Random,
}

impl OpenHouse {
    /// With these to begin with, and keys for these hash functions.
    pub(crate) fn new(
        known: impl IntoIterator<Item = (Name, Secret)>,
        hashes: &[Hash],
        random: Random,
    ) -> Self {
        let house = Self {
            known: Mutex::default(),
            new_keys: NewKeys {
                hashes: hashes.to_vec(),
                // These passwords are no secrets; logins are to be fast.
                iterations: Iterations::FEWEST,
            },
            random,
        };
        for (name, password) in known {
            house.welcome(&name, &password);
        }
        house
    }

    /// The accounts; a panic elsewhere cannot leave one half-written.
    fn known(&self) -> MutexGuard<'_, HashMap<Name, Arc<Secrets>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an account with this password has; `None` if it cannot be one.
    fn secrets(&self, password: &Secret) -> Option<Secrets> {
        let salt = || {
            let number = u128::from((self.random)()) << 64 | u128::from((self.random)());
            Ok::<_, Infallible>(number.to_le_bytes())
        };
        let Ok(scram) = self.new_keys.derive(password, salt);
        Some(Secrets {
            password: Some(Stored::plain(password)?),
            scram,
            ..Secrets::default()
        })
    }
}

impl Directory for OpenHouse {
    fn lookup(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Away> {
        Ok(self.known().get(name).cloned())
    }

    fn decoy(&self, _: u64) -> Option<Arc<Secrets>> {
        None
    }

    fn welcome(&self, name: &Name, password: &Secret) -> bool {
        let Some(secrets) = self.secrets(password) else {
            return false;
        };
        let mut known = self.known();
        let free = !known.contains_key(name);
        if free {
            known.insert(name.clone(), Arc::new(secrets));
        }
        free
    }

    fn upgrade(&self, _: &Name, _: &Secrets, _: &Secrets) -> Result<bool, EditError> {
        Ok(false)
    }

    fn mechanisms(&self) -> Mechanisms {
        let keys = self.new_keys.hashes.iter().copied();
        keys.map(Mechanisms::with_keys)
            .fold(Mechanisms::WITH_PASSWORD, Mechanisms::union)
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
