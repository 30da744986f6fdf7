//! The thread that waits for the kernel's notices.

use std::io;
use std::thread::{self, JoinHandle};

use mailstore::Notices;
use tracing::{Span, error, warn};

/// The thread; stopped and waited for when dropped. It never waits for a disk or a lock for long,
/// so neither does this.
pub(super) struct Attendant {
    notices: Notices,
    thread: Option<JoinHandle<()>>,
}

impl Attendant {
    /// Starts it. Without a thread there are no notices, and the store polls.
    pub(super) fn start(notices: Notices) -> Option<Self> {
        let (attended, span) = (notices.clone(), Span::current());
        let run = move || span.in_scope(|| attended.run());
        let started: io::Result<_> = thread::Builder::new()
            .name("pillarbox-notices".to_owned())
            .spawn(run);
        match started {
            Ok(thread) => Some(Self {
                notices,
                thread: Some(thread),
            }),
            Err(error) => {
                warn!(%error, "no thread for change notices: mailboxes are polled");
                notices.give_up();
                None
            }
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.notices.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if ended.is_some_and(|ended| ended.is_err()) {
            error!("the thread for change notices panicked");
        }
    }
}
