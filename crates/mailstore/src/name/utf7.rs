//! Modified UTF-7 (RFC 3501 §5.1.3): printable US-ASCII stands for itself, `&` is `&-`, and
//! everything else is UTF-16 in a modified BASE64 between `&` and `-`.
//!
//! Every text has exactly one encoding here, and only that one is decoded. Two spellings of one
//! name would be two keys for one mailbox, and a hidden spelling of `.` or `/` a way out of the
//! account's root. The rule is enforced by its definition: what was decoded is encoded again and
//! must give the same octets.

/// Encodes a text.
pub(crate) fn encode(text: &str) -> String {
    if text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if is_direct(first) {
            out.push(first);
            if first == '&' {
                out.push('-');
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else {
            let end = rest.find(is_direct).unwrap_or(rest.len());
            let (shifted, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            out.push('&');
            encode_base64(shifted, &mut out);
            out.push('-');
            rest = after;
        }
    }
    out
}

/// Decodes a name that is in the one canonical form; `None` for everything else.
pub(crate) fn decode(name: &[u8]) -> Option<String> {
    // Most names: what they are encoded to is plain to see.
    if name.iter().copied().all(is_plain) {
        return str::from_utf8(name).ok().map(str::to_owned);
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'&' {
            out.push(char::from(first));
            continue;
        }
        let end = rest.iter().position(|&byte| byte == b'-')?;
        let (shifted, after) = rest.split_at_checked(end)?;
        if shifted.is_empty() {
            out.push('&');
        } else {
            decode_base64(shifted, &mut out)?;
        }
        rest = after.get(1..)?;
    }
    (encode(&out).as_bytes() == name).then_some(out)
}

/// Whether an octet is a character that stands for itself.
fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && octet != b'&'
}

/// Whether a character stands for itself (or, for `&`, has its own form).
fn is_direct(character: char) -> bool {
    matches!(character, ' '..='~')
}

/// Writes the UTF-16 form of `text` as modified BASE64 without padding.
fn encode_base64(text: &str, out: &mut String) {
    let mut bits: u32 = 0;
    let mut count = 0;
    for unit in text.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            push_digit(bits >> count, out);
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        push_digit(bits << (6 - count), out);
    }
}

/// Appends the digit for the lowest six bits.
fn push_digit(bits: u32, out: &mut String) {
    let digit = usize::try_from(bits & 0x3F)
        .ok()
        .and_then(|index| ALPHABET.get(index));
    out.extend(digit.map(|&digit| char::from(digit)));
}

/// Appends the text of a modified BASE64 run; padding bits are the caller's to check.
fn decode_base64(digits: &[u8], out: &mut String) -> Option<()> {
    let mut units = Vec::with_capacity(digits.len() / 2);
    let mut bits: u32 = 0;
    let mut count = 0;
    for digit in digits {
        let value = ALPHABET.iter().position(|known| known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    for character in char::decode_utf16(units) {
        out.push(character.ok()?);
    }
    Some(())
}

/// BASE64 with `,` in the place of `/` (RFC 3501 §5.1.3).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use proptest::prelude::*;

    #[test]
    fn known_answers() {
        let table = [
            ("", ""),
            ("INBOX", "INBOX"),
            ("a b~", "a b~"),
            ("R&D", "R&-D"),
            ("&", "&-"),
            ("&&", "&-&-"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("ä&", "&AOQ-&-"),
            ("&ä", "&-&AOQ-"),
            ("ää", "&AOQA5A-"),
            ("äää", "&AOQA5ADk-"),
            // The example of RFC 3501 §5.1.3.
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            // Outside the basic plane: a surrogate pair.
            ("😀", "&2D3eAA-"),
            ("Ж", "&BBY-"),
            ("\u{FFFF}", "&,,8-"),
            ("\u{1}\r\n", "&AAEADQAK-"),
        ];
        for (text, encoded) in table {
            assert_eq!(encode(text), encoded, "{text:?}");
            assert_eq!(decode(encoded.as_bytes()).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        let table: [(&[u8], &str); 25] = [
            (b"&", "shift without an end"),
            (b"a&AOQ", "shift without an end, later"),
            (b"&AGE-", "encoded a"),
            (b"&AC4ALg-", "encoded .."),
            (b"&AC8-", "encoded /"),
            (b"&ACY-", "encoded &"),
            (b"&AOQAYQ-", "encoded a after a legitimate character"),
            (b"&AGEA5A-", "encoded a before a legitimate character"),
            (
                b"&AOQ-&AOQ-",
                "two shifts where one would do (a null shift)",
            ),
            (b"&AOR-", "padding bits that are not zero"),
            (b"&AOQA-", "a digit too many, all zero"),
            (b"&A-", "less than one unit"),
            (b"&AO-", "two digits"),
            (b"&AAA-x&AAB-", "last bits set"),
            (b"&2D0-", "a high surrogate alone"),
            (b"&3gA-", "a low surrogate alone"),
            (b"&3gDYPQ-", "surrogates the wrong way round"),
            (b"&AO Q-", "a space in a shift"),
            (b"&AO/k-", "the wrong alphabet"),
            (b"&AOQ=-", "padding"),
            (b"&AO&-", "a shift in a shift"),
            (b"\xC3\xA4", "raw UTF-8"),
            (b"a\x80", "an 8-bit octet"),
            (b"a\0b", "NUL"),
            (b"a\x7F", "DEL"),
        ];
        for (name, why) in table {
            assert_eq!(decode(name), None, "{why}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(text in any::<String>()) {
            let encoded = encode(&text);
            prop_assert!(encoded.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
            prop_assert_eq!(decode(encoded.as_bytes()), Some(text));
        }

        #[test]
        fn what_decodes_is_canonical(name in "[&A-Za-f,+./ -]{0,12}") {
            if let Some(text) = decode(name.as_bytes()) {
                prop_assert_eq!(encode(&text), name);
            }
        }

        #[test]
        fn any_bytes_never_panic(name in any::<Vec<u8>>()) {
            if let Some(text) = decode(&name) {
                prop_assert_eq!(encode(&text).into_bytes(), name);
            }
        }
    }
}
