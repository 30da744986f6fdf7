//! Whatever is done to the file, it says an exact earlier state or nothing.

use super::state::Agreed;
use super::*;
use crate::flag::FlagSet;
use crate::id::{Uid, UidValidity};
use crate::snapshot::{Added, Kept, Place, Snapshot};

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

fn mod_seq(value: u64) -> ModSeq {
    ModSeq::new(value).unwrap()
}

fn add(value: u32) -> Entry {
    Entry::Add(Added {
        uid: uid(value),
        flags: FlagSet::EMPTY,
        mod_seq: mod_seq(u64::from(value)),
        size: Some(7),
        date: None,
        saved: 3,
        place: Place::New,
        name: format!("{value}.host").into_bytes(),
    })
}

fn flags(value: u32, bits: u64, at: u64) -> Entry {
    let old = format!("{value}.host");
    let new = format!("{value}.host:2,S");
    Entry::Flags {
        uid: uid(value),
        flags: FlagSet::from_bits(bits),
        mod_seq: mod_seq(at),
        place: Place::Cur,
        rename: Rename::between(old.as_bytes(), new.as_bytes()),
    }
}

fn expunge(first: u32, last: u32, at: u64) -> Entry {
    let (first, last) = (uid(first), uid(last));
    Entry::Expunge {
        first,
        last,
        mod_seq: mod_seq(at),
    }
}

fn keep(value: u32) -> Entry {
    let kept = Kept {
        uidl: Some(format!("{value:08x}4f2b").into_bytes().into()),
        order: Some(value),
        guid: value.is_multiple_of(2).then(|| b"5f0c".as_slice().into()),
    };
    Entry::Keep {
        uid: uid(value),
        kept,
    }
}

fn agreed(size: u64) -> Entry {
    let modified = FileTime {
        seconds: 1_700_000_000,
        nanoseconds: 9,
    };
    Entry::Agreed(Agreed { modified, size })
}

/// Everything that a client or a later scan could notice.
fn fingerprint(state: &State) -> String {
    let snapshot = &state.snapshot;
    let mut text = format!(
        "{} {} {} {} {:?} {:?} {:?} {:?} {:?} {}",
        snapshot.uid_validity(),
        snapshot.uid_next(),
        snapshot.first_recent(),
        snapshot.highest_mod_seq(),
        snapshot.keywords(),
        snapshot.vanished(),
        state.stamps,
        state.reserve,
        state.agreed,
        snapshot.mailbox_id(),
    );
    for message in snapshot.iter() {
        text.push_str(&format!(
            "\n{} {:?} {} {:?} {:?} {} {:?} {:?} {:?}",
            message.uid(),
            message.flags(),
            message.mod_seq(),
            message.rfc822_size(),
            message.internal_date(),
            message.saved(),
            message.place(),
            message.file_name(),
            message.kept(),
        ));
    }
    text
}

/// An index with two messages, a keyword, an expunged message and things kept from another server
/// in its snapshot.
fn sample(directory: &Path) -> Index {
    let snapshot = Snapshot::empty(UidValidity::new(5).unwrap());
    let mut index = Index::in_memory(directory, State::new(snapshot, 99));
    index.append(&[add(1), add(2), add(3)], Force::Now).unwrap();
    let keyword = Entry::Keyword {
        position: 30,
        name: b"Later".to_vec(),
    };
    let entries = [keyword, keep(2), keep(3), agreed(80), expunge(2, 2, 9)];
    index.append(&entries, Force::Now).unwrap();
    index.replace(1234, Force::Now).unwrap();
    index
}

#[test]
fn a_file_says_what_was_put_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut index = sample(directory.path());
    index
        .append(&[add(4), flags(1, 8, 20)], Force::Now)
        .unwrap();
    index.append(&[expunge(3, 3, 21)], Force::Later).unwrap();
    let meta = Entry::Meta {
        uid_next: uid(90),
        first_recent: uid(5),
        mod_seq: mod_seq(30),
    };
    index
        .append(&[meta, Entry::TouchAll(mod_seq(31))], Force::Now)
        .unwrap();
    let (loaded, refreshed) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(refreshed, Refreshed::Whole);
    assert_eq!(fingerprint(&loaded.state), fingerprint(&index.state));
    assert!(!loaded.is_unforced());
    let name = loaded.state.snapshot.by_uid(uid(1)).unwrap().file_name();
    assert_eq!(name, b"1.host:2,S");
}

