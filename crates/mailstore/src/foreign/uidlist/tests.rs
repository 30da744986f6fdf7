//! Lists as other servers write them, damaged ones, and the way there and back.

use proptest::prelude::*;

use super::*;

const DOVECOT: &[u8] = b"3 V1275660208 N60 G1f3ee80d0bf8a54e9a7c000069c5ad17\n\
    25 :1276528487.M364837P9451.host,S=1355,W=1394:2,S\n\
    47 G1f3ee80d W5 S4 O3 P0000002f4c :1276533073.M242911P3632.host:2,F\n\
    52 P :1276533900.M1P2.host\n\
    53 Qsomething Zelse :1276533900.M2P2.host\n";

fn read(file: &[u8]) -> Uidlist {
    Uidlist::parse(file).unwrap()
}

fn problem(file: &[u8]) -> (usize, UidlistProblem) {
    let error = Uidlist::parse(file).unwrap_err();
    (error.line, error.problem)
}

fn uids(list: &Uidlist) -> Vec<(u32, &str)> {
    let entries = list.entries.iter();
    let pair = |entry: &UidlistEntry| entry.uid.get();
    entries
        .clone()
        .map(pair)
        .zip(entries.map(|entry| str::from_utf8(&entry.base).unwrap()))
        .collect()
}

#[test]
fn version_3_is_read_in_full() {
    let list = read(DOVECOT);
    assert_eq!((list.version, list.uid_validity.get()), (3, 1_275_660_208));
    assert_eq!(list.next_uid.get(), 60);
    assert_eq!(
        list.mailbox_guid,
        Some(0x1f3e_e80d_0bf8_a54e_9a7c_0000_69c5_ad17)
    );
    let [first, second, third, fourth] = list.entries.as_slice() else {
        panic!("{list:?}");
    };
    assert_eq!(
        &*first.base, b"1276528487.M364837P9451.host,S=1355,W=1394",
        "without the flags that it had once"
    );
    assert_eq!((first.uid.get(), first.uidl.as_deref()), (25, None));
    assert_eq!((second.size, second.rfc822_size), (Some(4), Some(5)));
    assert_eq!(second.uidl.as_deref(), Some(b"0000002f4c".as_slice()));
    assert_eq!(second.order, Some(3));
    assert_eq!(second.guid.as_deref(), Some(b"1f3ee80d".as_slice()));
    assert_eq!(third.uidl.as_deref(), Some(b"".as_slice()));
    assert_eq!(&*fourth.other, b"Qsomething Zelse");
}

#[test]
fn the_header_may_be_in_any_order_and_hold_more() {
    let list = read(b"3 X7 N9 P%08Xu%08Xv V5 Yz\n");
    assert_eq!((list.uid_validity.get(), list.next_uid.get()), (5, 9));
    assert_eq!(list.pop3_format.as_deref(), Some(b"%08Xu%08Xv".as_slice()));
    assert_eq!(&*list.other, b"X7 Yz");
    assert_eq!(read(&list.write()), list);
}

#[test]
fn a_stale_next_uid_is_raised_in_version_3_only() {
    let list = read(b"3 V5 N2\n1 :a\n7 :b\n");
    assert_eq!(list.next_uid.get(), 8);
    assert_eq!(problem(b"1 5 7\n1 a\n7 b\n"), (3, UidlistProblem::TooHigh));
}

#[test]
fn version_1_is_read() {
    let list = read(b"1 1275660208 26\n24 1276528487.M3P9.host\n25 1276528488.M3P9.host:2,S\n");
    assert_eq!((list.version, list.next_uid.get()), (1, 26));
    assert_eq!(
        uids(&list),
        [(24, "1276528487.M3P9.host"), (25, "1276528488.M3P9.host")]
    );
    assert_eq!(
        list.write().split(|&byte| byte == b'\n').next().unwrap(),
        b"3 V1275660208 N26"
    );
}

