//! Unsolicited METADATA responses (RFC 5464 §4.4.2): names of entries that others have changed, for
//! clients that have enabled METADATA.
//!
//! A client that has used NOTIFY hears what it has asked for there, and nothing here.

use std::task::Waker;

use mailstore::{AccountChange, AccountWatch};

use super::{SPECIAL_USE, shown};
use crate::extension::Capability;
use crate::extension::enable::Feature;
use crate::extension::notify::is_own;
use crate::response::Untagged;
use crate::session::State;
use crate::session::authenticated::Authenticated;
use crate::session::responses::Responses;

/// What a client that has enabled METADATA has not been told yet.
#[derive(Debug)]
pub(crate) struct News {
    watch: AccountWatch,
    /// What was found while an own change was looked for.
    found: Vec<AccountChange>,
}

impl News {
    /// The client itself has changed the account.
    pub(crate) fn note_change(&mut self, own: &AccountChange) {
        self.look();
        self.found.retain(|change| !is_own(change, own));
    }

    fn look(&mut self) {
        match self.watch.changes() {
            Ok(changes) => {
                let changes = changes.unwrap_or_default().into_iter();
                self.found.extend(changes.filter(is_about_metadata));
            }
            Err(error) => tracing::warn!(%error, "account not looked at"),
        }
    }
}

/// Tells a client that wants to hear of it what others have changed. Watching begins with the first
/// command after ENABLE.
pub(crate) fn tell_news(state: &mut State, waker: &Waker, out: &mut Responses) {
    let account = match state {
        State::Authenticated(account) => account,
        State::Selected(selected) => &mut selected.account,
        State::NotAuthenticated(_) | State::Logout => return,
    };
    if !account.enabled.has(Feature::Metadata) || account.notify.is_some() {
        return;
    }
    let mut news = match account.news.take() {
        Some(news) => news,
        None => match account.account.watch(waker.clone()) {
            Ok(watch) => Box::new(News {
                watch,
                found: Vec::new(),
            }),
            Err(error) => {
                tracing::warn!(%error, "account not watched");
                return;
            }
        },
    };
    news.look();
    for change in std::mem::take(&mut news.found) {
        if let Some(response) = response(&change, account) {
            out.untagged(response);
        }
    }
    account.news = Some(news);
}

/// The response for a change, if it is one of metadata and the client is to hear of it.
pub(crate) fn response(change: &AccountChange, account: &Authenticated) -> Option<Untagged> {
    let (place, entries) = match change {
        AccountChange::Annotated(place, entries) => (place.clone(), entries.clone()),
        AccountChange::SpecialUses(name) => (Some(name.clone()), vec![SPECIAL_USE.to_owned()]),
        AccountChange::Created(_)
        | AccountChange::Deleted(_)
        | AccountChange::Renamed { .. }
        | AccountChange::Subscribed(_)
        | AccountChange::Unsubscribed(_) => return None,
    };
    let offered = match place {
        Some(_) => account.offered.has(Capability::Metadata),
        None => account.offered.has(Capability::MetadataServer),
    };
    offered.then(|| Untagged::MetadataChanged(shown(account, &place), entries))
}

const fn is_about_metadata(change: &AccountChange) -> bool {
    matches!(
        change,
        AccountChange::Annotated(..) | AccountChange::SpecialUses(_)
    )
}
