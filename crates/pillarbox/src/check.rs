//! `pillarbox check`: every mistake in configuration, certificate, users file, mail root and ports
//! at once, each with its fix.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use auth::users::{LoadError, Users};

use crate::config::{self, Finding, Report, Settings, Severity};
use crate::listen::{bind_socket, no_ipv6};
use crate::tls::{self, Certificates};

/// Checks the configuration at `path` and prints what is found; fails if anything must be mended.
pub fn run(path: &Path) -> ExitCode {
    let (_, report) = examine(path, Ports::Probed);
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
    let (settings, report) = examine(path, Ports::Left);
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

/// Reads the configuration at `path` and checks it and all that it names.
pub fn examine(path: &Path, ports: Ports) -> (Settings, Report) {
    let text = match config::read(path) {
        Ok(text) => text,
        Err(finding) => {
            // The defaults are nobody's wish here; what they lack would only confuse.
            let mut report = Report::default();
            report.push(finding);
            return (Settings::default(), report);
        }
    };
    let (settings, mut report) = config::parse(path, &text);
    if settings.needs_tls() {
        check_certificate(&settings, &mut report);
    }
    check_users(&settings, &mut report);
    check_mail(&settings, &mut report);
    if ports == Ports::Probed {
        check_ports(path, &text, &settings, &mut report);
    }
    (settings, report)
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

/// Certificate and key: readable, usable, belonging together, and the key for few eyes.
fn check_certificate(settings: &Settings, report: &mut Report) {
    let (certificate, key) = (&settings.tls.certificate, &settings.tls.key);
    if let Err(error) = Certificates::load(certificate, key) {
        report.push(certificate_finding(settings, &error));
        // Loading stops at the first file that cannot be read; the other one is looked at here.
        if let tls::Error::Read { path, .. } = &error
            && path == certificate
            && let Err(source) = File::open(key)
        {
            let path = key.clone();
            report.push(certificate_finding(
                settings,
                &tls::Error::Read { path, source },
            ));
        }
    }
    if is_world_readable(key) {
        report.push(Finding::warning(
            key,
            None,
            "other users of this machine can read the private key",
            format!("chmod o-rwx {}", key.display()),
        ));
    }
}

/// What is wrong with a certificate, and its fix.
fn certificate_finding(settings: &Settings, error: &tls::Error) -> Finding {
    let certificate = &settings.tls.certificate;
    match error {
        tls::Error::Read { path, source } => {
            let setting = if path == certificate {
                "certificate"
            } else {
                "key"
            };
            let fix = if source.kind() == io::ErrorKind::NotFound {
                format!("correct `{setting}`, or give every listener tls = \"none\"")
            } else {
                "make it readable for the user that Pillarbox runs as".to_owned()
            };
            Finding::error(path, None, format!("cannot be read: {source}"), fix)
        }
        tls::Error::NoCertificate { path } => Finding::error(
            path,
            None,
            "holds no certificate in PEM",
            "let `certificate` name the file with the certificate and its chain",
        ),
        tls::Error::NoKey { path } => Finding::error(
            path,
            None,
            "holds no unencrypted private key in PEM",
            "let `key` name the file with the private key, without a passphrase",
        ),
        tls::Error::Mismatch { certificate, key } => Finding::error(
            key,
            None,
            format!(
                "does not belong to the certificate in {}",
                certificate.display()
            ),
            "let `certificate` and `key` name files that were made together",
        ),
        tls::Error::Unusable {
            certificate,
            source,
        } => Finding::error(
            certificate,
            None,
            format!("cannot be used: {source}"),
            "use an RSA key of at least 2048 bits, or an ECDSA or Ed25519 key, with its certificate",
        ),
    }
}

/// The users file: readable, well-formed, for few eyes, and not empty.
fn check_users(settings: &Settings, report: &mut Report) {
    let path = &settings.users;
    match Users::load(path, settings.auth.default_domain.as_deref()) {
        Ok(users) => look_at_users(settings, &users, report),
        Err(LoadError::Malformed { mistakes, .. }) => {
            for mistake in mistakes {
                let problem = mistake.problem.to_string();
                let fix = "correct the line, or remove it";
                report.push(Finding::error(path, Some(mistake.line), problem, fix));
            }
        }
        Err(LoadError::Io { source, .. }) => {
            let fix = if source.kind() == io::ErrorKind::NotFound {
                "make it with `pillarbox user add NAME`, or correct `users`"
            } else {
                "make it readable for the user that Pillarbox runs as"
            };
            let problem = format!("cannot be read: {source}");
            report.push(Finding::error(path, None, problem, fix));
        }
    }
    if is_world_readable(path) {
        report.push(Finding::warning(
            path,
            None,
            "other users of this machine can read the password hashes",
            format!("chmod o-rwx {}", path.display()),
        ));
    }
}

/// What should be known about the accounts of a sound users file.
fn look_at_users(settings: &Settings, users: &Users, report: &mut Report) {
    let path = &settings.users;
    if users.names().len() == 0 {
        let fix = "make one with `pillarbox user add NAME`";
        report.push(Finding::warning(path, None, "there are no accounts", fix));
    }
    for note in users.notes() {
        let fix = match note.about {
            auth::users::About::Plain => "pillarbox user passwd NAME",
            auth::users::About::Ignored(_) => "remove the line if the account must not log in",
        };
        let (line, problem) = (Some(note.line), note.about.to_string());
        report.push(Finding::warning(path, line, problem, fix));
    }
    for (line, name) in users.lines() {
        if settings.mail.expand(name).is_some() {
            continue;
        }
        let (problem, fix) = if name.domain().is_none() {
            (
                format!("{name} can never log in: it has no domain, and `mail` wants one"),
                "set `default_domain` in [auth], or write {user} instead of {domain} in `mail`",
            )
        } else {
            (
                format!("{name} can never log in: its directory would have too long a name"),
                "rename the account",
            )
        };
        report.push(Finding::error(path, Some(line), problem, fix));
    }
}

/// The root of all mail: a directory that we may write to.
fn check_mail(settings: &Settings, report: &mut Report) {
    let root = settings.mail.root();
    let shown = root.display();
    let mut error = |problem: String, fix: String| {
        report.push(Finding::error(root, None, problem, fix));
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
            if let Err(source) = tempfile::Builder::new().prefix(".check").tempfile_in(root) {
                error(
                    format!("the root of the mail cannot be written: {}", source.kind()),
                    format!("let {shown} belong to the user that Pillarbox runs as"),
                );
            }
        }
    }
}

/// Every port: free, and allowed for us.
fn check_ports(path: &Path, text: &str, settings: &Settings, report: &mut Report) {
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
            report.push(Finding::warning(path, line, problem, fix));
            continue;
        }
        let problem = format!("cannot listen on {address}: {error}");
        let fix = port_fix(address.port(), &error);
        report.push(Finding::error(path, line, problem, fix));
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
