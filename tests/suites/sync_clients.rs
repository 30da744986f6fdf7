//! Clients that keep a mailbox in step over years: they go away with what they know, somebody else
//! changes the mailbox, they come back, learn just that, and are then told as it happens.
//!
//! The clients are real, as is the server, and all of it goes over TLS. What is not installed skips
//! its test loudly, or fails it if `PILLARBOX_REQUIRE_CLIENTS` is set, as it is in `.ci/run`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[path = "sync_clients/curl.rs"]
mod curl;
#[path = "sync_clients/folders.rs"]
mod folders;
#[path = "sync_clients/mbsync.rs"]
mod mbsync;
#[path = "sync_clients/mutt.rs"]
mod mutt;
#[path = "sync_clients/script.rs"]
mod script;
#[path = "sync_clients/second.rs"]
mod second;
#[path = "sync_clients/wire.rs"]
mod wire;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have_node_modules, have_python, run};

use crate::script::{Script, node_script, python_script};
use crate::second::{Changes, Second};
use crate::wire::Wire;

/// How many messages there are at first. A client that fetches them all again is found out.
const MESSAGES: u32 = 200;

/// What a client does in a mode: it comes back twice after changes, waits in IDLE during others, and
/// at last makes changes itself.
/// `check` sees what was said when it came back.
fn keeps_in_step(
    server: &Binary,
    mut first: Script,
    mut second: Second,
    mut check: impl FnMut(&Wire, &Changes, &mut Script),
) {
    assert_eq!(first.open(), *second.view());
    first.wire();
    for _ in 0..2 {
        first.ask("leave");
        let changes = second.change();
        first.wire();
        assert_eq!(first.resume(server), changes);
        assert_eq!(first.view(), *second.view());
        let wire = first.wire();
        check(&wire, &changes, &mut first);

        first.ask("idle");
        let pushed = second.change();
        first.settle(second.view());
        let wire = first.wire();
        wire.has(&["C: ", " IDLE"]);
        wire.has(&["S: * ", " EXISTS"]);
        // Flags of what it knew were pushed, and at most those of what arrived were asked for.
        let fetched = wire.count(&["S: * ", " FETCH "]);
        assert!(
            fetched <= 2 * (pushed.flagged.len() + pushed.arrived.len()) + 2,
            "{wire:#?}"
        );
    }
    // Nothing has changed: nothing is told.
    first.ask("leave");
    first.wire();
    let nothing = Changes::default();
    assert_eq!(first.resume(server), nothing);
    check(&first.wire(), &nothing, &mut first);
    // The other way round: the second client sees what the first one does.
    let task = second.task();
    let [flagged, moved, expunged] = task;
    first.ask(&format!("act;{flagged};{moved};{expunged}"));
    second.sees_done(task);
    first.ask("leave");
    first.resume(server);
    assert_eq!(first.view(), *second.view());
    first.end();
}

fn server() -> (Binary, Second) {
    let server = Binary::dev().unwrap();
    let second = Second::new(&server, MESSAGES);
    (server, second)
}

/// That the client looked at all messages again, which nothing can keep it from.
fn looked_again(wire: &Wire, _: &Changes, _: &mut Script) {
    wire.has(&["C: ", "UID FETCH"]);
    wire.lacks(&["CHANGEDSINCE"]);
    wire.lacks(&["QRESYNC ("]);
}

/// That it was told of what changed and nothing else, by mod-sequence.
fn told_by_mod_sequence(wire: &Wire, changes: &Changes, _: &mut Script) {
    wire.has(&["C: ", "UID FETCH", "(CHANGEDSINCE "]);
    told_of_changes_only(wire, changes);
}

/// That it was told of what changed, and of what is gone, and nothing else.
fn resynchronised(wire: &Wire, changes: &Changes, _: &mut Script) {
    wire.has(&["C: ", "ENABLE", "QRESYNC"]);
    told_of_changes_only(wire, changes);
    let vanished = wire.count(&["S: * VANISHED (EARLIER) "]);
    assert_eq!(vanished, usize::from(!changes.gone.is_empty()), "{wire:#?}");
    wire.lacks(&["C: ", " SEARCH "]);
}

fn told_of_changes_only(wire: &Wire, changes: &Changes) {
    let told = wire.count(&["S: * ", " FETCH (", "MODSEQ ("]);
    let changed = changes.flagged.len() + changes.arrived.len();
    assert_eq!(told, changed, "{wire:#?}");
    assert_eq!(wire.count(&["S: * ", " FETCH ("]), changed, "{wire:#?}");
}

/// That ImapFlow and the server also compress.
fn compressed(wire: &Wire, first: &mut Script) {
    wire.has(&["C: ", "COMPRESS DEFLATE"]);
    assert_eq!(first.ask("compressed"), ["true"]);
}

