//! Watching mailboxes that are not selected, and the account (RFC 5465 §5, §6).
//!
//! What is told is the difference between what the client knows and what is, when its connection
//! takes it: a slow client makes nothing pile up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use mailstore::{
    AccountChange, AccountWatch, Error, Mailbox, MailboxName, Observation, Rights, Snapshot, Uid,
    Who,
};

use super::counts::{Counts, ModSeqs};
use super::events::{Events, Groups, Subscribed};
use super::names::{Names, is_own};
use crate::command::InitialStatus;
use crate::extension::metadata;
use crate::response::Untagged;
use crate::session::authenticated::Authenticated;
use crate::session::responses::Responses;

/// How many mailboxes one slice of work opens.
const BATCH: usize = 8;

/// All that is watched for a client but its selected mailbox.
#[derive(Debug)]
pub(super) struct Others {
    groups: Groups,
    account: AccountWatch,
    waker: Waker,
    /// The most mailboxes that are watched.
    limit: usize,
    watched: Vec<Watched>,
    /// Mailboxes to be watched, the next one last.
    opening: Vec<(MailboxName, Events)>,
    /// What the client knew of mailboxes that are not watched any more: they may have other names,
    /// or other messages, by now.
    lost: Vec<Lost>,
    /// Changes of the account that were found while an own one was looked for.
    changes: Vec<AccountChange>,
    /// A mailbox is not what it was, or the client itself has changed the account.
    unsettled: bool,
    /// More has happened to the account than is remembered.
    missed: bool,
    /// What has to be told before anything else.
    responses: VecDeque<Untagged>,
    stage: Stage,
}

/// Too much happens, or is to be watched (RFC 5465 §5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// Whether all has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// It has.
    Over,
    /// There is more, for the next slice of work.
    More,
}

/// How far a round of telling is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The account has to be looked at.
    Account,
    /// Mailboxes have to be opened.
    Opening,
    /// From this one on, mailboxes have to be looked at.
    Looking(usize),
}

/// A mailbox that is watched: some fifty octets, whatever it holds.
#[derive(Debug)]
struct Watched {
    observation: Observation,
    told: Counts,
    events: Events,
    /// It is not there any more.
    gone: bool,
}

#[derive(Debug)]
struct Lost {
    name: MailboxName,
    mailbox_id: u128,
    events: Events,
    told: Counts,
}

impl Others {
    /// Watches the account; the mailboxes are to be opened yet ([`Self::open_some`]).
    ///
    /// # Errors
    /// If the account cannot be read.
    pub(super) fn begin(
        groups: Groups,
        account: &Authenticated,
        waker: &Waker,
        limit: usize,
    ) -> Result<Result<Self, Overflow>, Error> {
        let watch = account.account.watch(waker.clone())?;
        let (mailboxes, subscribed) = (watch.mailboxes(), watch.subscriptions());
        let mut others = Self {
            groups,
            account: watch,
            waker: waker.clone(),
            limit,
            watched: Vec::new(),
            opening: Vec::new(),
            lost: Vec::new(),
            changes: Vec::new(),
            unsettled: false,
            missed: false,
            responses: VecDeque::new(),
            stage: Stage::Opening,
        };
        let chosen = others.choose(&mailboxes, &subscribed);
        Ok(chosen.map(|()| others))
    }

    /// Opens some of the mailboxes that NOTIFY names, and tells how they are if that is asked for;
    /// `true` when all are open.
    pub(super) fn open_some(
        &mut self,
        initial: InitialStatus,
        account: &Authenticated,
        selected: Option<&Arc<Mailbox>>,
        out: &mut Responses,
    ) -> bool {
        for _ in 0..BATCH {
            let Some((name, events)) = self.opening.pop() else {
                break;
            };
            let Some((watched, now)) = self.open(&name, events, account) else {
                continue;
            };
            if initial == InitialStatus::Told && !is_same(&watched, selected) {
                let items = now.initial(events, ModSeqs::offered(account));
                let shown = account.shown(&name);
                out.untagged(Untagged::counts(shown, items));
            }
            self.watched.push(watched);
            if out.is_full() {
                break;
            }
        }
        if self.opening.is_empty() {
            self.stage = Stage::Account;
            self.watched.shrink_to_fit();
        }
        self.opening.is_empty()
    }

