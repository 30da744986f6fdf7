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

use pillarbox_tests::peer::{Kind, Place, have_courier, have_dovecot};
use pillarbox_tests::program::have;
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
    server
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

/// From another server to Pillarbox.
fn taken_over(past: &Past, names: Names, tables: &str) {
    let server = take_over(past, tables);
    let (imap, pop3) = (
        server.address("imap").unwrap(),
        server.address("pop3").unwrap(),
    );
    nothing_is_new(past, imap, pop3, &past.account, "taken over");
    tree::live_on(imap, names, 1);
    the_rest_is_new(past, imap, pop3, &past.account);
    let monday = Account::seen(imap, pop3);
    nothing_is_new(past, imap, pop3, &monday, "after a day");
}

#[test]
fn dovecot() {
    for (prefix, separator) in [("", '.'), ("", '/'), ("INBOX.", '.')] {
        let kind = Kind::Dovecot {
            prefix,
            separator,
            settings: "",
        };
        let names = Names { prefix, separator };
        let Some(past) = Past::with(kind, names) else {
            return;
        };
        let tables = format!("[storage]\nseparator = \"{separator}\"\nprefix = \"{prefix}\"\n");
        taken_over(&past, names, &tables);
    }
}

#[test]
fn courier() {
    let names = Names {
        prefix: "INBOX.",
        separator: '.',
    };
    let Some(past) = Past::with(Kind::Courier, names) else {
        return;
    };
    let tables = "[storage]\nseparator = \".\"\nprefix = \"INBOX.\"\n\
                  directory_names = \"utf8\"\n[pop3]\nuidl_format = \"courier\"\n";
    taken_over(&past, names, tables);
}
