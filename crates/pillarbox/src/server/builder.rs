//! From [`Settings`] to a running [`Server`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use auth::oauth::KeySetError;
use auth::{Accounts, Authenticator};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::Server;
use super::front::Front;
use crate::config::{self, Listener, Settings};
use crate::connection::{Check, Compressors, Services, Slices, Timeouts};
use crate::issuer;
use crate::limiter::{Limiter, Limits};
use crate::listen::{bind, no_ipv6, raise_descriptor_limit};
use crate::source::Source;
use crate::tls::{self, Certificates};

/// Puts a [`Server`] together.
///
/// ```
/// use auth::{Accounts, MailTemplate, Secret};
/// use pillarbox::config::{Capabilities, Listener, PlaintextAuth, Protocol, Settings, TlsMode};
/// use pillarbox::Server;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// let mail = tempfile::tempdir()?;
/// let settings = Settings {
///     mail: MailTemplate::parse(&format!("{}/{{user}}", mail.path().display()))?,
///     listeners: vec![Listener {
///         protocol: Protocol::Pop3,
///         address: "127.0.0.1:0".parse()?,
///         tls: TlsMode::None,
///         plaintext_auth: PlaintextAuth::Allowed,
///         hide: Capabilities::NONE,
///     }],
///     ..Settings::default()
/// };
/// let anna = ("anna@example.org".to_owned(), Secret::new("secret"));
/// let server = Server::builder(settings)
///     .accounts(Accounts::Open(vec![anna]))
///     .bind()
///     .await?;
/// let address = server.pop3().ok_or("no listener")?;
/// assert_ne!(address.port(), 0);
/// // … connect a client to `address` …
/// server.shutdown().await;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Builder {
    settings: Settings,
    source: Source,
    accounts: Option<Accounts>,
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
    /// The issuer of tokens cannot be asked.
    #[error(transparent)]
    Issuer(#[from] issuer::Error),
    /// The issuer's keys are bad.
    #[error("`jwks` in [oauth]: {0}")]
    Keys(#[from] KeySetError),
    /// The database of the accounts cannot be asked as it is set.
    #[error("[accounts]: {0}")]
    Accounts(String),
}

impl Builder {
    /// A server with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            accounts: None,
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
        self.accounts = Some(accounts);
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
    /// If a port cannot be bound, or the certificate or the users file is bad. Nothing is served
    /// then.
    pub async fn bind(self) -> Result<Server, Error> {
        let settings = &self.settings;
        let tls = &settings.tls;
        let certificates = match self.certificates {
            None if settings.needs_tls() => Some(Certificates::load(&tls.certificate, &tls.key)?),
            given => given,
        };
        let accounts = match self.accounts {
            Some(accounts) => accounts,
            None => accounts(settings, &self.source)?,
        };
        // Accounts that end with the process have nothing to keep.
        let state = settings.state_dir.as_deref();
        let state = state.filter(|_| !matches!(accounts, Accounts::Open(_)));
        let mut authenticator = authenticator(settings, accounts, &self.source)?;
        if let Some(directory) = state {
            authenticator.keep_salts_in(directory);
            let now = self.source.now();
            authenticator.keep_failures_in(directory, now.instant, now.wall);
        }
        let authenticator = Arc::new(authenticator);
        let sockets = bind_all(&settings.listeners)?;
        let store = settings.open_store(&self.source);
        let check = {
            let authenticator = Arc::clone(&authenticator);
            Arc::new(move |credential: &_, origin, now| {
                authenticator.verify(credential, origin, now)
            })
        };
        let front = Arc::new(Front {
            services: Arc::new(services(settings, self.source, check, certificates)),
            imap: Arc::new(imapd::Settings {
                mechanisms: authenticator.offer(),
                ..settings.imap(&store)
            }),
            pop3: Arc::new(pop3d::Settings {
                mechanisms: authenticator.offer(),
                ..settings.pop3(&store)
            }),
        });
        Ok(Server::start(
            settings,
            sockets,
            front,
            authenticator,
            store,
        ))
    }
}

/// How many connections there may be: as many as set, as long as enough of the `descriptors` are
/// left for mail. A session that cannot open its mailbox is worth less than a refused one.
fn connections(wanted: usize, descriptors: Option<u64>) -> usize {
    let Some(descriptors) = descriptors else {
        return wanted;
    };
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    let reserved = (descriptors / 4).max(RESERVED_DESCRIPTORS);
    let possible = descriptors.saturating_sub(reserved).max(1);
    if possible < wanted {
        let told = "fewer connections than wanted: the limit on open files is low; raise it \
                    (LimitNOFILE= in the systemd unit), or lower `connections` in [limits]";
        // Nobody asked for the default, and few need as many.
        if wanted == config::Limits::default().connections {
            info!(wanted, possible, descriptors, "{told}");
        } else {
            warn!(wanted, possible, descriptors, "{told}");
        }
    }
    wanted.min(possible)
}

/// What the driver needs.
fn services(
    settings: &Settings,
    source: Source,
    check: Check,
    certificates: Option<Certificates>,
) -> Services {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Services {
        source,
        check,
        checking: Arc::new(Semaphore::new(settings.auth.parallel(cores))),
        asking: Arc::new(Semaphore::new(QUESTIONS)),
        slices: Slices::new(WORKERS.max(4 * cores)),
        compressors: Compressors::default(),
        limiter: Limiter::new(Limits {
            connections: connections(settings.limits.connections, raise_descriptor_limit()),
            sessions_per_user_and_address: settings.limits.sessions_per_user,
        }),
        certificates,
        timeouts: Timeouts {
            handshake: settings.timeouts.handshake,
            write: settings.timeouts.write,
        },
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("settings", &self.settings)
            .field("source", &self.source)
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
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

/// The accounts that the settings name.
#[cfg(feature = "sql")]
fn accounts(settings: &Settings, source: &Source) -> Result<Accounts, Error> {
    let handle = tokio::runtime::Handle::current();
    let database = crate::sql::Database::new(settings, source, &handle)
        .map_err(|problem| Error::Accounts(problem.to_string()))?;
    Ok(match database {
        Some(database) => Accounts::In(Arc::new(database)),
        None => Accounts::File(settings.users.clone()),
    })
}

/// The accounts that the settings name.
#[cfg(not(feature = "sql"))]
fn accounts(settings: &Settings, _: &Source) -> Result<Accounts, Error> {
    match settings.accounts.backend {
        config::Backend::File => Ok(Accounts::File(settings.users.clone())),
        config::Backend::Postgresql | config::Backend::Sqlite => Err(Error::Accounts(
            "this Pillarbox was built without databases".to_owned(),
        )),
    }
}

fn authenticator(
    settings: &Settings,
    accounts: Accounts,
    source: &Source,
) -> Result<Authenticator, Error> {
    let options = auth::Options {
        accounts,
        ..settings.authentication()
    };
    let (random, clock) = (source.clone(), source.clone());
    let authenticator = Authenticator::new(options, move || random.random())?;
    let oauth = &settings.oauth;
    if !oauth.is_on() {
        return Ok(authenticator);
    }
    let options = oauth.checks(issuer::client_secret(oauth)?);
    let fetch = issuer::fetcher(oauth)?;
    Ok(authenticator.with_tokens(options, fetch, Box::new(move || clock.wall()))?)
}

/// Files that can be open besides connections, at least.
const RESERVED_DESCRIPTORS: usize = 64;

/// How many checks of tokens may run at once. Each may wait for the issuer, on a thread.
const QUESTIONS: usize = 32;

/// How many slices of work may run at once at least. Most of them wait for the disk or a lock.
const WORKERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_for_mail() {
        assert_eq!(connections(20_000, None), 20_000);
        assert_eq!(connections(20_000, Some(1 << 20)), 20_000);
        assert_eq!(connections(20_000, Some(1024)), 768);
        assert_eq!(connections(20_000, Some(128)), 64);
        assert_eq!(connections(20_000, Some(10)), 1);
        assert_eq!(connections(5, Some(1024)), 5);
    }

    #[test]
    fn only_a_number_that_somebody_set_is_warned_of() {
        for (wanted, warned) in [
            (config::Limits::default().connections, false),
            (19_999, true),
        ] {
            let log = tempfile::NamedTempFile::new().unwrap();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(log.reopen().unwrap())
                .finish();
            tracing::subscriber::with_default(subscriber, || connections(wanted, Some(1024)));
            let told = std::fs::read_to_string(log.path()).unwrap();
            assert!(told.contains("LimitNOFILE= in the systemd unit"), "{told}");
            assert_eq!(told.contains(" WARN "), warned, "{told}");
        }
    }
}
