//! APPEND (RFC 3501 §6.3.11): the message goes to the store as it comes.
//!
//! The mailbox is opened and the size is checked before the client is asked for the message. The
//! octets are staged in `tmp/`, at most 64 KiB of them in memory; the message appears in the
//! mailbox in one step at the end, and not at all if the connection breaks before.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use mailstore::{Appending, FlagChange, Mailbox, Staged};

use crate::command::{self, Append, Command, Tagged};
use crate::error::Refused;
use crate::extension::{Capabilities, uidplus};
use crate::framer::{Announced, Frame, Literal};
use crate::response::{Code, Completion, PlainCode};
use crate::session::running::{Running, Terms};
use crate::session::{Activity, Session, State};
use crate::types::Tag;

/// An APPEND under way.
#[derive(Debug)]
pub(crate) struct Receiving {
    tag: Tag,
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// The mailbox has to be opened.
    Opening(Append, Literal),
    /// Octets are awaited.
    Waiting(Box<Target>),
    /// Octets have to be written.
    Writing(Box<Target>, Vec<u8>),
    /// The message is whole.
    Whole(Box<Target>),
    /// Something was wrong after the message; what is staged has to be removed.
    Unwanted(Box<Target>, Completion),
    /// It has failed; the rest of the message is let pass.
    Failed(Completion),
}

/// Where the message goes.
#[derive(Debug)]
struct Target {
    mailbox: Arc<Mailbox>,
    staged: Staged,
    message: Append,
}

impl Receiving {
    /// Whether it waits for the client; else for the disk.
    pub(crate) fn wants_input(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_) | Stage::Failed(_))
    }
}

impl Session {
    /// Begins an APPEND, whose message has been announced.
    pub(crate) fn begin_append(&mut self, tagged: Tagged, announced: Announced) {
        let Tagged { tag, command } = tagged;
        if let Some(hidden) = self.hidden(&command) {
            self.framer.refuse_message();
            return self.bad(Some(tag), &format!("{} is not offered", hidden.name()));
        }
        let append = match command {
            Command::Authenticated(command::Authenticated::Append(append)) => append,
            Command::Any(_)
            | Command::NotAuthenticated(_)
            | Command::Authenticated(_)
            | Command::Selected(_) => {
                self.framer.refuse_message();
                return self.bad(Some(tag), "expected APPEND before a message");
            }
        };
        if matches!(self.state, State::NotAuthenticated(_)) {
            self.framer.refuse_message();
            return self.bad(Some(tag), "log in first");
        }
        let stage = Stage::Opening(append, announced.kind);
        self.activity = Activity::Receiving(Box::new(Receiving { tag, stage }));
    }

    /// Takes the next frame of the message.
    pub(crate) fn take_message_frame(&mut self, frame: Frame) -> bool {
        let Activity::Receiving(receiving) = &mut self.activity else {
            return false;
        };
        let stage = mem::replace(&mut receiving.stage, Stage::Failed(Completion::ok("")));
        receiving.stage = match (frame, stage) {
            (Frame::More, stage) => {
                receiving.stage = stage;
                return false;
            }
            (Frame::Fatal(error), stage) => {
                receiving.stage = stage;
                self.bye(PlainCode::ClientBug, &error.to_string());
                return false;
            }
            (Frame::MessageData(octets), Stage::Waiting(target)) => Stage::Writing(target, octets),
            (Frame::MessageData(_), stage) => stage,
            (Frame::MessageEnd(Ok(())), Stage::Waiting(target)) => Stage::Whole(target),
            (Frame::MessageEnd(Err(refusal)), Stage::Waiting(target)) => {
                Stage::Unwanted(target, refusal.completion())
            }
            (Frame::Bad { refusal, .. }, Stage::Waiting(target)) => {
                Stage::Unwanted(target, refusal.completion())
            }
            (Frame::MessageEnd(_) | Frame::Bad { .. }, Stage::Failed(completion)) => {
                return self.end_append(completion);
            }
            (_, stage) => stage,
        };
        true
    }

    /// Does the part of an APPEND that needs the disk.
    pub(crate) fn work_on_append(&mut self, receiving: Receiving) -> bool {
        let Receiving { tag, stage } = receiving;
        let stage = match stage {
            Stage::Opening(append, literal) => match self.open_target(append) {
                Ok(target) => {
                    self.framer.accept_message();
                    if literal == Literal::Sync {
                        self.out.proceed("Ready for the message");
                    }
                    Stage::Waiting(Box::new(target))
                }
                Err(Refused(completion)) => {
                    self.framer.refuse_message();
                    return self.run_ending(tag, completion);
                }
            },
            Stage::Writing(mut target, octets) => match target.staged.write_all(&octets) {
                Ok(()) => Stage::Waiting(target),
                Err(error) => Stage::Failed(not_written(&error)),
            },
            Stage::Whole(target) => {
                let completion = target.append(self.offered());
                return self.run_ending(tag, completion);
            }
            Stage::Unwanted(target, completion) => {
                drop(target);
                return self.run_ending(tag, completion);
            }
            stage @ (Stage::Waiting(_) | Stage::Failed(_)) => stage,
        };
        self.activity = Activity::Receiving(Box::new(Receiving { tag, stage }));
        true
    }

    /// Opens the mailbox and checks the size, before the message is asked for.
    fn open_target(&self, message: Append) -> Result<Target, Refused> {
        let limit = self.settings.limits.message;
        if message.octets > limit {
            let text = format!("Message is larger than {limit} octets");
            return Err(Refused(Completion::no(text).with(Code::TooBig)));
        }
        if message.octets == 0 {
            return Err(Refused::no(PlainCode::Cannot, "Message is empty"));
        }
        let account = match &self.state {
            State::Authenticated(account) => account,
            State::Selected(selected) => &selected.account,
            State::NotAuthenticated(_) | State::Logout => {
                return Err(Refused::bad("log in first"));
            }
        };
        let mailbox = account.open_target(&message.mailbox)?;
        Ok(Target {
            staged: mailbox.stage()?,
            mailbox,
            message,
        })
    }

    /// Answers an APPEND after the rest of its message has passed.
    fn end_append(&mut self, completion: Completion) -> bool {
        if let Activity::Receiving(receiving) = mem::replace(&mut self.activity, Activity::Ready) {
            return self.run_ending(receiving.tag, completion);
        }
        true
    }

    /// Has the client told what is new, and then the APPEND answered.
    fn run_ending(&mut self, tag: Tag, completion: Completion) -> bool {
        let running = Running::new(tag, Terms::FREE, Err(Refused(completion)));
        self.activity = Activity::Running(Box::new(running));
        true
    }
}

impl Target {
    /// Puts the whole message into the mailbox.
    fn append(self, offered: Capabilities) -> Completion {
        let flags: FlagChange = self.message.flags;
        let appending = Appending {
            staged: self.staged,
            flags,
            internal_date: self.message.internal_date,
        };
        match self.mailbox.append(vec![appending]) {
            Ok(appended) => {
                let code = uidplus::append_uid(&appended, offered);
                Completion::ok("APPEND completed").with_any(code)
            }
            Err(error) => Refused::from(error).0,
        }
    }
}

/// The answer when a part of the message could not be staged.
fn not_written(error: &io::Error) -> Completion {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    tracing::error!(%error, "message could not be staged");
    let Refused(completion) = if full {
        Refused::no(PlainCode::OverQuota, "No space left for mail")
    } else {
        Refused::no(PlainCode::Unavailable, "Message could not be stored")
    };
    completion
}
