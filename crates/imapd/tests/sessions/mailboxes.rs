//! LIST, LSUB, STATUS and what changes mailboxes.

use crate::world::World;

const DONE: &str = "x OK …";

#[test]
fn list_answers_wildcards_and_attributes() {
    let world = World::new();
    let mut client = world.log_in();
    for name in ["Work/Plans/2020", "work", "Mail", "Mail/a", "&AOQ-x"] {
        client.expect(format!("x CREATE {name}\r\n"), &[DONE]);
    }
    let inbox = "* LIST (\\HasNoChildren) \"/\" INBOX";
    let umlaut = "* LIST (\\HasNoChildren) \"/\" &AOQ-x";
    let mail = "* LIST (\\HasChildren) \"/\" Mail";
    let mail_a = "* LIST (\\HasNoChildren) \"/\" Mail/a";
    let parent = "* LIST (\\Noselect \\HasChildren) \"/\" Work";
    let plans = "* LIST (\\Noselect \\HasChildren) \"/\" Work/Plans";
    let year = "* LIST (\\HasNoChildren) \"/\" Work/Plans/2020";
    let work = "* LIST (\\HasNoChildren) \"/\" work";
    let rows: [(&str, &[&str]); 9] = [
        ("\"\" \"\"", &["* LIST (\\Noselect) \"/\" \"\""]),
        ("Work/ \"\"", &["* LIST (\\Noselect) \"/\" \"\""]),
        (
            "\"\" *",
            &[inbox, umlaut, mail, mail_a, parent, plans, year, work],
        ),
        ("\"\" %", &[inbox, umlaut, mail, parent, work]),
        ("\"\" %/%", &[mail_a, plans]),
        ("Work/ *", &[plans, year]),
        ("Work %2020", &[]),
        ("\"\" inbox", &[inbox]),
        ("\"\" WORK", &[]),
    ];
    for (arguments, expected) in rows {
        let mut expected = expected.to_vec();
        expected.push(DONE);
        client.expect(format!("x LIST {arguments}\r\n"), &expected);
    }
}

#[test]
fn lsub_shows_the_parents_that_percent_hides() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect("x SUBSCRIBE a/b\r\n", &[DONE]);
    client.expect("x SUBSCRIBE c\r\n", &[DONE]);
    client.expect("x SUBSCRIBE c/d\r\n", &[DONE]);
    client.expect(
        "x LSUB \"\" %\r\n",
        &["* LSUB (\\Noselect) \"/\" a", "* LSUB () \"/\" c", DONE],
    );
    client.expect(
        "x LSUB \"\" *\r\n",
        &[
            "* LSUB () \"/\" a/b",
            "* LSUB () \"/\" c",
            "* LSUB () \"/\" c/d",
            DONE,
        ],
    );
    client.expect("x UNSUBSCRIBE c\r\n", &[DONE]);
    client.expect("x LSUB \"\" c%\r\n", &["* LSUB (\\Noselect) \"/\" c", DONE]);
}

#[test]
fn a_prefix_is_part_of_every_name() {
    let mut world = World::new();
    let mut options = world.settings.store.options().clone();
    options.namespace.prefix = "INBOX.".to_owned();
    options.namespace.separator = '.';
    world.settings.store = mailstore::Store::new(options);
    let mut client = world.log_in();
    client.expect(
        "x NAMESPACE\r\n",
        &["* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL", DONE],
    );
    client.expect("x CREATE INBOX.a\r\n", &[DONE]);
    client.expect("x CREATE b\r\n", &["x NO [CANNOT] …"]);
    client.expect(
        "x LIST \"\" *\r\n",
        &[
            "* LIST (\\HasChildren) \".\" INBOX",
            "* LIST (\\HasNoChildren) \".\" INBOX.a",
            DONE,
        ],
    );
    client.expect(
        "x LIST inbox. %\r\n",
        &["* LIST (\\HasNoChildren) \".\" INBOX.a", DONE],
    );
}

