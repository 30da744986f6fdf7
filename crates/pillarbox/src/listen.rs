//! Listening sockets and the loop that accepts connections on them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

/// Binds a listening socket. An IPv6 one takes no IPv4 connections, so that both families can be
/// listed beside each other.
///
/// # Errors
/// What the system says.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(bind_socket(address)?.into())
}

/// Binds a listening socket, as [`bind`], outside of a runtime.
///
/// # Errors
/// What the system says.
pub(crate) fn bind_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections inherit these.
    set_up(&SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Whether binding failed because there is no IPv6.
pub(crate) fn no_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let ip = address.ip();
    let unavailable = error.kind() == io::ErrorKind::AddrNotAvailable
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT);
    ip.is_ipv6() && (ip.is_unspecified() || ip.is_loopback()) && unavailable
}

/// Sets up an accepted connection, as far as its listening socket does not do that.
///
/// # Errors
/// What the system says, usually that the peer has gone again.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    if cfg!(target_os = "linux") {
        return Ok(());
    }
    set_up(&SockRef::from(stream))
}

/// Answers leave at once, and a peer that vanished is noticed.
fn set_up(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(300))
        .with_interval(Duration::from_secs(60));
    socket.set_tcp_keepalive(&keepalive)
}

/// Writes a short text to a connection that is not served, without waiting.
pub(crate) fn refuse(stream: &TcpStream, text: &str) {
    // The buffer of a new socket is empty: it takes a line, or the peer has gone.
    if let Err(error) = SockRef::from(stream).send(text.as_bytes()) {
        debug!(%error, "refusal not sent");
    }
}

/// Raises the limit on open files to what the system lets us have; says how many those are.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!(%error, "limit on open files not raised");
            limit.current
        }
    }
}

/// Where connections come from: a listening socket, or a test.
pub(crate) trait Accept {
    /// A connection.
    type Stream;

    /// Waits for the next connection. Nothing is lost if the wait is given up.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// Accepts connections until `stop`, then gives their sessions `limit` to end.
///
/// `serve` makes the session of a connection, or refuses it. A failing `accept` neither ends the
/// loop nor makes it spin: out of descriptors, it tries again ten times a second.
pub(crate) async fn accept_loop<A, F, S>(
    mut listener: A,
    mut stop: watch::Receiver<bool>,
    limit: Duration,
    mut serve: S,
) where
    A: Accept,
    F: Future<Output = ()> + Send + 'static,
    S: FnMut(A::Stream, SocketAddr) -> Option<F>,
{
    let mut sessions = JoinSet::new();
    let mut failures = 0_u32;
    while !*stop.borrow() {
        tokio::select! {
            biased;
            _ = stop.changed() => break,
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => note_end(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if failures > PATIENCE {
                        info!(failures, "accepting connections again");
                    }
                    failures = 0;
                    if let Some(session) = serve(stream, peer) {
                        sessions.spawn(session);
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    if back_off(&error, &mut failures) {
                        tokio::select! {
                            _ = stop.changed() => break,
                            () = sleep(BACK_OFF) => {}
                        }
                    }
                }
            },
        }
    }
    drop(listener);
    let drained = timeout(limit, async {
        while let Some(ended) = sessions.join_next().await {
            note_end(ended);
        }
    });
    if drained.await.is_err() {
        warn!(
            sessions = sessions.len(),
            "sessions cut off at the end of their time"
        );
        sessions.shutdown().await;
    }
}

/// Whether to wait before the next `accept`; logs the first failure of a burst.
///
/// A connection that was reset while it waited to be accepted is no reason to keep others waiting,
/// unless there are many.
fn back_off(error: &io::Error, failures: &mut u32) -> bool {
    let of_one_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    );
    if of_one_connection && *failures <= PATIENCE {
        return false;
    }
    if *failures <= PATIENCE {
        // Skips the patience, so that this is the burst's first and only line.
        *failures = PATIENCE + 1;
    }
    if *failures == PATIENCE + 1 {
        warn!(%error, "cannot accept connections, trying again");
    }
    true
}

