//! The Pillarbox mail server as a library: POP3 and IMAP4rev1 over Maildir.
//!
//! The `pillarbox` command is a thin shell over this crate, and authors of mail clients embed it in
//! their tests: a [`Server`] runs on any tokio runtime, on free ports, and tells where it is.
//!
//! The way of a connection: a [`server`] accepts it, the driver runs the protocol's
//! [`machine::Machine`] over it, and disk work and password checks go to blocking threads. Time and
//! randomness come from one [`Source`].

mod accounts;
pub mod check;
pub mod cli;
pub mod config;
mod connection;
pub mod dev;
pub mod index;
pub mod issuer;
mod limiter;
mod listen;
pub mod quota;
pub mod server;
pub mod sharing;
pub mod signals;
pub mod source;
#[cfg(feature = "sql")]
mod sql;
pub mod telemetry;
pub mod tls;
pub mod user;

pub use config::Settings;
pub use server::{Builder, Server};
pub use source::Source;
