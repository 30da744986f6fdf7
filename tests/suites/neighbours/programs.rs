//! Real mail programs that open the tree themselves while Pillarbox serves it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use pillarbox_tests::client::Client;
use pillarbox_tests::program::{have, in_terminal, run};
use pillarbox_tests::random::Random;

use crate::disk::Disk;
use crate::schedule::{World, seed};
use crate::session::Session;

/// Runs `neomutt` on a Maildir as if somebody pressed these keys, and then left.
fn neomutt(home: &Path, maildir: &Path, keys: &[&str]) {
    let rc = home.join("neomuttrc");
    let text = format!(
        "set mbox_type=Maildir\nset folder={home}\nset header_cache=\nset record=\nset tmpdir={home}\n\
         set mark_old=no\nset delete=yes\nset quit=yes\nset confirmappend=no\nset wait_key=no\n\
         set auto_tag=no\nset pipe_split=no\nset pipe_decode=no\nset sleep_time=0\n\
         set maildir_trash=no\nset sort=subject\nset collapse_all=no\n\
         push \"{}<sync-mailbox><exit>\"\n",
        keys.concat(),
        home = home.display(),
    );
    fs::write(&rc, text).unwrap();
    let command = format!("neomutt -n -F {} -f {}", rc.display(), maildir.display());
    in_terminal(&command, home);
}

/// The subjects in what `neomutt` has put into a file.
fn subjects(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("Subject: "));
    lines.map(str::to_owned).collect()
}

#[test]
fn neomutt_sees_the_flags_of_imap_and_imap_those_of_neomutt() {
    if !have("neomutt") || !have("script") {
        return;
    }
    let world = World::new();
    let mut client = Client::selected(&world.server, "ann");
    let home = world.server.dir().join("neomutt");
    fs::create_dir(&home).unwrap();
    client.ok("STORE 1:4 +FLAGS.SILENT (\\Seen)");
    client.ok("STORE 3:6 +FLAGS.SILENT (\\Flagged)");
    client.ok("STORE 5,9 +FLAGS.SILENT (\\Answered)");
    client.ok("STORE 7 +FLAGS.SILENT (\\Deleted)");
    // Patterns of neomutt, and those of IMAP for the same.
    let flags = [
        ("~R", "SEEN"),
        ("~U", "UNSEEN"),
        ("~F", "FLAGGED"),
        ("~Q", "ANSWERED"),
        ("~D", "DELETED"),
    ];
    let mut keys = Vec::new();
    for (pattern, name) in flags {
        keys.push(format!(
            "<untag-pattern>~A<enter><tag-pattern>{pattern}<enter>\
             <tag-prefix><pipe-message>cat>{}<enter>",
            home.join(name).display()
        ));
    }
    // It would remove what is deleted.
    keys.push("<undelete-pattern>~A<enter>".to_owned());
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    neomutt(&home, &world.root, &keys);
    client.ok("STORE 7 +FLAGS.SILENT (\\Deleted)");
    for (_, name) in flags {
        let mut told = BTreeSet::new();
        let found = client.ok(&format!("SEARCH {name}"));
        let found = found
            .lines()
            .find_map(|line| line.strip_prefix("* SEARCH "));
        for number in found.expect(name).split(' ') {
            let fetched = client.ok(&format!(
                "FETCH {number} BODY.PEEK[HEADER.FIELDS (SUBJECT)]"
            ));
            let (_, subject) = fetched.split_once("Subject: ").unwrap();
            told.insert(subject.lines().next().unwrap().to_owned());
        }
        assert!(!told.is_empty());
        assert_eq!(subjects(&home.join(name)), told, "{name}");
    }
    client.ok("STORE 7 -FLAGS.SILENT (\\Deleted)");

    // The other way round: a session waits while somebody reads, answers, flags and deletes.
    let mut session = Session::new(world.address(), &world.known, "INBOX");
    world.settle(&mut session);
    session.idle();
    neomutt(
        &home,
        &world.root,
        &[
            "<limit>~s ^10$<enter><flag-message>",
            "<limit>~s ^11$<enter><set-flag>r",
            "<limit>~s ^12$<enter><display-message><exit>",
            "<limit>~s ^13$<enter><delete-message>",
            "<limit>~A<enter>",
        ],
    );
    let there = world.disk("INBOX").messages();
    let has = |number: u64, letters: &str| there.contains(&(number, letters.to_owned()));
    assert!(has(10, "F") && has(11, "RS") && has(12, "S"), "{there:?}");
    assert_eq!(there.len(), 14, "{there:?}");
    session.is_pushed(&there);
    session.done();
    assert_eq!(session.everything(), Ok(there));
}

#[test]
fn mbsync_works_on_the_tree_that_is_served() {
    if !have("mbsync") {
        return;
    }
    let world = World::new();
    let home = world.server.dir().join("mbsync");
    let other = Disk::new(home.join("INBOX"));
    other.make();
    let rc = home.join("rc");
    // Without AltMap it renames every file to note a number of its own in the name, and then
    // everybody has other messages.
    let text = format!(
        "FSync no\n\nMaildirStore served\nInbox {}\nAltMap yes\n\nMaildirStore other\n\
         Inbox {}/INBOX\nAltMap yes\n\nChannel all\nFar :served:\nNear :other:\n\
         Expunge Both\nSync All\nSyncState {}/state\n",
        world.root.display(),
        home.display(),
        home.display()
    );
    fs::write(&rc, text).unwrap();
    let mut random = Random::new(seed());
    let mut sessions: Vec<Session> = (0..3)
        .map(|_| Session::new(world.address(), &world.known, "INBOX"))
        .collect();
    // It waits for every directory that was changed a moment ago, so these are few.
    for _ in 0..2 {
        std::thread::scope(|scope| {
            for session in &mut sessions[1..] {
                let (world, mut random) = (&world, Random::new(random.next()));
                scope.spawn(move || world.work(session, &mut random));
            }
            for _ in 0..2 {
                let limbo = &home;
                other.deliver(world.number(), None);
                other.deliver(world.number(), Some("FS"));
                other.meddle(&mut random, limbo);
                // It gives up when a file goes away under its hands; the next run finishes.
                drop(Command::new("mbsync").arg("-c").arg(&rc).arg("-a").output());
            }
        });
        for _ in 0..2 {
            run(Command::new("mbsync").arg("-c").arg(&rc).arg("-a"));
        }
        world.settle(&mut sessions[0]);
        for session in &mut sessions[1..] {
            session.select("INBOX");
            world.compare(session);
        }
        let there = world.disk("INBOX").messages();
        assert!(!there.is_empty());
        assert_eq!(there, other.messages(), "both sides of mbsync");
    }
}
