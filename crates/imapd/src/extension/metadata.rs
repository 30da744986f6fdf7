//! METADATA (RFC 5464): annotations of mailboxes, and of the server as each user sees it.
//!
//! The store keeps them for each account. What is shared by all users of the server comes from its
//! settings and cannot be changed: `/shared/comment` and `/shared/admin` of the server.
//! `/private/specialuse` of a mailbox is computed: it is the special use that LIST tells (RFC 6154
//! §4), and setting it gives the mailbox that use.
//!
//! Who may read or write a mailbox in any way may read and write what is noted about it (RFC 5464
//! §3.3). METADATA-SERVER is what is left where METADATA is hidden. What others change is told by `news`.

mod news;

use std::collections::BTreeMap;
use std::ops::Bound;

use mailstore::{
    AnnotateError, Annotation, AnnotationLimits, Annotations, Entries, Error, MailboxName, Rights,
    SpecialUses,
};

use super::enable::Feature;
use super::{Capability, Extension, Shown, special_use};
use crate::command::{Depth, EntryName, GetMetadata, SetMetadata};
use crate::error::Refused;
use crate::response::{Code, Completion, MetadataCode, PlainCode, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::place::{Owner, Place, not_permitted};
use crate::session::responses::Responses;
use crate::settings::Metadata;

pub(crate) use news::{News, response, tell_news};

/// The row of the registry for mailboxes and the server.
pub(super) const ROW: Extension = Extension {
    is: Capability::Metadata,
    capability: "METADATA",
    rfc: 5464,
    shown: Shown::Always,
    enables: Some(Feature::Metadata),
};

/// The row of the registry for the server alone.
pub(super) const SERVER: Extension = Extension {
    is: Capability::MetadataServer,
    capability: "METADATA-SERVER",
    rfc: 5464,
    shown: Shown::InPlaceOf(Capability::Metadata),
    enables: Some(Feature::Metadata),
};

/// The entry that tells special uses (RFC 6154 §4).
pub(crate) const SPECIAL_USE: &str = "/private/specialuse";

/// What an account keeps annotations for: a mailbox, or the server.
pub(crate) type Key = mailstore::Place;

/// Entries that were asked for, with their values.
pub(crate) type Values = Vec<(EntryName, Option<Vec<u8>>)>;

/// GETMETADATA (RFC 5464 §4.2).
pub(crate) fn get(
    account: &Authenticated,
    asked: &GetMetadata,
    out: &mut Responses,
) -> Result<Completion, Refused> {
    let key = Subject::of(account, &asked.mailbox)?.key();
    let annotations = account.account.annotations()?;
    let special = |name: &MailboxName| account.account.special().of(name);
    let entries = entries(account, &key, annotations.of(&key), special);
    let mut values = find(&entries, &asked.entries, asked.depth);
    let completion = Completion::ok("GETMETADATA completed");
    let mut largest = None;
    if let Some(limit) = asked.max_size {
        values.retain(|(_, value)| {
            let octets = octets(value.as_ref().map_or(0, Vec::len));
            let fits = octets <= limit;
            if !fits {
                largest = largest.max(Some(octets));
            }
            fits
        });
    }
    if !values.is_empty() {
        out.untagged(Untagged::Metadata(shown(account, &key), values));
    }
    let code = largest.map(|octets| Code::Metadata(MetadataCode::LongEntries(octets)));
    Ok(completion.with_any(code))
}

/// SETMETADATA (RFC 5464 §4.3): all or nothing. Tells which mailboxes have lost a special use by it
/// (RFC 6154 §5.4).
pub(crate) fn set(
    account: &Authenticated,
    asked: &SetMetadata,
    out: &mut Responses,
) -> Result<&'static str, Refused> {
    let settings = &account.metadata;
    let key = Subject::of(account, &asked.mailbox)?.key();
    let mut changes: BTreeMap<&str, &Option<Vec<u8>>> = BTreeMap::new();
    for (entry, value) in &asked.values {
        if key.is_none() && entry.starts_with("/shared/") {
            let text = "What all users share cannot be changed";
            return Err(Refused::no(PlainCode::NoPerm, text));
        }
        if value.as_ref().is_some_and(|it| it.len() > settings.value) {
            let code = Code::Metadata(MetadataCode::MaxSize(octets(settings.value)));
            return Err(Refused(Completion::no("Value is too large").with(code)));
        }
        changes.insert(entry, value);
    }
    let uses = match changes.remove(SPECIAL_USE) {
        Some(value) => Some(special(account, &key, value.as_deref())?),
        None => None,
    };
    let changes = changes.into_iter();
    let changes: Vec<Annotation> = changes
        .map(|(entry, value)| (entry.to_owned(), value.clone()))
        .collect();
    let before = account.account.annotations()?;
    annotate(account, &key, &changes, settings)?;
    if let Some((name, uses)) = uses {
        let lost = account.account.set_special_uses(&name, uses);
        let lost = lost.inspect_err(|_| take_back(account, &key, &changes, &before))?;
        for (name, left) in lost {
            let value = (SPECIAL_USE.to_owned(), value_of(left));
            out.untagged(Untagged::Metadata(account.shown(&name), vec![value]));
        }
    }
    Ok("SETMETADATA completed")
}

