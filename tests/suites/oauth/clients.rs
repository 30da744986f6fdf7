//! Real mail clients that log in with tokens: curl, IMAPClient, ImapFlow, mutt and neomutt.

use std::fs;
use std::path::Path;
use std::process::Command;

use pillarbox_tests::binary::deliver_files;
use pillarbox_tests::issuer::SigningKey;
use pillarbox_tests::program::{have, have_node_modules, have_python, in_terminal, output};
use pillarbox_tests::serve::Serve;

use crate::world::World;

/// A server with a message for ann, and a good and a bad token of hers.
struct Mail {
    world: World,
    server: Serve,
    good: String,
    bad: String,
}

impl Mail {
    fn new() -> Self {
        let world = World::new();
        let key = SigningKey::new("ES256", "one").unwrap();
        world.issuer.publish(&[&key]);
        let server = world.serve_signed();
        let message = b"Subject: by token\r\n\r\nHello\r\n".to_vec();
        deliver_files(&server.maildir("ann"), [message]).unwrap();
        let good = world.token(&key, "ann@localhost");
        let bad = world.token(&key, "bob@localhost");
        Self {
            world,
            server,
            good,
            bad,
        }
    }

    fn port(&self, name: &str) -> u16 {
        self.server.address(name).unwrap().port()
    }

    fn ca(&self) -> String {
        self.world.ca.display().to_string()
    }

    /// The words of a script's command line: port, CA, user, and the token.
    fn arguments(&self, token: &str) -> [String; 4] {
        let user = "ann@localhost".to_owned();
        [
            self.port("imaps").to_string(),
            self.ca(),
            user,
            token.to_owned(),
        ]
    }
}

#[test]
fn curl_logs_in_with_a_token() {
    if !have("curl") {
        return;
    }
    let mail = Mail::new();
    for (scheme, path) in [("imaps", "/INBOX;MAILINDEX=1"), ("pop3s", "/1")] {
        let url = format!("{scheme}://localhost:{}{path}", mail.port(scheme));
        for mechanism in ["OAUTHBEARER", "XOAUTH2"] {
            for initial in ["--sasl-ir", "--no-sasl-ir"] {
                let fetch = |token: &str| {
                    output(
                        Command::new("curl")
                            .args(["--silent", "--show-error", "--max-time", "60"])
                            .args(["--cacert", &mail.ca(), "--user", "ann@localhost", initial])
                            .args(["--login-options", &format!("AUTH={mechanism}")])
                            .args(["--oauth2-bearer", token, &url]),
                    )
                };
                let what = format!("{scheme} {mechanism} {initial}");
                let got = fetch(&mail.good);
                assert!(got.status.success(), "{what}: {got:?}");
                let text = String::from_utf8_lossy(&got.stdout).into_owned();
                assert!(text.contains("Subject: by token"), "{what}: {text}");
                // 67: the login was refused.
                let refused = fetch(&mail.bad);
                assert_eq!(refused.status.code(), Some(67), "{what}: {refused:?}");
            }
        }
    }
}

/// Runs a script beside this file with a good and with a bad token.
fn try_script(mail: &Mail, mut command: impl FnMut() -> Command) {
    let good = output(command().args(mail.arguments(&mail.good)));
    assert!(good.status.success(), "{good:?}");
    assert_eq!(
        String::from_utf8_lossy(&good.stdout),
        "by token\nby token\n"
    );
    let bad = output(command().args(mail.arguments(&mail.bad)));
    assert!(bad.status.success(), "{bad:?}");
    assert_eq!(String::from_utf8_lossy(&bad.stdout), "refused\nrefused\n");
}

fn script(name: &str) -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/oauth");
    directory.join(name)
}

#[test]
fn imapclient_logs_in_with_a_token() {
    let Some(python) = have_python() else {
        return;
    };
    let mail = Mail::new();
    try_script(&mail, || {
        let mut command = Command::new(&python);
        command.arg(script("imapclient_token.py"));
        command
    });
}

#[test]
fn imapflow_logs_in_with_a_token() {
    let Some(modules) = have_node_modules() else {
        return;
    };
    let mail = Mail::new();
    try_script(&mail, || {
        let mut command = Command::new("node");
        command
            .arg(script("imapflow_token.mjs"))
            .env("PILLARBOX_NODE", &modules);
        command
    });
}

#[test]
fn mutt_and_neomutt_log_in_with_a_token() {
    for program in ["mutt", "neomutt"] {
        if !have(program) {
            continue;
        }
        let mail = Mail::new();
        for mechanism in ["oauthbearer", "xoauth2"] {
            let home = mail
                .world
                .ca
                .with_file_name(format!("{program}-{mechanism}"));
            fs::create_dir_all(&home).unwrap();
            let token = home.join("token");
            fs::write(&token, &mail.good).unwrap();
            let rc = home.join("rc");
            let text = format!(
                "set spoolfile=imaps://localhost:{port}/INBOX\nset folder=imaps://localhost:{port}/\n\
                 set imap_user=ann@localhost\nset imap_authenticators={mechanism}\n\
                 set imap_oauth_refresh_command=\"cat {token}\"\nset certificate_file={ca}\n\
                 set ssl_ca_certificates_file={ca}\nset tmpdir={home}\nset record=\nset quit=yes\n\
                 set wait_key=no\nset pipe_decode=no\nset sleep_time=0\n\
                 push \"<pipe-message>cat>{home}/got<enter><exit>\"\n",
                port = mail.port("imaps"),
                token = token.display(),
                ca = mail.ca(),
                home = home.display(),
            );
            fs::write(&rc, text).unwrap();
            in_terminal(&format!("{program} -n -F {}", rc.display()), &home);
            let got = fs::read_to_string(home.join("got")).unwrap_or_default();
            assert!(
                got.contains("Subject: by token"),
                "{program} {mechanism}: {got}"
            );
        }
    }
}
