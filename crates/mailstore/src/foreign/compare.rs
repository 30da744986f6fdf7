//! Whether an index and the files that Dovecot keeps beside the Maildir say the same.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::Path;

use super::export::UIDLIST;
use super::uidlist::{Uidlist, UidlistEntry, UidlistError};
use super::{MAX_LIST, read_whole};
use crate::error::Result;
use crate::filename::base;
use crate::flag::Keywords;
use crate::id::Uid;
use crate::inspect::Inspection;
use crate::keyword_file;
use crate::replace::failed;
use crate::snapshot::{Message, Place};

/// A difference between an index and Dovecot's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// The list of UIDs cannot be read.
    Damaged(UidlistError),
    /// A number of the whole mailbox differs.
    Number {
        /// Which: `UIDVALIDITY`, `UIDNEXT` or `mailbox GUID`.
        what: &'static str,
        /// In the index.
        index: String,
        /// In the list.
        list: String,
    },
    /// Only the index has a message, with a UID that the list has left out.
    NotListed {
        /// Its UID.
        uid: Uid,
        /// The base of its file.
        base: String,
    },
    /// Only the list has a message, whose file is there or whose UID was not given by the index.
    OnlyListed {
        /// Its UID.
        uid: Uid,
        /// The base of its file.
        base: String,
    },
    /// A file has two UIDs.
    Uid {
        /// The base of the file.
        base: String,
        /// Its UID in the index.
        index: Uid,
        /// Its UID in the list.
        list: Uid,
    },
    /// Something of a message that a Maildir does not hold differs.
    Kept {
        /// The message.
        uid: Uid,
        /// Which: `POP3 UIDL`, `POP3 order` or `GUID`.
        what: &'static str,
        /// In the index.
        index: String,
        /// In the list.
        list: String,
    },
    /// A letter in file names means another keyword.
    Letter {
        /// The letter.
        letter: char,
        /// Its keyword in the index.
        index: String,
        /// Its keyword in `dovecot-keywords`.
        file: String,
    },
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(error) => write!(f, "{UIDLIST} cannot be read: {error}"),
            Self::Number { what, index, list } => {
                write!(f, "{what} is {index} in the index, {list} in {UIDLIST}")
            }
            Self::NotListed { uid, base } => {
                write!(f, "UID {uid} is not in {UIDLIST} ({base})")
            }
            Self::OnlyListed { uid, base } => {
                write!(f, "UID {uid} is only in {UIDLIST} ({base})")
            }
            Self::Uid { base, index, list } => {
                write!(
                    f,
                    "{base} has UID {index} in the index, {list} in {UIDLIST}"
                )
            }
            Self::Kept {
                uid,
                what,
                index,
                list,
            } => {
                write!(
                    f,
                    "UID {uid} has {what} {index} in the index, {list} in {UIDLIST}"
                )
            }
            Self::Letter {
                letter,
                index,
                file,
            } => write!(
                f,
                "keyword letter {letter} is {index} in the index, {file} in dovecot-keywords"
            ),
        }
    }
}

/// What a comparison of an index with Dovecot's files found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What the two say differently.
    pub disagreements: Vec<Disagreement>,
    /// Whether the index has given UIDs since the list was written.
    pub behind: bool,
    /// How many messages have one of these UIDs.
    pub later: usize,
    /// How many messages of the list have been removed. Dovecot notices that by itself, and removes
    /// them from its list at its leisure.
    pub gone: usize,
}

impl Comparison {
    /// Whether Dovecot would serve just what the index says.
    pub fn is_equal(&self) -> bool {
        self.disagreements.is_empty() && !self.behind
    }
}

/// Compares an index with Dovecot's list of UIDs and keywords. `None` if there is no list.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(inspection: &Inspection) -> Result<Option<Comparison>> {
    let directory = inspection.directory();
    let Some((bytes, _)) = read_whole(&directory.join(UIDLIST), MAX_LIST)? else {
        return Ok(None);
    };
    let mut out = Comparison::default();
    let list = match Uidlist::parse(&bytes) {
        Ok(list) => list,
        Err(error) => {
            out.disagreements.push(Disagreement::Damaged(error));
            return Ok(Some(out));
        }
    };
    compare_numbers(inspection, &list, &mut out);
    if list.uid_validity != inspection.snapshot().uid_validity() {
        // Their UIDs have nothing to do with each other.
        return Ok(Some(out));
    }
    compare_messages(inspection, list, &mut out)?;
    let keywords = inspection.snapshot().keywords();
    compare_letters(directory, keywords, &mut out.disagreements)?;
    Ok(Some(out))
}