/// What LIST tells of a mailbox (RFC 9590 §3).
pub(crate) fn listed(
    account: &Authenticated,
    shown: &str,
    special: SpecialUses,
    annotations: &Annotations,
    asked: &[EntryName],
) -> Option<Untagged> {
    let key = Subject::of(account, shown.as_bytes()).ok()?.key();
    let entries = entries(account, &key, annotations.of(&key), |_| special);
    let values = find(&entries, asked, Depth::Zero);
    Some(Untagged::Metadata(shown.to_owned(), values))
}

/// What a client means by a mailbox name.
enum Subject {
    /// The server.
    Server,
    /// A mailbox that exists.
    Mailbox(Box<Place>),
}

impl Subject {
    /// What the user may know of, and may annotate.
    fn of(account: &Authenticated, mailbox: &[u8]) -> Result<Self, Refused> {
        if mailbox.is_empty() {
            return Ok(Self::Server);
        }
        let place = account.place(mailbox)?;
        let rights = place.rights(&account.user)?;
        if !rights.has(Rights::LOOKUP) {
            return Err(Error::NotFound.into());
        }
        if !rights.has_any(ANY) {
            return Err(not_permitted());
        }
        if place.owner != Owner::Own {
            let text = "Annotations are for the mailboxes of one's own";
            return Err(Refused::no(PlainCode::Cannot, text));
        }
        Ok(Self::Mailbox(Box::new(place)))
    }

    /// As the user's own account has it.
    fn key(&self) -> Key {
        match self {
            Self::Server => None,
            // Only those of the user's own come so far.
            Self::Mailbox(place) => Some(place.name.clone()),
        }
    }
}

/// One of these is needed, beside that of knowing of the mailbox (RFC 5464 §3.3).
const ANY: Rights = Rights::READ
    .union(Rights::SEEN)
    .union(Rights::WRITE)
    .union(Rights::INSERT)
    .union(Rights::POST);

/// The name of a mailbox, or of the server, as the client sees it.
pub(crate) fn shown(account: &Authenticated, key: &Key) -> String {
    let name = key.as_ref().map(|name| account.shown(name));
    name.unwrap_or_default()
}

/// All entries of a mailbox or of the server, with those that are computed.
fn entries(
    account: &Authenticated,
    key: &Key,
    kept: Option<&Entries>,
    special: impl FnOnce(&MailboxName) -> SpecialUses,
) -> Entries {
    let mut entries = kept.cloned().unwrap_or_default();
    let computed = match key {
        Some(name) if account.offered.has(Capability::SpecialUse) => {
            vec![(SPECIAL_USE, value_of(special(name)))]
        }
        Some(_) => Vec::new(),
        None => {
            let Metadata { comment, admin, .. } = &*account.metadata;
            let octets = |text: &Option<String>| text.clone().map(String::into_bytes);
            let (comment, admin) = (octets(comment), octets(admin));
            vec![("/shared/comment", comment), ("/shared/admin", admin)]
        }
    };
    for (entry, value) in computed {
        if let Some(value) = value {
            entries.insert(entry.to_owned(), value);
        }
    }
    entries
}

/// The entries that were asked for, with those below them (RFC 5464 §4.2.2), each once. One that has
/// no value is told as NIL, unless there is something below it.
fn find(entries: &Entries, asked: &[EntryName], depth: Depth) -> Values {
    let mut found: BTreeMap<&str, Option<&Vec<u8>>> = BTreeMap::new();
    let mut order = Vec::new();
    for entry in asked {
        let own = entries.get(entry);
        let prefix = format!("{entry}/");
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let below = entries
            .range::<str, _>(from)
            .take_while(|(name, _)| name.starts_with(&prefix))
            .filter(|(name, _)| match depth {
                Depth::Zero => false,
                Depth::One => name.get(prefix.len()..).is_some_and(|it| !it.contains('/')),
                Depth::Infinity => true,
            });
        let below: Vec<_> = match depth {
            Depth::Zero => Vec::new(),
            Depth::One | Depth::Infinity => below.collect(),
        };
        if own.is_some() || below.is_empty() {
            order.push(entry.as_str());
            found.insert(entry, own);
        }
        for (name, value) in below {
            order.push(name);
            found.insert(name, Some(value));
        }
    }
    let once = order
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), found.remove(name)?.cloned())));
    once.collect()
}

