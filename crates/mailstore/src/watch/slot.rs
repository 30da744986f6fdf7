//! A mailbox's place for notices: begun with the first session that wants to be woken, ended some
//! time after the last. Until then the next session, which often comes at once, need not read the
//! directories of a mailbox that has just changed, because the kernel would have told of more.

use std::io;
use std::path::Path;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::noticed::{Lost, Noticed, Outlook, Standing};
use super::notices::{Change, Shared};
use crate::mailbox::Mailbox;
use crate::snapshot::Place;

/// A mailbox's place for notices; empty while nobody watches it, or the kernel does not.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    inner: Mutex<Inner>,
    /// How often the directories were read.
    #[cfg(test)]
    pub(crate) scans: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whose it is, while anybody wants notices.
    wanted: Option<Weak<Mailbox>>,
    noticed: Option<Arc<Noticed>>,
    /// Nobody wanted notices when that was last asked ([`Slot::rest`]).
    idle: bool,
    /// The kernel has refused; not asked again before nobody has wanted notices for a while.
    refused: bool,
}

impl Slot {
    /// From now on somebody wants notices. The next look begins with them.
    pub(super) fn want(&self, mailbox: &Arc<Mailbox>) {
        let mut inner = self.inner();
        inner.wanted = Some(Arc::downgrade(mailbox));
        inner.idle = false;
    }

    /// Ends the notices if `nobody` says, as it did the last time, that nobody wants them. To be
    /// called now and then.
    pub(crate) fn rest(&self, nobody: impl FnOnce() -> bool) {
        let mut inner = self.inner();
        if inner.wanted.is_none() {
            return;
        }
        if !nobody() {
            inner.idle = false;
        } else if std::mem::replace(&mut inner.idle, true) {
            inner.end();
        }
    }

    /// Ends the notices, because nobody can want them any more.
    pub(crate) fn end(&self) {
        self.inner().end();
    }

