//! SCRAM by the two libraries that mail programs have it from: GNU SASL, as `gsasl` and in mpop, and
//! Cyrus SASL, in mbsync.

use std::fs;
use std::process::{Command, Stdio};

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, run};

use crate::{PASSWORD, USER, account, hard_messages, messages};

/// Logs in with `mechanism` over STARTTLS, and gives what was said.
fn gsasl(server: &Binary, mechanism: &str, password: &str, more: &[&str]) -> (bool, String) {
    let output = Command::new("timeout")
        .args(["60", "gsasl", "--imap", "--mechanism", mechanism])
        .args(["--authentication-id", USER, "--password", password])
        .arg(format!("--connect=localhost:{}", server.imap.port()))
        .arg(format!("--x509-ca-file={}", server.ca().display()))
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn gsasl_logs_in_with_every_mechanism() {
    if !have("gsasl") {
        return;
    }
    let server = Binary::dev().unwrap();
    for (mechanism, more) in [
        ("SCRAM-SHA-256-PLUS", &[][..]),
        ("SCRAM-SHA-256", &["--no-cb"]),
        ("PLAIN", &[]),
        ("LOGIN", &[]),
    ] {
        let (done, said) = gsasl(&server, mechanism, PASSWORD, more);
        assert!(done, "{mechanism}: {said}");
        assert!(said.contains("] Logged in"), "{mechanism}: {said}");
        if mechanism.starts_with("SCRAM") {
            assert!(said.contains("(server trusted)"), "{mechanism}: {said}");
        }
    }
    let (done, said) = gsasl(&server, "SCRAM-SHA-256-PLUS", "wrong", &[]);
    assert!(
        !done && said.contains("NO [AUTHENTICATIONFAILED]"),
        "{said}"
    );
    // By setting only.
    let (done, said) = gsasl(&server, "SCRAM-SHA-1", PASSWORD, &[]);
    assert!(!done && said.contains("NO [CANNOT]"), "{said}");
}

#[test]
fn mpop_fetches_with_scram() {
    if !have("mpop") {
        return;
    }
    let server = Binary::dev().unwrap();
    let maildir = account(&server, USER);
    let home = server.dir().join("mpop");
    let target = home.join("out");
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(target.join(part)).unwrap();
    }
    run(Command::new("mpop")
        .args(["--host=localhost", "--auth=scram-sha-256", "--keep=on"])
        .args(["--tls=on", "--tls-starttls=off", "--received-header=off"])
        .arg(format!("--port={}", server.pop3s.port()))
        .arg(format!("--user={USER}"))
        .arg(format!("--passwordeval=echo {PASSWORD}"))
        .arg(format!("--tls-trust-file={}", server.ca().display()))
        .arg(format!("--delivery=maildir,{}", target.display()))
        .arg(format!("--uidls-file={}", home.join("uidls").display()))
        .env("HOME", &home));
    let fetched = messages(&target, &[]);
    assert!(fetched.len() >= hard_messages().len());
    assert_eq!(fetched, messages(&maildir, &[]));
}

#[test]
fn mbsync_synchronizes_with_scram() {
    if !have("mbsync") {
        return;
    }
    let server = Binary::dev().unwrap();
    let maildir = account(&server, USER);
    let near = server.dir().join("near");
    fs::create_dir_all(&near).unwrap();
    let config = server.dir().join("mbsyncrc");
    let (port, ca, near) = (server.imaps.port(), server.ca(), near.display());
    let text = format!(
        "IMAPStore far\nHost localhost\nPort {port}\nSSLType IMAPS\nCertificateFile {}\n\
         User {USER}\nPass {PASSWORD}\nAuthMechs SCRAM-SHA-256\n\n\
         MaildirStore near\nPath {near}/\nInbox {near}/INBOX\n\n\
         Channel all\nFar :far:\nNear :near:\nCreate Near\nSyncState *\n",
        ca.display()
    );
    fs::write(&config, text).unwrap();
    run(Command::new("mbsync").arg("-c").arg(&config).arg("all"));
    let fetched = messages(&server.dir().join("near/INBOX"), &["X-TUID"]);
    assert_eq!(fetched, messages(&maildir, &[]));
}
