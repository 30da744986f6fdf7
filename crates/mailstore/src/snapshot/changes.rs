//! What has changed since a mod-sequence, at the cost of the changes (RFC 7162 §3.1.4.1, §3.2.6).

use std::sync::Arc;

use super::chunk::{Chunk, is_unseen};
use super::vanished::{Vanished, VanishedRange};
use super::{Message, Snapshot};
use crate::id::{ModSeq, Uid};

impl Snapshot {
    /// The messages with a mod-sequence above `mod_seq` and their positions, counted from 0,
    /// ascending (RFC 7162 §3.1.4.1). `None` is the mod-sequence 0, which all are above.
    pub fn changed_since(
        &self,
        mod_seq: Option<ModSeq>,
    ) -> impl Iterator<Item = (usize, Message<'_>)> {
        let since = number(mod_seq);
        self.chunks_with(move |chunk| chunk.highest_mod_seq() > since)
            .filter(move |(_, message)| message.mod_seq().get() > since)
    }

    /// The UIDs of messages that went after `mod_seq`, as ascending ranges, each with its first and
    /// its last. If that is longer ago than is remembered, all UIDs that were given and have no
    /// message (RFC 7162 §3.2.6, `minmodseq`).
    pub fn vanished_since(&self, mod_seq: Option<ModSeq>) -> Vec<(Uid, Uid)> {
        let since = number(mod_seq);
        if since < self.vanished.floor() {
            let last = Uid::new(self.uid_next.get() - 1);
            return last.map_or_else(Vec::new, |last| self.gaps((Uid::MIN, last)));
        }
        let ranges = self.vanished.after(since);
        let mut ranges: Vec<(Uid, Uid)> = ranges.map(|range| (range.first, range.last)).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, range| {
            let touches = range.1.next().is_none_or(|after| next.0 <= after);
            if touches {
                range.1 = range.1.max(next.1);
            }
            touches
        });
        // Messages that a client still counts are not gone for it.
        let counted = |range: &(Uid, Uid)| {
            let first = self.get(self.lower_bound(range.0));
            first.is_some_and(|message| message.uid() <= range.1)
        };
        if ranges.iter().any(counted) {
            return ranges.into_iter().flat_map(|it| self.gaps(it)).collect();
        }
        ranges
    }

    /// Up to which mod-sequence all changes have happened of which `self` says everything, although
    /// it has messages that are gone from `newest`: below the first of their mod-sequences
    /// (RFC 7162 §3.2). `before` is what that was earlier, and is the answer if nothing is known.
    pub fn complete_up_to(&self, newest: &Self, before: ModSeq) -> ModSeq {
        if before.get() < newest.vanished.floor() {
            return before;
        }
        let is_counted = |range: &VanishedRange| {
            let first = self.get(self.lower_bound(range.first));
            first.is_some_and(|message| message.uid() <= range.last)
        };
        let mut later = newest.vanished.after(before.get());
        match later.find(|range| is_counted(range)) {
            Some(range) => ModSeq::new(range.mod_seq.get() - 1).map_or(before, |it| it.max(before)),
            None => newest.highest_mod_seq(),
        }
    }

    /// The position of the first message without `\Seen`, counted from 0.
    pub fn first_unseen(&self) -> Option<usize> {
        let mut unseen = self.chunks_with(|chunk| chunk.unseen() > 0);
        let first = unseen.find(|(_, message)| is_unseen(message.flags()));
        first.map(|(position, _)| position)
    }

    /// How many messages have no `\Seen`.
    pub fn unseen(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.unseen()).sum()
    }

    /// What is remembered of expunged messages.
    pub(crate) fn vanished(&self) -> &Vanished {
        &self.vanished
    }

    /// Remembers expunged messages.
    pub(crate) fn note_vanished(&mut self, range: VanishedRange) {
        Arc::make_mut(&mut self.vanished).add(range);
    }

    /// Says that messages may have gone unnoticed up to a mod-sequence.
    pub(crate) fn forget_vanished(&mut self, mod_seq: ModSeq) {
        Arc::make_mut(&mut self.vanished).forget(mod_seq);
    }

    /// Puts what is remembered of expunged messages in place.
    pub(crate) fn set_vanished(&mut self, vanished: Vanished) {
        self.vanished = Arc::new(vanished);
    }

    /// The messages of some chunks, with their positions.
    fn chunks_with(
        &self,
        wanted: impl Fn(&Chunk) -> bool,
    ) -> impl Iterator<Item = (usize, Message<'_>)> {
        let chunks = self.starts.iter().zip(&self.chunks);
        let chunks = chunks.filter(move |(_, chunk)| wanted(chunk));
        chunks.flat_map(|(start, chunk)| {
            let records = chunk.records.iter().enumerate();
            records.map(move |(offset, record)| (start + offset, Message { chunk, record }))
        })
    }

    /// The UIDs in a range that no message has, as ascending ranges.
    fn gaps(&self, (first, last): (Uid, Uid)) -> Vec<(Uid, Uid)> {
        let mut gaps = Vec::new();
        let mut next = Some(first);
        for message in self.iter_from(self.lower_bound(first)) {
            let Some(from) = next.filter(|from| *from <= last) else {
                break;
            };
            let uid = message.uid();
            if let Some(before) = Uid::new(uid.get() - 1).filter(|before| from <= *before) {
                gaps.push((from, before.min(last)));
            }
            next = uid.next();
        }
        if let Some(from) = next.filter(|from| *from <= last) {
            gaps.push((from, last));
        }
        gaps
    }
}

