//! Special uses in `pillarbox.account`, a text file of lines `<key> <value>`.
//!
//! | Line | Says |
//! |---|---|
//! | `special-use <sum> \Sent Sent Items` | the mailbox `Sent Items` (as on disk) is for this |
//! | `special-use <sum> \Sent` | no mailbox is, whatever its name |
//! | `made <sum> \Sent` | a mailbox for this was made for the account once |
//!
//! `<sum>` is the CRC-32 of the line without it, in eight hexadecimal digits: a line that is cut off
//! or damaged does not count. Lines with other keys are kept, so that what a later version notes is
//! not lost; a change of the format gets a key of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Renames, left_over};
use crate::error::{Error, Result};
use crate::name::{MailboxName, Namespace};
use crate::replace::{Replacement, read};
use crate::special::{SpecialUse, SpecialUses};
use crate::uid_validity;

/// What was said about special uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Whose a use is; nobody's, if that was said.
    given: BTreeMap<SpecialUse, Option<MailboxName>>,
    /// For which uses mailboxes have been made.
    made: BTreeSet<SpecialUse>,
}

impl Uses {
    /// Whose each use is, of those about which something was said.
    pub(crate) fn given(&self) -> &BTreeMap<SpecialUse, Option<MailboxName>> {
        &self.given
    }

    /// What a mailbox was given.
    pub(crate) fn of(&self, name: &MailboxName) -> SpecialUses {
        let own = self
            .given
            .iter()
            .filter(|(_, it)| it.as_ref() == Some(name));
        own.map(|(special_use, _)| *special_use).collect()
    }

    /// Whether a mailbox was given something.
    pub(crate) fn owns(&self, name: &MailboxName) -> bool {
        !self.of(name).is_empty()
    }

    /// Gives uses to a mailbox, and takes them from who has them.
    pub(crate) fn give(&mut self, name: &MailboxName, uses: SpecialUses) {
        for special_use in uses.iter() {
            self.given.insert(special_use, Some(name.clone()));
        }
    }

    /// These uses are nobody's, whatever mailboxes are called.
    pub(crate) fn take_away(&mut self, uses: SpecialUses) {
        for special_use in uses.iter() {
            self.given.insert(special_use, None);
        }
    }

    /// Nothing was said about a mailbox.
    pub(crate) fn forget(&mut self, name: &MailboxName) {
        self.given.retain(|_, it| it.as_ref() != Some(name));
    }

    /// Whether a mailbox was made for this.
    pub(crate) fn was_made(&self, special_use: SpecialUse) -> bool {
        self.made.contains(&special_use)
    }

    /// A mailbox for this is not to be made any more.
    pub(crate) fn note_made(&mut self, special_use: SpecialUse) {
        self.made.insert(special_use);
    }

    /// Gives mailboxes their new names.
    pub(crate) fn rename(&mut self, renames: &Renames) {
        for name in left_over(renames) {
            self.forget(name);
        }
        for name in self.given.values_mut().flatten() {
            if let Some(new) = renames.get(name) {
                *name = new.clone();
            }
        }
    }

    /// A checksum of all of it.
    pub(crate) fn checksum(&self, namespace: &Namespace) -> u32 {
        crc32fast::hash(&self.lines(namespace))
    }

    /// What is in a file, and whether lines in it are damaged.
    fn parse(file: &[u8], namespace: &Namespace) -> (Self, bool) {
        let mut uses = Self::default();
        let mut damaged = false;
        let lines = file.split_inclusive(|&byte| byte == b'\n');
        for line in lines.filter(|line| is_ours(line)) {
            match parse_line(line, namespace) {
                Some(Line::Given(special_use, name)) => {
                    uses.given.insert(special_use, name);
                }
                Some(Line::Made(special_use)) => uses.note_made(special_use),
                None => damaged = true,
            }
        }
        (uses, damaged)
    }

