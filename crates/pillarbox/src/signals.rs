//! What the operating system asks of the process.

use std::future::Future;
use std::io;

use tokio::signal::unix::{self, SignalKind};

/// A request from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read certificates and users again.
    Reload,
    /// SIGTERM or SIGINT: end.
    Stop,
}

/// The signals that the process gets from now on.
#[derive(Debug)]
pub struct Signals {
    hangup: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: unix::signal(SignalKind::hangup())?,
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Finishes `ending`, unless asked once more to stop.
    pub async fn finish(mut self, ending: impl Future<Output = ()>) {
        let asked_again = async { while self.next().await == Signal::Reload {} };
        tokio::select! {
            () = ending => {}
            () = asked_again => tracing::warn!("stopped at once"),
        }
    }
}
