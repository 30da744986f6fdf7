//! What hangs on the mailboxes of an account by their names, as it was when it was last looked at:
//! for annotations a checksum of each value.

use std::collections::{BTreeMap, BTreeSet};

use super::AccountChange;
use crate::attached::annotations::Place;
use crate::attached::{Attached, Renames};
use crate::name::MailboxName;
use crate::special::{SpecialMailboxes, SpecialNames};
use crate::tree::Identity;

/// Special uses and annotations.
#[derive(Debug, Default)]
pub(super) struct Hanging {
    special: SpecialMailboxes,
    annotations: BTreeMap<(Place, String), u32>,
}

impl Hanging {
    /// As it is now; annotations that cannot be read are as they were.
    pub(super) fn look(
        attached: &Attached<'_>,
        names: &SpecialNames,
        census: &BTreeMap<MailboxName, Identity>,
        before: &Self,
    ) -> Self {
        let uses = attached.uses();
        let special = SpecialMailboxes::new(uses.given(), names, |it| census.contains_key(it));
        let annotations = match attached.annotations() {
            Ok(annotations) => annotations
                .iter()
                .map(|(place, entry, value)| {
                    ((place.clone(), entry.clone()), crc32fast::hash(value))
                })
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "annotations not read");
                before.annotations.clone()
            }
        };
        Self {
            special,
            annotations,
        }
    }

    /// Mailboxes were renamed, and what hangs on them went along.
    pub(super) fn rename(&mut self, changes: &[AccountChange]) {
        let renamed = changes.iter().filter_map(|change| match change {
            AccountChange::Renamed { from, to } => Some((from.clone(), to.clone())),
            AccountChange::Created(_)
            | AccountChange::Deleted(_)
            | AccountChange::Subscribed(_)
            | AccountChange::Unsubscribed(_)
            | AccountChange::Annotated(..)
            | AccountChange::SpecialUses(_) => None,
        });
        let renames: Renames = renamed.collect();
        if renames.is_empty() {
            return;
        }
        let new = |place: Place| place.map(|name| renames.get(&name).cloned().unwrap_or(name));
        let old = std::mem::take(&mut self.annotations).into_iter();
        self.annotations = old
            .map(|((place, entry), sum)| ((new(place), entry), sum))
            .collect();
        self.special.rename(&renames);
    }

    /// What has changed since `before` about mailboxes that there are, and about the account.
    pub(super) fn changes(
        &self,
        before: &Self,
        census: &BTreeMap<MailboxName, Identity>,
    ) -> Vec<AccountChange> {
        let is_there = |name: &MailboxName| name.is_inbox() || census.contains_key(name);
        let mut entries: BTreeMap<&Place, Vec<String>> = BTreeMap::new();
        let both: BTreeSet<_> = [self, before]
            .into_iter()
            .flat_map(|it| it.annotations.keys())
            .collect();
        for key in both {
            let (place, entry) = key;
            let differs = self.annotations.get(key) != before.annotations.get(key);
            if differs && place.as_ref().is_none_or(is_there) {
                entries.entry(place).or_default().push(entry.clone());
            }
        }
        let annotated = entries
            .into_iter()
            .map(|(place, entries)| AccountChange::Annotated(place.clone(), entries));
        let mut concerned = self.special.mailboxes();
        concerned.extend(before.special.mailboxes());
        let other = concerned
            .into_iter()
            .filter(|name| is_there(name) && self.special.of(name) != before.special.of(name));
        let special = other.cloned().map(AccountChange::SpecialUses);
        annotated.chain(special).collect()
    }
}
