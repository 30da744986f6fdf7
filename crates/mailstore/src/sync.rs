//! Reconciling the index with what is in `new/` and `cur/`.
//!
//! # Races
//!
//! Other programs deliver into `new/`, move files to `cur/`, rename them there for their flags, and
//! delete them, all without a lock. Reading a directory while a file is renamed may show the file
//! under both names or under none. Therefore:
//!
//! - the base of a name counts, and it counts once;
//! - a message is taken for expunged only if it was missing in two reads of both directories with
//!   no modification time changed from before the first to after the second;
//! - what a read is worth later depends on the file system's clock ([`Stamp`]), which is asked
//!   instead of ours, because that is what writes modification times.
//!
//! Only names are read: no file is opened, and of those that are known none is asked for its size or
//! date. Those that are new are asked when they came (RFC 8514 §3): that is their ctime, which the
//! kernel sets when a file gets its name. It is asked once and kept, because it also becomes the
//! present with every change of flags; so it is the time of the delivery, or of the last change of
//! flags before anybody looked, and never earlier than the message was here.

mod listing;
mod unknown;

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::filename;
use crate::flag::{FlagSet, Keywords};
use crate::foreign::Adoption;
use crate::id::ModSeq;
use crate::index::{Entry, FileTime, Rename, Stamp, Stamps, State, runs};
use crate::keyword_file;
use crate::replace::failed;
use crate::snapshot::{Message, Place};
use crate::store::Environment;
use listing::{Bases, Listing, Sorted};
pub(crate) use unknown::Unknown;

/// The modification times of both directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Observed {
    pub(crate) new: FileTime,
    pub(crate) cur: FileTime,
}

impl Observed {
    /// Asks for them now.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the mailbox is gone, [`Error::Corrupt`] if it only lacks one of its
    /// directories: then its messages are not gone.
    pub(crate) fn now(directory: &Path) -> Result<Self> {
        Ok(Self {
            new: modified(directory, Place::New)?,
            cur: modified(directory, Place::Cur)?,
        })
    }

    /// Whether they are what the last look has noted.
    pub(crate) fn matches(&self, stamps: &Stamps) -> bool {
        self.new == stamps.new.mtime && self.cur == stamps.cur.mtime
    }

    /// Whether the directories must be read.
    pub(crate) fn is_stale(
        &self,
        stamps: &Stamps,
        guard: Duration,
        now: impl Fn() -> FileTime,
    ) -> bool {
        stamps.new.is_stale(self.new, guard, &now) || stamps.cur.is_stale(self.cur, guard, &now)
    }
}

fn modified(directory: &Path, place: Place) -> Result<FileTime> {
    let path = directory.join(place.directory());
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => Ok(file_time(&metadata)),
        Ok(_) => Err(not_a_directory(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(directory).is_err() {
                return Err(Error::NotFound);
            }
            let problem = "directory is missing";
            Err(Error::Corrupt { path, problem })
        }
        Err(error) => Err(failed(&path)(error)),
    }
}

/// When a file was modified.
pub(crate) fn file_time(metadata: &fs::Metadata) -> FileTime {
    FileTime {
        seconds: metadata.mtime(),
        nanoseconds: u32::try_from(metadata.mtime_nsec()).unwrap_or_default(),
    }
}

fn not_a_directory(path: PathBuf) -> Error {
    let problem = "is not a directory";
    Error::Corrupt { path, problem }
}

/// Makes `new/`, `cur/` and `tmp/` where they are missing.
pub(crate) fn make_directories(directory: &Path) -> Result<()> {
    for name in ["tmp", "new", "cur"] {
        make_directory(&directory.join(name))?;
    }
    Ok(())
}

/// Makes one directory, unless it is there.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => Ok(()),
                _ => Err(not_a_directory(path.to_path_buf())),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NotFound),
        other => other.map_err(failed(path)),
    }
}

/// A file that may be a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: Vec<u8>,
    place: Place,
}

impl Found {
    fn path(&self, directory: &Path) -> PathBuf {
        message_path(directory, self.place, &self.name)
    }
}

