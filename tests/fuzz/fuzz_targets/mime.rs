//! Any octets as a message: all parts lie in it, and what is written about it is well-formed (S33).
#![no_main]

use imapd::message::{Form, MAX_LEVELS, MAX_PARTS, Needle, Parsed, Revision};
use imapd::message::{write_body_structure, write_envelope};
use libfuzzer_sys::fuzz_target;

/// Follows parentheses, quoted strings and literals; nothing else may hold special octets.
fn assert_well_formed(mut rest: &[u8]) {
    let mut depth = 0;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match octet {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'"' => loop {
                let (&octet, after) = rest.split_first().expect("quoted string has an end");
                rest = after;
                match octet {
                    b'"' => break,
                    b'\\' => rest = rest.get(1..).expect("something is quoted"),
                    b'\0' | b'\r' | b'\n' | 0x80.. => panic!("{octet} in a quoted string"),
                    _ => {}
                }
            },
            b'{' => {
                let end = rest.windows(3).position(|window| window == b"}\r\n");
                let (size, after) = rest.split_at(end.expect("literal has a head"));
                let size: usize = str::from_utf8(size).unwrap().parse().unwrap();
                rest = after.get(3 + size..).expect("literal is whole");
            }
            b' '..=b'~' => {}
            _ => panic!("{octet} outside of strings"),
        }
        assert!(depth >= 0);
    }
    assert_eq!(depth, 0);
}

fuzz_target!(|message: &[u8]| {
    let parsed = Parsed::new(message);
    assert!(parsed.parts().len() <= MAX_PARTS.max(1) + MAX_LEVELS);
    for part in parsed.parts() {
        assert!(message.get(part.header()).is_some() && message.get(part.body()).is_some());
    }
    let mut out = Vec::new();
    write_envelope(&parsed.envelope(message), &mut out);
    assert_well_formed(&out);
    for revision in [Revision::Rev1, Revision::Rev2] {
        let structure = parsed.body_structure(message, revision);
        for form in [Form::Body, Form::BodyStructure] {
            out.clear();
            write_body_structure(&structure, form, &mut out);
            assert_well_formed(&out);
        }
    }
    let needle = Needle::new("a");
    let _ = parsed.text_contains(message, &needle);
    let _ = parsed.sent_date(message);
});
