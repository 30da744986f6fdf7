//! SELECT and EXAMINE (RFC 3501 §6.3.1, §6.3.2), and what a client has missed (RFC 7162 §3.2.5).

use std::mem;

use super::State;
use super::responses::Responses;
use super::running::{Context, Outcome, Step, deselect};
use super::selected::Selected;
use crate::command::SelectParameters;
use crate::error::Refused;
use crate::extension::imap_rev2;
use crate::extension::qresync::{Missed, closed};
use crate::response::{Code, Completion};
use crate::types::Access;

/// A SELECT or EXAMINE under way.
#[derive(Debug)]
pub(crate) struct Selecting {
    name: Vec<u8>,
    access: Access,
    parameters: SelectParameters,
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// The mailbox is to be opened.
    Opening,
    /// It is open, and the client is told what it has missed.
    Missed(Missed, Completion),
}

impl Selecting {
    /// Selects the mailbox of this name.
    pub(crate) fn new(name: Vec<u8>, access: Access, parameters: SelectParameters) -> Self {
        Self {
            name,
            access,
            parameters,
            stage: Stage::Opening,
        }
    }

    /// Opens the mailbox, then tells what was missed.
    pub(crate) fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Outcome {
        if let Stage::Opening = &self.stage {
            let completion = self.open(context, state)?;
            let missed = match (&self.parameters.qresync, &*state) {
                (Some(known), State::Selected(selected)) => Missed::new(known, &selected.view),
                _ => None,
            };
            let Some(missed) = missed else {
                return Ok(Step::Done(completion));
            };
            self.stage = Stage::Missed(missed, completion);
        }
        self.tell_missed(context.out, state)
    }

    /// Opens the mailbox: what was selected before is let go first, also if this fails.
    fn open(&self, context: &mut Context<'_>, state: &mut State) -> Result<Completion, Refused> {
        if let State::Selected(selected) = &*state {
            closed(&selected.account, context.out);
        }
        deselect(state);
        let before = mem::replace(state, State::Logout);
        let State::Authenticated(account) = before else {
            *state = before;
            return Err(Refused::bad("log in first"));
        };
        match Selected::open(account, &self.name, self.access, &context.link.waker) {
            Ok(mut selected) => {
                let offered = selected.account.offered;
                selected.view.introduce(offered, context.out);
                imap_rev2::selected(&selected.account, &self.name, context.out);
                let completion = completion(self.access, selected.access());
                *state = State::Selected(Box::new(selected));
                Ok(completion)
            }
            Err((account, refused)) => {
                *state = State::Authenticated(account);
                Err(refused)
            }
        }
    }

    fn tell_missed(&mut self, out: &mut Responses, state: &State) -> Outcome {
        let (Stage::Missed(missed, completion), State::Selected(selected)) =
            (&mut self.stage, state)
        else {
            return Err(Refused::bad("no mailbox is selected"));
        };
        if missed.tell(&selected.view, out).is_break() {
            return Ok(Step::More);
        }
        Ok(Step::Done(completion.clone()))
    }
}

/// The answer, by what was asked for and what can be had.
fn completion(asked: Access, access: Access) -> Completion {
    match (asked, access) {
        (Access::ReadOnly, _) => Completion::ok("EXAMINE completed").with(Code::ReadOnly),
        (_, Access::ReadOnly) => Completion::ok("SELECT completed").with(Code::ReadOnly),
        (_, Access::ReadWrite) => Completion::ok("SELECT completed").with(Code::ReadWrite),
    }
}
