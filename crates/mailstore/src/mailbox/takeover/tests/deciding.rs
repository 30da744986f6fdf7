//! What only a person can decide is left to be decided, and nothing is invented.

use super::*;

#[test]
fn a_uid_that_both_gave_is_given_to_none() {
    let tree = Tree::dovecot();
    drop(tree.open());
    for file in ["cur/200.ours:2,", "cur/201.ours:2,", "cur/202.ours:2,"] {
        tree.put(file, "x\n");
        drop(tree.open());
    }
    let before = tree.open().snapshot();
    tree.put("cur/300.theirs:2,", "x\n");
    tree.put("cur/301.theirs:2,", "x\n");
    // Both have given 10 and 11; one of ours has the same UID in both; 12 is ours alone.
    let list = format!("{LIST}10 :300.theirs\n11 :201.ours\n");
    tree.put("dovecot-uidlist", &list);
    let mailbox = tree.open();
    assert_eq!(
        uids(&mailbox),
        pairs(&[
            (2, "100.M1P1.host"),
            (5, "101.M1P1.host"),
            (7, "102.M1P1.host,S=6"),
            (11, "201.ours"),
            (12, "202.ours"),
            (13, "200.ours"),
            (14, "300.theirs"),
            (15, "301.theirs"),
        ])
    );
    assert_eq!(renumbered(&before, &mailbox.snapshot()), 1);
    assert_eq!(renumbered(&before, &before), 0);
}

#[test]
fn a_list_of_another_uid_validity_is_taken_on_request_only() {
    let tree = Tree::dovecot();
    drop(tree.open());
    tree.put("dovecot-uidlist", &LIST.replace("V1234", "V77"));
    assert_eq!(tree.open().snapshot().uid_validity().get(), 1234);
    let problem = Problem::Different {
        index: 1234,
        list: 77,
    };
    assert_eq!(tree.survey().problems, [problem]);
    let account = tree.account();
    let open = account.open(&MailboxName::inbox()).unwrap();
    account.import(&MailboxName::inbox()).unwrap();
    assert!(matches!(open.refresh(), Err(Error::NotFound)));
    let mailbox = account.open(&MailboxName::inbox()).unwrap();
    assert_eq!(mailbox.snapshot().uid_validity().get(), 77);
    assert_eq!(uids(&mailbox)[0], (2, "100.M1P1.host".to_owned()));
    // The first one was served: its list can never be used again.
    tree.put("dovecot-uidlist", LIST);
    let imported = account.import(&MailboxName::inbox());
    assert!(matches!(
        imported,
        Err(Error::Takeover {
            problem: Problem::Served,
            ..
        })
    ));
    assert_eq!(tree.open().snapshot().uid_validity().get(), 77);
}

#[test]
fn damage_is_for_somebody_to_decide() {
    let lists = [
        "",
        "3 V1 N",
        "2 5 9\n",
        "3 V5 N9\n3 :a\n1 :b\n",
        "1 5 3\n7 a\n",
    ];
    for list in lists {
        let tree = Tree::new(list, &["100.a:2,", "101.a:2,"]);
        let error = tree.try_open().unwrap_err();
        let text = error.to_string();
        let command = format!("pillarbox index rebuild {}", tree.root.display());
        assert!(
            text.contains(&command) && text.contains("dovecot-uidlist"),
            "{text}"
        );
        assert!(matches!(
            error,
            Error::Takeover {
                problem: Problem::Damaged(_),
                ..
            }
        ));
        assert!(tree.survey().is_refused());
        assert!(!tree.root.join("pillarbox.index").exists());
        let account = tree.account();
        account.rebuild(&MailboxName::inbox()).unwrap();
        let mailbox = account.open(&MailboxName::inbox()).unwrap();
        assert_eq!(
            uids(&mailbox),
            pairs(&[(1, "100.a"), (2, "101.a")]),
            "{list}"
        );
        // It is decided for this list, and for the one that it is put right with.
        assert_eq!(uids(&tree.open()), pairs(&[(1, "100.a"), (2, "101.a")]));
        tree.put("dovecot-uidlist", "3 V5 N9\n8 :100.a\n");
        assert_eq!(uids(&tree.open()), pairs(&[(1, "100.a"), (2, "101.a")]));
    }
}

