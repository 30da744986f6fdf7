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

use pillarbox_tests::peer::{Kind, Place, have_courier, have_dovecot};
use pillarbox_tests::program::have;

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

#[test]
fn dovecot() {
    for (prefix, separator) in [("", '.'), ("", '/'), ("INBOX.", '.')] {
        let kind = Kind::Dovecot {
            prefix,
            separator,
            settings: "",
        };
        let Some(past) = Past::with(kind, Names { prefix, separator }) else {
            return;
        };
        // Its processes end without a trace.
        let peer = past.place.serve(kind);
        assert_eq!(past.mbsync.run(peer.imap), Changes::NONE);
        assert_eq!(past.fetchmail.run(peer.pop3), 0);
        assert_same(&past.account, &Account::seen(peer.imap, peer.pop3), "later");
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
    let peer = past.place.serve(Kind::Courier);
    assert_eq!(past.mbsync.run(peer.imap), Changes::NONE);
    assert_eq!(past.fetchmail.run(peer.pop3), 0);
    assert_same(&past.account, &Account::seen(peer.imap, peer.pop3), "later");
}
