//! APPEND (RFC 3501 §6.3.11), and the part of REPLACE (RFC 8508) that is one: messages go to the
//! store as they come.
//!
//! The mailbox is opened and the size is checked before the client is asked for octets. They are
//! staged in `tmp/`, at most 64 KiB of them in memory; the messages appear in the mailbox in one
//! step at the end, and not at all if the connection breaks before, or one of them is refused
//! (RFC 3502).

mod transcode;
mod upload;

use std::collections::VecDeque;
use std::mem;
use std::time::Instant;

use mailstore::quota::Limits;
use mailstore::{Counting, Uid, Usage};

use crate::command::{self, Append, Command, MailboxArg, Piece, Tagged, uses};
use crate::error::Refused;
use crate::extension::catenate::{Known, Source};
use crate::extension::inprogress::Notices;
use crate::extension::{Capabilities, InProgressState, imap_rev2, utf8_accept};
use crate::framer::{Announced, Frame, Literal, Refusal};
use crate::response::{Completion, PlainCode};
use crate::session::authenticated::Authenticated;
use crate::session::running::{Running, Terms};
use crate::session::{Activity, Session, State};
use crate::types::Tag;
use upload::{Holds, Room, Upload};

/// An APPEND under way, or a REPLACE.
#[derive(Debug)]
pub(crate) struct Receiving {
    tag: Tag,
    mailbox: MailboxArg,
    /// The message that goes when the new one is in the mailbox.
    replaces: Option<Uid>,
    terms: Terms,
    /// What has been staged; nothing before the mailbox is open, or when it is of no use any more.
    upload: Option<Box<Upload>>,
    /// What is left to do of the segment that came last.
    pieces: VecDeque<Piece>,
    /// The count of the account, before anything is staged.
    counting: Counting,
    /// What is being copied from another message.
    copying: Option<Source>,
    /// What is known of the message that parts were copied of last.
    known: Known,
    /// How the literal was announced that the segment ends with.
    literal: Literal,
    /// When to tell that the work on the segment goes on.
    notices: Notices,
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Pieces have to be carried out.
    Working,
    /// Octets are awaited.
    Waiting,
    /// Octets have to be written.
    Writing(Vec<u8>),
    /// Something is wrong with the command; what is staged has to be removed.
    Unwanted(Completion),
    /// It has failed; the rest of the octets is let pass.
    Failed(Completion),
}

/// What a slice of work came to.
enum Worked {
    /// There is more to do.
    More,
    /// Octets are needed.
    Wants,
    /// It is done.
    Done(Completion),
}

impl Receiving {
    /// An APPEND with its first segment; `literal` is how this ends, if octets follow.
    pub(crate) fn new(tag: Tag, append: Append, literal: Literal) -> Self {
        Self {
            tag,
            mailbox: append.mailbox,
            replaces: None,
            terms: Terms::FREE,
            upload: None,
            counting: Counting::default(),
            pieces: append.pieces.into(),
            copying: None,
            known: Known::default(),
            literal,
            notices: Notices::default(),
            stage: Stage::Working,
        }
    }

    /// A REPLACE, which takes one message and has its own terms.
    pub(crate) fn replacing(mut self, replaced: Uid, terms: Terms) -> Self {
        self.replaces = Some(replaced);
        self.terms = terms;
        self
    }

    /// Whose answer it is.
    pub(crate) fn into_tag(self) -> Tag {
        self.tag
    }

    /// Whether it waits for the client; else for the disk.
    pub(crate) fn wants_input(&self) -> bool {
        matches!(self.stage, Stage::Waiting | Stage::Failed(_))
    }

    /// Goes on with a segment, if all that it needs is offered.
    fn take_segment(&mut self, pieces: Vec<Piece>, literal: Literal, offered: Capabilities) {
        if let Some(hidden) = uses::segment(&pieces).without(offered).iter().next() {
            let text = imap_rev2::missing(hidden, offered);
            self.stage = Stage::Unwanted(Completion::bad(text));
            return;
        }
        let begins = |piece: &Piece| matches!(piece, Piece::Message { .. });
        if self.replaces.is_some() && pieces.iter().any(begins) {
            let text = "expected the end of the command behind one message";
            self.stage = Stage::Unwanted(Completion::bad(text));
            return;
        }
        self.pieces = pieces.into();
        self.literal = literal;
        self.notices = Notices::default();
        self.stage = Stage::Working;
    }
}

