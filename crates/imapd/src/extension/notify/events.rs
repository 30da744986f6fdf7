//! What is to be told of which mailboxes (RFC 5465 §5, §6).

use std::collections::BTreeSet;

use mailstore::{AccountChange, MailboxName};

use crate::command::{EventGroup, FetchItem, MailboxFilter, NotifyEvent};
use crate::session::authenticated::Authenticated;

/// The events that we can tell of, by their names (RFC 5465 §8, `event-name`).
pub(crate) const SUPPORTED: [&str; 7] = [
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
];

/// A set of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events(u8);

impl Events {
    /// None of them.
    pub(super) const NONE: Self = Self(0);
    /// New and expunged messages, which come together (RFC 5465 §5).
    pub(super) const MESSAGES: Self = Self(1);
    /// Changes of flags.
    pub(super) const FLAGS: Self = Self(2);
    /// Mailboxes that come, go and are renamed.
    pub(super) const NAMES: Self = Self(4);
    /// Changes of the subscription list.
    pub(super) const SUBSCRIPTIONS: Self = Self(8);
    /// Changes of annotations of mailboxes.
    pub(super) const METADATA: Self = Self(16);
    /// Changes of annotations of the server, wherever they are asked for.
    pub(super) const SERVER_METADATA: Self = Self(32);

    /// The events of a group.
    pub(super) fn of(events: &[NotifyEvent]) -> Self {
        let each = events.iter().map(|event| match event {
            NotifyEvent::MessageNew(_) | NotifyEvent::MessageExpunge => Self::MESSAGES,
            NotifyEvent::FlagChange => Self::FLAGS,
            NotifyEvent::MailboxName => Self::NAMES,
            NotifyEvent::SubscriptionChange => Self::SUBSCRIPTIONS,
            NotifyEvent::MailboxMetadataChange => Self::METADATA,
            NotifyEvent::ServerMetadataChange => Self::SERVER_METADATA,
            NotifyEvent::Unsupported => Self::NONE,
        });
        each.fold(Self::NONE, Self::union)
    }

    /// Whether all of these are among them.
    pub(super) const fn has(self, events: Self) -> bool {
        self.0 & events.0 == events.0
    }

    /// Those that are about the messages of a mailbox.
    pub(super) const fn about_messages(self) -> Self {
        Self(self.0 & (Self::MESSAGES.0 | Self::FLAGS.0))
    }

    const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is to be told of the selected mailbox (RFC 5465 §6.1).
#[derive(Debug, Default)]
pub(super) struct ForSelected {
    pub(super) events: Events,
    pub(super) expunges: Expunges,
    /// What is fetched of new messages.
    pub(super) items: Vec<FetchItem>,
}

/// When messages of the selected mailbox may go (RFC 5465 §6.1.1, §6.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Expunges {
    /// When a command allows it.
    #[default]
    Delayed,
    /// At any time.
    Immediate,
}

impl ForSelected {
    /// What the groups say of it; nothing if none is about it (RFC 5465 §3.1).
    pub(super) fn new(groups: &[EventGroup]) -> Self {
        let about = |group: &&EventGroup| expunges(&group.mailboxes).is_some();
        let Some(group) = groups.iter().find(about) else {
            return Self::default();
        };
        let items = group.events.iter().find_map(|event| match event {
            NotifyEvent::MessageNew(items) => Some(items.clone()),
            NotifyEvent::MessageExpunge
            | NotifyEvent::FlagChange
            | NotifyEvent::MailboxName
            | NotifyEvent::SubscriptionChange
            | NotifyEvent::MailboxMetadataChange
            | NotifyEvent::ServerMetadataChange
            | NotifyEvent::Unsupported => None,
        });
        Self {
            events: Events::of(&group.events),
            expunges: expunges(&group.mailboxes).unwrap_or_default(),
            items: items.unwrap_or_default(),
        }
    }
}

/// When messages may go, for a filter of the selected mailbox.
const fn expunges(mailboxes: &MailboxFilter) -> Option<Expunges> {
    match mailboxes {
        MailboxFilter::Selected => Some(Expunges::Immediate),
        MailboxFilter::SelectedDelayed => Some(Expunges::Delayed),
        MailboxFilter::Inboxes
        | MailboxFilter::Personal
        | MailboxFilter::Subscribed
        | MailboxFilter::Subtree(_)
        | MailboxFilter::Mailboxes(_) => None,
    }
}

/// The groups that are not about the selected mailbox.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

#[derive(Debug)]
struct Group {
    which: Which,
    events: Events,
}

/// Which mailboxes a group is about.
#[derive(Debug)]
enum Which {
    /// All of them. Any can be delivered to, so that inboxes are the same (RFC 5465 §6.3).
    Personal,
    /// Those on the subscription list.
    Subscribed,
    /// These and all below.
    Subtree(BTreeSet<MailboxName>),
    /// These.
    Mailboxes(BTreeSet<MailboxName>),
}