/// Where a message's file is.
pub(crate) fn message_path(directory: &Path, place: Place, name: &[u8]) -> PathBuf {
    let mut path = directory.join(place.directory());
    path.push(std::ffi::OsStr::from_bytes(name));
    path
}

/// Where the file with a base is, if it is anywhere.
pub(crate) fn find_base(directory: &Path, base: &[u8]) -> Result<Option<PathBuf>> {
    for place in [Place::Cur, Place::New] {
        let path = directory.join(place.directory());
        for entry in fs::read_dir(&path).map_err(failed(&path))? {
            let entry = entry.map_err(failed(&path))?;
            if filename::base(entry.file_name().as_bytes()) == base {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

/// One look at the directories, under the lock of the mailbox.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) state: &'a State,
    pub(crate) environment: &'a Environment,
    /// A directory modified less than this before the scan may still change unseen.
    pub(crate) guard: Duration,
    /// The file system's clock when the scan began.
    pub(crate) start: FileTime,
    /// The mod-sequence of what has changed.
    pub(crate) mod_seq: ModSeq,
}

/// Whether what was read can be left at that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calm {
    /// The times will tell of changes.
    Yes,
    /// Something must be looked at again whatever the times say.
    No,
}

/// The files in both directories, of each base one.
struct Files {
    listing: Listing,
    /// Empty if all are new.
    bases: Bases,
    /// All of them, if all are new and no two have the same base.
    sorted: Option<Sorted>,
}

impl Files {
    fn contains(&self, base: &[u8]) -> bool {
        self.bases.find(&self.listing, base).is_some()
    }

    fn add(&mut self, found: &Found) -> Result<()> {
        let number = self.listing.numbers().end;
        self.listing.push(&found.name, found.place)?;
        self.bases.replace(&self.listing, number);
        Ok(())
    }

    fn found(&self, number: u32) -> Option<Found> {
        let file = self.listing.get(number)?;
        Some(Found {
            name: self.listing.name(file).to_vec(),
            place: file.place,
        })
    }
}

/// What two reads of the directories agree on.
struct Reading {
    observed: Observed,
    files: Files,
    /// Messages that are missing for certain.
    missing: HashSet<Vec<u8>>,
    calm: Calm,
}

impl Scan<'_> {
    /// Reads the directories and says what has to change in the index.
    ///
    /// # Errors
    /// If a directory cannot be read; then nothing is known.
    pub(crate) fn run(&self) -> Result<Vec<Entry>> {
        let (mut entries, unknown) = self.look(None)?;
        entries.extend(unknown.entries()?);
        Ok(entries)
    }

    /// As [`Self::run`], but gives new messages by themselves: there may be very many, and another
    /// server may know something of them.
    ///
    /// # Errors
    /// If a directory cannot be read; then nothing is known.
    pub(crate) fn look<'a>(
        &self,
        adoption: Option<&'a Adoption>,
    ) -> Result<(Vec<Entry>, Unknown<'a>)> {
        let Reading {
            observed,
            files,
            missing,
            calm,
        } = self.read_until_calm()?;
        let mut entries = Vec::new();
        let mut used = FlagSet::EMPTY;
        let mut gone = Vec::new();
        let mut known = vec![false; files.listing.len()];
        for message in self.state.snapshot.iter() {
            if adoption.is_some_and(|adoption| adoption.contradicts(message)) {
                // Its file, if it has one, is a new message.
                gone.push(message.uid());
                continue;
            }
            let base = filename::base(message.file_name());
            let number = files.bases.find(&files.listing, base);
            match number.and_then(|number| Some((number, files.listing.get(number)?))) {
                Some((number, file)) => {
                    let name = files.listing.name(file);
                    entries.extend(self.compare(message, name, file.place, &mut used));
                    let number = usize::try_from(number).ok();
                    if let Some(known) = number.and_then(|number| known.get_mut(number)) {
                        *known = true;
                    }
                }
                None if missing.contains(base) => gone.push(message.uid()),
                None => {}
            }
        }
        let mod_seq = self.mod_seq;
        let expunged = runs(&gone).into_iter();
        entries.extend(expunged.map(|(first, last)| Entry::Expunge {
            first,
            last,
            mod_seq,
        }));
        let next = self.state.snapshot.uid_next();
        let unknown = Unknown::of(self.directory, files, known, (next, mod_seq), adoption);
        used = used.union(unknown.used());
        self.name_keywords(used, &mut entries);
        entries.extend(self.note_times(observed, calm));
        Ok((entries, unknown))
    }

    /// Reads until no message is missing, or the missing ones were missing twice in calm.
    fn read_until_calm(&self) -> Result<Reading> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let observed = Observed::now(self.directory)?;
            let mut calm = Calm::Yes;
            let files = self.read_both(&mut calm)?;
            let bases = self.state.snapshot.iter();
            let bases = bases.map(|message| filename::base(message.file_name()));
            let missing: HashSet<Vec<u8>> = bases
                .filter(|base| !files.contains(base))
                .map(<[u8]>::to_vec)
                .collect();
            let mut reading = Reading {
                observed,
                files,
                missing,
                calm,
            };
            if reading.missing.is_empty() {
                return Ok(reading);
            }
            let second = self.read_both(&mut reading.calm)?;
            let back = reading.missing.iter().any(|base| second.contains(base));
            if !back && Observed::now(self.directory)? == observed {
                return Ok(reading);
            }
            if attempts >= ATTEMPTS {
                reading.missing.clear();
                reading.calm = Calm::No;
                return Ok(reading);
            }
        }
    }

    /// The files in both directories by their bases.
    fn read_both(&self, calm: &mut Calm) -> Result<Files> {
        let mut listing = Listing::with_capacity(self.state.snapshot.len());
        for place in [Place::New, Place::Cur] {
            for name in listing.read(self.directory, place)? {
                let nameless = Found { name, place };
                if let Some(renamed) = self.rename_afresh(&nameless) {
                    listing.push(&renamed.name, renamed.place)?;
                }
            }
        }
        if self.state.snapshot.is_empty() {
            let sorted = Some(listing.all_sorted()).filter(|sorted| !sorted.has_twins);
            if sorted.is_some() {
                let bases = Bases::with_capacity(0);
                return Ok(Files {
                    listing,
                    bases,
                    sorted,
                });
            }
        }
        let numbers = listing.numbers();
        let bases = Bases::with_capacity(listing.len());
        let mut files = Files {
            listing,
            bases,
            sorted: None,
        };
        for number in numbers {
            let Some(other) = files.bases.insert(&files.listing, number) else {
                continue;
            };
            let twins = files.found(other).zip(files.found(number));
            let Some((a, b)) = twins else { continue };
            let (kept, renamed) = self.settle_twins(a, b, calm);
            files.add(&kept)?;
            if let Some(renamed) = renamed {
                files.add(&renamed)?;
            }
        }
        Ok(files)
    }

    /// Gives a file a name of its own in `new/`; `None` if that fails.
    fn rename_afresh(&self, found: &Found) -> Option<Found> {
        let name = self
            .environment
            .unique
            .next(&self.environment.options.source);
        let renamed = Found {
            name: name.into_bytes(),
            place: Place::New,
        };
        let moved = fs::rename(found.path(self.directory), renamed.path(self.directory));
        moved.is_ok().then_some(renamed)
    }

    /// Two files with one base: a rename seen half-way, two links to one message, or two messages.
    /// Gives the one that counts, and the other if it became a message of its own.
    fn settle_twins(&self, a: Found, b: Found, calm: &mut Calm) -> (Found, Option<Found>) {
        let (kept, other) = match (a.place, b.place) {
            (Place::Cur, Place::New) => (a, b),
            _ if a.name > b.name && a.place == b.place => (a, b),
            _ => (b, a),
        };
        let kept_data = fs::symlink_metadata(kept.path(self.directory));
        let other_data = fs::symlink_metadata(other.path(self.directory));
        let (kept_data, other_data) = match (kept_data, other_data) {
            (Ok(kept_data), Ok(other_data)) => (kept_data, other_data),
            (Err(_), Ok(_)) => return (other, None),
            _ => return (kept, None),
        };
        *calm = Calm::No;
        let youngest = kept_data.ctime().max(other_data.ctime());
        if self.start.seconds.saturating_sub(youngest) < TWINS_AT_LEAST {
            return (kept, None);
        }
        let id = |data: &fs::Metadata| (data.dev(), data.ino());
        if id(&kept_data) != id(&other_data) {
            let renamed = self.rename_afresh(&other);
            return (kept, renamed);
        }
        if let Err(error) = fs::remove_file(other.path(self.directory)) {
            tracing::warn!(path = %other.path(self.directory).display(), %error, "second link not removed");
        }
        (kept, None)
    }

    /// What a known message's file name says now, if it says something new.
    fn compare(
        &self,
        message: Message<'_>,
        name: &[u8],
        place: Place,
        used: &mut FlagSet,
    ) -> Option<Entry> {
        if place == message.place() && name == message.file_name() {
            return None;
        }
        let in_name = filename::flags(name);
        *used = used.union(in_name);
        let flags = message.flags().without(IN_NAMES).union(in_name);
        let mod_seq = if flags == message.flags() {
            message.mod_seq()
        } else {
            self.mod_seq
        };
        Some(Entry::Flags {
            uid: message.uid(),
            flags,
            mod_seq,
            place,
            rename: Rename::between(message.file_name(), name),
        })
    }

    /// Takes over the names of keyword letters, and gives a name to letters in use without one.
    fn name_keywords(&self, used: FlagSet, entries: &mut Vec<Entry>) {
        let known = self.state.snapshot.keywords();
        let keywords = merged_keywords(self.directory, known, used);
        entries.extend(new_keywords(known, &keywords));
    }

    /// The entry for what this look is worth, if it is worth keeping.
    fn note_times(&self, observed: Observed, calm: Calm) -> Option<Entry> {
        let guard = self.guard;
        let old = &self.state.stamps;
        let new = if calm == Calm::No {
            Stamps::NEVER
        } else {
            Stamps {
                new: old.new.after_reading(observed.new, self.start, guard),
                cur: old.cur.after_reading(observed.cur, self.start, guard),
            }
        };
        let worth = |old: &Stamp, new: &Stamp| (old.mtime, old.trust) != (new.mtime, new.trust);
        let worth = worth(&old.new, &new.new) || worth(&old.cur, &new.cur);
        worth.then_some(Entry::Synced(new))
    }
}

