//! What a mailbox held at one moment: immutable, cheap to share, cheap to compare.
//!
//! A snapshot costs 48 bytes and the file name for each message. Readers never wait: a writer
//! builds the next snapshot from a copy that shares every chunk it does not touch, and publishes it
//! in one step.

mod changes;
mod chunk;
mod kept;
mod vanished;

use std::cmp::Ordering;
use std::sync::Arc;

use crate::email_id::EmailId;
use crate::filename::base;
use crate::flag::{FlagSet, Keywords};
use crate::id::{ModSeq, Uid, UidValidity};
pub(crate) use chunk::{Added, Place};
use chunk::{Chunk, MESSAGES, Record};
pub use kept::Kept;
pub(crate) use vanished::{Vanished, VanishedRange};

/// The messages of a mailbox at one moment, ascending by UID, and what is known about the whole.
///
/// A vector of [`Arc`] chunks: a change replaces only the chunks it touches, so two snapshots of
/// one mailbox share the rest, and comparing them skips what is shared.
#[derive(Clone, Debug)]
pub struct Snapshot {
    uid_validity: UidValidity,
    uid_next: Uid,
    first_recent: Uid,
    highest_mod_seq: ModSeq,
    keywords: Arc<Keywords>,
    /// The UIDs that were expunged.
    vanished: Arc<Vanished>,
    chunks: Vec<Arc<Chunk>>,
    /// The position of each chunk's first message.
    starts: Vec<usize>,
    len: usize,
    in_new: usize,
    mailbox_id: u128,
    era: Arc<Era>,
}

/// The time between two removals of messages. While any snapshot of an era lives, a session may
/// still ask for the messages that were removed at its end or later.
#[derive(Debug)]
pub(crate) struct Era;

/// A message in a [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    chunk: &'a Chunk,
    record: &'a Record,
}

/// Messages that are one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a>(&'a Chunk);

impl<'a> Run<'a> {
    /// The messages, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = Message<'a>> {
        let Self(chunk) = self;
        let records = chunk.records.iter();
        records.map(move |record| Message { chunk, record })
    }

    /// Their file names one after the other, if they are together like this.
    pub(crate) fn names(self) -> Option<&'a [u8]> {
        self.0.all_names()
    }
}

/// What changed from one snapshot to a newer one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Messages that the older one has and the newer one has not, ascending.
    pub expunged: Vec<Uid>,
    /// Messages in both whose flags differ, ascending.
    pub changed: Vec<Uid>,
    /// Messages in both whose flags are the same and whose mod-sequences differ, ascending: what
    /// was changed was changed back.
    pub touched: Vec<Uid>,
    /// Messages that only the newer one has, ascending. All are above those of the older one.
    pub added: Vec<Uid>,
}

impl Snapshot {
    /// The mailbox's UIDVALIDITY.
    pub fn uid_validity(&self) -> UidValidity {
        self.uid_validity
    }

    /// The UID that the next message will have at the least (UIDNEXT).
    pub fn uid_next(&self) -> Uid {
        self.uid_next
    }

    /// The highest mod-sequence of the mailbox.
    pub fn highest_mod_seq(&self) -> ModSeq {
        self.highest_mod_seq
    }

    /// The first UID that no session has claimed as `\Recent` yet.
    pub fn first_recent(&self) -> Uid {
        self.first_recent
    }

    /// The mailbox's keywords.
    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// A number that no other mailbox has, kept over renames (RFC 8474 §4.1).
    pub fn mailbox_id(&self) -> u128 {
        self.mailbox_id
    }

    /// What another server knew of a message and a Maildir does not hold.
    pub fn kept(&self, uid: Uid) -> Option<&Kept> {
        self.chunks.get(self.chunk_of(uid))?.kept(uid)
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message at a position, counted from 0 (the sequence number less one).
    pub fn get(&self, position: usize) -> Option<Message<'_>> {
        let at = self.starts.partition_point(|start| *start <= position);
        let at = at.checked_sub(1)?;
        let offset = position.checked_sub(*self.starts.get(at)?)?;
        Message::at(self.chunks.get(at)?, offset)
    }