#[test]
fn a_missing_list_is_for_somebody_to_decide() {
    let tree = Tree::new("", &["100.a:2,"]);
    tree.remove("dovecot-uidlist");
    tree.put("dovecot.index.log", "x");
    assert_eq!(expect_takeover(tree.try_open()), Problem::Missing);
    assert_eq!(tree.survey().problems, [Problem::Missing]);
    // It is there again: nothing is lost.
    tree.put("dovecot-uidlist", "3 V5 N9\n8 :100.a\n");
    assert_eq!(uids(&tree.open()), pairs(&[(8, "100.a")]));
    tree.remove("dovecot-uidlist");
    assert_eq!(uids(&tree.open()), pairs(&[(8, "100.a")]));
    assert!(!tree.survey().is_refused());
    // Our own index is lost: that is not the other server's matter.
    tree.remove("pillarbox.index");
    assert_eq!(uids(&tree.open()), pairs(&[(1, "100.a")]));

    let empty = Tree::new("", &[]);
    empty.remove("dovecot-uidlist");
    empty.put("dovecot.index", "x");
    assert!(
        empty.open().snapshot().is_empty(),
        "there is nothing to lose"
    );
}

#[test]
fn what_is_no_file_is_no_list() {
    let tree = Tree::new("", &["100.a:2,"]);
    tree.remove("dovecot-uidlist");
    let list = tree.root.join("dovecot-uidlist");
    fs::create_dir(&list).unwrap();
    assert_eq!(expect_takeover(tree.try_open()), Problem::NoList);
    fs::remove_dir(&list).unwrap();
    // Mostly a hole.
    let file = fs::File::create(&list).unwrap();
    file.set_len(2 << 30).unwrap();
    assert_eq!(expect_takeover(tree.try_open()), Problem::NoList);
}

#[test]
fn a_list_that_leaves_no_uids_is_for_somebody_to_decide() {
    let list = format!("{LIST}{} :full.host\n", u32::MAX - 2);
    let files = ["100.M1P1.host:2,", "new.host:2,", "newer.host:2,"];
    let tree = Tree::new(&list, &files);
    assert_eq!(tree.survey().problems, [Problem::NoUids]);
    assert!(tree.survey().is_refused());
    assert_eq!(expect_takeover(tree.try_open()), Problem::NoUids);
    tree.account().rebuild(&MailboxName::inbox()).unwrap();
    assert_eq!(uids(&tree.open()).len(), 3);

    // One is left, and there is one message.
    let tree = Tree::new(&list, &files[..2]);
    assert_eq!(tree.survey().problems, []);
    assert_eq!(uids(&tree.open())[1], (u32::MAX - 1, "new.host".to_owned()));
}

#[test]
fn rebuild_gives_a_later_uid_validity_and_keeps_uidls() {
    let tree = Tree::dovecot();
    let later = u32::try_from(NOW).unwrap() + 1000;
    tree.put(
        "dovecot-uidlist",
        &LIST.replace("V1234", &format!("V{later}")),
    );
    let account = tree.account();
    let open = account.open(&MailboxName::inbox()).unwrap();
    account.rebuild(&MailboxName::inbox()).unwrap();
    assert!(matches!(open.refresh(), Err(Error::NotFound)));
    let mailbox = account.open(&MailboxName::inbox()).unwrap();
    let snapshot = mailbox.snapshot();
    assert_eq!(snapshot.uid_validity().get(), later + 1);
    assert_eq!(uids(&mailbox)[0].0, 1);
    assert!(snapshot.kept(uid(2)).is_some());
    drop(mailbox);
    assert_eq!(tree.open().snapshot().uid_validity().get(), later + 1);
}
