//! Messages that come: APPEND, COPY, MOVE, REPLACE, and the move of a whole mailbox.

mod copy;
mod r#move;
mod replacing;
mod unfinished;

use copy::Original;
pub use r#move::Moving;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::directories::Directories;
use super::transaction::Transaction;
use super::{Appended, Appending, Mailbox};
use crate::content::MessageFile;
use crate::deliver::{Staged, with_sizes};
use crate::email_id::EmailId;
use crate::error::{Error, Result};
use crate::filename::{self, Series};
use crate::flag::{FlagChange, FlagMask, FlagOp, FlagSet};
use crate::id::Uid;
use crate::index::{Entry, FileTime, runs};
use crate::replace::failed;
use crate::snapshot::{Added, Message, Place, Snapshot};
use crate::store::Fsync;
use crate::sync::message_path;
use crate::watch::Change;

/// A message that is complete, its bytes on the disk.
struct Incoming {
    file: Arriving,
    /// The first part of the name that it will have.
    name: String,
    flags: FlagChange,
    size: Option<u64>,
    /// Its internal date, if known.
    date: Option<i64>,
}

/// Where the file of a message comes from.
enum Arriving {
    /// `tmp/`: it is moved.
    Staged(Staged),
    /// Another message: it gets a second link.
    Original(Original),
}

impl Arriving {
    /// The first part of the name that it will have as a copy.
    fn name(&self, series: &Series<'_>, size: Option<u64>, of: EmailId) -> String {
        of.written_to(match self {
            Self::Staged(staged) => staged.name(),
            Self::Original(original) => with_sizes(series.next(), original.octets(), size),
        })
    }

    /// Puts the file in its place, `cur/` of the target.
    fn place(&mut self, target: &Directories, name: &[u8]) -> Result<()> {
        match self {
            Self::Staged(staged) => staged.place(&target.path(Place::Cur, name)),
            Self::Original(original) => original.link(target, name),
        }
    }

    /// Whether it is not known that its bytes are on the disk.
    fn is_unsettled(&self) -> bool {
        match self {
            Self::Staged(_) => false,
            Self::Original(original) => original.is_unseen(),
        }
    }
}

impl Mailbox {
    pub(super) fn add(&self, messages: Vec<Appending>) -> Result<Appended> {
        self.check()?;
        let mut incoming = Vec::with_capacity(messages.len());
        for message in messages {
            incoming.push(self.incoming(message)?);
        }
        self.place(incoming)
    }

    /// Completes a message that was staged in this mailbox.
    fn incoming(&self, mut message: Appending) -> Result<Incoming> {
        self.complete(&mut message)?;
        Ok(Incoming {
            name: message.staged.name(),
            size: message.staged.rfc822_size(),
            file: Arriving::Staged(message.staged),
            flags: message.flags,
            date: message.internal_date.map(seconds),
        })
    }

    pub(super) fn move_all(&self, target: &Self) -> Result<()> {
        loop {
            let snapshot = self.refresh()?;
            let uids: Vec<Uid> = snapshot.iter().map(|message| message.uid()).collect();
            if uids.is_empty() {
                return Ok(());
            }
            let copied = self.copy(&uids, target, FlagMask::ALL)?;
            let moved: Vec<Uid> = copied.uids.iter().map(|(source, _)| *source).collect();
            self.remove(&moved, None)?;
        }
    }

    /// Puts a second link to a message into the target's `tmp/`.
    fn link(&self, uid: Uid, target: &Self) -> Result<(Staged, std::sync::Arc<Snapshot>)> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot();
            let message = snapshot.by_uid(uid).ok_or(Error::Expunged)?;
            match self.link_named(message, target) {
                Err(Error::NotFound) => self.transact(|transaction| transaction.scan())?,
                linked => return Ok((linked?, snapshot)),
            }
        }
        Err(Error::Locked)
    }

    fn link_named(&self, message: Message<'_>, target: &Self) -> Result<Staged> {
        let path = message_path(&self.directory, message.place(), message.file_name());
        let file = MessageFile::open(&path)?;
        let size = message.rfc822_size();
        let (directory, environment) = (&target.directory, &target.environment);
        if environment.distrusts_files() {
            return self.duplicate(&path, target);
        }
        match Staged::link(&path, file, size, directory, environment) {
            Err(Error::Io { source, .. }) if cannot_link(&source) => self.duplicate(&path, target),
            // Also what file systems say that have no links.
            Err(Error::NoPermission { .. }) => self.duplicate(&path, target),
            linked => linked,
        }
    }

    /// Copies the bytes, where a link is not possible.
    fn duplicate(&self, path: &Path, target: &Self) -> Result<Staged> {
        let mut staged = target.stage()?;
        let file = MessageFile::open(path)?;
        let metadata = file.file().metadata();
        let date = metadata.and_then(|metadata| metadata.modified());
        let date = date.map_err(failed(path))?;
        io::copy(&mut file.into_raw(), &mut staged).map_err(failed(path))?;
        staged.finish(date, self.environment.options.fsync)?;
        Ok(staged)
    }

    /// Makes finished files messages: all or none.
    fn place(&self, incoming: Vec<Incoming>) -> Result<Appended> {
        self.transact(|transaction| transaction.put(incoming))
    }
}

