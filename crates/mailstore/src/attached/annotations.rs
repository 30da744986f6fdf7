//! Annotations in `pillarbox.metadata`: entries with values, of mailboxes and of the account itself.
//!
//! Little endian. A header: `pbxmeta` and the version (1), how many annotations there are, and the
//! CRC-32 of these twelve octets. Then, for each annotation: the length of what follows, its CRC-32,
//! the name of the mailbox as on disk after its length (two octets; none for the account), the name
//! of the entry after its length (two octets), and the value.
//!
//! What is cut off or damaged, and all behind it, does not count, which the log tells; the next
//! change writes the file anew. A file of a later version is neither read nor written.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Renames, left_over};
use crate::error::{Error, Result};
use crate::name::{MailboxName, Namespace};
use crate::replace::{Replacement, read};

/// What an annotation is about: a mailbox, or the account itself.
pub type Place = Option<MailboxName>;

/// The entries of a place with their values.
pub type Entries = BTreeMap<String, Vec<u8>>;

/// All annotations of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(BTreeMap<Place, Entries>);

impl Annotations {
    /// The entries of a mailbox, or of the account itself.
    pub fn of(&self, place: &Place) -> Option<&Entries> {
        self.0.get(place)
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Place, &String, &Vec<u8>)> {
        let places = self.0.iter();
        places.flat_map(|(place, entries)| entries.iter().map(move |(e, v)| (place, e, v)))
    }

    /// Sets an entry, or removes it.
    pub(crate) fn set(&mut self, place: &Place, entry: &str, value: Option<Vec<u8>>) {
        match value {
            Some(value) => {
                let entries = self.0.entry(place.clone()).or_default();
                entries.insert(entry.to_owned(), value);
            }
            None => {
                if let Some(entries) = self.0.get_mut(place) {
                    entries.remove(entry);
                    if entries.is_empty() {
                        self.0.remove(place);
                    }
                }
            }
        }
    }

    /// How many entries a place has.
    pub(crate) fn count(&self, place: &Place) -> usize {
        self.of(place).map_or(0, BTreeMap::len)
    }

    /// The octets of all names and values.
    pub(crate) fn octets(&self) -> usize {
        let each = self.iter().map(|(place, entry, value)| {
            let name = place.as_ref().map_or(0, |name| name.as_str().len());
            FRAME_HEAD + name + entry.len() + value.len()
        });
        each.sum()
    }

    /// Whether a mailbox has entries.
    pub(crate) fn has(&self, name: &MailboxName) -> bool {
        self.0.keys().flatten().any(|it| it == name)
    }

    /// Removes those of a mailbox.
    pub(crate) fn remove(&mut self, name: &MailboxName) {
        self.0.remove(&Some(name.clone()));
    }

    /// Gives a mailbox those of another one.
    pub(crate) fn copy(&mut self, from: &MailboxName, to: &MailboxName) {
        if let Some(entries) = self.0.get(&Some(from.clone())).cloned() {
            self.0.insert(Some(to.clone()), entries);
        }
    }

    /// Gives mailboxes their new names.
    pub(crate) fn rename(&mut self, renames: &Renames) {
        for name in left_over(renames) {
            self.remove(name);
        }
        let new = |place: Place| place.map(|name| renames.get(&name).cloned().unwrap_or(name));
        let old = std::mem::take(&mut self.0).into_iter();
        self.0 = old.map(|(place, entries)| (new(place), entries)).collect();
    }

    /// What is in a file.
    fn parse(file: &[u8], namespace: &Namespace) -> Parsed {
        let mut annotations = Self::default();
        let Some((header, mut rest)) = file.split_at_checked(HEADER_LEN) else {
            return Parsed::Damaged(annotations);
        };
        let (Some(magic), Some(version)) = (header.get(..7), header.get(7)) else {
            return Parsed::Damaged(annotations);
        };
        if magic == MAGIC && *version > VERSION {
            return Parsed::Later;
        }
        let (counted, sum) = header.split_at(12);
        let is_header = magic == MAGIC && u32_at(sum, 0) == Some(crc32fast::hash(counted));
        let count = u32_at(counted, 8).filter(|_| is_header);
        for _ in 0..count.unwrap_or_default() {
            let Some((annotation, behind)) = parse_frame(rest, namespace) else {
                return Parsed::Damaged(annotations);
            };
            rest = behind;
            let (place, entry, value) = annotation;
            annotations.set(&place, &entry, Some(value));
        }
        if count.is_some() && rest.is_empty() {
            Parsed::Whole(annotations)
        } else {
            Parsed::Damaged(annotations)
        }
    }

