//! What a client knows of a mailbox that it has not selected, and the STATUS that tells what is new.

use std::sync::Arc;

use mailstore::{Mailbox, ModSeq, Snapshot, Uid, UidValidity};

use super::events::Events;
use crate::command::StatusItem;
use crate::extension::Capability;
use crate::extension::enable::Feature;
use crate::session::authenticated::Authenticated;

/// What STATUS tells of a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    uid_validity: UidValidity,
    uid_next: Uid,
    messages: u32,
    /// 0 where changes of flags are not to be told.
    unseen: u32,
    mod_seq: ModSeq,
}

/// Whether mod-sequences are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModSeqs {
    /// They are.
    Told,
    /// The client does not know of them.
    Unknown,
}

impl ModSeqs {
    /// Whether they are told to clients that ask for all there is.
    pub(super) fn offered(account: &Authenticated) -> Self {
        if account.offered.has(Capability::Condstore) {
            Self::Told
        } else {
            Self::Unknown
        }
    }

    /// Whether this client is told when something changes.
    pub(super) fn of(account: &Authenticated) -> Self {
        let enabled = account.enabled;
        if enabled.has(Feature::Condstore) || enabled.has(Feature::Qresync) {
            Self::Told
        } else {
            Self::Unknown
        }
    }
}

impl Counts {
    /// Those of a mailbox as it is in a snapshot.
    pub(super) fn of(mailbox: &Mailbox, snapshot: &Arc<Snapshot>, events: Events) -> Self {
        let unseen = if events.has(Events::FLAGS) {
            mailbox.unseen(snapshot)
        } else {
            0
        };
        Self {
            uid_validity: snapshot.uid_validity(),
            uid_next: snapshot.uid_next(),
            messages: number(snapshot.len()),
            unseen: number(unseen),
            mod_seq: snapshot.highest_mod_seq(),
        }
    }

    /// Those of a mailbox that has just been made.
    pub(super) fn of_new(self) -> Self {
        Self {
            uid_next: Uid::MIN,
            messages: 0,
            unseen: 0,
            mod_seq: ModSeq::MIN,
            ..self
        }
    }

    /// Takes in messages that the client itself has added, as they are in `newest`: they are no news
    /// (RFC 5465 §5).
    pub(super) fn add_own(&mut self, newest: &Snapshot, uids: &[Uid], events: Events) {
        for uid in uids {
            let Some(message) = newest.by_uid(*uid) else {
                continue;
            };
            self.messages = self.messages.saturating_add(1);
            self.uid_next = self.uid_next.max(uid.next().unwrap_or(*uid));
            let is_unseen = !message.flags().has(mailstore::SystemFlag::Seen);
            if events.has(Events::FLAGS) && is_unseen {
                self.unseen = self.unseen.saturating_add(1);
            }
            if self.mod_seq.get() + 1 == message.mod_seq().get() {
                self.mod_seq = message.mod_seq();
            }
        }
    }

    /// What a STATUS response has to have before the client is told of changes (RFC 5465 §3.1).
    pub(super) fn initial(self, events: Events, mod_seqs: ModSeqs) -> Vec<(StatusItem, u64)> {
        let mut items = vec![self.uid_validity()];
        if events.has(Events::MESSAGES) {
            items.extend(self.size());
        }
        if events.has(Events::FLAGS) {
            items.push(self.unseen());
            if mod_seqs == ModSeqs::Told {
                items.push(self.mod_seq());
            }
        }
        items
    }

