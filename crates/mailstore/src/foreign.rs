//! What other servers left in a Maildir: finding and reading it, and writing it for the way back.
//!
//! A mailbox's *list* says which UID each file has: `dovecot-uidlist`, else Courier's
//! `courierimapuiddb`. Courier also left keywords (`courierimapkeywords/`), and in INBOX the UIDLs
//! that POP3 clients know (`courierpop3dsizelist`); where Dovecot was the last server, those are
//! out of date and are not read. Nothing of another server is ever changed here.
//!
//! What a list says is used in two ways (`mailbox::takeover` has the rules and the reasons): to
//! make the first index of a mailbox, or to bring an index up to date after another server has
//! had the mailbox for a while.

pub(crate) mod adoption;
mod compare;
pub(crate) mod courier;
pub(crate) mod export;
pub(crate) mod served;
pub mod survey;
pub mod uidlist;

use std::fmt;
use std::fs::{self, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::index::Agreed;
use crate::replace::{failed, open_regular_with_metadata};
use crate::sync::file_time;

pub(crate) use adoption::{Adopted, Adoption, Uids};
pub use compare::{Comparison, Disagreement, compare};
pub use export::Exported;
pub use survey::{Survey, survey};
pub use uidlist::{Uidlist, UidlistEntry, UidlistError, UidlistProblem};

/// Which server had a mailbox last, as far as its files tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Dovecot: there is a `dovecot-uidlist`.
    Dovecot,
    /// Courier: there is a `courierimapuiddb`, keywords or a list of POP3 sizes.
    Courier,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dovecot => "Dovecot",
            Self::Courier => "Courier",
        })
    }
}

/// Why a mailbox cannot be taken over, or not wholly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The list is damaged.
    Damaged(UidlistError),
    /// The list is gone, though the server's index is there.
    Missing,
    /// There is no list.
    Nothing,
    /// The list is not a regular file, may not be read, or is larger than any list can be.
    NoList,
    /// UIDs under the list's UIDVALIDITY have been given by us as well, and we know no longer
    /// which: the list's UIDs cannot be used.
    Served,
    /// The list leaves fewer UIDs than messages need that are not on it.
    NoUids,
    /// The index has another UIDVALIDITY than the list: the list is not used.
    Different {
        /// That of the index.
        index: u32,
        /// That of the list.
        list: u32,
    },
    /// So many messages have a UID in the index that the list gave to another message: they get
    /// new UIDs.
    Conflicts(usize),
    /// So many keywords have no letter left and are only kept in the index.
    BeyondLetters(usize),
    /// So many keywords cannot be kept at all.
    TooManyKeywords(usize),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "the list of UIDs is damaged, {error}"),
            Self::Missing => {
                f.write_str("the list of UIDs is missing, but its server's index is there")
            }
            Self::Nothing => f.write_str("there is no list of UIDs"),
            Self::NoList => f.write_str("the list of UIDs is not a file that can be read"),
            Self::Served => f.write_str(
                "the list of UIDs is older than UIDs given since: all messages get new UIDs",
            ),
            Self::NoUids => {
                f.write_str("the list of UIDs leaves too few for the messages that are not on it")
            }
            Self::Different { index, list } => write!(
                f,
                "the index has UIDVALIDITY {index}, the list of UIDs has {list} and is not used"
            ),
            Self::Conflicts(count) => {
                write!(
                    f,
                    "{count} UIDs were given twice: their messages get new UIDs"
                )
            }
            Self::BeyondLetters(count) => {
                write!(
                    f,
                    "{count} keywords have no letter and are only in the index"
                )
            }
            Self::TooManyKeywords(count) => write!(f, "{count} keywords are too many and are lost"),
        }
    }
}

/// What another server left in a mailbox.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) server: Server,
    /// Its list, and what the list's file was like when it was read.
    pub(crate) list: Option<(Uidlist, Agreed)>,
}

