//! What is taken over into an index, by the bases of files.

use std::collections::HashMap;
use std::path::Path;

use super::courier;
use super::{Left, Server, Uidlist};
use crate::error::Result;
use crate::filename::base;
use crate::flag::FlagSet;
use crate::id::{Uid, UidValidity};
use crate::snapshot::{Kept, Message};

/// What a look at the directories finds out about files from another server.
#[derive(Debug, Default)]
pub(crate) struct Adoption {
    /// No UID below this may be given to a message that has none yet.
    pub(crate) uid_next: Option<Uid>,
    /// What is known of files, by their bases.
    pub(crate) messages: HashMap<Box<[u8]>, Adopted>,
}

/// What becomes of the UIDs of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uids {
    /// Messages have them.
    Adopt,
    /// They cannot be used; only the rest of the list is.
    Ignore,
}

impl Uids {
    /// Whether they can be used.
    pub(crate) const fn usable(usable: Option<UidValidity>) -> Self {
        match usable {
            Some(_) => Self::Adopt,
            None => Self::Ignore,
        }
    }
}

/// What is known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adopted {
    /// Its UID.
    pub(crate) uid: Option<Uid>,
    /// RFC822.SIZE.
    pub(crate) size: Option<u64>,
    /// Keywords that have no letter.
    pub(crate) flags: FlagSet,
    /// What the index keeps for it.
    pub(crate) kept: Kept,
}

impl Adoption {
    /// What `left`, found in `directory`, says. Takes its list.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn new(directory: &Path, left: &mut Left, uids: Uids) -> Result<Self> {
        let mut adoption = Self::default();
        if let Some((list, _)) = left.list.take() {
            adoption.take_list(list, uids);
        }
        if left.server == Server::Courier {
            adoption.take_pop3(courier::pop3_messages(directory)?);
        }
        Ok(adoption)
    }

    /// Whether the UID of a message cannot stay: the other server may have given it to another
    /// message, because it is one that the other server has given, and not to this message.
    pub(crate) fn contradicts(&self, message: Message<'_>) -> bool {
        let uid = Some(message.uid());
        let given = uid < self.uid_next;
        let listed = || self.messages.get(base(message.file_name()));
        given && listed().is_none_or(|adopted| adopted.uid != uid)
    }

    /// Adds what a list says.
    pub(crate) fn take_list(&mut self, list: Uidlist, uids: Uids) {
        let adopt = uids == Uids::Adopt;
        self.uid_next = adopt.then_some(list.next_uid);
        self.messages.reserve(list.entries.len());
        for entry in list.entries {
            // An empty UIDL says that it is the base.
            let uidl = match entry.uidl {
                Some(uidl) if uidl.is_empty() => Some(entry.base.clone()),
                uidl => uidl,
            };
            let adopted = Adopted {
                uid: adopt.then_some(entry.uid),
                size: entry.rfc822_size,
                flags: FlagSet::EMPTY,
                kept: Kept {
                    uidl,
                    order: entry.order,
                    guid: entry.guid,
                },
            };
            self.messages.insert(entry.base, adopted);
        }
    }

    fn take_pop3(&mut self, messages: Vec<courier::Pop3Message>) {
        for (order, message) in (1..).zip(messages) {
            let adopted = self.messages.entry(message.base.into()).or_default();
            adopted.size = adopted.size.or(Some(message.size));
            adopted.kept.uidl = Some(message.uidl.into());
            adopted.kept.order = Some(order);
        }
    }
}

impl Adopted {
    /// What the index keeps, if it is anything.
    pub(crate) fn kept(&self) -> Option<&Kept> {
        (self.kept != Kept::default()).then_some(&self.kept)
    }
}