#[test]
fn names_that_cannot_be_mailboxes_are_refused() {
    let world = World::new();
    let mut client = world.log_in();
    for name in [
        "a//b", "/a", "a.b", "../a", "&Jjo", "&AGE-", "\"a\tb\"", "\"\"",
    ] {
        for command in ["CREATE", "SELECT", "DELETE", "SUBSCRIBE"] {
            client.expect(format!("x {command} {name}\r\n"), &["x NO [CANNOT] …"]);
        }
    }
}

#[test]
fn failures_have_their_response_codes() {
    let world = World::new();
    let mut client = world.log_in();
    client.send("x CREATE a\r\n");
    let rows = [
        ("CREATE a", "x NO [ALREADYEXISTS] …"),
        ("DELETE nowhere", "x NO [NONEXISTENT] …"),
        ("DELETE INBOX", "x NO [CANNOT] …"),
        ("RENAME nowhere b", "x NO [NONEXISTENT] …"),
        ("RENAME a a", "x NO [ALREADYEXISTS] …"),
        ("STATUS nowhere (MESSAGES)", "x NO [NONEXISTENT] …"),
        ("SELECT nowhere", "x NO [NONEXISTENT] …"),
    ];
    for (command, expected) in rows {
        client.expect(format!("x {command}\r\n"), &[expected]);
    }
}

#[test]
fn status_tells_what_was_asked_in_that_order() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.send("x STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    let answer = client.send("x STATUS inbox (UNSEEN MESSAGES RECENT UIDNEXT)\r\n");
    assert!(
        answer.starts_with("* STATUS INBOX (UNSEEN 2 MESSAGES 3 RECENT 3 UIDNEXT 4)\r\n"),
        "{answer}"
    );
}

#[test]
fn select_tells_all_that_it_must() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.log_in();
    let expected = [
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)",
        "* 2 EXISTS",
        "* 2 RECENT",
        "* OK [UNSEEN 1] …",
        "* OK [UIDVALIDITY …",
        "* OK [UIDNEXT 3] …",
        "* OK [MAILBOXID (…",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*)] …",
        "* OK [HIGHESTMODSEQ 1] …",
        "x OK [READ-WRITE] SELECT completed",
    ];
    client.expect("x SELECT inbox\r\n", &expected);
    client.send("x STORE 1:2 +FLAGS.SILENT (\\Seen)\r\n");
    client.expect(
        "x EXAMINE INBOX\r\n",
        &[
            "* OK [CLOSED] …",
            expected[0],
            expected[1],
            "* 0 RECENT",
            expected[4],
            expected[5],
            "* OK [MAILBOXID (…",
            "* OK [PERMANENTFLAGS ()] …",
            "* OK [HIGHESTMODSEQ 2] …",
            "x OK [READ-ONLY] EXAMINE completed",
        ],
    );
}

#[test]
fn renaming_inbox_empties_it() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.select();
    let mut other = world.select();
    client.expect(
        "x RENAME INBOX old\r\n",
        &["* 1 EXPUNGE", "* 1 EXPUNGE", "* 0 RECENT", DONE],
    );
    other.expect("x NOOP\r\n", &["* 1 EXPUNGE", "* 1 EXPUNGE", DONE]);
    client.expect(
        "x STATUS old (MESSAGES)\r\n",
        &["* STATUS old (MESSAGES 2)", DONE],
    );
}

#[test]
fn status_size_reads_no_message_again() {
    let mut world = World::new();
    world.deliver("Subject: a\n\ntext\n");
    world.deliver("Subject: b\r\n\r\nmore text\r\n");
    let size = "* STATUS INBOX (DELETED 0 SIZE 45)";
    let ask = |world: &World| {
        let mut client = world.log_in();
        client.send("x ENABLE IMAP4rev2\r\n");
        client.expect("x STATUS INBOX (DELETED SIZE)\r\n", &[size, "x OK …"]);
    };
    ask(&world);
    // What never happens to messages shows where the answers come from.
    for path in world.files("new") {
        std::fs::write(path, "x").unwrap();
    }
    ask(&world);
    world.restart();
    ask(&world);
}
