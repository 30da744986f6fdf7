//! `pillarbox dev`: a mail server on loopback that needs no setup.
//!
//! It makes its certificate, a demo account with sample mail, and an account for anybody who logs
//! in. Authors of mail clients start it inside their own tests:
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let certs = tempfile::tempdir()?;
//! let dev = pillarbox::dev::start(pillarbox::dev::Options {
//!     port_base: 0,
//!     certs: certs.path().to_owned(),
//!     ..Default::default()
//! })
//! .await?;
//! let imap = dev.server().imap().unwrap();
//! // … point the client at `imap`, log in as demo@localhost with the password demo …
//! assert_ne!(imap.port(), 0);
//! dev.shutdown().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

pub mod certificates;
pub mod sample;

use std::fmt::{self, Write as _};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use auth::throttle::Delays;
use auth::{Accounts, MailTemplate, Secret};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::config::{Capabilities, Listener, PlaintextAuth, Protocol, Settings, TlsMode};
use crate::server::{self, Server};
use crate::source::Source;

/// The demo account.
pub const USER: &str = "demo@localhost";

/// Its password.
pub const PASSWORD: &str = "demo";

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the mail is kept; a temporary directory, removed at the end, if not given.
    pub dir: Option<PathBuf>,
    /// What is added to the ports 110, 143, 993 and 995; with 0, free ports are taken.
    pub port_base: u16,
    /// Where the certificates are made and kept.
    pub certs: PathBuf,
    /// Time and randomness.
    pub source: Source,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dir: None,
            port_base: 1000,
            certs: PathBuf::from("certs-dev"),
            source: Source::system(),
        }
    }
}

/// A development server that is running.
#[derive(Debug)]
pub struct Dev {
    server: Server,
    dir: PathBuf,
    authority: PathBuf,
    /// Removed when dropped.
    temporary: Option<TempDir>,
}

