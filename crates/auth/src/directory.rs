//! Where accounts are: what every store of accounts can do, and the two that need no other
//! program.

mod file;
mod open;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::application::ApplicationPassword;
use crate::password::Stored;
use crate::sasl::Mechanisms;
use crate::scram::{Hash, Keys};
use crate::users::{EditError, LoadError};
use crate::{Name, Secret};

pub(crate) use file::UsersFile;
pub(crate) use open::OpenHouse;

/// A store of accounts.
///
/// Everything here may block: it is called on threads that check credentials and on no others, but
/// for [`mechanisms`](Self::mechanisms). It says what an account has and decides nothing: the same
/// work is done by the [`Authenticator`](crate::Authenticator) whether there is an account or not
/// (S24), so a lookup that finds nothing should take as long as one that finds something.
pub trait Directory: fmt::Debug + Send + Sync {
    /// What the account `name` can prove itself with; `None` if there is no such account.
    ///
    /// # Errors
    /// If that cannot be found out now.
    fn lookup(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Away>;

    /// Some account, always the same for the same number: what an unknown user is checked against,
    /// so that they cost what a known one costs also where schemes are mixed. `None` stands for an
    /// account of today's cost.
    fn decoy(&self, number: u64) -> Option<Arc<Secrets>>;

    /// Makes an account for an unknown name that comes with this password, if that is how accounts
    /// are made here; says whether it did.
    fn welcome(&self, name: &Name, password: &Secret) -> bool;

    /// Puts `new` in the place of `old`, at a login that has proved the password; says whether `old`
    /// was still there. Does not wait for a lock.
    ///
    /// # Errors
    /// If it could not be written.
    fn upgrade(&self, name: &Name, old: &Secrets, new: &Secrets) -> Result<bool, EditError>;

    /// The mechanisms that some account can log in with. Never blocks.
    fn mechanisms(&self) -> Mechanisms;

    /// Whether the accounts cannot be looked up at the moment. What [`lookup`](Self::lookup) finds
    /// then, it remembers.
    fn is_away(&self) -> bool {
        false
    }

    /// Reads the accounts again, if they are read beforehand.
    ///
    /// # Errors
    /// If they cannot be read; then they stay as they were.
    fn reload(&self) -> Result<(), LoadError>;
}

/// What an account can prove itself with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The hash of its password.
    pub password: Option<Stored>,
    /// The keys of its password for SCRAM, for some hash functions.
    pub scram: Vec<Keys>,
    /// What single programs log in with in the place of the password.
    pub application: Vec<ApplicationPassword>,
    /// Where its mail is, if not where all mail is.
    pub mail: Option<PathBuf>,
}

impl Secrets {
    /// Its keys for this hash function.
    pub fn keys(&self, hash: Hash) -> Option<&Keys> {
        self.scram.iter().find(|keys| keys.hash() == hash)
    }
}

/// Accounts cannot be looked up at the moment. Never shows a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("accounts cannot be looked up: {reason}")]
pub struct Away {
    /// Why, for the log.
    pub reason: String,
}
