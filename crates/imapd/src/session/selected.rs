//! The selected state (RFC 3501 §3.3): a mailbox, and what the client knows of it.

use std::sync::Arc;
use std::task::Waker;

use mailstore::{
    Appended, Appending, Error, FlagChange, FlagMask, Mailbox, Moving, Rights, Snapshot, Stored,
    Uid, Watch,
};

use super::authenticated::Authenticated;
use super::place::{Owner, check, flag_mask};
use super::responses::Responses;
use super::running::{Deselect, Operation};
use super::view::{Own, View};
use crate::command::{self, ChangedSince, ExpungeRule, FetchItem, Gone, UnchangedSince};
use crate::error::{Refused, completion};
use crate::extension::condstore::{self, Storage, Tracking};
use crate::extension::enable::Feature;
use crate::extension::imap_rev2::Revision;
use crate::extension::qresync::{self, Earlier};
use crate::extension::{r#move, notify, utf8_accept};
use crate::handler::content::Resume;
use crate::handler::{copy, expunge, fetch, search, store};
use crate::settings::Limits;
use crate::types::{Access, ByUid, Messages, Tag};

/// A selected mailbox.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Whose mailbox it is.
    pub(crate) account: Box<Authenticated>,
    /// The mailbox, shared by all sessions.
    pub(crate) mailbox: Arc<Mailbox>,
    /// Whose it is.
    owner: Owner,
    /// Whether it may be changed.
    access: Access,
    /// What the user may do with it.
    rights: Rights,
    /// What the client knows of it.
    pub(crate) view: View,
    /// Where the last partial FETCH of a large message ended; let go by any other command.
    pub(crate) resume: Option<Box<Resume>>,
    /// Has the session woken by changes, and keeps the bytes of expunged messages readable.
    watch: Watch,
}

/// Where to look for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// On disk: also at what other programs did.
    Disk,
    /// On disk, unless others are at it already: the session was woken, and will be again.
    Woken,
    /// In memory: at what this process knows.
    Memory,
}

/// Whether the mailbox is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Settled {
    /// It is.
    Here,
    /// It has been deleted, or its UIDs have become invalid.
    Gone,
}

impl Settled {
    /// Whether it is not there any more.
    pub(crate) fn is_gone(self) -> bool {
        self == Self::Gone
    }
}

/// Whether the client has been told all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Told {
    /// It has.
    All,
    /// There is more than fits now.
    More,
    /// A response cannot be completed as it was begun.
    Broken,
}

/// A selected mailbox that may be changed: what STORE, EXPUNGE, MOVE and REPLACE work on, so that
/// EXAMINE cannot be forgotten.
#[derive(Debug)]
pub(crate) struct Writable<'a> {
    mailbox: &'a Mailbox,
    watch: &'a Watch,
    view: &'a mut View,
    rights: Rights,
}

impl Selected {
    /// Selects a mailbox for SELECT or EXAMINE.
    ///
    /// # Errors
    /// If the mailbox cannot be opened; the account comes back, with no mailbox selected
    /// (RFC 3501 §6.3.1).
    pub(crate) fn open(
        account: Box<Authenticated>,
        name: &[u8],
        access: Access,
        waker: &Waker,
    ) -> Result<Self, (Box<Authenticated>, Refused)> {
        let opened = account.place(name).and_then(|place| {
            let mailbox = place.open(&account.user, Rights::READ)?;
            // Watched first, so that nothing is missed in between. Opening it has just looked at
            // the directories.
            let watch = mailbox.watch(waker.clone());
            let snapshot = mailbox.snapshot();
            Ok((place.owner, mailbox, watch, snapshot))
        });
        let (owner, mailbox, watch, snapshot) = match opened {
            Ok(opened) => opened,
            Err(refused) => return Err((account, refused)),
        };
        let tracking = Tracking {
            enabled: account.enabled,
            storage: match mailbox.is_lasting() {
                true => Storage::Persistent,
                false => Storage::Memory,
            },
        };
        let rights = mailbox.rights(owner.who(&account.user));
        let access = match rights.has_any(CHANGING) {
            true => access,
            false => Access::ReadOnly,
        };
        let wanted = account.notify.as_ref().map(|notify| notify.wanted());
        let mut selected = Self {
            account,
            mailbox,
            owner,
            access,
            rights,
            view: View::new(snapshot, access, tracking),
            resume: None,
            watch,
        };
        selected.view.permit(flag_mask(rights));
        if let Some(wanted) = wanted {
            selected.view.narrow(wanted);
        }
        let newest = selected.claim_recent(Arc::clone(selected.view.snapshot()));
        selected.view.restart(newest, selected.access);
        Ok(selected)
    }

