//! A command that needs the disk, carried out in slices.
//!
//! Every command ends the same way: what it did is settled with the newest state of the selected
//! mailbox, the client is told what it has to hear, and only then comes the tagged response
//! (RFC 3501 §5.2, §7).

use std::mem;
use std::time::Instant;

use auth::Identity;
use machine::Link;
use mailstore::{AccountChange, Rights};

use super::State;
use super::authenticated::{Authenticated, Change, Query};
use super::responses::Responses;
use super::selected::{Look, Selected, Told};
use super::selecting::Selecting;
use crate::command::{AclCommand, Command, ExpungeRule, Selected as InMailbox};
use crate::error::Refused;
use crate::extension::inprogress::Notices;
use crate::extension::{
    Capabilities, InProgressState, Login, acl, capabilities, condstore, imap_rev2, list_extended,
    metadata, r#move, notify, quota, unauthenticate, unselect,
};
use crate::handler::{copy, expunge, fetch, list, search, store};
use crate::response::{Code, Completion, PlainCode};
use crate::settings::Settings;
use crate::types::{ByUid, Tag};

/// What a running command may use besides the state.
pub(crate) struct Context<'a> {
    /// The server's settings.
    pub(crate) settings: &'a Settings,
    /// The connection.
    pub(crate) link: &'a Link,
    /// The present.
    pub(crate) now: Instant,
    /// When the client was last heard, or last had its answer.
    pub(crate) active: Instant,
    /// The capabilities that this connection is offered before login.
    pub(crate) before_login: Capabilities,
    /// Where responses go.
    pub(crate) out: &'a mut Responses,
}

/// How far a slice of work came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to do.
    More,
    /// The command has been answered.
    Done,
    /// The command has been answered, and the user is logged in.
    LoggedIn,
    /// The command has been answered, and nobody is logged in any more.
    Unauthenticated,
    /// The selected mailbox does not exist any more.
    Gone,
    /// A response cannot be completed as it was begun; the connection is of no use any more.
    Broken,
}

/// How a handler's slice ended.
#[derive(Debug)]
pub(crate) enum Step {
    /// There is more to do.
    More,
    /// The command is done, all but telling.
    Done(Completion),
    /// See [`Progress::Broken`].
    Broken,
}

/// The result of a handler's slice; a refusal ends the command.
pub(crate) type Outcome = Result<Step, Refused>;

/// What a command lets the client be told at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether EXPUNGE may be sent (RFC 3501 §7.4.1).
    rule: ExpungeRule,
    /// Whether FETCH responses must have the UID (RFC 3501 §6.4.8).
    by_uid: ByUid,
}

impl Terms {
    /// Everything may be told.
    pub(crate) const FREE: Self = Self {
        rule: ExpungeRule::Allowed,
        by_uid: ByUid::No,
    };

    /// The terms of a command.
    pub(crate) fn of(command: &Command) -> Self {
        let by_uid = match command {
            Command::Any(_) | Command::NotAuthenticated(_) | Command::Authenticated(_) => ByUid::No,
            Command::Selected(command) => match command {
                InMailbox::Fetch { messages, .. }
                | InMailbox::Store { messages, .. }
                | InMailbox::Copy { messages, .. }
                | InMailbox::Move { messages, .. } => messages.by_uid(),
                InMailbox::Replace { message, .. } => message.by_uid(),
                InMailbox::Search(search) => search.by_uid,
                InMailbox::Expunge(Some(_)) => ByUid::Yes,
                InMailbox::Check
                | InMailbox::Close
                | InMailbox::Unselect
                | InMailbox::Expunge(None) => ByUid::No,
            },
        };
        Self {
            rule: command.expunge_rule(),
            by_uid,
        }
    }
}

