//! Where slices of work run.
//!
//! Most slices are over in less time than it takes to wake another thread. On a runtime with
//! threads to spare a slice therefore runs where its session does, as long as some threads stay
//! free for the other sessions. What such a thread leaves undone (it may be the one that polled
//! the sockets and timers) has to be taken over by another if the slice turns out to be a long
//! one: a [`Lookout`] sees to that. When too few threads are left, the session lets others go first
//! a few times. If that does not help, the slice runs in the same place, but the runtime gets a new
//! thread first: that is for slices that wait for the disk, and would only be in the way of the
//! thousands of short ones that begin when many idle sessions are woken together. On a runtime of a
//! single thread a slice moves to a thread for blocking work.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{block_in_place, spawn_blocking, yield_now};
use tracing::Span;

/// Runs slices of work.
pub(crate) struct Slices {
    /// First come, first served, so that many busy sessions cannot keep another from its turn.
    turns: Arc<Semaphore>,
    place: Place,
}

/// Where a slice may run.
enum Place {
    /// On a thread for blocking work only.
    Elsewhere,
    /// On any thread of the runtime.
    Here(Option<Lookout>),
}

/// A slice's turn; over when dropped.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not looked at")] OwnedSemaphorePermit);

/// The slice panicked. The panic was logged where it happened.
#[derive(Debug)]
pub(crate) struct Panicked;

impl Slices {
    /// Slices on the current runtime, so many at a time.
    pub(crate) fn new(at_once: usize) -> Self {
        let runtime = Handle::current();
        let place = if runtime.runtime_flavor() == RuntimeFlavor::MultiThread {
            let spare = runtime.metrics().num_workers().saturating_sub(KEPT_FREE);
            Place::Here(
                (spare > 0)
                    .then(|| Lookout::start(runtime, spare))
                    .flatten(),
            )
        } else {
            Place::Elsewhere
        };
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            place,
        }
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let turns = Arc::clone(&self.turns);
        match Arc::clone(&turns).try_acquire_owned() {
            Ok(turn) => Some(Turn(turn)),
            Err(_) => turns.acquire_owned().await.ok().map(Turn),
        }
    }

    /// Runs what may block, until it is done.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        slice: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Panicked> {
        let caught = move || catch_unwind(AssertUnwindSafe(slice)).map_err(Panicked::from);
        match &self.place {
            Place::Here(lookout) => match place_of_its_own(lookout.as_ref()).await {
                Some(_running) => caught(),
                None => block_in_place(caught),
            },
            Place::Elsewhere => {
                let span = Span::current();
                let done = spawn_blocking(move || span.in_scope(caught)).await;
                done.unwrap_or(Err(Panicked))
            }
        }
    }
}

/// Begins a slice on a thread to spare, which others may have to leave first.
async fn place_of_its_own(lookout: Option<&Lookout>) -> Option<Running<'_>> {
    let lookout = lookout?;
    for _ in 0..YIELDS {
        let running = lookout.enter();
        if running.is_some() {
            return running;
        }
        yield_now().await;
    }
    lookout.enter()
}

impl From<Box<dyn Any + Send>> for Panicked {
    /// Drops what the panic carried, which may quote the peer.
    fn from(_: Box<dyn Any + Send>) -> Self {
        Self
    }
}

impl fmt::Debug for Slices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slices").finish_non_exhaustive()
    }
}

/// Watches for long slices on threads of the runtime, and has another thread woken for them.
///
/// It has a thread of its own, which sleeps while there is no work.
struct Lookout {
    shared: Arc<Shared>,
    thread: Thread,
}

/// What the lookout's thread and the sessions share.
struct Shared {
    /// How many slices may run.
    most: usize,
    /// How many do.
    running: AtomicUsize,
    /// How many ever did.
    begun: AtomicU64,
    /// The thread waits to be woken.
    asleep: AtomicBool,
    /// The thread shall end.
    closed: AtomicBool,
}

/// A slice that runs; over when dropped.
struct Running<'a>(&'a Shared);

