//! How many connections and sessions there may be at once.
//!
//! Both kinds of place are given back when their permit is dropped, so a session that ended in
//! any way, also by a panic, frees its place at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The maximum numbers of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections in all, logged in or not.
    pub(crate) connections: usize,
    /// Logged-in sessions of one user from one address.
    pub(crate) sessions_per_user_and_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            sessions_per_user_and_address: 20,
        }
    }
}

/// Counts connections and sessions.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Limits,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    connections: usize,
    sessions: HashMap<(Arc<str>, IpAddr), usize>,
}

impl Limiter {
    /// A limiter with all places free.
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            places: Mutex::default(),
        })
    }

    /// Takes a connection's place, if one is free.
    pub(crate) fn connection(self: &Arc<Self>) -> Option<ConnectionPermit> {
        let mut places = self.places();
        if places.connections >= self.limits.connections {
            return None;
        }
        places.connections += 1;
        Some(ConnectionPermit {
            limiter: Arc::clone(self),
        })
    }

    /// Takes a session's place for this user from this address, if one is free.
    pub(crate) fn session(self: &Arc<Self>, user: &str, address: IpAddr) -> Option<SessionPermit> {
        let user = Arc::<str>::from(user);
        let key = (user, address.to_canonical());
        let mut places = self.places();
        let taken = places.sessions.get(&key).copied().unwrap_or(0);
        if taken >= self.limits.sessions_per_user_and_address {
            return None;
        }
        places.sessions.insert(key.clone(), taken + 1);
        Some(SessionPermit {
            limiter: Arc::clone(self),
            key,
        })
    }

    /// How many connections there are now.
    pub(crate) fn connections(&self) -> usize {
        self.places().connections
    }

    /// The counts; every change to them is a single step, so a poisoned lock holds valid ones.
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limiter: Arc<Limiter>,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut places = self.limiter.places();
        places.connections = places.connections.saturating_sub(1);
    }
}

/// A session's place; free again when dropped.
#[derive(Debug)]
pub(crate) struct SessionPermit {
    limiter: Arc<Limiter>,
    key: (Arc<str>, IpAddr),
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        let mut places = self.limiter.places();
        if let Entry::Occupied(mut entry) = places.sessions.entry(self.key.clone()) {
            if *entry.get() <= 1 {
                entry.remove();
            } else {
                *entry.get_mut() -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_in_all() {
        let limiter = Limiter::new(Limits {
            connections: 2,
            ..Limits::default()
        });
        let first = limiter.connection().unwrap();
        let _second = limiter.connection().unwrap();
        assert!(limiter.connection().is_none());
        assert_eq!(limiter.connections(), 2);
        drop(first);
        assert!(limiter.connection().is_some());
    }

    #[test]
    fn sessions_are_limited_per_user_and_address() {
        let limiter = Limiter::new(Limits {
            sessions_per_user_and_address: 2,
            ..Limits::default()
        });
        let here = address("192.0.2.1");
        let mapped = address("::ffff:192.0.2.1");
        let first = limiter.session("a@example.org", here).unwrap();
        let second = limiter.session("a@example.org", mapped).unwrap();
        assert!(limiter.session("a@example.org", here).is_none());
        assert!(limiter.session("b@example.org", here).is_some());
        assert!(
            limiter
                .session("a@example.org", address("192.0.2.2"))
                .is_some()
        );
        drop(first);
        let third = limiter.session("a@example.org", here).unwrap();
        assert!(limiter.session("a@example.org", mapped).is_none());
        drop((second, third));
        assert!(limiter.places().sessions.is_empty());
    }

    #[test]
    fn a_panicking_session_frees_its_place() {
        let limiter = Limiter::new(Limits {
            sessions_per_user_and_address: 1,
            ..Limits::default()
        });
        let here = address("192.0.2.1");
        let taken = Arc::clone(&limiter);
        let ended = std::thread::spawn(move || {
            let _permit = taken.session("a@example.org", here).unwrap();
            panic!("on purpose");
        })
        .join();
        assert!(ended.is_err());
        assert!(limiter.session("a@example.org", here).is_some());
    }
}
