//! Changing flags, removing messages, claiming `\Recent`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::Mailbox;
use super::directories::Directories;
use super::quota::named_usage;
use super::transaction::Transaction;
use crate::error::{Error, Result};
use crate::filename;
use crate::flag::{FlagChange, FlagOp, FlagSet, Keywords};
use crate::id::{ModSeq, Uid};
use crate::index::{Entry, Rename, runs};
use crate::keyword_file;
use crate::quota::Usage;
use crate::replace::{failed, sync_directory};
use crate::snapshot::{Message, Place, Snapshot};
use crate::store::Fsync;
use crate::sync::{IN_NAMES, merged_keywords, message_path, new_keywords};
use crate::watch::{Change, WatchId};

impl Mailbox {
    pub(super) fn change_flags(&self, uids: &[Uid], change: &FlagChange) -> Result<()> {
        self.transact(|transaction| transaction.change_flags(uids, change, |_| Test::Passed))
    }

    /// Changes the flags of messages that have no mod-sequence above a given one, and gives the
    /// others.
    pub(super) fn change_unchanged(
        &self,
        uids: &[Uid],
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Vec<Uid>> {
        let is_unchanged = |message: Message<'_>| Some(message.mod_seq()) <= unchanged_since;
        self.transact(|transaction| {
            // Other programs change flags too, by renaming files.
            if transaction.is_stale() {
                transaction.scan()?;
            }
            let snapshot = transaction.snapshot();
            let mut modified: BTreeSet<Uid> = BTreeSet::new();
            let mut passed = Vec::with_capacity(uids.len());
            for message in uids.iter().filter_map(|uid| snapshot.by_uid(*uid)) {
                if is_unchanged(message) {
                    passed.push(message.uid());
                } else {
                    modified.insert(message.uid());
                }
            }
            if !passed.is_empty() {
                transaction.change_flags(&passed, change, |message| {
                    if is_unchanged(message) {
                        return Test::Passed;
                    }
                    // Its file has been renamed since.
                    modified.insert(message.uid());
                    Test::Failed
                })?;
            }
            Ok(modified.into_iter().collect())
        })
    }

    pub(super) fn remove(&self, uids: &[Uid], by: Option<WatchId>) -> Result<()> {
        self.transact(|transaction| transaction.remove(uids, by))
    }

    pub(super) fn claim(&self) -> Result<Range<u32>> {
        if !has_unclaimed(&self.snapshot()) {
            self.look()?;
        }
        let snapshot = self.snapshot();
        let next = snapshot.uid_next();
        if !has_unclaimed(&snapshot) {
            return Ok(next.get()..next.get());
        }
        let claimed = self.transact(|transaction| {
            self.note_left(transaction.take_in()?);
            let snapshot = transaction.snapshot();
            let (first, next) = (snapshot.first_recent(), snapshot.uid_next());
            if first != next {
                let mod_seq = snapshot.highest_mod_seq();
                transaction.entries.push(Entry::Meta {
                    uid_next: next,
                    first_recent: next,
                    mod_seq,
                });
            }
            transaction.commit()?;
            Ok(first.get()..next.get())
        });
        match claimed {
            // Nothing is recent where nothing can be noted.
            Err(Error::NoPermission { .. } | Error::NoSpace | Error::Locked) => {
                Ok(next.get()..next.get())
            }
            other => other,
        }
    }

    /// Moves to `cur/` what [`Self::claim`] has left in `new/`, some messages at a time. What
    /// cannot be moved stays until something new is claimed.
    pub(crate) fn take_in_rest(&self) {
        while self.left_in_new.swap(false, Ordering::AcqRel) {
            let moved = self.transact(|transaction| {
                let left = transaction.take_in()?;
                transaction.commit()?;
                Ok(left)
            });
            match moved {
                Ok(left) => self.note_left(left),
                Err(Error::NotFound | Error::Locked | Error::NoSpace) => {}
                Err(error) => tracing::warn!(mailbox = %self.name, %error, "new/ not emptied"),
            }
        }
    }

    fn note_left(&self, left: Left) {
        self.left_in_new
            .store(left == Left::More, Ordering::Release);
    }
}

/// Whether a message is to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Passed,
    Failed,
}

