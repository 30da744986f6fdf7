//! A POP3 session: its state, and its [`Machine`].
//!
//! A session is in one of the states of RFC 1939 §3; each owns what is true in it and nothing
//! else. `Session::advance` runs commands as they come until something is needed from outside;
//! [`Machine::next`] and [`Machine::work`] both stand on it, so pipelined commands that need the
//! disk share a slice of work.

mod authorization;
mod context;
mod download;
mod maildrop;
mod transaction;
mod update;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use auth::sasl::Mechanisms;
use auth::{Credential, Verdict};
use machine::{Effect, Event, Link, Machine, Now, Security};

use self::authorization::Authorization;
use self::context::{Context, Utf8Mode};
use self::transaction::Transaction;
use self::update::Update;
use crate::error::Refused;
use crate::framer::{Expect, Frame, Framer, LineLimits};
use crate::grammar;
use crate::response::Responses;
use crate::settings::Settings;

/// One client's session, from the greeting to the end.
pub struct Session {
    context: Context,
    framer: Framer,
    state: State,
    /// When the connection must have logged in, and is then no longer of interest.
    login_deadline: Instant,
    /// When bytes last came or work was last done.
    seen: Instant,
    /// When the last command came (RFC 1939 §3).
    active: Instant,
    bad_commands: u32,
    stopping: bool,
}

/// The states of a session (RFC 1939 §3).
enum State {
    /// Nobody has logged in yet.
    Authorization(Authorization),
    /// A user has the maildrop open.
    Transaction(Box<Transaction>),
    /// The user has quit; messages are being removed.
    Update(Box<Update>),
    /// All is said.
    Ended,
}

/// What a session needs in order to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// The next command.
    Command,
    /// More of a listing that is in memory: [`Session::fill`].
    Fill,
    /// A slice of work on the disk.
    Work(Pace),
    /// A verdict on the credential that waits in the state.
    Verify,
    /// TLS.
    StartTls,
    /// What was asked for has not come yet.
    Event,
    /// That output is sent first.
    Flush,
    /// The end of the connection.
    Close,
}

/// How long work takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// It makes output at once, or next to nothing is to be done: output may wait for it.
    Quick,
    /// It may take many slices: earlier output goes out before it.
    Slow,
}

impl Session {
    /// Starts a session with its greeting (RFC 1939 §4). There is no timestamp in it, so APOP is
    /// not offered (RFC 1939 §7).
    pub fn new(settings: Arc<Settings>, link: Link, now: Now) -> Self {
        Self::hiding(Mechanisms::NONE, settings, link, now)
    }

    /// As [`new`](Self::new), for a client that these mechanisms are hidden from.
    pub fn hiding(hidden: Mechanisms, settings: Arc<Settings>, link: Link, now: Now) -> Self {
        let framer = Framer::new(LineLimits {
            command: settings.limits.command_line,
            sasl: settings.limits.sasl_line,
        });
        let login_deadline = now.instant + settings.timeouts.login;
        let mut context = Context {
            settings,
            link,
            hidden,
            utf8: Utf8Mode::Off,
            responses: Responses::default(),
        };
        let hostname = context.hostname();
        context
            .responses
            .ok(format_args!("POP3 server on {hostname} ready"));
        Self {
            context,
            framer,
            state: State::Authorization(Authorization::new()),
            login_deadline,
            seen: now.instant,
            active: now.instant,
            bad_commands: 0,
            stopping: false,
        }
    }

    /// Runs what can be run without the disk or the driver, and says what stopped it.
    fn advance(&mut self) -> Want {
        loop {
            if self.context.responses.is_full() {
                return Want::Flush;
            }
            match self.want() {
                Want::Command if self.dispatch() => {}
                Want::Fill => self.fill(),
                want @ (Want::Command
                | Want::Work(_)
                | Want::Verify
                | Want::StartTls
                | Want::Event
                | Want::Flush
                | Want::Close) => return want,
            }
        }
    }

    /// Takes the next line, if there is one, and runs it.
    fn dispatch(&mut self) -> bool {
        if self.stopping {
            self.end_with(&Refused::ShuttingDown);
            return true;
        }
        let expect = match &self.state {
            State::Authorization(state) => state.expects(),
            State::Transaction(_) | State::Update(_) | State::Ended => Expect::Command,
        };
        let Some(frame) = self.framer.next(expect) else {
            return false;
        };
        let state = std::mem::replace(&mut self.state, State::Ended);
        let result = match (frame, expect, state) {
            (Frame::Flood, _, _) => {
                self.context.responses.refuse(&Refused::LineTooLong);
                return true;
            }
            (Frame::TooLong, _, state) => (state.interrupted(), Err(Refused::LineTooLong)),
            (Frame::Line(line), Expect::Sasl, State::Authorization(mut state)) => {
                let result = state.sasl_response(line, &mut self.context);
                (State::Authorization(state), result)
            }
            (Frame::Line(line), _, state) => match grammar::command(line) {
                Ok(command) => self.context.run(state, command),
                Err(error) => (state.interrupted(), Err(error.into())),
            },
        };
        self.active = self.seen;
        self.state = result.0;
        if let Err(refused) = result.1 {
            self.refuse(&refused);
        }
        true
    }

    /// Answers with `-ERR`; before the login, one time too many ends the session.
    fn refuse(&mut self, refused: &Refused) {
        self.context.responses.refuse(refused);
        if let State::Authorization(_) = self.state {
            self.bad_commands += 1;
            if self.bad_commands >= self.context.settings.limits.bad_commands {
                tracing::info!("closed after too many bad commands");
                self.state = State::Ended;
            }
        }
    }

