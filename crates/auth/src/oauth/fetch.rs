//! What is asked of an issuer, by whoever has sockets.

use std::io;

use crate::Secret;

/// Asks an issuer: sends the request, and gives back the body of an answer of status 200.
///
/// It must keep to [`Request::limit`] and to a time limit of its own, follow no redirection, and
/// show nothing of the request in its errors but the URL.
pub type Fetch = dyn Fn(&Request<'_>) -> Result<Vec<u8>, FetchError> + Send + Sync;

/// A request over HTTP.
#[derive(Debug)]
pub struct Request<'r> {
    /// The whole URL.
    pub url: &'r str,
    /// What to POST; without it, it is a GET.
    pub form: Option<Form>,
    /// The most octets that the body of the answer may have.
    pub limit: u64,
}

/// The body of a POST, of the type `application/x-www-form-urlencoded`.
#[derive(Debug)]
pub struct Form {
    /// The fields, encoded.
    pub body: Secret,
    /// The value of the field `Authorization`, if there is one.
    pub authorization: Option<Secret>,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Another status than 200.
    #[error("it answered with status {0}")]
    Status(u16),
    /// The body is too long.
    #[error("its answer is longer than {0} octets")]
    TooLong(u64),
    /// It could not be reached, took too long, or does not speak HTTP or TLS as it should.
    #[error("it cannot be reached: {0}")]
    Away(#[source] io::Error),
}

/// Adds `name=value` to an encoded form, in the way of `application/x-www-form-urlencoded`.
///
/// All but the letters that need no encoding anywhere are encoded. `form` should have room, so
/// that no copy of a secret is left behind by growth: three octets for each, and the name.
pub(super) fn push_field(form: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !form.is_empty() {
        form.push(b'&');
    }
    form.extend_from_slice(name.as_bytes());
    form.push(b'=');
    push_encoded(form, value);
}

/// Adds `value`, encoded as in a form (RFC 6749 appendix B).
pub(super) fn push_encoded(form: &mut Vec<u8>, value: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    for &octet in value {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            form.push(octet);
        } else {
            form.extend_from_slice(&[b'%', digit(octet >> 4), digit(octet & 15)]);
        }
    }
}
