//! Counting an account: looking at what may have changed, in slices.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::Usage;
use super::ledger::Ledger;
use crate::account::Account;
use crate::error::{Error, Result};
use crate::name::MailboxName;

/// A count of an account under way.
#[derive(Debug, Default)]
pub struct Counting {
    look: Option<Look>,
}

/// A look at all mailboxes.
#[derive(Debug)]
struct Look {
    began: SystemTime,
    /// Those that have to be opened.
    left: Vec<(MailboxName, PathBuf)>,
}

impl Counting {
    /// Does a slice of the count; `None` if there is more to do.
    ///
    /// # Errors
    /// If the mailboxes cannot be listed.
    pub(crate) fn step(&mut self, account: &Account, ledger: &Ledger) -> Result<Option<Usage>> {
        let look = match &mut self.look {
            Some(look) => look,
            None if ledger.is_fresh() => {
                // Mail arrives there.
                take_stock(account, ledger, &MailboxName::inbox(), ledger.root());
                return Ok(Some(ledger.usage()));
            }
            none => {
                let began = ledger.now();
                let left = ledger.unknown_of(account.directories()?);
                none.insert(Look { began, left })
            }
        };
        for _ in 0..AT_ONCE {
            let Some((name, directory)) = look.left.pop() else {
                ledger.note_look(look.began);
                self.look = None;
                return Ok(Some(ledger.usage()));
            };
            take_stock(account, ledger, &name, &directory);
        }
        Ok(None)
    }

    /// How many mailboxes have to be opened yet.
    pub fn left(&self) -> usize {
        self.look.as_ref().map_or(0, |look| look.left.len())
    }
}

impl Ledger {
    /// Counts to the end. What cannot be counted is not worth refusing mail for.
    pub(super) fn count(self: &Arc<Self>) {
        let Some(store) = self.store.upgrade() else {
            return;
        };
        let account = Account::of_ledger(store, self);
        let mut counting = Counting::default();
        loop {
            match counting.step(&account, self) {
                Ok(None) => {}
                Ok(Some(_)) => return,
                Err(error) => {
                    tracing::warn!(root = %self.root().display(), %error, "usage not counted");
                    return;
                }
            }
        }
    }
}

/// Opens a mailbox, and notes what it takes up.
fn take_stock(account: &Account, ledger: &Ledger, name: &MailboxName, directory: &std::path::Path) {
    match account.open(name).and_then(|mailbox| mailbox.take_stock()) {
        Ok(()) | Err(Error::NotFound) => {}
        Err(error) => {
            tracing::warn!(mailbox = %name, %error, "usage not counted");
            ledger.cannot_look(directory);
        }
    }
}

/// How many mailboxes are opened in one slice of work.
const AT_ONCE: usize = 32;
