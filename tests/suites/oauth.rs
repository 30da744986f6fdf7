//! Logins with tokens of OAuth: an issuer that the test runs, and the real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "oauth/asking.rs"]
mod asking;
#[path = "oauth/clients.rs"]
mod clients;
#[path = "oauth/server.rs"]
mod server;
#[path = "oauth/world.rs"]
mod world;
