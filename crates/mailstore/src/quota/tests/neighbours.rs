//! `maildirsize`, for other programs.

use super::*;
use crate::id::Uid;
use crate::quota::{Maildirsize, Origin};

fn text(root: &Path) -> String {
    fs::read_to_string(root.join("maildirsize")).unwrap()
}

fn keeping(maildirsize: Maildirsize) -> Policy {
    Policy {
        maildirsize,
        look_interval: Duration::ZERO,
        ..Policy::default()
    }
}

#[test]
fn what_we_do_is_told() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("maildirsize"), "1000S\n0 0\n").unwrap();
    let account = account(root.path(), keeping(Maildirsize::Auto));
    append(&account, "INBOX", 100).unwrap();
    account.create(&name("a")).unwrap();
    let (inbox, a) = (
        account.open(&name("INBOX")).unwrap(),
        account.open(&name("a")).unwrap(),
    );
    inbox.copy_to(&[Uid::MIN], &a).unwrap();
    inbox.expunge(&[Uid::MIN]).unwrap();
    inbox.deliver(staged(&inbox, 7).staged).unwrap();
    account.delete(&name("a")).unwrap();
    assert_eq!(
        text(root.path()),
        "1000S\n0 0\n100 1\n100 1\n-100 -1\n7 1\n-100 -1\n"
    );
    // What others do is for them to tell.
    drop_in(root.path(), "1.a.host,S=5", 5);
    inbox.refresh().unwrap();
    assert!(text(root.path()).ends_with("\n7 1\n-100 -1\n"));
}

#[test]
fn its_limits_hold_where_there_are_no_others() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("maildirsize"), "1000S,5C\n0 0\n").unwrap();
    let account = account(root.path(), keeping(Maildirsize::Auto));
    let limits = Limits {
        storage: Some(1000),
        messages: Some(5),
    };
    assert_eq!(account.limits(), (limits, Origin::Maildirsize));
    assert!(append(&account, "INBOX", 1001).is_err());
    append(&account, "INBOX", 1000).unwrap();
    let ours = limited(Some(10), None);
    account.set_policy(ours);
    assert_eq!(account.limits(), (ours.limits, Origin::Policy));
    account.set_policy(keeping(Maildirsize::Never));
    assert_eq!(account.limits().0, Limits::NONE);
}

#[test]
fn it_is_made_only_if_that_is_wanted() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path(), keeping(Maildirsize::Auto));
    append(&account, "INBOX", 100).unwrap();
    count(&account);
    assert!(!root.path().join("maildirsize").exists());
    account.set_policy(Policy {
        maildirsize: Maildirsize::Always,
        ..always()
    });
    count(&account);
    assert_eq!(text(root.path()), format!("{}S\n100 1\n", 1u64 << 40));
    account.set_policy(keeping(Maildirsize::Never));
    append(&account, "INBOX", 100).unwrap();
    assert_eq!(text(root.path()), format!("{}S\n100 1\n", 1u64 << 40));
}

#[test]
fn deliveries_that_were_not_told_are_put_right() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("maildirsize"), "1000S\n0 0\n").unwrap();
    let account = account(root.path(), keeping(Maildirsize::Auto));
    drop_in(root.path(), "1.a.host", 5);
    count(&account);
    assert_eq!(text(root.path()), "1000S\n0 0\n");
    count(&account);
    assert_eq!(text(root.path()), "1000S\n5 1\n");
}
