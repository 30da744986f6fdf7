//! NOTIFY (RFC 5465): the client says what it wants to hear of, also of mailboxes that it has not
//! selected, and hears of it at any time.
//!
//! | What | Where |
//! |---|---|
//! | the command | `setting` |
//! | events and the mailboxes they are asked for | `events` |
//! | the selected mailbox | [`View`](crate::session::view::View) leaves out what is not wanted; new messages are fetched here |
//! | other mailboxes, and the account | `others`, with what STATUS tells in `counts` and LIST in `names` |
//! | telling, between commands and during IDLE | `pushing` |
//!
//! Events that other sessions and programs cause are known by what the store watches. What the
//! client itself has caused is no news to it (RFC 5465 §5).

mod counts;
mod events;
mod names;
mod narrowed;
mod others;
mod pushing;
mod setting;

use std::ops::Range;
use std::sync::Arc;

use mailstore::{AccountChange, Mailbox, Uid};

use super::{Capability, Extension, Shown, condstore};
use crate::command::ExpungeRule;
use crate::handler::fetch::Fetching;
use crate::session::authenticated::{Authenticated, Change};
use crate::session::place::Owner;
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::running::Step;
use crate::session::selected::{Selected, Told};
use crate::session::{Session, State};
use crate::types::ByUid;
use events::{Events, Expunges, ForSelected};
use others::Others;

pub(crate) use events::SUPPORTED;
pub(crate) use names::is_own;
pub(crate) use narrowed::{Narrowed, Wanted};
pub(crate) use pushing::Pushing;
pub(crate) use setting::Setting;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Notify,
    capability: "NOTIFY",
    rfc: 5465,
    shown: Shown::Always,
    enables: None,
};

/// What a client wants to hear of since its last NOTIFY; nothing by default, as after NOTIFY NONE.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    selected: ForSelected,
    others: Option<Box<Others>>,
    /// Something may have happened that the client is to hear of.
    woken: bool,
    /// Messages that the client itself has added to the selected mailbox.
    own: Vec<Uid>,
    /// New messages of the selected mailbox are being fetched.
    fetching: Option<Box<Fetching>>,
}

impl Notify {
    /// What the client wants to hear of the mailbox that it has selected.
    pub(crate) fn wanted(&self) -> Wanted {
        if !self.selected.events.has(Events::MESSAGES) {
            Wanted::Nothing
        } else if self.selected.events.has(Events::FLAGS) {
            Wanted::Everything
        } else {
            Wanted::Messages
        }
    }

    /// Whether EXPUNGE may be sent between commands.
    fn expunge_rule(&self) -> ExpungeRule {
        match self.selected.expunges {
            Expunges::Immediate => ExpungeRule::Allowed,
            Expunges::Delayed => ExpungeRule::Held,
        }
    }
}

/// Where a client has added messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the mailbox that it has selected.
    Selected,
    /// To another.
    Other,
}

/// What the rest of the session tells.
impl Authenticated {
    /// The client has let go of a mailbox, of which it knows what it was told.
    pub(crate) fn note_deselected(
        &mut self,
        selected: &Arc<Mailbox>,
        told: &Arc<mailstore::Snapshot>,
    ) {
        let Some(notify) = &mut self.notify else {
            return;
        };
        notify.own.clear();
        notify.fetching = None;
        if let Some(others) = &mut notify.others {
            others.leave(selected, told);
            notify.woken = true;
        }
    }

    /// The client itself has added messages to a mailbox, perhaps to the one that it has selected.
    pub(crate) fn note_added(&mut self, mailbox: &Arc<Mailbox>, uids: &[Uid], to: Target) {
        let Some(notify) = &mut self.notify else {
            return;
        };
        if to == Target::Selected && !notify.selected.items.is_empty() {
            notify.own.extend(uids);
        }
        if let Some(others) = &mut notify.others {
            others.note_added(mailbox, uids);
        }
    }

