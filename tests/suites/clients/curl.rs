//! curl, over IMAP and POP3, in the clear, with STARTTLS and STLS, and over TLS.

use std::fs;
use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, run};

use crate::{PASSWORD, USER, account, crlf, hard_messages, messages};

fn curl(server: &Binary) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60"])
        .arg("--cacert")
        .arg(server.ca())
        .args(["--user", &format!("{USER}:{PASSWORD}")]);
    command
}

#[test]
fn curl_over_imap() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let message = server.dir().join("message.eml");
    let content = crlf(&hard_messages()[1]);
    fs::write(&message, &content).unwrap();
    let clear = format!("imap://localhost:{}", server.imap.port());
    let tls = format!("imaps://localhost:{}", server.imaps.port());
    for (url, upgrade) in [(&clear, false), (&clear, true), (&tls, false)] {
        let client = || {
            let mut command = curl(&server);
            if upgrade {
                command.arg("--ssl-reqd");
            }
            command
        };
        let listing = run(client().arg(format!("{url}/"))).stdout;
        assert!(
            String::from_utf8_lossy(&listing).contains("INBOX"),
            "{listing:?}"
        );
        let mailbox = format!("curl{}{}", upgrade, url.starts_with("imaps"));
        run(client()
            .arg(format!("{url}/"))
            .args(["-X", &format!("CREATE {mailbox}")]));
        run(client()
            .arg("-T")
            .arg(&message)
            .arg(format!("{url}/{mailbox}")));
        let fetched = run(client().arg(format!("{url}/{mailbox};UID=1"))).stdout;
        assert_eq!(fetched, content);
        let header = run(client().arg(format!("{url}/{mailbox};UID=1;SECTION=HEADER"))).stdout;
        assert!(content.starts_with(&header) && header.ends_with(b"\r\n\r\n"));
        let found = run(client().arg(format!("{url}/{mailbox}?SUBJECT%20message"))).stdout;
        assert_eq!(String::from_utf8_lossy(&found).trim(), "* SEARCH 1");
    }
}

#[test]
fn curl_over_pop3() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let expected = messages(&account(&server, "curl@localhost"), &[]);
    let clear = format!("pop3://localhost:{}", server.pop3.port());
    let tls = format!("pop3s://localhost:{}", server.pop3s.port());
    for (url, upgrade) in [(&clear, false), (&clear, true), (&tls, false)] {
        let client = || {
            let mut command = curl(&server);
            command.args(["--user", "curl@localhost:secret"]);
            if upgrade {
                command.arg("--ssl-reqd");
            }
            command
        };
        let listing = run(client().arg(format!("{url}/"))).stdout;
        assert_eq!(
            String::from_utf8_lossy(&listing).lines().count(),
            expected.len()
        );
        let mut fetched: Vec<Vec<u8>> = (1..=expected.len())
            .map(|number| run(client().arg(format!("{url}/{number}"))).stdout)
            .collect();
        fetched.sort();
        assert_eq!(fetched, expected);
    }
}
