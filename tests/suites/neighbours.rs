//! Neighbours at work (S16): other programs, other processes of Pillarbox and its own command line
//! change a tree while sessions are in any command. What is in the directories is what is right.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[path = "neighbours/disk.rs"]
mod disk;
#[path = "neighbours/folders.rs"]
mod folders;
#[path = "neighbours/programs.rs"]
mod programs;
#[path = "neighbours/schedule.rs"]
mod schedule;
#[path = "neighbours/session.rs"]
mod session;
