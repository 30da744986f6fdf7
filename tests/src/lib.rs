//! Test support: the server harness and the transcript runner.

pub mod bare;
pub mod binary;
pub mod client;
mod deflate;
pub mod issuer;
pub mod peer;
pub mod postgres;
pub mod program;
pub mod random;
pub mod serve;
pub mod server;
pub mod strace;
pub mod transcript;
pub mod tree;