/// Logs a session that did not end by itself.
fn note_end(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        error!("connection ended by a panic");
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long to wait after a failed `accept`.
const BACK_OFF: Duration = Duration::from_millis(100);

/// How many connections in a row may be reset before the loop slows down.
const PATIENCE: u32 = 16;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rustix::io::Errno;
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn accepted_connections_are_set_up() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (stream, _) = accepted.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(
            socket.tcp_keepalive_time().unwrap(),
            Duration::from_secs(300)
        );
        drop(client);
    }

    /// Fails as told, then accepts what it is given.
    struct Script {
        failures: VecDeque<Errno>,
        connections: mpsc::UnboundedReceiver<u32>,
    }

    impl Accept for Script {
        type Stream = u32;

        async fn accept(&mut self) -> io::Result<(u32, SocketAddr)> {
            if let Some(errno) = self.failures.pop_front() {
                return Err(errno.into());
            }
            match self.connections.recv().await {
                Some(connection) => Ok((connection, SocketAddr::from(([127, 0, 0, 1], 1)))),
                None => std::future::pending().await,
            }
        }
    }

    fn script(failures: &[(Errno, usize)]) -> (Script, mpsc::UnboundedSender<u32>) {
        let (sender, connections) = mpsc::unbounded_channel();
        let failures = failures
            .iter()
            .flat_map(|&(errno, times)| std::iter::repeat_n(errno, times))
            .collect();
        (
            Script {
                failures,
                connections,
            },
            sender,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_accept_neither_spins_nor_ends_the_loop() {
        let (script, connections) = script(&[(Errno::MFILE, 30), (Errno::NFILE, 20)]);
        let (served, mut seen) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let began = tokio::time::Instant::now();
        let server = tokio::spawn(accept_loop(script, stopped, BACK_OFF, move |id, _| {
            let served = served.clone();
            Some(async move {
                served.send(id).unwrap();
            })
        }));
        connections.send(7).unwrap();
        assert_eq!(seen.recv().await, Some(7));
        // 50 failures, 100 ms apart, on the virtual clock.
        assert_eq!(began.elapsed().as_millis() / 100, 50);
        stop.send(true).unwrap();
        server.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn reset_connections_delay_nobody_until_they_are_many() {
        for (resets, pauses) in [(16, 0), (20, 4)] {
            let (script, connections) = script(&[(Errno::CONNABORTED, resets)]);
            let (served, mut seen) = mpsc::unbounded_channel();
            let (stop, stopped) = watch::channel(false);
            let began = tokio::time::Instant::now();
            let server = tokio::spawn(accept_loop(script, stopped, BACK_OFF, move |id, _| {
                served.send(id).unwrap();
                None::<std::future::Ready<()>>
            }));
            connections.send(7).unwrap();
            assert_eq!(seen.recv().await, Some(7));
            assert_eq!(began.elapsed().as_millis() / 100, pauses, "{resets} resets");
            stop.send(true).unwrap();
            server.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_interrupts_a_pause() {
        let (script, _connections) = script(&[(Errno::MFILE, 1_000_000)]);
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(accept_loop(script, stopped, BACK_OFF, |_, _| {
            None::<std::future::Ready<()>>
        }));
        tokio::task::yield_now().await;
        stop.send(true).unwrap();
        server.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panicking_session_ends_alone_and_a_stuck_one_is_cut_off() {
        let (script, connections) = script(&[]);
        let (served, mut seen) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let limit = Duration::from_secs(10);
        let server = tokio::spawn(accept_loop(script, stopped, limit, move |id, _| {
            let served = served.clone();
            Some(async move {
                assert_ne!(id, 1, "on purpose");
                served.send(id).unwrap();
                std::future::pending().await
            })
        }));
        connections.send(1).unwrap();
        connections.send(2).unwrap();
        assert_eq!(seen.recv().await, Some(2));
        let began = tokio::time::Instant::now();
        stop.send(true).unwrap();
        server.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10);
        assert_eq!(seen.recv().await, None);
    }

    #[tokio::test]
    async fn both_families_can_listen_on_one_port() {
        let four = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        let Ok(six) = bind(format!("[::]:{port}").parse().unwrap()) else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        assert_eq!(six.local_addr().unwrap().port(), port);
        assert!(bind(format!("127.0.0.1:{port}").parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn a_refusal_arrives_whole() {
        use tokio::io::AsyncReadExt;
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        prepare(&stream).unwrap();
        refuse(&stream, "* BYE full\r\n");
        drop(stream);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "* BYE full\r\n");
    }
}