    /// What is to be told to a client that knows `self` and is to know `newer`; nothing if none of
    /// these events has happened (RFC 5465 §5.1, §5.2, §5.3).
    pub(super) fn news(
        self,
        newer: Self,
        events: Events,
        mod_seqs: ModSeqs,
    ) -> Option<Vec<(StatusItem, u64)>> {
        let other = self.uid_validity != newer.uid_validity;
        let messages = events.has(Events::MESSAGES)
            && (self.uid_next, self.messages) != (newer.uid_next, newer.messages);
        let unseen = events.has(Events::FLAGS) && self.unseen != newer.unseen;
        let touched =
            events.has(Events::FLAGS) && mod_seqs == ModSeqs::Told && self.mod_seq != newer.mod_seq;
        let mut items = Vec::new();
        if messages || other {
            items.extend(newer.size());
        }
        if mod_seqs == ModSeqs::Told && (messages || unseen || touched || other) {
            items.push(newer.mod_seq());
        }
        if unseen || touched || other {
            items.push(newer.uid_validity());
        }
        if unseen {
            items.push(newer.unseen());
        }
        (!items.is_empty()).then_some(items)
    }

    fn uid_validity(self) -> (StatusItem, u64) {
        (StatusItem::UidValidity, self.uid_validity.get().into())
    }

    fn size(self) -> [(StatusItem, u64); 2] {
        [
            (StatusItem::UidNext, self.uid_next.get().into()),
            (StatusItem::Messages, self.messages.into()),
        ]
    }

    fn mod_seq(self) -> (StatusItem, u64) {
        (StatusItem::HighestModSeq, self.mod_seq.get())
    }

    fn unseen(self) -> (StatusItem, u64) {
        (StatusItem::Unseen, self.unseen.into())
    }
}

/// A count as it is told; mailboxes have fewer messages than there are UIDs.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::NotifyEvent;

    fn counts(
        uid_validity: u32,
        uid_next: u32,
        messages: u32,
        unseen: u32,
        mod_seq: u64,
    ) -> Counts {
        Counts {
            uid_validity: UidValidity::new(uid_validity).unwrap(),
            uid_next: Uid::new(uid_next).unwrap(),
            messages,
            unseen,
            mod_seq: ModSeq::new(mod_seq).unwrap(),
        }
    }

    #[test]
    fn only_what_was_asked_for_and_has_changed_is_told() {
        use StatusItem::{HighestModSeq, Messages, UidNext, UidValidity, Unseen};
        let messages = Events::of(&[NotifyEvent::MessageExpunge]);
        let all = Events::of(&[NotifyEvent::MessageExpunge, NotifyEvent::FlagChange]);
        let known = counts(1, 10, 5, 2, 100);
        type Row<'a> = (Counts, Events, &'a [(StatusItem, u64)]);
        let rows: [Row<'_>; 7] = [
            (known, all, &[]),
            (counts(1, 10, 5, 2, 101), all, &[]),
            (counts(1, 10, 5, 3, 101), messages, &[]),
            (
                counts(1, 11, 6, 2, 101),
                messages,
                &[(UidNext, 11), (Messages, 6)],
            ),
            (
                counts(1, 11, 5, 2, 102),
                messages,
                &[(UidNext, 11), (Messages, 5)],
            ),
            (
                counts(1, 10, 5, 3, 101),
                all,
                &[(UidValidity, 1), (Unseen, 3)],
            ),
            (
                counts(2, 10, 5, 2, 100),
                messages,
                &[(UidNext, 10), (Messages, 5), (UidValidity, 2)],
            ),
        ];
        for (newer, events, expected) in rows {
            let news = known.news(newer, events, ModSeqs::Unknown);
            assert_eq!(news.unwrap_or_default(), expected, "{newer:?}");
        }
        let highest = (HighestModSeq, 101);
        let rows: [Row<'_>; 3] = [
            (known, all, &[]),
            (counts(1, 10, 5, 2, 101), messages, &[]),
            (counts(1, 10, 5, 2, 101), all, &[highest, (UidValidity, 1)]),
        ];
        for (newer, events, expected) in rows {
            let news = known.news(newer, events, ModSeqs::Told);
            assert_eq!(news.unwrap_or_default(), expected, "{newer:?}");
        }
        let grown = counts(1, 11, 6, 2, 101);
        let news = known.news(grown, messages, ModSeqs::Told).unwrap();
        assert_eq!(news, [(UidNext, 11), (Messages, 6), highest]);
    }
}
