//! A disk that does not write (EIO), for a while: nothing is acknowledged that may be lost, also
//! not by a second attempt that finds nothing left to force to the disk (S7, S10).
//!
//! After an fsync that has failed, the system takes what it could not write for written. So the
//! next one succeeds without having done anything.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::program::have;
use pillarbox_tests::serve::Serve;
use pillarbox_tests::strace::Strace;

use crate::order::{in_order, watched};
use crate::{append, message, skip, subjects};

/// Lets these calls of a server fail while `act` runs, on one path if one is given; false if that
/// is not possible.
fn failing(server: &Serve, calls: &str, path: Option<&Path>, act: impl FnOnce()) -> bool {
    if !have("strace") {
        return false;
    }
    let inject = format!("inject={calls}:error=EIO");
    let trace = format!("trace={calls}");
    let mut options = vec!["-e", &trace, "-e", &inject];
    if let Some(path) = path {
        options.extend(["-P", path.to_str().unwrap()]);
    }
    match Strace::attach(server.pid(), &server.dir().join("strace"), &options) {
        Ok(strace) => {
            act();
            let calls = strace.finish().unwrap();
            assert!(
                calls.iter().any(|call| !call.succeeded),
                "nothing has failed"
            );
            true
        }
        Err(error) => {
            skip(&error.to_string());
            false
        }
    }
}

/// A server with four messages in INBOX, which is selected, and a mailbox `Target`.
fn prepared() -> (Serve, Client) {
    let server = serve("");
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Target");
    for number in 1..5 {
        client.ok(&append("INBOX", &format!("m{number}")));
    }
    client.ok("SELECT INBOX");
    (server, client)
}

fn no(client: &mut Client, command: &str) {
    let answer = client.completion(command);
    assert!(answer.starts_with("NO ["), "{command}: {answer}");
}

/// What a mailbox holds by another server, which knows only what is in the files.
fn afterwards(mut server: Serve, mailbox: &str) -> Vec<String> {
    assert!(!server.log().contains("panicked"), "{}", server.log());
    server.kill().unwrap();
    let server = server.restart().unwrap();
    let mut client = Client::imap(&server, "ann");
    let found = subjects(&mut client, mailbox);
    found.into_iter().map(|(_, subject)| subject).collect()
}

#[test]
fn s7_append_with_a_message_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let tried = failing(&server, "fsync", None, || {
        no(&mut client, &append("INBOX", "x"))
    });
    if !tried {
        return;
    }
    assert_eq!(
        server
            .maildir("ann")
            .join("tmp")
            .read_dir()
            .unwrap()
            .count(),
        0
    );
    client.ok(&append("INBOX", "y"));
    assert_eq!(afterwards(server, "INBOX"), ["m1", "m2", "m3", "m4", "y"]);
}

#[test]
fn s7_append_with_a_name_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let cur = server.maildir("ann").join("cur");
    let tried = failing(&server, "fsync", Some(&cur), || {
        no(&mut client, &append("INBOX", "x"));
        // Nobody sees it, now or later.
        let status = client.ok("NOOP");
        assert!(!status.contains("6 EXISTS"), "{status}");
    });
    if !tried {
        return;
    }
    let found = client.ok("UID SEARCH ALL");
    assert!(found.contains("* SEARCH 1 2 3 4\r\n"), "{found}");
    let calls = watched(&server, || drop(client.ok(&append("INBOX", "y")))).unwrap();
    in_order(&calls, &[("fsync", "ann/cur>")], "OK [APPENDUID");
    assert_eq!(afterwards(server, "INBOX"), ["m1", "m2", "m3", "m4", "y"]);
}

