//! `pillarbox index` on an account that a server has open, with sessions in it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use pillarbox_tests::binary::executable;
use pillarbox_tests::client::Client;
use pillarbox_tests::program::run;
use pillarbox_tests::serve::{Serve, Setup};

fn index(server: &Serve, task: &str) -> Output {
    run(Command::new(executable().unwrap())
        .arg("index")
        .args(task.split(' '))
        .arg("--config")
        .arg(server.dir().join("pillarbox.toml"))
        .arg(server.maildir("ann")))
}

fn append(client: &mut Client, text: &str) -> String {
    client.send(format!(
        "own APPEND INBOX {{{}+}}\r\n{text}\r\n",
        text.len()
    ));
    let answer = client.until("own").concat();
    String::from_utf8(answer).unwrap()
}

fn uid_validity(client: &mut Client) -> String {
    let answer = client.ok("STATUS INBOX (UIDVALIDITY MESSAGES)");
    answer.lines().next().unwrap().to_owned()
}

#[test]
fn what_does_not_change_uids_disturbs_nobody() {
    let server = Serve::start(&Setup::default()).unwrap();
    let mut other = Client::selected(&server, "ann");
    append(&mut other, "Subject: one\r\n\r\n1\r\n");
    let mut idler = Client::selected(&server, "ann");
    idler.send("idle IDLE\r\n");
    while !idler.line().starts_with('+') {}
    let before = uid_validity(&mut other);
    for task in [
        "import",
        "check --sizes",
        "export --format dovecot",
        "import --again",
        "check",
    ] {
        index(&server, task);
        assert_eq!(uid_validity(&mut other), before, "{task}");
    }
    // What is new is still told.
    append(&mut other, "Subject: two\r\n\r\n2\r\n");
    assert_eq!(idler.line(), "* 2 EXISTS\r\n");
    let fetched = other.ok("UID FETCH 1:* (BODY.PEEK[TEXT])");
    assert!(fetched.contains("2\r\n"), "{fetched}");
}

#[test]
fn sessions_of_a_rebuilt_mailbox_get_a_clean_end() {
    let server = Serve::start(&Setup::default()).unwrap();
    let mut adder = Client::imap(&server, "ann");
    append(&mut adder, "Subject: one\r\n\r\n1\r\n");
    let before = uid_validity(&mut adder);
    let mut idler = Client::selected(&server, "ann");
    idler.send("idle IDLE\r\n");
    while !idler.line().starts_with('+') {}
    let mut selected = Client::selected(&server, "ann");
    let mut pop3 = Client::pop3(&server, "ann");
    // A message that is on its way meanwhile.
    adder.send("own APPEND INBOX {20}\r\n");
    assert!(adder.line().starts_with('+'));
    index(&server, "rebuild --all --yes");

    let told = idler.rest();
    assert!(told.starts_with("* BYE "), "{told}");
    selected.send("a UID STORE 1 +FLAGS (\\Flagged)\r\nb NOOP\r\n");
    let told = selected.rest();
    assert!(told.contains("* BYE "), "{told}");
    assert!(
        !told.contains("FETCH (") && !told.contains("b OK"),
        "{told}"
    );
    adder.send("Subject: two\r\n\r\n2\r\n\r\n");
    let answer = String::from_utf8(adder.until("own").concat()).unwrap();
    assert!(answer.contains("own "), "{answer}");
    let stored = answer.contains("own OK");
    assert!(stored || answer.contains("own NO"), "{answer}");
    // What has other UIDs now is not deleted by the old ones, and that is told.
    pop3.ask("DELE 1");
    let told = pop3.ask("QUIT");
    assert!(told.starts_with("-ERR"), "{told}");

    let mut after = Client::selected(&server, "ann");
    let now = uid_validity(&mut after);
    let fetched = after.ok("UID FETCH 1:* (BODY.PEEK[])");
    assert_ne!(now, before);
    assert!(fetched.contains("Subject: one"), "{fetched}");
    assert_eq!(fetched.contains("Subject: two"), stored, "{fetched}");
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
}
