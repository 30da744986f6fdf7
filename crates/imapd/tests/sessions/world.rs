//! A mail store in a temporary directory, and clients connected to it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use auth::sasl::Mechanisms;
use auth::{Credential, Identity, Verdict};
use imapd::{Session, Settings};
use machine::{Effect, Event, Link, Machine, Now, PlaintextAuth, Security, Tls};
use mailstore::{Fsync, Namespace, Options, Source, Store};
use tempfile::TempDir;

/// Time that passes only when a test says so.
#[derive(Clone, Debug)]
pub(crate) struct Clock(Arc<Mutex<Now>>);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant cannot be made in another way; only differences matter"
    )]
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Now {
            instant: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        })))
    }

    pub(crate) fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }

    pub(crate) fn advance(&self, time: Duration) {
        let mut now = self.0.lock().unwrap();
        now.instant += time;
        now.wall += time;
    }
}

/// A server with one user.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    directory: TempDir,
    delivered: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A server with other settings than the usual.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Clock::new();
        let numbers = AtomicU64::new(1);
        let wall = clock.clone();
        let source = Source::new(
            move || wall.now().wall,
            move || numbers.fetch_add(1, Ordering::SeqCst),
        );
        let store = Store::new(Options {
            fsync: Fsync::Never,
            namespace: Namespace::default(),
            hostname: "test".to_owned(),
            lock_timeout: Duration::from_secs(5),
            mtime_guard: Duration::ZERO,
            cache_bytes: 1024 * 1024,
            source,
        });
        let mut settings = Settings::new(store);
        change(&mut settings);
        Self {
            settings,
            clock,
            directory: TempDir::new().unwrap(),
            delivered: AtomicU64::new(0),
        }
    }

    /// Ends the server and starts it again, with nothing in memory.
    pub(crate) fn restart(&mut self) {
        let options = self.settings.store.options().clone();
        self.settings.store = Store::new(options);
    }

    /// The root of the user's mail.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("user")
    }

    /// Delivers a message to INBOX as a mail transfer agent does, by a file alone.
    pub(crate) fn deliver(&self, message: impl AsRef<[u8]>) {
        self.deliver_as("", message);
    }

    /// Delivers a message under a name that says something about it.
    pub(crate) fn deliver_as(&self, suffix: &str, message: impl AsRef<[u8]>) {
        let number = self.delivered.fetch_add(1, Ordering::SeqCst);
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(self.root().join(part)).unwrap();
        }
        let name = format!("{}.M{number:06}.mta{suffix}", 1_600_000_000 + number);
        std::fs::write(self.root().join("new").join(name), message).unwrap();
    }

    /// Delivers small messages with the subjects 1, 2, and so on.
    pub(crate) fn deliver_many(&self, count: usize) {
        for number in 1..=count {
            self.deliver(format!("Subject: {number}\r\n\r\nbody {number}\r\n"));
        }
    }

    /// The files of a directory of INBOX.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.root().join(part)).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// A client that has logged in.
    pub(crate) fn log_in(&self) -> Client {
        let mut client = self.connect();
        client.expect(
            "in LOGIN user@test secret\r\n",
            &["* OK …", "in OK [CAPABILITY IMAP4rev1 …"],
        );
        client
    }

    /// A client that has selected INBOX.
    pub(crate) fn select(&self) -> Client {
        let mut client = self.log_in();
        let answer = client.send("in SELECT INBOX\r\n");
        assert!(answer.contains("in OK [READ-WRITE] "), "{answer}");
        client
    }

    /// A client that has INBOX open for reading only.
    pub(crate) fn examine(&self) -> Client {
        let mut client = self.log_in();
        let answer = client.send("in EXAMINE INBOX\r\n");
        assert!(answer.contains("in OK [READ-ONLY] "), "{answer}");
        client
    }

    /// Lets the server do these mechanisms from here on.
    pub(crate) fn offer(&self, mechanisms: Mechanisms) {
        self.settings.mechanisms.set(mechanisms);
    }

    /// A connection that is allowed to log in.
    pub(crate) fn connect(&self) -> Client {
        self.connect_as(Security::Clear, PlaintextAuth::Allowed)
    }

    /// A connection that has not seen its greeting yet.
    pub(crate) fn connect_as(&self, security: Security, plaintext_auth: PlaintextAuth) -> Client {
        self.connect_over(security, plaintext_auth, Tls::default())
    }

    /// The same, where TLS knows this.
    pub(crate) fn connect_over(
        &self,
        security: Security,
        plaintext_auth: PlaintextAuth,
        tls: Tls,
    ) -> Client {
        let bell = Arc::new(Bell::default());
        let link = Link {
            security,
            plaintext_auth,
            tls,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            waker: Waker::from(Arc::clone(&bell)),
        };
        let settings = Arc::new(self.settings.clone());
        Client {
            session: Session::new(settings, link, self.clock.now()),
            clock: self.clock.clone(),
            bell,
            verdict: Verdict::Granted(Identity {
                name: "user@test".to_owned(),
                mail: self.root(),
            }),
            asked: None,
            compressed: None,
            forgotten: 0,
            open: true,
            deadline: None,
            largest_write: 0,
            slices: 0,
            slice: Duration::ZERO,
        }
    }
}

