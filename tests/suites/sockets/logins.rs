//! Guessing passwords, many sessions, and what is logged (S23 to S25, S40 to S42).

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use pillarbox_tests::binary::executable;
use pillarbox_tests::client::{Client, raise_descriptors, serve, timed};
use pillarbox_tests::program::finish;
use pillarbox_tests::serve::{Serve, Setup};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// Failures are answered soon, so that many of them can be tried one after the other.
const QUICK: &str = "[auth]\ndefault_domain = \"localhost\"\nfailure_delay = \"1ms\"\n\
                     failure_jitter = \"1ms\"\nfailure_delay_max = \"200ms\"\n";

/// Connects from another address of this machine.
fn from_another_address(to: SocketAddr) -> TcpStream {
    from_address(Ipv4Addr::new(127, 0, 0, 2), to)
}

/// Connects from this address, which is one of this machine.
fn from_address(here: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new(here, 0)).unwrap();
    connect(&socket, &to).unwrap();
    TcpStream::from(socket)
}

#[test]
fn s23_failed_logins_wait_and_others_do_not() {
    let server = serve("");
    let mut guesser = Client::greeted(&server, "imap");
    let (completion, time) = timed(|| guesser.completion("LOGIN ann wrong"));
    assert!(completion.starts_with("NO [AUTHENTICATIONFAILED]"));
    assert!(time >= Duration::from_secs(1), "{time:?}");
    guesser.send("a LOGIN ann wrong\r\n");
    // The second failure waits for two seconds at least.
    let mut other = BufReader::new(from_another_address(server.address("imap").unwrap()));
    other.get_mut().write_all(b"a LOGIN ann pw\r\n").unwrap();
    let (answer, time) = timed(|| other.lines().nth(1).unwrap().unwrap());
    assert!(answer.starts_with("a OK"), "{answer}");
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[test]
fn s23_ten_failed_logins_close_the_connection() {
    let server = serve(QUICK);
    let mut imap = Client::greeted(&server, "imap");
    imap.send("a LOGIN ann wrong\r\n".repeat(12));
    let answer = imap.rest();
    assert!(answer.contains("* BYE"), "{answer}");
    assert!(answer.matches("a NO").count() <= 10, "{answer}");
    let mut pop3 = Client::greeted(&server, "pop3");
    pop3.send("USER ann\r\nPASS wrong\r\n".repeat(12));
    let answer = pop3.rest();
    assert!(answer.matches("-ERR [AUTH]").count() <= 10, "{answer}");
}

/// What is remembered is in a file within a few seconds, and at the end.
#[test]
fn s23_a_restart_forgets_no_failures_and_no_known_address() {
    let mut server = Serve::start(&Setup {
        tables: QUICK.replace("200ms", "3s"),
        ..Setup::default()
    })
    .unwrap();
    let file = server.dir().join("state/throttle");
    let login = |server: &Serve, from: Ipv4Addr, password: &str| {
        let stream = from_address(from, server.address("imap").unwrap());
        let mut client = BufReader::new(stream);
        let command = format!("a LOGIN ann {password}\r\n");
        client.get_mut().write_all(command.as_bytes()).unwrap();
        timed(|| client.lines().nth(1).unwrap().unwrap())
    };
    let home = Ipv4Addr::new(127, 0, 0, 2);
    assert!(login(&server, home, "pw").0.starts_with("a OK"));
    // As from a botnet: twenty-five addresses, once each, all at the same time.
    std::thread::scope(|scope| {
        for number in 0..25 {
            let server = &server;
            scope.spawn(move || {
                let (answer, _) = login(server, Ipv4Addr::new(127, 1, 0, number), "guess");
                assert!(answer.starts_with("a NO [AUTH"), "{answer}");
            });
        }
    });
    for politely in [true, false] {
        let text = if politely {
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(server.pid().cast_signed()).unwrap(),
                rustix::process::Signal::TERM,
            )
            .unwrap();
            server.wait().unwrap();
            "at the end"
        } else {
            server.kill().unwrap();
            "by a crash"
        };
        let kept = std::fs::metadata(&file).expect(text);
        assert_eq!(kept.permissions().mode() & 0o777, 0o600);
        server = server.restart().unwrap();
        let stranger = Ipv4Addr::new(127, 2, 0, u8::from(politely));
        let (answer, time) = login(&server, stranger, "guess");
        assert!(answer.starts_with("a NO [AUTH"), "{answer}");
        assert!(time >= Duration::from_secs(3), "{text}: {time:?}");
        let (answer, time) = login(&server, home, "pw");
        assert!(answer.starts_with("a OK"), "{answer}");
        assert!(time < Duration::from_secs(3), "{text}: {time:?}");
    }
    server.kill().unwrap();
    std::fs::write(&file, "damaged").unwrap();
    server = server.restart().unwrap();
    assert!(server.logs("failed logins of before the start are forgotten", 1));
    assert!(
        login(&server, Ipv4Addr::new(127, 2, 0, 9), "pw")
            .0
            .starts_with("a OK")
    );
}

