//! Delays for failed logins, by address and by account (S23).
//!
//! - A failure is answered late, and the later the more often its address has failed, for this
//!   account or for any. A success forgives what this account has failed from this address, and
//!   nothing else: whoever has an account cannot wipe out guesses at others.
//! - While an address has failures, all its attempts stand in one queue that moves at ten a second,
//!   so that many connections guess no faster than one; an attempt that would have to queue for too
//!   long is not even looked at. Other addresses never wait for it.
//! - An account that fails from many addresses answers late to all that have not proved its
//!   password lately. They are slowed down, and never refused; addresses that have proved it notice
//!   nothing. So guessing from everywhere pays less, and keeps nobody out.
//!
//! Unknown accounts are treated as known ones, so that none of this tells who exists (S24). IPv6
//! addresses count by their first 64 bits. What is known is bounded: what is oldest goes first, and
//! addresses that have proved a password are apart from what anybody can fill. Neither names nor
//! addresses are kept, only what a secret key makes of them.
//!
//! Time and chance come in as arguments; the caller does the waiting. `Keeper` keeps all of this
//! over restarts.

mod id;
pub(crate) mod keeper;
mod known;
mod state;
mod table;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use id::{Id, Key};
pub(crate) use keeper::Keeper;
use known::Known;
use table::{Aged, Table};

/// How failed logins are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// The least delay of the first failure; it doubles with each further one.
    pub first: Duration,
    /// The most that chance adds.
    pub jitter: Duration,
    /// The most it all comes to.
    pub max: Duration,
    /// How long a failure counts.
    pub window: Duration,
    /// How long an address that has proved a password is not slowed down by others.
    pub known_for: Duration,
    /// How many addresses, accounts and pairs of both are remembered, each.
    pub entries: usize,
}

impl Delays {
    /// No delays and no queue at all, for tests.
    pub const NONE: Self = Self {
        first: Duration::ZERO,
        jitter: Duration::ZERO,
        max: Duration::ZERO,
        window: Duration::from_mins(15),
        known_for: Duration::from_hours(30 * 24),
        entries: 32_768,
    };
}

impl Default for Delays {
    /// 1 to 2 seconds at first, 15 at most; failures count for 15 minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            jitter: Duration::from_secs(1),
            max: Duration::from_secs(15),
            ..Self::NONE
        }
    }
}

/// What is known about addresses and accounts that have failed lately. Bounded in memory.
#[derive(Debug)]
pub struct Throttle {
    delays: Delays,
    key: Key,
    addresses: Table<Address>,
    pairs: Table<Failures>,
    accounts: Table<Failures>,
    known: Known,
    /// Whether something has changed that is worth keeping.
    changed: bool,
}

/// An address with failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address {
    failures: Failures,
    /// When the next attempt may be answered.
    next: Instant,
}

