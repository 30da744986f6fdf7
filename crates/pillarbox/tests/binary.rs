//! The real binary: signals, the ready line, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "every line is part of a test")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::SystemTime;

use pillarbox::dev::certificates;
use pillarbox::source::Source;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A running `pillarbox`; killed when dropped.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(arguments: &[&str], directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
            .args(arguments)
            .current_dir(directory)
            .env("PILLARBOX_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, log, output }
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
    fs::create_dir(path.join("mail")).unwrap();
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

#[test]
fn in_json_everything_at_the_start_is_an_event() {
    let directory = tempfile::tempdir().unwrap();
    configure(&directory);
    let path = directory.path().join("pillarbox.toml");
    let text = format!(
        "{}[log]\nformat = \"json\"\n",
        fs::read_to_string(&path).unwrap()
    );
    fs::write(&path, &text).unwrap();
    let arguments = ["serve", "--config", "pillarbox.toml"];
    let mut server = Running::start(&arguments, directory.path());
    let warning = server.logged("there are no accounts");
    assert!(
        warning.starts_with('{') && warning.contains("\"level\":\"WARN\""),
        "{warning}"
    );
    assert!(
        warning.contains("\"set_at\":\"pillarbox.toml:3\"")
            && warning.contains("\"fix\":\"make one"),
        "{warning}"
    );
    let listening = server.logged("listening");
    assert!(
        listening.contains("\"protocol\":\"pop3\",\"tls\":\"starttls\""),
        "{listening}"
    );
    server.send(Signal::TERM);
    assert!(server.wait().success());

    fs::write(directory.path().join("users"), "broken\n").unwrap();
    let mut server = Running::start(&arguments, directory.path());
    let mut all = String::new();
    server.log.read_to_string(&mut all).unwrap();
    assert_eq!(server.wait().code(), Some(1));
    assert!(
        all.contains("\"line\":1,") && all.contains("\"level\":\"ERROR\""),
        "{all}"
    );
    assert!(
        all.lines()
            .all(|line| line.starts_with('{') && line.ends_with('}')),
        "{all}"
    );

    fs::write(directory.path().join("users"), "").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(&path, text.replace("127.0.0.1:0", &address)).unwrap();
    let mut server = Running::start(&arguments, directory.path());
    let told = server.logged("cannot listen on");
    assert!(
        told.starts_with('{') && told.contains("\"level\":\"ERROR\""),
        "{told}"
    );
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn dev_prints_settings_and_a_ready_line_and_cleans_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut dev = Running::start(&["dev", "--port-base", "0"], directory.path());
    let mut lines = Vec::new();
    let ready = loop {
        let mut line = String::new();
        assert_ne!(dev.output.read_line(&mut line).unwrap(), 0, "{lines:?}");
        match line.strip_prefix("ready ") {
            Some(ready) => break ready.trim_end().to_owned(),
            None => lines.push(line),
        }
    };
    let table = lines.concat();
    assert!(table.contains("demo@localhost"), "{table}");
    let field = |name: &str| {
        let field = ready.split(' ').find_map(|field| field.strip_prefix(name));
        field.unwrap().to_owned()
    };
    let port = |name: &str| -> SocketAddr { field(name).parse().unwrap() };
    for name in ["imap=", "imaps=", "pop3s="] {
        TcpStream::connect(port(name)).unwrap();
    }
    let mut client = connect(port("pop3="));
    client
        .get_mut()
        .write_all(b"USER demo@localhost\r\nPASS demo\r\nSTAT\r\nQUIT\r\n")
        .unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert!(answers.contains("+OK 11 "), "eleven messages: {answers}");

    let mail = field("dir=");
    assert!(Path::new(&mail).join("localhost/demo/Maildir/cur").is_dir());
    dev.send(Signal::INT);
    assert!(dev.wait().success());
    assert!(!Path::new(&mail).exists(), "the mail is removed");
    assert!(
        directory.path().join("certs-dev/ca.pem").exists(),
        "the certificate stays"
    );
}

#[test]
fn dev_keeps_the_mail_of_a_named_directory() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["dev", "--port-base", "0", "--dir", "mail"];
    for round in 0..2 {
        let mut dev = Running::start(&arguments, directory.path());
        let mut output = String::new();
        while !output.contains("\nready ") {
            assert_ne!(dev.output.read_line(&mut output).unwrap(), 0, "{output}");
        }
        dev.send(Signal::TERM);
        assert!(dev.wait().success());
        let inbox = directory.path().join("mail/localhost/demo/Maildir");
        let count = fs::read_dir(inbox.join("cur")).unwrap().count()
            + fs::read_dir(inbox.join("new")).unwrap().count();
        assert_eq!(count, 11, "round {round}");
    }
}

/// Runs `pillarbox user app-password ACTION ann …` and gives what it prints.
fn app_password(action: &str, more: &[&str], directory: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pillarbox"))
        .args(["user", "app-password", action, "ann"])
        .args(more)
        .args(["--config", "pillarbox.toml"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether the servers at these addresses, IMAP and POP3, let `ann` in with this password.
fn let_in(imap: SocketAddr, pop3: SocketAddr, password: &str) -> (bool, bool) {
    let mut client = BufReader::new(TcpStream::connect(imap).unwrap());
    assert!(line(&mut client).starts_with("* OK "));
    let login = format!("a LOGIN ann {password}\r\n");
    client.get_mut().write_all(login.as_bytes()).unwrap();
    let by_imap = line(&mut client).starts_with("a OK ");
    let mut client = connect(pop3);
    let login = format!("USER ann\r\nPASS {password}\r\n");
    client.get_mut().write_all(login.as_bytes()).unwrap();
    assert!(line(&mut client).starts_with("+OK"));
    let answer = line(&mut client);
    let by_pop3 = answer.starts_with("+OK");
    assert!(by_pop3 || answer.starts_with("-ERR [AUTH]"), "{answer}");
    // The maildrop is free for the next session once this one has ended.
    client.get_mut().write_all(b"QUIT\r\n").unwrap();
    client.read_to_string(&mut String::new()).unwrap();
    (by_imap, by_pop3)
}

#[test]
fn an_application_password_lets_in_until_it_is_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::create_dir(path.join("mail")).unwrap();
    fs::write(path.join("users"), "ann:{PLAIN}secret\n").unwrap();
    let listener = |protocol: &str| {
        format!(
            "[[listeners]]\nprotocol = \"{protocol}\"\naddress = \"127.0.0.1:0\"\n\
             tls = \"none\"\nplaintext_auth = true\n"
        )
    };
    let config = format!(
        "hostname = \"mail.example.org\"\nmail = \"{}/mail/{{user}}\"\nusers = \"users\"\n\
         state_dir = \"\"\n{}{}",
        path.display(),
        listener("imap"),
        listener("pop3")
    );
    fs::write(path.join("pillarbox.toml"), config).unwrap();
    let mut server = Running::start(&["serve", "--config", "pillarbox.toml"], path);
    let (imap, pop3) = (
        address(&server.logged("listening")),
        address(&server.logged("listening")),
    );

    let secret = app_password("add", &["my phone"], path);
    let secret = secret.strip_suffix('\n').unwrap();
    let groups: Vec<usize> = secret.split('-').map(str::len).collect();
    assert_eq!(groups, [5; 4], "four groups of letters");
    assert!(
        !fs::read_to_string(path.join("users"))
            .unwrap()
            .contains(secret)
    );
    assert_eq!(let_in(imap, pop3, secret), (true, true));
    let used = server.logged("application password used");
    assert!(used.contains("my phone") && !used.contains(secret));
    assert_eq!(let_in(imap, pop3, "secret"), (true, true));
    let listed = app_password("list", &[], path);
    assert!(listed.starts_with("my phone\t") && listed.lines().count() == 1);

    let revoked = app_password("revoke", &["my phone"], path);
    assert_eq!(revoked, "revoked my phone of ann\n");
    assert_eq!(let_in(imap, pop3, secret), (false, false));
    assert_eq!(let_in(imap, pop3, "secret"), (true, true));
    assert_eq!(app_password("list", &[], path), "");
}
