//! A transcript as it is written in a file: header, then steps.

mod parser;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Transport;
use super::pattern::Pattern;
use parser::Parser;

/// A transcript.
#[derive(Debug)]
pub struct Script {
    pub(super) header: Header,
    pub(super) steps: Vec<Step>,
}

/// What a transcript needs before it begins.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) protocol: Protocol,
    /// Where each connection starts: `greeting`, or a state after setting up.
    pub(super) state: State,
    pub(super) security: Option<Security>,
    pub(super) plaintext_refused: bool,
    pub(super) users: Vec<User>,
    /// Settings by name.
    pub(super) settings: Vec<(String, String)>,
    /// Mailboxes to make, and messages to put in them.
    pub(super) mail: Vec<Mail>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Pop3,
    Imap,
}

impl Protocol {
    /// The protocol with a name.
    pub(super) fn parse(name: &str) -> Result<Self> {
        match name {
            "pop3" => Ok(Self::Pop3),
            "imap" => Ok(Self::Imap),
            _ => bail!("no such protocol"),
        }
    }
}

/// Where a connection starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// At the greeting, which is part of the transcript.
    Greeting,
    /// After the greeting.
    Greeted,
    /// After the login of the first user.
    LoggedIn,
    /// IMAP: with this mailbox selected.
    Selected(String),
}

impl State {
    /// The state with a name.
    pub(super) fn parse(name: &str) -> Result<Self> {
        Ok(match name.split_once(' ').unwrap_or((name, "")) {
            ("greeting", "") => Self::Greeting,
            ("authorization" | "not-authenticated", "") => Self::Greeted,
            ("transaction" | "authenticated", "") => Self::LoggedIn,
            ("selected", mailbox) if !mailbox.is_empty() => Self::Selected(mailbox.to_owned()),
            _ => bail!("no such state"),
        })
    }
}

/// How the connections of a transcript are protected, if it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    Clear,
    StartTls,
    Tls,
}

/// Somebody who can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) fate: Fate,
}

/// What a right password brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Granted,
    Unavailable,
    TooManySessions,
}

/// A mailbox, or messages for it.
#[derive(Clone, Debug)]
pub(super) struct Mail {
    pub(super) mailbox: String,
    /// The octets of one file; none to make the mailbox only.
    pub(super) message: Option<Vec<u8>>,
    pub(super) flags: Option<String>,
    /// Seconds since 1970.
    pub(super) date: Option<u64>,
    pub(super) times: usize,
}

/// A step with its place in the file.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) act: Act,
}

/// What happens in a step.
#[derive(Debug)]
pub(super) enum Act {
    /// Connects; the protocol and the state may be others than the header's.
    Connect(usize, Protocol, State),
    /// A client sends these texts in one piece.
    Send(usize, Vec<Pattern>),
    /// The server sends a response.
    Expect(usize, Order, Pattern),
    /// A client starts TLS.
    StartTls(usize),
    /// A client's connection is compressed from here on.
    Compress(usize),
    /// A client hangs up.
    HangUp(usize),
    /// The server has closed the connection.
    Closed(usize),
    /// Time passes.
    Advance(Duration),
    /// Every slice of the work for a client takes so long from here on.
    SlowDown(usize, Duration),
    /// The server is told to stop.
    Shutdown,
    /// Another program delivers.
    Deliver(Mail),
    /// Another program removes the file of the n-th delivered message.
    Remove(String, usize),
    /// Another program sets the flags in the name of the n-th delivered message.
    Flags(String, usize, String),
    /// Another process takes the lock of a mailbox.
    Lock(String),
    /// And releases it.
    Unlock,
    /// There are this many message files.
    Files(String, usize),
}

/// In which order a response comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Next.
    Next,
    /// Among those around it that say the same.
    Any,
    /// Not at all or many times: responses like it are skipped.
    Skip,
}

impl Script {
    /// Reads a transcript; messages that it names are in `messages`.
    ///
    /// # Errors
    /// If a line cannot be understood.
    pub fn parse(text: &str, messages: &Path) -> Result<Self> {
        let mut parser = Parser::new(messages);
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            let mut inline = Vec::new();
            while let Some((_, line)) = lines.next_if(|(_, line)| line.starts_with('|')) {
                inline.push(line.get(2..).unwrap_or_default());
            }
            parser
                .line(number + 1, line, &inline)
                .with_context(|| format!("line {}: {line}", number + 1))?;
        }
        let (mut header, steps) = parser.finish()?;
        if header.users.is_empty() {
            header.users.push(User {
                name: "mrose".to_owned(),
                password: "secret".to_owned(),
                fate: Fate::Granted,
            });
        }
        Ok(Self { header, steps })
    }

    /// Whether this transcript is meant for a transport. Virtual time, a stopping server and logins
    /// that cannot be checked exist on the bare machine only.
    pub fn runs_on(&self, transport: Transport) -> bool {
        let virtual_only = self.steps.iter().any(|step| {
            matches!(
                step.act,
                Act::Advance(_) | Act::SlowDown(..) | Act::Shutdown
            )
        }) || self
            .header
            .users
            .iter()
            .any(|user| user.fate != Fate::Granted);
        match transport {
            Transport::Bare => true,
            Transport::Tcp => !virtual_only && self.header.security != Some(Security::Tls),
            Transport::Tls => {
                !virtual_only && matches!(self.header.security, None | Some(Security::Tls))
            }
        }
    }
}

impl Default for Header {
    fn default() -> Self {
        Self {
            protocol: Protocol::Pop3,
            state: State::Greeting,
            security: None,
            plaintext_refused: false,
            users: Vec::new(),
            settings: Vec::new(),
            mail: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a script without named messages.
    fn parse(text: &str) -> Result<Script> {
        Script::parse(text, Path::new("/nonexistent"))
    }

    #[test]
    fn adjacent_client_lines_are_one_piece() {
        let script = parse("protocol: pop3\nC1: A\nC1: B\n\nC1: C\nS1: +OK\nC1-: D").unwrap();
        let sizes: Vec<usize> = script
            .steps
            .iter()
            .filter_map(|step| {
                let Act::Send(_, texts) = &step.act else {
                    return None;
                };
                Some(texts.len())
            })
            .collect();
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn mistakes_are_told() {
        for bad in [
            "S1: +OK",
            "protocol: pop3\nfoo: bar",
            "protocol: pop3\nS1+: x",
            "protocol: pop3\nC1: A\nuser: a b",
            "protocol: smtp",
            "protocol: pop3\nadvance: 10",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
