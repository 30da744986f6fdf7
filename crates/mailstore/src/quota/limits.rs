//! `pillarbox.limits` in the root of an account: the limits that SETQUOTA has set.
//!
//! One line each, `storage <octets>` and `messages <number>`; what has no line is not limited. The
//! file is replaced as a whole, durably. Where it is, nothing else limits the account.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use super::Limits;
use crate::error::{Error, Result};
use crate::replace::{Replacement, read};

/// The limits as they were last read.
#[derive(Debug, Default)]
pub(super) struct SetLimits {
    /// What the file was like; `None` if there was none.
    seen: Option<(u64, u64, SystemTime)>,
    limits: Option<Limits>,
}

impl SetLimits {
    /// The limits of the account in `root`, read again if the file has changed.
    pub(super) fn current(&mut self, root: &Path) -> Option<Limits> {
        let path = root.join(NAME);
        let metadata = path.symlink_metadata().ok();
        let now = metadata.and_then(|it| Some((it.ino(), it.len(), it.modified().ok()?)));
        if now != self.seen {
            match load(root) {
                Ok(limits) => self.limits = limits,
                // What held so far still does.
                Err(error) => tracing::error!(%error, "limits not read"),
            }
            self.seen = now;
        }
        self.limits
    }
}

/// Sets the limits of the account in `root`.
///
/// # Errors
/// If they cannot be written.
pub(super) fn store(root: &Path, limits: Limits) -> Result<()> {
    let line = |name: &str, limit: Option<u64>| match limit {
        Some(limit) => format!("{name} {limit}\n"),
        None => String::new(),
    };
    let text = line("storage", limits.storage) + &line("messages", limits.messages);
    Replacement::begin(&root.join(NAME))?.commit(text.as_bytes(), None)
}

fn load(root: &Path) -> Result<Option<Limits>> {
    let path = root.join(NAME);
    let Some(contents) = read(&path)? else {
        return Ok(None);
    };
    match parse(&contents.bytes) {
        Some(limits) => Ok(Some(limits)),
        None => Err(Error::Corrupt {
            path,
            problem: "expected lines \"storage <octets>\" and \"messages <number>\"",
        }),
    }
}

fn parse(text: &[u8]) -> Option<Limits> {
    let mut limits = Limits::NONE;
    for line in str::from_utf8(text).ok()?.lines() {
        let (name, limit) = line.split_once(' ')?;
        let limit = Some(limit.parse().ok()?);
        match name {
            "storage" => limits.storage = limit,
            "messages" => limits.messages = limit,
            _ => return None,
        }
    }
    Some(limits)
}

/// The file.
const NAME: &str = "pillarbox.limits";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_was_set_last() {
        let root = tempfile::tempdir().unwrap();
        let mut set = SetLimits::default();
        assert_eq!(set.current(root.path()), None);
        let rows = [
            (Some(1024), Some(10)),
            (None, Some(0)),
            (Some(u64::MAX), None),
            (None, None),
        ];
        for (storage, messages) in rows {
            let limits = Limits { storage, messages };
            store(root.path(), limits).unwrap();
            assert_eq!(set.current(root.path()), Some(limits));
        }
    }

    #[test]
    fn a_damaged_file_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let limits = Limits {
            storage: Some(5),
            messages: None,
        };
        store(root.path(), limits).unwrap();
        let mut set = SetLimits::default();
        assert_eq!(set.current(root.path()), Some(limits));
        for text in ["storage", "storage x\n", "mailboxes 5\n", "storage -1\n"] {
            std::fs::write(root.path().join(NAME), text).unwrap();
            assert_eq!(set.current(root.path()), Some(limits), "{text}");
            assert!(
                matches!(load(root.path()), Err(Error::Corrupt { .. })),
                "{text}"
            );
        }
        std::fs::remove_file(root.path().join(NAME)).unwrap();
        assert_eq!(set.current(root.path()), None);
    }
}
