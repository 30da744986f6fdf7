//! CONDSTORE (RFC 7162 §3.1): mod-sequences, what has changed since one of them, and changes on
//! condition.
//!
//! Mod-sequences are kept by the store for every message, whether a client asks for them or not:
//! switching CONDSTORE on changes what is told and nothing else. One mod-sequence stands for all
//! flags of a message, so a conditional STORE fails also if another flag was changed; the
//! optimization of RFC 7162 §3.1.12 is left out, for of all who try it one must win.

use mailstore::{ModSeq, Snapshot};

use super::enable::{Enabled, Feature};
use super::qresync::{self, Known};
use super::{Capabilities, Capability, Extension, Shown};
use crate::command::{
    Authenticated, Command, FetchItem, ReturnOption, SearchKey, Seen, Selected, StatusItem,
};
use crate::error::Refused;
use crate::response::{Code, Completion, Status, Untagged};
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::{Session, State};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Condstore,
    capability: "CONDSTORE",
    rfc: 7162,
    shown: Shown::Always,
    enables: Some(Feature::Condstore),
};

/// The parameters of SELECT and EXAMINE (RFC 4466 §2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectParameters {
    /// `CONDSTORE` (RFC 7162 §3.1.8).
    pub condstore: Option<Condstore>,
    /// `QRESYNC` (RFC 7162 §3.2.5).
    pub qresync: Option<Box<Known>>,
}

/// `condstore-param` (RFC 7162 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condstore;

/// `"UNCHANGEDSINCE" SP mod-sequence-valzer` (RFC 7162 §3.1.3): STORE leaves messages alone that
/// have a higher mod-sequence; `None` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnchangedSince(pub Option<ModSeq>);

/// The modifiers of FETCH: `"CHANGEDSINCE" SP mod-sequence-value` (RFC 7162 §3.1.4.1), perhaps with
/// `VANISHED` (RFC 7162 §3.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedSince {
    /// Only messages with a higher mod-sequence are told; `None` is 0.
    pub mod_seq: Option<ModSeq>,
    /// What is told of those that are gone.
    pub gone: Gone,
}

/// What is told of messages that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nothing.
    Untold,
    /// Their UIDs, by VANISHED (EARLIER).
    Told,
}

/// How a client hears of changes in the mailbox that it has selected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracking {
    /// What has been switched on.
    pub(crate) enabled: Enabled,
    /// What the mailbox can keep.
    pub(crate) storage: Storage,
}

/// Whether a mailbox keeps mod-sequences (RFC 7162 §3.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// It does.
    Persistent,
    /// Nothing can be written: there is an index in memory only, and UIDs do not last either.
    Memory,
}

impl SelectParameters {
    /// The capabilities that they need.
    pub(crate) fn uses(&self) -> Capabilities {
        let condstore = self.condstore.map(|Condstore| Capability::Condstore);
        let qresync = self.qresync.as_ref().map(|_| Capability::Qresync);
        condstore.into_iter().chain(qresync).collect()
    }

    /// Refuses QRESYNC without ENABLE (RFC 7162 §3.2.5).
    pub(crate) fn check(&self, enabled: Enabled) -> Result<(), Refused> {
        match self.qresync {
            Some(_) => qresync::check(enabled),
            None => Ok(()),
        }
    }
}

impl Tracking {
    /// Whether untagged FETCH responses have mod-sequences, and with them UIDs (RFC 7162 §3.2.4).
    pub(crate) fn has_mod_seqs(self) -> bool {
        self.enabled.has(Feature::Condstore) && self.storage == Storage::Persistent
    }

    /// Whether VANISHED is sent in the place of EXPUNGE (RFC 7162 §3.2.10, RFC 9586 §3.4).
    pub(crate) fn has_vanished(self) -> bool {
        let resynchronises =
            self.enabled.has(Feature::Qresync) && self.storage == Storage::Persistent;
        resynchronises || self.is_uid_only()
    }

    /// Whether the client knows messages by their UIDs only (RFC 9586 §3).
    pub(crate) fn is_uid_only(self) -> bool {
        self.enabled.has(Feature::UidOnly)
    }

