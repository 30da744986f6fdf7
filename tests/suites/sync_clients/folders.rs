//! Clients find out which folder is for what.

use std::process::Command;

use pillarbox_tests::binary::Binary;
use pillarbox_tests::program::{have, have_node_modules, have_python, run};

use crate::script::{node_script, python_script};
use crate::second::{PASSWORD, USER};

#[test]
fn imapclient_finds_special_folders() {
    let Some(python) = have_python() else { return };
    let server = Binary::dev().unwrap();
    let script = "imapclient_folders.py";
    run(&mut python_script(&python, script, &server, "folders"));
}

#[test]
fn imapflow_finds_special_folders() {
    let Some(modules) = have_node_modules() else {
        return;
    };
    let server = Binary::dev().unwrap();
    let script = "imapflow_folders.mjs";
    run(&mut node_script(&modules, script, &server, "folders"));
}

#[test]
fn curl_gets_special_folders_by_xlist() {
    if !have("curl") {
        return;
    }
    let server = Binary::dev().unwrap();
    let url = format!("imaps://localhost:{}/", server.imaps.port());
    let ask = |command: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60"])
            .arg("--cacert")
            .arg(server.ca())
            .args(["--user", &format!("{USER}:{PASSWORD}")])
            .args([&url, "-X", command]);
        String::from_utf8(run(&mut curl).stdout).unwrap()
    };
    ask("CREATE Bin (USE (\\Trash))");
    let found = ask("XLIST \"\" *");
    for line in [
        "* XLIST (\\HasNoChildren \\Inbox) \"/\" INBOX\r\n",
        "* XLIST (\\HasNoChildren \\Trash) \"/\" Bin\r\n",
    ] {
        assert!(found.contains(line), "{found}");
    }
}
