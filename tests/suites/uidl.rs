//! Unique-ids after a takeover are those that the real Dovecot gave, whatever its format was.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pillarbox_tests::peer::have_dovecot;
use pillarbox_tests::program::{finish, run};
use pillarbox_tests::serve::{Serve, Setup};

const NOBODY: u32 = 65_534;

/// The lines of the answers to LIST and UIDL.
#[derive(Debug, PartialEq, Eq)]
struct Listing {
    sizes: Vec<String>,
    unique_ids: Vec<String>,
}

/// A user's home, and Dovecot to serve it.
struct Dovecot {
    dir: tempfile::TempDir,
}

impl Dovecot {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let config = format!(
            "base_dir = {dir}/run\nlog_path = /dev/stderr\nssl = no\nprotocols = pop3\n\
             first_valid_uid = 0\nfirst_valid_gid = 0\nmail_location = maildir:~/Maildir\n",
            dir = dir.path().display()
        );
        fs::write(dir.path().join("dovecot.conf"), config).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        Self { dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn maildir(&self) -> PathBuf {
        self.home().join("Maildir")
    }

    /// What Dovecot answers with these settings. It does not run as root, and needs no network:
    /// its POP3 process speaks to whoever started it.
    fn lists(&self, settings: &[&str]) -> Listing {
        let root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut command = Command::new("/usr/lib/dovecot/pop3");
        command.arg("-c").arg(self.dir.path().join("dovecot.conf"));
        for setting in settings {
            command.args(["-o", setting]);
        }
        if root {
            let owner = NOBODY.to_string();
            run(Command::new("chown")
                .arg("-R")
                .arg(owner)
                .arg(self.dir.path()));
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .env("USER", "ann")
            .env("HOME", self.home())
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"LIST\r\nUIDL\r\nQUIT\r\n").unwrap();
        let output = finish(child);
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines = text.lines().map(str::to_owned);
        assert!(text.starts_with("+OK"), "{text}\n{log}");
        let listing = Listing {
            sizes: multi_line(&mut lines),
            unique_ids: multi_line(&mut lines),
        };
        assert!(!log.contains("Error"), "{log}");
        listing
    }

    /// What Pillarbox answers for a copy of the same Maildir.
    fn pillarbox_lists(&self, format: &str) -> Listing {
        let server = Serve::start(&Setup {
            tables: format!("[pop3]\nuidl_format = \"{format}\"\n"),
            ..Setup::default()
        })
        .unwrap();
        let maildir = server.maildir("ann");
        run(Command::new("cp")
            .arg("-a")
            .arg(self.maildir())
            .arg(&maildir));
        lists(server.address("pop3").unwrap())
    }
}

/// The lines of a multi-line response.
fn multi_line(lines: &mut impl Iterator<Item = String>) -> Vec<String> {
    let first = lines.next().unwrap();
    assert!(first.starts_with("+OK"), "{first}");
    lines.take_while(|line| line != ".").collect()
}

/// What a server answers to LIST and UIDL.
fn lists(address: SocketAddr) -> Listing {
    let mut stream = TcpStream::connect(address).unwrap();
    let commands = b"USER ann@localhost\r\nPASS pw\r\nLIST\r\nUIDL\r\nQUIT\r\n";
    stream.write_all(commands).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    for what in ["greeting", "USER", "PASS"] {
        let line = lines.next().unwrap();
        assert!(line.starts_with("+OK"), "{what}: {line}");
    }
    Listing {
        sizes: multi_line(&mut lines),
        unique_ids: multi_line(&mut lines),
    }
}

/// Messages whose headers are folded, repeated and empty in all the ways that count for `%m`.
fn messages() -> Vec<String> {
    let fields = [
        "Date",
        "message-id",
        "Received",
        "DELIVERED-TO",
        "X-Delivery-ID",
        "Subject",
    ];
    let values = [
        " a",
        "  two",
        "\tthree\n folded",
        "",
        " \n\tfour\n  five ",
        " <a@example.org>",
    ];
    (0..36)
        .map(|number: usize| {
            let mut message = format!("From: ann@example.org\nTo: {number}\n");
            for step in 0..number % 7 {
                let field = fields[(number + step * 5) % fields.len()];
                let value = values[(number * 7 + step) % values.len()];
                writeln!(message, "{field}:{value}").unwrap();
            }
            message + "\nbody\n.\n"
        })
        .collect()
}

/// Names as delivery agents give them; some are new, some have flags and sizes.
fn deposit(maildir: &Path, messages: &[String]) {
    for part in ["", "cur", "new", "tmp"] {
        fs::create_dir(maildir.join(part)).unwrap();
    }
    for (number, message) in messages.iter().enumerate() {
        let base = format!("{}.M{number}P7.mail.example.org", 1_700_000_000 + number);
        let name = match number % 4 {
            0 => format!("new/{base}"),
            1 => format!("cur/{base}:2,"),
            2 => format!("cur/{base},S={}:2,RS", message.len()),
            _ => format!("cur/{base},S={}:2,Fa", message.len()),
        };
        fs::write(maildir.join(name), message).unwrap();
    }
}

/// Writes P, O and G into some lines of `dovecot-uidlist`, as migrations do.
fn give_values(maildir: &Path) {
    let path = maildir.join("dovecot-uidlist");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let mut changed = format!("{}\n", lines.next().unwrap());
    for (number, line) in lines.enumerate() {
        let (before, name) = line.split_once(" :").unwrap();
        let values = match number {
            3 => " Pold-unique-id-3",
            5 => " P",
            8 => " G0123456789abcdef0123456789abcdef",
            11 => " O2 PUID11-1234567890",
            20 => " O1",
            30 => " O1 Gsome-guid",
            _ => "",
        };
        writeln!(changed, "{before}{values} :{name}").unwrap();
    }
    fs::write(&path, changed).unwrap();
    for entry in fs::read_dir(maildir).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("dovecot.index")
        {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

#[test]
fn every_format_goes_on() {
    if !have_dovecot() {
        return;
    }
    let dovecot = Dovecot::new();
    deposit(&dovecot.maildir(), &messages());
    assert_eq!(dovecot.lists(&[]).unique_ids.len(), 36);
    give_values(&dovecot.maildir());
    for format in [
        "%08Xu%08Xv",
        "%u-%v",
        "UID%u-%v",
        "%v.%u",
        "%f",
        "%g",
        "%Mf",
        "%XUu-%012v-%4f-%Lf",
    ] {
        let before = dovecot.lists(&[&format!("pop3_uidl_format={format}")]);
        let kept = |line: &String| line.ends_with(" old-unique-id-3");
        assert!(before.unique_ids.iter().any(kept), "{before:?}");
        assert_eq!(dovecot.pillarbox_lists(format), before, "{format}");
    }
}

#[test]
fn sums_of_headers_go_on_after_mbox() {
    if !have_dovecot() {
        return;
    }
    let dovecot = Dovecot::new();
    let messages = messages();
    let mut mbox = String::new();
    for message in &messages {
        write!(mbox, "From ann Tue Nov 14 12:00:00 2023\n{message}\n").unwrap();
    }
    fs::write(dovecot.home().join("mbox"), mbox).unwrap();
    fs::create_dir(dovecot.home().join("mail")).unwrap();
    let before = dovecot.lists(&[
        "pop3_uidl_format=%m",
        "mail_location=mbox:~/mail:INBOX=~/mbox",
    ]);
    assert_eq!(before.unique_ids.len(), messages.len());
    deposit(&dovecot.maildir(), &messages);
    for format in ["%m", "md5"] {
        let after = dovecot.pillarbox_lists(format);
        assert_eq!(after.unique_ids, before.unique_ids);
    }
}
