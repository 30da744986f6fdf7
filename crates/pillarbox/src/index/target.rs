//! Which accounts and mailboxes a path stands for.
//!
//! A Maildir++ account is a directory with `cur/` and `new/`, or with mailboxes below it; its
//! mailboxes are directories in it whose names begin with a dot. Links are not followed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mailstore::inspect::is_maildir;

/// An account, or one mailbox of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    /// The root of the account.
    pub(super) root: PathBuf,
    /// The directory of the one mailbox that is meant; the whole account if not given.
    pub(super) mailbox: Option<PathBuf>,
}

/// What a path stands for: a mailbox, an account, or the accounts below it.
///
/// # Errors
/// If it cannot be read, or there is no mail below it.
pub(super) fn find(path: &Path) -> Result<Vec<Target>> {
    let path = path
        .canonicalize()
        .with_context(|| path.display().to_string())?;
    if let Some(root) = account_of(&path) {
        return Ok(vec![Target {
            root,
            mailbox: Some(path),
        }]);
    }
    let mut found = Vec::new();
    walk(&path, 0, &mut found)?;
    found.sort();
    if found.is_empty() {
        bail!(
            "{}: there is no Maildir here or below (a directory with cur/ and new/)",
            path.display()
        );
    }
    Ok(found)
}

/// The mailbox that a directory is.
///
/// # Errors
/// If it is none.
pub(super) fn mailbox(path: &Path) -> Result<Target> {
    let path = path
        .canonicalize()
        .with_context(|| path.display().to_string())?;
    if let Some(root) = account_of(&path) {
        let mailbox = Some(path);
        return Ok(Target { root, mailbox });
    }
    if is_account(&path) {
        let mailbox = Some(path.clone());
        return Ok(Target {
            root: path,
            mailbox,
        });
    }
    bail!(
        "{}: not a mailbox (a directory with cur/ and new/)",
        path.display()
    )
}

/// The account that a directory is a mailbox of, unless it is the account itself.
fn account_of(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    let dotted = path.file_name()?.as_encoded_bytes().starts_with(b".");
    let inside = is_maildir(path) && (is_maildir(parent) || path.join(FOLDER_MARK).is_file());
    (dotted && inside).then(|| parent.to_owned())
}

/// Whether a directory is the root of an account.
pub(crate) fn is_account(path: &Path) -> bool {
    if is_maildir(path) {
        return true;
    }
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    // INBOX may be missing as long as no mail has come.
    entries.flatten().any(|entry| {
        entry.file_name().as_encoded_bytes().starts_with(b".")
            && entry.path().join(FOLDER_MARK).is_file()
            && is_maildir(&entry.path())
    })
}

fn walk(path: &Path, depth: usize, found: &mut Vec<Target>) -> Result<()> {
    if is_account(path) {
        found.push(Target {
            root: path.to_owned(),
            mailbox: None,
        });
        return Ok(());
    }
    if depth >= MAX_DEPTH {
        return Ok(());
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        // Nobody's mail is in `lost+found`; everything else that is closed matters.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && depth > 0 => {
            bail!(
                "{}: cannot be read; run this as the user that Pillarbox runs as",
                path.display()
            );
        }
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    for entry in entries {
        let entry = entry.with_context(|| path.display().to_string())?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && entry.file_name() != LOST {
            walk(&entry.path(), depth + 1, found)?;
        }
    }
    Ok(())
}

/// The empty file that a mailbox has and the root of an account has not.
const FOLDER_MARK: &str = "maildirfolder";
/// What file systems have in their root, closed to most.
const LOST: &str = "lost+found";
/// How deep accounts can be below a path: deeper than any mail template.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Target, find, mailbox};
    use std::fs;
    use std::path::Path;

    fn make(directory: &Path) {
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(directory.join(part)).unwrap();
        }
    }

    fn shown(root: &Path, targets: &[Target]) -> Vec<String> {
        let short = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
        let show = |target: &Target| match &target.mailbox {
            Some(mailbox) => format!("{}: {}", short(&target.root), short(mailbox)),
            None => short(&target.root),
        };
        targets.iter().map(show).collect()
    }

    #[test]
    fn a_path_is_a_mailbox_an_account_or_many() {
        let dir = tempfile::tempdir().unwrap();
        let root = &dir.path().canonicalize().unwrap();
        make(&root.join("d/ann"));
        make(&root.join("d/ann/.Sent"));
        make(&root.join("home/bob/.maildir"));
        make(&root.join("home/bob/.maildir/.a.b"));
        // Without an INBOX.
        make(&root.join("d/cy/.Sent"));
        fs::write(root.join("d/cy/.Sent/maildirfolder"), "").unwrap();
        fs::create_dir_all(root.join("d/none")).unwrap();
        let all = find(root).unwrap();
        assert_eq!(shown(root, &all), ["d/ann", "d/cy", "home/bob/.maildir"]);
        let one = find(&root.join("d/ann")).unwrap();
        assert_eq!(shown(root, &one), ["d/ann"]);
        for (path, shown_as) in [
            ("d/ann/.Sent", "d/ann: d/ann/.Sent"),
            ("d/cy/.Sent", "d/cy: d/cy/.Sent"),
        ] {
            assert_eq!(shown(root, &find(&root.join(path)).unwrap()), [shown_as]);
            let target = mailbox(&root.join(path)).unwrap();
            assert_eq!(shown(root, &[target]), [shown_as]);
        }
        let inbox = mailbox(&root.join("d/ann")).unwrap();
        assert_eq!(shown(root, &[inbox]), ["d/ann: d/ann"]);
        assert!(find(&root.join("d/none")).is_err());
        assert!(mailbox(&root.join("d")).is_err());
    }
}
