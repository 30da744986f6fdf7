//! Which capabilities a command needs: what is hidden from a client must not work for it either.
//!
//! The grammar reads every form there is; this walk over the typed command finds the forms that
//! belong to an extension.

use super::{
    AclCommand, Any, Append, Authenticated, BinaryWanted, Command, ExtendedList, FetchItem, Newer,
    NotAuthenticated, Notify, NotifyEvent, Partial, Piece, ReturnOption, Search, SearchKey,
    Selected, SelectionOption, StatusItem,
};
use crate::extension::{Capabilities, Capability, condstore};
use crate::types::Messages;

impl Command {
    /// The capabilities without which this command, in this form, would not be understood.
    pub(crate) fn uses(&self) -> Capabilities {
        match self {
            Self::Any(command) => command.uses(),
            Self::NotAuthenticated(command) => command.uses(),
            Self::Authenticated(command) => command.uses(),
            Self::Selected(command) => command.uses(),
        }
    }
}

impl Any {
    fn uses(&self) -> Capabilities {
        match self {
            Self::Capability | Self::Noop | Self::Logout => Capabilities::NONE,
            Self::Id(_) => one(Capability::Id),
        }
    }
}

impl NotAuthenticated {
    fn uses(&self) -> Capabilities {
        match self {
            Self::StartTls => one(Capability::StartTls),
            // A mechanism that is hidden is one that we do not know.
            Self::Authenticate { initial, .. } if initial.is_some() => one(Capability::SaslIr),
            Self::Authenticate { .. } | Self::Login { .. } => Capabilities::NONE,
        }
    }
}

impl Authenticated {
    fn uses(&self) -> Capabilities {
        match self {
            Self::Compress => one(Capability::Compress),
            Self::Enable(_) => one(Capability::Enable),
            Self::Unauthenticate => one(Capability::Unauthenticate),
            Self::Acl(command) => command.uses(),
            Self::ListExtended(list) => list.uses(),
            Self::Status { items, .. } => status(items),
            Self::Append(append) => append.uses(),
            Self::GetQuota(_) | Self::GetQuotaRoot(_) | Self::SetQuota { .. } => {
                one(Capability::Quota)
            }
            Self::Namespace => one(Capability::Namespace),
            Self::Idle => one(Capability::Idle),
            Self::Notify(notify) => notify.uses(),
            Self::Select(_, parameters) | Self::Examine(_, parameters) => parameters.uses(),
            Self::Create { uses: Some(_), .. } => one(Capability::CreateSpecialUse),
            Self::Xlist { .. } => one(Capability::Xlist),
            Self::GetMetadata(asked) => metadata(&asked.mailbox),
            Self::SetMetadata(asked) => metadata(&asked.mailbox),
            Self::Create { uses: None, .. }
            | Self::Delete(_)
            | Self::Rename { .. }
            | Self::Subscribe(_)
            | Self::Unsubscribe(_)
            | Self::List { .. }
            | Self::Lsub { .. } => Capabilities::NONE,
        }
    }
}

impl AclCommand {
    fn uses(&self) -> Capabilities {
        match self {
            Self::Set { rights, .. } if rights.newer == Newer::Named => {
                one(Capability::Acl).with(Capability::Rights)
            }
            Self::Set { .. }
            | Self::Delete { .. }
            | Self::Get(_)
            | Self::ListRights { .. }
            | Self::MyRights(_) => one(Capability::Acl),
        }
    }
}

impl Append {
    fn uses(&self) -> Capabilities {
        // The first message begins with the first piece.
        segment(self.pieces.get(1..).unwrap_or_default())
    }
}

/// What a later segment of an APPEND needs.
pub(crate) fn segment(pieces: &[Piece]) -> Capabilities {
    let needed = pieces.iter().filter_map(|piece| match piece {
        Piece::Message { .. } => Some(Capability::MultiAppend),
        Piece::AnyOctets(_) => Some(Capability::Binary),
        Piece::Utf8(_) => Some(Capability::Utf8Accept),
        Piece::Text(_) | Piece::Url(_) => Some(Capability::Catenate),
        Piece::Octets(_) | Piece::End => None,
    });
    needed.collect()
}

impl ExtendedList {
    fn uses(&self) -> Capabilities {
        let options = self.returns.iter().map(|option| match option {
            ReturnOption::Status(items) => status(items).with(Capability::ListStatus),
            ReturnOption::SpecialUse => one(Capability::SpecialUse),
            ReturnOption::MyRights => one(Capability::ListMyRights),
            ReturnOption::Metadata(_) => one(Capability::ListMetadata),
            ReturnOption::Subscribed | ReturnOption::Children => Capabilities::NONE,
        });
        let all = options.fold(one(Capability::ListExtended), Capabilities::union);
        if self.selection.contains(&SelectionOption::SpecialUse) {
            all.with(Capability::SpecialUse)
        } else {
            all
        }
    }
}

impl Notify {
    /// What is to be fetched of new messages needs what it needs in FETCH, and events of an extension
    /// need that.
    fn uses(&self) -> Capabilities {
        let groups = match self {
            Self::None => &[][..],
            Self::Set { groups, .. } => groups,
        };
        let events = groups.iter().flat_map(|group| &group.events);
        let needed = events.map(|event| match event {
            NotifyEvent::MessageNew(items) => fetch(items),
            NotifyEvent::MailboxMetadataChange => one(Capability::Metadata),
            NotifyEvent::ServerMetadataChange => one(Capability::MetadataServer),
            NotifyEvent::MessageExpunge
            | NotifyEvent::FlagChange
            | NotifyEvent::MailboxName
            | NotifyEvent::SubscriptionChange
            | NotifyEvent::Unsupported => Capabilities::NONE,
        });
        needed.fold(one(Capability::Notify), Capabilities::union)
    }
}