#[test]
fn a_reader_follows_appends_and_replacements() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = sample(directory.path());
    let (mut reader, _) = Index::load(directory.path()).unwrap().unwrap();
    let (mut opener, _) = Index::load(directory.path()).unwrap().unwrap();
    for value in 4..40 {
        writer.append(&[add(value)], Force::Now).unwrap();
        if value % 10 == 0 {
            writer.replace(u64::from(value), Force::Now).unwrap();
        }
        assert_eq!(reader.refresh().unwrap(), Refreshed::Whole);
        assert_eq!(fingerprint(&reader.state), fingerprint(&writer.state));
        assert!(!reader.is_hidden());
        // With something new, and with nothing.
        for _ in 0..2 {
            assert_eq!(opener.refresh_opened().unwrap(), Refreshed::Whole);
            assert_eq!(fingerprint(&opener.state), fingerprint(&writer.state));
        }
    }
    std::fs::remove_file(Index::path_in(directory.path())).unwrap();
    for gone in [reader.refresh(), opener.refresh_opened()] {
        assert!(matches!(gone, Err(Error::Corrupt { .. })), "{gone:?}");
    }
}

#[test]
fn what_is_not_forced_yet_is_hidden_until_the_reader_forces_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = sample(directory.path());
    let (mut reader, _) = Index::load(directory.path()).unwrap().unwrap();
    writer.append(&[flags(1, 8, 20)], Force::Later).unwrap();
    reader.refresh().unwrap();
    assert!(reader.is_unforced() && !reader.is_hidden());
    writer.append(&[add(4)], Force::Later).unwrap();
    reader.refresh().unwrap();
    assert!(reader.is_hidden());
    reader.force().unwrap();
    assert!(!reader.is_hidden());
    let (third, _) = Index::load(directory.path()).unwrap().unwrap();
    assert!(!third.is_unforced());
}

#[test]
fn a_tail_is_ignored_then_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let mut index = sample(directory.path());
    let path = Index::path_in(directory.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(&[9, 0, 0, 0, 1, 2, 3]);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(index.refresh().unwrap(), Refreshed::Tail);
    assert_eq!(index.refresh().unwrap(), Refreshed::Tail);
    index.cut_tail().unwrap();
    assert_eq!(std::fs::read(&path).unwrap().len(), whole);
    index.append(&[add(4)], Force::Now).unwrap();
    assert_eq!(index.refresh().unwrap(), Refreshed::Whole);
    let (loaded, refreshed) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(refreshed, Refreshed::Whole);
    assert_eq!(fingerprint(&loaded.state), fingerprint(&index.state));
}

/// Every state that the file went through, and the file.
fn history(directory: &Path, force: Force) -> (Vec<String>, Vec<u8>) {
    let mut index = sample(directory);
    let mut states = vec![fingerprint(&index.state)];
    let frames = [
        vec![add(4), add(5), keep(4), keep(5), agreed(90)],
        vec![flags(1, 8, 20), flags(4, 8, 20)],
        vec![expunge(1, 3, 21)],
        vec![Entry::TouchAll(mod_seq(30)), Entry::Close],
    ];
    for entries in frames {
        index.append(&entries, force).unwrap();
        states.push(fingerprint(&index.state));
    }
    (states, std::fs::read(Index::path_in(directory)).unwrap())
}