    /// Begins a command of the selected state. Sequence numbers mean what they mean now.
    ///
    /// # Errors
    /// If it names messages that do not exist, or would change a read-only mailbox.
    pub(crate) fn begin(
        &mut self,
        tag: &Tag,
        limits: &Limits,
        command: command::Selected,
    ) -> Result<Operation, Refused> {
        if !matches!(command, command::Selected::Fetch { .. }) {
            self.resume = None;
        }
        self.view.tracking().check(&command)?;
        Ok(match command {
            command::Selected::Check => Operation::Look("CHECK completed"),
            command::Selected::Close => Operation::Deselect(match self.access {
                Access::ReadWrite => Deselect::Expunging(expunge::Expunging::close()),
                Access::ReadOnly => Deselect::Close,
            }),
            command::Selected::Unselect => Operation::Deselect(Deselect::Unselect),
            command::Selected::Expunge(messages) => {
                self.writable()?;
                Operation::Expunge(expunge::Expunging::new(messages.as_ref(), &self.view))
            }
            command::Selected::Search(mut search) => {
                // In IMAP4rev2 it is always ESEARCH that answers (RFC 9051 §6.4.4).
                if self.view.revision() == Revision::Rev2 {
                    search.returns.get_or_insert_default();
                }
                utf8_accept::check_charset(&search, self.account.enabled)?;
                let saves = search.saves();
                let searching = search::Searching::new(tag.clone(), search, &self.view, limits);
                if saves {
                    self.view.saved.reset();
                }
                Operation::Search(Box::new(searching?))
            }
            command::Selected::Fetch {
                messages,
                items,
                changed_since,
            } => Operation::Fetch(Box::new(self.fetch(&messages, items, changed_since)?)),
            command::Selected::Store {
                messages,
                change,
                echo,
                condition,
            } => {
                self.writable()?;
                let positions = self.view.resolve(&messages)?;
                let by_uid = messages.by_uid();
                let store = store::Storing::new(positions, change, echo, by_uid);
                let store = store.on_condition(condition);
                Operation::Store(Box::new(store))
            }
            command::Selected::Copy { messages, mailbox } => {
                let positions = self.view.resolve(&messages)?;
                Operation::Copy(copy::Copying::new(positions, mailbox))
            }
            command::Selected::Move { messages, mailbox } => {
                self.writable()?;
                let positions = self.view.resolve(&messages)?;
                Operation::Move(Box::new(r#move::Move::new(positions, mailbox)))
            }
            // The session takes the message itself.
            command::Selected::Replace { .. } => {
                return Err(Refused::bad("expected the message as a literal"));
            }
        })
    }

    /// Begins a FETCH, of those messages that have changed if that is what is asked for.
    fn fetch(
        &self,
        messages: &Messages,
        items: Vec<FetchItem>,
        changed_since: Option<ChangedSince>,
    ) -> Result<fetch::Fetching, Refused> {
        let snapshot = self.view.snapshot();
        let mut positions = self.view.resolve(messages)?;
        let mut earlier = Earlier::default();
        if let Some(since) = changed_since {
            if since.gone == Gone::Told {
                qresync::check(self.account.enabled)?;
                earlier = Earlier::for_fetch(&self.view, since.mod_seq, messages);
            }
            positions = condstore::changed(&positions, snapshot, since.mod_seq);
        }
        let items = condstore::fetch_items(items, changed_since, self.view.tracking());
        // Where every response has the UID in the place of a number, it is told once
        // (RFC 9586 §3.3).
        let by_uid = match self.view.tracking().is_uid_only() {
            true => ByUid::No,
            false => messages.by_uid(),
        };
        let fetch = fetch::Fetching::new(positions, items, by_uid, self.view.revision());
        Ok(fetch.after(earlier))
    }

    /// Switches something on; `false` if it was on already.
    pub(crate) fn enable(&mut self, feature: Feature) -> bool {
        self.account.enabled.insert(feature);
        self.view.enable(feature)
    }

    /// The mailbox for changing it.
    ///
    /// # Errors
    /// If it is selected read-only.
    pub(crate) fn writable(&mut self) -> Result<Writable<'_>, Refused> {
        match self.access {
            Access::ReadWrite => Ok(Writable {
                mailbox: &self.mailbox,
                watch: &self.watch,
                view: &mut self.view,
                rights: self.rights,
            }),
            Access::ReadOnly => Err(Refused::read_only()),
        }
    }

    /// Looks at what the user may do now. The client hears of it if that changes which flags it can
    /// change (RFC 4314 §5.1.1). Who may not read the mailbox any more has lost it.
    fn look_at_rights(&mut self) -> Settled {
        let rights = self.mailbox.rights(self.owner.who(&self.account.user));
        if rights != self.rights {
            self.rights = rights;
            self.view.permit(flag_mask(rights));
        }
        self.readable()
    }

    /// Whether the user may still read the mailbox, as far as is known.
    fn readable(&self) -> Settled {
        match self.rights.has(Rights::READ) {
            true => Settled::Here,
            false => Settled::Gone,
        }
    }

    /// Looks at what the user may do now.
    ///
    /// # Errors
    /// If the user may not even read any more; at the end of the command, the session ends.
    pub(crate) fn check_rights(&mut self) -> Result<(), Refused> {
        match self.look_at_rights() {
            Settled::Here => Ok(()),
            Settled::Gone => Err(Error::NotFound.into()),
        }
    }

    /// Makes sure that the user has these rights.
    ///
    /// # Errors
    /// `NO [NOPERM]`.
    pub(crate) fn may(&self, needed: Rights) -> Result<(), Refused> {
        check(self.rights.union(Rights::LOOKUP), needed)
    }

    /// At the end of a command: takes the newest state of the mailbox, to be told.
    ///
    /// What cannot be read now is not news: the client keeps what it knows.
    pub(crate) fn settle(&mut self, look: Look, rule: ExpungeRule) -> Settled {
        let readable = match look {
            Look::Memory => self.readable(),
            Look::Disk | Look::Woken => self.look_at_rights(),
        };
        if readable.is_gone() {
            return Settled::Gone;
        }
        let newest = match look {
            Look::Memory => Ok(self.mailbox.snapshot()),
            Look::Disk => self.mailbox.refresh(),
            Look::Woken => self.mailbox.refresh_woken(),
        };
        let newest = match newest {
            Ok(newest) => newest,
            Err(Error::NotFound) => return Settled::Gone,
            Err(error) => {
                tracing::warn!(%error, "mailbox could not be refreshed");
                self.mailbox.snapshot()
            }
        };
        if !self.view.is_of(&newest) {
            return Settled::Gone;
        }
        let newest = self.claim_recent(newest);
        self.view.settle(&newest, rule);
        Settled::Here
    }

    /// Tells the client what it has to hear. FETCH responses have the UID where a UID command or
    /// NOTIFY asks for it (RFC 5465 §5.1).
    pub(crate) fn tell(&mut self, by_uid: ByUid, out: &mut Responses) -> Told {
        let by_uid = match self.account.notify {
            Some(_) => ByUid::Yes,
            None => by_uid,
        };
        // A response that was begun ends before anything else is said.
        match notify::tell_arrivals(0..0, self, out) {
            Told::All => {}
            told @ (Told::More | Told::Broken) => return told,
        }
        if !self.view.tell(by_uid, out) {
            return Told::More;
        }
        let arrived = self.view.take_arrived();
        notify::tell_arrivals(arrived, self, out)
    }

    /// The client itself has added messages to a mailbox.
    pub(crate) fn note_added(&mut self, mailbox: &Arc<Mailbox>, uids: &[Uid]) {
        let to = if Arc::ptr_eq(mailbox, &self.mailbox) {
            notify::Target::Selected
        } else {
            notify::Target::Other
        };
        self.account.note_added(mailbox, uids, to);
    }

    /// Takes `\Recent` of new messages for this session (RFC 3501 §2.3.2). A session that only
    /// looks shows it without taking it (RFC 3501 §6.3.2).
    fn claim_recent(&mut self, newest: Arc<Snapshot>) -> Arc<Snapshot> {
        let unclaimed = newest.first_recent().get()..newest.uid_next().get();
        if unclaimed.is_empty() {
            return newest;
        }
        if self.access == Access::ReadOnly {
            self.view.note_recent(unclaimed);
            return newest;
        }
        match self.mailbox.claim_recent() {
            Ok(claimed) => {
                self.view.note_recent(claimed);
                self.mailbox.snapshot()
            }
            Err(error) => {
                if matches!(error, Error::NoPermission { .. }) {
                    self.access = Access::ReadOnly;
                }
                completion(&error);
                newest
            }
        }
    }

    /// Whether the mailbox may be changed.
    pub(crate) fn access(&self) -> Access {
        self.access
    }
}

/// What makes SELECT answer with READ-WRITE, one of it (RFC 4314 §5.2).
const CHANGING: Rights = Rights::INSERT
    .union(Rights::EXPUNGE)
    .union(Rights::SEEN)
    .union(Rights::WRITE)
    .union(Rights::DELETED);

impl Writable<'_> {
    /// Which flags the user may change.
    pub(crate) fn permitted(&self) -> FlagMask {
        flag_mask(self.rights)
    }

