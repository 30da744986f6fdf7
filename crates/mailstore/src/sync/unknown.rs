//! Files that are not in the index yet: their UIDs, and what another server knew of them.

use std::path::Path;

use super::Files;
use super::listing::{File, Listing, Unlisted};
use crate::error::{Error, Result};
use crate::flag::FlagSet;
use crate::foreign::{Adopted, Adoption};
use crate::id::{ModSeq, Uid};
use crate::index::Entry;
use crate::snapshot::{Added, Place, Snapshot};

/// Files that are not in the index, in the order of their UIDs.
#[derive(Debug)]
pub(crate) struct Unknown<'a> {
    listing: Listing,
    /// Those that have UIDs from another server.
    given: Vec<(Uid, Unlisted, &'a Adopted)>,
    /// The others.
    files: Vec<Unlisted>,
    /// The UID of the first of the others.
    next: Uid,
    mod_seq: ModSeq,
    adoption: Option<&'a Adoption>,
}

impl<'a> Unknown<'a> {
    /// The files but those that `known` marks by their numbers, in a mailbox where `next` is the next
    /// UID.
    pub(super) fn of(
        directory: &Path,
        files: Files,
        mut known: Vec<bool>,
        (next, mod_seq): (Uid, ModSeq),
        adoption: Option<&'a Adoption>,
    ) -> Self {
        let Files {
            listing,
            bases,
            sorted,
        } = files;
        for number in bases.left_out() {
            let number = usize::try_from(*number).ok();
            if let Some(known) = number.and_then(|number| known.get_mut(number)) {
                *known = true;
            }
        }
        let mut files = match sorted {
            Some(sorted) => listing.unlisted(&sorted),
            None => listing.unknown(&known),
        };
        // Very many were there before us: to ask each would make the first look several times as
        // long, and tell when the other server changed its flags.
        if files.len() <= ASKED_AT_MOST {
            listing.ask_when_saved(directory, &mut files);
        }
        let mut unknown = Self {
            listing,
            given: Vec::new(),
            files,
            next,
            mod_seq,
            adoption,
        };
        if let Some(adoption) = adoption {
            unknown.give(adoption);
        }
        unknown
    }

    /// Finds the files that have UIDs from another server.
    fn give(&mut self, adoption: &'a Adoption) {
        let next = self.next;
        let files = std::mem::take(&mut self.files);
        for file in files {
            let adopted = adoption.messages.get(self.listing.base(file.file));
            let given = adopted.and_then(|adopted| Some((adopted.uid?, file, adopted)));
            // One below the next has been given by us, perhaps to another message.
            match given.filter(|(uid, ..)| *uid >= next) {
                Some(given) => self.given.push(given),
                None => self.files.push(file),
            }
        }
        self.given.sort_unstable_by_key(|(uid, ..)| *uid);
        self.next = next.max(adoption.uid_next.unwrap_or(Uid::MIN));
    }

    /// What another server says about a file.
    fn adopted(&self, file: File) -> Option<&'a Adopted> {
        self.adoption?.messages.get(self.listing.base(file))
    }

    /// The messages that they become, and what is known of them.
    fn messages(&self) -> impl Iterator<Item = Result<(Added<&[u8]>, Option<&'a Adopted>)>> {
        let uids = std::iter::successors(Some(self.next), |uid| uid.next()).map(Ok);
        let uids = uids.chain(std::iter::repeat_with(|| Err(Error::Limit("UIDs"))));
        let given = self.given.iter();
        let given = given.map(|(uid, file, adopted)| (Ok(*uid), file, Some(*adopted)));
        let others = uids.zip(&self.files);
        let others = others.map(|(uid, file)| (uid, file, self.adopted(file.file)));
        given.chain(others).map(|(uid, file, adopted)| {
            let (file, flags, saved) = (file.file, file.flags, file.saved);
            let name = self.listing.name(file);
            let added = Added {
                uid: uid?,
                flags: adopted.map_or(flags, |adopted| flags.union(adopted.flags)),
                mod_seq: self.mod_seq,
                size: adopted.and_then(|adopted| adopted.size),
                date: None,
                saved,
                place: file.place,
                name,
            };
            Ok((added, adopted))
        })
    }

    /// All flags that their names tell of.
    pub(super) fn used(&self) -> FlagSet {
        let given = self.given.iter().map(|(_, file, _)| file);
        let files = given.chain(&self.files);
        files.fold(FlagSet::EMPTY, |used, file| used.union(file.flags))
    }

    /// Puts them into a snapshot, which is then to be counted again.
    pub(crate) fn push_to(&self, snapshot: &mut Snapshot) -> Result<()> {
        for message in self.messages() {
            let (added, adopted) = message?;
            if !snapshot.push(&added) {
                return Err(Error::Limit("UIDs"));
            }
            if let Some(kept) = adopted.and_then(Adopted::kept) {
                snapshot.keep(added.uid, kept.clone());
            }
        }
        Ok(())
    }

    /// The entries that add them to an index.
    pub(crate) fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::with_capacity(self.given.len() + self.files.len());
        for message in self.messages() {
            let (message, adopted) = message?;
            let uid = message.uid;
            entries.push(Entry::Add(Added {
                uid,
                flags: message.flags,
                mod_seq: message.mod_seq,
                size: message.size,
                date: message.date,
                saved: message.saved,
                place: message.place,
                name: message.name.to_vec(),
            }));
            if let Some(kept) = adopted.and_then(Adopted::kept) {
                let kept = kept.clone();
                entries.push(Entry::Keep { uid, kept });
            }
        }
        Ok(entries)
    }

    /// The entry that says how far UIDs are given, and that messages which somebody has moved to
    /// `cur/` are not recent.
    pub(crate) fn adopted_meta(&self) -> Result<Entry> {
        let mut first_recent = Uid::MIN;
        for message in self.messages() {
            let (message, _) = message?;
            if message.place == Place::Cur {
                first_recent = message.uid.next().unwrap_or(Uid::MAX);
            }
        }
        Ok(Entry::Meta {
            uid_next: self.next,
            first_recent,
            mod_seq: self.mod_seq,
        })
    }
}

/// How many new files at once are asked when they came.
const ASKED_AT_MOST: usize = 1000;
