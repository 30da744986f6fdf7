//! The contract between a protocol and its driver.
//!
//! A protocol (POP3, IMAP) is a [`Machine`]: it owns its state and its buffers, and knows neither
//! sockets nor clocks. A driver asks it what it wants ([`Machine::next`]), does that, and tells it
//! what happened ([`Machine::on`]). The same machine therefore runs over TCP, over TLS, in a unit
//! test with virtual time, and under a fuzzer.
//!
//! The driver's loop, in full:
//!
//! ```text
//! loop {
//!     match machine.next() {
//!         Effect::Write(bytes)      => write all of them, then go on
//!         Effect::Work              => machine.work(now) on a blocking thread, then go on
//!         Effect::Verify(who)       => check the credential, then on(Event::Verified(verdict))
//!         Effect::StartTls          => drop bytes read ahead, handshake, then on(Event::TlsReady(..))
//!         Effect::Compress(unread)  => inflate what comes from here on, beginning with `unread`,
//!                                      and deflate what is written, then go on
//!         Effect::Forget            => give back what the user holds, end compression, then go on
//!         Effect::Read { deadline } => wait for the first of: bytes, end of file, the waker,
//!                                      the deadline, shutdown; then on(that event)
//!         Effect::Close             => close the connection; the machine is not used again
//!     }
//! }
//! ```
//!
//! There is one writer per connection, the driver, so faults and transcripts hook in at one place.

pub mod link;

use std::fmt;
use std::time::{Instant, SystemTime};

pub use link::{Link, PlaintextAuth, Security, Tls};

/// The present, as told by the one source of time.
///
/// Deadlines are measured on the monotonic clock, dates on the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time: for deadlines and delays.
    pub instant: Instant,
    /// Wall-clock time: for INTERNALDATE, file names and save dates.
    pub wall: SystemTime,
}

/// What happened on a connection. `V` is the verdict on a credential.
#[derive(Debug)]
pub enum Event<'a, V> {
    /// The peer sent these bytes. Only given in answer to [`Effect::Read`]. Compressed ones are
    /// given inflated, in pieces no larger than those of a peer that does not compress.
    Bytes(&'a [u8]),
    /// The TLS handshake asked for with [`Effect::StartTls`] has succeeded. Bytes received in the
    /// clear after the STARTTLS command were thrown away by the driver; the machine forgets what
    /// it learned in the clear (RFC 3501 §6.2.1, RFC 2595 §4).
    TlsReady(Tls),
    /// The credential given with [`Effect::Verify`] has been checked.
    Verified(V),
    /// The machine's waker was called: a mailbox it watches has changed.
    Woken,
    /// The deadline of the current [`Effect::Read`] has passed.
    Deadline,
    /// The peer has closed its side, or the connection broke. What the machine had begun but not
    /// completed must not take effect; it may still do [`Effect::Work`] to clean up.
    Eof,
    /// The server is stopping: say goodbye and close, after the current command. May come at any
    /// time that the machine is not inside [`Machine::work`].
    Shutdown,
}

/// What a machine wants done next. `C` is a credential to verify.
pub enum Effect<C> {
    /// Send these bytes to the peer. Never empty.
    Write(Vec<u8>),
    /// Read from the peer; give back an event at the latest at `deadline`.
    ///
    /// While this effect stands, a call of the machine's waker becomes [`Event::Woken`].
    Read {
        /// When to give up waiting and send [`Event::Deadline`]; `None` waits forever.
        deadline: Option<Instant>,
    },
    /// Check this credential and answer with [`Event::Verified`]. The delay that a failed login
    /// earns is part of the check.
    Verify(C),
    /// Start TLS as the server, then answer with [`Event::TlsReady`].
    StartTls,
    /// What was written up to here was the last in the clear: from here on both directions are
    /// compressed with raw DEFLATE (RFC 4978 §3), below what TLS does.
    ///
    /// These are the bytes that the machine was given and has not looked at. They came behind the
    /// command that asked for compression, so they are compressed already; the machine gets them
    /// again, inflated. Every [`Effect::Write`] reaches the peer whole: nothing of it may wait in
    /// the compressor.
    Compress(Vec<u8>),
    /// The user who had logged in is not there any more, though the peer is (RFC 8437): what the
    /// driver holds for the user is given back. Compression ends in both directions, if there is
    /// any: what was written up to here was the last that is compressed, and the machine has looked
    /// at everything that it was given.
    Forget,
    /// Call [`Machine::work`] once, on a thread that may block.
    Work,
    /// Close the connection.
    Close,
}

impl<C> fmt::Debug for Effect<C> {
    /// Shows the kind of effect and sizes only: neither message text nor a credential.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(bytes) => write!(f, "Write({} octets)", bytes.len()),
            Self::Read { deadline } => f.debug_struct("Read").field("deadline", deadline).finish(),
            Self::Verify(_) => f.write_str("Verify(..)"),
            Self::StartTls => f.write_str("StartTls"),
            Self::Compress(unread) => write!(f, "Compress({} octets)", unread.len()),
            Self::Forget => f.write_str("Forget"),
            Self::Work => f.write_str("Work"),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// A protocol session without I/O.
///
/// Calling order: [`next`](Self::next) is called repeatedly until it returns something that needs
/// an event (`Read`, `Verify`, `StartTls`), then [`on`](Self::on) once, and so on. `next` has no
/// side effect visible to the peer except through what it returns. After [`Effect::Close`] the
/// machine is dropped.
pub trait Machine: Send + 'static {
    /// What is to be verified: a user name with a secret.
    type Credential: Send + 'static;
    /// What the verification found.
    type Verdict: Send + 'static;

    /// Takes what happened. Never blocks and never touches the disk.
    fn on(&mut self, now: Now, event: Event<'_, Self::Verdict>);

    /// Says what to do next. Never blocks and never touches the disk.
    fn next(&mut self) -> Effect<Self::Credential>;

    /// Does one bounded slice of synchronous work: about 64 KiB of output or 100 messages, so that
    /// the driver can flush in between (back-pressure and fairness). The only place where a
    /// machine touches the disk.
    fn work(&mut self, now: Now);
}
