//! Real mail clients against the real binary.
//!
//! A client that is not installed skips its test loudly, or fails it if
//! `PILLARBOX_REQUIRE_CLIENTS` is set, as it is in `.ci/run`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "clients/curl.rs"]
mod curl;
#[path = "clients/fetchers.rs"]
mod fetchers;
#[path = "clients/mbsync.rs"]
mod mbsync;
#[path = "clients/openssl.rs"]
mod openssl;
#[path = "clients/sasl.rs"]
mod sasl;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_tests::binary::{Binary, deliver_files};
use pillarbox_tests::program::{have, run};

const USER: &str = "demo@localhost";
const PASSWORD: &str = "demo";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("suites/clients")
        .join(name)
}

/// A message in CRLF form.
fn crlf(message: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(message.len());
    for (index, byte) in message.iter().enumerate() {
        if *byte == b'\n' && (index == 0 || message[index - 1] != b'\r') {
            converted.push(b'\r');
        }
        converted.push(*byte);
    }
    converted
}

/// The messages of one Maildir (not its subfolders) in CRLF form, sorted, without the headers that
/// the reading program adds.
fn messages(maildir: &Path, added: &[&str]) -> Vec<Vec<u8>> {
    let mut found: Vec<Vec<u8>> = ["cur", "new"]
        .iter()
        .filter_map(|part| fs::read_dir(maildir.join(part)).ok())
        .flatten()
        .map(|entry| without_headers(&crlf(&fs::read(entry.unwrap().path()).unwrap()), added))
        .collect();
    found.sort();
    found
}

fn without_headers(message: &[u8], names: &[&str]) -> Vec<u8> {
    let end = message
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .map_or(message.len(), |at| at + 2);
    let mut kept = Vec::new();
    let mut dropping = false;
    for line in message[..end].split_inclusive(|byte| *byte == b'\n') {
        let folded = line.first().is_some_and(|byte| b" \t".contains(byte));
        if !folded {
            let name = line.split(|byte| *byte == b':').next().unwrap();
            dropping = names
                .iter()
                .any(|known| known.as_bytes().eq_ignore_ascii_case(name));
        }
        if !dropping {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(&message[end..]);
    kept
}

/// Messages that are hard to carry: dots, long lines, 8-bit, no newline at the end, CRLF ends.
fn hard_messages() -> Vec<Vec<u8>> {
    let head = |number: usize| {
        format!(
            "From: Anna <anna@example.org>\nTo: ben@example.org\nSubject: message {number}\n\
             Date: Tue, 14 Nov 2023 12:00:00 +0000\nMessage-ID: <{number}@example.org>\n"
        )
    };
    let bodies: [Vec<u8>; 8] = [
        b"\nplain\n".to_vec(),
        b"\n.\n..\n.dot\nmiddle\n.\n".to_vec(),
        b"\n.starts with a dot\n".to_vec(),
        b"\n".to_vec(),
        "\nGr\u{fc}\u{df}e, \u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}\n"
            .as_bytes()
            .to_vec(),
        [b"\n".to_vec(), vec![b'x'; 900], b"\n".to_vec()].concat(),
        b"\nFrom the start of a line\n>From again\n".to_vec(),
        [b"\n".to_vec(), b"0123456789abcdef\n".repeat(20_000)].concat(),
    ];
    (0..)
        .zip(bodies)
        .map(|(number, body)| [head(number).into_bytes(), body].concat())
        .collect()
}

/// A new account with [`hard_messages`] in its INBOX, delivered as files.
fn account(server: &Binary, user: &str) -> PathBuf {
    let maildir = server.maildir(user);
    deliver_files(&maildir, hard_messages()).unwrap();
    maildir
}

#[test]
fn python_imaplib() {
    if !have("python3") {
        return;
    }
    let server = Binary::dev().unwrap();
    run(Command::new("python3").arg(script("imap.py")).args([
        "localhost",
        &server.imap.port().to_string(),
        &server.imaps.port().to_string(),
        server.ca().to_str().unwrap(),
        USER,
        PASSWORD,
    ]));
}

#[test]
fn python_poplib() {
    if !have("python3") {
        return;
    }
    let server = Binary::dev().unwrap();
    let maildir = account(&server, "python@localhost");
    run(Command::new("python3").arg(script("pop.py")).args([
        "localhost",
        &server.pop3.port().to_string(),
        &server.pop3s.port().to_string(),
        server.ca().to_str().unwrap(),
        "python@localhost",
        "secret",
        maildir.to_str().unwrap(),
    ]));
}
