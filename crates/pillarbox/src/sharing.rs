//! `pillarbox sharing …`: who shares mailboxes with whom.
//!
//! It looks at the lists of rights that the server goes by, also while the server runs, and must run
//! as the owner of the mail: what root makes there others could not use.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use mailstore::Store;

use crate::accounts::{self, Place};
use crate::cli::{ConfigArgs, SharingCommand};
use crate::config::{self, Settings};
use crate::index::context::check_owner;
use crate::index::target::is_account;
use crate::source::Source;

/// Does what the arguments say.
///
/// # Errors
/// In words for the person at the terminal.
pub fn run(command: &SharingCommand) -> Result<ExitCode> {
    match command {
        SharingCommand::Rebuild(ConfigArgs { config }) => {
            let (settings, report) = config::load(config);
            ensure!(!report.has_errors(), "{report}");
            let owners = rebuild(&settings)?;
            writeln!(io::stdout().lock(), "{owners} users share mailboxes")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Looks through the trees of all users, and notes who shares mailboxes; gives how many do.
///
/// # Errors
/// If a tree cannot be read, or nothing can be noted.
pub fn rebuild(settings: &Settings) -> Result<usize> {
    let store = Store::new(settings.store(&Source::system()));
    let instead = "lists of rights that SETACL sets are noted without this";
    let mut owners = BTreeMap::new();
    for Place { name, mail } in accounts::all(settings, instead)? {
        let Some(root) = mail.filter(|root| is_account(root)) else {
            continue;
        };
        let look = || -> Result<_> {
            check_owner(&root)?;
            Ok(imapd::sharing::grantees(&store.account(&root)?)?)
        };
        let identifiers = look().with_context(|| name.as_str().to_owned())?;
        if !identifiers.is_empty() {
            owners.insert(name.as_str().to_owned(), identifiers);
        }
    }
    let count = owners.len();
    settings.sharers().rebuild(owners)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The example of the page for administrators, with places of a test.
    fn settings(directory: &Path) -> Settings {
        let page = include_str!("../../../docs/sharing.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let (example, _) = rest.split_once("```").unwrap();
        let directory = directory.display();
        let config = format!("mail = \"{directory}/mail/{{user}}\"\nusers = \"users\"\n{example}");
        let path = Path::new(&directory.to_string()).join("pillarbox.toml");
        fs::write(&path, config).unwrap();
        let (settings, report) = config::load(&path);
        assert!(!report.has_errors(), "{report}");
        settings
    }

    #[test]
    fn the_index_is_made_from_the_lists_of_rights() {
        let directory = tempfile::tempdir().unwrap();
        let users = "ann:{PLAIN}x\nbob:{PLAIN}x\ncat:{PLAIN}x\nnew:{PLAIN}x\n";
        fs::write(directory.path().join("users"), users).unwrap();
        for (user, mailbox, list) in [
            ("ann", ".Work", "user=bob lr\n"),
            ("bob", ".", "owner lr\n"),
            ("cat", ".Shared", "anyone l\n"),
            ("cat", ".Odd", "user=bob lr\ndamaged\n"),
        ] {
            let place = directory.path().join("mail").join(user);
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(place.join(part)).unwrap();
                fs::create_dir_all(place.join(mailbox).join(part)).unwrap();
            }
            fs::write(place.join(mailbox).join("dovecot-acl"), list).unwrap();
        }
        let settings = settings(directory.path());
        assert_eq!(settings.sharing.prefix, "Other Users/");
        assert_eq!(rebuild(&settings).unwrap(), 2);
        let sharers = settings.sharers();
        assert_eq!(sharers.owners_for("bob").unwrap(), ["ann", "cat"]);
        assert_eq!(sharers.owners_for("new").unwrap(), ["cat"]);
        fs::remove_file(directory.path().join("mail/ann/.Work/dovecot-acl")).unwrap();
        assert_eq!(rebuild(&settings).unwrap(), 1);
        assert_eq!(settings.sharers().owners_for("bob").unwrap(), ["cat"]);
        assert!(!directory.path().join("mail/new").exists());
    }
}