impl Transaction<'_> {
    /// Makes finished files messages: all or none.
    fn put(&mut self, incoming: Vec<Incoming>) -> Result<Appended> {
        let (appended, ()) = self.put_and(incoming, |transaction| {
            transaction.commit()?;
            transaction.sync_places(&BTreeSet::from([Place::Cur]))
        })?;
        Ok(appended)
    }

    /// Puts finished files in their places, and takes them back if what is to be done `then` fails:
    /// nothing has been committed before.
    fn put_and<T>(
        &mut self,
        mut incoming: Vec<Incoming>,
        then: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(Appended, T)> {
        let uid_validity = self.snapshot().uid_validity();
        let first = self.snapshot().uid_next();
        let mut placed = Vec::with_capacity(incoming.len());
        let put = self.place_all(&mut incoming, &mut placed);
        match put.and_then(|uids| Ok((uids, then(self)?))) {
            Ok((uids, done)) => {
                self.note_placed(&placed);
                Ok((Appended { uid_validity, uids }, done))
            }
            Err(error) => {
                self.entries.clear();
                self.leave_untold();
                for name in placed {
                    let path = message_path(&self.mailbox.directory, Place::Cur, &name);
                    // If this fails too, the next look finds the file: a message too many.
                    if let Err(error) = fs::remove_file(&path) {
                        tracing::warn!(path = %path.display(), %error, "file not taken back");
                    }
                }
                self.forget_from(first)?;
                Err(error)
            }
        }
    }

    /// Messages from this UID on are in the index already, but will not be there.
    fn forget_from(&mut self, first: Uid) -> Result<()> {
        let mod_seq = self.index.next_mod_seq()?;
        let added = self.snapshot().iter().map(|message| message.uid());
        let added: Vec<Uid> = added.filter(|uid| *uid >= first).collect();
        let expunged = runs(&added).into_iter();
        self.entries
            .extend(expunged.map(|(first, last)| Entry::Expunge {
                first,
                last,
                mod_seq,
            }));
        Ok(())
    }

    fn place_all(
        &mut self,
        incoming: &mut [Incoming],
        placed: &mut Vec<Vec<u8>>,
    ) -> Result<Vec<Uid>> {
        if incoming.is_empty() {
            return Ok(Vec::new());
        }
        let flags = self.resolve_all(incoming)?;
        let directories = Directories::of(&self.mailbox.directory);
        let saved = seconds(self.mailbox.environment.options.source.wall());
        let mod_seq = self.index.next_mod_seq()?;
        let mut next = self.snapshot().uid_next();
        let mut uids = Vec::with_capacity(incoming.len());
        for (message, flags) in incoming.iter_mut().zip(flags) {
            let uid = next;
            next = uid.next().ok_or(Error::Limit("UIDs"))?;
            let name = filename::with_flags(message.name.as_bytes(), flags);
            message.file.place(&directories, &name)?;
            let notices = &self.mailbox.notices;
            notices.note_own(Place::Cur, &name, Change::Appeared);
            placed.push(name.clone());
            uids.push(uid);
            self.entries.push(Entry::Add(Added {
                uid,
                flags,
                mod_seq,
                size: message.size,
                date: message.date,
                saved: u32::try_from(saved).unwrap_or_default(),
                place: Place::Cur,
                name,
            }));
        }
        if incoming.iter().any(|message| message.file.is_unsettled()) {
            self.settle_placed(&directories)?;
        }
        Ok(uids)
    }

    /// The flags of messages, in this mailbox.
    fn resolve_all(&mut self, incoming: &[Incoming]) -> Result<Vec<FlagSet>> {
        let mut flags = Vec::with_capacity(incoming.len());
        let mut last: Option<(&FlagChange, FlagSet)> = None;
        for message in incoming {
            // Most messages have the flags of the one before.
            let known = last.filter(|(change, _)| *change == &message.flags);
            let resolved = match known {
                Some((_, resolved)) => resolved,
                None => self.resolve(&message.flags)?,
            };
            last = Some((&message.flags, resolved));
            flags.push(resolved);
        }
        Ok(flags)
    }

    /// Forces the bytes of files that were linked unseen to the disk, and the links with them.
    fn settle_placed(&self, directories: &Directories) -> Result<()> {
        let environment = &self.mailbox.environment;
        if environment.options.fsync == Fsync::Never {
            return Ok(());
        }
        let forced = directories.sync_file_system();
        forced.inspect_err(|_| environment.distrust_files())
    }
}

/// Flags by name, for another mailbox.
fn by_name(snapshot: &Snapshot, flags: FlagSet) -> FlagChange {
    let keywords = flags.keywords();
    FlagChange {
        op: FlagOp::Replace,
        system: flags,
        keywords: keywords
            .filter_map(|position| snapshot.keywords().get(position).cloned())
            .collect(),
    }
}

fn seconds(time: SystemTime) -> i64 {
    FileTime::from(time).seconds
}

/// Whether the failure of a link does not speak against a copy.
fn cannot_link(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | TooManyLinks | Unsupported)
}

/// How often a file that keeps moving is looked for.
const ATTEMPTS: usize = 4;
