//! The directories of an account: which mailboxes there are, and how they come, go and move.
//!
//! The root is INBOX; every other mailbox is a directory `.Level.Level` in the root, next to its
//! own children (Maildir++). A parent that has no directory does not exist but is still a name.
//!
//! What others see is whole at every moment:
//! - A new mailbox is made under a hidden name, then renamed into its place.
//! - A deleted mailbox is renamed to a hidden name, then removed.
//! - A mailbox with children is as many directories, so RENAME is as many renames. They happen
//!   under the exclusive lock on `pillarbox.tree.lock`, which listing takes as a shared one; a
//!   failure undoes them, and after a crash the journal `pillarbox.renaming` is carried out by
//!   whoever takes the lock next.
//!
//! Hidden names begin with two dots, which no mailbox name does; what a crash leaves of them is
//! removed later. Symbolic links are no mailboxes (S36).
//!
//! Lock order: this lock, then that of a mailbox, then that of `pillarbox.account`.

mod directory;
mod journal;
mod leftover;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::account::Entry;
use crate::error::{Error, Result};
use crate::lock::FileLock;
use crate::name::{MailboxName, Namespace};
use crate::replace::{failed, open_regular, sync_directory};
use crate::store::{Fsync, Options};
use crate::uid_validity;
use directory::{exists, is_directory, make_mailbox, remove_tree, rename_to_new};
use journal::Move;
use leftover::{LONGEST_REMOVAL, NEW};

/// The directory tree of one account.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    root: &'a Path,
    options: &'a Options,
}

impl<'a> Tree<'a> {
    /// The tree below `root`; nothing is read yet.
    pub(crate) fn new(root: &'a Path, options: &'a Options) -> Self {
        Self { root, options }
    }

