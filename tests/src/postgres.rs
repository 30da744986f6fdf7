//! A PostgreSQL server of a test's own, in a directory of its own, without a network. Ended with it.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::missing;

/// A PostgreSQL server. Killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    /// Whom it runs as, if that is somebody else than we are.
    user: Option<(u32, u32)>,
    port: u16,
}

impl Postgres {
    /// Makes and starts a server; `None` if PostgreSQL is not installed.
    ///
    /// # Errors
    /// If it does not start.
    ///
    /// # Panics
    /// If it is not installed, and `PILLARBOX_REQUIRE_CLIENTS` is set.
    pub fn start() -> Result<Option<Self>> {
        let Some(bin) = installed() else {
            missing("PostgreSQL");
            return Ok(None);
        };
        let dir = tempfile::tempdir()?;
        // Everybody may connect; the tests' own password is asked for nevertheless.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let mut user = None;
        if rustix::process::geteuid().is_root() {
            // It refuses to run as root.
            let nobody = (65_534, 65_534);
            chown(dir.path(), Some(nobody.0), Some(nobody.1))?;
            user = Some(nobody);
        }
        let port = free_port()?;
        let mut postgres = Self {
            dir,
            bin,
            user,
            port,
        };
        let passwords = postgres.dir.path().join("superuser");
        fs::write(&passwords, "superuser\n")?;
        let mut init = postgres.command("initdb");
        init.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--username=postgres", "--no-sync", "-D"])
            .arg(postgres.dir.path().join("data"))
            .arg(format!("--pwfile={}", passwords.display()));
        succeeded(&mut init)?;
        postgres.run_server()?;
        Ok(Some(postgres))
    }

    /// Starts the server again, after it was stopped or killed, and waits until it answers.
    ///
    /// # Errors
    /// If it does not start.
    pub fn run_server(&mut self) -> Result<()> {
        let mut options = format!(
            "-c unix_socket_directories={} -c listen_addresses=127.0.0.1 -c port={} -c fsync=off",
            self.dir.path().display(),
            self.port
        );
        if self.dir.path().join("server.key").exists() {
            options.push_str(
                " -c ssl=on -c ssl_cert_file=../server.pem -c ssl_key_file=../server.key",
            );
        }
        let log = self.dir.path().join("log");
        let mut start = self.control("start");
        start.arg("-l").arg(&log).args(["-o", &options]);
        succeeded(&mut start).with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(())
    }

    /// Lets it offer TLS with this certificate and key from its next start on.
    ///
    /// # Errors
    /// If they cannot be copied.
    pub fn use_tls(&self, certificate: &Path, key: &Path) -> Result<()> {
        for (from, name) in [(certificate, "server.pem"), (key, "server.key")] {
            let to = self.dir.path().join(name);
            fs::copy(from, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600))?;
            if let Some((user, group)) = self.user {
                chown(&to, Some(user), Some(group))?;
            }
        }
        Ok(())
    }

    /// Runs SQL as the owner of everything.
    ///
    /// # Errors
    /// If it fails.
    pub fn sql(&self, database: &str, text: &str) -> Result<()> {
        let mut psql = self.command("psql");
        psql.args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(self.dir.path())
            .args(["-p", &self.port.to_string(), "-d", database, "-c", text])
            .env("PGPASSWORD", "superuser");
        succeeded(&mut psql)
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    /// Its port on 127.0.0.1, and in the name of its socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as an administrator would, and disconnects everybody.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn stop(&mut self) -> Result<()> {
        succeeded(self.control("stop").args(["-m", "fast"]))
    }

    /// Ends all its processes at once, as a crash would.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn kill(&mut self) -> Result<()> {
        succeeded(self.control("stop").args(["-m", "immediate"]))
    }

    /// Holds all its processes still, so that connections are there and nothing answers.
    ///
    /// # Errors
    /// If it has ended before.
    pub fn freeze(&self) -> Result<()> {
        self.signal_all(Signal::STOP)
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Errors
    /// If it has ended before.
    pub fn thaw(&self) -> Result<()> {
        self.signal_all(Signal::CONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<()> {
        let pid = fs::read_to_string(self.dir.path().join("data/postmaster.pid"))?;
        let pid = pid.lines().next().unwrap_or_default().to_owned();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for process in children.split_whitespace().chain([pid.as_str()]) {
            if let Some(process) = Pid::from_raw(process.parse()?) {
                kill_process(process, signal)?;
            }
        }
        Ok(())
    }

    /// Starts or stops the server, and waits until that is done.
    fn control(&self, action: &str) -> Command {
        let mut command = self.command("pg_ctl");
        command.args([action, "-s", "-w", "-t", "60", "-D"]);
        command.arg(self.dir.path().join("data"));
        command
    }

    /// A program of PostgreSQL.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(self.dir.path()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        drop(self.thaw());
        drop(self.kill());
    }
}

/// The newest PostgreSQL as Debian installs it, or the one in the PATH.
fn installed() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("initdb").is_file())
    })
}

fn free_port() -> Result<u16> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(socket.local_addr()?.port())
}

fn succeeded(command: &mut Command) -> Result<()> {
    // The server that `pg_ctl` leaves behind would hold a pipe open.
    let errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(errors.try_clone()?).status()?;
    let mut text = String::new();
    let mut errors = errors;
    errors.seek(SeekFrom::Start(0))?;
    errors.read_to_string(&mut text)?;
    ensure!(status.success(), "{command:?}: {status}\n{text}");
    Ok(())
}