    /// Refuses what needs mod-sequences where there are none (RFC 7162 §3.1.2.2).
    pub(crate) fn check(self, command: &Selected) -> Result<(), Refused> {
        if self.storage == Storage::Memory && needs_mod_seqs(command) {
            return Err(Refused::bad("this mailbox has no mod-sequences"));
        }
        Ok(())
    }
}

/// Whether a command is a CONDSTORE enabling command, ENABLE apart (RFC 7162 §3.1).
fn is_enabling(command: &Command) -> bool {
    match command {
        Command::Authenticated(command) => match command {
            Authenticated::Select(_, parameters) | Authenticated::Examine(_, parameters) => {
                parameters.condstore.is_some()
            }
            Authenticated::Status { items, .. } => items.contains(&StatusItem::HighestModSeq),
            Authenticated::ListExtended(list) => list.returns.iter().any(|option| match option {
                ReturnOption::Status(items) => items.contains(&StatusItem::HighestModSeq),
                ReturnOption::Subscribed
                | ReturnOption::Children
                | ReturnOption::SpecialUse
                | ReturnOption::MyRights
                | ReturnOption::Metadata(_) => false,
            }),
            Authenticated::Create { .. }
            | Authenticated::Xlist { .. }
            | Authenticated::Delete(_)
            | Authenticated::Rename { .. }
            | Authenticated::Subscribe(_)
            | Authenticated::Unsubscribe(_)
            | Authenticated::List { .. }
            | Authenticated::Lsub { .. }
            | Authenticated::Append(_)
            | Authenticated::GetQuota(_)
            | Authenticated::GetQuotaRoot(_)
            | Authenticated::SetQuota { .. }
            | Authenticated::Namespace
            | Authenticated::Idle
            | Authenticated::Compress
            | Authenticated::Notify(_)
            | Authenticated::GetMetadata(_)
            | Authenticated::SetMetadata(_)
            | Authenticated::Unauthenticate
            | Authenticated::Acl(_)
            | Authenticated::Enable(_) => false,
        },
        Command::Selected(command) => needs_mod_seqs(command),
        Command::Any(_) | Command::NotAuthenticated(_) => false,
    }
}

/// Whether a command names mod-sequences.
fn needs_mod_seqs(command: &Selected) -> bool {
    match command {
        Selected::Fetch {
            items,
            changed_since,
            ..
        } => changed_since.is_some() || items.contains(&FetchItem::ModSeq),
        Selected::Store { condition, .. } => condition.is_some(),
        Selected::Search(search) => search.keys.as_ref().is_ok_and(|keys| any_mod_seq(keys)),
        Selected::Check
        | Selected::Close
        | Selected::Unselect
        | Selected::Expunge(_)
        | Selected::Copy { .. }
        | Selected::Move { .. }
        | Selected::Replace { .. } => false,
    }
}

/// Whether the MODSEQ criterion is among search keys (RFC 7162 §3.1.5). Their nesting is as deep as
/// the parser allowed.
pub(crate) fn any_mod_seq(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => any_mod_seq(keys),
        SearchKey::Or(pair) => {
            let (one, other) = &**pair;
            any_mod_seq(std::slice::from_ref(one)) || any_mod_seq(std::slice::from_ref(other))
        }
        SearchKey::Not(key) => any_mod_seq(std::slice::from_ref(key)),
        SearchKey::All
        | SearchKey::Flag(_)
        | SearchKey::Keyword(_)
        | SearchKey::Recent
        | SearchKey::Messages(_)
        | SearchKey::Larger(_)
        | SearchKey::Smaller(_)
        | SearchKey::InternalDate(..)
        | SearchKey::SaveDate(..)
        | SearchKey::SaveDateSupported
        | SearchKey::EmailId(_)
        | SearchKey::ThreadId(_)
        | SearchKey::SentDate(..)
        | SearchKey::Header(..)
        | SearchKey::Body(_)
        | SearchKey::Text(_) => false,
    })
}

