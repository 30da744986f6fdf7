//! Attacks on the real binary over real sockets: floods, stalls, hostile input, hostile files, and
//! the ends of the process. Each test is named after the rule that it proves.
//!
//! Limits of time are generous: a loaded machine must not fail them, a lost bound must.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "every line is part of a test"
)]

#[path = "sockets/after_login.rs"]
mod after_login;
#[path = "sockets/before_login.rs"]
mod before_login;
#[path = "sockets/compression.rs"]
mod compression;
#[path = "sockets/fetches.rs"]
mod fetches;
#[path = "sockets/files.rs"]
mod files;
#[path = "sockets/logins.rs"]
mod logins;
#[path = "sockets/messages.rs"]
mod messages;
#[path = "sockets/notices.rs"]
mod notices;
#[path = "sockets/process.rs"]
mod process;
#[path = "sockets/resynchronising.rs"]
mod resynchronising;