    /// Tells some of what is new.
    pub(super) fn tell_some(
        &mut self,
        account: &Authenticated,
        selected: Option<&Arc<Mailbox>>,
        out: &mut Responses,
    ) -> Result<Round, Overflow> {
        loop {
            while let Some(response) = self.responses.pop_front() {
                out.untagged(response);
                if out.is_full() {
                    return Ok(Round::More);
                }
            }
            match self.stage {
                Stage::Account => {
                    self.look_at_account(account)?;
                    self.stage = Stage::Opening;
                }
                Stage::Opening if self.opening.is_empty() => {
                    self.lost.clear();
                    self.stage = Stage::Looking(0);
                }
                Stage::Opening => {
                    self.open_new(account, selected);
                    return Ok(Round::More);
                }
                Stage::Looking(first) => match self.look_at_mailboxes(first, account, selected) {
                    Some(next) => self.stage = Stage::Looking(next),
                    None if self.responses.is_empty() && !self.is_unsettled() => {
                        self.stage = Stage::Account;
                        return Ok(Round::Over);
                    }
                    None => self.stage = Stage::Account,
                },
            }
        }
    }

    /// What the client has been told of a mailbox while it was selected.
    pub(super) fn leave(&mut self, mailbox: &Arc<Mailbox>, told: &Arc<Snapshot>) {
        if let Some(watched) = self.find(mailbox) {
            watched.told = Counts::of(mailbox, told, watched.events);
            watched.observation.doubt();
        }
    }

    /// The client itself has added messages to a mailbox.
    pub(super) fn note_added(&mut self, mailbox: &Arc<Mailbox>, uids: &[Uid]) {
        if let Some(watched) = self.find(mailbox) {
            watched
                .told
                .add_own(&mailbox.snapshot(), uids, watched.events);
        }
    }

    /// The client itself has changed the account.
    pub(super) fn note_change(&mut self, own: &AccountChange) {
        self.unsettled = true;
        match self.account.changes() {
            Ok(Some(changes)) => {
                let others = changes.into_iter().filter(|change| !is_own(change, own));
                self.changes.extend(others);
            }
            Ok(None) => self.missed = true,
            Err(error) => tracing::warn!(%error, "account not looked at"),
        }
    }

    fn is_unsettled(&self) -> bool {
        self.watched.iter().any(|watched| watched.gone) && !self.unsettled
    }

    fn find(&mut self, mailbox: &Arc<Mailbox>) -> Option<&mut Watched> {
        let mut watched = self.watched.iter_mut();
        watched.find(|it| Arc::ptr_eq(it.observation.mailbox(), mailbox))
    }

    /// Finds out what has happened to the account. What cannot be found out now will be told later.
    fn look_at_account(&mut self, account: &Authenticated) -> Result<(), Overflow> {
        if self.watched.iter().any(|watched| watched.gone) {
            self.unsettled = true;
            self.account.doubt();
        }
        match self.account.changes() {
            Ok(Some(changes)) => self.changes.extend(changes),
            Ok(None) => self.missed = true,
            Err(error) => {
                tracing::warn!(%error, "account not looked at");
                return Ok(());
            }
        }
        if self.missed {
            return Err(Overflow);
        }
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() && !self.unsettled {
            return Ok(());
        }
        self.unsettled = false;
        let mailboxes = self.account.mailboxes();
        let names = Names::new(&mailboxes, self.account.subscriptions());
        let responses = names.responses(&changes, &self.groups, account);
        self.responses.extend(responses);
        let metadata = changes
            .iter()
            .filter(|change| self.groups.want_metadata(change, &names.subscribed))
            .filter_map(|change| metadata::response(change, account));
        self.responses.extend(metadata);
        self.choose(&mailboxes, &names.subscribed)
    }

    /// Lets go of mailboxes that are not to be watched any more, and notes which are to be opened.
    fn choose(
        &mut self,
        mailboxes: &[MailboxName],
        subscribed: &Subscribed,
    ) -> Result<(), Overflow> {
        let mut wanted = HashMap::new();
        for name in mailboxes {
            let events = self.groups.events(name, subscribed);
            if events.has(Events::MESSAGES) {
                wanted.insert(name, events.about_messages());
            }
        }
        if wanted.len() > self.limit {
            return Err(Overflow);
        }
        for watched in std::mem::take(&mut self.watched) {
            let name = watched.observation.mailbox().name().clone();
            if !watched.gone && wanted.get(&name) == Some(&watched.events) {
                wanted.remove(&name);
                self.watched.push(watched);
                continue;
            }
            self.lost.push(Lost {
                name,
                mailbox_id: watched.observation.mailbox().snapshot().mailbox_id(),
                events: watched.events,
                told: watched.told,
            });
        }
        let wanted = wanted.into_iter();
        self.opening = wanted
            .map(|(name, events)| (name.clone(), events))
            .collect();
        self.opening.sort_by(|(a, _), (b, _)| b.cmp(a));
        Ok(())
    }

