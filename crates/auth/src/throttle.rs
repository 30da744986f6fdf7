//! Delays for failed logins, per address (S23).
//!
//! Two rules. A failure is answered late, and the later the more often its address has failed. And
//! while an address has failures, all its attempts stand in one queue that moves at ten a second,
//! so that many connections guess no faster than one; an attempt that would have to queue for too
//! long is not even looked at. Other addresses never wait.
//!
//! Time and chance come in as arguments; the caller does the waiting.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// How failed logins are delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// The least delay of the first failure; it doubles with each further one.
    pub first: Duration,
    /// The most that chance adds.
    pub jitter: Duration,
    /// The most it all comes to.
    pub max: Duration,
}

impl Delays {
    /// No delays and no queue at all, for tests.
    pub const NONE: Self = Self {
        first: Duration::ZERO,
        jitter: Duration::ZERO,
        max: Duration::ZERO,
    };
}

impl Default for Delays {
    /// 1 to 2 seconds at first, 15 at most.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            jitter: Duration::from_secs(1),
            max: Duration::from_secs(15),
        }
    }
}

/// What is known about addresses that have failed lately. Bounded in memory.
#[derive(Debug)]
pub struct Throttle {
    delays: Delays,
    peers: HashMap<IpAddr, Peer>,
    capacity: usize,
}

/// An address with failures.
#[derive(Clone, Copy, Debug)]
struct Peer {
    /// Failures since the last success.
    failures: u32,
    /// When the last failure or attempt was.
    seen: Instant,
    /// When the next attempt may be answered.
    next: Instant,
}

impl Throttle {
    /// Starts with no failures.
    pub fn new(delays: Delays) -> Self {
        Self {
            delays,
            peers: HashMap::new(),
            capacity: CAPACITY,
        }
    }

    /// Takes a place in the queue of `address`, and says how long its answer must wait in any
    /// case; `None` if the queue is so long that the attempt is not to be looked at.
    pub fn begin(&mut self, address: IpAddr, now: Instant) -> Option<Duration> {
        let max = self.delays.max;
        let Some(peer) = self.peers.get_mut(&key(address)) else {
            return Some(Duration::ZERO);
        };
        let wait = peer.next.saturating_duration_since(now);
        if wait > max {
            return None;
        }
        peer.next = peer.next.max(now) + INTERVAL;
        peer.seen = now;
        Some(wait)
    }

    /// Notes a failure of `address`, and says how long its answer must wait; `chance` is a random
    /// number.
    pub fn failed(&mut self, address: IpAddr, now: Instant, chance: u64) -> Duration {
        if self.delays.max.is_zero() {
            return Duration::ZERO;
        }
        let key = key(address);
        if !self.peers.contains_key(&key) {
            self.make_room(now);
        }
        let peer = self.peers.entry(key).or_insert(Peer {
            failures: 0,
            seen: now,
            next: now + INTERVAL,
        });
        if now.saturating_duration_since(peer.seen) > MEMORY {
            peer.failures = 0;
        }
        peer.seen = now;
        peer.failures = peer.failures.saturating_add(1);
        let doublings = (peer.failures - 1).min(16);
        let grown = self.delays.first.saturating_mul(1 << doublings);
        (grown + share(self.delays.jitter, chance)).min(self.delays.max)
    }

    /// Forgets the failures of `address`; but those that queue go on queuing, or else somebody with
    /// an account could empty the queue for guesses at others.
    pub fn succeeded(&mut self, address: IpAddr, now: Instant) {
        let key = key(address);
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        peer.failures = 0;
        // The success itself has taken a place.
        if peer.next <= now + INTERVAL {
            self.peers.remove(&key);
        }
    }

    /// Makes sure that one more address can be remembered: forgets what is old, and if that is not
    /// enough the half that was seen longest ago, so that the price is paid seldom.
    fn make_room(&mut self, now: Instant) {
        if self.peers.len() < self.capacity {
            return;
        }
        self.peers
            .retain(|_, peer| now.saturating_duration_since(peer.seen) <= MEMORY);
        if self.peers.len() < self.capacity {
            return;
        }
        let mut seen: Vec<Instant> = self.peers.values().map(|peer| peer.seen).collect();
        let half = seen.len() / 2;
        let (_, &mut middle, _) = seen.select_nth_unstable(half);
        self.peers.retain(|_, peer| peer.seen > middle);
    }
}

/// What one attacker shares: an IPv4 address, or the /64 of an IPv6 one.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// A part of `whole`, by chance.
fn share(whole: Duration, chance: u64) -> Duration {
    let whole = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(chance.checked_rem(whole).unwrap_or(0))
}

/// Between two answers to one address that has failed: ten guesses a second.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a failure counts.
const MEMORY: Duration = Duration::from_mins(15);

