//! What taking a mailbox over would do, found out without changing anything.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::courier;
use super::served::Served;
use super::{Adoption, Left, Problem, Server, Uids, find};
use crate::error::{Error, Result};
use crate::filename::{FileName, base};
use crate::flag::{FlagSet, Keywords};
use crate::id::{Uid, UidValidity};
use crate::index::{Index, State};
use crate::keyword_file;
use crate::replace::failed;

/// What there is in a mailbox, and what Pillarbox would show of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Whether it has an index of ours that can be read.
    pub indexed: bool,
    /// The other server that had it last.
    pub server: Option<Server>,
    /// Its UIDVALIDITY after the takeover; `None` if it gets a new one.
    pub uid_validity: Option<UidValidity>,
    /// Its UIDNEXT before files without a UID get theirs; `None` if UIDs begin anew.
    pub uid_next: Option<Uid>,
    /// How many message files there are.
    pub messages: usize,
    /// How many of them keep their UIDs; the others get new ones.
    pub uids: usize,
    /// How many entries of the other server's list have no file: their UIDs are not given again.
    pub gone: usize,
    /// How many keywords its messages can have.
    pub keywords: usize,
    /// How many messages keep the POP3 UIDL that another server gave.
    pub uidls: usize,
    /// What stands in the way, or is lost.
    pub problems: Vec<Problem>,
}

impl Survey {
    /// Whether the mailbox cannot be opened before somebody decides.
    pub fn is_refused(&self) -> bool {
        let refuses = |problem: &Problem| {
            matches!(
                problem,
                Problem::Damaged(_) | Problem::Missing | Problem::NoList | Problem::NoUids
            )
        };
        self.problems.iter().any(refuses)
    }
}

