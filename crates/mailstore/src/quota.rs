//! What the mail of an account takes up, and how much it may (RFC 9208).
//!
//! # What is counted
//!
//! Every message of every mailbox of the account, and the octets of its file: those that `S=` in its
//! name tells of, or else those that the file system does. So do Dovecot's quota of the kind
//! `maildir`, and Courier; only that Courier leaves out Trash. A second link to a file counts again.
//!
//! # How it is kept
//!
//! The index of a mailbox tells its usage, and each chunk of a snapshot remembers its octets, so
//! that a change costs as much as the chunks it touches. The ledger of an account
//! adds up its mailboxes. Each has an entry there: the usage by its index, and the times of `new/` and
//! `cur/` by the same index. It is right as long as these times are, and the account is counted by
//! asking for the times of the directories. Only mailboxes with other times are opened.
//!
//! | Who changes a mailbox | Told by | When it counts |
//! |---|---|---|
//! | this process | every commit, under the lock of the mailbox | at once |
//! | another Pillarbox | the file `pillarbox.quota` (`record`), written under the same lock | at once |
//! | another program, in INBOX | a look at INBOX whenever usage is asked for | at once |
//! | another program, elsewhere | a look at all directories, if the last is older than [`Policy::look_interval`] | after that time at the latest |
//! | a crash before the entry is written | the times of the directories, as for another program | as for another program |
//!
//! # Who may add
//!
//! Whoever adds messages is admitted first, by usage and by what others have been admitted for and
//! have not yet added. So the sessions of one process never pass a limit together. Two processes do
//! not know of each other what they are about to add: each may pass the limit by what it is adding
//! at this moment, one command per session, and no further.
//!
//! What has been admitted is counted before the admission ends: for a moment it counts twice, which
//! can refuse a message that would have had room, and never the other way round.
//!
//! Removing is never refused, nor moving within the account. A move removes only after it has added,
//! so usage is higher in between; nobody is admitted for it.

mod count;
mod ledger;
mod limits;
mod maildirsize;
mod policies;
mod record;

use std::time::Duration;

pub use count::Counting;
pub(crate) use ledger::{Admission, Ledger, Tally};
pub(crate) use maildirsize::Change;
pub use policies::{Locate, Policies};

/// What messages take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub messages: u64,
    /// The octets of their files.
    pub octets: u64,
}

impl Usage {
    /// Of one message.
    pub const fn of_message(octets: u64) -> Self {
        Self {
            messages: 1,
            octets,
        }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_add(other.messages),
            octets: self.octets.saturating_add(other.octets),
        }
    }

    /// What is left without the other.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            octets: self.octets.saturating_sub(other.octets),
        }
    }
}

/// How much an account may hold; nothing limits what is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Octets (`STORAGE`, RFC 9208 §5.1).
    pub storage: Option<u64>,
    /// Messages (`MESSAGE`, RFC 9208 §5.2).
    pub messages: Option<u64>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        storage: None,
        messages: None,
    };

    /// The resource of which usage is above the limit, if there is one.
    pub fn exceeded_by(&self, usage: Usage) -> Option<Resource> {
        let above = |used: u64, limit: Option<u64>| limit.is_some_and(|limit| used > limit);
        if above(usage.octets, self.storage) {
            Some(Resource::Storage)
        } else if above(usage.messages, self.messages) {
            Some(Resource::Messages)
        } else {
            None
        }
    }
}

/// What a limit is about (RFC 9208 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `STORAGE`.
    Storage,
    /// `MESSAGE`.
    Messages,
}

impl Resource {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::Messages => "messages",
        }
    }
}

/// How far a delivery may go above the limit for storage, so that one that is nearly reached does
/// not turn mail away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// So many parts in a hundred of the limit.
    Percent(u32),
    /// So many octets.
    Octets(u64),
}

impl Grace {
    /// The limit with it.
    const fn over(self, limit: u64) -> u64 {
        let more = match self {
            Self::Percent(percent) => (limit / 100).saturating_mul(percent as u64),
            Self::Octets(octets) => octets,
        };
        limit.saturating_add(more)
    }
}

/// Whether the file `maildirsize` of other programs is kept (Maildir++).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Maildirsize {
    /// Where it is.
    #[default]
    Auto,
    /// Always; it is made where it is missing.
    Always,
    /// Never.
    Never,
}

/// What is decided about an account's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much it may hold.
    pub limits: Limits,
    /// How far a delivery may go above that.
    pub grace: Grace,
    /// For how long a look at all directories is believed.
    pub look_interval: Duration,
    /// Whether `maildirsize` is kept.
    pub maildirsize: Maildirsize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            limits: Limits::NONE,
            grace: Grace::Percent(10),
            look_interval: Duration::from_secs(5),
            maildirsize: Maildirsize::Auto,
        }
    }
}

/// Where the limits of an account come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// SETQUOTA: the file `pillarbox.limits`.
    Set,
    /// The policy.
    Policy,
    /// The first line of `maildirsize`.
    Maildirsize,
}

/// Who adds messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adding {
    /// The user, by a client.
    Client,
    /// A delivery, which has [`Grace`].
    Delivery,
}

#[cfg(test)]
mod tests;
