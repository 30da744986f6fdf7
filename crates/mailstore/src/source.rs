//! Where the store gets time and randomness from: injected, so that runs can be repeated.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The store's only source of wall-clock time and of randomness.
#[derive(Clone)]
pub struct Source {
    wall: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    random: Arc<dyn Fn() -> u64 + Send + Sync>,
    instant: Option<Arc<dyn Fn() -> Instant + Send + Sync>>,
}

impl Source {
    /// Makes a source from two functions.
    pub fn new(
        wall: impl Fn() -> SystemTime + Send + Sync + 'static,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            wall: Arc::new(wall),
            random: Arc::new(random),
            instant: None,
        }
    }

    /// The same with a monotonic clock, by which work is spread over time.
    #[must_use]
    pub fn with_clock(self, instant: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            instant: Some(Arc::new(instant)),
            ..self
        }
    }

    /// The present.
    pub fn wall(&self) -> SystemTime {
        (self.wall)()
    }

    /// The present on the monotonic clock, if there is one.
    pub(crate) fn instant(&self) -> Option<Instant> {
        self.instant.as_ref().map(|instant| instant())
    }

    /// The next random number.
    pub fn random(&self) -> u64 {
        (self.random)()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
