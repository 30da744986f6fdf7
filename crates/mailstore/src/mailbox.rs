//! An open mailbox, shared by all sessions of the process.
//!
//! # Who sees what, and when
//!
//! There is one writer at a time: a mutex in the process, then the kernel's lock on
//! `pillarbox.lock`. A writer works in this order: refresh the index → file-system work → one
//! append to the index → sync → unlock → publish the new snapshot → wake the watchers. Readers take
//! the published snapshot and never wait for a writer.
//!
//! A UID or an expunge is published only when it is on the disk, whoever wrote it. Flags may be
//! published earlier ([`Fsync::Optimized`](crate::Fsync::Optimized)).
//!
//! | Operation | Order |
//! |---|---|
//! | append | file in `tmp/`, fsync → lock → rename into `cur/` → frame → fdatasync of the index → fsync of `cur/` |
//! | copy | fsync of the file (`transfer::copy` says when) → lock → link in `cur/` → as for append |
//! | flags | lock → rename in `cur/` → frame |
//! | expunge | lock → remove → fsync of `cur/` → frame → fdatasync of the index |
//! | move | fsync of the file, as for copy → lock both → note (`transfer::unfinished`) → link in `cur/` of the target → as for append → as for expunge → note away |
//! | replace | as for append, up to `cur/` → fsync of `cur/` → remove the old → fsync of `cur/` → frame for both → fdatasync of the index; between two mailboxes as for append, then as for expunge, under both locks |
//!
//! A crash in between leaves files that differ from the index, and the next look at the
//! directories (`sync`) mends the index: the files are the truth.
//!
//! A mailbox that was deleted, renamed or given a new UIDVALIDITY is *gone* for all who have it
//! open: every call gives [`Error::NotFound`].

mod change;
mod directories;
mod export;
mod graveyard;
mod quota;
mod read;
mod takeover;
mod transaction;
mod transfer;
mod writer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::task::Waker;
use std::time::{Duration, SystemTime};

use crate::acl::{Acl, Rights, Who};
use crate::cache::{Cache, Cached, Record};
use crate::content::MessageFile;
use crate::deliver::Staged;
use crate::error::{Error, Result};
use crate::file_system::Reach;
use crate::flag::{FlagChange, FlagMask};
use crate::foreign::served;
use crate::id::{ModSeq, Uid, UidValidity};
use crate::index::{Force, Index, State};
use crate::name::MailboxName;
use crate::quota::{Adding, Ledger, Usage};
use crate::snapshot::{Message, Snapshot};
use crate::store::{Environment, Options};
use crate::sync;
use crate::watch::{Observation, Slot, Watch, WatchId, Watchers};
use graveyard::Graveyard;
use read::Learned;
use writer::{Looks, Writer};

pub(crate) use writer::LOCK;

pub use transfer::Moving;

/// A mailbox. All methods may be called by many sessions at once; they block on the disk.
#[derive(Debug)]
pub struct Mailbox {
    name: MailboxName,
    root: PathBuf,
    directory: PathBuf,
    environment: Arc<Environment>,
    published: RwLock<Arc<Snapshot>>,
    writer: Mutex<Writer>,
    looks: Looks,
    /// What was learned by reading files and is not in the index yet.
    learned: Mutex<BTreeMap<Uid, Learned>>,
    graveyard: Mutex<Graveyard>,
    watchers: Watchers,
    /// What the kernel notices of it.
    notices: Slot,
    /// Whether the kernel notices all changes of it.
    reach: Reach,
    /// A directory modified less than this before a scan may still change unseen.
    guard: Duration,
    gone: AtomicBool,
    cache: Cache,
    /// Whether the UIDs last: not if the index is only in memory.
    lasting: AtomicBool,
    /// Whether a claim has left messages in `new/` that are to be moved to `cur/`.
    left_in_new: AtomicBool,
    /// How many messages of a snapshot are unseen, for the one that was asked for last.
    unseen: Mutex<Option<(Weak<Snapshot>, usize)>>,
    /// What the account holds, so that its limits are known as long as the mailbox is in use.
    ledger: OnceLock<Arc<Ledger>>,
}

