//! Tests of accounts: names, mailboxes, subscriptions and who may do what.

use super::Account;
use crate::acl::{Acl, Combine, Identifier, Rights, Sign, Who};
use crate::error::Error;
use crate::flag::{FlagChange, FlagOp, FlagSet, Keyword, SystemFlag};
use crate::mailbox::{Appending, Mailbox};
use crate::name::{MailboxName, NameError, Namespace};
use crate::source::Source;
use crate::store::{Fsync, Options, Store};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

fn account(root: &Path) -> Account {
    let options = Options {
        fsync: Fsync::Never,
        namespace: Namespace::default(),
        hostname: "host".to_owned(),
        lock_timeout: Duration::from_secs(60),
        mtime_guard: Duration::from_secs(1),
        cache_bytes: 1 << 20,
        source: Source::new(|| UNIX_EPOCH + Duration::from_secs(1_700_000_000), || 7),
    };
    Store::new(options).account(root).unwrap()
}

fn name(text: &str) -> MailboxName {
    Namespace::default().parse(text.as_bytes()).expect(text)
}

fn append(mailbox: &Mailbox, text: &str) {
    let mut staged = mailbox.stage().unwrap();
    staged.write_all(text.as_bytes()).unwrap();
    let flags = FlagChange {
        op: FlagOp::Replace,
        system: FlagSet::EMPTY.with(SystemFlag::Seen),
        keywords: vec![Keyword::new("$Work").unwrap()],
    };
    let message = Appending {
        staged,
        flags,
        internal_date: None,
    };
    mailbox.append(vec![message]).unwrap();
}

/// The messages of a mailbox, with a mark for those that are seen and have the keyword.
fn messages(account: &Account, mailbox: &str) -> Vec<String> {
    let mailbox = account.open(&name(mailbox)).unwrap();
    let snapshot = mailbox.refresh().unwrap();
    let keyword = Keyword::new("$work").unwrap();
    let position = snapshot.keywords().position(&keyword);
    let show = |message| {
        let text = mailbox.read(message).unwrap().read_crlf().unwrap();
        let flags = message.flags();
        let marked = flags.has(SystemFlag::Seen)
            && position.is_some_and(|position| flags.has_keyword(position));
        format!(
            "{}{}",
            String::from_utf8(text).unwrap(),
            if marked { "!" } else { "" }
        )
    };
    snapshot.iter().map(show).collect()
}

fn uid_validity(account: &Account, mailbox: &str) -> u32 {
    let mailbox = account.open(&name(mailbox)).unwrap();
    mailbox.refresh().unwrap().uid_validity().get()
}

fn list(account: &Account) -> Vec<String> {
    let names = account.list().unwrap();
    names.iter().map(|entry| entry.name.to_string()).collect()
}

#[test]
fn names_are_found_in_any_form_of_unicode() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let utf8 = |text: &str| account.namespace().parse_utf8(text.as_bytes()).unwrap();
    // Another program's, with the accent as a character of its own.
    fs::create_dir_all(root.path().join(".Bu&Awg-cher/cur")).unwrap();
    account.create(&utf8("\u{e9}t\u{e9}")).unwrap();
    for (typed, found) in [
        ("Bu\u{308}cher", "Bu\u{308}cher"),
        ("B\u{fc}cher", "Bu\u{308}cher"),
        ("B\u{fc}cher/e\u{301}", "Bu\u{308}cher/\u{e9}"),
        ("B\u{fc}cherei", "B\u{fc}cherei"),
        ("e\u{301}te\u{301}", "\u{e9}t\u{e9}"),
        ("e\u{301}t\u{e9}/x", "\u{e9}t\u{e9}/x"),
        ("\u{212b}", "\u{c5}"),
        ("plain", "plain"),
    ] {
        assert_eq!(
            account.resolve(utf8(typed)).unwrap(),
            utf8(found),
            "{typed:?}"
        );
    }
    // Where both exist, each is itself.
    account.create(&utf8("B\u{fc}cher")).unwrap();
    for typed in ["Bu\u{308}cher", "B\u{fc}cher"] {
        assert_eq!(account.resolve(utf8(typed)).unwrap(), utf8(typed));
    }
    let below = account.resolve(utf8("B\u{fc}cher/x")).unwrap();
    assert_eq!(below, utf8("B\u{fc}cher/x"));
    // Longer in that form than an entry of a directory can be.
    let long = "\u{958}".repeat(60);
    let resolved = account.resolve(utf8(&long));
    assert!(matches!(resolved, Err(Error::Name(NameError::TooLong))));
}

