//! One client of a transcript: over a bare machine, TCP or TLS, the same to the player.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use anyhow::{Result, bail};
use auth::{Credential, Verdict};
use machine::Machine;

use super::script::Protocol;
use crate::bare::Bare;
use crate::server::Connection;

/// One client, with what it has received.
#[derive(Debug)]
pub(super) struct Client {
    line: Box<dyn Line>,
    protocol: Protocol,
    received: Vec<u8>,
}

/// How bytes get to the server and back.
pub(super) trait Line: fmt::Debug {
    /// Sends bytes.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;
    /// Gives what has come, waiting for it if that makes sense.
    fn receive(&mut self) -> Result<Received>;
    /// Makes it TLS from here on.
    fn start_tls(&mut self) -> Result<()>;
    /// Makes it compressed from here on.
    fn compress(&mut self);
    /// Ends the client's side.
    fn hang_up(&mut self) -> Result<()>;
    /// Lets time pass.
    fn advance(&mut self, time: Duration) -> Result<()>;
    /// Makes every slice of the server's work take so long from here on.
    fn slow_down(&mut self, slice: Duration) -> Result<()>;
    /// Tells the server to stop.
    fn shut_down(&mut self) -> Result<()>;
}

/// What has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The end.
    Closed,
    /// Nothing, and there is no use in waiting longer.
    Nothing,
}

/// A response, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// This one, without its final CRLF.
    Whole(Vec<u8>),
    /// The server has closed the connection.
    Closed,
    /// Nothing came, but perhaps the beginning of something.
    Nothing(Vec<u8>),
}

impl Client {
    /// A client that has just connected.
    pub(super) fn new(line: Box<dyn Line>, protocol: Protocol) -> Self {
        Self {
            line,
            protocol,
            received: Vec::new(),
        }
    }

    /// Sends bytes.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.line.send(bytes)
    }

    /// Waits for the next response.
    pub(super) fn response(&mut self) -> Result<Response> {
        loop {
            if let Some(length) = self.whole() {
                let rest = self.received.split_off(length);
                let mut response = std::mem::replace(&mut self.received, rest);
                response.truncate(length.saturating_sub(2));
                return Ok(Response::Whole(response));
            }
            match self.line.receive()? {
                Received::Bytes(bytes) => self.received.extend(bytes),
                Received::Closed if self.received.is_empty() => return Ok(Response::Closed),
                Received::Closed | Received::Nothing => {
                    return Ok(Response::Nothing(std::mem::take(&mut self.received)));
                }
            }
        }
    }

    /// What has come and was not asked for.
    pub(super) fn left_over(&self) -> &[u8] {
        &self.received
    }

    /// How bytes get there and back.
    pub(super) fn line(&mut self) -> &mut dyn Line {
        self.line.as_mut()
    }

    /// The octets of the first response, if it is whole: a line, and in IMAP the literals in it.
    fn whole(&self) -> Option<usize> {
        let mut end = 0;
        loop {
            let rest = self.received.get(end..)?;
            let line = rest.windows(2).position(|pair| pair == b"\r\n")?;
            let literal = match self.protocol {
                Protocol::Pop3 => None,
                Protocol::Imap => literal(rest.get(..line)?),
            };
            end += line + 2;
            match literal {
                Some(octets) => end += octets,
                None => return Some(end),
            }
        }
    }
}

/// The octets of the literal that a line announces at its end (RFC 3501 §4.3).
fn literal(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"}")?;
    let open = line.iter().rposition(|&byte| byte == b'{')?;
    str::from_utf8(line.get(open + 1..)?).ok()?.parse().ok()
}

/// A client of a bare machine.
#[derive(Debug)]
pub(super) struct BareLine<M: Machine> {
    bare: Bare<M>,
    said: Vec<u8>,
}

impl<M: Machine> BareLine<M> {
    /// Connects to a machine.
    pub(super) fn new(bare: Bare<M>) -> Self {
        Self {
            bare,
            said: Vec::new(),
        }
    }
}

