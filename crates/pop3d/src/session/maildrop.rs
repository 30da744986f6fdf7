//! The maildrop of a session: a snapshot of INBOX under the exclusive lock, with the marks of DELE
//! (RFC 1939 §4, §5).
//!
//! Invariant: the message with message-number n is the one at position n - 1 of the listing, from
//! the login to the end, whatever happens to the mailbox meanwhile. The listing is the snapshot,
//! but messages to which another server gave a place come first, in the order of these places: a
//! client that goes by message-numbers sees them as before.

mod unique_ids;

use std::sync::Arc;

use auth::Identity;
use mailstore::{
    Error, Mailbox, MailboxName, MaildropLock, Message, MessageFile, Snapshot, Uid, Watch,
};

use crate::command::MsgNum;
use crate::error::{Refused, severity};
use crate::settings::Settings;
use unique_ids::UniqueIds;

/// An open and locked maildrop.
pub(super) struct Maildrop {
    mailbox: Arc<Mailbox>,
    snapshot: Arc<Snapshot>,
    /// Where in the snapshot the messages of the listing are; nothing if the listing is the
    /// snapshot.
    order: Option<Arc<[usize]>>,
    marks: Vec<Mark>,
    /// The size in CRLF form of each message, or [`UNKNOWN`]. What was read counts for more than
    /// what was noted.
    octets: Vec<u64>,
    unique_ids: UniqueIds,
    /// Keeps the bytes of messages readable that somebody else expunges meanwhile.
    watch: Watch,
    _lock: MaildropLock,
}

/// Whether a message may still be referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// It may.
    Kept,
    /// DELE has marked it.
    Deleted,
    /// Somebody else has removed it, or it cannot be read.
    Gone,
}

impl Maildrop {
    /// Locks and opens the maildrop of a user. May touch the disk.
    pub(super) fn open(settings: &Settings, identity: &Identity) -> Result<Self, Refused> {
        let account = settings.store.account(&identity.mail).map_err(not_opened)?;
        // What is removed here is told to whoever counts.
        account.set_policy(settings.quotas.of(&identity.name));
        let lock = account.lock_maildrop().map_err(|error| {
            if matches!(error, Error::Locked) {
                Refused::MaildropInUse
            } else {
                not_opened(error)
            }
        })?;
        let mailbox = account.open(&MailboxName::inbox()).map_err(not_opened)?;
        // The watch comes first: what is expunged after the snapshot stays readable. Opening it
        // has looked at the directories.
        let watch = mailbox.hold();
        let snapshot = mailbox.snapshot();
        let order = order(&snapshot);
        Ok(Self {
            marks: vec![Mark::Kept; snapshot.len()],
            octets: sizes(&mailbox, &snapshot, order.as_deref()),
            unique_ids: UniqueIds::new(&settings.uidl_format, snapshot.len()),
            mailbox,
            snapshot,
            order,
            watch,
            _lock: lock,
        })
    }

    /// Marks a message as deleted.
    pub(super) fn delete(&mut self, number: MsgNum) -> Result<(), Refused> {
        let position = self.position(number)?;
        self.mark(position, Mark::Deleted);
        Ok(())
    }

    /// Takes all marks of DELE away.
    pub(super) fn reset(&mut self) {
        for mark in &mut self.marks {
            if *mark == Mark::Deleted {
                *mark = Mark::Kept;
            }
        }
    }

    /// Learns the sizes of messages from `next` on, for one slice of work; gives the position to go
    /// on from, or nothing if all are known. May touch the disk.
    pub(super) fn measure(&mut self, next: usize) -> Option<usize> {
        let unknown = (next..self.marks.len()).filter(|position| !self.is_measured(*position));
        let positions: Vec<usize> = unknown.take(SLICE_MESSAGES).collect();
        let messages = positions.iter().map_while(|at| self.message(*at));
        let messages: Vec<Message<'_>> = messages.collect();
        let sizes = self.mailbox.rfc822_sizes(&messages);
        for (position, size) in positions.iter().zip(&sizes) {
            match size {
                Ok(octets) => self.learn(*position, *octets),
                Err(error) => drop(self.lost(*position, error)),
            }
        }
        let last = positions.get(sizes.len().checked_sub(1)?)?;
        Some(last + 1)
    }

    /// The size of a message, reading it if need be. May touch the disk.
    pub(super) fn measure_one(&mut self, position: usize) -> Result<u64, Refused> {
        if let Some(octets) = self.known_octets(position) {
            return Ok(octets);
        }
        let number = MsgNum::at(position);
        let message = self.message(position).ok_or(Refused::Gone(number))?;
        match self.mailbox.rfc822_size(message) {
            Ok(octets) => {
                self.learn(position, octets);
                Ok(octets)
            }
            Err(error) => Err(self.lost(position, &error)),
        }
    }

    /// Opens a message for reading. May touch the disk.
    pub(super) fn read(&mut self, position: usize) -> Result<MessageFile, Refused> {
        let number = MsgNum::at(position);
        let message = self.message(position).ok_or(Refused::Gone(number))?;
        match self.mailbox.read(message) {
            Ok(file) => Ok(file),
            Err(error) => Err(self.lost(position, &error)),
        }
    }

    /// Notes the size of a message that was read to its end.
    pub(super) fn note_octets(&mut self, position: usize, octets: u64) {
        if self.known_octets(position) == Some(octets) {
            return;
        }
        self.learn(position, octets);
        if let Some(message) = self.message(position) {
            self.mailbox.note_rfc822_size(message.uid(), octets);
        }
    }

