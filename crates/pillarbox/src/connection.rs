//! The driver: runs a [`Machine`] over a stream.
//!
//! It asks the machine what it wants, does that, and tells it what happened; it makes no protocol
//! decisions. It is the only writer of its connection, and the only place where sessions meet
//! sockets, timers and threads.
//!
//! Where a machine asks for compression, the driver inflates what comes and deflates what goes; the
//! machine sees no difference.
//!
//! A waiting session holds no read buffer: bytes are read into an array on the stack and handed to
//! the machine at once. A panic in the machine ends this session and no other.

mod compression;
mod slices;
mod stream;

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, ready};
use std::time::{Duration, Instant};

use auth::{Credential, Origin, Outcome, Verdict};
use machine::{Effect, Event, Machine};
use tokio::io::ReadBuf;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{Span, debug, error, info};

use compression::Compression;
pub(crate) use compression::Compressors;
use slices::Panicked;
pub(crate) use slices::Slices;
pub(crate) use stream::{Stream, Transport};

use crate::limiter::{Limiter, SessionPermit};
use crate::source::Source;
use crate::tls::Certificates;

/// What all connections of a server share.
pub(crate) struct Services {
    /// Time.
    pub(crate) source: Source,
    /// Checks a credential; may block and is slow.
    pub(crate) check: Check,
    /// How many checks may run at once.
    pub(crate) checking: Arc<Semaphore>,
    /// How many checks of tokens may run at once: they mostly wait for an issuer.
    pub(crate) asking: Arc<Semaphore>,
    /// Runs slices of work.
    pub(crate) slices: Slices,
    /// Compresses output.
    pub(crate) compressors: Compressors,
    /// Sessions per user and address.
    pub(crate) limiter: Arc<Limiter>,
    /// For STARTTLS and STLS.
    pub(crate) certificates: Option<Certificates>,
    /// How long peers may take.
    pub(crate) timeouts: Timeouts,
}

/// Checks a credential, synchronously.
pub(crate) type Check = Arc<dyn Fn(&Credential, Origin, Instant) -> Outcome + Send + Sync>;

/// How long peers may take for what machines do not time themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// For a TLS handshake.
    pub(crate) handshake: Duration,
    /// To take one piece of output, which is about 64 KiB.
    pub(crate) write: Duration,
}

/// The waker that a machine gives to the store; calls before the driver waits are not lost.
#[derive(Debug, Default)]
pub(crate) struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Whether the peer may still send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// It may.
    Open,
    /// It has closed its side.
    Ended,
    /// It has, and the machine knows.
    EndTold,
    /// It may, but it broke its compressed stream off; the machine was told that it has gone.
    Refused,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Brought {
    /// Something that the machine was told.
    News,
    /// Nothing that can be inflated without what follows.
    Nothing,
    /// The end.
    End,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadSize {
    /// What a peer usually sends.
    Usual,
    /// More, from a peer whose last piece filled the usual size.
    Large,
}

/// Why a session ended other than by [`Effect::Close`] or its peer going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The machine panicked.
    Panicked,
    /// The machine asked to read after it was told that the peer had gone.
    Unfinished,
}

/// A session over a stream.
pub(crate) struct Connection<M, T> {
    services: Arc<Services>,
    peer: SocketAddr,
    stream: Stream<T>,
    /// `None` while it works on a blocking thread, and after a panic there.
    machine: Option<Box<M>>,
    bell: Arc<Bell>,
    stop: watch::Receiver<bool>,
    told_to_stop: bool,
    /// Read while a credential was checked, and not yet given to the machine.
    ahead: Vec<u8>,
    compression: Option<Box<Compression>>,
    input: Input,
    /// Bytes have come since something was written last.
    unanswered: bool,
    /// How much is read next.
    read_size: ReadSize,
    /// The deadline that has passed already when bytes were there to read.
    overrun: Option<Instant>,
    permit: Option<SessionPermit>,
}