impl Selected {
    fn uses(&self) -> Capabilities {
        match self {
            Self::Unselect => one(Capability::Unselect),
            Self::Expunge(Some(uids)) => uids.uses().with(Capability::UidPlus),
            Self::Move { messages, .. } => messages.uses().with(Capability::Move),
            Self::Fetch {
                messages, items, ..
            } => {
                let items = fetch(items).union(condstore::uses(self));
                messages.uses().union(items)
            }
            Self::Store { messages, .. } => messages.uses().union(condstore::uses(self)),
            Self::Copy { messages, .. } => messages.uses(),
            Self::Replace { append, .. } => append.uses().with(Capability::Replace),
            Self::Search(search) => search.uses(),
            Self::Check | Self::Close | Self::Expunge(None) => Capabilities::NONE,
        }
    }
}

impl Search {
    fn uses(&self) -> Capabilities {
        let returns = match self.returns {
            Some(_) if self.saves() => one(Capability::Esearch).with(Capability::SearchRes),
            Some(_) => one(Capability::Esearch),
            None => Capabilities::NONE,
        };
        let keys = self.keys.iter().flatten().map(SearchKey::uses);
        keys.fold(returns, Capabilities::union)
    }
}

impl SearchKey {
    /// Its recursion is as deep as the parser allowed.
    fn uses(&self) -> Capabilities {
        match self {
            Self::And(keys) => {
                let keys = keys.iter().map(Self::uses);
                keys.fold(Capabilities::NONE, Capabilities::union)
            }
            Self::Or(pair) => pair.0.uses().union(pair.1.uses()),
            Self::Not(key) => key.uses(),
            Self::Messages(messages) => messages.uses(),
            Self::ModSeq(_) => one(Capability::Condstore),
            Self::SaveDate(..) | Self::SaveDateSupported => one(Capability::SaveDate),
            Self::EmailId(_) | Self::ThreadId(_) => one(Capability::ObjectId),
            Self::Recent => one(Capability::ImapRev1),
            // `number` has 32 bits, and `number64` is of IMAP4rev2 (RFC 9051 §9).
            Self::Larger(octets) | Self::Smaller(octets) if u32::try_from(*octets).is_err() => {
                one(Capability::ImapRev2)
            }
            Self::Larger(_) | Self::Smaller(_) => Capabilities::NONE,
            Self::All
            | Self::Flag(_)
            | Self::Keyword(_)
            | Self::InternalDate(..)
            | Self::SentDate(..)
            | Self::Header(..)
            | Self::Body(_)
            | Self::Text(_) => Capabilities::NONE,
        }
    }
}

impl Messages {
    fn uses(&self) -> Capabilities {
        match self {
            Self::Saved(_) => one(Capability::SearchRes),
            Self::Seq(_) | Self::Uid(_) => Capabilities::NONE,
        }
    }
}

/// What items of FETCH need.
fn fetch(items: &[FetchItem]) -> Capabilities {
    let extended = items.iter().filter_map(|item| match item {
        FetchItem::Binary(_) => Some(Capability::Binary),
        FetchItem::ModSeq => Some(Capability::Condstore),
        FetchItem::SaveDate => Some(Capability::SaveDate),
        FetchItem::Preview(_) => Some(Capability::Preview),
        FetchItem::EmailId | FetchItem::ThreadId => Some(Capability::ObjectId),
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Envelope
        | FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::Rfc822Size
        | FetchItem::Uid
        | FetchItem::Section(_) => None,
    });
    let partial = items.iter().filter_map(|item| match item {
        FetchItem::Section(section) => section.partial,
        FetchItem::Binary(section) => match section.wanted {
            BinaryWanted::Octets(partial, _) => partial,
            BinaryWanted::Size => None,
        },
        FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::EmailId
        | FetchItem::Envelope
        | FetchItem::Flags
        | FetchItem::InternalDate
        | FetchItem::ModSeq
        | FetchItem::Preview(_)
        | FetchItem::Rfc822Size
        | FetchItem::SaveDate
        | FetchItem::ThreadId
        | FetchItem::Uid => None,
    });
    // `number` has 32 bits, and `number64` is of IMAP4rev2 (RFC 9051 §9).
    let is_long = |partial: &Partial| partial.origin.max(partial.octets) > u32::MAX.into();
    let long = partial.filter(is_long).map(|_| Capability::ImapRev2);
    extended.chain(long).collect()
}

/// What items of STATUS need.
fn status(items: &[StatusItem]) -> Capabilities {
    let extended = items.iter().filter_map(|item| match item {
        StatusItem::AppendLimit => Some(Capability::AppendLimit),
        StatusItem::Size => Some(Capability::StatusSize),
        StatusItem::HighestModSeq => Some(Capability::Condstore),
        StatusItem::MailboxId => Some(Capability::ObjectId),
        // IMAP4rev2 has it too: `Revision::understands`.
        StatusItem::Deleted => Some(Capability::QuotaMessage),
        StatusItem::DeletedStorage => Some(Capability::QuotaStorage),
        StatusItem::Recent => Some(Capability::ImapRev1),
        StatusItem::Messages
        | StatusItem::UidNext
        | StatusItem::UidValidity
        | StatusItem::Unseen => None,
    });
    extended.collect()
}

/// What annotations of a mailbox need, or of the server.
fn metadata(mailbox: &[u8]) -> Capabilities {
    one(match mailbox {
        [] => Capability::MetadataServer,
        _ => Capability::Metadata,
    })
}

/// The set of one.
const fn one(capability: Capability) -> Capabilities {
    Capabilities::NONE.with(capability)
}
