//! From an error of the store, or a rule of the session, to what the client is told.

use mailstore::{Error, NameError};

use crate::response::{Code, Completion, PlainCode};

/// A command that is not carried out, as its tagged response.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Completion);

impl Refused {
    /// `NO [code] text`.
    pub(crate) fn no(code: PlainCode, text: &str) -> Self {
        Self(Completion::no(text).with(Code::Plain(code)))
    }

    /// `BAD text`.
    pub(crate) fn bad(text: &str) -> Self {
        Self(Completion::bad(text))
    }

    /// `NO [READ-ONLY]`: the mailbox was opened with EXAMINE (RFC 3501 §6.3.2).
    pub(crate) fn read_only() -> Self {
        Self(Completion::no("Mailbox is selected read-only").with(Code::ReadOnly))
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(completion(&error))
    }
}

impl From<NameError> for Refused {
    fn from(error: NameError) -> Self {
        Self(completion(&Error::Name(error)))
    }
}

/// How a failure of the store reads to the client (RFC 5530 §3). Paths and system messages go to
/// the log only.
pub(crate) fn completion(error: &Error) -> Completion {
    let (code, text) = match error {
        Error::NotFound => (PlainCode::NonExistent, "No such mailbox".to_owned()),
        Error::Exists => (
            PlainCode::AlreadyExists,
            "Mailbox already exists".to_owned(),
        ),
        Error::Name(reason) => (PlainCode::Cannot, sentence(&reason.to_string())),
        Error::Inbox => (PlainCode::Cannot, "Not possible with INBOX".to_owned()),
        Error::Locked => (
            PlainCode::InUse,
            "In use by another session; try again".to_owned(),
        ),
        Error::Expunged => (
            PlainCode::ExpungeIssued,
            "Some messages have been expunged".to_owned(),
        ),
        Error::NoSpace => (PlainCode::OverQuota, "No space left for mail".to_owned()),
        Error::OverQuota(resource) => (
            PlainCode::OverQuota,
            format!("Over the quota of {}", resource.name()),
        ),
        Error::NoPermission { .. } => (PlainCode::NoPerm, "No permission".to_owned()),
        Error::Limit(limit) => (PlainCode::Limit, format!("Limit reached: {limit}")),
        Error::Corrupt { .. } => (
            PlainCode::ServerBug,
            "A file of the mailbox is damaged".to_owned(),
        ),
        Error::Takeover { .. } => (
            PlainCode::ContactAdmin,
            "The administrator has to decide about this mailbox".to_owned(),
        ),
        Error::Io { .. } => (
            PlainCode::Unavailable,
            "Temporary failure of the mail storage".to_owned(),
        ),
    };
    match error {
        Error::Corrupt { .. }
        | Error::Takeover { .. }
        | Error::Io { .. }
        | Error::NoPermission { .. } => {
            tracing::error!(%error, "mail storage failed");
        }
        Error::NoSpace => tracing::warn!(%error, "mail storage is full"),
        Error::NotFound
        | Error::Exists
        | Error::Name(_)
        | Error::Inbox
        | Error::Locked
        | Error::Expunged
        | Error::OverQuota(_)
        | Error::Limit(_) => {}
    }
    Completion::no(text).with(Code::Plain(code))
}

/// A message as the text of a response begins: with a capital letter.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mailstore::quota::Resource;

    #[test]
    fn store_errors_have_their_response_codes() {
        let io = || std::io::Error::other("secret detail");
        let path = || std::path::PathBuf::from("/secret");
        let rows = [
            (Error::NotFound, PlainCode::NonExistent),
            (Error::Exists, PlainCode::AlreadyExists),
            (Error::Name(NameError::Utf7), PlainCode::Cannot),
            (Error::Inbox, PlainCode::Cannot),
            (Error::Locked, PlainCode::InUse),
            (Error::Expunged, PlainCode::ExpungeIssued),
            (Error::NoSpace, PlainCode::OverQuota),
            (Error::OverQuota(Resource::Storage), PlainCode::OverQuota),
            (Error::NoPermission { path: path() }, PlainCode::NoPerm),
            (Error::Limit("keywords"), PlainCode::Limit),
            (
                Error::Corrupt {
                    path: path(),
                    problem: "bad",
                },
                PlainCode::ServerBug,
            ),
            (
                Error::Takeover {
                    path: path(),
                    problem: mailstore::foreign::Problem::Missing,
                },
                PlainCode::ContactAdmin,
            ),
            (
                Error::Io {
                    path: path(),
                    source: io(),
                },
                PlainCode::Unavailable,
            ),
        ];
        for (error, code) in rows {
            let told = completion(&error);
            assert_eq!(told.code, Some(Code::Plain(code)), "{error:?}");
            assert!(!told.text.contains("secret"), "{}", told.text);
        }
    }
}
