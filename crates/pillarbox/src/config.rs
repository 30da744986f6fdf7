//! The configuration: what was written in the file first, checked [`Settings`] second.
//!
//! There is one TOML file, never written by the server, and everything in it has a default. All
//! mistakes are found in one go, each with its line and its fix; so the file is not read into
//! structs by serde, which stops at the first, but walked through as a table that knows where each
//! of its values stands.

mod finding;
mod read;
mod settings;
mod table;
mod value;

use std::fs;
use std::io;
use std::path::Path;

pub use finding::{Finding, Report, Severity};
pub use settings::{
    Auth, Limits, Listener, Log, LogFormat, LogLevel, PlaintextAuth, Pop3, Protocol, Settings,
    Storage, Timeouts, Tls, TlsMode,
};

/// Reads the configuration at `path`. There are settings even if there are mistakes, with the
/// default in the place of what is wrong, so that more can be checked; they are not to be served
/// by if the report [has errors](Report::has_errors).
pub fn load(path: &Path) -> (Settings, Report) {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            let fix = if error.kind() == io::ErrorKind::NotFound {
                "make it from conf/pillarbox.toml, or name another one with --config"
            } else if error.kind() == io::ErrorKind::InvalidData {
                "save it as UTF-8"
            } else {
                "make it readable for the user that Pillarbox runs as"
            };
            let mut report = Report::default();
            report.push(Finding::error(path, None, problem, fix));
            (Settings::default(), report)
        }
    }
}

/// Reads a configuration that says `text` and stands at `path`; relative paths in it are relative
/// to its directory.
pub fn parse(path: &Path, text: &str) -> (Settings, Report) {
    read::settings(path, text)
}

#[cfg(test)]
mod tests;
