//! Whether a database is there: told once, tried again at growing intervals.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Problem;

/// What is known of a database's health. It is well at first.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<Illness>>);

/// A database that is away.
#[derive(Debug)]
struct Illness {
    reason: String,
    pause: Duration,
    /// When it is tried again.
    next: Instant,
}

impl Health {
    /// Whether to try now: always while all is well, and now and then, one at a time, if not.
    pub(super) fn may_try(&self, now: Instant) -> Result<(), Problem> {
        match self.illness().as_mut() {
            Some(illness) if now < illness.next => Err(Problem(illness.reason.clone())),
            Some(illness) => {
                illness.next = now + illness.pause;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It has answered.
    pub(super) fn worked(&self) {
        if self.illness().take().is_some() {
            tracing::info!("accounts can be looked up again");
        }
    }

    /// It has not answered.
    pub(super) fn failed(&self, reason: &str, now: Instant) {
        let mut illness = self.illness();
        let pause = match illness.as_ref() {
            None => {
                tracing::error!("accounts cannot be looked up: {reason}");
                FIRST_PAUSE
            }
            Some(illness) => (illness.pause * 2).min(LONGEST_PAUSE),
        };
        *illness = Some(Illness {
            reason: reason.to_owned(),
            pause,
            next: now + pause,
        });
    }

    /// Whether it is away.
    pub(super) fn is_away(&self) -> bool {
        self.illness().is_some()
    }

    fn illness(&self) -> MutexGuard<'_, Option<Illness>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long to wait between attempts in the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
