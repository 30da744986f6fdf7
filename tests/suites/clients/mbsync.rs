//! mbsync, which keeps folders the same here and there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_tests::binary::{Binary, deliver_files};
use pillarbox_tests::program::{have, run};

use crate::{account, crlf, hard_messages, messages, script, without_headers};

/// Ten thousand messages that arrived as files only come out byte for byte, through both protocols.
#[test]
fn ten_thousand_files_come_out_unchanged() {
    if !have("python3") || !have("mbsync") {
        return;
    }
    let server = Binary::dev().unwrap();
    let user = "many@localhost";
    let maildir = server.maildir(user);
    let numbered = (0..10_000usize).map(|number| {
        let mut message =
            format!("Subject: {number}\nMessage-ID: <{number}@many>\n\n").into_bytes();
        message.extend(b"line with some text\n.dot\n".repeat(number % 97));
        if number % 7 == 0 {
            message.extend_from_slice(b"no newline at the end");
        }
        if number % 5 == 0 {
            crlf(&message)
        } else {
            message
        }
    });
    deliver_files(&maildir, numbered).unwrap();
    let expected = messages(&maildir, &[]);
    assert_eq!(expected.len(), 10_000);

    let near = server.dir().join("near");
    let config = mbsync_config(&server, user, &near);
    run(Command::new("mbsync").arg("-c").arg(&config).arg("-a"));
    assert_eq!(messages(&near.join("INBOX"), &["X-TUID"]), expected);

    run(Command::new("python3").arg(script("fetch_all.py")).args([
        "localhost",
        &server.imap.port().to_string(),
        &server.pop3.port().to_string(),
        user,
        "secret",
        maildir.to_str().unwrap(),
    ]));
}

/// Writes a configuration that keeps every folder of `user` the same here and there.
fn mbsync_config(server: &Binary, user: &str, near: &Path) -> PathBuf {
    fs::create_dir_all(near).unwrap();
    let config = server.dir().join("mbsyncrc");
    let text = format!(
        "FSync no\n\nIMAPAccount far\nHost localhost\nPort {port}\nUser {user}\nPass secret\nSSLType IMAPS\n\
         CertificateFile {ca}\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount far\n\n\
         MaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\n\
         CopyArrivalDate yes\nSyncState *\n",
        port = server.imaps.port(),
        ca = server.ca().display(),
        near = near.display(),
    );
    fs::write(&config, text).unwrap();
    config
}

/// The flags in the file names of a Maildir, by message: its text, or how it begins and its length.
fn flags(maildir: &Path) -> BTreeMap<String, String> {
    ["cur", "new"]
        .iter()
        .filter_map(|part| fs::read_dir(maildir.join(part)).ok())
        .flatten()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let letters = name
                .rsplit_once(":2,")
                .map_or("", |(_, letters)| letters)
                .to_owned();
            let message = without_headers(&crlf(&fs::read(entry.path()).unwrap()), &["X-TUID"]);
            let start = String::from_utf8_lossy(&message[..message.len().min(300)]).into_owned();
            (format!("{start} ({} octets)", message.len()), letters)
        })
        .collect()
}

/// Puts a flag on, or removes, the first message of a Maildir, as a local mail program does.
fn change_first(maildir: &Path, letters: Option<&str>) {
    let mut files: Vec<PathBuf> = ["cur", "new"]
        .iter()
        .flat_map(|part| fs::read_dir(maildir.join(part)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let file = &files[0];
    match letters {
        None => fs::remove_file(file).unwrap(),
        Some(letters) => {
            let name = file.file_name().unwrap().to_str().unwrap();
            let base = name.rsplit_once(":2,").map_or(name, |(base, _)| base);
            fs::rename(
                file,
                maildir.join("cur").join(format!("{base}:2,{letters}")),
            )
            .unwrap();
        }
    }
}

#[test]
fn mbsync_both_ways() {
    if !have("mbsync") {
        return;
    }
    let server = Binary::dev().unwrap();
    let user = "sync@localhost";
    let far = account(&server, user);
    let near = server.dir().join("near");
    let config = mbsync_config(&server, user, &near);
    let sync = || run(Command::new("mbsync").arg("-c").arg(&config).arg("-a"));
    let folders = [
        ("INBOX", String::new()),
        ("Work", ".Work".into()),
        ("Work/2026", ".Work.2026".into()),
    ];

    // Folders and messages made on the near side appear on the far side, and the other way round.
    for (folder, _) in &folders[1..] {
        deliver_files(&near.join(folder), hard_messages()).unwrap();
    }
    sync();
    let agree = || {
        for (folder, directory) in &folders {
            assert_eq!(
                flags(&near.join(folder)),
                flags(&far.join(directory)),
                "{folder}"
            );
        }
    };
    agree();

    // Changes on both sides, then again.
    for round in ["S", "FS"] {
        change_first(&near.join("INBOX"), Some(round));
        change_first(&near.join("Work"), None);
        change_first(&far.join(".Work.2026"), Some(round));
        change_first(&far, None);
        deliver_files(
            &far.join(".Work"),
            [format!("Subject: far {round}\n\nfar\n").into_bytes()],
        )
        .unwrap();
        deliver_files(
            &near.join("Work/2026"),
            [format!("Subject: near {round}\n\nnear\n").into_bytes()],
        )
        .unwrap();
        sync();
        agree();
    }
    assert!(near.join("Work/2026").is_dir());
}
