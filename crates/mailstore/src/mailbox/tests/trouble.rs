//! Mailboxes that vanish, locks that are held, disks that cannot be written.

use super::*;

#[test]
fn a_deleted_mailbox_is_gone_for_all() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    fs::remove_dir_all(&maildir.root).unwrap();
    assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    assert!(matches!(mailbox.stage(), Err(Error::NotFound)));
    let add = change(FlagOp::Add, &[SystemFlag::Seen], &[]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &add),
        Err(Error::NotFound)
    ));
    let again = maildir
        .store()
        .open_mailbox(&maildir.root, &maildir.root, MailboxName::inbox());
    assert!(matches!(again, Err(Error::NotFound)));
}

#[test]
fn a_mailbox_made_anew_under_the_same_name_is_another() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    let options = options(Fsync::Never);
    let other = UidValidity::new(mailbox.snapshot().uid_validity().get() + 5).unwrap();
    initialize(&maildir.root, other, &options).unwrap();
    assert!(matches!(mailbox.refresh(), Err(Error::NotFound)));
    let again = maildir.open_in(&store);
    assert_eq!(again.snapshot().uid_validity(), other);
    assert_eq!(again.snapshot().len(), 1);
}

#[test]
fn a_missing_directory_is_an_error_and_loses_nothing() {
    let maildir = Maildir::new();
    let store = maildir.store();
    let mailbox = maildir.open_in(&store);
    append(&mailbox, "a", &[]);
    for name in ["cur", "new"] {
        maildir.rename(name, "away");
        assert!(matches!(mailbox.refresh(), Err(Error::Corrupt { .. })));
        let opened = store.open_mailbox(&maildir.root, &maildir.root, MailboxName::inbox());
        assert!(matches!(opened, Err(Error::Corrupt { .. })));
        maildir.write(name, "a file instead");
        assert!(matches!(mailbox.refresh(), Err(Error::Corrupt { .. })));
        fs::remove_file(maildir.root.join(name)).unwrap();
        maildir.rename("away", name);
        assert_eq!(uids(&mailbox.refresh().unwrap()), [1]);
    }
    fs::remove_dir(maildir.root.join("tmp")).unwrap();
    assert_eq!(append(&mailbox, "b", &[]), 2);
}

#[test]
fn while_another_process_has_the_lock_mail_is_read() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mut impatient = options(Fsync::Never);
    impatient.lock_timeout = Duration::ZERO;
    let mailbox = maildir.open_in(&Store::new(impatient));
    let path = maildir.root.join("pillarbox.lock");
    let lock = crate::lock::FileLock::acquire(&path, Duration::ZERO).unwrap();
    maildir.write("new/2.host", "b");
    maildir.rename("cur/1.host:2,", "cur/1.host:2,S");
    let known = mailbox.refresh().unwrap();
    assert_eq!(uids(&known), [1]);
    assert_eq!(text(&mailbox, &known, 1), "a");
    let add = change(FlagOp::Add, &[SystemFlag::Flagged], &[]);
    assert!(matches!(
        mailbox.store_flags(&[uid(1)], &add),
        Err(Error::Locked)
    ));
    drop(lock);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1, 2]);
    mailbox.store_flags(&[uid(1)], &add).unwrap();
    assert_eq!(maildir.names("cur"), ["1.host:2,FS"]);
}

#[test]
fn a_panic_under_the_lock_does_not_wedge_the_mailbox() {
    let maildir = Maildir::new();
    let mailbox = maildir.open();
    append(&mailbox, "a", &[]);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        mailbox.transact(|_| -> Result<()> { panic!("on purpose") })
    }));
    assert!(panicked.is_err());
    assert_eq!(append(&mailbox, "b", &[]), 2);
    assert_eq!(uids(&mailbox.refresh().unwrap()), [1, 2]);
}

#[test]
fn closed_mailboxes_stay_within_their_bytes() {
    let maildirs: Vec<Maildir> = (0..20).map(|_| Maildir::new()).collect();
    let mut options = options(Fsync::Never);
    options.cache_bytes = 4000;
    let store = Store::new(options);
    for maildir in &maildirs {
        let mailbox = maildir.open_in(&store);
        append(&mailbox, "a", &[]);
    }
    store.flush();
    let first = maildirs.first().unwrap();
    assert!(store.is_open(&maildirs.last().unwrap().root));
    assert!(!store.is_open(&first.root));
    let kept = first.open_in(&store);
    for maildir in &maildirs {
        maildir.open_in(&store);
    }
    assert!(Arc::ptr_eq(&kept, &first.open_in(&store)));
}

#[test]
fn initialize_makes_an_empty_mailbox() {
    let maildir = Maildir::new();
    let directory = maildir.root.join(".Sent");
    fs::create_dir(&directory).unwrap();
    let uid_validity = UidValidity::new(77).unwrap();
    initialize(&directory, uid_validity, &options(Fsync::Optimized)).unwrap();
    let name = Namespace::default().parse(b"Sent").unwrap();
    let mailbox = maildir
        .store()
        .open_mailbox(&maildir.root, &directory, name)
        .unwrap();
    assert_eq!(mailbox.snapshot().uid_validity(), uid_validity);
    assert_eq!(append(&mailbox, "a", &[]), 1);
}

#[test]
fn where_nothing_can_be_written_mail_can_still_be_read() {
    let maildir = Maildir::new();
    maildir.write("cur/1.host:2,", "a");
    let mailbox = maildir.open();
    drop(mailbox);
    maildir.write("cur/2.host:2,", "b");
    // Tests may run as root, whom no permission stops: so the fallback is called directly.
    let mailbox = open_without_writing(&maildir.root);
    let snapshot = mailbox.snapshot();
    assert_eq!(uids(&snapshot), [1]);
    assert_eq!(text(&mailbox, &snapshot, 1), "a");
    fs::remove_file(Index::path_in(&maildir.root)).unwrap();
    let fresh = open_without_writing(&maildir.root);
    assert_eq!(uids(&fresh.snapshot()), [1, 2]);
    assert!(!Index::path_in(&maildir.root).exists());
}

fn open_without_writing(root: &Path) -> Mailbox {
    let mailbox = Mailbox {
        name: MailboxName::inbox(),
        root: root.to_path_buf(),
        directory: root.to_path_buf(),
        environment: Arc::new(Environment::new(options(Fsync::Never))),
        published: RwLock::new(Arc::new(Snapshot::empty(UidValidity::MIN))),
        writer: Mutex::default(),
        looks: Looks::default(),
        learned: Mutex::default(),
        graveyard: Mutex::default(),
        watchers: Watchers::default(),
        notices: Slot::default(),
        reach: Reach::Local,
        guard: Duration::from_secs(1),
        gone: AtomicBool::new(false),
        cache: Cache::new(root),
        lasting: AtomicBool::new(false),
        left_in_new: AtomicBool::new(false),
        unseen: Mutex::default(),
        ledger: OnceLock::default(),
    };
    mailbox.look_without_writing().unwrap();
    mailbox
}
