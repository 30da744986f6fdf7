//! Whether the index of a mailbox agrees with its directory.
//!
//! Other programs may deliver, rename and remove files at any time, and the next look takes that
//! in. So a difference is a fault only if the times of the directories say that nothing has changed
//! since the last look; otherwise it is *pending*.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::{Inspection, hold};
use crate::content::MessageFile;
use crate::error::{Error, Result};
use crate::filename::{FileName, base};
use crate::flag::{FlagSet, Keywords};
use crate::id::Uid;
use crate::index::FileTime;
use crate::keyword_file;
use crate::replace::failed;
use crate::snapshot::{Message, Place};
use crate::store::Options;
use crate::sync::{IN_NAMES, Observed, message_path};

/// Of which messages the sizes and dates are compared with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// Of at most a hundred, evenly spread.
    Sample,
    /// Of all; reads every message.
    All,
}

/// What a comparison of an index with its directory found.
#[derive(Debug)]
pub struct Verification {
    /// The index.
    pub inspection: Inspection,
    /// What the index says wrongly.
    pub faults: Vec<Finding>,
    /// What other programs did since the last look; the next one takes it in.
    pub pending: Vec<Finding>,
    /// How many messages were read to compare their sizes.
    pub read: usize,
}

/// A difference between an index and its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A message has no file.
    NoFile {
        /// Its UID.
        uid: Uid,
        /// The name that its file had.
        name: String,
    },
    /// A file has no UID.
    NoUid {
        /// Its path below the mailbox.
        path: String,
    },
    /// Two files have one base.
    Twice {
        /// The path of the second one below the mailbox.
        path: String,
    },
    /// The name of the file tells of other flags.
    Flags {
        /// The message.
        uid: Uid,
        /// The flags in the index, as words.
        index: String,
        /// The flags in the name.
        name: String,
    },
    /// The file is in the other directory, or has other letters that are no flags.
    Moved {
        /// The message.
        uid: Uid,
        /// Where the file is, below the mailbox.
        path: String,
    },
    /// The file has another size in CRLF form.
    Size {
        /// The message.
        uid: Uid,
        /// The octets in the index.
        index: u64,
        /// The octets of the file.
        file: u64,
    },
    /// The file has another modification time, which is the internal date.
    Date {
        /// The message.
        uid: Uid,
        /// The seconds since 1970 in the index.
        index: i64,
        /// Those of the file.
        file: i64,
    },
    /// `dovecot-keywords` has another name for a letter.
    Keyword {
        /// The letter.
        letter: char,
        /// The name in the index.
        index: String,
        /// The name in the file.
        file: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile { uid, name } => write!(f, "UID {uid} has no file ({name})"),
            Self::NoUid { path } => write!(f, "{path} has no UID"),
            Self::Twice { path } => write!(f, "{path} is there twice, with different flags"),
            Self::Flags { uid, index, name } => {
                write!(
                    f,
                    "UID {uid} has flags {index} in the index, {name} in its file's name"
                )
            }
            Self::Moved { uid, path } => write!(f, "UID {uid} is now {path}"),
            Self::Size { uid, index, file } => {
                write!(
                    f,
                    "UID {uid} has {index} octets in the index, {file} in its file"
                )
            }
            Self::Date { uid, index, file } => {
                write!(
                    f,
                    "UID {uid} has date {index} in the index, its file {file}"
                )
            }
            Self::Keyword {
                letter,
                index,
                file,
            } => {
                write!(
                    f,
                    "keyword letter {letter} is {index} in the index, {file} in dovecot-keywords"
                )
            }
        }
    }
}

/// Compares the index of the mailbox in `directory` with its files. `progress` is told of every
/// message that was read. `None` if there is no index.
///
/// # Errors
/// [`Error::Corrupt`] if the index is damaged or a directory missing; [`Error::Locked`] if a
/// server holds the mailbox for longer than the options allow.
pub fn verify(
    directory: &Path,
    options: &Options,
    sizes: Sizes,
    mut progress: impl FnMut(),
) -> Result<Option<Verification>> {
    let lock = hold(directory, options.lock_timeout)?;
    let Some(inspection) = Inspection::read(directory)? else {
        return Ok(None);
    };
    let observed = Observed::now(directory)?;
    let files = Files::read(directory)?;
    drop(lock);
    let now = FileTime::from(options.source.wall());
    let is_stale = observed.is_stale(&inspection.state.stamps, options.mtime_guard, || now);
    let mut differences = files.twice.clone();
    compare_names(&inspection, files, &mut differences);
    let mut verification = Verification {
        faults: Vec::new(),
        pending: Vec::new(),
        read: 0,
        inspection,
    };
    if is_stale {
        verification.pending = differences;
    } else {
        verification.faults = differences;
    }
    compare_keywords(&mut verification)?;
    compare_sizes(&mut verification, sizes, &mut progress)?;
    Ok(Some(verification))
}

/// The files that may be messages.
struct Files {
    by_base: HashMap<Vec<u8>, (Place, Vec<u8>)>,
    twice: Vec<Finding>,
}

