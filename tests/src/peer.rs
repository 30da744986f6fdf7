//! Other mail servers on a Maildir++ tree: Debian's Dovecot and Courier.
//!
//! Neither runs as a service. Both have programs that speak IMAP or POP3 on their standard input and
//! output for a user whom somebody else has let in; here, a listener on a free port gives one of them
//! to each connection. IMAP then begins with PREAUTH. For POP3 the listener takes any name and
//! password itself.
//!
//! Dovecot serves no mail as root. Where the tests run as root, both run as `nobody`, and the tree
//! becomes theirs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::program::missing;

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Dovecot 2.3.
    Dovecot {
        /// What every mailbox name but INBOX begins with.
        prefix: &'static str,
        /// Between the levels of a name.
        separator: char,
        /// Further lines of its configuration.
        settings: &'static str,
    },
    /// Courier, which knows only `INBOX.` and `.`.
    Courier,
}

/// A tree of mail that servers serve one after the other.
#[derive(Debug)]
pub struct Place {
    dir: TempDir,
}

/// A server on a tree. Dropping it waits for the end of its connections.
#[derive(Debug)]
pub struct Peer {
    /// Where it speaks IMAP.
    pub imap: SocketAddr,
    /// Where it speaks POP3.
    pub pop3: SocketAddr,
    stopping: Arc<AtomicBool>,
    listeners: Vec<JoinHandle<()>>,
}

/// Whether Dovecot can be used; says so if not.
///
/// # Panics
/// If it cannot, and `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn have_dovecot() -> bool {
    let found = Path::new(DOVECOT).join("imap").is_file();
    found || missing("dovecot")
}

/// Whether Courier can be used; says so if not.
///
/// # Panics
/// If it cannot, and `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn have_courier() -> bool {
    courier().is_some() || missing("courier")
}

impl Place {
    /// An empty tree.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self { dir };
        for directory in ["cur", "new", "tmp"] {
            fs::create_dir_all(place.maildir().join(directory)).unwrap();
        }
        place
    }

    /// Its root, which is INBOX.
    pub fn maildir(&self) -> PathBuf {
        self.dir.path().join("home/Maildir")
    }

    /// What else a test needs to keep is put here.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a server on it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn serve(&self, kind: Kind) -> Peer {
        let home = self.dir.path().join("home");
        if let Kind::Dovecot {
            prefix,
            separator,
            settings,
        } = kind
        {
            let config = format!(
                "log_path = {home}/dovecot.log\nbase_dir = {home}/run\n\
                 mail_location = maildir:{home}/Maildir\n{settings}\n\
                 namespace inbox {{\n  inbox = yes\n  prefix = {prefix}\n  separator = {separator}\n}}\n",
                home = home.display()
            );
            fs::write(home.join("dovecot.conf"), config).unwrap();
        } else {
            copy_courier(&home);
        }
        self.hand_over();
        let stopping = Arc::new(AtomicBool::new(false));
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for protocol in [Protocol::Imap, Protocol::Pop3] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            addresses.push(listener.local_addr().unwrap());
            let (home, stopping) = (home.clone(), Arc::clone(&stopping));
            listeners.push(std::thread::spawn(move || {
                listen(&listener, &stopping, kind, protocol, &home);
            }));
        }
        let [imap, pop3] = addresses[..] else {
            panic!("two listeners")
        };
        Peer {
            imap,
            pop3,
            stopping,
            listeners,
        }
    }

    /// Gives everything to the user that the other servers run as. Others may have added files.
    pub fn hand_over(&self) {
        if is_root() {
            give(&self.dir.path().join("home"), NOBODY);
        }
    }

    /// Moves the tree to where Pillarbox expects it, and gives it to the user of the tests.
    ///
    /// # Panics
    /// If it cannot be moved.
    pub fn move_out(&self, to: &Path) {
        fs::rename(self.maildir(), to).unwrap();
        if is_root() {
            give(to, 0);
        }
    }

    /// Moves it back to where the other servers expect it.
    ///
    /// # Panics
    /// If it cannot be moved.
    pub fn move_back(&self, from: &Path) {
        fs::rename(from, self.maildir()).unwrap();
        self.hand_over();
    }

    /// What Dovecot has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("home/dovecot.log")).unwrap_or_default()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        for address in [self.imap, self.pop3] {
            // It only has to wake up.
            drop(TcpStream::connect(address));
        }
        for listener in self.listeners.drain(..) {
            drop(listener.join());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Imap,
    Pop3,
}

/// Gives a process to every connection, and waits for all of them in the end.
fn listen(
    listener: &TcpListener,
    stopping: &AtomicBool,
    kind: Kind,
    protocol: Protocol,
    home: &Path,
) {
    let mut sessions = Vec::new();
    for stream in listener.incoming() {
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        let home = home.to_owned();
        sessions.push(std::thread::spawn(move || {
            // A client that goes away early is its own affair.
            drop(stream.and_then(|stream| session(stream, kind, protocol, &home)));
        }));
    }
    for session in sessions {
        drop(session.join());
    }
}

