//! Full disks, full inodes, read-only disks (S7, S10), on a small file system in memory.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::serve::Serve;

use crate::{append, skip, subjects};

/// A file system of its own over a directory, gone when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts it; `None` where that is not allowed.
    fn tmpfs(directory: &Path, options: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("mounting a file system takes root");
            return None;
        }
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory);
        let output = command.output().unwrap();
        if !output.status.success() {
            skip(&String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Self(directory.to_owned()))
    }

    fn remount(&self, options: &str) {
        let mut command = Command::new("mount");
        command
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0);
        assert!(command.status().unwrap().success(), "{options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // The server may still be there.
        let mut command = Command::new("umount");
        drop(command.arg("-l").arg(&self.0).status());
    }
}

/// Takes all space that is left.
fn fill_space(root: &Path) {
    let mut ballast = File::create(root.join("ballast")).unwrap();
    for size in [1 << 16, 4096, 1] {
        while ballast.write_all(&vec![0; size]).is_ok() {}
    }
}

/// Takes all inodes that are left.
fn fill_inodes(root: &Path) {
    let directory = root.join("ballast");
    fs::create_dir(&directory).unwrap();
    let free = (0..).take_while(|number| File::create(directory.join(number.to_string())).is_ok());
    assert!(free.count() > 0);
}

fn empty(root: &Path) {
    let ballast = root.join("ballast");
    if ballast.is_dir() {
        fs::remove_dir_all(ballast).unwrap();
    } else {
        fs::remove_file(ballast).unwrap();
    }
}

