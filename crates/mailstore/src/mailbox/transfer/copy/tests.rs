//! What a copy leaves behind, and what it forces to the disk.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::name::MailboxName;
use crate::source::Source;
use crate::store::{Options, Store};

fn maildir(root: &Path, texts: &[&str]) {
    for name in ["cur", "new", "tmp"] {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(root.join(name)).unwrap();
    }
    for (number, text) in texts.iter().enumerate() {
        fs::write(root.join(format!("cur/{number}.host:2,S")), text).unwrap();
    }
}

fn open(root: &Path) -> Arc<Mailbox> {
    open_with(root, Fsync::Optimized)
}

fn open_with(root: &Path, fsync: Fsync) -> Arc<Mailbox> {
    let options = Options {
        fsync,
        namespace: crate::name::Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(10),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 0,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_750_000_000), || 7),
    };
    let store = Store::new(options);
    store
        .open_mailbox(root, root, MailboxName::inbox())
        .unwrap()
}

fn uids(mailbox: &Mailbox) -> Vec<Uid> {
    let snapshot = mailbox.refresh().unwrap();
    snapshot.iter().map(|message| message.uid()).collect()
}

fn texts(mailbox: &Mailbox) -> Vec<Vec<u8>> {
    let snapshot = mailbox.refresh().unwrap();
    let text = |message| mailbox.read(message).unwrap().read_crlf().unwrap();
    snapshot.iter().map(text).collect()
}

fn original(changed: i64, device: u64) -> Original {
    Original {
        directories: Rc::new(Directories::of(Path::new("/nowhere"))),
        place: Place::Cur,
        name: b"1.host:2,".to_vec(),
        seen: Some(Seen {
            octets: 1,
            date: 0,
            changed,
            device,
        }),
    }
}

/// How many files are forced one by one; `None` if all of the file system is.
fn forced(originals: &[Original], now: Option<i64>) -> Option<usize> {
    match Forcing::needed(originals, now) {
        Forcing::Each(each) => Some(each.len()),
        Forcing::FileSystem(_) => None,
    }
}

#[test]
fn only_what_the_system_has_written_by_itself_is_not_forced() {
    let pair = [original(1000, 1), original(880, 1)];
    assert_eq!(forced(&pair, Some(1000)), Some(2));
    assert_eq!(forced(&pair, Some(1001)), Some(1));
    assert_eq!(forced(&pair, Some(1120)), Some(1));
    assert_eq!(forced(&pair, Some(1121)), Some(0));
    // A clock that was set back tells nothing, nor does a system that waits for long.
    assert_eq!(forced(&pair, Some(0)), Some(2));
    assert_eq!(forced(&pair, None), Some(2));
}

#[test]
fn the_modification_time_counts_unless_a_program_has_set_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1.host:2,S");
    fs::write(&path, "one").unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    let times = || fs::metadata(&path).unwrap();
    // As if it were the present two days later: no clock has to be waited for.
    let (later, two_days) = (
        times().ctime() + 2 * 86_400,
        Duration::from_secs(2 * 86_400),
    );
    let natural = times().modified().unwrap() + two_days;
    let told = |modified: std::time::SystemTime| {
        file.set_modified(modified).unwrap();
        written(&times())
    };
    let odd = Duration::from_nanos(1);
    let whole = UNIX_EPOCH + Duration::from_secs(u64::try_from(later).unwrap());
    let ctime = times().ctime();
    if times().created().is_ok() {
        assert_eq!(told(whole + odd), later);
    }
    assert!((ctime..later).contains(&told(whole)), "whole seconds");
    let before = natural - 2 * two_days;
    assert!((ctime..later).contains(&told(before)), "before it was born");
}

#[test]
fn who_wants_everything_forced_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    maildir(directory.path(), &[]);
    let mailbox = open_with(directory.path(), Fsync::Always);
    assert!(!mailbox.environment.writes_back_soon());
}

