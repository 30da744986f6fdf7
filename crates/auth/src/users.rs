//! The users file: `user@domain:hash[:…]`, one account a line, as Dovecot's passwd-file reads it.
//!
//! Blank lines and lines that begin with `#` are comments. What follows the hash (uid, gid, gecos,
//! home, shell and extra fields) belongs to Dovecot and is kept but not used, except for the extra
//! fields with keys of SCRAM and application passwords; whoever wants other ones can have them ([`extra_fields`]).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::application::ApplicationError;
use crate::name::NameError;
use crate::password::{Stored, StoredError};
use crate::sasl::Mechanisms;
use crate::scram::KeysError;
use crate::{Name, Secrets};

mod edit;
mod extra;
mod fields;

pub use edit::{EditError, Editor};
pub use fields::extra_fields;

/// The accounts of a users file.
#[derive(Clone, Debug, Default)]
pub struct Users {
    accounts: HashMap<Name, Arc<Secrets>>,
    /// The lines and names as they come in the file.
    order: Vec<(usize, Name)>,
    /// The names by a number of their own each, which has nothing to do with other accounts.
    ring: BTreeMap<u64, Name>,
    notes: Vec<Note>,
    /// What some account can log in with.
    mechanisms: Mechanisms,
}

impl Users {
    /// Reads a users file; names without a domain get `default_domain`, if there is one.
    ///
    /// # Errors
    /// Lists every line that is malformed.
    pub fn parse(text: &[u8], default_domain: Option<&str>) -> Result<Self, Vec<Mistake>> {
        let (users, mistakes) = Self::survey(text, default_domain);
        if mistakes.is_empty() {
            Ok(users)
        } else {
            Err(mistakes)
        }
    }

    /// As [`Self::parse`], but with the accounts of the sound lines beside the malformed lines.
    pub fn survey(text: &[u8], default_domain: Option<&str>) -> (Self, Vec<Mistake>) {
        let mut users = Self::default();
        let mut mistakes = Vec::new();
        let mut lines = HashMap::new();
        for (line, account) in accounts(text) {
            let problem = match Account::parse(account, default_domain) {
                Ok(account) => match lines.entry(account.name.clone()) {
                    Entry::Occupied(first) => Problem::Duplicate(*first.get()),
                    Entry::Vacant(vacant) => {
                        vacant.insert(line);
                        users.push(line, account);
                        continue;
                    }
                },
                Err(problem) => problem,
            };
            mistakes.push(Mistake { line, problem });
        }
        (users, mistakes)
    }

    /// Reads the users file at `path`.
    ///
    /// # Errors
    /// If it cannot be read, or has malformed lines.
    pub fn load(path: &Path, default_domain: Option<&str>) -> Result<Self, LoadError> {
        let text = std::fs::read(path).map_err(|source| LoadError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, default_domain).map_err(|mistakes| LoadError::Malformed {
            path: path.to_owned(),
            mistakes,
        })
    }

    /// What an account has.
    pub fn get(&self, name: &Name) -> Option<&Arc<Secrets>> {
        self.accounts.get(name)
    }

    /// The names, as they come in the file.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.order.iter().map(|(_, name)| name)
    }

    /// The line of each name, from 1, as they come in the file.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (usize, &Name)> {
        self.order.iter().map(|(line, name)| (*line, name))
    }

    /// The mechanisms that some account can log in with.
    pub(crate) fn mechanisms(&self) -> Mechanisms {
        self.mechanisms.union(Mechanisms::WITH_PASSWORD)
    }

    /// What is allowed but should be known.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Some account, always the same for the same number: what an unknown user is checked against,
    /// so that they cost what a known one costs also where schemes are mixed.
    ///
    /// It is the one whose own number comes next. So one account more or less changes it for few
    /// numbers: whoever sees all unknown names change at once would see which names do not.
    pub(crate) fn decoy(&self, number: u64) -> Option<&Arc<Secrets>> {
        let mut next = self.ring.range(number..).chain(&self.ring);
        let (_, name) = next.next()?;
        self.accounts.get(name)
    }

    /// Takes an account of a line.
    fn push(&mut self, line: usize, account: Account<'_>) {
        if account.unprepared_name {
            self.notes.push(Note {
                line,
                name: account.name.clone(),
                about: About::Unprepared(account.name.clone()),
            });
        }
        let stored = account.secrets.password.as_ref();
        if stored.is_some_and(Stored::is_plain) {
            self.notes.push(Note {
                line,
                name: account.name.clone(),
                about: About::Plain,
            });
        }
        if account.space_at_end {
            self.notes.push(Note {
                line,
                name: account.name.clone(),
                about: About::SpaceAtEnd,
            });
        }
        for field in ["allow_nets", "nologin", "allow_real_nets"] {
            if account.has_extra(field) {
                self.notes.push(Note {
                    line,
                    name: account.name.clone(),
                    about: About::Ignored(field),
                });
            }
        }
        self.order.push((line, account.name.clone()));
        self.ring
            .insert(own_number(&account.name), account.name.clone());
        for keys in &account.secrets.scram {
            self.mechanisms = self.mechanisms.union(Mechanisms::with_keys(keys.hash()));
        }
        self.accounts
            .insert(account.name, Arc::new(account.secrets));
    }
}

