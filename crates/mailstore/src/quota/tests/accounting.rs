//! Usage is what the files come to.

use super::*;
use crate::id::Uid;
use proptest::prelude::*;

#[test]
fn usage_follows_every_command() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(Some(1 << 20), None));
    assert_eq!(count(&account), usage(0, 0));
    append(&account, "INBOX", 100).unwrap();
    account.create(&name("a")).unwrap();
    append(&account, "a", 20).unwrap();
    append(&account, "a", 3).unwrap();
    assert_eq!(count(&account), usage(3, 123));
    let (inbox, a) = (
        account.open(&name("INBOX")).unwrap(),
        account.open(&name("a")).unwrap(),
    );
    a.copy_to(&[Uid::MIN], &inbox).unwrap();
    assert_eq!(count(&account), usage(4, 143));
    let mut moving = a.begin_move(&inbox);
    moving.add(&[Uid::MIN]).unwrap();
    moving.finish().unwrap();
    assert_eq!(count(&account), usage(4, 143));
    inbox.expunge(&[Uid::MIN]).unwrap();
    assert_eq!(count(&account), usage(3, 43));
    account.rename(&name("a"), &name("b")).unwrap();
    assert_eq!(count(&account), usage(3, 43));
    account.rename(&name("INBOX"), &name("old")).unwrap();
    assert_eq!(count(&account), usage(3, 43));
    account.delete(&name("b")).unwrap();
    assert_eq!(count(&account), usage(2, 40));
    assert_eq!(account.recount().unwrap(), usage(2, 40));
}

#[test]
fn others_are_seen_at_once_in_inbox_and_soon_elsewhere() {
    let root = tempfile::tempdir().unwrap();
    let clock = Clock::default();
    let account = store(&clock).account(root.path()).unwrap();
    account.set_policy(limited(Some(1 << 20), None));
    account.create(&name("a")).unwrap();
    assert_eq!(count(&account), usage(0, 0));
    drop_in(root.path(), "1.a.host", 10);
    assert_eq!(count(&account), usage(1, 10));
    drop_in(&root.path().join(".a"), "1.b.host,S=5", 5);
    assert_eq!(count(&account), usage(1, 10));
    clock.pass(5);
    assert_eq!(count(&account), usage(2, 15));
    fs::remove_file(root.path().join("new/1.a.host")).unwrap();
    assert_eq!(count(&account), usage(1, 5));
    fs::remove_dir_all(root.path().join(".a")).unwrap();
    clock.pass(5);
    assert_eq!(count(&account), usage(0, 0));
    // A mailbox that another program makes.
    for place in ["cur", "new", "tmp"] {
        fs::create_dir_all(root.path().join(".b").join(place)).unwrap();
    }
    drop_in(&root.path().join(".b"), "1.c.host", 7);
    clock.pass(5);
    assert_eq!(count(&account), usage(1, 7));
}

#[test]
fn another_process_is_told_at_once() {
    let root = tempfile::tempdir().unwrap();
    let one = account(root.path(), limited(Some(1 << 20), None));
    let other = account(root.path(), limited(Some(1 << 20), None));
    one.create(&name("a")).unwrap();
    assert_eq!((count(&one), count(&other)), (usage(0, 0), usage(0, 0)));
    append(&one, "a", 10).unwrap();
    assert_eq!(count(&other), usage(1, 10));
    append(&other, "a", 20).unwrap();
    assert_eq!(count(&one), usage(2, 30));
    let a = other.open(&name("a")).unwrap();
    a.expunge(&[Uid::MIN]).unwrap();
    assert_eq!(count(&one), usage(1, 20));
    one.create(&name("a/b")).unwrap();
    append(&one, "a/b", 5).unwrap();
    for (from, to) in [("a", "c"), ("c", "c/d"), ("c/d", "a")] {
        one.rename(&name(from), &name(to)).unwrap();
        assert_eq!(count(&other), usage(2, 25), "{from} {to}");
        assert_eq!(count(&one), usage(2, 25), "{from} {to}");
        assert_eq!(count(&other), usage(2, 25), "{from} {to}");
    }
    one.delete(&name("a/b")).unwrap();
    assert_eq!(count(&other), usage(1, 20));
    one.delete(&name("a")).unwrap();
    assert_eq!(count(&other), usage(0, 0));
}

