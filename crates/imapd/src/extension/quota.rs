//! QUOTA (RFC 9208): how much of what it may hold an account holds.
//!
//! An account is one quota root, `#user/` and the name of its user, of all its mailboxes. Without
//! limits its mailboxes have no quota root. `STORAGE` counts the octets of the files, in units of
//! 1024 begun; `MESSAGE` counts messages. Clients of RFC 2087 see what they know: `QUOTA`, and
//! `STORAGE` in the same units.
//!
//! Users see their own root only; others do not exist for them (§8). Administrators, who are
//! named in the settings, see and set all of them. Nobody else is shown `QUOTASET`.

use mailstore::quota::{Limits, Policies, Resource};
use mailstore::{Account, Counting, Error, Mailbox, Message, Rights, Snapshot, SystemFlag, Usage};

use super::{Capabilities, Capability, Extension, Shown};
use crate::command::ResourceLimit;
use crate::error::Refused;
use crate::response::{Code, Completion, PlainCode, Status, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::place::{Owner, check};
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::settings::Settings;

/// The row of the registry for the commands.
pub(super) const ROW: Extension = Extension {
    is: Capability::Quota,
    capability: "QUOTA",
    rfc: 9208,
    shown: Shown::Always,
    enables: None,
};

/// The row of the registry for the resource `STORAGE`.
pub(super) const STORAGE: Extension = Extension {
    is: Capability::QuotaStorage,
    capability: "QUOTA=RES-STORAGE",
    rfc: 9208,
    shown: Shown::Always,
    enables: None,
};

/// The row of the registry for the resource `MESSAGE`.
pub(super) const MESSAGE: Extension = Extension {
    is: Capability::QuotaMessage,
    capability: "QUOTA=RES-MESSAGE",
    rfc: 9208,
    shown: Shown::Always,
    enables: None,
};

/// The row of the registry for `SETQUOTA`.
pub(super) const SET: Extension = Extension {
    is: Capability::QuotaSet,
    capability: "QUOTASET",
    rfc: 9208,
    shown: Shown::AfterLogin,
    enables: None,
};

/// What a user is offered of what is offered to all: `QUOTASET` is for administrators.
pub(crate) fn offered_to(user: &str, offered: Capabilities, policies: &Policies) -> Capabilities {
    if policies.is_administrator(user) {
        offered
    } else {
        offered.without(Capabilities::NONE.with(Capability::QuotaSet))
    }
}

/// GETQUOTA, GETQUOTAROOT or SETQUOTA under way.
#[derive(Debug)]
pub(crate) struct Asking {
    what: What,
    /// The account that it is about, once it has been opened.
    subject: Option<Subject>,
    counting: Counting,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum What {
    /// GETQUOTA of a quota root.
    Root(Vec<u8>),
    /// GETQUOTAROOT of a mailbox.
    Mailbox(Vec<u8>),
    /// SETQUOTA of a quota root.
    Set(Vec<u8>, Vec<ResourceLimit>),
}

/// An account that is one quota root.
#[derive(Debug)]
struct Subject {
    user: Box<str>,
    account: Account,
}

impl Asking {
    /// Nothing has been done yet.
    pub(crate) fn new(what: What) -> Self {
        Self {
            what,
            subject: None,
            counting: Counting::default(),
        }
    }

    /// Does a slice: counts the account, and then answers.
    pub(crate) fn step(
        &mut self,
        settings: &Settings,
        own: &Authenticated,
        out: &mut Responses,
    ) -> Outcome {
        let Subject { user, account } = match &mut self.subject {
            Some(subject) => subject,
            none => none.insert(self.what.begin(settings, own)?),
        };
        let Some(usage) = account.count(&mut self.counting)? else {
            return Ok(Step::More);
        };
        let (limits, _) = account.limits();
        let response = quota(user, usage, limits, own.offered);
        let text = match &self.what {
            What::Mailbox(name) => {
                let limited = limits != Limits::NONE;
                let roots = limited.then(|| root_name(user)).into_iter().collect();
                let shown = own.shown_place(&own.place(name)?);
                out.untagged(Untagged::QuotaRoot(shown, roots));
                if limited {
                    out.untagged(response);
                }
                "GETQUOTAROOT completed"
            }
            What::Root(_) => {
                out.untagged(response);
                "GETQUOTA completed"
            }
            What::Set(..) => {
                out.untagged(response);
                "SETQUOTA completed"
            }
        };
        Ok(Step::Done(Completion::ok(text)))
    }
}

impl What {
    /// Finds out whose quota is meant, and sets it, if that is what is asked.
    fn begin(&self, settings: &Settings, own: &Authenticated) -> Result<Subject, Refused> {
        match self {
            Self::Mailbox(name) => Subject::of_mailbox(name, own),
            Self::Root(root) => Subject::named(root, settings, own),
            Self::Set(root, limits) => {
                if !own.offered.has(Capability::QuotaSet) {
                    let text = "Only administrators set quotas";
                    return Err(Refused::no(PlainCode::NoPerm, text));
                }
                let subject = Subject::named(root, settings, own)?;
                let limits = limits_of(limits, own.offered)?;
                subject.account.set_limits(limits)?;
                tracing::info!(of = %subject.user, ?limits, "quota set");
                Ok(subject)
            }
        }
    }
}

impl Subject {
    /// The account that a mailbox is in. It tells of what is in the mailbox, so that takes the right
    /// to read it (RFC 9208 §6).
    fn of_mailbox(name: &[u8], own: &Authenticated) -> Result<Self, Refused> {
        let place = own.place(name)?;
        match place.rights(&own.user) {
            Ok(rights) => check(rights, Rights::READ)?,
            // It need not be there (RFC 9208 §4.1.2), unless that would tell of another user.
            Err(Error::NotFound) if place.owner == Owner::Own => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self {
            user: place.owner.name(&own.user).into(),
            account: place.account,
        })
    }

    /// The user's own account.
    fn of(own: &Authenticated) -> Self {
        Self {
            user: own.user.clone(),
            account: own.account.clone(),
        }
    }

    /// The account of a quota root. Other users' are for administrators.
    fn named(root: &[u8], settings: &Settings, own: &Authenticated) -> Result<Self, Refused> {
        let user = str::from_utf8(root).ok();
        let user = user.and_then(|root| root.strip_prefix(PREFIX));
        let user = user.ok_or_else(no_such_root)?;
        if user == &*own.user {
            return Ok(Self::of(own));
        }
        let policies = &settings.quotas;
        if !policies.is_administrator(&own.user) {
            return Err(no_such_root());
        }
        let root = policies.locate(user).filter(|root| root.is_dir());
        let account = settings.store.account(&root.ok_or_else(no_such_root)?)?;
        account.set_policy(policies.of(user));
        Ok(Self {
            user: user.into(),
            account,
        })
    }
}

/// The quota root of a user's account.
fn root_name(user: &str) -> String {
    format!("{PREFIX}{user}")
}

fn no_such_root() -> Refused {
    Refused::no(PlainCode::NonExistent, "No such quota root")
}

/// The limits that SETQUOTA names; what it does not name is not limited (RFC 9208 §4.1.3).
fn limits_of(named: &[ResourceLimit], offered: Capabilities) -> Result<Limits, Refused> {
    let mut limits = Limits::NONE;
    for ResourceLimit { resource, limit } in named {
        match resource.as_slice() {
            b"STORAGE" if offered.has(Capability::QuotaStorage) => {
                limits.storage = Some(bounded(limit.checked_mul(UNIT))?);
            }
            b"MESSAGE" if offered.has(Capability::QuotaMessage) => {
                limits.messages = Some(bounded(Some(*limit))?);
            }
            _ => {
                let text = "Quotas are of STORAGE and MESSAGE";
                return Err(Refused::no(PlainCode::Cannot, text));
            }
        }
    }
    Ok(limits)
}

/// A limit that is not larger than limits can be.
fn bounded(limit: Option<u64>) -> Result<u64, Refused> {
    let fits = limit.filter(|limit| *limit <= MOST);
    fits.ok_or_else(|| Refused::no(PlainCode::Limit, "A quota has 63 bits at most"))
}

/// The QUOTA response of an account: what is limited (RFC 9208 §4.2.1).
fn quota(user: &str, usage: Usage, limits: Limits, offered: Capabilities) -> Untagged {
    let storage = limits
        .storage
        .map(|limit| ("STORAGE", usage.octets.div_ceil(UNIT), limit.div_ceil(UNIT)))
        .filter(|_| offered.has(Capability::QuotaStorage));
    let messages = limits
        .messages
        .map(|limit| ("MESSAGE", usage.messages, limit))
        .filter(|_| offered.has(Capability::QuotaMessage));
    let resources = storage.into_iter().chain(messages);
    Untagged::Quota(root_name(user), resources.collect())
}

/// Tells a client once that its account has more than it may, and again when that has not been so in
/// between (RFC 9208 §4.3.1). Only with a mailbox selected.
pub(crate) fn tell_exceeded(account: &mut Authenticated, out: &mut Responses) {
    if !account.offered.has(Capability::Quota) {
        return;
    }
    let exceeded = account.account.exceeded();
    if let Some(resource) = exceeded
        && account.exceeded.is_none()
    {
        let text = match resource {
            Resource::Storage => "The quota of storage is exceeded",
            Resource::Messages => "The quota of messages is exceeded",
        };
        let code = Some(Code::Plain(PlainCode::OverQuota));
        out.untagged(Untagged::Status(Status::No, code, text.to_owned()));
    }
    account.exceeded = exceeded;
}

/// How many octets EXPUNGE would free in a mailbox (RFC 9208 §4.1.4): by the same measure as usage.
pub(crate) fn deleted_storage(mailbox: &Mailbox, snapshot: &Snapshot) -> u64 {
    let deleted = |message: &Message<'_>| message.flags().has(SystemFlag::Deleted);
    let octets = snapshot
        .iter()
        .filter(deleted)
        .map(|message| mailbox.file_octets(message));
    octets.fold(0, u64::saturating_add)
}

/// What the name of a quota root begins with.
const PREFIX: &str = "#user/";
/// The octets of a unit of `STORAGE` (RFC 9208 §5.1).
const UNIT: u64 = 1024;
/// The largest limit: usage and limits have 63 bits (RFC 9208 §3.1.2).
const MOST: u64 = u64::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(resource: &str, limit: u64) -> ResourceLimit {
        ResourceLimit {
            resource: resource.as_bytes().to_vec(),
            limit,
        }
    }

    #[test]
    fn limits_replace_all_others() {
        let all = Capabilities::all();
        let set = |named: &[ResourceLimit]| limits_of(named, all).map_err(|it| it.0.code);
        let both = [limit("STORAGE", 2), limit("MESSAGE", 0)];
        let expected = Limits {
            storage: Some(2048),
            messages: Some(0),
        };
        assert_eq!(set(&both), Ok(expected));
        assert_eq!(set(&[]), Ok(Limits::NONE));
        let code = |code| Err(Some(Code::Plain(code)));
        assert_eq!(set(&[limit("MAILBOX", 2)]), code(PlainCode::Cannot));
        assert_eq!(set(&[limit("STORAGE", 1 << 53)]), code(PlainCode::Limit));
        assert_eq!(set(&[limit("MESSAGE", 1 << 63)]), code(PlainCode::Limit));
        let largest = [limit("MESSAGE", MOST), limit("STORAGE", (1 << 53) - 1)];
        assert!(set(&largest).is_ok());
    }

    #[test]
    fn units_that_have_begun_count() {
        let usage = Usage {
            messages: 1,
            octets: 1025,
        };
        let limits = Limits {
            storage: Some(3000),
            messages: None,
        };
        let told = quota("ann", usage, limits, Capabilities::all());
        let expected = Untagged::Quota("#user/ann".to_owned(), vec![("STORAGE", 2, 3)]);
        assert_eq!(told, expected);
    }
}
