//! `pillarbox.quota` in the root of an account: what each mailbox takes up, as far as it is known.
//!
//! A line of text for the file, then one for each time that something changed; of several about one
//! mailbox the last counts:
//!
//! ```text
//! pillarbox-quota 1 <generation>
//! <messages> <octets> <new> <cur> <settled> <name> <CRC>
//! ```
//!
//! `new` and `cur` are the modification times of the directories in seconds and nanoseconds, `settled`
//! is 1 if the two are to be believed, and the name is that of the directory in the root, or `INBOX`,
//! with `%` and two hexadecimal digits for octets that are not printable ASCII.
//!
//! Writers hold the kernel's lock on the file itself, add at its end, and when it has grown too much
//! write it anew in its place under the next generation. Nothing is forced to the disk: a line that
//! is lost or torn leaves times that the directories do not have any more, and the mailbox is looked
//! at. The file may be removed at any time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Usage;
use super::ledger::Tally;
use crate::error::{Error, Result};
use crate::index::FileTime;
use crate::lock::FileLock;
use crate::replace::failed;

/// The file, and how much of it has been read.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    /// The generation that was read.
    generation: u64,
    /// How many octets of it.
    read: u64,
    /// What the file was like then: nothing is new while it is still so.
    seen: Option<(u64, SystemTime)>,
}

impl Records {
    /// Those of the account in `root`; nothing is read yet.
    pub(super) fn of(root: &Path) -> Self {
        Self {
            path: root.join(NAME),
            generation: 0,
            read: 0,
            seen: None,
        }
    }

    /// Gives what others have written since it was last read to `learn`. A file that cannot be read
    /// tells nothing.
    pub(super) fn read_new(&mut self, learn: &mut impl FnMut(Vec<u8>, Tally)) {
        let Ok(metadata) = self.path.symlink_metadata() else {
            self.seen = None;
            return;
        };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let now = (metadata.len(), modified);
        if self.seen == Some(now) {
            return;
        }
        match FileLock::acquire_to_read(&self.path, PATIENCE) {
            Ok(Some(lock)) => {
                // As it was before the lock: what came in between is found the next time.
                self.seen = Some(now);
                self.read_locked(&lock, learn);
            }
            Ok(None) | Err(Error::Locked) => {}
            Err(error) => tracing::debug!(%error, "quota records not read"),
        }
    }

    /// Adds a line for a mailbox, or writes all of them anew if there are too many lines.
    ///
    /// # Errors
    /// If nothing can be written.
    pub(super) fn write(
        &mut self,
        (name, tally): (&[u8], Tally),
        random: u64,
        known: &mut BTreeMap<Vec<u8>, Tally>,
    ) -> Result<()> {
        let lock = FileLock::acquire(&self.path, PATIENCE)?;
        self.read_locked(&lock, &mut |name, tally| {
            known.insert(name, tally);
        });
        known.insert(name.to_vec(), tally);
        let length = length(&lock);
        let live = known.len() as u64 * USUAL;
        if self.generation == 0 || length > LEAST.max(4 * live) {
            return self.rewrite(&lock, random, known);
        }
        let text = line(name, tally);
        let file = lock.file();
        let written = file.write_all_at(text.as_bytes(), length);
        written.map_err(failed(&self.path))?;
        self.read = length + text.len() as u64;
        self.note_seen(&lock);
        Ok(())
    }

    /// Forgets the file: it is removed, and what was in it is not believed.
    ///
    /// # Errors
    /// If it cannot be emptied.
    pub(super) fn clear(&mut self, random: u64) -> Result<()> {
        let lock = FileLock::acquire(&self.path, PATIENCE)?;
        self.rewrite(&lock, random, &BTreeMap::new())
    }

    /// Writes the file anew.
    fn rewrite(
        &mut self,
        lock: &FileLock,
        random: u64,
        known: &BTreeMap<Vec<u8>, Tally>,
    ) -> Result<()> {
        // 0 is that of no file.
        let generation = random.max(1);
        let mut text = format!("{MAGIC} {generation:016x}\n");
        for (name, tally) in known {
            text.push_str(&line(name, *tally));
        }
        let file = lock.file();
        let written = file
            .set_len(0)
            .and_then(|()| file.write_all_at(text.as_bytes(), 0));
        written.map_err(failed(&self.path))?;
        self.generation = generation;
        self.read = text.len() as u64;
        self.note_seen(lock);
        Ok(())
    }