    /// The message with a UID.
    pub fn by_uid(&self, uid: Uid) -> Option<Message<'_>> {
        let chunk = self.chunks.get(self.chunk_of(uid))?;
        Message::at(chunk, chunk.find(uid).ok()?)
    }

    /// The position of a UID, counted from 0.
    pub fn position(&self, uid: Uid) -> Option<usize> {
        let at = self.chunk_of(uid);
        let offset = self.chunks.get(at)?.find(uid).ok()?;
        Some(self.starts.get(at)? + offset)
    }

    /// The position of the first message whose UID is `uid` or above ([`Self::len`] if none).
    pub fn lower_bound(&self, uid: Uid) -> usize {
        let at = self.chunk_of(uid);
        match (self.chunks.get(at), self.starts.get(at)) {
            (Some(chunk), Some(start)) => start + chunk.find(uid).unwrap_or_else(|place| place),
            _ => self.len,
        }
    }

    /// The octets of the files of all messages. `ask` is for those whose names do not tell.
    pub(crate) fn octets(&self, ask: impl Fn(Message<'_>) -> Option<u64>) -> u64 {
        let octets = self
            .chunks
            .iter()
            .map(|chunk| chunk.octets(|record| ask(Message { chunk, record })));
        octets.fold(0, u64::saturating_add)
    }

    /// All messages, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.runs().flat_map(Run::iter)
    }

    /// The messages in runs, ascending.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.chunks.iter().map(|chunk| Run(chunk))
    }

    /// The messages from a position on, counted from 0, ascending.
    pub fn iter_from(&self, position: usize) -> impl Iterator<Item = Message<'_>> {
        let at = self.starts.partition_point(|start| *start <= position);
        let at = at.saturating_sub(1);
        let skipped = position.saturating_sub(self.starts.get(at).copied().unwrap_or(0));
        let chunks = self.chunks.get(at..).unwrap_or_default().iter();
        chunks.enumerate().flat_map(move |(index, chunk)| {
            let from = if index == 0 { skipped } else { 0 };
            let records = chunk.records.get(from..).unwrap_or_default().iter();
            records.map(move |record| Message { chunk, record })
        })
    }

    /// What a client that knows `self` must be told to know `newer`. Skips shared chunks.
    pub fn difference(&self, newer: &Self) -> Difference {
        let mut difference = Difference::default();
        if self.uid_validity != newer.uid_validity {
            difference.expunged = self.iter().map(|message| message.uid()).collect();
            difference.added = newer.iter().map(|message| message.uid()).collect();
            return difference;
        }
        merge(self, newer, |step| match step {
            Step::Shared(_) => {}
            Step::Old(old) => difference.expunged.push(old.uid()),
            Step::New(new) => difference.added.push(new.uid()),
            Step::Both(old, new) if old.flags() != new.flags() => {
                difference.changed.push(new.uid());
            }
            Step::Both(old, new) if old.mod_seq() != new.mod_seq() => {
                difference.touched.push(new.uid());
            }
            Step::Both(..) => {}
        });
        difference
    }

    /// `newer` with the messages of `self` that it lacks put back in their places: what a client
    /// may be told while EXPUNGE must not be sent (RFC 3501 §7.4.1). Is `newer` itself if nothing
    /// is missing.
    #[must_use]
    pub fn keeping_expunged(self: &Arc<Self>, newer: &Arc<Self>) -> Arc<Self> {
        if self.uid_validity != newer.uid_validity || self.difference(newer).expunged.is_empty() {
            return Arc::clone(newer);
        }
        let mut kept = Self {
            chunks: Vec::with_capacity(newer.chunks.len() + 1),
            era: Arc::clone(&self.era),
            ..Self::clone(newer)
        };
        merge(self, newer, |step| match step {
            Step::Shared(chunk) => kept.chunks.push(Arc::clone(chunk)),
            Step::Old(message) | Step::New(message) | Step::Both(_, message) => {
                kept.push_message(message);
            }
        });
        kept.reindex();
        Arc::new(kept)
    }

    /// This with what `newer` says of some messages (ascending), and of no others: what a client may
    /// know that wants to hear of nothing but its own changes.
    #[must_use]
    pub fn taking(self: &Arc<Self>, newer: &Arc<Self>, uids: &[Uid]) -> Arc<Self> {
        if self.uid_validity != newer.uid_validity {
            return Arc::clone(self);
        }
        let is_taken = |uid: Uid| uids.binary_search(&uid).is_ok();
        let mut taken = Self {
            chunks: Vec::with_capacity(self.chunks.len() + 1),
            keywords: Arc::clone(&newer.keywords),
            ..Self::clone(self)
        };
        merge(self, newer, |step| match step {
            Step::Shared(chunk) => taken.chunks.push(Arc::clone(chunk)),
            Step::Old(old) if !is_taken(old.uid()) => taken.push_message(old),
            Step::New(new) if is_taken(new.uid()) => taken.push_message(new),
            Step::Old(_) | Step::New(_) => {}
            Step::Both(_, new) if is_taken(new.uid()) => taken.push_message(new),
            Step::Both(old, _) => taken.push_message(old),
        });
        taken.reindex();
        Arc::new(taken)
    }
}

