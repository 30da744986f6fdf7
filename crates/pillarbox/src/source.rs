//! The one source of time, randomness and ids.
//!
//! Nothing else in Pillarbox reads a clock or asks for randomness, so a run with a
//! [`Source::fixed`] is the same every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use machine::Now;

/// Gives out the present, random numbers and connection ids. Clones share their state.
#[derive(Clone, Debug)]
pub struct Source {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    connections: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    /// The system's clock and randomness.
    System,
    /// A clock that moves one millisecond each time it is read, and seeded randomness.
    Fixed {
        start: SystemTime,
        readings: AtomicU64,
        state: AtomicU64,
    },
}

impl Source {
    /// The system's clocks and randomness.
    pub fn system() -> Self {
        Self::new(Kind::System)
    }

    /// A source that gives the same answers in every run.
    ///
    /// The wall clock begins at `start` and moves one millisecond each time it is read. Deadlines
    /// are still measured on the real monotonic clock (tokio's, when that is paused).
    pub fn fixed(seed: u64, start: SystemTime) -> Self {
        Self::new(Kind::Fixed {
            start,
            readings: AtomicU64::new(0),
            state: AtomicU64::new(seed),
        })
    }

    fn new(kind: Kind) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                connections: AtomicU64::new(0),
            }),
        }
    }

    /// The present.
    pub fn now(&self) -> Now {
        Now {
            instant: tokio::time::Instant::now().into_std(),
            wall: self.wall(),
        }
    }

    /// The present on the wall clock.
    pub fn wall(&self) -> SystemTime {
        match &self.inner.kind {
            Kind::System => system_time(),
            Kind::Fixed {
                start, readings, ..
            } => *start + Duration::from_millis(readings.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The next random number.
    pub fn random(&self) -> u64 {
        match &self.inner.kind {
            Kind::System => getrandom::u64().unwrap_or_else(|_| fallback_random()),
            Kind::Fixed { state, .. } => mix(state
                .fetch_add(GOLDEN_RATIO, Ordering::Relaxed)
                .wrapping_add(GOLDEN_RATIO)),
        }
    }

    /// The next connection id: 1, 2, 3 and so on.
    pub fn connection_id(&self) -> u64 {
        self.inner.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The same source in the form that the store takes.
    pub fn for_store(&self) -> mailstore::Source {
        let (wall, random) = (self.clone(), self.clone());
        let source = mailstore::Source::new(move || wall.wall(), move || random.random());
        source.with_clock(|| tokio::time::Instant::now().into_std())
    }
}

/// The system's wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one source of time")]
fn system_time() -> SystemTime {
    SystemTime::now()
}

/// Numbers that differ, for a system without randomness. Nothing secret is made of them.
fn fallback_random() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let since = system_time()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    mix(since.as_secs() ^ (u64::from(since.subsec_nanos()) << 32) ^ mix(count))
}

/// The output function of SplitMix64: a bijection that spreads its input over all bits.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The step of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_source_repeats_itself() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let take = |source: &Source| -> Vec<(u64, SystemTime, u64)> {
            (0..100)
                .map(|_| (source.random(), source.wall(), source.connection_id()))
                .collect()
        };
        let first = take(&Source::fixed(7, start));
        assert_eq!(first, take(&Source::fixed(7, start)));
        assert_ne!(first, take(&Source::fixed(8, start)));
        assert_eq!(first[99].1, start + Duration::from_millis(99));
    }

    #[test]
    fn clones_share_their_state() {
        let source = Source::fixed(7, SystemTime::UNIX_EPOCH);
        let store = source.for_store();
        assert_ne!(source.random(), store.random());
        assert!(source.wall() < store.wall());
        assert_eq!(
            (source.connection_id(), source.clone().connection_id()),
            (1, 2)
        );
    }
}
