//! Whether an index and the files that Dovecot keeps beside the Maildir say the same.

use std::collections::HashMap;
use std::fmt;
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

use crate::snapshot::Message;

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
    /// Only the index has a message.
    NotListed {
        /// Its UID.
        uid: Uid,
        /// The base of its file.
        base: String,
    },
    /// Only the list has a message.
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

/// Compares an index with Dovecot's list of UIDs and keywords. `None` if there is no list.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(inspection: &Inspection) -> Result<Option<Vec<Disagreement>>> {
    let directory = inspection.directory();
    let Some((bytes, _)) = read_whole(&directory.join(UIDLIST), MAX_LIST)? else {
        return Ok(None);
    };
    let list = match Uidlist::parse(&bytes) {
        Ok(list) => list,
        Err(error) => return Ok(Some(vec![Disagreement::Damaged(error)])),
    };
    let mut out = Vec::new();
    compare_numbers(inspection, &list, &mut out);
    compare_messages(inspection, list, &mut out);
    compare_letters(directory, inspection.snapshot().keywords(), &mut out)?;
    Ok(Some(out))
}

fn compare_numbers(inspection: &Inspection, list: &Uidlist, out: &mut Vec<Disagreement>) {
    let snapshot = inspection.snapshot();
    let mut number = |what, index: String, list: String| {
        if index != list {
            out.push(Disagreement::Number { what, index, list });
        }
    };
    let (ours, theirs) = (snapshot.uid_validity(), list.uid_validity);
    number("UIDVALIDITY", ours.to_string(), theirs.to_string());
    let (ours, theirs) = (snapshot.uid_next(), list.next_uid);
    number("UIDNEXT", ours.to_string(), theirs.to_string());
    if let Some(guid) = list.mailbox_guid {
        let (ours, theirs) = (inspection.mailbox_id(), guid);
        number(
            "mailbox GUID",
            format!("{ours:032x}"),
            format!("{theirs:032x}"),
        );
    }
}

fn compare_messages(inspection: &Inspection, list: Uidlist, out: &mut Vec<Disagreement>) {
    let mut listed: HashMap<Box<[u8]>, UidlistEntry> = list
        .entries
        .into_iter()
        .map(|entry| (entry.base.clone(), entry))
        .collect();
    for message in inspection.snapshot().iter() {
        let uid = message.uid();
        let base = base(message.file_name());
        match listed.remove(base) {
            None => out.push(Disagreement::NotListed {
                uid,
                base: shown(base),
            }),
            Some(entry) if entry.uid != uid => out.push(Disagreement::Uid {
                base: shown(base),
                index: uid,
                list: entry.uid,
            }),
            Some(entry) => compare_kept(message, &entry, out),
        }
    }
    let mut rest: Vec<UidlistEntry> = listed.into_values().collect();
    rest.sort_unstable_by_key(|entry| entry.uid);
    out.extend(rest.into_iter().map(|entry| Disagreement::OnlyListed {
        uid: entry.uid,
        base: shown(&entry.base),
    }));
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
