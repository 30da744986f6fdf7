//! A torture of the store: the real server is killed with SIGKILL at random moments while clients
//! and other programs work, is started again, and an oracle says whether anything that was
//! acknowledged is lost, altered or back (S1, S3–S6, S8).
//!
//! `PILLARBOX_TORTURE_SECONDS` says how long (10 if not set), `PILLARBOX_TORTURE_SEED` repeats the
//! choices of a run, though not its timing, `PILLARBOX_TORTURE_SERVERS` says how many servers serve
//! the same tree (one with an even seed, two with an odd one).
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "every line is part of a test"
)]

mod foreign;
mod imap;
mod message;
mod oracle;
mod pop3;
mod seen;

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use pillarbox_tests::serve::{Serve, Setup};

use foreign::Deliverer;
use oracle::Oracle;
use pillarbox_tests::client::{Client, timed};
use pillarbox_tests::random::Random;

/// What all workers of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The next message's number.
    next: AtomicU64,
    /// Told of every acknowledged command.
    acknowledged: Sender<()>,
    /// How many there were.
    count: AtomicU64,
    /// Set before the server is killed.
    stop: AtomicBool,
}

impl Shared {
    /// A number that no message has had.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A command was acknowledged.
    pub(crate) fn acknowledge(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Nobody counts any more when the server has been killed.
        self.acknowledged.send(()).unwrap_or_default();
    }

    /// Whether the round is over for those whom the server's death does not stop.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[test]
fn s1_nothing_acknowledged_is_lost_or_comes_back() {
    let time = Duration::from_secs(number("PILLARBOX_TORTURE_SECONDS").unwrap_or(10));
    let random = || RandomState::new().hash_one("torture");
    let seed = number("PILLARBOX_TORTURE_SEED").unwrap_or_else(random);
    let servers = number("PILLARBOX_TORTURE_SERVERS").unwrap_or(1 + seed % 2);
    let seconds = time.as_secs();
    say(&format!(
        "torture: seed {seed}, servers {servers}, {seconds} s"
    ));
    let mut random = Random::new(seed);
    let mut oracle = Oracle::default();
    let mut servers = beside(Serve::start(&Setup::default()).unwrap(), servers);
    Client::imap(&servers[0], imap::USER).ok(&format!("CREATE {}", imap::COMMON[1]));
    let (acknowledged, told) = mpsc::channel();
    let shared = Shared {
        next: AtomicU64::new(1),
        acknowledged,
        count: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let mut spent = Duration::ZERO;
    let mut starts = Vec::new();
    while spent < time {
        let ((), round) = timed(|| {
            round(&mut servers, &mut oracle, &shared, &told, &mut random);
            oracle.high_water(&servers[0]);
            let (started, start) = timed(|| {
                let started = servers[0].restart().unwrap();
                Client::greeted(&started, "imap");
                started
            });
            servers = beside(started, servers.len() as u64);
            starts.push(start);
            // By any of them, which the others then find done.
            oracle.verify(random.pick(&servers), &mut random);
        });
        spent += round;
    }
    starts.sort();
    let median = starts[starts.len() / 2];
    say(&format!(
        "torture: seed {seed}: {} commands acknowledged, {}, restart {median:?} at the median, {:?} at most",
        shared.count.load(Ordering::Relaxed),
        oracle.report(),
        starts[starts.len() - 1],
    ));
    oracle.check_moves();
    // The median, because a loaded machine may well stop for a while.
    assert!(median < Duration::from_secs(2), "S8: {median:?}");
    for server in servers {
        assert!(!server.log().contains("panicked"), "{}", server.log());
    }
}

/// A server and others on the same files.
fn beside(first: Serve, all: u64) -> Vec<Serve> {
    let mut servers = vec![first];
    for _ in 1..all {
        servers.push(servers[0].beside().unwrap());
    }
    servers
}

/// Workers work until the servers are killed under them.
fn round(
    servers: &mut [Serve],
    oracle: &mut Oracle,
    shared: &Shared,
    told: &Receiver<()>,
    random: &mut Random,
) {
    shared.stop.store(false, Ordering::Relaxed);
    told.try_iter().for_each(drop);
    let ends = thread::scope(|scope| {
        let mut workers = Vec::new();
        for (number, share) in oracle.shares().into_iter().enumerate() {
            let seed = random.next();
            let address = servers[number % servers.len()].address("imap").unwrap();
            workers.push(scope.spawn(move || imap::work(address, share, shared, seed)));
        }
        let pop3 = servers[0].address("pop3").unwrap();
        let seed = random.next();
        let removed = scope.spawn(move || pop3::work(pop3, shared, seed));
        let deliverer = Deliverer::new(&servers[0], random.next());
        let delivered = scope.spawn(move || deliverer.work(shared));
        wait(told, random);
        for server in servers.iter_mut() {
            server.kill().unwrap();
        }
        shared.stop.store(true, Ordering::Relaxed);
        let shares = workers.into_iter().map(|worker| worker.join().unwrap());
        let shares = shares.collect();
        (shares, removed.join().unwrap(), delivered.join().unwrap())
    });
    let (shares, removed, delivered) = ends;
    oracle.after_kill(shares, removed, delivered);
    for server in servers {
        let log = server.log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains(" ERROR "), "{log}");
    }
}

/// Waits for so many acknowledgements, and then a little, but not for another one.
fn wait(told: &Receiver<()>, random: &mut Random) {
    for _ in 0..random.below(120) {
        match told.recv_timeout(Duration::from_secs(10)) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => panic!("nobody gets on"),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
    let extra = Duration::from_micros(random.next() % 3000);
    let (_never, nothing) = mpsc::channel::<()>();
    assert_eq!(nothing.recv_timeout(extra), Err(RecvTimeoutError::Timeout));
}

/// The number in an environment variable.
fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: {value}")),
    )
}

/// Says something even if the test passes.
fn say(text: &str) {
    // Not by a macro: the output of a test that passes would be swallowed.
    std::io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}

/// The flags of a message, without `\Recent`.
pub(crate) type Flags = BTreeSet<String>;
