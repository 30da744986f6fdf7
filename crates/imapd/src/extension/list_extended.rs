//! LIST-EXTENDED (RFC 5258): LIST with options and several patterns.
//!
//! A name meets the selection criteria if it is subscribed, where that is asked for, and else if it
//! is a mailbox. It is told if it matches a pattern and meets them; or if it is above one that does
//! and is not told itself, so that clients see where the hierarchy goes on (RFC 5258 §3.3, §3.5).
//! There are no remote mailboxes, so REMOTE adds none.

use std::collections::{BTreeMap, HashSet};

use mailstore::{Annotations, SpecialUses};

use super::children::{Children, attribute};
use super::list_my_rights;
use super::list_status::{self, Status};
use super::special_use::{self, Special};
use super::status_size::Sizing;
use super::utf8_accept::NamePattern;
use super::{Capabilities, Capability, Extension, Shown, metadata};
use crate::command::{EntryName, ExtendedList, ReturnOption, SelectionOption, StatusItem};
use crate::error::Refused;
use crate::handler::list::one_inbox;
use crate::response::{Completion, ListEntry, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::responses::Responses;
use crate::session::running::{Outcome, Step};
use crate::session::selected::Selected;
use crate::sharing::Others;

/// The row of the registry.
pub(super) const ROW: Extension = Extension {
    is: Capability::ListExtended,
    capability: "LIST-EXTENDED",
    rfc: 5258,
    shown: Shown::Always,
    enables: None,
};

/// How many names one slice of work tells.
const BATCH: usize = 500;
/// How many times one slice of work matches a name with a pattern.
const MATCHES: usize = 2000;

/// An extended LIST under way.
#[derive(Debug)]
pub(crate) struct ExtendedListing {
    asked: ExtendedList,
    /// What METADATA tells; read once for all mailboxes.
    annotated: Option<Annotated>,
    /// Other users' mailboxes, as far as they have been looked for.
    others: Others,
    stage: Stage,
}

/// How far it is.
#[derive(Debug)]
enum Stage {
    /// Nothing is known yet.
    Start,
    /// The names are matched with the patterns, from the first on.
    Matching {
        names: Vec<Name>,
        patterns: Vec<NamePattern>,
        matched: usize,
    },
    /// What is left to tell, the next one last.
    Telling(Vec<Entry>),
}

/// A name as clients see it.
#[derive(Debug)]
struct Name {
    shown: String,
    is: Is,
    children: Children,
    special: SpecialUses,
    fits: Fits,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, Default)]
struct Is {
    /// It can be selected; else it is only a name.
    mailbox: bool,
    /// It is on the subscription list.
    subscribed: bool,
}

/// Whether a name matches a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fits {
    /// It does.
    Yes,
    /// It does not, as far as it was tried.
    No,
}

/// A name that is told.
#[derive(Debug)]
struct Entry {
    name: Name,
    /// Whether it meets the selection criteria itself.
    selected: bool,
    /// Whether a name below it does, and CHILDINFO is wanted.
    child_info: bool,
    /// How far the reading of sizes is that STATUS has to tell.
    sizing: Sizing,
}

impl ExtendedListing {
    /// LIST as it was asked.
    pub(crate) fn new(asked: ExtendedList) -> Self {
        Self {
            asked,
            annotated: None,
            others: Others::default(),
            stage: Stage::Start,
        }
    }

    /// Does one slice.
    pub(crate) fn step(
        &mut self,
        account: &Authenticated,
        selected: Option<&Selected>,
        out: &mut Responses,
    ) -> Outcome {
        match &mut self.stage {
            Stage::Start => {
                if self.may_name_others(account) && !self.others.step(account) {
                    return Ok(Step::More);
                }
                self.annotated = Annotated::look(&self.asked, account);
                self.stage = Stage::Matching {
                    names: self.collect(account)?,
                    patterns: self.patterns(account),
                    matched: 0,
                };
            }
            Stage::Matching {
                names,
                patterns,
                matched,
            } => {
                let left = names.get_mut(*matched..).unwrap_or_default();
                let count = (MATCHES / patterns.len().max(1)).clamp(1, left.len().max(1));
                for name in left.iter_mut().take(count) {
                    let mut patterns = patterns.iter();
                    if patterns.any(|pattern| pattern.matches(&name.shown)) {
                        name.fits = Fits::Yes;
                    }
                }
                *matched += count;
                if *matched >= names.len() {
                    let names = std::mem::take(names);
                    self.stage = Stage::Telling(self.choose(names, account));
                }
            }
            Stage::Telling(entries) => {
                let mut entries = std::mem::take(entries);
                let done = self.tell(&mut entries, account, selected, out);
                self.stage = Stage::Telling(entries);
                if done {
                    return Ok(Step::Done(Completion::ok("LIST completed")));
                }
            }
        }
        Ok(Step::More)
    }

