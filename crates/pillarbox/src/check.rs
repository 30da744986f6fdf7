//! `pillarbox check`: every mistake in configuration, certificate, users file, mail root, what checks
//! tokens, state and ports at once, each with its fix.

mod accounts;
mod certificate;
mod layout;
mod mail;
mod oauth;
mod ports;
mod state;
mod users;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use auth::users::Users;

use crate::config::{self, Backend, Finding, Lines, Report, Settings, Severity};
use crate::source::Source;

/// Checks the configuration at `path` and prints what is found; fails if anything must be mended.
pub fn run(path: &Path) -> ExitCode {
    let (_, report) = examine(path, Purpose::Check, Source::system().wall());
    match print(path, &report, &mut io::stdout().lock()) {
        Ok(()) if !report.has_errors() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

/// The settings to serve by, and everything that is found; they are not to be served by if the
/// report [has errors](Report::has_errors).
pub fn settings_to_serve_by(path: &Path) -> (Settings, Report) {
    examine(path, Purpose::Serve, Source::system().wall())
}

/// What a check is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To tell everything. Each port is bound for a moment.
    Check,
    /// To serve. The ports are bound for real later, and what would keep only some accounts from
    /// their mail is a warning, so that the others are served.
    Serve,
}

/// Reads the configuration at `path` and checks it and all that it names, as of `now`.
pub fn examine(path: &Path, purpose: Purpose, now: SystemTime) -> (Settings, Report) {
    let text = match config::read(path) {
        Ok(text) => text,
        Err(finding) => {
            // The defaults are nobody's wish here; what they lack would only confuse.
            let mut report = Report::default();
            report.push(*finding);
            return (Settings::default(), report);
        }
    };
    let (settings, report, lines) = config::parse_with_lines(path, &text);
    let mut check = Check {
        path,
        purpose,
        settings: &settings,
        lines,
        report,
    };
    if settings.needs_tls() {
        certificate::check(&mut check, now);
    }
    let in_file = settings.accounts.backend == Backend::File;
    let users = if check.is_wrong("users") || !in_file {
        Users::default()
    } else {
        users::check(&mut check)
    };
    if !in_file && !check.report.has_errors() {
        accounts::check(&mut check);
    }
    users::check_named(&mut check, &users);
    if !check.is_wrong("mail") {
        mail::check(&mut check, &users);
        layout::check(&mut check, &users);
    }
    oauth::check(&mut check);
    if purpose == Purpose::Check {
        state::check(&mut check);
        ports::check(&mut check, &text);
    }
    let report = check.report;
    (settings, report)
}

/// A check while it goes on.
struct Check<'a> {
    path: &'a Path,
    purpose: Purpose,
    settings: &'a Settings,
    lines: Lines,
    report: Report,
}

impl Check<'_> {
    /// Notes something about what the setting `key` names.
    fn push(&mut self, key: &str, finding: Finding) {
        self.report.push(match self.lines.of(key) {
            Some(line) if finding.file == self.path => Finding {
                line: Some(line),
                ..finding
            },
            Some(line) => finding.set_at(self.path, line),
            None => finding,
        });
    }

    /// Whether the setting `key` is itself wrong. Its default stands in then, which nobody asked
    /// for, and what that lacks would only confuse.
    fn is_wrong(&self, key: &str) -> bool {
        self.lines.of(key).is_some_and(|line| {
            self.report.findings().iter().any(|finding| {
                finding.severity == Severity::Error
                    && finding.line == Some(line)
                    && finding.file == self.path
            })
        })
    }
}

/// Prints a report, and what it comes to.
fn print(path: &Path, report: &Report, out: &mut impl Write) -> io::Result<()> {
    for finding in report.findings() {
        writeln!(out, "{finding}")?;
    }
    let count = |severity, one, many| match report.count(severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {many}")),
    };
    let errors = count(Severity::Error, "error", "errors");
    let warnings = count(Severity::Warning, "warning", "warnings");
    let sum = match (errors, warnings) {
        (Some(errors), Some(warnings)) => format!("{errors}, {warnings}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "everything is fine".to_owned(),
    };
    writeln!(out, "{}: {sum}", path.display())
}

/// Writes a file into a directory and removes it.
fn probe(directory: &Path) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".check").tempfile_in(directory)?.close()
}

/// Whether users that are neither owner nor group may read or write a file.
fn is_world_readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o006 != 0)
}

#[cfg(test)]
mod tests;
