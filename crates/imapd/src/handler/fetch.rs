//! FETCH and UID FETCH (RFC 3501 §6.4.5).
//!
//! Replies ascend by sequence number. Messages are taken in small batches: `\Seen` is set on a
//! batch at once, then each message is answered. A whole message that is large goes from its file
//! to the client in pieces.

mod binary;
mod coming;
mod flags;
mod pieces;
mod plan;
mod quick;

use mailstore::{Error, Mailbox, Message, crlf_size};

use crate::command::FetchItem;
use crate::encode::Fetch;
use crate::error::completion;
use crate::extension::imap_rev2::Revision;
use crate::extension::qresync::Earlier;
use crate::extension::{InProgressState, ObjectId, Priority};
use crate::handler::content::{Resume, correct_size};
use crate::message::{Form, Record, Undecodable};
use crate::response::{Completion, FetchData};
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;
use crate::types::{ByUid, SeqNum};
use coming::Coming;
use pieces::{Flushed, Pieces};
use plan::{Loaded, Plan};
use quick::{Quick, Source, Whole};

/// How many messages one slice of work answers from the index, and how many of these a message
/// counts for that needs its file.
const SLICE: usize = 2_000;
const FILE: usize = 20;

/// A whole message up to this size is put where it is sent from at once.
const DIRECT_MAX: u64 = 64 * 1024;

/// After so many octets of one message a slice of work ends.
const LONG: u64 = 64 * 1024;

/// How long most responses are that have no text of a message.
const USUAL_RESPONSE: usize = 512;

/// A FETCH under way.
#[derive(Debug)]
pub(crate) struct Fetching {
    /// The messages to answer.
    coming: Coming,
    /// How many they were at first.
    goal: usize,
    plan: Plan,
    /// For messages that are quickly answered; `None` if none ever is.
    quick: Option<Quick>,
    /// What messages are read into.
    memory: Vec<u8>,
    /// The message that is being answered.
    current: Option<usize>,
    /// What is left of the response that was begun.
    pieces: Pieces,
    /// What is to follow these pieces in the same response.
    rest: Option<Rest>,
    /// Why some messages could not be answered.
    problem: Option<Completion>,
    /// Messages that are gone, to be told first (RFC 7162 §3.2.6).
    earlier: Earlier,
}

/// The rest of a response, which is put together when what is before it has left: a client may ask
/// for many parts of a large message at once (S37).
#[derive(Debug)]
struct Rest {
    fetch: Fetch,
    /// `None` if it is so much that it is rather read again than held until the client has taken
    /// what is before it.
    loaded: Option<Loaded>,
    /// The item that comes next.
    next: usize,
}

impl Fetching {
    /// Fetches items of the messages at these positions.
    pub(crate) fn new(
        left: Positions,
        items: Vec<FetchItem>,
        by_uid: ByUid,
        revision: Revision,
    ) -> Self {
        let plan = Plan::new(items, by_uid, revision);
        Self {
            goal: left.len(),
            coming: Coming::new(left),
            quick: plan.quick(),
            plan,
            memory: Vec::new(),
            current: None,
            pieces: Pieces::default(),
            rest: None,
            problem: None,
            earlier: Earlier::default(),
        }
    }

    /// The same, after telling which messages are gone.
    pub(crate) fn after(mut self, earlier: Earlier) -> Self {
        self.earlier = earlier;
        self
    }

