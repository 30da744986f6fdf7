//! Handing the mailbox back to another server.

use super::Mailbox;
use crate::error::Result;
use crate::foreign::Exported;
use crate::foreign::export::export;
use crate::index::Entry;

impl Mailbox {
    /// Writes Dovecot's list of UIDs and keywords, after a look at what other programs did.
    pub(crate) fn export(&self) -> Result<Exported> {
        let timeout = self.environment.options.lock_timeout;
        self.transact(|transaction| {
            transaction.scan()?;
            let (exported, agreed) = export(&self.directory, &transaction.index.state, timeout)?;
            transaction.entries.push(Entry::Agreed(agreed));
            Ok(exported)
        })
    }
}
