//! The authenticated state (RFC 3501 §3.2): an account.

use std::sync::Arc;

use mailstore::quota::{Policies, Resource};
use mailstore::{Account, Namespace};

use super::responses::Responses;
use super::running::{Operation, Outcome};
use super::selected::Selected;
use super::selecting::Selecting;
use crate::command::{self, ExtendedList, GetMetadata, SelectParameters, SetMetadata, StatusItem};
use crate::error::Refused;
use crate::extension::enable::Enabled;
use crate::extension::imap_rev2::Revision;
use crate::extension::list_extended::ExtendedListing;
use crate::extension::metadata::{self, News};
use crate::extension::notify::{Notify, Setting};
use crate::extension::quota::{Asking, What};
use crate::extension::status_size::{Sizes, Sizing};
use crate::extension::{Capabilities, InProgressState, namespace, object_id};
use crate::handler::{list, mailbox};
use crate::response::Completion;
use crate::session::running::Step;
use crate::settings::{Metadata, Settings};
use crate::sharing::Sharing;
use crate::types::Access;

/// A user who has logged in.
#[derive(Debug)]
pub(crate) struct Authenticated {
    /// Their mail.
    pub(crate) account: Account,
    /// The capabilities that this session is offered.
    pub(crate) offered: Capabilities,
    /// Their canonical name.
    pub(crate) user: Box<str>,
    /// How many octets a message may have that is appended.
    pub(crate) append_limit: u64,
    /// How they get to mailboxes of others, if they do.
    pub(crate) sharing: Option<Arc<Sharing>>,
    /// How much the accounts of others may hold.
    pub(crate) quotas: Arc<Policies>,
    /// The domain of user names that have none.
    pub(crate) default_domain: Option<Box<str>>,
    /// What ENABLE has switched on.
    pub(crate) enabled: Enabled,
    /// What the client was told to be over its quota.
    pub(crate) exceeded: Option<Resource>,
    /// What NOTIFY has asked for, once it has been used.
    pub(crate) notify: Option<Box<Notify>>,
    /// What may be annotated, and what is said of the server.
    pub(crate) metadata: Arc<Metadata>,
    /// What is told of annotations, once METADATA is enabled.
    pub(crate) news: Option<Box<News>>,
}

/// A command that changes mailboxes as a whole, or the subscription list.
#[derive(Debug)]
pub(crate) enum Change {
    /// CREATE, perhaps with special uses.
    Create(Vec<u8>, Option<Vec<Vec<u8>>>),
    /// DELETE.
    Delete(Vec<u8>),
    /// RENAME.
    Rename(Vec<u8>, Vec<u8>),
    /// SUBSCRIBE.
    Subscribe(Vec<u8>),
    /// UNSUBSCRIBE.
    Unsubscribe(Vec<u8>),
    /// SETMETADATA.
    SetMetadata(Box<SetMetadata>),
}

/// A command that asks about the account.
#[derive(Debug)]
pub(crate) enum Query {
    /// STATUS.
    Status(Vec<u8>, Vec<StatusItem>, Sizing),
    /// GETMETADATA.
    GetMetadata(Box<GetMetadata>),
    /// NAMESPACE.
    Namespace,
}

