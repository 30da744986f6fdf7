//! A server's system calls, watched with `strace`, and made to fail.
//!
//! Each call is one [`Call`] with its place in the order of beginnings and ends, also when calls
//! of other threads came in between.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// A finished system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments as `strace -y` writes them: descriptors with their paths.
    pub arguments: String,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Its place in the order of all beginnings and ends.
    pub begun: usize,
    /// The same for its end.
    pub ended: usize,
}

impl Call {
    /// Whether it has this name and its arguments hold this text.
    pub fn is(&self, name: &str, text: &str) -> bool {
        self.name == name && self.arguments.contains(text)
    }

    /// The paths in quotes among its arguments.
    pub fn paths(&self) -> Vec<&str> {
        self.arguments.split('"').skip(1).step_by(2).collect()
    }

    /// The path of its first descriptor.
    pub fn descriptor(&self) -> Option<&str> {
        let (_, rest) = self.arguments.split_once('<')?;
        // What was removed since is marked.
        rest.split_once('>').map(|(path, _)| path)
    }
}

/// `strace`, attached to a process.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    output: PathBuf,
}

impl Strace {
    /// Attaches to all threads of a process, with further options: which calls, on which paths,
    /// and what to make of them.
    ///
    /// # Errors
    /// If it cannot be started, or may not attach.
    pub fn attach(process: u32, output: &Path, options: &[&str]) -> Result<Self> {
        let mut child = Command::new("strace")
            .args(["-f", "-y", "-s", "4096", "-o"])
            .arg(output)
            .args(options)
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting strace")?;
        let errors = child.stderr.take().context("no standard error")?;
        let mut errors = BufReader::new(errors);
        let mut said = String::new();
        while !said.contains(" attached") {
            let read = errors.read_line(&mut said)?;
            ensure!(read > 0, "strace does not attach: {said}");
        }
        // It tells of every new thread; nobody listens.
        std::thread::spawn(move || errors.read_to_end(&mut Vec::new()));
        Ok(Self {
            child,
            output: output.to_owned(),
        })
    }

    /// Detaches, and gives all calls in the order of their ends.
    ///
    /// # Errors
    /// If its output cannot be read.
    pub fn finish(mut self) -> Result<Vec<Call>> {
        self.detach()?;
        Ok(calls(&fs::read_to_string(&self.output)?))
    }

    fn detach(&mut self) -> Result<()> {
        let process = i32::try_from(self.child.id())?;
        kill_process(Pid::from_raw(process).context("no process")?, Signal::INT)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It may have ended with the server.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.detach());
        }
    }
}

/// Runs a program under `strace` to its end, which must be a good one, and gives all its calls.
///
/// # Errors
/// If either fails.
pub fn run(command: &Command, output: &Path, options: &[&str]) -> Result<Vec<Call>> {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-s", "4096", "-o"]).arg(output);
    traced.args(options).arg(command.get_program());
    traced.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    let ended = traced.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{}: {said}", ended.status);
    Ok(calls(&fs::read_to_string(output)?))
}

/// Reads what `strace -f -o` has written.
fn calls(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
    for (place, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (place, start.to_owned()));
            continue;
        }
        let resumed = rest
            .strip_prefix("<... ")
            .and_then(|rest| rest.split_once(" resumed>"));
        let (begun, whole) = match resumed {
            None => (place, rest.to_owned()),
            Some((_, end)) => match unfinished.remove(thread) {
                Some((begun, start)) => (begun, start + end),
                // It began before we attached.
                None => continue,
            },
        };
        calls.extend(call(&whole, begun, place));
    }
    // What had not ended when we let go.
    let rest = unfinished.into_values();
    calls.extend(rest.filter_map(|(begun, start)| call(&start, begun, usize::MAX)));
    calls
}

fn call(whole: &str, begun: usize, ended: usize) -> Option<Call> {
    let (name, rest) = whole.split_once('(')?;
    // Without a result, it had not ended.
    let (arguments, result) = rest.rsplit_once(" = ").unwrap_or((rest, "?"));
    Some(Call {
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        succeeded: !result.starts_with('-') && !result.starts_with('?'),
        begun,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use super::calls;

    #[test]
    fn a_call_that_was_interrupted_by_others_is_one_call() {
        let text = "7 fsync(3</m/cur> <unfinished ...>\n\
                    8 rename(\"/m/tmp/a\", \"/m/cur/a\") = -1 EIO (Input/output error) (INJECTED)\n\
                    7 <... fsync resumed>)              = 0\n\
                    7 +++ exited with 0 +++\n";
        let calls = calls(text);
        assert_eq!(calls.len(), 2);
        assert!(calls[0].is("rename", "cur/a") && !calls[0].succeeded);
        assert_eq!(calls[0].paths(), ["/m/tmp/a", "/m/cur/a"]);
        assert!(calls[1].is("fsync", "/m/cur") && calls[1].succeeded);
        assert_eq!(calls[1].descriptor(), Some("/m/cur"));
        assert_eq!((calls[1].begun, calls[1].ended), (0, 2));
    }
}
