//! LIST-STATUS (RFC 5819): what STATUS tells, with the entries of LIST.
//!
//! Mailboxes are opened one after the other, a few in each slice of work, and hold no descriptor
//! once their counts are known.

use super::status_size::{Sizes, Sizing};
use super::{Capability, Extension, Shown};
use crate::command::StatusItem;
use crate::error::Refused;
use crate::handler::mailbox;
use crate::response::{Code, PlainCode, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::selected::Selected;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ListStatus,
    capability: "LIST-STATUS",
    rfc: 5819,
    shown: Shown::Always,
    enables: None,
};

/// What it costs to look into a mailbox, where telling a name costs 1.
pub(super) fn cost(account: &Authenticated, name: &str) -> usize {
    let name = account.name(name.as_bytes());
    match name {
        // A look at the times of its directories.
        Ok(name) if account.account.is_in_memory(&name) => 8,
        // Its index is read, and its directories may have to be.
        Ok(_) => 64,
        Err(_) => 1,
    }
}

/// What came of looking into a mailbox.
pub(super) enum Status {
    /// The response.
    Known(Untagged),
    /// Sizes have to be read first (RFC 8438 §3).
    Reading,
    /// It cannot be selected any more, which its entry has to tell (RFC 5819 §2).
    Noselect,
    /// It cannot be told now; the command goes on without it (RFC 5819 §2).
    Unknown,
}

/// The STATUS response of a mailbox that LIST tells.
pub(super) fn status(
    account: &Authenticated,
    selected: Option<&Selected>,
    name: &str,
    items: &[StatusItem],
    sizing: &mut Sizing,
) -> Status {
    let name = name.as_bytes();
    let response = sizing.step(items, account, name).and_then(|sizes| {
        let known = sizes == Sizes::Known;
        known
            .then(|| mailbox::status(account, selected, name, items))
            .transpose()
    });
    match response {
        Ok(Some(response)) => Status::Known(response),
        Ok(None) => Status::Reading,
        Err(Refused(completion)) => match completion.code {
            Some(Code::Plain(PlainCode::NonExistent | PlainCode::NoPerm)) => Status::Noselect,
            _ => Status::Unknown,
        },
    }
}
