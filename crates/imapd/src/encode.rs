//! The only place that writes wire syntax.
//!
//! [`encode`] writes a whole response. A FETCH response with large sections is written in pieces,
//! so that it need not be in memory at once: [`fetch_open`], then the items, then
//! [`Fetch::close`].
//!
//! Invariant: what is written is well-formed whatever the values are (S33): text has no CR, LF,
//! NUL or 8-bit octets, and a literal's length is that of what follows.

mod code;
mod fetch;
mod status;
pub(crate) mod string;
mod untagged;

pub use fetch::{Fetch, Literal, fetch_open, section_name, uid_fetch_open};

use crate::response::Response;

/// Writes one response, line end included.
pub fn encode(response: &Response, out: &mut Vec<u8>) {
    match response {
        Response::Untagged(response) => untagged::untagged(out, response),
        Response::Continue(text) => status::continue_req(out, text),
        Response::Completion(tag, completion) => {
            status::response_tagged(out, tag.as_ref(), completion);
        }
    }
}

/// Gives `flag-list` (RFC 3501 §9), for those who write it often.
pub(crate) fn flag_list(flags: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    name_list(&mut out, flags);
    out
}

/// Writes a number in decimal digits.
fn number(out: &mut Vec<u8>, value: impl Into<u64>) {
    let mut rest = value.into();
    let digits = rest.checked_ilog10().map_or(1, |log| log + 1);
    let digits = usize::try_from(digits).unwrap_or(DIGITS_MAX);
    let start = out.len();
    // Of a length that is known here, which is quicker than of as many digits as it has.
    out.extend_from_slice(&[b'0'; DIGITS_MAX]);
    out.truncate(start + digits);
    for digit in out.iter_mut().skip(start).rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
}

/// How many digits a number has at the most.
const DIGITS_MAX: usize = 20;

/// Writes items with single spaces between them.
fn spaced<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write(out, item);
    }
}

/// Writes a name that is an atom by its origin (a flag, a capability, an attribute), without any
/// octet that an atom or a flag cannot have.
fn name(out: &mut Vec<u8>, name: &str) {
    let safe = |octet: &u8| octet.is_ascii_graphic() && !b"(){%\"]".contains(octet);
    out.extend(name.bytes().filter(safe));
}

/// Writes names as a parenthesized list.
fn name_list(out: &mut Vec<u8>, names: &[impl AsRef<str>]) {
    out.push(b'(');
    spaced(out, names, |out, item| name(out, item.as_ref()));
    out.push(b')');
}

#[cfg(test)]
mod tests;