    /// Makes the root and INBOX in it where they are not there yet.
    pub(crate) fn make_inbox(&self) -> Result<()> {
        if !self.root.is_dir() {
            let made = DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.root);
            made.map_err(failed(self.root))?;
        }
        self.complete(self.root)?;
        let lock = self.root.join(LOCK);
        if !exists(&lock)? {
            // Made early, so that DELETE works when no file can be made any more; not being able
            // to make it matters only then.
            drop(open_regular(&lock, OFlags::RDWR | OFlags::CREATE));
        }
        Ok(())
    }

    /// Every mailbox and every missing parent of one, level by level, INBOX first.
    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        let lock = self.lock_shared()?;
        let scan = self.scan()?;
        drop(lock);
        if scan.leftovers {
            leftover::remove_if_free(self.root, &self.root.join(LOCK));
        }
        let mut missing = BTreeSet::new();
        for name in &scan.names {
            let mut child = name.clone();
            while let Some(parent) = child.parent() {
                if !parent.is_inbox() && !scan.names.contains(&parent) {
                    missing.insert(parent.clone());
                }
                child = parent;
            }
        }
        let entry = |selectable| move |name| Entry { name, selectable };
        let mut entries: Vec<Entry> = [MailboxName::inbox()]
            .into_iter()
            .chain(scan.names)
            .map(entry(true))
            .chain(missing.into_iter().map(entry(false)))
            .collect();
        entries.sort_by(|a, b| order(&a.name, &b.name));
        Ok(entries)
    }

    /// The directory of a mailbox that exists, complete with `cur`, `new` and `tmp`.
    pub(crate) fn existing(&self, name: &MailboxName) -> Result<PathBuf> {
        let path = self.path(name);
        if name.is_inbox() {
            self.make_inbox()?;
        } else if is_directory(&path)? {
            self.complete(&path)?;
        } else {
            return Err(Error::NotFound);
        }
        Ok(path)
    }

    /// Makes a mailbox; `fill` puts its own files into the directory before anybody sees it.
    pub(crate) fn create(
        &self,
        name: &MailboxName,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Inbox);
        }
        let _lock = self.lock()?;
        let path = self.path(name);
        if exists(&path)? {
            return Err(Error::Exists);
        }
        let hidden = self.root.join(NEW);
        let made = make_mailbox(&hidden)
            .and_then(|()| fill(&hidden))
            .and_then(|()| self.sync(&hidden))
            .and_then(|()| rename_to_new(&hidden, &path));
        if let Err(error) = made {
            remove_tree(&hidden);
            return Err(error);
        }
        self.sync(self.root)
    }

    /// Deletes a mailbox; its children stay. `gone` is told its directory when nobody can open it
    /// any more.
    pub(crate) fn delete(&self, name: &MailboxName, gone: impl FnOnce(&Path)) -> Result<()> {
        if name.is_inbox() {
            return Err(Error::Inbox);
        }
        let lock = self.lock()?;
        let path = self.path(name);
        if !is_directory(&path)? {
            return Err(Error::NotFound);
        }
        self.settle(&path);
        let trash = leftover::discard(self.root, &path, &self.options.source)?;
        gone(&path);
        self.sync(self.root)?;
        drop(lock);
        remove_tree(&trash);
        Ok(())
    }

    /// Renames a mailbox with all of its children, or the children of a parent that does not
    /// exist. `gone` is told every directory that is another mailbox's, or nobody's, by that: the
    /// new ones before anybody can open them, the old ones when nobody can any more.
    pub(crate) fn rename(
        &self,
        from: &MailboxName,
        to: &MailboxName,
        gone: impl Fn(&Path),
    ) -> Result<()> {
        if from.is_inbox() {
            return Err(Error::Inbox);
        }
        if to.is_inbox() {
            return Err(Error::Exists);
        }
        let _lock = self.lock()?;
        let moves = self.plan(from, to)?;
        if moves.len() > 1 {
            journal::write(self.root, &moves)?;
        }
        for step in &moves {
            self.settle(&self.root.join(&step.from));
            gone(&self.root.join(&step.to));
        }
        let moved = self.carry_out(&moves);
        if moves.len() > 1 {
            journal::remove(self.root);
        }
        moved?;
        for step in &moves {
            gone(&self.root.join(&step.from));
        }
        self.sync(self.root)
    }

    /// The directory of a mailbox, whether it exists or not.
    pub(crate) fn path(&self, name: &MailboxName) -> PathBuf {
        // Joining an empty name would add a slash at the end.
        if name.is_inbox() {
            self.root.to_owned()
        } else {
            self.root.join(self.namespace().directory(name))
        }
    }

    fn namespace(&self) -> &'a Namespace {
        &self.options.namespace
    }

    /// Takes the exclusive lock, and mends what a crash has left.
    fn lock(&self) -> Result<FileLock> {
        let lock = FileLock::acquire(&self.root.join(LOCK), self.options.lock_timeout)?;
        self.finish_renaming()?;
        leftover::remove(self.root, &lock, LONGEST_REMOVAL)?;
        Ok(lock)
    }

    /// Takes the shared lock, if this file system lets us have one.
    fn lock_shared(&self) -> Result<Option<FileLock>> {
        let path = self.root.join(LOCK);
        for _ in 0..2 {
            match FileLock::acquire_shared(&path, self.options.lock_timeout) {
                // Nobody is renaming, so a journal is from somebody who has died.
                Ok(lock) if !journal::exists(self.root) => return Ok(Some(lock)),
                Ok(lock) => drop(lock),
                Err(Error::Locked) => return Err(Error::Locked),
                // Read-only or full: what is there can still be listed.
                Err(_) => return Ok(None),
            }
            drop(self.lock()?);
        }
        Ok(None)
    }

    fn scan(&self) -> Result<Scan> {
        let mut scan = Scan::default();
        for entry in fs::read_dir(self.root).map_err(failed(self.root))? {
            let entry = entry.map_err(failed(self.root))?;
            let name = entry.file_name();
            if !name.as_bytes().starts_with(b".") {
                continue;
            }
            if leftover::is_hidden(name.as_bytes()) {
                scan.leftovers = true;
            } else if let Some(name) = self.namespace().from_directory(name.as_bytes())
                && entry.file_type().map_err(failed(self.root))?.is_dir()
            {
                scan.names.insert(name);
            }
        }
        Ok(scan)
    }

    /// The renames that take a mailbox and its children to a new name, in an order in which every
    /// target is free when its turn comes.
    fn plan(&self, from: &MailboxName, to: &MailboxName) -> Result<Vec<Move>> {
        let names = self.scan()?.names;
        let mut sources: Vec<&MailboxName> = names
            .iter()
            .filter(|name| *name == from || name.is_inferior_to(from))
            .collect();
        if sources.is_empty() {
            return Err(Error::NotFound);
        }
        if exists(&self.path(to))? {
            return Err(Error::Exists);
        }
        sources.sort_by_key(|name| name.levels().count());
        if to.is_inferior_to(from) {
            sources.reverse();
        }
        let mut moves = Vec::with_capacity(sources.len());
        for source in &sources {
            let Some(target) = source.rebased(from, to) else {
                continue;
            };
            self.namespace().check(&target)?;
            if !sources.contains(&&target) && exists(&self.path(&target))? {
                return Err(Error::Exists);
            }
            moves.push(Move {
                from: self.namespace().directory(source),
                to: self.namespace().directory(&target),
            });
        }
        Ok(moves)
    }

    /// Does all renames or none.
    fn carry_out(&self, moves: &[Move]) -> Result<()> {
        for (done, step) in moves.iter().enumerate() {
            let result = rename_to_new(&self.root.join(&step.from), &self.root.join(&step.to));
            let Err(error) = result else { continue };
            for undo in moves.iter().take(done).rev() {
                let (from, to) = (self.root.join(&undo.to), self.root.join(&undo.from));
                if let Err(error) = rename_to_new(&from, &to) {
                    tracing::error!(from = %from.display(), to = %to.display(), %error, "rename not undone");
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Carries out what is left of a rename whose process died. Under the exclusive lock.
    fn finish_renaming(&self) -> Result<()> {
        if !journal::exists(self.root) {
            return Ok(());
        }
        for step in journal::read(self.root, self.namespace())? {
            let (from, to) = (self.root.join(&step.from), self.root.join(&step.to));
            if is_directory(&from)? && !exists(&to)? {
                rename_to_new(&from, &to)?;
            }
        }
        self.sync(self.root)?;
        journal::remove(self.root);
        Ok(())
    }

    fn complete(&self, path: &Path) -> Result<()> {
        if directory::complete(path)? {
            self.sync(path)?;
        }
        Ok(())
    }

    /// Before a name is freed: what gets it next must have a higher UIDVALIDITY. Not being able to
    /// make sure of that keeps nobody from deleting.
    fn settle(&self, directory: &Path) {
        if self.options.fsync == Fsync::Never {
            return;
        }
        if let Err(error) = uid_validity::settle(self.root, directory) {
            tracing::warn!(path = %directory.display(), %error, "UIDVALIDITY not noted");
        }
    }

    fn sync(&self, directory: &Path) -> Result<()> {
        match self.options.fsync {
            Fsync::Optimized | Fsync::Always => sync_directory(directory),
            Fsync::Never => Ok(()),
        }
    }
}

/// What is in the root.
#[derive(Debug, Default)]
struct Scan {
    /// The mailboxes but INBOX.
    names: BTreeSet<MailboxName>,
    /// Whether there are half-made or half-removed ones.
    leftovers: bool,
}

/// By levels, so that a mailbox is followed by its children; INBOX and its children first.
fn order(a: &MailboxName, b: &MailboxName) -> std::cmp::Ordering {
    let is_other = |name: &MailboxName| name.levels().next() != Some("INBOX");
    is_other(a)
        .cmp(&is_other(b))
        .then_with(|| a.levels().cmp(b.levels()))
}
/// Only ever locked; in the root.
const LOCK: &str = "pillarbox.tree.lock";

#[cfg(test)]
mod tests {
    use super::{Tree, is_directory, journal, journal::Move};
    use crate::error::Error;
    use crate::name::{MailboxName, NameError, Namespace};
    use crate::source::Source;
    use crate::store::{Fsync, Options};
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::{Duration, UNIX_EPOCH};
    use tempfile::TempDir;

    fn options() -> Options {
        Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::from_secs(60),
            mtime_guard: Duration::from_secs(1),
            cache_bytes: 0,
            source: Source::new(|| UNIX_EPOCH, || 7),
        }
    }

    fn name(text: &str) -> MailboxName {
        Namespace::default().parse(text.as_bytes()).expect(text)
    }

    /// An account with mailboxes, each holding one message that is its name.
    fn account(mailboxes: &[&str]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        let options = options();
        let tree = Tree::new(root.path(), &options);
        tree.make_inbox().unwrap();
        for mailbox in mailboxes {
            let fill = |path: &Path| {
                fs::write(path.join("new/1.h"), mailbox).unwrap();
                Ok(())
            };
            tree.create(&name(mailbox), fill).unwrap();
        }
        root
    }

    /// The listing; names that are only parents in parentheses.
    fn list(root: &TempDir) -> Vec<String> {
        let entries = Tree::new(root.path(), &options()).list().unwrap();
        let show = |entry: super::Entry| match entry.selectable {
            true => entry.name.to_string(),
            false => format!("({})", entry.name),
        };
        entries.into_iter().map(show).collect()
    }

    fn create(root: &TempDir, mailbox: &str) -> super::Result<()> {
        Tree::new(root.path(), &options()).create(&name(mailbox), |_| Ok(()))
    }

    fn delete(root: &TempDir, mailbox: &str) -> super::Result<()> {
        Tree::new(root.path(), &options()).delete(&name(mailbox), |_| {})
    }

    fn rename(root: &TempDir, from: &str, to: &str) -> super::Result<()> {
        Tree::new(root.path(), &options()).rename(&name(from), &name(to), |_| {})
    }

    /// What the message in a mailbox's directory says.
    fn message(root: &TempDir, directory: &str) -> String {
        let path = root.path().join(directory).join("new/1.h");
        fs::read_to_string(path).expect(directory)
    }

    fn files(root: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(root).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn a_new_account_has_an_inbox_that_others_cannot_read() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("domain/user");
        let options = options();
        let tree = Tree::new(&root, &options);
        tree.make_inbox().unwrap();
        tree.make_inbox().unwrap();
        assert_eq!(
            files(&root),
            ["cur", "new", "tmp", "pillarbox.tree.lock"]
                .map(str::to_owned)
                .into()
        );
        let mode = fs::metadata(&root).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let only = tree.list().unwrap();
        assert_eq!(only.len(), 1);
        assert!(only[0].name.is_inbox() && only[0].selectable);
    }

    #[test]
    fn a_root_that_is_a_file_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("user");
        fs::write(&root, "").unwrap();
        let options = options();
        let tree = Tree::new(&root, &options);
        assert!(tree.make_inbox().is_err());
        assert!(tree.list().is_err());
    }

    #[test]
    fn a_new_mailbox_is_a_complete_maildir_folder() {
        let root = account(&[]);
        create(&root, "Work/2026").unwrap();
        let path = root.path().join(".Work.2026");
        let expected = ["cur", "new", "tmp", "maildirfolder"];
        assert_eq!(files(&path), expected.map(str::to_owned).into());
        assert_eq!(fs::read(path.join("maildirfolder")).unwrap(), b"");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(!root.path().join("maildirfolder").exists());
        assert_eq!(list(&root), ["INBOX", "(Work)", "Work.2026"]);
        create(&root, "Work").unwrap();
        assert_eq!(list(&root), ["INBOX", "Work", "Work.2026"]);
    }

    #[test]
    fn what_exists_is_not_created() {
        let root = account(&["a"]);
        fs::write(root.path().join(".file"), "").unwrap();
        symlink("nowhere", root.path().join(".link")).unwrap();
        for taken in ["a", "file", "link"] {
            assert!(
                matches!(create(&root, taken), Err(Error::Exists)),
                "{taken}"
            );
        }
        assert!(matches!(create(&root, "INBOX"), Err(Error::Inbox)));
        assert_eq!(list(&root), ["INBOX", "a"]);
    }

    #[test]
    fn a_creation_that_fails_leaves_nothing() {
        let root = account(&[]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        let before = files(root.path());
        let failed = tree.create(&name("a"), |_| Err(Error::NoSpace));
        assert!(matches!(failed, Err(Error::NoSpace)));
        assert_eq!(list(&root), ["INBOX"]);
        assert_eq!(files(root.path()), before);
    }

    #[test]
    fn a_mailbox_is_invisible_while_it_is_made() {
        let root = account(&[]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        let looked = tree.create(&name("a"), |_| {
            assert_eq!(tree.scan().unwrap().names.len(), 0);
            Ok(())
        });
        looked.unwrap();
    }

    #[test]
    fn the_listing_is_sorted_by_levels() {
        let mailboxes = ["b", "a/c", "a b", "a", "INBOX/x", "Z", "a/b/c", "&AOQ-"];
        let root = account(&mailboxes);
        let expected = [
            "INBOX", "INBOX.x", "Z", "a", "(a.b)", "a.b.c", "a.c", "a b", "b", "ä",
        ];
        assert_eq!(list(&root), expected);
    }

    #[test]
    fn what_is_no_mailbox_is_not_listed() {
        let root = account(&["a"]);
        for directory in [
            "plain",
            "..",
            "..hidden",
            ".a..b",
            ".x&AGE-",
            ".INBOX",
            "courierimapkeywords",
        ] {
            fs::create_dir_all(root.path().join(directory).join("cur")).unwrap();
        }
        fs::write(root.path().join(".dovecot.svbin"), "").unwrap();
        symlink(root.path().join(".a"), root.path().join(".link")).unwrap();
        assert_eq!(list(&root), ["INBOX", "a"]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        for missing in ["link", "dovecot"] {
            let result = tree.existing(&name(missing));
            assert!(matches!(result, Err(Error::NotFound)), "{missing}");
            assert!(matches!(delete(&root, missing), Err(Error::NotFound)));
            let result = rename(&root, missing, "other");
            assert!(matches!(result, Err(Error::NotFound)), "{missing}");
        }
        assert_eq!(message(&root, ".a"), "a");
    }

    #[test]
    fn deleting_keeps_the_children() {
        let root = account(&["a", "a/b"]);
        let gone = RefCell::new(Vec::new());
        let options = options();
        let tree = Tree::new(root.path(), &options);
        let note = |path: &Path| gone.borrow_mut().push(path.to_owned());
        tree.delete(&name("a"), note).unwrap();
        assert_eq!(gone.into_inner(), [root.path().join(".a")]);
        assert_eq!(list(&root), ["INBOX", "(a)", "a.b"]);
        assert!(matches!(delete(&root, "a"), Err(Error::NotFound)));
        assert!(matches!(delete(&root, "INBOX"), Err(Error::Inbox)));
        delete(&root, "a/b").unwrap();
        assert_eq!(list(&root), ["INBOX"]);
        assert!(!files(root.path()).iter().any(|file| file.starts_with('.')));
    }

    #[test]
    fn deleting_does_not_follow_links() {
        let root = account(&["a"]);
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "").unwrap();
        symlink(outside.path(), root.path().join(".a/cur/link")).unwrap();
        delete(&root, "a").unwrap();
        assert!(outside.path().join("kept").exists());
        assert!(!root.path().join(".a").exists());
    }

    #[test]
    fn leftovers_of_a_crash_are_hidden_and_removed() {
        let root = account(&["a"]);
        for leftover in [
            "..pillarbox-new",
            "..pillarbox-trash.7.0",
            "..DOVECOT-TRASHED",
        ] {
            fs::create_dir_all(root.path().join(leftover).join("cur")).unwrap();
        }
        assert_eq!(list(&root), ["INBOX", "a"]);
        let left = files(root.path());
        assert!(!left.contains("..pillarbox-new"), "nobody is making it");
        assert!(
            left.contains("..pillarbox-trash.7.0"),
            "somebody may be at it"
        );
        assert!(left.contains("..DOVECOT-TRASHED"));
        // The name in the trash is taken.
        delete(&root, "a").unwrap();
        assert_eq!(list(&root), ["INBOX"]);
    }

    #[test]
    fn a_rename_takes_the_children_along() {
        let root = account(&["a", "a/b", "a/b/c", "ab", "x"]);
        rename(&root, "a", "y/z").unwrap();
        let expected = ["INBOX", "ab", "x", "(y)", "y.z", "y.z.b", "y.z.b.c"];
        assert_eq!(list(&root), expected);
        assert_eq!(message(&root, ".y.z"), "a");
        assert_eq!(message(&root, ".y.z.b.c"), "a/b/c");
        // Of a parent that does not exist, only the children.
        rename(&root, "y", "a").unwrap();
        assert_eq!(
            list(&root),
            ["INBOX", "(a)", "a.z", "a.z.b", "a.z.b.c", "ab", "x"]
        );
        assert!(!journal::exists(root.path()));
    }

    #[test]
    fn a_rename_below_or_above_itself_ends() {
        let root = account(&["a", "a/x", "a/x/a"]);
        rename(&root, "a", "a/b").unwrap();
        assert_eq!(list(&root), ["INBOX", "(a)", "a.b", "a.b.x", "a.b.x.a"]);
        assert_eq!(message(&root, ".a.b.x"), "a/x");
        rename(&root, "a/b", "a").unwrap();
        assert_eq!(list(&root), ["INBOX", "a", "a.x", "a.x.a"]);
        assert_eq!(message(&root, ".a.x.a"), "a/x/a");

        // Targets that are sources too: each in its turn.
        let root = account(&["a/a", "a/a/a", "a/a/a/a"]);
        rename(&root, "a/a", "a").unwrap();
        assert_eq!(list(&root), ["INBOX", "a", "a.a", "a.a.a"]);
        assert_eq!(message(&root, ".a"), "a/a");
        assert_eq!(message(&root, ".a.a.a"), "a/a/a/a");
        let root = account(&["a/a/x", "a/x"]);
        rename(&root, "a", "a/a").unwrap();
        assert_eq!(message(&root, ".a.a.a.x"), "a/a/x");
        assert_eq!(message(&root, ".a.a.x"), "a/x");
    }

    #[test]
    fn a_rename_that_cannot_be_whole_is_refused() {
        let root = account(&["a", "a/b", "c", "d/b"]);
        fs::write(root.path().join(".file"), "").unwrap();
        let before = list(&root);
        for (from, to) in [
            ("a", "c"),
            ("a", "a"),
            ("a", "d"),
            ("a", "a/b"),
            ("a", "INBOX"),
            ("a", "file"),
        ] {
            let result = rename(&root, from, to);
            assert!(matches!(result, Err(Error::Exists)), "{from} {to}");
        }
        assert!(matches!(rename(&root, "none", "new"), Err(Error::NotFound)));
        let long = "x".repeat(253);
        let result = rename(&root, "a", &long);
        assert!(matches!(result, Err(Error::Name(NameError::TooLong))));
        let deep = vec!["x"; MailboxName::MAX_LEVELS].join("/");
        let result = rename(&root, "a", &deep);
        assert!(matches!(result, Err(Error::Name(NameError::TooLong))));
        assert_eq!(list(&root), before);
        assert!(!journal::exists(root.path()));
    }

    fn step(from: &str, to: &str) -> Move {
        Move {
            from: from.to_owned(),
            to: to.to_owned(),
        }
    }

    #[test]
    fn a_rename_that_fails_half_way_is_undone() {
        let root = account(&["a", "a/b", "a/c"]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        let moves = [
            step(".a", ".x"),
            step(".a.b", ".x.b"),
            step(".gone", ".x.c"),
        ];
        assert!(tree.carry_out(&moves).is_err());
        assert_eq!(list(&root), ["INBOX", "a", "a.b", "a.c"]);
        let moves = [step(".a", ".x"), step(".a.b", ".a.c")];
        assert!(matches!(tree.carry_out(&moves), Err(Error::Exists)));
        assert_eq!(list(&root), ["INBOX", "a", "a.b", "a.c"]);
        assert_eq!(message(&root, ".a.c"), "a/c");
    }

    #[test]
    fn a_rename_that_a_crash_cut_short_is_finished() {
        for done in 0..=3 {
            let root = account(&["a", "a/b", "a/c"]);
            let options = options();
            let tree = Tree::new(root.path(), &options);
            let moves = tree.plan(&name("a"), &name("x")).unwrap();
            journal::write(root.path(), &moves).unwrap();
            tree.carry_out(&moves[..done]).unwrap();
            assert_eq!(list(&root), ["INBOX", "x", "x.b", "x.c"], "{done}");
            assert!(!journal::exists(root.path()));
        }
    }

    #[test]
    fn a_journal_cannot_reach_out_of_the_root() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir(parent.path().join("victim")).unwrap();
        let root = parent.path().join("user");
        let options = options();
        let tree = Tree::new(&root, &options);
        tree.make_inbox().unwrap();
        let header = "pillarbox renaming 1\n";
        let bad = [
            format!("{header}../victim\t.x\n.../victim\t.y\ncur\t.z\n\t.w\n.INBOX\n"),
            "../victim\t.x\n".to_owned(),
            String::new(),
            "\0\0\0\0".to_owned(),
        ];
        for text in bad {
            fs::write(root.join("pillarbox.renaming"), text).unwrap();
            assert_eq!(tree.list().unwrap().len(), 1);
            assert!(!journal::exists(&root));
        }
        assert!(parent.path().join("victim").exists() && root.join("cur").exists());
    }

    #[test]
    fn nobody_sees_half_of_a_rename() {
        let root = account(&["a", "a/1", "a/2", "a/2/3", "other"]);
        let stop = AtomicBool::new(false);
        let rounds = 40;
        thread::scope(|scope| {
            let lister = scope.spawn(|| {
                let mut seen = BTreeSet::new();
                while !stop.load(Ordering::Relaxed) {
                    let names = list(&root);
                    let under = |top: &str| {
                        let family = names.iter().filter(|name| {
                            name.as_str() == top || name.starts_with(&format!("{top}."))
                        });
                        family.count()
                    };
                    let counts = (under("a"), under("b"), under("c"));
                    let whole = [(4, 0, 0), (0, 4, 0), (0, 0, 4)];
                    assert!(whole.contains(&counts), "{names:?}");
                    assert!(names.contains(&"other".to_owned()));
                    seen.insert(counts);
                }
                seen
            });
            let renamers = [("a", "b"), ("b", "c")].map(|(from, to)| {
                let root = &root;
                scope.spawn(move || {
                    for _ in 0..rounds {
                        for (from, to) in [(from, to), (to, from)] {
                            match rename(root, from, to) {
                                Ok(()) | Err(Error::NotFound | Error::Exists) => {}
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                })
            });
            for renamer in renamers {
                renamer.join().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            assert!(!lister.join().unwrap().is_empty());
        });
        assert_eq!(list(&root).len(), 6);
    }

    #[test]
    fn mail_that_is_missing_is_no_empty_mailbox() {
        let root = account(&["a", "bare"]);
        let options = options();
        let tree = Tree::new(root.path(), &options);
        // Never opened by us: another program made it without all of its directories.
        fs::remove_dir_all(root.path().join(".bare/tmp")).unwrap();
        let path = tree.existing(&name("bare")).unwrap();
        assert!(is_directory(&path.join("tmp")).unwrap());
        // Opened before: its mail is gone.
        fs::write(root.path().join(".a/pillarbox.index"), "").unwrap();
        fs::rename(root.path().join(".a/cur"), root.path().join(".a/away")).unwrap();
        let result = tree.existing(&name("a"));
        assert!(matches!(result, Err(Error::Corrupt { .. })));
        fs::rename(root.path().join(".a/away"), root.path().join(".a/cur")).unwrap();
        assert!(tree.existing(&name("a")).is_ok());
        assert_eq!(tree.existing(&MailboxName::inbox()).unwrap(), root.path());
    }

    #[test]
    fn a_listing_needs_no_right_to_write() {
        let root = account(&["a"]);
        let lock = root.path().join("pillarbox.tree.lock");
        fs::remove_file(&lock).unwrap();
        // A lock file that cannot be locked stands for a file system that cannot be written.
        symlink("nowhere", &lock).unwrap();
        assert_eq!(list(&root), ["INBOX", "a"]);
        assert!(create(&root, "b").is_err());
    }
}
