//! How much accounts may hold.

use std::collections::BTreeMap;
use std::time::Duration;

use mailstore::quota::{Grace, Limits, Maildirsize, Policy};

/// How much accounts may hold (RFC 9208).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The limits of all who have no others.
    pub limits: Limits,
    /// The limits of some users, by their names.
    pub users: BTreeMap<String, Limits>,
    /// How far a delivery may go above the limit for storage.
    pub grace: Grace,
    /// For how long a look at all mailboxes is believed.
    pub recheck: Duration,
    /// Whether `maildirsize` is kept for other programs.
    pub maildirsize: Maildirsize,
    /// The users who may set quotas.
    pub administrators: Vec<String>,
}

impl Quota {
    /// What is decided where nothing else is said.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            limits: self.limits,
            grace: self.grace,
            look_interval: self.recheck,
            maildirsize: self.maildirsize,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            limits: policy.limits,
            users: BTreeMap::new(),
            grace: policy.grace,
            recheck: policy.look_interval,
            maildirsize: policy.maildirsize,
            administrators: Vec::new(),
        }
    }
}
