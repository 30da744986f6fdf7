//! Guesses about mail that another server has left: what would make clients see other mailboxes
//! than before, or none.
//!
//! Everything here is a warning, because a guess can be wrong. Only so many accounts and entries
//! are looked at that a start stays short, and nothing is opened but directories and subscription
//! lists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use auth::users::Users;
use mailstore::Namespace;
use mailstore::inspect::{is_maildir, subscriptions};

use super::Check;
use super::mail::{MAX_ACCOUNTS, MAX_ENTRIES};
use crate::config::Finding;

/// Looks at the directories of the accounts.
pub(super) fn check(check: &mut Check<'_>, users: &Users) {
    let namespace = &check.settings.storage.namespace;
    let mail = &check.settings.mail;
    let homes = users.names().take(MAX_ACCOUNTS);
    let homes = homes.filter_map(|name| mail.expand(name));
    // One finding for each kind, as what is wrong is so for most accounts at once.
    let mut guesses: BTreeMap<Guess, (PathBuf, usize)> = BTreeMap::new();
    for home in homes {
        for (guess, place) in look(&home, namespace) {
            let (_, accounts) = guesses.entry(guess).or_insert((place, 0));
            *accounts += 1;
        }
    }
    for (guess, (place, accounts)) in guesses {
        let (problem, fix) = guess.tell(&place);
        let problem = match accounts {
            1 => problem,
            2 => format!("{problem} (so in 1 more account)"),
            _ => format!("{problem} (so in {} more accounts)", accounts - 1),
        };
        check.push(
            guess.setting(),
            Finding::warning(&place, None, problem, fix),
        );
    }
}

/// Something that another server did differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Guess {
    /// The account is one level further down.
    Below,
    /// Mailboxes are nested directories, as in Dovecot's layout `fs`.
    Nested,
    /// Dovecot's own formats.
    Dbox,
    /// Names in UTF-8, read as modified UTF-7.
    Utf8,
    /// Names in modified UTF-7, read as UTF-8.
    Utf7,
    /// Courier's clients know `INBOX.` names.
    Courier,
    /// Subscriptions begin with `INBOX.`, mailboxes do not.
    Prefix,
}

impl Guess {
    /// The setting that it is about.
    fn setting(self) -> &'static str {
        match self {
            Self::Below | Self::Nested | Self::Dbox => "mail",
            Self::Utf8 | Self::Utf7 | Self::Courier | Self::Prefix => "storage",
        }
    }

    /// What is wrong, and what to do about it.
    fn tell(self, place: &Path) -> (String, String) {
        let (problem, fix) = match self {
            Self::Below => {
                let below = place.file_name().unwrap_or_default().display();
                return (
                    "the mail of this account is here, a level below where `mail` leads".to_owned(),
                    format!("let `mail` end in /{below}"),
                );
            }
            Self::Nested => (
                "this is a Maildir inside an account, as in Dovecot's layout `fs`, which is not \
                 supported: clients will not see it",
                "make a Maildir++ copy with all UIDs while Dovecot still knows the account: \
                 doveadm backup -u USER maildir:NEW",
            ),
            Self::Dbox => (
                "this mail is in Dovecot's dbox format, not in a Maildir",
                "make a Maildir++ copy with all UIDs while Dovecot still knows the account: \
                 doveadm backup -u USER maildir:NEW",
            ),
            Self::Utf8 => (
                "this mailbox has a UTF-8 name, but `directory_names` is \"utf7\": clients will \
                 not see it",
                "directory_names = \"utf8\" in [storage], as Courier 5 writes them",
            ),
            Self::Utf7 => (
                "this mailbox has a name in modified UTF-7, but `directory_names` is \"utf8\": \
                 clients will see it as it is written",
                "directory_names = \"utf7\" in [storage], as Dovecot writes them",
            ),
            Self::Courier => (
                "Courier had this account, and its clients know the mailboxes as INBOX.NAME, but \
                 `prefix` is \"\": to them, all but INBOX are other mailboxes, to be downloaded again",
                "prefix = \"INBOX.\" and separator = \".\" in [storage]",
            ),
            Self::Prefix => (
                "subscriptions here begin with INBOX, which the mailboxes do not: clients have \
                 known them with a prefix, but `prefix` is \"\"",
                "prefix = \"INBOX.\", or \"INBOX/\", as it was, and the same `separator`, in [storage]",
            ),
        };
        (problem.to_owned(), fix.to_owned())
    }
}

