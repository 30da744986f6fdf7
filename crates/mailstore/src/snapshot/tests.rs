//! Tests of snapshots: places, differences, and messages kept for a client.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn added(value: u32) -> Added {
    Added {
        uid: uid(value),
        flags: FlagSet::EMPTY,
        mod_seq: ModSeq::MIN,
        size: None,
        date: None,
        saved: 0,
        place: Place::Cur,
        name: format!("{value}.M1P1.host:2,").into_bytes(),
    }
}

fn filled(messages: u32) -> Snapshot {
    let mut snapshot = Snapshot::empty(UidValidity::new(1).unwrap());
    for value in 1..=messages {
        assert!(snapshot.push(&added(value)));
    }
    snapshot.reindex();
    snapshot
}

#[test]
fn positions_and_uids_agree_over_chunks() {
    let mut snapshot = filled(1500);
    snapshot.remove(uid(2), uid(700));
    snapshot.reindex();
    assert_eq!(snapshot.len(), 801);
    assert_eq!(snapshot.get(1).unwrap().uid(), uid(701));
    assert_eq!(snapshot.position(uid(701)), Some(1));
    assert_eq!(snapshot.position(uid(2)), None);
    assert_eq!(snapshot.lower_bound(uid(2)), 1);
    assert_eq!(snapshot.lower_bound(uid(1501)), 801);
    assert!(snapshot.get(801).is_none());
    let name = snapshot.by_uid(uid(1500)).unwrap().file_name();
    assert_eq!(name, b"1500.M1P1.host:2,");
}

/// As large as mailboxes get, with names as delivery agents make them, of 60 octets with a flag.
fn large() -> Snapshot {
    let mut snapshot = Snapshot::empty(UidValidity::new(1).unwrap());
    for value in 1..=100_000 {
        let name = format!("17{value:08}.M123456P12345678.mail.example.org,S=123,W=125:2,S");
        assert_eq!(name.len(), 60, "{name}");
        let name = name.into_bytes();
        let message = Added {
            name,
            ..added(value)
        };
        assert!(snapshot.push(&message));
    }
    snapshot.reindex();
    snapshot
}

fn bytes_per_message(snapshot: &Snapshot) -> usize {
    snapshot.bytes().div_ceil(snapshot.len())
}

#[test]
fn a_message_costs_at_most_120_bytes_whatever_has_happened_to_it() {
    let mut snapshot = large();
    assert!(bytes_per_message(&snapshot) <= 112, "{}", snapshot.bytes());
    for round in 0..3 {
        for value in 1..=100_000 {
            let state = (FlagSet::EMPTY, ModSeq::MIN);
            let renamed = |old: &[u8]| {
                let mut name = old.get(..59)?.to_vec();
                name.push(b"FRS"[round]);
                Some(name)
            };
            assert!(snapshot.update(uid(value), state, Place::Cur, renamed));
        }
        assert!(bytes_per_message(&snapshot) <= 120, "{}", snapshot.bytes());
    }
    for value in (1..=100_000).step_by(2) {
        snapshot.remove(uid(value), uid(value));
    }
    snapshot.reindex();
    assert_eq!(snapshot.len(), 50_000);
    assert!(bytes_per_message(&snapshot) <= 120, "{}", snapshot.bytes());
}

#[test]
fn a_copy_to_be_published_shares_the_messages() {
    let snapshot = large();
    let published = snapshot.clone();
    let shared = snapshot.chunks.iter().zip(&published.chunks);
    assert_eq!(shared.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 0);
}

#[test]
fn messages_in_new_are_counted_through_every_change() {
    let mut snapshot = Snapshot::empty(UidValidity::new(1).unwrap());
    for value in 1..=1000u32 {
        let place = if value.is_multiple_of(2) {
            Place::New
        } else {
            Place::Cur
        };
        assert!(snapshot.push(&Added {
            place,
            ..added(value)
        }));
    }
    snapshot.reindex();
    assert_eq!(snapshot.in_new(), 500);
    let state = (FlagSet::EMPTY, ModSeq::MIN);
    let same = |old: &[u8]| Some(old.to_vec());
    assert!(snapshot.update(uid(2), state, Place::Cur, same));
    assert!(snapshot.update(uid(3), state, Place::New, same));
    assert!(snapshot.update(uid(4), state, Place::New, same));
    snapshot.remove(uid(3), uid(6));
    snapshot.reindex();
    let counted = snapshot.iter().filter(|it| it.place() == Place::New);
    assert_eq!(counted.count(), 497);
    assert_eq!(snapshot.in_new(), 497);
}

#[test]
fn one_change_in_many_shares_all_other_chunks() {
    let old = filled(100_000);
    let mut new = old.clone();
    let flags = FlagSet::from_bits(1);
    assert!(new.update(
        uid(70_000),
        (flags, ModSeq::new(9).unwrap()),
        Place::Cur,
        |name| { Some(name.to_vec()) }
    ));
    let unshared = old.chunks.iter().zip(&new.chunks);
    assert_eq!(unshared.filter(|(a, b)| !Arc::ptr_eq(a, b)).count(), 1);
    assert_eq!(old.difference(&new).changed, [uid(70_000)]);
    assert_eq!(old.by_uid(uid(70_000)).unwrap().flags(), FlagSet::EMPTY);
}

