//! A program that changes a Maildir++ tree with nothing but file operations, and asks nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pillarbox_tests::random::Random;

/// The octets of a message, which say which one it is, as IMAP gives them.
pub(crate) fn text(number: u64) -> String {
    let line = format!("This is {number}.\r\n");
    let lines = usize::try_from(number % 40).unwrap();
    format!(
        "From: ann@example.org\r\nSubject: {number}\r\n\r\n{}",
        line.repeat(lines + 1)
    )
}

/// The number of the message with these octets.
///
/// # Panics
/// If they are not the octets of any message.
pub(crate) fn number(octets: &str) -> u64 {
    // The mark of mbsync on what it copies.
    let unmarked = octets.split_inclusive("\r\n");
    let unmarked = unmarked.filter(|line| !line.starts_with("X-TUID: "));
    let octets: String = unmarked.collect();
    let (_, rest) = octets.split_once("Subject: ").expect(&octets);
    let (number, _) = rest.split_once('\r').expect(&octets);
    let number = number.parse().expect(&octets);
    assert_eq!(octets, text(number), "these are no octets of {number}");
    number
}

/// A message and its flags, as letters.
pub(crate) type Message = (u64, String);

/// One mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
}

impl Disk {
    /// The mailbox in this directory.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Makes it, if it is not there.
    pub(crate) fn make(&self) {
        for name in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.directory.join(name)).unwrap();
        }
    }

    /// Delivers a message into `new/`, or, if it has flags, into `cur/`; false if there is no such
    /// mailbox.
    pub(crate) fn deliver(&self, number: u64, letters: Option<&str>) -> bool {
        let name = format!("{}.M{number}P7.other", 1_700_000_000 + number);
        let text = text(number);
        // Every other one has bare line feeds.
        let octets = if number.is_multiple_of(2) {
            text.replace('\r', "")
        } else {
            text
        };
        let temporary = self.directory.join("tmp").join(&name);
        let target = match letters {
            None => self.directory.join("new").join(&name),
            Some(letters) => self.directory.join(format!("cur/{name}:2,{letters}")),
        };
        fs::write(&temporary, octets)
            .and_then(|()| fs::rename(temporary, target))
            .is_ok()
    }

    /// The paths of all messages.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        ["new", "cur"]
            .iter()
            .filter_map(|name| fs::read_dir(self.directory.join(name)).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect()
    }

    /// All messages in order. Only right while nothing changes.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let mut found: Vec<Message> = self
            .files()
            .iter()
            .map(|path| {
                let octets = fs::read_to_string(path).unwrap();
                let octets = octets.replace("\r\n", "\n").replace('\n', "\r\n");
                (number(&octets), letters(path))
            })
            .collect();
        found.sort();
        found
    }

    /// Does something to some file; what is no longer there is let be.
    pub(crate) fn meddle(&self, random: &mut Random, limbo: &Path) {
        let files = self.files();
        if files.is_empty() {
            return;
        }
        let file = random.pick(&files);
        let name = file.file_name().unwrap().to_str().unwrap();
        let base = name.split(':').next().unwrap();
        let letters = random.pick(&["", "S", "FS", "RS", "F", "DS", "ST"]);
        // Others were faster: that is what this is about.
        drop(match random.below(6) {
            0 => fs::remove_file(file),
            1 => fs::rename(file, limbo.join(name)),
            _ => fs::rename(file, self.directory.join(format!("cur/{base}:2,{letters}"))),
        });
    }

    /// Brings a file back that was taken away, under the name that it had.
    pub(crate) fn bring_back(&self, random: &mut Random, limbo: &Path) {
        let files: Vec<PathBuf> = fs::read_dir(limbo)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        if !files.is_empty() {
            let file = random.pick(&files);
            let back = self.directory.join("cur").join(file.file_name().unwrap());
            fs::rename(file, back).unwrap();
        }
    }
}

/// The flags in a file's name that IMAP knows, in order.
fn letters(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
    let known: BTreeSet<char> = letters
        .chars()
        .filter(|letter| "DFRST".contains(*letter))
        .collect();
    known.into_iter().collect()
}
