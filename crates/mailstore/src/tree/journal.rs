//! The renames of a RENAME in flight, so that a crash cannot leave a half of them.
//!
//! `pillarbox.renaming` in the root: a header line, then `<from>` TAB `<to>` per directory. It is
//! written as a whole before the first rename and removed after the last, always under the
//! exclusive lock of the tree.

use std::fs;
use std::io;
use std::path::Path;

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

/// Notes the moves, durably.
pub(super) fn write(root: &Path, moves: &[Move]) -> Result<()> {
    let mut text = format!("{HEADER}\n");
    for step in moves {
        text.push_str(&format!("{}\t{}\n", step.from, step.to));
    }
    Replacement::begin(&root.join(FILE))?.commit(text.as_bytes(), None)
}

/// Whether there is a journal.
pub(super) fn exists(root: &Path) -> bool {
    fs::symlink_metadata(root.join(FILE)).is_ok()
}

/// The moves that were noted; none if the file is not a journal of ours. Every name is checked to
/// be that of a mailbox.
pub(super) fn read(root: &Path, namespace: &Namespace) -> Result<Vec<Move>> {
    let contents = match replace::read(&root.join(FILE)) {
        Ok(contents) => contents,
        Err(crate::Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    let bytes = contents.map(|contents| contents.bytes).unwrap_or_default();
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Ok(Vec::new());
    }
    let is_mailbox = |name: &str| namespace.from_directory(name.as_bytes()).is_some();
    Ok(lines
        .filter_map(|line| line.split_once('\t'))
        .filter(|(from, to)| is_mailbox(from) && is_mailbox(to))
        .map(|(from, to)| Move {
            from: from.to_owned(),
            to: to.to_owned(),
        })
        .collect())
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
/// Its first line.
const HEADER: &str = "pillarbox renaming 1";
