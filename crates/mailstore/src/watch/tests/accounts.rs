//! Which mailboxes there are and what is subscribed, as sessions that watch the account hear of it.

use super::*;
use crate::{
    Account, AccountChange, AccountWatch, Annotation, AnnotationLimits, SpecialUse, SpecialUses,
};

/// An account that a session watches, and the same account in another process.
struct Accounts {
    world: World,
    account: Account,
    theirs: Account,
    watch: AccountWatch,
    counter: Arc<Counter>,
}

impl Accounts {
    fn new() -> Self {
        let world = World::new();
        let account = world.store.account(&world.root()).unwrap();
        let theirs = store(&Arc::default()).account(&world.root()).unwrap();
        for mailbox in ["a", "a.b"] {
            account.create(&name(mailbox)).unwrap();
        }
        let counter = Arc::<Counter>::default();
        let watch = account.watch(Waker::from(Arc::clone(&counter))).unwrap();
        let mut it = Self {
            world,
            account,
            theirs,
            watch,
            counter,
        };
        it.woken();
        assert_eq!(it.changes(), [""; 0]);
        it
    }

    /// Has the notices attended to, and says whether the session was woken.
    fn woken(&self) -> bool {
        self.world.notices.attend();
        self.counter.0.swap(0, Ordering::SeqCst) > 0
    }

    /// What a session that was woken hears of.
    fn heard(&mut self) -> Vec<String> {
        assert!(self.woken(), "there is news");
        let heard = self.changes();
        assert_eq!(self.changes(), [""; 0], "once");
        heard
    }

    fn changes(&mut self) -> Vec<String> {
        let changes = self.watch.changes().unwrap().expect("all are remembered");
        changes.iter().map(shown).collect()
    }
}

fn shown(change: &AccountChange) -> String {
    match change {
        AccountChange::Created(name) => format!("+{name}"),
        AccountChange::Deleted(name) => format!("-{name}"),
        AccountChange::Renamed { from, to } => format!("{from}>{to}"),
        AccountChange::Subscribed(name) => format!("!{name}"),
        AccountChange::Unsubscribed(name) => format!("?{name}"),
        AccountChange::Annotated(place, entries) => {
            let place = place.as_ref().map(ToString::to_string);
            format!("{}={}", place.unwrap_or_default(), entries.join(","))
        }
        AccountChange::SpecialUses(name) => format!("{name}*"),
    }
}

fn name(text: &str) -> MailboxName {
    let namespace = Namespace {
        separator: '.',
        ..Namespace::default()
    };
    namespace.parse(text.as_bytes()).unwrap()
}

#[test]
fn what_this_process_does_is_told() {
    let mut it = Accounts::new();
    let account = it.account.clone();
    account.create(&name("c")).unwrap();
    assert_eq!(it.heard(), ["+c"]);
    account.rename(&name("a"), &name("x.y")).unwrap();
    assert_eq!(it.heard(), ["a>x.y", "a.b>x.y.b"]);
    account.delete(&name("c")).unwrap();
    assert_eq!(it.heard(), ["-c"]);
    account.subscribe(&name("not.there")).unwrap();
    assert_eq!(it.heard(), ["!not.there"]);
    account.unsubscribe(&name("not.there")).unwrap();
    assert_eq!(it.heard(), ["?not.there"]);
    let names: Vec<String> = it
        .watch
        .mailboxes()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["INBOX", "x.y", "x.y.b"]);
    assert!(it.watch.subscriptions().is_empty());
}

#[test]
fn what_another_process_does_is_told() {
    let mut it = Accounts::new();
    let theirs = it.theirs.clone();
    theirs.create(&name("c")).unwrap();
    assert_eq!(it.heard(), ["+c"]);
    theirs.rename(&name("a"), &name("x")).unwrap();
    assert_eq!(it.heard(), ["a>x", "a.b>x.b"]);
    theirs.delete(&name("x")).unwrap();
    assert_eq!(it.heard(), ["-x"]);
    theirs.subscribe(&name("c")).unwrap();
    assert_eq!(it.heard(), ["!c"]);
    theirs.unsubscribe(&name("c")).unwrap();
    assert_eq!(it.heard(), ["?c"]);
}

