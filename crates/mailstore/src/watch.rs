//! Telling sessions that a mailbox has changed.

use std::sync::Arc;

use crate::mailbox::Mailbox;

/// A session's interest in a mailbox; ends when dropped.
///
/// While it lives, the session's waker is called after every change by anybody else or by itself,
/// and the bytes of messages that are expunged stay readable for it.
#[derive(Debug)]
pub struct Watch {
    _mailbox: Arc<Mailbox>,
}
