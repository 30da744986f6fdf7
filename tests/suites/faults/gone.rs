//! Mailboxes that are deleted or renamed while others have them selected (RFC 2180 §3.3), and
//! directories that are missing or closed to us (S10).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::serve::{Serve, Setup};

use crate::{append, subjects};

/// A server with a mailbox `Doomed` that has three messages.
fn prepared() -> (Serve, Client) {
    let server = serve("");
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Doomed");
    for number in 1..4 {
        client.ok(&append("Doomed", &format!("m{number}")));
        client.ok(&append("INBOX", &format!("m{number}")));
    }
    (server, client)
}

/// Everything that a session may ask of a mailbox that is gone.
const COMMANDS: [&str; 14] = [
    "NOOP",
    "CHECK",
    "FETCH 1:* (FLAGS)",
    "FETCH 1:* (BODY[])",
    "UID FETCH 1:* (UID)",
    "SEARCH ALL",
    "SEARCH TEXT m1",
    "STORE 1:* +FLAGS (\\Seen)",
    "COPY 1:* INBOX",
    "MOVE 1:* INBOX",
    "EXPUNGE",
    "CLOSE",
    "STATUS Doomed (MESSAGES)",
    "SELECT Doomed",
];

/// A command, or several sent at once, to a session whose mailbox somebody takes away: each is
/// answered in form, or the session ends with BYE; then it can be used, or is closed.
fn ends_cleanly(removal: &str, commands: &[&str]) {
    let (server, mut remover) = prepared();
    let mut client = Client::imap(&server, "ann");
    client.ok("SELECT Doomed");
    remover.ok(removal);
    let mut lines = String::new();
    for (number, command) in commands.iter().enumerate() {
        lines.push_str(&format!("p{number} {command}\r\n"));
    }
    lines.push_str("last NOOP\r\n");
    client.send(lines);
    let answer = client.until("last").concat();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let case = format!("{removal}: {commands:?}: {answer}");
    let tagged = |tag: &str| {
        let line = answer
            .lines()
            .find(|line| line.starts_with(&format!("{tag} ")));
        line.map(str::to_owned)
    };
    let ended = answer.contains("* BYE");
    for number in 0..commands.len() {
        match tagged(&format!("p{number}")) {
            Some(line) => assert!(line.contains(" OK ") || line.contains(" NO "), "{case}"),
            None => assert!(ended, "{case}"),
        }
    }
    if ended {
        assert!(
            answer
                .trim_end()
                .lines()
                .last()
                .unwrap()
                .starts_with("* BYE"),
            "{case}"
        );
        assert_eq!(client.rest(), "", "{case}");
    } else {
        assert!(tagged("last").unwrap().contains(" OK "), "{case}");
    }
    // Nothing has come to the wrong place, and nothing twice.
    let mut client = Client::imap(&server, "ann");
    let status = client.ok("STATUS INBOX (MESSAGES)");
    assert!(status.contains("MESSAGES 3)"), "{case}: {status}");
    if removal.starts_with("RENAME") {
        let left = subjects(&mut client, "Elsewhere");
        assert_eq!(left.len(), 3, "{case}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn a_session_whose_mailbox_is_gone_ends_cleanly() {
    for removal in ["DELETE Doomed", "RENAME Doomed Elsewhere"] {
        for command in COMMANDS {
            ends_cleanly(removal, &[command]);
        }
        ends_cleanly(removal, &COMMANDS);
    }
}

#[test]
fn a_session_that_idles_in_a_mailbox_that_goes_is_told_bye() {
    for removal in ["DELETE Doomed", "RENAME Doomed Elsewhere"] {
        let (server, mut remover) = prepared();
        let mut client = Client::imap(&server, "ann");
        client.ok("SELECT Doomed");
        assert!(client.ask("i IDLE").starts_with("+ "));
        remover.ok(removal);
        let rest = client.rest();
        assert!(
            rest.lines().last().unwrap_or_default().starts_with("* BYE"),
            "{removal}: {rest}"
        );
    }
}

#[test]
fn s10_directories_that_are_missing() {
    let (server, mut client) = prepared();
    let maildir = server.maildir("ann");
    let doomed = maildir.join(".Doomed");
    let before = subjects(&mut client, "Doomed");
    for part in ["cur", "new", "tmp"] {
        let aside = server.dir().join("aside");
        fs::rename(doomed.join(part), &aside).unwrap();
        for command in ["SELECT Doomed", &append("Doomed", "x")] {
            let answer = client.completion(command);
            // Without tmp/ it is made again, and without an empty new/.
            let fine = answer.starts_with("NO [") || (part != "cur" && answer.starts_with("OK "));
            assert!(fine, "{part}: {command}: {answer}");
        }
        client.completion("UNSELECT");
        drop(fs::remove_dir(doomed.join(part)));
        if doomed.join(part).exists() {
            fs::remove_dir_all(doomed.join(part)).unwrap();
        }
        fs::rename(&aside, doomed.join(part)).unwrap();
        let after = subjects(&mut client, "Doomed");
        assert_eq!(after[..3], before, "{part}");
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn s10_a_maildir_that_is_a_file() {
    let server = serve("");
    fs::write(server.maildir("ann"), "not a directory").unwrap();
    let mut client = Client::greeted(&server, "imap");
    let answer = client.completion("LOGIN ann pw");
    if answer.starts_with("OK ") {
        for command in [
            "SELECT INBOX",
            "CREATE x",
            "STATUS INBOX (MESSAGES)",
            &append("INBOX", "x"),
        ] {
            let answer = client.completion(command);
            assert!(answer.starts_with("NO ["), "{command}: {answer}");
        }
    } else {
        assert!(answer.starts_with("NO ["), "{answer}");
    }
    let mut pop3 = Client::greeted(&server, "pop3");
    assert!(pop3.ask("USER ann").starts_with("+OK"));
    let answer = pop3.ask("PASS pw");
    assert!(answer.starts_with("-ERR ["), "{answer}");
    fs::remove_file(server.maildir("ann")).unwrap();
    let mut client = Client::imap(&server, "ann");
    client.ok(&append("INBOX", "x"));
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn s10_a_mailbox_without_permission() {
    // Root may do everything.
    let root = rustix::process::geteuid().is_root();
    let setup = Setup {
        uid: root.then_some(65534),
        ..Setup::default()
    };
    let server = Serve::start(&setup).unwrap();
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Closed");
    for number in 1..4 {
        client.ok(&append("Closed", &format!("m{number}")));
        client.ok(&append("INBOX", &format!("m{number}")));
    }
    let before = subjects(&mut client, "Closed");
    let closed = server.maildir("ann").join(".Closed");
    for (path, mode) in [
        ("", 0o000),
        ("cur", 0o000),
        ("new", 0o000),
        ("pillarbox.index", 0o000),
    ] {
        let path = if path.is_empty() {
            closed.clone()
        } else {
            closed.join(path)
        };
        let usual = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        client.ok("SELECT INBOX");
        for command in ["MOVE 1 Closed", &append("Closed", "x")] {
            let answer = client.completion(command);
            let fine = answer.starts_with("NO [") || path.ends_with("new");
            assert!(fine, "{}: {command}: {answer}", path.display());
        }
        client.ok("FETCH 1:* (FLAGS)");
        fs::set_permissions(&path, usual).unwrap();
        client.ok("UNSELECT");
        let after = subjects(&mut client, "Closed");
        assert_eq!(after[..3], before, "{}", path.display());
    }
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
