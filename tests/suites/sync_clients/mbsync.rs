//! mbsync, whose Maildir and notes are what it knows while it is away.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, run};

use crate::second::{PASSWORD, Second, USER, View};

/// Synchronises INBOX, and gives what it says of its connection.
fn sync(rc: &Path) -> String {
    let output = run(Command::new("mbsync")
        .arg("-Dn")
        .arg("-c")
        .arg(rc)
        .arg("-a"));
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// The messages of a Maildir by what is in their subjects, with the letters of their flags.
fn near(maildir: &Path) -> BTreeMap<u32, String> {
    ["cur", "new"]
        .iter()
        .flat_map(|part| fs::read_dir(maildir.join(part)).unwrap())
        .map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            let (_, rest) = text.split_once("Subject: message ").unwrap();
            let number = rest.lines().next().unwrap().parse().unwrap();
            let name = entry.file_name().into_string().unwrap();
            let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
            (number, letters.to_owned())
        })
        .collect()
}

/// The same for the view of the second client. mbsync has no keywords, and removes what is \Deleted.
fn far(view: &View) -> BTreeMap<u32, String> {
    let kept = view
        .iter()
        .filter(|(_, flags)| !flags.contains("\\Deleted"));
    kept.map(|(&uid, flags)| {
        let letters = [("\\Flagged", 'F'), ("\\Seen", 'S')];
        let has = letters.iter().filter(|(flag, _)| flags.contains(*flag));
        (uid, has.map(|(_, letter)| *letter).collect())
    })
    .collect()
}

/// Makes a message flagged, as a local mail program does.
fn flag(maildir: &Path, number: u32) {
    let has = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        text.contains(&format!("Subject: message {number}\n"))
            || text.contains(&format!("Subject: message {number}\r\n"))
    };
    let files = ["cur", "new"]
        .iter()
        .flat_map(|part| fs::read_dir(maildir.join(part)).unwrap())
        .map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(has).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let base = name.rsplit_once(":2,").map_or(name, |(base, _)| base);
    fs::rename(&file, maildir.join("cur").join(format!("{base}:2,F"))).unwrap();
}

#[test]
fn mbsync_keeps_in_step() {
    if !have("mbsync") {
        return;
    }
    let server = Binary::dev().unwrap();
    let mut second = Second::new(&server, super::MESSAGES);
    let home = server.dir().join("near");
    let maildir = home.join("INBOX");
    fs::create_dir(&home).unwrap();
    let rc = home.join("rc");
    let text = format!(
        "FSync no\n\nIMAPAccount far\nHost localhost\nPort {port}\nUser {USER}\nPass {PASSWORD}\n\
         SSLType IMAPS\nCertificateFile {ca}\n\nIMAPStore far\nAccount far\n\n\
         MaildirStore near\nPath {near}/\nInbox {near}/INBOX\n\n\
         Channel all\nFar :far:\nNear :near:\nCreate Near\nExpunge Near\nSync All\nSyncState *\n",
        port = server.imaps.port(),
        ca = server.ca().display(),
        near = home.display(),
    );
    fs::write(&rc, text).unwrap();
    sync(&rc);
    assert_eq!(near(&maildir), far(second.view()));

    for _ in 0..2 {
        let changes = second.change();
        let said = sync(&rc);
        assert_eq!(near(&maildir), far(second.view()), "{said}");
        let fetched = said.matches("BODY[] {").count();
        assert_eq!(fetched, changes.arrived.len(), "{said}");
    }
    // The other way round, and then there is nothing left to do.
    let uid = *second.view().keys().last().unwrap();
    flag(&maildir, uid);
    sync(&rc);
    assert!(second.sees(uid, "\\Flagged"), "{uid}");
    let said = sync(&rc);
    assert!(
        !said.contains("BODY[] {") && !said.contains(" STORE "),
        "{said}"
    );
}