/// Remembers that it was rung.
#[derive(Debug, Default)]
pub(crate) struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One connection, from the client's side.
pub(crate) struct Client {
    session: Session,
    clock: Clock,
    bell: Arc<Bell>,
    /// What comes of the next login.
    pub(crate) verdict: Verdict,
    /// The last credential that was to be verified.
    pub(crate) asked: Option<Credential>,
    /// Once the connection is compressed: what came behind the command that asked for it.
    pub(crate) compressed: Option<Vec<u8>>,
    /// How often the driver was to let a user go.
    pub(crate) forgotten: usize,
    pub(crate) open: bool,
    pub(crate) deadline: Option<Instant>,
    /// The most octets that were written at once.
    pub(crate) largest_write: usize,
    /// How often the session worked.
    pub(crate) slices: usize,
    /// How long each of these slices takes.
    pub(crate) slice: Duration,
}

impl Client {
    /// Sends octets, and gives all that is answered until the server waits.
    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) -> String {
        let mut answer = self.settle();
        answer.push_str(&self.event(Event::Bytes(octets.as_ref())));
        answer
    }

    /// Sends octets and checks the answer line by line; `…` at the end of a line stands for
    /// anything. This is the one assertion about answers.
    #[track_caller]
    pub(crate) fn expect(&mut self, octets: impl AsRef<[u8]>, expected: &[&str]) {
        let answer = self.send(octets);
        check(&answer, expected);
    }

    /// Sends octets without letting the server do anything yet.
    pub(crate) fn send_only(&mut self, octets: &[u8]) {
        self.session.on(self.clock.now(), Event::Bytes(octets));
    }

    /// Checks what is said without being asked.
    #[track_caller]
    pub(crate) fn hear(&mut self, expected: &[&str]) {
        let answer = self.listen();
        check(&answer, expected);
    }

    /// What is said without being asked: the greeting, or what a wake-up brings.
    pub(crate) fn listen(&mut self) -> String {
        let mut answer = self.settle();
        while self.open && self.bell.0.swap(false, Ordering::SeqCst) {
            answer.push_str(&self.event(Event::Woken));
        }
        answer
    }

    /// Lets time pass up to the deadline, if it comes before `time` is over.
    pub(crate) fn wait(&mut self, time: Duration) -> String {
        let mut answer = self.settle();
        let end = self.clock.now().instant + time;
        while let Some(deadline) = self.deadline.filter(|it| self.open && *it <= end) {
            let now = self.clock.now().instant;
            self.clock.advance(deadline.saturating_duration_since(now));
            answer.push_str(&self.event(Event::Deadline));
        }
        let now = self.clock.now().instant;
        self.clock.advance(end.saturating_duration_since(now));
        answer
    }

    /// Tells the session of something, and gives what it answers.
    pub(crate) fn event(&mut self, event: Event<'_, Verdict>) -> String {
        if !self.open {
            return String::new();
        }
        self.session.on(self.clock.now(), event);
        self.settle()
    }

    /// Sends octets and carries out effects until the session has worked once; gives what was
    /// written until then.
    pub(crate) fn send_for_one_slice(&mut self, octets: impl AsRef<[u8]>) -> String {
        let event = Event::Bytes(octets.as_ref());
        self.session.on(self.clock.now(), event);
        self.slice()
    }

    /// Carries out effects until the session has worked once more.
    pub(crate) fn slice(&mut self) -> String {
        let before = self.slices;
        let mut answer = String::new();
        while self.slices == before {
            let octets = self.step().unwrap();
            answer.push_str(&String::from_utf8_lossy(&octets));
        }
        answer
    }

    /// Carries out effects until the server waits.
    pub(crate) fn settle(&mut self) -> String {
        let mut answer = String::new();
        while let Some(octets) = self.step() {
            answer.push_str(&String::from_utf8_lossy(&octets));
        }
        answer
    }

    /// Carries out one effect; `None` when the server waits or has closed.
    pub(crate) fn step(&mut self) -> Option<Vec<u8>> {
        if !self.open {
            return None;
        }
        match self.session.next() {
            Effect::Write(octets) => {
                assert!(!octets.is_empty(), "nothing was written");
                self.largest_write = self.largest_write.max(octets.len());
                return Some(octets);
            }
            Effect::Work => {
                self.slices += 1;
                self.clock.advance(self.slice);
                self.session.work(self.clock.now());
            }
            Effect::Verify(credential) => {
                self.asked = Some(credential);
                let verdict = Event::Verified(self.verdict.clone());
                self.session.on(self.clock.now(), verdict);
            }
            Effect::StartTls => self
                .session
                .on(self.clock.now(), Event::TlsReady(Tls::default())),
            Effect::Forget => self.forgotten += 1,
            Effect::Compress(unread) => self.compressed = Some(unread),
            Effect::Read { deadline } => {
                self.deadline = deadline;
                return None;
            }
            Effect::Close => {
                self.open = false;
                return None;
            }
        }
        Some(Vec::new())
    }
}

/// Compares an answer with what was expected.
#[track_caller]
pub(crate) fn check(answer: &str, expected: &[&str]) {
    let lines: Vec<&str> = answer.split_terminator("\r\n").collect();
    let fits = |line: &str, expected: &str| match expected.strip_suffix('…') {
        Some(start) => line.starts_with(start),
        None => line == expected,
    };
    let same = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, it)| fits(line, it));
    assert!(same, "answered: {lines:#?}\nexpected: {expected:#?}");
}
