//! `pillarbox check`: every mistake in configuration, certificate, users file, mail root and ports
//! at once, each with its fix.

mod certificate;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use auth::users::{LoadError, Users};

use crate::config::{self, Finding, Lines, Report, Settings, Severity};
use crate::listen::{bind_socket, no_ipv6};
use crate::source::Source;

/// Checks the configuration at `path` and prints what is found; fails if anything must be mended.
pub fn run(path: &Path) -> ExitCode {
    let (_, report) = examine(path, Ports::Probed, Source::system().wall());
    match print(path, &report, &mut io::stdout().lock()) {
        Ok(()) if !report.has_errors() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::FAILURE,
    }
}

/// The settings to serve by, and the warnings about them; the ports are bound for real later.
///
/// # Errors
/// Everything that is found, if anything must be mended.
pub fn settings_to_serve_by(path: &Path) -> Result<(Settings, Report), Report> {
    let (settings, report) = examine(path, Ports::Left, Source::system().wall());
    if report.has_errors() {
        Err(report)
    } else {
        Ok((settings, report))
    }
}

/// What happens to the ports in a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Each is bound for a moment.
    Probed,
    /// Nothing.
    Left,
}

/// Reads the configuration at `path` and checks it and all that it names, as of `now`.
pub fn examine(path: &Path, ports: Ports, now: SystemTime) -> (Settings, Report) {
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
        settings: &settings,
        lines,
        report,
    };
    if settings.needs_tls() {
        certificate::check(&mut check, now);
    }
    if !check.is_wrong("users") {
        check_users(&mut check);
    }
    if !check.is_wrong("mail") {
        check_mail(&mut check);
    }
    if ports == Ports::Probed {
        check_ports(&mut check, &text);
    }
    let report = check.report;
    (settings, report)
}

/// A check while it goes on.
struct Check<'a> {
    path: &'a Path,
    settings: &'a Settings,
    lines: Lines,
    report: Report,
}

