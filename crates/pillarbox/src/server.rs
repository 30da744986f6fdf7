//! A running server: its listeners, its background tasks, and its end.

mod attendant;
mod builder;
mod front;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth::Authenticator;
use mailstore::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{Span, error, info};

pub use builder::{Builder, Error};

use self::attendant::Attendant;
use self::front::Front;
use crate::config::{ChangeNotices, Listener, Protocol, Settings, TlsMode};
use crate::listen::accept_loop;
use crate::source::Source;

/// A running server. Dropping it stops it without waiting; [`Self::shutdown`] waits.
pub struct Server {
    bound: Vec<Listener>,
    front: Arc<Front>,
    authenticator: Arc<Authenticator>,
    store: Arc<Store>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Waits for the kernel's notices of changes in mailboxes.
    attendant: Option<Attendant>,
}

impl Server {
    /// Starts putting a server together, with these settings.
    pub fn builder(settings: Settings) -> Builder {
        Builder::new(settings)
    }

    /// Starts serving what is bound.
    fn start(
        settings: &Settings,
        sockets: Vec<(TcpListener, Listener)>,
        front: Arc<Front>,
        authenticator: Arc<Authenticator>,
        store: Arc<Store>,
    ) -> Self {
        // Before the first session, so that nobody waits for a poll.
        let attendant = match settings.storage.change_notices {
            ChangeNotices::Auto => store.notices().and_then(Attendant::start),
            ChangeNotices::Poll => None,
        };
        let (stop, stopped) = watch::channel(false);
        let mut bound = Vec::new();
        let mut tasks = Vec::new();
        for (socket, listener) in sockets {
            let Listener {
                address,
                protocol,
                tls,
                ..
            } = listener;
            let (protocol, tls) = (protocol.name(), tls.name());
            info!(%address, protocol, tls, "listening");
            bound.push(listener);
            let (front, stopped) = (Arc::clone(&front), stopped.clone());
            let limit = settings.timeouts.shutdown;
            tasks.push(tokio::spawn(async move {
                let serve = |stream, peer| front.admit(listener, stream, peer, &stopped);
                accept_loop(socket, stopped.clone(), limit, serve).await;
            }));
        }
        let poll = settings.storage.poll_interval;
        tasks.push(every(poll, &store, stopped.clone(), Store::poll));
        tasks.push(every(FLUSH_INTERVAL, &store, stopped.clone(), Store::flush));
        let source = front.services.source.clone();
        let save = move |authenticator: &Authenticator| save_failures(authenticator, &source);
        tasks.push(every(SAVE_INTERVAL, &authenticator, stopped, save));
        Self {
            bound,
            front,
            authenticator,
            store,
            stop,
            tasks,
            attendant,
        }
    }

    /// Stops: accepts no more, lets every session finish its command and say goodbye, and writes
    /// out what the store still holds. Sessions that take too long are cut off.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            if task.await.is_err() {
                error!("a task of the server panicked");
            }
        }
        let store = Arc::clone(&self.store);
        let authenticator = Arc::clone(&self.authenticator);
        let source = self.front.services.source.clone();
        let attendant = self.attendant.take();
        let end = move || {
            drop(attendant);
            store.flush();
            save_failures(&authenticator, &source);
        };
        if spawn_blocking(end).await.is_err() {
            error!("flushing at the end panicked");
        }
        info!("stopped");
    }

    /// Reads the certificate and the users file again. A bad one is logged, and what was read
    /// before stays in use. No session notices.
    pub async fn reload(&self) {
        let certificates = self.front.services.certificates.clone();
        let authenticator = Arc::clone(&self.authenticator);
        let span = Span::current();
        let read = spawn_blocking(move || {
            let _entered = span.entered();
            match authenticator.reload() {
                Ok(()) => info!("users read again"),
                Err(error) => error!(%error, "users not read again, the old ones stay"),
            }
            match certificates.map(|certificates| certificates.reload()) {
                Some(Ok(())) => info!("certificate read again"),
                Some(Err(error)) => {
                    error!(%error, "certificate not read again, the old one stays");
                }
                None => {}
            }
        });
        if read.await.is_err() {
            error!("reading certificate and users again panicked");
        }
    }

    /// What is listened on, with the real addresses.
    pub fn listeners(&self) -> &[Listener] {
        &self.bound
    }

    /// The first address where IMAP is spoken in the clear or with STARTTLS.
    pub fn imap(&self) -> Option<SocketAddr> {
        self.address(Protocol::Imap, TlsMode::StartTls)
            .or_else(|| self.address(Protocol::Imap, TlsMode::None))
    }

    /// The first address where IMAP is spoken over TLS from the first byte.
    pub fn imaps(&self) -> Option<SocketAddr> {
        self.address(Protocol::Imap, TlsMode::Implicit)
    }

    /// The first address where POP3 is spoken in the clear or with STLS.
    pub fn pop3(&self) -> Option<SocketAddr> {
        self.address(Protocol::Pop3, TlsMode::StartTls)
            .or_else(|| self.address(Protocol::Pop3, TlsMode::None))
    }

    /// The first address where POP3 is spoken over TLS from the first byte.
    pub fn pop3s(&self) -> Option<SocketAddr> {
        self.address(Protocol::Pop3, TlsMode::Implicit)
    }

    /// The mail, as the sessions see it.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// How many connections there are now.
    pub fn connections(&self) -> usize {
        self.front.services.limiter.connections()
    }

    fn address(&self, protocol: Protocol, tls: TlsMode) -> Option<SocketAddr> {
        self.bound
            .iter()
            .find(|listener| listener.protocol == protocol && listener.tls == tls)
            .map(|listener| listener.address)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listeners", &self.bound)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Calls `task` on the blocking pool again and again, until the server stops.
fn every<T: Send + Sync + 'static>(
    period: Duration,
    of: &Arc<T>,
    mut stop: watch::Receiver<bool>,
    task: impl Fn(&T) + Clone + Send + 'static,
) -> JoinHandle<()> {
    let of = Arc::clone(of);
    tokio::spawn(async move {
        let period = period.max(Duration::from_millis(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                _ = ticks.tick() => {
                    let (of, task) = (Arc::clone(&of), task.clone());
                    if spawn_blocking(move || task(&of)).await.is_err() {
                        error!("a background task panicked");
                    }
                }
            }
        }
    })
}

/// Writes the failed logins to their file, if anything has changed.
fn save_failures(authenticator: &Authenticator, source: &Source) {
    let now = source.now();
    authenticator.save_failures(now.instant, now.wall);
}

/// How often failed logins are written to their file: a crash forgets no more of them.
const SAVE_INTERVAL: Duration = Duration::from_secs(5);

/// How often flag changes are forced to disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