    /// Reads what is new. Under the lock.
    fn read_locked(&mut self, lock: &FileLock, learn: &mut impl FnMut(Vec<u8>, Tally)) {
        let length = length(lock);
        if length > MOST {
            self.generation = 0;
            return;
        }
        let mut head = [0; HEAD];
        let generation = match lock.file().read_exact_at(&mut head, 0) {
            Ok(()) => generation(&head).unwrap_or_default(),
            Err(_) => 0,
        };
        if generation != self.generation || length < self.read {
            self.generation = generation;
            self.read = HEAD as u64;
        }
        if generation == 0 {
            return;
        }
        let new = usize::try_from(length.saturating_sub(self.read)).unwrap_or_default();
        let mut text = vec![0; new];
        if let Err(error) = lock.file().read_exact_at(&mut text, self.read) {
            tracing::debug!(path = %self.path.display(), %error, "quota records not read");
            return;
        }
        self.read = length;
        for (name, tally) in text.split(|&byte| byte == b'\n').filter_map(parse) {
            learn(name, tally);
        }
    }

    fn note_seen(&mut self, lock: &FileLock) {
        let metadata = lock.file().metadata().ok();
        self.seen = metadata.and_then(|it| Some((it.len(), it.modified().ok()?)));
    }
}

fn length(lock: &FileLock) -> u64 {
    lock.file().metadata().map_or(0, |metadata| metadata.len())
}

/// The generation that the first line tells.
fn generation(head: &[u8]) -> Option<u64> {
    let digits = head.strip_prefix(MAGIC.as_bytes())?.strip_prefix(b" ")?;
    let digits = digits.strip_suffix(b"\n")?;
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

/// The line of a mailbox.
fn line(name: &[u8], tally: Tally) -> String {
    let Tally {
        usage,
        new,
        cur,
        settled,
    } = tally;
    let mut text = format!(
        "{} {} {} {} {} ",
        usage.messages,
        usage.octets,
        time(new),
        time(cur),
        u8::from(settled)
    );
    for &byte in if name.is_empty() { INBOX } else { name } {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            // A string takes everything.
            write!(text, "%{byte:02x}").ok();
        }
    }
    let crc = crc32fast::hash(text.as_bytes());
    writeln!(text, " {crc:08x}").ok();
    text
}

/// The mailbox that a line tells of, if the line is whole.
fn parse(line: &[u8]) -> Option<(Vec<u8>, Tally)> {
    let line = str::from_utf8(line).ok()?;
    let (body, crc) = line.rsplit_once(' ')?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let mut words = body.split(' ');
    let mut word = || words.next();
    let usage = Usage {
        messages: word()?.parse().ok()?,
        octets: word()?.parse().ok()?,
    };
    let tally = Tally {
        usage,
        new: parse_time(word()?)?,
        cur: parse_time(word()?)?,
        settled: word()? == "1",
    };
    Some((unescaped(word()?)?, tally))
}

fn time(time: FileTime) -> String {
    format!("{}.{:09}", time.seconds, time.nanoseconds)
}

fn parse_time(text: &str) -> Option<FileTime> {
    let (seconds, nanoseconds) = text.split_once('.')?;
    Some(FileTime {
        seconds: seconds.parse().ok()?,
        nanoseconds: nanoseconds.parse().ok()?,
    })
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    if text.as_bytes() == INBOX {
        return Some(Vec::new());
    }
    let mut pieces = text.split('%');
    let mut name = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        name.push(u8::from_str_radix(digits, 16).ok()?);
        name.extend_from_slice(rest.as_bytes());
    }
    Some(name)
}