#[test]
fn annotations_and_special_uses_are_told_whoever_changes_them() {
    let mut it = Accounts::new();
    let limits = AnnotationLimits {
        entries: 10,
        octets: 1000,
    };
    let entry = |entry: &str, value: &str| {
        let value = Some(value.as_bytes().to_vec()).filter(|it| !it.is_empty());
        (entry.to_owned(), value)
    };
    let trash = SpecialUses::NONE.with(SpecialUse::Trash);
    for account in [it.account.clone(), it.theirs.clone()] {
        let annotate = |place: Option<&str>, changes: &[Annotation]| {
            let place = place.map(name);
            account.annotate(&place, changes, limits).unwrap();
        };
        annotate(None, &[entry("/private/a", "x"), entry("/private/b", "y")]);
        assert_eq!(it.heard(), ["=/private/a,/private/b"]);
        annotate(Some("a"), &[entry("/private/c", "1")]);
        annotate(Some("INBOX"), &[entry("/private/c", "1")]);
        assert_eq!(it.heard(), ["INBOX=/private/c", "a=/private/c"]);
        annotate(Some("a"), &[entry("/private/c", "2")]);
        annotate(None, &[entry("/private/a", "x"), entry("/private/b", "")]);
        assert_eq!(it.heard(), ["=/private/b", "a=/private/c"]);
        account.set_special_uses(&name("a"), trash).unwrap();
        assert_eq!(it.heard(), ["a*"]);
        account.set_special_uses(&name("a.b"), trash).unwrap();
        assert_eq!(it.heard(), ["a*", "a.b*"]);
        // They go along without more words, and with their mailbox.
        account.rename(&name("a"), &name("x")).unwrap();
        assert_eq!(it.heard(), ["a>x", "a.b>x.b"]);
        account.delete(&name("x.b")).unwrap();
        account.delete(&name("x")).unwrap();
        assert_eq!(it.heard(), ["-x", "-x.b"]);
        account.create(&name("a")).unwrap();
        account.create(&name("a.b")).unwrap();
        annotate(None, &[entry("/private/a", "")]);
        annotate(Some("INBOX"), &[entry("/private/c", "")]);
        assert_eq!(it.heard().len(), 4);
    }
}

#[test]
fn what_other_programs_do_is_told() {
    let mut it = Accounts::new();
    let path = |name: &str| it.world.path(name);
    let (old, new, list) = (path(".a"), path(".z"), path("subscriptions"));
    fs::rename(old, &new).unwrap();
    assert_eq!(it.heard(), ["a>z"]);
    fs::remove_dir_all(new).unwrap();
    assert_eq!(it.heard(), ["-z"]);
    fs::write(list, "one\ntwo\n").unwrap();
    assert_eq!(it.heard(), ["!one", "!two"]);
}

#[test]
fn what_does_not_concern_the_account_wakes_nobody() {
    let it = Accounts::new();
    append(&it.world.mailbox);
    append(&it.account.open(&name("a")).unwrap());
    fs::write(it.world.path("new/7.seventh.host"), "x\n").unwrap();
    assert!(!it.woken());
}

#[test]
fn names_that_change_hands_between_two_looks_are_told_apart() {
    let mut it = Accounts::new();
    let account = it.account.clone();
    account.rename(&name("a.b"), &name("c")).unwrap();
    account.create(&name("a.b")).unwrap();
    assert_eq!(it.heard(), ["a.b>c", "+a.b"]);
    // The number of the directory that was removed may be given to the new one.
    account.delete(&name("c")).unwrap();
    account.create(&name("d")).unwrap();
    assert_eq!(it.heard(), ["-c", "+d"]);
    account.delete(&name("d")).unwrap();
    account.create(&name("d")).unwrap();
    assert_eq!(it.heard(), ["-d", "+d"]);
    account.delete(&name("d")).unwrap();
    account.rename(&name("a.b"), &name("d")).unwrap();
    assert_eq!(it.heard(), ["-d", "a.b>d"]);
}

#[test]
fn where_the_kernel_does_not_watch_polling_finds_changes() {
    let temporary = tempfile::tempdir().unwrap();
    let account = store(&Arc::default()).account(temporary.path()).unwrap();
    let mine = store(&Arc::default());
    let counter = Arc::<Counter>::default();
    let watched = mine.account(temporary.path()).unwrap();
    let mut watch = watched.watch(Waker::from(Arc::clone(&counter))).unwrap();
    mine.poll();
    account.create(&name("c")).unwrap();
    assert_eq!(counter.0.swap(0, Ordering::SeqCst), 0);
    assert_eq!(watch.changes().unwrap(), Some(Vec::new()));
    mine.poll();
    assert_eq!(counter.0.swap(0, Ordering::SeqCst), 1);
    let created = AccountChange::Created(name("c"));
    assert_eq!(watch.changes().unwrap(), Some(vec![created]));
    mine.poll();
    assert_eq!(counter.0.swap(0, Ordering::SeqCst), 0);
    account.subscribe(&name("c")).unwrap();
    watch.doubt();
    let subscribed = AccountChange::Subscribed(name("c"));
    assert_eq!(watch.changes().unwrap(), Some(vec![subscribed]));
}

