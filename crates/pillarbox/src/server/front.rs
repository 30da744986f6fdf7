//! What stands behind the listeners: turns an accepted connection into a session.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;

use machine::{Link, Security, Tls};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::{Instrument, debug, field, info_span};

use crate::config::{Listener, PlaintextAuth, Protocol, TlsMode};
use crate::connection::{Bell, Connection, Services, Stream};
use crate::limiter::ConnectionPermit;
use crate::listen::{prepare, refuse};

/// What all connections of a server share.
pub(crate) struct Front {
    pub(crate) services: Arc<Services>,
    pub(crate) imap: Arc<imapd::Settings>,
    pub(crate) pop3: Arc<pop3d::Settings>,
}

impl Front {
    /// Makes the session of a new connection, or refuses it if there are too many.
    pub(crate) fn admit(
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
            protocol = listener.protocol.name(),
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
        let (stream, tls) = match listener.tls {
            TlsMode::Implicit => match Box::pin(self.handshake(stream, stop.clone())).await {
                Ok(protected) => protected,
                Err(error) => return debug!(%error, "handshake failed"),
            },
            TlsMode::StartTls | TlsMode::None => (Stream::Clear(stream), Tls::default()),
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
            tls,
            peer: peer.ip().to_canonical(),
            waker: Waker::from(Arc::clone(&bell)),
        };
        let (now, services) = (self.services.source.now(), Arc::clone(&self.services));
        // How a session ended was logged where it did.
        match listener.protocol {
            Protocol::Imap => {
                let session =
                    imapd::Session::hiding(listener.hide, Arc::clone(&self.imap), link, now);
                drop(self);
                Connection::new(services, peer, stream, session, bell, stop)
                    .run()
                    .await
            }
            Protocol::Pop3 => {
                let hidden = listener.hide.union(self.imap.hidden_from(link.peer, None));
                let hidden = hidden.mechanisms();
                let session = pop3d::Session::hiding(hidden, Arc::clone(&self.pop3), link, now);
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
    ) -> io::Result<(Stream<TcpStream>, Tls)> {
        let Some(certificates) = self.services.certificates.clone() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        tokio::select! {
            done = certificates.handshake(stream, self.services.timeouts.handshake) => {
                let (stream, tls) = done?;
                Ok((Stream::Tls(Box::new(stream)), tls))
            }
            _ = stop.changed() => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

/// What a client over the maximum of connections is told (RFC 3501 §7.1.5, RFC 3206 §4).
const fn refusal(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Imap => "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
        Protocol::Pop3 => "-ERR [SYS/TEMP] too many connections, try again later\r\n",
    }
}