/// What the index does to its working copy.
impl Snapshot {
    /// A mailbox without messages.
    pub(crate) fn empty(uid_validity: UidValidity) -> Self {
        Self {
            uid_validity,
            uid_next: Uid::MIN,
            first_recent: Uid::MIN,
            highest_mod_seq: ModSeq::MIN,
            keywords: Arc::default(),
            vanished: Arc::default(),
            chunks: Vec::new(),
            starts: Vec::new(),
            len: 0,
            in_new: 0,
            mailbox_id: 0,
            era: Arc::new(Era),
        }
    }

    /// Adds a message above all others; `false` if that cannot be.
    #[must_use]
    pub(crate) fn push(&mut self, added: &Added<impl AsRef<[u8]>>) -> bool {
        let Some(next) = added.uid.next() else {
            return false;
        };
        if added.uid < self.uid_next || !self.open_chunk().is_some_and(|chunk| chunk.push(added)) {
            return false;
        }
        self.uid_next = next;
        self.raise_mod_seq(added.mod_seq);
        true
    }

    /// Gives a message flags, a mod-sequence, a place and a name; `false` if the name cannot be.
    /// A message that is not there is ignored.
    #[must_use]
    pub(crate) fn update(
        &mut self,
        uid: Uid,
        (flags, mod_seq): (FlagSet, ModSeq),
        place: Place,
        name: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> bool {
        self.raise_mod_seq(mod_seq);
        let Some((chunk, at)) = self.find_mut(uid) else {
            return true;
        };
        let Some(record) = chunk.restyle(at, (flags, mod_seq), place) else {
            return true;
        };
        name(chunk.name(&record)).is_some_and(|name| chunk.rename(at, &name))
    }

    /// Keeps what another server knew of a message. A message that is not there is ignored.
    pub(crate) fn keep(&mut self, uid: Uid, kept: Kept) {
        if let Some((chunk, _)) = self.find_mut(uid) {
            chunk.keep(uid, kept);
        }
    }

    /// All that is kept of messages, ascending.
    pub(crate) fn all_kept(&self) -> impl Iterator<Item = (Uid, &Kept)> {
        let kept = self.chunks.iter().flat_map(|chunk| &chunk.kept);
        kept.map(|(uid, kept)| (*uid, kept))
    }

    /// Says which mailbox it is.
    pub(crate) fn set_mailbox_id(&mut self, mailbox_id: u128) {
        self.mailbox_id = mailbox_id;
    }

    /// Remembers a size and a date.
    pub(crate) fn learn(&mut self, uid: Uid, size: Option<u64>, date: Option<i64>) {
        if let Some((chunk, at)) = self.find_mut(uid)
            && let Some(record) = chunk.records.get_mut(at)
        {
            record.learn(size, date);
        }
    }

    /// Removes the messages from `first` to `last` and gives their UIDs.
    pub(crate) fn remove(&mut self, first: Uid, last: Uid) -> Vec<Uid> {
        let mut gone = Vec::new();
        let mut emptied = false;
        let start = self.chunk_of(first);
        for chunk in self.chunks.iter_mut().skip(start) {
            match chunk.records.first() {
                Some(record) if record.uid > last => break,
                _ => Arc::make_mut(chunk).remove(first, last, &mut gone),
            }
            emptied |= chunk.records.is_empty();
        }
        if emptied {
            self.chunks.retain(|chunk| !chunk.records.is_empty());
        }
        if !gone.is_empty() {
            self.era = Arc::new(Era);
        }
        gone
    }

    /// Gives every message the same mod-sequence.
    pub(crate) fn touch_all(&mut self, mod_seq: ModSeq) {
        self.raise_mod_seq(mod_seq);
        for chunk in &mut self.chunks {
            Arc::make_mut(chunk).touch(mod_seq);
        }
    }

    /// Raises UIDNEXT, the first recent UID and the highest mod-sequence; none ever goes back.
    pub(crate) fn raise(&mut self, uid_next: Uid, first_recent: Uid, mod_seq: ModSeq) {
        self.uid_next = self.uid_next.max(uid_next);
        self.first_recent = self.first_recent.max(first_recent);
        self.raise_mod_seq(mod_seq);
    }

    /// Puts the keywords in place.
    pub(crate) fn set_keywords(&mut self, keywords: Keywords) {
        self.keywords = Arc::new(keywords);
    }

    /// Counts again after changes; without it, positions are wrong.
    pub(crate) fn reindex(&mut self) {
        self.starts.clear();
        self.len = 0;
        self.in_new = 0;
        for chunk in &self.chunks {
            self.starts.push(self.len);
            self.len += chunk.records.len();
            self.in_new += chunk.in_new();
        }
    }

    /// How many messages are in `new/`.
    pub(crate) fn in_new(&self) -> usize {
        self.in_new
    }

    /// The era it belongs to.
    pub(crate) fn era(&self) -> &Arc<Era> {
        &self.era
    }

    /// Whether it is the same in everything, by the chunks it shares.
    pub(crate) fn is_identical(&self, other: &Self) -> bool {
        let shared = |(a, b): (&Arc<Chunk>, &Arc<Chunk>)| Arc::ptr_eq(a, b);
        self.has_same_numbers(other)
            && self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(shared)
    }

    /// Whether no session would notice a difference.
    pub(crate) fn looks_like(&self, other: &Self) -> bool {
        self.has_same_numbers(other) && self.difference(other) == Difference::default()
    }

    fn has_same_numbers(&self, other: &Self) -> bool {
        let keywords =
            Arc::ptr_eq(&self.keywords, &other.keywords) || self.keywords == other.keywords;
        keywords
            && self.uid_validity == other.uid_validity
            && self.uid_next == other.uid_next
            && self.first_recent == other.first_recent
            && self.highest_mod_seq == other.highest_mod_seq
            && self.len == other.len
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let chunks = self.chunks.iter();
        let messages: usize = chunks.map(|chunk| chunk.bytes()).sum();
        // Each chunk: itself, its two counts of references, its place in both vectors.
        let chunk = size_of::<Chunk>() + 4 * size_of::<usize>();
        messages + self.chunks.len() * chunk + size_of::<Self>()
    }

    fn raise_mod_seq(&mut self, mod_seq: ModSeq) {
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
    }

    /// The chunk that has `uid`, if any has it.
    fn chunk_of(&self, uid: Uid) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.last_uid().is_some_and(|last| last < uid))
    }

    fn find_mut(&mut self, uid: Uid) -> Option<(&mut Chunk, usize)> {
        let at = self.chunk_of(uid);
        let chunk = self.chunks.get_mut(at)?;
        let offset = chunk.find(uid).ok()?;
        Some((Arc::make_mut(chunk), offset))
    }

    /// The chunk that takes the next message.
    fn open_chunk(&mut self) -> Option<&mut Chunk> {
        let room = |chunk: &Arc<Chunk>| chunk.records.len() < MESSAGES;
        if !self.chunks.last().is_some_and(room) {
            let like_last = self.chunks.last().map(|last| Chunk::like(last));
            self.chunks.push(Arc::new(like_last.unwrap_or_default()));
        }
        self.chunks.last_mut().map(Arc::make_mut)
    }

    /// Puts a message of another snapshot at the end.
    fn push_message(&mut self, message: Message<'_>) {
        let Some(chunk) = self.open_chunk() else {
            return;
        };
        let fits = chunk.push_from(message.chunk, message.record);
        debug_assert!(fits, "a name that fitted once fits again");
    }
}

