//! `pillarbox index …`: taking mail over, handing it back, and looking into the indexes.
//!
//! What only looks changes nothing at all, so it may run as any user that can read the mail, while
//! any server runs. What writes must run as the owner of the mail, because what root makes in it
//! others cannot use.

mod check;
pub(crate) mod context;
mod dump;
mod export;
mod import;
mod progress;
mod rebuild;
pub(crate) mod table;
pub(crate) mod target;

use std::io;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::IndexCommand;

/// Does what the arguments say; the exit code says whether everything is well.
///
/// # Errors
/// In words for the person at the terminal.
pub fn run(command: IndexCommand) -> Result<ExitCode> {
    let done = match command {
        IndexCommand::Import(args) => import::run(&args),
        IndexCommand::Rebuild(args) => rebuild::run(&args),
        IndexCommand::Export(args) => export::run(&args),
        IndexCommand::Check(args) => check::run(&args),
        IndexCommand::Dump(args) => dump::run(&args, &mut io::stdout().lock()),
    };
    match done {
        // Whoever read the output has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::FAILURE),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let source = error.downcast_ref::<io::Error>();
    source.is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}
