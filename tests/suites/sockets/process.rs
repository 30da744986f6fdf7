//! The ends of the process, wanted and not (S1, S3, S5, S8, S11).

use std::collections::BTreeMap;
use std::time::Duration;

use pillarbox_tests::client::{Client, serve, timed};
use pillarbox_tests::serve::{Serve, Setup};
use rustix::process::{Pid, Signal, kill_process};

fn signal(server: &Serve, signal: Signal) {
    let id = i32::try_from(server.pid()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// Appends a message with this subject; gives its UID.
fn append(client: &mut Client, subject: &str) -> u32 {
    let message = format!("Subject: {subject}\r\n\r\n");
    let command = format!("APPEND INBOX {{{}+}}\r\n{message}", message.len());
    let completion = client.completion(command);
    let (_, rest) = completion.split_once("[APPENDUID ").expect("APPENDUID");
    let (codes, _) = rest.split_once(']').unwrap();
    codes.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn s11_sigterm_says_goodbye_to_forty_sessions() {
    let users: Vec<String> = (0..10).map(|at| format!("u{at}")).collect();
    let mut server = Serve::start(&Setup {
        users,
        ..Setup::default()
    })
    .unwrap();
    let mut imap: Vec<Client> = (0..30)
        .map(|at| Client::selected(&server, &format!("u{}", at % 10)))
        .collect();
    let mut pop3: Vec<Client> = (0..10)
        .map(|at| Client::pop3(&server, &format!("u{at}")))
        .collect();
    for client in &mut imap[..10] {
        assert!(client.ask("i IDLE").starts_with('+'));
    }
    // Half a command, half a message, and a reader who does not read.
    imap[10].send("a SEARCH OR (");
    imap[11].send("a APPEND INBOX {1000+}\r\nSubject: half");
    let uid = append(&mut imap[12], "acknowledged");
    signal(&server, Signal::TERM);
    let (status, time) = timed(|| server.wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(time < Duration::from_secs(10), "{time:?}");
    for (at, client) in imap.iter_mut().enumerate() {
        let rest = client.rest();
        assert!(rest.contains("* BYE"), "{at}: {rest:?}");
    }
    for client in &mut pop3 {
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with("-ERR [SYS/TEMP]"),
            "{rest:?}"
        );
    }
    let again = server.restart().unwrap();
    let mut client = Client::selected(&again, "u2");
    let answer = client.ok(&format!("UID FETCH {uid} BODY.PEEK[HEADER]"));
    assert!(answer.contains("Subject: acknowledged"), "{answer}");
    assert!(
        client
            .ok("UID SEARCH ALL")
            .starts_with(&format!("* SEARCH {uid}\r\n"))
    );
}

#[test]
fn s11_sighup_drops_nobody() {
    let server = serve("");
    let mut clear = Client::selected(&server, "ann");
    let mut secure = Client::greeted(&server, "imaps");
    let mut pop3 = Client::pop3(&server, "bob");
    assert!(clear.ask("i IDLE").starts_with('+'));
    std::fs::write(server.dir().join("users"), "new@localhost:{PLAIN}pw\n").unwrap();
    signal(&server, Signal::HUP);
    assert!(clear.ask("DONE").starts_with("i OK"));
    assert!(pop3.ask("STAT").starts_with("+OK"));
    assert!(secure.completion("LOGIN new pw").starts_with("OK"));
    assert!(clear.completion("NOOP").starts_with("OK"));
    // Rubbish does not lock anybody out.
    std::fs::write(server.dir().join("users"), "rubbish\n").unwrap();
    signal(&server, Signal::HUP);
    let mut after = Client::greeted(&server, "imap");
    assert!(after.completion("LOGIN new pw").starts_with("OK"));
}

#[test]
fn s1_s3_s5_s8_what_was_acknowledged_survives_kills() {
    let mut server = serve("");
    // What must be there: subject and whether it was flagged, by UID.
    let mut expected: BTreeMap<u32, (String, bool)> = BTreeMap::new();
    let mut validity = None;
    let mut highest = 0;
    for round in 0..8 {
        let (mut client, time) = timed(|| Client::imap(&server, "ann"));
        assert!(time < Duration::from_secs(10), "{time:?}");
        let select = client.ok("SELECT INBOX");
        let found = select
            .split_once("[UIDVALIDITY ")
            .and_then(|(_, rest)| rest.split_once(']'))
            .map(|(number, _)| number.to_owned());
        assert!(found.is_some() && (validity.is_none() || validity == found));
        validity = found;
        let answer = client.ok("UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        for (uid, (subject, flagged)) in &expected {
            let at = answer.find(&format!("(UID {uid} ")).expect("lost mail");
            let message = &answer[at..];
            let message = message.split("* ").next().unwrap();
            assert!(
                message.contains(&format!("Subject: {subject}\r\n")),
                "{message}"
            );
            assert_eq!(message.contains("\\Flagged"), *flagged, "{message}");
        }
        assert_eq!(
            answer.matches(" FETCH (").count(),
            expected.len(),
            "{answer}"
        );
        for at in 0..10 {
            let subject = format!("{round}-{at}");
            let uid = append(&mut client, &subject);
            assert!(uid > highest, "UID {uid} after {highest}");
            highest = uid;
            expected.insert(uid, (subject, false));
        }
        for uid in [highest - 1, highest - 3] {
            client.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Flagged)"));
            expected.get_mut(&uid).unwrap().1 = true;
        }
        for uid in [highest, highest - 5] {
            client.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
            client.ok(&format!("UID EXPUNGE {uid}"));
            expected.remove(&uid);
        }
        server.kill().unwrap();
        let (again, time) = timed(|| server.restart().unwrap());
        assert!(time < Duration::from_secs(5), "{time:?}");
        server = again;
    }
}
