//! Records of messages made before their turn comes, by two threads.
//!
//! The first FETCH of many messages reads a file for each. Most of the time goes to the system, so
//! a second thread nearly halves it. It lives no longer than this call, and the process has no more
//! of them at once than it has processors to spare.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mailstore::cache::MAX_OCTETS;
use mailstore::{Mailbox, Message, MessageFile, Uid, crlf_size, push_crlf};

use super::shelf::make;
use crate::message::{Parsed, Record};

/// What was made of a message.
#[derive(Debug)]
pub(crate) struct Made {
    /// The records.
    pub(crate) records: Vec<(Record, Vec<u8>)>,
    /// RFC822.SIZE.
    pub(crate) size: u64,
    /// The internal date.
    pub(crate) modified: i64,
}

/// Makes records of messages, of as many from the first on as may be read at once. What cannot be
/// made so is `None`: messages that are large or cannot be read, records that are long.
pub(crate) fn make_ahead(
    mailbox: &Mailbox,
    records: &[Record],
    messages: &[Message<'_>],
) -> Vec<(Uid, Option<Made>)> {
    let work = Work {
        mailbox,
        records,
        messages,
        next: AtomicUsize::new(0),
        octets: AtomicUsize::new(0),
        made: AtomicUsize::new(0),
    };
    let helper = Helper::take();
    thread::scope(|scope| {
        let span = tracing::Span::current();
        let work = &work;
        let other = helper.as_ref().and_then(|_| {
            thread::Builder::new()
                .name("pillarbox-ahead".to_owned())
                .spawn_scoped(scope, move || span.in_scope(|| work.run()))
                .ok()
        });
        let mut made = work.run();
        // What a thread did not make is made when its turn comes.
        made.extend(other.and_then(|it| it.join().ok()).unwrap_or_default());
        made
    })
}

/// What two threads do together.
struct Work<'a> {
    mailbox: &'a Mailbox,
    records: &'a [Record],
    messages: &'a [Message<'a>],
    /// The message that nobody has taken yet.
    next: AtomicUsize,
    /// How much was read.
    octets: AtomicUsize,
    /// How much was made.
    made: AtomicUsize,
}

/// Memory that is used for one message after the other.
#[derive(Default)]
struct Memory {
    raw: Vec<u8>,
    octets: Vec<u8>,
}

impl Work<'_> {
    fn run(&self) -> Vec<(Uid, Option<Made>)> {
        let mut memory = Memory::default();
        let mut made = Vec::new();
        while self.octets.load(Ordering::Relaxed) < OCTETS_AT_ONCE
            && self.made.load(Ordering::Relaxed) < MADE_AT_ONCE
        {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(message) = self.messages.get(next) else {
                break;
            };
            made.push((message.uid(), self.make(*message, &mut memory)));
        }
        made
    }

    fn make(&self, message: Message<'_>, memory: &mut Memory) -> Option<Made> {
        let file = self.mailbox.read(message).ok()?;
        let modified = file.modified();
        let Memory { raw, octets } = memory;
        let raw = self.read(file, message, raw)?;
        octets.clear();
        let (size, parsed) = if self.needs_body() {
            push_crlf(raw, octets);
            (u64::try_from(octets.len()).ok()?, Some(Parsed::new(octets)))
        } else {
            let header = raw.get(..header_end(raw)?)?;
            push_crlf(header, octets);
            let size = message.rfc822_size();
            (size.unwrap_or_else(|| crlf_size(raw)), None)
        };
        let make = |record: &Record| {
            let made = make(*record, octets, parsed.as_ref());
            (made.len() <= MAX_OCTETS).then_some((*record, made))
        };
        let records: Vec<_> = self.records.iter().map(make).collect::<Option<_>>()?;
        let made = records.iter().map(|(_, made)| made.len()).sum();
        self.made.fetch_add(made, Ordering::Relaxed);
        if message.rfc822_size() != Some(size) || message.internal_date().is_none() {
            self.mailbox.note_read(message.uid(), size, modified);
        }
        Some(Made {
            records,
            size,
            modified,
        })
    }

    /// Reads what is needed: all, or the beginning if that has the header and the size is known.
    fn read<'m>(
        &self,
        file: MessageFile,
        message: Message<'_>,
        raw: &'m mut Vec<u8>,
    ) -> Option<&'m [u8]> {
        let all = self.needs_body() || message.rfc822_size().is_none();
        let most = if all { LARGE } else { BEGINNING };
        if all && file.physical_size() > u64::try_from(LARGE).ok()? {
            return None;
        }
        let read = file.read_raw(most, raw).ok()?;
        self.octets.fetch_add(read.len(), Ordering::Relaxed);
        Some(read)
    }

    fn needs_body(&self) -> bool {
        let needs = |it: &Record| it.form().is_some() || *it == Record::Preview;
        self.records.iter().any(needs)
    }
}

/// Where the header ends in a message as it is in its file, after the blank line; `None` if there
/// is no blank line.
fn header_end(raw: &[u8]) -> Option<usize> {
    let blank = |from: usize| {
        let rest = raw.get(from..)?;
        let blank = [&b"\n"[..], b"\r\n"]
            .into_iter()
            .find(|it| rest.starts_with(it))?;
        Some(from + blank.len())
    };
    blank(0).or_else(|| memchr::memchr_iter(b'\n', raw).find_map(|end| blank(end + 1)))
}

/// The right to another thread.
struct Helper;

/// How many have it.
static HELPERS: AtomicUsize = AtomicUsize::new(0);

impl Helper {
    fn take() -> Option<Self> {
        static SPARE: OnceLock<usize> = OnceLock::new();
        let spare = *SPARE.get_or_init(|| {
            let processors = thread::available_parallelism();
            processors.map_or(0, |processors| processors.get() - 1)
        });
        let one_more = |helpers| (helpers < spare).then_some(helpers + 1);
        HELPERS
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()
            .map(|_| Self)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        HELPERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Messages above this size are read when their turn comes.
const LARGE: usize = 256 * 1024;

/// How much of a message is read that probably has the header.
const BEGINNING: usize = 16 * 1024;

/// How much is read at once, so that a slice of work stays short.
const OCTETS_AT_ONCE: usize = 2 * 1024 * 1024;

/// How much is made at once: it waits with the session while its client is slow (S37).
const MADE_AT_ONCE: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_end_with_the_blank_line_in_any_form() {
        let rows: [(&[u8], Option<usize>); 8] = [
            (b"A: b\n\nbody\n\n", Some(6)),
            (b"A: b\r\n\r\nbody", Some(8)),
            (b"A: b\n\r\nbody", Some(7)),
            (b"\nbody", Some(1)),
            (b"\r\nbody", Some(2)),
            (b"A: b\r\r\n\r\n", Some(9)),
            (b"A: b\nno end", None),
            (b"", None),
        ];
        for (raw, expected) in rows {
            assert_eq!(header_end(raw), expected, "{raw:?}");
        }
    }
}
