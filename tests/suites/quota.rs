//! Quotas with everybody who has a part in them: Dovecot with its quota on the same tree, real
//! clients, and a server that is killed.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "quota/clients.rs"]
mod clients;
#[path = "quota/dovecot.rs"]
mod dovecot;
#[path = "quota/killed.rs"]
mod killed;

use std::fs;
use std::path::Path;

use pillarbox_tests::client::Client;

/// Messages, and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    messages: u64,
    octets: u64,
}

impl Usage {
    /// What the files of an account come to.
    fn on_disk(root: &Path) -> Self {
        let mut usage = Self::default();
        let entries = fs::read_dir(root).unwrap();
        let mailboxes = entries.map(|entry| entry.unwrap().path()).filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with('.') && !name.starts_with("..")
        });
        for directory in mailboxes.chain([root.to_owned()]) {
            for place in ["new", "cur"] {
                for file in fs::read_dir(directory.join(place)).unwrap() {
                    usage.messages += 1;
                    usage.octets += file.unwrap().metadata().unwrap().len();
                }
            }
        }
        usage
    }

    /// What the lines of `maildirsize` come to.
    fn of_maildirsize(root: &Path) -> Self {
        let text = fs::read_to_string(root.join("maildirsize")).unwrap();
        let (mut messages, mut octets) = (0i64, 0i64);
        for line in text.lines().skip(1) {
            let numbers = line.split_whitespace().map(|number| number.parse::<i64>());
            let numbers: Vec<i64> = numbers.map(Result::unwrap).collect();
            octets += numbers[0];
            messages += numbers[1];
        }
        Self {
            messages: messages.try_into().unwrap(),
            octets: octets.try_into().unwrap(),
        }
    }
}

/// What a server tells of INBOX: the usage of storage, in its units, and of messages.
fn told(client: &mut Client) -> [u64; 2] {
    let answer = client.ok("GETQUOTAROOT INBOX");
    let line = answer.lines().find(|line| line.starts_with("* QUOTA "));
    let line = line.unwrap_or_else(|| panic!("{answer}"));
    let words: Vec<&str> = line.split([' ', '(', ')']).collect();
    ["STORAGE", "MESSAGE"].map(|resource| {
        let at = words.iter().position(|word| *word == resource).unwrap();
        words[at + 1].parse().unwrap()
    })
}
