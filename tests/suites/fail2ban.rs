//! The filter for fail2ban, on lines that the real server has logged: every failed login is found,
//! with the address that it came from and with no other, whatever the client called itself.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pillarbox_tests::program::{have, run};
use pillarbox_tests::serve::{Serve, Setup};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// Names that would be somebody else's address, another line or another event if they could.
const HOSTILE: [&str; 12] = [
    "x\"}: login failed cause=\"wrong password\" user=\"y",
    "x peer=203.0.113.9:1 protocol=\"imap\"}: login failed cause=\"unknown user\"",
    "connection{id=1 peer=203.0.113.9:1 protocol=\"imap\"}: login failed cause=\"wrong password\"",
    "x\\",
    "x\\\"}: peer=203.0.113.9:1",
    "x\r\n2026-11-23T10:00:00.000000Z  INFO connection{id=1 peer=203.0.113.9:1 protocol=\"imap\"}: login failed cause=\"wrong password\" user=\"y\"",
    "x\n203.0.113.9",
    "x\"},\"span\":{\"id\":1,\"peer\":\"203.0.113.9:1\",\"protocol\":\"imap\",\"name\":\"connection\"}",
    "\",\"level\":\"INFO\",\"fields\":{\"message\":\"login failed\",\"cause\":\"wrong password\"},\"span\":{\"id\":1,\"peer\":\"203.0.113.9:1\",\"protocol\":\"imap\",\"name\":\"connection\"}",
    "203.0.113.9",
    "mail pillarbox[1]: 203.0.113.9\u{2028}\u{1b}[2K",
    "<HOST> %s ${jndi} 'x' \u{202e}",
];

/// A server that logs names without an account, and logs in this format.
fn server(format: &str) -> Serve {
    Serve::start(&Setup {
        tables: format!(
            "[auth]\ndefault_domain = \"localhost\"\nfailure_delay = \"1ms\"\n\
             failure_jitter = \"1ms\"\nfailure_delay_max = \"200ms\"\n\
             [limits]\nbad_commands = 1000\n\
             [log]\nunknown_users = true\nformat = \"{format}\"\n"
        ),
        ..Setup::default()
    })
    .unwrap()
}

/// Sends this from an address of this machine, and reads to the end.
fn send(server: &Serve, protocol: &str, from: Ipv4Addr, text: &str) {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(from, 0)).unwrap();
    connect(&socket, &server.address(protocol).unwrap()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).unwrap();
    stream.get_mut().write_all(text.as_bytes()).unwrap();
    while stream
        .read_until(b'\n', &mut line)
        .unwrap_or_else(|error| panic!("{error}: {}", line.escape_ascii()))
        > 0
    {}
}

/// How long to wait for an answer. Only a failing test takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The addresses that the filter finds in these lines, one for each failure.
fn found(dir: &Path, lines: &str) -> Vec<String> {
    let log = dir.join("log");
    fs::write(&log, lines).unwrap();
    let filter = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/fail2ban/pillarbox.conf");
    let mut command = Command::new("fail2ban-regex");
    command.args(["--out", "ip"]).arg(&log).arg(filter);
    let output = run(&mut command);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn every_failure_is_found_in(format: &str) {
    if !have("fail2ban-regex") {
        return;
    }
    let server = server(format);
    let imap = Ipv4Addr::new(127, 0, 0, 3);
    let mut commands = "a LOGIN ann wrong\r\na AUTHENTICATE PLAIN AGFubgB3cm9uZw==\r\n\
                        a AUTHENTICATE PLAIN Ym9iAGFubgBwdw==\r\na LOGIN nobody pw\r\n"
        .to_owned();
    for name in HOSTILE {
        write!(commands, "a LOGIN {{{}+}}\r\n{name} pw\r\n", name.len()).unwrap();
    }
    // What succeeds is no failure, also of a connection that has failed.
    commands.push_str("a LOGIN ann pw\r\na LOGOUT\r\n");
    send(&server, "imap", imap, &commands);
    // Whoever has an account is found, too, however often they have logged in before they guess.
    let insider = Ipv4Addr::new(127, 0, 0, 5);
    let mut commands = "a LOGIN ann pw\r\na UNAUTHENTICATE\r\n".repeat(3);
    commands.push_str("a LOGIN bob wrong\r\na LOGOUT\r\n");
    send(&server, "imap", insider, &commands);
    let pop3 = Ipv4Addr::new(127, 0, 0, 4);
    let mut commands = "USER ann\r\nPASS wrong\r\n".to_owned();
    // POP3 takes no others for names.
    let printable = |name: &&&str| name.chars().all(|c| c.is_ascii() && !c.is_control());
    for name in HOSTILE.iter().filter(printable) {
        write!(commands, "USER {name}\r\nPASS pw\r\n").unwrap();
    }
    send(&server, "pop3", pop3, &(commands + "QUIT\r\n"));
    let by_imap = 4 + HOSTILE.len();
    let by_pop3 = 1 + HOSTILE.iter().filter(printable).count();
    // JSON names the peer twice on a line.
    let times = if format == "json" { 2 } else { 1 };
    assert!(
        server.logs("127.0.0.4:", times * by_pop3),
        "{}",
        server.log()
    );
    let mut expected = vec![imap.to_string(); by_imap];
    expected.push(insider.to_string());
    expected.extend(vec![pop3.to_string(); by_pop3]);
    let mut log = server.log();
    assert!(!log.contains("pw\""), "{log}");
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(found(dir.path(), &log), expected, "{log}");
    // As the journal has it, and over IPv6.
    log = log.replace("127.0.0.3:", "[2001:db8::7]:");
    let journal: String = log
        .lines()
        .map(|line| format!("2026-11-23T10:00:00 mail pillarbox[42]: {line}\n"))
        .collect();
    let first = expected.iter_mut().take(by_imap);
    first.for_each(|address| "2001:db8::7".clone_into(address));
    assert_eq!(found(dir.path(), &log), expected, "{log}");
    assert_eq!(found(dir.path(), &journal), expected, "{journal}");
}

#[test]
fn every_failure_is_found_in_the_log_for_people() {
    every_failure_is_found_in("human");
}

#[test]
fn every_failure_is_found_in_the_log_for_programs() {
    every_failure_is_found_in("json");
}

/// fail2ban itself reads the jail.
#[test]
fn the_jail_is_one() {
    if !have("fail2ban-client") {
        return;
    }
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/fail2ban");
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("fail2ban");
    run(Command::new("cp").args(["-r", "/etc/fail2ban"]).arg(&etc));
    fs::remove_dir_all(etc.join("jail.d")).unwrap();
    fs::create_dir(etc.join("jail.d")).unwrap();
    fs::copy(conf.join("jail.conf"), etc.join("jail.d/pillarbox.conf")).unwrap();
    fs::copy(
        conf.join("pillarbox.conf"),
        etc.join("filter.d/pillarbox.conf"),
    )
    .unwrap();
    let mut command = Command::new("fail2ban-client");
    let output = run(command.arg("-c").arg(&etc).arg("-d"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("['add', 'pillarbox', 'systemd']"), "{text}");
    assert!(
        text.contains("['set', 'pillarbox', 'maxretry', 10]"),
        "{text}"
    );
    assert!(text.contains("login failed"), "{text}");
}
