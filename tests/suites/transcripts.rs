//! Plays every transcript: on the bare machine, over TCP and over TLS.

use anyhow::Result;
use pillarbox_tests::transcript::{Transport, directory, play_all};

/// Plays the transcripts of a protocol; all must be as they say.
fn check(protocol: &str, transport: Transport) -> Result<()> {
    let (played, failures) = play_all(&directory(protocol), transport)?;
    assert!(
        failures.is_empty(),
        "{} of {played} transcripts failed:\n\n{}\n",
        failures.len(),
        failures.join("\n\n")
    );
    if std::env::var_os("TRANSCRIPT").is_none() {
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
