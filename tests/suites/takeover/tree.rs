//! Makes a tree as a user does in years: folders in folders, keywords, and gaps where mail was.

use std::net::SocketAddr;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::Client;
use pillarbox_tests::peer::Place;

use crate::view::log_in;

/// How a server names mailboxes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// What every name but INBOX begins with.
    pub(crate) prefix: &'static str,
    /// Between the levels.
    pub(crate) separator: char,
}

impl Names {
    /// The name of the mailbox with these levels, which stand with `/` here.
    pub(crate) fn of(self, levels: &str) -> String {
        if levels == "INBOX" {
            return levels.to_owned();
        }
        let separator = self.separator.to_string();
        format!("{}{}", self.prefix, levels.replace('/', &separator))
    }
}

/// The mailboxes besides INBOX, in modified UTF-7 (RFC 3501 §5.1.3), with `/` between levels.
pub(crate) const MAILBOXES: [&str; 7] = [
    "Work",
    "Work/2026",
    "Work/2026/Q1",
    "Entw&APw-rfe",
    "Archive/&ZeVnLIqe-",
    "Sent &- done",
    "Empty",
];

/// How many messages there are in the end, and how many of them in INBOX.
pub(crate) const MESSAGES: u32 = 42;
pub(crate) const MESSAGES_IN_INBOX: usize = 9;

/// Puts messages into INBOX as another program delivers them.
pub(crate) fn deliver(place: &Place, count: usize) {
    let messages = (0..count).map(|number| {
        format!("From: ben@example.org\nSubject: delivered {number}\n\nLine {number}\n.\n")
            .into_bytes()
    });
    deliver_files(&place.maildir(), messages).unwrap();
    place.hand_over();
}

/// Makes mailboxes and messages, flags and keywords, gaps and subscriptions.
pub(crate) fn fill(server: SocketAddr, names: Names) {
    let mut client = log_in(server);
    for mailbox in MAILBOXES {
        client.ok(&format!("CREATE \"{}\"", names.of(mailbox)));
    }
    for (at, mailbox) in ["INBOX"].iter().chain(&MAILBOXES[..6]).enumerate() {
        let name = names.of(mailbox);
        for number in 0..8 {
            append(&mut client, &name, number);
        }
        client.ok(&format!("SELECT \"{name}\""));
        client.ok("STORE 2,5 +FLAGS (\\Flagged)");
        client.ok("STORE 1:3 +FLAGS ($Forwarded)");
        client.ok(&format!("STORE 6 +FLAGS (\\Answered Work-{at} NonJunk)"));
        // A gap at the start, one inside, and, in every other one, the last message.
        client.ok("STORE 1,4 +FLAGS (\\Deleted)");
        if at % 2 == 0 {
            client.ok("STORE * +FLAGS (\\Deleted)");
        }
        client.ok("EXPUNGE");
    }
    for mailbox in ["INBOX", "Work", "Work/2026", "Entw&APw-rfe"] {
        client.ok(&format!("SUBSCRIBE \"{}\"", names.of(mailbox)));
    }
    client.ok("LOGOUT");
}

/// Uses the account for a day.
pub(crate) fn live_on(server: SocketAddr, names: Names, day: usize) {
    let mut client = log_in(server);
    let (work, new) = (names.of("Work"), names.of(&format!("Work/Day {day}")));
    client.ok(&format!("CREATE \"{new}\""));
    client.ok(&format!("SUBSCRIBE \"{new}\""));
    client.ok(&format!(
        "UNSUBSCRIBE \"{}\"",
        names.of(["Work/2026", "Work", "INBOX", "Empty"][day - 1])
    ));
    append(&mut client, "INBOX", 4 + day);
    append(&mut client, &new, 5 + day);
    client.ok("SELECT INBOX");
    let sign = ["-", "+"][day % 2];
    client.ok(&format!("STORE 1,2 {sign}FLAGS (\\Draft)"));
    client.ok(&format!("STORE 2:4 +FLAGS (Day-{day} $Forwarded)"));
    client.ok("STORE 3 -FLAGS ($Label1)");
    client.ok(&format!("COPY 3 \"{new}\""));
    client.ok("STORE 4 +FLAGS (\\Deleted)");
    client.ok("EXPUNGE");
    client.ok(&format!("SELECT \"{work}\""));
    client.ok("STORE 3 -FLAGS (\\Seen)");
    client.ok("STORE 3 +FLAGS (\\Draft)");
    client.ok("MOVE 1 INBOX");
    client.ok("LOGOUT");
}

/// Appends a message that is like no other.
pub(crate) fn append(client: &mut Client, mailbox: &str, number: usize) {
    let flags = ["", "\\Seen", "\\Seen \\Answered", "\\Draft"][number % 4];
    let keyword = ["", " $Label1", " later"][number % 3];
    let message = format!(
        "From: Anna <anna@example.org>\r\nSubject: {mailbox} {number}\r\n\
         Message-ID: <{number}@example.org>\r\n\r\n{}\r\n.\r\nFrom here\r\n",
        "x".repeat(number * 17)
    );
    let day = 10 + number;
    let command = format!(
        "APPEND \"{mailbox}\" ({}) \"{day}-Nov-2023 12:0{number}:00 +0000\"",
        format!("{flags}{keyword}").trim()
    );
    // Courier knows no literals that go without asking.
    client.send(format!("lit {command} {{{}}}\r\n", message.len()));
    let go_on = client.line();
    assert!(go_on.starts_with('+'), "{command}: {go_on}");
    client.send(format!("{message}\r\n"));
    let answer = client.until("lit").concat();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("lit OK"), "{command}: {answer}");
}