/// A mod-sequence as a number; `None` is 0.
fn number(mod_seq: Option<ModSeq>) -> u64 {
    mod_seq.map_or(0, ModSeq::get)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::flag::{FlagSet, SystemFlag};
    use crate::id::UidValidity;
    use crate::snapshot::{Added, Place};

    fn uid(value: u32) -> Uid {
        Uid::new(value).unwrap()
    }

    fn added(value: u32, mod_seq: ModSeq) -> Added {
        Added {
            uid: uid(value),
            flags: FlagSet::EMPTY,
            mod_seq,
            size: None,
            date: None,
            saved: 0,
            place: Place::Cur,
            name: format!("{value}.M1P1.host:2,").into_bytes(),
        }
    }

    fn filled(messages: u32) -> Snapshot {
        let mut snapshot = Snapshot::empty(UidValidity::MIN);
        for value in 1..=messages {
            assert!(snapshot.push(&added(value, ModSeq::MIN)));
        }
        snapshot.reindex();
        snapshot
    }

    /// What happens to a mailbox; every change has the next mod-sequence.
    #[derive(Clone, Debug)]
    enum Op {
        Add,
        Remove(u32, u32),
        Flag(u32, bool),
        Forget,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => Just(Op::Add),
            8 => (1..1300u32, 0..40u32).prop_map(|(first, more)| Op::Remove(first, first + more)),
            8 => (1..1300u32, any::<bool>()).prop_map(|(uid, seen)| Op::Flag(uid, seen)),
            1 => Just(Op::Forget),
        ]
    }

    fn apply(snapshot: &mut Snapshot, op: &Op) {
        let mod_seq = ModSeq::new(snapshot.highest_mod_seq().get() + 1).unwrap();
        match *op {
            Op::Add => assert!(snapshot.push(&added(snapshot.uid_next().get(), mod_seq))),
            Op::Remove(first, last) => {
                let gone = snapshot.remove(uid(first), uid(last));
                for (first, last) in crate::index::runs(&gone) {
                    snapshot.note_vanished(VanishedRange {
                        first,
                        last,
                        mod_seq,
                    });
                }
                snapshot.raise(Uid::MIN, Uid::MIN, mod_seq);
            }
            Op::Flag(value, seen) => {
                let flags = if seen {
                    FlagSet::EMPTY.with(SystemFlag::Seen)
                } else {
                    FlagSet::EMPTY
                };
                let same = |name: &[u8]| Some(name.to_vec());
                assert!(snapshot.update(uid(value), (flags, mod_seq), Place::Cur, same));
            }
            Op::Forget => {
                snapshot.touch_all(mod_seq);
                snapshot.forget_vanished(mod_seq);
            }
        }
        snapshot.reindex();
    }

    fn uids(snapshot: &Snapshot) -> BTreeSet<u32> {
        snapshot.iter().map(|message| message.uid().get()).collect()
    }

    fn expand(ranges: &[(Uid, Uid)]) -> Vec<u32> {
        let numbers = ranges.iter().map(|(first, last)| first.get()..=last.get());
        numbers.flatten().collect()
    }

    proptest! {
        #[test]
        fn whoever_knows_an_earlier_state_learns_exactly_the_present_one(
            ops in prop::collection::vec(op(), 1..40),
            at in any::<prop::sample::Index>(),
        ) {
            let mut snapshot = filled(1200);
            let mut states = vec![snapshot.clone()];
            for op in &ops {
                apply(&mut snapshot, op);
                states.push(snapshot.clone());
            }
            let earlier = &states[at.index(states.len())];
            let since = Some(earlier.highest_mod_seq());
            let vanished = expand(&snapshot.vanished_since(since));
            prop_assert!(vanished.windows(2).all(|pair| pair[0] < pair[1]));
            let changed: BTreeSet<u32> =
                snapshot.changed_since(since).map(|(_, it)| it.uid().get()).collect();
            for (position, message) in snapshot.changed_since(since) {
                prop_assert_eq!(snapshot.position(message.uid()), Some(position));
            }
            let mut known = uids(earlier);
            known.retain(|uid| vanished.binary_search(uid).is_err());
            known.extend(&changed);
            prop_assert_eq!(&known, &uids(&snapshot));
            let unchanged = |message: &Message<'_>| {
                let old = earlier.by_uid(message.uid());
                old.is_some_and(|old| (old.flags(), old.mod_seq()) == (message.flags(), message.mod_seq()))
            };
            for message in snapshot.iter() {
                prop_assert!(changed.contains(&message.uid().get()) != unchanged(&message));
            }
            let all: Vec<u32> = (1..snapshot.uid_next().get()).collect();
            let present = uids(&snapshot);
            let gone: Vec<u32> = all.into_iter().filter(|uid| !present.contains(uid)).collect();
            prop_assert!(vanished.iter().all(|uid| gone.binary_search(uid).is_ok()));
            prop_assert_eq!(expand(&snapshot.vanished_since(None)), gone);
            let unseen = |it: &Message<'_>| is_unseen(it.flags());
            prop_assert_eq!(snapshot.unseen(), snapshot.iter().filter(unseen).count());
            prop_assert_eq!(snapshot.first_unseen(), snapshot.iter().position(|it| unseen(&it)));
        }

        #[test]
        fn messages_that_a_client_counts_have_not_vanished_for_it(
            ops in prop::collection::vec(op(), 1..12),
        ) {
            let old = Arc::new(filled(1200));
            let mut new = filled(1200);
            for op in &ops {
                apply(&mut new, op);
            }
            let new = Arc::new(new);
            let kept = old.keeping_expunged(&new);
            let vanished = expand(&kept.vanished_since(Some(old.highest_mod_seq())));
            prop_assert!(vanished.iter().all(|it| kept.by_uid(uid(*it)).is_none()));
            let complete = kept.complete_up_to(&new, old.highest_mod_seq());
            prop_assert!(complete <= new.highest_mod_seq() && complete >= old.highest_mod_seq());
            let held = new.vanished().after(0).filter(|it| kept.by_uid(it.first).is_some());
            prop_assert!(held.into_iter().all(|it| it.mod_seq > complete));
        }
    }

    #[test]
    fn nothing_is_told_of_uids_that_were_never_given() {
        let empty = Snapshot::empty(UidValidity::MIN);
        assert_eq!(empty.vanished_since(None), []);
        let mut snapshot = filled(3);
        apply(&mut snapshot, &Op::Remove(2, 3));
        apply(&mut snapshot, &Op::Forget);
        assert_eq!(snapshot.vanished_since(None), [(uid(2), uid(3))]);
        assert_eq!(snapshot.vanished_since(ModSeq::new(3)), []);
        assert_eq!(snapshot.vanished_since(ModSeq::new(1 << 62)), []);
    }
}
