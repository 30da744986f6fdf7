//! A running server: its listeners, its background tasks, and its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use auth::password::Cost;
use auth::throttle::Delays;
use auth::{Accounts, Authenticator};
use machine::{Link, Security};
use mailstore::Store;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval_at};
use tracing::{Instrument, Span, debug, error, field, info, info_span, warn};

use crate::config::{Listener, PlaintextAuth, Protocol, Settings, TlsMode};
use crate::connection::{Bell, Connection, Services, Stream, Timeouts};
use crate::limiter::{ConnectionPermit, Limiter, Limits};
use crate::listen::{accept_loop, bind, prepare, raise_descriptor_limit, refuse};
use crate::source::Source;
use crate::tls::{self, Certificates};

/// A running server. Dropping it stops it without waiting; [`Self::shutdown`] waits.
#[derive(Debug)]
pub struct Server {
    bound: Vec<Listener>,
    store: Arc<Store>,
    limiter: Arc<Limiter>,
    authenticator: Arc<Authenticator>,
    certificates: Option<Certificates>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Puts a [`Server`] together.
pub struct Builder {
    settings: Settings,
    source: Source,
    accounts: Accounts,
    certificates: Option<Certificates>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}{}", hint(*address, source))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate or its key is bad.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// The users file is bad.
    #[error(transparent)]
    Users(#[from] auth::users::LoadError),
    /// The costs of password hashes are impossible.
    #[error("password hashes: {0}")]
    Cost(#[from] auth::password::CostError),
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("source", &self.source)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// A server with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            accounts: Accounts::File(settings.users.clone()),
            settings,
            source: Source::system(),
            certificates: None,
        }
    }

    /// Takes time and randomness from `source` instead of the system.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    /// Lets these accounts log in instead of those in the users file that the settings name.
    #[must_use]
    pub fn accounts(mut self, accounts: Accounts) -> Self {
        self.accounts = accounts;
        self
    }

    /// Uses this certificate instead of the one that the settings name.
    #[must_use]
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Binds every port, then serves on the current tokio runtime.
    ///
    /// # Errors
    /// If a port cannot be bound or the certificate is bad. Nothing is served then.
    pub async fn bind(self) -> Result<Server, Error> {
        let descriptors = raise_descriptor_limit();
        let settings = self.settings;
        let limit = settings.limits.connections;
        if descriptors.is_some_and(|descriptors| descriptors < as_u64(limit)) {
            warn!(
                ?descriptors,
                limit, "fewer open files allowed than connections"
            );
        }
        let certificates = match self.certificates {
            None if settings.needs_tls() => Some(Certificates::load(
                &settings.tls.certificate,
                &settings.tls.key,
            )?),
            given => given,
        };
        let authenticator = Arc::new(authenticator(&settings, self.accounts, &self.source)?);
        let sockets = bind_all(&settings.listeners)?;
        let store = Store::new(store_options(&settings, &self.source));
        let limiter = Limiter::new(Limits {
            connections: settings.limits.connections,
            sessions_per_user_and_address: settings.limits.sessions_per_user,
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            services: Arc::new(Services {
                source: self.source,
                check: {
                    let authenticator = Arc::clone(&authenticator);
                    Arc::new(move |credential, origin, now| {
                        authenticator.verify(credential, origin, now)
                    })
                },
                checking: Arc::new(Semaphore::new(settings.auth.parallel(cores))),
                working: Arc::new(Semaphore::new(WORKERS.max(4 * cores))),
                limiter: Arc::clone(&limiter),
                certificates: certificates.clone(),
                timeouts: Timeouts {
                    handshake: settings.timeouts.handshake,
                    write: settings.timeouts.write,
                },
            }),
            imap: Arc::new(imap_settings(&settings, &store)),
            pop3: Arc::new(pop3_settings(&settings, &store)),
        });
        let (stop, stopped) = watch::channel(false);
        let mut bound = Vec::new();
        let mut tasks = Vec::new();
        for (socket, listener) in sockets {
            info!(address = %listener.address, protocol = ?listener.protocol, tls = ?listener.tls, "listening");
            bound.push(listener);
            let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
            let limit = settings.timeouts.shutdown;
            tasks.push(tokio::spawn(async move {
                let serve = |stream, peer| shared.admit(listener, stream, peer, &stopped);
                accept_loop(socket, stopped.clone(), limit, serve).await;
            }));
        }
        let poll = settings.storage.poll_interval;
        tasks.push(every(poll, &store, stopped.clone(), Store::poll));
        tasks.push(every(FLUSH_INTERVAL, &store, stopped, Store::flush));
        Ok(Server {
            bound,
            store,
            limiter,
            authenticator,
            certificates,
            stop,
            tasks,
        })
    }
}