/// The keywords with the names that `dovecot-keywords` gives to letters (they win), and names for
/// the letters in `used` that have none.
pub(crate) fn merged_keywords(directory: &Path, known: &Keywords, used: FlagSet) -> Keywords {
    let mut keywords = known.clone();
    match keyword_file::load(directory) {
        Ok((file, _)) => {
            for (position, keyword) in file.iter() {
                keywords.set(position, keyword.clone());
            }
        }
        Err(error) => tracing::warn!(%error, "keyword names not read"),
    }
    keyword_file::name_letters(&mut keywords, used);
    keywords
}

/// The entries that make `new` out of `old`.
pub(crate) fn new_keywords(old: &Keywords, new: &Keywords) -> Vec<Entry> {
    let changed = new.iter().filter(|(position, keyword)| {
        let known = old.get(*position);
        known.is_none_or(|known| known.as_str() != keyword.as_str())
    });
    let entry = |(position, keyword): (u8, &crate::flag::Keyword)| Entry::Keyword {
        position,
        name: keyword.as_str().as_bytes().to_vec(),
    };
    changed.map(entry).collect()
}

/// The flags that file names hold: the system flags and the keywords with letters.
pub(crate) const IN_NAMES: FlagSet = FlagSet::from_bits((1 << (5 + Keywords::LETTERS)) - 1);
/// How often the directories are read while they change.
const ATTEMPTS: usize = 4;
/// How many seconds two files with one base are left alone: a rename or a copy may be under way.
const TWINS_AT_LEAST: i64 = 30;
