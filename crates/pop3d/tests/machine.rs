//! The whole machine, driven by hand: what it asks for, how much at a time, and that no bytes make
//! it panic. What it answers is in the transcripts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use auth::sasl::{Mechanism, Mechanisms};
use auth::{Credential, Identity, Verdict};
use machine::{Effect, Event, Link, Machine, Now, PlaintextAuth, Security, Tls};
use mailstore::{Fsync, Namespace, Options, Source, Store};
use pop3d::{Session, Settings, UidlFormat};
use proptest::prelude::*;
use tempfile::TempDir;

/// A session with its mail.
struct Client {
    session: Session,
    now: Now,
    dir: Arc<TempDir>,
    closed: bool,
    /// The largest piece of output, and how many slices of work there were.
    largest: usize,
    slices: usize,
}

impl Client {
    /// A new connection, with these messages in its user's INBOX.
    fn new(messages: &[Vec<u8>], security: Security) -> Self {
        let dir = tempfile::tempdir().unwrap();
        deliver(dir.path(), messages);
        Self::on(Arc::new(dir), security)
    }

    /// A new connection to a server that has just started on this mail.
    fn on(dir: Arc<TempDir>, security: Security) -> Self {
        Self::with(Settings::new(store()), dir, security)
    }

    /// A new connection to a server with these settings.
    fn with(settings: Settings, dir: Arc<TempDir>, security: Security) -> Self {
        Self::hiding(Mechanisms::NONE, settings, dir, security)
    }

    /// The same, where some mechanisms are hidden.
    fn hiding(
        hidden: Mechanisms,
        settings: Settings,
        dir: Arc<TempDir>,
        security: Security,
    ) -> Self {
        let now = present();
        let link = Link {
            security,
            plaintext_auth: PlaintextAuth::Allowed,
            tls: Tls::default(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            waker: Waker::noop().clone(),
        };
        Self {
            session: Session::hiding(hidden, Arc::new(settings), link, now),
            now,
            dir,
            closed: false,
            largest: 0,
            slices: 0,
        }
    }

    /// A client that has logged in.
    fn logged_in(messages: &[Vec<u8>]) -> Self {
        let mut client = Self::new(messages, Security::Clear);
        client.send(b"USER mrose\r\nPASS secret\r\n");
        client.slices = 0;
        client
    }

    /// Sends bytes and gives the answer.
    fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = self.settle();
        if !self.closed {
            self.session.on(self.now, Event::Bytes(bytes));
            answer.extend(self.settle());
        }
        answer
    }

    /// Does what the session asks for until it waits for its client.
    fn settle(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        loop {
            match self.session.next() {
                Effect::Write(bytes) => {
                    self.largest = self.largest.max(bytes.len());
                    answer.extend(bytes);
                }
                Effect::Work => {
                    self.slices += 1;
                    self.session.work(self.now);
                }
                Effect::Verify(credential) => {
                    let verdict = self.verdict(&credential);
                    self.session.on(self.now, Event::Verified(verdict));
                }
                Effect::StartTls => self.session.on(self.now, Event::TlsReady(Tls::default())),
                Effect::Forget => panic!("POP3 has no UNAUTHENTICATE"),
                Effect::Compress(_) => panic!("POP3 has no compression"),
                Effect::Read { deadline } => {
                    assert!(deadline.is_some());
                    return answer;
                }
                Effect::Close => {
                    self.closed = true;
                    return answer;
                }
            }
        }
    }

    fn verdict(&self, credential: &Credential) -> Verdict {
        let Credential::Password(claim) = credential else {
            return Verdict::Unavailable;
        };
        if claim.password.expose() != b"secret" {
            return Verdict::Denied;
        }
        Verdict::Granted(Identity {
            name: claim.user.clone(),
            mail: self.dir.path().to_owned(),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "a test begins somewhere")]
fn present() -> Now {
    Now {
        instant: Instant::now(),
        wall: SystemTime::now(),
    }
}

fn store() -> Arc<Store> {
    Store::new(Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "localhost".to_owned(),
        lock_timeout: Duration::from_secs(1),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 0,
        source: Source::new(|| present().wall, || 4),
    })
}

fn deliver(maildir: &Path, messages: &[Vec<u8>]) {
    for directory in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(directory)).unwrap();
    }
    for (number, message) in messages.iter().enumerate() {
        let name = format!("{}.M{number}P1.test", 1_700_000_000 + number);
        fs::write(maildir.join("new").join(name), message).unwrap();
    }
}

