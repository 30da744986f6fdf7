//! A client library, driven by a script: it is told what to do, line by line, and says what it sees.
//!
//! Each request is a line. The answer is lines, and a line with a dot.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use pillarbox_tests::binary::Binary;

use crate::second::{Changes, PASSWORD, USER, View};
use crate::wire::Wire;

/// A running script.
pub(crate) struct Script {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Starts one of the scripts beside this file that keep a mailbox in step.
    pub(crate) fn python(python: &Path, script: &str, server: &Binary, mode: &str) -> Self {
        Self::start(&mut python_script(python, script, server, mode))
    }

    /// Starts the one for ImapFlow, which is installed in this directory.
    pub(crate) fn imapflow(modules: &Path, server: &Binary, mode: &str) -> Self {
        Self::start(&mut node_script(modules, "imapflow_sync.mjs", server, mode))
    }

    fn start(script: &mut Command) -> Self {
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        Self {
            requests: child.stdin.take(),
            answers: BufReader::new(output).lines(),
            child,
        }
    }

    /// Asks for something and reads the answer.
    pub(crate) fn ask(&mut self, request: &str) -> Vec<String> {
        let requests = self.requests.as_mut().unwrap();
        writeln!(requests, "{request}").unwrap();
        let mut answer = Vec::new();
        loop {
            let line = self.answers.next();
            let line = line.unwrap_or_else(|| panic!("the script ended at {request}"));
            match line.unwrap() {
                line if line == "." => return answer,
                line => answer.push(line),
            }
        }
    }

    /// Connects for the first time, learns everything, and gives what it sees.
    pub(crate) fn open(&mut self) -> View {
        self.ask("open").iter().map(|line| message(line)).collect()
    }

    /// Connects again, brings its state up to date, and tells what it learned on the way.
    pub(crate) fn resume(&mut self, server: &Binary) -> Changes {
        learned(&self.ask(&format!("resume;{}", server.imaps.port())))
    }

    /// What it sees, from what it has been told.
    pub(crate) fn view(&mut self) -> View {
        self.ask("view").iter().map(|line| message(line)).collect()
    }

    /// Waits in IDLE until it sees just this, and tells what it was pushed on the way. If it does not
    /// come to see this, it gives up after a while.
    pub(crate) fn settle(&mut self, expected: &View) {
        let mut request = "settle".to_owned();
        for (uid, flags) in expected {
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            request.push_str(&format!(";{uid} {}", flags.join(" ")));
        }
        self.ask(&request);
        assert_eq!(self.view(), *expected);
    }

    /// The lines that went over the wire since this was last asked, beginning with `C: ` or `S: `.
    pub(crate) fn wire(&mut self) -> Wire {
        Wire(self.ask("wire"))
    }

    /// Lets it log out and end.
    pub(crate) fn end(mut self) {
        self.ask("leave");
        self.requests = None;
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It has ended by itself, unless the test failed.
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}

/// A script for what is installed in this directory of modules.
pub(crate) fn node_script(modules: &Path, script: &str, server: &Binary, mode: &str) -> Command {
    let mut node = patient();
    node.arg("node").env("PILLARBOX_NODE", modules);
    with_arguments(&mut node, script, server, mode);
    node
}

/// `7 \Seen $Work`
fn message(line: &str) -> (u32, BTreeSet<String>) {
    let mut words = line.split_ascii_whitespace();
    let uid = words.next().unwrap().parse().unwrap();
    (uid, words.map(str::to_owned).collect())
}

/// `gone 5`, `flagged 7 \Seen $Work`, `arrived 9 \Seen`
fn learned(lines: &[String]) -> Changes {
    let mut changes = Changes::default();
    for line in lines {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (uid, flags) = message(rest);
        let first = match kind {
            "gone" => changes.gone.insert(uid),
            "flagged" => changes.flagged.insert(uid, flags).is_none(),
            "arrived" => changes.arrived.insert(uid, flags).is_none(),
            _ => panic!("{line}"),
        };
        assert!(first, "{line} twice");
    }
    changes
}

/// One of the scripts beside this file.
pub(crate) fn python_script(python: &Path, script: &str, server: &Binary, mode: &str) -> Command {
    let mut command = patient();
    // Its cache of compiled modules would lie among the sources.
    command.arg(python).arg("-B");
    with_arguments(&mut command, script, server, mode);
    command
}

fn with_arguments<'a>(
    interpreter: &'a mut Command,
    script: &str,
    server: &Binary,
    mode: &str,
) -> &'a mut Command {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    interpreter
        .arg(dir.join("suites/sync_clients").join(script))
        .args(["localhost", &server.imaps.port().to_string()])
        .arg(server.ca())
        .args([USER, PASSWORD, mode])
}

/// Ends what hangs.
fn patient() -> Command {
    let mut command = Command::new("timeout");
    command.arg("120");
    command
}