#[test]
fn many_files_are_forced_together_if_they_are_in_one_place() {
    let mut many: Vec<Original> = (0..33).map(|_| original(1000, 1)).collect();
    assert_eq!(forced(&many, Some(1000)), None);
    assert_eq!(forced(&many, None), None);
    assert_eq!(forced(&many, Some(2000)), Some(0));
    assert_eq!(forced(many.get(..32).unwrap(), Some(1000)), Some(32));
    many.push(original(1000, 2));
    assert_eq!(forced(&many, Some(1000)), Some(34));
}

#[test]
fn many_fresh_messages_are_copied_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["x\ny"; 40]);
    maildir(&to, &[]);
    let (source, target) = (open(&from), open(&to));
    let copied = source.copy_to(&uids(&source), &target).unwrap();
    assert_eq!(copied.uids.len(), 40);
    assert_eq!(texts(&target), vec![b"x\r\ny"; 40]);
    assert_eq!(texts(&open(&to)).len(), 40);
    assert_eq!(fs::read_dir(to.join("tmp")).unwrap().count(), 0);
}

/// So many that the index of the target is written anew at once.
#[test]
fn more_messages_than_the_target_has_are_copied_durably() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["x"; 1100]);
    maildir(&to, &["before"]);
    let (source, target) = (open(&from), open(&to));
    let other = open(&to);
    let copied = source.copy_to(&uids(&source), &target).unwrap();
    assert_eq!(copied.uids.len(), 1100);
    let expected: Vec<Uid> = uids(&target);
    assert_eq!(expected.len(), 1101);
    // As it is on the disk, for who reads it anew and for who knew the old file.
    assert_eq!(
        (uids(&open(&to)), uids(&other)),
        (expected.clone(), expected)
    );
    let snapshot = target.snapshot();
    let date = |uid: u32| {
        snapshot
            .by_uid(Uid::new(uid).unwrap())
            .unwrap()
            .internal_date()
    };
    assert!(date(1101).is_some());
    // What comes next is appended to the new file.
    let again = source.copy_to(&uids(&source)[..2], &target).unwrap();
    assert_eq!(again.uids.len(), 2);
    assert_eq!(uids(&other).len(), 1103);
}

/// So many that the file system is not asked about each.
#[test]
fn of_very_many_messages_what_is_not_known_is_learned_later() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["x"; UNSEEN]);
    maildir(&to, &[]);
    fs::rename(from.join("cur/0.host:2,S"), from.join("cur/0.host,S=1:2,S")).unwrap();
    let (source, target) = (open(&from), open(&to));
    let copied = source.copy_to(&uids(&source), &target).unwrap();
    assert_eq!(copied.uids.len(), UNSEEN);
    let (old, new) = (source.snapshot(), target.snapshot());
    let message = new.get(0).unwrap();
    assert!(FileName::parse(message.file_name()).unwrap().size == Some(1));
    assert_eq!(message.internal_date(), None);
    let date = source.internal_date(old.get(0).unwrap()).unwrap();
    assert_eq!(target.internal_date(message).unwrap(), date);
    // What the source's index knows is taken along.
    let again = source.append(vec![appending(&source)]).unwrap();
    let all = uids(&source);
    source.copy_to(&all, &target).unwrap();
    assert_eq!(again.uids.last(), all.last());
    let last = target.snapshot();
    let last = last.iter().last().unwrap();
    assert!(last.internal_date().is_some());
    assert_eq!(uids(&open(&to)).len(), 2 * UNSEEN + 1);
}

/// One that was renamed by another program is found, and none is copied twice.
#[test]
fn very_many_messages_are_copied_whatever_others_rename() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["x"; UNSEEN]);
    maildir(&to, &["kept"]);
    let (source, target) = (open(&from), open(&to));
    let all = uids(&source);
    fs::rename(from.join("cur/9.host:2,S"), from.join("cur/9.host:2,FS")).unwrap();
    assert_eq!(source.copy_to(&all, &target).unwrap().uids.len(), UNSEEN);
    assert_eq!(uids(&target).len(), UNSEEN + 1);
    assert_eq!(fs::read_dir(to.join("cur")).unwrap().count(), UNSEEN + 1);
}