impl Session {
    /// Begins an APPEND or REPLACE, of which octets have been announced.
    pub(crate) fn begin_append(&mut self, tagged: Tagged, announced: Announced) {
        let Tagged { tag, command } = tagged;
        if let Some(hidden) = self.hidden(&command) {
            self.framer.refuse_message();
            let text = imap_rev2::missing(hidden, self.offered());
            return self.bad(Some(tag), &text);
        }
        if let Some(refused) = self.refuse_numbers(&command) {
            self.framer.refuse_message();
            return self.refuse(Some(tag), refused);
        }
        let terms = Terms::of(&command);
        let refused = match (&self.state, command) {
            (State::NotAuthenticated(_), _) => "log in first",
            (_, Command::Authenticated(command::Authenticated::Append(append))) => {
                return self.receive(Receiving::new(tag, append, announced.kind));
            }
            (
                State::Selected(_),
                Command::Selected(command::Selected::Replace { message, append }),
            ) => {
                let receiving = Receiving::new(tag, append, announced.kind);
                return self.begin_replace(receiving, &message, terms);
            }
            (_, Command::Selected(command::Selected::Replace { .. })) => "no mailbox is selected",
            (
                _,
                Command::Any(_)
                | Command::NotAuthenticated(_)
                | Command::Authenticated(_)
                | Command::Selected(_),
            ) => "expected APPEND or REPLACE before a message",
        };
        self.framer.refuse_message();
        self.bad(Some(tag), refused);
    }

    /// Begins to carry out an APPEND or REPLACE.
    pub(crate) fn receive(&mut self, receiving: Receiving) {
        self.activity = Activity::Receiving(Box::new(receiving));
    }

    /// Takes the next frame of a message.
    pub(crate) fn take_message_frame(&mut self, frame: Frame) -> bool {
        let offered = self.offered();
        let Activity::Receiving(receiving) = &mut self.activity else {
            return false;
        };
        let failed = match &mut receiving.stage {
            Stage::Failed(completion) => Some(completion),
            Stage::Working | Stage::Waiting | Stage::Writing(_) | Stage::Unwanted(_) => None,
        };
        match (frame, failed) {
            (Frame::More, _) => return false,
            (Frame::Fatal(error), _) => {
                self.bye(PlainCode::ClientBug, &error.to_string());
                return false;
            }
            // The literal of a URL, also where it is only let pass.
            (Frame::Continue, _) => self.out.proceed("Ready for literal data"),
            (Frame::MessageData(octets), None) => receiving.stage = Stage::Writing(octets),
            (Frame::NextMessage(pieces, announced), None) => {
                receiving.take_segment(pieces, announced.kind, offered);
            }
            (Frame::MessageEnd(Ok(pieces)), None) => {
                // No literal follows.
                receiving.take_segment(pieces, Literal::Sync, offered);
            }
            (Frame::MessageEnd(Err(refusal)) | Frame::Bad { refusal, .. }, None) => {
                receiving.stage = Stage::Unwanted(Refusal::completion(&refusal));
            }
            (
                Frame::NextMessage(..) | Frame::MessageEnd(_) | Frame::Bad { .. },
                Some(completion),
            ) => {
                let completion = mem::replace(completion, Completion::ok(""));
                self.framer.refuse_message();
                return self.end_append(completion);
            }
            (
                Frame::MessageData(_) | Frame::Command(_) | Frame::Line(_) | Frame::Message(..),
                _,
            ) => {}
        }
        true
    }

    /// Does the part of an APPEND that needs the disk.
    pub(crate) fn work_on_append(&mut self, mut receiving: Receiving, now: Instant) -> bool {
        let stage = mem::replace(&mut receiving.stage, Stage::Waiting);
        receiving.stage = match (stage, &mut receiving.upload) {
            (Stage::Working, _) => match self.carry_out(&mut receiving) {
                Ok(Worked::More) => {
                    self.note_progress(&mut receiving, now);
                    Stage::Working
                }
                Ok(Worked::Wants) => {
                    self.framer.accept_message();
                    if receiving.literal == Literal::Sync {
                        self.out.proceed("Ready for the message");
                    }
                    Stage::Waiting
                }
                Ok(Worked::Done(completion)) => return self.run_ending(receiving, completion),
                Err(Refused(completion)) => Stage::Unwanted(completion),
            },
            (Stage::Writing(octets), Some(upload)) => match upload.write(&octets) {
                Ok(()) => Stage::Waiting,
                Err(Refused(completion)) => {
                    receiving.upload = None;
                    Stage::Failed(completion)
                }
            },
            (Stage::Unwanted(completion), _) => {
                receiving.upload = None;
                self.framer.refuse_message();
                return self.run_ending(receiving, completion);
            }
            (stage, _) => stage,
        };
        self.activity = Activity::Receiving(Box::new(receiving));
        true
    }

