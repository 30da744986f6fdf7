//! Certificates, their reload, and the server's side of a TLS handshake.
//!
//! TLS 1.2 and 1.3 only; rustls has no renegotiation and no older versions. This is the only file
//! that reads PEM.

mod certificate;
mod objection;

use std::fmt;
use std::fs;
use std::io::{self, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls_pemfile::Item;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    self, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, version,
};
use tokio_rustls::server::TlsStream;

pub(crate) use objection::Objection;

/// A certificate with its key, read from two PEM files, ready for handshakes.
///
/// Clones share their state: after [`Self::reload`], new handshakes on every listener use the new
/// certificate, and existing connections go on undisturbed.
#[derive(Clone, Debug)]
pub struct Certificates {
    resolver: Arc<Resolver>,
    config: Arc<ServerConfig>,
}

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no certificate in the certificate file.
    #[error("no PEM certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// There is no unencrypted private key in the key file.
    #[error("no unencrypted PEM private key in {}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is not the certificate's.
    #[error("the key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The certificate or the key is of a kind we cannot use.
    #[error("certificate {} or its key cannot be used: {source}", certificate.display())]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

impl Certificates {
    /// Reads a certificate chain (leaf first) and its key, and checks that they belong together.
    ///
    /// # Errors
    /// If a file cannot be read, holds something else, or the key is not the certificate's.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let unusable = |source| Error::Unusable {
            certificate: certificate.to_owned(),
            source,
        };
        let provider = provider();
        let resolver = Arc::new(Resolver {
            current: RwLock::new(Arc::new(read_pair(certificate, key, &provider)?)),
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        // Tickets let a client resume without the server remembering anything for it.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(unusable)?;
        Ok(Self {
            resolver,
            config: Arc::new(config),
        })
    }

    /// Reads the files again. If they are bad, the certificate in use stays.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<(), Error> {
        let resolver = &self.resolver;
        let pair = read_pair(&resolver.certificate, &resolver.key, &provider())?;
        *resolver
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
        Ok(())
    }

    /// Does the server's side of a handshake, and says what a login can go by on the stream.
    ///
    /// # Errors
    /// If the peer does not speak TLS 1.2 or 1.3, or is too slow.
    pub(crate) async fn handshake<T>(
        &self,
        stream: T,
        limit: Duration,
    ) -> io::Result<(TlsStream<T>, machine::Tls)>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let before = self.resolver.current();
        let accept =
            TlsAcceptor::from(Arc::clone(&self.config)).accept_with(stream, |connection| {
                connection.set_buffer_limit(Some(BUFFER_LIMIT));
            });
        let stream = tokio::time::timeout(limit, accept)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        // Where the certificate was changed meanwhile, nobody knows which one the peer has seen.
        let shown = Some(&before.cert).filter(|_| Arc::ptr_eq(&before, &self.resolver.current()));
        let tls = machine::Tls {
            exporter: exporter(stream.get_ref().1),
            server_end_point: shown
                .and_then(|chain| chain.first())
                .and_then(|leaf| certificate::end_point(leaf)),
        };
        Ok((stream, tls))
    }
}

/// Whether a certificate file with its key will be accepted, at `when`, by clients that trust the
/// CA in `authority`, under all these names.
pub(crate) fn is_valid(
    authority: &Path,
    certificate: &Path,
    key: &Path,
    names: &[&str],
    when: SystemTime,
) -> bool {
    valid(authority, certificate, key, names, when).is_some()
}

