//! The mail: a root that we may write to, and the directories of the accounts below it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use auth::users::Users;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::{getegid, geteuid};

use super::{Check, Purpose, probe};
use crate::config::{Finding, Severity};

/// Checks the root of all mail, and the directories of `users` in it.
pub(super) fn check(check: &mut Check<'_>, users: &Users) {
    let root = check.settings.mail.root();
    let shown = root.display();
    let mut error = |problem: String, fix: String| {
        check.push("mail", Finding::error(root, None, problem, fix));
    };
    match fs::metadata(root) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => error(
            "the root of the mail does not exist".to_owned(),
            format!("mkdir -p {shown}, and let it belong to the user that Pillarbox runs as"),
        ),
        Err(source) => error(
            format!("the root of the mail cannot be reached: {source}"),
            "let the user that Pillarbox runs as enter it".to_owned(),
        ),
        Ok(found) if !found.is_dir() => error(
            "the root of the mail is not a directory".to_owned(),
            "correct `mail`".to_owned(),
        ),
        Ok(found) => match probe(root) {
            Ok(()) => check_owners(check, users, Person::owner(&found)),
            Err(source) => check.push("mail", unwritable(root, source.kind())),
        },
    }
}

/// A root that cannot be written is wrong, unless nobody can: then it is a backup or a snapshot,
/// from which mail can be read.
fn unwritable(root: &Path, kind: io::ErrorKind) -> Finding {
    if kind == io::ErrorKind::ReadOnlyFilesystem {
        let problem = "the file system is read-only: mail can be read, but nothing be changed";
        let fix = "nothing to do if that is wanted; if not, mount it for writing";
        return Finding::warning(root, None, problem, fix);
    }
    let problem = format!("the root of the mail cannot be written: {kind}");
    let shown = root.display();
    let fix = format!("let {shown} belong to the user that Pillarbox runs as");
    Finding::error(root, None, problem, fix)
}

/// Whether the mail that is there is ours, and the mail that we would make the server's.
fn check_owners(check: &mut Check<'_>, users: &Users, owner: Person) {
    let settings = check.settings;
    let root = settings.mail.root();
    let mut us = Person::us();
    let mut severity = match check.purpose {
        Purpose::Check => Severity::Error,
        Purpose::Serve => Severity::Warning,
    };
    // Root may do everything, so that only what belongs to root tells what others may not.
    let mut suspect = None;
    if us.is_root() && !owner.is_root() {
        let problem = format!(
            "the root of the mail belongs to {owner}, but this runs as root: what root makes there, {owner} cannot read"
        );
        let fix = format!("run `pillarbox serve` and `pillarbox check` as {owner}");
        check.push("mail", Finding::warning(root, None, problem, fix));
        severity = Severity::Warning;
        suspect = Some(us);
        us = owner;
    }
    let mut told = BTreeSet::new();
    let homes = users
        .names()
        .take(MAX_ACCOUNTS)
        .filter_map(|name| settings.mail.expand(name));
    for home in homes {
        let Some(trouble) = trouble(root, &home, suspect) else {
            continue;
        };
        if told.insert(trouble.path.clone()) {
            check.push("mail", trouble.finding(us, severity));
        }
    }
}

/// A place that keeps an account from its mail.
struct Trouble {
    path: PathBuf,
    what: What,
}

impl Trouble {
    /// What to tell about it; `us` is whom the mail should belong to.
    fn finding(&self, us: Person, severity: Severity) -> Finding {
        let shown = self.path.display();
        let problem = match self.what {
            What::NoDirectory => "is in the place of a directory of mail".to_owned(),
            What::Closed => format!("{us} cannot read and write the mail in it"),
            What::ReadOnly => format!("{us} cannot make directories of mail in it"),
            What::OfRoot => format!("belongs to root, so that {us} cannot use it"),
        };
        let fix = match self.what {
            What::NoDirectory => "move it away, or correct `mail`".to_owned(),
            What::Closed | What::ReadOnly | What::OfRoot => {
                format!("chown -R {} {shown}", us.for_chown())
            }
        };
        Finding {
            severity,
            ..Finding::error(&self.path, None, problem, fix)
        }
    }
}

/// What is wrong with it.
#[derive(Clone, Copy)]
enum What {
    /// It is a file.
    NoDirectory,
    /// We may not enter, read or write it.
    Closed,
    /// The next directory is missing, and we may not make it.
    ReadOnly,
    /// It belongs to root, and its surroundings do not.
    OfRoot,
}

