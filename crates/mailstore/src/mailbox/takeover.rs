//! Taking over what another server left, and coming back from it.
//!
//! # The first index
//!
//! A mailbox without an index gets one from the other server's list (`foreign`): its UIDVALIDITY,
//! its UIDNEXT, its identity, and the UIDs, sizes and POP3 UIDLs of the files that are there. Files
//! that the list does not have get UIDs from UIDNEXT on. Mod-sequences begin at the present time in
//! microseconds, which is above what clients can have from a server that counts changes.
//!
//! A list can be used only as long as it knows every UID that was ever given under its
//! UIDVALIDITY. After the takeover we give UIDs that it does not know, so from then on it counts
//! only together with our index. That is noted outside of the index (`foreign::served`): if the
//! index is lost later, there is a new UIDVALIDITY, and of the list only sizes and UIDLs are used,
//! which belong to files and not to UIDs.
//!
//! Order: index without the mark *agreed* → value noted as served → mark *agreed*. Whoever opens an
//! index without the mark does the rest first. So a crash in between repeats the takeover or ends
//! it, and no UID is shown before the note is on the disk.
//!
//! # When the other server had the mailbox again
//!
//! The mark is the time and the size of the list when index and list were last made to agree. When
//! a mailbox is opened and the list is not as the mark says, the other server has had the mailbox
//! meanwhile. Index and list may then both have given UIDs that the other does not know, even the
//! same UID to two messages, and either message may be gone by now. So a UID is believed only if
//! the other side agrees, or cannot have given it:
//!
//! - a message that has the same UID in both keeps it;
//! - a UID of the index stays if it is not below the UIDNEXT of the list;
//! - a UID of the list is taken if it is not below the UIDNEXT of the index;
//! - every other message gets a new UID, above both.
//!
//! After an orderly return (`index export` before, nothing served by both at a time) that is every
//! UID of both. Every mod-sequence is raised to the present, because the other server's may have
//! been higher than ours. A list of another UIDVALIDITY is about UIDs of its own and is ignored.
//!
//! # Courier's keywords
//!
//! They are in files of their own. They become letters in the names of messages, with their names
//! in `dovecot-keywords`, before the first index is made: so they last as long as the messages, and
//! doing it twice changes nothing. Keywords that find no letter are only in the index.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Mailbox;
use super::writer::mailbox_id;
use crate::email_id::EmailId;
use crate::error::{Error, Result};
use crate::filename::{self, FileName};
use crate::flag::{FlagSet, Keywords};
use crate::foreign::courier::{self, KeywordsByBase};
use crate::foreign::served::{self, Served};
use crate::foreign::{self, Adoption, Left, Problem, Server, Uids};
use crate::id::{ModSeq, Uid, UidValidity};
use crate::index::{Agreed, Entry, FileTime, Force, Index, Refreshed, State};
use crate::keyword_file;
use crate::replace::{failed, sync_directory};
use crate::snapshot::{Place, Snapshot};
use crate::store::Fsync;
use crate::sync::{self, IN_NAMES, Scan, merged_keywords, message_path, new_keywords};
use crate::uid_validity;

/// Whether another server's list may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    /// It is used if it can be; if it is damaged, somebody has to decide.
    Use,
    /// Somebody has decided: there are new UIDs.
    Ignore,
}

/// What a first index is made of.
struct First {
    state: State,
    adoption: Adoption,
    left: Option<Left>,
    /// What the list was like, even if it is ignored.
    stamp: Option<Agreed>,
    /// Whether the UIDs are those of the other server.
    uids: Uids,
}

impl Mailbox {
    /// Makes the first index and puts it in its place. Only under the lock.
    pub(super) fn first_index(&self, lists: Lists) -> Result<Index> {
        sync::make_directories(&self.directory)?;
        let force = self.environment.force_messages();
        let source = &self.environment.options.source;
        let served = Served::load(&self.directory)?;
        let mut first = self.first(lists, &served)?;
        let uid_validity = first.state.snapshot.uid_validity();
        let mut keywords = Vec::new();
        // What was changed since by clients of ours must not come back.
        if served.is_nothing() && first.left.as_ref().is_some_and(is_couriers) {
            let found = courier::keywords(&self.directory)?;
            keywords = self.take_keywords(&found, &mut first.adoption)?;
        }
        let start = self.file_system_time();
        let mut index = Index::in_memory(&self.directory, first.state);
        index.append(&keywords, Force::Never)?;
        self.adopt(&mut index, &first.adoption, start, first.uids)
            .map_err(|error| self.full(error, first.uids))?;
        index.replace(source.random(), force)?;
        // Where no other server has been, it matters only if the index is lost as well.
        let later = force == Force::Now && first.left.is_none() && first.stamp.is_none();
        let note = if later { Force::Later } else { force };
        served::note(&self.directory, uid_validity, note)?;
        if let Some(stamp) = first.stamp {
            index.append(&[Entry::Agreed(stamp)], force)?;
        }
        let messages = index.state.snapshot.len();
        match first.left {
            Some(left) if first.uids == Uids::Adopt => {
                let server = left.server;
                tracing::info!(mailbox = %self.name, %server, %uid_validity, messages, "mailbox taken over");
            }
            _ => tracing::info!(mailbox = %self.name, %uid_validity, messages, "mailbox indexed"),
        }
        Ok(index)
    }

