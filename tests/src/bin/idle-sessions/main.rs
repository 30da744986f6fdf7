//! Many idle sessions in one server: what each costs, and how soon it hears of a delivery.
//!
//! Starts the real server, opens the sessions, has all of them wait, and prints what it measured;
//! `docs/testing.md` tells how it is used. It judges nothing: figures depend on the machine and on
//! what else it does.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "the figures are the output")]
#![expect(clippy::disallowed_methods, reason = "measured in real time")]

mod options;
mod pushes;
mod sessions;

use std::time::{Duration, Instant};

use anyhow::Result;
use pillarbox_tests::client::raise_descriptors;
use pillarbox_tests::serve::{Serve, Setup};

use options::Options;
use pushes::Pushes;

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    raise_descriptors();
    let server = start(&options)?;
    let before = server.memory()?;
    let began = Instant::now();
    let sessions = sessions::open(&server, &options)?;
    println!(
        "{:<14}{} on {} mailboxes, {}, {:?}; opened in {:.1} s",
        "sessions",
        options.sessions,
        options.mailboxes,
        options.carried(),
        options.waiting,
        began.elapsed().as_secs_f64()
    );
    show_memory("memory", before, server.memory()?, options.sessions);

    let mut pushes = Pushes::new(&server, &options, sessions)?;
    let used = server.processor_time()?;
    pushes.wait(Duration::from_secs(options.seconds))?;
    let used = server.processor_time()?.saturating_sub(used);
    println!(
        "{:<14}{} ms of the processor in {} s",
        "idle",
        used * 10,
        options.seconds
    );

    let used = server.processor_time()?;
    for at in 0..options.deliveries {
        pushes.deliver(&[at % options.mailboxes])?;
    }
    pushes.show("one by one", server.processor_time()?.saturating_sub(used));
    let used = server.processor_time()?;
    for burst in 0..options.bursts {
        let first = burst * options.at_once;
        let some = first..first + options.at_once;
        let some: Vec<usize> = some.map(|at| at % options.mailboxes).collect();
        pushes.deliver(&some)?;
    }
    pushes.show("all at once", server.processor_time()?.saturating_sub(used));
    show_memory("memory then", before, server.memory()?, options.sessions);
    Ok(())
}

/// Starts a server with a user for each mailbox.
fn start(options: &Options) -> Result<Serve> {
    let each = options.sessions.div_ceil(options.mailboxes);
    Serve::start(&Setup {
        users: (0..options.mailboxes).map(sessions::user).collect(),
        tables: format!("[limits]\nsessions_per_user = {}\n", each + 1),
        ..Setup::default()
    })
}

/// Shows memory in all, and what each session has added.
fn show_memory(name: &str, before: u64, after: u64, sessions: usize) {
    let each = (after as f64 - before as f64) / sessions as f64;
    println!("{name:<14}{before} KiB without sessions, {after} KiB with: {each:.1} KiB for each");
}
