//! One connection: its state, and the way from one command to the next.
//!
//! Commands are carried out strictly in the order they came (RFC 3501 §5.5): what follows stays in
//! the framer until the current command has had its tagged response. Whatever needs the disk
//! becomes a `Running` command that goes on in slices inside [`Machine::work`].

pub(crate) mod authenticated;
mod dispatch;
pub(crate) mod not_authenticated;
pub(crate) mod place;
pub(crate) mod positions;
pub(crate) mod responses;
pub(crate) mod running;
pub(crate) mod selected;
pub(crate) mod selecting;
pub(crate) mod view;

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth::sasl::Mechanisms;
use auth::{Credential, Verdict};
use machine::{Effect, Event, Link, Machine, Now, Security, Tls};

use crate::extension::compress::Compression;
use crate::extension::enable::Enabled;
use crate::extension::idle::Idling;
use crate::extension::notify::Pushing;
use crate::extension::{Capabilities, Login, capabilities, imap_rev2};
use crate::framer::{Framer, Mode, Phase};
use crate::handler::append::Receiving;
use crate::response::{Code, Completion, PlainCode, Status, Untagged};
use crate::settings::Settings;
use crate::types::Tag;
use authenticated::Authenticated;
use not_authenticated::{Authenticating, NotAuthenticated, channel};
use responses::Responses;
use running::{Context, Progress, Running};
use selected::Selected;

/// An IMAP session.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    link: Link,
    pub(crate) framer: Framer,
    pub(crate) out: Responses,
    pub(crate) state: State,
    pub(crate) activity: Activity,
    pub(crate) compression: Compression,
    end: End,
    /// The capabilities that this connection is offered before login.
    before_login: Capabilities,
    /// The server is stopping: say goodbye after the current command, or at this time.
    stopping: Option<Instant>,
    /// When the client was last heard, or last had its answer.
    pub(crate) active: Instant,
}

/// What the client may do (RFC 3501 §3), with what it needs for that.
pub(crate) enum State {
    /// Before login.
    NotAuthenticated(NotAuthenticated),
    /// Logged in, no mailbox selected.
    Authenticated(Box<Authenticated>),
    /// A mailbox is selected.
    Selected(Box<Selected>),
    /// Over; also stands in while a command changes the state.
    Logout,
}

/// What the session is in the middle of.
pub(crate) enum Activity {
    /// Nothing: the next command is wanted.
    Ready,
    /// A SASL exchange waits for a line.
    Authenticating(Box<Authenticating>),
    /// A credential is checked; it is taken out when it is handed to the driver.
    Verifying(Box<Authenticating>, Option<Box<Credential>>),
    /// TLS is being started.
    StartingTls,
    /// Compression begins behind what is written now.
    StartingCompression,
    /// The driver lets the user go, behind what is written now.
    Forgetting,
    /// A command needs the disk.
    Running(Box<Running>),
    /// The message of an APPEND is coming.
    Receiving(Box<Receiving>),
    /// IDLE.
    Idling(Box<Idling>),
    /// What has happened between commands is told (NOTIFY).
    Pushing(Box<Pushing>),
}

/// How far the end of the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Not in sight.
    Open,
    /// What is written is still sent, then everything is let go.
    Leaving,
    /// Nothing is left but to close.
    Left,
}

impl Session {
    /// Commands that one slice of work may complete.
    const COMMANDS_PER_SLICE: usize = 8;

    /// Starts a session on a new connection; the greeting is the first thing it writes
    /// (RFC 3501 §7.1.1).
    pub fn new(settings: Arc<Settings>, link: Link, now: Now) -> Self {
        Self::hiding(Capabilities::NONE, settings, link, now)
    }