/// The number of a name among those that unknown users are checked against.
fn own_number(name: &Name) -> u64 {
    let hash = digest(&SHA256, name.as_str().as_bytes());
    let octets = hash.as_ref().first_chunk().copied();
    octets.map_or(0, u64::from_le_bytes)
}

/// A malformed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// What is wrong with a line. Never shows a hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no colon.
    #[error("no ':' between name and password hash")]
    NoColon,
    /// Name or hash is not UTF-8.
    #[error("name or password hash is not UTF-8")]
    NotUtf8,
    /// The name can never log in.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name holds white space, which looks like nothing and is part of no real name.
    #[error("name holds white space")]
    SpaceInName,
    /// The hash begins or ends with white space, which would be part of it.
    #[error("password hash begins or ends with white space")]
    SpaceAroundHash,
    /// The hash can never verify a password.
    #[error(transparent)]
    Hash(#[from] StoredError),
    /// The keys of SCRAM among the extra fields can never verify a proof.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// An application password among the extra fields can never be given, or there are too many.
    #[error(transparent)]
    Application(#[from] ApplicationError),
    /// The name was already there.
    #[error("name is already on line {0}")]
    Duplicate(usize),
}

/// Something about a line that is allowed but should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its number, from 1.
    pub line: usize,
    /// The account.
    pub name: Name,
    /// What it is about.
    pub about: About,
}

/// What a [`Note`] is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum About {
    /// The password itself is in the file.
    #[error("password is stored in plain text; replace it with `pillarbox user passwd`")]
    Plain,
    /// The password itself is in the file, and ends with white space.
    #[error("white space at the end is part of the password")]
    SpaceAtEnd,
    /// The name is not in the form in which names are compared.
    #[error("name is not written as SASLprep (RFC 4013) has it; it stands for {0}")]
    Unprepared(Name),
    /// A field of Dovecot's that restricts logins, and that we do not obey.
    #[error("field {0} has no effect here: the account can log in from everywhere")]
    Ignored(&'static str),
}

/// Why a users file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error("users file {path} could not be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has malformed lines.
    #[error("users file {path} is malformed: {}", list(.mistakes))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The lines.
        mistakes: Vec<Mistake>,
    },
}

/// All mistakes in one line.
fn list(mistakes: &[Mistake]) -> String {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    all.join("; ")
}

/// What a line says.
struct Account<'a> {
    name: Name,
    secrets: Secrets,
    /// Whether the name changed by more than the case of its letters.
    unprepared_name: bool,
    /// Whether a plain password ends with white space.
    space_at_end: bool,
    /// All after the hash, as it stands.
    rest: &'a [u8],
}

impl<'a> Account<'a> {
    /// Reads a line that is no comment.
    fn parse(line: &'a [u8], default_domain: Option<&str>) -> Result<Self, Problem> {
        let mut fields = line.splitn(3, |&octet| octet == b':');
        let name = fields.next().unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| Problem::NotUtf8)?;
        let hash = fields.next().ok_or(Problem::NoColon)?;
        let hash = std::str::from_utf8(hash).map_err(|_| Problem::NotUtf8)?;
        let as_written = name.to_ascii_lowercase();
        let name = account_name(name, default_domain)?;
        let space_at_end = hash.trim_end() != hash;
        let stored = Stored::parse(hash);
        let is_plain = stored.as_ref().is_ok_and(Stored::is_plain);
        // A plain password may end with white space (RFC 1939 §7, PASS).
        if hash.trim_start() != hash || (space_at_end && !is_plain) {
            return Err(Problem::SpaceAroundHash);
        }
        let stored = stored?;
        let rest = fields.next().unwrap_or_default();
        let mut scram = extra::keys(rest)?;
        if let Some(keys) = stored.keys()
            && scram.iter().all(|other| other.hash() != keys.hash())
        {
            scram.push(keys);
        }
        Ok(Self {
            unprepared_name: !name.as_str().starts_with(&as_written),
            name,
            secrets: Secrets {
                password: Some(stored),
                scram,
                application: extra::application(rest)?,
                mail: None,
            },
            space_at_end,
            rest,
        })
    }

    /// Whether the extra fields have one of this name.
    fn has_extra(&self, field: &str) -> bool {
        self.rest
            .split(|octet| matches!(octet, b' ' | b'\t' | b':'))
            .any(|extra| {
                extra
                    .strip_prefix(field.as_bytes())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
            })
    }
}