/// The special uses that a client gives to a mailbox, checked as those of CREATE are (RFC 6154 §4).
fn special(
    account: &Authenticated,
    key: &Key,
    value: Option<&[u8]>,
) -> Result<(MailboxName, SpecialUses), Refused> {
    let Some(name) = key else {
        let text = "Only mailboxes have special uses";
        return Err(Refused::no(PlainCode::Cannot, text));
    };
    if !account.offered.has(Capability::SpecialUse) {
        let text = "Special uses cannot be set";
        return Err(Refused::no(PlainCode::Cannot, text));
    }
    let words = value.unwrap_or_default().split(|octet| *octet == b' ');
    let words = words.filter(|word| !word.is_empty());
    let attributes: Vec<Vec<u8>> = words.map(<[u8]>::to_vec).collect();
    let uses = special_use::wanted(name, &attributes)?;
    Ok((name.clone(), uses))
}

/// The value of the entry of special uses (RFC 6154 §4).
fn value_of(uses: SpecialUses) -> Option<Vec<u8>> {
    let attributes: Vec<&str> = special_use::attributes(uses).collect();
    (!attributes.is_empty()).then(|| attributes.join(" ").into_bytes())
}

fn annotate(
    account: &Authenticated,
    key: &Key,
    changes: &[Annotation],
    settings: &Metadata,
) -> Result<(), Refused> {
    if changes.is_empty() {
        return Ok(());
    }
    let limits = AnnotationLimits {
        entries: settings.entries,
        octets: settings.octets,
    };
    match account.account.annotate(key, changes, limits) {
        Ok(()) => Ok(()),
        Err(AnnotateError::TooMany) => {
            let code = Code::Metadata(MetadataCode::TooMany);
            let refused = Completion::no("There are too many annotations").with(code);
            Err(Refused(refused))
        }
        Err(AnnotateError::Store(error)) => Err(error.into()),
    }
}

/// Puts annotations back as they were: all are set, or none.
fn take_back(account: &Authenticated, key: &Key, changes: &[Annotation], before: &Annotations) {
    let old = before.of(key);
    let old = changes.iter().map(|(entry, _)| {
        let value = old.and_then(|it| it.get(entry)).cloned();
        (entry.clone(), value)
    });
    let limits = AnnotationLimits {
        entries: usize::MAX,
        octets: usize::MAX,
    };
    let old: Vec<Annotation> = old.collect();
    if let Err(error) = account.account.annotate(key, &old, limits) {
        tracing::warn!(%error, "annotations not taken back");
    }
}

fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_says_what_is_found() {
        let names = [
            "/private/a",
            "/private/a/b",
            "/private/a/b/c",
            "/private/ab",
        ];
        let entries: Entries = names.map(|name| (name.to_owned(), b"x".to_vec())).into();
        let found = |asked: &[&str], depth| {
            let asked: Vec<String> = asked.iter().map(|&it| it.to_owned()).collect();
            let found = find(&entries, &asked, depth).into_iter();
            let shown = found.map(|(name, value)| match value {
                Some(_) => name,
                None => format!("{name} NIL"),
            });
            shown.collect::<Vec<_>>()
        };
        let table: [(&[&str], Depth, &[&str]); 7] = [
            (&["/private/a"], Depth::Zero, &["/private/a"]),
            (&["/private/x"], Depth::Zero, &["/private/x NIL"]),
            (&["/private/a"], Depth::One, &["/private/a", "/private/a/b"]),
            (
                &["/private/a"],
                Depth::Infinity,
                &["/private/a", "/private/a/b", "/private/a/b/c"],
            ),
            (&["/private"], Depth::One, &["/private/a", "/private/ab"]),
            (&["/private/x"], Depth::One, &["/private/x NIL"]),
            (
                &["/private/a/b", "/private/a"],
                Depth::One,
                &["/private/a/b", "/private/a/b/c", "/private/a"],
            ),
        ];
        for (asked, depth, expected) in table {
            assert_eq!(found(asked, depth), expected, "{asked:?} {depth:?}");
        }
    }
}
