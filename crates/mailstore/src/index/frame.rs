//! Frames: what is appended to the index file for one change.
//!
//! ```text
//! length u32 | crc u32 | entries (length octets)
//! ```
//!
//! The CRC-32 covers the generation of the file, the offset of the frame in it, the length and the
//! entries: octets left over from before never come back to life. A frame holds everything that
//! one command changed, so it is there wholly or not at all. An entry is a kind (u8) and its
//! fields; see [`Entry`].

use super::codec::{FileTime, Reader, Writer};
use super::stamp::{Stamp, Stamps, Trust};
use super::state::Agreed;
use crate::flag::FlagSet;
use crate::id::{ModSeq, Uid};
use crate::snapshot::{Added, Kept, Place};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Kind 1: a new message.
    Add(Added),
    /// Kind 2: flags, mod-sequence, directory and name of a message.
    Flags {
        uid: Uid,
        flags: FlagSet,
        mod_seq: ModSeq,
        place: Place,
        rename: Rename,
    },
    /// Kind 3: messages are gone, from `first` to `last`.
    Expunge {
        first: Uid,
        last: Uid,
        mod_seq: ModSeq,
    },
    /// Kind 4: UIDNEXT and the first recent UID are at least these, HIGHESTMODSEQ too.
    Meta {
        uid_next: Uid,
        first_recent: Uid,
        mod_seq: ModSeq,
    },
    /// Kind 5: the last look at the directories.
    Synced(Stamps),
    /// Kind 6: mod-sequences below this may be in use without being on the disk yet, since this
    /// boot of the machine.
    Reserve { mod_seq: u64, boot: u64 },
    /// Kind 7: every message may have changed.
    TouchAll(ModSeq),
    /// Kind 8: everything before is on the disk.
    Close,
    /// Kind 9: a keyword.
    Keyword { position: u8, name: Vec<u8> },
    /// Kind 10: a size or a date was learned.
    Learned {
        uid: Uid,
        size: Option<u64>,
        date: Option<i64>,
    },
    /// Kind 11: what another server knew of a message.
    Keep { uid: Uid, kept: Kept },
    /// Kind 12: the other server's list of UIDs agrees with the index, as it is.
    Agreed(Agreed),
}

/// A new file name, as a change of the old one: so many octets of it stay, then comes the tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rename {
    keep: u8,
    tail: Vec<u8>,
}

impl Rename {
    /// What makes `new` out of `old`.
    pub(crate) fn between(old: &[u8], new: &[u8]) -> Self {
        let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
        let keep = u8::try_from(same).unwrap_or(u8::MAX);
        let tail = new.get(usize::from(keep)..).unwrap_or_default().to_vec();
        Self { keep, tail }
    }

    /// The new name; `None` if it does not fit the old one or would not be a file name.
    pub(super) fn apply(&self, old: &[u8]) -> Option<Vec<u8>> {
        let mut name = old.get(..usize::from(self.keep))?.to_vec();
        name.extend_from_slice(&self.tail);
        is_file_name(&name).then_some(name)
    }
}

/// Whether these octets can be a message's file name.
pub(super) fn is_file_name(name: &[u8]) -> bool {
    let outside = |byte: &u8| matches!(byte, b'/' | 0);
    (1..=255).contains(&name.len()) && name.first() != Some(&b'.') && !name.iter().any(outside)
}

