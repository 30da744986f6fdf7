//! The renames of a RENAME in flight, so that a crash cannot leave a half of them.
//!
//! `pillarbox.renaming` in the root: a header line, then `<from>` TAB `<to>` per directory, and if
//! something hangs on the mailboxes by their names, `attached` TAB and two checksums in hexadecimal
//! digits: how it was before. It is written as a whole before the first rename and removed after the
//! last, always under the exclusive lock of the tree.

use std::fs;
use std::io;
use std::path::Path;

use crate::attached::Stamp;
use crate::error::Result;
use crate::name::Namespace;
use crate::replace::{self, Replacement};

/// One directory of the root and its new name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    /// The directory as it is.
    pub(super) from: String,
    /// The directory as it shall be.
    pub(super) to: String,
}

/// What was noted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    /// The moves.
    pub(super) moves: Vec<Move>,
    /// How what hangs on the mailboxes was before.
    pub(super) attached: Option<Stamp>,
}

/// Notes the moves, durably.
pub(super) fn write(root: &Path, moves: &[Move], attached: Option<Stamp>) -> Result<()> {
    let mut text = format!("{HEADER}\n");
    for step in moves {
        text.push_str(&format!("{}\t{}\n", step.from, step.to));
    }
    if let Some(Stamp { uses, annotations }) = attached {
        text.push_str(&format!("{ATTACHED}{uses:08x} {annotations:08x}\n"));
    }
    Replacement::begin(&root.join(FILE))?.commit(text.as_bytes(), None)
}

/// Whether there is a journal.
pub(super) fn exists(root: &Path) -> bool {
    fs::symlink_metadata(root.join(FILE)).is_ok()
}

/// What was noted; no moves if the file is not a journal of ours. Every name is checked to be that
/// of a mailbox.
pub(super) fn read(root: &Path, namespace: &Namespace) -> Result<Journal> {
    let contents = match replace::read(&root.join(FILE)) {
        Ok(contents) => contents,
        Err(crate::Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    let bytes = contents.map(|contents| contents.bytes).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Ok(Journal::default());
    }
    let is_mailbox = |name: &str| namespace.from_directory(name.as_bytes()).is_some();
    let attached = lines.clone().find_map(|line| {
        let (uses, annotations) = line.strip_prefix(ATTACHED)?.split_once(' ')?;
        let number = |digits| u32::from_str_radix(digits, 16).ok();
        Some(Stamp {
            uses: number(uses)?,
            annotations: number(annotations)?,
        })
    });
    let moves = lines
        .filter_map(|line| line.split_once('\t'))
        .filter(|(from, to)| is_mailbox(from) && is_mailbox(to))
        .map(|(from, to)| Move {
            from: from.to_owned(),
            to: to.to_owned(),
        });
    let moves = moves.collect();
    Ok(Journal { moves, attached })
}

/// Removes the journal. Should that fail, carrying it out again finds nothing to do.
pub(super) fn remove(root: &Path) {
    match fs::remove_file(root.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(root = %root.display(), %error, "rename journal not removed");
        }
        Ok(()) | Err(_) => {}
    }
}

/// The journal, in the root.
const FILE: &str = "pillarbox.renaming";
/// How the line about what hangs on mailboxes begins.
const ATTACHED: &str = "attached\t";
/// Its first line.
const HEADER: &str = "pillarbox renaming 1";
