//! Dovecot with its quota of the kind `maildir`, and Pillarbox, take turns on one tree: both see the
//! same usage, and neither has to count because of the other.

use std::fs;

use pillarbox_tests::client::Client;
use pillarbox_tests::peer::{Kind, Place, have_dovecot};
use pillarbox_tests::serve::{Serve, Setup};

use super::{Usage, told};

const DOVECOT: Kind = Kind::Dovecot {
    prefix: "",
    separator: '/',
    settings: "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\n\
               plugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=100K:messages=50\n}",
};

/// Appends a message of so many octets with their CRLF.
fn append(client: &mut Client, mailbox: &str, octets: usize) {
    let head = "Subject: quota\r\n\r\n";
    let body = "x".repeat(octets - head.len() - 2);
    let command = format!("APPEND {mailbox} {{{octets}+}}\r\n{head}{body}\r\n");
    client.ok(&command);
}

/// What one server does while it has the tree.
fn work(client: &mut Client, octets: usize) {
    append(client, "INBOX", octets);
    append(client, "INBOX", octets + 100);
    append(client, "Archive", octets + 3);
    client.ok("SELECT INBOX");
    client.ok("COPY 1:2 Archive");
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    client.ok("EXPUNGE");
    client.ok("CREATE Gone");
    append(client, "Gone", octets);
    client.ok("DELETE Gone");
}

#[test]
fn dovecot_and_pillarbox_see_the_same_usage() {
    if !have_dovecot() {
        return;
    }
    let place = Place::new();
    let peer = place.serve(DOVECOT);
    let mut client = Client::connect(peer.imap);
    client.line();
    client.ok("CREATE Archive");
    work(&mut client, 1000);
    let first = told(&mut client);
    drop(client);
    drop(peer);

    let server = Serve::start(&Setup {
        tables: "[quota]\nstorage = \"100 KiB\"\nmessages = 50\n".to_owned(),
        ..Setup::default()
    });
    let server = server.unwrap();
    let root = server.maildir("ann");
    let mut before = first;
    for turn in 0..3 {
        // Pillarbox has the tree, beside what Dovecot has written.
        place.move_out(&root);
        let mut client = Client::imap(&server, "ann");
        assert_eq!(told(&mut client), before, "turn {turn}");
        let disk = Usage::on_disk(&root);
        assert_eq!(Usage::of_maildirsize(&root), disk, "turn {turn}");
        work(&mut client, 1300 + turn);
        let disk = Usage::on_disk(&root);
        assert_eq!(Usage::of_maildirsize(&root), disk, "turn {turn}");
        let after = told(&mut client);
        assert_eq!(after, [disk.octets.div_ceil(1024), disk.messages]);
        client.ok("LOGOUT");
        drop(client);
        let kept = fs::read(root.join("maildirsize")).unwrap();

        // Dovecot believes the file, and goes on with it.
        place.move_back(&root);
        let peer = place.serve(DOVECOT);
        let mut client = Client::connect(peer.imap);
        client.line();
        assert_eq!(told(&mut client), after, "turn {turn}");
        assert_eq!(fs::read(place.maildir().join("maildirsize")).unwrap(), kept);
        work(&mut client, 900 + turn);
        before = told(&mut client);
        drop(client);
        drop(peer);
    }
    assert!(!place.log().contains("Error"), "{}", place.log());
}

#[test]
fn what_dovecot_lets_in_is_what_pillarbox_lets_in() {
    if !have_dovecot() {
        return;
    }
    let place = Place::new();
    let peer = place.serve(DOVECOT);
    let mut client = Client::connect(peer.imap);
    client.line();
    // Dovecot keeps it without its three CRs: 1003 octets are left.
    append(&mut client, "INBOX", 100 * 1024 - 1000);
    let full = |octets: usize| format!("APPEND INBOX {{{octets}+}}\r\n{}", "x".repeat(octets));
    let refused = client.completion(full(1004));
    assert!(refused.contains("NO [OVERQUOTA]"), "{refused}");
    drop(client);
    drop(peer);

    // Without limits of its own, Pillarbox takes those in the file.
    let server = Serve::start(&Setup::default()).unwrap();
    place.move_out(&server.maildir("ann"));
    let mut client = Client::imap(&server, "ann");
    let refused = client.completion(full(1004));
    assert!(refused.contains("NO [OVERQUOTA]"), "{refused}");
    client.ok(&full(1003));
    let refused = client.completion(full(1));
    assert!(refused.contains("NO [OVERQUOTA]"), "{refused}");
    assert_eq!(told(&mut client), [100, 2]);
}