fn appending(mailbox: &Mailbox) -> crate::mailbox::Appending {
    crate::mailbox::Appending {
        staged: mailbox.stage().unwrap(),
        flags: by_name(&mailbox.snapshot(), FlagSet::EMPTY),
        internal_date: None,
    }
}

#[test]
fn a_file_that_cannot_be_linked_takes_the_others_back() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["one", "two"]);
    maildir(&to, &["kept"]);
    let (source, target) = (open(&from), open(&to));
    let snapshot = source.snapshot();
    let mut translated = Translated::keeping(FlagMask::ALL);
    let directories = Rc::new(Directories::of(&from));
    let series = target.environment.series();
    let mut incoming: Vec<Incoming> = snapshot
        .iter()
        .map(|message| {
            let mut original = Original::new(&directories, message);
            original.look().unwrap();
            let (date, file) = (original.date(), Arriving::Original(original));
            Incoming {
                flags: translated.flags(&snapshot, message),
                name: file.name(&series, None, crate::EmailId::of(b"1.host")),
                size: None,
                date,
                file,
            }
        })
        .collect();
    // Renamed by another program after it was looked at.
    fs::rename(from.join("cur/1.host:2,S"), from.join("cur/1.host:2,FS")).unwrap();
    let failed = target.place(std::mem::take(&mut incoming));
    assert!(matches!(failed, Err(Error::NotFound)));
    assert_eq!(fs::read_dir(to.join("cur")).unwrap().count(), 1);
    assert_eq!(texts(&target), [b"kept"]);
    let copied = source.copy_to(&uids(&source), &target).unwrap();
    assert_eq!(copied.uids.len(), 2);
    assert_eq!(texts(&target), [&b"kept"[..], b"one", b"two"]);
    // The source has its files, whatever was taken back.
    assert_eq!(texts(&source), [b"one", b"two"]);
}

#[test]
fn bytes_are_copied_where_links_cannot_be() {
    let directory = tempfile::tempdir().unwrap();
    // Another file system, on machines that have this one.
    let elsewhere = tempfile::tempdir_in("/dev/shm");
    let elsewhere = elsewhere.unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let (from, to) = (directory.path().join("from"), elsewhere.path().join("to"));
    maildir(&from, &["one", "two\n"]);
    maildir(&to, &[]);
    let (source, target) = (open(&from), open(&to));
    for round in 1..=2 {
        let copied = if round == 1 {
            source.copy_to(&uids(&source), &target).unwrap()
        } else {
            let uids: BTreeSet<Uid> = uids(&source).into_iter().collect();
            source.copy_by_files(&uids, &target, FlagMask::ALL).unwrap()
        };
        assert_eq!(copied.uids.len(), 2);
    }
    assert_eq!(
        texts(&target),
        [&b"one"[..], b"two\r\n", b"one", b"two\r\n"]
    );
    let snapshot = target.snapshot();
    let date = source.internal_date(source.snapshot().get(0).unwrap());
    assert_eq!(snapshot.get(0).unwrap().internal_date(), date.ok());
    assert_eq!(fs::read_dir(to.join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_is_not_a_file_is_not_copied() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    maildir(&from, &["one", "two"]);
    maildir(&to, &[]);
    let (source, target) = (open(&from), open(&to));
    let both = uids(&source);
    fs::remove_file(from.join("cur/1.host:2,S")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", from.join("cur/1.host:2,S")).unwrap();
    let refused = source.copy_to(&both, &target);
    assert!(matches!(refused, Err(Error::Corrupt { .. })));
    assert_eq!(fs::read_dir(to.join("cur")).unwrap().count(), 0);
}