#[test]
fn s7_append_with_an_index_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let tried = failing(&server, "fdatasync", None, || {
        no(&mut client, &append("INBOX", "x"));
    });
    if !tried {
        return;
    }
    let calls = watched(&server, || drop(client.ok(&append("INBOX", "y")))).unwrap();
    // What may have been dropped is written again, to another file.
    let steps = [
        ("write", "ann/pillarbox.index.tmp"),
        ("fdatasync", "ann/pillarbox.index.tmp"),
        ("rename", "ann/pillarbox.index.tmp"),
        ("fsync", "mail/ann>"),
        ("fdatasync", "ann/pillarbox.index"),
    ];
    in_order(&calls, &steps, "OK [APPENDUID");
    assert_eq!(afterwards(server, "INBOX"), ["m1", "m2", "m3", "m4", "y"]);
}

#[test]
fn s7_flags_that_cannot_be_forced_later() {
    let (server, mut client) = prepared();
    client.ok("STORE 1 +FLAGS (word)");
    let index = server.maildir("ann").join("pillarbox.index");
    let inode = index.metadata().unwrap().ino();
    let tried = failing(&server, "fdatasync", None, || {
        client.ok("STORE 2 +FLAGS (word)");
        // The last session's end forces what is left, or the next second does.
        assert!(
            server.logs("flags not forced to disk mailbox=INBOX", 1),
            "{}",
            server.log()
        );
    });
    if !tried {
        return;
    }
    client.ok(&append("INBOX", "y"));
    // Written anew, to another file, by now or before.
    assert_ne!(index.metadata().unwrap().ino(), inode);
}

#[test]
fn s7_copy_of_a_file_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let tried = failing(&server, "fdatasync,syncfs", None, || {
        no(&mut client, "UID COPY 1 Target");
        no(&mut client, "UID MOVE 2 Target");
    });
    if !tried {
        return;
    }
    // The bytes are written anew: the old file may never be whole on the disk.
    let calls = watched(&server, || drop(client.ok("UID COPY 1 Target"))).unwrap();
    let steps = [
        ("write|copy_file_range|sendfile", ".Target/tmp/"),
        ("fsync|fdatasync", ".Target/tmp/"),
        ("rename", ".Target/cur/"),
    ];
    in_order(&calls, &steps, "OK [COPYUID");
    let calls = watched(&server, || drop(client.ok("UID MOVE 2 Target"))).unwrap();
    in_order(&calls, &steps, " OK MOVE");
    assert_eq!(afterwards(server, "Target"), ["m1", "m2"]);
}

/// So many that they are forced after they are linked.
#[test]
fn s7_copy_of_very_many_files_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let messages = (0..4100).map(|number| message(&number.to_string()).into_bytes());
    deliver_files(&server.maildir("ann"), messages).unwrap();
    client.ok("NOOP");
    let target = server.maildir("ann").join(".Target/cur");
    let tried = failing(&server, "syncfs", None, || {
        no(&mut client, "COPY 1:* Target");
    });
    if !tried {
        return;
    }
    assert_eq!(target.read_dir().unwrap().count(), 0);
    // The bytes are written anew.
    let calls = watched(&server, || drop(client.ok("COPY 5 Target"))).unwrap();
    let steps = [
        ("write|copy_file_range|sendfile", ".Target/tmp/"),
        ("fsync|fdatasync", ".Target/tmp/"),
        ("rename", ".Target/cur/"),
    ];
    in_order(&calls, &steps, "OK [COPYUID");
    assert_eq!(afterwards(server, "Target").len(), 1);
}

#[test]
fn s7_expunge_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    client.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)");
    let cur = server.maildir("ann").join("cur");
    let tried = failing(&server, "fsync", Some(&cur), || no(&mut client, "EXPUNGE"));
    if !tried {
        return;
    }
    let calls = watched(&server, || drop(client.ok("EXPUNGE"))).unwrap();
    in_order(&calls, &[("fsync", "ann/cur>")], " OK EXPUNGE");
    assert_eq!(afterwards(server, "INBOX"), ["m3", "m4"]);
}

