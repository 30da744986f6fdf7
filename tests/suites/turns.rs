//! Pillarbox and Dovecot have one tree in turns, with anything happening in it, and an oracle
//! remembers what each UID has ever named.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

#[expect(dead_code, reason = "another suite uses more of it")]
#[path = "takeover/view.rs"]
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;

use pillarbox_tests::binary::{deliver_files, executable};
use pillarbox_tests::client::Client;
use pillarbox_tests::peer::{Kind, Place, have_dovecot};
use pillarbox_tests::program::run;
use pillarbox_tests::random::Random;
use pillarbox_tests::serve::{Serve, Setup};

use crate::view::{Account, assert_same, log_in};

/// What is done before Dovecot comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandOver {
    /// The list is written for it.
    Exported,
    /// Nothing: somebody forgot.
    Forgotten,
}

/// All texts that a UID of a mailbox has ever named, by name, UIDVALIDITY and UID.
#[derive(Debug, Default)]
struct Oracle(BTreeMap<(String, u64, u32), BTreeSet<String>>);

impl Oracle {
    /// Remembers what a server shows; gives what named something else before.
    fn learn(&mut self, account: &Account) -> Vec<String> {
        let mut reused = Vec::new();
        for (name, mailbox) in &account.mailboxes {
            let uid_validity = mailbox.status["UIDVALIDITY"];
            for (uid, message) in &mailbox.messages {
                let known = self.0.entry((name.clone(), uid_validity, *uid));
                let known = known.or_default();
                known.insert(message.text.clone());
                if known.len() > 1 {
                    reused.push(format!("{name} {uid_validity} {uid}: {known:?}"));
                }
            }
        }
        reused
    }
}

/// Uses the account in any way, over IMAP and by delivery.
fn live(server: SocketAddr, random: &mut Random, number: &mut usize) {
    let mut client = log_in(server);
    for _ in 0..12 {
        let (mailbox, other) = *random.pick(&[("INBOX", "Work"), ("Work", "INBOX")]);
        let selected = client.ok(&format!("SELECT {mailbox}"));
        let messages = exists(&selected);
        if messages == 0 || random.once_in(3) {
            *number += 1;
            append(&mut client, mailbox, *number);
            continue;
        }
        let set = (0..1 + random.below(3)).map(|_| (1 + random.below(messages)).to_string());
        let set = set.collect::<Vec<_>>().join(",");
        match random.below(6) {
            0 | 1 => {
                let sign = random.pick(&["+", "-", ""]);
                let flags = random.pick(&["\\Flagged", "\\Draft Red", "Blue", "Red $Green", ""]);
                client.ok(&format!("STORE {set} {sign}FLAGS ({flags})"));
            }
            2 => drop(client.ok(&format!("COPY {set} {other}"))),
            3 => drop(client.ok(&format!("MOVE {set} {other}"))),
            _ => {
                client.ok(&format!("STORE {set} +FLAGS (\\Deleted)"));
                client.ok("EXPUNGE");
            }
        }
    }
    client.ok("LOGOUT");
}

/// Appends a message that is like no other.
fn append(client: &mut Client, mailbox: &str, number: usize) {
    let text = format!("Subject: number {number}\r\n\r\n{number}\r\n");
    client.send(format!("own APPEND {mailbox} {{{}}}\r\n", text.len()));
    assert!(client.line().starts_with('+'));
    client.send(format!("{text}\r\n"));
    client.until("own");
}

fn exists(answer: &str) -> usize {
    let line = answer.lines().find(|line| line.ends_with(" EXISTS"));
    let line = line.unwrap();
    line[2..line.len() - 7].parse().unwrap()
}

/// Delivers up to two such messages.
fn deliver(place: &Place, random: &mut Random, number: &mut usize) {
    let first = *number;
    *number += random.below(3);
    let messages = (first..*number).map(|number| format!("Subject: delivered {number}\n\n.\n"));
    deliver_files(&place.maildir(), messages.map(String::into_bytes)).unwrap();
    place.hand_over();
}

fn export(server: &Serve) {
    run(Command::new(executable().unwrap())
        .args(["index", "export", "--format", "dovecot", "--config"])
        .arg(server.dir().join("pillarbox.toml"))
        .arg(server.maildir("ann")));
}

/// Gives how often Dovecot gave a UID that was given already, because it could not know.
fn take_turns(seed: u64, rounds: usize, hand_over: HandOver) -> usize {
    let random = &mut Random::new(seed);
    let (mut number, mut oracle) = (0, Oracle::default());
    let mut doubled = 0;
    let place = Place::new();
    let kind = Kind::Dovecot {
        prefix: "",
        separator: '/',
        settings: "",
    };
    let mut server = Serve::start(&Setup::default()).unwrap();
    let mut before: Option<Account> = None;
    for round in 0..rounds {
        let when = format!("seed {seed}, round {round}");
        let peer = place.serve(kind);
        if round == 0 {
            log_in(peer.imap).ok("CREATE Work");
        }
        let seen = Account::seen(peer.imap, peer.pop3);
        let reused = oracle.learn(&seen);
        if let Some(before) = before.take()
            && hand_over == HandOver::Exported
        {
            assert_same(&before, &seen, &format!("{when}, to Dovecot"));
            assert!(reused.is_empty(), "{when}, to Dovecot: {reused:?}");
        }
        live(peer.imap, random, &mut number);
        deliver(&place, random, &mut number);
        live(peer.imap, random, &mut number);
        let seen = Account::seen(peer.imap, peer.pop3);
        let reused = oracle.learn(&seen);
        assert!(reused.is_empty() || hand_over == HandOver::Forgotten);
        doubled += reused.len();
        drop(peer);

        server.kill().unwrap();
        let home = server.maildir("ann");
        drop(std::fs::remove_dir_all(&home));
        place.move_out(&home);
        server = server.restart().unwrap();
        let address = |name| server.address(name).unwrap();
        let ours = Account::seen(address("imap"), address("pop3"));
        if hand_over == HandOver::Exported {
            assert_same(&seen, &ours, &format!("{when}, to Pillarbox"));
        }
        let reused = oracle.learn(&ours);
        assert!(reused.is_empty(), "{when}, to Pillarbox: {reused:?}");
        live(address("imap"), random, &mut number);
        let ours = Account::seen(address("imap"), address("pop3"));
        let reused = oracle.learn(&ours);
        assert!(reused.is_empty(), "{when}, at Pillarbox: {reused:?}");
        server.kill().unwrap();
        if hand_over == HandOver::Exported {
            export(&server);
        }
        place.move_back(&home);
        before = Some(ours);
    }
    doubled
}

#[test]
fn with_the_list_no_uid_ever_changes() {
    if have_dovecot() {
        let turns = |seed| take_turns(seed, 5, HandOver::Exported);
        assert_eq!(seeds().map(turns).sum::<usize>(), 0);
    }
}

#[test]
fn without_the_list_no_uid_names_what_another_server_named_otherwise() {
    if have_dovecot() {
        let turns = |seed| take_turns(seed, 5, HandOver::Forgotten);
        let doubled: usize = seeds().map(turns).sum();
        assert!(doubled > 0, "nothing to be careful about");
    }
}

/// One run; as many as `PILLARBOX_TURNS` says to look for more.
fn seeds() -> std::ops::Range<u64> {
    let runs = std::env::var("PILLARBOX_TURNS").ok();
    0x5eed..0x5eed + runs.and_then(|runs| runs.parse().ok()).unwrap_or(1)
}