    /// How many messages it has answered, if it is between two responses.
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        let between = self.rest.is_none() && self.pieces.is_empty();
        let goal = self.goal;
        let left = self.coming.len().min(goal);
        between.then(|| InProgressState::of(goal - left, goal))?
    }

    /// Answers some messages, or a part of a large one.
    pub(crate) fn step(&mut self, selected: &mut Selected, out: &mut Responses) -> Outcome {
        let outcome = self.slice(selected, out);
        self.coming.shelf.keep(&selected.mailbox);
        outcome
    }

    fn slice(&mut self, selected: &mut Selected, out: &mut Responses) -> Outcome {
        if self.earlier.tell(out).is_break() {
            return Ok(Step::More);
        }
        if let Some(quick) = &mut self.quick {
            quick.begin();
        }
        let mut slice = 0;
        while slice < SLICE {
            match self.pieces.flush(out) {
                Flushed::All => {
                    let sent = self.pieces.take_resume();
                    selected.resume = sent.map(Box::new).or(selected.resume.take());
                }
                Flushed::More => return Ok(Step::More),
                Flushed::Broken => {
                    let snapshot = selected.view.snapshot();
                    if let Some(message) = self.current.and_then(|it| snapshot.get(it)) {
                        correct_size(&selected.mailbox, message);
                    }
                    return Ok(Step::Broken);
                }
            }
            if let Some(rest) = self.rest.take() {
                slice += FILE;
                if let Err(error) = self.go_on(rest, selected) {
                    // Half of the response has left already.
                    tracing::error!(%error, "message could not be read");
                    return Ok(Step::Broken);
                }
                continue;
            }
            self.take_more(selected, out);
            slice += self.answer_quickly(selected, out);
            if out.is_full() {
                break;
            }
            let made = match &self.quick {
                Some(_) => self.coming.make_ahead(self.plan.records(), selected),
                None => 0,
            };
            if made > 0 {
                slice += made * FILE;
                continue;
            }
            let Some(position) = self.coming.pop() else {
                if !self.coming.is_done() {
                    continue;
                }
                return Ok(Step::Done(self.completion()));
            };
            self.current = Some(position);
            let whole = self.answer_whole(position, selected, out);
            let read = whole.unwrap_or_else(|| self.answer(position, selected));
            slice += match read {
                Some(_) => FILE,
                None => 1,
            };
            if out.is_full() || read > Some(LONG) {
                break;
            }
        }
        Ok(Step::More)
    }

    /// Takes the next messages when those are answered that were taken before.
    fn take_more(&mut self, selected: &mut Selected, out: &mut Responses) {
        if !self.coming.is_empty() {
            return;
        }
        if self.coming.next_batch(&self.plan, selected, out)
            && let Some(quick) = &mut self.quick
        {
            quick.begin();
        }
        self.coming.read_ahead(self.plan.looked_at(), selected);
    }

    /// Answers messages of which nothing has to be read; says how many.
    fn answer_quickly(&mut self, selected: &Selected, out: &mut Responses) -> usize {
        let quick = self.quick.as_mut();
        let Some(quick) = quick.filter(|it| it.source() == Source::Kept) else {
            return 0;
        };
        let mut batch = self.coming.batch();
        quick.answer(&mut batch, &selected.view, out)
    }

    /// Answers a message that is sent whole, if it is not large; gives the octets that were read.
    fn answer_whole(
        &mut self,
        position: usize,
        selected: &Selected,
        out: &mut Responses,
    ) -> Option<Option<u64>> {
        let quick = self.quick.as_mut();
        let quick = quick.filter(|it| it.source() == Source::Message)?;
        let (view, mailbox) = (&selected.view, &selected.mailbox);
        let seq = SeqNum::from_position(position)?;
        let message = view.snapshot().get(position)?;
        let file = match mailbox.read(message) {
            Ok(file) => file,
            Err(error) => return Some(self.fail(&error)),
        };
        if file.physical_size() > DIRECT_MAX {
            return None;
        }
        let modified = file.modified();
        let raw = match file.read_raw(usize::MAX, &mut self.memory) {
            Ok(raw) => raw,
            Err(error) => return Some(self.fail(&error)),
        };
        let mut write = |size| {
            let whole = Whole {
                raw,
                size,
                modified,
            };
            let seen = (view, self.coming.newly_seen());
            quick.answer_whole((seq, message), whole, seen, out)?;
            Some(size)
        };
        // What is known of the size may be wrong.
        let known = message.rfc822_size().and_then(&mut write);
        let size = known.or_else(|| write(crlf_size(raw)))?;
        if known.is_none() || message.internal_date().is_none() {
            mailbox.note_read(message.uid(), size, modified);
        }
        Some(Some(size))
    }

    /// Prepares the response about one message; gives the octets that were read for it, if its
    /// file had to be looked at.
    fn answer(&mut self, position: usize, selected: &mut Selected) -> Option<u64> {
        let view = &selected.view;
        let (Some(seq), Some(message)) = (
            SeqNum::from_position(position),
            view.snapshot().get(position),
        ) else {
            return None;
        };
        let looked = self.plan.needs_look(message).then_some(0);
        let loaded = self
            .plan
            .load(&mut self.coming.shelf, &selected.mailbox, message);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return self.fail(&error),
        };
        let read = loaded.octets_read().or(looked);
        let mut pieces = Pieces::default();
        pieces.wire().reserve(USUAL_RESPONSE);
        let mut fetch = view.fetch_open(pieces.wire(), seq, message);
        if self.plan.wants_uid() {
            fetch.item(pieces.wire(), &FetchData::Uid(message.uid()));
        }
        if self.plan.wants_flags() || self.coming.is_newly_seen(message.uid()) {
            let flags = FetchData::Flags(view.flags_of(message));
            fetch.item(pieces.wire(), &flags);
        }
        let rest = Rest {
            fetch,
            loaded: Some(loaded),
            next: 0,
        };
        let mut resume = selected.resume.take().map(|resume| *resume);
        match self.compose(rest, &mut pieces, &selected.mailbox, message, &mut resume) {
            Ok(rest) => {
                self.pieces = pieces;
                self.rest = rest;
                read
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Prepares more of the response that was begun.
    fn go_on(&mut self, mut rest: Rest, selected: &mut Selected) -> Result<(), Error> {
        let snapshot = selected.view.snapshot();
        let Some(message) = self.current.and_then(|it| snapshot.get(it)) else {
            return Ok(());
        };
        let mut resume = selected.resume.take().map(|resume| *resume);
        let mut pieces = Pieces::default();
        if rest.loaded.is_none() {
            let loaded = self
                .plan
                .load(&mut self.coming.shelf, &selected.mailbox, message)?;
            rest.loaded = Some(loaded);
        }
        self.rest = self.compose(rest, &mut pieces, &selected.mailbox, message, &mut resume)?;
        self.pieces = pieces;
        Ok(())
    }

    /// Notes that a message could not be answered: the others are, and then the command fails
    /// (RFC 2180 §4.1.2).
    fn fail(&mut self, error: &Error) -> Option<u64> {
        self.problem.get_or_insert_with(|| completion(error));
        Some(0)
    }

    /// Adds the items that were asked for, in that order; gives what is left for when these pieces
    /// have left, if they are many octets.
    fn compose(
        &mut self,
        mut rest: Rest,
        pieces: &mut Pieces,
        mailbox: &Mailbox,
        message: Message<'_>,
        resume: &mut Option<Resume>,
    ) -> Result<Option<Rest>, Error> {
        while let Some(item) = self.plan.items().get(rest.next) {
            let Some(loaded) = &rest.loaded else {
                return Ok(Some(rest));
            };
            if pieces.are_large() {
                rest.loaded = rest.loaded.filter(|it| !it.is_large());
                return Ok(Some(rest));
            }
            rest.next += 1;
            let fetch = &mut rest.fetch;
            match item {
                FetchItem::Uid | FetchItem::Flags => {}
                FetchItem::ModSeq => {
                    fetch.item(pieces.wire(), &FetchData::ModSeq(message.mod_seq()));
                }
                FetchItem::SaveDate => {
                    fetch.item(pieces.wire(), &FetchData::SaveDate(message.save_date()));
                }
                FetchItem::Preview(Priority::Now) => {
                    fetch.preview(pieces.wire(), Some(&loaded.preview().unwrap_or_default()));
                }
                FetchItem::Preview(Priority::Lazy) => {
                    let kept = self.coming.shelf.kept(Record::Preview, message.uid());
                    match kept {
                        Some(kept) => fetch.preview(pieces.wire(), Some(kept)),
                        None => fetch.preview(pieces.wire(), loaded.preview().as_deref()),
                    }
                }
                FetchItem::EmailId => {
                    let id = ObjectId::Email(message.email_id());
                    fetch.object_id(pieces.wire(), "EMAILID", id);
                }
                FetchItem::ThreadId => {
                    let id = ObjectId::of_thread(loaded.thread(), message.email_id());
                    fetch.object_id(pieces.wire(), "THREADID", id);
                }
                FetchItem::InternalDate => {
                    let date = match message.internal_date() {
                        Some(date) => date,
                        None => mailbox.internal_date(message)?,
                    };
                    fetch.item(pieces.wire(), &FetchData::InternalDate(date));
                }
                FetchItem::Rfc822Size => {
                    let size = loaded.size(mailbox, message)?;
                    fetch.item(pieces.wire(), &FetchData::Rfc822Size(size));
                }
                FetchItem::Body => loaded.body(Form::Body, fetch, pieces.wire()),
                FetchItem::BodyStructure => {
                    loaded.body(Form::BodyStructure, fetch, pieces.wire());
                }
                FetchItem::Envelope => loaded.envelope(fetch, pieces.wire()),
                FetchItem::Section(section) => {
                    loaded.section(section, fetch, pieces, mailbox, message, resume)?;
                }
                FetchItem::Binary(section) => {
                    match loaded.binary(section, fetch, pieces, mailbox, message)? {
                        Ok(()) => {}
                        Err(Undecodable) => {
                            self.problem.get_or_insert_with(binary::unknown_cte);
                        }
                    }
                }
            }
        }
        if rest.fetch.is_empty() {
            // A response must not be empty (RFC 3501 §9).
            rest.fetch.uid(pieces.wire(), message.uid());
        }
        rest.fetch.close(pieces.wire());
        Ok(None)
    }

    /// The answer to the command.
    fn completion(&mut self) -> Completion {
        self.problem
            .take()
            .unwrap_or_else(|| Completion::ok("FETCH completed"))
    }
}