    /// The position of a message that may be referred to.
    pub(super) fn position(&self, number: MsgNum) -> Result<usize, Refused> {
        let found = number
            .position()
            .and_then(|position| Some((position, self.marks.get(position)?)));
        match found {
            Some((position, Mark::Kept)) => Ok(position),
            Some((_, Mark::Deleted)) => Err(Refused::AlreadyDeleted(number)),
            Some((_, Mark::Gone)) => Err(Refused::Gone(number)),
            None => Err(Refused::NoSuchMessage(self.marks.len())),
        }
    }

    /// How many messages there are, and their octets, without those marked (RFC 1939 §5). Octets
    /// that are not known count as none.
    pub(super) fn totals(&self) -> (usize, u64) {
        let all = self.marks.iter().zip(&self.octets);
        let kept = all.filter(|(mark, _)| **mark == Mark::Kept);
        kept.fold((0, 0), |(messages, total), (_, octets)| {
            let octets = Some(*octets).filter(|octets| *octets != UNKNOWN);
            (messages + 1, total + octets.unwrap_or_default())
        })
    }

    /// Whether the size of the message at a position is known, or of no interest.
    pub(super) fn is_measured(&self, position: usize) -> bool {
        self.marks.get(position) == Some(&Mark::Gone) || self.known_octets(position).is_some()
    }

    /// Whether every size is known.
    pub(super) fn all_measured(&self) -> bool {
        (0..self.marks.len()).all(|position| self.is_measured(position))
    }

    /// The first message from `position` on that may be referred to.
    pub(super) fn first_kept(&self, position: usize) -> Option<usize> {
        let rest = self.marks.get(position..)?;
        let offset = rest.iter().position(|mark| *mark == Mark::Kept)?;
        Some(position + offset)
    }

    /// The size of a message as far as it is known.
    pub(super) fn octets(&self, position: usize) -> u64 {
        self.known_octets(position).unwrap_or_default()
    }

    /// The messages that DELE has marked.
    pub(super) fn marked(&self) -> Vec<Uid> {
        let marked = (0..).zip(&self.marks);
        let marked = marked.filter(|(_, mark)| **mark == Mark::Deleted);
        let uids = marked.filter_map(|(position, _)| Some(self.message(position)?.uid()));
        uids.collect()
    }

    /// Removes messages for good. May touch the disk.
    pub(super) fn expunge(&self, uids: &[Uid]) -> mailstore::Result<()> {
        self.watch.expunge(uids).map(drop)
    }

    /// The message at a position of the listing.
    fn message(&self, position: usize) -> Option<Message<'_>> {
        message(&self.snapshot, self.order.as_deref(), position)
    }

    /// Marks a message.
    fn mark(&mut self, position: usize, mark: Mark) {
        if let Some(entry) = self.marks.get_mut(position) {
            *entry = mark;
        }
    }

    /// The size of a message, if it is known.
    fn known_octets(&self, position: usize) -> Option<u64> {
        let octets = self.octets.get(position).copied();
        octets.filter(|octets| *octets != UNKNOWN)
    }

    /// Notes the size of a message for this session.
    fn learn(&mut self, position: usize, octets: u64) {
        if let Some(known) = self.octets.get_mut(position) {
            *known = octets;
        }
    }

    /// A message turned out to be out of reach: it is not listed any more, so that one bad file
    /// does not hide the others.
    fn lost(&mut self, position: usize, error: &Error) -> Refused {
        let number = MsgNum::at(position);
        self.mark(position, Mark::Gone);
        if matches!(error, Error::Expunged) {
            return Refused::Gone(number);
        }
        tracing::error!(%error, "message could not be read");
        Refused::Unreadable(number)
    }
}

/// The sizes that are known, in the order of the listing.
fn sizes(mailbox: &Mailbox, snapshot: &Snapshot, order: Option<&[usize]>) -> Vec<u64> {
    let known = mailbox.known_sizes(snapshot);
    match order {
        None => known.into_iter().map(|it| it.unwrap_or(UNKNOWN)).collect(),
        Some(order) => {
            let at = |at: &usize| known.get(*at).copied().flatten().unwrap_or(UNKNOWN);
            order.iter().map(at).collect()
        }
    }
}

/// The order of the listing, if it is not that of the snapshot: first the messages with a place in
/// the listing of the server before (`O` in `dovecot-uidlist`), then the others.
fn order(snapshot: &Snapshot) -> Option<Arc<[usize]>> {
    let place = |message: Message<'_>| message.kept().and_then(|kept| kept.order);
    if snapshot.iter().all(|message| place(message).is_none()) {
        return None;
    }
    let places: Vec<Option<u32>> = snapshot.iter().map(place).collect();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|at| {
        let place = places.get(*at).copied().flatten();
        (place.is_none(), place)
    });
    Some(order.into())
}

/// The message at a position of the listing.
fn message<'a>(
    snapshot: &'a Snapshot,
    order: Option<&[usize]>,
    position: usize,
) -> Option<Message<'a>> {
    let at = match order {
        None => position,
        Some(order) => *order.get(position)?,
    };
    snapshot.get(at)
}

/// The maildrop could not be opened.
fn not_opened(error: Error) -> Refused {
    tracing::error!(%error, "maildrop could not be opened");
    Refused::NotOpened(severity(&error))
}

/// A size that is not known: no message is so large.
const UNKNOWN: u64 = u64::MAX;

/// How many sizes one slice of work learns; the store reads a few at a time.
const SLICE_MESSAGES: usize = 400;
