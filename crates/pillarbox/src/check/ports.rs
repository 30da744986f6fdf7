//! The ports: free, and allowed for us.

use std::io;

use super::Check;
use crate::config::Finding;
use crate::listen::{bind_socket, no_ipv6};

/// Binds every port for a moment; tells what several addresses of one port have in common at once.
pub(super) fn check(check: &mut Check<'_>, text: &str) {
    let (path, settings) = (check.path, check.settings);
    // Held until the end: two listeners may want the same port in different words.
    let mut sockets = Vec::new();
    let mut failures: Vec<Failure> = Vec::new();
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
        match failures.iter_mut().find(|failure| {
            failure.line == line
                && failure.port == address.port()
                && failure.error.kind() == error.kind()
        }) {
            Some(failure) => failure.addresses = format!("{} and {address}", failure.addresses),
            None => failures.push(Failure {
                port: address.port(),
                line,
                addresses: address.to_string(),
                error,
            }),
        }
    }
    for failure in failures {
        let (addresses, error) = (failure.addresses, failure.error);
        let problem = format!("cannot listen on {addresses}: {error}");
        let fix = port_fix(failure.port, &error);
        let finding = Finding::error(path, failure.line, problem, fix);
        check.report.push(finding);
    }
}

/// Addresses with the same port, from the same line, that cannot be bound for the same reason.
struct Failure {
    port: u16,
    line: Option<usize>,
    addresses: String,
    error: io::Error,
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
