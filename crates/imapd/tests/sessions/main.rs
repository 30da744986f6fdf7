//! Sessions over a real mail store, without a network and in virtual time: what needs two
//! connections, slices of work, limits or deadlines. Dialogues are in `tests/transcripts`.

#![expect(clippy::unwrap_used, reason = "every line is part of a test")]

mod anything;
mod append;
mod before_login;
mod believer;
mod binary;
mod compress;
mod fetch;
mod hidden;
mod idle;
mod kept;
mod limits;
mod list;
mod mailboxes;
mod model;
mod r#move;
mod notify;
mod qresync;
mod recent;
mod rights;
mod search;
mod sharing;
mod threads;
mod unauthenticate;
mod views;
mod world;