fn imapclient(mode: &str, check: impl FnMut(&Wire, &Changes, &mut Script)) {
    python("imapclient_sync.py", mode, check);
}

fn aioimaplib(mode: &str, check: impl FnMut(&Wire, &Changes, &mut Script)) {
    python("aioimaplib_sync.py", mode, check);
}

fn python(script: &str, mode: &str, check: impl FnMut(&Wire, &Changes, &mut Script)) {
    let Some(python) = have_python() else { return };
    let (server, second) = server();
    let first = Script::python(&python, script, &server, mode);
    keeps_in_step(&server, first, second, check);
}

fn imapflow(mode: &str, mut check: impl FnMut(&Wire, &Changes, &mut Script)) {
    let Some(modules) = have_node_modules() else {
        return;
    };
    let (server, second) = server();
    let first = Script::imapflow(&modules, &server, mode);
    keeps_in_step(&server, first, second, |wire, changes, first| {
        check(wire, changes, first);
        compressed(wire, first);
    });
}

#[test]
fn imapclient_looks_again() {
    imapclient("plain", looked_again);
}

#[test]
fn imapclient_with_condstore() {
    imapclient("condstore", told_by_mod_sequence);
}

#[test]
fn imapclient_with_qresync() {
    imapclient("qresync", |wire, changes, first| {
        // It asks by FETCH, as it has no parameters for SELECT.
        wire.has(&["C: ", "UID FETCH", "VANISHED)"]);
        resynchronised(wire, changes, first);
    });
}

#[test]
fn aioimaplib_looks_again() {
    aioimaplib("plain", looked_again);
}

#[test]
fn aioimaplib_with_qresync() {
    aioimaplib("qresync", |wire, changes, first| {
        wire.has(&["C: ", "SELECT INBOX (QRESYNC ("]);
        wire.lacks(&["C: ", " FETCH "]);
        resynchronised(wire, changes, first);
    });
}

#[test]
fn imapflow_looks_again() {
    imapflow("plain", looked_again);
}

#[test]
fn imapflow_with_condstore() {
    imapflow("condstore", told_by_mod_sequence);
}

#[test]
fn imapflow_with_qresync() {
    imapflow("qresync", |wire, changes, first| {
        wire.has(&["C: ", "SELECT INBOX (QRESYNC ("]);
        wire.lacks(&["C: ", " FETCH "]);
        resynchronised(wire, changes, first);
    });
}

/// With CONDSTORE, MULTIAPPEND, MOVE and the rest of what it knows.
#[test]
fn imapclient_passes_its_own_tests() {
    let Some(python) = have_python() else { return };
    let server = Binary::dev().unwrap();
    let script = "imapclient_own_tests.py";
    run(&mut python_script(&python, script, &server, "own-tests"));
}

/// Messages, threads and mailboxes by their identifiers.
#[test]
fn imapflow_knows_objects_again() {
    let Some(modules) = have_node_modules() else {
        return;
    };
    let server = Binary::dev().unwrap();
    let script = "imapflow_objects.mjs";
    run(&mut node_script(&modules, script, &server, "objects"));
}

/// A phone, a laptop and two programs on one account: all wait, and all see each change.
#[test]
fn everybody_waits_at_once() {
    let (Some(python), Some(modules)) = (have_python(), have_node_modules()) else {
        return;
    };
    let (server, mut second) = server();
    let mut clients = [
        Script::imapflow(&modules, &server, "qresync"),
        Script::imapflow(&modules, &server, "plain"),
        Script::python(&python, "imapclient_sync.py", &server, "condstore"),
        Script::python(&python, "aioimaplib_sync.py", &server, "qresync"),
    ];
    for client in &mut clients {
        assert_eq!(client.open(), *second.view());
    }
    for _ in 0..3 {
        for client in &mut clients {
            client.ask("idle");
        }
        second.change();
        for client in &mut clients {
            client.settle(second.view());
        }
    }
    for client in clients {
        client.end();
    }
}

/// What a server knows of changes and of what is gone outlives it.
#[test]
fn qresync_after_the_server_was_killed() {
    let (Some(python), Some(modules)) = (have_python(), have_node_modules()) else {
        return;
    };
    let (mut server, mut second) = server();
    let clients = [
        Script::imapflow(&modules, &server, "qresync"),
        Script::python(&python, "imapclient_sync.py", &server, "qresync"),
        Script::python(&python, "aioimaplib_sync.py", &server, "qresync"),
    ];
    let clients = clients.map(|mut client| {
        assert_eq!(client.open(), *second.view());
        client.ask("leave");
        client.wire();
        client
    });
    let changes = second.change();
    server.restart().unwrap();
    for mut client in clients {
        assert_eq!(client.resume(&server), changes);
        resynchronised(&client.wire(), &changes, &mut client);
        client.end();
    }
}
