//! Failed logins, and addresses that have proved a password, over restarts.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use super::Authenticator;
use crate::throttle::Keeper;

impl Authenticator {
    /// Goes on with the failed logins that are kept in `directory`, and keeps them there from now
    /// on, each time [`Self::save_failures`] is called.
    pub fn keep_failures_in(&self, directory: &Path, now: Instant, wall: SystemTime) {
        let keeper = Keeper::new(directory);
        keeper.restore(&mut self.throttle(), now, wall);
        let mut place = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(keeper);
    }

    /// Writes the failed logins to their file, if they are kept and something has changed. Waits
    /// for the disk; logins do not wait for it.
    pub fn save_failures(&self, now: Instant, wall: SystemTime) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keeper) = keeper.as_mut() else {
            return;
        };
        let contents = self.throttle().save(now, wall);
        if let Some(contents) = contents {
            keeper.write(&contents);
            if keeper.is_failing() {
                self.throttle().changed_again();
            }
        }
    }
}
