//! CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE and STATUS (RFC 3501 §6.3).
//!
//! A client that deletes or renames the mailbox it has selected has none selected afterwards.
//! Other sessions that have it selected are told goodbye when they next look (RFC 2180 §3.3).

use std::sync::Arc;

use mailstore::{Error, Mailbox, Rights, Snapshot, SystemFlag};

use crate::command::StatusItem;
use crate::error::Refused;
use crate::extension::{ObjectId, append_limit, imap_rev2, quota, special_use, status_size};
use crate::response::{PlainCode, StatusValue, Untagged};
use crate::session::authenticated::Authenticated;
use crate::session::place::{Owner, check};
use crate::session::responses::Responses;
use crate::session::selected::Selected;

/// The text of a command's completion.
type Done = Result<&'static str, Refused>;

/// CREATE (RFC 3501 §6.3.3), perhaps with special uses (RFC 6154 §3).
pub(crate) fn create(
    account: &Authenticated,
    typed: &[u8],
    uses: Option<&[Vec<u8>]>,
    out: &mut Responses,
) -> Done {
    let place = account.new_place(typed)?;
    if place.owner != Owner::Own && uses.is_some_and(|uses| !uses.is_empty()) {
        let text = "Special uses are for the mailboxes of one's own";
        return Err(Refused::no(PlainCode::Cannot, text));
    }
    let uses = special_use::wanted(&place.name, uses.unwrap_or_default())?;
    place.account.create_special(&place.name, uses)?;
    if let Some(told) = imap_rev2::normalized(account, typed, &place) {
        out.untagged(told);
    }
    Ok("CREATE completed")
}

/// DELETE (RFC 3501 §6.3.4).
pub(crate) fn delete(account: &Authenticated, typed: &[u8], out: &mut Responses) -> Done {
    let place = account.place(typed)?;
    let deleted = match place.rights(&account.user) {
        Ok(rights) => {
            check(rights, Rights::DELETE)?;
            place.account.delete(&place.name)
        }
        Err(error) => Err(error),
    };
    match deleted {
        Err(Error::NotFound) => return Err(imap_rev2::not_deleted(account, &place)),
        deleted => deleted?,
    }
    if let Some(told) = imap_rev2::normalized(account, typed, &place) {
        out.untagged(told);
    }
    Ok("DELETE completed")
}

/// RENAME (RFC 3501 §6.3.5).
pub(crate) fn rename(account: &Authenticated, from: &[u8], to: &[u8], out: &mut Responses) -> Done {
    // Rights come first: all other answers tell of mailboxes, and of users.
    let old = account.place(from)?;
    old.require_removal(&account.user)?;
    let mut new = account.new_place(to)?;
    if old.account.root() != new.account.root() {
        let text = "Not possible from one user to another";
        return Err(Refused::no(PlainCode::Cannot, text));
    }
    let own = old.owner == Owner::Own;
    if own && old.name == new.name {
        // They look alike: the client wants the form that is asked for.
        new.name = account.typed(to)?.normalized();
    }
    old.account.rename(&old.name, &new.name)?;
    let typed = match own {
        true => account.own(account.typed(from)?),
        false => old,
    };
    imap_rev2::renamed(account, &typed, &new, out);
    Ok("RENAME completed")
}

/// SUBSCRIBE (RFC 3501 §6.3.6). A mailbox of the user's own need not exist: it may come back. One of
/// another user must be there to be seen (RFC 4314 §4).
pub(crate) fn subscribe(account: &Authenticated, name: &[u8]) -> Done {
    let place = account.place(name)?;
    match &place.owner {
        Owner::Own => account.account.subscribe(&place.name)?,
        Owner::Other(owner) => {
            place.require(&account.user, Rights::LOOKUP)?;
            let levels = account.other_levels(owner, &place.name);
            account.account.subscribe_levels(&levels)?;
        }
    }
    Ok("SUBSCRIBE completed")
}

/// UNSUBSCRIBE (RFC 3501 §6.3.7), also of a name in another form that is on the list. It needs no
/// rights (RFC 4314 §4).
pub(crate) fn unsubscribe(account: &Authenticated, typed: &[u8]) -> Done {
    if let Some(levels) = account.levels_of_other(typed) {
        account.account.unsubscribe_levels(&levels)?;
        if let Some(canonical) = account.canonical_levels(&levels) {
            account.account.unsubscribe_levels(&canonical)?;
        }
        return Ok("UNSUBSCRIBE completed");
    }
    let name = account.name(typed)?;
    account.account.unsubscribe(&name)?;
    let typed = account.typed(typed)?;
    if typed != name {
        account.account.unsubscribe(&typed)?;
    }
    Ok("UNSUBSCRIBE completed")
}

/// STATUS (RFC 3501 §6.3.10), also of the selected mailbox. Takes `\Recent` from nobody.
pub(crate) fn status(
    account: &Authenticated,
    selected: Option<&Selected>,
    name: &[u8],
    items: &[StatusItem],
) -> Result<Untagged, Refused> {
    let place = account.place(name)?;
    let mailbox = place.open(&account.user, Rights::READ)?;
    // Opening it has looked at the directories.
    let snapshot = mailbox.snapshot();
    let own = selected.filter(|selected| Arc::ptr_eq(&selected.mailbox, &mailbox));
    let items = items
        .iter()
        .map(|&item| (item, value(item, account, &mailbox, &snapshot, own)));
    let shown = account.shown_place(&place);
    Ok(Untagged::StatusData(shown, items.collect()))
}

/// One item of STATUS.
fn value(
    item: StatusItem,
    account: &Authenticated,
    mailbox: &Mailbox,
    snapshot: &Snapshot,
    own: Option<&Selected>,
) -> StatusValue {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let number = match item {
        StatusItem::Messages => count(snapshot.len()),
        StatusItem::Recent => {
            let first = snapshot.first_recent();
            let shown = |uid| own.is_some_and(|selected| selected.view.is_recent(uid));
            let recent = |uid| uid >= first || shown(uid);
            count(snapshot.iter().filter(|it| recent(it.uid())).count())
        }
        StatusItem::DeletedStorage => quota::deleted_storage(mailbox, snapshot),
        StatusItem::AppendLimit => append_limit::advertised(account.append_limit).into(),
        StatusItem::UidNext => snapshot.uid_next().get().into(),
        StatusItem::UidValidity => snapshot.uid_validity().get().into(),
        StatusItem::Size => status_size::sum(mailbox, snapshot),
        StatusItem::Unseen => count(snapshot.unseen()),
        // 0 says that there are none (RFC 7162 §3.1.7).
        StatusItem::HighestModSeq if !mailbox.is_lasting() => 0,
        StatusItem::HighestModSeq => snapshot.highest_mod_seq().get(),
        StatusItem::Deleted => {
            let deleted =
                |message: &mailstore::Message<'_>| message.flags().has(SystemFlag::Deleted);
            count(snapshot.iter().filter(deleted).count())
        }
        StatusItem::MailboxId => {
            return StatusValue::Id(ObjectId::Mailbox(snapshot.mailbox_id()));
        }
    };
    StatusValue::Number(number)
}