impl Files {
    fn read(directory: &Path) -> Result<Self> {
        let mut files = Self {
            by_base: HashMap::new(),
            twice: Vec::new(),
        };
        for place in [Place::Cur, Place::New] {
            let path = directory.join(place.directory());
            for entry in fs::read_dir(&path).map_err(failed(&path))? {
                let entry = entry.map_err(failed(&path))?;
                if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    continue;
                }
                let name = entry.file_name().into_vec();
                if FileName::parse(&name).is_none() {
                    continue;
                }
                let shown = shown_path(place, &name);
                match files.by_base.entry(base(&name).to_vec()) {
                    Entry::Occupied(_) => files.twice.push(Finding::Twice { path: shown }),
                    Entry::Vacant(vacant) => {
                        vacant.insert((place, name));
                    }
                }
            }
        }
        Ok(files)
    }
}

fn compare_names(inspection: &Inspection, mut files: Files, out: &mut Vec<Finding>) {
    let keywords = inspection.snapshot().keywords();
    for message in inspection.snapshot().iter() {
        let uid = message.uid();
        let Some((place, name)) = files.by_base.remove(base(message.file_name())) else {
            let name = String::from_utf8_lossy(message.file_name()).into_owned();
            out.push(Finding::NoFile { uid, name });
            continue;
        };
        let in_name = FileName::parse(&name).map(|name| name.flags);
        let in_name = in_name.unwrap_or_default();
        let in_index = message.flags().without(message.flags().without(IN_NAMES));
        if in_index != in_name {
            out.push(Finding::Flags {
                uid,
                index: flag_words(in_index, keywords),
                name: flag_words(in_name, keywords),
            });
        } else if place != message.place() || name != message.file_name() {
            let path = shown_path(place, &name);
            out.push(Finding::Moved { uid, path });
        }
    }
    let mut new: Vec<String> = files
        .by_base
        .into_values()
        .map(|(place, name)| shown_path(place, &name))
        .collect();
    new.sort_unstable();
    out.extend(new.into_iter().map(|path| Finding::NoUid { path }));
}

/// A letter's name in the shared file wins at the next look, but must not differ after one.
fn compare_keywords(verification: &mut Verification) -> Result<()> {
    let (file, _) = keyword_file::load(verification.inspection.directory())?;
    let known = verification.inspection.snapshot().keywords();
    let mut differences = Vec::new();
    for (position, keyword) in file.iter() {
        let Some(index) = known.get(position).filter(|known| *known != keyword) else {
            continue;
        };
        differences.push(Finding::Keyword {
            letter: char::from(b'a'.saturating_add(position)),
            index: index.as_str().to_owned(),
            file: keyword.as_str().to_owned(),
        });
    }
    verification.pending.append(&mut differences);
    Ok(())
}

fn compare_sizes(
    verification: &mut Verification,
    sizes: Sizes,
    progress: &mut impl FnMut(),
) -> Result<()> {
    let snapshot = verification.inspection.snapshot();
    let step = match sizes {
        Sizes::All => 1,
        Sizes::Sample => snapshot.len().div_ceil(SAMPLE).max(1),
    };
    let (mut faults, mut read) = (Vec::new(), 0);
    for message in snapshot.iter().step_by(step) {
        progress();
        read += 1;
        compare_size(verification.inspection.directory(), message, &mut faults)?;
    }
    verification.faults.append(&mut faults);
    verification.read = read;
    Ok(())
}

/// One that was renamed or removed meanwhile has been compared by its name already.
fn compare_size(directory: &Path, message: Message<'_>, out: &mut Vec<Finding>) -> Result<()> {
    let path: PathBuf = message_path(directory, message.place(), message.file_name());
    let file = match MessageFile::open(&path) {
        Ok(file) => file,
        Err(Error::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    let uid = message.uid();
    let modified = file.modified();
    if let Some(index) = message.internal_date()
        && index != modified
    {
        let file = modified;
        out.push(Finding::Date { uid, index, file });
    }
    if let Some(index) = message.rfc822_size() {
        let file = file.count_crlf().map_err(failed(&path))?;
        if file != index {
            out.push(Finding::Size { uid, index, file });
        }
    }
    Ok(())
}

/// Flags as IMAP shows them; keywords without a name by their letter.
fn flag_words(flags: FlagSet, keywords: &Keywords) -> String {
    let system = flags.system().map(|flag| flag.name().to_owned());
    let named = flags
        .keywords()
        .map(|position| match keywords.get(position) {
            Some(keyword) => keyword.as_str().to_owned(),
            None => format!("letter {}", char::from(b'a'.saturating_add(position))),
        });
    let words: Vec<String> = system.chain(named).collect();
    format!("({})", words.join(" "))
}

fn shown_path(place: Place, name: &[u8]) -> String {
    format!("{}/{}", place.directory(), String::from_utf8_lossy(name))
}

/// How many messages are read of a mailbox whose sizes are not all compared.
const SAMPLE: usize = 100;
