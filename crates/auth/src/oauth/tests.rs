//! Tests of token checks.

mod asked;
mod keys;
mod signed;
pub(super) mod world;