#[test]
fn renaming_over_and_over_does_not_grow() {
    let mut snapshot = filled(3);
    for round in 0..10_000 {
        let name = format!("2.M1P1.host:2,{}", ["S", "RS", "F"][round % 3]);
        let state = (FlagSet::EMPTY, ModSeq::MIN);
        assert!(snapshot.update(uid(2), state, Place::Cur, |_| Some(name.into_bytes())));
    }
    assert!(snapshot.bytes() < 2000, "{}", snapshot.bytes());
    assert_eq!(
        snapshot.by_uid(uid(3)).unwrap().file_name(),
        b"3.M1P1.host:2,"
    );
}

#[test]
fn uids_only_go_up() {
    let mut snapshot = filled(5);
    assert!(!snapshot.push(&added(5)));
    assert!(!snapshot.push(&added(u32::MAX)));
    snapshot.raise(uid(9), uid(1), ModSeq::MIN);
    assert!(!snapshot.push(&added(8)));
    assert!(snapshot.push(&added(9)));
}

/// What to do to a message.
#[derive(Clone, Debug)]
enum Op {
    Add,
    Remove(u32, u32),
    Flag(u32, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        Just(Op::Add),
        (1..60u32, 0..5u32).prop_map(|(first, more)| Op::Remove(first, first + more)),
        (1..60u32, 0..32u64).prop_map(|(uid, bits)| Op::Flag(uid, bits)),
    ]
}

fn model(snapshot: &Snapshot) -> BTreeMap<Uid, FlagSet> {
    let pairs = snapshot
        .iter()
        .map(|message| (message.uid(), message.flags()));
    pairs.collect()
}

fn apply(snapshot: &mut Snapshot, ops: &[Op]) {
    for op in ops {
        match *op {
            Op::Add => assert!(snapshot.push(&added(snapshot.uid_next().get()))),
            Op::Remove(first, last) => drop(snapshot.remove(uid(first), uid(last))),
            Op::Flag(value, bits) => {
                let state = (FlagSet::from_bits(bits), ModSeq::MIN);
                let same = |name: &[u8]| Some(name.to_vec());
                assert!(snapshot.update(uid(value), state, Place::Cur, same));
            }
        }
    }
    snapshot.reindex();
}

proptest! {
    #[test]
    fn difference_is_what_a_naive_comparison_finds(
        before in prop::collection::vec(op(), 0..60),
        after in prop::collection::vec(op(), 0..60),
    ) {
        let mut old = filled(40);
        apply(&mut old, &before);
        let mut new = old.clone();
        apply(&mut new, &after);
        let (a, b) = (model(&old), model(&new));
        let difference = old.difference(&new);
        let expunged: Vec<_> = a.keys().filter(|uid| !b.contains_key(uid)).copied().collect();
        let added: Vec<_> = b.keys().filter(|uid| !a.contains_key(uid)).copied().collect();
        let differs = |uid: &&Uid| a.get(uid).is_some_and(|flags| Some(flags) != b.get(uid));
        let changed: Vec<_> = b.keys().filter(differs).copied().collect();
        let touched = Vec::new();
        prop_assert_eq!(difference, Difference { expunged, changed, touched, added });

        let (old, new) = (Arc::new(old), Arc::new(new));
        let kept = old.keeping_expunged(&new);
        let mut expected = a.clone();
        expected.extend(b.clone());
        prop_assert_eq!(model(&kept), expected);
        for (position, message) in kept.iter().enumerate() {
            prop_assert_eq!(kept.position(message.uid()), Some(position));
            prop_assert!(message.file_name().starts_with(message.uid().to_string().as_bytes()));
        }
        let later = kept.difference(&new);
        prop_assert_eq!(later.expunged, old.difference(&new).expunged);
        prop_assert!(later.changed.is_empty() && later.added.is_empty());
    }
}

#[test]
fn iterating_begins_at_any_position() {
    let mut snapshot = filled(1500);
    snapshot.remove(uid(2), uid(700));
    snapshot.reindex();
    for position in [0, 1, 323, 324, 325, 800, 801, 5000] {
        let rest: Vec<_> = snapshot.iter_from(position).map(|it| it.uid()).collect();
        let all = snapshot.iter().skip(position).map(|it| it.uid());
        assert_eq!(rest, all.collect::<Vec<_>>(), "{position}");
    }
    assert_eq!(filled(0).iter_from(0).count(), 0);
}

#[test]
fn what_is_taken_of_some_messages_leaves_the_others_as_they_were() {
    let old = Arc::new(filled(1500));
    let mut newer = Snapshot::clone(&old);
    newer.remove(uid(3), uid(4));
    let seen = FlagSet::EMPTY.with(crate::SystemFlag::Seen);
    for value in [7, 8, 700] {
        let style = (seen, ModSeq::new(9).unwrap());
        assert!(newer.update(uid(value), style, Place::Cur, |name| Some(name.to_vec())));
    }
    assert!(newer.push(&added(1501)));
    assert!(newer.push(&added(1502)));
    newer.reindex();
    let newer = Arc::new(newer);
    assert_eq!(
        old.taking(&newer, &[]).difference(&old),
        Difference::default()
    );
    let taken = old.taking(&newer, &[4, 8, 1502].map(uid));
    let difference = old.difference(&taken);
    assert_eq!(difference.expunged, [uid(4)]);
    assert_eq!(difference.changed, [uid(8)]);
    assert_eq!(difference.added, [uid(1502)]);
    let difference = taken.difference(&newer);
    assert_eq!(difference.expunged, [uid(3)]);
    assert_eq!(difference.changed, [7, 700].map(uid));
}
