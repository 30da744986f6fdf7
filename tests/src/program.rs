//! Other programs that tests need. They panic at what a test does not expect.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
    let output = output(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a command to its end, with nothing to read.
pub fn output(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    match command.spawn() {
        Ok(child) => finish(child),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// Waits for the end of a program, and takes what it printed into its pipes. One that hangs is
/// killed, and the test fails.
pub fn finish(child: Child) -> Output {
    finish_within(LONGEST, child)
}

fn finish_within(longest: Duration, child: Child) -> Output {
    let id = child.id();
    let (sender, ended) = mpsc::channel();
    let waiting = thread::spawn(move || sender.send(child.wait_with_output()));
    let hangs = ended.recv_timeout(longest).map_err(|_| {
        let kill = Command::new("kill").args(["-9", &id.to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()), "process {id}");
        ended.recv()
    });
    drop(waiting.join());
    match hangs {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => panic!("process {id}: {error}"),
        Err(output) => panic!("process {id} had not ended after {longest:?}: {output:?}"),
    }
}

/// How long a program may take: far longer than any does.
const LONGEST: Duration = Duration::from_secs(300);

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
    let output = finish(child);
    drop(keyboard);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{screen}",
        output.status
    );
    screen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spawn(program: &str, argument: &str) -> Child {
        let mut command = Command::new(program);
        command.arg(argument).stdout(Stdio::piped());
        command.spawn().unwrap()
    }

    #[test]
    fn a_program_that_ends_is_waited_for() {
        let output = finish_within(LONGEST, spawn("echo", "done"));
        assert_eq!(output.stdout, b"done\n");
    }

    #[test]
    #[should_panic(expected = "had not ended")]
    fn a_program_that_hangs_is_killed() {
        finish_within(Duration::from_millis(1), spawn("sleep", "600"));
    }
}
