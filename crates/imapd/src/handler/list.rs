//! LIST, LSUB (RFC 3501 §6.3.8, §6.3.9) and XLIST.

use std::collections::{BTreeMap, HashSet};

use mailstore::{Namespace, SpecialUses};

use crate::error::Refused;
use crate::extension::children::{Children, attribute};
use crate::extension::special_use::{self, Special};
use crate::extension::utf8_accept::NamePattern;
use crate::extension::{Capability, xlist};
use crate::response::{Completion, ListEntry, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::sharing::Others;
pub(crate) use pattern::Pattern;

mod pattern;

/// How many names one slice of work matches.
const BATCH: usize = 500;

/// A LIST, LSUB or XLIST under way.
#[derive(Debug)]
pub(crate) struct Listing {
    kind: Kind,
    /// The reference and the mailbox name put together: our names have no root that a reference
    /// could be relative to, so they are simply joined (RFC 3501 §6.3.8).
    wanted: Vec<u8>,
    /// `LIST "" ""` and the like ask for the separator.
    separator_only: bool,
    /// Other users' mailboxes, as far as they have been looked for.
    others: Others,
    /// The names that are left, the next one last.
    names: Option<Vec<Name>>,
}

/// Which of them it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// LIST.
    List,
    /// LSUB.
    Lsub,
    /// XLIST.
    Xlist,
}

/// A name as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    shown: String,
    is: Is,
    children: Children,
    special: SpecialUses,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// A mailbox, or a name on the subscription list.
    Mailbox,
    /// Only the parent of one.
    Parent,
}

impl Listing {
    /// LIST.
    pub(crate) fn list(reference: &[u8], pattern: &[u8]) -> Self {
        Self::new(Kind::List, reference, pattern)
    }

    /// LSUB.
    pub(crate) fn lsub(reference: &[u8], pattern: &[u8]) -> Self {
        Self::new(Kind::Lsub, reference, pattern)
    }

    /// XLIST.
    pub(crate) fn xlist(reference: &[u8], pattern: &[u8]) -> Self {
        Self::new(Kind::Xlist, reference, pattern)
    }

    fn new(kind: Kind, reference: &[u8], pattern: &[u8]) -> Self {
        Self {
            kind,
            wanted: [reference, pattern].concat(),
            separator_only: pattern.is_empty(),
            others: Others::default(),
            names: None,
        }
    }

    /// Tells a batch of names.
    pub(crate) fn step(&mut self, account: &Authenticated, out: &mut Responses) -> Outcome {
        let text = match self.kind {
            Kind::List => "LIST completed",
            Kind::Lsub => "LSUB completed",
            Kind::Xlist => "XLIST completed",
        };
        let separator = account.namespace().separator;
        if self.separator_only {
            out.untagged(self.response(root(separator)));
            return Ok(Step::Done(Completion::ok(text)));
        }
        let mut names = match self.names.take() {
            Some(names) => names,
            None => {
                let looks = self.kind != Kind::Lsub && account.may_name_others(&self.wanted);
                if looks && !self.others.step(account) {
                    return Ok(Step::More);
                }
                self.collect(account)?
            }
        };
        let pattern = account.pattern(&self.wanted);
        for _ in 0..BATCH {
            let Some(name) = names.pop() else {
                return Ok(Step::Done(Completion::ok(text)));
            };
            if pattern.matches(&name.shown) && self.is_told(&name, &pattern) {
                out.untagged(self.response(self.entry(name, account)));
            }
            if out.is_full() {
                break;
            }
        }
        self.names = Some(names);
        Ok(Step::More)
    }

