//! SEARCH and UID SEARCH (RFC 3501 §6.4.4).
//!
//! Keys that the index can answer are tried before those that need a header, and those before
//! the ones that need the whole message; a message is read once at the most, and what is kept of
//! its header is looked at instead of it.

mod key;

use std::sync::Arc;

use mailstore::{Error, ModSeq};

use crate::command::{ResultOptions, Search, UnknownCharset};
use crate::error::Refused;
use crate::extension::InProgressState;
use crate::extension::condstore::any_mod_seq;
use crate::extension::esearch::Sweep;
use crate::handler::shelf::Shelf;
use crate::response::{Code, Completion, Untagged};
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;
use crate::session::view::{View, number};
use crate::settings::Limits;
use crate::types::{ByUid, Ranges, Tag};
use key::{Candidate, Key};

/// What one slice of work looks at, at the most.
const MESSAGES: usize = 5_000;
const FILES: usize = 100;
const OCTETS: usize = 1024 * 1024;

/// A SEARCH under way.
#[derive(Debug)]
pub(crate) struct Searching {
    tag: Tag,
    by_uid: ByUid,
    returns: Option<ResultOptions>,
    /// Where the result is to be saved: the octets that it may take.
    save: Option<usize>,
    key: Key,
    /// What is kept of messages.
    shelf: Shelf,
    sweep: Sweep,
    /// Sequence numbers, ascending.
    found: Ranges,
    /// The highest mod-sequence of what was found, if it is searched by mod-sequence.
    mod_seq: HighestFound,
}

/// Whether the highest mod-sequence is told with what was found (RFC 7162 §3.1.6).
#[derive(Debug)]
enum HighestFound {
    Untold,
    Told(Option<ModSeq>),
}

impl Searching {
    /// Prepares the keys. Sequence numbers and UIDs that no message has match nothing.
    ///
    /// # Errors
    /// `NO [BADCHARSET (…)]` if the strings could not be decoded.
    pub(crate) fn new(
        tag: Tag,
        search: Search,
        view: &View,
        limits: &Limits,
    ) -> Result<Self, Refused> {
        // `$` holds no more than a client could name in a line.
        let save = search.saves().then_some(limits.line);
        let keys = search.keys.map_err(|UnknownCharset| {
            let supported = UnknownCharset::SUPPORTED.map(str::to_owned).to_vec();
            let text = "The charset is not supported";
            Refused(Completion::no(text).with(Code::BadCharset(supported)))
        })?;
        let mod_seq = match any_mod_seq(&keys) {
            true => HighestFound::Told(None),
            false => HighestFound::Untold,
        };
        Ok(Self {
            tag,
            mod_seq,
            by_uid: search.by_uid,
            returns: search.returns,
            save,
            key: Key::and(keys, view),
            shelf: Shelf::default(),
            sweep: Sweep::new(search.returns, view.snapshot().len()),
            found: Ranges::default(),
        })
    }

    /// Looks at some messages.
    pub(crate) fn step(&mut self, selected: &mut Selected, out: &mut Responses) -> Outcome {
        let progress = self.slice(selected);
        self.shelf.keep(&selected.mailbox);
        match progress {
            Progress::More => Ok(Step::More),
            Progress::Over => self.finish(&mut selected.view, out),
        }
    }

    /// How many of the messages it has looked at.
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        self.sweep.progress()
    }

    fn slice(&mut self, selected: &Selected) -> Progress {
        let view = &selected.view;
        let snapshot = view.snapshot();
        let (mut files, mut octets) = (0, 0);
        for _ in 0..MESSAGES {
            let position = self.sweep.next();
            let Some((position, message)) = position.and_then(|it| Some((it, snapshot.get(it)?)))
            else {
                return Progress::Over;
            };
            let mailbox = &selected.mailbox;
            let shelf = &mut self.shelf;
            let mut candidate = Candidate::new(position, message, view, mailbox, shelf);
            match self.key.matches(&mut candidate) {
                Ok(true) => {
                    self.found.push(number(position.saturating_add(1)));
                    self.sweep.found();
                    if let HighestFound::Told(highest) = &mut self.mod_seq {
                        *highest = (*highest).max(Some(message.mod_seq()));
                    }
                }
                Ok(false) => {}
                // What cannot be read has nothing that could be found.
                Err(Error::Expunged) => {}
                Err(error) => tracing::warn!(%error, "message could not be searched"),
            }
            files += candidate.looks();
            octets += candidate.octets_read();
            if files >= FILES || octets >= OCTETS {
                break;
            }
        }
        Progress::More
    }

    /// Saves the result, if it is to be saved, and tells it: with SEARCH, or with ESEARCH if the
    /// command has result options (RFC 4731 §3.1).
    fn finish(&mut self, view: &mut View, out: &mut Responses) -> Outcome {
        if let Some(octets) = self.save {
            let snapshot = Arc::clone(view.snapshot());
            view.saved.save(&self.found, &snapshot, octets)?;
        }
        let found = match self.by_uid {
            ByUid::No => std::mem::take(&mut self.found),
            ByUid::Yes => view.uids_of(&self.found),
        };
        let mod_seq = match self.mod_seq {
            HighestFound::Untold => None,
            HighestFound::Told(highest) => highest,
        };
        let response = match self.returns {
            Some(options) => options.response(self.tag.clone(), self.by_uid, found, mod_seq),
            None => Some(Untagged::Search(found.numbers().collect(), mod_seq)),
        };
        if let Some(response) = response {
            out.untagged(response);
        }
        Ok(Step::Done(Completion::ok("SEARCH completed")))
    }
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There are messages left to look at.
    More,
    /// What is wanted has been found, or cannot be.
    Over,
}
