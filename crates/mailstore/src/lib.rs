//! Maildir++ accounts and mailboxes, for many readers and writers at once.
//!
//! The Maildir is the truth for message contents and for the flags its file names can hold; one
//! index file per mailbox holds what a Maildir cannot (UIDs, keywords past the 26th,
//! mod-sequences, sizes). Other programs may deliver, rename and delete files behind our back.
//!
//! Entry points: a [`Store`] (one per process) opens an [`Account`], which lists, creates, renames
//! and opens mailboxes; a [`Mailbox`] is shared by all sessions of the process and gives out
//! immutable [`Snapshot`]s. Everything here is synchronous and may block on the disk; nothing here
//! knows a protocol, MIME or an async runtime.

pub mod account;
pub mod acl;
pub(crate) mod attached;
pub mod cache;
pub mod content;
pub mod deliver;
mod email_id;
pub mod error;
mod file_system;
pub mod filename;
pub mod flag;
pub mod foreign;
pub mod id;
mod index;
pub mod inspect;
pub(crate) mod keyword_file;
pub(crate) mod lock;
pub mod mailbox;
pub mod name;
pub mod quota;
pub(crate) mod replace;
pub mod sharers;
pub mod snapshot;
pub mod source;
pub mod special;
pub mod store;
pub(crate) mod subscriptions;
mod sync;
pub(crate) mod tree;
pub(crate) mod uid_validity;
pub mod watch;

pub use account::{Account, AnnotateError, Annotation, AnnotationLimits, Entry, MaildropLock};
pub use acl::{Acl, Combine, Identifier, Rights, Sign, Who};
pub use attached::annotations::{Annotations, Entries, Place};
pub use cache::{Cached, Record};
pub use content::{CrlfReader, MessageFile, RawPieces, crlf_size, push_crlf};
pub use deliver::Staged;
pub use email_id::EmailId;
pub use error::{Error, Result};
pub use flag::{FlagChange, FlagMask, FlagOp, FlagSet, Keyword, Keywords, SystemFlag};
pub use id::{ModSeq, Uid, UidValidity};
pub use mailbox::{Appended, Appending, Copied, Mailbox, Moving, Stored};
pub use name::{MailboxName, NameError, Namespace, normalized};
pub use quota::{Counting, Usage};
pub use sharers::Sharers;
pub use snapshot::{Difference, Kept, Message, Snapshot};
pub use source::Source;
pub use special::{Missing, SpecialMailboxes, SpecialNames, SpecialUse, SpecialUses};
pub use store::{Fsync, Options, Store};
pub use watch::{AccountChange, AccountWatch, Notices, Observation, Watch};
