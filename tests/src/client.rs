//! A client without manners: it sends anything, and reads everything. It panics at what a test does
//! not expect.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::serve::{Serve, Setup};
use crate::server::Connection;

/// A connection with a buffer.
#[derive(Debug)]
pub struct Client {
    /// The connection, for what goes past the buffer.
    pub connection: Connection,
    buffer: Vec<u8>,
    tags: u32,
}

impl Client {
    /// Connects, without reading the greeting.
    ///
    /// # Panics
    /// If nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// Connects, if anybody listens, without reading the greeting.
    ///
    /// # Errors
    /// If nobody does.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        Ok(Self {
            connection: Connection::new(stream).map_err(io::Error::other)?,
            buffer: Vec::new(),
            tags: 0,
        })
    }

    /// Connects to `imap`, `imaps`, `pop3` or `pop3s` and reads the greeting.
    pub fn greeted(server: &Serve, name: &str) -> Self {
        let mut client = Self::connect(server.address(name).unwrap());
        if name.ends_with('s') {
            client.connection.start_tls().unwrap();
        }
        let greeting = client.line();
        assert!(
            greeting.starts_with("* OK") || greeting.starts_with("+OK"),
            "{greeting}"
        );
        client
    }

    /// Logs in over IMAP.
    pub fn imap(server: &Serve, user: &str) -> Self {
        let mut client = Self::greeted(server, "imap");
        client.ok(&format!("LOGIN {user} pw"));
        client
    }

    /// Logs in over IMAP and selects INBOX.
    pub fn selected(server: &Serve, user: &str) -> Self {
        let mut client = Self::imap(server, user);
        client.ok("SELECT INBOX");
        client
    }

    /// Logs in over POP3.
    pub fn pop3(server: &Serve, user: &str) -> Self {
        let mut client = Self::greeted(server, "pop3");
        assert!(client.ask(&format!("USER {user}")).starts_with("+OK"));
        assert!(client.ask("PASS pw").starts_with("+OK"));
        client
    }

    /// Sends this as it is.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    /// Sends this, unless the server has closed the connection.
    ///
    /// # Errors
    /// If it has.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.connection.write_all(bytes.as_ref())?;
        self.connection.flush()
    }

    /// Reads more; 0 when the server has closed the connection.
    fn fill(&mut self) -> usize {
        let mut piece = [0; 65536];
        let read = match self.connection.read(&mut piece) {
            Ok(read) => read,
            Err(error) if is_closed(&error) => 0,
            Err(error) => panic!("{error}, after {:?}", self.shown()),
        };
        self.buffer.extend_from_slice(&piece[..read]);
        read
    }

    fn shown(&self) -> String {
        let start = self.buffer.get(..300).unwrap_or(&self.buffer);
        String::from_utf8_lossy(start).into_owned()
    }

    /// Reads up to a line feed, or to the end.
    fn octets_of_line(&mut self) -> Vec<u8> {
        let mut searched = 0;
        loop {
            let unsearched = &self.buffer[searched..];
            if let Some(at) = unsearched.iter().position(|&octet| octet == b'\n') {
                return self.buffer.drain(..=searched + at).collect();
            }
            searched = self.buffer.len();
            if self.fill() == 0 {
                return std::mem::take(&mut self.buffer);
            }
        }
    }

    /// The next line, with its line end; empty when the server has closed the connection.
    pub fn line(&mut self) -> String {
        String::from_utf8_lossy(&self.octets_of_line()).into_owned()
    }

    /// Reads once; gives the lines that are whole then, with their line ends. `None` at the end of
    /// the connection.
    pub fn lines_at_hand(&mut self) -> Option<Vec<String>> {
        if self.fill() == 0 {
            return None;
        }
        let end = self.buffer.iter().rposition(|&octet| octet == b'\n');
        let whole: Vec<u8> = self.buffer.drain(..end.map_or(0, |at| at + 1)).collect();
        let lines = whole.split_inclusive(|&octet| octet == b'\n');
        Some(
            lines
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect(),
        )
    }

    /// The next so many octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert_ne!(self.fill(), 0, "closed too early");
        }
        self.buffer.drain(..count).collect()
    }

    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        self.line()
    }

    /// The next IMAP response, with its literals.
    pub fn response(&mut self) -> Vec<u8> {
        let mut response = self.octets_of_line();
        while let Some(octets) = announced(&response) {
            while self.buffer.len() < octets {
                assert_ne!(self.fill(), 0, "closed inside a literal");
            }
            response.extend(self.buffer.drain(..octets));
            response.extend(self.octets_of_line());
        }
        response
    }

    /// Reads responses up to the completion of `tag`, which comes last.
    pub fn until(&mut self, tag: &str) -> Vec<Vec<u8>> {
        let mut responses = Vec::new();
        loop {
            let response = self.response();
            let last = response.is_empty() || response.starts_with(format!("{tag} ").as_bytes());
            responses.push(response);
            if last {
                return responses;
            }
        }
    }

    /// Sends an IMAP command and reads all of its answer.
    pub fn command(&mut self, command: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let mut line = format!("{tag} ").into_bytes();
        line.extend_from_slice(command.as_ref());
        line.extend_from_slice(b"\r\n");
        self.send(line);
        self.until(&tag)
    }

    /// Sends an IMAP command; gives its completion without the tag.
    pub fn completion(&mut self, command: impl AsRef<[u8]>) -> String {
        let last = self.command(command).pop().unwrap_or_default();
        let text = String::from_utf8_lossy(&last).into_owned();
        let (_, completion) = text.split_once(' ').unwrap_or_default();
        completion.trim_end().to_owned()
    }

    /// Sends an IMAP command that must succeed; gives the whole answer as text.
    pub fn ok(&mut self, command: &str) -> String {
        let responses = self.command(command).concat();
        let text = String::from_utf8_lossy(&responses).into_owned();
        let last = text.lines().last().unwrap_or_default();
        assert!(last.contains(" OK "), "{command}: {text}");
        text
    }

    /// Everything up to the end of the connection, which must come.
    pub fn rest(&mut self) -> String {
        while self.fill() > 0 {}
        let rest = std::mem::take(&mut self.buffer);
        String::from_utf8_lossy(&rest).into_owned()
    }
}

/// The size of the literal that a response announces at its end.
fn announced(response: &[u8]) -> Option<usize> {
    let line = response.strip_suffix(b"}\r\n")?;
    let at = line.iter().rposition(|&octet| octet == b'{')?;
    std::str::from_utf8(&line[at + 1..]).ok()?.parse().ok()
}

/// Whether the server has closed the connection, with or without unread input.
pub fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// A server with these tables in its configuration.
pub fn serve(tables: &str) -> Serve {
    let tables = tables.to_owned();
    Serve::start(&Setup {
        tables,
        ..Setup::default()
    })
    .unwrap()
}

/// What `act` returns, and how long it took.
pub fn timed<T>(act: impl FnOnce() -> T) -> (T, Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the rules bound the time of the real server"
    )]
    let now = Instant::now;
    let start = now();
    let result = act();
    (result, now() - start)
}

/// Lets this process open as many sockets as the tests need.
pub fn raise_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}
