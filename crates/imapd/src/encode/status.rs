//! Status responses: a condition, a code, text for people (RFC 3501 §7.1, §7.5).

use crate::response::{Code, Completion, Status};
use crate::types::Tag;

use super::code::resp_text_code;

/// Writes `continue-req = "+" SP (resp-text / base64) CRLF` (RFC 3501 §9).
pub(super) fn continue_req(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(b"+ ");
    text(out, value);
    out.extend_from_slice(b"\r\n");
}

/// Writes `response-tagged = tag SP resp-cond-state CRLF` (RFC 3501 §9); `*` in the place of a tag
/// that could not be read.
pub(super) fn response_tagged(out: &mut Vec<u8>, tag: Option<&Tag>, completion: &Completion) {
    out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
    out.push(b' ');
    resp_cond_state(
        out,
        completion.status,
        completion.code.as_ref(),
        &completion.text,
    );
    out.extend_from_slice(b"\r\n");
}

/// Writes `resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text` (RFC 3501 §9).
pub(super) fn resp_cond_state(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    out.extend_from_slice(match status {
        Status::Ok => b"OK ",
        Status::No => b"NO ",
        Status::Bad => b"BAD ",
    });
    resp_text(out, code, text);
}

/// Writes `resp-text = ["[" resp-text-code "]" SP] text` (RFC 3501 §9).
///
/// Text that would be empty is a hyphen, and text that looks like a code loses its bracket.
pub(super) fn resp_text(out: &mut Vec<u8>, code: Option<&Code>, value: &str) {
    let value = match code {
        Some(code) => {
            out.push(b'[');
            resp_text_code(out, code);
            out.extend_from_slice(b"] ");
            value
        }
        None => value.trim_start_matches('['),
    };
    text(out, if value.is_empty() { "-" } else { value });
}

/// Writes `text = 1*TEXT-CHAR` (RFC 3501 §9), with a question mark for every character that does
/// not belong into a line for people: controls and what is not ASCII (S33).
fn text(out: &mut Vec<u8>, value: &str) {
    let printable = |character: char| match character {
        ' '..='~' => u8::try_from(character).unwrap_or(b'?'),
        _ => b'?',
    };
    out.extend(value.chars().map(printable));
}
