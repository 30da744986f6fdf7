//! The real `pillarbox serve` with a configuration of the test's own, watched from outside.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::binary::executable;
use crate::server::identity_files;

/// What a server is to be like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Users, all with the password `pw` in the clear.
    pub users: Vec<String>,
    /// Whole lines of the users file besides.
    pub lines: Vec<String>,
    /// More of the configuration: tables other than `[[listeners]]`.
    pub tables: String,
    /// Whether passwords may be sent without TLS.
    pub plaintext_auth: bool,
    /// The most file descriptors that it may open.
    pub descriptors: Option<u32>,
    /// The user that it runs as, who then owns all its files; only root can start such a server.
    pub uid: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            users: ["ann", "bob", "eve"].map(str::to_owned).to_vec(),
            lines: Vec::new(),
            tables: String::new(),
            plaintext_auth: true,
            descriptors: None,
            uid: None,
        }
    }
}

/// A running `pillarbox serve`, with its files in a directory of its own. Killed when dropped.
#[derive(Debug)]
pub struct Serve {
    child: Child,
    dir: Arc<TempDir>,
    descriptors: Option<u32>,
    uid: Option<u32>,
    log: Arc<Log>,
    addresses: Vec<(String, SocketAddr)>,
}

impl Serve {
    /// Starts a server that is like this.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it listens.
    pub fn start(setup: &Setup) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut users = String::new();
        for user in &setup.users {
            writeln!(users, "{user}@localhost:{{PLAIN}}pw")?;
        }
        for line in &setup.lines {
            writeln!(users, "{line}")?;
        }
        fs::write(dir.path().join("users"), users)?;
        fs::create_dir(dir.path().join("mail"))?;
        fs::create_dir(dir.path().join("state"))?;
        identity_files(
            &dir.path().join("certificate.pem"),
            &dir.path().join("key.pem"),
        )?;
        let mut text = format!(
            "hostname = \"localhost\"\nmail = \"{}/mail/{{local}}\"\nusers = \"users\"\n\
             certificate = \"certificate.pem\"\nkey = \"key.pem\"\nstate_dir = \"state\"\n{}\n",
            dir.path().display(),
            setup.tables
        );
        if !setup.tables.contains("[auth]") {
            text.push_str("[auth]\ndefault_domain = \"localhost\"\n");
        }
        for (protocol, tls) in LISTENERS {
            write!(
                text,
                "[[listeners]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n\
                 tls = \"{tls}\"\nplaintext_auth = {}\n",
                setup.plaintext_auth
            )?;
        }
        fs::write(dir.path().join("pillarbox.toml"), text)?;
        if let Some(uid) = setup.uid {
            // Its own copy, because that user may not get to where it was built.
            fs::copy(executable()?, dir.path().join("pillarbox"))?;
            own(dir.path(), uid)?;
        }
        Self::run(Arc::new(dir), setup.descriptors, setup.uid)
    }

    /// Starts another server on the files of this one, which goes on.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it listens.
    pub fn beside(&self) -> Result<Self> {
        self.restart()
    }

    /// Starts a server on the files of this one, which has ended.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it listens.
    pub fn restart(&self) -> Result<Self> {
        Self::run(Arc::clone(&self.dir), self.descriptors, self.uid)
    }

    fn run(dir: Arc<TempDir>, descriptors: Option<u32>, uid: Option<u32>) -> Result<Self> {
        let executable = match uid {
            None => executable()?,
            Some(_) => dir.path().join("pillarbox"),
        };
        let mut command = match descriptors {
            None => Command::new(executable),
            Some(most) => {
                let mut command = Command::new("sh");
                let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
                command.arg("-c").arg(script).arg(executable);
                command
            }
        };
        if let Some(uid) = uid {
            command.uid(uid).gid(uid).current_dir(dir.path());
        }
        let mut child = command
            .args(["serve", "--config"])
            .arg(dir.path().join("pillarbox.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting pillarbox serve")?;
        let errors = child.stderr.take().context("no standard error")?;
        let log = Arc::new(Log::default());
        let (found, listening) = mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                if let Some(listener) = listener(&line) {
                    // Nobody waits for more than there should be.
                    found.send(listener).unwrap_or_default();
                }
                kept.push(&line);
            }
        });
        let mut addresses = Vec::new();
        while addresses.len() < LISTENERS.len() {
            match listening.recv() {
                Ok(listener) => addresses.push(listener),
                Err(_) => {
                    let status = child.wait()?;
                    let log = log.text();
                    anyhow::bail!("pillarbox serve ended before it listened: {status}\n{log}");
                }
            }
        }
        Ok(Self {
            child,
            dir,
            descriptors,
            uid,
            log,
            addresses,
        })
    }

    /// Where something is spoken: `imap`, `imaps`, `pop3` or `pop3s`.
    ///
    /// # Errors
    /// If it is not.
    pub fn address(&self, name: &str) -> Result<SocketAddr> {
        self.addresses
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, address)| *address)
            .with_context(|| format!("no listener for {name}"))
    }

    /// The directory that holds all its files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The root of a user's Maildir++ tree.
    pub fn maildir(&self, user: &str) -> PathBuf {
        self.dir.path().join("mail").join(user)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until it has logged `times` lines that hold `text`; false if it does not soon.
    pub fn logs(&self, text: &str, times: usize) -> bool {
        self.log.wait(text, times)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// KiB of memory that it has to itself. Other than [`memory`](Self::memory), it does not change
    /// when another server begins or ends, which shares the pages of the program.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn own_memory(&self) -> Result<u64> {
        self.figure("smaps_rollup", "Anonymous:")
    }

    /// Its memory in KiB: what it holds alone, and its part of what it shares.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> Result<u64> {
        self.figure("smaps_rollup", "Pss:")
    }

    /// The most memory in KiB that it held at once since [`Self::forget_peak`].
    ///
    /// # Errors
    /// If it has ended.
    pub fn peak(&self) -> Result<u64> {
        self.figure("status", "VmHWM:")
    }

    /// Begins to watch for the peak of its memory anew, and says how much it holds now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn forget_peak(&self) -> Result<u64> {
        fs::write(self.proc("clear_refs"), "5")?;
        self.peak()
    }

    /// The processor time that it has used, in hundredths of a second.
    ///
    /// # Errors
    /// If it has ended.
    pub fn processor_time(&self) -> Result<u64> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        let (_, rest) = stat.rsplit_once(')').context("unreadable stat")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field =
            |at: usize| -> Result<u64> { Ok(fields.get(at).context("short stat")?.parse()?) };
        Ok(field(11)? + field(12)?)
    }

    fn figure(&self, file: &str, name: &str) -> Result<u64> {
        let text = fs::read_to_string(self.proc(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.with_context(|| format!("no {name}"))?.parse()?)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// Kills it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.wait()?;
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// Gives a directory and everything in it to a user.
fn own(directory: &Path, uid: u32) -> Result<()> {
    chown(directory, Some(uid), Some(uid))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            own(&entry.path(), uid)?;
        } else {
            chown(entry.path(), Some(uid), Some(uid))?;
        }
    }
    Ok(())
}

