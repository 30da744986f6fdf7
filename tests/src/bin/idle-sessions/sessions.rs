//! Opening sessions.

use std::thread;

use anyhow::{Result, anyhow, ensure};
use pillarbox_tests::client::Client;
use pillarbox_tests::serve::Serve;

use crate::options::{Compress, Options, Tls, Wait};

/// A session that waits.
pub(crate) struct Session {
    /// The number of its mailbox.
    pub(crate) mailbox: usize,
    pub(crate) client: Client,
}

/// The user whose INBOX is the mailbox of this number.
pub(crate) fn user(mailbox: usize) -> String {
    format!("u{mailbox}")
}

/// Opens all sessions, some at a time.
///
/// # Errors
/// If the server refuses one.
pub(crate) fn open(server: &Serve, options: &Options) -> Result<Vec<Session>> {
    let opened: Result<Vec<Vec<Session>>> = thread::scope(|scope| {
        let openers: Vec<_> = (0..AT_ONCE)
            .map(|first| scope.spawn(move || open_some(server, options, first)))
            .collect();
        let opened = openers.into_iter().map(|opener| opener.join());
        opened
            .map(|opened| opened.map_err(|_| anyhow!("a session could not be opened"))?)
            .collect()
    });
    Ok(opened?.into_iter().flatten().collect())
}

/// Opens every so many-th session.
fn open_some(server: &Serve, options: &Options, first: usize) -> Result<Vec<Session>> {
    let mine = (first..options.sessions).step_by(AT_ONCE);
    mine.map(|at| open_one(server, options, at % options.mailboxes))
        .collect()
}

/// Opens a session, up to where it waits.
fn open_one(server: &Serve, options: &Options, mailbox: usize) -> Result<Session> {
    let listener = match options.tls {
        Tls::Off => "imap",
        Tls::On => "imaps",
    };
    let mut client = Client::greeted(server, listener);
    client.ok(&format!("LOGIN {} pw", user(mailbox)));
    if options.compress == Compress::On {
        client.ok("COMPRESS DEFLATE");
        client.connection.compress();
    }
    client.ok("SELECT INBOX");
    match options.waiting {
        Wait::Idle => {
            let answer = client.ask("i IDLE");
            ensure!(answer.starts_with("+ "), "IDLE: {answer}");
        }
        Wait::Notify => drop(client.ok(NOTIFY)),
    }
    Ok(Session { mailbox, client })
}

/// Everything that happens in the account.
const NOTIFY: &str = "NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) \
(PERSONAL (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))";

/// How many sessions are opened at the same time.
const AT_ONCE: usize = 16;
