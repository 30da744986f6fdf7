//! A tree of Maildirs that machines without a network serve, and another program at work on it.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use auth::{Credential, Identity, Verdict};
use machine::{Link, Now, PlaintextAuth, Security, Tls};
use mailstore::{Fsync, Namespace, Options, Source, Store};

use crate::bare::Bare;

/// The mail of one user.
#[derive(Debug)]
pub struct Tree {
    dir: tempfile::TempDir,
    files: u32,
}

/// A message in `cur/`, as another program sees it.
#[derive(Clone, Debug)]
pub struct File {
    /// Its subject, which its copies share.
    pub subject: String,
    /// Where it is.
    pub path: PathBuf,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new()
    }
}

impl Tree {
    /// An empty one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, files: 0 }
    }

    /// The Maildir of INBOX.
    pub fn maildir(&self) -> PathBuf {
        self.dir.path().join("Maildir")
    }

    /// An IMAP session on one of the stores that serve it. Whoever logs in is let in.
    pub fn connect(&self, store: &Arc<Store>) -> Bare<imapd::Session> {
        let settings = Arc::new(imapd::Settings::new(Arc::clone(store)));
        let mail = self.maildir();
        let grant = move |credential: Credential| {
            Verdict::Granted(Identity {
                name: credential.user().unwrap_or_default().to_owned(),
                mail: mail.clone(),
            })
        };
        Bare::new(start(), grant, |waker| {
            let link = Link {
                security: Security::Clear,
                plaintext_auth: PlaintextAuth::Allowed,
                tls: Tls::default(),
                peer: std::net::Ipv4Addr::LOCALHOST.into(),
                waker,
            };
            imapd::Session::new(settings, link, start())
        })
    }

    /// A subject that no message had before.
    pub fn next_subject(&mut self) -> String {
        self.files += 1;
        format!("s{}e", self.files)
    }

    /// Another program delivers a message to INBOX; gives its subject.
    pub fn deliver(&mut self) -> String {
        let subject = self.next_subject();
        let name = format!("{}.M1P1.other", 1_700_000_000 + self.files);
        let text = format!("Subject: {subject}\n\ndelivered\n");
        let temporary = self.maildir().join("tmp").join(&name);
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.maildir().join("new").join(name)).unwrap();
        subject
    }

    /// The messages in `cur/` of INBOX, by subject.
    pub fn files(&self) -> Vec<File> {
        let mut files = files(&self.maildir().join("cur"));
        files.sort_by(|a, b| a.subject.cmp(&b.subject));
        files
    }

    /// The messages of a Maildir with the system flags in their file names, sorted.
    pub fn on_disk(maildir: &Path) -> Vec<(String, BTreeSet<String>)> {
        let parts = ["cur", "new"].iter();
        let files = parts.flat_map(|part| files(&maildir.join(part)));
        let mut found: Vec<_> = files.map(|it| (it.subject, flags(&it.path))).collect();
        found.sort();
        found
    }
}

impl File {
    /// Another program sets or takes back `\Seen`.
    pub fn toggle_seen(&self) {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        let (base, letters) = name.rsplit_once(":2,").unwrap_or((name, ""));
        let mut letters: BTreeSet<char> = letters.chars().collect();
        if !letters.remove(&'S') {
            letters.insert('S');
        }
        let letters: String = letters.into_iter().collect();
        let name = format!("{base}:2,{letters}");
        fs::rename(&self.path, self.path.with_file_name(name)).unwrap();
    }

    /// Another program removes it.
    pub fn remove(&self) {
        fs::remove_file(&self.path).unwrap();
    }
}

fn files(directory: &Path) -> Vec<File> {
    let entries = fs::read_dir(directory).unwrap();
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap();
        let subject = first.trim_start_matches("Subject: ").to_owned();
        File { subject, path }
    });
    files.collect()
}

/// The system flags in a file's name.
fn flags(path: &Path) -> BTreeSet<String> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
    let named = letters.chars().filter_map(|letter| match letter {
        'S' => Some("\\Seen"),
        'F' => Some("\\Flagged"),
        'R' => Some("\\Answered"),
        'T' => Some("\\Deleted"),
        _ => None,
    });
    named.map(str::to_owned).collect()
}

/// The moment at which virtual time stands.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant has no other origin; it stands still then"
)]
pub fn start() -> Now {
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    Now {
        instant: std::time::Instant::now(),
        wall,
    }
}

/// A store of its own, as another process has it.
#[expect(
    clippy::disallowed_methods,
    reason = "directory times are the system's, so are the store's"
)]
pub fn store() -> Arc<Store> {
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "model".to_owned(),
        lock_timeout: Duration::from_secs(5),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(SystemTime::now, || RANDOM.fetch_add(1, Ordering::SeqCst)),
    })
}

/// What the stores take for random, so that it differs between them.
static RANDOM: AtomicU64 = AtomicU64::new(1);
