//! curl, whose user keeps UIDVALIDITY and HIGHESTMODSEQ and gives the commands.

use std::fs;
use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, output, run};

use crate::second::{Changes, PASSWORD, Second, USER, View, fetched};

/// Few: Debian's curl 7.88.1 gives up on more than some fifty lines, with `Too large response headers`.
const MESSAGES: u32 = 30;

/// What curl's user keeps.
#[derive(Clone, Copy)]
struct Kept {
    uid_validity: u32,
    mod_seq: u64,
}

struct Curl {
    url: String,
    ca: String,
}

impl Curl {
    fn new(server: &Binary) -> Self {
        Self {
            url: format!("imaps://localhost:{}", server.imaps.port()),
            ca: server.ca().display().to_string(),
        }
    }

    /// Commands after each other on one connection; gives what the server says without being asked.
    fn commands(&self, commands: &[&str]) -> String {
        let mut curl = Command::new("curl");
        for (index, command) in commands.iter().enumerate() {
            if index > 0 {
                curl.arg("--next");
            }
            self.arguments(&mut curl);
            curl.args([&format!("{}/", self.url), "-X", command]);
        }
        String::from_utf8(run(&mut curl).stdout).unwrap()
    }

    fn arguments(&self, curl: &mut Command) {
        curl.args(["--silent", "--show-error", "--max-time", "60"])
            .args(["--cacert", &self.ca])
            .args(["--user", &format!("{USER}:{PASSWORD}")]);
    }

    /// curl for the mailbox under its UIDVALIDITY, and what follows in the URL.
    fn mailbox(&self, uid_validity: u32, rest: &str) -> Command {
        let mut curl = Command::new("curl");
        self.arguments(&mut curl);
        curl.arg(format!(
            "{}/INBOX;UIDVALIDITY={uid_validity}{rest}",
            self.url
        ));
        curl
    }
}

/// What SELECT tells to keep.
fn kept(selected: &str) -> Kept {
    let number = |name: &str| {
        let (_, rest) = selected.split_once(&format!("[{name} ")).unwrap();
        rest.split(']').next().unwrap().parse().unwrap()
    };
    Kept {
        uid_validity: u32::try_from(number("UIDVALIDITY")).unwrap(),
        mod_seq: number("HIGHESTMODSEQ"),
    }
}

/// What SELECT with QRESYNC tells of changes to somebody who had seen this.
fn changes(selected: &str, before: &View) -> Changes {
    let mut changes = Changes::default();
    for line in selected.lines() {
        if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
            for range in set.split(',') {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                let range = first.parse::<u32>().unwrap()..=last.parse().unwrap();
                changes.gone.extend(range);
            }
        } else if let Some((uid, flags)) = fetched(line) {
            let known = before.contains_key(&uid);
            let changed = if known {
                &mut changes.flagged
            } else {
                &mut changes.arrived
            };
            assert_eq!(changed.insert(uid, flags), None, "{line} twice");
        }
    }
    changes
}

#[test]
fn curl_resynchronises() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let mut second = Second::new(&server, MESSAGES);
    let curl = Curl::new(&server);
    let mut known = kept(&curl.commands(&["ENABLE QRESYNC", "SELECT INBOX"]));
    let everything = run(curl
        .mailbox(known.uid_validity, "")
        .args(["-X", "UID FETCH 1:* (FLAGS)"]))
    .stdout;
    let everything = String::from_utf8(everything).unwrap();
    let view: View = everything.lines().filter_map(fetched).collect();
    assert_eq!(view, *second.view());

    for _ in 0..2 {
        let before = second.view().clone();
        let done = second.change();
        let select = format!(
            "SELECT INBOX (QRESYNC ({} {}))",
            known.uid_validity, known.mod_seq
        );
        let selected = curl.commands(&["ENABLE QRESYNC", &select]);
        assert_eq!(changes(&selected, &before), done, "{selected}");
        known = kept(&selected);

        // By its URL a message is what it was, under this UIDVALIDITY and no other.
        let uid = *done.arrived.keys().next().unwrap();
        let fetch = format!(";UID={uid}");
        let message = run(&mut curl.mailbox(known.uid_validity, &fetch)).stdout;
        let message = String::from_utf8(message).unwrap();
        assert!(message.contains(&format!("Subject: message {uid}\r\n")));
        let other = output(&mut curl.mailbox(known.uid_validity + 1, &fetch));
        assert!(!other.status.success());
    }

    // What was known of another mailbox is not brought up to date.
    let select = format!("SELECT INBOX (QRESYNC ({} 1))", known.uid_validity + 1);
    let selected = curl.commands(&["ENABLE QRESYNC", &select]);
    assert_eq!(changes(&selected, second.view()), Changes::default());

    // The other way round: what curl puts there is there for the second client.
    let message = server.dir().join("message.eml");
    fs::write(&message, "Subject: from curl\r\n\r\nA line.\r\n").unwrap();
    let mut upload = Command::new("curl");
    curl.arguments(&mut upload);
    run(upload
        .arg("-T")
        .arg(&message)
        .arg(format!("{}/INBOX", curl.url)));
    let last = *second.view().keys().last().unwrap();
    assert!(second.sees(last + 1, "\\Seen"), "curl appends as \\Seen");
}
