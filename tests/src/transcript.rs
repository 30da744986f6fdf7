//! Transcripts: dialogues between clients and the server, kept as text files.
//!
//! The format is described in `docs/testing.md`. A [`Script`] is read from a file and played over
//! a [`Transport`]: on the bare machine in virtual time, over TCP, or over TLS.

mod client;
mod pattern;
mod player;
mod script;
mod tokens;
mod world;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use script::Script;

/// How a transcript is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// On the machine itself, without a network, in virtual time.
    Bare,
    /// Against the server, in the clear.
    Tcp,
    /// Against the server, over TLS from the first byte.
    Tls,
}

/// Plays every transcript under `directory` that is meant for `transport`, and gives how many were
/// played and what went wrong. With `TRANSCRIPT` set, only files with that in their path.
///
/// # Errors
/// If the files cannot be found or read. A transcript that fails is no error here.
pub fn play_all(directory: &Path, transport: Transport) -> Result<(usize, Vec<String>)> {
    let mut played = 0;
    let mut failures = Vec::new();
    for file in wanted(directory)? {
        match play(&file, transport) {
            Ok(Played::Yes) => played += 1,
            Ok(Played::NotMeant) => {}
            Err(error) => {
                played += 1;
                failures.push(format!("{error:#}"));
            }
        }
    }
    Ok((played, failures))
}

/// The transcripts under `directory`, in order; with `TRANSCRIPT` set, only those with that in
/// their path.
///
/// # Errors
/// If the files cannot be found.
pub fn wanted(directory: &Path) -> Result<Vec<PathBuf>> {
    let word = std::env::var("TRANSCRIPT").unwrap_or_default();
    let mut files = Vec::new();
    collect(directory, &mut files)?;
    files.retain(|file| file.to_string_lossy().contains(&word));
    files.sort();
    Ok(files)
}

/// Whether a transcript was played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// It was, and everything was as it says.
    Yes,
    /// It is not meant for this transport.
    NotMeant,
}

/// Plays one transcript.
///
/// # Errors
/// With file, line, what was expected and what came.
pub fn play(file: &Path, transport: Transport) -> Result<Played> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let shown = file
        .strip_prefix(env!("CARGO_MANIFEST_DIR"))
        .unwrap_or(file);
    let script = Script::parse(&text, &messages())
        .with_context(|| format!("{} cannot be read", shown.display()))?;
    if !script.runs_on(transport) {
        return Ok(Played::NotMeant);
    }
    player::play(&script, transport)
        .with_context(|| format!("{} ({transport:?})", shown.display()))?;
    Ok(Played::Yes)
}

/// Where the transcripts of a protocol are; those of all for `""`.
pub fn directory(protocol: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("transcripts")
        .join(protocol)
}

/// Where the messages are that transcripts name.
fn messages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("messages")
}

/// Finds all transcripts under a directory.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
    Ok(())
}