/// What there is to guess about the account in `home`, each with the place that tells it.
fn look(home: &Path, namespace: &Namespace) -> BTreeMap<Guess, PathBuf> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(home) else {
        return found;
    };
    let own = is_maildir(home);
    let mut mailboxes = false;
    for entry in entries.flatten().take(MAX_ENTRIES) {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.path();
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let guess = if name.starts_with(b".") && (own || !is_account_below(&path)) {
            mailboxes = true;
            misread(name, namespace)
        } else if PARTS.contains(&name) {
            None
        } else if !own && is_account_below(&path) {
            Some(Guess::Below)
        } else {
            layout(&path)
        };
        if let Some(guess) = guess {
            found.entry(guess).or_insert(path);
        }
    }
    let prefixed = !namespace.prefix.is_empty();
    if !prefixed && mailboxes && was_couriers(home) {
        found.insert(Guess::Courier, home.to_owned());
    } else if !prefixed && has_prefixed_subscriptions(home, namespace) {
        found.insert(Guess::Prefix, home.join("subscriptions"));
    }
    found
}

/// What a directory in an account that is no mailbox may be.
fn layout(path: &Path) -> Option<Guess> {
    if path.file_name()? == "mailboxes" && path.join("INBOX").is_dir() {
        return Some(Guess::Dbox);
    }
    let nested = || {
        let entries = fs::read_dir(path).ok()?;
        let mut entries = entries.flatten().take(MAX_ENTRIES);
        entries.find(|entry| is_maildir(&entry.path()))
    };
    (is_maildir(path) || nested().is_some()).then_some(Guess::Nested)
}

/// Whether a directory in what should be an account is the account itself, by its usual names.
fn is_account_below(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    USUAL.iter().any(|usual| name == *usual) && is_maildir(path)
}

/// Whether the name of a mailbox's directory is in the other encoding.
fn misread(name: &[u8], namespace: &Namespace) -> Option<Guess> {
    if !namespace.utf8_on_disk {
        return (!name.is_ascii()).then_some(Guess::Utf8);
    }
    let utf7 = Namespace {
        utf8_on_disk: false,
        ..namespace.clone()
    };
    let decoded = utf7.from_directory(name)?;
    (name.is_ascii() && !decoded.as_str().is_ascii()).then_some(Guess::Utf7)
}

/// Whether Courier was the last server.
fn was_couriers(home: &Path) -> bool {
    let has = |name: &str| home.join(name).is_file();
    (has("courierimapsubscribed") || has("courierimapuiddb")) && !has("dovecot-uidlist")
}

/// Whether a subscribed name begins with `INBOX` and exists without that only.
fn has_prefixed_subscriptions(home: &Path, namespace: &Namespace) -> bool {
    let Ok(names) = subscriptions(home, namespace) else {
        return false;
    };
    names.iter().take(MAX_ENTRIES).any(|name| {
        let directory = namespace.directory(name);
        let without = directory.strip_prefix(".INBOX");
        without.is_some_and(|without| {
            without.starts_with('.')
                && home.join(without).is_dir()
                && !home.join(&directory).exists()
        })
    })
}

/// The directories of INBOX itself.
const PARTS: [&[u8]; 3] = [b"cur", b"new", b"tmp"];

