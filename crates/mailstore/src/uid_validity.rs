//! New UIDVALIDITY values: each is above every one that the account gave before (RFC 3501
//! §2.3.1.1), so a mailbox that is deleted and made again is never taken for the old one.
//!
//! The last value given is in `pillarbox.account`, a text file of lines `<key> <value>` in the
//! account's root; lines of other keys are kept. It is written under the lock
//! `pillarbox.account.lock`, whose file holds a second copy: losing either loses nothing. The
//! present time in seconds is a lower bound, so losing both is harmless too unless more mailboxes
//! than seconds have passed. Values of another server's counter (`dovecot-uidvalidity`) are
//! stepped over.
//!
//! # When a value is on the disk
//!
//! A mailbox's value is durable in its own index before any client sees it, and counts as long as
//! the mailbox keeps its name. So a new value is only written, not forced: after a power cut, the
//! counter may be older than mailboxes that are still there, which takes nothing from them. Before
//! a name is freed by DELETE or RENAME, [`settle`] forces to the disk a counter that is not below
//! the value of its mailbox. That needs no new file, so it works on a full disk.
//!
//! Lock order: the lock of the tree, then that of a mailbox, then this one.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::OFlags;

use crate::error::{Error, Result};
use crate::id::UidValidity;
use crate::index::Index;
use crate::lock::FileLock;
use crate::replace::{Replacement, failed, open_regular, read, sync_directory};
use crate::source::Source;

/// The next UIDVALIDITY for a mailbox of the account in `root`.
pub(crate) fn next(root: &Path, source: &Source) -> Result<UidValidity> {
    next_above(None, root, source)
}

