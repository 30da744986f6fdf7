//! What a client is like, and what it was told.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use imapd::types::Access;

use crate::response::{Item, Response};
use crate::truth::Flags;

/// What a client is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    pub(crate) condstore: Condstore,
    pub(crate) qresync: bool,
    pub(crate) uid_only: bool,
    pub(crate) revision: Revision,
}

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    Rev1,
    Rev2,
}

/// How a client switches CONDSTORE on (RFC 7162 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condstore {
    Never,
    Enable,
    Select,
    Fetch,
    ChangedSince,
    UnchangedSince,
    Search,
    Status,
}

/// What a client has asked NOTIFY for (RFC 5465 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notify {
    Unused,
    Selected,
    Delayed,
    /// Less than everything: the client may see the mailbox as it was (RFC 5465 §5).
    Less,
}

/// A mailbox that is open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selected {
    pub(crate) mailbox: usize,
    pub(crate) access: Access,
}

/// What a client was told of one message.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) uid: Option<u32>,
    pub(crate) flags: Option<Flags>,
    pub(crate) mod_seq: Option<u64>,
    pub(crate) subject: Option<String>,
    pub(crate) mailbox: usize,
}

/// All that came at once.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) responses: Vec<Response>,
    pub(crate) fetched: Vec<Fetched>,
    /// By VANISHED (EARLIER).
    pub(crate) earlier: Vec<u32>,
    /// By EXPUNGE and VANISHED, as far as UIDs are known, with their mailbox.
    pub(crate) gone: Vec<(usize, u32)>,
    /// HIGHESTMODSEQ, with its mailbox.
    pub(crate) highest: Vec<(usize, u64)>,
    /// Of the tagged response.
    pub(crate) tag: String,
    pub(crate) status: String,
    pub(crate) code: Vec<Item>,
}

/// What all clients have sent and got, for whoever looks into a failure.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<VecDeque<String>>>);

impl Features {
    pub(crate) fn is_rev2(self) -> bool {
        self.revision == Revision::Rev2
    }
}

impl Log {
    pub(crate) fn push(&self, line: String) {
        let mut lines = self.0.borrow_mut();
        lines.push_back(line);
        if lines.len() > 120 {
            lines.pop_front();
        }
    }

    pub(crate) fn fail(&self, problem: &str) -> ! {
        let lines: Vec<String> = self.0.borrow().iter().cloned().collect();
        panic!("{}\n{problem}", lines.join("\n"));
    }
}

impl Answer {
    /// The arguments of untagged responses with this name.
    pub(crate) fn data(&self, name: &str) -> Vec<&[Item]> {
        let data = self.responses.iter().filter_map(|response| {
            let Response::Data { what, data } = response else {
                return None;
            };
            (what == name).then_some(data.as_slice())
        });
        data.collect()
    }

    /// The arguments of a response code, in whatever response it comes.
    pub(crate) fn code(&self, name: &str) -> Option<&[Item]> {
        let codes = self.responses.iter().filter_map(|response| match response {
            Response::Status { code, .. } | Response::Tagged { code, .. } => Some(code),
            Response::Continue | Response::Message { .. } | Response::Data { .. } => None,
        });
        codes
            .filter_map(|code| code.split_first())
            .find(|(first, _)| first.word() == name)
            .map(|(_, rest)| rest)
    }
}