/// The file.
const NAME: &str = "pillarbox.quota";
/// What it begins with.
const MAGIC: &str = "pillarbox-quota 1";
/// The octets of its first line.
const HEAD: usize = MAGIC.len() + 1 + 16 + 1;
/// The root; the directories of other mailboxes begin with a dot.
const INBOX: &[u8] = b"INBOX";
/// How long others may have the lock, which nobody has for longer than it takes to write.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many octets a line has more or less.
const USUAL: u64 = 100;
/// The file is not written anew before it has so many octets.
const LEAST: u64 = 16 * 1024;
/// A file with more octets is not one of ours.
const MOST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally() -> impl Strategy<Value = Tally> {
        let time = || {
            let parts = (any::<i64>(), 0..1_000_000_000u32);
            parts.prop_map(|(seconds, nanoseconds)| FileTime {
                seconds,
                nanoseconds,
            })
        };
        (any::<(u64, u64)>(), time(), time(), any::<bool>()).prop_map(
            |((messages, octets), new, cur, settled)| Tally {
                usage: Usage { messages, octets },
                new,
                cur,
                settled,
            },
        )
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let tail = prop::collection::vec(1..=255u8, 1..40);
        prop_oneof![
            Just(Vec::new()),
            tail.prop_map(|tail| [b".", &*tail].concat())
        ]
    }

    fn read(records: &mut Records) -> Vec<(Vec<u8>, Tally)> {
        let mut found = Vec::new();
        records.read_new(&mut |name, tally| found.push((name, tally)));
        found
    }

    proptest! {
        #[test]
        fn lines_come_back(name in name(), tally in tally()) {
            let text = line(&name, tally);
            let inner = text.strip_suffix('\n').unwrap();
            prop_assert!(!inner.contains('\n'));
            prop_assert_eq!(parse(inner.as_bytes()), Some((name, tally)));
        }

        #[test]
        fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let root = tempfile::tempdir().unwrap();
            let head = format!("{MAGIC} {:016x}\n", 5);
            std::fs::write(root.path().join(NAME), [head.as_bytes(), &octets].concat()).unwrap();
            prop_assert_eq!(read(&mut Records::of(root.path())), []);
            std::fs::write(root.path().join(NAME), octets).unwrap();
            prop_assert_eq!(read(&mut Records::of(root.path())), []);
        }
    }

    fn some(messages: u64) -> Tally {
        Tally {
            usage: Usage {
                messages,
                octets: 7,
            },
            new: FileTime::NEVER,
            cur: FileTime::NEVER,
            settled: false,
        }
    }

    #[test]
    fn readers_learn_what_writers_write_and_no_more() {
        let root = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = (Records::of(root.path()), Records::of(root.path()));
        assert_eq!(read(&mut reader), []);
        let mut known = BTreeMap::new();
        writer.write((b"", some(1)), 3, &mut known).unwrap();
        writer.write((b".a", some(2)), 4, &mut known).unwrap();
        let expected = [(Vec::new(), some(1)), (b".a".to_vec(), some(2))];
        assert_eq!(read(&mut reader), expected);
        assert_eq!(read(&mut reader), []);
        writer.write((b".a", some(3)), 5, &mut known).unwrap();
        assert_eq!(read(&mut reader), [(b".a".to_vec(), some(3))]);
        assert_eq!(read(&mut writer), []);
    }

    #[test]
    fn the_file_stays_small() {
        let root = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = (Records::of(root.path()), Records::of(root.path()));
        let mut known = BTreeMap::new();
        let mut last = BTreeMap::new();
        for messages in 0..2_000 {
            let name = format!(".{}", messages % 7).into_bytes();
            writer
                .write((&name, some(messages)), messages, &mut known)
                .unwrap();
            if messages % 90 == 0 {
                last.extend(read(&mut reader));
            }
            let length = root.path().join(NAME).metadata().unwrap().len();
            assert!(length <= LEAST + 200, "{length}");
        }
        last.extend(read(&mut reader));
        assert_eq!(last, known);
    }

    #[test]
    fn a_torn_line_takes_one_more_with_it() {
        let root = tempfile::tempdir().unwrap();
        let mut writer = Records::of(root.path());
        let mut known = BTreeMap::new();
        writer.write((b"", some(1)), 3, &mut known).unwrap();
        let path = root.path().join(NAME);
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"5 5 1.0 1.");
        std::fs::write(&path, text).unwrap();
        writer.write((b".a", some(2)), 3, &mut known).unwrap();
        writer.write((b".b", some(3)), 3, &mut known).unwrap();
        let expected = [(Vec::new(), some(1)), (b".b".to_vec(), some(3))];
        assert_eq!(read(&mut Records::of(root.path())), expected);
    }
}
