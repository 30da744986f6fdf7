//! A small strict reader of what is written: RFC 3501 §9 `envelope` and `body`.

use super::{Form, Revision};

/// A value on the wire.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nil,
    Number(u64),
    String(Vec<u8>),
    List(Vec<Self>),
}

/// Reads one value that takes all of the octets.
pub(super) fn read(octets: &[u8]) -> Result<Value, String> {
    let mut rest = octets;
    let value = value(&mut rest)?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(format!("{} octets left over", rest.len()))
    }
}

fn value(rest: &mut &[u8]) -> Result<Value, String> {
    match rest.first() {
        Some(b'(') => list(rest),
        Some(b'"') => quoted(rest),
        Some(b'{') => literal(rest),
        Some(b'0'..=b'9') => Ok(Value::Number(number(rest)?)),
        _ => match rest.strip_prefix(b"NIL") {
            Some(tail) => {
                *rest = tail;
                Ok(Value::Nil)
            }
            None => Err(format!("no value in {:?}", rest.escape_ascii().to_string())),
        },
    }
}

fn list(rest: &mut &[u8]) -> Result<Value, String> {
    *rest = &rest[1..];
    let mut values = vec![value(rest)?];
    loop {
        match rest.first() {
            Some(b')') => {
                *rest = &rest[1..];
                return Ok(Value::List(values));
            }
            Some(b' ') => *rest = &rest[1..],
            // Addresses, and the parts of a multipart, follow each other directly.
            Some(b'(') if matches!(values.last(), Some(Value::List(_))) => {}
            other => return Err(format!("{other:?} in a list")),
        }
        values.push(value(rest)?);
    }
}

fn quoted(rest: &mut &[u8]) -> Result<Value, String> {
    let mut out = Vec::new();
    let mut octets = rest[1..].iter();
    loop {
        match octets.next() {
            Some(b'"') => break,
            Some(b'\\') => match octets.next() {
                Some(&octet @ (b'"' | b'\\')) => out.push(octet),
                other => return Err(format!("{other:?} escaped")),
            },
            Some(&octet @ (1..=9 | 11..=12 | 14..=127)) => out.push(octet),
            other => return Err(format!("{other:?} in a quoted string")),
        }
    }
    *rest = octets.as_slice();
    Ok(Value::String(out))
}

fn literal(rest: &mut &[u8]) -> Result<Value, String> {
    *rest = &rest[1..];
    let len = usize::try_from(number(rest)?).unwrap();
    let tail = rest.strip_prefix(b"}\r\n").ok_or("literal without }")?;
    let (text, tail) = tail.split_at_checked(len).ok_or("literal too short")?;
    if text.contains(&0) {
        return Err("NUL in a literal".to_owned());
    }
    *rest = tail;
    Ok(Value::String(text.to_vec()))
}

fn number(rest: &mut &[u8]) -> Result<u64, String> {
    let end = rest.iter().take_while(|octet| octet.is_ascii_digit());
    let (digits, tail) = rest.split_at(end.count());
    *rest = tail;
    let digits = str::from_utf8(digits).unwrap();
    digits.parse().map_err(|_| format!("number {digits:?}"))
}