/// The new message goes again when the old one cannot be removed, and nothing is told.
#[test]
fn s7_replace_of_a_file_that_cannot_be_removed() {
    for target in ["INBOX", "Target"] {
        let (server, mut client) = prepared();
        let cur = server.maildir("ann").join("cur");
        let command = append(target, "x").replace("APPEND", "UID REPLACE 2");
        let tried = failing(&server, "unlinkat", Some(&cur), || {
            let answers = client.command(&command).concat();
            let answers = String::from_utf8(answers).unwrap();
            assert!(answers.contains(" NO ["), "{answers}");
            let told = answers.contains("EXPUNGE") || answers.contains("APPENDUID");
            assert!(!told, "{answers}");
        });
        if !tried {
            return;
        }
        let mut other = Client::imap(&server, "ann");
        assert!(subjects(&mut other, "Target").is_empty());
        assert_eq!(afterwards(server, "INBOX"), ["m1", "m2", "m3", "m4"]);
    }
}

/// What is not known to be on the disk is not acknowledged, and the message is not lost.
#[test]
fn s7_replace_with_an_index_that_cannot_be_forced() {
    let (server, mut client) = prepared();
    let index = server.maildir("ann").join("pillarbox.index");
    let command = append("INBOX", "x").replace("APPEND", "UID REPLACE 2");
    let tried = failing(&server, "fdatasync", Some(&index), || {
        no(&mut client, &command);
    });
    if !tried {
        return;
    }
    assert_eq!(afterwards(server, "INBOX"), ["m1", "m3", "m4", "x"]);
}

#[test]
fn s7_files_that_cannot_be_renamed_or_removed() {
    let (server, mut client) = prepared();
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    let before = client.ok("FETCH 1:* (FLAGS)");
    let calls = "rename,renameat,renameat2,link,linkat,unlink,unlinkat";
    let tried = failing(&server, calls, None, || {
        no(&mut client, &append("INBOX", "x"));
        no(&mut client, "STORE 2 +FLAGS (\\Flagged)");
        no(&mut client, "COPY 2 Target");
        no(&mut client, "MOVE 2 Target");
        no(&mut client, "EXPUNGE");
        no(&mut client, "CREATE More");
        no(&mut client, "RENAME Target More");
        no(&mut client, "DELETE Target");
        let mut pop3 = Client::pop3(&server, "ann");
        assert!(pop3.ask("DELE 4").starts_with("+OK"));
        let answer = pop3.ask("QUIT");
        assert!(answer.starts_with("-ERR"), "{answer}");
    });
    if !tried {
        return;
    }
    let lines = |text: String| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("* "));
        lines.map(str::to_owned).collect()
    };
    let after = client.ok("FETCH 1:* (FLAGS)");
    assert_eq!(lines(after), lines(before));
    client.ok("EXPUNGE");
    client.ok("STORE 1 +FLAGS (\\Flagged)");
    client.ok("RENAME Target More");
    client.ok("UNSELECT");
    let left = ["m2", "m3", "m4"];
    assert_eq!(afterwards(server, "INBOX"), left);
}

#[test]
fn s7_an_index_that_cannot_be_written() {
    let (server, mut client) = prepared();
    client.ok("STORE 4 +FLAGS.SILENT (\\Deleted)");
    let tried = failing(&server, "pwrite64", None, || {
        no(&mut client, &append("INBOX", "x"));
        no(&mut client, "STORE 2 +FLAGS (\\Flagged)");
        no(&mut client, "STORE 2 +FLAGS (other)");
        no(&mut client, "COPY 2 Target");
        no(&mut client, "MOVE 2 Target");
        no(&mut client, "EXPUNGE");
    });
    if !tried {
        return;
    }
    let answer = client.ok("NOOP");
    let flags = client.ok("FETCH 1:3 (FLAGS)");
    assert!(
        !flags.contains("\\Flagged") && !flags.contains("other"),
        "{answer}{flags}"
    );
    client.ok("STORE 2 +FLAGS (other)");
    client.ok(&append("INBOX", "y"));
    client.ok("EXPUNGE");
    assert_eq!(afterwards(server, "INBOX"), ["m1", "m2", "m3", "y"]);
}
