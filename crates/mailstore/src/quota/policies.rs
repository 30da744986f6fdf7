//! What is decided about all accounts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Limits, Policy};

/// What is decided about all accounts, by the names of their users.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// Where nothing else is said.
    pub default: Policy,
    /// The limits of some users.
    pub users: BTreeMap<String, Limits>,
    /// The users who may set the limits of all (RFC 9208 §4.1.3).
    pub administrators: Vec<String>,
    /// How an account is found by the name of its user, for administrators.
    pub locate: Option<Locate>,
}

/// The root of the account of a user, if there is one.
#[derive(Clone)]
pub struct Locate(Arc<Find>);

type Find = dyn Fn(&str) -> Option<PathBuf> + Send + Sync;

impl Policies {
    /// What is decided about the account of a user.
    pub fn of(&self, user: &str) -> Policy {
        let limits = self.users.get(user).copied();
        Policy {
            limits: limits.unwrap_or(self.default.limits),
            ..self.default
        }
    }

    /// Whether a user may set limits.
    pub fn is_administrator(&self, user: &str) -> bool {
        self.administrators.iter().any(|name| name == user)
    }

    /// The root of the account of a user, if there is one.
    pub fn locate(&self, user: &str) -> Option<PathBuf> {
        (self.locate.as_ref()?.0)(user)
    }
}

impl Locate {
    /// By a function.
    pub fn new(find: impl Fn(&str) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl fmt::Debug for Locate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locate")
    }
}