    /// The patterns. An empty one matches nothing, and does not ask for the separator
    /// (RFC 5258 §3).
    fn patterns(&self, account: &Authenticated) -> Vec<NamePattern> {
        let patterns = self.asked.patterns.iter().filter(|it| !it.is_empty());
        patterns
            .map(|pattern| {
                let wanted = [self.asked.reference.as_slice(), pattern].concat();
                account.pattern(&wanted)
            })
            .collect()
    }

    /// Whether other users' mailboxes could match a pattern.
    fn may_name_others(&self, account: &Authenticated) -> bool {
        let mut patterns = self.asked.patterns.iter();
        patterns.any(|pattern| {
            let wanted = [self.asked.reference.as_slice(), pattern].concat();
            account.may_name_others(&wanted)
        })
    }

    /// Every name there is, INBOX first: mailboxes, subscribed names, and those above them.
    fn collect(&self, account: &Authenticated) -> Result<Vec<Name>, Refused> {
        let namespace = account.namespace();
        let mut all: BTreeMap<String, Is> = BTreeMap::new();
        let mailboxes = account.account.list()?;
        let special = Special::among(&mailboxes, account);
        for entry in mailboxes {
            let is = all.entry(account.shown(&entry.name)).or_default();
            is.mailbox |= entry.selectable;
        }
        for name in &self.others.found {
            all.entry(name.clone()).or_default().mailbox = true;
        }
        if self.wants_subscribed() {
            for name in account.subscribed_others()? {
                all.entry(name).or_default().subscribed = true;
            }
            for name in account.account.subscriptions()? {
                let is = all.entry(account.shown(&name)).or_default();
                is.subscribed = true;
            }
        }
        let (mut above, mut above_mailboxes) = (HashSet::new(), HashSet::new());
        for (name, is) in &all {
            for parent in parents(name, namespace.separator) {
                above.insert(parent.to_owned());
                if is.mailbox {
                    above_mailboxes.insert(parent.to_owned());
                }
            }
        }
        for parent in above {
            all.entry(parent).or_default();
        }
        let name = |(shown, is): (String, Is)| Name {
            children: if above_mailboxes.contains(&shown) {
                Children::Some
            } else {
                Children::None
            },
            special: special.of(&shown),
            shown,
            is,
            fits: Fits::No,
        };
        let mut names: Vec<Name> = all.into_iter().map(name).collect();
        names.sort_by_key(|name| name.shown != "INBOX");
        Ok(names)
    }

    /// Which of the names are told, in reverse order.
    fn choose(&self, names: Vec<Name>, account: &Authenticated) -> Vec<Entry> {
        let separator = account.namespace().separator;
        let (mut above_selected, mut above_hidden) = (HashSet::new(), HashSet::new());
        for name in names.iter().filter(|name| self.selects(name)) {
            for parent in parents(&name.shown, separator) {
                above_selected.insert(parent.to_owned());
                if name.fits == Fits::No {
                    above_hidden.insert(parent.to_owned());
                }
            }
        }
        let recursive = self.has(SelectionOption::RecursiveMatch);
        // Exactly the names are wanted that are subscribed (RFC 5258 §3.1), or only those of
        // special mailboxes (RFC 6154 §2).
        let is_narrow =
            self.has(SelectionOption::Subscribed) || self.has(SelectionOption::SpecialUse);
        let parents_too = recursive || !is_narrow;
        let fit = names.into_iter().filter(|name| name.fits == Fits::Yes);
        let mut entries: Vec<Entry> = fit
            .map(|name| Entry {
                selected: self.selects(&name),
                child_info: recursive && above_selected.contains(&name.shown),
                sizing: Sizing::default(),
                name,
            })
            .filter(|it| it.selected || (parents_too && above_hidden.contains(&it.name.shown)))
            .collect();
        entries.reverse();
        entries
    }

