//! Libraries that mail programs are made of ask for quotas.

use std::path::Path;
use std::process::Command;

use pillarbox_tests::program::{have_node_modules, have_python, run};
use pillarbox_tests::serve::{Serve, Setup};

/// A server on which ann has 3 KiB of 100, and 2 messages of 50, and may set quotas.
fn server() -> Serve {
    let server = Serve::start(&Setup {
        tables: "[quota]\nstorage = \"100 KiB\"\nmessages = 50\n\
                 administrators = [\"ann\"]\n"
            .to_owned(),
        ..Setup::default()
    });
    let server = server.unwrap();
    let mut client = pillarbox_tests::client::Client::imap(&server, "ann");
    for octets in [2000, 1000] {
        let message = "x".repeat(octets);
        client.ok(&format!("APPEND INBOX {{{octets}+}}\r\n{message}"));
    }
    server
}

/// Runs a script beside this file.
fn script(program: &Path, name: &str, server: &Serve) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/quota");
    let address = server.address("imap").unwrap();
    let mut command = Command::new(program);
    command
        .arg(path.join(name))
        .arg(address.ip().to_string())
        .arg(address.port().to_string());
    command
}

#[test]
fn imapclient_reads_and_sets_quotas() {
    let Some(python) = have_python() else { return };
    let server = server();
    let output = run(&mut script(&python, "imapclient_quota.py", &server));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}

#[test]
fn imapflow_reads_quotas() {
    let Some(modules) = have_node_modules() else {
        return;
    };
    let server = server();
    let mut command = script(Path::new("node"), "imapflow_quota.mjs", &server);
    let output = run(command.env("PILLARBOX_NODE", modules));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}
