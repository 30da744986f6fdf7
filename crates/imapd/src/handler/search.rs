//! SEARCH and UID SEARCH (RFC 3501 §6.4.4).
//!
//! Keys that the index can answer are tried before those that need a header, and those before
//! the ones that need the whole message; a message is read once at the most, and what is kept of
//! its header is looked at instead of it.

mod key;

use mailstore::Error;

use crate::command::{Search, UnknownCharset};
use crate::error::Refused;
use crate::handler::shelf::Shelf;
use crate::response::{Code, Completion, Untagged};
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;
use crate::session::view::{View, number};
use crate::types::ByUid;
use key::{Candidate, Key};

/// What one slice of work looks at, at the most.
const MESSAGES: usize = 5_000;
const FILES: usize = 100;
const OCTETS: usize = 1024 * 1024;

/// A SEARCH under way.
#[derive(Debug)]
pub(crate) struct Searching {
    by_uid: ByUid,
    key: Key,
    /// What is kept of messages.
    shelf: Shelf,
    next: usize,
    found: Vec<u32>,
}

impl Searching {
    /// Prepares the keys. Sequence numbers and UIDs that no message has match nothing.
    ///
    /// # Errors
    /// `NO [BADCHARSET (…)]` if the strings could not be decoded.
    pub(crate) fn new(search: Search, view: &View) -> Result<Self, Refused> {
        let keys = search.keys.map_err(|UnknownCharset| {
            let supported = UnknownCharset::SUPPORTED.map(str::to_owned).to_vec();
            let text = "The charset is not supported";
            Refused(Completion::no(text).with(Code::BadCharset(supported)))
        })?;
        Ok(Self {
            by_uid: search.by_uid,
            key: Key::and(keys, view),
            shelf: Shelf::default(),
            next: 0,
            found: Vec::new(),
        })
    }

    /// Looks at some messages.
    pub(crate) fn step(&mut self, selected: &Selected, out: &mut Responses) -> Outcome {
        let outcome = self.slice(selected, out);
        self.shelf.keep(&selected.mailbox);
        outcome
    }

    fn slice(&mut self, selected: &Selected, out: &mut Responses) -> Outcome {
        let view = &selected.view;
        let snapshot = view.snapshot();
        let (mut files, mut octets) = (0, 0);
        for _ in 0..MESSAGES {
            let Some(message) = snapshot.get(self.next) else {
                out.untagged(Untagged::Search(std::mem::take(&mut self.found)));
                return Ok(Step::Done(Completion::ok("SEARCH completed")));
            };
            let mailbox = &selected.mailbox;
            let shelf = &mut self.shelf;
            let mut candidate = Candidate::new(self.next, message, view, mailbox, shelf);
            match self.key.matches(&mut candidate) {
                Ok(true) => self.found.push(match self.by_uid {
                    ByUid::Yes => message.uid().get(),
                    ByUid::No => number(self.next.saturating_add(1)),
                }),
                Ok(false) => {}
                // What cannot be read has nothing that could be found.
                Err(Error::Expunged) => {}
                Err(error) => tracing::warn!(%error, "message could not be searched"),
            }
            self.next += 1;
            files += candidate.looks();
            octets += candidate.octets_read();
            if files >= FILES || octets >= OCTETS {
                break;
            }
        }
        Ok(Step::More)
    }
}