    /// The lines of a file.
    fn lines(&self, namespace: &Namespace) -> Vec<u8> {
        let mut out = String::new();
        for (special_use, name) in &self.given {
            let attribute = special_use.attribute();
            let value = match name {
                Some(name) => format!("{attribute} {}", namespace.stored(name)),
                None => attribute.to_owned(),
            };
            push_line(&mut out, GIVEN, &value);
        }
        for special_use in &self.made {
            push_line(&mut out, MADE, special_use.attribute());
        }
        out.into_bytes()
    }
}

/// What the file in a root says.
pub(crate) fn load(root: &Path, namespace: &Namespace) -> Result<Uses> {
    let (_, uses) = load_with_others(root, namespace)?;
    Ok(uses)
}

/// Changes what the file in a root says. Under its lock.
pub(super) fn change<T>(
    root: &Path,
    namespace: &Namespace,
    change: impl FnOnce(&mut Uses) -> T,
) -> Result<T> {
    let (file, mut uses) = load_with_others(root, namespace)?;
    let before = uses.clone();
    let changed = change(&mut uses);
    if uses != before {
        let mut contents = Vec::with_capacity(file.len() + 64);
        let others = file.split(|&byte| byte == b'\n');
        for line in others.filter(|line| !line.is_empty() && !is_ours(line)) {
            contents.extend_from_slice(line);
            contents.push(b'\n');
        }
        contents.extend(uses.lines(namespace));
        Replacement::begin(&root.join(uid_validity::FILE))?.commit(&contents, None)?;
    }
    Ok(changed)
}

fn load_with_others(root: &Path, namespace: &Namespace) -> Result<(Vec<u8>, Uses)> {
    let path = root.join(uid_validity::FILE);
    let file = match read(&path) {
        Ok(contents) => contents.map(|contents| contents.bytes).unwrap_or_default(),
        // It is replaced by the next change.
        Err(error @ Error::Corrupt { .. }) => {
            tracing::warn!(path = %path.display(), %error, "special uses lost");
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let (uses, damaged) = Uses::parse(&file, namespace);
    if damaged {
        tracing::warn!(path = %path.display(), "file is damaged: some special uses are lost");
    }
    Ok((file, uses))
}

/// A line that we understand.
enum Line {
    Given(SpecialUse, Option<MailboxName>),
    Made(SpecialUse),
}

/// Whether a line has one of our keys, or may have had.
fn is_ours(line: &[u8]) -> bool {
    [GIVEN, MADE]
        .iter()
        .any(|key| line.starts_with(key.as_bytes()))
}

fn parse_line(line: &[u8], namespace: &Namespace) -> Option<Line> {
    let line = line.strip_suffix(b"\n")?;
    let (key, rest) = [GIVEN, MADE].into_iter().find_map(|key| {
        let rest = line.strip_prefix(key.as_bytes())?;
        Some((key, rest.strip_prefix(b" ")?))
    })?;
    let (sum, value) = rest.split_at_checked(SUM_LEN)?;
    let value = value.strip_prefix(b" ")?;
    if sum != checksum(key, value).as_bytes() {
        return None;
    }
    let end = value.iter().position(|&byte| byte == b' ');
    let (attribute, name) = value.split_at(end.unwrap_or(value.len()));
    let special_use = SpecialUse::from_attribute(attribute)?;
    match (key, name.strip_prefix(b" ")) {
        (GIVEN, None) => Some(Line::Given(special_use, None)),
        (GIVEN, Some(name)) => {
            let name = namespace.read_stored(name)?;
            Some(Line::Given(special_use, Some(name)))
        }
        (_, None) => Some(Line::Made(special_use)),
        (_, Some(_)) => None,
    }
}

fn push_line(out: &mut String, key: &str, value: &str) {
    let sum = checksum(key, value.as_bytes());
    out.push_str(&format!("{key} {sum} {value}\n"));
}

fn checksum(key: &str, value: &[u8]) -> String {
    let sum = crc32fast::hash(&[key.as_bytes(), b" ", value].concat());
    format!("{sum:08x}")
}

/// Whose a use is.
const GIVEN: &str = "special-use";
/// That a mailbox was made.
const MADE: &str = "made";
/// Digits of a checksum.
const SUM_LEN: usize = 8;

#[cfg(test)]
mod tests;