impl Lookout {
    /// Starts the thread; without one there is no lookout.
    fn start(runtime: Handle, most: usize) -> Option<Self> {
        let shared = Arc::new(Shared {
            most,
            running: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("pillarbox-lookout".to_owned())
            .stack_size(STACK)
            .spawn(move || watched.watch(&runtime))
            .ok()?;
        Some(Self {
            shared,
            thread: thread.thread().clone(),
        })
    }

    /// Begins a slice, if there are threads to spare.
    fn enter(&self) -> Option<Running<'_>> {
        let one_more = |running| (running < self.shared.most).then_some(running + 1);
        self.shared
            .running
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .ok()?;
        self.shared.begun.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Some(Running(&self.shared))
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Shared {
    /// Looks whether slices are running, until it is closed.
    fn watch(&self, runtime: &Handle) {
        let (mut seen, mut quiet) = (0, 0);
        while !self.closed.load(Ordering::SeqCst) {
            if quiet < QUIET {
                thread::park_timeout(TICK);
            } else {
                self.asleep.store(true, Ordering::SeqCst);
                // Whoever begins after this look sees that it sleeps.
                if self.begun.load(Ordering::SeqCst) == seen {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
            }
            let begun = self.begun.load(Ordering::SeqCst);
            if self.running.load(Ordering::SeqCst) > 0 {
                // A thread that is woken for nothing looks after sockets and timers then.
                drop(runtime.spawn(async {}));
                quiet = 0;
            } else if begun == seen {
                quiet += 1;
            } else {
                quiet = 0;
            }
            seen = begun;
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Threads of the runtime that slices never take: for sockets and timers, and for a session whose
/// step takes long without being a slice.
const KEPT_FREE: usize = 2;

/// How often a session lets others go first before its slice takes a thread from the runtime.
const YIELDS: u32 = 4;

/// How long a slice may hold sockets and timers up.
const TICK: Duration = Duration::from_millis(5);

/// How often the lookout looks without seeing anything before it sleeps.
const QUIET: u32 = 4;

/// What the lookout's thread needs, generously.
const STACK: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// What a slice that blocks is ended by.
    type Go = Sender<()>;

    /// Runs a slice until the sender is dropped, and waits until it has begun.
    fn block(slices: &Arc<Slices>) -> (Go, tokio::task::JoinHandle<Result<(), Panicked>>) {
        let slices = Arc::clone(slices);
        let (go, signal): (Go, Receiver<()>) = channel();
        let (tell, begun) = channel();
        let running = tokio::spawn(async move {
            let _turn = slices.turn().await;
            let slice = move || {
                tell.send(()).unwrap();
                signal.recv().unwrap_or_default();
            };
            slices.run(slice).await
        });
        begun.recv_timeout(LIMIT).unwrap();
        (go, running)
    }

    /// A timer of a task of its own passes.
    fn timers_run() {
        let (tell, passed) = channel();
        let timer = async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            tell.send(()).unwrap();
        };
        drop(tokio::spawn(timer));
        passed.recv_timeout(LIMIT).unwrap();
    }

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn others_go_on_while_slices_block() {
        let slices = Arc::new(Slices::new(6));
        let mut blocked = Vec::new();
        // Two on threads to spare, the others on threads that had to be replaced.
        for _ in 0..6 {
            blocked.push(block(&slices));
            timers_run();
        }
        for (go, running) in blocked {
            drop(go);
            running.await.unwrap().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_lookout_that_slept_wakes_up() {
        let slices = Arc::new(Slices::new(1));
        let Place::Here(Some(lookout)) = &slices.place else {
            panic!("no lookout");
        };
        for _ in 0..2 {
            while !lookout.shared.asleep.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            let (go, running) = block(&slices);
            while lookout.shared.asleep.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            timers_run();
            drop(go);
            running.await.unwrap().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn a_slice_lets_another_end_before_it_takes_a_thread() {
        let slices = Slices::new(2);
        let Place::Here(lookout) = &slices.place else {
            panic!("no place");
        };
        let lookout = lookout.as_ref();
        let running = lookout.and_then(Lookout::enter);
        assert!(running.is_some());
        assert!(place_of_its_own(lookout).await.is_none());
        let (place, ()) = tokio::join!(place_of_its_own(lookout), async { drop(running) });
        assert!(place.is_some());
    }

    /// A panic ends its slice only, and gives its place back.
    async fn panics_are_caught() {
        let slices = Slices::new(1);
        for _ in 0..3 {
            let turn = slices.turn().await;
            let panicked = slices.run(move || {
                let _turn = turn;
                panic!("on purpose");
            });
            assert!(panicked.await.is_err());
        }
        let turn = slices.turn().await;
        assert!(turn.is_some());
        assert_eq!(slices.run(|| 1).await.ok(), Some(1));
    }

    #[tokio::test]
    async fn panics_are_caught_elsewhere() {
        panics_are_caught().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn panics_are_caught_in_place() {
        tokio::spawn(panics_are_caught()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn panics_are_caught_here() {
        tokio::spawn(panics_are_caught()).await.unwrap();
    }
}
