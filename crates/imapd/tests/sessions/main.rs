//! Sessions over a real mail store, without a network and in virtual time: what needs two
//! connections, slices of work, limits or deadlines. Dialogues are in `tests/transcripts`.

mod before_login;
mod world;
