//! Changes by other programs while clients wait, told by the kernel.
//!
//! The servers here poll once a minute: what a client hears sooner, it hears because the kernel has
//! told. The clients' own patience is the only limit of time.

use std::fs;
use std::path::Path;

use pillarbox_tests::serve::{Serve, Setup};

use pillarbox_tests::client::Client;

fn server(change_notices: &str) -> Serve {
    let tables =
        format!("[storage]\npoll_interval = \"1m\"\nchange_notices = \"{change_notices}\"\n");
    Serve::start(&Setup {
        tables,
        ..Setup::default()
    })
    .unwrap()
}

/// Delivers as other programs do.
fn deliver(maildir: &Path, name: &str) {
    let staged = maildir.join("tmp").join(name);
    fs::write(&staged, "Subject: news\n\nText\n").unwrap();
    fs::rename(staged, maildir.join("new").join(name)).unwrap();
}

fn idling(server: &Serve, user: &str) -> Client {
    let mut client = Client::selected(server, user);
    assert!(client.ask("a IDLE").starts_with("+ "));
    client
}

fn line_with(client: &mut Client, wanted: &str) -> String {
    loop {
        let line = client.line();
        assert!(!line.is_empty(), "closed before {wanted}");
        if line.contains(wanted) {
            return line;
        }
    }
}

#[test]
fn a_delivery_is_pushed_without_polling() {
    let server = server("auto");
    let maildir = server.maildir("ann");
    let mut first = idling(&server, "ann");
    let mut second = idling(&server, "ann");
    for number in 1..=3 {
        deliver(&maildir, &format!("{number}.delivered.host"));
        let exists = format!("* {number} EXISTS");
        line_with(&mut first, &exists);
        line_with(&mut second, &exists);
    }
}

#[test]
fn flags_and_removals_by_others_are_pushed_without_polling() {
    let server = server("auto");
    let maildir = server.maildir("ann");
    drop(Client::selected(&server, "ann"));
    let cur = maildir.join("cur");
    fs::write(cur.join("1.one.host:2,"), "Subject: 1\n\n").unwrap();
    fs::write(cur.join("2.two.host:2,"), "Subject: 2\n\n").unwrap();
    let mut client = idling(&server, "ann");
    fs::rename(cur.join("1.one.host:2,"), cur.join("1.one.host:2,FS")).unwrap();
    let fetch = line_with(&mut client, "* 1 FETCH");
    assert!(
        fetch.contains("\\Flagged") && fetch.contains("\\Seen"),
        "{fetch}"
    );
    fs::remove_file(cur.join("1.one.host:2,FS")).unwrap();
    line_with(&mut client, "* 1 EXPUNGE");
}

/// Two processes on one tree: what one does, clients of the other hear.
#[test]
fn what_another_server_does_is_pushed_without_polling() {
    let server = server("auto");
    let mut waiting = idling(&server, "ann");
    let other = server.beside().unwrap();
    let mut acting = Client::selected(&other, "ann");
    acting.ok("APPEND INBOX {14+}\r\nSubject: new\r\n");
    line_with(&mut waiting, "* 1 EXISTS");
    acting.ok("STORE 1 +FLAGS (k1 k2 k3)");
    let fetch = line_with(&mut waiting, "* 1 FETCH");
    assert!(fetch.contains("k3"), "{fetch}");
    acting.ok("STORE 1 +FLAGS (\\Deleted)");
    acting.ok("EXPUNGE");
    line_with(&mut waiting, "* 1 EXPUNGE");
}

#[test]
fn a_mailbox_removed_by_others_ends_the_wait() {
    let server = server("auto");
    let mut client = Client::imap(&server, "ann");
    client.ok("CREATE Gone");
    client.ok("SELECT Gone");
    assert!(client.ask("a IDLE").starts_with("+ "));
    fs::remove_dir_all(server.maildir("ann").join(".Gone")).unwrap();
    line_with(&mut client, "* BYE");
}

