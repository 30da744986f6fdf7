//! Strings on the wire (RFC 3501 §4.3, §9).
//!
//! A value goes out quoted only if a quoted string can hold it: 7-bit, without CR, LF and NUL.
//! Otherwise it is a literal, whose length is exactly that of what follows (S33). NUL, which
//! IMAP cannot carry outside of literal8, becomes [`NUL_SUBSTITUTE`] one for one, so that
//! lengths and offsets stay what they were.

/// What a NUL octet of a message is replaced by: an octet that no text has.
pub(crate) const NUL_SUBSTITUTE: u8 = 0x80;

/// Writes `nstring = string / nil`.
pub(crate) fn nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Writes `string = quoted / literal`.
pub(crate) fn string(out: &mut Vec<u8>, value: &[u8]) {
    if value.len() <= QUOTED_MAX && value.iter().all(|&octet| is_text_char(octet)) {
        quoted(out, value);
    } else {
        literal(out, value);
    }
}

/// Writes `astring = 1*ASTRING-CHAR / string`.
///
/// `NIL` is quoted: as an atom some clients take it for the absence of a value.
pub(crate) fn astring(out: &mut Vec<u8>, value: &[u8]) {
    let plain = !value.is_empty()
        && value.iter().all(|&octet| is_astring_char(octet))
        && !value.eq_ignore_ascii_case(b"NIL");
    if plain {
        out.extend_from_slice(value);
    } else {
        string(out, value);
    }
}

/// Writes `mailbox = "INBOX" / astring`, in quotes also beyond US-ASCII: names are UTF-8 only where
/// the client has asked for it (RFC 9755 §3).
///
/// Interop: Evolution takes nothing but plain quotes then.
pub(crate) fn mailbox(out: &mut Vec<u8>, name: &str) {
    if name.is_ascii() {
        astring(out, name.as_bytes());
    } else {
        name_string(out, name);
    }
}

/// Writes a part of a mailbox name as `string`, in quotes also beyond US-ASCII.
pub(crate) fn name_string(out: &mut Vec<u8>, name: &str) {
    if name.len() <= QUOTED_MAX && !name.chars().any(char::is_control) {
        quoted(out, name.as_bytes());
    } else {
        literal(out, name.as_bytes());
    }
}

/// Writes `literal = "{" number "}" CRLF *CHAR8`.
fn literal(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(format!("{{{}}}\r\n", value.len()).as_bytes());
    out.extend(value.iter().map(|&octet| match octet {
        0 => NUL_SUBSTITUTE,
        _ => octet,
    }));
}

/// Writes `literal8 = "~{" number "}" CRLF *OCTET` (RFC 4466 §3).
pub(crate) fn literal8(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(format!("~{{{}}}\r\n", value.len()).as_bytes());
    out.extend_from_slice(value);
}

/// Writes `quoted = DQUOTE *QUOTED-CHAR DQUOTE`.
pub(super) fn quoted(out: &mut Vec<u8>, value: &[u8]) {
    out.reserve(value.len() + 2);
    out.push(b'"');
    for &octet in value {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

/// Whether an octet is a `TEXT-CHAR`: any CHAR (1 to 127) except CR and LF.
fn is_text_char(octet: u8) -> bool {
    matches!(octet, 1..=127) && octet != b'\r' && octet != b'\n'
}

/// Whether an octet is an `ASTRING-CHAR`: an ATOM-CHAR or `]`.
fn is_astring_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\')
}

/// The longest value that is quoted: clients read a quoted string as part of a line, and bound
/// those.
const QUOTED_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nstring_quotes_only_what_it_can() {
        let table: [(Option<&[u8]>, &[u8]); 10] = [
            (None, b"NIL"),
            (Some(b""), b"\"\""),
            (Some(b"NIL"), b"\"NIL\""),
            (Some(b"plain text"), b"\"plain text\""),
            (Some(br#"a "b" \c"#), br#""a \"b\" \\c""#),
            (Some(b"\x01\x7f"), b"\"\x01\x7f\""),
            (Some(b"a\r\nb"), b"{4}\r\na\r\nb"),
            (Some(b"a\nb"), b"{3}\r\na\nb"),
            (Some(b"caf\xc3\xa9"), b"{5}\r\ncaf\xc3\xa9"),
            (Some(b"a\0b"), b"{3}\r\na\x80b"),
        ];
        for (value, expected) in table {
            let mut out = Vec::new();
            nstring(&mut out, value);
            assert_eq!(out, expected, "{value:?}");
        }
    }

    #[test]
    fn astring_is_an_atom_where_it_can() {
        let table: [(&[u8], &[u8]); 9] = [
            (b"INBOX", b"INBOX"),
            (b"a]b", b"a]b"),
            (b"", b"\"\""),
            (b"nil", b"\"nil\""),
            (b"two words", b"\"two words\""),
            (b"50%", b"\"50%\""),
            (b"a\\b", b"\"a\\\\b\""),
            (b"a{b", b"\"a{b\""),
            (b"\xc3\xa9", b"{2}\r\n\xc3\xa9"),
        ];
        for (value, expected) in table {
            let mut out = Vec::new();
            astring(&mut out, value);
            assert_eq!(out, expected, "{value:?}");
        }
    }

    #[test]
    fn long_values_are_literals() {
        let mut out = Vec::new();
        string(&mut out, &[b'a'; QUOTED_MAX + 1]);
        assert!(out.starts_with(b"{4097}\r\naaa"));
        out.clear();
        string(&mut out, &[b'a'; QUOTED_MAX]);
        assert!(out.starts_with(b"\"aaa"));
    }
}
