//! What all `index` commands share: the settings, the store, and how names are shown.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use mailstore::inspect::Listed;
use mailstore::{Account, MailboxName, Store, inspect};
use rustix::process::geteuid;

use super::progress::Progress;
use super::table::Table;
use super::target::{self, Target};
use crate::accounts;
use crate::cli::{DEFAULT_CONFIG, DirectoryNames, MailArgs, StoreArgs};
use crate::config::{self, Finding, Report, Settings, Severity};
use crate::source::Source;

/// What all `index` commands share.
#[derive(Debug)]
pub(super) struct Context {
    settings: Settings,
    options: mailstore::Options,
    store: Arc<Store>,
}

/// The mailboxes of one account that are meant, and what was found about the account as a whole.
#[derive(Debug)]
pub(super) struct Work {
    /// The root of the account.
    pub(super) target: Target,
    /// The mailboxes.
    pub(super) mailboxes: Vec<Listed>,
    /// What clients will not see.
    pub(super) report: Report,
}

impl Context {
    /// Reads the settings. If mail is named by `paths`, the default configuration need not exist.
    pub(super) fn new(args: &StoreArgs, paths: &[PathBuf]) -> Result<Self> {
        let optional = !paths.is_empty() && args.config == Path::new(DEFAULT_CONFIG);
        let mut settings = if optional && !args.config.exists() {
            Settings::default()
        } else {
            let (settings, report) = config::load(&args.config);
            ensure!(!report.has_errors(), "{report}");
            settings
        };
        let namespace = &mut settings.storage.namespace;
        if let Some(separator) = args.separator.as_ref().and_then(|text| text.chars().next()) {
            namespace.separator = separator;
        }
        if let Some(prefix) = &args.prefix {
            namespace.prefix.clone_from(prefix);
        }
        if let Some(names) = args.directory_names {
            namespace.utf8_on_disk = names == DirectoryNames::Utf8;
        }
        let options = settings.store(&Source::system());
        let store = Store::new(options.clone());
        Ok(Self {
            settings,
            options,
            store,
        })
    }

    /// How the store works.
    pub(super) fn options(&self) -> &mailstore::Options {
        &self.options
    }

    /// The mail that is meant, account by account.
    pub(super) fn work(&self, args: &MailArgs) -> Result<Vec<Work>> {
        let mut targets = Vec::new();
        if args.paths.is_empty() {
            targets = self.all_accounts(&args.store.config)?;
        }
        for path in &args.paths {
            targets.extend(target::find(path)?);
        }
        targets.sort();
        targets.dedup();
        targets
            .into_iter()
            .map(|target| self.list(target))
            .collect()
    }

    /// The mailboxes of a target.
    pub(super) fn list(&self, target: Target) -> Result<Work> {
        let listing = inspect::list(&target.root, &self.options.namespace)?;
        let mut mailboxes = listing.mailboxes;
        let mut report = Report::default();
        if let Some(directory) = &target.mailbox {
            mailboxes.retain(|listed| listed.directory == *directory);
            if mailboxes.is_empty() {
                bail!(
                    "{}: {NAMELESS}; {}",
                    directory.display(),
                    nameless_fix(directory)
                );
            }
        } else {
            for path in &listing.nameless {
                report.push(Finding::error(path, None, NAMELESS, nameless_fix(path)));
            }
            for path in &listing.links {
                let problem = "is a link, which is never followed: clients do not see the mailbox";
                let fix = "move the directory itself here";
                report.push(Finding::error(path, None, problem, fix));
            }
            for path in &listing.nested {
                report.push(Finding::error(path, None, NESTED, NESTED_FIX));
            }
        }
        Ok(Work {
            target,
            mailboxes,
            report,
        })
    }

    /// The account of some work, opened to be written.
    ///
    /// # Errors
    /// If what we would make there would not belong to the owner of the mail.
    pub(super) fn account(&self, root: &Path) -> Result<Account> {
        check_owner(root)?;
        Ok(self.store.account(root)?)
    }

    /// A mailbox's name as clients show it, in UTF-8.
    pub(super) fn show(&self, name: &MailboxName) -> String {
        if name.is_inbox() {
            return name.to_string();
        }
        let namespace = &self.options.namespace;
        let separator = namespace.separator.to_string();
        let levels: Vec<&str> = name.levels().collect();
        format!("{}{}", namespace.prefix, levels.join(&separator))
    }

