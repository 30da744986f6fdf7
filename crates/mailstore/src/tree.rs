//! The directories of an account: which mailboxes there are, and how they come, go and move.
//!
//! The root is INBOX; every other mailbox is a directory `.Level.Level` in the root, next to its
//! own children (Maildir++). A parent that has no directory does not exist but is still a name.
//!
//! What others see is whole at every moment:
//! - A new mailbox is made under a hidden name, then renamed into its place.
//! - A deleted mailbox is renamed to a hidden name, then removed.
//! - A mailbox with children is as many directories, so RENAME is as many renames. They happen
//!   under the exclusive lock on `pillarbox.tree.lock`, which listing takes as a shared one; a
//!   failure undoes them, and after a crash the journal `pillarbox.renaming` is carried out by
//!   whoever takes the lock next.
//!
//! Hidden names begin with two dots, which no mailbox name does; what a crash leaves of them is
//! removed later. Symbolic links are no mailboxes (S36).
//!
//! Lock order: this lock, then that of a mailbox, then that of `pillarbox.account`.

mod directory;
mod journal;
mod leftover;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;

use crate::account::Entry;
use crate::acl::Acl;
use crate::attached::{Attached, Renames};
use crate::error::{Error, Result};
use crate::lock::FileLock;
use crate::name::{MailboxName, Namespace};
use crate::replace::{failed, open_regular, sync_directory};
use crate::special::SpecialNames;
use crate::store::{Fsync, Options};
use crate::uid_validity;
use directory::{exists, is_directory, make_mailbox, remove_tree, rename_to_new};
use journal::Move;
use leftover::{LONGEST_REMOVAL, NEW};

pub(crate) use leftover::is_hidden;

/// The directory tree of one account.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    root: &'a Path,
    options: &'a Options,
}

impl<'a> Tree<'a> {
    /// The tree below `root`; nothing is read yet.
    pub(crate) fn new(root: &'a Path, options: &'a Options) -> Self {
        Self { root, options }
    }

