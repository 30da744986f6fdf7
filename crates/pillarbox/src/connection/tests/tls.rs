//! The driver over TCP and TLS.

use aws_lc_rs::digest::{SHA256, digest};
use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{SupportedProtocolVersion, version};

use super::*;
use crate::dev::certificates;
use crate::tls::handshake;

/// A session over TCP with its client.
struct Wire {
    client: TcpStream,
    told: mpsc::UnboundedReceiver<Told>,
    session: JoinHandle<Result<(), Ended>>,
    certs: TempDir,
    _stop: watch::Sender<bool>,
}

async fn connect(script: impl IntoIterator<Item = Step>) -> Wire {
    let certs = tempfile::tempdir().unwrap();
    let files = certificates::obtain(certs.path(), Source::system().wall()).unwrap();
    let certificates = Certificates::load(&files.certificate, &files.key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    let services = Arc::new(services(Some(certificates)));
    let (stop, stopped) = watch::channel(false);
    let (sender, told) = mpsc::unbounded_channel();
    let toy = Toy {
        script: Arc::new(Mutex::new(script.into_iter().collect())),
        told: sender,
        now: services.source.now().instant,
        panics: false,
        ended: false,
        work: None,
    };
    let stream = Stream::Clear(server);
    let session = Connection::new(services, peer, stream, toy, Arc::default(), stopped);
    Wire {
        client,
        told,
        session: tokio::spawn(session.run()),
        certs,
        _stop: stop,
    }
}

const BOTH: [&[&SupportedProtocolVersion]; 2] = [&[&version::TLS12], &[&version::TLS13]];

#[tokio::test]
async fn starttls_goes_on_under_tls() {
    for versions in BOTH {
        let mut wire = connect([
            Step::Read,
            Step::Write("go"),
            Step::StartTls,
            Step::Write("secret hello"),
            Step::Read,
            Step::Close,
        ])
        .await;
        wire.client.write_all(b"STARTTLS").await.unwrap();
        let mut go = [0; 2];
        wire.client.read_exact(&mut go).await.unwrap();
        let mut client = handshake(wire.client, wire.certs.path(), versions)
            .await
            .unwrap();
        let mut hello = [0; 12];
        client.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"secret hello");
        client.write_all(b"command").await.unwrap();
        let mut rest = Vec::new();
        // A clean end: close_notify before the end of file.
        client.read_to_end(&mut rest).await.unwrap();
        drop(client);
        wire.session.await.unwrap().unwrap();
        let mut told = Vec::new();
        while let Some(one) = wire.told.recv().await {
            told.push(one);
        }
        let expected = [
            bytes("STARTTLS"),
            Told::TlsReady,
            bytes("command"),
            Told::Dropped,
        ];
        assert_eq!(told, expected);
    }
}

#[tokio::test]
async fn bytes_injected_after_starttls_are_never_given_to_the_machine() {
    // The driver has read them ahead while it checked a credential, then TLS starts.
    let mut wire = connect([
        Step::Read,
        Step::Verify("denied at once"),
        Step::StartTls,
        Step::Read,
        Step::Close,
    ])
    .await;
    wire.client.write_all(b"STARTTLS").await.unwrap();
    assert_eq!(wire.told.recv().await, Some(bytes("STARTTLS")));
    assert!(matches!(wire.told.recv().await, Some(Told::Verified(_))));
    wire.client.write_all(b"injected\r\n").await.unwrap();
    // What is still in the socket breaks the handshake.
    assert!(
        handshake(wire.client, wire.certs.path(), BOTH[1])
            .await
            .is_err()
    );
    assert_eq!(wire.told.recv().await, Some(Told::Eof));
}

