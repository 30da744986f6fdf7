//! Reading messages, and remembering what was learned about them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;

use super::Mailbox;
use crate::content::MessageFile;
use crate::error::{Error, Result};
use crate::filename::{FileName, base};
use crate::flag::SystemFlag;
use crate::id::Uid;
use crate::index::Entry;
use crate::replace::failed;
use crate::snapshot::{Message, Snapshot};
use crate::sync::{find_base, message_path};

/// What was learned about a message and is not in the index yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Learned {
    size: Option<u64>,
    date: Option<i64>,
}

/// What was found out about a message.
struct Measured {
    /// Its size in CRLF form.
    size: u64,
    /// Its file's modification time, if the file was opened.
    date: Option<i64>,
    /// How much of the file was read.
    read: u64,
}

impl Mailbox {
    /// Opens a message's file under the name that the session knows, else under the newest name,
    /// else after a look at the directories, else where it was put when it was expunged.
    pub(super) fn open_message(&self, message: Message<'_>) -> Result<MessageFile> {
        let first = self.open_named(message);
        if !matches!(first, Err(Error::NotFound)) {
            return first;
        }
        self.check()?;
        let uid = message.uid();
        if let Some(newest) = self.snapshot().by_uid(uid) {
            let second = self.open_named(newest);
            if !matches!(second, Err(Error::NotFound)) {
                return second;
            }
            match self.transact(|transaction| transaction.scan()) {
                Err(Error::NoSpace | Error::NoPermission { .. } | Error::Locked) => {
                    return self.open_anywhere(message);
                }
                scanned => scanned?,
            }
            if let Some(newest) = self.snapshot().by_uid(uid) {
                return match self.open_named(newest) {
                    // Renamed again, or missing and not yet known to be gone.
                    Err(Error::NotFound) => Err(Error::Locked),
                    other => other,
                };
            }
        }
        let grave = self.graveyard().find(uid).ok_or(Error::Expunged)?;
        match MessageFile::open(&grave) {
            Err(Error::NotFound) => Err(Error::Expunged),
            other => other,
        }
    }

    /// The size in CRLF form: known, or told by the file's name and confirmed by its physical size,
    /// or counted.
    pub(super) fn learn_size(&self, message: Message<'_>) -> Result<u64> {
        let measured = self.measure(message, &mut Vec::new())?;
        if let Some(date) = measured.date {
            self.note(message.uid(), Some(measured.size), Some(date));
        }
        Ok(measured.size)
    }

    /// The sizes in CRLF form that are known, in the order of the snapshot: those in it, and what was
    /// learned since.
    pub(super) fn sizes_at_hand(&self, snapshot: &Snapshot) -> Vec<Option<u64>> {
        let learned = self.learned();
        let learned = learned.iter();
        let mut learned = learned
            .filter_map(|(uid, learned)| Some((*uid, learned.size?)))
            .peekable();
        let messages = snapshot.iter().map(|message| {
            let uid = message.uid();
            while learned.next_if(|(other, _)| *other < uid).is_some() {}
            let size = learned.next_if(|(other, _)| *other == uid);
            size.map(|(_, size)| size).or(message.rfc822_size())
        });
        messages.collect()
    }