    /// Makes the root and INBOX in it where they are not there yet.
    pub(crate) fn make_inbox(&self) -> Result<()> {
        if !self.root.is_dir() {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.root);
            made.map_err(failed(self.root))?;
        }
        self.complete(self.root)?;
        let lock = self.root.join(LOCK);
        if !exists(&lock)? {
            // Made early, so that DELETE works when no file can be made any more; not being able
            // to make it matters only then.
            drop(open_regular(&lock, OFlags::RDWR | OFlags::CREATE));
        }
        Ok(())
    }

    /// Every mailbox and every missing parent of one, level by level, INBOX first.
    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        let lock = self.lock_shared()?;
        let scan = self.scan()?;
        drop(lock);
        if scan.leftovers {
            leftover::remove_if_free(self.root, &self.root.join(LOCK));
        }
        let mut missing = BTreeSet::new();
        for name in &scan.names {
            let mut child = name.clone();
            while let Some(parent) = child.parent() {
                if !parent.is_inbox() && !scan.names.contains(&parent) {
                    missing.insert(parent.clone());
                }
                child = parent;
            }
        }
        let entry = |selectable| move |name| Entry { name, selectable };
        let mut entries: Vec<Entry> = [MailboxName::inbox()]
            .into_iter()
            .chain(scan.names)
            .map(entry(true))
            .chain(missing.into_iter().map(entry(false)))
            .collect();
        entries.sort_by(|a, b| order(&a.name, &b.name));
        Ok(entries)
    }

    /// Every mailbox but INBOX, with what tells it from another that gets its name.
    pub(crate) fn census(&self) -> Result<BTreeMap<MailboxName, Identity>> {
        let _lock = self.lock_shared()?;
        let mut census = BTreeMap::new();
        for name in self.scan()?.names {
            let path = self.path(&name);
            match fs::symlink_metadata(&path) {
                Ok(metadata) => drop(census.insert(name, Identity::of(&metadata))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(census)
    }

    /// The directory of a mailbox if it is there, complete or not.
    pub(crate) fn directory(&self, name: &MailboxName) -> Result<Option<PathBuf>> {
        let path = self.path(name);
        let is_there = if name.is_inbox() {
            path.is_dir()
        } else {
            is_directory(&path)?
        };
        Ok(is_there.then_some(path))
    }

    /// The nearest of a name and those above it that is a mailbox, with its directory.
    pub(crate) fn nearest(
        &self,
        name: Option<MailboxName>,
    ) -> Result<Option<(MailboxName, PathBuf)>> {
        let mut next = name;
        while let Some(name) = next {
            if let Some(directory) = self.directory(&name)? {
                return Ok(Some((name, directory)));
            }
            next = name.parent();
        }
        Ok(None)
    }

    /// Changes the list of rights of a mailbox, which nobody renames or deletes meanwhile.
    pub(crate) fn change_acl(
        &self,
        name: &MailboxName,
        change: impl FnOnce(&mut Acl) -> Result<()>,
    ) -> Result<Acl> {
        let _lock = self.lock()?;
        let directory = self.directory(name)?.ok_or(Error::NotFound)?;
        Acl::change_in(&directory, self.options, change)
    }

    /// The directory of a mailbox that exists, complete with `cur`, `new` and `tmp`.
    pub(crate) fn existing(&self, name: &MailboxName) -> Result<PathBuf> {
        let path = self.path(name);
        if name.is_inbox() {
            self.make_inbox()?;
        } else if is_directory(&path)? {
            self.complete(&path)?;
        } else {
            return Err(Error::NotFound);
        }
        Ok(path)
    }

    /// Makes a mailbox; `fill` puts its own files into the directory before anybody sees it.
    pub(crate) fn create(
        &self,
        name: &MailboxName,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Inbox);
        }
        let _lock = self.lock()?;
        let path = self.path(name);
        if exists(&path)? {
            return Err(Error::Exists);
        }
        let hidden = self.root.join(NEW);
        let made = make_mailbox(&hidden)
            .and_then(|()| fill(&hidden))
            .and_then(|()| self.sync(&hidden))
            .and_then(|()| rename_to_new(&hidden, &path));
        if let Err(error) = made {
            remove_tree(&hidden);
            return Err(error);
        }
        self.sync(self.root)
    }

    /// Deletes a mailbox; its children stay. `gone` is told its directory when nobody can open it
    /// any more.
    pub(crate) fn delete(&self, name: &MailboxName, gone: impl FnOnce(&Path)) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Inbox);
        }
        let lock = self.lock()?;
        let path = self.path(name);
        if !is_directory(&path)? {
            return Err(Error::NotFound);
        }
        self.settle(&path);
        let trash = leftover::discard(self.root, &path, &self.options.source)?;
        gone(&path);
        self.sync(self.root)?;
        drop(lock);
        remove_tree(&trash);
        Ok(())
    }

    /// Renames a mailbox with all of its children, or the children of a parent that does not
    /// exist, and with what hangs on them. `gone` is told every directory that is another mailbox's,
    /// or nobody's, by that: the new ones before anybody can open them, the old ones when nobody can
    /// any more.
    pub(crate) fn rename(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        special: &SpecialNames,
        gone: impl Fn(&Path),
    ) -> Result<()> {
        if from.is_inbox() {
            return Err(Error::Inbox);
        }
        if to.is_inbox() {
            return Err(Error::Exists);
        }
        let _lock = self.lock()?;
        let moves = self.plan(from, to)?;
        let renames = self.renames(&moves);
        let attached = self.attached();
        let exists = |name: &MailboxName| is_directory(&self.path(name)).unwrap_or_default();
        let follow = attached.prepare(&renames, special, exists);
        let is_noted = moves.len() > 1 || follow.is_some();
        if is_noted {
            journal::write(self.root, &moves, follow)?;
        }
        for step in &moves {
            self.settle(&self.root.join(&step.from));
            gone(&self.root.join(&step.to));
        }
        let moved = self.carry_out(&moves);
        if let (Ok(()), Some(before)) = (&moved, follow) {
            // What is noted must not be there before what it is about.
            self.sync(self.root)?;
            attached.follow(&renames, before);
        }
        if is_noted {
            journal::remove(self.root);
        }
        moved?;
        for step in &moves {
            gone(&self.root.join(&step.from));
        }
        self.sync(self.root)
    }

    /// Does something while mailboxes neither come nor go nor get other names.
    pub(crate) fn hold<T, E: From<Error>>(
        &self,
        act: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let _lock = self.lock()?;
        act(self)
    }

    /// What hangs on mailboxes by their names.
    pub(crate) fn attached(&self) -> Attached<'a> {
        Attached::new(self.root, self.namespace(), self.options.lock_timeout)
    }

    /// The directory of a mailbox, whether it exists or not.
    pub(crate) fn path(&self, name: &MailboxName) -> PathBuf {
        // Joining an empty name would add a slash at the end.
        if name.is_inbox() {
            self.root.to_owned()
        } else {
            self.root.join(self.namespace().directory(name))
        }
    }

    fn namespace(&self) -> &'a Namespace {
        &self.options.namespace
    }

    /// Takes the exclusive lock, and mends what a crash has left.
    fn lock(&self) -> Result<FileLock> {
        let lock = FileLock::acquire(&self.root.join(LOCK), self.options.lock_timeout)?;
        self.finish_renaming()?;
        leftover::remove(self.root, &lock, LONGEST_REMOVAL)?;
        Ok(lock)
    }

    /// Takes the shared lock, if this file system lets us have one.
    fn lock_shared(&self) -> Result<Option<FileLock>> {
        let path = self.root.join(LOCK);
        for _ in 0..2 {
            match FileLock::acquire_shared(&path, self.options.lock_timeout) {
                // Nobody is renaming, so a journal is from somebody who has died.
                Ok(lock) if !journal::exists(self.root) => return Ok(Some(lock)),
                Ok(lock) => drop(lock),
                Err(Error::Locked) => return Err(Error::Locked),
                // Read-only or full: what is there can still be listed.
                Err(_) => return Ok(None),
            }
            drop(self.lock()?);
        }
        Ok(None)
    }

    fn scan(&self) -> Result<Scan> {
        let mut scan = Scan::default();
        for entry in fs::read_dir(self.root).map_err(failed(self.root))? {
            let entry = entry.map_err(failed(self.root))?;
            let name = entry.file_name();
            if !name.as_bytes().starts_with(b".") {
                continue;
            }
            if is_hidden(name.as_bytes()) {
                scan.leftovers = true;
            } else if let Some(name) = self.namespace().from_directory(name.as_bytes())
                && entry.file_type().map_err(failed(self.root))?.is_dir()
            {
                scan.names.insert(name);
            }
        }
        Ok(scan)
    }

    /// The renames that take a mailbox and its children to a new name, in an order in which every
    /// target is free when its turn comes.
    fn plan(&self, from: &MailboxName, to: &MailboxName) -> Result<Vec<Move>> {
        let names = self.scan()?.names;
        let mut sources: Vec<&MailboxName> = names
            .iter()
            .filter(|name| *name == from || name.is_inferior_to(from))
            .collect();
        if sources.is_empty() {
            return Err(Error::NotFound);
        }
        if exists(&self.path(to))? {
            return Err(Error::Exists);
        }
        sources.sort_by_key(|name| name.levels().count());
        if to.is_inferior_to(from) {
            sources.reverse();
        }
        let mut moves = Vec::with_capacity(sources.len());
        for source in &sources {
            let Some(target) = source.rebased(from, to) else {
                continue;
            };
            self.namespace().check(&target)?;
            if !sources.contains(&&target) && exists(&self.path(&target))? {
                return Err(Error::Exists);
            }
            moves.push(Move {
                from: self.namespace().directory(source),
                to: self.namespace().directory(&target),
            });
        }
        Ok(moves)
    }

    /// Does all renames or none.
    fn carry_out(&self, moves: &[Move]) -> Result<()> {
        for (done, step) in moves.iter().enumerate() {
            let result = rename_to_new(&self.root.join(&step.from), &self.root.join(&step.to));
            let Err(error) = result else { continue };
            for undo in moves.iter().take(done).rev() {
                let (from, to) = (self.root.join(&undo.to), self.root.join(&undo.from));
                if let Err(error) = rename_to_new(&from, &to) {
                    tracing::error!(from = %from.display(), to = %to.display(), %error, "rename not undone");
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Carries out what is left of a rename whose process died. Under the exclusive lock.
    fn finish_renaming(&self) -> Result<()> {
        if !journal::exists(self.root) {
            return Ok(());
        }
        let journal = journal::read(self.root, self.namespace())?;
        for step in &journal.moves {
            let (from, to) = (self.root.join(&step.from), self.root.join(&step.to));
            if is_directory(&from)? && !exists(&to)? {
                rename_to_new(&from, &to)?;
            }
        }
        self.sync(self.root)?;
        if let Some(before) = journal.attached {
            self.attached()
                .follow(&self.renames(&journal.moves), before);
        }
        journal::remove(self.root);
        Ok(())
    }

    /// The names of mailboxes that are renamed by these moves.
    fn renames(&self, moves: &[Move]) -> Renames {
        let name = |directory: &str| self.namespace().from_directory(directory.as_bytes());
        let both = moves
            .iter()
            .map(|step| Some((name(&step.from)?, name(&step.to)?)));
        both.flatten().collect()
    }

    fn complete(&self, path: &Path) -> Result<()> {
        if directory::complete(path)? {
            self.sync(path)?;
        }
        Ok(())
    }

    /// Before a name is freed: what gets it next must have a higher UIDVALIDITY. Not being able to
    /// make sure of that keeps nobody from deleting.
    fn settle(&self, directory: &Path) {
        if self.options.fsync == Fsync::Never {
            return;
        }
        if let Err(error) = uid_validity::settle(self.root, directory) {
            tracing::warn!(path = %directory.display(), %error, "UIDVALIDITY not noted");
        }
    }

    fn sync(&self, directory: &Path) -> Result<()> {
        match self.options.fsync {
            Fsync::Optimized | Fsync::Always => sync_directory(directory),
            Fsync::Never => Ok(()),
        }
    }
}

/// What a directory keeps when it is renamed. Another one may get its number when it is gone, but
/// not its time of birth, where the file system notes that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    number: u64,
    born: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self {
            number: metadata.ino(),
            born: metadata.created().ok(),
        }
    }
}

/// What is in the root.
#[derive(Debug, Default)]
struct Scan {
    /// The mailboxes but INBOX.
    names: BTreeSet<MailboxName>,
    /// Whether there are half-made or half-removed ones.
    leftovers: bool,
}

/// By levels, so that a mailbox is followed by its children; INBOX and its children first.
fn order(a: &MailboxName, b: &MailboxName) -> std::cmp::Ordering {
    let is_other = |name: &MailboxName| name.levels().next() != Some("INBOX");
    is_other(a)
        .cmp(&is_other(b))
        .then_with(|| a.levels().cmp(b.levels()))
}
/// Only ever locked; in the root.
const LOCK: &str = "pillarbox.tree.lock";

#[cfg(test)]
mod tests;
