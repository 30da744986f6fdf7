//! What was found lately: for logins while the database is away, and as what unknown users are
//! checked against.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use auth::Name;
use auth::directory::Secrets;
use auth::sasl::Mechanisms;

/// A bounded memory of accounts.
pub(super) struct Recent {
    keep: Duration,
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    found: HashMap<Name, (Instant, Arc<Secrets>)>,
    /// The first accounts that were found: as they stay, so does what an unknown user costs.
    samples: Vec<Arc<Secrets>>,
    /// What some account that was found can log in with.
    keys: Option<Mechanisms>,
}

impl Recent {
    /// Remembers up to `capacity` accounts for `keep`; zero is not at all.
    pub(super) fn new(keep: Duration, capacity: usize) -> Self {
        Self {
            keep,
            capacity: capacity.max(1),
            inner: Mutex::default(),
        }
    }

    /// What was found for `name`, if that is not too long ago.
    pub(super) fn get(&self, name: &Name, now: Instant) -> Option<Arc<Secrets>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, secrets) = inner.found.get(name)?;
        let fresh = now.saturating_duration_since(*at) < self.keep;
        fresh.then(|| Arc::clone(secrets))
    }

    /// Notes what was found for `name` now; what was not found is forgotten.
    pub(super) fn note(&self, name: &Name, found: Option<&Arc<Secrets>>, now: Instant) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(secrets) = found else {
            inner.found.remove(name);
            return;
        };
        for keys in &secrets.scram {
            let with = Mechanisms::with_keys(keys.hash());
            inner.keys = Some(inner.keys.map_or(with, |keys| keys.union(with)));
        }
        if inner.samples.len() < SAMPLES {
            inner.samples.push(Arc::clone(secrets));
        }
        if self.keep.is_zero() {
            return;
        }
        if inner.found.len() >= self.capacity && !inner.found.contains_key(name) {
            inner.make_room();
        }
        let entry = (now, Arc::clone(secrets));
        inner.found.insert(name.clone(), entry);
    }

    /// What accounts can log in with, as far as they were found.
    pub(super) fn mechanisms(&self) -> Mechanisms {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let with_password = Mechanisms::WITH_PASSWORD;
        let keys = inner.keys;
        keys.map_or(with_password, |keys| with_password.union(keys))
    }

    /// Some account, the same for the same number once enough have been seen.
    pub(super) fn some(&self, number: u64) -> Option<Arc<Secrets>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at = number.checked_rem(inner.samples.len() as u64)?;
        inner.samples.get(usize::try_from(at).ok()?).cloned()
    }
}

impl Inner {
    /// Forgets the half that was found longest ago.
    fn make_room(&mut self) {
        let mut times: Vec<Instant> = self.found.values().map(|(at, _)| *at).collect();
        let half = times.len() / 2;
        let (_, &mut middle, _) = times.select_nth_unstable(half);
        self.found.retain(|_, (at, _)| *at > middle);
    }
}

/// How many accounts unknown users are checked against.
const SAMPLES: usize = 32;
