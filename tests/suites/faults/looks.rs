//! How often the server reads a mailbox's directories, seen with `strace`: what a client does in it
//! costs no reading, however long ago it was.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::program::have;
use pillarbox_tests::strace::{Call, Strace};

use crate::{append, skip};

/// The time by which a modification time is believed.
const GUARD: Duration = Duration::from_millis(20);

/// When a file or directory was modified.
fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Asks for news until the last change of `cur/` is older than the guard, by the clock of the file
/// system, and a few times more.
fn ask_until_settled(client: &mut Client, maildir: &Path) {
    let clock = maildir.join("tmp/clock");
    let mut more = 3;
    while more > 0 {
        fs::write(&clock, "tick").unwrap();
        let age = modified(&clock).duration_since(modified(&maildir.join("cur")));
        if age.is_ok_and(|age| age > 2 * GUARD) {
            more -= 1;
        }
        client.ok("NOOP");
    }
}

/// The readings of `cur/` while a client changes flags, appends, expunges and asks for news; `None`
/// if they cannot be watched.
fn readings(change_notices: &str) -> Option<Vec<Call>> {
    if !have("strace") {
        skip("strace is not installed");
        return None;
    }
    let server = serve(&format!(
        "[storage]\nmtime_guard = \"{}ms\"\nchange_notices = \"{change_notices}\"\n",
        GUARD.as_millis()
    ));
    let maildir = server.maildir("ann");
    let mut client = Client::selected(&server, "ann");
    for number in 0..200 {
        let name = format!("cur/{number}.there.host:2,");
        fs::write(maildir.join(name), "Subject: there\n\nText\n").unwrap();
    }
    ask_until_settled(&mut client, &maildir);
    let output = server.dir().join("strace");
    let strace = match Strace::attach(server.pid(), &output, &["-e", "trace=getdents64"]) {
        Ok(strace) => strace,
        Err(error) => {
            skip(&error.to_string());
            return None;
        }
    };
    for number in 0..4 {
        client.ok("STORE 1:* +FLAGS (\\Answered)");
        ask_until_settled(&mut client, &maildir);
        client.ok(&append("INBOX", &format!("row {number}")));
        ask_until_settled(&mut client, &maildir);
        client.ok("STORE 1:* -FLAGS (\\Answered)");
        client.ok("STORE 1 +FLAGS (\\Deleted)");
        client.ok("EXPUNGE");
        ask_until_settled(&mut client, &maildir);
    }
    let cur = maildir.join("cur");
    let calls = strace.finish().unwrap().into_iter();
    Some(
        calls
            .filter(|call| call.descriptor() == cur.to_str())
            .collect(),
    )
}

#[test]
fn what_a_client_does_costs_no_reading_of_its_mailbox() {
    if let Some(calls) = readings("auto") {
        assert!(calls.is_empty(), "{calls:#?}");
    }
}

/// Without notices, a look confirms our own changes: so the other test would see one.
#[test]
fn without_notices_a_look_confirms_what_a_client_does() {
    if let Some(calls) = readings("poll") {
        assert!(!calls.is_empty());
    }
}
