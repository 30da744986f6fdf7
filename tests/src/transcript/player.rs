//! Plays a transcript, step by step.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use super::Transport;
use super::client::{Client, Response};
use super::pattern::{Pattern, Variables};
use super::script::{Act, Order, Protocol, Script, State, Step};
use super::world::World;

/// A transcript while it is played.
#[derive(Debug)]
struct Player<'a> {
    script: &'a Script,
    world: World,
    clients: BTreeMap<usize, Client>,
    variables: Variables,
}

/// Plays a transcript over a transport.
pub(super) fn play(script: &Script, transport: Transport) -> Result<()> {
    let mut player = Player {
        script,
        world: World::new(&script.header, transport).context("making the surroundings")?,
        clients: BTreeMap::new(),
        variables: Variables::new(),
    };
    let mut steps = script.steps.as_slice();
    while let Some((step, rest)) = steps.split_first() {
        let taken = player
            .step(step, rest)
            .with_context(|| format!("line {}", step.line))?;
        steps = rest.get(taken..).unwrap_or_default();
    }
    for (connection, client) in &player.clients {
        let left = client.left_over();
        ensure!(
            left.is_empty(),
            "at the end: connection {connection} still said {}",
            shown(left)
        );
    }
    Ok(())
}

impl Player<'_> {
    /// Plays a step; gives how many of the steps after it were played with it.
    fn step(&mut self, step: &Step, rest: &[Step]) -> Result<usize> {
        match &step.act {
            Act::Connect(connection, protocol, state) => {
                self.connect(*connection, *protocol, state)?;
            }
            Act::Send(connection, texts) => {
                let mut bytes = Vec::new();
                for text in texts {
                    bytes.extend(text.expand(&self.variables)?);
                }
                self.client(*connection)?.send(&bytes)?;
            }
            Act::Expect(connection, Order::Next, pattern) => {
                let response = self.client(*connection)?.response()?;
                check(&[pattern], &response, &mut self.variables)?;
            }
            Act::Expect(connection, Order::Any, pattern) => {
                return self.expect_any_order(*connection, pattern, rest);
            }
            Act::Expect(connection, Order::Skip, pattern) => {
                return self.skip(*connection, pattern, rest);
            }
            Act::StartTls(connection) => self.client(*connection)?.line().start_tls()?,
            Act::Compress(connection) => {
                let client = self.client(*connection)?;
                let ahead = client.left_over();
                ensure!(ahead.is_empty(), "already said: {}", shown(ahead));
                client.line().compress();
            }
            Act::HangUp(connection) => self.client(*connection)?.line().hang_up()?,
            Act::Closed(connection) => {
                let response = self.client(*connection)?.response()?;
                ensure!(
                    response == Response::Closed,
                    "expected the end of the connection, got {}",
                    shown_response(&response)
                );
            }
            Act::Advance(time) => {
                for client in self.clients.values_mut() {
                    client.line().advance(*time)?;
                }
            }
            Act::SlowDown(connection, slice) => {
                self.client(*connection)?.line().slow_down(*slice)?;
            }
            Act::Shutdown => {
                for client in self.clients.values_mut() {
                    client.line().shut_down()?;
                }
            }
            Act::Deliver(mail) => self.world.deliver(mail)?,
            Act::Remove(mailbox, number) => self.world.remove(mailbox, *number)?,
            Act::Flags(mailbox, number, flags) => {
                self.world.set_flags(mailbox, *number, flags)?;
            }
            Act::Lock(mailbox) => self.world.lock(mailbox)?,
            Act::Unlock => self.world.unlock(),
            Act::Files(mailbox, count) => {
                let files = self.world.files(mailbox)?;
                ensure!(files == *count, "expected {count} files, got {files}");
            }
        }
        Ok(0)
    }

    /// Responses that may come in any order: each pattern of the group matches one.
    fn expect_any_order(
        &mut self,
        connection: usize,
        first: &Pattern,
        rest: &[Step],
    ) -> Result<usize> {
        let more = rest.iter().map_while(|step| {
            let Act::Expect(other, Order::Any, pattern) = &step.act else {
                return None;
            };
            (*other == connection).then_some(pattern)
        });
        let mut patterns: Vec<&Pattern> = std::iter::once(first).chain(more).collect();
        let taken = patterns.len() - 1;
        while !patterns.is_empty() {
            let response = self.client(connection)?.response()?;
            let found = check(&patterns, &response, &mut self.variables)?;
            patterns.remove(found);
        }
        Ok(taken)
    }

    /// Skips responses until one comes that the next step expects; that step is played too.
    fn skip(&mut self, connection: usize, skipped: &Pattern, rest: &[Step]) -> Result<usize> {
        let Some(Act::Expect(other, Order::Next, next)) = rest.first().map(|step| &step.act) else {
            bail!("what is skipped must be followed by what is expected");
        };
        ensure!(*other == connection, "followed by another connection");
        loop {
            let response = self.client(connection)?.response()?;
            // What is expected comes first: it may look like what is skipped.
            if let Response::Whole(text) = &response
                && !next.matches(text, &mut self.variables)
                && skipped.matches(text, &mut self.variables.clone())
            {
                continue;
            }
            check(&[next], &response, &mut self.variables.clone())?;
            return Ok(1);
        }
    }

    /// A client, connected and set up at its first appearance.
    fn client(&mut self, connection: usize) -> Result<&mut Client> {
        if !self.clients.contains_key(&connection) {
            let header = &self.script.header;
            self.connect(connection, header.protocol, &header.state)?;
        }
        self.clients.get_mut(&connection).context("no such client")
    }

    /// Connects a client, and brings it into the state where it begins.
    fn connect(&mut self, connection: usize, protocol: Protocol, state: &State) -> Result<()> {
        let mut client = self.world.connect(protocol)?;
        self.set_up(&mut client, protocol, state)
            .with_context(|| format!("setting up connection {connection}"))?;
        self.clients.insert(connection, client);
        Ok(())
    }

    /// Brings a new connection into a state.
    fn set_up(&self, client: &mut Client, protocol: Protocol, state: &State) -> Result<()> {
        let user = self.world.first_user()?;
        if *state == State::Greeting {
            return Ok(());
        }
        accept(client, "", protocol)?;
        if *state == State::Greeted {
            return Ok(());
        }
        let (name, password) = (&user.name, &user.password);
        match protocol {
            Protocol::Pop3 => {
                accept(client, &format!("USER {name}\r\n"), protocol)?;
                accept(client, &format!("PASS {password}\r\n"), protocol)?;
            }
            Protocol::Imap => {
                let (name, password) = (quoted(name), quoted(password));
                let command = format!("setup LOGIN {name} {password}\r\n");
                accept(client, &command, protocol)?;
            }
        }
        if let State::Selected(mailbox) = state {
            accept(client, &format!("setup SELECT \"{mailbox}\"\r\n"), protocol)?;
        }
        Ok(())
    }
}

