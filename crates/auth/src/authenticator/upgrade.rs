//! A hash of today's cost in the place of an old one, at a login that proves the password.
//!
//! The login has succeeded by then, and is answered the same whatever comes of the upgrade.

use super::Authenticator;
use crate::password::{Cost, HashingFailed, Stored, Work};
use crate::users::EditError;
use crate::{Name, Secret};

impl Authenticator {
    /// Hashes a password that was right again and puts the hash in the place of `old`, if that is
    /// less than what new hashes cost.
    pub(super) fn upgrade(&self, name: &Name, old: &Stored, password: &Secret) {
        let Some(cost) = self.upgrade_to.as_ref() else {
            return;
        };
        if !is_outdated(old.work(), cost, password) {
            return;
        }
        match self.rewrite(name, old, password, cost) {
            Ok(true) => tracing::info!(user = name.as_str(), "password hash upgraded"),
            // It is being changed by somebody else; there will be other logins.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(user = name.as_str(), %error, "password hash not upgraded");
            }
        }
    }

    /// Does it; says whether there was still the old hash to replace.
    fn rewrite(
        &self,
        name: &Name,
        old: &Stored,
        password: &Secret,
        cost: &Cost,
    ) -> Result<bool, UpgradeError> {
        let share = self.memory.take(u64::from(cost.memory_kib()));
        let hash = cost.hash(password, self.salt())?;
        drop(share);
        Ok(self.directory.upgrade(name, old, &hash)?)
    }

    fn salt(&self) -> [u8; 16] {
        let number = u128::from((self.random)()) << 64 | u128::from((self.random)());
        number.to_le_bytes()
    }
}

/// Whether a hash is not argon2id, or is cheaper to guess at than a new one.
fn is_outdated(work: &Work, cost: &Cost, password: &Secret) -> bool {
    match work {
        Work::Argon2 {
            variant,
            memory,
            passes,
            ..
        } => variant != "argon2id" || u64::from(*memory) * u64::from(*passes) < cost.area(),
        // bcrypt has only looked at the beginning; what followed may have been anything.
        Work::Bcrypt(_) => password.expose().len() <= BCRYPT_LENGTH,
        Work::ShaCrypt { .. } | Work::Plain => true,
    }
}

/// Why a hash was not upgraded.
#[derive(Debug, thiserror::Error)]
enum UpgradeError {
    #[error("not enough memory")]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// How many octets of a password bcrypt looks at.
const BCRYPT_LENGTH: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_weaker_than_a_new_hash_is_outdated() {
        let cost = Cost::new(64, 2, 1).unwrap();
        let short = Secret::new("secret");
        let argon2 = |variant: &str, memory, passes| Work::Argon2 {
            variant: variant.to_owned(),
            memory,
            passes,
            lanes: 1,
        };
        for (work, expected) in [
            (argon2("argon2id", 64, 2), false),
            (argon2("argon2id", 32, 4), false),
            (argon2("argon2id", 128, 2), false),
            (argon2("argon2id", 64, 1), true),
            (argon2("argon2id", 63, 2), true),
            (argon2("argon2i", 64, 2), true),
            (Work::Bcrypt(14), true),
            (Work::Plain, true),
        ] {
            assert_eq!(is_outdated(&work, &cost, &short), expected, "{work:?}");
        }
        let long = Secret::new("x".repeat(73));
        assert!(!is_outdated(&Work::Bcrypt(5), &cost, &long));
        assert!(is_outdated(&Work::Plain, &cost, &long));
    }
}
