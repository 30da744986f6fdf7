//! In place of `inotify` on systems that do not have it: then there are no notices.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::notices::{Event, Role, WatchNumber};

/// There is none.
#[derive(Debug)]
pub(super) struct Inotify(Infallible);

impl Inotify {
    /// Fails.
    ///
    /// # Errors
    /// Always.
    pub(super) fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn watch(&self, _: &Path, _: Role) -> io::Result<WatchNumber> {
        match self.0 {}
    }

    pub(super) fn unwatch(&self, _: WatchNumber) {
        match self.0 {}
    }

    pub(super) fn drain(&self, _: impl FnMut(Event<'_>)) {
        match self.0 {}
    }

    pub(super) fn wait(&self, _: Option<Duration>) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn wait_for_bell(&self, _: Duration) -> io::Result<()> {
        match self.0 {}
    }

    pub(super) fn ring(&self) {
        match self.0 {}
    }
}
