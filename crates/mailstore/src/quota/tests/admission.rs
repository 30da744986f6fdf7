//! Who may add messages.

use super::*;
use crate::error::Error;
use crate::id::Uid;
use crate::quota::{Grace, Origin, Resource};

fn refused(result: crate::Result<()>) -> Resource {
    match result {
        Err(Error::OverQuota(resource)) => resource,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_fits_exactly_fits() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(Some(100), Some(3)));
    append(&account, "INBOX", 60).unwrap();
    assert_eq!(refused(append(&account, "INBOX", 41)), Resource::Storage);
    append(&account, "INBOX", 40).unwrap();
    assert_eq!(count(&account), usage(2, 100));
    assert_eq!(refused(append(&account, "INBOX", 1)), Resource::Storage);
    assert_eq!(account.exceeded(), None);

    account.set_policy(limited(None, Some(2)));
    assert_eq!(refused(append(&account, "INBOX", 1)), Resource::Messages);
    account.set_policy(Policy::default());
    append(&account, "INBOX", 500).unwrap();
    account.set_policy(limited(Some(100), None));
    assert_eq!(account.exceeded(), Some(Resource::Storage));
}

#[test]
fn many_at_once_are_all_refused() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(Some(100), None));
    let inbox = account.open(&name("INBOX")).unwrap();
    let messages = (0..3).map(|_| staged(&inbox, 40)).collect();
    assert_eq!(refused(inbox.append(messages).map(drop)), Resource::Storage);
    assert_eq!(count(&account), usage(0, 0));
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
    append(&account, "INBOX", 60).unwrap();
    let copied = inbox.copy_to(&[Uid::MIN], &inbox);
    assert_eq!(refused(copied.map(drop)), Resource::Storage);
}

#[test]
fn moving_and_removing_work_over_quota() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), Policy::default());
    append(&account, "INBOX", 50).unwrap();
    append(&account, "INBOX", 70).unwrap();
    account.create(&name("Trash")).unwrap();
    account.set_policy(limited(Some(10), Some(1)));
    let (inbox, trash) = (
        account.open(&name("INBOX")).unwrap(),
        account.open(&name("Trash")).unwrap(),
    );
    let mut moving = inbox.begin_move(&trash);
    moving.add(&[Uid::MIN]).unwrap();
    moving.finish().unwrap();
    // RENAME of INBOX moves.
    account.rename(&name("INBOX"), &name("old")).unwrap();
    assert_eq!(count(&account), usage(2, 120));
    trash.expunge(&[Uid::MIN]).unwrap();
    assert_eq!(count(&account), usage(1, 70));
    assert_eq!(refused(append(&account, "INBOX", 1)), Resource::Storage);
}

#[test]
fn a_replacement_may_not_add_more_than_there_is_room() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(Some(100), Some(1)));
    append(&account, "INBOX", 60).unwrap();
    let inbox = account.open(&name("INBOX")).unwrap();
    let watch = inbox.watch(std::task::Waker::noop().clone());
    let replaced = watch.replace(Uid::MIN, &inbox, staged(&inbox, 101));
    assert_eq!(refused(replaced.map(drop)), Resource::Storage);
    watch
        .replace(Uid::MIN, &inbox, staged(&inbox, 100))
        .unwrap();
    assert_eq!(count(&account), usage(1, 100));
    let last = inbox.snapshot().iter().next().unwrap().uid();
    watch.replace(last, &inbox, staged(&inbox, 30)).unwrap();
    assert_eq!(count(&account), usage(1, 30));
}

#[test]
fn deliveries_have_grace() {
    let root = tempfile::tempdir().unwrap();
    let account = account(
        root.path(),
        Policy {
            grace: Grace::Percent(10),
            ..limited(Some(1000), None)
        },
    );
    let inbox = account.open(&name("INBOX")).unwrap();
    let deliver = |octets| inbox.deliver(staged(&inbox, octets).staged);
    deliver(990).unwrap();
    assert_eq!(refused(append(&account, "INBOX", 11)), Resource::Storage);
    deliver(110).unwrap();
    assert_eq!(refused(deliver(1)), Resource::Storage);
    assert_eq!(count(&account), usage(2, 1100));
    account.set_policy(Policy {
        grace: Grace::Octets(101),
        ..limited(Some(1000), None)
    });
    deliver(1).unwrap();
    assert_eq!(refused(deliver(1)), Resource::Storage);
}

#[test]
fn deliveries_elsewhere_count_at_once() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(None, Some(2)));
    account.create(&name("list")).unwrap();
    let list = account.open(&name("list")).unwrap();
    for _ in 0..2 {
        list.deliver(staged(&list, 5).staged).unwrap();
    }
    assert_eq!(
        refused(list.deliver(staged(&list, 5).staged)),
        Resource::Messages
    );
}

#[test]
fn sessions_of_one_process_never_pass_a_limit_together() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), limited(Some(1000), None));
    for mailbox in ["a", "b", "c", "d"] {
        account.create(&name(mailbox)).unwrap();
    }
    let added: usize = std::thread::scope(|scope| {
        let sessions = ["a", "b", "c", "d"].map(|mailbox| {
            let account = &account;
            let add = move || {
                (0..20)
                    .filter(|_| append(account, mailbox, 30).is_ok())
                    .count()
            };
            scope.spawn(add)
        });
        sessions
            .into_iter()
            .map(|session| session.join().unwrap())
            .sum()
    });
    let used = count(&account);
    assert_eq!(used, on_disk(root.path()));
    assert_eq!(used.messages, added as u64);
    assert!(used.octets <= 1000, "{used:?}");
    // What was refused for a moment fits now.
    while append(&account, "a", 30).is_ok() {}
    assert_eq!(count(&account), usage(33, 990));
}

#[test]
fn processes_pass_a_limit_by_what_each_is_adding() {
    let root = tempfile::tempdir().unwrap();
    let accounts = [(); 3].map(|()| account(root.path(), limited(None, Some(30))));
    std::thread::scope(|scope| {
        for account in &accounts {
            scope.spawn(move || while append(account, "INBOX", 5).is_ok() {});
        }
    });
    let used = on_disk(root.path());
    assert!((30..=32).contains(&used.messages), "{used:?}");
}

#[test]
fn limits_that_were_set_hold_before_all_others() {
    let root = tempfile::tempdir().unwrap();
    let one = account(root.path(), limited(Some(1000), None));
    let other = account(root.path(), limited(Some(1000), None));
    assert_eq!(one.limits().1, Origin::Policy);
    let limits = Limits {
        storage: Some(0),
        messages: None,
    };
    one.set_limits(limits).unwrap();
    assert_eq!(other.limits(), (limits, Origin::Set));
    assert_eq!(refused(append(&other, "INBOX", 1)), Resource::Storage);
    other.set_limits(Limits::NONE).unwrap();
    append(&one, "INBOX", 2000).unwrap();
}
