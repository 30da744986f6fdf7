//! What Courier left is taken over.

use super::*;

fn courier(list: &str) -> Tree {
    let files = ["100.a:2,S", "101.a:2,", "102.a:2,", "103.a:2,"];
    let tree = Tree::new("", &files);
    tree.remove("dovecot-uidlist");
    tree.put("courierimapuiddb", list);
    fs::create_dir(tree.root.join(courier::KEYWORDS)).unwrap();
    tree
}

fn keywords(mailbox: &Mailbox) -> Vec<String> {
    let snapshot = mailbox.snapshot();
    let names = |message: crate::Message<'_>| {
        let positions = message.flags().keywords();
        let names =
            positions.map(|position| snapshot.keywords().get(position).unwrap().to_string());
        let mut names: Vec<String> = names.collect();
        names.sort();
        format!("{} {}", message.uid(), names.join(","))
    };
    snapshot.iter().map(names).collect()
}

#[test]
fn everything_of_courier_is_taken_over() {
    let tree = courier("1 1234 9\n3 100.a\n4 101.a\n6 103.a\n");
    tree.put(
        "courierimapkeywords/:list",
        "Junk\n$Work\n\n100.a:0 1\n101.a:0\ngone.a:1\n",
    );
    tree.put("courierimapkeywords/.7.101.a", "Later\n");
    tree.put(
        "courierpop3dsizelist",
        "/3 9 99\n101.a 7 1:99:0\n100.a 8 2:99:0\n",
    );
    tree.put("cur/104.old:2,b", "x\n");
    let survey = tree.survey();
    let mailbox = tree.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(
        (snapshot.uid_validity().get(), snapshot.uid_next().get()),
        (1234, 11)
    );
    let expected = ["3 $Work,Junk", "4 Later", "6 ", "9 ", "10 unknown-1"];
    assert_eq!(keywords(&mailbox), expected);
    let kept = |value| snapshot.kept(uid(value)).cloned().unwrap();
    assert_eq!(kept(3).uidl.as_deref(), Some(b"UID2-99".as_slice()));
    assert_eq!((kept(3).order, kept(4).order), (Some(2), Some(1)));
    assert_eq!(snapshot.by_uid(uid(4)).unwrap().rfc822_size(), Some(7));
    assert_eq!(survey.server, Some(Server::Courier));
    assert_eq!(
        (survey.uids, survey.messages, survey.uidls, survey.keywords),
        (3, 5, 2, 4)
    );
    drop(snapshot);
    drop(mailbox);
    // They last without the index and without Courier's files.
    fs::remove_dir_all(tree.root.join(courier::KEYWORDS)).unwrap();
    tree.remove("pillarbox.index");
    let again = keywords(&tree.open());
    assert_eq!(
        again,
        ["1 $Work,Junk", "2 Later", "3 ", "4 ", "5 unknown-1"]
    );
}

#[test]
fn keywords_of_courier_come_only_once() {
    let tree = courier("1 1234 9\n3 100.a\n");
    tree.put("courierimapkeywords/100.a", "Junk\n");
    drop(tree.open());
    for entry in fs::read_dir(tree.root.join("cur")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_os_string().into_vec();
        if filename::base(&name) == b"100.a" {
            fs::rename(&path, path.with_file_name("100.a:2,S")).unwrap();
        }
    }
    tree.put("pillarbox.index", "garbage");
    let shown = keywords(&tree.open());
    assert!(shown.iter().all(|line| !line.contains("Junk")), "{shown:?}");
}

#[test]
fn keywords_beyond_the_letters_are_in_the_index() {
    let tree = courier("1 1234 9\n3 100.a\n4 101.a\n");
    let names: String = (0..28).map(|number| format!("k{number}\n")).collect();
    tree.put("courierimapkeywords/100.a", &names);
    assert_eq!(tree.survey().problems, [Problem::BeyondLetters(2)]);
    let mailbox = tree.open();
    let count = |uid_value| {
        let snapshot = mailbox.snapshot();
        let flags = snapshot.by_uid(uid(uid_value)).unwrap().flags();
        flags.keywords().count()
    };
    assert_eq!((count(3), count(4)), (28, 0));
    // A look at the directories leaves them.
    tree.put("cur/200.x:2,", "x\n");
    mailbox.refresh().unwrap();
    assert_eq!(count(3), 28);
}

#[test]
fn pop3_alone_leaves_uidls_only() {
    let tree = Tree::new("", &["100.a:2,S"]);
    tree.remove("dovecot-uidlist");
    tree.put("courierpop3dsizelist", "/3 9 99\n100.a 7 1:99:0\n");
    let mailbox = tree.open();
    let snapshot = mailbox.snapshot();
    assert_eq!(snapshot.uid_validity().get(), u32::try_from(NOW).unwrap());
    assert_eq!(
        snapshot.kept(uid(1)).unwrap().uidl.as_deref(),
        Some(b"UID1-99".as_slice())
    );
}

#[test]
fn dovecots_list_counts_before_couriers() {
    let tree = courier("1 77 9\n3 100.a\n");
    tree.put("courierimapkeywords/100.a", "Stale\n");
    tree.put("dovecot-uidlist", "3 V1234 N9\n5 :100.a\n");
    let mailbox = tree.open();
    assert_eq!(mailbox.snapshot().uid_validity().get(), 1234);
    assert_eq!(keywords(&mailbox), ["5 ", "9 ", "10 ", "11 "]);
}