/// The first place, from `root` down to `home` and into its mailboxes, that the mail cannot be used
/// because of; with `suspect`, also what belongs to them. What does not exist yet is no trouble.
fn trouble(root: &Path, home: &Path, suspect: Option<Person>) -> Option<Trouble> {
    let is_suspect = |found: &Metadata| suspect.is_some_and(|suspect| suspect.0 == found.uid());
    let mut path = root.to_owned();
    for part in home.strip_prefix(root).ok()? {
        let parent = path.clone();
        path.push(part);
        let (path, what) = match fs::metadata(&path) {
            Ok(found) if !found.is_dir() => (path, What::NoDirectory),
            Ok(found) if is_suspect(&found) => (path, What::OfRoot),
            Ok(_) => continue,
            Err(error) if error.kind() != io::ErrorKind::NotFound => (parent, What::Closed),
            Err(_) if may(&parent, Access::WRITE_OK | Access::EXEC_OK) => return None,
            Err(_) => (parent, What::ReadOnly),
        };
        return Some(Trouble { path, what });
    }
    let closed = |path: &Path| {
        Some(Trouble {
            path: path.to_owned(),
            what: What::Closed,
        })
    };
    let everything = Access::READ_OK | Access::WRITE_OK;
    if !may(home, everything | Access::EXEC_OK) {
        return closed(home);
    }
    let Ok(entries) = fs::read_dir(home) else {
        return closed(home);
    };
    for entry in entries.flatten().take(MAX_ENTRIES).filter(is_ours) {
        let mut places = vec![entry.path()];
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            places.extend(INSIDE.map(|name| entry.path().join(name)));
        }
        for place in places {
            let Ok(found) = fs::symlink_metadata(&place) else {
                continue;
            };
            if is_suspect(&found) {
                let (path, what) = (home.to_owned(), What::OfRoot);
                return Some(Trouble { path, what });
            }
            let enter = if found.is_dir() {
                Access::EXEC_OK
            } else {
                Access::empty()
            };
            if !may(&place, everything | enter) {
                return closed(home);
            }
        }
    }
    None
}

/// Whether an entry of a Maildir is a directory of mail or one of our own files.
fn is_ours(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
        || entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"pillarbox.")
}

/// Whether the rights that we have effectively, those that count, allow this.
fn may(path: &Path, wanted: Access) -> bool {
    accessat(CWD, path, wanted, AtFlags::EACCESS).is_ok()
}

/// A user and a group of this machine, by number.
#[derive(Clone, Copy)]
struct Person(u32, u32);

impl Person {
    /// Who we are.
    fn us() -> Self {
        Self(geteuid().as_raw(), getegid().as_raw())
    }

    /// Whom a file belongs to.
    fn owner(found: &Metadata) -> Self {
        Self(found.uid(), found.gid())
    }

    /// Whether nothing is forbidden to them.
    fn is_root(self) -> bool {
        self.0 == 0
    }

    /// Their name, if the machine keeps it in the usual file.
    fn name(self) -> Option<String> {
        let number = self.0.to_string();
        let known = fs::read_to_string("/etc/passwd").ok()?;
        known.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == number).then(|| name.to_owned())
        })
    }

    /// As chown(1) wants them.
    fn for_chown(self) -> String {
        match self.name() {
            Some(name) => format!("{name}:"),
            None => format!("{}:{}", self.0, self.1),
        }
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(&name),
            None => write!(f, "the user {}", self.0),
        }
    }
}

/// What is looked at inside each mailbox.
const INSIDE: [&str; 4] = ["cur", "new", "tmp", "pillarbox.index"];

/// How many accounts are looked at: enough for a small domain, and a start stays short.
pub(super) const MAX_ACCOUNTS: usize = 300;

/// How many entries of each account's directory are looked at.
pub(super) const MAX_ENTRIES: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_read_only_file_system_may_be_served_unwritten() {
        let root = Path::new("/mail");
        let severity = |kind| unwritable(root, kind).severity;
        assert_eq!(
            severity(io::ErrorKind::ReadOnlyFilesystem),
            Severity::Warning
        );
        assert_eq!(severity(io::ErrorKind::PermissionDenied), Severity::Error);
    }
}