/// A command and its progress.
#[derive(Debug)]
pub(crate) enum Operation {
    /// A login that was granted.
    LogIn(Identity),
    /// UNAUTHENTICATE.
    Unauthenticate,
    /// A command about rights.
    Acl(AclCommand),
    /// SELECT and EXAMINE.
    Select(Box<Selecting>),
    /// CREATE and the like.
    Change(Change),
    /// STATUS and NAMESPACE.
    Query(Query),
    /// GETQUOTA and the like.
    Quota(Box<quota::Asking>),
    /// LIST and LSUB.
    List(Box<list::Listing>),
    /// LIST with options.
    ListExtended(Box<list_extended::ExtendedListing>),
    /// NOTIFY.
    Notify(Box<notify::Setting>),
    /// NOOP and CHECK, with the text of their completion.
    Look(&'static str),
    /// CLOSE and UNSELECT.
    Deselect(Deselect),
    /// EXPUNGE and UID EXPUNGE.
    Expunge(expunge::Expunging),
    /// SEARCH.
    Search(Box<search::Searching>),
    /// FETCH.
    Fetch(Box<fetch::Fetching>),
    /// STORE.
    Store(Box<store::Storing>),
    /// COPY.
    Copy(copy::Copying),
    /// MOVE.
    Move(Box<r#move::Move>),
}

/// How a mailbox is let go.
#[derive(Debug)]
pub(crate) enum Deselect {
    /// CLOSE, with messages to be removed (RFC 3501 §6.4.2).
    Expunging(expunge::Expunging),
    /// CLOSE of a mailbox that was only looked at.
    Close,
    /// UNSELECT (RFC 3691).
    Unselect,
}

/// A running command.
#[derive(Debug)]
pub(crate) struct Running {
    tag: Option<Tag>,
    terms: Terms,
    notices: Notices,
    stage: Stage,
}

/// How far a running command is.
#[derive(Debug)]
enum Stage {
    /// It is being carried out.
    Acting(Operation),
    /// It is not carried out, or elsewhere; its answer brings news all the same.
    Answering(Completion),
    /// The client is being told what is new.
    Telling(Completion),
}

impl Running {
    /// A command to be carried out, or one that was refused and still has to be answered.
    pub(crate) fn new(tag: Tag, terms: Terms, operation: Result<Operation, Refused>) -> Self {
        Self {
            tag: Some(tag),
            terms,
            notices: Notices::default(),
            stage: match operation {
                Ok(operation) => Stage::Acting(operation),
                Err(Refused(completion)) => Stage::Answering(completion),
            },
        }
    }

    /// Does one slice.
    pub(crate) fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Progress {
        let (completion, look, own) = match &mut self.stage {
            Stage::Acting(operation) => {
                let change = asked_change(operation, state);
                let said = context.out.len();
                let completion = match operation.step(context, state) {
                    Ok(Step::More) => {
                        let now = context.now;
                        if operation.shows_itself() && context.out.len() > said {
                            self.notices.put_off(now);
                        } else if self.notices.are_due(context.active, now, state.offered())
                            && let Some(progress) = operation.progress()
                        {
                            let tag = self.tag.as_ref();
                            self.notices.tell(tag, progress, now, context.out);
                        }
                        return Progress::More;
                    }
                    Ok(Step::Broken) => return Progress::Broken,
                    Ok(Step::Done(completion)) | Err(Refused(completion)) => completion,
                };
                if operation.has_logged_in(state) {
                    context.out.complete(self.tag.take(), completion);
                    return Progress::LoggedIn;
                }
                if operation.has_unauthenticated(state) {
                    context.out.complete(self.tag.take(), completion);
                    return Progress::Unauthenticated;
                }
                if let Some(change) = change {
                    note_change(&change, state);
                }
                (completion, operation.look(), operation.may_remove_mailbox())
            }
            Stage::Answering(completion) => (completion.clone(), Look::Memory, false),
            Stage::Telling(_) => return self.tell(context, state),
        };
        if let State::Selected(selected) = state
            && selected.settle(look, self.terms.rule).is_gone()
        {
            if !own {
                return Progress::Gone;
            }
            deselect(state);
        }
        if let State::Selected(selected) = state {
            selected.view.note_told();
            if look == Look::Disk {
                quota::tell_exceeded(&mut selected.account, context.out);
            }
        }
        self.stage = Stage::Telling(completion);
        self.tell(context, state)
    }

    /// Tells the client what is new, then answers the command.
    fn tell(&mut self, context: &mut Context<'_>, state: &mut State) -> Progress {
        if let State::Selected(selected) = state {
            match selected.tell(self.terms.by_uid, context.out) {
                Told::All => {}
                Told::More => return Progress::More,
                Told::Broken => return Progress::Broken,
            }
        }
        if let Stage::Telling(completion) = &self.stage {
            let mut completion = completion.clone();
            if let State::Selected(selected) = state
                && let Some(mod_seq) = selected.view.take_completeness()
            {
                condstore::complete(mod_seq, &mut completion, context.out);
            }
            metadata::tell_news(state, &context.link.waker, context.out);
            context.out.complete(self.tag.take(), completion);
        }
        Progress::Done
    }
}

impl Operation {
    /// Does one slice.
    fn step(&mut self, context: &mut Context<'_>, state: &mut State) -> Outcome {
        match self {
            Self::LogIn(identity) => return log_in(identity, context, state),
            Self::Unauthenticate => return unauthenticate::forget(context, state),
            Self::Select(selecting) => return selecting.step(context, state),
            Self::Deselect(how) => return how.step(state),
            Self::Notify(setting) => return setting.step(context, state),
            Self::Look(text) => return Ok(Step::Done(Completion::ok(*text))),
            Self::Acl(_)
            | Self::Change(_)
            | Self::Query(_)
            | Self::Quota(_)
            | Self::List(_)
            | Self::ListExtended(_) => {}
            Self::Expunge(_)
            | Self::Search(_)
            | Self::Fetch(_)
            | Self::Store(_)
            | Self::Copy(_)
            | Self::Move(_) => {
                let State::Selected(selected) = state else {
                    return Err(Refused::bad("no mailbox is selected"));
                };
                return self.step_selected(selected, context.out);
            }
        }
        let (account, selected) = match &*state {
            State::Authenticated(account) => (&**account, None),
            State::Selected(selected) => (&*selected.account, Some(&**selected)),
            State::NotAuthenticated(_) | State::Logout => {
                return Err(Refused::bad("log in first"));
            }
        };
        match self {
            Self::Change(change) => change.apply(account, context.out),
            Self::Acl(command) => acl::carry_out(command, account, context.settings, context.out),
            Self::Query(query) => query.answer(account, selected, context.out),
            Self::Quota(asking) => asking.step(context.settings, account, context.out),
            Self::List(listing) => listing.step(account, context.out),
            Self::ListExtended(listing) => listing.step(account, selected, context.out),
            Self::LogIn(_)
            | Self::Unauthenticate
            | Self::Select(_)
            | Self::Notify(_)
            | Self::Look(_)
            | Self::Deselect(_)
            | Self::Expunge(_)
            | Self::Search(_)
            | Self::Fetch(_)
            | Self::Store(_)
            | Self::Copy(_)
            | Self::Move(_) => Err(Refused::bad("no such command")),
        }
    }

    /// Does one slice of a command of the selected state.
    fn step_selected(&mut self, selected: &mut Selected, out: &mut Responses) -> Outcome {
        selected.check_rights()?;
        match self {
            Self::Expunge(expunging) => expunging.step(&mut selected.writable()?),
            Self::Search(searching) => searching.step(selected, out),
            Self::Fetch(fetching) => fetching.step(selected, out),
            Self::Store(storing) => storing.step(&mut selected.writable()?, out),
            Self::Copy(copying) => copying.step(selected),
            Self::Move(moving) => moving.step(selected, out),
            Self::LogIn(_)
            | Self::Unauthenticate
            | Self::Acl(_)
            | Self::Select(_)
            | Self::Change(_)
            | Self::Query(_)
            | Self::Quota(_)
            | Self::List(_)
            | Self::ListExtended(_)
            | Self::Notify(_)
            | Self::Look(_)
            | Self::Deselect(_) => Err(Refused::bad("no such command")),
        }
    }

    /// How far it is, if a notice of that has a place here (RFC 9585): FETCH may be inside of a
    /// response, and what is one slice has no time to tell. SELECT opens its mailbox in one, and
    /// then sends what was missed. What others may have to wait for says at least that it goes on.
    /// A MOVE has only been prepared as long as there is more to do.
    fn progress(&self) -> Option<InProgressState> {
        match self {
            Self::Search(searching) => searching.progress(),
            Self::Store(storing) => storing.progress(),
            Self::Expunge(expunging) | Self::Deselect(Deselect::Expunging(expunging)) => {
                expunging.progress()
            }
            Self::Query(query) => query.progress(),
            Self::Fetch(fetching) => fetching.progress(),
            Self::List(_)
            | Self::ListExtended(_)
            | Self::Quota(_)
            | Self::Notify(_)
            | Self::Move(_) => Some(InProgressState::Unknown),
            Self::LogIn(_)
            | Self::Unauthenticate
            | Self::Acl(_)
            | Self::Select(_)
            | Self::Change(_)
            | Self::Look(_)
            | Self::Deselect(Deselect::Close | Deselect::Unselect)
            | Self::Copy(_) => None,
        }
    }

    /// Whether what it sends shows how far it is.
    fn shows_itself(&self) -> bool {
        matches!(self, Self::Fetch(_))
    }

    /// Where to look for news when the command is done. Commands that poll look at the disk, and
    /// those that may have taken the mailbox away.
    fn look(&self) -> Look {
        match self {
            Self::Acl(_) | Self::Look(_) | Self::Notify(_) | Self::Change(_) | Self::Expunge(_) => {
                Look::Disk
            }
            Self::LogIn(_)
            | Self::Unauthenticate
            | Self::Select(_)
            | Self::Query(_)
            | Self::Quota(_)
            | Self::List(_)
            | Self::ListExtended(_)
            | Self::Deselect(_)
            | Self::Search(_)
            | Self::Fetch(_)
            | Self::Store(_)
            | Self::Copy(_)
            | Self::Move(_) => Look::Memory,
        }
    }

    /// Whether this was a login that succeeded.
    fn has_logged_in(&self, state: &State) -> bool {
        matches!((self, state), (Self::LogIn(_), State::Authenticated(_)))
    }

    /// Whether this was an UNAUTHENTICATE, which always succeeds.
    fn has_unauthenticated(&self, state: &State) -> bool {
        matches!(
            (self, state),
            (Self::Unauthenticate, State::NotAuthenticated(_))
        )
    }

    /// Whether the client itself may have deleted or renamed the mailbox that it has selected. It
    /// then has none selected; a session of somebody else is told goodbye (RFC 2180 §3.3).
    fn may_remove_mailbox(&self) -> bool {
        matches!(self, Self::Change(_))
    }
}

impl Deselect {
    /// CLOSE and UNSELECT. CLOSE removes messages without telling (RFC 3501 §6.4.2).
    fn step(&mut self, state: &mut State) -> Outcome {
        let completion = match self {
            Self::Expunging(expunging) => {
                let State::Selected(selected) = state else {
                    return Err(Refused::bad("no mailbox is selected"));
                };
                selected.check_rights()?;
                // Without the right there is nothing to expunge (RFC 4314 §4).
                let step = match selected.may(Rights::EXPUNGE) {
                    Ok(()) => expunging.step(&mut selected.writable()?)?,
                    Err(refused) => Step::Done(refused.0),
                };
                match step {
                    Step::Done(_) => Completion::ok("CLOSE completed"),
                    step @ (Step::More | Step::Broken) => return Ok(step),
                }
            }
            Self::Close => Completion::ok("CLOSE completed"),
            Self::Unselect => unselect::completion(),
        };
        deselect(state);
        Ok(Step::Done(completion))
    }
}

/// Opens the account of a user who has proved who they are (RFC 3501 §6.2.3).
fn log_in(identity: &Identity, context: &Context<'_>, state: &mut State) -> Outcome {
    let State::NotAuthenticated(before) = &*state else {
        return Err(Refused::bad("possible before login only"));
    };
    let (settings, peer) = (context.settings, context.link.peer);
    let hidden = settings.hidden_from(peer, Some(&identity.name));
    let offered = imap_rev2::possible(before.offered.without(hidden));
    let offered = quota::offered_to(&identity.name, offered, &settings.quotas);
    let account = settings.store.account(&identity.mail);
    let account = account.map_err(|error| {
        tracing::error!(user = %identity.name, %error, "account could not be opened");
        Refused::no(
            PlainCode::Unavailable,
            "Mail is not available at the moment",
        )
    })?;
    if let Err(error) = account.make_missing() {
        tracing::warn!(%error, "mailboxes for special uses not made");
    }
    account.set_policy(settings.quotas.of(&identity.name));
    // Who it is, the connection's span says.
    tracing::info!("logged in");
    *state = State::Authenticated(Box::new(Authenticated::new(
        account,
        &identity.name,
        offered,
        settings,
    )));
    let names = capabilities(
        context.link,
        Login::After,
        offered,
        context.settings.mechanisms.now(),
        &context.settings.limits,
    );
    let completion = Completion::ok("Logged in").with(Code::Capability(names));
    Ok(Step::Done(completion))
}

/// The change of the account that a command asks for, where somebody wants to know of it.
fn asked_change(operation: &Operation, state: &State) -> Option<AccountChange> {
    let Operation::Change(change) = operation else {
        return None;
    };
    match state {
        State::Authenticated(account) => account.asked_change(change),
        State::Selected(selected) => selected.account.asked_change(change),
        State::NotAuthenticated(_) | State::Logout => None,
    }
}

/// A command may have changed which mailboxes there are, also if it was refused.
fn note_change(change: &AccountChange, state: &mut State) {
    match state {
        State::Authenticated(account) => account.note_change(change),
        State::Selected(selected) => selected.account.note_change(change),
        State::NotAuthenticated(_) | State::Logout => {}
    }
}

/// Lets the selected mailbox go, if there is one.
pub(crate) fn deselect(state: &mut State) {
    *state = match mem::replace(state, State::Logout) {
        State::Selected(selected) => {
            let Selected {
                mut account,
                mailbox,
                view,
                ..
            } = *selected;
            account.note_deselected(&mailbox, view.snapshot());
            State::Authenticated(account)
        }
        state @ (State::NotAuthenticated(_) | State::Authenticated(_) | State::Logout) => state,
    };
}
