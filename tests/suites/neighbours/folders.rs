//! Files and whole mailboxes that go, come back, and change their names.

use std::fs;

use pillarbox_tests::client::Client;

use crate::disk::Disk;
use crate::schedule::World;
use crate::session::Session;

/// The first UID of a mailbox and its UIDVALIDITY, after selecting it.
fn select(client: &mut Client, name: &str) -> (String, String) {
    let answer = client.ok(&format!("SELECT {name}"));
    let (_, validity) = answer.split_once("[UIDVALIDITY ").unwrap();
    let validity = validity.split(']').next().unwrap().to_owned();
    (client.ok("UID SEARCH ALL"), validity)
}

#[test]
fn s16_a_file_that_comes_back_has_a_new_uid() {
    let world = World::new();
    let disk = world.disk("INBOX");
    let mut session = Session::new(world.address(), &world.known, "INBOX");
    assert_eq!(session.everything(), Ok(disk.messages()));
    let files = disk.files();
    let away: Vec<_> = (0..files.len())
        .map(|at| world.root.join(format!("away-{at}")))
        .collect();
    for (file, away) in files.iter().zip(&away) {
        fs::rename(file, away).unwrap();
    }
    // The session checks that no UID is seen again that was missing here.
    assert_eq!(session.everything(), Ok(Vec::new()));
    for (file, away) in files.iter().zip(&away) {
        fs::rename(away, file).unwrap();
    }
    let there = disk.messages();
    assert_eq!(there.len(), files.len());
    assert_eq!(session.everything(), Ok(there));
}

#[test]
fn s16_mailboxes_of_others_come_and_go() {
    let world = World::new();
    let mut client = Client::imap(&world.server, "ann");
    let mut bystander = Session::new(world.address(), &world.known, "INBOX");
    bystander.idle();
    let directory = |name: &str| world.root.join(format!(".{name}"));
    let made = Disk::new(directory("Made"));
    made.make();
    made.deliver(world.number(), Some("S"));
    made.deliver(world.number(), None);
    let list = |client: &mut Client| client.ok("LIST \"\" *");
    assert!(list(&mut client).contains(" Made\r\n"));
    let before = select(&mut client, "Made");
    assert!(before.0.starts_with("* SEARCH 1 2\r\n"), "{}", before.0);

    // Renamed: whoever has it open is told goodbye, and its UIDs go with it.
    let mut inside = Client::imap(&world.server, "ann");
    select(&mut inside, "Made");
    client.ok("UNSELECT");
    fs::rename(directory("Made"), directory("Renamed")).unwrap();
    inside.send("a NOOP\r\n");
    assert!(inside.rest().starts_with("* BYE"), "its mailbox is gone");
    let names = list(&mut client);
    assert!(
        names.contains(" Renamed\r\n") && !names.contains(" Made\r\n"),
        "{names}"
    );
    let renamed = select(&mut client, "Renamed");
    assert_eq!(before.0.lines().next(), renamed.0.lines().next());
    assert_eq!(before.1, renamed.1, "UIDVALIDITY");
    client.ok("UNSELECT");

    // Removed: the end of it is clean too. One of the same name is another mailbox.
    let mut inside = Client::imap(&world.server, "ann");
    select(&mut inside, "Renamed");
    inside.send("a IDLE\r\n");
    assert!(inside.line().starts_with('+'));
    fs::remove_dir_all(directory("Renamed")).unwrap();
    assert!(inside.rest().starts_with("* BYE"), "its mailbox is gone");
    assert!(client.completion("SELECT Renamed").starts_with("NO"));
    let again = Disk::new(directory("Renamed"));
    again.make();
    again.deliver(world.number(), None);
    let anew = select(&mut client, "Renamed");
    assert_ne!(anew.1, renamed.1, "UIDVALIDITY");

    // Nobody else was troubled.
    bystander.done();
    assert_eq!(bystander.everything(), Ok(world.disk("INBOX").messages()));
}