    /// As [`new`](Self::new), on a listener that hides these capabilities besides those that the
    /// settings hide.
    pub fn hiding(hidden: Capabilities, settings: Arc<Settings>, link: Link, now: Now) -> Self {
        let mut out = Responses::default();
        let hidden = hidden.union(settings.hidden_from(link.peer, None));
        let offered = imap_rev2::possible(Capabilities::all().without(hidden));
        let mechanisms = settings.mechanisms.now().on(&channel(&link));
        let names = capabilities(&link, Login::Before, offered, mechanisms, &settings.limits);
        let greeting = format!("{} Pillarbox ready", settings.hostname);
        out.untagged(Untagged::Status(
            Status::Ok,
            Some(Code::Capability(names)),
            greeting,
        ));
        let mut framer = Framer::new(&settings.limits);
        framer.set_offered(offered);
        Self {
            framer,
            state: State::NotAuthenticated(NotAuthenticated::new(now.instant, offered)),
            settings,
            link,
            out,
            activity: Activity::Ready,
            compression: Compression::Off,
            end: End::Open,
            before_login: offered,
            stopping: None,
            active: now.instant,
        }
    }

    /// Goes on without the disk and without the peer; `false` when one of them is needed.
    fn advance(&mut self) -> bool {
        if self.end != End::Open {
            return false;
        }
        if self.stopping.is_some() && self.is_waiting() {
            self.bye(PlainCode::Unavailable, "Server is shutting down");
            return false;
        }
        match &mut self.activity {
            Activity::Ready => match self.begin_pushing() {
                Some(pushing) => {
                    self.activity = Activity::Pushing(pushing);
                    false
                }
                None => self.next_command(),
            },
            Activity::Authenticating(_) => self.next_sasl_line(),
            Activity::Receiving(receiving) => {
                let frame = receiving.wants_input().then(|| self.framer.next());
                frame.is_some_and(|frame| self.take_message_frame(frame))
            }
            Activity::Idling(idling) => {
                let frame = idling.wants_input().then(|| self.framer.next());
                frame.is_some_and(|frame| self.take_idle_frame(frame))
            }
            Activity::Verifying(..)
            | Activity::StartingTls
            | Activity::StartingCompression
            | Activity::Forgetting
            | Activity::Running(_)
            | Activity::Pushing(_) => false,
        }
    }

    /// Whether only the client can bring the session forward.
    fn is_waiting(&self) -> bool {
        match &self.activity {
            Activity::Ready | Activity::Authenticating(_) => true,
            Activity::Idling(idling) => idling.wants_input(),
            Activity::Verifying(..)
            | Activity::StartingTls
            | Activity::StartingCompression
            | Activity::Forgetting
            | Activity::Running(_)
            | Activity::Pushing(_)
            | Activity::Receiving(_) => false,
        }
    }

    /// Answers a command.
    pub(crate) fn complete(&mut self, tag: Tag, completion: Completion) {
        self.out.complete(Some(tag), completion);
    }

    /// Answers a command that could not be understood, or not in this state. Before login only
    /// so many are borne (S21); afterwards a session is never closed for it.
    pub(crate) fn bad(&mut self, tag: Option<Tag>, text: &str) {
        self.refuse(tag, Completion::bad(text));
    }

    /// The same with a completion that is made already.
    pub(crate) fn refuse(&mut self, tag: Option<Tag>, completion: Completion) {
        self.out.complete(tag, completion);
        self.strike();
    }

    /// Counts a bad command or a failed login before login.
    fn strike(&mut self) {
        let limit = self.settings.limits.bad_commands;
        if let State::NotAuthenticated(state) = &mut self.state
            && state.strike() >= limit
        {
            self.bye(PlainCode::ClientBug, "Too many bad commands");
        }
    }

    /// Says goodbye (RFC 3501 §7.1.5).
    pub(crate) fn bye(&mut self, code: PlainCode, text: &str) {
        if self.end == End::Open {
            let code = Some(Code::Plain(code));
            self.out.untagged(Untagged::Bye(code, text.to_owned()));
            self.end = End::Leaving;
        }
    }

    /// How a client can authenticate on this connection.
    fn mechanisms(&self) -> Mechanisms {
        let possible = self.settings.mechanisms.now().on(&channel(&self.link));
        let hidden = Capabilities::all().without(self.offered());
        possible.without(hidden.mechanisms())
    }