#[test]
fn a_new_process_opens_only_what_it_does_not_know() {
    let root = tempfile::tempdir().unwrap();
    let first = account(root.path(), always());
    for mailbox in ["a", "b", "c"] {
        first.create(&name(mailbox)).unwrap();
        append(&first, mailbox, 10).unwrap();
    }
    // Once to confirm what was done, as after any change.
    for _ in 0..3 {
        assert_eq!(count(&first), usage(3, 30));
    }
    let second = store(&Clock::default());
    let account = second.account(root.path()).unwrap();
    account.set_policy(always());
    drop_in(&root.path().join(".b"), "1.x.host", 5);
    assert_eq!(count(&account), usage(4, 35));
    let opened =
        ["a", "b", "c"].map(|mailbox| second.is_open(&root.path().join(format!(".{mailbox}"))));
    assert_eq!(opened, [false, true, false]);
}

#[test]
fn a_count_comes_in_slices() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), always());
    for mailbox in 0..100 {
        account.create(&name(&format!("m{mailbox}"))).unwrap();
    }
    fs::remove_file(root.path().join("pillarbox.quota")).ok();
    let fresh = store(&Clock::default()).account(root.path()).unwrap();
    let mut counting = crate::quota::Counting::default();
    let mut slices = 0;
    while fresh.count(&mut counting).unwrap().is_none() {
        slices += 1;
    }
    assert!((3..=4).contains(&slices), "{slices}");
}

#[test]
fn damaged_records_are_counted_again() {
    for damage in [
        &b""[..],
        b"pillarbox-quota 1 0000000000000001\n1 1",
        &[0; 5000],
    ] {
        let root = tempfile::tempdir().unwrap();
        let first = account(root.path(), always());
        append(&first, "INBOX", 10).unwrap();
        assert_eq!(count(&first), usage(1, 10));
        fs::write(root.path().join("pillarbox.quota"), damage).unwrap();
        let second = account(root.path(), always());
        assert_eq!(count(&second), usage(1, 10));
        append(&second, "INBOX", 5).unwrap();
        assert_eq!(count(&first), usage(2, 15));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize, usize),
    Copy(usize, usize),
    Move(usize, usize),
    Expunge(usize, usize),
    Flag(usize),
    Deliver(usize, usize),
    Foreign(usize, usize, bool),
    ForeignRemoval(usize),
    Remake(usize),
    Rename(usize),
    Forget,
    Lose,
}

fn step() -> impl Strategy<Value = Step> {
    let octets = 1..2000usize;
    prop_oneof![
        4 => (0..3usize, octets.clone()).prop_map(|(m, o)| Step::Append(m, o)),
        1 => (0..3usize, 0..3usize).prop_map(|(a, b)| Step::Copy(a, b)),
        1 => (0..3usize, 0..3usize).prop_map(|(a, b)| Step::Move(a, b)),
        2 => (0..3usize, 0..4usize).prop_map(|(m, n)| Step::Expunge(m, n)),
        1 => (0..3usize).prop_map(Step::Flag),
        1 => (0..3usize, octets.clone()).prop_map(|(m, o)| Step::Deliver(m, o)),
        2 => (0..3usize, octets, any::<bool>()).prop_map(|(m, o, s)| Step::Foreign(m, o, s)),
        1 => (0..3usize).prop_map(Step::ForeignRemoval),
        1 => (1..3usize).prop_map(Step::Remake),
        1 => (1..3usize).prop_map(Step::Rename),
        1 => Just(Step::Forget),
        1 => Just(Step::Lose),
    ]
}