    /// Makes sure that the user has these rights.
    ///
    /// # Errors
    /// `NO [NOPERM]`.
    pub(crate) fn may(&self, needed: Rights) -> Result<(), Refused> {
        check(self.rights.union(Rights::LOOKUP), needed)
    }

    /// Changes flags and takes note of the result.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(crate) fn store_flags(
        &mut self,
        uids: &[Uid],
        change: &FlagChange,
        own: Own<'_>,
    ) -> Result<Arc<Snapshot>, Error> {
        let newest = self.mailbox.store_flags(uids, change)?;
        self.view.learn(&newest, own);
        Ok(newest)
    }

    /// Changes the flags of messages that have not been changed meanwhile, and takes note of the
    /// result; gives the others, ascending.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(crate) fn store_flags_unchanged(
        &mut self,
        uids: &[Uid],
        change: &FlagChange,
        UnchangedSince(since): UnchangedSince,
    ) -> Result<Stored, Error> {
        let stored = self.mailbox.store_flags_unchanged(uids, change, since)?;
        self.view.learn(&stored.snapshot, Own::Told(uids));
        Ok(stored)
    }

    /// Tells the client of new keywords, before it hears of messages that have them.
    pub(crate) fn tell_keywords(&mut self, out: &mut Responses) {
        self.view.tell_new_keywords(out);
    }

    /// The newest state of the mailbox.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn refresh(&self) -> Result<Arc<Snapshot>, Error> {
        self.mailbox.refresh()
    }

    /// What the client knows of the mailbox.
    pub(crate) fn view(&self) -> &View {
        self.view
    }

    /// Begins to move messages away.
    pub(crate) fn begin_move(&self, target: &Arc<Mailbox>) -> Moving {
        self.watch.begin_move(target)
    }

    /// Puts a message, staged in `target`, in the place of another; the client hears at the end of
    /// the command that this one is gone.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(crate) fn replace(
        &mut self,
        old: Uid,
        target: &Mailbox,
        new: Appending,
    ) -> Result<Appended, Error> {
        let appended = self.watch.replace(old, target, new)?;
        self.view.note_expunged(&[old]);
        Ok(appended)
    }

    /// Removes messages for good; the client hears of it at the end of the command.
    ///
    /// # Errors
    /// If the store cannot do it.
    pub(crate) fn expunge(&mut self, uids: &[Uid]) -> Result<(), Error> {
        self.view.note_expunged(uids);
        self.watch.expunge(uids).map(drop)
    }
}
