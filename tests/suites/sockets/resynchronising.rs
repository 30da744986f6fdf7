//! Mod-sequences over real sockets: what is remembered when the process ends, and who wins (S5,
//! S14).

use std::sync::Barrier;
use std::thread;

use pillarbox_tests::client::{Client, serve};
use pillarbox_tests::serve::Serve;

/// The number after a word.
fn number(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).expect(word);
    let digits = rest.split(|it: char| !it.is_ascii_digit()).next();
    digits.unwrap().parse().unwrap()
}

fn append_many(client: &mut Client, count: usize) {
    for number in 1..=count {
        let message = format!("Subject: {number}\r\n\r\n");
        client.ok(&format!("APPEND INBOX {{{}+}}\r\n{message}", message.len()));
    }
}

/// A client that has enabled QRESYNC.
fn enabled(server: &Serve, user: &str) -> Client {
    let mut client = Client::imap(server, user);
    client.ok("ENABLE QRESYNC");
    client
}

#[test]
fn s5_what_was_expunged_is_remembered_when_the_server_was_killed() {
    let mut server = serve("");
    let mut client = enabled(&server, "ann");
    append_many(&mut client, 9);
    let selected = client.ok("SELECT INBOX");
    let validity = number(&selected, "[UIDVALIDITY ");
    let known = number(&selected, "[HIGHESTMODSEQ ");
    client.ok("STORE 2:3,9 +FLAGS.SILENT (\\Deleted)");
    let expunged = client.ok("EXPUNGE");
    assert!(expunged.contains("* VANISHED 2:3,9\r\n"), "{expunged}");
    let highest = number(&expunged, "[HIGHESTMODSEQ ");
    let flagged = client.ok("UID STORE 5 +FLAGS.SILENT (\\Flagged)");
    let flagged = number(&flagged, "MODSEQ (");
    server.kill().unwrap();
    let mut server = server.restart().unwrap();
    let mut client = enabled(&server, "ann");
    let answer = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {known}))"));
    assert!(number(&answer, "[HIGHESTMODSEQ ") >= flagged, "{answer}");
    assert!(
        answer.contains("* VANISHED (EARLIER) 2:3,9\r\n"),
        "{answer}"
    );
    let fetched: Vec<&str> = answer
        .lines()
        .filter(|line| line.contains("FETCH"))
        .collect();
    assert_eq!(
        fetched,
        [format!(
            "* 3 FETCH (UID 5 FLAGS (\\Flagged) MODSEQ ({flagged}))"
        )]
    );
    // Once more, in good order, and from where the client is now.
    client.ok("LOGOUT");
    server.kill().unwrap();
    let server = server.restart().unwrap();
    let mut client = enabled(&server, "ann");
    let answer = client.ok(&format!("SELECT INBOX (QRESYNC ({validity} {highest}))"));
    assert!(!answer.contains("VANISHED"), "{answer}");
    assert!(answer.contains(&format!("MODSEQ ({flagged})")), "{answer}");
}

#[test]
fn s14_of_all_who_try_one_changes_a_message() {
    const MESSAGES: usize = 20;
    let server = serve("");
    let beside = server.beside().unwrap();
    append_many(&mut Client::imap(&server, "bob"), MESSAGES);
    let mut clients: Vec<Client> = (0..4)
        .map(|at| Client::selected(if at % 2 == 0 { &server } else { &beside }, "bob"))
        .collect();
    let fetched = clients[0].ok("UID FETCH 1:* (MODSEQ)");
    let known: Vec<u64> = fetched
        .lines()
        .filter(|line| line.contains("FETCH ("))
        .map(|line| number(line, "MODSEQ ("))
        .collect();
    assert_eq!(known.len(), MESSAGES, "{fetched}");
    let barrier = Barrier::new(clients.len());
    let won: Vec<Vec<usize>> = thread::scope(|scope| {
        let (barrier, known) = (&barrier, &known);
        let claimers = clients.iter_mut().enumerate().map(|(at, client)| {
            scope.spawn(move || {
                let mut won = Vec::new();
                for (index, since) in known.iter().enumerate() {
                    let uid = index + 1;
                    barrier.wait();
                    let store =
                        format!("UID STORE {uid} (UNCHANGEDSINCE {since}) +FLAGS (claimer{at})");
                    let answer = client.ok(&store);
                    match answer.contains(&format!("OK [MODIFIED {uid}]")) {
                        true => {}
                        false => won.push(uid),
                    }
                }
                won
            })
        });
        let claimers: Vec<_> = claimers.collect();
        claimers.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let answer = Client::selected(&beside, "bob").ok("UID FETCH 1:* (FLAGS)");
    for uid in 1..=MESSAGES {
        let winners: Vec<usize> = (0..won.len())
            .filter(|at| won[*at].contains(&uid))
            .collect();
        assert_eq!(winners.len(), 1, "message {uid}: {winners:?}");
        let flags = answer.lines().nth(uid - 1).unwrap();
        assert_eq!(flags.matches("claimer").count(), 1, "{flags}");
        assert!(flags.contains(&format!("claimer{}", winners[0])), "{flags}");
    }
}