/// Checks `envelope`.
pub(super) fn check_envelope(envelope: &Value) {
    let Value::List(members) = envelope else {
        panic!("{envelope:?}");
    };
    let [date, subject, lists @ .., in_reply_to, message_id] = members.as_slice() else {
        panic!("{members:?}");
    };
    assert_eq!(lists.len(), 6);
    for text in [date, subject, in_reply_to, message_id] {
        check_nstring(text);
    }
    for list in lists {
        let Value::List(addresses) = list else {
            assert_eq!(*list, Value::Nil);
            continue;
        };
        let mut in_group = false;
        for address in addresses {
            let Value::List(address) = address else {
                panic!("{address:?}");
            };
            assert_eq!(address.len(), 4);
            address.iter().for_each(check_nstring);
            match (&address[2], &address[3]) {
                (Value::Nil, Value::Nil) => assert!(std::mem::replace(&mut in_group, false)),
                (Value::String(_), Value::Nil) => {
                    assert!(!std::mem::replace(&mut in_group, true));
                }
                (Value::String(_), Value::String(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(!in_group, "a group is not closed");
    }
}

/// Checks `body` as IMAP4rev1 has it.
pub(super) fn check_body(body: &Value, form: Form) {
    check_body_of(body, form, Revision::Rev1);
}

/// Checks `body`.
pub(super) fn check_body_of(body: &Value, form: Form, revision: Revision) {
    let extended = form == Form::BodyStructure;
    let Value::List(members) = body else {
        panic!("{body:?}");
    };
    let parts = members
        .iter()
        .take_while(|member| matches!(member, Value::List(_)))
        .count();
    if parts > 0 {
        let (parts, rest) = members.split_at(parts);
        parts
            .iter()
            .for_each(|part| check_body_of(part, form, revision));
        check_string(&rest[0]);
        assert_eq!(rest.len(), if extended { 5 } else { 1 });
        if extended {
            check_parameters(&rest[1]);
            check_extension(&rest[2..]);
        }
        return;
    }
    check_string(&members[0]);
    check_string(&members[1]);
    check_parameters(&members[2]);
    check_nstring(&members[3]);
    check_nstring(&members[4]);
    check_string(&members[5]);
    check_number(&members[6]);
    let is = |member: usize, text: &str| matches!(&members[member], Value::String(found) if found.eq_ignore_ascii_case(text.as_bytes()));
    let mut at = 7;
    if is(0, "text") {
        check_number(&members[7]);
        at = 8;
    } else if is(0, "message")
        && (is(1, "rfc822") || (is(1, "global") && revision == Revision::Rev2))
    {
        check_envelope(&members[7]);
        check_body_of(&members[8], form, revision);
        check_number(&members[9]);
        at = 10;
    }
    assert_eq!(members.len(), if extended { at + 4 } else { at });
    if extended {
        check_nstring(&members[at]);
        check_extension(&members[at + 1..]);
    }
}

fn check_extension(members: &[Value]) {
    let [disposition, language, location] = members else {
        panic!("{members:?}");
    };
    match disposition {
        Value::List(disposition) => {
            assert_eq!(disposition.len(), 2);
            check_string(&disposition[0]);
            check_parameters(&disposition[1]);
        }
        Value::Nil => {}
        Value::Number(_) | Value::String(_) => panic!("{disposition:?}"),
    }
    match language {
        Value::List(tags) => tags.iter().for_each(check_string),
        Value::Nil | Value::Number(_) | Value::String(_) => check_nstring(language),
    }
    check_nstring(location);
}

fn check_parameters(parameters: &Value) {
    match parameters {
        Value::List(list) => {
            assert_eq!(list.len() % 2, 0);
            list.iter().for_each(check_string);
        }
        Value::Nil => {}
        Value::Number(_) | Value::String(_) => panic!("{parameters:?}"),
    }
}

fn check_nstring(value: &Value) {
    assert!(matches!(value, Value::Nil | Value::String(_)), "{value:?}");
}

fn check_string(value: &Value) {
    assert!(matches!(value, Value::String(_)), "{value:?}");
}

fn check_number(value: &Value) {
    assert!(matches!(value, Value::Number(_)), "{value:?}");
}

#[test]
fn the_reader_is_strict() {
    for wire in [
        "",
        "(",
        ")",
        "()",
        "(NIL",
        "NIL NIL",
        "\"a",
        "\"\\a\"",
        "\"\r\"",
        "{3}\r\nab",
        "(NIL  NIL)",
        "(NIL(NIL))",
        "\"\u{e9}\"",
        "{1}\r\n\0",
        "(\"a\"\"b\")",
        "(NIL )",
    ] {
        assert!(read(wire.as_bytes()).is_err(), "{wire:?}");
    }
    assert_eq!(
        read(b"(NIL 1 \"a\\\"\" {2}\r\n\r\n ((NIL)(NIL)))"),
        Ok(Value::List(vec![
            Value::Nil,
            Value::Number(1),
            Value::String(b"a\"".to_vec()),
            Value::String(b"\r\n".to_vec()),
            Value::List(vec![
                Value::List(vec![Value::Nil]),
                Value::List(vec![Value::Nil]),
            ]),
        ]))
    );
}
