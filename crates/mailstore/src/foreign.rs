//! What other servers left in a Maildir: reading it, and writing it for the way back.
//!
//! Everything here that reads a format is a pure function of the file's bytes.

pub mod uidlist;

pub use uidlist::{Uidlist, UidlistEntry};