    /// Tells a batch; `true` when nothing is left.
    fn tell(
        &self,
        entries: &mut Vec<Entry>,
        account: &Authenticated,
        selected: Option<&Selected>,
        out: &mut Responses,
    ) -> bool {
        let items = self.status_items();
        let mut cost = 0;
        while cost < BATCH {
            let Some(mut entry) = entries.pop() else {
                return true;
            };
            cost += 1;
            let mut attributes = self.attributes(&entry, account.offered);
            let mut status = None;
            let wants_rights = self.asked.returns.contains(&ReturnOption::MyRights);
            // Only of mailboxes, and of those that meet the criteria (RFC 8440 §4).
            let rights = (wants_rights && entry.selected && entry.name.is.mailbox)
                .then(|| list_my_rights::response(account, &entry.name.shown))
                .flatten();
            // Only of mailboxes, and of those that meet the criteria (RFC 5819 §2, §3).
            if let Some(items) = items
                && entry.selected
                && entry.name.is.mailbox
            {
                let (name, sizing) = (&entry.name.shown, &mut entry.sizing);
                cost += list_status::cost(account, name);
                match list_status::status(account, selected, name, items, sizing) {
                    Status::Reading => {
                        entries.push(entry);
                        return false;
                    }
                    Status::Known(response) => status = Some(response),
                    Status::Noselect => attributes.push("\\Noselect"),
                    Status::Unknown => {}
                }
            }
            // Not of those that are told for others below them (RFC 9590 §4).
            let metadata = self.annotated.as_ref().and_then(|it| {
                let told = entry.selected && entry.name.is.mailbox;
                let (name, special) = (&entry.name.shown, entry.name.special);
                told.then(|| metadata::listed(account, name, special, &it.all, &it.asked))?
            });
            let listed = ListEntry {
                attributes,
                separator: Some(account.namespace().separator),
                name: entry.name.shown,
            };
            out.untagged(if entry.child_info {
                Untagged::ListWithChildInfo(listed, vec!["SUBSCRIBED"])
            } else {
                Untagged::List(listed)
            });
            for response in [status, rights, metadata].into_iter().flatten() {
                out.untagged(response);
            }
            if out.is_full() {
                break;
            }
        }
        entries.is_empty()
    }

    /// The attributes of an entry (RFC 5258 §3, §4, RFC 6154 §2). Those of CHILDREN and SPECIAL-USE
    /// cost nothing and are told also if nobody asked for them here.
    fn attributes(&self, entry: &Entry, offered: Capabilities) -> Vec<&'static str> {
        let mut attributes = Vec::new();
        if !entry.name.is.mailbox {
            attributes.push("\\NonExistent");
        }
        if entry.name.is.subscribed {
            attributes.push("\\Subscribed");
        }
        let asked = self.asked.returns.contains(&ReturnOption::Children);
        if asked || offered.has(Capability::Children) {
            attributes.push(attribute(entry.name.children));
        }
        attributes.extend(special_use::attributes(entry.name.special));
        attributes
    }

    /// Whether a name meets the selection criteria.
    fn selects(&self, name: &Name) -> bool {
        let is_special = !name.special.is_empty();
        if self.has(SelectionOption::SpecialUse) && !is_special {
            false
        } else if self.has(SelectionOption::Subscribed) {
            name.is.subscribed
        } else {
            name.is.mailbox
        }
    }

    /// Whether a selection option was given.
    fn has(&self, option: SelectionOption) -> bool {
        self.asked.selection.contains(&option)
    }

    /// Whether it matters what is subscribed; the selection option implies the return option
    /// (RFC 5258 §3.1).
    fn wants_subscribed(&self) -> bool {
        self.has(SelectionOption::Subscribed)
            || self.asked.returns.contains(&ReturnOption::Subscribed)
    }

    /// What STATUS is to tell, if anything (RFC 5819 §2).
    fn status_items(&self) -> Option<&[StatusItem]> {
        self.asked.returns.iter().find_map(|option| match option {
            ReturnOption::Status(items) => Some(items.as_slice()),
            ReturnOption::Subscribed
            | ReturnOption::Children
            | ReturnOption::SpecialUse
            | ReturnOption::MyRights
            | ReturnOption::Metadata(_) => None,
        })
    }
}

/// The annotations that are to be told, and what there is of them.
#[derive(Debug)]
struct Annotated {
    asked: Vec<EntryName>,
    all: Annotations,
}

impl Annotated {
    /// What LIST asks for, if anything; nothing if it cannot be read (RFC 9590 §3).
    fn look(list: &ExtendedList, account: &Authenticated) -> Option<Self> {
        let asked = list.returns.iter().find_map(|option| match option {
            ReturnOption::Metadata(entries) => Some(entries.clone()),
            ReturnOption::Subscribed
            | ReturnOption::Children
            | ReturnOption::SpecialUse
            | ReturnOption::MyRights
            | ReturnOption::Status(_) => None,
        })?;
        match account.account.annotations() {
            Ok(all) => Some(Self { asked, all }),
            Err(error) => {
                tracing::warn!(%error, "annotations not read");
                None
            }
        }
    }
}

/// The names above a name, the topmost first.
fn parents(name: &str, separator: char) -> impl Iterator<Item = &str> {
    let ends = name.match_indices(separator);
    ends.filter_map(|(end, _)| name.get(..end)).map(one_inbox)
}