#[test]
fn a_large_message_goes_out_in_slices() {
    let line = [vec![b'.'; 70], b"\n".to_vec()].concat();
    let body = line.repeat(40_000);
    let message = [b"Subject: large\n\n".to_vec(), body].concat();
    let mut client = Client::logged_in(&[message]);
    let answer = client.send(b"RETR 1\r\n");
    // Every line of the body has a CR and a dot more.
    assert!(answer.starts_with(b"+OK 2880018 octets\r\nSubject: large\r\n\r\n.."));
    assert!(answer.ends_with(b".\r\n.\r\n"));
    assert_eq!(answer.len(), 20 + 2_880_018 + 40_000 + 3);
    assert!(
        client.slices >= 2_880_018 / (64 * 1024),
        "{}",
        client.slices
    );
    assert!(client.largest <= 2 * 64 * 1024, "{}", client.largest);
}

#[test]
fn sizes_of_many_messages_are_learned_in_slices() {
    let mut client = Client::logged_in(&vec![b"A: b\n\nc\n".to_vec(); 1000]);
    assert_eq!(client.send(b"STAT\r\n"), b"+OK 1000 11000\r\n");
    assert!(client.slices >= 3, "{}", client.slices);
    client.slices = 0;
    let listing = client.send(b"LIST\r\n");
    assert!(listing.ends_with(b"\r\n1000 11\r\n.\r\n"));
    assert_eq!(client.slices, 0, "what is known is not learned again");
}

#[test]
fn sizes_that_another_session_has_learned_are_known() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    deliver(dir.path(), &vec![b"A: b\n\nc\n".to_vec(); 1000]);
    let store = store();
    let mut first = true;
    for _ in 0..2 {
        let settings = Settings::new(Arc::clone(&store));
        let mut client = Client::with(settings, Arc::clone(&dir), Security::Clear);
        client.send(b"USER mrose\r\nPASS secret\r\n");
        client.slices = 0;
        assert_eq!(client.send(b"STAT\r\n"), b"+OK 1000 11000\r\n");
        assert_eq!(client.slices > 0, first);
        first = false;
        client.send(b"QUIT\r\n");
    }
}

#[test]
fn a_long_listing_is_sent_in_pieces() {
    let mut client = Client::logged_in(&vec![b"A: b\n\nc\n".to_vec(); 5000]);
    let listing = client.send(b"UIDL\r\n");
    assert!(listing.len() > 2 * 64 * 1024 - 30_000);
    assert!(client.largest <= 64 * 1024 + 100, "{}", client.largest);
    let lines = listing.split(|&byte| byte == b'\n').count();
    assert_eq!(lines, 1 + 5000 + 1 + 1);
}

/// A client that has logged in to a server with this format of unique-ids.
fn with_format(format: &str, dir: &Arc<TempDir>) -> Client {
    let settings = Settings {
        uidl_format: UidlFormat::parse(format).unwrap(),
        ..Settings::new(store())
    };
    let mut client = Client::with(settings, Arc::clone(dir), Security::Clear);
    client.send(b"USER mrose\r\nPASS secret\r\n");
    client.slices = 0;
    client
}

#[test]
fn sums_of_headers_are_made_in_slices_and_kept() {
    let messages = [b"Date: 1\n\na\n", b"Date: 2\n\nb\n", b"Date: 1\n\nc\n"];
    let messages: Vec<Vec<u8>> = messages
        .iter()
        .cycle()
        .map(|it| it.to_vec())
        .take(300)
        .collect();
    let dir = Arc::new(tempfile::tempdir().unwrap());
    deliver(dir.path(), &messages);
    // md5sum of "1" and "2".
    let one = "c4ca4238a0b923820dcc509a6f75849b";
    let two = "c81e728d9d4c2f636f067f89cc14862c";
    let begin = format!("+OK unique-id listing follows\r\n1 {one}\r\n2 {two}\r\n3 {one}\r\n");

    let mut client = with_format("%m", &dir);
    assert_eq!(
        client.send(b"UIDL 2\r\n"),
        format!("+OK 2 {two}\r\n").into_bytes()
    );
    let listing = client.send(b"UIDL\r\n");
    assert!(listing.starts_with(begin.as_bytes()));
    assert!(listing.ends_with(format!("\r\n300 {one}\r\n.\r\n").as_bytes()));
    assert!(client.slices >= 4, "{}", client.slices);
    client.slices = 0;
    assert_eq!(client.send(b"UIDL\r\n"), listing);
    assert_eq!(client.slices, 0, "what is known is not learned again");
    client.send(b"QUIT\r\n");

    // No header is read again: they are not what they were, and the answer is.
    for file in fs::read_dir(dir.path().join("new")).unwrap() {
        fs::write(file.unwrap().path(), b"Date: 3\n\nd\n").unwrap();
    }
    assert_eq!(with_format("md5", &dir).send(b"UIDL\r\n"), listing);
}

