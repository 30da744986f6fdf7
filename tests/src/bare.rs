//! A machine without a network: bytes in, bytes out, in virtual time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use machine::{Effect, Event, Machine, Now, Tls};

/// A waker that remembers that it was called.
#[derive(Debug, Default)]
pub struct Bell(AtomicBool);

impl Bell {
    /// Whether it rang since it was last asked.
    pub fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Decides about a credential.
type Verdicts<M> = Box<dyn Fn(<M as Machine>::Credential) -> <M as Machine>::Verdict + Send + Sync>;

/// A connection to a machine that is driven by hand. Logins are decided by `verdict`.
pub struct Bare<M: Machine> {
    machine: M,
    now: Now,
    bell: Arc<Bell>,
    verdict: Verdicts<M>,
    open: bool,
    deadline: Option<Instant>,
    /// How long a slice of work takes.
    slice: Duration,
    /// What the machine gave back when it asked for compression, which is left out here.
    unread: Vec<u8>,
}

impl<M: Machine> fmt::Debug for Bare<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bare")
            .field("now", &self.now)
            .field("open", &self.open)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Bare<M> {
    /// Starts a machine, giving it a waker.
    pub fn new(
        now: Now,
        verdict: impl Fn(M::Credential) -> M::Verdict + Send + Sync + 'static,
        start: impl FnOnce(Waker) -> M,
    ) -> Self {
        let bell = Arc::new(Bell::default());
        let machine = start(Waker::from(Arc::clone(&bell)));
        Self {
            machine,
            now,
            bell,
            verdict: Box::new(verdict),
            open: true,
            deadline: None,
            slice: Duration::ZERO,
            unread: Vec::new(),
        }
    }

    /// Sends bytes and gives everything the machine answers until it wants to read again.
    pub fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut answer = self.settle();
        if self.open {
            self.machine.on(self.now, Event::Bytes(bytes));
            answer.extend(self.settle());
        }
        answer
    }

    /// Gives what the machine says on its own: its greeting, or what a wake-up brings.
    pub fn listen(&mut self) -> Vec<u8> {
        let mut answer = self.settle();
        while self.open && self.bell.rang() {
            self.machine.on(self.now, Event::Woken);
            answer.extend(self.settle());
        }
        answer
    }

    /// Lets time pass; deadlines on the way are told to the machine.
    pub fn wait(&mut self, time: Duration) -> Vec<u8> {
        let mut answer = self.settle();
        let end = self.now.instant + time;
        while let Some(deadline) = self
            .deadline
            .filter(|deadline| self.open && *deadline <= end)
        {
            self.advance(deadline);
            self.machine.on(self.now, Event::Deadline);
            answer.extend(self.settle());
        }
        self.advance(end);
        answer
    }

    /// Makes every slice of work take so long from here on.
    pub fn slow_down(&mut self, slice: Duration) {
        self.slice = slice;
    }

    /// Ends the client's side, and gives what the machine still says.
    pub fn hang_up(&mut self) -> Vec<u8> {
        self.tell(Event::Eof)
    }

    /// Tells the machine that the server is stopping.
    pub fn shut_down(&mut self) -> Vec<u8> {
        self.tell(Event::Shutdown)
    }

    /// Whether the machine has not closed the connection.
    pub fn is_open(&self) -> bool {
        self.open
    }

    fn tell(&mut self, event: Event<'_, M::Verdict>) -> Vec<u8> {
        let mut answer = self.settle();
        if self.open {
            self.machine.on(self.now, event);
            answer.extend(self.settle());
        }
        answer
    }

    fn advance(&mut self, instant: Instant) {
        let passed = instant.saturating_duration_since(self.now.instant);
        self.now = Now {
            instant: self.now.instant + passed,
            wall: self.now.wall + passed,
        };
    }

    fn settle(&mut self) -> Vec<u8> {
        let mut answer = Vec::new();
        while self.open {
            match self.machine.next() {
                Effect::Write(bytes) => answer.extend(bytes),
                Effect::Work => {
                    self.advance(self.now.instant + self.slice);
                    self.machine.work(self.now);
                }
                Effect::Verify(credential) => {
                    let verdict = (self.verdict)(credential);
                    self.machine.on(self.now, Event::Verified(verdict));
                }
                Effect::StartTls => self.machine.on(self.now, Event::TlsReady(Tls::default())),
                Effect::Compress(unread) => self.unread = unread,
                Effect::Forget => {}
                Effect::Read { .. } if !self.unread.is_empty() => {
                    let unread = std::mem::take(&mut self.unread);
                    self.machine.on(self.now, Event::Bytes(&unread));
                }
                Effect::Read { deadline } => {
                    self.deadline = deadline;
                    break;
                }
                Effect::Close => self.open = false,
            }
        }
        answer
    }
}