/// How often something has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// Starts with no failures. `random` must not be foreseeable, but in tests.
    pub fn new(delays: Delays, random: &dyn Fn() -> u64) -> Self {
        Self {
            delays,
            key: Key::new(random),
            addresses: Table::new(delays.entries),
            pairs: Table::new(delays.entries),
            accounts: Table::new(delays.entries),
            known: Known::new(delays.entries, delays.known_for),
            changed: false,
        }
    }

    /// Takes a place in the queue of `address` for an attempt at `account`, and says how long its
    /// answer must wait in any case; `None` if the queue is so long that the attempt is not to be
    /// looked at.
    pub fn begin(&mut self, account: &str, address: IpAddr, now: Instant) -> Option<Duration> {
        if self.delays.max.is_zero() {
            return Some(Duration::ZERO);
        }
        let queued = self.queue(self.key.address(address), now)?;
        let account = self.key.account(account);
        if self.known.has(account, self.key.address(address), now) {
            return Some(queued);
        }
        let strangers = self.accounts.get(account).copied();
        let count = strangers.map_or(0, |failures| failures.at(now, self.delays.window));
        Some(self.grown(count.saturating_sub(FREE)).max(queued))
    }

    /// Notes a failure of `address` at `account`, and says how long its answer must wait; `chance`
    /// is a random number.
    pub fn failed(
        &mut self,
        account: &str,
        address: IpAddr,
        now: Instant,
        chance: u64,
    ) -> Duration {
        if self.delays.max.is_zero() {
            return Duration::ZERO;
        }
        self.changed = true;
        let (window, ids) = (self.delays.window, self.key.ids(account, address));
        let pair = self.pairs.entry(ids.pair, now, Failures::none);
        let of_pair = pair.add(now, window);
        let peer = self.addresses.entry(ids.address, now, Address::none);
        let of_address = peer.failures.add(now, window);
        // One address alone, such as a device with an old password, makes no stranger wait.
        if of_pair <= OF_ONE_ADDRESS && !self.known.has(ids.account, ids.address, now) {
            let strangers = self.accounts.entry(ids.account, now, Failures::none);
            strangers.add(now, window);
        }
        let jitter = share(self.delays.jitter, chance);
        (self.grown(of_pair.max(of_address)) + jitter).min(self.delays.max)
    }

    /// Notes that `address` has proved the password of `account`, and forgives what it has failed
    /// for it. Those that queue go on queuing, or else somebody with an account could empty the
    /// queue for guesses at others.
    pub fn succeeded(&mut self, account: &str, address: IpAddr, now: Instant) {
        if self.delays.max.is_zero() {
            return;
        }
        let ids = self.key.ids(account, address);
        let news = self.known.note(ids.account, ids.address, now);
        let forgiven = self.pairs.remove(ids.pair);
        self.changed |= news | forgiven.is_some();
        let Some(peer) = self.addresses.get_mut(ids.address) else {
            return;
        };
        let forgiven = forgiven.map_or(0, |failures| failures.count);
        peer.failures.count = peer.failures.count.saturating_sub(forgiven);
        // The success itself has taken a place.
        if peer.failures.count == 0 && peer.next <= now + INTERVAL {
            self.addresses.remove(ids.address);
        }
    }

    /// Says that what was to be kept could not be.
    pub(crate) fn changed_again(&mut self) {
        self.changed = true;
    }

    /// Takes the next place in the queue of an address, if it has one; `None` if it is too long.
    fn queue(&mut self, id: Id, now: Instant) -> Option<Duration> {
        let Some(peer) = self.addresses.get_mut(id) else {
            return Some(Duration::ZERO);
        };
        if peer.next <= now && peer.failures.at(now, self.delays.window) == 0 {
            self.addresses.remove(id);
            return Some(Duration::ZERO);
        }
        let wait = peer.next.saturating_duration_since(now);
        if wait > self.delays.max {
            return None;
        }
        peer.next = peer.next.max(now) + INTERVAL;
        Some(wait)
    }

    /// The delay that so many failures come to, without chance.
    fn grown(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let grown = self.delays.first.saturating_mul(1 << doublings.min(16));
        grown.min(self.delays.max)
    }
}

impl Failures {
    /// None so far.
    fn none(now: Instant) -> Self {
        Self {
            count: 0,
            last: now,
        }
    }

    /// How many count now.
    fn at(&self, now: Instant, window: Duration) -> u32 {
        if now.saturating_duration_since(self.last) > window {
            0
        } else {
            self.count
        }
    }

    /// One more; how many count now.
    fn add(&mut self, now: Instant, window: Duration) -> u32 {
        self.count = self.at(now, window).saturating_add(1);
        self.last = now;
        self.count
    }
}

impl Address {
    /// No failures so far; the attempt that fails has not queued.
    fn none(now: Instant) -> Self {
        Self {
            failures: Failures::none(now),
            next: now + INTERVAL,
        }
    }
}

impl Aged for Failures {
    fn seen(&self) -> Instant {
        self.last
    }
}

impl Aged for Address {
    fn seen(&self) -> Instant {
        self.failures.last.max(self.next)
    }
}

/// A part of `whole`, by chance.
fn share(whole: Duration, chance: u64) -> Duration {
    let whole = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(chance.checked_rem(whole).unwrap_or(0))
}

/// Between two answers to one address that has failed: ten guesses a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often an account may fail from addresses that have not proved its password, before all such
/// addresses are slowed down.
const FREE: u32 = 10;

/// How many failures of one address count among these.
const OF_ONE_ADDRESS: u32 = 3;

#[cfg(test)]
mod tests;
