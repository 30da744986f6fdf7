//! What the client itself has changed, and so does not hear of as news.

use mailstore::{FlagChange, FlagSet, Keywords, Snapshot, Uid};

/// Which of the changed flags the client does not have to hear of as news.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Own<'a> {
    /// None: all changes are by others.
    None,
    /// The command itself tells the flags of these messages (ascending).
    Told(&'a [Uid]),
    /// The client made this change to these messages (ascending), and knows what comes of it:
    /// `.SILENT` (RFC 3501 §6.4.6).
    Silent(&'a [Uid], &'a FlagChange),
}

impl<'a> Own<'a> {
    /// The messages that the client itself has changed (ascending).
    pub(super) fn uids(self) -> &'a [Uid] {
        match self {
            Self::None => &[],
            Self::Told(uids) | Self::Silent(uids, _) => uids,
        }
    }

    /// Whether the flags that a message has in `newest` are no news to the client.
    pub(crate) fn explains(self, uid: Uid, told: &Snapshot, newest: &Snapshot) -> bool {
        match self {
            Self::None => false,
            Self::Told(uids) => uids.binary_search(&uid).is_ok(),
            Self::Silent(uids, change) => {
                let flags = |snapshot: &Snapshot| snapshot.by_uid(uid).map(|it| it.flags());
                uids.binary_search(&uid).is_ok()
                    && flags(told).map(|old| changed(old, change, newest.keywords()))
                        == flags(newest)
            }
        }
    }
}

/// The flags that come of a change, with keywords by their positions in `keywords`.
fn changed(old: FlagSet, change: &FlagChange, keywords: &Keywords) -> FlagSet {
    let named = change.keywords.iter();
    let positions = named.filter_map(|keyword| keywords.position(keyword));
    let flags = positions.fold(change.system, FlagSet::with_keyword);
    change.op.apply(old, flags)
}