/// What a damaged file says: a place in the history, or nothing.
fn read(directory: &Path, bytes: &[u8], states: &[String]) -> Option<usize> {
    std::fs::write(Index::path_in(directory), bytes).unwrap();
    match Index::load(directory) {
        Ok(Some((index, _))) => {
            let found = fingerprint(&index.state);
            let place = states.iter().position(|state| *state == found);
            Some(place.expect("a state that never was"))
        }
        Err(Error::Corrupt { .. }) => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn cut_anywhere_it_is_an_earlier_state_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (states, bytes) = history(directory.path(), Force::Later);
    let mut seen = vec![false; states.len()];
    let mut last = None;
    for length in 0..=bytes.len() {
        let place = read(directory.path(), &bytes[..length], &states);
        assert!(place >= last, "cut at {length}");
        last = place;
        place.into_iter().for_each(|place| seen[place] = true);
    }
    assert!(seen.iter().all(|seen| *seen));
}

#[test]
fn cut_before_what_is_committed_it_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (states, bytes) = history(directory.path(), Force::Now);
    for length in 0..bytes.len() {
        assert_eq!(
            read(directory.path(), &bytes[..length], &states),
            None,
            "cut at {length}"
        );
    }
    assert_eq!(
        read(directory.path(), &bytes, &states),
        Some(states.len() - 1)
    );
}

#[test]
fn with_any_byte_changed_it_is_an_earlier_state_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for force in [Force::Later, Force::Now] {
        let (states, mut bytes) = history(directory.path(), force);
        let committed = columns::HEADER..columns::HEADER + columns::COMMITTED;
        for at in 0..bytes.len() {
            let old = bytes[at];
            for change in [0x01, 0x80, 0xff] {
                bytes[at] = old ^ change;
                let place = read(directory.path(), &bytes, &states);
                if force == Force::Now && !committed.contains(&at) {
                    assert_eq!(place, None, "changed at {at}");
                } else if committed.contains(&at) {
                    assert_eq!(place, Some(states.len() - 1), "changed at {at}");
                }
            }
            bytes[at] = old;
        }
    }
}

#[test]
fn what_is_kept_goes_with_its_message() {
    let directory = tempfile::tempdir().unwrap();
    let mut index = sample(directory.path());
    let kept = |index: &Index| -> Vec<u32> {
        let kept = index.state.snapshot.all_kept();
        kept.map(|(uid, _)| uid.get()).collect()
    };
    assert_eq!(kept(&index), [3]);
    let snapshot = index.state.snapshot.clone();
    index
        .append(&[add(4), keep(4), keep(99), expunge(3, 3, 30)], Force::Now)
        .unwrap();
    assert_eq!(kept(&index), [4]);
    assert_eq!(
        snapshot.kept(uid(3)).unwrap().order,
        Some(3),
        "an old snapshot"
    );
    index.replace(5, Force::Now).unwrap();
    let (loaded, _) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(kept(&loaded), [4]);
    let kept = loaded.state.snapshot.kept(uid(4)).unwrap();
    assert_eq!(kept.uidl.as_deref(), Some(b"000000044f2b".as_slice()));
}