impl Check<'_> {
    /// Notes something about what the setting `key` names.
    fn push(&mut self, key: &str, finding: Finding) {
        self.report.push(match self.lines.of(key) {
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

/// The users file: readable, well-formed, for few eyes, and not empty.
fn check_users(check: &mut Check<'_>) {
    let settings = check.settings;
    let path = &settings.users;
    match Users::load(path, settings.auth.default_domain.as_deref()) {
        Ok(users) => look_at_users(check, &users),
        Err(LoadError::Malformed { mistakes, .. }) => {
            for mistake in mistakes {
                let problem = mistake.problem.to_string();
                let fix = "correct the line, or remove it";
                let line = Some(mistake.line);
                check.report.push(Finding::error(path, line, problem, fix));
            }
        }
        Err(LoadError::Io { source, .. }) => {
            let fix = if source.kind() == io::ErrorKind::NotFound {
                "make it with `pillarbox user add NAME`, or correct `users`"
            } else {
                "make it readable for the user that Pillarbox runs as"
            };
            let problem = format!("cannot be read: {source}");
            check.push("users", Finding::error(path, None, problem, fix));
        }
    }
    if is_world_readable(path) {
        let problem = "other users of this machine can read the password hashes";
        let fix = format!("chmod o-rwx {}", path.display());
        check.push("users", Finding::warning(path, None, problem, fix));
    }
    if settings.auth.upgrade_hashes {
        check_upgrades(check, path);
    }
}

/// Whether logins can replace the users file, as the editor of `auth` does it.
fn check_upgrades(check: &mut Check<'_>, path: &Path) {
    let Ok((found, file)) = fs::metadata(path).and_then(|found| Ok((found, path.canonicalize()?)))
    else {
        return;
    };
    let directory = file.parent().unwrap_or(Path::new("/"));
    let us = rustix::process::geteuid();
    let problem = if !us.is_root() && us.as_raw() != found.uid() {
        "belongs to another user, so that `upgrade_hashes` has no effect".to_owned()
    } else if let Err(error) = probe(directory) {
        let (shown, kind) = (directory.display(), error.kind());
        format!("cannot be replaced, so that `upgrade_hashes` has no effect: {shown}: {kind}")
    } else {
        return;
    };
    let fix = "let file and directory belong to the user that Pillarbox runs as, or remove `upgrade_hashes`";
    check.push("users", Finding::warning(path, None, problem, fix));
}

/// Writes a file into a directory and removes it.
fn probe(directory: &Path) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".check").tempfile_in(directory)?.close()
}

/// What should be known about the accounts of a sound users file.
fn look_at_users(check: &mut Check<'_>, users: &Users) {
    let settings = check.settings;
    let path = &settings.users;
    if users.names().len() == 0 {
        let fix = "make one with `pillarbox user add NAME`";
        let finding = Finding::warning(path, None, "there are no accounts", fix);
        check.push("users", finding);
    }
    for note in users.notes() {
        let fix = match note.about {
            auth::users::About::Plain => "pillarbox user passwd NAME",
            auth::users::About::Ignored(_) => "remove the line if the account must not log in",
        };
        let (line, problem) = (Some(note.line), note.about.to_string());
        check
            .report
            .push(Finding::warning(path, line, problem, fix));
    }
    for (line, name) in users.lines() {
        if settings.mail.expand(name).is_some() {
            continue;
        }
        let (problem, fix) = if name.domain().is_none() {
            (
                format!("{name} can never log in: it has no domain, and `mail` wants one"),
                "write the domain behind the name, set `default_domain` in [auth], or write {user} instead of {domain} in `mail`",
            )
        } else {
            (
                format!("{name} can never log in: its directory would have too long a name"),
                "rename the account",
            )
        };
        let finding = Finding::error(path, Some(line), problem, fix);
        check.report.push(finding);
    }
}

/// The root of all mail: a directory that we may write to.
fn check_mail(check: &mut Check<'_>) {
    let root = check.settings.mail.root();
    let shown = root.display();
    let mut error = |problem: String, fix: String| {
        check.push("mail", Finding::error(root, None, problem, fix));
    };
    match fs::metadata(root) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => error(
            "the root of the mail does not exist".to_owned(),
            format!("mkdir -p {shown}, and let it belong to the user that Pillarbox runs as"),
        ),
        Err(source) => error(
            format!("the root of the mail cannot be reached: {source}"),
            "let the user that Pillarbox runs as enter it".to_owned(),
        ),
        Ok(found) if !found.is_dir() => error(
            "the root of the mail is not a directory".to_owned(),
            "correct `mail`".to_owned(),
        ),
        Ok(_) => {
            if let Err(source) = probe(root) {
                error(
                    format!("the root of the mail cannot be written: {}", source.kind()),
                    format!("let {shown} belong to the user that Pillarbox runs as"),
                );
            }
        }
    }
}

/// Every port: free, and allowed for us.
fn check_ports(check: &mut Check<'_>, text: &str) {
    let (path, settings) = (check.path, check.settings);
    // Held until the end: two listeners may want the same port in different words.
    let mut sockets = Vec::new();
    for listener in &settings.listeners {
        let address = listener.address;
        let error = match bind_socket(address) {
            Ok(socket) => {
                sockets.push(socket);
                continue;
            }
            Err(error) => error,
        };
        let line = line_with(text, &address.to_string());
        if settings.listeners.len() > 1 && no_ipv6(address, &error) {
            let problem = format!("cannot listen on {address}: this system has no IPv6");
            let fix = "nothing, if that is meant to be so";
            let finding = Finding::warning(path, line, problem, fix);
            check.report.push(finding);
            continue;
        }
        let problem = format!("cannot listen on {address}: {error}");
        let fix = port_fix(address.port(), &error);
        let finding = Finding::error(path, line, problem, fix);
        check.report.push(finding);
    }
}

/// The first line in force that holds `word` in quotes; none if it is a default or is written in
/// another way.
fn line_with(text: &str, word: &str) -> Option<usize> {
    let word = format!("\"{word}\"");
    (1..)
        .zip(text.lines())
        .find(|(_, line)| !line.trim_start().starts_with('#') && line.contains(&word))
        .map(|(number, _)| number)
}

/// What to do about a port that cannot be bound.
fn port_fix(port: u16, error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!(
            "stop what listens there (`ss -ltnp 'sport = :{port}'` shows it), unless it is this server"
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        "run as root or with CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or take a port from 1024 up".to_owned()
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "correct the address: it is none of this machine".to_owned()
    } else {
        "correct the address".to_owned()
    }
}

/// Whether users that are neither owner nor group may read or write a file.
fn is_world_readable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o006 != 0)
}

#[cfg(test)]
mod tests;
