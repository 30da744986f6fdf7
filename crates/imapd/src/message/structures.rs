//! The record of BODY or BODYSTRUCTURE, as it is sent.
//!
//! Sessions of IMAP4rev1 and of IMAP4rev2 are told most messages alike; the record then is a zero
//! octet and that one structure. Otherwise it is a one, the length of what IMAP4rev1 is told in 4
//! octets, and both structures. So a message is read again for neither.

use super::body_structure::{BodyStructure, Form, write_body_structure};
use super::mime::Parsed;
use crate::extension::imap_rev2::Revision;

/// Makes the record of a form.
pub(super) fn make(parsed: &Parsed, message: &[u8], form: Form) -> Vec<u8> {
    let (structure, differs) = parsed.structure(message, Revision::Rev1);
    let mut record = vec![u8::from(differs)];
    if !differs {
        write_body_structure(&structure, form, &mut record);
        return record;
    }
    let write = |structure: &BodyStructure| {
        let mut wire = Vec::new();
        write_body_structure(structure, form, &mut wire);
        wire
    };
    let first = write(&structure);
    let second = write(&parsed.body_structure(message, Revision::Rev2));
    let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(&first);
    record.extend_from_slice(&second);
    record
}

/// What a session of this revision is told; `None` if it is no record.
pub(super) fn read(record: &[u8], revision: Revision) -> Option<&[u8]> {
    match record {
        [0, structure @ ..] => Some(structure),
        [1, rest @ ..] => {
            let (length, both) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (first, second) = both.split_at_checked(length)?;
            Some(match revision {
                Revision::Rev1 => first,
                Revision::Rev2 => second,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(message: &[u8], form: Form) -> [String; 2] {
        let record = make(&Parsed::new(message), message, form);
        [Revision::Rev1, Revision::Rev2]
            .map(|revision| String::from_utf8(read(&record, revision).unwrap().to_vec()).unwrap())
    }

    #[test]
    fn most_messages_are_told_alike() {
        let message = b"Content-Type: text/html; charset=utf-8; n*0=a; n*1=b\r\n\r\nx\r\n";
        let record = make(&Parsed::new(message), message, Form::Body);
        assert_eq!(
            record,
            b"\0(\"text\" \"html\" (\"charset\" \"utf-8\" \"n\" \"ab\") NIL NIL \"7BIT\" 3 1)"
        );
        let [rev1, rev2] = both(message, Form::BodyStructure);
        assert_eq!(rev1, rev2);
    }

    #[test]
    fn a_record_has_what_either_revision_is_told() {
        let message = b"Content-Type: message/global; n*=''%41\r\n\r\nSubject: s\r\n\r\nx\r\n";
        assert_eq!(
            both(message, Form::Body),
            [
                "(\"message\" \"global\" (\"n*\" \"''%41\") NIL NIL \"7BIT\" 17)",
                "(\"message\" \"global\" (\"n*\" \"A\") NIL NIL \"7BIT\" 17 \
                 (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL) \
                 (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3 1) 3)",
            ]
        );
        let disposition =
            b"Content-Disposition: attachment; filename*0*=''%41; filename*1=b\r\n\r\n";
        let [rev1, rev2] = both(disposition, Form::BodyStructure);
        assert!(
            rev1.contains("(\"attachment\" (\"filename*\" \"''%41b\"))"),
            "{rev1}"
        );
        assert!(
            rev2.contains("(\"attachment\" (\"filename*\" \"Ab\"))"),
            "{rev2}"
        );
    }

    #[test]
    fn an_encoded_message_is_told_to_be_empty() {
        let message = b"Content-Type: message/global\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogYQ==\r\n";
        assert_eq!(
            both(message, Form::Body),
            [
                "(\"message\" \"global\" NIL NIL NIL \"base64\" 18)",
                "(\"message\" \"global\" NIL NIL NIL \"base64\" 18 \
                 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) \
                 (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) 1)",
            ]
        );
    }

    #[test]
    fn what_is_no_record_is_not_read() {
        for record in [
            &b""[..],
            b"\x01",
            b"\x01\x01\0\0",
            b"\x01\x02\0\0\0x",
            b"(",
            b"\x02",
        ] {
            assert_eq!(read(record, Revision::Rev1), None);
            assert_eq!(read(record, Revision::Rev2), None);
        }
    }
}