fn session(mut stream: TcpStream, kind: Kind, protocol: Protocol, home: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if protocol == Protocol::Pop3 {
        if !let_in(&mut stream)? {
            return Ok(());
        }
        if kind != Kind::Courier {
            stream.write_all(b"+OK Logged in.\r\n")?;
        }
    }
    let mut command = match kind {
        Kind::Dovecot { .. } => {
            let mut command = Command::new(Path::new(DOVECOT).join(match protocol {
                Protocol::Imap => "imap",
                Protocol::Pop3 => "pop3",
            }));
            command.arg("-c").arg(home.join("dovecot.conf"));
            command
        }
        Kind::Courier => courier_command(protocol, home),
    };
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
        .current_dir(home)
        .env("USER", "ann")
        .env("HOME", home)
        .env("TZ", "UTC")
        .stdin(OwnedFd::from(stream.try_clone()?))
        .stdout(OwnedFd::from(stream))
        .stderr(fs::File::create(home.join("stderr")).unwrap());
    let mut child = command.spawn().unwrap();
    // The sockets of the command would keep the connection open.
    drop(command);
    child.wait().map(drop)
}

fn courier_command(protocol: Protocol, home: &Path) -> Command {
    let root = home.join(COURIER);
    let mut command = Command::new(root.join(match protocol {
        Protocol::Imap => "usr/bin/imapd",
        Protocol::Pop3 => "usr/lib/courier/courier/courierpop3d",
    }));
    let path = std::env::join_paths(LIBRARIES.map(|dir| root.join(dir))).unwrap();
    command
        .arg("Maildir")
        .env("LD_LIBRARY_PATH", path)
        .env("AUTHADDR", "ann")
        .env("MAILDIR", home.join("Maildir"))
        .env(
            "IMAP_CAPABILITY",
            "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE IDLE",
        )
        .env("IMAP_KEYWORDS", "1")
        .env("IMAP_USELOCKS", "1")
        .env("IMAP_MAILBOX_SANITY_CHECK", "0");
    match protocol {
        // IMAP finds out by itself; POP3 has to be told who it is.
        Protocol::Imap => command.env_remove("AUTHENTICATED"),
        Protocol::Pop3 => command.env("AUTHENTICATED", "ann"),
    };
    command
}

/// Takes a name and a password, whatever they are; false if the client goes away.
fn let_in(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(b"+OK ready\r\n")?;
    loop {
        let line = line(stream)?.to_ascii_uppercase();
        let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
            // The program that follows answers it.
            "PASS" => return Ok(true),
            "USER" => b"+OK\r\n",
            "CAPA" => b"+OK\r\nUSER\r\nUIDL\r\nTOP\r\n.\r\n",
            "" | "QUIT" => return Ok(false),
            _ => b"-ERR\r\n",
        };
        stream.write_all(answer)?;
    }
}

/// One line, octet by octet: what follows it is for another process.
fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet)? == 1 && octet != *b"\n" {
        line.extend_from_slice(&octet);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// The root below which Courier is installed or unpacked.
fn courier() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/courier");
    let named = std::env::var_os("PILLARBOX_COURIER").map(PathBuf::from);
    [named, Some(unpacked), Some("/".into())]
        .into_iter()
        .flatten()
        .find(|root| root.join("usr/lib/courier/courier/courierpop3d").is_file())
}

/// Copies Courier to where the user that it runs as can reach it: a checkout may be private.
fn copy_courier(home: &Path) {
    let copy = home.join(COURIER);
    for part in ["usr/bin/imapd", "usr/lib/courier/courier/courierpop3d"] {
        let to = copy.join(part);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(courier().unwrap().join(part), to).unwrap();
    }
    for part in LIBRARIES {
        let from = courier().unwrap().join(part);
        // What is installed finds its libraries by itself.
        if from.starts_with("/usr") || !from.is_dir() {
            continue;
        }
        let to = copy.join(part);
        fs::create_dir_all(&to).unwrap();
        let entries = fs::read_dir(&from)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for library in entries.filter(|path| path.is_file()) {
            fs::copy(&library, to.join(library.file_name().unwrap())).unwrap();
        }
    }
}

/// Where its copy is, below the home.
const COURIER: &str = "courier";
/// Where its libraries are.
const LIBRARIES: [&str; 4] = [
    "usr/lib",
    "usr/lib/courier-authlib",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];

/// Gives a file or a whole directory to a user and the group of the same number.
fn give(path: &Path, user: u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.uid() != user || metadata.gid() != user {
        chown(path, Some(user), Some(user)).unwrap();
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Where Debian has Dovecot's programs.
const DOVECOT: &str = "/usr/lib/dovecot";

/// The number of Debian's user and group without rights.
const NOBODY: u32 = 65_534;