    /// All names, in reverse order.
    fn collect(&self, account: &Authenticated) -> Result<Vec<Name>, Refused> {
        let namespace = account.namespace();
        let special;
        let mut names: Vec<(String, Is)> = match self.kind {
            Kind::List | Kind::Xlist => {
                let entries = account.account.list()?;
                special = Special::among(&entries, account);
                let is = |selectable| if selectable { Is::Mailbox } else { Is::Parent };
                let entries = entries.iter();
                entries
                    .map(|entry| (account.shown(&entry.name), is(entry.selectable)))
                    .collect()
            }
            Kind::Lsub => {
                special = Special::all(account);
                let names = account.account.subscriptions()?;
                let names = names.iter();
                names
                    .map(|name| (account.shown(name), Is::Mailbox))
                    .collect()
            }
        };
        let others = match self.kind {
            Kind::List | Kind::Xlist => self.others.found.clone(),
            Kind::Lsub => account.subscribed_others()?,
        };
        names.extend(others.into_iter().map(|name| (name, Is::Mailbox)));
        let mut names = with_parents(names, namespace);
        for name in &mut names {
            name.special = special.of(&name.shown);
        }
        names.reverse();
        Ok(names)
    }

    /// Whether a name that matches is told. LSUB tells a parent that is not subscribed only if a
    /// subscribed name below it does not match itself, which is so if `%` hides it.
    fn is_told(&self, name: &Name, pattern: &NamePattern) -> bool {
        self.kind != Kind::Lsub || name.is == Is::Mailbox || pattern.has_level_wildcard()
    }

    /// The entry of a response.
    fn entry(&self, name: Name, account: &Authenticated) -> ListEntry {
        let mut attributes = Vec::new();
        if name.is == Is::Parent {
            attributes.push("\\Noselect");
        }
        if self.kind != Kind::Lsub && account.offered.has(Capability::Children) {
            attributes.push(attribute(name.children));
        }
        match self.kind {
            Kind::List | Kind::Lsub => attributes.extend(special_use::attributes(name.special)),
            Kind::Xlist => attributes.extend(xlist::attributes(&name.shown, name.special)),
        }
        ListEntry {
            attributes,
            separator: Some(account.namespace().separator),
            name: name.shown,
        }
    }

    /// The response.
    fn response(&self, entry: ListEntry) -> Untagged {
        match self.kind {
            Kind::List => Untagged::List(entry),
            Kind::Lsub => Untagged::Lsub(entry),
            Kind::Xlist => Untagged::Xlist(entry),
        }
    }
}

/// The answer to a request for the separator: the name of the root is empty (RFC 3501 §6.3.8).
fn root(separator: char) -> ListEntry {
    ListEntry {
        attributes: vec!["\\Noselect"],
        separator: Some(separator),
        name: String::new(),
    }
}

/// Puts in the parents that do not exist themselves (also those that are the namespace's prefix),
/// and finds out which names have others below them. INBOX comes first, then by name.
fn with_parents(names: Vec<(String, Is)>, namespace: &Namespace) -> Vec<Name> {
    let mut all: BTreeMap<String, Is> = BTreeMap::new();
    let mut parents: HashSet<String> = HashSet::new();
    for (name, is) in names {
        let ends = name.match_indices(namespace.separator);
        parents.extend(
            ends.filter_map(|(end, _)| name.get(..end))
                .map(one_inbox)
                .map(str::to_owned),
        );
        let known = all.entry(name).or_insert(is);
        if is == Is::Mailbox {
            *known = is;
        }
    }
    for parent in &parents {
        all.entry(parent.clone()).or_insert(Is::Parent);
    }
    let mut names: Vec<Name> = all
        .into_iter()
        .map(|(shown, is)| Name {
            children: if parents.contains(&shown) {
                Children::Some
            } else {
                Children::None
            },
            shown,
            is,
            special: SpecialUses::NONE,
        })
        .collect();
    names.sort_by_key(|name| name.shown != INBOX);
    names
}

/// A parent's name; in any letter case INBOX is INBOX, and listed once (RFC 3501 §5.1).
pub(crate) fn one_inbox(parent: &str) -> &str {
    if parent.eq_ignore_ascii_case(INBOX) {
        INBOX
    } else {
        parent
    }
}

/// The name that every user's INBOX has.
const INBOX: &str = "INBOX";
