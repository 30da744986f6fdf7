//! What other servers left in a Maildir: reading it, and writing it for the way back.
//!
//! Everything here that reads a format is a pure function of the file's bytes.

mod compare;
pub(crate) mod export;
pub mod uidlist;

pub use compare::{Disagreement, compare};
pub use export::Exported;
pub use uidlist::{Uidlist, UidlistEntry};