    /// An index that is only in memory, because nothing can be written. Without another server's
    /// list, its UIDVALIDITY is `known` or made up from the time.
    pub(super) fn index_in_memory(&self, known: Option<UidValidity>) -> Result<Index> {
        let served = Served::load(&self.directory)?;
        let mut left = foreign::find(&self.directory)?;
        let source = &self.environment.options.source;
        let list = left.as_ref().and_then(|left| left.list.as_ref());
        let list = list.filter(|(list, _)| !served.has(list.uid_validity));
        let start = FileTime::from(source.wall());
        // Thirty bits: below every value that an index could have.
        let seconds = u32::try_from(start.seconds & ((1 << 30) - 1)).ok();
        let made_up = || {
            seconds
                .and_then(UidValidity::new)
                .unwrap_or(UidValidity::MIN)
        };
        let taken = list.map(|(list, _)| list.uid_validity);
        let uid_validity = known.or(taken).unwrap_or_else(made_up);
        // As lasting as the UIDVALIDITY, though it is noted nowhere.
        let list = list.filter(|(list, _)| list.uid_validity == uid_validity);
        let id = list.and_then(|(list, _)| list.mailbox_guid);
        let id = id.unwrap_or_else(|| made_up_id(&self.directory, uid_validity));
        let state = State::new(Snapshot::empty(uid_validity), id);
        let mut index = Index::in_memory(&self.directory, state);
        if let Some(left) = &mut left {
            let uids = Uids::usable(taken.filter(|taken| *taken == uid_validity));
            let adoption = Adoption::new(&self.directory, left, uids)?;
            self.adopt(&mut index, &adoption, start, uids)?;
        }
        Ok(index)
    }

    /// Makes a new index in place of any that is there, under a new UIDVALIDITY, whatever another
    /// server left.
    pub(super) fn index_anew(&self) -> Result<()> {
        let _lock = self.lock_for_takeover()?;
        self.first_index(Lists::Ignore).map(drop)
    }

    /// Takes over another server's list on request: makes the index agree with it, or makes a new
    /// one if the list has another UIDVALIDITY.
    pub(super) fn import_list(&self) -> Result<()> {
        let _lock = self.lock_for_takeover()?;
        let left = foreign::find(&self.directory)?;
        let list = left.as_ref().and_then(|left| left.list.as_ref());
        let refused = |problem| Error::Takeover {
            path: foreign::list_path(&self.directory),
            problem,
        };
        let (list, _) = list.ok_or_else(|| refused(Problem::Nothing))?;
        let index = match Index::load(&self.directory) {
            Err(Error::Corrupt { .. }) => None,
            loaded => loaded?,
        };
        if let Some((mut index, refreshed)) = index
            && index.state.snapshot.uid_validity() == list.uid_validity
        {
            if refreshed == Refreshed::Tail {
                index.cut_tail()?;
            }
            return self.agree(&mut index);
        }
        if Served::load(&self.directory)?.has(list.uid_validity) {
            return Err(refused(Problem::Served));
        }
        self.first_index(Lists::Use).map(drop)
    }

    /// Whether another server's list is not as it was when it was last made to agree.
    pub(super) fn disagrees(&self, index: &Index) -> bool {
        let stamp = foreign::list_stamp(&self.directory);
        stamp.is_some() && stamp != index.state.agreed && !index.is_in_memory()
    }

