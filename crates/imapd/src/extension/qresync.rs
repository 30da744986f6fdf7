//! QRESYNC (RFC 7162 §3.2): a client that comes back is told what it has missed with the answer to
//! its SELECT, and VANISHED tells of messages that are gone.

use std::ops::ControlFlow;

use mailstore::{ModSeq, Snapshot, Uid, UidValidity};

use super::condstore::changed;
use super::enable::{Enabled, Feature};
use super::imap_rev2::Revision;
use super::{Capability, Extension, Shown};
use crate::error::Refused;
use crate::response::{Code, Status, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::positions::Positions;
use crate::session::responses::Responses;
use crate::session::view::View;
use crate::types::{Messages, Ranges, SeqNum, SequenceSet};

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::Qresync,
    capability: "QRESYNC",
    rfc: 7162,
    shown: Shown::Always,
    enables: Some(Feature::Qresync),
};

/// What a client says that it knows of the mailbox (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The highest mod-sequence.
    pub mod_seq: ModSeq,
    /// The messages that are of interest; all if not given.
    pub uids: Option<SequenceSet>,
    /// Sequence numbers and the UIDs that the messages with them have, as many of each, both
    /// ascending.
    pub matches: Option<(Ranges, Ranges)>,
}

/// What a client has missed and is being told.
#[derive(Debug)]
pub(crate) struct Missed {
    vanished: Earlier,
    changed: Positions,
}

/// UIDs to be told by VANISHED (EARLIER) (RFC 7162 §3.2.10.1).
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    uids: Ranges,
    told: usize,
}

/// Tells a client that selects another mailbox up to where the one it had is meant
/// (RFC 7162 §3.2.11): whether anything was enabled or not, and in IMAP4rev2 always
/// (RFC 9051 §6.3.2).
pub(crate) fn closed(account: &Authenticated, out: &mut Responses) {
    let offered = [Capability::Condstore, Capability::Qresync];
    let offered = offered.iter().any(|&it| account.offered.has(it));
    if offered || account.enabled.revision() == Revision::Rev2 {
        let text = "Previous mailbox is closed".to_owned();
        out.untagged(Untagged::Status(Status::Ok, Some(Code::Closed), text));
    }
}

/// Refuses what has to be enabled first (RFC 7162 §3.2.3).
pub(crate) fn check(enabled: Enabled) -> Result<(), Refused> {
    if enabled.has(Feature::Qresync) {
        return Ok(());
    }
    Err(Refused::bad("expected ENABLE QRESYNC before"))
}

impl Missed {
    /// What a client that knows this has missed; nothing if the UIDVALIDITY is another one
    /// (RFC 7162 §3.2.5).
    pub(crate) fn new(known: &Known, view: &View) -> Option<Self> {
        let snapshot = view.snapshot();
        if snapshot.uid_validity() != known.uid_validity {
            return None;
        }
        let since = Some(known.mod_seq);
        let (positions, uids) = match &known.uids {
            Some(uids) => {
                let messages = Messages::Uid(uids.clone());
                (view.find(&messages), uids.resolve(0))
            }
            None => {
                let all = std::iter::once(0..snapshot.len());
                (Positions::new(all), Ranges(vec![(1, u32::MAX)]))
            }
        };
        let known_up_to = known.matches.as_ref().and_then(|(numbers, uids)| {
            let matching = last_match(numbers, uids, snapshot);
            matching.map(Uid::get)
        });
        Some(Self {
            vanished: Earlier::new(snapshot, since, &uids.above(known_up_to.unwrap_or(0))),
            changed: changed(&positions, snapshot, since),
        })
    }

    /// Tells some of it: first which messages are gone, then what has changed
    /// (RFC 7162 §3.2.6).
    pub(crate) fn tell(&mut self, view: &View, out: &mut Responses) -> ControlFlow<()> {
        self.vanished.tell(out)?;
        for position in self.changed.by_ref() {
            let message = view.snapshot().get(position);
            if let (Some(seq), Some(message)) = (SeqNum::from_position(position), message) {
                let by_uid = crate::types::ByUid::Yes;
                let items = view.flags_response(message, by_uid);
                out.untagged(view.fetch_response(seq, message, items));
            }
            if out.is_full() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

impl Earlier {
    /// The messages in a set of UIDs that went after a mod-sequence, and that the client does not
    /// count any more.
    pub(crate) fn new(snapshot: &Snapshot, since: Option<ModSeq>, uids: &Ranges) -> Self {
        let vanished = snapshot.vanished_since(since).into_iter();
        let vanished = Ranges(vanished.map(|(a, b)| (a.get(), b.get())).collect());
        Self {
            uids: vanished.intersection(uids),
            told: 0,
        }
    }

    /// The same for UID FETCH with VANISHED (RFC 7162 §3.2.6). `*` is the last UID that was given,
    /// so that `1:*` has also those that are gone from the end.
    pub(crate) fn for_fetch(view: &View, since: Option<ModSeq>, messages: &Messages) -> Self {
        let snapshot = view.snapshot();
        match messages {
            Messages::Seq(_) => Self::default(),
            Messages::Uid(set) => {
                let given = set.resolve(snapshot.uid_next().get() - 1);
                Self::new(snapshot, since, &given)
            }
            Messages::Saved(_) => Self::new(snapshot, since, view.saved.uids()),
        }
    }

    /// Tells some of them.
    pub(crate) fn tell(&mut self, out: &mut Responses) -> ControlFlow<()> {
        while let Some(uids) = some_of(&self.uids, &mut self.told) {
            if out.is_full() {
                self.told -= uids.0.len();
                return ControlFlow::Break(());
            }
            out.untagged(Untagged::VanishedEarlier(uids));
        }
        ControlFlow::Continue(())
    }
}

/// The next ranges that one VANISHED response tells: a line is not to become as long as a mailbox
/// has ranges.
pub(crate) fn some_of(uids: &Ranges, told: &mut usize) -> Option<Ranges> {
    let left = uids.0.get(*told..).unwrap_or_default();
    let some = left.get(..left.len().min(RANGES)).unwrap_or_default();
    *told += some.len();
    (!some.is_empty()).then(|| Ranges(some.to_vec()))
}

/// The UID of the last message that has the number which the client says that it has: up to it, the
/// client knows what is gone (RFC 7162 §3.2.5.2).
fn last_match(numbers: &Ranges, uids: &Ranges, snapshot: &Snapshot) -> Option<Uid> {
    let exists = u32::try_from(snapshot.len()).unwrap_or(u32::MAX);
    let pairs = numbers.numbers().zip(uids.numbers());
    let pairs = pairs.take_while(|(number, _)| *number <= exists);
    let matching = pairs.filter_map(|(number, uid)| {
        let message = snapshot.get(SeqNum::new(number)?.position())?;
        (message.uid().get() == uid).then(|| message.uid())
    });
    matching.last()
}

/// How many ranges one VANISHED response has at the most.
const RANGES: usize = 1000;
