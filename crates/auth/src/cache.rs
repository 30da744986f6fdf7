//! A short memory of right passwords, which spares busy clients the hash.
//!
//! It holds neither passwords nor hashes of them: only a code under a key that is made anew with
//! each process and never leaves it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::password::Stored;
use crate::{Name, Secret};

/// A message authentication code over a name, its stored hash and a password.
///
/// It is argon2id with a secret key at its lowest cost (8 KiB, some microseconds), so that it
/// needs no further primitive.
pub(crate) type Code = [u8; 32];

/// The codes of logins that were right lately; at most one for each name.
pub(crate) struct Cache {
    key: Zeroizing<Vec<u8>>,
    keep: Duration,
    entries: Mutex<HashMap<Name, Entry>>,
}

/// A login that was right.
struct Entry {
    code: Code,
    until: Instant,
}

impl Cache {
    /// An empty cache that keeps entries for `keep`; zero keeps none.
    pub(crate) fn new(keep: Duration, random: &dyn Fn() -> u64) -> Self {
        let mut key = Zeroizing::new(Vec::with_capacity(32));
        for _ in 0..4 {
            key.extend_from_slice(&random().to_le_bytes());
        }
        Self {
            key,
            keep,
            entries: Mutex::default(),
        }
    }

    /// The code of a login; `None` if nothing is kept.
    ///
    /// Made also for unknown users, so that they cost the same.
    pub(crate) fn code(&self, name: &[u8], stored: &Stored, password: &Secret) -> Option<Code> {
        if self.keep.is_zero() {
            return None;
        }
        let mut input = Zeroizing::new(Vec::new());
        let parts = [name, stored.text().as_bytes(), password.expose()];
        input.reserve_exact(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            input.extend_from_slice(&(part.len() as u64).to_le_bytes());
            input.extend_from_slice(part);
        }
        let params = Params::new(Params::MIN_M_COST, 1, 1, Some(32)).ok()?;
        let mut code = Code::default();
        Argon2::new_with_secret(&self.key, Algorithm::Argon2id, Version::V0x13, params)
            .ok()?
            .hash_password_into(&input, b"pillarbox login", &mut code)
            .ok()?;
        Some(code)
    }

    /// Whether `name` was right with this code lately.
    pub(crate) fn knows(&self, name: &Name, code: &Code, now: Instant) -> bool {
        self.entries()
            .get(name)
            .is_some_and(|entry| now < entry.until && bool::from(entry.code.ct_eq(code)))
    }

    /// Remembers that `name` was right with this code.
    pub(crate) fn remember(&self, name: &Name, code: Code, now: Instant) {
        let until = now + self.keep;
        self.entries().insert(name.clone(), Entry { code, until });
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.entries().clear();
    }

    /// The entries; a panic elsewhere cannot leave one half-written.
    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}