    /// Makes the index agree with another server's list. Only under the lock.
    pub(super) fn agree(&self, index: &mut Index) -> Result<()> {
        let left = match foreign::find(&self.directory) {
            // What is missing cannot contradict the index.
            Err(Error::Takeover {
                problem: Problem::Missing,
                ..
            }) => return Ok(()),
            left => left?,
        };
        let Some((list, stamp)) = left.and_then(|left| left.list) else {
            return Ok(());
        };
        let force = self.environment.force_messages();
        let uid_validity = index.state.snapshot.uid_validity();
        if list.uid_validity == uid_validity {
            served::note(&self.directory, uid_validity, force)?;
            let mut adoption = Adoption::default();
            adoption.take_list(list, Uids::Adopt);
            let before = index.state.snapshot.clone();
            let entries = self.entries_to_agree(index, &adoption)?;
            index.append(&entries, force)?;
            let difference = before.difference(&index.state.snapshot);
            let (added, removed) = (difference.added.len(), difference.expunged.len());
            tracing::info!(mailbox = %self.name, %uid_validity, added, removed, "changes by another server taken over");
            let renumbered = renumbered(&before, &index.state.snapshot);
            if renumbered > 0 {
                tracing::warn!(mailbox = %self.name, renumbered, "{}", WITHOUT_EXPORT);
            }
        } else {
            let other = list.uid_validity;
            tracing::info!(mailbox = %self.name, %uid_validity, %other, "list of another UIDVALIDITY ignored");
        }
        index.append(&[Entry::Agreed(stamp)], force)
    }

    /// What was found, and the state that an index begins with.
    fn first(&self, lists: Lists, served: &Served) -> Result<First> {
        let source = &self.environment.options.source;
        let stamp = foreign::list_stamp(&self.directory);
        let found = foreign::find(&self.directory);
        let mut left = match (lists, found) {
            (
                Lists::Use,
                Err(Error::Takeover {
                    problem: Problem::Missing,
                    ..
                }),
            ) if !served.is_nothing() => None,
            (Lists::Use, found) => found?,
            (Lists::Ignore, Err(Error::Takeover { .. })) => None,
            (Lists::Ignore, found) => found?,
        };
        let list = left.as_ref().and_then(|left| left.list.as_ref());
        let stamp = list.map(|(_, stamp)| *stamp).or(stamp);
        let list = list.map(|(list, _)| list);
        let usable = |value: &UidValidity| lists == Lists::Use && !served.has(*value);
        let taken = list.map(|list| list.uid_validity).filter(usable);
        let uids = Uids::usable(taken);
        let uid_validity = match taken {
            Some(taken) => taken,
            None => {
                let foreign = list.map(|list| list.uid_validity.get());
                let old = Index::uid_validity_in(&self.directory);
                let floor = foreign.max(old.map(UidValidity::get)).max(served.highest());
                uid_validity::next_above(floor, &self.root, source)?
            }
        };
        // The identity goes with the UIDVALIDITY (RFC 8474 §4).
        let same = list.filter(|_| taken.is_some());
        let id = same.and_then(|list| list.mailbox_guid);
        let id = id.unwrap_or_else(|| mailbox_id(source));
        let adoption = match &mut left {
            Some(left) => Adoption::new(&self.directory, left, uids)?,
            None => Adoption::default(),
        };
        Ok(First {
            state: State::new(Snapshot::empty(uid_validity), id),
            adoption,
            left,
            stamp,
            uids,
        })
    }

    /// Says what can be done if a list leaves no UIDs.
    fn full(&self, error: Error, uids: Uids) -> Error {
        if uids != Uids::Adopt || !matches!(error, Error::Limit("UIDs")) {
            return error;
        }
        let path = foreign::list_path(&self.directory);
        let problem = Problem::NoUids;
        Error::Takeover { path, problem }
    }

    /// Fills an index with the files that are there.
    fn adopt(
        &self,
        index: &mut Index,
        adoption: &Adoption,
        start: FileTime,
        uids: Uids,
    ) -> Result<()> {
        let mod_seq = match uids {
            Uids::Adopt => self.present(),
            Uids::Ignore => ModSeq::MIN,
        };
        let (mut entries, unknown) = Scan {
            directory: &self.directory,
            state: &index.state,
            environment: &self.environment,
            guard: self.guard,
            start,
            mod_seq,
        }
        .look(Some(adoption))?;
        unknown.push_to(&mut index.state.snapshot)?;
        if uids == Uids::Adopt {
            // Clients may have the other server's mod-sequences, and not know what it expunged.
            index.state.snapshot.forget_vanished(mod_seq);
            entries.push(unknown.adopted_meta()?);
        }
        index.append(&entries, Force::Never)
    }

    fn entries_to_agree(&self, index: &Index, adoption: &Adoption) -> Result<Vec<Entry>> {
        let mod_seq = index.next_mod_seq()?.max(self.present());
        let snapshot = &index.state.snapshot;
        let (mut entries, unknown) = Scan {
            directory: &self.directory,
            state: &index.state,
            environment: &self.environment,
            guard: self.guard,
            start: self.file_system_time(),
            mod_seq,
        }
        .look(Some(adoption))?;
        entries.extend(unknown.entries()?);
        entries.push(unknown.adopted_meta()?);
        for message in snapshot.iter() {
            let adopted = adoption.messages.get(filename::base(message.file_name()));
            let same = adopted.filter(|adopted| adopted.uid == Some(message.uid()));
            let kept = same.and_then(|adopted| adopted.kept());
            if let Some(kept) = kept.filter(|kept| Some(*kept) != message.kept()) {
                let (uid, kept) = (message.uid(), kept.clone());
                entries.push(Entry::Keep { uid, kept });
            }
        }
        entries.push(Entry::TouchAll(mod_seq));
        Ok(entries)
    }

