//! Which addresses have proved the password of which account lately.
//!
//! Only a success gets in here, so guesses can push nothing out.

use std::time::{Duration, Instant};

use super::id::Id;
use super::table::{Aged, Table};

/// The addresses that each account knows.
#[derive(Debug)]
pub(super) struct Known {
    accounts: Table<Addresses>,
    keep: Duration,
}

/// The addresses that one account knows, the latest last. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) all: Vec<(Id, Instant)>,
    last: Instant,
}

impl Known {
    /// Knows nobody, and will know so many accounts, each success for `keep`.
    pub(super) fn new(capacity: usize, keep: Duration) -> Self {
        Self {
            accounts: Table::new(capacity),
            keep,
        }
    }

    /// Whether `address` has proved the password of `account` lately.
    pub(super) fn has(&self, account: Id, address: Id, now: Instant) -> bool {
        let addresses = self.accounts.get(account).map(|known| known.all.as_slice());
        addresses
            .unwrap_or_default()
            .iter()
            .any(|(known, at)| *known == address && now.saturating_duration_since(*at) <= self.keep)
    }

    /// Notes that `address` has proved the password of `account`. Says whether that is worth
    /// keeping: an address that proves it every minute is not, every time.
    pub(super) fn note(&mut self, account: Id, address: Id, now: Instant) -> bool {
        let known = self.accounts.entry(account, now, Addresses::none);
        let before = known.all.iter().position(|(known, _)| *known == address);
        let before = before.map(|place| known.all.remove(place).1);
        let fresh = self.keep / 16;
        let news = before.is_none_or(|at| now.saturating_duration_since(at) > fresh);
        // The time that was kept stays until a new one is.
        let at = before.filter(|_| !news).unwrap_or(now);
        known.push(address, at);
        known.last = now;
        news
    }

    /// Puts in what was kept.
    pub(super) fn insert(&mut self, account: Id, address: Id, at: Instant) {
        let known = self.accounts.entry(account, at, Addresses::none);
        known.push(address, at);
        known.last = known.last.max(at);
    }

    /// All accounts with the addresses that they know.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (Id, &Addresses)> {
        self.accounts.iter()
    }
}

impl Addresses {
    fn none(now: Instant) -> Self {
        Self {
            all: Vec::new(),
            last: now,
        }
    }

    /// Adds an address at the end; the one that proved the password longest ago makes room.
    fn push(&mut self, address: Id, at: Instant) {
        if self.all.len() >= ADDRESSES {
            self.all.remove(0);
        }
        self.all.push((address, at));
    }
}

impl Aged for Addresses {
    fn seen(&self) -> Instant {
        self.last
    }
}

/// How many addresses an account knows.
pub(super) const ADDRESSES: usize = 16;
