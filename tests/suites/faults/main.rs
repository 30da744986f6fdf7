//! Failing disks, damaged files, mailboxes that vanish, and what the server does before it says
//! OK: against the real binary. Each test is named after the rule that it proves.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "every line is part of a test"
)]

mod disk;
mod eio;
mod files;
mod gone;
mod looks;
mod order;
mod races;

use std::io::Write;

use pillarbox_tests::client::Client;

/// A message with this subject.
pub(crate) fn message(subject: &str) -> String {
    format!("Subject: {subject}\r\nFrom: faults@example.org\r\n\r\nThe text of {subject}.\r\n")
}

/// The command that appends a message.
pub(crate) fn append(mailbox: &str, subject: &str) -> String {
    let text = message(subject);
    format!("APPEND {mailbox} {{{}+}}\r\n{text}", text.len())
}

/// Says why a test is not done.
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("PILLARBOX_REQUIRE_CLIENTS").is_none(),
        "{reason}, and PILLARBOX_REQUIRE_CLIENTS is set"
    );
    // Not by a macro: the output of a test that passes would be swallowed.
    let notice = format!("SKIPPED: {reason}\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
}

/// The subjects of all messages in a mailbox, in the order of their UIDs, whole messages only.
pub(crate) fn subjects(client: &mut Client, mailbox: &str) -> Vec<(u32, String)> {
    client.ok(&format!("EXAMINE {mailbox}"));
    let answers = client.command("UID FETCH 1:* (UID BODY.PEEK[])");
    let completion = String::from_utf8_lossy(answers.last().unwrap()).into_owned();
    assert!(completion.contains(" OK "), "{mailbox}: {completion}");
    let messages = answers.iter().filter_map(|answer| {
        let text = String::from_utf8_lossy(answer).into_owned();
        let (head, body) = text.split_once("}\r\n")?;
        let uid = head.split_once("UID ")?.1.split(' ').next()?.parse().ok()?;
        let subject = body.split_once("Subject: ")?.1.lines().next()?.to_owned();
        assert_eq!(
            body.trim_end_matches(")\r\n"),
            message(&subject),
            "{mailbox}"
        );
        Some((uid, subject))
    });
    let messages = messages.collect();
    client.ok("UNSELECT");
    messages
}
