//! The configuration: what was written in the file first, checked [`Settings`] second.
//!
//! There is one TOML file, never written by the server, and everything in it has a default. Serde
//! reads each of its tables into a struct. It would stop at the first mistake; so it reads a table
//! again without what was wrong in it, until all mistakes are found, each with its line and its fix.

mod finding;
mod parts;
pub(crate) mod quota;
mod raw;
mod reader;
mod settings;
mod table;
mod unit;
mod value;

use std::fs;
use std::io;
use std::path::Path;

pub(crate) use table::Lines;

pub use imapd::extension::Capabilities;

pub use finding::{Finding, Report, Severity};
pub use settings::{
    Accounts, Auth, Backend, ChangeNotices, DatabaseTls, Imap, Limits, Listener, Log, LogFormat,
    LogLevel, Mailboxes, OAuth, Place, PlaintextAuth, Pop3, Protocol, Quota, Settings, Sharing,
    Storage, Timeouts, Tls, TlsMode,
};

/// Reads the configuration at `path`. There are settings even if there are mistakes, with the
/// default in the place of what is wrong, so that more can be checked; they are not to be served
/// by if the report [has errors](Report::has_errors).
pub fn load(path: &Path) -> (Settings, Report) {
    match read(path) {
        Ok(text) => parse(path, &text),
        Err(finding) => {
            let mut report = Report::default();
            report.push(*finding);
            (Settings::default(), report)
        }
    }
}

/// The text of the configuration at `path`.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, Box<Finding>> {
    fs::read_to_string(path).map_err(|error| {
        let fix = if error.kind() == io::ErrorKind::NotFound {
            "make it from conf/pillarbox.toml, or name another one with --config"
        } else if error.kind() == io::ErrorKind::InvalidData {
            "save it as UTF-8"
        } else {
            "make it readable for the user that Pillarbox runs as"
        };
        let problem = format!("cannot be read: {error}");
        Box::new(Finding::error(path, None, problem, fix))
    })
}

/// Reads a configuration that says `text` and stands at `path`; relative paths in it are relative
/// to its directory.
pub fn parse(path: &Path, text: &str) -> (Settings, Report) {
    let (settings, report, _) = parse_with_lines(path, text);
    (settings, report)
}

/// As [`parse`], with the lines that the settings at the top stand on.
pub(crate) fn parse_with_lines(path: &Path, text: &str) -> (Settings, Report, Lines) {
    reader::settings(path, text)
}

#[cfg(test)]
mod tests;
