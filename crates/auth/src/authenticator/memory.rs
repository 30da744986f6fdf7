//! Failed logins, addresses that have proved a password, and the salts of unknown users, over
//! restarts.

use std::path::Path;
use std::sync::PoisonError;
use std::time::{Instant, SystemTime};

use zeroize::Zeroizing;

use super::Authenticator;
use crate::throttle::{Keeper, keeper};

impl Authenticator {
    /// Goes on with the failed logins that are kept in `directory`, and keeps them there from now
    /// on, each time [`Self::save_failures`] is called.
    pub fn keep_failures_in(&self, directory: &Path, now: Instant, wall: SystemTime) {
        let keeper = Keeper::new(directory);
        keeper.restore(&mut self.throttle(), now, wall);
        let mut place = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(keeper);
    }

    /// Takes the key that salts of unknown users are made with from `directory`, or keeps it there:
    /// salts that change with a restart would tell which users there are (RFC 5802 §9).
    pub fn keep_salts_in(&mut self, directory: &Path) {
        let path = directory.join("salts");
        let problem = match keeper::read(&path) {
            Ok(Some(key)) if key.len() == self.decoy_key.len() => {
                self.decoy_key = Zeroizing::new(key);
                return;
            }
            Ok(_) => keeper::replace(&path, &self.decoy_key).err(),
            Err(error) => Some(error),
        };
        if let Some(error) = problem {
            let path = path.display();
            tracing::warn!(%path, %error, "salts of unknown users change with each start");
        }
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
