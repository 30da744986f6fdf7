//! What is on the disk before the client is told (S2), seen with `strace`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mailstore::{Fsync, MailboxName, Namespace, Options, Source, Store};
use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::program::have;
use pillarbox_tests::serve::Serve;
use pillarbox_tests::strace::{Call, Strace, run};

use crate::{append, message, skip};

/// The calls that matter.
const CALLS: &str = "trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink,\
                     unlinkat,write,copy_file_range,sendfile,writev,sendto,sendmsg,pwrite64,ftruncate";

/// What a server does while `act` runs; `None` if it cannot be watched.
pub(crate) fn watched(server: &Serve, act: impl FnOnce()) -> Option<Vec<Call>> {
    if !have("strace") {
        return None;
    }
    let output = server.dir().join("strace");
    match Strace::attach(server.pid(), &output, &["-e", CALLS]) {
        Ok(strace) => {
            act();
            Some(strace.finish().unwrap())
        }
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

/// Whether a call is one of these, `a|b`, and has this text.
fn is(call: &Call, names: &str, text: &str) -> bool {
    names.split('|').any(|name| call.is(name, text))
}

/// Each step begins after the one before has ended, and the answer after all of them.
pub(crate) fn in_order(calls: &[Call], steps: &[(&str, &str)], answer: &str) {
    let mut at = 0;
    for (names, text) in steps {
        let step = calls
            .iter()
            .find(|call| call.begun >= at && call.succeeded && is(call, names, text));
        let step = step.unwrap_or_else(|| panic!("no {names} {text} after {at}: {calls:#?}"));
        at = step.ended + 1;
    }
    let told = calls
        .iter()
        .find(|call| is(call, "write|writev|sendto|sendmsg", answer));
    let told = told.unwrap_or_else(|| panic!("no {answer}: {calls:#?}"));
    assert!(told.begun >= at, "told too early: {told:?}: {calls:#?}");
}

/// Every file that gets a name in `directory` was forced to the disk under its name before.
fn whole_before_named(calls: &[Call], directory: &str) {
    let mut named = 0;
    for call in calls
        .iter()
        .filter(|call| is(call, "rename|renameat|renameat2", directory))
    {
        let from = call.paths()[0];
        if !from.contains("/tmp/") {
            continue;
        }
        named += 1;
        let forced = calls.iter().any(|forced| {
            is(forced, "fsync|fdatasync", from) && forced.succeeded && forced.ended < call.begun
        });
        assert!(forced, "{from} was not forced: {calls:#?}");
        let written = calls.iter().any(|write| {
            is(write, "write|pwrite64", from)
                && write.descriptor() == Some(from)
                && write.begun > call.ended
        });
        assert!(!written, "{from} was written later: {calls:#?}");
    }
    assert!(named > 0, "nothing came to {directory}: {calls:#?}");
}

/// A server with three messages in INBOX, not forced to the disk, and a mailbox `Target`.
fn prepared() -> (Serve, Client) {
    let server = serve("");
    let messages = ["one", "two", "three"].map(|subject| message(subject).into_bytes());
    deliver_files(&server.maildir("ann"), messages).unwrap();
    let mut client = Client::selected(&server, "ann");
    client.ok("CREATE Target");
    (server, client)
}

#[test]
fn s2_append() {
    let (server, mut client) = prepared();
    let calls = watched(&server, || drop(client.ok(&append("INBOX", "new"))));
    let Some(calls) = calls else { return };
    let steps = [
        ("fsync", "ann/tmp/"),
        ("rename", "ann/cur/"),
        ("pwrite64", "ann/pillarbox.index"),
        ("fdatasync", "ann/pillarbox.index"),
        ("fsync", "ann/cur>"),
    ];
    in_order(&calls, &steps, "OK [APPENDUID");
    whole_before_named(&calls, "ann/cur/");
}

#[test]
fn s2_copy_of_fresh_files() {
    let (server, mut client) = prepared();
    let calls = watched(&server, || drop(client.ok("UID COPY 1:3 Target")));
    let Some(calls) = calls else { return };
    let steps = [
        ("fdatasync", "ann/cur/"),
        ("fdatasync", "ann/cur/"),
        ("fdatasync", "ann/cur/"),
        ("linkat", ".Target/cur>"),
        ("pwrite64", ".Target/pillarbox.index"),
        ("fdatasync", ".Target/pillarbox.index"),
        ("fsync", ".Target/cur>"),
    ];
    in_order(&calls, &steps, "OK [COPYUID");
}

#[test]
fn s2_copy_of_many_fresh_files() {
    let (server, mut client) = prepared();
    let messages = (0..40).map(|number| message(&number.to_string()).into_bytes());
    deliver_files(&server.maildir("ann"), messages).unwrap();
    client.ok("NOOP");
    let calls = watched(&server, || drop(client.ok("COPY 1:* Target")));
    let Some(calls) = calls else { return };
    let steps = [
        ("syncfs", ""),
        ("linkat", ".Target/cur>"),
        ("pwrite64", ".Target/pillarbox.index"),
        ("fdatasync", ".Target/pillarbox.index"),
        ("fsync", ".Target/cur>"),
    ];
    in_order(&calls, &steps, "OK [COPYUID");
}

/// So many that the file system is not asked about each.
#[test]
fn s2_copy_and_move_of_very_many_files() {
    const MANY: usize = 4100;
    let (server, mut client) = prepared();
    let messages = (0..MANY).map(|number| message(&number.to_string()).into_bytes());
    deliver_files(&server.maildir("ann"), messages).unwrap();
    client.ok("NOOP");
    let calls = watched(&server, || drop(client.ok("COPY 1:* Target")));
    let Some(calls) = calls else { return };
    let arriving = [
        ("linkat", ".Target/cur>"),
        ("syncfs", ""),
        ("write|pwrite64", ".Target/pillarbox.index"),
        ("fdatasync", ".Target/pillarbox.index"),
        ("fsync", ".Target/cur>"),
    ];
    in_order(&calls, &arriving, "OK [COPYUID");
    assert_eq!(links_before_sync(&calls), MANY + 3);
    let calls = watched(&server, || drop(client.ok("MOVE 1:* Target"))).unwrap();
    let moving = [&arriving[..], &REMOVAL].concat();
    in_order(&calls, &moving, "* OK [COPYUID");
    assert_eq!(links_before_sync(&calls), MANY + 3);
}

/// How many links there are, all of which must have ended before the file system is forced to the
/// disk.
fn links_before_sync(calls: &[Call]) -> usize {
    let sync = calls.iter().find(|call| is(call, "syncfs", "")).unwrap();
    let links = calls.iter().filter(|call| is(call, "linkat", ""));
    links
        .inspect(|link| assert!(link.ended < sync.begun))
        .count()
}

#[test]
fn s2_move() {
    let (server, mut client) = prepared();
    let calls = watched(&server, || drop(client.ok("UID MOVE 2 Target")));
    let Some(calls) = calls else { return };
    let steps = [
        ("fdatasync", "ann/cur/"),
        ("linkat", ".Target/cur>"),
        ("pwrite64", ".Target/pillarbox.index"),
        ("fdatasync", ".Target/pillarbox.index"),
        ("fsync", ".Target/cur>"),
        ("unlinkat", "ann/cur>"),
        ("fsync", "ann/cur>"),
        ("pwrite64", "ann/pillarbox.index"),
        ("fdatasync", "ann/pillarbox.index"),
    ];
    in_order(&calls, &steps, " OK MOVE");
}

/// The steps of a removal.
const REMOVAL: [(&str, &str); 4] = [
    ("unlinkat", "ann/cur>"),
    ("fsync", "ann/cur>"),
    ("pwrite64", "ann/pillarbox.index"),
    ("fdatasync", "ann/pillarbox.index"),
];

#[test]
fn s2_expunge() {
    let (server, mut client) = prepared();
    client.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)");
    let calls = watched(&server, || drop(client.ok("EXPUNGE")));
    let Some(calls) = calls else { return };
    in_order(&calls, &REMOVAL, " OK EXPUNGE");
}

/// The old message goes when the new one is certain to be there, and one frame tells of both.
#[test]
fn s2_replace() {
    let (server, mut client) = prepared();
    let calls = watched(&server, || drop(client.ok(&replace("INBOX"))));
    let Some(calls) = calls else { return };
    let arriving = [
        ("fsync", "ann/tmp/"),
        ("rename", "ann/cur/"),
        ("fsync", "ann/cur>"),
    ];
    let steps = [&arriving[..], &REMOVAL].concat();
    in_order(&calls, &steps, "* OK [APPENDUID");
    whole_before_named(&calls, "ann/cur/");
    let first = |name, text| {
        calls
            .iter()
            .find(|call| call.succeeded && is(call, name, text))
    };
    let placed = first("rename", "ann/cur/").unwrap().begun;
    let removed = first("unlinkat", "ann/cur>").unwrap().ended;
    let told = calls.iter().any(|call| {
        is(call, "pwrite64", "ann/pillarbox.index") && (placed..removed).contains(&call.begun)
    });
    assert!(!told, "half of it is told: {calls:#?}");
}

#[test]
fn s2_replace_in_another_mailbox() {
    let (server, mut client) = prepared();
    let calls = watched(&server, || drop(client.ok(&replace("Target"))));
    let Some(calls) = calls else { return };
    let arriving = [
        ("fsync", ".Target/tmp/"),
        ("rename", ".Target/cur/"),
        ("pwrite64", ".Target/pillarbox.index"),
        ("fdatasync", ".Target/pillarbox.index"),
        ("fsync", ".Target/cur>"),
    ];
    let steps = [&arriving[..], &REMOVAL].concat();
    in_order(&calls, &steps, "* OK [APPENDUID");
    whole_before_named(&calls, ".Target/cur/");
}

/// A command that replaces the second message by one in `target`.
fn replace(target: &str) -> String {
    let append = append(target, "new");
    append.replace("APPEND", "UID REPLACE 2")
}

#[test]
fn s2_pop3_quit() {
    let (server, mut client) = prepared();
    client.ok("LOGOUT");
    let mut client = Client::pop3(&server, "ann");
    let calls = watched(&server, || {
        assert!(client.ask("DELE 2").starts_with("+OK"));
        let answer = client.ask("QUIT");
        assert!(answer.starts_with("+OK"), "{answer}");
    });
    let Some(calls) = calls else { return };
    // The answer to DELE comes before anything is done.
    let last = calls
        .iter()
        .rfind(|call| is(call, "write|writev|sendto|sendmsg", "\"+OK"));
    let last = last.unwrap().arguments.clone();
    assert!(!last.contains("marked"), "{last}");
    let (_, text) = last.split_once("\"+OK").unwrap();
    in_order(&calls, &REMOVAL, text.split('"').next().unwrap());
}

#[test]
fn s2_compaction_of_the_index() {
    let (server, mut client) = prepared();
    let messages = (0..200).map(|number| message(&number.to_string()).into_bytes());
    deliver_files(&server.maildir("ann"), messages).unwrap();
    client.ok("NOOP");
    let calls = watched(&server, || {
        for round in 0..40 {
            let sign = ["+", "-"][round % 2];
            client.ok(&format!("STORE 1:* {sign}FLAGS.SILENT (\\Flagged)"));
        }
    });
    let Some(calls) = calls else { return };
    let steps = [
        ("write", "ann/pillarbox.index.tmp"),
        ("fdatasync", "ann/pillarbox.index.tmp"),
        ("rename", "ann/pillarbox.index.tmp"),
        ("fsync", "mail/ann>"),
    ];
    in_order(&calls, &steps, "t42 OK");
}

/// Where [`s2_delivery`] delivers when it is the process that is watched.
const DELIVER_TO: &str = "PILLARBOX_TEST_DELIVER_TO";

#[test]
fn s2_delivery() {
    if let Some(root) = std::env::var_os(DELIVER_TO) {
        return deliver(Path::new(&root));
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("mail");
    deliver_files(&root, [message("one").into_bytes()]).unwrap();
    if !have("strace") {
        return;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "order::s2_delivery"])
        .env(DELIVER_TO, &root);
    let calls = match run(&command, &dir.path().join("strace"), &["-e", CALLS]) {
        Ok(calls) => calls,
        Err(error) => return skip(&error.to_string()),
    };
    let steps = [
        ("fsync", "mail/tmp/"),
        ("rename", "mail/new/"),
        ("fsync", "mail/new>"),
    ];
    in_order(&calls, &steps, "delivered");
    whole_before_named(&calls, "mail/new/");
}

fn deliver(root: &Path) {
    use std::io::Write;
    let store = Store::new(options());
    let account = Arc::clone(&store).account(root).unwrap();
    let mailbox = account.open(&MailboxName::inbox()).unwrap();
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(message("two").as_bytes()).unwrap();
    mailbox.deliver(staged).unwrap();
    // Not by a macro: what a test prints is held back.
    std::io::stdout().write_all(b"delivered\n").unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "directory times are the system's, so are the store's"
)]
fn options() -> Options {
    let counter = AtomicU64::new(1);
    Options {
        fsync: Fsync::Optimized,
        namespace: Namespace::default(),
        hostname: "faults".to_owned(),
        lock_timeout: Duration::from_secs(5),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(std::time::SystemTime::now, move || {
            counter.fetch_add(1, Ordering::SeqCst)
        }),
    }
}
