//! Files of ours that were damaged, or replaced by something else, while nothing ran (S9).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::serve::Serve;

use crate::{append, message, subjects};

/// Our files in the root, which is INBOX, and in another mailbox.
const FILES: [&str; 14] = [
    "pillarbox.index",
    "pillarbox.cache",
    "pillarbox.lock",
    "pillarbox.account",
    "pillarbox.account.lock",
    "pillarbox.tree.lock",
    "pillarbox.maildrop.lock",
    "pillarbox.renaming",
    "pillarbox.moving",
    "dovecot-keywords",
    "subscriptions",
    ".Folder/pillarbox.index",
    ".Folder/pillarbox.cache",
    ".Folder/pillarbox.moving",
];

/// What happens to a file.
type Damage = (&'static str, fn(&Path));

const DAMAGES: [Damage; 9] = [
    ("emptied", |path| fs::write(path, b"").unwrap()),
    ("halved", |path| {
        let bytes = fs::read(path).unwrap_or_default();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("one octet changed", |path| {
        let mut bytes = fs::read(path).unwrap_or_default();
        let middle = bytes.len() / 2;
        if let Some(octet) = bytes.get_mut(middle) {
            *octet ^= 0x10;
        }
        fs::write(path, bytes).unwrap();
    }),
    ("garbage", |path| {
        let garbage = (0..5000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]);
        fs::write(path, garbage.collect::<Vec<u8>>()).unwrap();
    }),
    ("garbage after the end", |path| {
        let mut bytes = fs::read(path).unwrap_or_default();
        bytes.extend([0xA5; 777]);
        fs::write(path, bytes).unwrap();
    }),
    ("zeros", |path| {
        let length = fs::metadata(path).map_or(100, |metadata| metadata.len());
        fs::write(path, vec![0; usize::try_from(length).unwrap()]).unwrap();
    }),
    ("a directory", |path| {
        drop(fs::remove_file(path));
        fs::create_dir(path).unwrap();
    }),
    ("a link to nowhere", |path| {
        drop(fs::remove_file(path));
        symlink("/nowhere/at/all", path).unwrap();
    }),
    ("removed", |path| drop(fs::remove_file(path))),
];

/// A server with everything that our files tell of.
fn prepared() -> Serve {
    let server = serve("");
    let maildir = server.maildir("ann");
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Folder");
    client.ok("SUBSCRIBE Folder");
    for mailbox in ["INBOX", "Folder"] {
        for number in 1..4 {
            client.ok(&append(mailbox, &format!("{mailbox}{number}")));
        }
        client.ok(&format!("SELECT {mailbox}"));
        client.ok("STORE 1:2 +FLAGS (\\Seen word)");
        client.ok("UID STORE 2 +FLAGS (\\Deleted)");
        client.ok("EXPUNGE");
        client.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)");
        client.ok("UNSELECT");
    }
    deliver_files(&maildir, [message("delivered").into_bytes()]).unwrap();
    let mut pop3 = Client::pop3(&server, "ann");
    assert!(pop3.ask("STAT").starts_with("+OK 3 "));
    assert!(pop3.ask("QUIT").starts_with("+OK"));
    let journal = "pillarbox renaming 1\n.Gone\t.Here\n";
    fs::write(maildir.join("pillarbox.renaming"), journal).unwrap();
    // Not a whole one: what a power cut may leave.
    let note = b"pillarbox moving 1\0.Folder\x001.gone\x002.gone\0";
    fs::write(maildir.join("pillarbox.moving"), note).unwrap();
    fs::write(maildir.join(".Folder/pillarbox.moving"), note).unwrap();
    server
}

/// UIDVALIDITY and messages of a mailbox.
fn content(client: &mut Client, mailbox: &str) -> (String, Vec<(u32, String)>) {
    let answer = client.ok(&format!("EXAMINE {mailbox}"));
    let (_, rest) = answer.split_once("[UIDVALIDITY ").unwrap();
    let uid_validity = rest.split(']').next().unwrap().to_owned();
    (uid_validity, subjects(client, mailbox))
}

/// Everything is still served once, and everything works, whatever happened to `file`.
fn survives(file: &str, damage: Damage) {
    let (how, apply) = damage;
    if file.ends_with(".lock") && how == "a link to nowhere" {
        // Refused: a link could lead the lock out of the account (S36).
        return;
    }
    let case = format!("{file}: {how}");
    let mut server = prepared();
    let mailboxes = ["INBOX", "Folder"];
    let mut client = Client::imap(&server, "ann");
    let before = mailboxes.map(|mailbox| content(&mut client, mailbox));
    server.kill().unwrap();
    apply(&server.maildir("ann").join(file));
    let server = server.restart().unwrap();
    let mut client = Client::imap(&server, "ann");
    let list = client.ok("LIST \"\" *");
    assert!(
        list.contains("Folder") && !list.contains("Here"),
        "{case}: {list}"
    );
    for (mailbox, (old_validity, old)) in mailboxes.into_iter().zip(before) {
        let (new_validity, new) = content(&mut client, mailbox);
        let names = |list: &[(u32, String)]| -> BTreeSet<String> {
            list.iter().map(|(_, subject)| subject.clone()).collect()
        };
        assert_eq!(new.len(), old.len(), "{case}: {mailbox}");
        assert_eq!(names(&new), names(&old), "{case}: {mailbox}");
        if new_validity == old_validity {
            assert_eq!(new, old, "{case}: {mailbox}");
        }
        client.ok(&append(mailbox, "later"));
        client.ok(&format!("SELECT {mailbox}"));
        let flags = client.ok("UID FETCH 1:* (FLAGS ENVELOPE)");
        assert_eq!(flags.matches("\\Seen").count(), 1, "{case}: {flags}");
        client.ok("STORE 1:* +FLAGS (\\Answered another)");
        client.ok("UNSELECT");
        let after = subjects(&mut client, mailbox);
        assert_eq!(after.len(), old.len() + 1, "{case}: {mailbox}");
    }
    for command in ["CREATE More", "RENAME More Other", "DELETE Other"] {
        client.ok(command);
    }
    let subscribed = client.completion("SUBSCRIBE Folder");
    // What is no file is refused, but not in silence.
    let refused = file == "subscriptions" && (how.starts_with("a "));
    assert!(
        subscribed.starts_with("OK ") || refused,
        "{case}: {subscribed}"
    );
    let mut pop3 = Client::pop3(&server, "ann");
    assert!(pop3.ask("STAT").starts_with("+OK 4 "), "{case}");
    assert!(pop3.ask("DELE 1").starts_with("+OK"), "{case}");
    assert!(pop3.ask("QUIT").starts_with("+OK"), "{case}");
    assert!(
        !server.log().contains("panicked"),
        "{case}: {}",
        server.log()
    );
}

#[test]
fn s9_emptied_halved_or_changed() {
    for file in FILES {
        for damage in &DAMAGES[..3] {
            survives(file, *damage);
        }
    }
}

#[test]
fn s9_garbage_or_zeros() {
    for file in FILES {
        for damage in &DAMAGES[3..6] {
            survives(file, *damage);
        }
    }
}

#[test]
fn s9_replaced_or_removed() {
    for file in FILES {
        for damage in &DAMAGES[6..] {
            survives(file, *damage);
        }
    }
}

#[test]
fn s36_a_link_in_place_of_a_lock_is_refused_by_name() {
    let mut server = prepared();
    server.kill().unwrap();
    let lock = server.maildir("ann").join("pillarbox.lock");
    let outside = server.dir().join("outside");
    fs::remove_file(&lock).unwrap();
    symlink(&outside, &lock).unwrap();
    let server = server.restart().unwrap();
    let mut client = Client::imap(&server, "ann");
    let answer = client.completion(append("INBOX", "x"));
    assert!(answer.starts_with("NO "), "{answer}");
    // The answer may be read before the log.
    assert!(server.logs("not a regular file", 1), "{}", server.log());
    let name = lock.display().to_string();
    let log = server.log();
    let mut refused = log
        .lines()
        .filter(|line| line.contains("not a regular file"));
    assert!(refused.any(|line| line.contains(&name)), "{log}");
    assert!(lock.is_symlink() && !outside.exists());
    // Nothing else suffers.
    client.ok(&append("Folder", "x"));
    fs::remove_file(&lock).unwrap();
    client.ok(&append("INBOX", "x"));
}
