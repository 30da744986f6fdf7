//! Lines that are written, read, cut and damaged.

use super::*;
use std::fs;

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).unwrap()
}

/// With an owner, with nobody, and with a mailbox that was made.
fn sample() -> Uses {
    let mut uses = Uses::default();
    let drafts_and_sent = [SpecialUse::Drafts, SpecialUse::Sent].into_iter().collect();
    uses.give(&name("My Special/Entw&APw-rfe"), drafts_and_sent);
    uses.take_away(SpecialUses::NONE.with(SpecialUse::Junk));
    uses.note_made(SpecialUse::Trash);
    uses
}

fn write(root: &Path, uses: &Uses) {
    change(root, &Namespace::default(), |it| it.clone_from(uses)).unwrap();
}

fn loaded(root: &Path) -> Uses {
    load(root, &Namespace::default()).unwrap()
}

#[test]
fn what_is_written_is_read_and_other_lines_stay() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let file = root.join(uid_validity::FILE);
    fs::write(&file, "uidvalidity 1700000000\nlater x y").unwrap();
    write(root, &sample());
    assert_eq!(loaded(root), sample());
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("uidvalidity 1700000000\nlater x y\nspecial-use "),
        "{text}"
    );
    assert!(text.contains(" \\Sent My Special.Entw&APw-rfe\n"), "{text}");
    write(root, &Uses::default());
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text, "uidvalidity 1700000000\nlater x y\n");
}

#[test]
fn a_file_cut_anywhere_holds_a_part_of_what_it_held() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let file = root.join(uid_validity::FILE);
    write(root, &sample());
    let whole = fs::read(&file).unwrap();
    let ends: Vec<usize> = (1..=whole.len())
        .filter(|&end| whole[end - 1] == b'\n')
        .collect();
    for end in 0..=whole.len() {
        fs::write(&file, &whole[..end]).unwrap();
        let uses = loaded(root);
        let lines = ends.iter().filter(|&&it| it <= end).count();
        let found = uses.given.len() + uses.made.len();
        assert_eq!(found, lines, "{end}");
        assert_eq!(found == 4, uses == sample(), "{end}");
        for (special_use, owner) in &uses.given {
            assert_eq!(sample().given.get(special_use), Some(owner), "{end}");
        }
    }
}

#[test]
fn a_damaged_octet_costs_its_line_at_most() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let file = root.join(uid_validity::FILE);
    write(root, &sample());
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            fs::write(&file, &damaged).unwrap();
            let uses = loaded(root);
            // Two lines become one if it was the line end.
            let found = uses.given.len() + uses.made.len();
            assert!((2..4).contains(&found), "{at} {flip}: {uses:?}");
            for (special_use, owner) in &uses.given {
                assert_eq!(sample().given.get(special_use), Some(owner), "{at} {flip}");
            }
        }
    }
    for lost in [vec![], vec![0; 64], b"\xFF\xFEspecial-use".to_vec()] {
        fs::write(&file, lost).unwrap();
        assert_eq!(loaded(root), Uses::default());
        write(root, &sample());
        assert_eq!(loaded(root), sample());
    }
}

#[test]
fn the_counter_of_uid_validity_keeps_the_lines() {
    use crate::source::Source;
    use std::time::UNIX_EPOCH;

    let root = tempfile::tempdir().unwrap();
    let source = Source::new(|| UNIX_EPOCH, || 0);
    write(root.path(), &sample());
    let first = uid_validity::next(root.path(), &source).unwrap();
    let second = uid_validity::next(root.path(), &source).unwrap();
    assert!(second > first);
    assert_eq!(loaded(root.path()), sample());
    write(root.path(), &Uses::default());
    assert!(uid_validity::next(root.path(), &source).unwrap() > second);
}

#[test]
fn renaming_is_done_at_once_for_all() {
    let mut uses = Uses::default();
    uses.give(&name("a"), SpecialUses::NONE.with(SpecialUse::Sent));
    uses.give(&name("a/b"), SpecialUses::NONE.with(SpecialUse::Junk));
    uses.rename(&Renames::from([
        (name("a"), name("a/b")),
        (name("a/b"), name("a/b/b")),
    ]));
    assert!(uses.of(&name("a/b")).has(SpecialUse::Sent));
    assert!(uses.of(&name("a/b/b")).has(SpecialUse::Junk));
    assert!(!uses.owns(&name("a")));
}