fn valid(
    authority: &Path,
    certificate: &Path,
    key: &Path,
    names: &[&str],
    when: SystemTime,
) -> Option<()> {
    let provider = provider();
    let pair = read_pair(certificate, key, &provider).ok()?;
    let mut roots = RootCertStore::empty();
    for root in read_certificates(authority).ok()? {
        roots.add(root).ok()?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()?;
    let when = UnixTime::since_unix_epoch(when.duration_since(SystemTime::UNIX_EPOCH).ok()?);
    let (leaf, chain) = pair.cert.split_first()?;
    for name in names {
        let name = match name.parse::<IpAddr>() {
            Ok(address) => ServerName::IpAddress(address.into()),
            Err(_) => ServerName::try_from(*name).ok()?,
        };
        verifier
            .verify_server_cert(leaf, chain, &name, &[], when)
            .ok()?;
    }
    Some(())
}

/// Gives every handshake the certificate that is current.
struct Resolver {
    current: RwLock<Arc<CertifiedKey>>,
    certificate: PathBuf,
    key: PathBuf,
}

impl Resolver {
    /// The certificate of this moment.
    fn current(&self) -> Arc<CertifiedKey> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// The channel binding `tls-exporter` (RFC 9266 §2), with TLS 1.3. Before, it would take that the
/// peer has agreed to the extended master secret, which rustls does not tell.
fn exporter(connection: &ServerConnection) -> Option<[u8; 32]> {
    if connection.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return None;
    }
    let (label, context) = (b"EXPORTER-Channel-Binding", b"");
    connection
        .export_keying_material([0; 32], label, Some(context))
        .ok()
}

impl fmt::Debug for Resolver {
    /// Shows the file names, never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("certificate", &self.certificate)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// How to begin TLS with a server that an authority in this file vouches for.
#[cfg(feature = "sql")]
pub(crate) fn client_config(authorities: &Path) -> Result<rustls::ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    // A bundle of a system may have some that rustls does not take.
    roots.add_parsable_certificates(read_certificates(authorities)?);
    let unusable = |source| Error::Unusable {
        certificate: authorities.to_owned(),
        source,
    };
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// The default provider of rustls, named so that nothing depends on process-wide state.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Whether the file at `path` can be read and holds a private key.
pub(crate) fn look_at_key(path: &Path) -> Result<(), Error> {
    read_key(path).map(drop)
}

fn read_pair(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain = read_certificates(certificate)?;
    let private = read_key(key)?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| {
        let certificate = certificate.to_owned();
        if let rustls::Error::InconsistentKeys(_) = source {
            let key = key.to_owned();
            Error::Mismatch { certificate, key }
        } else {
            Error::Unusable {
                certificate,
                source,
            }
        }
    })
}

/// The certificates in a PEM file.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut chain = Vec::new();
    for item in read_pem(path)? {
        if let Item::X509Certificate(certificate) = item {
            chain.push(certificate);
        }
    }
    if chain.is_empty() {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    for item in read_pem(path)? {
        if let Item::Pkcs1Key(key) = item {
            return Ok(key.into());
        } else if let Item::Pkcs8Key(key) = item {
            return Ok(key.into());
        } else if let Item::Sec1Key(key) = item {
            return Ok(key.into());
        }
    }
    Err(Error::NoKey {
        path: path.to_owned(),
    })
}

/// Does the client's side of a handshake with `localhost`, trusting only the authority in the
/// directory `certs`.
#[cfg(test)]
pub(crate) async fn handshake<T: AsyncRead + AsyncWrite + Unpin>(
    stream: T,
    certs: &Path,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> io::Result<tokio_rustls::client::TlsStream<T>> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(&certs.join("ca.pem")).unwrap() {
        roots.add(certificate).unwrap();
    }
    let config = rustls::ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// All PEM sections of a file.
fn read_pem(path: &Path) -> Result<Vec<Item>, Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = fs::read(path).map_err(read)?;
    rustls_pemfile::read_all(&mut BufReader::new(bytes.as_slice()))
        .collect::<io::Result<_>>()
        .map_err(read)
}

/// How much plaintext or ciphertext rustls may hold for one connection and direction: one full
/// record and some.
const BUFFER_LIMIT: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::certificates::{self, Files};

    fn files(directory: &Path) -> Files {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_770_000_000);
        certificates::obtain(directory, now).unwrap()
    }

    #[test]
    fn bad_files_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let one = files(&directory.path().join("one"));
        let two = files(&directory.path().join("two"));
        let load = Certificates::load;
        assert!(load(&one.certificate, &one.key).is_ok());
        let mismatch = load(&one.certificate, &two.key).unwrap_err();
        assert!(matches!(mismatch, Error::Mismatch { .. }), "{mismatch}");
        let swapped = load(&one.key, &one.certificate).unwrap_err();
        assert!(matches!(swapped, Error::NoCertificate { .. }), "{swapped}");
        let no_key = load(&one.certificate, &one.authority).unwrap_err();
        assert!(matches!(no_key, Error::NoKey { .. }), "{no_key}");
        let missing = load(&directory.path().join("missing"), &one.key).unwrap_err();
        assert!(matches!(missing, Error::Read { .. }), "{missing}");
        let junk = directory.path().join("junk.pem");
        fs::write(
            &junk,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let unusable = load(&junk, &one.key).unwrap_err();
        assert!(matches!(unusable, Error::Unusable { .. }), "{unusable}");
    }

    #[test]
    fn the_key_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let files = files(directory.path());
        let shown = format!(
            "{:?}",
            Certificates::load(&files.certificate, &files.key).unwrap()
        );
        let key = fs::read_to_string(&files.key).unwrap();
        let line = key.lines().nth(1).unwrap();
        assert!(shown.contains("localhost-key.pem"));
        assert!(!shown.contains(line));
    }
}