    /// Whether the user has logged in.
    fn login(&self) -> Login {
        match self.state {
            State::NotAuthenticated(_) => Login::Before,
            State::Authenticated(_) | State::Selected(_) | State::Logout => Login::After,
        }
    }

    /// The capabilities that this session is offered, now that it is known so well who it is.
    pub(crate) fn offered(&self) -> Capabilities {
        self.state.offered()
    }

    /// What the client has switched on.
    pub(crate) fn enabled(&self) -> Enabled {
        match &self.state {
            State::Authenticated(account) => account.enabled,
            State::Selected(selected) => selected.account.enabled,
            State::NotAuthenticated(_) | State::Logout => Enabled::default(),
        }
    }

    /// When waiting for the client ends.
    fn deadline(&self) -> Instant {
        let timeouts = &self.settings.timeouts;
        let deadline = match (&self.state, &self.activity) {
            (State::NotAuthenticated(state), _) => state.opened + timeouts.login,
            (_, Activity::Idling(idling)) => idling.keepalive_at,
            _ => self.active + timeouts.idle,
        };
        self.stopping.map_or(deadline, |stop| deadline.min(stop))
    }

    /// The deadline has passed.
    fn time_out(&mut self, now: Now) {
        if now.instant < self.deadline() {
            return;
        }
        if self.stopping.is_some_and(|stop| stop <= now.instant) {
            return self.bye(PlainCode::Unavailable, "Server is shutting down");
        }
        let timeouts = &self.settings.timeouts;
        match (&self.state, &mut self.activity) {
            (State::NotAuthenticated(_), _) => {
                self.bye(PlainCode::Unavailable, "Login took too long");
            }
            (_, Activity::Idling(idling)) => {
                idling.keep_alive(now.instant + timeouts.keepalive, &mut self.out);
            }
            _ => self.bye(PlainCode::Unavailable, "Autologout; idle for too long"),
        }
    }

    /// The driver has protected the connection: everything learned in the clear is forgotten
    /// (RFC 3501 §6.2.1), but neither the time nor the bad commands before it.
    fn tls_ready(&mut self, tls: Tls) {
        self.framer.reset();
        self.framer.set_mode(Mode::Commands);
        self.link.security = Security::Tls;
        self.link.tls = tls;
        self.activity = Activity::Ready;
    }

    /// What is needed to go on.
    fn effect(&mut self) -> Effect<Credential> {
        match &mut self.activity {
            Activity::Running(_) | Activity::Pushing(_) => return Effect::Work,
            Activity::Receiving(receiving) if !receiving.wants_input() => return Effect::Work,
            Activity::Idling(idling) if !idling.wants_input() => return Effect::Work,
            Activity::Verifying(_, credential) => {
                if let Some(credential) = credential.take() {
                    return Effect::Verify(*credential);
                }
            }
            Activity::StartingTls => return Effect::StartTls,
            Activity::Forgetting => {
                self.activity = Activity::Ready;
                return Effect::Forget;
            }
            Activity::StartingCompression => {
                self.activity = Activity::Ready;
                return Effect::Compress(self.framer.take_unread());
            }
            Activity::Ready
            | Activity::Authenticating(_)
            | Activity::Receiving(_)
            | Activity::Idling(_) => {}
        }
        Effect::Read {
            deadline: Some(self.deadline()),
        }
    }

    /// Lets go of everything that may touch the disk.
    fn clean_up(&mut self) {
        self.activity = Activity::Ready;
        self.state = State::Logout;
        self.end = End::Left;
    }