/// A message to append.
#[derive(Debug)]
pub struct Appending {
    /// The bytes, staged in this mailbox ([`Mailbox::stage`]).
    pub staged: Staged,
    /// Its flags, as [`FlagOp::Replace`](crate::FlagOp::Replace).
    pub flags: FlagChange,
    /// Its internal date; the present if not given (RFC 3501 §6.3.11).
    pub internal_date: Option<SystemTime>,
}

/// What [`Mailbox::store_flags_unchanged`] did.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The newest messages.
    pub snapshot: Arc<Snapshot>,
    /// The messages that were left as they are because they had been changed, ascending.
    pub modified: Vec<Uid>,
}

/// What [`Mailbox::append`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The new messages' UIDs, in the order given.
    pub uids: Vec<Uid>,
}

/// What [`Mailbox::copy_to`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The target's UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// Source and target UID of each message, ascending.
    pub uids: Vec<(Uid, Uid)>,
}

/// How a mailbox is indexed again on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Under a new UIDVALIDITY.
    Anew,
    /// From another server's list.
    FromList,
}

impl Mailbox {
    /// The mailbox's name when it was opened.
    pub fn name(&self) -> &MailboxName {
        &self.name
    }

    /// The newest snapshot known to this process; no I/O.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let published = self.published.read();
        Arc::clone(&published.unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at what other programs and processes did, and gives the newest snapshot. Costs two or
    /// three `stat` calls if nothing happened.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the mailbox has been deleted.
    pub fn refresh(&self) -> Result<Arc<Snapshot>> {
        self.look()?;
        Ok(self.snapshot())
    }

    /// As [`refresh`](Self::refresh) for a session whose waker was called: what is new may come
    /// later, by another session's hand; then the waker is called again.
    ///
    /// # Errors
    /// As for [`refresh`](Self::refresh).
    pub fn refresh_woken(&self) -> Result<Arc<Snapshot>> {
        self.look_if_needed()?;
        Ok(self.snapshot())
    }

    /// Moves messages from `new/` to `cur/` and claims for the caller all messages that nobody
    /// has claimed as `\Recent` yet (RFC 3501 §2.3.2): at SELECT and when new messages are
    /// noticed, never for EXAMINE or STATUS. Gives the claimed UID range, possibly empty. If there
    /// are very many, all are claimed, but some are left to be moved by
    /// [`Store::flush`](crate::Store::flush).
    ///
    /// # Errors
    /// If the index cannot be written.
    pub fn claim_recent(&self) -> Result<Range<u32>> {
        self.claim()
    }

    /// Opens a message's file, wherever it is by now.
    ///
    /// # Errors
    /// [`Error::Expunged`] if its bytes are gone.
    pub fn read(&self, message: Message<'_>) -> Result<MessageFile> {
        self.open_message(message)
    }

    /// The message's size in CRLF form (RFC822.SIZE); reads the file once if it is not known yet,
    /// and remembers it.
    ///
    /// # Errors
    /// [`Error::Expunged`] if its bytes are gone.
    pub fn rfc822_size(&self, message: Message<'_>) -> Result<u64> {
        self.learn_size(message)
    }

    /// The sizes of the first of these messages as [`Self::rfc822_size`] gives them, one at the
    /// least and as many as can be had in a slice of work. Cheaper than one at a time.
    ///
    /// # Errors
    /// For each message for itself.
    pub fn rfc822_sizes(&self, messages: &[Message<'_>]) -> Vec<Result<u64>> {
        self.learn_sizes(messages)
    }

    /// The sizes in CRLF form of the messages of a snapshot, in its order, as far as they are known;
    /// no I/O.
    pub fn known_sizes(&self, snapshot: &Snapshot) -> Vec<Option<u64>> {
        self.sizes_at_hand(snapshot)
    }

    /// How many messages of a snapshot are not `\Seen`. Counted once for all sessions that ask about
    /// the same one after each other.
    pub fn unseen(&self, snapshot: &Arc<Snapshot>) -> usize {
        self.count_unseen(snapshot)
    }

    /// The message's internal date in seconds since 1970; asks the file system once if it is not
    /// known yet, and remembers it.
    ///
    /// # Errors
    /// [`Error::Expunged`] if its file is gone.
    pub fn internal_date(&self, message: Message<'_>) -> Result<i64> {
        self.learn_date(message)
    }

    /// Remembers a size that the caller has learned by reading the whole message.
    pub fn note_rfc822_size(&self, uid: Uid, octets: u64) {
        self.note_size(uid, octets);
    }

    /// Remembers what the caller has learned by reading the whole message: its size, and its
    /// file's modification time, which is the internal date.
    pub fn note_read(&self, uid: Uid, octets: u64, modified: i64) {
        self.note_file(uid, octets, modified);
    }

    /// Records that [`cache`](Self::cache) was given for messages, perhaps long ago and by another
    /// process. Any may be missing.
    pub fn cached(&self, messages: &[Message<'_>], kind: u8) -> Cached {
        let mut cached = Cached::default();
        self.read_cached(messages, kind, u64::MAX, &mut cached);
        cached
    }

    /// The same, in the place and the memory of what was found earlier. It ends before the message
    /// whose record goes beyond `most` octets, [`Cached::looked`]; the first record is always read.
    pub fn read_cached(&self, messages: &[Message<'_>], kind: u8, most: u64, cached: &mut Cached) {
        if !self.is_lasting() || self.is_gone() {
            cached.restart(messages.len());
            return;
        }
        let uid_validity = self.snapshot().uid_validity();
        self.cache
            .read(uid_validity, messages, (kind, most), cached);
    }

    /// Keeps what was made of messages, so that it need not be made again. What cannot be kept is
    /// dropped. Records are cheaper to keep, and to read, many at a time.
    pub fn cache(&self, records: Vec<Record>) {
        if self.is_lasting() && !self.is_gone() && !records.is_empty() {
            let random = self.environment.options.source.random();
            self.cache.add(&self.snapshot(), random, records);
        }
    }

    /// Changes the flags of messages; UIDs that are gone are ignored. All or nothing for new
    /// keywords: if there is no room for one, nothing changes.
    ///
    /// # Errors
    /// If a file cannot be renamed for lack of space or permission, or
    /// [`Error::Limit`] for a keyword too many.
    pub fn store_flags(&self, uids: &[Uid], change: &FlagChange) -> Result<Arc<Snapshot>> {
        self.change_flags(uids, change)?;
        Ok(self.snapshot())
    }

    /// As [`store_flags`](Self::store_flags), but a message with a mod-sequence above
    /// `unchanged_since` is left as it is (RFC 7162 §3.1.3). Of all who try this with what they
    /// know of a message, in this process and in others, one changes it. `None` is the
    /// mod-sequence 0: then no message is changed.
    ///
    /// # Errors
    /// As for [`store_flags`](Self::store_flags).
    pub fn store_flags_unchanged(
        &self,
        uids: &[Uid],
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Stored> {
        let modified = self.change_unchanged(uids, change, unchanged_since)?;
        let snapshot = self.snapshot();
        Ok(Stored { snapshot, modified })
    }

    /// Whether UIDs and mod-sequences outlive the process: not where nothing can be written.
    pub fn is_lasting(&self) -> bool {
        self.lasting.load(Ordering::Acquire)
    }

    /// Removes messages for good; UIDs that are gone are ignored. While anybody watches the mailbox,
    /// their bytes are kept for him; a session that watches it itself takes [`Watch::expunge`].
    ///
    /// # Errors
    /// If a file cannot be removed. Those removed before stay removed.
    pub fn expunge(&self, uids: &[Uid]) -> Result<Arc<Snapshot>> {
        self.expunge_by(None, uids)
    }

    /// Removes messages for the session of a watch, which cannot ask for them any more.
    pub(crate) fn expunge_by(&self, by: Option<WatchId>, uids: &[Uid]) -> Result<Arc<Snapshot>> {
        self.remove(uids, by)?;
        Ok(self.snapshot())
    }

    /// Copies messages with flags, keywords and internal dates (RFC 3501 §6.4.7): all or nothing.
    /// The target may be this mailbox.
    ///
    /// # Errors
    /// [`Error::Expunged`] if one of them is gone; or as for
    /// [`append`](Self::append).
    pub fn copy_to(&self, uids: &[Uid], target: &Self) -> Result<Copied> {
        self.copy_keeping(uids, target, FlagMask::ALL)
    }

    /// The same, but the copies have no flags but these.
    ///
    /// # Errors
    /// As for [`copy_to`](Self::copy_to).
    pub fn copy_keeping(&self, uids: &[Uid], target: &Self, kept: FlagMask) -> Result<Copied> {
        let _admission = target.admit_copies(self, uids)?;
        self.copy(uids, target, kept)
    }

    /// What somebody may do with this mailbox, as its list of rights says now. Where that is of no
    /// use, only the owner anything, and the log says so.
    pub fn rights(&self, who: Who<'_>) -> Rights {
        Acl::rights_in(&self.directory, who)
    }

    /// Starts a new message in `tmp/`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn stage(&self) -> Result<Staged> {
        self.check()?;
        Staged::create(&self.directory, &self.environment)
    }

    /// Gives a staged message its date, forces its bytes to the disk and closes its file, so that
    /// nothing but its place is missing.
    ///
    /// # Errors
    /// [`Error::NoSpace`] and the like.
    pub fn complete(&self, message: &mut Appending) -> Result<()> {
        let options = &self.environment.options;
        let now = || options.source.wall();
        let date = *message.internal_date.get_or_insert_with(now);
        message.staged.finish(date, options.fsync)
    }

    /// Adds staged messages: all or nothing, durable when this returns.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::OverQuota`] and the like; then nothing was added.
    pub fn append(&self, messages: Vec<Appending>) -> Result<Appended> {
        let _admission = self.admit_staged(&messages)?;
        self.add(messages)
    }

    /// Calls `waker` after every change from now on, until the [`Watch`] is dropped.
    pub fn watch(self: &Arc<Self>, waker: Waker) -> Watch {
        Watch::new(Arc::clone(self), Some(waker))
    }

    /// As [`watch`](Self::watch), for a session that shows nothing but what it saw first: the bytes
    /// of messages that others expunge stay readable, and nobody is told of changes.
    pub fn hold(self: &Arc<Self>) -> Watch {
        Watch::new(Arc::clone(self), None)
    }

    /// Watches it for a session that has not selected it: `waker` is called as by
    /// [`watch`](Self::watch), and [`Observation::news`] tells which of many mailboxes it was.
    /// Gives the newest snapshot as well.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the mailbox has been deleted.
    pub fn observe(self: &Arc<Self>, waker: Waker) -> Result<(Observation, Arc<Snapshot>)> {
        Observation::begin(Arc::clone(self), waker)
    }

    /// Delivers a staged message into `new/`, durably, with neither lock nor index: as any other
    /// delivery agent does it. It has no flags and no UID yet.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::OverQuota`] and the like; then nothing was delivered.
    pub fn deliver(&self, staged: Staged) -> Result<()> {
        self.check()?;
        let usage = Usage::of_message(staged.octets());
        let _admission = self.admit(usage, Adding::Delivery)?;
        staged.deliver(&self.directory, &self.environment)?;
        self.note_delivery(usage);
        Ok(())
    }

    /// Moves all messages to another mailbox, as RENAME of INBOX does (RFC 3501 §6.3.5).
    ///
    /// # Errors
    /// As for [`copy_to`](Self::copy_to) and [`expunge`](Self::expunge). No message is lost; some
    /// may be moved already, or be in both.
    pub fn move_all_to(&self, target: &Self) -> Result<()> {
        self.move_all(target)
    }
}

/// What the store does.
impl Mailbox {
    /// Opens the mailbox in `directory`, reading its index and its directories.
    pub(crate) fn open(
        environment: Arc<Environment>,
        root: &Path,
        directory: &Path,
        name: MailboxName,
    ) -> Result<Self> {
        let mailbox = Self::unread(environment, root, directory, name);
        mailbox.look()?;
        mailbox.clean_tmp();
        Ok(mailbox)
    }

    /// Keeps what is known of the account while the mailbox is in use, also by somebody who has not
    /// logged in to that account.
    pub(crate) fn keep(&self, ledger: &Arc<Ledger>) {
        self.ledger.get_or_init(|| Arc::clone(ledger));
    }

    /// The mailbox in `directory`, of which nothing is known yet.
    fn unread(
        environment: Arc<Environment>,
        root: &Path,
        directory: &Path,
        name: MailboxName,
    ) -> Self {
        let unread = Snapshot::empty(UidValidity::MIN);
        let reach = Reach::of(directory);
        Self {
            name,
            root: root.to_path_buf(),
            guard: reach.guard(environment.options.mtime_guard),
            reach,
            directory: directory.to_path_buf(),
            environment,
            published: RwLock::new(Arc::new(unread)),
            writer: Mutex::default(),
            looks: Looks::default(),
            learned: Mutex::default(),
            graveyard: Mutex::default(),
            watchers: Watchers::default(),
            notices: Slot::default(),
            gone: AtomicBool::new(false),
            cache: Cache::new(directory),
            lasting: AtomicBool::new(false),
            left_in_new: AtomicBool::new(false),
            unseen: Mutex::default(),
            ledger: OnceLock::new(),
        }
    }

    /// Makes a new index for the mailbox in `directory`, from another server's list or anew.
    pub(crate) fn index_again(
        environment: Arc<Environment>,
        root: &Path,
        directory: &Path,
        name: MailboxName,
        again: Again,
    ) -> Result<()> {
        let mailbox = Self::unread(environment, root, directory, name);
        match again {
            Again::Anew => mailbox.index_anew(),
            Again::FromList => mailbox.import_list(),
        }
    }

    /// The memory that it takes: its messages, what it remembers of those that went, and its cache.
    pub(crate) fn bytes(&self) -> usize {
        let snapshot = self.snapshot();
        let messages = snapshot.bytes() + snapshot.vanished().bytes();
        size_of::<Self>() + messages + self.cache.bytes()
    }

    /// Whether a session watches it that would not be told of others' changes.
    pub(crate) fn needs_polling(&self) -> bool {
        self.watchers.any_to_wake() && !self.notices.is_quiet()
    }

    /// Lets the kernel watch it no longer if nobody has wanted that for a while.
    pub(crate) fn rest(&self) {
        self.notices.rest(|| !self.watchers.any_to_wake());
    }

    /// What the kernel notices of it.
    pub(crate) fn notices(&self) -> &Slot {
        &self.notices
    }

    /// The sessions that watch it.
    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Ends its use: every later call gives [`Error::NotFound`].
    pub(crate) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
        self.watchers.wake();
    }

    /// Puts what is only in memory where it belongs: learned sizes into the index, flag changes to
    /// the disk, files that nobody needs away.
    pub(crate) fn flush(&self) {
        if self.is_gone() {
            return;
        }
        self.write_learned();
        self.force_flags();
        self.sweep_graves();
    }

    /// Whether its use has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<()> {
        if self.is_gone() {
            Err(Error::NotFound)
        } else {
            Ok(())
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.notices.end();
        self.flush();
        self.close();
    }
}

/// Writes the first index of a new mailbox, durably, and its directories where they are missing.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn initialize(
    directory: &Path,
    uid_validity: UidValidity,
    options: &Options,
) -> Result<()> {
    sync::make_directories(directory)?;
    let environment = Environment::new(options.clone());
    let source = &environment.options.source;
    let id = writer::mailbox_id(source);
    let state = State::new(Snapshot::empty(uid_validity), id);
    Index::in_memory(directory, state).replace(source.random(), environment.force_messages())?;
    // Without force: it matters only if the index is lost as well.
    served::note(directory, uid_validity, Force::Later)
}

#[cfg(test)]
mod tests;
