//! A POP3 client that empties a maildrop.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::imap::POP3_USER;
use crate::{Shared, message};
use pillarbox_tests::client::Client;
use pillarbox_tests::random::Random;

/// What became of messages in the maildrop.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// The server has confirmed that they are gone.
    pub(crate) surely: BTreeSet<u64>,
    /// It was killed before it could.
    pub(crate) perhaps: BTreeSet<u64>,
}

/// Works until the server is killed.
pub(crate) fn work(address: SocketAddr, shared: &Shared, seed: u64) -> Removed {
    let mut random = Random::new(seed);
    let mut removed = Removed::default();
    while session(address, shared, &mut random, &mut removed).is_some() {}
    removed
}

/// One session; `None` if the server is dead.
fn session(
    address: SocketAddr,
    shared: &Shared,
    random: &mut Random,
    removed: &mut Removed,
) -> Option<()> {
    let mut client = Client::try_connect(address).ok()?;
    answer(&mut client, None)?;
    answer(&mut client, Some(&format!("USER {POP3_USER}")))?;
    if !answer(&mut client, Some("PASS pw"))?.starts_with("+OK") {
        // The session before has not let go yet.
        return Some(());
    }
    let stat = answer(&mut client, Some("STAT"))?;
    let count: usize = stat.split(' ').nth(1).unwrap().parse().unwrap();
    let mut marked = BTreeSet::new();
    let messages: Vec<usize> = (1..=count).collect();
    for position in random.some(&messages, 6) {
        let number = subject(&mut client, position)?;
        assert!(answer(&mut client, Some(&format!("DELE {position}")))?.starts_with("+OK"));
        marked.insert(number);
        shared.acknowledge();
    }
    if random.once_in(4) {
        // Without QUIT nothing is removed (RFC 1939 §5).
        return Some(());
    }
    match answer(&mut client, Some("QUIT")) {
        Some(text) => {
            assert!(text.starts_with("+OK"), "{text}");
            removed.surely.extend(marked);
            shared.acknowledge();
            Some(())
        }
        None => {
            removed.perhaps.extend(marked);
            None
        }
    }
}

/// The number of a message by its headers.
fn subject(client: &mut Client, position: usize) -> Option<u64> {
    let text = answer(client, Some(&format!("TOP {position} 0")))?;
    assert!(text.starts_with("+OK"), "{text}");
    let mut number = None;
    loop {
        let line = answer(client, None)?;
        if line == ".\r\n" {
            return Some(number.expect("a message without its subject"));
        }
        number = number.or(message::number(line.as_bytes()));
    }
}

/// Sends a line, if one is given, and reads one; `None` if the server is dead.
fn answer(client: &mut Client, line: Option<&str>) -> Option<String> {
    if let Some(line) = line {
        client.try_send(format!("{line}\r\n")).ok()?;
    }
    let line = client.line();
    line.ends_with("\r\n").then_some(line)
}