#[test]
fn a_message_that_cannot_be_read_has_no_sum_and_hides_no_other() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    deliver(
        dir.path(),
        &[b"Date: 1\n\n".to_vec(), b"Date: 2\n\n".to_vec()],
    );
    let mut client = with_format("%m", &dir);
    fs::remove_file(dir.path().join("new/1700000000.M0P1.test")).unwrap();
    let two = "c81e728d9d4c2f636f067f89cc14862c";
    let listing = format!("+OK unique-id listing follows\r\n2 {two}\r\n.\r\n");
    assert_eq!(client.send(b"UIDL\r\n"), listing.into_bytes());
    assert!(client.send(b"UIDL 1\r\n").starts_with(b"-ERR"));
}

#[test]
fn names_of_files_are_made_fit_for_the_wire() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    deliver(dir.path(), &[]);
    let long = "x".repeat(200);
    for name in ["1.a b", "2.M1P1.host,S=4:2,S", &format!("3.{long}")] {
        fs::write(dir.path().join("cur").join(name), b"A:\n\n").unwrap();
    }
    let listing = format!(
        "+OK unique-id listing follows\r\n1 1.a+20b\r\n2 2.M1P1.host,S=4\r\n3 3.{long}\r\n.\r\n"
    );
    for format in ["filename", "%f", "%g"] {
        assert_eq!(
            with_format(format, &dir).send(b"UIDL\r\n"),
            listing.as_bytes()
        );
    }
    let cut = with_format("%f%f%f", &dir).send(b"UIDL 3\r\n");
    assert_eq!(cut.len(), "+OK 3 \r\n".len() + 470);
}

#[test]
fn pipelined_small_messages_share_slices_of_work() {
    let mut client = Client::logged_in(&vec![b"A: b\n\nc\n".to_vec(); 50]);
    let commands: String = (1..=50)
        .map(|number| format!("RETR {number}\r\n"))
        .collect();
    let answer = client.send(commands.as_bytes());
    let one = b"+OK 11 octets\r\nA: b\r\n\r\nc\r\n.\r\n";
    assert_eq!(answer, one.repeat(50));
    assert_eq!(client.slices, 1);
}

#[test]
fn unique_ids_persist_over_restarts_and_flag_changes() {
    let mut client = Client::logged_in(&vec![b"A: b\n\nc\n".to_vec(); 3]);
    let unique_ids = client.send(b"UIDL\r\n");
    assert_eq!(unique_ids.iter().filter(|&&byte| byte == b'\n').count(), 5);
    client.send(b"QUIT\r\n");
    let maildir = client.dir.path().to_owned();
    let file = "1700000001.M1P1.test";
    fs::rename(
        maildir.join("new").join(file),
        maildir.join("cur").join(format!("{file}:2,FS")),
    )
    .unwrap();
    let mut again = Client::on(Arc::clone(&client.dir), Security::Clear);
    again.send(b"USER mrose\r\nPASS secret\r\n");
    assert_eq!(again.send(b"UIDL\r\n"), unique_ids);
}

#[test]
fn the_lock_holds_between_processes_and_dies_with_its_holder() {
    let first = Client::logged_in(&[]);
    let mut second = Client::on(Arc::clone(&first.dir), Security::Clear);
    let login = b"USER mrose\r\nPASS secret\r\n";
    let answer = String::from_utf8(second.send(login)).unwrap();
    assert!(answer.contains("\r\n-ERR [IN-USE] "), "{answer}");
    drop(first);
    let answer = second.send(login);
    assert_eq!(answer, b"+OK send PASS\r\n+OK maildrop has 0 messages\r\n");
}

#[test]
fn update_is_completed_when_the_client_goes_after_quit() {
    let mut client = Client::logged_in(&[b"A: b\n\nc\n".to_vec()]);
    client.send(b"DELE 1\r\n");
    client.session.on(client.now, Event::Bytes(b"QUIT\r\n"));
    assert!(matches!(client.session.next(), Effect::Work));
    client.session.on(client.now, Event::Eof);
    client.settle();
    assert!(client.closed);
    assert_eq!(
        fs::read_dir(client.dir.path().join("new")).unwrap().count(),
        0
    );
    assert_eq!(
        fs::read_dir(client.dir.path().join("cur")).unwrap().count(),
        0
    );
}