impl<M, T> Connection<M, T>
where
    M: Machine<Credential = Credential, Verdict = Verdict>,
    T: Transport,
{
    /// A session of `machine`, which rings `bell`, over `stream`; told to end by `stop`.
    pub(crate) fn new(
        services: Arc<Services>,
        peer: SocketAddr,
        stream: Stream<T>,
        machine: M,
        bell: Arc<Bell>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            services,
            peer,
            stream,
            machine: Some(Box::new(machine)),
            bell,
            stop,
            told_to_stop: false,
            ahead: Vec::new(),
            compression: None,
            input: Input::Open,
            unanswered: false,
            read_size: ReadSize::Usual,
            overrun: None,
            permit: None,
        }
    }

    /// Runs the session to its end and closes the stream.
    pub(crate) async fn run(mut self) -> Result<(), Ended> {
        let result = self.serve().await;
        match result {
            Ok(()) => debug!("session ended"),
            Err(Ended::Panicked) => error!("session ended by a panic"),
            Err(Ended::Unfinished) => debug!("session ended without its machine's consent"),
        }
        // The machine may hold files and locks: it goes before its place is given back.
        if let Some(machine) = self.machine.take() {
            let services = Arc::clone(&self.services);
            // Without a user it holds no files.
            let dropped = match self.permit {
                None => catch_unwind(AssertUnwindSafe(|| drop(machine))).is_ok(),
                Some(_) => services.slices.run(|| drop(machine)).await.is_ok(),
            };
            if !dropped {
                error!("session panicked at its end");
            }
        }
        self.permit = None;
        Box::pin(self.close()).await;
        result
    }

    /// The loop: ask the machine, do what it says.
    async fn serve(&mut self) -> Result<(), Ended> {
        loop {
            if !self.told_to_stop && *self.stop.borrow() {
                self.told_to_stop = true;
                self.tell(Event::Shutdown)?;
            }
            match self.ask()? {
                Effect::Write(bytes) => self.write(bytes).await?,
                Effect::Read { deadline } => self.read(deadline).await?,
                Effect::Verify(credential) => Box::pin(self.verify(credential)).await?,
                Effect::StartTls => Box::pin(self.start_tls()).await?,
                Effect::Compress(unread) => self.start_compression(unread),
                Effect::Forget => self.forget().await?,
                Effect::Work => self.work().await?,
                Effect::Close => return Ok(()),
            }
        }
    }

    /// Asks the machine what it wants.
    fn ask(&mut self) -> Result<Effect<Credential>, Ended> {
        let machine = self.machine.as_mut().ok_or(Ended::Panicked)?;
        catch_unwind(AssertUnwindSafe(|| machine.next())).map_err(panicked)
    }

    /// Tells the machine what happened.
    fn tell(&mut self, event: Event<'_, Verdict>) -> Result<(), Ended> {
        let machine = self.machine.as_mut().ok_or(Ended::Panicked)?;
        let now = self.services.source.now();
        catch_unwind(AssertUnwindSafe(|| machine.on(now, event))).map_err(panicked)
    }

    /// Tells the machine that its peer has gone.
    fn tell_end(&mut self) -> Result<(), Ended> {
        if matches!(self.input, Input::EndTold | Input::Refused) {
            return Err(Ended::Unfinished);
        }
        self.input = Input::EndTold;
        self.tell(Event::Eof)
    }

    /// Gives the stream up and tells the machine.
    fn give_up(&mut self, why: &io::Error) -> Result<(), Ended> {
        debug!(error = %why, "connection lost");
        self.stream = Stream::Gone;
        self.ahead = Vec::new();
        if matches!(self.input, Input::EndTold | Input::Refused) {
            return Ok(());
        }
        self.tell_end()
    }

    /// Sends all of `bytes`. A peer that does not take them in time is given up.
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), Ended> {
        let limit = self.services.timeouts.write;
        if let Stream::Gone = self.stream {
            return Ok(());
        }
        self.unanswered = false;
        let bytes = match self.deflate(bytes).await {
            Ok(bytes) => bytes,
            Err(error) => return self.give_up(&error),
        };
        let sent = timeout(limit, self.stream.send(&bytes)).await;
        match sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => Ok(()),
            Err(error) => self.give_up(&error),
        }
    }

    /// Waits for the first of shutdown, bytes, the end of file, the waker and the deadline.
    async fn read(&mut self, deadline: Option<Instant>) -> Result<(), Ended> {
        let ahead = std::mem::take(&mut self.ahead);
        if !ahead.is_empty() && self.take_in(&ahead)? == Brought::News {
            return Ok(());
        }
        // Bytes that are there count as in time, once: a flood must not hold a deadline up.
        let overrun = deadline.is_some() && deadline == self.overrun;
        if !overrun && self.inflate_more().await? == Brought::News {
            self.note_overrun(deadline);
            return Ok(());
        }
        if self.input != Input::Open {
            return self.tell_end();
        }
        if overrun {
            return self.tell(Event::Deadline);
        }
        if std::mem::take(&mut self.unanswered) {
            self.stream.acknowledge();
        }
        let until = deadline.map(tokio::time::Instant::from_std);
        let mut stop = self.stop.clone();
        let bell = Arc::clone(&self.bell);
        let told_to_stop = self.told_to_stop;
        tokio::select! {
            biased;
            _ = stop.changed(), if !told_to_stop => {
                self.told_to_stop = true;
                self.tell(Event::Shutdown)
            }
            read = poll_fn(|cx| self.poll_read_to_machine(cx)) => {
                let read = read?;
                self.note_overrun(deadline);
                match read {
                    Ok(Brought::End) => self.tell_end(),
                    Ok(Brought::News | Brought::Nothing) => Ok(()),
                    Err(error) => self.give_up(&error),
                }
            }
            () = bell.0.notified() => self.tell(Event::Woken),
            () = wait_until(until) => self.tell(Event::Deadline),
        }
    }

    /// Remembers a deadline that has passed when bytes were there.
    fn note_overrun(&mut self, deadline: Option<Instant>) {
        let until = deadline.map(tokio::time::Instant::from_std);
        if until.is_some_and(|until| until <= tokio::time::Instant::now()) {
            self.overrun = deadline;
        }
    }

    /// Reads until there is something to tell the machine, and tells it. While much comes, it reads
    /// more at once.
    fn poll_read_to_machine(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<io::Result<Brought>, Ended>> {
        loop {
            let read = match self.read_size {
                ReadSize::Usual => self.poll_read_up_to::<READ_SIZE>(cx),
                ReadSize::Large => self.poll_read_up_to::<FLOW_SIZE>(cx),
            };
            match ready!(read) {
                Ok(Ok(Brought::Nothing)) => {}
                read => return Poll::Ready(read),
            }
        }
    }

    /// Reads up to `N` octets onto the stack.
    fn poll_read_up_to<const N: usize>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<io::Result<Brought>, Ended>> {
        let mut array = [const { MaybeUninit::uninit() }; N];
        let mut buffer = ReadBuf::uninit(&mut array);
        if let Err(error) = ready!(self.stream.poll_read(cx, &mut buffer)) {
            return Poll::Ready(Ok(Err(error)));
        }
        let bytes = buffer.filled();
        self.read_size = if bytes.len() < READ_SIZE {
            ReadSize::Usual
        } else {
            ReadSize::Large
        };
        if bytes.is_empty() {
            return Poll::Ready(Ok(Ok(Brought::End)));
        }
        self.unanswered = true;
        Poll::Ready(self.take_in(bytes).map(Ok))
    }

    /// Does a slice of work where it may block.
    async fn work(&mut self) -> Result<(), Ended> {
        let services = Arc::clone(&self.services);
        let turn = services.slices.turn().await;
        let mut machine = self.machine.take().ok_or(Ended::Panicked)?;
        let now = services.source.now();
        let worked = services.slices.run(move || {
            let _turn = turn;
            machine.work(now);
            machine
        });
        self.machine = Some(worked.await.map_err(|Panicked| Ended::Panicked)?);
        // What this thread was given meanwhile goes first.
        if services.source.now().instant.duration_since(now.instant) > LONG_SLICE {
            yield_now().await;
        }
        Ok(())
    }

    /// Gives back what is held for a user who is not there any more.
    async fn forget(&mut self) -> Result<(), Ended> {
        self.permit = None;
        let limit = self.services.timeouts.write;
        match timeout(limit, self.end_compression()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.give_up(&error),
            Err(_) => self.give_up(&io::ErrorKind::TimedOut.into()),
        }
    }

    /// Checks a credential, waits as long as its failure costs, and tells the verdict.
    ///
    /// A peer that has gone does not wait for its turn or its punishment.
    async fn verify(&mut self, credential: Credential) -> Result<(), Ended> {
        let checking = match &credential {
            Credential::Password(_) | Credential::Scram(_) => Arc::clone(&self.services.checking),
            Credential::Token(..) => Arc::clone(&self.services.asking),
        };
        let turn = tokio::select! {
            biased;
            turn = checking.acquire_owned() => turn,
            () = poll_fn(|cx| self.poll_gone(cx)) => return self.tell_end(),
        };
        let check = Arc::clone(&self.services.check);
        let origin = Origin {
            address: self.peer.ip().to_canonical(),
        };
        let now = self.services.source.now().instant;
        let span = Span::current();
        let checked = spawn_blocking(move || {
            let _turn = turn;
            span.in_scope(|| check(&credential, origin, now))
        });
        let outcome = checked.await.unwrap_or_else(|_| {
            error!("password check panicked");
            Outcome {
                verdict: Verdict::Unavailable,
                delay: Duration::ZERO,
            }
        });
        if !outcome.delay.is_zero() {
            let mut stop = self.stop.clone();
            let told_to_stop = self.told_to_stop;
            tokio::select! {
                () = sleep(outcome.delay) => {}
                _ = stop.changed(), if !told_to_stop => {}
                () = poll_fn(|cx| self.poll_gone(cx)) => return self.tell_end(),
            }
        }
        let verdict = self.admit(outcome.verdict);
        self.tell(Event::Verified(verdict))
    }

    /// Takes a session's place for a user who proved who they are.
    fn admit(&mut self, verdict: Verdict) -> Verdict {
        let Some(identity) = verdict.identity() else {
            debug!(?verdict, "not logged in");
            return verdict;
        };
        // A place that was taken for a login that the client then broke off is free again.
        self.permit = None;
        let limiter = &self.services.limiter;
        let Some(permit) = limiter.session(&identity.name, self.peer.ip()) else {
            info!(user = identity.name, "login refused: too many sessions");
            return Verdict::TooManySessions;
        };
        self.permit = Some(permit);
        Span::current().record("user", identity.name.as_str());
        debug!("credential accepted");
        verdict
    }

    /// Ready when the peer has closed its side and left nothing to read. Reads a little ahead to
    /// find out.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.input != Input::Open {
                return if self.ahead.is_empty() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            if self.ahead.len() >= AHEAD_LIMIT {
                return Poll::Pending;
            }
            let mut array = [const { MaybeUninit::uninit() }; AHEAD_LIMIT];
            let mut buffer = ReadBuf::uninit(&mut array);
            let read = ready!(self.stream.poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                self.input = Input::Ended;
            }
            self.ahead.extend_from_slice(buffer.filled());
        }
    }

    /// Starts TLS as the server, dropping what the peer sent in the clear after STARTTLS.
    async fn start_tls(&mut self) -> Result<(), Ended> {
        self.ahead = Vec::new();
        let stream = match std::mem::replace(&mut self.stream, Stream::Gone) {
            Stream::Clear(stream) => stream,
            Stream::Tls(_) | Stream::Gone => return self.give_up(&not_possible()),
        };
        let Some(certificates) = self.services.certificates.clone() else {
            return self.give_up(&not_possible());
        };
        let limit = self.services.timeouts.handshake;
        let mut stop = self.stop.clone();
        let told_to_stop = self.told_to_stop;
        let handshake = tokio::select! {
            done = certificates.handshake(stream, limit) => done,
            _ = stop.changed(), if !told_to_stop => Err(io::ErrorKind::Interrupted.into()),
        };
        match handshake {
            Ok((stream, tls)) => {
                self.stream = Stream::Tls(Box::new(stream));
                self.tell(Event::TlsReady(tls))
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// Closes the stream so that what was written still arrives: a close with unread bytes would
    /// reset the connection and take the last answer with it.
    async fn close(&mut self) {
        let limit = LINGER.min(self.services.timeouts.write);
        let closed = timeout(limit, self.stream.shutdown()).await;
        let may_send = matches!(self.input, Input::Open | Input::Refused);
        if !matches!(closed, Ok(Ok(()))) || !may_send {
            return;
        }
        let mut stop = self.stop.clone();
        if *stop.borrow() {
            return;
        }
        tokio::select! {
            _ = stop.changed() => {}
            () = sleep(LINGER) => {}
            () = poll_fn(|cx| self.stream.poll_drain(cx)) => {}
        }
    }
}

/// Waits until `deadline`, or for ever.
async fn wait_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn not_possible() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "TLS cannot start here")
}

/// The panic was logged where it happened; what it carried may quote the peer.
fn panicked(_: Box<dyn Any + Send>) -> Ended {
    Ended::Panicked
}

/// Octets read at once: a full TLS record.
const READ_SIZE: usize = 16 * 1024;

/// Octets read at once from a peer that sends much.
const FLOW_SIZE: usize = 64 * 1024;

/// How long a slice may take before its session lets others go first.
const LONG_SLICE: Duration = Duration::from_millis(1);

/// Octets read ahead while a credential is checked.
const AHEAD_LIMIT: usize = 4 * 1024;

/// How long a peer may take to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
