//! IMAP4rev1 (RFC 3501) as a state machine without I/O.
//!
//! ```text
//! bytes → framer → grammar → Command → session state → Untagged* + Completion → encode → bytes
//! ```
//!
//! [`framer`] finds one whole command and knows about partial input; [`grammar`] turns it into a
//! typed [`command::Command`] with nom's complete parsers; [`session`] keeps the state, dispatches
//! to `handler` and [`extension`]; handlers push typed [`response`]s; [`encode`] is the only
//! place that writes wire syntax. [`message`] is one message as FETCH and SEARCH see it.

mod error;
mod handler;

pub mod command;
pub mod encode;
pub mod extension;
pub mod framer;
pub mod grammar;
pub mod message;
pub mod response;
pub mod session;
pub mod settings;
pub mod sharing;
pub mod types;

pub use session::Session;
pub use settings::{ClientId, Hidden, Limits, Metadata, Settings, Timeouts, Utf8Headers};
pub use sharing::Sharing;
