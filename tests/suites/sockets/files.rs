//! Names that climb, and Maildirs that were made by an enemy (S34, S36).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::client::{Client, serve, timed};
use pillarbox_tests::serve::{Serve, Setup};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Every path below a directory, without looking behind symbolic links.
fn tree(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        found.insert(entry.path());
        if entry.file_type().unwrap().is_dir() {
            tree(&entry.path(), found);
        }
    }
}

#[test]
fn s34_a_mailbox_name_never_leaves_its_account() {
    let server = Serve::start(&Setup {
        users: ["u1", "u10"].map(str::to_owned).to_vec(),
        ..Setup::default()
    })
    .unwrap();
    let mut owner = Client::imap(&server, "u10");
    owner.ok("CREATE Secret");
    owner.ok("APPEND Secret {19+}\r\nSubject: Geheimnis\r\n");
    let mut before = BTreeSet::new();
    tree(server.dir(), &mut before);
    let mut client = Client::imap(&server, "u1");
    let target = server.maildir("u10");
    let names = [
        "../u10".to_owned(),
        "../u10/.Secret".to_owned(),
        "../u10/Secret".to_owned(),
        "INBOX/../../u10".to_owned(),
        "x/../../u10/.Secret".to_owned(),
        "0".to_owned(),
        "0/.Secret".to_owned(),
        "..".to_owned(),
        ".".to_owned(),
        "...".to_owned(),
        "../../../../../../tmp/climbed".to_owned(),
        "/tmp/climbed".to_owned(),
        "~/climbed".to_owned(),
        "~root/climbed".to_owned(),
        "~u10/Secret".to_owned(),
        "&AC4ALgAv-u10".to_owned(),
        "..&AC8-u10".to_owned(),
        "%2e%2e/u10".to_owned(),
        "cur/../../u10".to_owned(),
        "./cur".to_owned(),
        target.to_str().unwrap().to_owned(),
        format!("{}/.Secret", target.display()),
    ];
    for name in &names {
        for command in [
            format!("CREATE \"{name}\""),
            format!("SELECT \"{name}\""),
            format!("EXAMINE \"{name}\""),
            format!("STATUS \"{name}\" (MESSAGES UIDNEXT)"),
            format!("SUBSCRIBE \"{name}\""),
            format!("APPEND \"{name}\" {{14+}}\r\nSubject: own\r\n"),
            format!("LIST \"{name}\" *"),
            format!("LIST \"{name}/\" %"),
            format!("LIST \"\" \"{name}*\""),
            format!("LSUB \"{name}\" *"),
            "SELECT INBOX".to_owned(),
            format!("COPY 1 \"{name}\""),
            format!("RENAME INBOX \"{name}\""),
            format!("RENAME \"{name}\" Taken"),
            format!("DELETE \"{name}\""),
            format!("UNSUBSCRIBE \"{name}\""),
        ] {
            let answer = client.command(&command).concat();
            let answer = String::from_utf8_lossy(&answer);
            assert!(!answer.contains("Secret\"\r\n* "), "{command}: {answer}");
            assert!(!answer.contains("Geheimnis"), "{command}: {answer}");
        }
        client.command("DELETE Taken");
    }
    let mut after = BTreeSet::new();
    tree(server.dir(), &mut after);
    let own = server.maildir("u1");
    for path in after.symmetric_difference(&before) {
        assert!(path.starts_with(&own), "{}", path.display());
    }
    assert!(!Path::new("/tmp/climbed").exists());
    assert!(owner.ok("STATUS Secret (MESSAGES)").contains("MESSAGES 1"));
}

#[test]
fn s36_hostile_files_are_skipped() {
    let server = serve("");
    let maildir = server.maildir("ann");
    deliver_files(&maildir, [b"Subject: good\n\nbody\n".to_vec()]).unwrap();
    let outside = server.dir().join("outside");
    fs::write(&outside, "Subject: stolen\n\n").unwrap();
    for directory in ["new", "cur"] {
        let within = |name: &str| maildir.join(directory).join(name);
        mknodat(
            CWD,
            within("1700000001.fifo"),
            FileType::Fifo,
            Mode::from(0o600),
            0,
        )
        .unwrap();
        symlink(&outside, within("1700000002.link")).unwrap();
        symlink("/dev/zero", within("1700000003.endless")).unwrap();
        symlink("/nowhere", within("1700000004.dangling")).unwrap();
        fs::create_dir(within("1700000005.directory")).unwrap();
    }
    // The sizes in this name are wrong, and its flags are none.
    fs::write(
        maildir.join("cur/1700000006.sizes,S=4000000000,W=1:2,S\x01Z"),
        "Subject: sizes\n\n",
    )
    .unwrap();
    fs::create_dir_all(server.dir().join("elsewhere/cur")).unwrap();
    symlink(server.dir().join("elsewhere"), maildir.join(".Link")).unwrap();
    mknodat(
        CWD,
        maildir.join(".Pipe"),
        FileType::Fifo,
        Mode::from(0o600),
        0,
    )
    .unwrap();

    let ((), time) = timed(|| {
        let mut client = Client::imap(&server, "ann");
        client.ok("SELECT INBOX");
        let answer = client.ok("UID FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])");
        assert!(answer.contains("Subject: good"), "{answer}");
        assert!(answer.contains("Subject: sizes"), "{answer}");
        assert!(answer.contains("RFC822.SIZE 18 "), "{answer}");
        assert!(!answer.contains("stolen"), "{answer}");
        let search = client.ok("SEARCH TEXT stolen");
        assert!(search.starts_with("* SEARCH\r\n"), "{search}");
        let list = client.ok("LIST \"\" *");
        assert!(!list.contains("Link") && !list.contains("Pipe"), "{list}");
        client.ok("STORE 1:* +FLAGS (\\Flagged)");
        client.ok("CREATE Copies");
        client.ok("UID COPY 1:* Copies");
        client.ok("NOOP");
        let mut pop3 = Client::pop3(&server, "ann");
        let stat = pop3.ask("STAT");
        assert!(stat.starts_with("+OK 2 "), "{stat}");
    });
    assert!(time < Duration::from_secs(10), "{time:?}");
    assert_eq!(fs::read(&outside).unwrap(), b"Subject: stolen\n\n");
    assert!(!server.log().contains("panicked"), "{}", server.log());
}
