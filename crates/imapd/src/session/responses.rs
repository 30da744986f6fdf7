//! Where handlers put what they have to say.

use crate::encode::encode;
use crate::response::{Completion, Response, Untagged};
use crate::types::Tag;

/// The octets that wait to be sent to the client.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    bytes: Vec<u8>,
}

impl Responses {
    /// Output after which a slice of work ends, so that the driver can flush.
    pub(crate) const SLICE: usize = 64 * 1024;

    /// How long the answer to most commands is.
    const USUAL: usize = 256;

    /// Adds an untagged response.
    pub(crate) fn untagged(&mut self, response: Untagged) {
        self.encode(&Response::Untagged(response));
    }

    /// Adds a continuation request (RFC 3501 §7.5).
    pub(crate) fn proceed(&mut self, text: impl Into<String>) {
        self.encode(&Response::Continue(text.into()));
    }

    /// Adds a tagged response; `*` stands for a tag that could not be read.
    pub(crate) fn complete(&mut self, tag: Option<Tag>, completion: Completion) {
        self.encode(&Response::Completion(tag, completion));
    }

    fn encode(&mut self, response: &Response) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(Self::USUAL);
        }
        encode(response, &mut self.bytes);
    }

    /// The buffer itself, for responses that are written in pieces.
    pub(crate) fn wire(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Everything, leaving no memory behind.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// How many octets wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the slice of work should end here.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= Self::SLICE
    }
}