impl Server {
    /// Starts putting a server together, with these settings.
    pub fn builder(settings: Settings) -> Builder {
        Builder::new(settings)
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
        if spawn_blocking(move || store.flush()).await.is_err() {
            error!("flushing at the end panicked");
        }
        info!("stopped");
    }

    /// Reads the certificate and the users file again. A bad one is logged, and what was read
    /// before stays in use. No session notices.
    pub async fn reload(&self) {
        let certificates = self.certificates.clone();
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
        self.limiter.connections()
    }

    fn address(&self, protocol: Protocol, tls: TlsMode) -> Option<SocketAddr> {
        self.bound
            .iter()
            .find(|listener| listener.protocol == protocol && listener.tls == tls)
            .map(|listener| listener.address)
    }
}

/// What all connections of a server share.
struct Shared {
    services: Arc<Services>,
    imap: Arc<imapd::Settings>,
    pop3: Arc<pop3d::Settings>,
}

impl Shared {
    /// Makes the session of a new connection, or refuses it if there are too many.
    fn admit(
        self: &Arc<Self>,
        listener: Listener,
        stream: TcpStream,
        peer: SocketAddr,
        stop: &watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let Some(permit) = self.services.limiter.connection() else {
            debug!(%peer, "connection refused: too many");
            if listener.tls != TlsMode::Implicit {
                refuse(&stream, refusal(listener.protocol));
            }
            return None;
        };
        if let Err(error) = prepare(&stream) {
            debug!(%peer, %error, "connection lost");
            return None;
        }
        let span = info_span!(
            parent: None,
            "connection",
            id = self.services.source.connection_id(),
            peer = %SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            protocol = name(listener.protocol),
            user = field::Empty,
        );
        let session = Arc::clone(self).serve(listener, stream, peer, permit, stop.clone());
        Some(session.instrument(span))
    }

    /// Serves one connection to its end.
    async fn serve(
        self: Arc<Self>,
        listener: Listener,
        stream: TcpStream,
        peer: SocketAddr,
        _permit: ConnectionPermit,
        stop: watch::Receiver<bool>,
    ) {
        debug!("connected");
        let stream = match listener.tls {
            TlsMode::Implicit => match Box::pin(self.handshake(stream, stop.clone())).await {
                Ok(stream) => stream,
                Err(error) => return debug!(%error, "handshake failed"),
            },
            TlsMode::StartTls | TlsMode::None => Stream::Clear(stream),
        };
        let bell = Arc::new(Bell::default());
        let link = Link {
            security: match listener.tls {
                TlsMode::Implicit => Security::Tls,
                TlsMode::StartTls => Security::StartTlsOffered,
                TlsMode::None => Security::Clear,
            },
            plaintext_auth: match listener.plaintext_auth {
                PlaintextAuth::Refused => machine::PlaintextAuth::Refused,
                PlaintextAuth::Allowed => machine::PlaintextAuth::Allowed,
            },
            peer: peer.ip().to_canonical(),
            waker: Waker::from(Arc::clone(&bell)),
        };
        let (now, services) = (self.services.source.now(), Arc::clone(&self.services));
        // How a session ended was logged where it did.
        match listener.protocol {
            Protocol::Imap => Ok(()),
            Protocol::Pop3 => {
                let session = pop3d::Session::new(Arc::clone(&self.pop3), link, now);
                drop(self);
                Connection::new(services, peer, stream, session, bell, stop)
                    .run()
                    .await
            }
        }
        .unwrap_or(());
    }

