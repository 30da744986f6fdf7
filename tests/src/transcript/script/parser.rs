//! Reads the lines of a transcript.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Act, Fate, Header, Mail, Order, Protocol, Security, State, Step, User};
use crate::transcript::pattern::Pattern;

/// Reads lines one after the other.
pub(super) struct Parser<'a> {
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

impl<'a> Parser<'a> {
    /// Knows nothing yet; messages that the transcript names are in `messages`.
    pub(super) fn new(messages: &'a Path) -> Self {
        Self {
            messages,
            header: Header::default(),
            protocol: None,
            steps: Vec::new(),
            before: Before::Gap,
        }
    }

    /// What was read.
    pub(super) fn finish(mut self) -> Result<(Header, Vec<Step>)> {
        self.header.protocol = self.protocol.context("no protocol")?;
        Ok((self.header, self.steps))
    }
    /// Reads one line, with the inline message after it.
    pub(super) fn line(&mut self, number: usize, line: &str, inline: &[&str]) -> Result<()> {
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
            "protocol" => self.protocol = Some(Protocol::parse(value)?),
            "state" => self.header.state = State::parse(value)?,
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
            ("connect", [number]) => {
                let protocol = self.protocol.context("no protocol")?;
                Act::Connect(number.parse()?, protocol, State::Greeting)
            }
            ("connect", [number, protocol, state @ ..]) => Act::Connect(
                number.parse()?,
                Protocol::parse(protocol)?,
                State::parse(&state.join(" "))?,
            ),
            ("tls", _) => Act::StartTls(connection()?),
            ("compress", _) => Act::Compress(connection()?),
            ("hang-up", _) => Act::HangUp(connection()?),
            ("closed", _) => Act::Closed(connection()?),
            ("advance", _) => Act::Advance(duration(value)?),
            ("slow", [number, time]) => Act::SlowDown(number.parse()?, duration(time)?),
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

    #[test]
    fn fillers_have_the_size_they_say() {
        for octets in [21, 120, 200] {
            let message = String::from_utf8(filler(octets).unwrap()).unwrap();
            assert_eq!(message.replace('\n', "\r\n").len(), octets);
        }
    }
}