/// A file of version 1, as it was before anything was kept from another server.
fn first_version(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = Encoder::new(state, 7).unwrap();
    encoder.write(Claim::All, &mut bytes).unwrap();
    assert_eq!(Ok(encoder.length()), u64::try_from(bytes.len()));
    let length = bytes.len();
    let keywords: usize = state
        .snapshot
        .keywords()
        .iter()
        .map(|(_, k)| 2 + k.as_str().len())
        .sum();
    // Two octets before the keywords are new: no list was agreed with, and their number.
    let new = length - 4 - keywords - 2;
    bytes.drain(new..new + 2);
    bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
    let extras = columns::EXTRAS_AT;
    let old = u32::from_le_bytes(bytes[extras..extras + 4].try_into().unwrap());
    bytes[extras..extras + 4].copy_from_slice(&(old - 2).to_le_bytes());
    let crc = crc32fast::hash(&bytes[..columns::HEADER - 4]);
    bytes[columns::HEADER - 4..columns::HEADER].copy_from_slice(&crc.to_le_bytes());
    let body = columns::HEADER + columns::COMMITTED;
    let committed = columns::committed(7, u64::try_from(length - 2).unwrap());
    bytes[columns::HEADER..body].copy_from_slice(&committed);
    let end = length - 6;
    let crc = crc32fast::hash(&bytes[body..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn version_1_is_read_and_written_as_version_2() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = Snapshot::empty(UidValidity::new(5).unwrap());
    let mut index = Index::in_memory(directory.path(), State::new(snapshot, 99));
    let keyword = Entry::Keyword {
        position: 30,
        name: b"Later".to_vec(),
    };
    index
        .append(&[add(1), add(2), keyword], Force::Now)
        .unwrap();
    let bytes = first_version(&index.state);
    std::fs::write(Index::path_in(directory.path()), &bytes).unwrap();
    let (mut loaded, refreshed) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(refreshed, Refreshed::Whole);
    assert_eq!(fingerprint(&loaded.state), fingerprint(&index.state));
    loaded.append(&[add(3), keep(3)], Force::Now).unwrap();
    let (again, _) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(fingerprint(&again.state), fingerprint(&loaded.state));
    loaded.replace(8, Force::Now).unwrap();
    let written = std::fs::read(Index::path_in(directory.path())).unwrap();
    assert_eq!(written[8], 2);
    let (again, _) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(fingerprint(&again.state), fingerprint(&loaded.state));
}

#[test]
fn any_garbage_is_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for garbage in [
        &b""[..],
        &[0; 4096],
        &[0xff; 4096],
        b"PBXINDEX\x01\0\0\0\xff\xff\xff\xff",
    ] {
        assert_eq!(read(directory.path(), garbage, &[]), None);
    }
}

#[test]
fn compaction_starts_when_frames_outgrow_the_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let mut index = sample(directory.path());
    let mut frames = 0;
    while !index.wants_compaction() {
        index.append(&[flags(1, 8, 20)], Force::Later).unwrap();
        frames += 1;
    }
    assert!((500..5000).contains(&frames), "{frames}");
    let before = fingerprint(&index.state);
    index.replace(77, Force::Now).unwrap();
    assert!(!index.wants_compaction());
    let (loaded, _) = Index::load(directory.path()).unwrap().unwrap();
    assert_eq!(fingerprint(&loaded.state), before);
}

#[test]
fn the_first_file_is_hidden_until_it_and_its_name_are_forced() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let state = State::new(Snapshot::empty(UidValidity::MIN), 9);
    let mut index = Index::in_memory(directory, state);
    index.append(&[add(1), add(2)], Force::Never).unwrap();
    index.replace(5, Force::Now).unwrap();
    assert!(!index.is_hidden() && !index.is_unforced());
    let path = Index::path_in(directory);
    let whole = std::fs::read(&path).unwrap();
    let (mut read, _) = Index::load(directory).unwrap().unwrap();
    assert!(!read.is_hidden() && read.is_current());

    // As somebody finds it who is faster, or after a crash.
    let mut early = whole.clone();
    let note = columns::HEADER..columns::HEADER + columns::COMMITTED;
    early[note].copy_from_slice(&columns::committed(5, 0));
    std::fs::write(&path, &early).unwrap();
    for frame in [false, true] {
        let (mut found, refreshed) = Index::load(directory).unwrap().unwrap();
        assert_eq!(refreshed, Refreshed::Whole);
        assert_eq!(found.state.snapshot.len(), 2);
        assert!(found.is_hidden() && found.is_unforced());
        if frame {
            found.append(&[add(3)], Force::Now).unwrap();
        } else {
            found.force().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
        assert!(!found.is_hidden() && found.is_current());
        let (again, _) = Index::load(directory).unwrap().unwrap();
        assert!(!again.is_hidden());
        std::fs::write(&path, &early).unwrap();
    }
    for length in 0..early.len() {
        std::fs::write(&path, &early[..length]).unwrap();
        let torn = Index::load(directory);
        assert!(matches!(torn, Err(Error::Corrupt { .. })), "{length}");
    }
    // Where a file is, the next comes to its place only when it is on the disk.
    read.replace(6, Force::Now).unwrap();
    let (next, _) = Index::load(directory).unwrap().unwrap();
    assert!(!next.is_hidden());
}
