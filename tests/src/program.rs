//! Other programs that tests need. They panic at what a test does not expect.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Whether a program can be used; says so if not.
///
/// # Panics
/// If it cannot, and `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn have(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()));
    found || missing(program)
}

/// The Python that has the clients of `tests/clients/requirements.txt`; says so if there is none.
///
/// # Panics
/// If there is none, and `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn have_python() -> Option<PathBuf> {
    let python = installed().join("python/bin/python3");
    let found = python.is_file() || missing("IMAPClient, by tests/clients/install,");
    found.then_some(python)
}

/// Node's directory with the clients of `tests/clients/package.json`; says so if there is none.
///
/// # Panics
/// If there is none, and `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn have_node_modules() -> Option<PathBuf> {
    let modules = installed().join("node");
    let found = have("node")
        && (modules.join("node_modules").is_dir()
            || missing("ImapFlow, by tests/clients/install,"));
    found.then_some(modules)
}

/// Where `tests/clients/install` puts what it installs.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients")
}

/// Says that a program is not installed. Always false.
///
/// # Panics
/// If `PILLARBOX_REQUIRE_CLIENTS` is set.
pub fn missing(program: &str) -> bool {
    assert!(
        std::env::var_os("PILLARBOX_REQUIRE_CLIENTS").is_none(),
        "{program} is not installed, and PILLARBOX_REQUIRE_CLIENTS is set"
    );
    // Not by a macro: the output of a test that passes would be swallowed.
    let notice = format!("SKIPPED: {program} is not installed\n");
    drop(io::stderr().write_all(notice.as_bytes()));
    false
}

/// Runs a command to its end and shows what it printed if it failed.
pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command line in a terminal of its own, with nothing typed, and gives what it showed.
///
/// A program whose keys lead nowhere would wait for others: it has a minute.
pub fn in_terminal(line: &str, home: &Path) -> String {
    let mut command = Command::new("script");
    // In the foreground: a program that `timeout` puts into the background of a terminal is
    // stopped as soon as it touches it, and then no signal but KILL ends it.
    let bounded = format!("exec timeout --foreground --kill-after=5 60 {line}");
    command
        .args(["-q", "-e", "-c", &bounded, "/dev/null"])
        // The shell decides who leads the terminal: the same one everywhere.
        .env("SHELL", "/bin/sh")
        .env("HOME", home)
        .env("TERM", "xterm")
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // The end of its input would be a key too.
    let keyboard = child.stdin.take();
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(keyboard);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{screen}",
        output.status
    );
    screen
}
