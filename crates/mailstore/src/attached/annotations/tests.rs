//! Files that are written, read, cut and damaged.

use super::*;
use proptest::prelude::*;
use std::fs;

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).unwrap()
}

fn sample() -> Annotations {
    let mut sample = Annotations::default();
    let inbox = Some(MailboxName::inbox());
    sample.set(&None, "/private/comment", Some(b"mine".to_vec()));
    sample.set(&inbox, "/private/comment", Some(b"two\r\nlines".to_vec()));
    sample.set(&inbox, "/shared/comment", Some(Vec::new()));
    let binary = Some((0..=255).collect());
    sample.set(&Some(name("Entw&APw-rfe/a")), "/private/vendor/x/y", binary);
    sample
}

fn parse(file: &[u8]) -> Parsed {
    Annotations::parse(file, &Namespace::default())
}

/// The first so many of the sample.
fn first(count: usize) -> Annotations {
    let mut first = Annotations::default();
    for (place, entry, value) in sample().iter().take(count) {
        first.set(place, entry, Some(value.clone()));
    }
    first
}

#[test]
fn what_is_written_is_read() {
    for annotations in [sample(), Annotations::default()] {
        let file = annotations.write(&Namespace::default());
        assert_eq!(parse(&file), Parsed::Whole(annotations));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_exact_prefix() {
    let whole = sample().write(&Namespace::default());
    let mut seen = 0;
    for end in 0..whole.len() {
        let Parsed::Damaged(annotations) = parse(&whole[..end]) else {
            panic!("{end}");
        };
        let count = annotations.iter().count();
        assert_eq!(annotations, first(count), "{end}");
        assert!(count == seen || count == seen + 1, "{end}");
        seen = count;
    }
    assert_eq!(seen, 3);
}

#[test]
fn a_damaged_octet_is_noticed() {
    let whole = sample().write(&Namespace::default());
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            match parse(&damaged) {
                Parsed::Damaged(annotations) => {
                    let count = annotations.iter().count();
                    assert!(count < 4, "{at} {flip}");
                    assert_eq!(annotations, first(count), "{at} {flip}");
                }
                Parsed::Later => assert_eq!(at, 7),
                Parsed::Whole(_) => panic!("{at} {flip}"),
            }
        }
    }
}

#[test]
fn a_lost_file_is_empty_and_a_later_one_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let file = root.join(FILE);
    let namespace = Namespace::default();
    let write = || {
        change(root, &namespace, |it| {
            *it = sample();
            Ok::<_, Error>(())
        })
    };
    assert_eq!(load(root, &namespace).unwrap(), Annotations::default());
    for lost in [vec![], vec![0; 100], b"\xFFgarbage of some length".to_vec()] {
        fs::write(&file, lost).unwrap();
        assert_eq!(load(root, &namespace).unwrap(), Annotations::default());
        write().unwrap();
        assert_eq!(load(root, &namespace).unwrap(), sample());
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(load(root, &namespace).unwrap(), Annotations::default());
    write().unwrap();
    assert_eq!(load(root, &namespace).unwrap(), sample());

    let later = b"pbxmeta\x02anything at all".to_vec();
    fs::write(&file, &later).unwrap();
    let loaded = load(root, &namespace);
    assert!(matches!(loaded, Err(Error::Corrupt { .. })));
    assert!(write().is_err());
    assert_eq!(fs::read(&file).unwrap(), later);
}

proptest! {
    #[test]
    fn any_bytes_never_panic(tail in any::<Vec<u8>>(), whole in any::<bool>()) {
        let mut file = if whole { sample().write(&Namespace::default()) } else { MAGIC.to_vec() };
        file.extend(&tail);
        parse(&file);
    }
}