#[test]
fn s24_unknown_users_and_wrong_passwords_look_the_same() {
    let server = serve(QUICK);
    let mut answers = Vec::new();
    for user in [
        "ann",
        "nobody",
        "../ann",
        "ann@elsewhere",
        "%s%n",
        "ann@localhost",
    ] {
        let mut imap = Client::greeted(&server, "imap");
        answers.push(imap.completion(format!("LOGIN \"{user}\" wrong")));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let mut answers = Vec::new();
    for user in ["ann", "nobody", "../ann", "ann@elsewhere", "%s%n"] {
        let mut pop3 = Client::greeted(&server, "pop3");
        let user = pop3.ask(&format!("USER {user}"));
        answers.push((user, pop3.ask("PASS wrong")));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// A line of the users file with a real hash.
fn argon2_line(user: &str) -> String {
    let mut child = Command::new(executable().unwrap())
        .args(["user", "hash", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"pw\n").unwrap();
    let output = finish(child);
    let hash = String::from_utf8(output.stdout).unwrap();
    format!("{user}@localhost:{}", hash.trim())
}

#[test]
fn s25_password_checks_are_bounded() {
    let server = Serve::start(&Setup {
        lines: vec![argon2_line("zoe")],
        // Forty attempts at once are looked at, and not only the first of them.
        tables: QUICK.replace("200ms", "5s"),
        ..Setup::default()
    })
    .unwrap();
    let mut inside = Client::imap(&server, "ann");
    let before = server.forget_peak().unwrap();
    let mut attackers: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = Client::greeted(&server, "imap");
            client.send("a LOGIN zoe wrong\r\n".repeat(3));
            client
        })
        .collect();
    let (_, time) = timed(|| inside.ok("NOOP"));
    assert!(time < Duration::from_secs(5), "{time:?}");
    for attacker in &mut attackers {
        let answer = attacker.line();
        assert!(answer.starts_with("a NO"), "{answer}");
    }
    let grown = server.peak().unwrap().saturating_sub(before);
    assert!(grown < 260 * 1024, "{grown} KiB more at the peak");
    let (_, time) = timed(|| inside.ok("SELECT INBOX"));
    assert!(time < Duration::from_secs(5), "{time:?}");
}

#[test]
fn s40_sessions_of_a_user_are_limited_and_their_places_come_back() {
    let server = serve("");
    let mut sessions: Vec<Client> = (0..20).map(|_| Client::imap(&server, "ann")).collect();
    let mut refused = Client::greeted(&server, "imap");
    let completion = refused.completion("LOGIN ann pw");
    assert!(completion.starts_with("NO [LIMIT]"), "{completion}");
    let mut refused = Client::greeted(&server, "pop3");
    refused.ask("USER ann");
    let answer = refused.ask("PASS pw");
    assert!(answer.starts_with("-ERR [SYS/TEMP]"), "{answer}");
    // Others have places of their own.
    drop(Client::imap(&server, "bob"));
    for session in &mut sessions {
        session.ok("LOGOUT");
        assert_eq!(session.rest(), "");
    }
    let again: Vec<Client> = (0..20).map(|_| Client::imap(&server, "ann")).collect();
    drop((again, sessions));
}

#[test]
fn s41_idle_sessions_are_cheap() {
    raise_descriptors();
    let server = Serve::start(&Setup {
        users: (0..20).map(|at| format!("u{at}")).collect(),
        tables: "[storage]\nfsync = \"never\"\n".to_owned(),
        ..Setup::default()
    })
    .unwrap();
    let session = |name: &str, at: usize| {
        let mut client = Client::greeted(&server, name);
        client.ok(&format!("LOGIN u{} pw", at % 20));
        client.ok("SELECT INBOX");
        client
    };
    // The accounts themselves are not counted.
    let first: Vec<Client> = (0..20).map(|at| session("imaps", at)).collect();
    drop(first);
    for (name, most) in [("imap", 16), ("imaps", 48)] {
        let before = server.memory().unwrap();
        let clients: Vec<Client> = (0..200).map(|at| session(name, at)).collect();
        let each = server.memory().unwrap().saturating_sub(before) / 200;
        println!("{name}: {each} KiB for each idle session");
        assert!(each <= most, "{name}: {each} KiB for each idle session");
        drop(clients);
    }
}

#[test]
fn s42_logs_hold_no_secrets_and_an_event_is_a_line() {
    let server = serve(
        "[log]\nlevel = \"trace\"\n[auth]\ndefault_domain = \"localhost\"\nfailure_delay = \"1ms\"\n\
         failure_jitter = \"1ms\"\nfailure_delay_max = \"200ms\"\n",
    );
    let mut imap = Client::greeted(&server, "imap");
    imap.completion("LOGIN ann TopSecret1");
    // "\0ann\0TopSecret2", also where base64 does not belong.
    imap.completion("AUTHENTICATE PLAIN AGFubgBUb3BTZWNyZXQy");
    imap.completion("AUTHENTICATE AGFubgBUb3BTZWNyZXQy PLAIN TopSecret3 (");
    imap.completion("LOGIN {99999}");
    imap.completion("LOGIN ann TopSecret4 {9");
    imap.completion("ID (\"name\" \"x\\\\ \u{1b}[31m\" \"version\" {9+}\r\na\rb\nc\u{7}d\u{e9})");
    imap.completion("LOGIN {22+}\r\nann\r\n2026 ERROR forged pw");
    imap.ok("LOGIN ann pw");
    imap.ok("APPEND INBOX {25+}\r\nSubject: TopSecret5\r\n\r\nhi");
    imap.ok("SELECT INBOX");
    imap.ok("FETCH 1 BODY[]");
    imap.completion("SEARCH TEXT TopSecret6");
    imap.completion("CREATE \"a&AA0ACg-2026 ERROR forged\"");
    let mut pop3 = Client::greeted(&server, "pop3");
    pop3.ask("USER ann");
    pop3.ask("PASS TopSecret7");
    pop3.ask("AUTH PLAIN AGFubgBUb3BTZWNyZXQy");
    pop3.ask("PASS ann TopSecret8");
    pop3.ask("APOP ann TopSecret9");
    pop3.ask("USER ann\u{1b}[31m\u{8}");
    pop3.ask("TopSecret0");
    imap.ok("LOGOUT");
    assert_eq!(imap.rest(), "");
    assert!(server.logs(": logged in", 1), "{}", server.log());
    let log = server.log();
    for secret in ["TopSecret", "AGFubgBUb3BTZWNyZXQy", "\u{1b}", "\r"] {
        assert!(!log.contains(secret), "{secret:?} in the log:\n{log}");
    }
    for line in log.lines() {
        // The check before the start writes for people.
        let finding = line.starts_with("warning: ") || line.starts_with("  ");
        let event = line.starts_with("20") && line.contains("Z ");
        assert!(event || finding, "{line}");
    }
}
