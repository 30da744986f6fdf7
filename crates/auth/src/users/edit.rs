//! Changing a users file: one account at a time, all else stays as it is.
//!
//! The lock is on the users file itself, so that nothing is left lying about. Because saving
//! replaces the file, whoever gets the lock must look whether the path still leads to the file it
//! has locked. Order: lock, read, write a new file beside it, fsync, rename, fsync the directory,
//! unlock. A reader therefore sees the old file or the new one, and never a part.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Account, extra, is_comment};
use crate::application::{ApplicationPassword, MOST};
use crate::password::Stored;
use crate::scram::Keys;
use crate::{Name, Secrets};

/// A users file under its lock. Nothing is changed before [`Editor::save`].
#[derive(Debug)]
pub struct Editor {
    path: PathBuf,
    default_domain: Option<String>,
    text: Vec<u8>,
    /// Holds the lock, and says who owns the file and with which permissions.
    file: File,
}

/// Why a users file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The account to add is there already.
    #[error("{0} is already in the users file; `pillarbox user passwd` changes its password")]
    Exists(Name),
    /// The account is not there.
    #[error("{0} is not in the users file")]
    NotFound(Name),
    /// The account has such an application password already.
    #[error("{0} has an application password of that name already; revoke it first")]
    ApplicationExists(Name),
    /// The account has no such application password.
    #[error("{0} has no application password of that name")]
    ApplicationNotFound(Name),
    /// The account has as many as it can have.
    #[error("{0} has {MOST} application passwords already; revoke one first")]
    ApplicationsFull(Name),
    /// The file could not be read or written.
    #[error("users file {path} could not be {action}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl Editor {
    /// Takes the lock on the users file at `path`, and waits for it if need be; makes an empty
    /// file, that only its owner may read, if there is none.
    ///
    /// # Errors
    /// If the file can be neither opened nor made.
    pub fn open(path: &Path, default_domain: Option<&str>) -> Result<Self, EditError> {
        let failed = |source| EditError::Io {
            path: path.to_owned(),
            action: "opened",
            source,
        };
        if let Some(directory) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            DirBuilder::new()
                .recursive(true)
                .mode(0o750)
                .create(directory)
                .map_err(failed)?;
        }
        let file = locked(path).map_err(failed)?;
        Self::under_lock(path, default_domain, file).map_err(failed)
    }

    /// As [`Self::open`], but neither waits for the lock nor makes the file; `None` if somebody
    /// else has the lock or has just replaced the file.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open_now(
        path: &Path,
        default_domain: Option<&str>,
    ) -> Result<Option<Self>, EditError> {
        let failed = |source| EditError::Io {
            path: path.to_owned(),
            action: "opened",
            source,
        };
        let file = File::open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) if is_at(path, &file).map_err(failed)? => {
                Self::under_lock(path, default_domain, file)
                    .map(Some)
                    .map_err(failed)
            }
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Reads the file, whose lock is ours.
    fn under_lock(path: &Path, default_domain: Option<&str>, mut file: File) -> io::Result<Self> {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok(Self {
            // A symbolic link stays one: the file that it leads to is replaced.
            path: fs::canonicalize(path)?,
            default_domain: default_domain.map(str::to_owned),
            text,
            file,
        })
    }

    /// Whether the line of `name` holds these secrets.
    pub(crate) fn holds(&self, name: &Name, secrets: &Secrets) -> bool {
        self.lines()
            .find(|line| self.is_account(line, name))
            .and_then(|line| Account::parse(split_end(line).0, None).ok())
            .is_some_and(|account| account.secrets == *secrets)
    }

    /// Adds an account at the end.
    ///
    /// # Errors
    /// If it is there already.
    pub fn add(&mut self, name: &Name, secrets: &Secrets) -> Result<(), EditError> {
        if self.lines().any(|line| self.is_account(line, name)) {
            return Err(EditError::Exists(name.clone()));
        }
        if !self.text.is_empty() && !self.text.ends_with(b"\n") {
            self.text.push(b'\n');
        }
        self.text
            .extend(line_of(name.as_str().as_bytes(), None, secrets));
        self.text.push(b'\n');
        Ok(())
    }

    /// Gives an account other secrets; what else follows the hash on its line stays.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn change(&mut self, name: &Name, secrets: &Secrets) -> Result<(), EditError> {
        self.rewrite(name, |line| {
            let (text, end) = split_end(line);
            let mut fields = text.splitn(3, |&octet| octet == b':');
            let name = fields.next().unwrap_or_default();
            let mut new = line_of(name, fields.nth(1), secrets);
            new.extend_from_slice(if end.is_empty() { b"\n" } else { end });
            new
        })
    }

    /// Gives an account another application password.
    ///
    /// # Errors
    /// If there is no such account, or it has one of this label or as many as it can have.
    pub fn add_application(
        &mut self,
        name: &Name,
        one: &ApplicationPassword,
    ) -> Result<(), EditError> {
        let known = self.applications(name)?;
        if known.iter().any(|other| other.label() == one.label()) {
            return Err(EditError::ApplicationExists(name.clone()));
        }
        if known.len() >= MOST {
            return Err(EditError::ApplicationsFull(name.clone()));
        }
        self.rewrite_rest(name, |rest| extra::with_application(rest, one))
    }

    /// Takes the application password of this label from an account.
    ///
    /// # Errors
    /// If there is no such account, or it has none of this label.
    pub fn revoke_application(&mut self, name: &Name, label: &str) -> Result<(), EditError> {
        let known = self.applications(name)?;
        if known.iter().all(|other| other.label() != label) {
            return Err(EditError::ApplicationNotFound(name.clone()));
        }
        self.rewrite_rest(name, |rest| extra::without_application(rest, label))
    }

    /// The application passwords of an account, as far as its line is sound.
    fn applications(&self, name: &Name) -> Result<Vec<ApplicationPassword>, EditError> {
        let line = self.lines().find(|line| self.is_account(line, name));
        let line = line.ok_or_else(|| EditError::NotFound(name.clone()))?;
        let rest = split_end(line).0.splitn(3, |&octet| octet == b':').nth(2);
        Ok(extra::application(rest.unwrap_or_default()).unwrap_or_default())
    }

    /// Changes what follows the hash and its colon on the line of an account.
    fn rewrite_rest(
        &mut self,
        name: &Name,
        change: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Result<(), EditError> {
        self.rewrite(name, |line| {
            let (text, end) = split_end(line);
            let mut fields = text.splitn(3, |&octet| octet == b':');
            let name = fields.next().unwrap_or_default();
            let hash = fields.next().unwrap_or_default();
            let rest = change(fields.next().unwrap_or_default());
            let mut new = [name, hash, &rest].join(&b':');
            new.extend_from_slice(if end.is_empty() { b"\n" } else { end });
            new
        })
    }

    /// Removes an account.
    ///
    /// # Errors
    /// If there is no such account.
    pub fn remove(&mut self, name: &Name) -> Result<(), EditError> {
        self.rewrite(name, |_| Vec::new())
    }

    /// Replaces the file on disk, durably, with its owner and permissions as they were; then gives
    /// the lock back.
    ///
    /// # Errors
    /// If that fails; then the old file is still there.
    pub fn save(self) -> Result<(), EditError> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        self.replace(&new).map_err(|source| {
            // Best effort: what is left is overwritten by the next change.
            drop(fs::remove_file(&new));
            EditError::Io {
                path: self.path.clone(),
                action: "written",
                source,
            }
        })
    }

    /// Writes the new file and puts it in the place of the old one.
    fn replace(&self, new: &Path) -> io::Result<()> {
        match fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        let (old, made) = (self.file.metadata()?, file.metadata()?);
        if (old.uid(), old.gid()) != (made.uid(), made.gid()) {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))?;
        file.write_all(&self.text)?;
        file.sync_all()?;
        fs::rename(new, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Puts the result of `change` in the place of every line of `name`.
    fn rewrite(&mut self, name: &Name, change: impl Fn(&[u8]) -> Vec<u8>) -> Result<(), EditError> {
        let mut text = Vec::with_capacity(self.text.len());
        let mut found = false;
        for line in self.lines() {
            if self.is_account(line, name) {
                found = true;
                text.extend(change(line));
            } else {
                text.extend_from_slice(line);
            }
        }
        if !found {
            return Err(EditError::NotFound(name.clone()));
        }
        self.text = text;
        Ok(())
    }

    /// The lines, with their line ends.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split_inclusive(|&octet| octet == b'\n')
    }

    /// Whether a line is the one of `name`; a malformed line is nobody's.
    fn is_account(&self, line: &[u8], name: &Name) -> bool {
        if is_comment(line) {
            return false;
        }
        line.split(|octet| matches!(octet, b':' | b'\r' | b'\n'))
            .next()
            .and_then(|field| std::str::from_utf8(field).ok())
            .and_then(|field| Name::parse(field, self.default_domain.as_deref()).ok())
            .is_some_and(|found| found == *name)
    }
}

