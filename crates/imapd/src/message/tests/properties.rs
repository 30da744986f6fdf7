//! What holds for any octets.

use proptest::prelude::*;

use super::wire::{check_body, check_envelope, read};
use super::*;

/// Octets that are like a message: pieces that the parsers look at, in any order.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "\r\n--b\r\n",
    "\r\n--b--\r\n",
    "--c\r\n",
    "\r\n--c--",
    "--",
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/digest; boundary=\"c\"\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: message/global\r\n\r\n",
    "; n*0*=utf-8''%c3\r\n; n*1*=%a9\r\n",
    "Content-Type: multipart/alternative\r\n",
    "Content-Type: text/html; charset=utf-16; a=\"b\\\"\r\n c\"\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n",
    "Content-Disposition: attachment; filename=x y\r\n",
    "Content-Language: a, b\r\n",
    "Content-MD5: x\r\n",
    "From: A <a@b>, g: c@d;\r\n",
    "To: ",
    "Subject: =?utf-8?q?=C3=A9?=\r\n",
    "Date: 1 Jan 2024\r\n",
    "a@b",
    "<",
    ">",
    ",",
    ";",
    ":",
    "\"",
    "\\",
    "(",
    ")",
    ".",
    "[",
    "]",
    "@",
    "=?",
    "?=",
    "=",
    " ",
    "\t",
    "x",
    "\0",
    "\u{e9}",
];

fn check_tree(message: &[u8], parsed: &Parsed) {
    let parts = parsed.parts();
    assert_eq!((parts[0].start, parts[0].end), (0, message.len()));
    assert_eq!(parts[0].next, parts.len());
    for (position, part) in parts.iter().enumerate() {
        assert!(part.start <= part.body && part.body <= part.end);
        assert!(position < part.next && part.next <= parts.len());
        let lines = message[part.body()].iter().filter(|&&o| o == b'\n').count();
        assert_eq!(part.lines, lines);
        let children: Vec<_> = parsed.children(position).collect();
        match part.kind {
            Kind::Multipart => assert!(!children.is_empty()),
            Kind::Message | Kind::Global => assert_eq!(children.len(), 1),
            Kind::Leaf | Kind::Opaque => assert!(children.is_empty()),
        }
        let mut at = part.body;
        for child in children {
            let child = parts[child];
            assert!(at <= child.start && child.end <= part.end);
            at = child.end;
        }
    }
}

/// Checks the sections of a part and of those within it: what is shown in pieces adds up.
fn check_sections(message: &[u8], path: &mut Vec<u32>) {
    let Some(all) = octets(message, path, None) else {
        return;
    };
    let header = octets(message, path, Some(SectionText::Header));
    if let Some(header) = header {
        let text = octets(message, path, Some(SectionText::Text)).unwrap();
        assert_eq!([&header[..], &text].concat(), all);
        let names = vec![b"content-TYPE".to_vec(), b"To".to_vec()];
        let with = octets(
            message,
            path,
            Some(SectionText::HeaderFields(names.clone())),
        );
        let without = octets(message, path, Some(SectionText::HeaderFieldsNot(names)));
        let blank = if header::has_blank_line(&header) {
            2
        } else {
            0
        };
        let fields: usize = header::Fields::new(&header)
            .map(|field| field.raw.len())
            .sum();
        assert_eq!(
            with.unwrap().len() + without.unwrap().len(),
            fields + 2 * blank
        );
    }
    for number in 1..4 {
        path.push(number);
        check_sections(message, path);
        path.pop();
    }
}

fn check(message: &[u8]) {
    let parsed = Parsed::new(message);
    check_tree(message, &parsed);
    let [envelope, body, body_structure] = everything(message);
    check_envelope(&read(&envelope).unwrap());
    check_body(&read(&body).unwrap(), Form::Body);
    check_body(&read(&body_structure).unwrap(), Form::BodyStructure);
    check_sections(message, &mut Vec::new());
    let preview = preview(message);
    assert!(preview.chars().count() <= 200);
    assert!(!preview.chars().any(char::is_control));
    assert_eq!(preview.trim(), preview);
}

proptest! {
    #[test]
    fn any_octets_are_a_message(message in prop::collection::vec(any::<u8>(), 0..500)) {
        check(&message);
    }

    #[test]
    fn whatever_is_like_a_message_is_one(message in message()) {
        check(&message);
    }

    #[test]
    fn any_prefix_of_a_message_is_one(message in message(), len in 0_usize..400) {
        check(message.get(..len).unwrap_or(&message));
    }

    #[test]
    fn a_partial_section_is_a_part_of_the_whole(
        message in message(),
        origin in 0_u32..300,
        octets in 1_u32..300,
    ) {
        use crate::command::Partial;
        let parsed = Parsed::new(&message);
        let section = parsed.section(&message, &Section::default(), Revision::Rev1).unwrap();
        let partial = Partial { origin: origin.into(), octets: octets.into() };
        let found = section.octets(&message, Some(partial));
        let wanted = message.iter().skip(origin as usize).take(octets as usize);
        prop_assert!(found.iter().eq(wanted));
    }

    #[test]
    fn a_search_finds_what_is_there(
        text in "[a-zA-Z\u{e9}\u{df}\u{3a3} \n]{0,60}",
        start in 0_usize..60,
        len in 1_usize..10,
    ) {
        let message = format!("\r\n{}", text.replace('\n', "\r\n"));
        let chars: Vec<char> = message.chars().skip(2).collect();
        let wanted: String = chars.iter().skip(start).take(len).collect();
        let parsed = Parsed::new(message.as_bytes());
        for needle in [wanted.to_uppercase(), wanted.to_lowercase()] {
            prop_assert!(parsed.body_contains(message.as_bytes(), &Needle::new(&needle)));
        }
    }
}
