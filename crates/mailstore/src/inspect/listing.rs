//! Which mailboxes an account has, and what looks like one and is none.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::name::{MailboxName, Namespace};
use crate::replace::failed;
use crate::tree::is_hidden;

/// A mailbox that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its name.
    pub name: MailboxName,
    /// Its directory.
    pub directory: PathBuf,
}

/// The mailboxes of an account, and what clients will not see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The mailboxes, INBOX first, then by name.
    pub mailboxes: Vec<Listed>,
    /// Directories that begin with a dot and whose names are none of this namespace.
    pub nameless: Vec<PathBuf>,
    /// Links that have a mailbox's name: they are never followed.
    pub links: Vec<PathBuf>,
    /// Maildirs whose names do not begin with a dot: not Maildir++, but another layout.
    pub nested: Vec<PathBuf>,
}

/// Lists the mailboxes of the account in `root`. Changes nothing and takes no lock.
///
/// # Errors
/// If the root cannot be read.
pub fn list(root: &Path, namespace: &Namespace) -> Result<Listing> {
    let mut listing = Listing::default();
    for entry in fs::read_dir(root).map_err(failed(root))? {
        let entry = entry.map_err(failed(root))?;
        let file_name = entry.file_name();
        let bytes = file_name.as_bytes();
        let path = root.join(&file_name);
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if is_hidden(bytes) {
            continue;
        }
        if !bytes.starts_with(b".") {
            if kind.is_dir() && !PARTS.contains(&bytes) && is_maildir(&path) {
                listing.nested.push(path);
            }
            continue;
        }
        match namespace.from_directory(bytes) {
            Some(_) if kind.is_symlink() && path.is_dir() => listing.links.push(path),
            Some(name) if kind.is_dir() => listing.mailboxes.push(Listed {
                name,
                directory: path,
            }),
            None if kind.is_dir() => listing.nameless.push(path),
            _ => {}
        }
    }
    listing.mailboxes.sort_unstable();
    let inbox = Listed {
        name: MailboxName::inbox(),
        directory: root.to_owned(),
    };
    listing.mailboxes.insert(0, inbox);
    listing.nameless.sort_unstable();
    listing.links.sort_unstable();
    listing.nested.sort_unstable();
    Ok(listing)
}

/// Whether a directory has what makes a Maildir: `cur/` and `new/`, which are no links.
pub fn is_maildir(directory: &Path) -> bool {
    let is_directory = |name: &str| {
        let found = fs::symlink_metadata(directory.join(name));
        found.is_ok_and(|found| found.is_dir())
    };
    is_directory("cur") && is_directory("new")
}

/// The directories of INBOX itself.
const PARTS: [&[u8]; 3] = [b"cur", b"new", b"tmp"];

#[cfg(test)]
mod tests {
    use super::{Listing, list};
    use crate::name::Namespace;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    fn names(listing: &Listing) -> Vec<String> {
        let mailboxes = listing.mailboxes.iter();
        mailboxes.map(|listed| listed.name.to_string()).collect()
    }

    fn entries(paths: &[PathBuf]) -> Vec<&str> {
        let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
        names.collect()
    }

    fn make(root: &Path, mailboxes: &[&str]) {
        for mailbox in mailboxes {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(root.join(mailbox).join(part)).unwrap();
            }
        }
    }

    #[test]
    fn everything_is_sorted_into_its_kind() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        make(
            root,
            &[
                "",
                ".b",
                ".a.b",
                ".Entw&APw-rfe",
                ".B\u{f6}x",
                "Work",
                "..DOVECOT-TRASHED",
            ],
        );
        symlink(root.join(".b"), root.join(".link")).unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        fs::create_dir(root.join("courierimapkeywords")).unwrap();
        let listing = list(root, &Namespace::default()).unwrap();
        assert_eq!(names(&listing), ["INBOX", "Entw\u{fc}rfe", "a.b", "b"]);
        assert_eq!(listing.mailboxes[0].directory, root);
        assert_eq!(entries(&listing.nameless), [".B\u{f6}x"]);
        assert_eq!(entries(&listing.links), [".link"]);
        assert_eq!(entries(&listing.nested), ["Work"]);
    }
}
