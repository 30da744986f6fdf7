//! The real binary: signals, the ready line, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "every line is part of a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use pillarbox::dev::certificates;
use pillarbox::source::Source;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `pillarbox`; killed when dropped.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str], directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
            .args(arguments)
            .current_dir(directory)
            .env("PILLARBOX_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to a line that holds `text`, and gives that line.
    fn logged(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            let length = self.log.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "no line with {text:?} in:\n{all}");
            if line.contains(text) {
                return line;
            }
            all.push_str(&line);
        }
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// A configuration with a POP3 listener on a free port, its users file and its certificate.
fn configure(directory: &TempDir) {
    let path = directory.path();
    certificates::obtain(path, now()).unwrap();
    fs::write(path.join("users"), "").unwrap();
    let config = format!(
        "hostname = \"mail.example.org\"\n\
         mail = \"{}/mail/{{user}}\"\n\
         users = \"users\"\n\
         certificate = \"localhost.pem\"\n\
         key = \"localhost-key.pem\"\n\
         [[listeners]]\n\
         protocol = \"pop3\"\n\
         address = \"127.0.0.1:0\"\n\
         tls = \"starttls\"\n",
        path.display()
    );
    fs::write(path.join("pillarbox.toml"), config).unwrap();
}

fn now() -> SystemTime {
    Source::system().wall()
}

/// The address in a log line about a listener.
fn address(line: &str) -> SocketAddr {
    let address = line
        .split_whitespace()
        .find_map(|field| field.strip_prefix("address="));
    address.unwrap().parse().unwrap()
}

/// A client that has read the greeting.
fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let mut client = BufReader::new(TcpStream::connect(address).unwrap());
    assert!(line(&mut client).starts_with("+OK "));
    client
}

fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line
}

#[test]
fn sighup_reads_again_and_drops_nobody_and_sigterm_says_goodbye() {
    let directory = tempfile::tempdir().unwrap();
    configure(&directory);
    let mut server = Running::start(&["serve", "--config", "pillarbox.toml"], directory.path());
    let address = address(&server.logged("listening"));
    let mut client = connect(address);

    server.send(Signal::HUP);
    server.logged("users read again");
    server.logged("certificate read again");
    fs::write(directory.path().join("localhost.pem"), "damaged").unwrap();
    server.send(Signal::HUP);
    server.logged("the old one stays");

    client.get_mut().write_all(b"NOOP\r\n").unwrap();
    assert!(!line(&mut client).is_empty(), "the session goes on");

    server.send(Signal::TERM);
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert!(rest.starts_with("-ERR [SYS/TEMP] "), "{rest}");
    drop(client);
    assert!(server.wait().success());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_bad_configuration_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    configure(&directory);
    fs::write(directory.path().join("pillarbox.toml"), "hostnam = 1\n").unwrap();
    let mut server = Running::start(&["serve", "--config", "pillarbox.toml"], directory.path());
    assert!(server.logged("hostnam").contains("pillarbox.toml:1"));
    assert_eq!(server.wait().code(), Some(1));
}
