//! Before login: LOGIN, AUTHENTICATE and STARTTLS (RFC 3501 §6.2).

use std::mem;
use std::time::Instant;

use auth::sasl::{Channel, Exchange, Failure, Mechanism, Refusal, Step};
use auth::{Secret, Verdict};
use machine::{Link, Security};

use super::running::{Operation, Running, Terms};
use super::{Activity, Session};
use crate::command::NotAuthenticated as LoginCommand;
use crate::extension::Capabilities;
use crate::framer::{Frame, Mode};
use crate::response::{Code, Completion, PlainCode};
use crate::types::Tag;

/// What is known before login.
#[derive(Debug)]
pub(crate) struct NotAuthenticated {
    /// When the connection was opened: the time to log in counts from there.
    pub(crate) opened: Instant,
    /// The capabilities that this connection is offered.
    pub(crate) offered: Capabilities,
    /// Bad commands and failed logins so far.
    bad_commands: u32,
}

/// A login under way: LOGIN, or the exchange of AUTHENTICATE.
#[derive(Debug)]
pub(crate) struct Authenticating {
    tag: Tag,
    exchange: Exchange,
}

impl NotAuthenticated {
    /// A connection opened now.
    pub(crate) fn new(opened: Instant, offered: Capabilities) -> Self {
        Self {
            opened,
            offered,
            bad_commands: 0,
        }
    }

    /// Counts one more bad command, and says how many there were.
    pub(super) fn strike(&mut self) -> u32 {
        self.bad_commands = self.bad_commands.saturating_add(1);
        self.bad_commands
    }
}

impl Session {
    /// The commands of the not authenticated state.
    pub(super) fn log_in(&mut self, tag: Tag, command: LoginCommand) {
        match command {
            LoginCommand::StartTls => self.start_tls(tag),
            LoginCommand::Authenticate { .. } | LoginCommand::Login { .. }
                if !self.link.allows_passwords() =>
            {
                let refusal = Completion::no("Passwords are accepted over TLS only")
                    .with(Code::Plain(PlainCode::PrivacyRequired));
                self.refuse_login(tag, refusal);
            }
            LoginCommand::Authenticate { mechanism, initial } => {
                self.authenticate(tag, mechanism, initial);
            }
            LoginCommand::Login { user, password } => match String::from_utf8(user) {
                Ok(user) => {
                    let (exchange, step) = Exchange::password(user, password);
                    self.take_step(Authenticating { tag, exchange }, step);
                }
                Err(_) => self.refuse_login(tag, denied()),
            },
        }
    }

    /// STARTTLS (RFC 3501 §6.2.1). What the client sent after it in the clear is not looked at, and
    /// forgotten when TLS is up.
    fn start_tls(&mut self, tag: Tag) {
        match self.link.security {
            Security::StartTlsOffered => {
                self.complete(tag, Completion::ok("Begin TLS negotiation now"));
                self.activity = Activity::StartingTls;
            }
            Security::Tls => self.bad(Some(tag), "TLS is active already"),
            Security::Clear => self.bad(Some(tag), "STARTTLS is not offered here"),
        }
    }

    /// AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959).
    fn authenticate(&mut self, tag: Tag, mechanism: Option<Mechanism>, initial: Option<Secret>) {
        let mechanisms = self.mechanisms();
        let mechanism = mechanism.filter(|&it| mechanisms.has(it));
        let Some(mechanism) = mechanism else {
            let refusal = Completion::no("Unsupported authentication mechanism")
                .with(Code::Plain(PlainCode::Cannot));
            return self.refuse_login(tag, refusal);
        };
        let initial = initial.as_ref().map(Secret::expose);
        let channel = channel(&self.link);
        let (exchange, step) = Exchange::start(mechanism, initial, &channel, mechanisms);
        self.take_step(Authenticating { tag, exchange }, step);
    }

    /// Takes the next line of the SASL exchange.
    pub(super) fn next_sasl_line(&mut self) -> bool {
        let line = match self.framer.next() {
            Frame::More => return false,
            Frame::Line(line) => Secret::new(line),
            Frame::Fatal(error) => {
                self.bye(PlainCode::ClientBug, &error.to_string());
                return true;
            }
            // A line over the limit: nothing that a mechanism could take.
            Frame::Bad { .. }
            | Frame::Continue
            | Frame::Command(_)
            | Frame::Message(..)
            | Frame::MessageData(_)
            | Frame::NextMessage(..)
            | Frame::MessageEnd(_) => Secret::new(&b"!"[..]),
        };
        let activity = mem::replace(&mut self.activity, Activity::Ready);
        if let Activity::Authenticating(mut authenticating) = activity {
            let step = authenticating.exchange.respond(line.expose());
            self.take_step(*authenticating, step);
        }
        true
    }

    /// Does what the exchange says.
    fn take_step(&mut self, authenticating: Authenticating, step: Step) {
        let mode = match &step {
            Step::Challenge(_) => Mode::Lines,
            Step::Verify(_) | Step::Granted(_) | Step::Refused(_) | Step::Failed(_) => {
                Mode::Commands
            }
        };
        self.framer.set_mode(mode);
        let tag = authenticating.tag.clone();
        match step {
            Step::Challenge(challenge) => {
                self.out.proceed(challenge);
                self.activity = Activity::Authenticating(Box::new(authenticating));
            }
            Step::Verify(credential) => {
                let credential = Some(Box::new(credential));
                self.activity = Activity::Verifying(Box::new(authenticating), credential);
            }
            Step::Granted(identity) => {
                let operation = Ok(Operation::LogIn(identity));
                let running = Running::new(tag, Terms::FREE, operation);
                self.activity = Activity::Running(Box::new(running));
            }
            Step::Refused(Refusal::Denied) => self.refuse_login(tag, denied()),
            Step::Refused(Refusal::Unavailable) => {
                let text = "Authentication is not possible at the moment";
                self.complete(tag, refusal(PlainCode::Unavailable, text));
            }
            Step::Refused(Refusal::TooManySessions) => {
                self.complete(tag, refusal(PlainCode::Limit, "Too many sessions"));
            }
            Step::Failed(failure) => {
                let text = match failure {
                    Failure::Cancelled => "Authentication cancelled",
                    Failure::NotBase64 => "Expected base64",
                    Failure::Malformed => "Malformed authentication data",
                };
                self.bad(Some(tag), text);
            }
        }
    }

    /// The credential has been checked.
    pub(super) fn verified(&mut self, verdict: Verdict) {
        let activity = mem::replace(&mut self.activity, Activity::Ready);
        let Activity::Verifying(mut authenticating, _) = activity else {
            self.activity = activity;
            return;
        };
        let step = authenticating.exchange.verified(verdict);
        self.take_step(*authenticating, step);
    }

    /// Answers a login that counts as failed.
    fn refuse_login(&mut self, tag: Tag, refusal: Completion) {
        self.complete(tag, refusal);
        self.strike();
    }
}

/// What the connection gives mechanisms to go by.
pub(super) fn channel(link: &Link) -> Channel<'_> {
    Channel {
        exporter: link.tls.exporter.as_ref().map(<[u8; 32]>::as_slice),
        server_end_point: link.tls.server_end_point.as_deref(),
    }
}

/// The one answer to an unknown user and to a wrong password (S24).
fn denied() -> Completion {
    refusal(PlainCode::AuthenticationFailed, "Authentication failed")
}

/// `NO [code] text`.
fn refusal(code: PlainCode, text: &str) -> Completion {
    Completion::no(text).with(Code::Plain(code))
}
