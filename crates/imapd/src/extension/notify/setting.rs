//! The command NOTIFY (RFC 5465 §3.1).

use std::sync::Arc;

use mailstore::Mailbox;

use super::events::{ForSelected, Groups};
use super::others::{Others, Overflow};
use super::{Notify, Wanted};
use crate::command::{self, EventGroup, ExpungeRule, InitialStatus, NotifyEvent};
use crate::error::Refused;
use crate::response::{Code, Completion};
use crate::session::State;
use crate::session::running::{Context, Outcome, Step};
use crate::session::selected::Look;

/// A NOTIFY under way.
#[derive(Debug)]
pub(crate) struct Setting {
    initial: InitialStatus,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is done yet.
    Asked(Vec<EventGroup>),
    /// Mailboxes are opened.
    Opening(Box<Notify>),
}

impl Setting {
    /// What the client asks for; NONE is no group at all (RFC 5465 §3.1).
    pub(crate) fn new(asked: command::Notify) -> Self {
        let (initial, groups) = match asked {
            command::Notify::None => (InitialStatus::Omitted, Vec::new()),
            command::Notify::Set { initial, groups } => (initial, groups),
        };
        Self {
            initial,
            stage: Stage::Asked(groups),
        }
    }

    /// Does one slice. What was asked for before holds until this has succeeded.
    pub(crate) fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Outcome {
        let mut notify = match &mut self.stage {
            Stage::Asked(groups) => begin(groups, context, state)?,
            Stage::Opening(notify) => std::mem::take(notify),
        };
        let (account, selected) = parts(state)?;
        if let Some(others) = &mut notify.others
            && !others.open_some(self.initial, account, selected, context.out)
        {
            self.stage = Stage::Opening(notify);
            return Ok(Step::More);
        }
        install(notify, state);
        Ok(Step::Done(Completion::ok("NOTIFY completed")))
    }
}

/// Finds out what is to be watched.
fn begin(
    groups: &[EventGroup],
    context: &Context<'_>,
    state: &State,
) -> Result<Box<Notify>, Refused> {
    let mut events = groups.iter().flat_map(|group| &group.events);
    if events.any(|event| *event == NotifyEvent::Unsupported) {
        let refused = Completion::no("No such event").with(Code::BadEvent);
        return Err(Refused(refused));
    }
    let (account, _) = parts(state)?;
    let selected = ForSelected::new(groups);
    let groups = Groups::new(groups, account);
    let others = if groups.is_empty() {
        None
    } else {
        let limit = context.settings.limits.notify_mailboxes;
        let others = Others::begin(groups, account, &context.link.waker, limit)?;
        let too_many = |Overflow| {
            let refused = Completion::no(format!("More than {limit} mailboxes"));
            Refused(refused.with(Code::NotificationOverflow))
        };
        Some(Box::new(others.map_err(too_many)?))
    };
    Ok(Box::new(Notify {
        selected,
        others,
        ..Notify::default()
    }))
}

/// Has the session do as was asked from now on. What has happened to the selected mailbox by now is
/// told, as if by NOOP (RFC 5465 §3.1).
fn install(notify: Box<Notify>, state: &mut State) {
    match state {
        State::Authenticated(account) => account.notify = Some(notify),
        State::Selected(selected) => {
            let wanted = notify.wanted();
            selected.account.notify = Some(notify);
            if wanted != Wanted::Nothing || selected.view.wanted() != Wanted::Nothing {
                selected.view.narrow(Wanted::Everything);
                if selected.settle(Look::Disk, ExpungeRule::Allowed).is_gone() {
                    // Found out again at the end of the command.
                    return;
                }
            }
            selected.view.narrow(wanted);
        }
        State::NotAuthenticated(_) | State::Logout => {}
    }
}

/// The account, and the mailbox that is selected.
fn parts(
    state: &State,
) -> Result<
    (
        &crate::session::authenticated::Authenticated,
        Option<&Arc<Mailbox>>,
    ),
    Refused,
> {
    match state {
        State::Authenticated(account) => Ok((account, None)),
        State::Selected(selected) => Ok((&selected.account, Some(&selected.mailbox))),
        State::NotAuthenticated(_) | State::Logout => Err(Refused::bad("log in first")),
    }
}