/// Whether messages have been left in `new/` for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// All have been moved that can be.
    Nothing,
    /// There may be more.
    More,
}

/// Whether there is anything to claim as `\Recent`, or to take out of `new/`.
fn has_unclaimed(snapshot: &Snapshot) -> bool {
    snapshot.in_new() > 0 || snapshot.first_recent() != snapshot.uid_next()
}

/// Whether a message's file was where it was expected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Yes,
    No,
}

/// What has been removed.
#[derive(Default)]
pub(super) struct Removed {
    uids: BTreeSet<Uid>,
    places: BTreeSet<Place>,
    usage: Usage,
}

impl Transaction<'_> {
    /// Changes the flags of those of the messages that pass a test.
    fn change_flags(
        &mut self,
        uids: &[Uid],
        change: &FlagChange,
        mut test: impl FnMut(Message<'_>) -> Test,
    ) -> Result<()> {
        let named = self.resolve(change)?;
        let flags = |old: FlagSet| change.op.apply(old, named);
        let changed = self.each(uids, |transaction, message| match test(message) {
            Test::Passed => transaction.restyle(message, flags(message.flags())),
            Test::Failed => Ok(Found::Yes),
        });
        let always = self.mailbox.environment.options.fsync == Fsync::Always;
        let synced = if always && !self.entries.is_empty() {
            self.sync_places(&BTreeSet::from([Place::Cur, Place::New]))
        } else {
            Ok(())
        };
        let committed = synced.and_then(|()| self.commit());
        if committed.is_err() {
            // A change that is refused has not happened.
            self.undo_renames();
        }
        changed.and(committed)
    }

    /// Removes messages for good, by the session of a watch or by nobody that watches; those that
    /// are gone are ignored.
    pub(super) fn remove(&mut self, uids: &[Uid], by: Option<WatchId>) -> Result<()> {
        let mut removed = Removed::default();
        let directories = Directories::of(&self.mailbox.directory);
        let result = self.each(uids, |transaction, message| {
            let found = transaction.bury(message, by, &directories)?;
            if found == Found::Yes {
                removed.uids.insert(message.uid());
                removed.places.insert(message.place());
                removed.usage = removed.usage.plus(named_usage(message));
            }
            Ok(found)
        });
        // Those removed before a failure stay removed, durably.
        self.note_removed(&removed)?;
        result
    }

    /// Makes sure that a message is there: a file under the name in the index.
    pub(super) fn locate(&mut self, uid: Uid) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let message = self.snapshot().by_uid(uid).ok_or(Error::Expunged)?;
            let (place, name) = (message.place(), message.file_name());
            let path = message_path(&self.mailbox.directory, place, name);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path)(error));
                }
                Ok(_) | Err(_) => self.scan()?,
            }
        }
        Err(Error::Locked)
    }

    /// Takes the file of one message away, which nothing tells of yet; `None` if it is not under
    /// the name in the index.
    pub(super) fn take_away(&self, uid: Uid, by: Option<WatchId>) -> Result<Option<Removed>> {
        let message = self.snapshot().by_uid(uid).ok_or(Error::Expunged)?;
        let directories = Directories::of(&self.mailbox.directory);
        let found = self.bury(message, by, &directories)?;
        Ok((found == Found::Yes).then(|| Removed {
            uids: BTreeSet::from([uid]),
            places: BTreeSet::from([message.place()]),
            usage: named_usage(message),
        }))
    }

    /// The flags that a change names, in this mailbox. New keywords are added to it, all or none,
    /// unless the change only removes flags.
    pub(super) fn resolve(&mut self, change: &FlagChange) -> Result<FlagSet> {
        let known = self.snapshot().keywords().clone();
        let system = FlagSet::from_bits(change.system.bits() & SYSTEM.bits());
        let is_known = |keyword| known.position(keyword).is_some();
        if change.op == FlagOp::Remove || change.keywords.iter().all(is_known) {
            let positions = change
                .keywords
                .iter()
                .filter_map(|keyword| known.position(keyword));
            return Ok(positions.fold(system, FlagSet::with_keyword));
        }
        let directory = &self.mailbox.directory;
        let mut keywords = merged_keywords(directory, &known, FlagSet::EMPTY);
        let before = letters(&keywords);
        let mut flags = system;
        for keyword in &change.keywords {
            let position = keywords.add(keyword);
            let position = position.ok_or(Error::Limit("keywords in a mailbox"))?;
            flags = flags.with_keyword(position);
        }
        if letters(&keywords) != before {
            keyword_file::store(directory, &keywords)?;
        }
        // Applied at once, so that the next change of this command finds them.
        self.entries.extend(new_keywords(&known, &keywords));
        self.commit()?;
        Ok(flags)
    }

    /// Does something to every message that is there. A message whose file is not under the name
    /// in the index was renamed by somebody: then the directories are read, and it is tried again.
    fn each(
        &mut self,
        uids: &[Uid],
        mut act: impl FnMut(&mut Self, Message<'_>) -> Result<Found>,
    ) -> Result<()> {
        let mut left: BTreeSet<Uid> = uids.iter().copied().collect();
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot().clone();
            let mut missing = BTreeSet::new();
            for uid in left {
                let Some(message) = snapshot.by_uid(uid) else {
                    continue;
                };
                if act(self, message)? == Found::No {
                    missing.insert(uid);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            self.scan()?;
            left = missing;
        }
        Err(Error::Locked)
    }

    /// Gives a message new flags: first its file, then the index.
    fn restyle(&mut self, message: Message<'_>, flags: FlagSet) -> Result<Found> {
        if flags == message.flags() {
            // That is so only if its file has kept its name: others rename files too.
            let path = message_path(
                &self.mailbox.directory,
                message.place(),
                message.file_name(),
            );
            return found(&path, fs::symlink_metadata(&path).map(drop));
        }
        let in_name = |flags: FlagSet| flags.bits() & IN_NAMES.bits();
        let old = message.file_name();
        let (place, name) = if in_name(flags) == in_name(message.flags()) {
            (message.place(), old.to_vec())
        } else {
            (Place::Cur, filename::with_flags(old, flags))
        };
        if self.rename(message, place, &name)? == Found::No {
            return Ok(Found::No);
        }
        let mod_seq = self.index.next_mod_seq()?;
        self.entries.push(Entry::Flags {
            uid: message.uid(),
            flags,
            mod_seq,
            place,
            rename: Rename::between(old, &name),
        });
        Ok(Found::Yes)
    }

    /// Moves messages from `new/` to `cur/`, but not too many at once. What cannot be moved stays,
    /// and is still a message.
    fn take_in(&mut self) -> Result<Left> {
        let mut moved = 0;
        let snapshot = self.snapshot().clone();
        for message in snapshot
            .iter()
            .filter(|message| message.place() == Place::New)
        {
            if moved == TAKEN_IN_AT_ONCE {
                return Ok(Left::More);
            }
            let old = message.file_name();
            let name = filename::with_flags(old, message.flags());
            match self.rename(message, Place::Cur, &name) {
                Ok(Found::Yes) => moved += 1,
                Ok(Found::No) => continue,
                Err(Error::NoSpace | Error::NoPermission { .. }) => return Ok(Left::Nothing),
                // A name that would become too long, for example.
                Err(error) => {
                    tracing::debug!(%error, "message stays in new/");
                    continue;
                }
            }
            self.entries.push(Entry::Flags {
                uid: message.uid(),
                flags: message.flags(),
                mod_seq: message.mod_seq(),
                place: Place::Cur,
                rename: Rename::between(old, &name),
            });
        }
        Ok(Left::Nothing)
    }

    fn rename(&mut self, message: Message<'_>, place: Place, name: &[u8]) -> Result<Found> {
        if place == message.place() && name == message.file_name() {
            return Ok(Found::Yes);
        }
        let directory = &self.mailbox.directory;
        let from = message_path(directory, message.place(), message.file_name());
        let to = message_path(directory, place, name);
        let found = found(&from, fs::rename(&from, &to))?;
        if found == Found::Yes {
            let notices = &self.mailbox.notices;
            notices.note_own(message.place(), message.file_name(), Change::Vanished);
            notices.note_own(place, name, Change::Appeared);
            self.renamed.push((from, to));
        }
        Ok(found)
    }

    /// Takes a message's file away: out of the mailbox for good, but not out of reach of sessions
    /// that have not been told.
    fn bury(
        &self,
        message: Message<'_>,
        by: Option<WatchId>,
        directories: &Directories,
    ) -> Result<Found> {
        let mailbox = self.mailbox;
        let (place, name) = (message.place(), message.file_name());
        if mailbox.watchers.has_others(by) {
            let path = directories.path(place, name);
            let grave = mailbox.grave(self.snapshot().uid_validity(), message.uid());
            match fs::rename(&path, &grave) {
                Ok(()) => {
                    mailbox.notices.note_own(place, name, Change::Vanished);
                    mailbox.graveyard().bury(message.uid(), grave);
                    return Ok(Found::Yes);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A full disk: removing the file still works.
                Err(error) => tracing::debug!(%error, "expunged file not kept"),
            }
        }
        match directories.unlink(place, name) {
            Ok(()) => {
                mailbox.notices.note_own(place, name, Change::Vanished);
                Ok(Found::Yes)
            }
            Err(Error::NotFound) => Ok(Found::No),
            Err(error) => Err(error),
        }
    }

    /// Forces removals to the disk, and commits them with what else has been done.
    pub(super) fn note_removed(&mut self, removed: &Removed) -> Result<()> {
        if removed.uids.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.sync_places(&removed.places) {
            // Not acknowledged, and not taken back: the next look finds them missing.
            self.leave_untold();
            return Err(error);
        }
        let mod_seq = self.index.next_mod_seq()?;
        let uids: Vec<Uid> = removed.uids.iter().copied().collect();
        let expunged = runs(&uids).into_iter();
        self.entries
            .extend(expunged.map(|(first, last)| Entry::Expunge {
                first,
                last,
                mod_seq,
            }));
        let gone = removed.usage;
        let entries = self.entries.clone();
        let committed = match self.commit() {
            Err(Error::NoSpace) => {
                // Removing must work on a full disk: give up what was kept for others, try again.
                self.mailbox.empty_graves();
                self.mend();
                self.entries = entries;
                self.commit()
            }
            committed => committed,
        };
        committed?;
        self.note_gone(gone);
        Ok(())
    }

    /// Forces the names in directories to the disk. If it fails, it is done again before the next
    /// change, because nobody else would know of it.
    pub(super) fn sync_places(&mut self, places: &BTreeSet<Place>) -> Result<()> {
        if self.mailbox.environment.options.fsync == Fsync::Never {
            return Ok(());
        }
        for place in places {
            sync_directory(&self.mailbox.directory.join(place.directory())).inspect_err(|_| {
                self.unforced.extend(places);
            })?;
        }
        Ok(())
    }
}

/// Tells a file that is not there from other failures.
fn found(path: &Path, result: io::Result<()>) -> Result<Found> {
    match result {
        Ok(()) => Ok(Found::Yes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::No),
        Err(error) => Err(failed(path)(error)),
    }
}

/// How many keywords have letters.
fn letters(keywords: &Keywords) -> usize {
    let letter = |(position, _): &(u8, _)| usize::from(*position) < Keywords::LETTERS;
    keywords.iter().filter(letter).count()
}

/// All system flags.
const SYSTEM: FlagSet = FlagSet::from_bits((1 << 5) - 1);
/// How often a file that keeps moving is looked for.
const ATTEMPTS: usize = 4;
/// How many messages are moved from `new/` while a client waits: others may take a second.
const TAKEN_IN_AT_ONCE: usize = 1024;