    /// Has the kernel watch the directories, if that is wanted and not done yet. Only with the
    /// writer's mutex.
    pub(crate) fn begin(&self, shared: Option<&Arc<Shared>>, directory: &Path) {
        let Some(shared) = shared else {
            return;
        };
        let mut inner = self.inner();
        let lost =
            |noticed: &Arc<Noticed>| noticed.state().lost == Lost::Directory || !shared.is_open();
        if inner.noticed.as_ref().is_some_and(lost) {
            inner.let_go();
        }
        let Some(mailbox) = inner.wanted.clone() else {
            return;
        };
        if inner.noticed.is_some() || inner.refused || !shared.is_open() {
            return;
        }
        let noticed = Noticed::new(mailbox, Arc::clone(shared));
        match shared.watch(directory, &noticed) {
            Ok(()) => inner.noticed = Some(noticed),
            // The look itself will tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                inner.refused = true;
                shared.warn(&error);
            }
        }
    }

    /// What notices say of the directories now. Only with the writer's mutex.
    pub(crate) fn standing(&self) -> Standing {
        let noticed = self.noticed();
        noticed.map_or(Standing::Unsure, |noticed| {
            let news = noticed.weigh();
            if news.index {
                // Perhaps after the look that asks has read it: seen to when the look is over.
                noticed.state().index = true;
                noticed.set_unseen();
            }
            news.standing
        })
    }

    /// Notes that the index agrees with the directories, by their times, asked while they were
    /// watched.
    pub(crate) fn settle(&self) {
        if let Some(noticed) = self.noticed() {
            let mut state = noticed.state();
            if state.standing == Standing::Unsure {
                state.standing = Standing::Known;
            }
        }
    }

    /// Notes that another process has written to the index: what the kernel has noticed may be
    /// in it.
    pub(crate) fn others_wrote(&self) {
        if let Some(noticed) = self.noticed() {
            noticed.shared.read(Some(&noticed));
            noticed.state().forget(Standing::Unsure);
        }
    }

    /// Notes a change of ours. Only in a transaction, when it has been done.
    pub(crate) fn note_own(&self, place: Place, name: &[u8], change: Change) {
        if let Some(noticed) = self.noticed() {
            let weight = noticed.shared.weight(place, name, change);
            noticed.state().ours.add(weight);
        }
    }

    /// The index is about to be read as it is now. Only with the writer's mutex.
    pub(crate) fn begin_look(&self) {
        if let Some(noticed) = self.noticed() {
            noticed.state().behind = false;
        }
    }

    /// A look at the directories begins. Only with the writer's mutex.
    pub(crate) fn begin_scan(&self) -> Scanning {
        #[cfg(test)]
        self.scans.fetch_add(1, Ordering::SeqCst);
        let noticed = self.noticed();
        if let Some(noticed) = &noticed {
            noticed.shared.read(Some(noticed));
            let mut state = noticed.state();
            // Until it has succeeded.
            state.forget(Standing::Changed);
            state.scanning = noticed.shared.now();
        }
        Scanning { noticed }
    }

    /// Whoever had the writer's mutex has done its work and is about to let go. If it is not certain
    /// that the index agrees with the directories, the sessions are woken for another look after
    /// `pause`.
    pub(crate) fn end_work(&self, pause: Duration) {
        if let Some(noticed) = self.noticed() {
            noticed.end_scan();
            noticed.look_again(pause);
        }
    }

    /// The same if the work has failed. The sessions are not woken, because it would fail again and
    /// again: [`Store::poll`](crate::Store::poll) tries in its own time.
    pub(crate) fn fail_work(&self) {
        if let Some(noticed) = self.noticed() {
            noticed.end_scan();
            noticed.state().behind = true;
        }
    }

    /// What a session that was woken has to do. Where the kernel does not watch, it looks.
    pub(crate) fn outlook(&self) -> Outlook {
        let noticed = self.noticed();
        let noticed = noticed.filter(|noticed| noticed.shared.is_open());
        noticed.map_or(Outlook::Look, |noticed| noticed.outlook())
    }

    /// The notices, if nobody has weighed them.
    pub(crate) fn unseen(&self) -> bool {
        let inner = self.inner();
        inner.noticed.as_ref().is_some_and(|it| it.is_unseen())
    }

    /// Weighs what was unseen. Only with the writer's mutex; `is_index_current` says whether the
    /// index is as it was left.
    pub(crate) fn weigh(&self, is_index_current: impl FnOnce() -> bool) -> Call {
        let Some(noticed) = self.noticed() else {
            return Call::Nobody;
        };
        let news = noticed.weigh();
        if news.index && !is_index_current() {
            noticed.state().behind = true;
            return Call::Now;
        }
        if !news.is_new {
            return Call::Nobody;
        }
        let now = noticed.shared.now();
        match news.rest.zip(now) {
            Some((rest, now)) if rest > now => Call::Later(noticed, rest),
            _ => Call::Now,
        }
    }

    /// Whether the kernel would tell if there were anything to see, and there is nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        let noticed = self.noticed();
        noticed.is_some_and(|noticed| noticed.is_quiet())
    }

    fn noticed(&self) -> Option<Arc<Noticed>> {
        self.inner().noticed.clone()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn end(&mut self) {
        self.wanted = None;
        self.refused = false;
        self.idle = false;
        self.let_go();
    }

    fn let_go(&mut self) {
        if let Some(noticed) = self.noticed.take() {
            noticed.shared.unwatch(&noticed);
        }
    }
}

/// Whom to wake.
pub(crate) enum Call {
    /// There is nothing to see.
    Nobody,
    /// The watchers.
    Now,
    /// The watchers, later.
    Later(Arc<Noticed>, Instant),
}

impl Call {
    /// Wakes them.
    pub(crate) fn make(self, mailbox: &Mailbox) {
        match self {
            Self::Nobody => {}
            Self::Now => mailbox.watchers().wake(),
            Self::Later(noticed, at) => noticed.defer(&mut noticed.state(), at),
        }
    }
}

/// A look at the directories under way.
pub(crate) struct Scanning {
    noticed: Option<Arc<Noticed>>,
}

impl Scanning {
    /// It has succeeded, and notices are worth this from now on.
    pub(crate) fn succeeded(self, standing: Standing) {
        if let Some(noticed) = self.noticed {
            noticed.state().standing = standing;
        }
    }
}