    /// Carries on with what needs the disk; `false` if nothing does, or its slice is over.
    fn work_on(&mut self, now: Now) -> bool {
        let mut context = Context {
            settings: &self.settings,
            link: &self.link,
            now: now.instant,
            active: self.active,
            before_login: self.before_login,
            out: &mut self.out,
        };
        let progress = match mem::replace(&mut self.activity, Activity::Ready) {
            Activity::Running(mut running) => {
                let progress = running.step(&mut context, &mut self.state);
                if matches!(progress, Progress::More) {
                    self.activity = Activity::Running(running);
                }
                progress
            }
            Activity::Idling(mut idling) => {
                let progress = idling.step(&mut context, &mut self.state);
                if !matches!(progress, Progress::Gone) {
                    self.activity = Activity::Idling(idling);
                }
                progress
            }
            Activity::Pushing(mut pushing) => {
                let progress = pushing.step(&mut context, &mut self.state);
                if progress == Progress::More {
                    self.activity = Activity::Pushing(pushing);
                }
                // The client has not been heard.
                return self.proceed(progress);
            }
            Activity::Receiving(receiving) => {
                return self.work_on_append(*receiving, now.instant);
            }
            activity @ (Activity::Ready
            | Activity::Authenticating(_)
            | Activity::Verifying(..)
            | Activity::StartingTls
            | Activity::StartingCompression
            | Activity::Forgetting) => {
                self.activity = activity;
                return false;
            }
        };
        self.active = now.instant;
        self.proceed(progress)
    }

    /// Draws the consequences of a slice of work; `false` if it was the last.
    fn proceed(&mut self, progress: Progress) -> bool {
        match progress {
            Progress::More => false,
            Progress::Done => true,
            Progress::LoggedIn => {
                self.framer.set_phase(Phase::AfterLogin);
                self.framer.set_offered(self.offered());
                true
            }
            Progress::Unauthenticated => {
                self.unauthenticated();
                true
            }
            Progress::Gone => {
                tracing::info!("ended: the selected mailbox has been deleted or made anew");
                self.bye(
                    PlainCode::NonExistent,
                    "Selected mailbox has been deleted or made anew",
                );
                false
            }
            Progress::Broken => {
                self.out.take();
                self.end = End::Leaving;
                false
            }
        }
    }
}

impl State {
    /// The capabilities that are offered in it.
    fn offered(&self) -> Capabilities {
        match self {
            Self::NotAuthenticated(state) => state.offered,
            Self::Authenticated(account) => account.offered,
            Self::Selected(selected) => selected.account.offered,
            Self::Logout => Capabilities::NONE,
        }
    }
}

/// How long the message of an APPEND may still come when the server stops: less than the driver
/// waits for the session.
const LAST_MESSAGE: Duration = Duration::from_secs(5);

impl Machine for Session {
    type Credential = Credential;
    type Verdict = Verdict;

    fn on(&mut self, now: Now, event: Event<'_, Verdict>) {
        match event {
            Event::Bytes(bytes) => {
                self.active = now.instant;
                self.framer.push(bytes);
            }
            Event::TlsReady(tls) => self.tls_ready(tls),
            Event::Verified(verdict) => self.verified(verdict),
            Event::Woken => {
                if let Activity::Idling(idling) = &mut self.activity {
                    idling.wake();
                } else {
                    self.note_woken();
                }
            }
            Event::Deadline => self.time_out(now),
            Event::Eof => {
                self.out.take();
                self.end = End::Leaving;
            }
            Event::Shutdown => self.stopping = Some(now.instant + LAST_MESSAGE),
        }
    }

    fn next(&mut self) -> Effect<Credential> {
        while !self.out.is_full() && self.advance() {}
        if !self.out.is_empty() {
            return Effect::Write(self.out.take());
        }
        match (self.end, &self.state) {
            (End::Open, _) => self.effect(),
            (End::Leaving, State::Authenticated(_) | State::Selected(_)) => Effect::Work,
            (End::Leaving | End::Left, _) => Effect::Close,
        }
    }

    fn work(&mut self, now: Now) {
        if self.end != End::Open {
            return self.clean_up();
        }
        for _ in 0..Self::COMMANDS_PER_SLICE {
            if !self.work_on(now) || self.out.is_full() {
                return;
            }
            while !self.out.is_full() && self.advance() {}
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_waits_costs_little() {
        let bytes = size_of::<Session>() + size_of::<Selected>() + size_of::<Authenticated>();
        assert!(bytes <= 2 * 1024, "{bytes} octets, S41");
    }
}