/// How many addresses are remembered, at about 80 octets each.
const CAPACITY: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    /// A fixed start; tests only add to it.
    fn start() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do, and std has no other"
        )]
        Instant::now()
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn failures_grow_up_to_the_limit() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        let delays: Vec<u64> = (0..7)
            .map(|_| throttle.failed(v4(1), now, 0).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn the_first_failure_waits_one_to_two_seconds() {
        let now = start();
        for chance in [0, 1, 999_999_999, 1_000_000_000, u64::MAX / 3, u64::MAX] {
            let delay = Throttle::new(Delays::default()).failed(v4(1), now, chance);
            assert!((SECOND..2 * SECOND).contains(&delay), "{delay:?}");
        }
        let half = Throttle::new(Delays::default()).failed(v4(1), now, 500_000_000);
        assert_eq!(half, Duration::from_millis(1_500));
    }

    #[test]
    fn other_addresses_do_not_wait() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        for _ in 0..100 {
            throttle.begin(v4(1), now);
            throttle.failed(v4(1), now, 0);
        }
        assert_eq!(throttle.begin(v4(2), now), Some(Duration::ZERO));
        assert_eq!(throttle.failed(v4(2), now, 0), SECOND);
    }

    #[test]
    fn success_resets() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        for _ in 0..5 {
            throttle.failed(v4(1), now, 0);
        }
        let later = now + SECOND;
        assert_eq!(throttle.begin(v4(1), later), Some(Duration::ZERO));
        throttle.succeeded(v4(1), later);
        assert_eq!(throttle.begin(v4(1), later), Some(Duration::ZERO));
        assert_eq!(throttle.begin(v4(1), later), Some(Duration::ZERO));
        assert_eq!(throttle.failed(v4(1), later, 0), SECOND);
    }

    #[test]
    fn success_does_not_empty_the_queue() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        throttle.failed(v4(1), now, 0);
        let waits: Vec<Duration> = (0..20)
            .filter_map(|_| {
                let wait = throttle.begin(v4(1), now);
                throttle.succeeded(v4(1), now);
                wait
            })
            .collect();
        assert_eq!(waits.last(), Some(&(20 * INTERVAL)));
        assert_eq!(
            throttle.failed(v4(1), now, 0),
            SECOND,
            "the growth is reset"
        );
    }

    #[test]
    fn failures_are_forgotten_in_time() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        throttle.failed(v4(1), now, 0);
        throttle.failed(v4(1), now, 0);
        let later = now + MEMORY + SECOND;
        assert_eq!(throttle.failed(v4(1), later, 0), SECOND);
    }

    #[test]
    fn many_connections_guess_no_faster_than_ten_a_second() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        throttle.begin(v4(1), now);
        throttle.failed(v4(1), now, 0);
        // 1,000 attempts at the same moment: their answers come 100 ms apart, and what would come
        // after 15 s is refused without being looked at.
        let waits: Vec<Duration> = (0..1_000)
            .filter_map(|_| throttle.begin(v4(1), now))
            .collect();
        assert_eq!(waits.len(), 150);
        for pair in waits.windows(2) {
            assert_eq!(pair[1] - pair[0], INTERVAL);
        }
        assert_eq!(throttle.begin(v4(1), now), None);
        // The queue moves on.
        assert!(throttle.begin(v4(1), now + SECOND).is_some());
    }

    #[test]
    fn addresses_without_failures_never_queue() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        for _ in 0..1_000 {
            assert_eq!(throttle.begin(v4(1), now), Some(Duration::ZERO));
            throttle.succeeded(v4(1), now);
        }
    }

    #[test]
    fn ipv6_counts_by_64_and_mapped_ipv4_as_ipv4() {
        let now = start();
        let mut throttle = Throttle::new(Delays::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        throttle.failed(address("2001:db8:1:2::1"), now, 0);
        assert_eq!(
            throttle.failed(address("2001:db8:1:2:ffff::9"), now, 0),
            2 * SECOND
        );
        assert_eq!(throttle.failed(address("2001:db8:1:3::1"), now, 0), SECOND);
        throttle.failed(v4(1), now, 0);
        assert_eq!(
            throttle.failed(address("::ffff:192.0.2.1"), now, 0),
            2 * SECOND
        );
    }

    #[test]
    fn memory_is_bounded_and_keeps_the_latest() {
        let mut now = start();
        let mut throttle = Throttle::new(Delays::default());
        throttle.capacity = 10;
        for last in 0..=200 {
            now += Duration::from_millis(1);
            throttle.failed(v4(last), now, 0);
            assert!(throttle.peers.len() <= 10);
        }
        assert_eq!(throttle.failed(v4(200), now, 0), 2 * SECOND);
        assert_eq!(throttle.failed(v4(0), now, 0), SECOND);
        // All at the same moment: room is made all the same.
        for last in 0..=200 {
            throttle.failed(v4(last), now, 0);
            assert!(throttle.peers.len() <= 10);
        }
    }

    #[test]
    fn no_delays_means_none() {
        let now = start();
        let mut throttle = Throttle::new(Delays::NONE);
        for _ in 0..1_000 {
            assert_eq!(throttle.begin(v4(1), now), Some(Duration::ZERO));
            assert_eq!(throttle.failed(v4(1), now, u64::MAX), Duration::ZERO);
        }
    }
}