/// A text as a quoted string of IMAP.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Sends a command while setting up, and waits until it is accepted.
fn accept(client: &mut Client, command: &str, protocol: Protocol) -> Result<()> {
    client.send(command.as_bytes())?;
    loop {
        let response = client.response()?;
        let Response::Whole(text) = &response else {
            bail!("{command:?}: {}", shown_response(&response));
        };
        let accepted = match protocol {
            Protocol::Pop3 => text.starts_with(b"+OK"),
            Protocol::Imap if command.is_empty() => text.starts_with(b"* OK"),
            Protocol::Imap => text.starts_with(b"setup OK"),
        };
        if accepted {
            return Ok(());
        }
        let untagged = protocol == Protocol::Imap && text.starts_with(b"* ");
        ensure!(untagged, "{command:?}: {}", shown(text));
    }
}

/// Which of the patterns a response is; an error if none.
fn check(patterns: &[&Pattern], response: &Response, variables: &mut Variables) -> Result<usize> {
    if let Response::Whole(text) = response {
        let found = patterns
            .iter()
            .position(|pattern| pattern.matches(text, variables));
        if let Some(found) = found {
            return Ok(found);
        }
    }
    let expected: Vec<String> = patterns.iter().map(|pattern| pattern.to_string()).collect();
    let variables: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}={}", shown(value)))
        .collect();
    bail!(
        "\n  expected: {}\n  got:      {}\n  variables: {}",
        expected.join("\n        or: "),
        shown_response(response),
        variables.join(" ")
    );
}

/// A response for people.
fn shown_response(response: &Response) -> String {
    match response {
        Response::Whole(text) => shown(text),
        Response::Closed => "the end of the connection".to_owned(),
        Response::Nothing(begun) if begun.is_empty() => "nothing".to_owned(),
        Response::Nothing(begun) => format!("nothing more after {}", shown(begun)),
    }
}

/// Octets for people.
fn shown(octets: &[u8]) -> String {
    const MOST: usize = 2000;
    let text = String::from_utf8_lossy(octets.get(..MOST).unwrap_or(octets));
    text.escape_debug().to_string().replace("\\\"", "\"")
}
