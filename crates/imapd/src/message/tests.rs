//! Whole messages: samples as snapshots, arbitrary octets, bombs.

mod bombs;
mod properties;
mod samples;
mod wire;

use super::*;
use crate::command::{Section, SectionText};
use crate::extension::imap_rev2::Revision;
use wire::{check_body_of, read};

/// Whatever clients can ask of a message; the wire forms of ENVELOPE, BODY and BODYSTRUCTURE.
fn everything(message: &[u8]) -> [Vec<u8>; 3] {
    let parsed = Parsed::new(message);
    let [mut envelope, mut body, mut body_structure] = [const { Vec::new() }; 3];
    write_envelope(&parsed.envelope(message), &mut envelope);
    let structure = parsed.body_structure(message, Revision::Rev1);
    write_body_structure(&structure, Form::Body, &mut body);
    write_body_structure(&structure, Form::BodyStructure, &mut body_structure);
    for (form, told) in [(Form::Body, &body), (Form::BodyStructure, &body_structure)] {
        let record = Record::make_structure(&parsed, message, form);
        assert_eq!(Record::structure(&record, Revision::Rev1), Some(&told[..]));
        let rev2 = Record::structure(&record, Revision::Rev2).unwrap();
        check_body_of(&read(rev2).unwrap(), form, Revision::Rev2);
    }
    let needle = Needle::new("a needle that is nowhere");
    assert!(!parsed.text_contains(message, &needle));
    assert!(!parsed.body_contains(message, &needle));
    parsed.header_contains(message, b"Subject", &needle);
    parsed.sent_date(message);
    for text in [
        SectionText::HeaderFields(vec![b"Subject".to_vec(), b"X".to_vec()]),
        SectionText::HeaderFieldsNot(vec![b"Subject".to_vec(), b"X".to_vec()]),
    ] {
        let section = Section {
            part: Vec::new(),
            text: Some(text),
        };
        parsed.section(message, &section, Revision::Rev2);
    }
    [envelope, body, body_structure]
}

/// The octets of a section.
fn octets(message: &[u8], part: &[u32], text: Option<SectionText>) -> Option<Vec<u8>> {
    let section = Section {
        part: part.to_vec(),
        text,
    };
    let found = Parsed::new(message).section(message, &section, Revision::Rev1)?;
    let octets = found.octets(message, None).to_vec();
    assert_eq!(octets.len(), found.len());
    Some(octets)
}