#[tokio::test(start_paused = true)]
async fn bytes_read_ahead_are_dropped_before_the_handshake() {
    let (mut client, server) = duplex(4096);
    let (sender, mut told) = mpsc::unbounded_channel();
    let certs = tempfile::tempdir().unwrap();
    let files = certificates::obtain(certs.path(), Source::system().wall()).unwrap();
    let services = services(Some(
        Certificates::load(&files.certificate, &files.key).unwrap(),
    ));
    let (_stop, stopped) = watch::channel(false);
    let toy = Toy {
        script: Arc::new(Mutex::new(
            [Step::Verify("denied"), Step::StartTls, Step::Read]
                .into_iter()
                .collect(),
        )),
        told: sender,
        now: services.source.now().instant,
        panics: false,
        ended: false,
        work: None,
    };
    client.write_all(b"injected\r\n").await.unwrap();
    let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
    let stream = Stream::Clear(server);
    let services = Arc::new(services);
    let mut session = Connection::new(services, peer, stream, toy, Arc::default(), stopped);
    let served = session.serve();
    let attack = async {
        assert_eq!(told.recv().await, Some(Told::Verified(Verdict::Denied)));
        // The client does not begin its handshake: the machine must hear of the end, not of bytes.
        let next = told.recv().await;
        assert_eq!(next, Some(Told::Eof));
    };
    let began = tokio::time::Instant::now();
    let (served, ()) = tokio::join!(served, attack);
    assert_eq!(served, Err(Ended::Unfinished));
    // 3 seconds for the failed login and 30 for the handshake that never came.
    assert_eq!(began.elapsed().as_secs(), 33);
    assert!(session.ahead.is_empty());
}

#[tokio::test]
async fn plaintext_instead_of_a_handshake_ends_the_connection_at_once() {
    let mut wire = connect([Step::StartTls]).await;
    wire.client
        .write_all(b"a1 LOGIN demo demo\r\n")
        .await
        .unwrap();
    assert_eq!(wire.told.recv().await, Some(Told::Eof));
    // An alert, and then the end.
    let mut rest = Vec::new();
    wire.client.read_to_end(&mut rest).await.unwrap_or_default();
    assert!(!rest.starts_with(b"*"));
    assert_eq!(wire.session.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_reset_connection_is_the_end() {
    let mut wire = connect([Step::Read]).await;
    socket2::SockRef::from(&wire.client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(wire.client);
    assert_eq!(wire.told.recv().await, Some(Told::Eof));
}

#[tokio::test]
async fn a_reload_changes_new_handshakes_and_no_old_ones() {
    let certs = tempfile::tempdir().unwrap();
    let now = Source::system().wall();
    let files = certificates::obtain(certs.path(), now).unwrap();
    let certificates = Certificates::load(&files.certificate, &files.key).unwrap();
    let limit = Duration::from_secs(30);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async || {
        let stream = listener.accept().await.unwrap().0;
        certificates.handshake(stream, limit).await
    };
    let dial = async || {
        let stream = TcpStream::connect(address).await.unwrap();
        handshake(stream, certs.path(), BOTH[1]).await
    };
    let leaf = |stream: &client::TlsStream<TcpStream>| -> CertificateDer<'static> {
        stream.get_ref().1.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    };
    let (server, client) = tokio::join!(accept(), dial());
    let ((mut server, tls), client) = (server.unwrap(), client.unwrap());
    // What both sides can bind a login to (RFC 9266 §2, RFC 5929 §4.1).
    let exported: [u8; 32] = client
        .get_ref()
        .1
        .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
        .unwrap();
    assert_eq!(tls.exporter, Some(exported));
    let hash = |leaf: &[u8]| digest(&SHA256, leaf).as_ref().to_vec();
    assert_eq!(tls.server_end_point, Some(hash(&leaf(&client))));

    std::fs::write(&files.key, "damaged").unwrap();
    certificates.reload().unwrap_err();
    let (again, same) = tokio::join!(accept(), dial());
    assert_eq!(leaf(&same.unwrap()), leaf(&client));
    drop(again);

    certificates::obtain(certs.path(), now).unwrap();
    certificates.reload().unwrap();
    let (again, other) = tokio::join!(accept(), dial());
    let ((_again, tls), other) = (again.unwrap(), other.unwrap());
    assert_ne!(leaf(&other), leaf(&client));
    assert_ne!(tls.exporter, Some(exported), "each connection has its own");
    assert_eq!(tls.server_end_point, Some(hash(&leaf(&other))));

    server.write_all(b"still here\n").await.unwrap();
    server.flush().await.unwrap();
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line).await.unwrap();
    assert_eq!(line, "still here\n");
}