#[test]
fn a_name_that_comes_back_has_a_later_uid_validity() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    account.create(&name("a")).unwrap();
    account.create(&name("b")).unwrap();
    let (first, other) = (uid_validity(&account, "a"), uid_validity(&account, "b"));
    assert!(first < other);
    account.delete(&name("a")).unwrap();
    account.create(&name("a")).unwrap();
    let second = uid_validity(&account, "a");
    assert!(other < second);
    account.rename(&name("a"), &name("c")).unwrap();
    account.create(&name("a")).unwrap();
    assert!(second < uid_validity(&account, "a"));
    assert_eq!(
        uid_validity(&account, "c"),
        second,
        "its messages keep their UIDs"
    );
    account.delete(&name("b")).unwrap();
    account.rename(&name("c"), &name("b")).unwrap();
    assert_eq!(uid_validity(&account, "b"), second);
}

#[test]
fn an_open_mailbox_that_is_deleted_or_renamed_is_gone() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    for mailbox in ["a", "b", "b/c"] {
        account.create(&name(mailbox)).unwrap();
    }
    let open = ["a", "b", "b/c"].map(|mailbox| account.open(&name(mailbox)).unwrap());
    account.delete(&name("a")).unwrap();
    account.rename(&name("b"), &name("x")).unwrap();
    // The old names are taken again, by other mailboxes.
    account.create(&name("a")).unwrap();
    account.create(&name("b")).unwrap();
    for mailbox in open {
        let result = mailbox.refresh();
        assert!(matches!(result, Err(Error::NotFound)), "{}", mailbox.name());
    }
    for mailbox in ["a", "b", "x", "x/c"] {
        account.open(&name(mailbox)).unwrap().refresh().unwrap();
    }
    let result = account.open(&name("b/c"));
    assert!(matches!(result, Err(Error::NotFound)));
}

#[test]
fn renaming_takes_messages_along() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    account.create(&name("a/b")).unwrap();
    append(&account.open(&name("a/b")).unwrap(), "hello\r\n");
    account.rename(&name("a"), &name("x")).unwrap();
    assert_eq!(messages(&account, "x/b"), ["hello\r\n!"]);
    assert_eq!(list(&account), ["INBOX", "x", "x.b"]);
}

#[test]
fn renaming_inbox_moves_its_messages_and_leaves_its_children() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    account.create(&name("INBOX/child")).unwrap();
    let inbox = account.open(&MailboxName::inbox()).unwrap();
    append(&inbox, "one\r\n");
    append(&inbox, "two\r\n");
    let result = account.rename(&MailboxName::inbox(), &name("INBOX/child"));
    assert!(matches!(result, Err(Error::Exists)));
    let result = account.rename(&MailboxName::inbox(), &MailboxName::inbox());
    assert!(matches!(result, Err(Error::Exists)));
    assert_eq!(messages(&account, "INBOX").len(), 2);

    account
        .rename(&MailboxName::inbox(), &name("old/mail"))
        .unwrap();
    assert_eq!(messages(&account, "old/mail"), ["one\r\n!", "two\r\n!"]);
    assert!(messages(&account, "INBOX").is_empty());
    assert_eq!(list(&account), ["INBOX", "INBOX.child", "old", "old.mail"]);
    assert!(inbox.refresh().unwrap().is_empty(), "INBOX is still open");
    account
        .rename(&MailboxName::inbox(), &name("empty"))
        .unwrap();
    assert!(messages(&account, "empty").is_empty());
}

#[test]
fn names_reach_only_below_the_own_root() {
    let parent = tempfile::tempdir().unwrap();
    let other = account(&parent.path().join("u10"));
    other.create(&name("secret")).unwrap();
    let account = account(&parent.path().join("u1"));
    for client in [
        "../u10",
        "../u10/.secret",
        "/etc/passwd",
        "~root",
        "&AC4ALg-/u10",
        "..&AC8-u10",
        "0/secret",
        "u10",
    ] {
        let Ok(parsed) = account.namespace().parse(client.as_bytes()) else {
            continue;
        };
        assert!(
            matches!(account.open(&parsed), Err(Error::NotFound)),
            "{client}"
        );
        assert!(
            matches!(account.delete(&parsed), Err(Error::NotFound)),
            "{client}"
        );
        account.create(&parsed).unwrap();
        let created = account.open(&parsed).unwrap();
        append(&created, "x");
        account.subscribe(&parsed).unwrap();
    }
    assert_eq!(list(&other), ["INBOX", "secret"]);
    assert!(other.subscriptions().unwrap().is_empty());
    let roots = fs::read_dir(parent.path()).unwrap().count();
    assert_eq!(roots, 2);
}

