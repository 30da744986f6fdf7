//! Several sessions of two servers at the same messages (S3, S13, S15).

use std::collections::BTreeSet;
use std::thread;

use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::serve::Serve;

use crate::{append, subjects};

/// Two servers on the same files.
fn two() -> (Serve, Serve) {
    let first = serve("");
    let second = first.restart().unwrap();
    (first, second)
}

#[test]
fn s15_a_message_that_two_sessions_move_is_there_once() {
    let (first, second) = two();
    let mut client = Client::imap(&first, "ann");
    client.ok("CREATE Target");
    for round in 0..20 {
        client.ok(&append("INBOX", &format!("raced{round}")));
    }
    let servers = [&first, &second, &first, &second];
    let mut clients = servers.map(|server| Client::selected(server, "ann"));
    for uid in 1..=20 {
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || client.completion(format!("UID MOVE {uid} Target")));
            }
        });
    }
    let expected: Vec<String> = (0..20).map(|round| format!("raced{round}")).collect();
    for server in [&first, &second] {
        let mut client = Client::imap(server, "ann");
        let target = subjects(&mut client, "Target");
        let (uids, moved): (BTreeSet<u32>, Vec<String>) = target.into_iter().unzip();
        assert_eq!(moved, expected);
        assert_eq!(uids.len(), 20);
        assert_eq!(subjects(&mut client, "INBOX"), []);
    }
}

#[test]
fn s13_no_flag_that_anybody_sets_is_lost() {
    let (first, second) = two();
    let mut client = Client::imap(&first, "ann");
    for number in 0..5 {
        client.ok(&append("INBOX", &format!("m{number}")));
    }
    let servers = [&first, &second, &first, &second, &first, &second];
    thread::scope(|scope| {
        for (who, server) in servers.into_iter().enumerate() {
            scope.spawn(move || {
                let mut client = Client::selected(server, "ann");
                for round in 0..20 {
                    // Each has keywords of its own: none may be taken away by another.
                    let keyword = format!("k{who}x{}", round % 4);
                    let sign = if round % 8 < 4 || round >= 16 {
                        "+"
                    } else {
                        "-"
                    };
                    client.ok(&format!("STORE 1:5 {sign}FLAGS ({keyword})"));
                }
            });
        }
    });
    let mut expected = BTreeSet::new();
    for who in 0..6 {
        // Set and taken away, set and taken away, and set.
        expected.extend((0..4).map(|round| format!("k{who}x{round}")));
    }
    for server in [&first, &second] {
        let mut client = Client::selected(server, "ann");
        for line in client
            .ok("FETCH 1:5 (FLAGS)")
            .lines()
            .filter(|line| line.starts_with("* ") && line.contains(" FETCH "))
        {
            let (_, flags) = line.split_once("FLAGS (").unwrap();
            let flags = flags.trim_end_matches(')').split(' ');
            let flags: BTreeSet<String> = flags
                .filter(|flag| *flag != "\\Recent")
                .map(str::to_owned)
                .collect();
            assert_eq!(flags, expected, "{line}");
        }
    }
}