    /// Answers with `-ERR` and ends the session.
    fn end_with(&mut self, refused: &Refused) {
        self.context.responses.refuse(refused);
        self.state = State::Ended;
    }

    /// Puts more of a listing into the output.
    fn fill(&mut self) {
        if let State::Transaction(state) = &mut self.state {
            state.fill(&mut self.context);
        }
    }

    /// Does one slice of what the state wants from the disk.
    fn step(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        self.state = match state {
            State::Authorization(state) => self.open(state),
            State::Transaction(state) => state.work(&mut self.context),
            State::Update(state) => state.work(&mut self.context),
            State::Ended => State::Ended,
        };
    }

    /// Opens the maildrop of the user who has just logged in (RFC 1939 §4).
    fn open(&mut self, mut state: Authorization) -> State {
        let Some(identity) = state.take_identity() else {
            return State::Authorization(state);
        };
        match Transaction::open(&identity, &mut self.context) {
            Ok(transaction) => State::Transaction(Box::new(transaction)),
            Err(refused) => {
                // Not the client's fault, so it does not count as a bad command.
                self.context.responses.refuse(&refused);
                State::Authorization(state)
            }
        }
    }

    /// Takes the verdict on a credential.
    fn verified(&mut self, verdict: Verdict) {
        let State::Authorization(state) = &mut self.state else {
            return;
        };
        match state.verified(verdict, &mut self.context) {
            Ok(()) => {}
            Err(refused @ Refused::Denied) => self.refuse(&refused),
            Err(refused) => self.context.responses.refuse(&refused),
        }
    }

    /// Ends the session after the current command; at once where that waits for the driver.
    fn shut_down(&mut self) {
        if self.want() != Want::Event {
            self.stopping = true;
            return;
        }
        match &self.state {
            State::Authorization(state) if state.is_verifying() => {
                self.end_with(&Refused::ShuttingDown);
            }
            State::Authorization(_) | State::Transaction(_) | State::Update(_) | State::Ended => {
                self.state = State::Ended;
            }
        }
    }

    /// What stops the session now.
    fn want(&self) -> Want {
        match &self.state {
            State::Authorization(state) => state.want(),
            State::Transaction(state) => state.want(),
            State::Update(_) => Want::Work(Pace::Slow),
            State::Ended => Want::Close,
        }
    }

    /// When to give up waiting for the client.
    fn deadline(&self) -> Instant {
        match self.state {
            State::Authorization(_) => self.login_deadline,
            State::Transaction(_) | State::Update(_) | State::Ended => {
                self.active + self.context.settings.timeouts.idle
            }
        }
    }

    /// Asks for what an [`advance`](Self::advance) could not do without.
    fn effect(&mut self, want: Want) -> Effect<Credential> {
        match want {
            Want::Work(_) => Effect::Work,
            Want::Verify => match &mut self.state {
                State::Authorization(state) => state
                    .take_credential()
                    .map_or(Effect::Close, Effect::Verify),
                State::Transaction(_) | State::Update(_) | State::Ended => Effect::Close,
            },
            Want::StartTls => {
                if let State::Authorization(state) = &mut self.state {
                    state.starting_tls();
                }
                Effect::StartTls
            }
            Want::Command | Want::Event | Want::Fill | Want::Flush => Effect::Read {
                deadline: Some(self.deadline()),
            },
            Want::Close => Effect::Close,
        }
    }
}

impl Machine for Session {
    type Credential = Credential;
    type Verdict = Verdict;

    fn on(&mut self, now: Now, event: Event<'_, Verdict>) {
        self.seen = now.instant;
        match event {
            Event::Bytes(bytes) => self.framer.push(bytes),
            Event::TlsReady(tls) => {
                self.framer.reset();
                self.context.link.security = Security::Tls;
                self.context.link.tls = tls;
                self.context.utf8 = Utf8Mode::Off;
                self.state = State::Authorization(Authorization::new());
            }
            Event::Verified(verdict) => self.verified(verdict),
            Event::Woken => {}
            Event::Deadline => {
                // Without a word and without UPDATE (RFC 1939 §3).
                tracing::debug!("closed after a time limit");
                self.state = State::Ended;
            }
            Event::Eof => {
                // What QUIT has begun is completed; nothing else takes effect (RFC 1939 §6).
                if !matches!(self.state, State::Update(_)) {
                    self.state = State::Ended;
                }
            }
            Event::Shutdown => self.shut_down(),
        }
    }

    fn next(&mut self) -> Effect<Credential> {
        let want = self.advance();
        let may_wait = want == Want::Work(Pace::Quick);
        if !may_wait && !self.context.responses.is_empty() {
            return Effect::Write(self.context.responses.take());
        }
        self.effect(want)
    }

    fn work(&mut self, now: Now) {
        self.seen = now.instant;
        self.active = now.instant;
        for _ in 0..STEPS {
            let Want::Work(pace) = self.advance() else {
                break;
            };
            if pace == Pace::Slow && !self.context.responses.is_empty() {
                break;
            }
            self.step();
            if pace == Pace::Slow {
                break;
            }
        }
    }
}

impl fmt::Debug for Session {
    /// Shows the state's name only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Authorization(_) => "Authorization",
            State::Transaction(_) => "Transaction",
            State::Update(_) => "Update",
            State::Ended => "Ended",
        };
        f.debug_struct("Session")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

impl State {
    /// The state after a line that was no command: a USER waits no longer for its PASS, and a SASL
    /// exchange is over.
    fn interrupted(self) -> Self {
        match self {
            Self::Authorization(_) => Self::Authorization(Authorization::new()),
            other @ (Self::Transaction(_) | Self::Update(_) | Self::Ended) => other,
        }
    }
}

/// How many steps one slice of work takes at most.
const STEPS: usize = 100;