    /// The sizes of the first of some messages, as [`Self::learn_size`], by several threads if
    /// they are many.
    pub(super) fn learn_sizes(&self, messages: &[Message<'_>]) -> Vec<Result<u64>> {
        let (next, octets) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            let mut done = Vec::new();
            let mut piece = Vec::new();
            while octets.load(Ordering::Relaxed) < OCTETS_AT_ONCE {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(message) = messages.get(index) else {
                    break;
                };
                let measured = self.measure(*message, &mut piece);
                let read = measured.as_ref().map_or(0, |measured| measured.read);
                octets.fetch_add(read, Ordering::Relaxed);
                done.push((index, measured));
            }
            done
        };
        let helpers = (messages.len() / MESSAGES_PER_THREAD).min(HELPERS);
        let mut done = thread::scope(|scope| {
            let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            // Without helpers it only takes longer.
            let helpers: Vec<_> = (0..helpers).filter_map(spawn).collect();
            let mut done = work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_unstable_by_key(|(index, _)| *index);
        self.note_all(messages, &done);
        let sizes = done.into_iter().map(|(_, measured)| Ok(measured?.size));
        sizes.collect()
    }

    /// Finds out a message's size, and its date if its file had to be opened for that.
    fn measure(&self, message: Message<'_>, piece: &mut Vec<u8>) -> Result<Measured> {
        let known = message.rfc822_size();
        let pending = || {
            let learned = self.learned();
            learned.get(&message.uid()).and_then(|learned| learned.size)
        };
        if let Some(size) = pending().or(known) {
            return Ok(Measured {
                size,
                date: None,
                read: 0,
            });
        }
        let file = self.open_message(message)?;
        let date = Some(file.modified());
        let physical = file.physical_size();
        let hint = FileName::parse(message.file_name());
        let hint = hint.filter(|name| name.size == Some(physical));
        let hint = hint.and_then(|name| name.rfc822_size);
        // At the most every octet is an LF that becomes CRLF.
        let possible = physical..=physical.saturating_mul(2);
        let (size, read) = match hint.filter(|size| possible.contains(size)) {
            Some(size) => (size, 0),
            None => {
                let counted = file.count_crlf_in(piece);
                (counted.map_err(failed(Path::new("message")))?, physical)
            }
        };
        Ok(Measured { size, date, read })
    }

    /// Remembers what was measured.
    fn note_all(&self, messages: &[Message<'_>], done: &[(usize, Result<Measured>)]) {
        let mut learned = self.learned();
        for (index, measured) in done {
            if let (Some(message), Ok(measured)) = (messages.get(*index), measured)
                && measured.date.is_some()
            {
                let entry = learned.entry(message.uid()).or_default();
                entry.size = Some(measured.size);
                entry.date = measured.date.or(entry.date);
            }
        }
        let full = learned.len() >= BATCH;
        drop(learned);
        if full {
            self.write_learned();
        }
    }

    /// The internal date: known, or the file's modification time.
    pub(super) fn learn_date(&self, message: Message<'_>) -> Result<i64> {
        let uid = message.uid();
        let pending = self.learned().get(&uid).and_then(|learned| learned.date);
        if let Some(date) = pending.or(message.internal_date()) {
            return Ok(date);
        }
        let date = self.open_message(message)?.modified();
        self.note(uid, None, Some(date));
        Ok(date)
    }

    /// Remembers a size if it is news.
    pub(super) fn note_size(&self, uid: Uid, octets: u64) {
        let snapshot = self.snapshot();
        let known = snapshot
            .by_uid(uid)
            .and_then(|message| message.rfc822_size());
        if known != Some(octets) {
            self.note(uid, Some(octets), None);
        }
    }

    /// Remembers size and date if they are news.
    pub(super) fn note_file(&self, uid: Uid, octets: u64, modified: i64) {
        let snapshot = self.snapshot();
        let known = snapshot.by_uid(uid);
        let size = known.and_then(|message| message.rfc822_size());
        let date = known.and_then(|message| message.internal_date());
        if size != Some(octets) || date.is_none() {
            self.note(uid, Some(octets), date.is_none().then_some(modified));
        }
    }

    pub(super) fn count_unseen(&self, snapshot: &Arc<Snapshot>) -> usize {
        // Either value is right if a thread panicked while it had it.
        let mut last = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((counted, unseen)) = &*last
            && counted.as_ptr() == Arc::as_ptr(snapshot)
        {
            return *unseen;
        }
        let is_unseen = |message: &Message<'_>| !message.flags().has(SystemFlag::Seen);
        let unseen = snapshot.iter().filter(is_unseen).count();
        *last = Some((Arc::downgrade(snapshot), unseen));
        unseen
    }

    /// What was learned, for the index; forgotten here.
    pub(super) fn take_learned(&self) -> Vec<Entry> {
        let learned = std::mem::take(&mut *self.learned());
        let entry = |(uid, Learned { size, date })| Entry::Learned { uid, size, date };
        learned.into_iter().map(entry).collect()
    }

    /// Puts what was learned into the index.
    pub(super) fn write_learned(&self) {
        if self.learned().is_empty() {
            return;
        }
        // Every commit takes it along.
        match self.transact(|_| Ok(())) {
            Ok(()) | Err(Error::NotFound | Error::Locked | Error::NoPermission { .. }) => {}
            Err(error) => tracing::warn!(mailbox = %self.name, %error, "sizes not remembered"),
        }
    }

    /// Opens a message's file by its base alone, when the index cannot be brought up to date.
    fn open_anywhere(&self, message: Message<'_>) -> Result<MessageFile> {
        let path = find_base(&self.directory, base(message.file_name()))?;
        match path.map(|path| MessageFile::open(&path)) {
            None | Some(Err(Error::NotFound)) => Err(Error::Locked),
            Some(opened) => opened,
        }
    }

    fn open_named(&self, message: Message<'_>) -> Result<MessageFile> {
        let name = message.file_name();
        MessageFile::open(&message_path(&self.directory, message.place(), name))
    }

    fn note(&self, uid: Uid, size: Option<u64>, date: Option<i64>) {
        let mut learned = self.learned();
        let entry = learned.entry(uid).or_default();
        entry.size = size.or(entry.size);
        entry.date = date.or(entry.date);
        let full = learned.len() >= BATCH;
        drop(learned);
        if full {
            self.write_learned();
        }
    }

    /// The map is whole even if a thread panicked while it had it.
    fn learned(&self) -> MutexGuard<'_, BTreeMap<Uid, Learned>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many messages something is learned about before it is written: a megabyte of memory, and
/// few enough writes in a large mailbox, each of which may have to look at the directories.
const BATCH: usize = 16 * 1024;

/// How many octets are read for sizes at once, and hardly more.
const OCTETS_AT_ONCE: u64 = 16 * 1024 * 1024;

/// How many threads help to read for sizes: reading is waiting for the disk, unless the system has
/// the files in memory; then it is the work of as many processors as there are.
const HELPERS: usize = 3;

/// How many messages are worth a thread: it takes as long to start as one or two are read.
const MESSAGES_PER_THREAD: usize = 16;