impl<'a> Message<'a> {
    /// The message's UID.
    pub fn uid(&self) -> Uid {
        self.record.uid
    }

    /// What another server knew of it and a Maildir does not hold.
    pub fn kept(&self) -> Option<&'a Kept> {
        self.chunk.kept(self.record.uid)
    }

    /// Its flags.
    pub fn flags(&self) -> FlagSet {
        self.record.flags
    }

    /// Its mod-sequence.
    pub fn mod_seq(&self) -> ModSeq {
        self.record.mod_seq
    }

    /// Its size in CRLF form (RFC822.SIZE), if it is known without reading the file.
    pub fn rfc822_size(&self) -> Option<u64> {
        self.record.size()
    }

    /// Its internal date in seconds since 1970, if it is known without asking the file system.
    pub fn internal_date(&self) -> Option<i64> {
        self.record.date()
    }

    /// The base name of its file, all before the first `:`, which never changes.
    pub fn base_name(&self) -> &'a [u8] {
        base(self.file_name())
    }

    /// What its copies have in common with it, and no other message (RFC 8474 §5.1).
    pub fn email_id(&self) -> EmailId {
        let guid = self.kept().and_then(|kept| kept.guid.as_deref());
        EmailId::of(guid.unwrap_or_else(|| self.base_name()))
    }

    /// When it was saved in this mailbox in seconds since 1970, if that is known (RFC 8514 §3).
    pub fn save_date(&self) -> Option<i64> {
        (self.record.saved != 0).then_some(self.record.saved.into())
    }

    /// When it was saved in this mailbox in seconds since 1970, 0 if unknown.
    pub(crate) fn saved(&self) -> u32 {
        self.record.saved
    }

    /// The directory of its file.
    pub(crate) fn place(&self) -> Place {
        self.record.place
    }

    /// The name of its file.
    pub(crate) fn file_name(&self) -> &'a [u8] {
        self.chunk.name(self.record)
    }

    fn at(chunk: &'a Chunk, offset: usize) -> Option<Self> {
        let record = chunk.records.get(offset)?;
        Some(Self { chunk, record })
    }
}

