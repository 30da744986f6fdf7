//! Real mail clients against the real binary.
//!
//! A client that is not installed skips its test loudly, or fails it if
//! `PILLARBOX_REQUIRE_CLIENTS` is set, as it is in `.ci/run`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

fn curl(server: &Binary) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--max-time", "60"])
        .arg("--cacert")
        .arg(server.ca())
        .args(["--user", &format!("{USER}:{PASSWORD}")]);
    command
}

#[test]
fn curl_over_imap() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let message = server.dir().join("message.eml");
    let content = crlf(&hard_messages()[1]);
    fs::write(&message, &content).unwrap();
    let clear = format!("imap://localhost:{}", server.imap.port());
    let tls = format!("imaps://localhost:{}", server.imaps.port());
    for (url, upgrade) in [(&clear, false), (&clear, true), (&tls, false)] {
        let client = || {
            let mut command = curl(&server);
            if upgrade {
                command.arg("--ssl-reqd");
            }
            command
        };
        let listing = run(client().arg(format!("{url}/"))).stdout;
        assert!(
            String::from_utf8_lossy(&listing).contains("INBOX"),
            "{listing:?}"
        );
        let mailbox = format!("curl{}{}", upgrade, url.starts_with("imaps"));
        run(client()
            .arg(format!("{url}/"))
            .args(["-X", &format!("CREATE {mailbox}")]));
        run(client()
            .arg("-T")
            .arg(&message)
            .arg(format!("{url}/{mailbox}")));
        let fetched = run(client().arg(format!("{url}/{mailbox};UID=1"))).stdout;
        assert_eq!(fetched, content);
        let header = run(client().arg(format!("{url}/{mailbox};UID=1;SECTION=HEADER"))).stdout;
        assert!(content.starts_with(&header) && header.ends_with(b"\r\n\r\n"));
        let found = run(client().arg(format!("{url}/{mailbox}?SUBJECT%20message"))).stdout;
        assert_eq!(String::from_utf8_lossy(&found).trim(), "* SEARCH 1");
    }
}

#[test]
fn curl_over_pop3() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let expected = messages(&account(&server, "curl@localhost"), &[]);
    let clear = format!("pop3://localhost:{}", server.pop3.port());
    let tls = format!("pop3s://localhost:{}", server.pop3s.port());
    for (url, upgrade) in [(&clear, false), (&clear, true), (&tls, false)] {
        let client = || {
            let mut command = curl(&server);
            command.args(["--user", "curl@localhost:secret"]);
            if upgrade {
                command.arg("--ssl-reqd");
            }
            command
        };
        let listing = run(client().arg(format!("{url}/"))).stdout;
        assert_eq!(
            String::from_utf8_lossy(&listing).lines().count(),
            expected.len()
        );
        let mut fetched: Vec<Vec<u8>> = (1..=expected.len())
            .map(|number| run(client().arg(format!("{url}/{number}"))).stdout)
            .collect();
        fetched.sort();
        assert_eq!(fetched, expected);
    }
}

#[test]
fn openssl_s_client() {
    if !have("openssl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let connections = [
        (server.imaps, None, "a LOGOUT\r\n", "* BYE"),
        (server.pop3s, None, "QUIT\r\n", "+OK"),
        (server.imap, Some("imap"), "a LOGOUT\r\n", "* BYE"),
        (server.pop3, Some("pop3"), "QUIT\r\n", "+OK"),
    ];
    for (address, upgrade, goodbye, answer) in connections {
        for version in ["-tls1_2", "-tls1_3"] {
            let mut command = Command::new("openssl");
            command
                .args([
                    "s_client",
                    "-connect",
                    &format!("localhost:{}", address.port()),
                ])
                .args([
                    "-verify_return_error",
                    "-verify_hostname",
                    "localhost",
                    version,
                ])
                .args(["-crlf", "-ign_eof", "-CAfile"])
                .arg(server.ca());
            if let Some(protocol) = upgrade {
                command.args(["-starttls", protocol]);
            }
            let output = run_with_input(&mut command, goodbye.trim_end());
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
            assert!(text.contains(answer), "{text}");
        }
    }
    let mut old = Command::new("openssl");
    old.args([
        "s_client",
        "-connect",
        &format!("localhost:{}", server.imaps.port()),
    ])
    .args(["-tls1_1", "-cipher", "ALL@SECLEVEL=0"]);
    let refused = old.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(!refused.status.success(), "TLS 1.1 was accepted");
}