    /// Begins to watch some mailboxes that are there now, and notes what the client has to hear of
    /// them: it knows what it knew of them under other names, and nothing of new ones.
    fn open_new(&mut self, account: &Authenticated, selected: Option<&Arc<Mailbox>>) {
        for _ in 0..BATCH {
            let Some((name, events)) = self.opening.pop() else {
                return;
            };
            let Some((mut watched, now)) = self.open(&name, events, account) else {
                continue;
            };
            watched.told = self.known_before(&watched).unwrap_or(now.of_new());
            self.watched.push(watched);
            if let Some(at) = self.watched.len().checked_sub(1) {
                self.tell_counts(at, now, account, selected);
            }
        }
    }

    fn known_before(&self, watched: &Watched) -> Option<Counts> {
        let mailbox = watched.observation.mailbox();
        let id = mailbox.snapshot().mailbox_id();
        let mut lost = self.lost.iter().filter(|it| it.events == watched.events);
        let by_id = lost.clone().find(|it| id != 0 && it.mailbox_id == id);
        let lost = by_id.or_else(|| lost.find(|it| it.name == *mailbox.name()));
        lost.map(|lost| lost.told)
    }

    /// Opens a mailbox and watches it. One that has gone meanwhile does not exist (RFC 5465 §3.1),
    /// and one that cannot be opened is not watched.
    fn open(
        &self,
        name: &MailboxName,
        events: Events,
        account: &Authenticated,
    ) -> Option<(Watched, Counts)> {
        let opened = account.account.open(name);
        // Who may not read it hears nothing of its messages (RFC 5465 §5).
        let opened = opened.and_then(|mailbox| {
            let rights = mailbox.rights(Who::Owner(&account.user));
            let permitted = rights.has(Rights::READ);
            permitted.then_some(mailbox).ok_or(Error::NotFound)
        });
        let observed = opened.and_then(|mailbox| mailbox.observe(self.waker.clone()));
        let (observation, snapshot) = match observed {
            Ok(observed) => observed,
            Err(Error::NotFound) => return None,
            Err(error) => {
                tracing::warn!(mailbox = %name, %error, "mailbox not watched");
                return None;
            }
        };
        let now = Counts::of(observation.mailbox(), &snapshot, events);
        let watched = Watched {
            observation,
            told: now,
            events,
            gone: false,
        };
        Some((watched, now))
    }

    /// Notes what is new in mailboxes from one on; gives the one to go on with, if any is left.
    fn look_at_mailboxes(
        &mut self,
        first: usize,
        account: &Authenticated,
        selected: Option<&Arc<Mailbox>>,
    ) -> Option<usize> {
        for at in first..self.watched.len() {
            let watched = self.watched.get_mut(at)?;
            // What is new in the selected mailbox is told elsewhere.
            if watched.gone || is_same(watched, selected) {
                continue;
            }
            let snapshot = match watched.observation.news() {
                Ok(None) => continue,
                Ok(Some(snapshot)) => snapshot,
                Err(Error::NotFound) => {
                    watched.gone = true;
                    continue;
                }
                Err(error) => {
                    let mailbox = watched.observation.mailbox();
                    tracing::warn!(mailbox = %mailbox.name(), %error, "mailbox not looked at");
                    continue;
                }
            };
            let now = Counts::of(watched.observation.mailbox(), &snapshot, watched.events);
            self.tell_counts(at, now, account, selected);
            if self.responses.len() >= BATCH {
                return Some(at + 1);
            }
        }
        None
    }

    /// Notes what the client has to hear of a mailbox that has come to this.
    fn tell_counts(
        &mut self,
        at: usize,
        now: Counts,
        account: &Authenticated,
        selected: Option<&Arc<Mailbox>>,
    ) {
        let Some(watched) = self.watched.get_mut(at) else {
            return;
        };
        if is_same(watched, selected) {
            return;
        }
        let told = std::mem::replace(&mut watched.told, now);
        let items = told.news(now, watched.events, ModSeqs::of(account));
        if let Some(items) = items {
            let name = watched.observation.mailbox().name();
            let shown = account.shown(name);
            self.responses.push_back(Untagged::counts(shown, items));
        }
    }
}

/// Whether this is the selected mailbox.
fn is_same(watched: &Watched, selected: Option<&Arc<Mailbox>>) -> bool {
    selected.is_some_and(|selected| Arc::ptr_eq(watched.observation.mailbox(), selected))
}