impl<M: Machine<Credential = Credential, Verdict = Verdict> + fmt::Debug> Line for BareLine<M> {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let said = self.bare.send(bytes);
        self.said.extend(said);
        Ok(())
    }

    fn receive(&mut self) -> Result<Received> {
        let said = self.bare.listen();
        self.said.extend(said);
        if !self.said.is_empty() {
            return Ok(Received::Bytes(std::mem::take(&mut self.said)));
        }
        Ok(if self.bare.is_open() {
            Received::Nothing
        } else {
            Received::Closed
        })
    }

    fn start_tls(&mut self) -> Result<()> {
        // The machine was told as soon as it asked.
        Ok(())
    }

    fn compress(&mut self) {
        // Nothing is compressed between a machine and its driver.
    }

    fn hang_up(&mut self) -> Result<()> {
        let said = self.bare.hang_up();
        self.said.extend(said);
        Ok(())
    }

    fn advance(&mut self, time: Duration) -> Result<()> {
        let said = self.bare.wait(time);
        self.said.extend(said);
        Ok(())
    }

    fn slow_down(&mut self, slice: Duration) -> Result<()> {
        self.bare.slow_down(slice);
        Ok(())
    }

    fn shut_down(&mut self) -> Result<()> {
        let said = self.bare.shut_down();
        self.said.extend(said);
        Ok(())
    }
}

/// A client of a server.
#[derive(Debug)]
pub(super) struct NetworkLine(pub(super) Connection);

impl Line for NetworkLine {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self.0.write_all(bytes).and_then(|()| self.0.flush()) {
            // The server may have closed the connection in the middle of what was sent.
            Err(error) if is_gone(error.kind()) => Ok(()),
            result => Ok(result?),
        }
    }

    fn receive(&mut self) -> Result<Received> {
        let mut buffer = vec![0; 64 * 1024];
        match self.0.read(&mut buffer) {
            Ok(0) => Ok(Received::Closed),
            Ok(octets) => {
                buffer.truncate(octets);
                Ok(Received::Bytes(buffer))
            }
            Err(error) if is_gone(error.kind()) => Ok(Received::Closed),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(Received::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start_tls(&mut self) -> Result<()> {
        self.0.start_tls()
    }

    fn compress(&mut self) {
        self.0.compress();
    }

    fn hang_up(&mut self) -> Result<()> {
        self.0.hang_up()
    }

    fn advance(&mut self, _time: Duration) -> Result<()> {
        bail!("real time does not obey");
    }

    fn slow_down(&mut self, _slice: Duration) -> Result<()> {
        bail!("real time does not obey");
    }

    fn shut_down(&mut self) -> Result<()> {
        bail!("only a bare machine can be told to stop");
    }
}

/// Whether an error says that the other side has gone.
fn is_gone(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that says something and then nothing.
    #[derive(Debug)]
    struct Script(Vec<&'static [u8]>);

    impl Line for Script {
        fn send(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }

        fn receive(&mut self) -> Result<Received> {
            if self.0.is_empty() {
                return Ok(Received::Nothing);
            }
            Ok(Received::Bytes(self.0.remove(0).to_vec()))
        }

        fn start_tls(&mut self) -> Result<()> {
            Ok(())
        }

        fn compress(&mut self) {}

        fn hang_up(&mut self) -> Result<()> {
            Ok(())
        }

        fn advance(&mut self, _: Duration) -> Result<()> {
            Ok(())
        }

        fn slow_down(&mut self, _: Duration) -> Result<()> {
            Ok(())
        }

        fn shut_down(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn literals_belong_to_the_response() {
        let line = Script(vec![
            b"* 1 FETCH (BODY[] {5}\r\na\r\nb",
            b"c)\r\nx OK",
            b"\r\n+ {",
        ]);
        let mut client = Client::new(Box::new(line), Protocol::Imap);
        let mut next = || client.response().unwrap();
        assert_eq!(
            next(),
            Response::Whole(b"* 1 FETCH (BODY[] {5}\r\na\r\nbc)".to_vec())
        );
        assert_eq!(next(), Response::Whole(b"x OK".to_vec()));
        assert_eq!(next(), Response::Nothing(b"+ {".to_vec()));
    }
}
