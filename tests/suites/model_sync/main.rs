//! Random commands on sessions that synchronise in different ways: plain IMAP4rev1, CONDSTORE,
//! QRESYNC, UIDONLY and IMAP4rev2, idling and notified at times, with other programs at work on the
//! same Maildir, connections that break and stores that start anew.
//!
//! | What | Where |
//! |---|---|
//! | reading responses | `response` |
//! | what one client is told, and what it believes then | `told`, `view`, `client` |
//! | what is true of messages and of their mod-sequences | `truth` |
//! | what the clients do | `messages`, `moving`, `finding`, `opening`, `resync`, `listening`, `foreign` |
//!
//! Whatever a client is told must be true, or have been true before; whenever it knows everything,
//! its view is the truth, and whatever it knew when its connection broke brings it there again.
//!
//! `PILLARBOX_MODEL_COMMANDS` and `PILLARBOX_MODEL_SEED` change the length and the run.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod client;
mod finding;
mod foreign;
mod listening;
mod messages;
mod moving;
mod opening;
mod response;
mod resync;
mod told;
mod truth;
mod view;
mod world;

use world::World;

fn run(processes: usize) {
    let setting = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let commands = setting("PILLARBOX_MODEL_COMMANDS").unwrap_or(15_000);
    let seed = setting("PILLARBOX_MODEL_SEED").unwrap_or(0x5eed);
    println!("PILLARBOX_MODEL_SEED={seed}");
    let mut world = World::new(seed, processes);
    while world.commands() < commands {
        world.step();
    }
    world.finish();
}

#[test]
fn all_kinds_of_sessions_of_one_process_agree() {
    run(1);
}

#[test]
fn all_kinds_of_sessions_of_two_processes_agree() {
    run(2);
}
