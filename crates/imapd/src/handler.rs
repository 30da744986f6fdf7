//! What commands do: one family each.

pub(crate) mod ahead;
pub(crate) mod append;
pub(crate) mod content;
pub(crate) mod copy;
pub(crate) mod expunge;
pub(crate) mod fetch;
pub(crate) mod list;
pub(crate) mod mailbox;
pub(crate) mod search;
pub(crate) mod shelf;
pub(crate) mod store;