/// While one mailbox is flooded, others are not left out, and in the end nothing is missing.
#[test]
fn a_flood_of_deliveries_reaches_everybody() {
    let server = server("auto");
    let (ann, bob) = (server.maildir("ann"), server.maildir("bob"));
    let mut flooded = idling(&server, "ann");
    let mut other = idling(&server, "bob");
    for number in 0..3000 {
        deliver(&ann, &format!("{number}.flood.host"));
        if number == 1500 {
            deliver(&bob, "1.single.host");
            line_with(&mut other, "* 1 EXISTS");
        }
    }
    line_with(&mut flooded, "* 3000 EXISTS");
}

/// One connection watches the whole account: without a command, and without polling.
#[test]
fn what_others_do_in_an_account_is_pushed_without_polling() {
    let server = server("auto");
    let maildir = server.maildir("ann");
    let mut waiting = Client::selected(&server, "ann");
    waiting.ok("CREATE Work");
    waiting.ok(
        "NOTIFY SET (SELECTED (MessageNew (UID) MessageExpunge FlagChange)) \
        (PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))",
    );
    // A delivery by another program, and the work of another process.
    deliver(&maildir.join(".Work"), "1.delivered.host");
    let status = line_with(&mut waiting, "* STATUS Work");
    assert!(status.contains("UIDNEXT 2 MESSAGES 1"), "{status}");
    let other = server.beside().unwrap();
    let mut acting = Client::imap(&other, "ann");
    acting.ok("CREATE New");
    line_with(&mut waiting, "* LIST (\\HasNoChildren) \"/\" New");
    acting.ok("RENAME Work Done");
    let renamed = line_with(&mut waiting, "* LIST");
    assert!(renamed.contains("Done (\"OLDNAME\" (Work))"), "{renamed}");
    deliver(&maildir.join(".Done"), "2.delivered.host");
    let status = line_with(&mut waiting, "* STATUS Done");
    assert!(status.contains("UIDNEXT 3 MESSAGES 2"), "{status}");
    acting.ok("APPEND New (\\Seen) {14+}\r\nSubject: new\r\n");
    let status = line_with(&mut waiting, "* STATUS New");
    assert!(status.contains("UIDNEXT 2 MESSAGES 1"), "{status}");
    acting.ok("SELECT New");
    acting.ok("STORE 1 -FLAGS (\\Seen)");
    let status = line_with(&mut waiting, "* STATUS New");
    assert!(status.contains("UNSEEN 1"), "{status}");
    acting.ok("UNSELECT");
    acting.ok("SUBSCRIBE New");
    line_with(
        &mut waiting,
        "* LIST (\\Subscribed \\HasNoChildren) \"/\" New",
    );
    acting.ok("DELETE New");
    line_with(&mut waiting, "* LIST (\\NonExistent \\Subscribed");
    // Another program, in the account and in the selected mailbox.
    fs::rename(maildir.join(".Done"), maildir.join(".Again")).unwrap();
    line_with(&mut waiting, "Again (\"OLDNAME\" (Done))");
    fs::remove_dir_all(maildir.join(".Again")).unwrap();
    line_with(
        &mut waiting,
        "* LIST (\\NonExistent \\HasNoChildren) \"/\" Again",
    );
    deliver(&maildir, "3.delivered.host");
    line_with(&mut waiting, "* 1 EXISTS");
    line_with(&mut waiting, "* 1 FETCH (UID 1)");
}

#[test]
fn with_polling_only_the_server_asks_the_kernel_for_nothing() {
    for (change_notices, wanted) in [("auto", true), ("poll", false)] {
        let server = server(change_notices);
        let _client = idling(&server, "ann");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        let inotify = descriptors.flatten().any(|entry| {
            fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().contains("inotify"))
        });
        assert_eq!(inotify, wanted, "{change_notices}");
    }
}