/// One step of walking through two snapshots side by side.
enum Step<'a> {
    /// Both have this very chunk.
    Shared(&'a Arc<Chunk>),
    /// Only the older one has this message.
    Old(Message<'a>),
    /// Only the newer one has it.
    New(Message<'a>),
    /// Both have it, in different chunks.
    Both(Message<'a>, Message<'a>),
}

/// Walks through two snapshots of one mailbox by UID.
fn merge<'a>(old: &'a Snapshot, new: &'a Snapshot, mut visit: impl FnMut(Step<'a>)) {
    let (mut a, mut b) = (Cursor::new(old), Cursor::new(new));
    loop {
        if let (Some(x), Some(y)) = (a.whole_chunk(), b.whole_chunk())
            && Arc::ptr_eq(x, y)
        {
            visit(Step::Shared(y));
            a.skip_chunk();
            b.skip_chunk();
            continue;
        }
        match (a.peek(), b.peek()) {
            (None, None) => return,
            (Some(x), None) => {
                visit(Step::Old(x));
                a.advance();
            }
            (None, Some(y)) => {
                visit(Step::New(y));
                b.advance();
            }
            (Some(x), Some(y)) => match x.uid().cmp(&y.uid()) {
                Ordering::Less => {
                    visit(Step::Old(x));
                    a.advance();
                }
                Ordering::Greater => {
                    visit(Step::New(y));
                    b.advance();
                }
                Ordering::Equal => {
                    visit(Step::Both(x, y));
                    a.advance();
                    b.advance();
                }
            },
        }
    }
}

/// A place in a snapshot.
struct Cursor<'a> {
    chunks: &'a [Arc<Chunk>],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            chunks: &snapshot.chunks,
            offset: 0,
        }
    }

    fn peek(&self) -> Option<Message<'a>> {
        Message::at(self.chunks.first()?, self.offset)
    }

    /// The chunk that begins here.
    fn whole_chunk(&self) -> Option<&'a Arc<Chunk>> {
        self.chunks.first().filter(|_| self.offset == 0)
    }

    fn skip_chunk(&mut self) {
        self.chunks = self.chunks.get(1..).unwrap_or_default();
        self.offset = 0;
    }

    fn advance(&mut self) {
        self.offset += 1;
        if self.peek().is_none() {
            self.skip_chunk();
        }
    }
}

#[cfg(test)]
mod tests;
