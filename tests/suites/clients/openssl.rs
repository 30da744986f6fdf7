//! openssl's client, for the versions of TLS and the certificate.

use std::io::Write;
use std::process::{Command, Output};

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{finish, have, output};

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
    let refused = output(&mut old);
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
    let output = finish(child);
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
