//! Programs that fetch mail over POP3, and delete it or not.

use std::fs;
use std::path::Path;
use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, output, run};

use crate::{account, hard_messages, messages};

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
            let output = output(
                Command::new("fetchmail")
                    .arg("--fetchmailrc")
                    .arg(&rc)
                    .arg("--idfile")
                    .arg(home.join("ids"))
                    .arg("--pidfile")
                    .arg(home.join("pid"))
                    .env("HOME", &home)
                    .env("FETCHMAILHOME", &home),
            );
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
