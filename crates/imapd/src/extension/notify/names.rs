//! LIST responses that tell of mailboxes which come, go and are renamed, and of subscriptions
//! (RFC 5465 §5.4, §5.5).

use std::collections::HashSet;

use mailstore::{AccountChange, MailboxName};

use super::events::{Events, Groups, Subscribed};
use crate::extension::children::{Children, attribute};
use crate::extension::{Capability, metadata, special_use};
use crate::response::{ListEntry, Untagged};
use crate::session::authenticated::Authenticated;

/// An account as it is now.
#[derive(Debug)]
pub(super) struct Names {
    mailboxes: HashSet<MailboxName>,
    /// Names that have a mailbox below them.
    above: HashSet<MailboxName>,
    pub(super) subscribed: Subscribed,
}

/// A name to be told, with the one it had.
type Affected = (MailboxName, Option<MailboxName>);

impl Names {
    pub(super) fn new(mailboxes: &[MailboxName], subscribed: Subscribed) -> Self {
        let mut above = HashSet::new();
        for name in mailboxes {
            let mut parent = name.parent();
            while let Some(name) = parent {
                parent = name.parent();
                above.insert(name);
            }
        }
        Self {
            mailboxes: mailboxes.iter().cloned().collect(),
            above,
            subscribed,
        }
    }

    /// The responses for these changes, of those that the client wants to hear of. Each name is told
    /// as it is now, once.
    pub(super) fn responses(
        &self,
        changes: &[AccountChange],
        groups: &Groups,
        account: &Authenticated,
    ) -> Vec<Untagged> {
        let mut told: Vec<Affected> = Vec::new();
        for affected in self.affected(changes, groups) {
            if !told.contains(&affected) {
                told.push(affected);
            }
        }
        let response = |(name, old)| self.response(&name, old, account);
        told.into_iter().map(response).collect()
    }

    fn affected(&self, changes: &[AccountChange], groups: &Groups) -> Vec<Affected> {
        let wants = |name: &MailboxName, events| groups.events(name, &self.subscribed).has(events);
        // Who is no longer on the list was on it.
        let mut on_it = self.subscribed.clone();
        on_it.extend(changes.iter().filter_map(|change| match change {
            AccountChange::Subscribed(name) | AccountChange::Unsubscribed(name) => {
                Some(name.clone())
            }
            AccountChange::Created(_)
            | AccountChange::Deleted(_)
            | AccountChange::Renamed { .. }
            | AccountChange::Annotated(..)
            | AccountChange::SpecialUses(_) => None,
        }));
        let mut affected = Vec::new();
        for (position, change) in changes.iter().enumerate() {
            match change {
                // The parent, whether it exists or not, has more or less below it.
                AccountChange::Created(name) | AccountChange::Deleted(name) => {
                    for name in [Some(name.clone()), name.parent()].into_iter().flatten() {
                        if wants(&name, Events::NAMES) {
                            affected.push((name, None));
                        }
                    }
                }
                AccountChange::Renamed { from, to } => {
                    let earlier = changes.iter().take(position);
                    let wanted = wants(from, Events::NAMES) || wants(to, Events::NAMES);
                    if wanted && !earlier.into_iter().any(|it| takes_along(it, from, to)) {
                        affected.push((to.clone(), Some(from.clone())));
                    }
                }
                AccountChange::Subscribed(name) | AccountChange::Unsubscribed(name) => {
                    if groups.events(name, &on_it).has(Events::SUBSCRIPTIONS) {
                        affected.push((name.clone(), None));
                    }
                }
                AccountChange::Annotated(..) | AccountChange::SpecialUses(_) => {}
            }
        }
        affected
    }

    /// LIST with all attributes (RFC 5465 §5.5).
    fn response(
        &self,
        name: &MailboxName,
        old: Option<MailboxName>,
        account: &Authenticated,
    ) -> Untagged {
        let mut attributes = Vec::new();
        if !self.mailboxes.contains(name) {
            attributes.push("\\NonExistent");
        }
        if self.subscribed.contains(name) {
            attributes.push("\\Subscribed");
        }
        if account.offered.has(Capability::Children) {
            attributes.push(attribute(if self.above.contains(name) {
                Children::Some
            } else {
                Children::None
            }));
        }
        attributes.extend(special_use::attributes_of(account, name));
        let entry = ListEntry {
            attributes,
            separator: Some(account.namespace().separator),
            name: account.shown(name),
        };
        match old {
            Some(old) => Untagged::ListWithOldName(entry, account.shown(&old)),
            None => Untagged::List(entry),
        }
    }
}

/// Whether a mailbox was renamed because one above it was: then nothing more is said of it
/// (RFC 5465 §5.4).
fn takes_along(change: &AccountChange, from: &MailboxName, to: &MailboxName) -> bool {
    let AccountChange::Renamed {
        from: from_above,
        to: to_above,
    } = change
    else {
        return false;
    };
    let below = |name: &MailboxName, above: &MailboxName| {
        let rest = name.as_str().strip_prefix(above.as_str());
        rest.filter(|rest| rest.starts_with('.')).map(str::to_owned)
    };
    let rest = below(from, from_above);
    rest.is_some() && rest == below(to, to_above)
}

/// Whether a change is what the client's own command has done, so that it is no news to it
/// (RFC 5465 §5).
pub(crate) fn is_own(change: &AccountChange, own: &AccountChange) -> bool {
    change == own
        || match (change, own) {
            (AccountChange::Renamed { from, to }, AccountChange::Renamed { .. }) => {
                takes_along(own, from, to)
            }
            // RENAME of INBOX makes a mailbox (RFC 3501 §6.3.5).
            (AccountChange::Created(name), AccountChange::Renamed { from, to }) => {
                from.is_inbox() && name == to
            }
            // Annotations of INBOX go with its messages, and stay (RFC 5464 §4.1).
            (AccountChange::Annotated(Some(name), _), AccountChange::Renamed { from, to }) => {
                from.is_inbox() && name == to
            }
            (AccountChange::Annotated(place, told), AccountChange::Annotated(own, entries)) => {
                place == own && told.iter().all(|entry| entries.contains(entry))
            }
            // What it takes from other mailboxes is told at once.
            (AccountChange::SpecialUses(_), AccountChange::Annotated(_, entries)) => {
                entries.iter().any(|entry| entry == metadata::SPECIAL_USE)
            }
            (AccountChange::SpecialUses(name), AccountChange::Created(own)) => name == own,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use mailstore::Namespace;

    use super::*;

    fn name(text: &str) -> MailboxName {
        Namespace::default().parse(text.as_bytes()).unwrap()
    }

    fn renamed(from: &str, to: &str) -> AccountChange {
        let (from, to) = (name(from), name(to));
        AccountChange::Renamed { from, to }
    }

    #[test]
    fn a_rename_takes_along_what_is_below_and_nothing_else() {
        let own = renamed("a", "x/y");
        for (from, to, expected) in [
            ("a/b", "x/y/b", true),
            ("a/b/c", "x/y/b/c", true),
            ("a/b", "x/y/c", false),
            ("ab", "x/yb", false),
            ("b", "c", false),
        ] {
            let change = renamed(from, to);
            assert_eq!(is_own(&change, &own), expected, "{from} to {to}");
        }
        assert!(is_own(&own, &own));
        let inbox = renamed("INBOX", "old");
        assert!(is_own(&AccountChange::Created(name("old")), &inbox));
        assert!(!is_own(&AccountChange::Created(name("new")), &inbox));
        assert!(!is_own(&AccountChange::Created(name("x/y")), &own));
    }
}
