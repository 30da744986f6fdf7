//! FETCH responses.

use super::*;

#[test]
fn fetch_responses_are_written_as_printed() {
    let flags = |flags: &[&str]| FetchData::Flags(names(flags));
    let table = [
        (
            vec![flags(&["\\Seen"]), FetchData::Rfc822Size(44_827)],
            "FLAGS (\\Seen) RFC822.SIZE 44827",
        ),
        (
            vec![flags(&[]), FetchData::Uid(uid(4_827_313))],
            "FLAGS () UID 4827313",
        ),
        (
            vec![FetchData::InternalDate(837_596_665)],
            "INTERNALDATE \"17-Jul-1996 09:44:25 +0000\"",
        ),
        (
            vec![FetchData::Wire("ENVELOPE", b"(NIL)".to_vec())],
            "ENVELOPE (NIL)",
        ),
    ];
    for (items, expected) in table {
        assert_eq!(
            untagged(Untagged::Fetch(seq(23), items)),
            format!("* 23 FETCH ({expected})")
        );
    }
}

/// A section of `BODY[…]`.
fn section(part: Vec<u32>, text: Option<SectionText>, partial: Option<Partial>) -> FetchSection {
    FetchSection {
        section: Section { part, text },
        partial,
        seen: Seen::Set,
        name: SectionName::Body,
    }
}

#[test]
fn sections_are_named_as_they_were_asked_for() {
    let fields = vec![b"DATE".to_vec(), b"FROM".to_vec()];
    let from = Partial {
        origin: 5,
        octets: 10,
    };
    let table = [
        (
            vec![FetchData::Section(
                section(
                    vec![],
                    Some(SectionText::HeaderFields(fields.clone())),
                    None,
                ),
                Some(b"Date: x\r\n\r\n".to_vec()),
            )],
            "BODY[HEADER.FIELDS (DATE FROM)] {11}\r\nDate: x\r\n\r\n",
        ),
        (
            vec![
                FetchData::Section(
                    section(
                        vec![4, 2],
                        Some(SectionText::HeaderFieldsNot(fields)),
                        Some(from),
                    ),
                    Some(b"".to_vec()),
                ),
                FetchData::Section(section(vec![1], Some(SectionText::Mime), None), None),
                FetchData::Section(section(vec![3], None, None), None),
                FetchData::Section(section(vec![], Some(SectionText::Text), None), None),
                FetchData::Section(section(vec![], Some(SectionText::Header), None), None),
            ],
            "BODY[4.2.HEADER.FIELDS.NOT (DATE FROM)]<5> {0}\r\n BODY[1.MIME] NIL BODY[3] NIL BODY[TEXT] NIL BODY[HEADER] NIL",
        ),
        (
            vec![FetchData::Section(
                section(
                    vec![],
                    Some(SectionText::HeaderFields(vec![
                        b"a b".to_vec(),
                        b"c\r".to_vec(),
                    ])),
                    None,
                ),
                None,
            )],
            "BODY[HEADER.FIELDS (\"a b\" {2}\r\nc\r)] NIL",
        ),
    ];
    for (items, expected) in table {
        assert_eq!(
            untagged(Untagged::Fetch(seq(23), items)),
            format!("* 23 FETCH ({expected})")
        );
    }
    for (name, expected) in [
        (SectionName::Rfc822, "RFC822"),
        (SectionName::Rfc822Header, "RFC822.HEADER"),
        (SectionName::Rfc822Text, "RFC822.TEXT"),
    ] {
        let section = FetchSection {
            name,
            ..section(vec![], Some(SectionText::Header), None)
        };
        let data = FetchData::Section(section, None);
        assert_eq!(
            untagged(Untagged::Fetch(seq(1), vec![data])),
            format!("* 1 FETCH ({expected} NIL)")
        );
    }
}

#[test]
fn a_fetch_response_in_pieces_is_the_same() {
    let section = FetchSection {
        section: Section::default(),
        partial: None,
        seen: Seen::Set,
        name: SectionName::Body,
    };
    let data = [
        FetchData::Uid(uid(7)),
        FetchData::Section(section.clone(), Some(b"a(b".to_vec())),
        FetchData::Rfc822Size(3),
    ];
    let mut sent = Vec::new();
    let mut out = Vec::new();
    let mut fetch = fetch_open(&mut out, seq(2));
    sent.append(&mut out);
    fetch.item(&mut out, &data[0]);
    sent.append(&mut out);
    fetch.section_open(&mut out, &section, 3);
    sent.append(&mut out);
    out.extend_from_slice(b"a(b");
    sent.append(&mut out);
    fetch.item(&mut out, &data[2]);
    fetch.close(&mut out);
    sent.append(&mut out);
    let mut whole = Vec::new();
    encode(
        &Response::Untagged(Untagged::Fetch(seq(2), data.to_vec())),
        &mut whole,
    );
    assert_eq!(sent, whole);
    assert_eq!(
        whole,
        b"* 2 FETCH (UID 7 BODY[] {3}\r\na(b RFC822.SIZE 3)\r\n"
    );
}

#[test]
fn internal_dates_have_two_columns_for_the_day() {
    let table = [
        (0, "\" 1-Jan-1970 00:00:00 +0000\""),
        (-1, "\"31-Dec-1969 23:59:59 +0000\""),
        (951_782_400, "\"29-Feb-2000 00:00:00 +0000\""),
        (951_868_800, "\" 1-Mar-2000 00:00:00 +0000\""),
        (i64::MIN, "\" 1-Jan-0000 00:00:00 +0000\""),
        (i64::MAX, "\"31-Dec-9999 23:59:59 +0000\""),
    ];
    for (seconds, expected) in table {
        let data = FetchData::InternalDate(seconds);
        assert_eq!(
            untagged(Untagged::Fetch(seq(1), vec![data])),
            format!("* 1 FETCH (INTERNALDATE {expected})")
        );
    }
}