/// The files in `tmp/` of every mailbox of a user.
fn temporary(maildir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut mailboxes = vec![maildir.to_owned()];
    for entry in fs::read_dir(maildir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with('.') {
            mailboxes.push(entry.path());
        }
    }
    for mailbox in mailboxes {
        if let Ok(entries) = fs::read_dir(mailbox.join("tmp")) {
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// The sizes of the flags of all messages: what a client would see.
fn flags(client: &mut Client) -> String {
    let answer = client.ok("UID FETCH 1:* (FLAGS)");
    let lines = answer.lines().filter(|line| line.starts_with("* "));
    lines
        .map(|line| line.replace(" \\Recent", "").replace("\\Recent", "") + "\n")
        .collect()
}

/// What holds when nothing more can be written, and when it can be again.
fn full(options: &str, fill: fn(&Path)) {
    let server = serve("");
    let root = server.dir().join("mail");
    let Some(_mount) = Mount::tmpfs(&root, options) else {
        return;
    };
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Target");
    client.ok("CREATE Victim");
    for number in 0..8 {
        client.ok(&append("INBOX", &format!("m{number}")));
        client.ok(&append("Victim", &format!("v{number}")));
    }
    client.ok("SELECT INBOX");
    let mut other = Client::selected(&server, "ann");
    fill(&root);
    refused(&mut client);
    assert_eq!(temporary(&server.maildir("ann")), [] as [PathBuf; 0]);
    let mut pop3 = remove(&server, &mut client, &mut other);
    assert!(pop3.ask("QUIT").starts_with("+OK"));
    empty(&root);
    // At once, in the sessions that saw it.
    let answer = client.ok(&append("INBOX", "after"));
    assert!(answer.contains(" 9] "), "a UID was given again: {answer}");
    client.ok("UID COPY 3 Target");
    client.ok("UID STORE 3 +FLAGS (brandnew)");
    client.ok("CREATE Later");
    other.ok("NOOP");
    client.ok("UNSELECT");
    let left = subjects(&mut client, "INBOX");
    let expected = [
        (3, "m2"),
        (4, "m3"),
        (6, "m5"),
        (7, "m6"),
        (8, "m7"),
        (9, "after"),
    ];
    assert_eq!(
        left,
        expected.map(|(uid, subject)| (uid, subject.to_owned()))
    );
    drop((client, other));
    assert_eq!(temporary(&server.maildir("ann")), [] as [PathBuf; 0]);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// What adds is refused, and what is not refused stays.
fn refused(client: &mut Client) {
    // A copy by a second link may still fit in.
    let copied =
        (0..1000).take_while(|_| client.completion("UID COPY 3 Target").starts_with("OK "));
    let copied = copied.count();
    let status = client.ok("STATUS Target (MESSAGES)");
    assert!(
        status.contains(&format!("MESSAGES {copied})")),
        "{copied}: {status}"
    );
    for command in [
        append("INBOX", &"x".repeat(5000)),
        append("Target", "y"),
        "UID COPY 4 Target".to_owned(),
        "UID MOVE 8 Target".to_owned(),
        "CREATE More".to_owned(),
    ] {
        let answer = client.completion(&command);
        let name = command.split('{').next().unwrap_or_default();
        assert!(answer.starts_with("NO [OVERQUOTA]"), "{name}: {answer}");
    }
    let mut refusals = 0;
    for round in 0..300 {
        let before = flags(client);
        let sign = ["+", "-"][round % 2];
        let answer = client.completion(format!(
            "UID STORE 3:8 {sign}FLAGS.SILENT (\\Flagged $Label1)"
        ));
        let after = flags(client);
        if answer.starts_with("OK ") {
            let set = after.matches("\\Flagged").count();
            assert_eq!(set, [6, 0][round % 2], "{round}: {after}");
        } else {
            assert!(answer.starts_with("NO [OVERQUOTA]"), "{answer}");
            assert_eq!(before, after, "a refused STORE has changed something");
            refusals += 1;
        }
        if refusals > 3 {
            break;
        }
    }
}

/// What takes away works; gives a POP3 session that has nothing left to do but QUIT.
fn remove(server: &Serve, client: &mut Client, other: &mut Client) -> Client {
    // A second session still shows what the first one removes.
    client.ok("UID STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    other.ok("NOOP");
    client.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted)");
    client.ok("UID EXPUNGE 2");
    let kept = flags(client);
    assert!(
        !kept.contains("UID 1 ") && !kept.contains("UID 2 "),
        "{kept}"
    );
    let mut pop3 = Client::pop3(server, "ann");
    assert!(pop3.ask("DELE 3").starts_with("+OK"));
    assert!(pop3.ask("QUIT").starts_with("+OK"));
    client.ok("DELETE Victim");
    let mut pop3 = Client::pop3(server, "ann");
    let stat = pop3.ask("STAT");
    assert!(stat.starts_with("+OK 5 "), "{stat}");
    pop3
}

#[test]
fn s7_a_full_disk() {
    full("size=1m", fill_space);
}

#[test]
fn s7_no_inodes_left() {
    full("size=16m,nr_inodes=200", fill_inodes);
}

/// Whether there is a file to lock the maildrop by.
fn lockable(server: &Serve) -> bool {
    server
        .maildir("ann")
        .join("pillarbox.maildrop.lock")
        .exists()
}

/// Whether a second POP3 session is refused.
fn locked_out(server: &Serve) -> bool {
    let mut pop3 = Client::greeted(server, "pop3");
    assert!(pop3.ask("USER ann").starts_with("+OK"));
    pop3.ask("PASS pw").starts_with("-ERR [IN-USE]")
}

#[test]
fn s10_a_read_only_disk() {
    let server = serve("");
    let root = server.dir().join("mail");
    let Some(mount) = Mount::tmpfs(&root, "size=4m") else {
        return;
    };
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Target");
    for number in 0..4 {
        client.ok(&append("INBOX", &format!("m{number}")));
    }
    let before = subjects(&mut client, "INBOX");
    client.ok("SELECT INBOX");
    mount.remount("ro");
    for command in [
        append("INBOX", "x"),
        "UID COPY 1:4 Target".to_owned(),
        "UID MOVE 1 Target".to_owned(),
        "UID STORE 1:4 +FLAGS (\\Flagged)".to_owned(),
        "UID STORE 1:4 +FLAGS (word)".to_owned(),
        "CREATE More".to_owned(),
        "RENAME Target More".to_owned(),
        "DELETE Target".to_owned(),
        "SUBSCRIBE Target".to_owned(),
    ] {
        let answer = client.completion(&command);
        assert!(answer.starts_with("NO ["), "{command}: {answer}");
    }
    let mut reader = Client::imap(&server, "ann");
    assert_eq!(subjects(&mut reader, "INBOX"), before);
    // First without a file to lock, then with one.
    for _ in 0..2 {
        let mut pop3 = Client::pop3(&server, "ann");
        assert!(pop3.ask("STAT").starts_with("+OK 4 "));
        assert_eq!(locked_out(&server), lockable(&server));
        assert!(pop3.ask("DELE 1").starts_with("+OK"));
        let answer = pop3.ask("QUIT");
        assert!(answer.starts_with("-ERR [SYS/PERM]"), "{answer}");
        mount.remount("rw");
        let mut pop3 = Client::pop3(&server, "ann");
        assert!(pop3.ask("STAT").starts_with("+OK 4 "));
        assert!(pop3.ask("QUIT").starts_with("+OK"));
        assert!(lockable(&server));
        mount.remount("ro");
    }
    mount.remount("rw");
    client.ok("UID STORE 1 +FLAGS (\\Deleted word)");
    client.ok("EXPUNGE");
    client.ok(&append("INBOX", "after"));
    client.ok("RENAME Target More");
    client.ok("UNSELECT");
    let mut expected = before[1..].to_vec();
    expected.push((5, "after".to_owned()));
    assert_eq!(subjects(&mut client, "INBOX"), expected);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// RFC 7162 §3.1.2.2: an index that is only in memory keeps no mod-sequences.
#[test]
fn where_no_index_can_be_written_there_are_no_mod_sequences() {
    let server = serve("");
    let root = server.dir().join("mail");
    let Some(mount) = Mount::tmpfs(&root, "size=4m") else {
        return;
    };
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(server.maildir("ann").join(part)).unwrap();
    }
    for number in 1..=2 {
        let name = format!("cur/{number}.host:2,S");
        fs::write(server.maildir("ann").join(name), "a: b\n\n").unwrap();
    }
    mount.remount("ro");
    let mut client = Client::imap(&server, "ann");
    client.ok("ENABLE QRESYNC");
    let answer = client.ok("STATUS INBOX (MESSAGES HIGHESTMODSEQ)");
    assert!(answer.contains("(MESSAGES 2 HIGHESTMODSEQ 0)"), "{answer}");
    let answer = client.ok("SELECT INBOX (QRESYNC (1 1))");
    assert!(answer.contains("* OK [NOMODSEQ] "), "{answer}");
    assert!(!answer.contains("HIGHESTMODSEQ"), "{answer}");
    assert!(!answer.contains("VANISHED"), "{answer}");
    for command in [
        "FETCH 1 (MODSEQ)",
        "FETCH 1 (FLAGS) (CHANGEDSINCE 1)",
        "UID FETCH 1 (FLAGS) (CHANGEDSINCE 1 VANISHED)",
        "SEARCH MODSEQ 1",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)",
    ] {
        let answer = client.completion(command);
        assert!(answer.starts_with("BAD "), "{command}: {answer}");
    }
    let answer = client.ok("FETCH 1 (FLAGS)");
    assert!(answer.starts_with("* 1 FETCH (FLAGS (\\Seen))"), "{answer}");
    // What goes is told by EXPUNGE.
    mount.remount("rw");
    fs::remove_file(server.maildir("ann").join("cur/1.host:2,S")).unwrap();
    mount.remount("ro");
    let answer = client.ok("NOOP");
    assert!(!answer.contains("VANISHED"), "{answer}");
}
