//! The real server inside the test's process, on free ports, and connections to it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use auth::Accounts;
use machine::PlaintextAuth;
use pillarbox::config::{Capabilities, Listener, Protocol, TlsMode};
use pillarbox::tls::Certificates;
use tokio::runtime::Runtime;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::deflate::Deflate;

/// A running server with a runtime of its own; stopped when dropped.
#[derive(Debug)]
pub struct Server {
    server: Option<pillarbox::Server>,
    runtime: Runtime,
}

/// When a connection becomes TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsStart {
    /// With its first byte.
    AtOnce,
    /// When the client asks.
    OnDemand,
    /// It does not, and it is not offered.
    Never,
}

impl Server {
    /// Starts a server with these settings and accounts, and all kinds of listeners on free ports
    /// of loopback.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn start(
        settings: pillarbox::Settings,
        plaintext: PlaintextAuth,
        accounts: Accounts,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let settings = pillarbox::Settings {
            listeners: listeners(plaintext),
            ..settings
        };
        let builder = pillarbox::Server::builder(settings)
            .certificates(identity()?.certificates.clone())
            .accounts(accounts);
        let server = runtime.block_on(builder.bind())?;
        Ok(Self {
            server: Some(server),
            runtime,
        })
    }

    /// Connects to the listener of a protocol.
    ///
    /// # Errors
    /// If there is none, or the handshake fails.
    pub fn connect(&self, protocol: Protocol, start: TlsStart) -> Result<Connection> {
        let mut connection = Connection::new(TcpStream::connect(self.address(protocol, start)?)?)?;
        if start == TlsStart::AtOnce {
            connection.start_tls()?;
        }
        Ok(connection)
    }

    /// Where a protocol is spoken.
    ///
    /// # Errors
    /// If it is not.
    pub fn address(&self, protocol: Protocol, start: TlsStart) -> Result<SocketAddr> {
        let mode = tls_mode(start);
        self.server()?
            .listeners()
            .iter()
            .find(|listener| listener.protocol == protocol && listener.tls == mode)
            .map(|listener| listener.address)
            .context("no such listener")
    }

    /// The server itself.
    ///
    /// # Errors
    /// Never while it runs.
    pub fn server(&self) -> Result<&pillarbox::Server> {
        self.server.as_ref().context("server has stopped")
    }

    /// Stops the server, and waits for the end of its sessions.
    pub fn shut_down(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Sessions that a failed test has left behind are not waited for.
        drop(self.server.take());
    }
}

/// A client's connection, which blocks, and gives up after ten seconds.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    deflate: Option<Box<Deflate>>,
}

/// The bytes of a connection.
#[derive(Debug)]
enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// While it changes from one to the other.
    Changing,
}

impl Connection {
    /// Takes over a stream.
    ///
    /// # Errors
    /// If the stream is no more.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: Stream::Clear(stream),
            deflate: None,
        })
    }

    /// Compresses both directions from here on. Nothing that is compressed may have been read.
    pub fn compress(&mut self) {
        self.deflate = Some(Box::new(Deflate::new()));
    }

    /// Sends these octets past the compression.
    ///
    /// # Errors
    /// If they cannot be sent.
    pub fn write_compressed(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// Does the client's side of a handshake.
    ///
    /// # Errors
    /// If it fails, or was done before.
    pub fn start_tls(&mut self) -> Result<()> {
        let Stream::Clear(mut stream) = std::mem::replace(&mut self.stream, Stream::Changing)
        else {
            bail!("TLS is active");
        };
        let name = ServerName::try_from("localhost")?;
        let mut session = ClientConnection::new(Arc::clone(&identity()?.client), name)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream).context("handshake")?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(session, stream)));
        Ok(())
    }

    /// The socket, to wait for.
    ///
    /// # Errors
    /// If a handshake has failed.
    pub fn socket(&self) -> Result<&TcpStream> {
        match &self.stream {
            Stream::Clear(stream) => Ok(stream),
            Stream::Tls(stream) => Ok(&stream.sock),
            Stream::Changing => bail!("no connection"),
        }
    }

    /// Ends this side; the other one may still talk.
    ///
    /// # Errors
    /// If the stream is no more.
    pub fn hang_up(&mut self) -> Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.shutdown(Shutdown::Write)?,
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush()?;
                stream.sock.shutdown(Shutdown::Write)?;
            }
            Stream::Changing => bail!("no connection"),
        }
        Ok(())
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.deflate {
            Some(deflate) => deflate.read(&mut self.stream, buffer),
            None => self.stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.deflate {
            Some(deflate) => deflate.write(&mut self.stream, bytes),
            None => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Changing => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::Changing => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::Changing => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// One listener of every kind.
fn listeners(plaintext: PlaintextAuth) -> Vec<Listener> {
    let plaintext_auth = match plaintext {
        PlaintextAuth::Refused => pillarbox::config::PlaintextAuth::Refused,
        PlaintextAuth::Allowed => pillarbox::config::PlaintextAuth::Allowed,
    };
    let starts = [TlsStart::Never, TlsStart::OnDemand, TlsStart::AtOnce];
    [Protocol::Imap, Protocol::Pop3]
        .into_iter()
        .flat_map(|protocol| starts.map(|start| (protocol, tls_mode(start))))
        .map(|(protocol, tls)| Listener {
            protocol,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls,
            plaintext_auth,
            hide: Capabilities::NONE,
        })
        .collect()
}

/// The setting of a listener.
const fn tls_mode(start: TlsStart) -> TlsMode {
    match start {
        TlsStart::AtOnce => TlsMode::Implicit,
        TlsStart::OnDemand => TlsMode::StartTls,
        TlsStart::Never => TlsMode::None,
    }
}

/// The certificate of all test servers, and clients that trust it.
#[derive(Debug)]
struct TestIdentity {
    certificate: String,
    key: String,
    certificates: Certificates,
    client: Arc<ClientConfig>,
}

/// Writes the certificate and the key that [`Connection`] trusts to files, for another process.
///
/// # Errors
/// If they cannot be made or written.
pub fn identity_files(certificate: &Path, key: &Path) -> Result<()> {
    fs::write(certificate, &identity()?.certificate)?;
    fs::write(key, &identity()?.key)?;
    fs::set_permissions(key, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// Makes the certificate once per process.
fn identity() -> Result<&'static TestIdentity> {
    static IDENTITY: OnceLock<Result<TestIdentity, String>> = OnceLock::new();
    let made = IDENTITY.get_or_init(|| make_identity().map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn make_identity() -> Result<TestIdentity> {
    let dir = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let write = |name: &str, text: &str| -> Result<PathBuf> {
        let path = dir.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let certificate_file = write("certificate.pem", &certificate)?;
    let key_file = write("key.pem", &key)?;
    let certificates = Certificates::load(&certificate_file, &key_file)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate_file)?)?;
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TestIdentity {
        certificate,
        key,
        certificates,
        client: Arc::new(client),
    })
}

/// How long a client waits for what never comes. Only a failing test takes so long.
const PATIENCE: Duration = Duration::from_secs(10);