impl Groups {
    /// From what the client says. A name that cannot be a mailbox is none that exists, and so is
    /// ignored (RFC 5465 §3.1).
    pub(super) fn new(groups: &[EventGroup], account: &Authenticated) -> Self {
        let names = |names: &[Vec<u8>]| {
            // There may be many of them: not every name is compared with every other.
            let found = |name: &Vec<u8>| account.account.in_form_c(account.typed(name).ok()?).ok();
            let names = names.iter().filter_map(found);
            names.collect()
        };
        let groups = groups.iter().filter_map(|group| {
            let which = match &group.mailboxes {
                MailboxFilter::Selected | MailboxFilter::SelectedDelayed => return None,
                MailboxFilter::Inboxes | MailboxFilter::Personal => Which::Personal,
                MailboxFilter::Subscribed => Which::Subscribed,
                MailboxFilter::Subtree(above) => Which::Subtree(names(above)),
                MailboxFilter::Mailboxes(those) => Which::Mailboxes(names(those)),
            };
            let events = Events::of(&group.events);
            Some(Group { which, events })
        });
        Self(groups.collect())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the client wants to hear of a change of annotations.
    pub(super) fn want_metadata(&self, change: &AccountChange, subscribed: &Subscribed) -> bool {
        match change {
            AccountChange::Annotated(Some(name), _) | AccountChange::SpecialUses(name) => {
                self.events(name, subscribed).has(Events::METADATA)
            }
            AccountChange::Annotated(None, _) => {
                let mut groups = self.0.iter();
                groups.any(|group| group.events.has(Events::SERVER_METADATA))
            }
            AccountChange::Created(_)
            | AccountChange::Deleted(_)
            | AccountChange::Renamed { .. }
            | AccountChange::Subscribed(_)
            | AccountChange::Unsubscribed(_) => false,
        }
    }

    /// What is to be told of a mailbox: what any group says, and nothing if one says NONE, because
    /// that means that the client wishes to receive no event for it (RFC 5465 §8).
    pub(super) fn events(&self, name: &MailboxName, subscribed: &Subscribed) -> Events {
        let about = |group: &&Group| group.which.includes(name, subscribed);
        let mut all = Events::NONE;
        for group in self.0.iter().filter(about) {
            if group.events == Events::NONE {
                return Events::NONE;
            }
            all = all.union(group.events);
        }
        all
    }
}

/// The subscription list.
pub(super) type Subscribed = BTreeSet<MailboxName>;

impl Which {
    fn includes(&self, name: &MailboxName, subscribed: &Subscribed) -> bool {
        match self {
            Self::Personal => true,
            Self::Subscribed => subscribed.contains(name),
            // A client may name very many, for very many mailboxes.
            Self::Subtree(above) => {
                let mut names = std::iter::successors(Some(name.clone()), MailboxName::parent);
                names.any(|name| above.contains(&name))
            }
            Self::Mailboxes(names) => names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use mailstore::Namespace;

    use super::*;

    fn name(text: &str) -> MailboxName {
        Namespace::default().parse(text.as_bytes()).unwrap()
    }

    fn group(which: Which, events: Events) -> Group {
        Group { which, events }
    }

    #[test]
    fn groups_add_up_and_none_takes_all_away() {
        let groups = Groups(vec![
            group(Which::Personal, Events::NAMES),
            group(Which::Subscribed, Events::SUBSCRIPTIONS),
            group(Which::Subtree([name("a")].into()), Events::MESSAGES),
            group(
                Which::Mailboxes([name("a/b"), name("c")].into()),
                Events::FLAGS,
            ),
            group(Which::Mailboxes([name("a/x")].into()), Events::NONE),
        ]);
        let subscribed = Subscribed::from([name("a"), name("s")]);
        let rows: [(&str, &[Events]); 7] = [
            ("INBOX", &[Events::NAMES]),
            ("s", &[Events::NAMES, Events::SUBSCRIPTIONS]),
            (
                "a",
                &[Events::NAMES, Events::SUBSCRIPTIONS, Events::MESSAGES],
            ),
            ("a/b", &[Events::NAMES, Events::MESSAGES, Events::FLAGS]),
            ("c", &[Events::NAMES, Events::FLAGS]),
            ("a/x", &[]),
            ("ab", &[Events::NAMES]),
        ];
        for (mailbox, expected) in rows {
            let expected = expected.iter().copied().fold(Events::NONE, Events::union);
            assert_eq!(
                groups.events(&name(mailbox), &subscribed),
                expected,
                "{mailbox}"
            );
        }
    }

    #[test]
    fn the_selected_mailbox_has_what_its_own_group_says() {
        let group = |mailboxes, events| EventGroup { mailboxes, events };
        let new = |items| vec![NotifyEvent::MessageNew(items), NotifyEvent::MessageExpunge];
        let others = group(MailboxFilter::Personal, new(Vec::new()));
        let none = ForSelected::new(&[others]);
        assert_eq!(none.events, Events::NONE);
        let own = group(MailboxFilter::Selected, new(vec![FetchItem::Uid]));
        let selected = ForSelected::new(&[own]);
        assert_eq!(selected.events, Events::MESSAGES);
        assert_eq!(selected.expunges, Expunges::Immediate);
        assert_eq!(selected.items, [FetchItem::Uid]);
    }
}