fn run_with_input(command: &mut Command, line: &str) -> Output {
    use std::process::Stdio;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
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

#[test]
fn fetchmail_keeping_and_not_keeping() {
    if !have("fetchmail") {
        return;
    }
    let server = Binary::dev().unwrap();
    for (tls, port) in [(false, server.pop3.port()), (true, server.pop3s.port())] {
        let user = format!("fetchmail{tls}@localhost");
        let maildir = account(&server, &user);
        let count = hard_messages().len();
        let ssl = if tls {
            format!("ssl sslcertck sslcertfile {}", server.ca().display())
        } else {
            "sslproto ''".to_owned()
        };
        let fetch = |keep: &str| {
            let home = server.dir().join(format!("fetchmail-{tls}-{keep}"));
            let target = home.join("out");
            fs::create_dir_all(&target).unwrap();
            let rc = home.join("fetchmailrc");
            let text = format!(
                "set no bouncemail\npoll localhost service {port} protocol pop3 uidl\n  \
                 user \"{user}\" password secret {ssl} {keep} no rewrite no forcecr\n  \
                 mda \"cat > {}/$$\"\n",
                target.display()
            );
            fs::write(&rc, text).unwrap();
            set_mode(&rc, 0o600);
            let output = Command::new("fetchmail")
                .arg("--fetchmailrc")
                .arg(&rc)
                .arg("--idfile")
                .arg(home.join("ids"))
                .arg("--pidfile")
                .arg(home.join("pid"))
                .env("HOME", &home)
                .env("FETCHMAILHOME", &home)
                .output()
                .unwrap();
            let said =
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            (
                output.status.code(),
                fs::read_dir(&target).unwrap().count(),
                said,
            )
        };
        let (code, fetched, said) = fetch("keep");
        assert_eq!((code, fetched), (Some(0), count), "{said}");
        assert_eq!(
            messages(&maildir, &[]).len(),
            count,
            "fetchmail keep must not delete"
        );
        // The same again with its state: nothing is new (exit status 1).
        let (code, fetched, said) = fetch("keep");
        assert_eq!((code, fetched), (Some(1), count), "{said}");
        let (code, fetched, said) = fetch("nokeep");
        assert_eq!((code, fetched), (Some(0), count), "{said}");
        assert_eq!(
            messages(&maildir, &[]).len(),
            0,
            "fetchmail nokeep must delete"
        );
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// getmail refuses to deliver as root: then it runs as nobody, who owns its directory.
fn as_nobody<'a>(command: &'a mut Command, home: &Path) -> &'a mut Command {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    if fs::metadata(home).unwrap().uid() == 0 {
        run(Command::new("chown")
            .arg("-R")
            .arg(NOBODY.to_string())
            .arg(home));
    }
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir(home)
}

#[test]
fn getmail_keeping_and_not_keeping() {
    if !have("getmail") {
        return;
    }
    let server = Binary::dev().unwrap();
    let kinds = [
        ("SimplePOP3Retriever", server.pop3.port()),
        ("SimplePOP3SSLRetriever", server.pop3s.port()),
    ];
    for (retriever, port) in kinds {
        let user = format!("{}@localhost", retriever.to_lowercase());
        let maildir = account(&server, &user);
        let expected = messages(&maildir, &[]);
        let home = server.dir().join(retriever);
        let target = home.join("out");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(target.join(part)).unwrap();
        }
        set_mode(server.dir(), 0o755);
        let ca = home.join("ca.pem");
        fs::copy(server.ca(), &ca).unwrap();
        let get = |delete: bool| {
            let tls = if retriever.contains("SSL") {
                format!("ca_certs = {}\n", ca.display())
            } else {
                String::new()
            };
            let text = format!(
                "[retriever]\ntype = {retriever}\nserver = localhost\nport = {port}\nusername = {user}\n\
                 password = secret\n{tls}[destination]\ntype = Maildir\npath = {}/\n[options]\n\
                 delete = {delete}\nread_all = {delete}\ndelivered_to = false\nreceived = false\nverbose = 1\n",
                target.display()
            );
            fs::write(home.join("getmailrc"), text).unwrap();
            let mut getmail = Command::new("getmail");
            getmail.arg("--getmaildir").arg(&home).env("HOME", &home);
            run(as_nobody(&mut getmail, &home));
        };
        get(false);
        let stripped = ["Return-Path", "X-Getmail-Retrieved-From-Mailbox"];
        // getmail ends every message with a newline, whether or not there was one.
        assert_eq!(messages(&target, &stripped), expected);
        get(false);
        assert_eq!(
            messages(&target, &stripped).len(),
            expected.len(),
            "nothing was new"
        );
        get(true);
        assert_eq!(
            messages(&maildir, &[]).len(),
            0,
            "getmail delete must delete"
        );
    }
}

#[test]
fn mpop_fetches() {
    if !have("mpop") {
        return;
    }
    let server = Binary::dev().unwrap();
    for (starttls, port) in [("on", server.pop3.port()), ("off", server.pop3s.port())] {
        let user = format!("mpop-{starttls}@localhost");
        let maildir = account(&server, &user);
        let count = hard_messages().len();
        let home = server.dir().join(format!("mpop-{starttls}"));
        let target = home.join("out");
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(target.join(part)).unwrap();
        }
        let mpop = |keep: &str| {
            run(Command::new("mpop")
                .args([
                    "--host=localhost",
                    &format!("--port={port}"),
                    &format!("--user={user}"),
                ])
                .args([
                    "--auth=user",
                    "--passwordeval=echo secret",
                    "--tls=on",
                    "--received-header=off",
                ])
                .args([
                    format!("--tls-starttls={starttls}"),
                    format!("--keep={keep}"),
                ])
                .arg(format!("--tls-trust-file={}", server.ca().display()))
                .arg(format!("--delivery=maildir,{}", target.display()))
                .arg(format!("--uidls-file={}", home.join("uidls").display()))
                .env("HOME", &home))
        };
        mpop("on");
        assert_eq!(messages(&target, &[]), messages(&maildir, &[]));
        mpop("on");
        assert_eq!(messages(&target, &[]).len(), count, "nothing was new");
        mpop("off");
        assert_eq!(
            messages(&maildir, &[]).len(),
            0,
            "mpop must delete what it has"
        );
    }
}
