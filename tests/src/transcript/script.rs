//! A transcript as it is written in a file: header, then steps.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Transport;
use super::pattern::Pattern;

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
    /// Connects without setting up any state.
    Connect(usize),
    /// A client sends these texts in one piece.
    Send(usize, Vec<Pattern>),
    /// The server sends a response.
    Expect(usize, Order, Pattern),
    /// A client starts TLS.
    StartTls(usize),
    /// A client hangs up.
    HangUp(usize),
    /// The server has closed the connection.
    Closed(usize),
    /// Time passes.
    Advance(Duration),
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
        let mut parser = Parser {
            messages,
            header: Header::default(),
            protocol: None,
            steps: Vec::new(),
            before: Before::Gap,
        };
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
        let mut header = parser.header;
        header.protocol = parser.protocol.context("no protocol")?;
        if header.users.is_empty() {
            header.users.push(User {
                name: "mrose".to_owned(),
                password: "secret".to_owned(),
                fate: Fate::Granted,
            });
        }
        Ok(Self {
            header,
            steps: parser.steps,
        })
    }

    /// Whether this transcript is meant for a transport. Virtual time and a stopping server exist
    /// on the bare machine only.
    pub fn runs_on(&self, transport: Transport) -> bool {
        let virtual_only = self
            .steps
            .iter()
            .any(|step| matches!(step.act, Act::Advance(_) | Act::Shutdown));
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

/// Reads lines one after the other.
struct Parser<'a> {
    messages: &'a Path,
    header: Header,
    protocol: Option<Protocol>,
    steps: Vec<Step>,
    /// What the line before was.
    before: Before,
}

/// What comes before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// A line of the dialogue or the header.
    Line,
    /// An empty line, a comment, or the beginning of the file.
    Gap,
}

impl Parser<'_> {
    /// Reads one line, with the inline message after it.
    fn line(&mut self, number: usize, line: &str, inline: &[&str]) -> Result<()> {
        let before = std::mem::replace(&mut self.before, Before::Line);
        if line.is_empty() || line.starts_with('#') {
            self.before = Before::Gap;
            return Ok(());
        }
        let (key, value) = line.split_once(':').context("no colon")?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        let mut letters = key.chars();
        match (
            letters.next(),
            letters.next().and_then(|it| it.to_digit(10)),
        ) {
            (Some('C'), Some(connection)) => {
                self.client(number, connection as usize, letters.as_str(), value, before)
            }
            (Some('S'), Some(connection)) => {
                self.server(number, connection as usize, letters.as_str(), value)
            }
            _ if self.header(key, value, inline)? => Ok(()),
            _ => {
                let act = self.directive(key, value, inline)?;
                self.steps.push(Step { line: number, act });
                Ok(())
            }
        }
    }

    /// A line of a client. Lines right after each other go out in one piece.
    fn client(
        &mut self,
        line: usize,
        connection: usize,
        mark: &str,
        value: &str,
        before: Before,
    ) -> Result<()> {
        let mut text = Pattern::parse(value)?;
        match mark {
            "" => text.continue_with(Pattern::parse("")?),
            "-" => {}
            _ => bail!("no such mark: {mark}"),
        }
        if let (Before::Line, Some(Act::Send(last, texts))) =
            (before, self.steps.last_mut().map(|step| &mut step.act))
            && *last == connection
        {
            texts.push(text);
            return Ok(());
        }
        let act = Act::Send(connection, vec![text]);
        self.steps.push(Step { line, act });
        Ok(())
    }

    /// A line of the server.
    fn server(&mut self, line: usize, connection: usize, mark: &str, value: &str) -> Result<()> {
        let text = Pattern::parse(value)?;
        let order = match mark {
            "" => Order::Next,
            "*" => Order::Any,
            "~" => Order::Skip,
            "+" => {
                let last = self.steps.last_mut().map(|step| &mut step.act);
                let Some(Act::Expect(last, _, pattern)) = last else {
                    bail!("nothing to continue");
                };
                ensure!(*last == connection, "continues another connection");
                pattern.continue_with(text);
                return Ok(());
            }
            _ => bail!("no such mark: {mark}"),
        };
        let act = Act::Expect(connection, order, text);
        self.steps.push(Step { line, act });
        Ok(())
    }

    /// A line of the header; tells whether it was one.
    fn header(&mut self, key: &str, value: &str, inline: &[&str]) -> Result<bool> {
        match key {
            "protocol" => {
                self.protocol = Some(match value {
                    "pop3" => Protocol::Pop3,
                    "imap" => Protocol::Imap,
                    _ => bail!("no such protocol"),
                });
            }
            "state" => {
                let mut words = value.splitn(2, ' ');
                self.header.state = match (words.next(), words.next()) {
                    (Some("greeting"), None) => State::Greeting,
                    (Some("authorization" | "not-authenticated"), None) => State::Greeted,
                    (Some("transaction" | "authenticated"), None) => State::LoggedIn,
                    (Some("selected"), Some(mailbox)) => State::Selected(mailbox.to_owned()),
                    _ => bail!("no such state"),
                };
            }
            "security" => {
                self.header.security = Some(match value {
                    "clear" => Security::Clear,
                    "starttls" => Security::StartTls,
                    "tls" => Security::Tls,
                    _ => bail!("no such security"),
                });
            }
            "plaintext-auth" => {
                self.header.plaintext_refused = match value {
                    "allowed" => false,
                    "refused" => true,
                    _ => bail!("allowed or refused"),
                };
            }
            "user" => self.header.users.push(user(value)?),
            "set" => {
                let (name, value) = value.split_once(' ').context("name and value")?;
                self.header
                    .settings
                    .push((name.to_owned(), value.to_owned()));
            }
            "mailbox" | "message" => {
                ensure!(self.steps.is_empty(), "belongs into the header");
                let mail = self.mail(value, inline)?;
                ensure!(
                    (key == "mailbox") == mail.message.is_none(),
                    "a message is missing or too many"
                );
                self.header.mail.push(mail);
            }
            _ => return Ok(false),
        }
        ensure!(self.steps.is_empty(), "belongs into the header");
        Ok(true)
    }

    /// A line that tells what happens besides the dialogue.
    fn directive(&self, key: &str, value: &str, inline: &[&str]) -> Result<Act> {
        let connection = || value.parse().context("no connection");
        let words: Vec<&str> = value.split(' ').collect();
        Ok(match (key, words.as_slice()) {
            ("connect", _) => Act::Connect(connection()?),
            ("tls", _) => Act::StartTls(connection()?),
            ("hang-up", _) => Act::HangUp(connection()?),
            ("closed", _) => Act::Closed(connection()?),
            ("advance", _) => Act::Advance(duration(value)?),
            ("shutdown", _) => Act::Shutdown,
            ("deliver", _) => Act::Deliver(self.mail(value, inline)?),
            ("remove", [mailbox, number]) => Act::Remove((*mailbox).to_owned(), number.parse()?),
            ("flags", [mailbox, number, flags]) => Act::Flags(
                (*mailbox).to_owned(),
                number.parse()?,
                flags.trim_matches('"').to_owned(),
            ),
            ("lock", [mailbox]) => Act::Lock((*mailbox).to_owned()),
            ("unlock", _) => Act::Unlock,
            ("files", [mailbox, count]) => Act::Files((*mailbox).to_owned(), count.parse()?),
            _ => bail!("not understood"),
        })
    }

    /// A mailbox and a message: `MAILBOX [file.eml|octets=N] [flags=S] [date=N] [times=N]
    /// [final-newline=no] [line-ends=crlf]`, the message inline if nothing is named.
    fn mail(&self, value: &str, inline: &[&str]) -> Result<Mail> {
        let mut words = value.split(' ');
        let mut mail = Mail {
            mailbox: words.next().unwrap_or_default().to_owned(),
            message: None,
            flags: None,
            date: None,
            times: 1,
        };
        if !inline.is_empty() {
            mail.message = Some(format!("{}\n", inline.join("\n")).into_bytes());
        }
        let mut changes = Vec::new();
        for word in words {
            match word.split_once('=') {
                Some(("octets", octets)) => mail.message = Some(filler(octets.parse()?)?),
                Some(("flags", flags)) => mail.flags = Some(flags.to_owned()),
                Some(("date", date)) => mail.date = Some(date.parse()?),
                Some(("times", times)) => mail.times = times.parse()?,
                Some(("final-newline", "no")) => changes.push(Change::NoFinalNewline),
                Some(("line-ends", "crlf")) => changes.push(Change::CrlfLineEnds),
                None => mail.message = Some(fs::read(self.messages.join(word))?),
                Some(_) => bail!("not understood: {word}"),
            }
        }
        for change in changes {
            let message = mail.message.as_mut().context("no message")?;
            change.apply(message)?;
        }
        Ok(mail)
    }
}