const NAMES: [&str; 3] = ["INBOX", "a", "b"];

/// All messages of a mailbox.
fn uids(mailbox: &Mailbox) -> Vec<Uid> {
    let snapshot = mailbox.refresh().unwrap();
    snapshot.iter().map(|message| message.uid()).collect()
}

fn carry_out(step: &Step, number: usize, root: &Path, accounts: &mut [Account; 2]) {
    let account = &accounts[number % 2];
    let open = |mailbox: usize| account.open(&name(NAMES[mailbox])).unwrap();
    let directory = |mailbox: usize| match mailbox {
        0 => root.to_path_buf(),
        mailbox => root.join(format!(".{}", NAMES[mailbox])),
    };
    match *step {
        Step::Append(mailbox, octets) => append(account, NAMES[mailbox], octets).unwrap(),
        Step::Copy(from, to) => {
            let (from, to) = (open(from), open(to));
            from.copy_to(&uids(&from), &to).unwrap();
        }
        Step::Move(from, to) => {
            let (from, to) = (open(from), open(to));
            let mut moving = from.begin_move(&to);
            moving.add(&uids(&from)).unwrap();
            moving.finish().unwrap();
        }
        Step::Expunge(mailbox, nth) => {
            let mailbox = open(mailbox);
            let uids = uids(&mailbox);
            mailbox
                .expunge(uids.get(nth..nth + 1).unwrap_or_default())
                .unwrap();
        }
        Step::Flag(mailbox) => {
            let mailbox = open(mailbox);
            let change = FlagChange {
                op: FlagOp::Add,
                system: FlagSet::EMPTY.with(crate::SystemFlag::Flagged),
                keywords: Vec::new(),
            };
            mailbox.store_flags(&uids(&mailbox), &change).unwrap();
        }
        Step::Deliver(mailbox, octets) => {
            let mailbox = open(mailbox);
            let message = staged(&mailbox, octets);
            mailbox.deliver(message.staged).unwrap();
        }
        Step::Foreign(mailbox, octets, sized) => {
            let size = if sized {
                format!(",S={octets}")
            } else {
                String::new()
            };
            drop_in(
                &directory(mailbox),
                &format!("{number}.F.host{size}"),
                octets,
            );
        }
        Step::ForeignRemoval(mailbox) => {
            let cur = fs::read_dir(directory(mailbox).join("cur")).unwrap();
            let new = fs::read_dir(directory(mailbox).join("new")).unwrap();
            if let Some(file) = cur.chain(new).next() {
                fs::remove_file(file.unwrap().path()).unwrap();
            }
        }
        Step::Remake(mailbox) => {
            account.delete(&name(NAMES[mailbox])).unwrap();
            account.create(&name(NAMES[mailbox])).unwrap();
        }
        Step::Rename(mailbox) => {
            let (old, new) = (name(NAMES[mailbox]), name("other/place"));
            account.rename(&old, &new).unwrap();
            account.rename(&new, &old).unwrap();
        }
        Step::Forget => {
            accounts[number % 2] = super::account(root, always());
        }
        Step::Lose => {
            fs::remove_file(root.join("pillarbox.quota")).ok();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Two processes and other programs take turns; both count what is on the disk.
    #[test]
    fn any_history_comes_to_the_same(steps in prop::collection::vec(step(), 1..25)) {
        let root = tempfile::tempdir().unwrap();
        let mut accounts = [account(root.path(), always()), account(root.path(), always())];
        for mailbox in &NAMES[1..] {
            accounts[0].create(&name(mailbox)).unwrap();
        }
        for (number, step) in steps.iter().enumerate() {
            carry_out(step, number, root.path(), &mut accounts);
            let expected = on_disk(root.path());
            for account in &accounts {
                prop_assert_eq!(count(account), expected, "{:?}", step);
            }
        }
        for account in &accounts {
            prop_assert_eq!(account.recount().unwrap(), on_disk(root.path()));
        }
    }
}
