//! A change of a mailbox under its locks: files first, then one frame of the index.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::Mailbox;
use crate::error::Result;
use crate::index::{Entry, FileTime, Force, Index, Stamp};
use crate::quota::Change;
use crate::snapshot::{Place, Snapshot};
use crate::sync::{Observed, Scan};

/// Whether the directories have been read under the lock that is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Looked {
    /// They have not.
    #[default]
    NotYet,
    /// They have, to make a new index.
    Already,
}

/// A change under the lock.
pub(super) struct Transaction<'a> {
    pub(super) mailbox: &'a Mailbox,
    pub(super) index: &'a mut Index,
    /// What has been done and is not in the index yet.
    pub(super) entries: Vec<Entry>,
    /// The renames, from and to, since the last commit.
    pub(super) renamed: Vec<(PathBuf, PathBuf)>,
    /// The times of the directories before the change.
    before: Observed,
    /// Whether the directories were read already.
    looked: Looked,
    /// Directories that could not be forced to the disk.
    pub(super) unforced: BTreeSet<Place>,
    /// Whether files were changed of which no entry tells: the directories must be read again.
    untold: bool,
    /// What it has added and removed itself.
    pub(super) own: Change,
    /// Whether the index could not be written: then what it says is not certain, and nothing more
    /// goes into it.
    broken: bool,
}

impl<'a> Transaction<'a> {
    /// Begins a change of a mailbox whose lock is held and whose index is up to date.
    pub(super) fn begin(
        mailbox: &'a Mailbox,
        index: &'a mut Index,
        looked: Looked,
    ) -> Result<Self> {
        let before = Observed::now(&mailbox.directory)?;
        let stamps = &index.state.stamps;
        if before.matches(stamps) && stamps.are_settled() {
            mailbox.notices.settle();
        }
        Ok(Self {
            before,
            mailbox,
            index,
            entries: Vec::new(),
            renamed: Vec::new(),
            looked,
            unforced: BTreeSet::new(),
            untold: false,
            own: Change::default(),
            broken: false,
        })
    }
}

impl Transaction<'_> {
    /// Whether the index could not be written.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The newest messages, as of the last commit.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.index.state.snapshot
    }

    /// Whether the directories must be read.
    pub(super) fn is_stale(&self) -> bool {
        let stamps = &self.index.state.stamps;
        self.looked == Looked::NotYet && self.mailbox.must_read(self.before, stamps)
    }

    /// Reads the directories and brings the index up to date.
    pub(super) fn scan(&mut self) -> Result<()> {
        self.commit()?;
        let entries = self.mailbox.read_directories(&Scan {
            directory: &self.mailbox.directory,
            state: &self.index.state,
            environment: &self.mailbox.environment,
            guard: self.mailbox.guard,
            start: self.mailbox.file_system_time(),
            mod_seq: self.index.next_mod_seq()?,
        })?;
        self.append(&entries)?;
        self.before = Observed::now(&self.mailbox.directory)?;
        Ok(())
    }

    /// Appends the entries to the index, and notes that the times of the directories have changed
    /// by ourselves.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.entries.extend(self.mailbox.take_learned());
        let after = Observed::now(&self.mailbox.directory)?;
        if after != self.before && !self.untold {
            let mut stamps = self.index.state.stamps;
            stamps.new = moved(stamps.new, self.before.new, after.new);
            stamps.cur = moved(stamps.cur, self.before.cur, after.cur);
            if stamps != self.index.state.stamps {
                self.entries.push(Entry::Synced(stamps));
            }
        }
        self.before = after;
        let entries = std::mem::take(&mut self.entries);
        self.append(&entries)?;
        self.renamed.clear();
        Ok(())
    }

    /// Notes that files were changed of which no entry tells, so that the next look reads the
    /// directories.
    pub(super) fn leave_untold(&mut self) {
        self.untold = true;
    }

    /// Gives files their old names back, because the index does not know of the new ones. One that
    /// keeps its new name is found by the next look.
    pub(super) fn undo_renames(&mut self) {
        for (from, to) in self.renamed.drain(..).rev() {
            if let Err(error) = std::fs::rename(&to, &from) {
                tracing::warn!(path = %to.display(), %error, "file not renamed back");
            }
        }
    }

    /// Tries again after a failed commit that has left nothing in the index: its file was full.
    pub(super) fn mend(&mut self) {
        self.broken = false;
    }

    fn append(&mut self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() || self.broken {
            return Ok(());
        }
        self.broken = true;
        self.append_whole(entries)?;
        self.broken = false;
        if self.index.wants_compaction() {
            let environment = &self.mailbox.environment;
            let generation = environment.options.source.random();
            let replaced = self.index.replace(generation, environment.force_messages());
            if let Err(error) = replaced {
                tracing::warn!(mailbox = %self.mailbox.name, %error, "index not compacted");
            }
        }
        Ok(())
    }

    fn append_whole(&mut self, entries: &[Entry]) -> Result<()> {
        let environment = &self.mailbox.environment;
        let force = if entries.iter().any(Entry::must_be_durable) {
            environment.force_messages()
        } else {
            environment.force_flags()
        };
        if force == Force::Later {
            self.reserve(entries)?;
        }
        let added = entries.iter().filter(|it| matches!(it, Entry::Add(_)));
        let added = added.count();
        if added >= MANY && added > self.snapshot().len() && !self.index.is_in_memory() {
            let generation = environment.options.source.random();
            return self.index.rewrite(entries, generation, force);
        }
        self.index.append(entries, force)
    }

    /// Makes sure, durably, that mod-sequences which may be lost are never given again.
    fn reserve(&mut self, entries: &[Entry]) -> Result<()> {
        let boot = self.mailbox.environment.boot();
        let flags = entries.iter().filter_map(|entry| match entry {
            Entry::Flags { mod_seq, .. } => Some(mod_seq.get()),
            Entry::Add(_)
            | Entry::Expunge { .. }
            | Entry::Meta { .. }
            | Entry::Synced(_)
            | Entry::Reserve { .. }
            | Entry::TouchAll(_)
            | Entry::Close
            | Entry::Keyword { .. }
            | Entry::Learned { .. }
            | Entry::Keep { .. }
            | Entry::Agreed(_) => None,
        });
        let highest = self.snapshot().highest_mod_seq().get();
        let Some(wanted) = flags.max().filter(|wanted| *wanted > highest) else {
            return Ok(());
        };
        let reserve = self.index.state.reserve;
        if reserve.boot == boot && wanted < reserve.mod_seq {
            return Ok(());
        }
        let mod_seq = wanted.saturating_add(RESERVED);
        self.index
            .append(&[Entry::Reserve { mod_seq, boot }], Force::Now)
    }
}

/// A directory's stamp after a change of ours, if the time has moved at all.
fn moved(stamp: Stamp, before: FileTime, after: FileTime) -> Stamp {
    if before == after {
        stamp
    } else {
        stamp.after_own_change(before, after)
    }
}

/// How many mod-sequences are reserved at once.
const RESERVED: u64 = 4096;
/// From how many new messages on it may be better to write the whole index at once.
const MANY: usize = 1024;