/// A change of a message before it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    NoFinalNewline,
    CrlfLineEnds,
}

impl Change {
    /// Makes the change.
    fn apply(self, message: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::NoFinalNewline => ensure!(message.pop() == Some(b'\n'), "no final newline"),
            Self::CrlfLineEnds => {
                let text = String::from_utf8(std::mem::take(message))?;
                *message = text.replace('\n', "\r\n").into_bytes();
            }
        }
        Ok(())
    }
}

/// `name password [unavailable|too-many-sessions]`; a password with spaces stands in quotes.
fn user(value: &str) -> Result<User> {
    let (name, rest) = value.split_once(' ').context("name and password")?;
    let (password, fate) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.rsplit_once('"').context("no closing quote")?,
        None => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
    };
    Ok(User {
        name: name.to_owned(),
        password: password.to_owned(),
        fate: match fate {
            "" => Fate::Granted,
            " unavailable" => Fate::Unavailable,
            " too-many-sessions" => Fate::TooManySessions,
            _ => bail!("not understood: {fate}"),
        },
    })
}

/// `90s`, `10m`, `2h`
fn duration(value: &str) -> Result<Duration> {
    let (number, unit) = value
        .split_at_checked(value.len().saturating_sub(1))
        .context("no time")?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => bail!("s, m or h"),
    };
    Ok(Duration::from_secs(number.parse::<u64>()? * unit))
}

/// A message of exactly so many octets, once its line ends are CRLF.
fn filler(octets: usize) -> Result<Vec<u8>> {
    let mut message = b"Subject: filler\n\n".to_vec();
    // Three line ends become one octet longer each: two in the header, one at the end.
    let body = octets
        .checked_sub(message.len() + 4)
        .context("too few octets")?;
    message.extend(std::iter::repeat_n(b'x', body));
    message.push(b'\n');
    Ok(message)
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
    fn fillers_have_the_size_they_say() {
        for octets in [21, 120, 200] {
            let message = String::from_utf8(filler(octets).unwrap()).unwrap();
            assert_eq!(message.replace('\n', "\r\n").len(), octets);
        }
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