    /// What a change that the client itself asks for would be to a session that is notified, by
    /// the names that there are before it.
    pub(crate) fn asked_change(&self, change: &Change) -> Option<AccountChange> {
        let notified = self.notify.as_ref().is_some_and(|it| it.others.is_some());
        if !notified && self.news.is_none() {
            return None;
        }
        // What happens to other users' mailboxes is not watched.
        let name = |name: &[u8]| {
            let place = self.place(name).ok()?;
            (place.owner == Owner::Own).then_some(place.name)
        };
        match change {
            Change::Create(created, _) => name(created).map(AccountChange::Created),
            Change::Delete(deleted) => name(deleted).map(AccountChange::Deleted),
            Change::Rename(from, to) => name(from)
                .zip(name(to))
                .map(|(from, to)| AccountChange::Renamed { from, to }),
            Change::Subscribe(added) => name(added).map(AccountChange::Subscribed),
            Change::Unsubscribe(gone) => name(gone).map(AccountChange::Unsubscribed),
            Change::SetMetadata(asked) => {
                let place = (!asked.mailbox.is_empty()).then(|| name(&asked.mailbox));
                let entries = asked.values.iter().map(|(entry, _)| entry.clone());
                Some(AccountChange::Annotated(place.flatten(), entries.collect()))
            }
        }
    }

    /// The client itself has changed which mailboxes there are, its subscriptions, or annotations.
    pub(crate) fn note_change(&mut self, change: &AccountChange) {
        if let Some(news) = &mut self.news {
            news.note_change(change);
        }
        if let Some(notify) = &mut self.notify
            && let Some(others) = &mut notify.others
        {
            others.note_change(change);
            notify.woken = true;
        }
    }
}

/// The client itself has added messages to a mailbox: they are no news to it.
pub(crate) fn note_added(state: &mut State, mailbox: &Arc<Mailbox>, uids: &[Uid]) {
    match state {
        State::Authenticated(account) => account.note_added(mailbox, uids, Target::Other),
        State::Selected(selected) => selected.note_added(mailbox, uids),
        State::NotAuthenticated(_) | State::Logout => {}
    }
}

impl Session {
    /// The waker was called.
    pub(crate) fn note_woken(&mut self) {
        if let Some(notify) = self.notify() {
            notify.woken = true;
        }
    }

    /// Begins to tell what has happened meanwhile, if the client wants to hear of it now.
    pub(crate) fn begin_pushing(&mut self) -> Option<Box<Pushing>> {
        let notify = self.notify()?;
        let woken = std::mem::take(&mut notify.woken);
        woken.then(|| Box::new(Pushing::between_commands(notify)))
    }

    fn notify(&mut self) -> Option<&mut Notify> {
        match &mut self.state {
            State::Authenticated(account) => account.notify.as_deref_mut(),
            State::Selected(selected) => selected.account.notify.as_deref_mut(),
            State::NotAuthenticated(_) | State::Logout => None,
        }
    }
}

/// Fetches what the client wants of new messages at these positions (RFC 5465 §5.2).
pub(crate) fn tell_arrivals(
    arrived: Range<usize>,
    selected: &mut Selected,
    out: &mut Responses,
) -> Told {
    let Some(notify) = &mut selected.account.notify else {
        return Told::All;
    };
    if !arrived.is_empty() && !notify.selected.items.is_empty() {
        let mut own = std::mem::take(&mut notify.own);
        own.sort_unstable();
        let snapshot = selected.view.snapshot();
        let is_own = |position: &usize| {
            let message = snapshot.get(*position);
            message.is_none_or(|message| own.binary_search(&message.uid()).is_ok())
        };
        let positions = Positions::of_ascending(arrived.filter(|it| !is_own(it)));
        let items = notify.selected.items.clone();
        let items = condstore::news_items(items, selected.view.tracking());
        let by_uid = match selected.view.tracking().is_uid_only() {
            true => ByUid::No,
            false => ByUid::Yes,
        };
        let fetching = Fetching::new(positions, items, by_uid, selected.view.revision());
        notify.fetching = Some(Box::new(fetching));
    }
    let Some(mut fetching) = notify.fetching.take() else {
        return Told::All;
    };
    match fetching.step(selected, out) {
        Ok(Step::More) => {
            if let Some(notify) = &mut selected.account.notify {
                notify.fetching = Some(fetching);
            }
            Told::More
        }
        Ok(Step::Broken) => Told::Broken,
        // A message that cannot be fetched has been expunged, or the log tells.
        Ok(Step::Done(_)) | Err(_) => Told::All,
    }
}
