//! Taking over the trees of Dovecot and Courier, and giving them back: the real servers make them,
//! real clients have their state from before, and afterwards none of them sees a difference.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[path = "takeover/clients.rs"]
mod clients;
#[path = "takeover/tree.rs"]
mod tree;
#[path = "takeover/view.rs"]
mod view;

use std::net::SocketAddr;
use std::process::Command;

use pillarbox_tests::binary::executable;
use pillarbox_tests::peer::{Kind, Place, have_courier, have_dovecot};
use pillarbox_tests::program::{have, run};
use pillarbox_tests::serve::{Serve, Setup};

use crate::clients::{Changes, Fetchmail, Mbsync};
use crate::tree::Names;
use crate::view::{Account, assert_same};

/// An account with years behind it, and clients that have all of it.
struct Past {
    place: Place,
    mbsync: Mbsync,
    fetchmail: Fetchmail,
    account: Account,
}

impl Past {
    /// Lets a server make it; none if that server or a client is missing.
    fn with(kind: Kind, names: Names) -> Option<Self> {
        let server = match kind {
            Kind::Dovecot { .. } => have_dovecot(),
            Kind::Courier => have_courier(),
        };
        if !(server && have("mbsync") && have("fetchmail")) {
            return None;
        }
        let place = Place::new();
        let peer = place.serve(kind);
        tree::deliver(&place, 4);
        tree::fill(peer.imap, names);
        let mbsync = Mbsync::new(place.dir());
        let fetchmail = Fetchmail::new(place.dir());
        let messages = tree::MESSAGES;
        assert_eq!(mbsync.run(peer.imap), Changes::near([messages, 0, 0]));
        assert_eq!(fetchmail.run(peer.pop3), tree::MESSAGES_IN_INBOX);
        // What nothing has happened to is not touched.
        assert_eq!(mbsync.run(peer.imap), Changes::NONE);
        assert_eq!(fetchmail.run(peer.pop3), 0);
        let account = Account::seen(peer.imap, peer.pop3);
        assert_same(&account, &Account::seen(peer.imap, peer.pop3), "again");
        drop(peer);
        Some(Self {
            place,
            mbsync,
            fetchmail,
            account,
        })
    }
}

/// Moves a tree to where Pillarbox expects it, and starts Pillarbox.
fn take_over(past: &Past, tables: &str) -> Serve {
    let server = Serve::start(&Setup {
        tables: tables.to_owned(),
        ..Setup::default()
    });
    let server = server.unwrap();
    past.place.move_out(&server.maildir("ann"));
    let kept = format!("{} UIDs", tree::MESSAGES);
    index(&server, "import --dry-run", &kept);
    server
}

/// Does what an administrator does on the command line: it has to succeed, and to say this.
fn index(server: &Serve, task: &str, said: &str) {
    let output = run(Command::new(executable().unwrap())
        .arg("index")
        .args(task.split(' '))
        .arg("--config")
        .arg(server.dir().join("pillarbox.toml"))
        .arg(server.maildir("ann")));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(said), "{task}: {text}");
}

/// Nobody sees that the server is another one.
fn nothing_is_new(past: &Past, imap: SocketAddr, pop3: SocketAddr, account: &Account, when: &str) {
    assert_eq!(past.mbsync.run(imap), Changes::NONE, "{when}");
    assert_eq!(past.fetchmail.run(pop3), 0, "{when}");
    assert_same(account, &Account::seen(imap, pop3), when);
}

/// What was done since then is new, and nothing else.
fn the_rest_is_new(past: &Past, imap: SocketAddr, pop3: SocketAddr, before: &Account) {
    let (changes, messages) = Account::seen(imap, pop3).since(before);
    // Enough to be seen.
    assert!(changes[0] > 2 && changes[1] > 2 && messages > 1);
    assert_eq!(past.mbsync.run(imap), Changes::near(changes));
    assert_eq!(past.fetchmail.run(pop3), messages);
}

/// From another server to Pillarbox, and on to Dovecot.
fn there_and_back(past: &Past, names: Names, tables: &str, dovecot: Kind) {
    let mut server = take_over(past, tables);
    let (imap, pop3) = (
        server.address("imap").unwrap(),
        server.address("pop3").unwrap(),
    );
    nothing_is_new(past, imap, pop3, &past.account, "taken over");
    tree::live_on(imap, names, 1);
    the_rest_is_new(past, imap, pop3, &past.account);
    let monday = Account::seen(imap, pop3);
    nothing_is_new(past, imap, pop3, &monday, "after a day");
    tree::live_on(imap, names, 2);
    let tuesday = Account::seen(imap, pop3);
    server.kill().unwrap();
    index(&server, "export --format dovecot", "written for Dovecot\n");
    index(&server, "check --sizes", "");
    past.place.move_back(&server.maildir("ann"));
    let peer = past.place.serve(dovecot);
    the_rest_is_new(past, peer.imap, peer.pop3, &monday);
    nothing_is_new(past, peer.imap, peer.pop3, &tuesday, "given back");

    // What Dovecot does then is right, too, when Pillarbox comes again.
    tree::live_on(peer.imap, names, 3);
    the_rest_is_new(past, peer.imap, peer.pop3, &tuesday);
    let wednesday = Account::seen(peer.imap, peer.pop3);
    drop(peer);
    past.place.move_out(&server.maildir("ann"));
    let server = server.restart().unwrap();
    let (imap, pop3) = (
        server.address("imap").unwrap(),
        server.address("pop3").unwrap(),
    );
    nothing_is_new(past, imap, pop3, &wednesday, "taken over again");
    tree::live_on(imap, names, 4);
    the_rest_is_new(past, imap, pop3, &wednesday);
}

fn dovecot_and_back(prefix: &'static str, separator: char) {
    let kind = Kind::Dovecot {
        prefix,
        separator,
        settings: "",
    };
    let names = Names { prefix, separator };
    if let Some(past) = Past::with(kind, names) {
        let tables = format!("[storage]\nseparator = \"{separator}\"\nprefix = \"{prefix}\"\n");
        there_and_back(&past, names, &tables, kind);
    }
}

#[test]
fn dovecot_with_dots_and_back() {
    dovecot_and_back("", '.');
}

#[test]
fn dovecot_with_slashes_and_back() {
    dovecot_and_back("", '/');
}

#[test]
fn dovecot_below_inbox_and_back() {
    dovecot_and_back("INBOX.", '.');
}

#[test]
fn courier_and_on_to_dovecot() {
    let names = Names {
        prefix: "INBOX.",
        separator: '.',
    };
    let Some(past) = Past::with(Kind::Courier, names) else {
        return;
    };
    let tables = "[storage]\nseparator = \".\"\nprefix = \"INBOX.\"\n\
                  directory_names = \"utf8\"\n[pop3]\nuidl_format = \"courier\"\n";
    let dovecot = Kind::Dovecot {
        prefix: names.prefix,
        separator: names.separator,
        settings: "mail_location = maildir:~/Maildir:UTF-8\npop3_uidl_format = UID%u-%v",
    };
    there_and_back(&past, names, tables, dovecot);
}