impl Entry {
    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Add(added) => {
                out.u8(1);
                encode_added(added, out);
            }
            Self::Flags {
                uid,
                flags,
                mod_seq,
                place,
                rename,
            } => {
                out.u8(2);
                out.u32(uid.get());
                out.u64(flags.bits());
                out.u64(mod_seq.get());
                out.u8(*place as u8);
                out.u8(rename.keep);
                out.short(&rename.tail);
            }
            Self::Expunge {
                first,
                last,
                mod_seq,
            } => {
                out.u8(3);
                out.u32(first.get());
                out.u32(last.get());
                out.u64(mod_seq.get());
            }
            Self::Meta {
                uid_next,
                first_recent,
                mod_seq,
            } => {
                out.u8(4);
                out.u32(uid_next.get());
                out.u32(first_recent.get());
                out.u64(mod_seq.get());
            }
            Self::Synced(stamps) => {
                out.u8(5);
                encode_stamps(stamps, out);
            }
            Self::Reserve { mod_seq, boot } => {
                out.u8(6);
                out.u64(*mod_seq);
                out.u64(*boot);
            }
            Self::TouchAll(mod_seq) => {
                out.u8(7);
                out.u64(mod_seq.get());
            }
            Self::Close => out.u8(8),
            Self::Keyword { position, name } => {
                out.u8(9);
                out.u8(*position);
                out.short(name);
            }
            Self::Learned { uid, size, date } => {
                out.u8(10);
                out.u32(uid.get());
                out.u64(size.unwrap_or(u64::MAX));
                out.i64(date.unwrap_or(i64::MIN));
            }
            Self::Keep { uid, kept } => {
                out.u8(11);
                encode_kept(*uid, kept, out);
            }
            Self::Agreed(agreed) => {
                out.u8(12);
                out.time(agreed.modified);
                out.u64(agreed.size);
            }
        }
    }

    fn decode(input: &mut Reader<'_>) -> Option<Self> {
        Some(match input.u8()? {
            1 => Self::Add(decode_added(input)?),
            2 => Self::Flags {
                uid: decode_uid(input)?,
                flags: FlagSet::from_bits(input.u64()?),
                mod_seq: decode_mod_seq(input)?,
                place: decode_place(input)?,
                rename: Rename {
                    keep: input.u8()?,
                    tail: input.short()?.to_vec(),
                },
            },
            3 => Self::Expunge {
                first: decode_uid(input)?,
                last: decode_uid(input)?,
                mod_seq: decode_mod_seq(input)?,
            },
            4 => Self::Meta {
                uid_next: decode_uid(input)?,
                first_recent: decode_uid(input)?,
                mod_seq: decode_mod_seq(input)?,
            },
            5 => Self::Synced(decode_stamps(input)?),
            6 => Self::Reserve {
                mod_seq: input.u64()?,
                boot: input.u64()?,
            },
            7 => Self::TouchAll(decode_mod_seq(input)?),
            8 => Self::Close,
            9 => Self::Keyword {
                position: input.u8()?,
                name: input.short()?.to_vec(),
            },
            10 => Self::Learned {
                uid: decode_uid(input)?,
                size: Some(input.u64()?).filter(|size| *size != u64::MAX),
                date: Some(input.i64()?).filter(|date| *date != i64::MIN),
            },
            11 => {
                let (uid, kept) = decode_kept(input)?;
                Self::Keep { uid, kept }
            }
            12 => Self::Agreed(decode_agreed(input)?),
            _ => return None,
        })
    }

    /// Whether a client must not see this before it is on the disk.
    pub(crate) fn must_be_durable(&self) -> bool {
        match self {
            Self::Add(_) | Self::Expunge { .. } | Self::TouchAll(_) => true,
            Self::Flags { .. }
            | Self::Meta { .. }
            | Self::Synced(_)
            | Self::Reserve { .. }
            | Self::Close
            | Self::Keyword { .. }
            | Self::Learned { .. }
            | Self::Keep { .. }
            | Self::Agreed(_) => false,
        }
    }
}

fn encode_added(added: &Added, out: &mut Writer) {
    out.u32(added.uid.get());
    out.u64(added.flags.bits());
    out.u64(added.mod_seq.get());
    out.u64(added.size.unwrap_or(u64::MAX));
    out.i64(added.date.unwrap_or(i64::MIN));
    out.u32(added.saved);
    out.u8(added.place as u8);
    out.short(&added.name);
}

fn decode_added(input: &mut Reader<'_>) -> Option<Added> {
    Some(Added {
        uid: decode_uid(input)?,
        flags: FlagSet::from_bits(input.u64()?),
        mod_seq: decode_mod_seq(input)?,
        size: Some(input.u64()?).filter(|size| *size != u64::MAX),
        date: Some(input.i64()?).filter(|date| *date != i64::MIN),
        saved: input.u32()?,
        place: decode_place(input)?,
        name: Some(input.short()?.to_vec()).filter(|name| is_file_name(name))?,
    })
}

pub(super) fn decode_uid(input: &mut Reader<'_>) -> Option<Uid> {
    Uid::new(input.u32()?)
}

pub(super) fn decode_mod_seq(input: &mut Reader<'_>) -> Option<ModSeq> {
    ModSeq::new(input.u64()?)
}

pub(super) fn decode_place(input: &mut Reader<'_>) -> Option<Place> {
    match input.u8()? {
        0 => Some(Place::Cur),
        1 => Some(Place::New),
        _ => None,
    }
}

pub(super) fn decode_agreed(input: &mut Reader<'_>) -> Option<Agreed> {
    Some(Agreed {
        modified: input.time()?,
        size: input.u64()?,
    })
}

