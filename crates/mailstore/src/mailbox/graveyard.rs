//! Messages that were expunged while other sessions may still ask for them.
//!
//! Where nobody but the session that expunges watches the mailbox, files are removed at once.
//! Otherwise they are moved into `tmp/` under a name that tells whose they are. A session can only ask for a message that its snapshot has; so a file is removed when no
//! snapshot from before the expunge lives any more, or when nobody watches the mailbox. What a
//! crash leaves in `tmp/` is removed when the mailbox is opened next.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use rustix::process::{Pid, test_kill_process};

use super::Mailbox;
use crate::id::{Uid, UidValidity};
use crate::snapshot::Era;

/// The files of one mailbox.
#[derive(Debug, Default)]
pub(super) struct Graveyard {
    files: HashMap<Uid, PathBuf>,
    /// Buried in the era that has not ended yet.
    buried: Vec<Uid>,
    /// Eras that have ended, oldest first, with what was buried at their ends.
    ended: VecDeque<(Weak<Era>, Vec<Uid>)>,
}

impl Graveyard {
    /// Notes that a message's file is at `path` now.
    pub(super) fn bury(&mut self, uid: Uid, path: PathBuf) {
        self.files.insert(uid, path);
        self.buried.push(uid);
    }

    /// Where a message's file is.
    pub(super) fn find(&self, uid: Uid) -> Option<PathBuf> {
        self.files.get(&uid).cloned()
    }

    /// The era of the published snapshot ends.
    pub(super) fn end_era(&mut self, era: &Arc<Era>) {
        let buried = std::mem::take(&mut self.buried);
        self.ended.push_back((Arc::downgrade(era), buried));
    }

    /// The files that nobody can ask for. A living era needs everything buried at its end or
    /// later.
    fn sweep(&mut self) -> Vec<PathBuf> {
        let mut swept = Vec::new();
        while let Some((era, _)) = self.ended.front()
            && era.strong_count() == 0
        {
            let uids = self.ended.pop_front().map(|(_, uids)| uids);
            let paths = uids.into_iter().flatten();
            swept.extend(paths.filter_map(|uid| self.files.remove(&uid)));
        }
        swept
    }

    /// Every file.
    fn clear(&mut self) -> Vec<PathBuf> {
        self.ended.clear();
        self.buried.clear();
        self.files.drain().map(|(_, path)| path).collect()
    }
}

impl Mailbox {
    /// Where expunged messages are; whole even if a thread panicked while it had it.
    pub(super) fn graveyard(&self) -> MutexGuard<'_, Graveyard> {
        self.graveyard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the file of an expunged message goes.
    pub(super) fn grave(&self, uid_validity: UidValidity, uid: Uid) -> PathBuf {
        let process = std::process::id();
        let host = &self.environment.options.hostname.replace('/', "_");
        let name = format!("{PREFIX}{process}.{uid_validity}.{uid}.{host}");
        self.directory.join("tmp").join(name)
    }

    /// Removes the files that nobody can ask for any more.
    pub(crate) fn sweep_graves(&self) {
        if self.watchers.is_empty() {
            return self.empty_graves();
        }
        for path in self.graveyard().sweep() {
            // A file that stays is removed at the next opening.
            fs::remove_file(path).ok();
        }
    }

    /// Removes all files of expunged messages, whoever may ask for them.
    pub(super) fn empty_graves(&self) {
        for path in self.graveyard().clear() {
            fs::remove_file(path).ok();
        }
    }

    /// Removes what crashed processes have left in `tmp/`, and files that have been there for more
    /// than 36 hours.
    pub(super) fn clean_tmp(&self) {
        self.clean_tmp_at(|| self.file_system_time().seconds);
    }

    /// The same at a time in seconds since 1970, by the clock of the file system.
    pub(super) fn clean_tmp_at(&self, now: impl Fn() -> i64) {
        let Ok(entries) = fs::read_dir(self.directory.join("tmp")) else {
            return;
        };
        let mut present = None;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let now = *present.get_or_insert_with(&now);
            let old = now.saturating_sub(metadata.ctime()) > OLD_AFTER;
            if metadata.is_file() && (old || self.is_orphan(name.as_bytes())) {
                fs::remove_file(entry.path()).ok();
            }
        }
    }

    /// Whether the file was buried by a process of this machine that is no more.
    fn is_orphan(&self, name: &[u8]) -> bool {
        let Some(rest) = str::from_utf8(name)
            .ok()
            .and_then(|name| name.strip_prefix(PREFIX))
        else {
            return false;
        };
        let host = &self.environment.options.hostname.replace('/', "_");
        let mut parts = rest.splitn(4, '.');
        let process = parts.next().and_then(|process| process.parse::<i32>().ok());
        if parts.nth(2) != Some(host) {
            return false;
        }
        let Some(process) = process.and_then(Pid::from_raw) else {
            return false;
        };
        let own = process.as_raw_pid().unsigned_abs() == std::process::id();
        own || test_kill_process(process) == Err(rustix::io::Errno::SRCH)
    }
}

const PREFIX: &str = "pillarbox-expunged.";
/// How many seconds a file may stay in `tmp/`.
const OLD_AFTER: i64 = 36 * 3600;
