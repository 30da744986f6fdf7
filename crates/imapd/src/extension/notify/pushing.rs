//! Telling what has happened while no command is in progress, or IDLE (RFC 5465 §3, §4).

use super::others::Round;
use super::{Notify, Wanted};
use crate::command::ExpungeRule;
use crate::extension::condstore::highest_mod_seq;
use crate::response::{Code, Status, Untagged};
use crate::session::State;
use crate::session::responses::Responses;
use crate::session::running::{Context, Progress};
use crate::session::selected::{Look, Told};
use crate::types::ByUid;

/// Telling what is new: first of the selected mailbox, then of all others.
#[derive(Debug)]
pub(crate) struct Pushing {
    look: Look,
    rule: ExpungeRule,
    stage: Stage,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Selected,
    Telling,
    Others,
}

impl Pushing {
    /// Tells what is new between commands.
    pub(crate) fn between_commands(notify: &Notify) -> Self {
        Self::new(Look::Woken, notify.expunge_rule())
    }

    /// Tells what is new during a command that allows it.
    pub(crate) fn new(look: Look, rule: ExpungeRule) -> Self {
        Self {
            look,
            rule,
            stage: Stage::Selected,
        }
    }

    /// Does one slice.
    pub(crate) fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Progress {
        loop {
            match self.stage {
                Stage::Selected => {
                    self.stage = Stage::Telling;
                    if let State::Selected(selected) = state
                        && selected.view.wanted() != Wanted::Nothing
                    {
                        selected.resume = None;
                        if selected.settle(self.look, self.rule).is_gone() {
                            return Progress::Gone;
                        }
                    }
                }
                Stage::Telling => {
                    if let State::Selected(selected) = state {
                        match selected.tell(ByUid::Yes, context.out) {
                            Told::All => {
                                if let Some(mod_seq) = selected.view.take_completeness() {
                                    context.out.untagged(highest_mod_seq(mod_seq));
                                }
                            }
                            Told::More => return Progress::More,
                            Told::Broken => return Progress::Broken,
                        }
                    }
                    self.stage = Stage::Others;
                }
                Stage::Others => return tell_others(state, context.out),
            }
        }
    }
}

/// Tells some of what is new but for the selected mailbox.
fn tell_others(state: &mut State, out: &mut Responses) -> Progress {
    let (account, selected) = match state {
        State::Authenticated(account) => (account, None),
        State::Selected(selected) => (&mut selected.account, Some(&selected.mailbox)),
        State::NotAuthenticated(_) | State::Logout => return Progress::Done,
    };
    let Some(mut notify) = account.notify.take() else {
        return Progress::Done;
    };
    let told = match &mut notify.others {
        Some(others) => others.tell_some(account, selected, out),
        None => Ok(Round::Over),
    };
    match told {
        Ok(round) => {
            account.notify = Some(notify);
            match round {
                Round::Over => Progress::Done,
                Round::More => Progress::More,
            }
        }
        Err(_) => {
            tracing::info!("notifications end: more has happened than is remembered");
            let text = "Too much has happened; no more notifications".to_owned();
            let code = Some(Code::NotificationOverflow);
            out.untagged(Untagged::Status(Status::Ok, code, text));
            // As after NOTIFY NONE (RFC 5465 §5.8).
            account.notify = Some(Box::default());
            if let State::Selected(selected) = state {
                selected.view.narrow(Wanted::Nothing);
            }
            Progress::Done
        }
    }
}