/// A UID, which fields follow (1 UIDL, 2 order, 4 GUID), and the fields.
pub(super) fn encode_kept(uid: Uid, kept: &Kept, out: &mut Writer) {
    let bit = |there: bool, bit: u8| if there { bit } else { 0 };
    out.u32(uid.get());
    out.u8(bit(kept.uidl.is_some(), 1)
        | bit(kept.order.is_some(), 2)
        | bit(kept.guid.is_some(), 4));
    kept.uidl.iter().for_each(|uidl| out.long(uidl));
    kept.order.iter().for_each(|order| out.u32(*order));
    kept.guid.iter().for_each(|guid| out.long(guid));
}

pub(super) fn decode_kept(input: &mut Reader<'_>) -> Option<(Uid, Kept)> {
    let uid = decode_uid(input)?;
    let fields = input.u8()?;
    if fields & !7 != 0 {
        return None;
    }
    let mut kept = Kept::default();
    if fields & 1 != 0 {
        kept.uidl = Some(input.long()?.into());
    }
    if fields & 2 != 0 {
        kept.order = Some(input.u32()?);
    }
    if fields & 4 != 0 {
        kept.guid = Some(input.long()?.into());
    }
    Some((uid, kept))
}

pub(super) fn encode_stamps(stamps: &Stamps, out: &mut Writer) {
    for stamp in [&stamps.new, &stamps.cur] {
        out.time(stamp.mtime);
        out.time(stamp.own_since);
        out.u8(stamp.trust as u8);
    }
}

pub(super) fn decode_stamps(input: &mut Reader<'_>) -> Option<Stamps> {
    let mut stamp = || {
        let mtime: FileTime = input.time()?;
        let own_since = input.time()?;
        let trust = Trust::from_byte(input.u8()?)?;
        Some(Stamp {
            mtime,
            trust,
            own_since,
        })
    };
    Some(Stamps {
        new: stamp()?,
        cur: stamp()?,
    })
}

/// The frame that holds `entries` at `offset` of a file of this generation; `None` if it would be
/// over 4 GiB.
pub(super) fn encode(generation: u64, offset: u64, entries: &[Entry]) -> Option<Vec<u8>> {
    let mut out = Writer::default();
    out.u64(0);
    for entry in entries {
        entry.encode(&mut out);
    }
    let mut frame = out.0;
    let length = u32::try_from(frame.len().checked_sub(HEAD)?).ok()?;
    let crc = checksum(generation, offset, length, frame.get(HEAD..)?);
    let (head, _) = frame.split_first_chunk_mut::<HEAD>()?;
    let (first, second) = head.split_at_mut(4);
    first.copy_from_slice(&length.to_le_bytes());
    second.copy_from_slice(&crc.to_le_bytes());
    Some(frame)
}

/// The first frame in `bytes`, which begin at `offset` of a file of this generation: where its
/// entries are and what they say. `None` if there is no valid frame.
pub(super) fn decode(generation: u64, offset: u64, bytes: &[u8]) -> Option<(usize, Vec<Entry>)> {
    let mut input = Reader(bytes);
    let (length, crc) = (input.u32()?, input.u32()?);
    let payload = input.bytes(usize::try_from(length).ok()?)?;
    if payload.is_empty() || checksum(generation, offset, length, payload) != crc {
        return None;
    }
    let mut entries = Vec::new();
    let mut input = Reader(payload);
    while !input.is_empty() {
        entries.push(Entry::decode(&mut input)?);
    }
    Some((HEAD + payload.len(), entries))
}