    /// The accounts of the users file that have mail.
    fn all_accounts(&self, config: &Path) -> Result<Vec<Target>> {
        let mail = &self.settings.mail;
        let mut targets = Vec::new();
        let places = accounts::all(&self.settings, "name a PATH")?;
        for root in places.into_iter().filter_map(|place| place.mail) {
            if target::is_account(&root) {
                let mailbox = None;
                targets.push(Target { root, mailbox });
            }
        }
        ensure!(
            !targets.is_empty(),
            "no account of {} has mail yet below {} (both are set in {}); or name a PATH",
            self.settings.users.display(),
            mail.root().display(),
            config.display()
        );
        Ok(targets)
    }
}

/// Whether we may make files in an account.
///
/// # Errors
/// If what we would make there would not belong to the owner of the mail.
pub(crate) fn check_owner(root: &Path) -> Result<()> {
    let found = fs::metadata(root).with_context(|| root.display().to_string())?;
    let (owner, group) = (found.uid(), found.gid());
    if geteuid().is_root() && owner != 0 {
        bail!(
            "{} belongs to user {owner}, who could not use what root makes there; nothing was \
             changed\n  fix: run the same as that user, after \
             `setpriv --reuid {owner} --regid {group} --clear-groups`",
            root.display()
        );
    }
    Ok(())
}

/// How many files the mailboxes have that may be messages: for a progress bar.
pub(super) fn count_files<'a>(works: impl IntoIterator<Item = &'a Work>) -> u64 {
    let mailboxes = works.into_iter().flat_map(|work| &work.mailboxes);
    mailboxes
        .map(|listed| files_in(&listed.directory))
        .fold(0, u64::saturating_add)
}

/// How many files a mailbox has that may be messages.
pub(super) fn files_in(directory: &Path) -> u64 {
    let count = |part| fs::read_dir(directory.join(part)).map_or(0, Iterator::count);
    u64::try_from(count("cur") + count("new")).unwrap_or(u64::MAX)
}

/// Whether a mailbox has been deleted or renamed since the account was listed.
pub(super) fn is_gone(listed: &Listed) -> bool {
    let found = fs::symlink_metadata(&listed.directory);
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// What is said of such a mailbox.
pub(super) fn gone(listed: &Listed) -> Finding {
    let fix = "nothing to do, or once more for the mailboxes as they are now";
    let path = &listed.directory;
    Finding::warning(path, None, "was deleted or renamed meanwhile", fix)
}

/// Writes to standard output, while the bar is away.
pub(super) fn say(progress: &Progress, text: &str) -> io::Result<()> {
    progress.pause(|| {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    })
}

/// A number of things in words.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// Text of file names and other programs, with what would steer a terminal made visible.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Whether a report has anything that fails the command.
pub(super) fn problems(report: &Report) -> usize {
    report.count(Severity::Error)
}

/// What is told of an account: a heading, a table, and what was found.
pub(super) fn account_text(heading: impl Display, table: &Table, report: &Report) -> String {
    let findings = report.findings().iter();
    let findings: String = findings.map(|finding| format!("{finding}\n")).collect();
    format!("{heading}\n{table}{findings}\n")
}

/// How a command ends that has found so many faults.
pub(super) fn exit_code(faults: usize) -> ExitCode {
    match faults {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn nameless_fix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    if !name.is_ascii() {
        "this name is UTF-8: set `directory_names = \"utf8\"`, or give --directory-names utf8"
            .to_owned()
    } else {
        "rename it to a valid modified UTF-7 name, or move it away".to_owned()
    }
}

/// What is wrong with a directory that begins with a dot and is no mailbox.
const NAMELESS: &str = "is not the name of a mailbox: clients will not see it";
/// What is wrong with a Maildir in an account that does not begin with a dot.
const NESTED: &str =
    "is a Maildir inside an account, as in Dovecot's layout `fs`: clients will not see it";
/// How to mend that.
const NESTED_FIX: &str = "make a Maildir++ copy with the UIDs kept, while Dovecot still knows the account: \
     doveadm backup -u USER maildir:NEW";