/// What a server has logged.
#[derive(Debug, Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

impl Log {
    fn push(&self, line: &str) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str(line);
        text.push('\n');
        self.grown.notify_all();
    }

    fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }

    fn wait(&self, wanted: &str, times: usize) -> bool {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |text: &mut String| text.matches(wanted).count() < times;
        let waited = self.grown.wait_timeout_while(text, PATIENCE, missing);
        let (_text, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }
}

/// The name and address in the log line of a listener, be the log for people or JSON.
fn listener(line: &str) -> Option<(String, SocketAddr)> {
    let field = |name: &str| {
        let (_, rest) = [format!(" {name}="), format!("\"{name}\":")]
            .iter()
            .find_map(|name| line.split_once(name.as_str()))?;
        let value = rest.split([' ', ',', '}']).next()?;
        Some(value.trim_matches('"'))
    };
    if !line.contains("listening") {
        return None;
    }
    let address = field("address")?.parse().ok()?;
    let secure = if field("tls")? == "implicit" { "s" } else { "" };
    let name = format!("{}{secure}", field("protocol")?);
    Some((name, address))
}

/// How long to wait for a line in the log. Only a failing test takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Protocol and TLS mode of every listener.
const LISTENERS: [(&str, &str); 4] = [
    ("imap", "starttls"),
    ("imap", "implicit"),
    ("pop3", "starttls"),
    ("pop3", "implicit"),
];
