//! UNAUTHENTICATE (RFC 8437): the connection stays, and forgets who its user was.
//!
//! Nothing that belongs to the user is kept: all of it is in the state that is let go here, and what
//! the driver holds for the user it gives back by [`Effect::Forget`](machine::Effect::Forget), which
//! ends compression, too. What stays is TLS, what was offered before the login, and the commands
//! that the client has sent already (§3).

use super::compress::Compression;
use super::{Capability, Extension, Shown};
use crate::error::Refused;
use crate::framer::Phase;
use crate::response::{Completion, PlainCode};
use crate::session::not_authenticated::NotAuthenticated;
use crate::session::running::{Context, Outcome, Step, deselect};
use crate::session::{Activity, Session, State};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Unauthenticate,
    capability: "UNAUTHENTICATE",
    rfc: 8437,
    shown: Shown::Always,
    enables: None,
};

/// Lets the account go, with the mailbox that is selected; no EXPUNGE comes of that (RFC 8437 §3).
/// The time to log in begins anew.
pub(crate) fn forget(context: &Context<'_>, state: &mut State) -> Outcome {
    deselect(state);
    if !matches!(state, State::Authenticated(_)) {
        return Err(Refused::bad("log in first"));
    }
    tracing::info!("logged out, and the connection stays");
    *state = State::NotAuthenticated(NotAuthenticated::new(context.now, context.before_login));
    Ok(Step::Done(Completion::ok("UNAUTHENTICATE completed")))
}

impl Session {
    /// The account has been let go, which the client has been told.
    pub(crate) fn unauthenticated(&mut self) {
        self.framer.set_phase(Phase::BeforeLogin);
        self.framer.set_offered(self.offered());
        self.activity = Activity::Forgetting;
        let compressed = self.compression == Compression::Deflate;
        self.compression = Compression::Off;
        // What is compressed ends with the line of the command (RFC 8437 §4.1), so this cannot be
        // a command.
        if compressed && !self.framer.take_unread().is_empty() {
            let text = "Compression went on behind UNAUTHENTICATE";
            self.bye(PlainCode::ClientBug, text);
        }
    }
}
