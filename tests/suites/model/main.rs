//! Random commands on several IMAP sessions, and other programs at work on the same Maildir,
//! against a naive model: after every response each client's view must still make sense, and in
//! the end all views are equal to each other and to the disk.
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
mod world;

use world::World;

fn run(clients: usize, processes: usize) {
    let setting = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let commands = setting("PILLARBOX_MODEL_COMMANDS").unwrap_or(1_500);
    let seed = setting("PILLARBOX_MODEL_SEED").unwrap_or(0x5eed);
    println!("PILLARBOX_MODEL_SEED={seed}");
    let mut world = World::new(seed, clients, processes);
    for _ in 0..commands {
        world.step();
    }
    world.finish();
}

#[test]
fn sessions_of_one_process_agree_with_each_other_and_with_the_disk() {
    run(3, 1);
}

#[test]
fn sessions_of_two_processes_agree_with_each_other_and_with_the_disk() {
    run(3, 2);
}