/// Opens and locks the file that `path` leads to once the lock is held.
fn locked(path: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        file.lock()?;
        if is_at(path, &file)? {
            return Ok(file);
        }
    }
}

/// Whether `path` leads to `file`.
fn is_at(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A line and its line end.
fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    line.split_at(text.len())
}

/// The line of an account, without a line end; `rest` is what followed the hash and its colon.
fn line_of(name: &[u8], rest: Option<&[u8]>, secrets: &Secrets) -> Vec<u8> {
    let mut line = name.to_vec();
    line.push(b':');
    let stored = secrets.password.as_ref();
    line.extend(stored.map(Stored::field).unwrap_or_default().into_bytes());
    let known = stored.and_then(Stored::keys);
    let keys = secrets.scram.iter();
    let keys: Vec<Keys> = keys
        .filter(|&keys| Some(keys) != known.as_ref())
        .cloned()
        .collect();
    if rest.is_some() || !keys.is_empty() {
        line.push(b':');
        line.extend(extra::with_keys(rest.unwrap_or_default(), &keys));
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;
    use crate::scram::{Hash, Iterations};

    const TEXT: &str = "# the first\n\nann@example.org:{PLAIN}a:1000:1000::/home/ann\n# the second\nbob:{PLAIN}b\nbroken line\n";

    fn name(text: &str) -> Name {
        Name::parse(text, Some("example.org")).unwrap()
    }

    /// What an account with this in its line has.
    fn secrets(field: &str) -> Secrets {
        Secrets {
            password: Some(Stored::parse(field).unwrap()),
            ..Secrets::default()
        }
    }

    /// Edits a file that holds `text`, and returns what it holds afterwards.
    fn edit(text: &str, change: impl FnOnce(&mut Editor)) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, text).unwrap();
        let mut editor = Editor::open(&path, Some("example.org")).unwrap();
        change(&mut editor);
        editor.save().unwrap();
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["users"], "nothing else is left");
        fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn adding_appends_a_line() {
        let text = edit(TEXT, |editor| {
            editor.add(&name("carol"), &secrets("{PLAIN}c")).unwrap();
        });
        assert_eq!(text, format!("{TEXT}carol@example.org:{{PLAIN}}c\n"));
        let text = edit("ann:{PLAIN}a", |editor| {
            editor.add(&name("carol"), &secrets("{PLAIN}c")).unwrap();
        });
        assert_eq!(text, "ann:{PLAIN}a\ncarol@example.org:{PLAIN}c\n");
    }

    #[test]
    fn changing_keeps_all_else() {
        let text = edit(TEXT, |editor| {
            editor.change(&name("ANN"), &secrets("{PLAIN}x")).unwrap();
            editor
                .change(&name("bob@example.org"), &secrets("{PLAIN}y"))
                .unwrap();
        });
        assert_eq!(
            text,
            "# the first\n\nann@example.org:{PLAIN}x:1000:1000::/home/ann\n# the second\nbob:{PLAIN}y\nbroken line\n"
        );
    }

    #[test]
    fn keys_stand_among_the_extra_fields() {
        let keys = |password: &str| {
            Keys::derive(
                Hash::Sha256,
                &Secret::new(password),
                b"salt",
                Iterations::FEWEST,
            )
        };
        let with_keys = |field, password| Secrets {
            scram: vec![keys(password)],
            ..secrets(field)
        };
        let text = edit(TEXT, |editor| {
            editor
                .change(&name("ann"), &with_keys("{PLAIN}x", "x"))
                .unwrap();
            editor
                .add(&name("carol"), &with_keys("{PLAIN}c", "c"))
                .unwrap();
            assert!(editor.holds(&name("carol"), &with_keys("{PLAIN}c", "c")));
            assert!(!editor.holds(&name("carol"), &secrets("{PLAIN}c")));
        });
        let (ann, carol) = (keys("x").text(), keys("c").text());
        let expected = format!(
            "# the first\n\nann@example.org:{{PLAIN}}x:1000:1000::/home/ann::scram_sha_256={ann}\n\
             # the second\nbob:{{PLAIN}}b\nbroken line\n\
             carol@example.org:{{PLAIN}}c::::::scram_sha_256={carol}\n"
        );
        assert_eq!(text, expected);
        let again = edit(&text, |editor| {
            editor.change(&name("carol"), &secrets("{PLAIN}d")).unwrap();
        });
        assert!(
            again.ends_with("carol@example.org:{PLAIN}d::::::\n"),
            "{again}"
        );
        let only = format!("{{SCRAM-SHA-256}}{carol}");
        let text = edit("", |editor| {
            let both = with_keys(&only, "c");
            editor.add(&name("carol"), &both).unwrap();
            assert!(editor.holds(&name("carol"), &both));
        });
        assert_eq!(text, format!("carol@example.org:{only}\n"));
    }

    #[test]
    fn removing_keeps_all_else() {
        let text = edit(TEXT, |editor| editor.remove(&name("ann")).unwrap());
        assert_eq!(
            text,
            "# the first\n\n# the second\nbob:{PLAIN}b\nbroken line\n"
        );
    }

    #[test]
    fn wrong_names_are_told() {
        let text = edit(TEXT, |editor| {
            let error = editor.add(&name("Bob"), &secrets("{PLAIN}c")).unwrap_err();
            assert_eq!(
                error.to_string(),
                "bob@example.org is already in the users file; `pillarbox user passwd` changes its password"
            );
            let error = editor
                .change(&name("carol"), &secrets("{PLAIN}c"))
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "carol@example.org is not in the users file"
            );
            assert!(matches!(
                editor.remove(&name("carol")),
                Err(EditError::NotFound(_))
            ));
        });
        assert_eq!(text, TEXT);
    }

    #[test]
    fn a_new_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/users");
        let mut editor = Editor::open(&path, None).unwrap();
        editor.add(&name("ann"), &secrets("{PLAIN}a")).unwrap();
        editor.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn permissions_and_symbolic_links_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real"), dir.path().join("users"));
        fs::write(&file, TEXT).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut editor = Editor::open(&link, None).unwrap();
        editor.remove(&Name::parse("bob", None).unwrap()).unwrap();
        editor.save().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(!fs::read_to_string(&file).unwrap().contains("bob"));
    }

    #[test]
    fn a_failure_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        fs::write(&path, TEXT).unwrap();
        // A directory that is not empty stands where the new file would go.
        fs::create_dir_all(dir.path().join("users.new/x")).unwrap();
        let mut editor = Editor::open(&path, None).unwrap();
        editor.add(&name("carol"), &secrets("{PLAIN}c")).unwrap();
        assert!(matches!(
            editor.save(),
            Err(EditError::Io {
                action: "written",
                ..
            })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), TEXT);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn only_the_lines_of_the_account_change(
            lines in proptest::collection::vec("[ab]?(@example.org)?(:[{}$x]{0,3}){0,3}\r?|# ?[ab:]{0,3}| ", 0..8),
            last in any::<bool>(),
        ) {
            let ours = |line: &str| {
                let field = line.trim_end_matches('\r').split(':').next().unwrap();
                field == "a" || field == "a@example.org"
            };
            let mut text = lines.join("\n");
            if last && !text.is_empty() {
                text.push('\n');
            }
            let there = lines.iter().any(|line| ours(line));
            let removed = edit(&text, |editor| {
                assert_eq!(editor.remove(&name("a")).is_ok(), there);
            });
            let kept: String = text
                .split_inclusive('\n')
                .filter(|line| !ours(line.trim_end_matches('\n')))
                .collect();
            prop_assert_eq!(&removed, &kept);
            let added = edit(&removed, |editor| editor.add(&name("a"), &secrets("{PLAIN}n")).unwrap());
            prop_assert!(added.starts_with(&removed));
            prop_assert_eq!(added.lines().last(), Some("a@example.org:{PLAIN}n"));
        }
    }

    #[test]
    fn editors_at_the_same_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    for account in 0..8 {
                        let mut editor = Editor::open(path, None).unwrap();
                        let name = name(&format!("u{writer}-{account}"));
                        editor.add(&name, &secrets("{PLAIN}x")).unwrap();
                        editor.save().unwrap();
                    }
                });
            }
        });
        let text = fs::read(&path).unwrap();
        let users = super::super::Users::parse(&text, None).unwrap();
        assert_eq!(users.names().len(), 32);
    }
}
