//! Plays every transcript: on the bare machine, over TCP and over TLS.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Result;
use pillarbox_tests::transcript::{Transport, directory, play_all, wanted};

/// Plays the transcripts of a protocol; all must be as they say.
fn check(protocol: &str, transport: Transport) -> Result<()> {
    let (played, failures) = play_all(&directory(protocol), transport)?;
    assert!(
        failures.is_empty(),
        "{} of {played} transcripts failed:\n\n{}\n",
        failures.len(),
        failures.join("\n\n")
    );
    if let Some(word) = std::env::var_os("TRANSCRIPT") {
        // The other protocol and the other transports may have none.
        let any = !wanted(&directory(""))?.is_empty();
        assert!(any, "no transcript has {} in its path", word.display());
    } else {
        assert!(played > 0, "no transcript was played");
    }
    Ok(())
}

#[test]
fn pop3_on_the_bare_machine() -> Result<()> {
    check("pop3", Transport::Bare)
}

#[test]
fn pop3_over_tcp() -> Result<()> {
    check("pop3", Transport::Tcp)
}

#[test]
fn pop3_over_tls() -> Result<()> {
    check("pop3", Transport::Tls)
}

#[test]
fn imap_on_the_bare_machine() -> Result<()> {
    check("imap", Transport::Bare)
}

#[test]
fn imap_over_tcp() -> Result<()> {
    check("imap", Transport::Tcp)
}

#[test]
fn imap_over_tls() -> Result<()> {
    check("imap", Transport::Tls)
}

#[test]
fn the_conformance_page_names_what_there_is() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rfc.md");
    let page = fs::read_to_string(&page)?;
    for extension in imapd::extension::REGISTRY {
        let (rfc, name) = (extension.rfc, extension.capability);
        let row = page.lines().any(|line| {
            let begins = line.starts_with(&format!("| {rfc} "));
            begins && line.contains(&format!("`imap/rfc{rfc}/"))
        });
        assert!(row, "docs/rfc.md has no row for {name} (RFC {rfc})");
    }
    let mut named = BTreeSet::new();
    for path in page.split('`') {
        let protocol = path.split('/').next().unwrap_or_default();
        if matches!(protocol, "pop3" | "imap") && path.len() > protocol.len() {
            let path = directory(path);
            let file = path.with_extension("txt");
            assert!(
                path.is_dir() || file.is_file(),
                "docs/rfc.md names {}, which is not there",
                path.display()
            );
            named.insert(file);
            named.insert(path);
        }
    }
    for protocol in ["pop3", "imap"] {
        for entry in fs::read_dir(directory(protocol))? {
            let folder = entry?.path();
            let shown = named.iter().any(|path| path.starts_with(&folder));
            assert!(shown, "docs/rfc.md does not name {}", folder.display());
        }
    }
    Ok(())
}