    /// Tells that it goes on, if the client has long been waiting for that.
    fn note_progress(&mut self, receiving: &mut Receiving, now: Instant) {
        let Receiving { tag, notices, .. } = receiving;
        if notices.are_due(self.active, now, self.offered()) {
            notices.tell(Some(tag), InProgressState::Unknown, now, &mut self.out);
        }
    }

    /// Carries out pieces, at most one that takes time.
    fn carry_out(&mut self, receiving: &mut Receiving) -> Result<Worked, Refused> {
        let upload = match &mut receiving.upload {
            Some(upload) => upload,
            empty => {
                let (mailbox, counting) = (&receiving.mailbox, &mut receiving.counting);
                if !self.is_counted(mailbox, counting)? {
                    return Ok(Worked::More);
                }
                let upload = self.open_upload(&receiving.mailbox, receiving.replaces)?;
                empty.insert(Box::new(upload))
            }
        };
        if let Some(source) = &mut receiving.copying {
            if !upload.copy(source)? {
                receiving.copying = None;
            }
            return Ok(Worked::More);
        }
        match receiving.pieces.pop_front() {
            Some(Piece::Message {
                flags,
                internal_date,
            }) => upload.begin(flags, internal_date)?,
            Some(Piece::Octets(octets) | Piece::Utf8(octets)) => {
                upload.expect(octets, Holds::Text)?;
                return Ok(Worked::Wants);
            }
            Some(Piece::AnyOctets(octets)) => {
                upload.expect(octets, Holds::AnyOctets)?;
                return Ok(Worked::Wants);
            }
            Some(Piece::Text(octets)) => {
                upload.expect(octets, Holds::Part)?;
                return Ok(Worked::Wants);
            }
            Some(Piece::Url(url)) => {
                let (account, hostname) = (self.account()?, &self.settings.hostname);
                let source = Source::open(&url, account, hostname, &mut receiving.known)?;
                receiving.copying = Some(source);
            }
            Some(Piece::End) => upload.end()?,
            None => {
                let completion = match receiving.replaces {
                    Some(old) => upload.replace(old, &mut self.state, &mut self.out)?,
                    None => upload.append(self.offered(), &mut self.state),
                };
                return Ok(Worked::Done(completion));
            }
        }
        Ok(Worked::More)
    }

    /// Opens the mailbox that the messages go to.
    fn open_upload(&mut self, typed: &[u8], replaces: Option<Uid>) -> Result<Upload, Refused> {
        let account = self.account()?;
        let place = account.target(typed)?;
        let room = Room::new(&place.account, self.replaced(replaces));
        let (mailbox, kept) = account.open_target(typed)?;
        let header = utf8_accept::header_octets(account, self.settings.utf8_headers);
        let limits = &self.settings.limits;
        if let Some(told) = imap_rev2::normalized(account, typed, &place) {
            self.out.untagged(told);
        }
        Ok(Upload::new(mailbox, kept, limits, header, room))
    }

    /// Counts what the account of a mailbox takes up, if it is limited: `false` if there is more to
    /// do.
    fn is_counted(&self, mailbox: &[u8], counting: &mut Counting) -> Result<bool, Refused> {
        let account = self.account()?.target(mailbox)?.account;
        let limited = account.limits().0 != Limits::NONE;
        Ok(!limited || account.count(counting)?.is_some())
    }

    /// What a message takes up that is going to be replaced.
    fn replaced(&self, uid: Option<Uid>) -> Usage {
        let (State::Selected(selected), Some(uid)) = (&self.state, uid) else {
            return Usage::default();
        };
        let snapshot = selected.mailbox.snapshot();
        let message = snapshot.by_uid(uid);
        let octets = message.map(|message| selected.mailbox.file_octets(message));
        octets.map_or(Usage::default(), Usage::of_message)
    }

    /// The user's account.
    fn account(&self) -> Result<&Authenticated, Refused> {
        match &self.state {
            State::Authenticated(account) => Ok(account),
            State::Selected(selected) => Ok(&selected.account),
            State::NotAuthenticated(_) | State::Logout => Err(Refused::bad("log in first")),
        }
    }

    /// Answers an APPEND after the rest of its octets has passed.
    fn end_append(&mut self, completion: Completion) -> bool {
        if let Activity::Receiving(receiving) = mem::replace(&mut self.activity, Activity::Ready) {
            return self.run_ending(*receiving, completion);
        }
        true
    }

    /// Has the client told what is new, and then the APPEND answered.
    fn run_ending(&mut self, receiving: Receiving, completion: Completion) -> bool {
        let Receiving { tag, terms, .. } = receiving;
        let running = Running::new(tag, terms, Err(Refused(completion)));
        self.activity = Activity::Running(Box::new(running));
        true
    }
}
