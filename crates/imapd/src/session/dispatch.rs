//! From a frame to the command it holds, and from the command to the state it needs.

use auth::Secret;

use super::running::{Operation, Running, Terms};
use super::{Activity, End, Session, State, authenticated};
use crate::command::{Any, Authenticated as InAnyMailbox, Command, Selected as InMailbox, Tagged};
use crate::extension::imap_rev2::missing;
use crate::extension::{Capability, Feature, Login, capabilities, id};
use crate::framer::{Frame, Literal};
use crate::grammar;
use crate::handler::append::Receiving;
use crate::response::{Completion, PlainCode, Untagged};
use crate::types::Tag;

impl Session {
    /// Takes the next frame as a command.
    pub(super) fn next_command(&mut self) -> bool {
        match self.framer.next() {
            Frame::More => return false,
            Frame::Continue => self.out.proceed("Ready for literal data"),
            Frame::Command(bytes) => self.parse(bytes),
            Frame::Message(tagged, announced) => self.begin_append(tagged, announced),
            Frame::Bad { tag, refusal } => self.refuse(tag, refusal.completion()),
            Frame::Fatal(error) => self.bye(PlainCode::ClientBug, &error.to_string()),
            // Left over from a command that has been answered already.
            Frame::Line(_)
            | Frame::MessageData(_)
            | Frame::NextMessage(..)
            | Frame::MessageEnd(_) => {}
        }
        true
    }

    /// Parses one whole command and begins it. Before login it may hold a password, so it is
    /// wiped afterwards.
    fn parse(&mut self, bytes: Vec<u8>) {
        let parsed = if self.login() == Login::Before {
            grammar::command(Secret::new(bytes).expose(), &self.settings.limits)
        } else {
            grammar::command(&bytes, &self.settings.limits)
        };
        match parsed {
            Ok(tagged) => self.dispatch(tagged),
            Err((tag, error)) => self.bad(tag, &error.to_string()),
        }
    }

    /// The one check of command against state at run time.
    fn dispatch(&mut self, Tagged { tag, command }: Tagged) {
        if let Some(hidden) = self.hidden(&command) {
            return self.bad(Some(tag), &missing(hidden, self.offered()));
        }
        if let Some(refused) = self.refuse_numbers(&command) {
            return self.refuse(Some(tag), refused);
        }
        let terms = Terms::of(&command);
        self.note_enabling(&command);
        let enabled = self.enabled();
        let operation = match (&mut self.state, command) {
            (_, Command::Any(command)) => return self.any(tag, command),
            (State::NotAuthenticated(_), Command::NotAuthenticated(command)) => {
                return self.log_in(tag, command);
            }
            (State::NotAuthenticated(_), Command::Authenticated(_) | Command::Selected(_)) => {
                return self.bad(Some(tag), "log in first");
            }
            (_, Command::NotAuthenticated(_)) => {
                return self.bad(Some(tag), "possible before login only");
            }
            (State::Authenticated(_), Command::Selected(_)) => {
                return self.bad(Some(tag), "no mailbox is selected");
            }
            (_, Command::Authenticated(InAnyMailbox::Append(append))) => {
                // It is whole, so that no literal follows.
                return self.receive(Receiving::new(tag, append, Literal::Sync));
            }
            (_, Command::Authenticated(InAnyMailbox::Idle)) => return self.begin_idle(tag),
            (_, Command::Authenticated(InAnyMailbox::Compress)) => return self.compress(tag),
            (_, Command::Authenticated(InAnyMailbox::Enable(names))) => {
                return self.enable(tag, &names);
            }
            (State::Selected(_), Command::Selected(InMailbox::Replace { message, append })) => {
                let receiving = Receiving::new(tag, append, Literal::Sync);
                return self.begin_replace(receiving, &message, terms);
            }
            (State::Selected(selected), Command::Selected(command)) => {
                selected.begin(&tag, &self.settings.limits, command)
            }
            (State::Authenticated(_) | State::Selected(_), Command::Authenticated(command)) => {
                authenticated::begin(command, enabled)
            }
            (State::Logout, _) => return,
        };
        self.activity = Activity::Running(Box::new(Running::new(tag, terms, operation)));
    }

    /// A capability that a command needs and that is hidden from this client.
    pub(crate) fn hidden(&self, command: &Command) -> Option<Capability> {
        let uses = command.uses();
        let offered = self.enabled().revision().understands(self.offered());
        uses.without(offered).iter().next()
    }

    /// The commands of any state (RFC 3501 §6.1).
    fn any(&mut self, tag: Tag, command: Any) {
        match command {
            Any::Capability => {
                let names = capabilities(
                    &self.link,
                    self.login(),
                    self.offered(),
                    self.mechanisms(),
                    &self.settings.limits,
                );
                self.out.untagged(Untagged::Capability(names));
                self.complete(tag, Completion::ok("CAPABILITY completed"));
            }
            // Whoever wants to hear of what others do.
            Any::Noop
                if matches!(self.state, State::Selected(_))
                    || self.enabled().has(Feature::Metadata) =>
            {
                let operation = Ok(Operation::Look("NOOP completed"));
                let running = Running::new(tag, Terms::FREE, operation);
                self.activity = Activity::Running(Box::new(running));
            }
            Any::Noop => self.complete(tag, Completion::ok("NOOP completed")),
            Any::Id(fields) => {
                id::note(&fields, self.settings.client_id);
                self.out.untagged(id::response());
                self.complete(tag, Completion::ok("ID completed"));
            }
            Any::Logout => {
                let text = "Logging out".to_owned();
                self.out.untagged(Untagged::Bye(None, text));
                self.complete(tag, Completion::ok("LOGOUT completed"));
                self.end = End::Leaving;
            }
        }
    }
}
