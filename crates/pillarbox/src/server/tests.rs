//! A whole server on free ports.

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_rustls::rustls::DEFAULT_VERSIONS;

use super::*;
use auth::Accounts;
use std::io;
use tokio::net::TcpStream;

use crate::config::{Capabilities, PlaintextAuth};
use crate::dev::certificates;
use crate::listen::bind;
use crate::source::Source;
use crate::tls;

/// Settings for a server on free ports of 127.0.0.1, one for each protocol and kind of TLS.
fn settings(dir: &TempDir) -> Settings {
    let files = certificates::obtain(dir.path(), Source::system().wall()).unwrap();
    let template = format!("{}/{{user}}", dir.path().display());
    let mut settings = Settings {
        hostname: "test.example".to_owned(),
        mail: auth::MailTemplate::parse(&template).unwrap(),
        listeners: Vec::new(),
        ..Settings::default()
    };
    settings.tls.certificate = files.certificate;
    settings.tls.key = files.key;
    for protocol in [Protocol::Imap, Protocol::Pop3] {
        for tls in [TlsMode::StartTls, TlsMode::Implicit] {
            settings.listeners.push(Listener {
                protocol,
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                tls,
                plaintext_auth: PlaintextAuth::Refused,
                hide: Capabilities::NONE,
            });
        }
    }
    settings
}

async fn start(settings: Settings) -> Server {
    Server::builder(settings)
        .accounts(Accounts::Open(Vec::new()))
        .bind()
        .await
        .unwrap()
}

async fn line(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let octet = stream.read_u8().await.unwrap();
        line.push(octet);
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn every_port_is_bound_and_says_hello() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(settings(&dir)).await;
    assert_eq!(server.listeners().len(), 4);
    for address in [server.imaps().unwrap(), server.pop3s().unwrap()] {
        assert_ne!(address.port(), 0);
        TcpStream::connect(address).await.unwrap();
    }
    let mut pop3 = TcpStream::connect(server.pop3().unwrap()).await.unwrap();
    assert!(line(&mut pop3).await.starts_with("+OK "));
    let mut imap = TcpStream::connect(server.imap().unwrap()).await.unwrap();
    assert!(line(&mut imap).await.starts_with("* OK "));
    server.shutdown().await;
}

#[tokio::test]
async fn shutdown_says_goodbye_and_frees_the_ports() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(settings(&dir)).await;
    let address = server.imap().unwrap();
    let mut imap = TcpStream::connect(address).await.unwrap();
    line(&mut imap).await;
    server.shutdown().await;
    let mut rest = String::new();
    imap.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("* BYE "), "{rest}");
    drop(bind(address).unwrap());
}

/// S19: what an attacker put behind STARTTLS in the clear is never carried out.
#[tokio::test]
async fn commands_injected_behind_starttls_are_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(settings(&dir)).await;
    let attacks = [
        (
            server.imap(),
            "a STARTTLS\r\nb NOOP\r\n",
            "c NOOP\r\n",
            "c OK ",
        ),
        (
            server.pop3(),
            "STLS\r\nLANG *\r\n",
            "QUIT\r\n",
            "+OK test.example",
        ),
    ];
    for (address, injected, command, answer) in attacks {
        let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
        line(&mut stream).await;
        stream.write_all(injected.as_bytes()).await.unwrap();
        line(&mut stream).await;
        let mut stream = tls::handshake(stream, dir.path(), DEFAULT_VERSIONS)
            .await
            .unwrap();
        stream.write_all(command.as_bytes()).await.unwrap();
        let first = line(&mut stream).await;
        assert!(first.starts_with(answer), "{first}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn connections_over_the_maximum_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.limits.connections = 1;
    let server = start(settings).await;
    let mut first = TcpStream::connect(server.pop3().unwrap()).await.unwrap();
    assert!(line(&mut first).await.starts_with("+OK "));
    let refused = [
        (server.imap(), "* BYE "),
        (server.pop3(), "-ERR [SYS/TEMP] "),
        (server.imaps(), ""),
    ];
    for (address, expected) in refused {
        let mut stream = TcpStream::connect(address.unwrap()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with(expected), "{text}");
        assert_eq!(text.is_empty(), expected.is_empty());
    }
    assert_eq!(server.connections(), 1);
    first.write_all(b"QUIT\r\n").await.unwrap();
    let mut rest = String::new();
    first.read_to_string(&mut rest).await.unwrap();
    drop(first);
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_that_is_taken_fails_the_start_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = settings(&dir);
    settings.listeners[1].address = taken.local_addr().unwrap();
    let error = Server::builder(settings)
        .accounts(Accounts::Open(Vec::new()))
        .bind()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&taken.local_addr().unwrap().to_string()),
        "{text}"
    );
    assert!(text.contains("another program listens there"), "{text}");
}

#[test]
fn a_privileged_port_fails_with_what_to_do() {
    let denied = |port| Error::Bind {
        address: SocketAddr::from(([0, 0, 0, 0], port)),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    assert!(
        denied(143)
            .to_string()
            .contains("setcap cap_net_bind_service")
    );
    assert!(!denied(1143).to_string().contains("setcap"));
}

#[tokio::test]
async fn a_bad_certificate_fails_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.tls.key = settings.tls.certificate.clone();
    let started = Server::builder(settings)
        .accounts(Accounts::Open(Vec::new()))
        .bind()
        .await;
    assert!(matches!(started, Err(Error::Tls(tls::Error::NoKey { .. }))));
}

#[tokio::test]
async fn a_session_is_a_small_future() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(settings(&dir)).await;
    let listener = Listener {
        protocol: Protocol::Imap,
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        tls: TlsMode::StartTls,
        plaintext_auth: PlaintextAuth::Refused,
        hide: Capabilities::NONE,
    };
    let sockets = bind(listener.address).unwrap();
    let client = TcpStream::connect(sockets.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, peer) = sockets.accept().await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let session = server
        .front
        .admit(listener, stream, peer, &stopped)
        .unwrap();
    let octets = size_of_val(&session);
    assert!(octets <= 1536, "{octets} octets");
    drop(client);
}

/// A client that sends a command in pieces, with its own system holding back each until the last
/// one is acknowledged, does not wait 40 ms for that.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn pieces_of_a_command_are_acknowledged_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(settings(&dir)).await;
    let mut imap = TcpStream::connect(server.imap().unwrap()).await.unwrap();
    imap.set_nodelay(false).unwrap();
    line(&mut imap).await;
    let began = tokio::time::Instant::now();
    for _ in 0..50 {
        for piece in ["a ", "NO", "OP", "\r\n"] {
            imap.write_all(piece.as_bytes()).await.unwrap();
        }
        assert!(line(&mut imap).await.starts_with("a OK "));
    }
    // Put off, it would be 2 s.
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "{:?}",
        began.elapsed()
    );
    server.shutdown().await;
}