/// Why a development server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificate cannot be made.
    #[error(transparent)]
    Certificates(#[from] certificates::Error),
    /// The sample mail cannot be made.
    #[error(transparent)]
    Sample(#[from] sample::Error),
    /// The server cannot start.
    #[error(transparent)]
    Server(#[from] server::Error),
    /// The mail directory cannot be made.
    #[error("mail directory {}: {source}", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The mail directory has a name that cannot be used.
    #[error("mail directory: {0}")]
    Template(#[from] auth::name::TemplateError),
    /// Making the sample mail panicked.
    #[error("sample mail: interrupted")]
    Interrupted,
}

/// Starts a development server on the current tokio runtime; every port accepts when this returns.
///
/// # Errors
/// If a port is taken, or a directory cannot be written.
pub async fn start(options: Options) -> Result<Dev, Error> {
    let files = certificates::obtain(&options.certs, options.source.wall())?;
    let (dir, temporary) = mail_directory(options.dir.as_deref())?;
    let mut settings = Settings {
        mail: MailTemplate::parse(&format!("{}/{{domain}}/{{local}}/Maildir", dir.display()))?,
        listeners: listeners(options.port_base),
        ..Settings::default()
    };
    settings.tls.certificate = files.certificate;
    settings.tls.key = files.key;
    settings.auth.default_domain = Some("localhost".to_owned());
    settings.auth.delays = Delays::NONE;
    settings.limits.connections = CONNECTIONS;
    if temporary.is_some() {
        settings.storage.fsync = mailstore::Fsync::Never;
    }
    let server = Server::builder(settings)
        .source(options.source)
        .accounts(Accounts::Open(vec![(
            USER.to_owned(),
            Secret::new(PASSWORD),
        )]))
        .bind()
        .await?;
    let (store, root) = (server.store().clone(), dir.join("localhost/demo/Maildir"));
    let made = spawn_blocking(move || sample::make(&store, &root)).await;
    if let Err(error) = made
        .map_err(|_| Error::Interrupted)
        .and_then(|made| Ok(made?))
    {
        server.shutdown().await;
        return Err(error);
    }
    Ok(Dev {
        server,
        dir,
        authority: files.authority,
        temporary,
    })
}

impl Dev {
    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where the mail is: an account's Maildir++ tree is `domain/local/Maildir` in it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The certificate of the authority that clients have to trust.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Stops the server, and removes the mail if its directory is a temporary one.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        if let Some(temporary) = self.temporary {
            let dir = temporary.path().to_owned();
            let removed = spawn_blocking(move || temporary.close()).await;
            if !matches!(removed, Ok(Ok(()))) {
                tracing::warn!(dir = %dir.display(), "mail not removed");
            }
        }
    }

    /// What to enter in a mail client, for people.
    pub fn settings_table(&self) -> impl fmt::Display {
        let mut table = String::new();
        let rows = [
            ("IMAP, STARTTLS or none", self.server.imap()),
            ("IMAP, TLS", self.server.imaps()),
            ("POP3, STLS or none", self.server.pop3()),
            ("POP3, TLS", self.server.pop3s()),
        ];
        let mut line = |name: &str, value: &dyn fmt::Display| {
            // Writing to a string cannot fail.
            writeln!(table, "  {name:<24}{value}").unwrap_or_default();
        };
        for (name, address) in rows {
            if let Some(address) = address {
                line(name, &format_args!("localhost, port {}", address.port()));
            }
        }
        line("User name", &USER);
        line("Password", &PASSWORD);
        line("", &"any other login makes a new, empty account");
        line("Mail", &self.dir.display());
        line(
            "",
            &match self.temporary {
                Some(_) => "removed at the end; keep it with --dir",
                None => "kept",
            },
        );
        line("Certificate authority", &self.authority.display());
        table
    }

    /// Where everything is, for scripts: one line that begins with `ready`, without its line end.
    pub fn ready_line(&self) -> String {
        let addresses = [
            ("imap", self.server.imap()),
            ("imaps", self.server.imaps()),
            ("pop3", self.server.pop3()),
            ("pop3s", self.server.pop3s()),
        ];
        let mut line = "ready".to_owned();
        for (name, address) in addresses {
            if let Some(address) = address {
                write!(line, " {name}={address}").unwrap_or_default();
            }
        }
        write!(line, " dir={}", self.dir.display()).unwrap_or_default();
        line
    }
}

/// The mail directory, with an absolute path, and its guard if it is a temporary one.
fn mail_directory(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>), Error> {
    let failed = |dir: &Path| {
        let dir = dir.to_owned();
        move |source| Error::Directory { dir, source }
    };
    let (dir, temporary) = match wanted {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed(dir))?;
            (dir.to_owned(), None)
        }
        None => {
            let temporary = tempfile::Builder::new()
                .prefix("pillarbox-")
                .tempdir()
                .map_err(failed(&std::env::temp_dir()))?;
            (temporary.path().to_owned(), Some(temporary))
        }
    };
    let dir = dir.canonicalize().map_err(failed(&dir))?;
    Ok((dir, temporary))
}

/// Four listeners on 127.0.0.1 and, unless free ports are wanted, on ::1.
fn listeners(port_base: u16) -> Vec<Listener> {
    let ports = [
        (Protocol::Imap, 143, TlsMode::StartTls),
        (Protocol::Imap, 993, TlsMode::Implicit),
        (Protocol::Pop3, 110, TlsMode::StartTls),
        (Protocol::Pop3, 995, TlsMode::Implicit),
    ];
    let mut listeners = Vec::new();
    for (protocol, port, tls) in ports {
        let port = match port_base {
            0 => 0,
            base => base.saturating_add(port),
        };
        let mut listen = |address| {
            listeners.push(Listener {
                protocol,
                address,
                tls,
                plaintext_auth: PlaintextAuth::Allowed,
                hide: Capabilities::NONE,
            });
        };
        listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        if port != 0 {
            listen(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        }
    }
    listeners
}

/// Connections in all: enough for any test, and within the usual limit on open files.
const CONNECTIONS: usize = 700;
