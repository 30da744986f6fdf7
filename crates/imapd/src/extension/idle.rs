//! IDLE (RFC 2177): the client waits, and is told of changes as they happen.
//!
//! The session's own idle limit does not end IDLE: every keepalive that gets through shows that
//! the client is still there, and one that does not ends the connection. Clients issue IDLE anew
//! at least every 29 minutes (RFC 2177 §3), which costs nothing here.

use std::time::Instant;

use super::condstore::highest_mod_seq;
use super::notify::Pushing;
use super::{Capability, Extension, Shown, metadata};
use crate::command::ExpungeRule;
use crate::framer::{Frame, Mode};
use crate::response::{Completion, PlainCode, Status, Untagged};
use crate::session::responses::Responses;
use crate::session::running::{Context, Progress};
use crate::session::selected::{Look, Told};
use crate::session::{Activity, Session, State};
use crate::types::{ByUid, Tag};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Idle,
    capability: "IDLE",
    rfc: 2177,
    shown: Shown::Always,
    enables: None,
};

/// An IDLE under way.
#[derive(Debug)]
pub(crate) struct Idling {
    tag: Tag,
    /// When the next keepalive is due.
    pub(crate) keepalive_at: Instant,
    news: News,
    /// What NOTIFY has asked for is being told.
    pushing: Option<Box<Pushing>>,
}

/// What the client is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Nothing new.
    None,
    /// The mailbox may have changed, and whoever knows that wakes all its sessions.
    Woken,
    /// The mailbox may have changed, and nobody may have noticed.
    Look,
    /// A part has been told already.
    Tell,
}

impl Idling {
    /// Whether it waits for the client; else for the disk.
    pub(crate) fn wants_input(&self) -> bool {
        self.news == News::None
    }

    /// The mailbox has changed.
    pub(crate) fn wake(&mut self) {
        if self.news == News::None {
            self.news = News::Woken;
        }
    }

    /// Shows the client that the server is there, and looks what other programs did.
    pub(crate) fn keep_alive(&mut self, next: Instant, out: &mut Responses) {
        let text = "Still here".to_owned();
        out.untagged(Untagged::Status(Status::Ok, None, text));
        self.keepalive_at = next;
        if matches!(self.news, News::None | News::Woken) {
            self.news = News::Look;
        }
    }

    /// Tells the client what is new.
    pub(crate) fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Progress {
        if has_notify(state) {
            return self.push(context, state);
        }
        metadata::tell_news(state, &context.link.waker, context.out);
        let State::Selected(selected) = state else {
            self.news = News::None;
            return Progress::Done;
        };
        selected.resume = None;
        let look = match self.news {
            News::Woken => Some(Look::Woken),
            News::Look => Some(Look::Disk),
            News::None | News::Tell => None,
        };
        if let Some(look) = look {
            if selected.settle(look, ExpungeRule::Allowed).is_gone() {
                return Progress::Gone;
            }
            self.news = News::Tell;
        }
        match selected.tell(ByUid::No, context.out) {
            Told::All => {
                if let Some(mod_seq) = selected.view.take_completeness() {
                    context.out.untagged(highest_mod_seq(mod_seq));
                }
                self.news = News::None;
                Progress::Done
            }
            Told::More => Progress::More,
            Told::Broken => Progress::Broken,
        }
    }

    /// Tells a client that has used NOTIFY exactly what it has asked for there (RFC 5465 §4).
    fn push(&mut self, context: &mut Context<'_>, state: &mut State) -> Progress {
        let look = match self.news {
            News::Woken => Look::Woken,
            News::None | News::Look | News::Tell => Look::Disk,
        };
        let begin = || Box::new(Pushing::new(look, ExpungeRule::Allowed));
        let progress = self.pushing.get_or_insert_with(begin).step(context, state);
        if progress != Progress::More {
            self.pushing = None;
            self.news = News::None;
        }
        progress
    }
}

/// Whether the client has used NOTIFY.
fn has_notify(state: &State) -> bool {
    match state {
        State::Authenticated(account) => account.notify.is_some(),
        State::Selected(selected) => selected.account.notify.is_some(),
        State::NotAuthenticated(_) | State::Logout => false,
    }
}

impl Session {
    /// Begins IDLE (RFC 2177 §3). Lines are taken from now on, also such that came in the same
    /// packet.
    pub(crate) fn begin_idle(&mut self, tag: Tag) {
        self.framer.set_mode(Mode::Lines);
        self.out.proceed("idling");
        self.activity = Activity::Idling(Box::new(Idling {
            tag,
            keepalive_at: self.active + self.settings.timeouts.keepalive,
            news: News::Look,
            pushing: None,
        }));
    }

    /// Takes the next frame during IDLE.
    ///
    /// Interop: iOS Mail sends DONE and further commands before it has seen the continuation.
    pub(crate) fn take_idle_frame(&mut self, frame: Frame) -> bool {
        let completion = match frame {
            Frame::More => return false,
            Frame::Line(line) if line.eq_ignore_ascii_case(b"DONE") => {
                Completion::ok("IDLE terminated")
            }
            Frame::Fatal(error) => {
                self.bye(PlainCode::ClientBug, &error.to_string());
                return true;
            }
            Frame::Line(_)
            | Frame::Bad { .. }
            | Frame::Continue
            | Frame::Command(_)
            | Frame::Message(..)
            | Frame::MessageData(_)
            | Frame::NextMessage(..)
            | Frame::MessageEnd(_) => Completion::bad("expected DONE"),
        };
        self.framer.set_mode(Mode::Commands);
        let activity = std::mem::replace(&mut self.activity, Activity::Ready);
        if let Activity::Idling(idling) = activity {
            self.complete(idling.tag, completion);
        }
        true
    }
}