#[test]
fn damage_is_named_with_its_line() {
    use UidlistProblem::{Fields, Header, Name, NoHeader, NoUid, Order, TooHigh, Version};
    let table: [(&[u8], usize, UidlistProblem); 22] = [
        (b"", 1, NoHeader),
        (b"3 V5 N9", 1, NoHeader),
        (b"V5 N9\n", 1, NoHeader),
        (b"\0\0\0\0\n", 1, NoHeader),
        (b"2 5 9\n", 1, Version),
        (b"33 V5 N9\n", 1, Version),
        (b"3 V0 N9\n", 1, Header),
        (b"3 V5 N0\n", 1, Header),
        (b"3 V5\n", 1, Header),
        (b"3 V5 N99999999999\n", 1, Header),
        (b"3 V5 N9 N\n", 1, Header),
        (b"1 5\n", 1, Header),
        (b"3 V5 N9\n\n", 2, NoUid),
        (b"3 V5 N9\n0 :a\n", 2, NoUid),
        (b"3 V5 N9\n1\n", 2, NoUid),
        (b"3 V5 N9\n1:a\n", 2, NoUid),
        (b"3 V5 N9\n1 :a\n1 :b\n", 3, Order),
        (b"3 V5 N9\n4294967295 :a\n", 2, TooHigh),
        (b"3 V5 N9\n1 a\n", 2, Fields),
        (b"3 V5 N9\n1 s5 :a\n", 2, Fields),
        (b"3 V5 N9\n1 ::2,S\n", 2, Name),
        (b"3 V5 N9\n1 :../a\n", 2, Name),
    ];
    for (file, line, expected) in table {
        assert_eq!(problem(file), (line, expected), "{}", file.escape_ascii());
    }
    let text = Uidlist::parse(b"3 V5 N9\n1 :a\n1 :b\n").unwrap_err();
    assert_eq!(
        text.to_string(),
        "line 3: the UID is not above the one before"
    );
}

#[test]
fn a_line_that_was_being_written_is_no_entry_but_its_uid_is_given() {
    let list = read(b"3 V5 N9\n1 :a\n12 :b");
    assert_eq!(uids(&list), [(1, "a")]);
    assert_eq!(list.next_uid.get(), 13);
    assert_eq!(read(b"3 V5 N9\n1 :a\n12").next_uid.get(), 9);
    assert_eq!(read(b"3 V5 N9\n1 :a\n4294967295 :b").next_uid, Uid::MAX);
}

#[test]
fn a_base_that_is_there_twice_has_the_later_uid() {
    let list = read(b"3 V5 N9\n1 :a\n2 :b\n3 :a:2,S\n");
    assert_eq!(uids(&list), [(2, "b"), (3, "a")]);
}

#[test]
fn values_that_cannot_be_read_are_kept_as_they_are() {
    let list = read(b"3 V5 N9\n1 Sx W O-1 :a\n");
    let entry = &list.entries[0];
    assert_eq!(
        (entry.size, entry.rfc822_size, entry.order),
        (None, None, None)
    );
    assert_eq!(&*entry.other, b"Sx W O-1");
    assert_eq!(read(&list.write()), list);
}

#[test]
fn what_cannot_stand_in_the_file_is_left_out() {
    let mut list = read(b"3 V5 N9\n");
    let entry = |uid, base: &[u8]| UidlistEntry::new(Uid::new(uid).unwrap(), base);
    let spaced = UidlistEntry {
        uidl: Some(b"a b".as_slice().into()),
        guid: Some(b"x\ny".as_slice().into()),
        ..entry(3, b"good")
    };
    list.entries = vec![
        entry(1, b""),
        entry(1, b"a/b"),
        entry(1, b"a\nb"),
        spaced,
        entry(2, b"late"),
        entry(u32::MAX, b"high"),
    ];
    assert_eq!(list.write(), b"3 V5 N9\n3 :good\n");
}

#[test]
fn cut_anywhere_it_names_the_same_uids_and_gives_no_later_one_again() {
    let whole = read(DOVECOT);
    for length in 0..DOVECOT.len() {
        let Ok(cut) = Uidlist::parse(&DOVECOT[..length]) else {
            continue;
        };
        assert_eq!(cut.entries, whole.entries[..cut.entries.len()], "{length}");
        assert_eq!(cut.next_uid, whole.next_uid, "{length}");
    }
}

fn value() -> impl Strategy<Value = Option<Box<[u8]>>> {
    prop::option::of(prop::collection::vec(0x21..0x7fu8, 0..20).prop_map(Into::into))
}

fn entry() -> impl Strategy<Value = UidlistEntry> {
    let numbers = (
        any::<Option<u64>>(),
        any::<Option<u64>>(),
        any::<Option<u32>>(),
    );
    let base = "[0-9]{1,9}\\.M[0-9]{1,6}P[0-9]{1,5}\\.[a-z]{1,8}(,S=[0-9]{1,5})?";
    (
        numbers,
        base,
        value(),
        value(),
        "(Q[a-z]{1,5}( Z[0-9]{1,5})?)?",
    )
        .prop_map(
            |((size, rfc822_size, order), base, uidl, guid, other)| UidlistEntry {
                size,
                rfc822_size,
                order,
                uidl,
                guid,
                other: other.into_bytes().into(),
                ..UidlistEntry::new(Uid::MIN, base.as_bytes())
            },
        )
}

