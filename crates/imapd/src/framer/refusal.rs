//! Why the framer refuses input.

use std::fmt;

use crate::grammar::SyntaxError;
use crate::response::{Code, Completion};

/// Something over a limit or malformed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was expected.
    pub error: SyntaxError,
    /// `TOOBIG`, where an RFC asks for it.
    pub code: Option<Code>,
}

impl Refusal {
    /// The `BAD` that the client is answered with.
    pub(crate) fn completion(&self) -> Completion {
        Completion::bad(self.error.to_string()).with_any(self.code.clone())
    }
}

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Self {
        Self { error, code: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