/// Looks for what another server left in `directory`, and reads its list.
///
/// # Errors
/// [`Error::Takeover`] if there is a list but it cannot be used, or if it is missing where it must
/// have been.
pub(crate) fn find(directory: &Path) -> Result<Option<Left>> {
    for (file, server) in LISTS {
        let path = directory.join(file);
        if let Some(list) = read_list(&path)? {
            let list = Some(list);
            return Ok(Some(Left { server, list }));
        }
        if server == Server::Dovecot && lacks_list(directory)? {
            let problem = Problem::Missing;
            return Err(Error::Takeover { path, problem });
        }
    }
    let courier = [courier::KEYWORDS, courier::POP3].iter();
    let courier = courier
        .map(|name| directory.join(name))
        .any(|path| there(&path));
    Ok(courier.then_some(Left {
        server: Server::Courier,
        list: None,
    }))
}

/// Where the list in `directory` is, or would be.
pub(crate) fn list_path(directory: &Path) -> PathBuf {
    let mut paths = LISTS.iter().map(|(file, _)| directory.join(file));
    let found = paths.find(|path| there(path));
    found.unwrap_or_else(|| directory.join("dovecot-uidlist"))
}

/// What the file of the newest list in `directory` is like; `None` without one.
pub(crate) fn list_stamp(directory: &Path) -> Option<Agreed> {
    let files = LISTS.iter().map(|(file, _)| directory.join(file));
    let mut found = files.filter_map(|path| fs::symlink_metadata(path).ok());
    found.next().map(|metadata| stamp(&metadata))
}

/// Whether Dovecot's index is there without its list, and there are messages to lose.
fn lacks_list(directory: &Path) -> Result<bool> {
    let mut index = INDEX.iter().map(|name| directory.join(name));
    if !index.any(|path| there(&path)) {
        return Ok(false);
    }
    for place in ["cur", "new"] {
        let path = directory.join(place);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed(&path))?,
        };
        for entry in entries {
            let name = entry.map_err(failed(&path))?.file_name();
            if !name.as_encoded_bytes().starts_with(b".") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn read_list(path: &Path) -> Result<Option<(Uidlist, Agreed)>> {
    let refused = |problem| Error::Takeover {
        path: path.to_path_buf(),
        problem,
    };
    let (bytes, stamp) = match read_whole(path, MAX_LIST) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(None),
        Err(Error::Corrupt { .. } | Error::NoPermission { .. }) => {
            return Err(refused(Problem::NoList));
        }
        Err(error) => return Err(error),
    };
    let list = Uidlist::parse(&bytes).map_err(|error| refused(Problem::Damaged(error)))?;
    Ok(Some((list, stamp)))
}

/// A file of at most `limit` octets, and what it was like; `None` if there is none.
pub(crate) fn read_whole(path: &Path, limit: u64) -> Result<Option<(Vec<u8>, Agreed)>> {
    let (file, metadata) = match open_regular_with_metadata(path, OFlags::RDONLY) {
        Err(Error::NotFound) => return Ok(None),
        opened => opened?,
    };
    let stamp = stamp(&metadata);
    let too_large = || Error::Corrupt {
        path: PathBuf::from(path),
        problem: "file is too large",
    };
    // Not a byte of a file that is mostly a hole.
    if stamp.size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or_default());
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(failed(path))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(Some((bytes, stamp)))
}

fn stamp(metadata: &Metadata) -> Agreed {
    Agreed {
        modified: file_time(metadata),
        size: metadata.len(),
    }
}

/// The lists, in the order in which they count.
const LISTS: [(&str, Server); 2] = [
    ("dovecot-uidlist", Server::Dovecot),
    ("courierimapuiddb", Server::Courier),
];
/// Files that Dovecot does not make without a list.
const INDEX: [&str; 2] = ["dovecot.index", "dovecot.index.log"];
/// The largest list that is read: some four million messages.
const MAX_LIST: u64 = 512 << 20;