    /// The file.
    fn write(&self, namespace: &Namespace) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        let count = u32::try_from(self.iter().count()).unwrap_or(u32::MAX);
        out.extend(count.to_le_bytes());
        out.extend(crc32fast::hash(&out).to_le_bytes());
        for (place, entry, value) in self.iter() {
            let name = place.as_ref().map(|name| namespace.stored(name));
            let mut payload = Vec::with_capacity(FRAME_HEAD + entry.len() + value.len());
            for text in [name.unwrap_or_default().as_str(), entry.as_str()] {
                let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
                payload.extend(length.to_le_bytes());
                payload.extend(text.as_bytes().iter().take(usize::from(length)));
            }
            payload.extend(value);
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            out.extend(length.to_le_bytes());
            out.extend(crc32fast::hash(&payload).to_le_bytes());
            out.extend(payload);
        }
        out
    }
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    Whole(Annotations),
    /// With what is whole in it.
    Damaged(Annotations),
    /// Of a later version.
    Later,
}

/// What the file in a root says.
pub(crate) fn load(root: &Path, namespace: &Namespace) -> Result<Annotations> {
    let path = root.join(FILE);
    let file = match read(&path) {
        Ok(Some(contents)) => contents.bytes,
        Ok(None) => return Ok(Annotations::default()),
        // It is replaced by the next change.
        Err(error @ Error::Corrupt { .. }) => {
            tracing::warn!(path = %path.display(), %error, "annotations lost");
            return Ok(Annotations::default());
        }
        Err(error) => return Err(error),
    };
    match Annotations::parse(&file, namespace) {
        Parsed::Whole(annotations) => Ok(annotations),
        Parsed::Damaged(annotations) => {
            tracing::warn!(path = %path.display(), "file is damaged: some annotations are lost");
            Ok(annotations)
        }
        Parsed::Later => Err(Error::Corrupt {
            path,
            problem: "annotations of a later version",
        }),
    }
}

/// Changes what the file in a root says. Under its lock.
pub(super) fn change<T, E: From<Error>>(
    root: &Path,
    namespace: &Namespace,
    change: impl FnOnce(&mut Annotations) -> Result<T, E>,
) -> Result<T, E> {
    let mut annotations = load(root, namespace)?;
    let before = annotations.clone();
    let changed = change(&mut annotations)?;
    if annotations != before {
        let contents = annotations.write(namespace);
        Replacement::begin(&root.join(FILE))?.commit(&contents, None)?;
    }
    Ok(changed)
}

/// A checksum of the file in a root.
pub(super) fn checksum(root: &Path) -> u32 {
    let contents = read(&root.join(FILE)).ok().flatten();
    crc32fast::hash(&contents.map(|it| it.bytes).unwrap_or_default())
}

/// An annotation and what is behind it.
type Frame<'a> = ((Place, String, Vec<u8>), &'a [u8]);

fn parse_frame<'a>(input: &'a [u8], namespace: &Namespace) -> Option<Frame<'a>> {
    let length = usize::try_from(u32_at(input, 0)?).ok()?;
    let sum = u32_at(input, 4)?;
    let (payload, behind) = input.get(8..)?.split_at_checked(length)?;
    if crc32fast::hash(payload) != sum {
        return None;
    }
    let (name, rest) = short_text(payload)?;
    let (entry, value) = short_text(rest)?;
    let place = match name {
        [] => None,
        name => Some(namespace.read_stored(name)?),
    };
    let entry = str::from_utf8(entry).ok()?.to_owned();
    Some(((place, entry, value.to_vec()), behind))
}

/// Octets after their length.
fn short_text(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let (octets, _) = bytes.get(at..)?.split_first_chunk()?;
    Some(u32::from_le_bytes(*octets))
}

/// The file, in the root.
pub(crate) const FILE: &str = "pillarbox.metadata";
/// How it begins.
const MAGIC: &[u8] = b"pbxmeta";
/// What is read and written.
const VERSION: u8 = 1;
/// The header.
const HEADER_LEN: usize = 16;
/// What an annotation takes beside its names and its value.
const FRAME_HEAD: usize = 12;

#[cfg(test)]
mod tests;
