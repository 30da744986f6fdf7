//! REPLACE and UID REPLACE (RFC 8508): APPEND of one message and EXPUNGE of another in one, with no
//! state in between.
//!
//! The new message comes as with [`APPEND`](crate::handler::append), and everything that APPEND
//! takes and refuses is the same. Which message goes is decided when the command begins: meanwhile
//! the client is told nothing, so a sequence number keeps its meaning. If it cannot be replaced, no
//! octets are asked for. Until the new one is on the disk the old one stays, whatever fails; the
//! client is told where the new one is before it is told that the old one is gone (RFC 8508 §4.3),
//! and of nothing of that if it failed (§3.4).

use std::sync::Arc;

use mailstore::{Appending, Error, Mailbox, Uid};

use super::r#move::REMOVAL;
use super::{Capability, Extension, Shown, uidplus};
use crate::error::Refused;
use crate::handler::append::Receiving;
use crate::response::{Completion, PlainCode, Status, Untagged};
use crate::session::responses::Responses;
use crate::session::running::{Running, Terms};
use crate::session::selected::Selected;
use crate::session::{Activity, Session, State};
use crate::types::Messages;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Replace,
    capability: "REPLACE",
    rfc: 8508,
    shown: Shown::Always,
    enables: None,
};

impl Session {
    /// Begins a REPLACE, which is valid in the selected state only (RFC 8508 §3.5).
    pub(crate) fn begin_replace(&mut self, receiving: Receiving, message: &Messages, terms: Terms) {
        let replaced = match &mut self.state {
            State::Selected(selected) => replaced(selected, message),
            State::NotAuthenticated(_) | State::Authenticated(_) | State::Logout => {
                Err(Refused::bad("no mailbox is selected"))
            }
        };
        match replaced {
            Ok(uid) => self.receive(receiving.replacing(uid, terms)),
            Err(refused) => {
                self.framer.refuse_message();
                let running = Running::new(receiving.into_tag(), terms, Err(refused));
                self.activity = Activity::Running(Box::new(running));
            }
        }
    }
}

/// The message that is to be replaced. Unlike other UID commands, this one has nothing to do
/// without it.
///
/// # Errors
/// `BAD` for a sequence number that no message has; `NO` for a UID that none has, or whose message
/// another session has expunged, and in a mailbox that is selected read-only.
fn replaced(selected: &mut Selected, message: &Messages) -> Result<Uid, Refused> {
    selected.resume = None;
    selected.writable()?;
    selected.may(REMOVAL)?;
    let position = selected.view.resolve(message)?.next();
    let found = position.and_then(|position| selected.view.snapshot().get(position));
    let found = found.ok_or_else(|| Refused::no(PlainCode::NonExistent, "No such message"))?;
    let uid = found.uid();
    if selected.mailbox.snapshot().by_uid(uid).is_none() {
        return Err(Error::Expunged.into());
    }
    Ok(uid)
}

/// Puts a message, staged in `target`, in the place of the one that goes.
///
/// # Errors
/// If the store cannot do it.
pub(crate) fn finish(
    state: &mut State,
    old: Uid,
    target: &Arc<Mailbox>,
    new: Appending,
    out: &mut Responses,
) -> Result<Completion, Refused> {
    let State::Selected(selected) = state else {
        return Err(Refused::bad("no mailbox is selected"));
    };
    selected.check_rights()?;
    selected.may(REMOVAL)?;
    let appended = selected.writable()?.replace(old, target, new)?;
    selected.note_added(target, &appended.uids);
    if let Some(code) = uidplus::append_uid(&appended, selected.account.offered) {
        let text = "Replacement message ready".to_owned();
        out.untagged(Untagged::Status(Status::Ok, Some(code), text));
    }
    Ok(Completion::ok("REPLACE completed"))
}