#[test]
fn subscriptions_outlive_their_mailboxes() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    account.create(&name("a")).unwrap();
    account.subscribe(&name("a")).unwrap();
    account.subscribe(&name("never/there")).unwrap();
    account.delete(&name("a")).unwrap();
    let names = [name("a"), name("never/there")];
    assert_eq!(account.subscriptions().unwrap(), names);
    account.unsubscribe(&name("a")).unwrap();
    account.unsubscribe(&name("a")).unwrap();
    assert_eq!(account.subscriptions().unwrap(), names[1..]);
}

#[test]
fn a_maildrop_has_one_user_at_a_time() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let held = account.lock_maildrop().unwrap();
    assert!(matches!(account.lock_maildrop(), Err(Error::Locked)));
    append(&account.open(&MailboxName::inbox()).unwrap(), "not blocked");
    drop(held);
    account.lock_maildrop().unwrap();
}

#[test]
fn rights_are_inherited_and_follow_a_rename() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    let bob = Who::Other("bob");
    let give = |mailbox: &str, rights| {
        let to = (Identifier::User("bob".to_owned()), Sign::Positive);
        let change = |acl: &mut Acl| {
            acl.change("ann", to, Combine::Replace, rights);
            Ok(())
        };
        account.change_acl(&name(mailbox), change).unwrap()
    };
    let has = |mailbox: &str| account.rights(&name(mailbox), bob).unwrap();
    account.create(&name("a")).unwrap();
    assert_eq!(has("a"), Rights::NONE);
    give("a", Rights::READ);
    // The nearest mailbox that exists, also two levels up, and INBOX above its own.
    account.create(&name("a/b/c")).unwrap();
    account.create(&name("other")).unwrap();
    give("INBOX", Rights::POST);
    account.create(&name("INBOX/d")).unwrap();
    assert_eq!((has("a/b/c"), has("other")), (Rights::READ, Rights::NONE));
    assert_eq!(has("INBOX/d"), Rights::POST);
    assert_eq!(
        account.nearest_above(&name("a/b/c")).unwrap(),
        Some(name("a"))
    );
    assert_eq!(account.nearest_above(&name("a")).unwrap(), None);
    // From then on they are independent.
    give("a", Rights::LOOKUP);
    assert_eq!(has("a/b/c"), Rights::READ);
    account.rename(&name("a"), &name("x/y")).unwrap();
    assert_eq!((has("x/y"), has("x/y/b/c")), (Rights::LOOKUP, Rights::READ));
    let open = account.open(&name("x/y")).unwrap();
    assert_eq!(open.rights(bob), Rights::LOOKUP);
    give("x/y", Rights::SEEN);
    assert_eq!(open.rights(bob), Rights::SEEN);
    // What is deleted takes its rights along.
    account.delete(&name("x/y")).unwrap();
    account.create(&name("x/y")).unwrap();
    assert_eq!(has("x/y"), Rights::NONE);
    assert!(matches!(account.acl(&name("never")), Err(Error::NotFound)));
}

#[test]
fn rights_are_changed_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let account = account(root.path());
    account.create(&name("a")).unwrap();
    let file = root.path().join(".a/dovecot-acl");
    fs::write(&file, "user=bob lr\nuser=cat lrz\n").unwrap();
    let remove = |acl: &mut Acl| {
        acl.remove("ann", (Identifier::User("bob".to_owned()), Sign::Positive));
        Ok(())
    };
    // What is damaged stays as it is, for somebody to look at.
    let refused = account.change_acl(&name("a"), remove);
    assert!(matches!(refused, Err(Error::Corrupt { .. })));
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "user=bob lr\nuser=cat lrz\n"
    );
    assert_eq!(
        account.rights(&name("a"), Who::Other("bob")).unwrap(),
        Rights::NONE
    );
    assert_eq!(
        account.rights(&name("a"), Who::Owner("ann")).unwrap(),
        Rights::ALL
    );
    fs::write(&file, "user=bob lr\nuser=cat lr\n").unwrap();
    let refused = account.change_acl(&name("a"), |acl| {
        remove(acl)?;
        Err(Error::Limit("on purpose"))
    });
    assert!(matches!(refused, Err(Error::Limit(_))));
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "user=bob lr\nuser=cat lr\n"
    );
    account.change_acl(&name("a"), remove).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "user=cat lr\n");
    let names = fs::read_dir(root.path().join(".a")).unwrap();
    let left = names.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("dovecot-acl.")
    });
    assert_eq!(left.count(), 0, "neither lock nor temporary file");
}
