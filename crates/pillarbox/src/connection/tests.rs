//! The driver with a toy machine, over streams in memory.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::mpsc as blocking;
use std::task::Waker;

use auth::{Identity, Secret};
use machine::Now;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::limiter::Limits;
use crate::tls::Certificates;

mod compression;
mod tls;

/// What a [`Toy`] was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Bytes(String),
    TlsReady,
    Verified(Verdict),
    Woken,
    Deadline,
    Eof,
    Shutdown,
    Working,
    Worked,
    Dropped,
}

/// What a [`Toy`] does next.
enum Step {
    Write(&'static str),
    Fill(usize),
    Read,
    ReadFor(Duration),
    Verify(&'static str),
    StartTls,
    Compress(Vec<u8>),
    Forget,
    Work,
    WorkUntil(blocking::Receiver<()>),
    PanicInNext,
    PanicInWork,
    PanicOnEvent,
    Close,
}

/// Does the steps of a script and reports what it was told; at the end of its script it reads.
struct Toy {
    script: Arc<Mutex<VecDeque<Step>>>,
    told: mpsc::UnboundedSender<Told>,
    now: Instant,
    panics: bool,
    ended: bool,
    work: Option<Step>,
}

impl Toy {
    fn tell(&self, told: Told) {
        self.told.send(told).unwrap_or_default();
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.tell(Told::Dropped);
    }
}

impl Machine for Toy {
    type Credential = Credential;
    type Verdict = Verdict;

    fn on(&mut self, now: Now, event: Event<'_, Verdict>) {
        self.now = now.instant;
        assert!(!self.panics, "on purpose");
        let told = match event {
            Event::Bytes(bytes) => Told::Bytes(String::from_utf8_lossy(bytes).into_owned()),
            Event::TlsReady(_) => Told::TlsReady,
            Event::Verified(verdict) => Told::Verified(verdict),
            Event::Woken => Told::Woken,
            Event::Deadline => Told::Deadline,
            Event::Eof => {
                self.ended = true;
                Told::Eof
            }
            Event::Shutdown => Told::Shutdown,
        };
        self.tell(told);
    }

    fn next(&mut self) -> Effect<Credential> {
        let step = self.script.lock().unwrap().pop_front();
        match step {
            Some(Step::Write(text)) => Effect::Write(text.into()),
            Some(Step::Fill(octets)) => Effect::Write(vec![b'x'; octets]),
            Some(Step::ReadFor(limit)) => Effect::Read {
                deadline: Some(self.now + limit),
            },
            Some(Step::Verify(user)) => {
                Effect::Verify(Credential::new(user, Secret::new(*b"secret")))
            }
            Some(Step::StartTls) => Effect::StartTls,
            Some(Step::Compress(unread)) => Effect::Compress(unread),
            Some(Step::Forget) => Effect::Forget,
            Some(step @ (Step::Work | Step::WorkUntil(_) | Step::PanicInWork)) => {
                self.work = Some(step);
                Effect::Work
            }
            Some(Step::PanicInNext) => panic!("on purpose"),
            Some(Step::PanicOnEvent) => {
                self.panics = true;
                Effect::Read { deadline: None }
            }
            Some(Step::Close) => Effect::Close,
            Some(Step::Read) => Effect::Read { deadline: None },
            None if self.ended => Effect::Close,
            None => Effect::Read { deadline: None },
        }
    }

    fn work(&mut self, _: Now) {
        match self.work.take() {
            Some(Step::PanicInWork) => panic!("on purpose"),
            Some(Step::WorkUntil(signal)) => {
                self.tell(Told::Working);
                signal.recv().unwrap();
            }
            _ => {}
        }
        self.tell(Told::Worked);
    }
}

impl Transport for DuplexStream {
    fn acknowledge(&self) {}
}

/// A running toy with its client.
struct Fixture {
    client: DuplexStream,
    told: mpsc::UnboundedReceiver<Told>,
    waker: Waker,
    stop: watch::Sender<bool>,
    limiter: Arc<Limiter>,
    session: JoinHandle<Result<(), Ended>>,
}

impl Fixture {
    async fn told(&mut self) -> Told {
        self.told.recv().await.unwrap()
    }

    /// What the toy is told up to and with its end.
    async fn rest(&mut self) -> Vec<Told> {
        let mut rest = Vec::new();
        while let Some(told) = self.told.recv().await {
            rest.push(told);
        }
        rest
    }

    async fn read(&mut self, octets: usize) -> String {
        let mut bytes = vec![0; octets];
        self.client.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}

fn grant(credential: &Credential) -> Outcome {
    match credential.user().unwrap_or_default() {
        "panic" => panic!("on purpose"),
        "denied" => Outcome {
            verdict: Verdict::Denied,
            delay: Duration::from_secs(3),
        },
        user => Outcome {
            verdict: Verdict::Granted(identity(user)),
            delay: Duration::ZERO,
        },
    }
}

fn identity(name: &str) -> Identity {
    Identity {
        name: name.to_owned(),
        mail: "/nowhere".into(),
    }
}

fn services(certificates: Option<Certificates>) -> Services {
    Services {
        source: Source::system(),
        check: Arc::new(|credential, _, _| grant(credential)),
        checking: Arc::new(Semaphore::new(1)),
        asking: Arc::new(Semaphore::new(1)),
        slices: Slices::new(1),
        compressors: Compressors::default(),
        limiter: Limiter::new(Limits {
            connections: 10,
            sessions_per_user_and_address: 1,
        }),
        certificates,
        timeouts: Timeouts {
            handshake: Duration::from_secs(30),
            write: Duration::from_secs(300),
        },
    }
}

fn start(script: impl IntoIterator<Item = Step>) -> Fixture {
    start_with(services(None), script)
}

fn start_with(services: Services, script: impl IntoIterator<Item = Step>) -> Fixture {
    let (client, server) = duplex(1024);
    let (sender, told) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
    let toy = Toy {
        script,
        told: sender,
        now: services.source.now().instant,
        panics: false,
        ended: false,
        work: None,
    };
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let limiter = Arc::clone(&services.limiter);
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let stream = Stream::Clear(server);
    let session = Connection::new(Arc::new(services), peer, stream, toy, bell, stopped);
    Fixture {
        client,
        told,
        waker,
        stop,
        limiter,
        session: tokio::spawn(session.run()),
    }
}

fn bytes(text: &str) -> Told {
    Told::Bytes(text.to_owned())
}

#[tokio::test]
async fn effects_are_done_in_order() {
    let mut toy = start([
        Step::Write("hello"),
        Step::Read,
        Step::Work,
        Step::Verify("anna"),
        Step::Write("done"),
        Step::Close,
    ]);
    assert_eq!(toy.read(5).await, "hello");
    toy.client.write_all(b"command").await.unwrap();
    assert_eq!(toy.told().await, bytes("command"));
    assert_eq!(toy.told().await, Told::Worked);
    let granted = Told::Verified(Verdict::Granted(identity("anna")));
    assert_eq!(toy.told().await, granted);
    assert_eq!(toy.told().await, Told::Dropped);
    let mut rest = String::new();
    toy.client.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "done");
    drop(toy.client);
    assert_eq!(toy.session.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn the_end_of_file_is_told_once_and_the_machine_may_clean_up() {
    let mut toy = start([Step::Read, Step::Work, Step::Write("bye"), Step::Close]);
    drop(toy.client);
    let (client, _) = duplex(1);
    toy.client = client;
    assert_eq!(toy.rest().await, [Told::Eof, Told::Worked, Told::Dropped]);
    assert_eq!(toy.session.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_machine_that_reads_after_the_end_is_dropped() {
    let mut toy = start([Step::Read, Step::Read, Step::Read]);
    toy.client.shutdown().await.unwrap();
    assert_eq!(toy.rest().await, [Told::Eof, Told::Dropped]);
    assert_eq!(toy.session.await.unwrap(), Err(Ended::Unfinished));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes_and_trickled_bytes_do_not_extend_it() {
    let limit = Duration::from_secs(180);
    let mut toy = start([Step::ReadFor(limit)]);
    let deadline = tokio::time::Instant::now() + limit;
    assert_eq!(toy.told().await, Told::Deadline);
    assert_eq!(tokio::time::Instant::now(), deadline);

    // A peer that always has bytes ready: taken once after the deadline, then no more.
    let mut toy = start([Step::Work]);
    let now = tokio::time::Instant::now().into_std();
    assert_eq!(toy.told().await, Told::Worked);
    toy.session.abort();
    let (_stop, stopped) = watch::channel(false);
    let (mut client, server) = duplex(1024);
    client.write_all(b"flood").await.unwrap();
    let (sender, mut told) = mpsc::unbounded_channel();
    let script = [
        Step::ReadFor(Duration::ZERO),
        Step::ReadFor(Duration::ZERO),
        Step::Close,
    ];
    let machine = Frozen(Toy {
        script: Arc::new(Mutex::new(script.into_iter().collect())),
        told: sender,
        now,
        panics: false,
        ended: false,
        work: None,
    });
    let mut connection = Connection::new(
        Arc::new(services(None)),
        SocketAddr::from(([192, 0, 2, 1], 4711)),
        Stream::Clear(server),
        machine,
        Arc::default(),
        stopped,
    );
    let feed = async {
        assert_eq!(told.recv().await, Some(bytes("flood")));
        client.write_all(b"flood").await.unwrap();
        assert_eq!(told.recv().await, Some(Told::Deadline));
    };
    let (served, ()) = tokio::join!(connection.serve(), feed);
    assert_eq!(served, Ok(()));
}

/// A toy whose deadlines stay where they are, as the limit on the time before login does.
struct Frozen(Toy);

impl Machine for Frozen {
    type Credential = Credential;
    type Verdict = Verdict;

    fn on(&mut self, now: Now, event: Event<'_, Verdict>) {
        let before = self.0.now;
        self.0.on(now, event);
        self.0.now = before;
    }

    fn next(&mut self) -> Effect<Credential> {
        self.0.next()
    }

    fn work(&mut self, now: Now) {
        self.0.work(now);
    }
}

#[tokio::test]
async fn the_waker_wakes_also_when_it_was_called_before_the_read() {
    let (go, signal) = blocking::channel();
    let mut toy = start([Step::WorkUntil(signal), Step::Read, Step::Read]);
    assert_eq!(toy.told().await, Told::Working);
    toy.waker.wake_by_ref();
    toy.waker.wake_by_ref();
    go.send(()).unwrap();
    assert_eq!(toy.told().await, Told::Worked);
    assert_eq!(toy.told().await, Told::Woken);
    toy.waker.wake_by_ref();
    assert_eq!(
        toy.told().await,
        Told::Woken,
        "two calls in one go are one event"
    );
}

#[tokio::test]
async fn shutdown_is_told_while_reading() {
    let mut toy = start([
        Step::Write("hello"),
        Step::Read,
        Step::Write("bye"),
        Step::Close,
    ]);
    assert_eq!(toy.read(5).await, "hello");
    toy.stop.send(true).unwrap();
    assert_eq!(toy.told().await, Told::Shutdown);
    assert_eq!(toy.read(3).await, "bye");
    assert_eq!(toy.session.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn shutdown_waits_for_work_and_is_told_once() {
    let (go, signal) = blocking::channel();
    let mut toy = start([Step::WorkUntil(signal), Step::Read, Step::Close]);
    assert_eq!(toy.told().await, Told::Working);
    toy.stop.send(true).unwrap();
    go.send(()).unwrap();
    assert_eq!(toy.told().await, Told::Worked);
    assert_eq!(toy.told().await, Told::Shutdown);
    toy.client.write_all(b"x").await.unwrap();
    assert_eq!(toy.rest().await, [bytes("x"), Told::Dropped]);
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_its_sessions() {
    let mut toy = start([Step::Read, Step::Close]);
    drop(toy.stop);
    toy.stop = watch::channel(false).0;
    assert_eq!(toy.rest().await, [Told::Shutdown, Told::Dropped]);
}

#[tokio::test]
async fn a_panic_ends_only_its_session() {
    let scripts = [
        [Step::Verify("anna"), Step::PanicInNext],
        [Step::Verify("anna"), Step::PanicInWork],
        [Step::Verify("anna"), Step::PanicOnEvent],
    ];
    let other = services(None);
    let limiter = Arc::clone(&other.limiter);
    let mut other = start_with(other, [Step::Verify("anna"), Step::Write("alive")]);
    assert_eq!(other.read(5).await, "alive");
    for script in scripts {
        let mut toy = start(script);
        let granted = Told::Verified(Verdict::Granted(identity("anna")));
        assert_eq!(toy.told().await, granted);
        toy.client.write_all(b"x").await.unwrap_or_default();
        assert_eq!(toy.rest().await, [Told::Dropped]);
        drop(toy.client);
        assert_eq!(toy.session.await.unwrap(), Err(Ended::Panicked));
        let here = "192.0.2.1".parse().unwrap();
        assert!(
            toy.limiter.session("anna", here).is_some(),
            "its place is free"
        );
    }
    other.client.write_all(b"still here").await.unwrap();
    assert!(matches!(other.told().await, Told::Verified(_)));
    assert_eq!(other.told().await, bytes("still here"));
    drop(limiter);
}

#[tokio::test]
async fn a_panic_in_the_check_is_an_unavailable_check() {
    let mut toy = start([Step::Verify("panic")]);
    assert_eq!(toy.told().await, Told::Verified(Verdict::Unavailable));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_given_up() {
    let mut toy = start([
        Step::Fill(1024),
        Step::Fill(4096),
        Step::Write("more"),
        Step::Read,
    ]);
    let began = tokio::time::Instant::now();
    assert_eq!(toy.rest().await, [Told::Eof, Told::Dropped]);
    assert_eq!(began.elapsed().as_secs(), 300);
    // What was written before is still there, and then the stream is closed.
    let mut text = Vec::new();
    toy.client.read_to_end(&mut text).await.unwrap();
    assert_eq!(text.len(), 1024);
    assert_eq!(toy.session.await.unwrap(), Err(Ended::Unfinished));
}

#[tokio::test(start_paused = true)]
async fn a_denied_login_is_answered_late_and_bytes_sent_meanwhile_are_kept() {
    let mut toy = start([Step::Verify("denied"), Step::Read, Step::Read]);
    let began = tokio::time::Instant::now();
    toy.client.write_all(b"pipelined").await.unwrap();
    toy.client.shutdown().await.unwrap();
    assert_eq!(toy.told().await, Told::Verified(Verdict::Denied));
    assert_eq!(began.elapsed().as_secs(), 3);
    assert_eq!(
        toy.rest().await,
        [bytes("pipelined"), Told::Eof, Told::Dropped]
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_has_gone_does_not_wait_for_its_delay() {
    let mut toy = start([Step::Verify("denied")]);
    let began = tokio::time::Instant::now();
    toy.client.shutdown().await.unwrap();
    assert_eq!(toy.told().await, Told::Eof);
    assert_eq!(began.elapsed().as_secs(), 0);
}

#[tokio::test]
async fn a_peer_that_has_gone_does_not_wait_for_its_turn() {
    let services = services(None);
    let turns = Arc::clone(&services.checking);
    let turn = turns.acquire().await.unwrap();
    let mut toy = start_with(services, [Step::Verify("anna")]);
    toy.client.shutdown().await.unwrap();
    assert_eq!(toy.told().await, Told::Eof);
    drop(turn);
}

#[tokio::test]
async fn sessions_over_the_limit_are_told_so_and_places_free_up_at_once() {
    let services = services(None);
    let limiter = Arc::clone(&services.limiter);
    let taken = limiter.session("anna", "192.0.2.1".parse().unwrap());
    let mut toy = start_with(
        services,
        [
            Step::Verify("anna"),
            Step::Read,
            Step::Verify("anna"),
            Step::Read,
            Step::Close,
        ],
    );
    assert_eq!(toy.told().await, Told::Verified(Verdict::TooManySessions));
    drop(taken);
    toy.client.write_all(b"again").await.unwrap();
    assert_eq!(toy.told().await, bytes("again"));
    let granted = Told::Verified(Verdict::Granted(identity("anna")));
    assert_eq!(toy.told().await, granted);
    assert!(
        limiter
            .session("anna", "192.0.2.1".parse().unwrap())
            .is_none()
    );
    toy.client.shutdown().await.unwrap();
    assert_eq!(toy.session.await.unwrap(), Ok(()));
    assert!(
        limiter
            .session("anna", "192.0.2.1".parse().unwrap())
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_arrives_although_the_peer_still_sends() {
    let mut toy = start([Step::Read, Step::Write("BYE"), Step::Close]);
    toy.client.write_all(b"x").await.unwrap();
    assert_eq!(toy.told().await, bytes("x"));
    assert_eq!(toy.read(3).await, "BYE");
    // More than the pipe holds: it is taken off us and thrown away.
    toy.client.write_all(&[b'y'; 10_000]).await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(toy.session.await.unwrap(), Ok(()));
    assert_eq!(began.elapsed().as_secs(), 2, "but not for ever");
}

#[tokio::test]
async fn starttls_without_a_certificate_ends_the_session() {
    let mut toy = start([Step::StartTls]);
    assert_eq!(toy.rest().await, [Told::Eof, Told::Dropped]);
}