/// Reads a name as it may stand in a users file; one without a domain gets `default_domain`, if
/// there is one.
///
/// # Errors
/// If it cannot be an account. White space is refused here alone: clients may try any name.
pub fn account_name(text: &str, default_domain: Option<&str>) -> Result<Name, Problem> {
    if text.chars().any(|c| c.is_whitespace() && !c.is_control()) {
        return Err(Problem::SpaceInName);
    }
    let name = Name::parse(text, default_domain)?;
    // Accents that stand alone begin with a space once they are prepared.
    if name.as_str().contains(' ') {
        return Err(Problem::SpaceInName);
    }
    Ok(name)
}

/// The lines that are no comments, with their numbers, without their line ends.
fn accounts(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..)
        .zip(text.split(|&octet| octet == b'\n'))
        .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
        .filter(|(_, line)| !is_comment(line))
}

/// Whether a line holds no account.
fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#") || line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "{SHA256-CRYPT}$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    fn names(users: &Users) -> Vec<&str> {
        users.names().map(Name::as_str).collect()
    }

    #[test]
    fn a_dovecot_file_is_read_as_it_is() {
        let text = format!(
            "# accounts\n\
             \n\
             Ann@Example.org:{HASH}\n\
             bob:{HASH}:1000:1000:Bob \u{e9}:/home/bob:/bin/false:userdb_quota_rule=*:storage=1G\r\n\
             \t \n\
             carol@example.net:{{PLAIN}}secret::::::nologin allow_nets=10.0.0.0/8"
        );
        let users = Users::parse(text.as_bytes(), Some("example.com")).unwrap();
        assert_eq!(
            names(&users),
            ["ann@example.org", "bob@example.com", "carol@example.net"]
        );
        let notes: Vec<String> = users
            .notes()
            .iter()
            .map(|note| format!("{}: {}", note.line, note.about))
            .collect();
        assert_eq!(
            notes,
            [
                "6: password is stored in plain text; replace it with `pillarbox user passwd`",
                "6: field allow_nets has no effect here: the account can log in from everywhere",
                "6: field nologin has no effect here: the account can log in from everywhere",
            ]
        );
        let ann = Name::parse("ANN@EXAMPLE.ORG", None).unwrap();
        assert!(users.get(&ann).is_some());
        let without = Users::parse(text.as_bytes(), None).unwrap();
        assert_eq!(names(&without)[1], "bob");
    }

    #[test]
    fn the_example_is_sound() {
        let text = include_bytes!("../../../conf/users.example");
        let users = Users::parse(text, None).unwrap();
        assert_eq!(
            names(&users),
            ["ann@example.org", "bob@example.org", "carol@example.org"]
        );
        assert_eq!(users.notes(), []);
        for name in users.names() {
            let stored = users.get(name).unwrap().password.as_ref().unwrap();
            assert_eq!(stored.verify(&crate::Secret::new("example")), Ok(true));
        }
    }

    #[test]
    fn every_malformed_line_is_named() {
        let text = format!(
            "ann@example.org:{HASH}\n\
             bob\n\
             # fine\n\
             :{HASH}\n\
             carol@example.org:\n\
             ../dave:{HASH}\n\
             erin:secret\n\
             frank:{{MD5}}x\n\
             ANN@example.org:{HASH}\n\
             gr\u{0}ce:{HASH}\n \
             henry:{HASH}\n\
             ida :{HASH}\n\
             jim@example.org\u{a0}:{HASH}\n\
             kim smith:{HASH}\n\
             leo:{HASH} \r\n\
             mia: {HASH}\n\
             \tnat:{HASH}\n"
        );
        let mistakes = Users::parse(text.as_bytes(), None).unwrap_err();
        let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(
            all,
            [
                "line 2: no ':' between name and password hash",
                "line 4: name is empty or has an empty part",
                "line 5: password hash is empty",
                "line 6: name holds '/' or ':'",
                "line 7: password is not a known hash; make one with `pillarbox user passwd` or `pillarbox user hash`",
                "line 8: scheme {MD5} is not supported; use {ARGON2ID}, {BLF-CRYPT}, {SHA512-CRYPT} or {SHA256-CRYPT}",
                "line 9: name is already on line 1",
                "line 10: name holds a control character",
                "line 11: name holds white space",
                "line 12: name holds white space",
                "line 13: name holds white space",
                "line 14: name holds white space",
                "line 15: password hash begins or ends with white space",
                "line 16: password hash begins or ends with white space",
                "line 17: name holds a control character",
            ]
        );
        let (users, mistakes) = Users::survey(text.as_bytes(), None);
        assert_eq!(names(&users), ["ann@example.org"], "the sound line");
        assert_eq!(mistakes.len(), all.len());
        let users = Users::parse(b"ann:{PLAIN}a b \nbob:{PLAIN}a b\n", None).unwrap();
        let spaces = users
            .notes()
            .iter()
            .filter(|note| note.about == About::SpaceAtEnd);
        assert_eq!(spaces.map(|note| note.line).collect::<Vec<_>>(), [1]);
        let latin = b"andr\xe9:{PLAIN}x";
        assert_eq!(
            Users::parse(latin, None).unwrap_err()[0].problem,
            Problem::NotUtf8
        );
        // A comment may be in any encoding.
        assert!(Users::parse(b"# andr\xe9\n", None).is_ok());
    }

    #[test]
    fn a_name_with_and_without_the_default_domain_is_one_account() {
        let text = format!("ann:{HASH}\nann@example.org:{HASH}\n");
        assert!(Users::parse(text.as_bytes(), None).is_ok());
        let mistakes = Users::parse(text.as_bytes(), Some("example.org")).unwrap_err();
        assert_eq!(mistakes[0].problem, Problem::Duplicate(1));
    }

    #[test]
    fn names_are_prepared() {
        let text = format!("jo\u{308}rg:{HASH}\nann:{HASH}\n");
        let users = Users::parse(text.as_bytes(), Some("example.org")).unwrap();
        assert_eq!(names(&users), ["jörg@example.org", "ann@example.org"]);
        let notes: Vec<String> = users
            .notes()
            .iter()
            .map(|note| format!("{}: {}", note.line, note.about))
            .collect();
        assert_eq!(
            notes,
            [
                "1: name is not written as SASLprep (RFC 4013) has it; it stands for jörg@example.org"
            ]
        );
        for (name, problem) in [
            ("j\u{f6}rg", Problem::Duplicate(1)),
            ("a\u{b4}", Problem::SpaceInName),
        ] {
            let text = format!("jo\u{308}rg:{HASH}\n{name}:{HASH}\n");
            let mistakes = Users::parse(text.as_bytes(), None).unwrap_err();
            assert_eq!(mistakes[0].problem, problem);
        }
    }

    #[test]
    fn decoys_are_steady_and_cover_all_accounts() {
        let text = format!("ann:{HASH}\nbob:{{PLAIN}}x\n");
        let users = Users::parse(text.as_bytes(), None).unwrap();
        let numbers = || (0..64).map(|part: u64| part << 58);
        let ann = Name::parse("ann", None).unwrap();
        let is_ann = |users: &Users, number| users.decoy(number) == users.get(&ann);
        let with_ann = numbers().filter(|&number| is_ann(&users, number)).count();
        assert!((1..64).contains(&with_ann));
        assert_eq!(users.decoy(7), users.clone().decoy(7));
        assert!(users.decoy(u64::MAX).is_some());
        assert_eq!(Users::default().decoy(7), None);
    }

    #[test]
    fn one_account_more_changes_few_decoys() {
        let file = |count: u32| {
            let line = |number| format!("user{number}:{{PLAIN}}{number}\n");
            let text: String = (0..count).map(line).collect();
            Users::parse(text.as_bytes(), None).unwrap()
        };
        let (before, after) = (file(50), file(51));
        let numbers = (0..1_000).map(|part: u64| part << 54);
        let changed = numbers.filter(|&number| before.decoy(number) != after.decoy(number));
        assert!(changed.count() < 200);
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _users = Users::parse(&text, Some("example.org"));
        }

        #[test]
        fn any_line_is_an_account_a_comment_or_a_mistake(lines in proptest::collection::vec("[a-c#: @{}$5\r]{0,8}", 0..6)) {
            let text = lines.join("\n");
            let wanted = lines.iter().filter(|line| {
                let line = line.strip_suffix('\r').unwrap_or(line);
                !line.starts_with('#') && !line.trim().is_empty()
            }).count();
            match Users::parse(text.as_bytes(), None) {
                Ok(users) => prop_assert_eq!(users.names().len(), wanted),
                Err(mistakes) => prop_assert!(!mistakes.is_empty() && mistakes.len() <= wanted),
            }
        }
    }
}