    /// Does the handshake of a connection that is TLS from its first byte.
    async fn handshake(
        &self,
        stream: TcpStream,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<Stream<TcpStream>> {
        let Some(certificates) = self.services.certificates.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        tokio::select! {
            done = certificates.handshake(stream, self.services.timeouts.handshake) => {
                Ok(Stream::Tls(Box::new(done?)))
            }
            _ = stop.changed() => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// Binds every listener, or none.
///
/// A system without IPv6 is served on IPv4 alone, if the address was only "any address" or
/// loopback.
fn bind_all(listeners: &[Listener]) -> Result<Vec<(TcpListener, Listener)>, Error> {
    let mut sockets = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let address = listener.address;
        let failed = |source| Error::Bind { address, source };
        match bind(address) {
            Ok(socket) => {
                let address = socket.local_addr().map_err(failed)?;
                sockets.push((
                    socket,
                    Listener {
                        address,
                        ..*listener
                    },
                ));
            }
            Err(error) if listeners.len() > 1 && no_ipv6(address, &error) => {
                warn!(%address, %error, "no IPv6 on this system");
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(sockets)
}

/// Whether binding failed because there is no IPv6.
fn no_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let ip = address.ip();
    let unavailable = error.kind() == io::ErrorKind::AddrNotAvailable
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT);
    ip.is_ipv6() && (ip.is_unspecified() || ip.is_loopback()) && unavailable
}

/// What to do about an address that cannot be listened on.
fn hint(address: SocketAddr, error: &io::Error) -> &'static str {
    let kind = error.kind();
    if kind == io::ErrorKind::PermissionDenied && address.port() < 1024 {
        "; ports below 1024 need a privilege: run `setcap cap_net_bind_service=+ep` on the \
         pillarbox binary, or set `AmbientCapabilities=CAP_NET_BIND_SERVICE` in its systemd unit, \
         or choose another port"
    } else if kind == io::ErrorKind::AddrInUse {
        "; another program listens there: stop it, or choose another port"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; this machine has no such address"
    } else {
        ""
    }
}

/// Calls `task` on the blocking pool again and again, until the server stops.
fn every(
    period: Duration,
    store: &Arc<Store>,
    mut stop: watch::Receiver<bool>,
    task: fn(&Store),
) -> JoinHandle<()> {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let period = period.max(Duration::from_millis(1));
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stop.borrow() {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                _ = ticks.tick() => {
                    let store = Arc::clone(&store);
                    if spawn_blocking(move || task(&store)).await.is_err() {
                        error!("a background task of the store panicked");
                    }
                }
            }
        }
    })
}

fn authenticator(
    settings: &Settings,
    accounts: Accounts,
    source: &Source,
) -> Result<Authenticator, Error> {
    let auth = &settings.auth;
    let memory = u32::try_from(auth.argon2_memory / 1024).unwrap_or(u32::MAX);
    let options = auth::Options {
        accounts,
        default_domain: auth.default_domain.clone(),
        mail: settings.mail.clone(),
        cost: Cost::new(memory, auth.argon2_passes, auth.argon2_lanes)?,
        delays: Delays {
            first: auth.failure_delay,
            jitter: auth.failure_jitter,
            max: auth.failure_delay_max,
        },
        cache: auth.cache,
    };
    let source = source.clone();
    Ok(Authenticator::new(options, move || source.random())?)
}

fn store_options(settings: &Settings, source: &Source) -> mailstore::Options {
    mailstore::Options {
        fsync: settings.storage.fsync,
        namespace: settings.storage.namespace.clone(),
        hostname: settings.hostname.clone(),
        lock_timeout: settings.storage.lock_timeout,
        mtime_guard: settings.storage.mtime_guard,
        cache_bytes: settings.storage.cache,
        source: source.for_store(),
    }
}

fn imap_settings(settings: &Settings, store: &Arc<Store>) -> imapd::Settings {
    let limits = &settings.limits;
    imapd::Settings {
        hostname: settings.hostname.clone(),
        limits: imapd::Limits {
            line_before_login: limits.line_before_login,
            literal_before_login: limits.literal_before_login,
            arguments_before_login: limits.arguments_before_login,
            line: limits.line,
            arguments: limits.arguments,
            nesting: limits.nesting,
            message: limits.message,
            bad_commands: limits.bad_commands,
        },
        timeouts: imapd::Timeouts {
            login: settings.timeouts.login,
            idle: settings.timeouts.imap_idle,
            keepalive: settings.timeouts.keepalive,
        },
        ..imapd::Settings::new(Arc::clone(store))
    }
}

fn pop3_settings(settings: &Settings, store: &Arc<Store>) -> pop3d::Settings {
    let defaults = pop3d::Settings::new(Arc::clone(store));
    pop3d::Settings {
        hostname: settings.hostname.clone(),
        utf8_headers: settings.pop3.utf8_headers,
        limits: pop3d::Limits {
            bad_commands: settings.limits.bad_commands,
            ..defaults.limits
        },
        timeouts: pop3d::Timeouts {
            login: settings.timeouts.login,
            idle: settings.timeouts.pop3_idle,
        },
        ..defaults
    }
}

/// The protocol's name in logs.
const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
    }
}

/// What a client over the maximum of connections is told (RFC 3501 §7.1.5, RFC 3206 §4).
const fn refusal(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
        Protocol::Pop3 => "-ERR [SYS/TEMP] too many connections, try again later\r\n",
    }
}

/// The number as one of 64 bits, which it is on every system there is.
fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// How many slices of work may run at once at least. Most of them wait for the disk or a lock.
const WORKERS: usize = 64;

/// How often flag changes are forced to disk.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