fn checksum(generation: u64, offset: u64, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&generation.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The runs of UIDs in an ascending list, each as its first and its last.
pub(crate) fn runs(uids: &[Uid]) -> Vec<(Uid, Uid)> {
    let mut runs: Vec<(Uid, Uid)> = Vec::new();
    for uid in uids {
        match runs.last_mut() {
            Some((_, last)) if last.next() == Some(*uid) => *last = *uid,
            _ => runs.push((*uid, *uid)),
        }
    }
    runs
}

/// The octets before a frame's entries.
const HEAD: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uid() -> impl Strategy<Value = Uid> {
        any::<u32>().prop_filter_map("zero", Uid::new)
    }

    fn mod_seq() -> impl Strategy<Value = ModSeq> {
        (1..=i64::MAX as u64).prop_filter_map("range", ModSeq::new)
    }

    fn time() -> impl Strategy<Value = FileTime> {
        let pair = (any::<i64>(), any::<u32>());
        pair.prop_map(|(seconds, nanoseconds)| FileTime {
            seconds,
            nanoseconds,
        })
    }

    fn stamp() -> impl Strategy<Value = Stamp> {
        (time(), time(), 0..4u8).prop_map(|(mtime, own_since, trust)| Stamp {
            mtime,
            own_since,
            trust: Trust::from_byte(trust).unwrap(),
        })
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 1..256)
            .prop_filter("file name", |name| is_file_name(name))
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![Just(Place::Cur), Just(Place::New)]
    }

    fn added() -> impl Strategy<Value = Entry> {
        let numbers = (
            uid(),
            any::<u64>(),
            mod_seq(),
            any::<u32>(),
            place(),
            name(),
        );
        let learned = (
            prop::option::of(0..u64::MAX),
            prop::option::of(-9..i64::MAX),
        );
        (numbers, learned).prop_map(|((uid, bits, mod_seq, saved, place, name), (size, date))| {
            let flags = FlagSet::from_bits(bits);
            Entry::Add(Added {
                uid,
                flags,
                mod_seq,
                size,
                date,
                saved,
                place,
                name,
            })
        })
    }

    fn kept() -> impl Strategy<Value = Kept> {
        let value = || prop::option::of(prop::collection::vec(any::<u8>(), 0..600));
        (value(), any::<Option<u32>>(), value()).prop_map(|(uidl, order, guid)| Kept {
            uidl: uidl.map(Into::into),
            order,
            guid: guid.map(Into::into),
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let flags = (uid(), any::<u64>(), mod_seq(), place(), name(), name());
        prop_oneof![
            added(),
            flags.prop_map(|(uid, bits, mod_seq, place, old, new)| Entry::Flags {
                uid,
                flags: FlagSet::from_bits(bits),
                mod_seq,
                place,
                rename: Rename::between(&old, &new),
            }),
            (uid(), uid(), mod_seq()).prop_map(|(first, last, mod_seq)| Entry::Expunge {
                first,
                last,
                mod_seq
            }),
            (uid(), uid(), mod_seq()).prop_map(|(uid_next, first_recent, mod_seq)| Entry::Meta {
                uid_next,
                first_recent,
                mod_seq,
            }),
            (stamp(), stamp()).prop_map(|(new, cur)| Entry::Synced(Stamps { new, cur })),
            (any::<u64>(), any::<u64>())
                .prop_map(|(mod_seq, boot)| Entry::Reserve { mod_seq, boot }),
            mod_seq().prop_map(Entry::TouchAll),
            Just(Entry::Close),
            (uid(), kept()).prop_map(|(uid, kept)| Entry::Keep { uid, kept }),
            (time(), any::<u64>())
                .prop_map(|(modified, size)| Entry::Agreed(Agreed { modified, size })),
            (any::<u8>(), name()).prop_map(|(position, name)| Entry::Keyword { position, name }),
            (
                uid(),
                prop::option::of(0..u64::MAX),
                prop::option::of(0..i64::MAX)
            )
                .prop_map(|(uid, size, date)| Entry::Learned { uid, size, date }),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_back_as_they_went(
            entries in prop::collection::vec(entry(), 1..6),
            generation: u64,
            offset: u64,
        ) {
            let frame = encode(generation, offset, &entries).unwrap();
            prop_assert_eq!(decode(generation, offset, &frame), Some((frame.len(), entries)));
            prop_assert_eq!(decode(generation ^ 1, offset, &frame), None);
            prop_assert_eq!(decode(generation, offset ^ 1, &frame), None);
        }

        #[test]
        fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(decode(1, 2, &bytes), None);
        }

        #[test]
        fn a_damaged_frame_is_no_frame(
            entries in prop::collection::vec(entry(), 1..3),
            at: prop::sample::Index,
            bit in 0..8u8,
        ) {
            let mut frame = encode(7, 9, &entries).unwrap();
            let at = at.index(frame.len());
            frame[at] ^= 1 << bit;
            prop_assert_eq!(decode(7, 9, &frame), None);
            frame[at] ^= 1 << bit;
            frame.truncate(at);
            prop_assert_eq!(decode(7, 9, &frame), None);
        }

        #[test]
        fn renames_rebuild_the_name(old in name(), new in name()) {
            prop_assert_eq!(Rename::between(&old, &new).apply(&old), Some(new));
        }
    }

    #[test]
    fn uids_in_a_row_are_one_run() {
        let uid = |value| Uid::new(value).unwrap();
        let uids: Vec<_> = [1, 2, 3, 7, 9, 10].map(uid).to_vec();
        let expected = [(uid(1), uid(3)), (uid(7), uid(7)), (uid(9), uid(10))];
        assert_eq!(runs(&uids), expected);
    }
}
