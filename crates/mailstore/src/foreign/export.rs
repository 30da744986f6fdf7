//! Writing what Dovecot keeps beside a Maildir, so that it serves the mail as we did: every UID,
//! UIDVALIDITY, keyword and kept POP3 unique-id is the same.
//!
//! Written under the lock of the mailbox and `dovecot-uidlist.lock`: first `dovecot-keywords`, then
//! `dovecot-uidlist`, each as a whole (tmp, fsync, rename, fsync of the directory). The index then
//! notes that the two agree. What an old list says and we do not know (sizes, unknown fields) goes
//! on to the new one. Messages of other programs without a UID get one before.
//!
//! Index files of Dovecot that are still there are left alone: it brings them up to date with the
//! list and the file names, because the UIDVALIDITY is the same, and every UID that it does not
//! know is above all that it knows.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use super::{MAX_LIST, Uidlist, UidlistEntry, read_whole};
use crate::error::{Error, Result};
use crate::filename::{FileName, base};
use crate::flag::{FlagSet, Keyword, Keywords};
use crate::id::UidValidity;
use crate::index::{Agreed, State};
use crate::keyword_file;
use crate::lock::Dotlock;
use crate::mailbox::LOCK;
use crate::replace::{Replacement, failed, open_regular, touch};
use crate::snapshot::{Message, Snapshot};
use crate::sync::file_time;

/// What was written for a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its UIDVALIDITY.
    pub uid_validity: UidValidity,
    /// The UIDVALIDITY of the list that was there before.
    pub before: Option<UidValidity>,
    /// How many messages are on the list.
    pub messages: usize,
    /// How many keywords have a letter.
    pub keywords: usize,
    /// How many messages have a kept POP3 unique-id.
    pub uidls: usize,
    /// Keywords without a letter, which Dovecot will not see, and how many messages have each.
    pub lost: Vec<(Keyword, usize)>,
}

/// Writes the files for the mailbox in `directory`, whose lock is held and whose index says
/// `state`. Gives what the new list is like, for the index.
///
/// # Errors
/// [`Error::Locked`] if Dovecot has its list locked for longer than `timeout`.
pub(crate) fn export(
    directory: &Path,
    state: &State,
    timeout: Duration,
) -> Result<(Exported, Agreed)> {
    let path = directory.join(UIDLIST);
    let lock = directory.join(UIDLIST_LOCK);
    let _lock = Dotlock::acquire_with(&lock, timeout, STALE, || file_system_time(directory))?;
    // Dovecot writes a new list into a file of the same name, while it has the lock.
    let replacement = Replacement::begin(&path)?;
    let snapshot = &state.snapshot;
    let (known, _) = keyword_file::load(directory)?;
    if has_other_letters(snapshot.keywords(), &known) {
        keyword_file::store(directory, snapshot.keywords())?;
    }
    // A damaged list has nothing worth keeping.
    let old = match read_whole(&path, MAX_LIST) {
        Err(Error::Corrupt { .. }) => None,
        old => old?.and_then(|(bytes, _)| Uidlist::parse(&bytes).ok()),
    };
    let exported = Exported {
        uid_validity: snapshot.uid_validity(),
        before: old.as_ref().map(|old| old.uid_validity),
        messages: snapshot.len(),
        keywords: letters(snapshot.keywords()).count(),
        uidls: count(snapshot, |message| {
            message.kept().is_some_and(|kept| kept.uidl.is_some())
        }),
        lost: lost(snapshot),
    };
    replacement.commit(&list(snapshot, old).write(), None)?;
    let written = fs::symlink_metadata(&path).map_err(failed(&path))?;
    let agreed = Agreed {
        modified: file_time(&written),
        size: written.len(),
    };
    Ok((exported, agreed))
}

/// The file system's present time, by which the age of a lock file counts.
fn file_system_time(directory: &Path) -> Result<SystemTime> {
    let path = directory.join(LOCK);
    let file = open_regular(&path, OFlags::RDWR | OFlags::CREATE)?;
    touch(&file).map_err(failed(&path))
}

/// The list of a mailbox, with what only the old list knows.
fn list(snapshot: &Snapshot, old: Option<Uidlist>) -> Uidlist {
    let mut list = Uidlist {
        version: 3,
        uid_validity: snapshot.uid_validity(),
        next_uid: snapshot.uid_next(),
        mailbox_guid: Some(snapshot.mailbox_id()),
        pop3_format: None,
        other: Box::default(),
        entries: snapshot.iter().map(entry).collect(),
    };
    let Some(old) = old else {
        return list;
    };
    list.pop3_format = old.pop3_format;
    list.other = old.other;
    let mut old: HashMap<Box<[u8]>, UidlistEntry> = old
        .entries
        .into_iter()
        .map(|entry| (entry.base.clone(), entry))
        .collect();
    for entry in &mut list.entries {
        if let Some(old) = old.remove(&entry.base) {
            entry.size = old.size;
            entry.rfc822_size = entry.rfc822_size.or(old.rfc822_size);
            entry.other = old.other;
        }
    }
    list
}

fn entry(message: Message<'_>) -> UidlistEntry {
    let name = message.file_name();
    let mut entry = UidlistEntry::new(message.uid(), base(name));
    let in_name = FileName::parse(name).and_then(|name| name.rfc822_size);
    if in_name.is_none() {
        entry.rfc822_size = message.rfc822_size();
    }
    if let Some(kept) = message.kept() {
        entry.uidl.clone_from(&kept.uidl);
        entry.order = kept.order;
        entry.guid.clone_from(&kept.guid);
    }
    entry
}

/// Whether any letter has another name than in the file.
fn has_other_letters(keywords: &Keywords, file: &Keywords) -> bool {
    let name = |keyword: &Keyword| keyword.as_str().to_owned();
    letters(keywords).any(|(position, keyword)| {
        file.get(position).map(name).as_deref() != Some(keyword.as_str())
    })
}

fn letters(keywords: &Keywords) -> impl Iterator<Item = (u8, &Keyword)> {
    let letter = |position: u8| usize::from(position) < Keywords::LETTERS;
    keywords
        .iter()
        .filter(move |(position, _)| letter(*position))
}

/// The keywords without a letter that any message has.
fn lost(snapshot: &Snapshot) -> Vec<(Keyword, usize)> {
    let beyond = snapshot.keywords().iter();
    let beyond = beyond.filter(|(position, _)| usize::from(*position) >= Keywords::LETTERS);
    beyond
        .map(|(position, keyword)| {
            let has = |message: Message<'_>| FlagSet::has_keyword(message.flags(), position);
            (keyword.clone(), count(snapshot, has))
        })
        .filter(|(_, messages)| *messages > 0)
        .collect()
}

fn count(snapshot: &Snapshot, has: impl Fn(Message<'_>) -> bool) -> usize {
    snapshot.iter().filter(|message| has(*message)).count()
}

/// Dovecot's list of UIDs.
pub(crate) const UIDLIST: &str = "dovecot-uidlist";
/// Its lock file.
const UIDLIST_LOCK: &str = "dovecot-uidlist.lock";
/// How long the lock file may be unchanged before its holder is taken for dead: what Dovecot waits,
/// which touches it every 10 seconds.
const STALE: Duration = Duration::from_mins(2);
