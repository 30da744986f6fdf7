//! The messages of `tests/messages`, each shown whole.

use std::fmt::Write as _;
use std::path::Path;

use super::wire::{check_body, check_envelope, read};
use super::*;

/// A sample message in CRLF form.
fn sample(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    let mut message = Vec::new();
    for line in file.split_inclusive(|&octet| octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) => message.extend_from_slice(&[text, b"\r\n"].concat()),
            None => message.extend_from_slice(line),
        }
    }
    message
}

/// The wire forms, and every section that there is.
fn shown(message: &[u8]) -> String {
    let [envelope, body, body_structure] = everything(message);
    check_envelope(&read(&envelope).unwrap());
    check_body(&read(&body).unwrap(), Form::Body);
    check_body(&read(&body_structure).unwrap(), Form::BodyStructure);
    let mut out = String::new();
    for (name, wire) in [
        ("ENVELOPE", envelope),
        ("BODY", body),
        ("BODYSTRUCTURE", body_structure),
    ] {
        writeln!(out, "{name} {}", wire.escape_ascii()).unwrap();
    }
    show_parts(message, &mut Vec::new(), &mut out);
    out
}

fn show_parts(message: &[u8], path: &mut Vec<u32>, out: &mut String) {
    for number in 1.. {
        path.push(number);
        let Some(body) = octets(message, path, None) else {
            path.pop();
            return;
        };
        let name: Vec<_> = path.iter().map(u32::to_string).collect();
        let name = name.join(".");
        writeln!(out, "[{name}] {}", body.escape_ascii()).unwrap();
        for (text, kind) in [
            ("MIME", SectionText::Mime),
            ("HEADER", SectionText::Header),
            ("TEXT", SectionText::Text),
        ] {
            if let Some(octets) = octets(message, path, Some(kind)) {
                writeln!(out, "[{name}.{text}] {}", octets.escape_ascii()).unwrap();
            }
        }
        show_parts(message, path, out);
        path.pop();
    }
}

#[test]
fn samples_are_shown_as_they_were() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/messages");
    let notes = std::fs::read_to_string(directory.join("README.md")).unwrap();
    let mut shown_files = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "eml") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            notes.contains(&format!("`{name}.eml`")),
            "{name} has no note"
        );
        insta::assert_snapshot!(name, shown(&sample(&path)));
        shown_files += 1;
    }
    assert!(shown_files >= 25);
}

#[test]
fn samples_are_searched_decoded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/messages");
    for (name, field, in_field, in_body) in [
        (
            "encoded-words",
            "From",
            "f\u{c4}ltstr\u{f6}m",
            "\u{65e5}\u{672c}\u{8a9e}",
        ),
        (
            "encoded-words",
            "Subject",
            "caf\u{e9} cr\u{e8}me",
            "\u{672c}",
        ),
        (
            "encoded-words",
            "To",
            "\u{65e5}\u{672c}\u{8a9e} <nihongo",
            "\u{8a9e}",
        ),
        ("eight-bit-headers", "Subject", "k\u{d6}ln", "F\u{dc}SSE"),
        ("eight-bit-headers", "To", "\u{142}ukasz", "f\u{fc}\u{df}e"),
        ("alternative", "Subject", "LUNCH", "<p>gr\u{dc}sse"),
        ("nested-messages", "Subject", "outer", "second line"),
        (
            "delivery-report",
            "from",
            "mailer-daemon",
            "nobody@example.com",
        ),
    ] {
        let message = sample(&directory.join(name).with_extension("eml"));
        let parsed = Parsed::new(&message);
        let needle = Needle::new(in_field);
        assert!(
            parsed.header_contains(&message, field.as_bytes(), &needle),
            "{name} {in_field}"
        );
        assert!(
            parsed.body_contains(&message, &Needle::new(in_body)),
            "{name} {in_body}"
        );
    }
}