/// Where nothing has happened for long, a poll is a look at three times.
#[test]
fn polling_finds_changes_also_when_all_has_been_quiet_for_long() {
    let temporary = tempfile::tempdir().unwrap();
    let mine = store(&Arc::default());
    let account = mine.account(temporary.path()).unwrap();
    account.subscribe(&name("a")).unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let list = temporary.path().join("subscriptions");
    let age = |path: &Path| File::open(path).unwrap().set_modified(long_ago).unwrap();
    age(&list);
    age(temporary.path());
    let mut watch = account.watch(Waker::noop().clone()).unwrap();
    fs::write(&list, "").unwrap();
    mine.poll();
    let gone = AccountChange::Unsubscribed(name("a"));
    assert_eq!(watch.changes().unwrap(), Some(vec![gone]));
    age(&list);
    watch.doubt();
    watch.changes().unwrap();
    mine.poll();
    assert_eq!(watch.changes().unwrap(), Some(Vec::new()));
    fs::create_dir(temporary.path().join(".c")).unwrap();
    mine.poll();
    let created = AccountChange::Created(name("c"));
    assert_eq!(watch.changes().unwrap(), Some(vec![created]));
}

#[test]
fn out_of_watches_the_account_is_polled() {
    let world = World::new();
    world.notices.shared().room.store(0, Ordering::SeqCst);
    let account = world.store.account(&world.root()).unwrap();
    let mut watch = account.watch(Waker::noop().clone()).unwrap();
    fs::create_dir(world.path(".c")).unwrap();
    world.notices.attend();
    assert_eq!(watch.changes().unwrap(), Some(Vec::new()));
    world.store.poll();
    let created = AccountChange::Created(name("c"));
    assert_eq!(watch.changes().unwrap(), Some(vec![created]));
}

#[test]
fn a_session_that_does_not_ask_for_long_is_told_that_it_missed_changes() {
    let mut it = Accounts::new();
    let second = it.account.watch(Waker::noop().clone());
    let mut second = second.unwrap();
    for _ in 0..600 {
        it.account.subscribe(&name("a")).unwrap();
        second.changes().unwrap().unwrap();
        it.account.unsubscribe(&name("a")).unwrap();
        second.changes().unwrap().unwrap();
    }
    assert_eq!(it.watch.changes().unwrap(), None);
    assert_eq!(it.changes(), [""; 0]);
}

/// The root is INBOX as well.
#[test]
fn one_watch_of_the_kernel_serves_the_root_as_account_and_as_inbox() {
    let mut it = Accounts::new();
    let watched = it.world.notices.shared().watched_directories();
    assert_eq!(watched, 3, "INBOX alone, the account's root among it");
    drop(it.watch);
    it.watch = it
        .account
        .watch(Waker::from(Arc::clone(&it.counter)))
        .unwrap();
    fs::write(it.world.path("new/8.eighth.host"), "x\n").unwrap();
    assert_eq!(it.world.woken(), 1, "INBOX is watched still");
    it.world.mailbox.notices().end();
    it.theirs.create(&name("c")).unwrap();
    assert_eq!(it.heard(), ["+c"]);
}

#[test]
fn a_root_that_is_renamed_and_comes_back_is_watched_again() {
    let mut it = Accounts::new();
    let aside = it.world.temporary.path().join("aside");
    fs::rename(it.world.root(), &aside).unwrap();
    assert!(it.woken());
    assert!(it.watch.changes().is_err());
    fs::rename(aside, it.world.root()).unwrap();
    it.woken();
    assert_eq!(it.changes(), [""; 0]);
    it.theirs.create(&name("c")).unwrap();
    assert_eq!(it.heard(), ["+c"]);
}

#[test]
fn after_an_overflow_the_account_is_looked_at() {
    let mut it = Accounts::new();
    let shared = it.world.notices.shared();
    for account in shared.concerned(notices::Event::Overflow) {
        account.note();
    }
    fs::create_dir(it.world.path(".c")).unwrap();
    assert_eq!(it.changes(), ["+c"]);
}
