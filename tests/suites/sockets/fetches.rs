//! What FETCH of many messages takes from the others (S37, S38).

use std::io::Read;
use std::thread;
use std::time::Duration;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve, timed};

/// How many clients do not read.
const SLOW: usize = 40;

/// Messages of which the server makes long records: 60 recipients, 70 parts.
fn long_records(count: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(|at| {
        let recipients: Vec<_> = (0..60)
            .map(|to| format!("\"recipient {to} of message {at}\" <r{to}@example.org>"))
            .collect();
        let part = "--b\nContent-Type: text/plain; charset=us-ascii\n\nshort\n".repeat(70);
        let header = format!(
            "From: a@example.org\nTo: {}\nSubject: {at}\n",
            recipients.join(",\n ")
        );
        let kind = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n";
        format!("{header}{kind}\n{part}--b--\n").into_bytes()
    })
}

#[test]
fn s37_who_does_not_read_answers_holds_few_of_them() {
    let server = serve(
        "[storage]\nfsync = \"never\"\n[timeouts]\nwrite = \"2s\"\n[log]\nlevel = \"debug\"\n\
         [limits]\nsessions_per_user = 200\n",
    );
    for user in ["ann", "bob"] {
        deliver_files(&server.maildir(user), long_records(250)).unwrap();
    }
    // What is kept of ann's messages is made here, and of bob's while nobody reads.
    let mut first = Client::selected(&server, "ann");
    let answer = first.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)");
    assert!(answer.len() / 250 > 6000, "{}", answer.len());
    let kept = ["ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[]"];
    let mut lost = 0;
    for (user, all_items, most) in [
        ("ann", &kept[..], 640),
        ("bob", &["(ENVELOPE BODYSTRUCTURE)"], 1500),
    ] {
        let mut slow: Vec<_> = (0..SLOW).map(|_| Client::selected(&server, user)).collect();
        let before = server.forget_peak().unwrap();
        for (client, items) in slow.iter_mut().zip(all_items.iter().cycle()) {
            client.send(format!("a FETCH 1:* {items}\r\n").repeat(30));
        }
        lost += SLOW;
        assert!(server.logs("connection lost", lost), "{}", server.log());
        let grown = server.peak().unwrap().saturating_sub(before);
        let each = grown / u64::try_from(SLOW).unwrap();
        println!("{user}: {each} KiB more at the peak for each client");
        assert!(each < most, "{user}: {each} KiB more at the peak for each");
    }
}

#[test]
fn s38_who_fetches_much_keeps_nobody_waiting() {
    let server = serve("[storage]\nfsync = \"never\"\n");
    let small = (0..5000).map(|at| format!("Subject: {at}\n\n{at}\n").into_bytes());
    deliver_files(&server.maildir("ann"), small).unwrap();
    let mut other = Client::imap(&server, "eve");
    let mut first = Client::selected(&server, "ann");
    first.ok("FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE)");
    let items = [
        "(FLAGS ENVELOPE)",
        "BODYSTRUCTURE",
        "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
        "BODY.PEEK[]",
    ];
    let busy: Vec<Client> = (0..8)
        .map(|at| {
            let mut client = Client::selected(&server, "ann");
            let command = format!("a FETCH 1:* {}\r\n", items[at % items.len()]);
            client.send(command.repeat(3) + "z LOGOUT\r\n");
            client
        })
        .collect();
    let readers: Vec<_> = busy
        .into_iter()
        .map(|mut client| {
            thread::spawn(move || {
                let mut answers = Vec::new();
                client.connection.read_to_end(&mut answers).unwrap();
                answers
            })
        })
        .collect();
    let mut rounds = 0;
    while rounds < 10 || readers.iter().any(|it| !it.is_finished()) {
        let (_, time) = timed(|| other.ok("NOOP"));
        assert!(time < Duration::from_secs(5), "{time:?}");
        rounds += 1;
    }
    for reader in readers {
        let answers = reader.join().unwrap();
        let text = String::from_utf8_lossy(&answers);
        assert_eq!(text.matches("* 5000 FETCH (").count(), 3);
        assert_eq!(text.matches("a OK FETCH completed").count(), 3);
    }
}