    /// Gives messages the keywords that Courier has for them: letters in the names of their files,
    /// and what finds no letter in `adoption`. Gives the entries for the names of the keywords.
    fn take_keywords(&self, found: &KeywordsByBase, adoption: &mut Adoption) -> Result<Vec<Entry>> {
        let mut files = Vec::new();
        let mut used = FlagSet::EMPTY;
        for place in [Place::Cur, Place::New] {
            let path = self.directory.join(place.directory());
            for entry in std::fs::read_dir(&path).map_err(failed(&path))? {
                let entry = entry.map_err(failed(&path))?;
                let name = entry.file_name().into_encoded_bytes();
                if let Some(parsed) = FileName::parse(&name) {
                    used = used.union(parsed.flags);
                    if found.contains_key(parsed.base) {
                        files.push((place, name));
                    }
                }
            }
        }
        let mut keywords = merged_keywords(&self.directory, &Keywords::default(), used);
        let mut renames = Vec::new();
        for (place, name) in files {
            let base = filename::base(&name).to_vec();
            let mut flags = FlagSet::EMPTY;
            for keyword in found.get(&base).into_iter().flatten() {
                match keywords.add(keyword) {
                    Some(position) => flags = flags.with_keyword(position),
                    None => {
                        tracing::warn!(mailbox = %self.name, "too many keywords: one is lost");
                    }
                }
            }
            let beyond = flags.without(IN_NAMES);
            if beyond != FlagSet::EMPTY {
                adoption.messages.entry(base.into()).or_default().flags = beyond;
            }
            renames.push((place, name, flags));
        }
        // The names first: a letter without a name would get another one.
        keyword_file::store(&self.directory, &keywords)?;
        self.rename_with(renames)?;
        Ok(new_keywords(&Keywords::default(), &keywords))
    }

    /// Puts the letters of keywords into file names, durably.
    fn rename_with(&self, renames: Vec<(Place, Vec<u8>, FlagSet)>) -> Result<()> {
        for (place, name, flags) in renames {
            let old = FileName::parse(&name).map(|name| name.flags);
            let new = filename::with_flags(&name, flags.union(old.unwrap_or_default()));
            let from = message_path(&self.directory, place, &name);
            let to = message_path(&self.directory, Place::Cur, &new);
            match std::fs::rename(&from, &to).map_err(failed(&from)) {
                Ok(()) => {}
                Err(full @ (Error::NoSpace | Error::NoPermission { .. })) => return Err(full),
                Err(error) => {
                    tracing::warn!(mailbox = %self.name, %error, "keywords are lost");
                }
            }
        }
        if self.environment.options.fsync != Fsync::Never {
            sync_directory(&self.directory.join(Place::Cur.directory()))?;
            sync_directory(&self.directory.join(Place::New.directory()))?;
        }
        Ok(())
    }

    /// The present as a mod-sequence: microseconds since 1970.
    fn present(&self) -> ModSeq {
        let wall = self.environment.options.source.wall();
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).ok();
        micros.and_then(ModSeq::new).unwrap_or(ModSeq::MIN)
    }
}

/// The identity of a mailbox that cannot have one written down.
fn made_up_id(directory: &Path, uid_validity: UidValidity) -> u128 {
    let path = directory.as_os_str().as_bytes();
    EmailId::of(&[path, &uid_validity.get().to_be_bytes()].concat()).get()
}

/// How many messages have another UID than before.
fn renumbered(before: &Snapshot, after: &Snapshot) -> usize {
    let difference = before.difference(after);
    let bases = |snapshot: &Snapshot, uids: &[Uid]| -> HashSet<Box<[u8]>> {
        let messages = uids.iter().filter_map(|uid| snapshot.by_uid(*uid));
        messages.map(|message| message.base_name().into()).collect()
    };
    let gone = bases(before, &difference.expunged);
    let come = bases(after, &difference.added);
    gone.intersection(&come).count()
}

fn is_couriers(left: &Left) -> bool {
    left.server == Server::Courier
}

/// What to tell an administrator who let another server go on with a list that was out of date.
const WITHOUT_EXPORT: &str = "messages have new UIDs, because another server went on without \
     knowing ours and may have given the same: before it comes again, run `pillarbox index export`";

#[cfg(test)]
mod tests;