/// Looks at the mailbox in `directory`, changing nothing and taking no lock.
///
/// # Errors
/// If something in it cannot be read at all. What another server left and cannot be used is among
/// the [problems](Survey::problems) instead.
pub fn survey(directory: &Path) -> Result<Survey> {
    let mut survey = Survey::default();
    let (bases, used) = list_bases(directory)?;
    survey.messages = bases.len();
    let index = match Index::load(directory) {
        Ok(index) => index.map(|(index, _)| index.state),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    let left = match find(directory) {
        Ok(left) => left,
        Err(Error::Takeover { problem, .. }) => {
            // An index of ours does not need what is missing.
            if index.is_none() || problem != Problem::Missing {
                survey.problems.push(problem);
            }
            None
        }
        Err(error) => return Err(error),
    };
    survey.server = left.as_ref().map(|left| left.server);
    survey.count_keywords(directory, index.as_ref(), left.as_ref(), used)?;
    match (index, left) {
        (Some(state), left) => survey.compare(&state, left, &bases),
        (None, Some(left)) => survey.take(directory, left, &bases)?,
        (None, None) => {}
    }
    Ok(survey)
}

impl Survey {
    /// A mailbox without an index of ours.
    fn take(&mut self, directory: &Path, mut left: Left, bases: &HashSet<Vec<u8>>) -> Result<()> {
        let served = Served::load(directory)?;
        let list = left.list.as_ref().map(|(list, _)| list);
        let usable = list.filter(|list| !served.has(list.uid_validity));
        if list.is_some() && usable.is_none() {
            self.problems.push(Problem::Served);
        }
        self.uid_validity = usable.map(|list| list.uid_validity);
        self.uid_next = usable.map(|list| list.next_uid);
        let adoption = Adoption::new(directory, &mut left, Uids::usable(self.uid_validity))?;
        for (base, adopted) in &adoption.messages {
            let there = bases.contains(&**base);
            self.uids += usize::from(there && adopted.uid.is_some());
            self.uidls += usize::from(there && adopted.kept.uidl.is_some());
            self.gone += usize::from(!there && adopted.uid.is_some());
        }
        let left = self.uid_next.map(|next| Uid::MAX.get() - next.get());
        let others = self.messages.saturating_sub(self.uids);
        if left.is_some_and(|left| usize::try_from(left).is_ok_and(|left| left < others)) {
            self.problems.push(Problem::NoUids);
        }
        Ok(())
    }

    /// A mailbox with an index of ours.
    fn compare(&mut self, state: &State, left: Option<Left>, bases: &HashSet<Vec<u8>>) {
        let snapshot = &state.snapshot;
        self.indexed = true;
        self.uid_validity = Some(snapshot.uid_validity());
        self.uid_next = Some(snapshot.uid_next());
        let mut known: HashSet<&[u8]> = HashSet::with_capacity(snapshot.len());
        for message in snapshot.iter() {
            let base = base(message.file_name());
            if bases.contains(base) {
                known.insert(base);
                let uidl = message.kept().is_some_and(|kept| kept.uidl.is_some());
                self.uidls += usize::from(uidl);
            }
        }
        self.uids = known.len();
        let Some((list, stamp)) = left.and_then(|left| left.list) else {
            return;
        };
        let there = |base: &[u8]| bases.contains(base);
        self.gone = list
            .entries
            .iter()
            .filter(|entry| !there(&entry.base))
            .count();
        if list.uid_validity != snapshot.uid_validity() {
            self.problems.push(Problem::Different {
                index: snapshot.uid_validity().get(),
                list: list.uid_validity.get(),
            });
            return;
        }
        if state.agreed == Some(stamp) {
            return;
        }
        let adoption = Adoption {
            uid_next: Some(list.next_uid),
            messages: list.entries.iter().map(by_base).collect(),
        };
        let burnt = |message: &crate::snapshot::Message<'_>| adoption.contradicts(*message);
        let conflicts = snapshot.iter().filter(burnt);
        let conflicts = conflicts.filter(|message| there(base(message.file_name())));
        let conflicts = conflicts.count();
        let fresh = list.entries.iter().filter(|entry| {
            there(&entry.base) && !known.contains(&*entry.base) && entry.uid >= snapshot.uid_next()
        });
        self.uids = self.uids + fresh.count() - conflicts.min(self.uids);
        self.uid_next = self.uid_next.max(Some(list.next_uid));
        if conflicts > 0 {
            self.problems.push(Problem::Conflicts(conflicts));
        }
    }

    fn count_keywords(
        &mut self,
        directory: &Path,
        state: Option<&State>,
        left: Option<&Left>,
        used: FlagSet,
    ) -> Result<()> {
        let mut keywords =
            state.map_or_else(Keywords::default, |state| state.snapshot.keywords().clone());
        let (file, _) = keyword_file::load(directory)?;
        for (position, keyword) in file.iter() {
            keywords.set(position, keyword.clone());
        }
        keyword_file::name_letters(&mut keywords, used);
        let mut lost = BTreeSet::new();
        let mut beyond = 0;
        if state.is_none() && left.is_some_and(|left| left.server == Server::Courier) {
            for keyword in courier::keywords(directory)?.into_values().flatten() {
                let known = keywords.position(&keyword).is_some();
                match keywords.add(&keyword) {
                    None => {
                        lost.insert(keyword.as_str().to_ascii_lowercase());
                    }
                    Some(position) if !known && usize::from(position) >= Keywords::LETTERS => {
                        beyond += 1;
                    }
                    Some(_) => {}
                }
            }
        }
        self.keywords = keywords.iter().count();
        if beyond > 0 {
            self.problems.push(Problem::BeyondLetters(beyond));
        }
        if !lost.is_empty() {
            self.problems.push(Problem::TooManyKeywords(lost.len()));
        }
        Ok(())
    }
}

fn by_base(entry: &super::UidlistEntry) -> (Box<[u8]>, super::Adopted) {
    let adopted = super::Adopted {
        uid: Some(entry.uid),
        ..super::Adopted::default()
    };
    (entry.base.clone(), adopted)
}

/// The bases of the message files, and the flags that their names have.
fn list_bases(directory: &Path) -> Result<(HashSet<Vec<u8>>, FlagSet)> {
    let mut bases = HashSet::new();
    let mut used = FlagSet::EMPTY;
    for place in ["cur", "new"] {
        let path = directory.join(place);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed(&path))?,
        };
        for entry in entries {
            let entry = entry.map_err(failed(&path))?;
            let name = entry.file_name();
            let regular = entry.file_type().is_ok_and(|kind| kind.is_file());
            if let Some(name) = FileName::parse(name.as_bytes()).filter(|_| regular) {
                used = used.union(name.flags);
                bases.insert(name.base.to_vec());
            }
        }
    }
    Ok((bases, used))
}
