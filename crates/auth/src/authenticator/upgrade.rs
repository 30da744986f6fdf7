//! A hash of today's cost in the place of an old one, at a login that proves the password.
//!
//! The login has succeeded by then, and is answered the same whatever comes of the upgrade.

use super::Authenticator;
use crate::password::{Cost, HashingFailed, Work};
use crate::scram::Hash;
use crate::users::EditError;
use crate::{Name, Secret, Secrets};

impl Authenticator {
    /// Hashes a password that was right again and puts what comes of it in the place of what the
    /// account has, if its hash is less than what new hashes cost, or it lacks keys for SCRAM.
    pub(super) fn upgrade(&self, name: &Name, old: &Secrets, password: &Secret) {
        let (Some(cost), Some(stored)) = (self.upgrade_to.as_ref(), old.password.as_ref()) else {
            return;
        };
        if proves_too_little(stored.work(), password) {
            return;
        }
        let lacks_keys = |&hash: &Hash| old.keys(hash).is_none();
        if !is_outdated(stored.work(), cost) && !self.new_keys.hashes.iter().any(lacks_keys) {
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

    /// Does it; says whether what the account had was still there to replace.
    fn rewrite(
        &self,
        name: &Name,
        old: &Secrets,
        password: &Secret,
        cost: &Cost,
    ) -> Result<bool, UpgradeError> {
        let share = self.memory.take(u64::from(cost.memory_kib()));
        let stored = cost.stored(password, self.salt())?;
        drop(share);
        let salt = || Ok::<_, HashingFailed>(self.salt());
        let new = Secrets {
            password: Some(stored),
            scram: self.new_keys.derive(password, salt)?,
            ..Secrets::default()
        };
        Ok(self.directory.upgrade(name, old, &new)?)
    }

    fn salt(&self) -> [u8; 16] {
        let number = u128::from((self.random)()) << 64 | u128::from((self.random)());
        number.to_le_bytes()
    }
}

/// Whether a hash is not argon2id, or is cheaper to guess at than a new one.
fn is_outdated(work: &Work, cost: &Cost) -> bool {
    match work {
        Work::Argon2 {
            variant,
            memory,
            passes,
            ..
        } => variant != "argon2id" || u64::from(*memory) * u64::from(*passes) < cost.area(),
        Work::Bcrypt(_) | Work::ShaCrypt { .. } | Work::Scram { .. } | Work::Plain => true,
    }
}

/// Whether more of the password may be wrong than was looked at: bcrypt looks at its beginning.
fn proves_too_little(work: &Work, password: &Secret) -> bool {
    matches!(work, Work::Bcrypt(_)) && password.expose().len() > BCRYPT_LENGTH
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
            assert_eq!(is_outdated(&work, &cost), expected, "{work:?}");
        }
        let long = Secret::new("x".repeat(73));
        assert!(proves_too_little(&Work::Bcrypt(5), &long));
        assert!(!proves_too_little(
            &Work::Bcrypt(5),
            &Secret::new("x".repeat(72))
        ));
        assert!(!proves_too_little(&Work::Plain, &long));
    }
}
