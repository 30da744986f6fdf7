//! POP3 (RFC 1939) as a state machine without I/O.
//!
//! The way of a command: bytes → [`framer`] (one whole line, or too long) → [`grammar`] (nom) →
//! [`Command`](command::Command) → the state that may run it ([`session`]) → [`response`] → bytes.
//! The maildrop is a user's INBOX, read through [`mailstore`]; IMAP sessions and deliveries on it
//! go on unhindered.
//!
//! Also spoken: CAPA and extended response codes (RFC 2449), STLS (RFC 2595), AUTH (RFC 5034),
//! SYS and AUTH codes (RFC 3206), UTF8 and LANG (RFC 6856).

pub mod command;
mod digits;
pub mod error;
pub mod framer;
pub mod grammar;
mod header_digest;
pub mod response;
pub mod session;
pub mod settings;
pub mod unique_id;

pub use session::Session;
pub use settings::{Limits, Settings, Timeouts, Utf8Headers};
pub use unique_id::{UidlFormat, UidlFormatError};
