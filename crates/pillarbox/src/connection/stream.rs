//! A connection's stream, in the clear or under TLS.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::READ_SIZE;

/// What carries a connection.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {
    /// Tells the peer that its bytes have come although no answer goes out yet.
    ///
    /// Clients send a command in several pieces (a literal, then the end of the line), and their
    /// system holds the next piece until the last one is acknowledged, which ours would put off
    /// for 40 ms in the hope of an answer to send along (RFC 1122 §4.2.3.2).
    fn acknowledge(&self);
}

impl Transport for TcpStream {
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::net::sockopt::set_tcp_quickack(self, true) {
            tracing::debug!(%error, "not acknowledged at once");
        }
    }
}

/// A stream before, during and after TLS.
pub(crate) enum Stream<T> {
    /// In the clear.
    Clear(T),
    /// Protected.
    Tls(Box<TlsStream<T>>),
    /// Given up: broken, or lost in a handshake.
    Gone,
}

impl<T: Transport> Stream<T> {
    /// Reads what is there.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Clear(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Sends all of `bytes`.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Clear(stream) => send(stream, bytes).await,
            Self::Tls(stream) => send(stream.as_mut(), bytes).await,
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Tells the peer that its bytes have come.
    pub(super) fn acknowledge(&self) {
        match self {
            Self::Clear(stream) => stream.acknowledge(),
            Self::Tls(stream) => stream.get_ref().0.acknowledge(),
            Self::Gone => {}
        }
    }

    /// Says that nothing more will be written.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Throws away what the peer still sends; ready when it closes or breaks.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut array = [const { MaybeUninit::uninit() }; READ_SIZE];
            let mut buffer = ReadBuf::uninit(&mut array);
            let read = ready!(self.poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

async fn send<T: AsyncWrite + Unpin>(stream: &mut T, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