/// What the directory of an account is usually called below a home directory.
const USUAL: [&str; 4] = ["Maildir", ".maildir", ".Maildir", "maildir"];

#[cfg(test)]
mod tests {
    use super::{Guess, look};
    use mailstore::Namespace;
    use std::fs;
    use std::path::Path;

    fn make(home: &Path, mailboxes: &[&str]) {
        for mailbox in mailboxes {
            for part in ["cur", "new", "tmp"] {
                fs::create_dir_all(home.join(mailbox).join(part)).unwrap();
            }
        }
    }

    fn guesses(home: &Path, namespace: &Namespace) -> Vec<(Guess, String)> {
        let found = look(home, namespace);
        found
            .into_iter()
            .map(|(guess, place)| {
                let place = place.strip_prefix(home).unwrap().display().to_string();
                (guess, place)
            })
            .collect()
    }

    #[test]
    fn a_usual_account_is_no_reason_to_guess() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert_eq!(guesses(home, &Namespace::default()), []);
        make(home, &["", ".Sent", ".Entw&APw-rfe", ".a.b"]);
        fs::create_dir(home.join("courierimapkeywords")).unwrap();
        fs::write(home.join("subscriptions"), "V\t2\n\nSent\nINBOX\n").unwrap();
        assert_eq!(guesses(home, &Namespace::default()), []);
    }

    #[test]
    fn names_in_the_other_encoding_are_seen() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        make(home, &["", ".Entw\u{fc}rfe", ".R&-D"]);
        let utf8 = Namespace {
            utf8_on_disk: true,
            ..Namespace::default()
        };
        let told = guesses(home, &Namespace::default());
        assert_eq!(told, [(Guess::Utf8, ".Entw\u{fc}rfe".to_owned())]);
        assert_eq!(guesses(home, &utf8), []);
        make(home, &[".&ZeVnLIqe-"]);
        let told = guesses(home, &utf8);
        assert_eq!(told, [(Guess::Utf7, ".&ZeVnLIqe-".to_owned())]);
    }

    #[test]
    fn a_prefix_that_clients_know_is_missed() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        make(home, &[""]);
        fs::write(home.join("courierimapsubscribed"), "INBOX.Sent\n").unwrap();
        assert_eq!(guesses(home, &Namespace::default()), [], "only INBOX");
        make(home, &[".Sent"]);
        let told = guesses(home, &Namespace::default());
        assert_eq!(told, [(Guess::Courier, String::new())]);
        let prefixed = Namespace {
            prefix: "INBOX.".to_owned(),
            separator: '.',
            utf8_on_disk: false,
        };
        assert_eq!(guesses(home, &prefixed), []);
        fs::write(home.join("dovecot-uidlist"), "3 V1 N1\n").unwrap();
        fs::write(home.join("subscriptions"), "INBOX.Sent\nINBOX.Gone\n").unwrap();
        let told = guesses(home, &Namespace::default());
        assert_eq!(told, [(Guess::Prefix, "subscriptions".to_owned())]);
        make(home, &[".INBOX.Sent"]);
        assert_eq!(guesses(home, &Namespace::default()), []);
    }

    #[test]
    fn other_layouts_are_told() {
        for (mailboxes, guess, place) in [
            (["", "Work"], Guess::Nested, "Work"),
            (["", "Work/2026"], Guess::Nested, "Work"),
            (["Maildir", "Maildir/.Sent"], Guess::Below, "Maildir"),
            ([".maildir", ".maildir/.Sent"], Guess::Below, ".maildir"),
            (
                ["mailboxes/INBOX/dbox-Mails", "x/y/z"],
                Guess::Dbox,
                "mailboxes",
            ),
        ] {
            let home = tempfile::tempdir().unwrap();
            make(home.path(), &mailboxes);
            let told = guesses(home.path(), &Namespace::default());
            assert_eq!(told, [(guess, place.to_owned())], "{mailboxes:?}");
        }
    }
}