fn list() -> impl Strategy<Value = Uidlist> {
    let header = (1u32.., any::<Option<u128>>(), value(), 1..1000u32);
    let steps = prop::collection::vec((1..9u32, entry()), 0..12);
    (header, steps).prop_map(
        |((uid_validity, mailbox_guid, pop3_format, spare), steps)| {
            let mut uid = 0;
            let mut entries: Vec<UidlistEntry> = Vec::new();
            for (step, entry) in steps {
                uid += step;
                if entries.iter().all(|other| other.base != entry.base) {
                    let uid = Uid::new(uid).unwrap();
                    entries.push(UidlistEntry { uid, ..entry });
                }
            }
            Uidlist {
                version: 3,
                uid_validity: UidValidity::new(uid_validity).unwrap(),
                next_uid: Uid::new(uid + spare).unwrap(),
                mailbox_guid,
                pop3_format,
                other: Box::default(),
                entries,
            }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(list in list()) {
        prop_assert_eq!(Uidlist::parse(&list.write()), Ok(list));
    }

    #[test]
    fn any_bytes_give_each_uid_and_each_base_once(
        version in prop::sample::select(vec!["1 5 9000\n", "3 V5 N9\n", ""]),
        bytes in "([0-9]{0,5}( [A-Z][a-z0-9]{0,3}){0,3} :?[a-z:/]{0,4}\n){0,20}.{0,9}",
    ) {
        if let Ok(list) = Uidlist::parse(format!("{version}{bytes}").as_bytes()) {
            prop_assert!(list.entries.is_sorted_by(|a, b| a.uid < b.uid));
            prop_assert!(list.entries.last().is_none_or(|last| last.uid < list.next_uid));
            let bases: std::collections::HashSet<_> =
                list.entries.iter().map(|entry| &entry.base).collect();
            prop_assert_eq!(bases.len(), list.entries.len());
            let again = Uidlist::parse(&list.write()).unwrap();
            prop_assert_eq!(again.entries.len(), list.entries.len());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Uidlist::parse(&bytes));
        drop(Uidlist::parse(&[b"3 V5 N9\n".as_slice(), &bytes].concat()));
    }
}

#[test]
fn line_ends_of_other_systems_are_no_part_of_names() {
    let text = str::from_utf8(DOVECOT).unwrap().replace('\n', "\r\n");
    assert_eq!(read(text.as_bytes()), read(DOVECOT));
    let first = b"1 1234 60\r\n25 100.host\r\n";
    assert_eq!(uids(&read(first)), [(25, "100.host")]);
    // Such a name could not be read again.
    let mut list = read(DOVECOT);
    list.entries = vec![UidlistEntry::new(Uid::MIN, b"100.host\r")];
    assert!(read(&list.write()).entries.is_empty());
}

#[test]
fn what_no_client_can_be_shown_is_no_identity() {
    let long = "x".repeat(256);
    for bad in ["\u{1}\u{1b}[31m", "a\rb", "\u{7f}", "\u{e4}", "a\tb", &long] {
        let list = format!("3 V1 N9\n1 P{bad} G{bad} O4 :100.host\n");
        let entry = read(list.as_bytes()).entries.remove(0);
        assert_eq!((entry.uidl, entry.guid), (None, None), "{bad:?}");
        assert_eq!(entry.order, Some(4));
    }
    let longest = "x".repeat(255);
    let list = format!("3 V1 N9\n1 P{longest} G{longest} :100.host\n");
    let entry = read(list.as_bytes()).entries.remove(0);
    assert_eq!(entry.uidl.as_deref(), Some(longest.as_bytes()));
    assert_eq!(entry.guid, entry.uidl);
}

#[test]
fn a_list_of_more_messages_than_there_can_be_is_damaged() {
    let list = b"3 V1 N9\n1 :a\n2 :b\n3 :c\n";
    assert_eq!(Uidlist::parse_at_most(list, 3), Uidlist::parse(list));
    let error = Uidlist::parse_at_most(list, 2).unwrap_err();
    assert_eq!((error.line, error.problem), (4, UidlistProblem::TooMany));
}