#[test]
fn earlier_answers_go_out_before_a_password_is_checked() {
    let mut client = Client::new(&[], Security::Clear);
    client.settle();
    let login = b"NOSUCH\r\nUSER mrose\r\nPASS secret\r\n";
    client.session.on(client.now, Event::Bytes(login));
    let Effect::Write(bytes) = client.session.next() else {
        panic!("the answers come first");
    };
    assert_eq!(bytes, b"-ERR unknown command\r\n+OK send PASS\r\n");
    assert!(matches!(client.session.next(), Effect::Verify(_)));
}

#[test]
fn a_server_that_stops_answers_a_login_that_waits() {
    let mut client = Client::new(&[], Security::Clear);
    client.settle();
    let login = b"USER mrose\r\nPASS secret\r\n";
    client.session.on(client.now, Event::Bytes(login));
    while !matches!(client.session.next(), Effect::Verify(_)) {}
    client.session.on(client.now, Event::Shutdown);
    client
        .session
        .on(client.now, Event::Verified(Verdict::Denied));
    let answer = client.settle();
    assert_eq!(answer, b"-ERR [SYS/TEMP] server is shutting down\r\n");
    assert!(client.closed);
}

#[test]
fn mechanisms_are_those_of_the_server_that_are_not_hidden() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let settings = Settings::new(store());
    settings
        .mechanisms
        .set(Mechanism::ALL.into_iter().collect());
    let hidden = Mechanisms::NONE.with(Mechanism::Login);
    let mut client = Client::hiding(hidden, settings, dir, Security::Clear);
    let listed = String::from_utf8(client.send(b"CAPA\r\n")).unwrap();
    // Without TLS, there is no channel to bind to.
    let sasl = "\r\nSASL SCRAM-SHA-256 SCRAM-SHA-1 PLAIN ";
    assert!(listed.contains(sasl), "{listed}");
    assert!(!listed.contains("LOGIN"), "{listed}");
    let listed = String::from_utf8(client.send(b"AUTH\r\n")).unwrap();
    assert!(listed.contains("\r\nPLAIN\r\n") && !listed.contains("LOGIN"));
    for refused in ["LOGIN", "SCRAM-SHA-256-PLUS"] {
        let answer = client.send(format!("AUTH {refused}\r\n").as_bytes());
        assert_eq!(answer, b"-ERR unknown mechanism\r\n", "{refused}");
    }
    assert_eq!(client.send(b"AUTH SCRAM-SHA-256\r\n"), b"+ \r\n");
    assert!(client.send(b"*\r\n").starts_with(b"-ERR "));
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let mut client = Client::new(&[], Security::Clear);
    client.send(b"USER mrose\r\n");
    client.session.on(client.now, Event::Bytes(b"PASS hunter2"));
    let shown = format!("{:?}", client.session);
    assert!(
        !shown.contains("hunter2") && !shown.contains("mrose"),
        "{shown}"
    );
}

/// Lines that mean something, and lines that do not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "CAPA", "USER mrose", "PASS secret", "PASS x", "AUTH", "AUTH PLAIN", "AUTH LOGIN",
            "AUTH PLAIN AG1yb3NlAHNlY3JldA==", "*", "=", "bXJvc2U=", "STLS", "UTF8", "LANG",
            "LANG *", "STAT", "LIST", "LIST 1", "LIST 9", "RETR 1", "RETR 2", "DELE 1", "DELE 2",
            "RSET", "NOOP", "TOP 1 0", "TOP 2 99", "UIDL", "UIDL 2", "APOP a b", "QUIT",
        ])
        .prop_map(|line| format!("{line}\r\n").into_bytes()),
        1 => proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(
        lines in proptest::collection::vec(line(), 0..40),
        piece in 1usize..200,
        security in prop::sample::select(vec![Security::Clear, Security::StartTlsOffered]),
    ) {
        let messages = [b"A: b\n\n.c".to_vec(), b"".to_vec()];
        let mut client = Client::new(&messages, security);
        let mut answer = client.settle();
        for bytes in lines.concat().chunks(piece) {
            answer.extend(client.send(bytes));
        }
        // Whatever was sent, every answer is made of whole lines.
        prop_assert!(answer.ends_with(b"\r\n"));
        prop_assert!(answer.starts_with(b"+OK"));
    }
}