/// Begins a command of the authenticated state.
///
/// # Errors
/// If it does not come in the form that it must have.
pub(crate) fn begin(
    command: command::Authenticated,
    enabled: Enabled,
) -> Result<Operation, Refused> {
    use command::Authenticated as Is;
    let rev2 = enabled.revision() == Revision::Rev2;
    Ok(match command {
        Is::Select(name, parameters) => select(name, Access::ReadWrite, parameters, enabled)?,
        Is::Examine(name, parameters) => select(name, Access::ReadOnly, parameters, enabled)?,
        Is::Create { mailbox, uses } => Operation::Change(Change::Create(mailbox, uses)),
        Is::Delete(name) => Operation::Change(Change::Delete(name)),
        Is::Rename { from, to } => Operation::Change(Change::Rename(from, to)),
        Is::Subscribe(name) => Operation::Change(Change::Subscribe(name)),
        Is::Unsubscribe(name) => Operation::Change(Change::Unsubscribe(name)),
        // In IMAP4rev2 the principles of the extended form hold for all (RFC 9051 §6.3.9.3).
        Is::List { reference, pattern } if rev2 && !pattern.is_empty() => {
            let asked = ExtendedList::basic(reference, pattern);
            Operation::ListExtended(Box::new(ExtendedListing::new(asked)))
        }
        Is::List { reference, pattern } => {
            Operation::List(Box::new(list::Listing::list(&reference, &pattern)))
        }
        Is::ListExtended(asked) => Operation::ListExtended(Box::new(ExtendedListing::new(*asked))),
        Is::Xlist { reference, pattern } => {
            Operation::List(Box::new(list::Listing::xlist(&reference, &pattern)))
        }
        Is::Lsub { reference, pattern } => {
            Operation::List(Box::new(list::Listing::lsub(&reference, &pattern)))
        }
        Is::Status { mailbox, items } => {
            Operation::Query(Query::Status(mailbox, items, Sizing::default()))
        }
        Is::Unauthenticate => Operation::Unauthenticate,
        Is::Acl(command) => Operation::Acl(command),
        Is::GetQuota(root) => asking(What::Root(root)),
        Is::GetQuotaRoot(mailbox) => asking(What::Mailbox(mailbox)),
        Is::SetQuota { root, limits } => asking(What::Set(root, limits)),
        Is::GetMetadata(asked) => Operation::Query(Query::GetMetadata(asked)),
        Is::SetMetadata(asked) => Operation::Change(Change::SetMetadata(asked)),
        Is::Namespace => Operation::Query(Query::Namespace),
        Is::Notify(asked) => Operation::Notify(Box::new(Setting::new(*asked))),
        // The framer hands over an APPEND at its literal, and the session begins IDLE itself.
        Is::Append(_) => return Err(Refused::bad("expected the message as a literal")),
        Is::Idle => return Err(Refused::bad("expected IDLE on a line of its own")),
        Is::Compress => return Err(Refused::bad("expected COMPRESS on a line of its own")),
        Is::Enable(_) => return Err(Refused::bad("expected ENABLE on a line of its own")),
    })
}

/// Begins to ask about a quota.
fn asking(what: What) -> Operation {
    Operation::Quota(Box::new(Asking::new(what)))
}

/// Begins SELECT or EXAMINE.
fn select(
    name: Vec<u8>,
    access: Access,
    parameters: SelectParameters,
    enabled: Enabled,
) -> Result<Operation, Refused> {
    parameters.check(enabled)?;
    let selecting = Selecting::new(name, access, parameters);
    Ok(Operation::Select(Box::new(selecting)))
}

impl Authenticated {
    /// A user with their mail.
    pub(crate) fn new(
        account: Account,
        user: &str,
        offered: Capabilities,
        settings: &Settings,
    ) -> Self {
        Self {
            account,
            offered,
            user: user.into(),
            append_limit: settings.limits.message,
            metadata: Arc::clone(&settings.metadata),
            news: None,
            sharing: settings.sharing.clone(),
            quotas: Arc::clone(&settings.quotas),
            default_domain: settings.default_domain.as_deref().map(Box::from),
            enabled: Enabled::default(),
            exceeded: None,
            notify: None,
        }
    }

    /// How names look to clients.
    pub(crate) fn namespace(&self) -> &Namespace {
        self.account.namespace()
    }
}

impl Change {
    /// Carries it out.
    pub(crate) fn apply(&self, account: &Authenticated, out: &mut Responses) -> Outcome {
        let text = match self {
            Self::Create(name, uses) => {
                let text = mailbox::create(account, name, uses.as_deref(), out)?;
                let code = object_id::created(account, name);
                return Ok(Step::Done(Completion::ok(text).with_any(code)));
            }
            Self::Delete(name) => mailbox::delete(account, name, out)?,
            Self::Rename(from, to) => mailbox::rename(account, from, to, out)?,
            Self::Subscribe(name) => mailbox::subscribe(account, name)?,
            Self::Unsubscribe(name) => mailbox::unsubscribe(account, name)?,
            Self::SetMetadata(asked) => metadata::set(account, asked, out)?,
        };
        Ok(Step::Done(Completion::ok(text)))
    }
}

impl Query {
    /// How far it is (RFC 9585 §4).
    pub(crate) fn progress(&self) -> Option<InProgressState> {
        match self {
            Self::Status(_, _, sizing) => sizing.progress(),
            Self::Namespace | Self::GetMetadata(_) => None,
        }
    }

    /// Answers it, when what it asks for is known.
    pub(crate) fn answer(
        &mut self,
        account: &Authenticated,
        selected: Option<&Selected>,
        out: &mut Responses,
    ) -> Outcome {
        let text = match self {
            Self::Status(name, items, sizing) => {
                if sizing.step(items, account, name)? == Sizes::Unknown {
                    return Ok(Step::More);
                }
                out.untagged(mailbox::status(account, selected, name, items)?);
                "STATUS completed"
            }
            Self::GetMetadata(asked) => {
                return Ok(Step::Done(metadata::get(account, asked, out)?));
            }
            Self::Namespace => {
                out.untagged(namespace::response(account));
                "NAMESPACE completed"
            }
        };
        Ok(Step::Done(Completion::ok(text)))
    }
}
