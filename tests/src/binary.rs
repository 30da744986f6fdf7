//! The real `pillarbox` binary, started for a test and ended with it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// A running `pillarbox dev` on free ports, with its mail and certificates in a directory of its
/// own. Killed when dropped.
#[derive(Debug)]
pub struct Binary {
    child: Child,
    dir: TempDir,
    /// Where IMAP in the clear listens.
    pub imap: SocketAddr,
    /// Where IMAP over TLS listens.
    pub imaps: SocketAddr,
    /// Where POP3 in the clear listens.
    pub pop3: SocketAddr,
    /// Where POP3 over TLS listens.
    pub pop3s: SocketAddr,
}

impl Binary {
    /// Builds the binary if need be, starts `pillarbox dev`, and waits for its ready line.
    ///
    /// # Errors
    /// If the binary cannot be built or started, or ends before it is ready.
    pub fn dev() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (child, ready) = start(dir.path())?;
        Ok(Self {
            imap: ready.address("imap")?,
            imaps: ready.address("imaps")?,
            pop3: ready.address("pop3")?,
            pop3s: ready.address("pop3s")?,
            child,
            dir,
        })
    }

    /// Kills the server as [`Binary::kill`] does and starts it again on the same mail and other ports.
    ///
    /// # Errors
    /// If it has ended before, or does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let (child, ready) = start(self.dir.path())?;
        self.child = child;
        self.imap = ready.address("imap")?;
        self.imaps = ready.address("imaps")?;
        self.pop3 = ready.address("pop3")?;
        self.pop3s = ready.address("pop3s")?;
        Ok(())
    }

    /// A directory that lives as long as the server.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The certificate of the authority that signed the server's.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("certs/ca.pem")
    }

    /// The root of a user's Maildir++ tree.
    pub fn maildir(&self, user: &str) -> PathBuf {
        let (local, domain) = user.split_once('@').unwrap_or((user, "localhost"));
        self.dir
            .path()
            .join("mail")
            .join(domain)
            .join(local)
            .join("Maildir")
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the server with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// The line for scripts that says where the server listens.
struct Ready(String);

impl Ready {
    fn address(&self, name: &str) -> Result<SocketAddr> {
        let name = format!("{name}=");
        let value = self
            .0
            .split(' ')
            .find_map(|field| field.strip_prefix(&name));
        Ok(value
            .with_context(|| format!("no {name} in: ready {}", self.0))?
            .parse()?)
    }
}

/// Starts `pillarbox dev` with its mail and certificates in this directory.
fn start(dir: &Path) -> Result<(Child, Ready)> {
    let mut child = Command::new(executable()?)
        .args(["dev", "--port-base", "0", "--dir"])
        .arg(dir.join("mail"))
        .arg("--certs")
        .arg(dir.join("certs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .context("starting pillarbox dev")?;
    let output = child.stdout.take().context("no standard output")?;
    let mut lines = BufReader::new(output).lines();
    let ready = loop {
        match lines.next() {
            Some(line) => {
                if let Some(ready) = line?.strip_prefix("ready ") {
                    break Ready(ready.to_owned());
                }
            }
            None => bail!("pillarbox dev ended before it was ready: {}", child.wait()?),
        }
    };
    // The rest of its output is read so that it never blocks.
    std::thread::spawn(move || lines.for_each(drop));
    Ok((child, ready))
}

/// The path of the binary, built once per test run with the profile of the tests.
///
/// # Errors
/// If it cannot be built.
pub fn executable() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "build",
        "--quiet",
        "--package",
        "pillarbox",
        "--bin",
        "pillarbox",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    ensure!(command.status()?.success(), "building pillarbox failed");
    let this = std::env::current_exe()?;
    let built = this.parent().context("no target directory")?;
    // Tests are one level deeper than programs.
    let profile = match built.parent() {
        Some(profile) if built.ends_with("deps") => profile,
        _ => built,
    };
    Ok(profile.join("pillarbox"))
}

/// Writes messages as files straight into a Maildir's `new/`, as a delivery agent does.
///
/// # Errors
/// If a file cannot be written.
pub fn deliver_files(maildir: &Path, messages: impl IntoIterator<Item = Vec<u8>>) -> Result<()> {
    for directory in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(directory))?;
    }
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for message in messages {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "{}.M{:06}P1Q{number}.test",
            1_700_000_000 + number / 1000,
            number % 1000
        );
        let temporary = maildir.join("tmp").join(&name);
        std::fs::write(&temporary, message)?;
        std::fs::rename(&temporary, maildir.join("new").join(&name))?;
    }
    Ok(())
}
