//! The arguments of NOTIFY (RFC 5465 §8).

use super::{FetchItem, MailboxArg};

/// NOTIFY (RFC 5465 §3.1).
#[derive(Debug)]
pub enum Notify {
    /// `NONE`: nothing is to be told.
    None,
    /// `SET`: this is to be told, and nothing else.
    Set {
        /// Whether the mailboxes are told as they are now.
        initial: InitialStatus,
        /// What is to be told of which mailboxes.
        groups: Vec<EventGroup>,
    },
}

/// Whether NOTIFY tells the STATUS of mailboxes at once (RFC 5465 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialStatus {
    /// `STATUS`.
    Told,
    /// The client knows it.
    Omitted,
}

/// `event-group` (RFC 5465 §8): some mailboxes, and what is to be told of them.
#[derive(Debug, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub mailboxes: MailboxFilter,
    /// What is to be told; nothing for `NONE`.
    pub events: Vec<NotifyEvent>,
}

/// `filter-mailboxes` (RFC 5465 §6).
#[derive(Debug, PartialEq, Eq)]
pub enum MailboxFilter {
    /// `selected`: the selected mailbox, at once.
    Selected,
    /// `selected-delayed`: the selected mailbox, EXPUNGE only when commands allow it.
    SelectedDelayed,
    /// `inboxes`: where messages are delivered to.
    Inboxes,
    /// `personal`: all mailboxes of the user.
    Personal,
    /// `subscribed`: what is on the subscription list.
    Subscribed,
    /// `subtree`: these and all below them.
    Subtree(Vec<MailboxArg>),
    /// `mailboxes`: these.
    Mailboxes(Vec<MailboxArg>),
}

/// `event` (RFC 5465 §5, §8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyEvent {
    /// `MessageNew`, with what to fetch of new messages in the selected mailbox.
    MessageNew(Vec<FetchItem>),
    /// `MessageExpunge`.
    MessageExpunge,
    /// `FlagChange`.
    FlagChange,
    /// `MailboxName`.
    MailboxName,
    /// `SubscriptionChange`.
    SubscriptionChange,
    /// `MailboxMetadataChange`.
    MailboxMetadataChange,
    /// `ServerMetadataChange`.
    ServerMetadataChange,
    /// Any other.
    Unsupported,
}
