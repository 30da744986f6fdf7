//! Handing the mailbox back to another server.

use super::Mailbox;
use crate::error::Result;
use crate::foreign::Exported;
use crate::foreign::export::export;
use crate::foreign::served;
use crate::index::Entry;

impl Mailbox {
    /// Writes Dovecot's list of UIDs and keywords, after a look at what other programs did.
    pub(crate) fn export(&self) -> Result<Exported> {
        let timeout = self.environment.options.lock_timeout;
        self.transact(|transaction| {
            transaction.scan()?;
            // From the next UID on, the list does not know every UID under this value.
            let uid_validity = transaction.snapshot().uid_validity();
            let force = self.environment.force_messages();
            served::note(&self.directory, uid_validity, force)?;
            let (exported, agreed) = export(&self.directory, &transaction.index.state, timeout)?;
            transaction.entries.push(Entry::Agreed(agreed));
            Ok(exported)
        })
    }
}
