//! The kernel's notices of changes in directories (inotify(7)), without any meaning.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::{Errno, ioctl_fionread, read, write};

use super::notices::{Event, Role, WatchNumber};

/// A queue of notices, and a bell that ends the wait for them.
#[derive(Debug)]
pub(super) struct Inotify {
    queue: OwnedFd,
    bell: OwnedFd,
    /// Whoever reads has it.
    buffer: Mutex<Box<[MaybeUninit<u8>]>>,
}

impl Inotify {
    /// Opens a queue.
    ///
    /// # Errors
    /// If the user has too many already (`fs.inotify.max_user_instances`), or has too many files
    /// open.
    pub(super) fn open() -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let buffer = vec![MaybeUninit::uninit(); BUFFER].into_boxed_slice();
        Ok(Self {
            queue,
            bell,
            buffer: Mutex::new(buffer),
        })
    }

    /// Watches a directory. One that is watched already keeps its number.
    ///
    /// # Errors
    /// If it is gone, or the user watches too many (`fs.inotify.max_user_watches`).
    pub(super) fn watch(&self, directory: &Path, role: Role) -> io::Result<WatchNumber> {
        let what = match role {
            Role::New | Role::Cur => {
                WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::DONT_FOLLOW
            }
            Role::Mailbox => {
                WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE | WatchFlags::MODIFY
            }
        };
        let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        // Added, because two names may lead to one directory.
        let flags = what | itself | WatchFlags::ONLYDIR | WatchFlags::MASK_ADD;
        Ok(inotify::add_watch(&self.queue, directory, flags)?)
    }

    /// Watches a directory no longer. The kernel may have let go of it before.
    pub(super) fn unwatch(&self, number: WatchNumber) {
        match inotify::remove_watch(&self.queue, number) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => tracing::debug!(%error, "watch not removed"),
        }
    }

    /// Reads every notice that the kernel had when this was called, and perhaps some more, in the
    /// order of the changes. Does not wait. Every change of a directory that somebody can have
    /// seen before is among what was read by now.
    pub(super) fn drain(&self, mut each: impl FnMut(Event<'_>)) {
        let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = ioctl_fionread(&self.queue).unwrap_or(u64::MAX);
        let mut octets = 0;
        let mut reader = Reader::new(&self.queue, &mut buffer);
        while octets < waiting || !reader.is_buffer_empty() {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_bytes());
                    octets += length(name);
                    interpret(
                        event.wd(),
                        event.events(),
                        name.unwrap_or_default(),
                        &mut each,
                    );
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => {
                    tracing::error!(%error, "change notices not read");
                    return each(Event::Overflow);
                }
            }
        }
    }

    /// Waits for a notice, for the bell, or for the end of `timeout`.
    ///
    /// # Errors
    /// If the system cannot wait.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut sources = [
            PollFd::new(&self.bell, PollFlags::IN),
            PollFd::new(&self.queue, PollFlags::IN),
        ];
        self.wait_for(&mut sources, timeout.as_ref())
    }

    /// Waits for the bell, or for the end of `timeout`.
    ///
    /// # Errors
    /// If the system cannot wait.
    pub(super) fn wait_for_bell(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec::try_from(timeout).ok();
        let mut sources = [PollFd::new(&self.bell, PollFlags::IN)];
        self.wait_for(&mut sources, timeout.as_ref())
    }

    fn wait_for(&self, sources: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<()> {
        match poll(sources, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match read(&self.bell, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the wait that is under way, or else the next one.
    pub(super) fn ring(&self) {
        match write(&self.bell, &1_u64.to_ne_bytes()) {
            // It cannot count any further: it has been rung.
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => tracing::error!(%error, "notices not rung"),
        }
    }
}

/// What one notice of the kernel says.
fn interpret(number: WatchNumber, kind: ReadFlags, name: &[u8], each: &mut impl FnMut(Event<'_>)) {
    if kind.contains(ReadFlags::QUEUE_OVERFLOW) {
        return each(Event::Overflow);
    }
    let lost =
        ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
    if kind.intersects(lost) {
        return each(Event::Lost(number));
    }
    if kind.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
        each(Event::Appeared(number, name));
    } else if kind.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
        each(Event::Vanished(number, name));
    } else if kind.intersects(ReadFlags::MODIFY) {
        each(Event::Written(number, name));
    }
}

/// How many octets the kernel writes for a notice: a head, and the name with at least one NUL up to
/// a multiple of the head's length.
fn length(name: Option<&[u8]>) -> u64 {
    let name = name.map_or(0, |name| (name.len() + 1).next_multiple_of(HEAD));
    u64::try_from(HEAD + name).unwrap_or_default()
}

/// The length of `struct inotify_event` without the name.
const HEAD: usize = 16;
/// How much is read at once: some hundred notices, and always more than one.
const BUFFER: usize = 64 * 1024;
