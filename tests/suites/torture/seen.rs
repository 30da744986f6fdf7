//! What a server has, read over IMAP.

use std::collections::BTreeMap;

use pillarbox_tests::serve::Serve;

use crate::{Flags, message};
use pillarbox_tests::client::Client;
use pillarbox_tests::random::Random;

/// A mailbox as it is served.
#[derive(Debug)]
pub(crate) struct SeenMailbox {
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) messages: Vec<SeenMessage>,
}

/// A message as it is served.
#[derive(Clone, Debug)]
pub(crate) struct SeenMessage {
    pub(crate) uid: u32,
    pub(crate) flags: Flags,
    pub(crate) number: u64,
}

/// Everything that a user has, by the names of the mailboxes. Every byte of every message is
/// compared with what it must be.
pub(crate) fn all(
    server: &Serve,
    user: &str,
    random: &mut Random,
) -> BTreeMap<String, SeenMailbox> {
    let mut client = Client::imap(server, user);
    let list = client.ok("LIST \"\" *");
    let mut found = BTreeMap::new();
    for line in list.lines().filter(|line| line.starts_with("* LIST ")) {
        if line.contains("\\Noselect") || line.contains("\\NonExistent") {
            continue;
        }
        let name = line
            .rsplit(' ')
            .next()
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let seen = mailbox(&mut client, &name, random);
        assert!(found.insert(name, seen).is_none(), "{list}");
    }
    found
}

fn mailbox(client: &mut Client, name: &str, random: &mut Random) -> SeenMailbox {
    let command = *random.pick(&["SELECT", "EXAMINE"]);
    let answer = client.ok(&format!("{command} {name}"));
    let number = |before: &str| -> u32 {
        let (_, rest) = answer
            .split_once(before)
            .unwrap_or_else(|| panic!("{answer}"));
        rest.split(']').next().unwrap().parse().unwrap()
    };
    let (uid_validity, uid_next) = (number("[UIDVALIDITY "), number("[UIDNEXT "));
    let exists = answer.lines().find_map(|line| line.strip_suffix(" EXISTS"));
    let exists: usize = exists.unwrap().trim_start_matches("* ").parse().unwrap();
    let mut answers = client.command("UID FETCH 1:* (UID FLAGS BODY.PEEK[])");
    let completion = answers.pop().unwrap();
    let completion = String::from_utf8_lossy(&completion).into_owned();
    assert!(completion.contains(" OK "), "{name}: {completion}");
    let messages: Vec<SeenMessage> = answers.iter().map(|answer| seen_message(answer)).collect();
    assert_eq!(messages.len(), exists, "{name}");
    SeenMailbox {
        uid_validity,
        uid_next,
        messages,
    }
}

fn seen_message(answer: &[u8]) -> SeenMessage {
    let end = answer.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let after = |word: &str| head.split_once(word).unwrap_or_else(|| panic!("{head}")).1;
    let uid = after("UID ").split([' ', ')']).next().unwrap();
    let flags = after("FLAGS (").split(')').next().unwrap();
    let body = &answer[end + 2..];
    let body = body.strip_suffix(b")\r\n").unwrap_or(body);
    let number = message::number(body).unwrap_or_else(|| panic!("altered: {head}"));
    // Not by assert_eq: the bytes would fill the screen.
    assert!(
        body == message::bytes(number),
        "message {number} is altered: {head}"
    );
    let flags = flags
        .split(' ')
        .filter(|flag| !flag.is_empty() && *flag != "\\Recent");
    SeenMessage {
        uid: uid.parse().unwrap(),
        flags: flags.map(str::to_owned).collect(),
        number,
    }
}