/// The next UIDVALIDITY, which is also above `floor`: one that another server gave.
pub(crate) fn next_above(floor: Option<u32>, root: &Path, source: &Source) -> Result<UidValidity> {
    let lock_path = root.join(LOCK);
    let lock = FileLock::acquire(&lock_path, TIMEOUT)?;
    let path = root.join(FILE);
    // A file that cannot be read as one is replaced: the copy and the time are enough.
    let old = match read(&path) {
        Ok(contents) => contents.map(|contents| contents.bytes).unwrap_or_default(),
        Err(Error::Corrupt { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let copied = read_copy(lock.file()).map_err(failed(&lock_path))?;
    let last = [floor, last_given(&old), copied, foreign_counter(root)?];
    let last = last.into_iter().flatten().max();
    let value = following(last, seconds(source))?;
    note(&path, &old, value)?;
    write_copy(lock.file(), value).map_err(failed(&lock_path))?;
    UidValidity::new(value).ok_or(Error::Limit("UIDVALIDITY"))
}

/// Makes sure that no later value will be as low as one that was given to the mailbox in
/// `directory`, whatever happens to the machine. To be called before its name is freed.
pub(crate) fn settle(root: &Path, directory: &Path) -> Result<()> {
    let Some(given) = Index::uid_validity_in(directory) else {
        return Ok(());
    };
    let lock_path = root.join(LOCK);
    let lock = FileLock::acquire(&lock_path, TIMEOUT)?;
    let settle = || {
        if read_copy(lock.file())?.is_none_or(|copied| copied < given.get()) {
            write_copy(lock.file(), given.get())?;
        }
        lock.file().sync_all()
    };
    settle().map_err(failed(&lock_path))?;
    sync_directory(root)
}

/// Raises the other server's counter, if it is lower, to `value` and to every value that we have
/// given, so that it gives higher ones to the mailboxes that it makes.
pub(crate) fn raise_foreign(root: &Path, value: UidValidity) -> Result<()> {
    let lock_path = root.join(LOCK);
    let lock = FileLock::acquire(&lock_path, TIMEOUT)?;
    let own = match read(&root.join(FILE)) {
        Ok(contents) => contents.and_then(|contents| last_given(&contents.bytes)),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    let copied = read_copy(lock.file()).map_err(failed(&lock_path))?;
    let given = [own, copied].into_iter().flatten().max();
    let wanted = given.unwrap_or_default().max(value.get());
    if foreign_counter(root)?.is_some_and(|counter| counter >= wanted) {
        return Ok(());
    }
    let path = root.join(FOREIGN);
    // It takes a value by renaming this file, so it is what counts; all others are lower.
    let counter = root.join(format!("{FOREIGN}.{wanted:08x}"));
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(&counter);
    made.map_err(failed(&counter))?;
    Replacement::begin(&path)?.commit(format!("{wanted:08x}").as_bytes(), None)?;
    for old in foreign_counters(root)? {
        if old != counter
            && let Err(error) = fs::remove_file(&old)
        {
            // The highest one counts.
            tracing::warn!(path = %old.display(), %error, "old counter not removed");
        }
    }
    Ok(())
}

/// Writes a value to `pillarbox.account`, which says `old`. A line of the right length is written
/// over; the file is replaced, durably, only if it holds anything else that could be lost.
fn note(path: &Path, old: &[u8], value: u32) -> Result<()> {
    if let Some(start) = place_of_value(old)
        && let Ok(file) = open_regular(path, OFlags::WRONLY)
    {
        let digits = format!("{value:0DIGITS$}");
        return file
            .write_all_at(digits.as_bytes(), start)
            .map_err(failed(path));
    }
    let contents = with_value(old, value);
    let replacement = Replacement::begin(path)?;
    if old.is_empty() {
        replacement.place(&contents)
    } else {
        replacement.commit(&contents, None)
    }
}

/// Where the digits of the value are, if there is one line with so many as are written now.
fn place_of_value(file: &[u8]) -> Option<u64> {
    let mut start = 0;
    let mut found = None;
    for line in file.split_inclusive(|&byte| byte == b'\n') {
        if let Some(rest) = line.strip_prefix(KEY) {
            let digits = rest.strip_suffix(b"\n")?;
            if found.is_some() || digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            found = Some(start + KEY.len());
        }
        start += line.len();
    }
    u64::try_from(found?).ok()
}

/// The copy of the value in the file of the lock.
fn read_copy(file: &File) -> io::Result<Option<u32>> {
    let mut copy = [0; COPY_LEN];
    let read = file.read_at(&mut copy, 0)?;
    Ok(copy.get(..read).and_then(number))
}

fn write_copy(file: &File, value: u32) -> io::Result<()> {
    file.write_all_at(format!("{value:0DIGITS$}\n").as_bytes(), 0)
}

/// The value after `last`: the time if that is later and fits in 31 bits, because many clients
/// hold it in a signed integer; else just one more.
fn following(last: Option<u32>, now: u64) -> Result<u32> {
    let time = match last {
        None => now.clamp(1, u64::from(u32::MAX)),
        Some(_) => now.min(MAX_SIGNED),
    };
    let time = u32::try_from(time).unwrap_or(u32::MAX);
    match last {
        None => Ok(time),
        Some(last) => {
            let next = last.checked_add(1).ok_or(Error::Limit("UIDVALIDITY"))?;
            Ok(next.max(time))
        }
    }
}

fn seconds(source: &Source) -> u64 {
    let time = source.wall().duration_since(UNIX_EPOCH);
    time.unwrap_or_default().as_secs()
}

/// The value in the lines of `pillarbox.account`.
fn last_given(file: &[u8]) -> Option<u32> {
    file.split(|&byte| byte == b'\n')
        .filter_map(|line| number(line.strip_prefix(KEY)?))
        .max()
}

/// The lines of `pillarbox.account` with a new value.
fn with_value(file: &[u8], value: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(file.len() + 32);
    let lines = file.split(|&byte| byte == b'\n');
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(KEY)) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(KEY);
    out.extend_from_slice(format!("{value:0DIGITS$}\n").as_bytes());
    out
}

/// The highest value of another server's counter: the file with eight hexadecimal digits, and the
/// empty files that have such digits in their names.
fn foreign_counter(root: &Path) -> Result<Option<u32>> {
    let mut highest = match read(&root.join(FOREIGN)) {
        Ok(contents) => contents.and_then(|contents| hexadecimal(contents.bytes.trim_ascii())),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    for counter in foreign_counters(root)? {
        highest = highest.max(counter_value(&counter));
    }
    Ok(highest)
}

/// The empty files of the other server's counter.
fn foreign_counters(root: &Path) -> Result<Vec<PathBuf>> {
    let mut counters = Vec::new();
    for entry in fs::read_dir(root).map_err(failed(root))? {
        let path = entry.map_err(failed(root))?.path();
        if counter_value(&path).is_some() {
            counters.push(path);
        }
    }
    Ok(counters)
}

fn counter_value(path: &Path) -> Option<u32> {
    let name = path.file_name()?.as_bytes();
    let digits = name.strip_prefix(FOREIGN.as_bytes())?;
    hexadecimal(digits.strip_prefix(b".")?)
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.len() != 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn number(text: &[u8]) -> Option<u32> {
    let text = text.trim_ascii();
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// The file of the account's own state.
pub(crate) const FILE: &str = "pillarbox.account";
/// Its lock, never replaced or removed, and the copy of the value.
pub(crate) const LOCK: &str = "pillarbox.account.lock";
/// How a line with the value begins.
const KEY: &[u8] = b"uidvalidity ";
/// How many digits a value is written with.
const DIGITS: usize = 10;
/// A value and the line end.
const COPY_LEN: usize = DIGITS + 1;
/// The other server's counter.
const FOREIGN: &str = "dovecot-uidvalidity";
/// The largest value of a signed integer of 32 bits.
const MAX_SIGNED: u64 = (1 << 31) - 1;
/// How long to wait for the lock, which is held for two writes.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::{FILE, LOCK, following, next, settle};
    use crate::error::Error;
    use crate::id::UidValidity;
    use crate::name::{MailboxName, Namespace};
    use crate::source::Source;
    use crate::store::{Fsync, Options, Store};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, UNIX_EPOCH};

    const NOW: u32 = 1_700_000_000;

    fn source() -> Source {
        Source::new(|| UNIX_EPOCH + Duration::from_secs(u64::from(NOW)), || 0)
    }

    #[test]
    fn values_follow_the_time_and_the_last_one() {
        let table = [
            (None, 0, 1),
            (None, u64::from(NOW), NOW),
            (Some(5), u64::from(NOW), NOW),
            (Some(NOW), u64::from(NOW), NOW + 1),
            (Some(NOW + 9), u64::from(NOW), NOW + 10),
            (Some(7), 1 << 31, (1 << 31) - 1),
            (Some(u32::MAX - 1), u64::from(NOW), u32::MAX),
            (Some((1 << 31) - 1), 1 << 40, 1 << 31),
            (None, 1 << 31, 1 << 31),
            (None, 1 << 40, u32::MAX),
        ];
        for (last, now, expected) in table {
            assert_eq!(following(last, now).unwrap(), expected, "{last:?} {now}");
        }
        let result = following(Some(u32::MAX), 0);
        assert!(matches!(result, Err(Error::Limit(_))));
    }

    #[test]
    fn values_grow_also_when_a_file_is_lost_or_damaged() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mut last = next(root, &source()).unwrap();
        assert_eq!(last.get(), NOW);
        let damages: [&dyn Fn(&str); 6] = [
            &|_| {},
            &|file| fs::remove_file(root.join(file)).unwrap(),
            &|file| fs::write(root.join(file), "").unwrap(),
            &|file| fs::write(root.join(file), "uidvalidity 17000").unwrap(),
            &|file| fs::write(root.join(file), [0; 64]).unwrap(),
            &|file| fs::write(root.join(file), b"\xFF\x80uidvalidity x\n\n").unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            for file in [FILE, LOCK] {
                damage(file);
                let value = next(root, &source()).unwrap();
                assert!(value > last, "{number} {file}");
                last = value;
            }
        }
        assert!(last.get() < NOW + 100);
    }

    #[test]
    fn other_lines_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(FILE);
        fs::write(&file, "special-use Sent \\Sent\nuidvalidity 5\nlater x").unwrap();
        next(root.path(), &source()).unwrap();
        let lines = fs::read_to_string(&file).unwrap();
        assert_eq!(
            lines,
            format!("special-use Sent \\Sent\nlater x\nuidvalidity {NOW}\n")
        );
    }

    #[test]
    fn another_servers_counter_is_stepped_over() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let later = NOW + 1000;
        fs::write(root.join("dovecot-uidvalidity"), format!("{later:08x}")).unwrap();
        assert_eq!(next(root, &source()).unwrap().get(), later + 1);
        let name = format!("dovecot-uidvalidity.{:08x}", later + 50);
        fs::write(root.join(name), "").unwrap();
        fs::write(root.join("dovecot-uidvalidity.zzzzzzzz"), "").unwrap();
        fs::write(root.join("dovecot-uidvalidity.fffffffff"), "").unwrap();
        assert_eq!(next(root, &source()).unwrap().get(), later + 51);
    }

    #[test]
    fn the_line_is_written_over_where_it_is() {
        use std::os::unix::fs::MetadataExt;

        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(FILE);
        fs::write(&file, "one x\nuidvalidity 1600000000\ntwo x\n").unwrap();
        let before = fs::metadata(&file).unwrap().ino();
        assert_eq!(next(root.path(), &source()).unwrap().get(), NOW);
        let lines = fs::read_to_string(&file).unwrap();
        assert_eq!(lines, format!("one x\nuidvalidity {NOW}\ntwo x\n"));
        assert_eq!(fs::metadata(&file).unwrap().ino(), before);
        // Two lines, or one without an end, are made one again.
        for odd in [
            "uidvalidity 1600000000\nuidvalidity 1600000000\n",
            "uidvalidity 1600000000",
        ] {
            fs::write(&file, odd).unwrap();
            let value = next(root.path(), &source()).unwrap();
            let lines = fs::read_to_string(&file).unwrap();
            assert_eq!(lines, format!("uidvalidity {value}\n"));
        }
    }

    fn options(fsync: Fsync) -> Options {
        Options {
            fsync,
            namespace: Namespace::default(),
            hostname: "host".to_owned(),
            lock_timeout: Duration::ZERO,
            mtime_guard: Duration::ZERO,
            cache_bytes: 0,
            source: source(),
        }
    }

    #[test]
    fn delete_and_rename_settle_the_counter_first() {
        let root = tempfile::tempdir().unwrap();
        let account = Store::new(options(Fsync::Optimized))
            .account(root.path())
            .unwrap();
        let name = |text: &[u8]| account.namespace().parse(text).unwrap();
        let make = |name: &MailboxName| {
            account.create(name).unwrap();
            account.open(name).unwrap().snapshot().uid_validity()
        };
        let (first, old) = (make(&name(b"first")), make(&name(b"old")));
        assert!(old > first);
        let power_cut = || {
            for file in [FILE, LOCK] {
                fs::write(root.path().join(file), "").unwrap();
            }
        };
        power_cut();
        account.delete(&name(b"old")).unwrap();
        let again = make(&name(b"old"));
        assert!(again > old);
        power_cut();
        account.rename(&name(b"old"), &name(b"new")).unwrap();
        assert!(make(&name(b"old")) > again);
    }

    #[test]
    fn a_freed_name_never_gets_an_old_value_after_a_power_cut() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let mailbox = root.join(".Old");
        fs::create_dir(&mailbox).unwrap();
        let given = UidValidity::new(NOW + 500).unwrap();
        crate::mailbox::initialize(&mailbox, given, &options(Fsync::Never)).unwrap();
        // The power cut has taken back what was not forced to the disk: both counters, whole or
        // in part, and the clock too.
        for lost in ["", "1699999999\n", "\0\0\0\0"] {
            drop(fs::remove_file(root.join(FILE)));
            fs::write(root.join(LOCK), lost).unwrap();
            settle(root, &mailbox).unwrap();
            assert!(next(root, &source()).unwrap() > given, "{lost:?}");
        }
        // A counter that is further stays where it is.
        let last = next(root, &source()).unwrap();
        settle(root, &mailbox).unwrap();
        assert_eq!(next(root, &source()).unwrap().get(), last.get() + 1);
    }

    fn take_many(root: &Path) -> Vec<u32> {
        let values = (0..20).map(|_| next(root, &source()).unwrap());
        values.map(UidValidity::get).collect()
    }

    #[test]
    fn threads_never_get_the_same_value() {
        let root = tempfile::tempdir().unwrap();
        let values: Vec<u32> = thread::scope(|scope| {
            let threads = [0; 4].map(|_| scope.spawn(|| take_many(root.path())));
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let distinct: BTreeSet<u32> = values.iter().copied().collect();
        assert_eq!(distinct.len(), 80);
        assert_eq!(distinct.last(), Some(&(NOW + 79)));
    }
}