fn compare_numbers(inspection: &Inspection, list: &Uidlist, out: &mut Comparison) {
    let snapshot = inspection.snapshot();
    let mut number = |what, index: String, list: String| {
        if index != list {
            let number = Disagreement::Number { what, index, list };
            out.disagreements.push(number);
        }
    };
    let (ours, theirs) = (snapshot.uid_validity(), list.uid_validity);
    number("UIDVALIDITY", ours.to_string(), theirs.to_string());
    if ours != theirs {
        return;
    }
    let (ours, theirs) = (snapshot.uid_next(), list.next_uid);
    if ours < theirs {
        number("UIDNEXT", ours.to_string(), theirs.to_string());
    }
    if let Some(guid) = list.mailbox_guid {
        let (ours, theirs) = (inspection.mailbox_id(), guid);
        number(
            "mailbox GUID",
            format!("{ours:032x}"),
            format!("{theirs:032x}"),
        );
    }
    out.behind = ours > theirs;
}

fn compare_messages(inspection: &Inspection, list: Uidlist, out: &mut Comparison) -> Result<()> {
    let mut listed: HashMap<Box<[u8]>, UidlistEntry> = list
        .entries
        .into_iter()
        .map(|entry| (entry.base.clone(), entry))
        .collect();
    let told = &mut out.disagreements;
    for message in inspection.snapshot().iter() {
        let uid = message.uid();
        let base = base(message.file_name());
        match listed.remove(base) {
            None if uid >= list.next_uid => out.later += 1,
            None => told.push(Disagreement::NotListed {
                uid,
                base: shown(base),
            }),
            Some(entry) if entry.uid != uid => told.push(Disagreement::Uid {
                base: shown(base),
                index: uid,
                list: entry.uid,
            }),
            Some(entry) => compare_kept(message, &entry, told),
        }
    }
    if listed.is_empty() {
        return Ok(());
    }
    let files = bases(inspection.directory())?;
    let next = inspection.snapshot().uid_next();
    let mut rest: Vec<UidlistEntry> = listed.into_values().collect();
    rest.sort_unstable_by_key(|entry| entry.uid);
    for entry in rest {
        if entry.uid < next && !files.contains(&entry.base) {
            out.gone += 1;
            continue;
        }
        told.push(Disagreement::OnlyListed {
            uid: entry.uid,
            base: shown(&entry.base),
        });
    }
    Ok(())
}

/// The bases of all names in the directories of messages.
fn bases(directory: &Path) -> Result<HashSet<Box<[u8]>>> {
    let mut out = HashSet::new();
    for place in [Place::Cur, Place::New] {
        let path = directory.join(place.directory());
        for entry in fs::read_dir(&path).map_err(failed(&path))? {
            let name = entry.map_err(failed(&path))?.file_name();
            out.insert(base(name.as_encoded_bytes()).into());
        }
    }
    Ok(out)
}

fn compare_kept(message: Message<'_>, entry: &UidlistEntry, out: &mut Vec<Disagreement>) {
    let uid = message.uid();
    let kept = message.kept();
    let mut field = |what, index: Option<String>, list: Option<String>| {
        if index != list {
            let shown = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
            let (index, list) = (shown(index), shown(list));
            out.push(Disagreement::Kept {
                uid,
                what,
                index,
                list,
            });
        }
    };
    // An empty one stands for the base.
    let in_list = entry.uidl.as_ref().map(|uidl| match uidl.as_ref() {
        b"" => shown(&entry.base),
        uidl => shown(uidl),
    });
    let text = |value: &Option<Box<[u8]>>| value.as_ref().map(|value| shown(value));
    field("POP3 UIDL", kept.and_then(|kept| text(&kept.uidl)), in_list);
    let order = kept.and_then(|kept| kept.order);
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    field("POP3 order", number(order), number(entry.order));
    field(
        "GUID",
        kept.and_then(|kept| text(&kept.guid)),
        text(&entry.guid),
    );
}

fn compare_letters(
    directory: &Path,
    keywords: &Keywords,
    out: &mut Vec<Disagreement>,
) -> Result<()> {
    let (file, _) = keyword_file::load(directory)?;
    for position in 0..u8::try_from(Keywords::LETTERS).unwrap_or(u8::MAX) {
        let name = |keywords: &Keywords| {
            let keyword = keywords.get(position);
            keyword.map_or_else(|| "none".to_owned(), |keyword| keyword.as_str().to_owned())
        };
        let (index, file) = (name(keywords), name(&file));
        if index != file {
            let letter = char::from(b'a'.saturating_add(position));
            out.push(Disagreement::Letter {
                letter,
                index,
                file,
            });
        }
    }
    Ok(())
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