/// The capabilities that a command needs for what it says of mod-sequences.
pub(crate) fn uses(command: &Selected) -> Capabilities {
    let mut uses = Capabilities::NONE;
    if needs_mod_seqs(command) {
        uses.insert(Capability::Condstore);
    }
    if let Selected::Fetch {
        changed_since: Some(since),
        ..
    } = command
        && since.gone == Gone::Told
    {
        uses.insert(Capability::Qresync);
    }
    uses
}

/// The items of a FETCH with those that mod-sequences bring: CHANGEDSINCE implies MODSEQ
/// (RFC 7162 §3.1.4.1), and who knows of mod-sequences hears of `\Seen` with them and with UIDs
/// (RFC 7162 §3.2.4).
pub(crate) fn fetch_items(
    mut items: Vec<FetchItem>,
    changed_since: Option<ChangedSince>,
    tracking: Tracking,
) -> Vec<FetchItem> {
    let sets = |item: &FetchItem| matches!(item, FetchItem::Section(it) if it.seen == Seen::Set);
    if items.iter().any(sets) {
        items = news_items(items, tracking);
    }
    if changed_since.is_some() {
        add(FetchItem::ModSeq, &mut items);
    }
    items
}

/// The items of FETCH responses that no FETCH asks for: who knows of mod-sequences gets them with
/// UIDs (RFC 7162 §3.2.4).
pub(crate) fn news_items(mut items: Vec<FetchItem>, tracking: Tracking) -> Vec<FetchItem> {
    if tracking.has_mod_seqs() {
        if !tracking.is_uid_only() {
            add(FetchItem::Uid, &mut items);
        }
        add(FetchItem::ModSeq, &mut items);
    }
    items
}

fn add(item: FetchItem, items: &mut Vec<FetchItem>) {
    if !items.contains(&item) {
        items.push(item);
    }
}

/// Those of the positions whose messages have changed since a mod-sequence; costs what has changed.
pub(crate) fn changed(
    positions: &Positions,
    snapshot: &Snapshot,
    since: Option<ModSeq>,
) -> Positions {
    let changed = snapshot.changed_since(since).map(|(position, _)| position);
    Positions::of_ascending(changed.filter(|&position| positions.contains(position)))
}

/// `HIGHESTMODSEQ` as an untagged response (RFC 7162 §3.1.2.1).
pub(crate) fn highest_mod_seq(mod_seq: ModSeq) -> Untagged {
    let code = Code::HighestModSeq(mod_seq);
    Untagged::Status(Status::Ok, Some(code), "Highest".to_owned())
}

/// `NOMODSEQ` as an untagged response (RFC 7162 §3.1.2.2).
pub(crate) fn no_mod_seq() -> Untagged {
    let text = "Nothing can be written here".to_owned();
    Untagged::Status(Status::Ok, Some(Code::NoModSeq), text)
}

/// Tells at the end of a command up to where the client knows everything (RFC 7162 §3.2): in the
/// tagged OK, or before it if that has something else to say.
pub(crate) fn complete(mod_seq: ModSeq, completion: &mut Completion, out: &mut Responses) {
    if completion.status == Status::Ok && completion.code.is_none() {
        completion.code = Some(Code::HighestModSeq(mod_seq));
    } else {
        out.untagged(highest_mod_seq(mod_seq));
    }
}

impl Session {
    /// Switches CONDSTORE on if a command does so. The first to do it while a mailbox is selected
    /// is told the mailbox's highest mod-sequence (RFC 7162 §3.1); SELECT and EXAMINE tell that of
    /// the mailbox they open.
    pub(crate) fn note_enabling(&mut self, command: &Command) {
        if !is_enabling(command) {
            return;
        }
        match &mut self.state {
            State::Authenticated(account) if matches!(command, Command::Authenticated(_)) => {
                account.enabled.insert(Feature::Condstore);
            }
            State::Selected(selected) => {
                let first = selected.enable(Feature::Condstore);
                let opens = matches!(
                    command,
                    Command::Authenticated(Authenticated::Select(..) | Authenticated::Examine(..))
                );
                if first && !opens && selected.view.tracking().has_mod_seqs() {
                    let complete = selected.view.complete_up_to();
                    self.out.untagged(highest_mod_seq(complete));
                }
            }
            State::Authenticated(_) | State::NotAuthenticated(_) | State::Logout => {}
        }
    }
}
