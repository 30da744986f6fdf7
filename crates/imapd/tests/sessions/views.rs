//! Several sessions on one mailbox: each client's numbering and what it is told when.

use crate::world::{World, check};

const DONE: &str = "x OK …";

#[test]
fn expunge_is_held_while_sequence_numbers_are_used() {
    let world = World::new();
    world.deliver_many(4);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 2 +FLAGS.SILENT (\\Deleted)\r\n");
    one.expect("x EXPUNGE\r\n", &["* 2 EXPUNGE", "* 3 RECENT", DONE]);

    for command in [
        "x FETCH 3 UID\r\n",
        "x SEARCH UID 3\r\n",
        "x STORE 3 +FLAGS (\\Flagged)\r\n",
    ] {
        let answer = other.send(command);
        assert!(!answer.contains("EXPUNGE"), "{answer}");
        assert!(answer.contains('3'), "{answer}");
    }
    other.expect(
        "x UID SEARCH UID 3\r\n",
        &["* SEARCH 3", "* 2 EXPUNGE", DONE],
    );
    other.expect("x FETCH 2 UID\r\n", &["* 2 FETCH (UID 3)", DONE]);
}

#[test]
fn every_other_command_may_bring_expunge() {
    for command in [
        "x NOOP\r\n",
        "x CHECK\r\n",
        "x UID FETCH 3 FLAGS\r\n",
        "x UID STORE 3 +FLAGS.SILENT (\\Seen)\r\n",
        "x STATUS INBOX (MESSAGES)\r\n",
        "x LIST \"\" %\r\n",
        "x CREATE a\r\n",
        "x APPEND nowhere {1+}\r\nx\r\n",
    ] {
        let world = World::new();
        world.deliver_many(3);
        let mut one = world.select();
        let mut other = world.select();
        one.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
        let answer = other.send(command);
        assert!(answer.contains("* 1 EXPUNGE\r\n"), "{command} {answer}");
    }
}

#[test]
fn expunges_count_down_as_they_are_told() {
    let world = World::new();
    world.deliver_many(8);
    // Somebody else has been told of them first: no RECENT here.
    world.select();
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 1,3:4,8 +FLAGS.SILENT (\\Deleted)\r\n");
    let expected = [
        "* 1 EXPUNGE",
        "* 2 EXPUNGE",
        "* 2 EXPUNGE",
        "* 5 EXPUNGE",
        DONE,
    ];
    one.expect("x EXPUNGE\r\n", &expected);
    other.expect("x NOOP\r\n", &expected);
    other.expect("x UID SEARCH ALL\r\n", &["* SEARCH 2 5 6 7", DONE]);
}

#[test]
fn changes_come_in_their_order() {
    let world = World::new();
    world.deliver_many(3);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    one.send("x STORE 2 FLAGS.SILENT (\\Seen new-word)\r\n");
    world.deliver_many(1);
    other.expect(
        "x NOOP\r\n",
        &[
            "* 1 EXPUNGE",
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft new-word)",
            "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft new-word \\*)] …",
            "* 3 EXISTS",
            "* 1 RECENT",
            "* 2 FETCH (FLAGS (\\Seen new-word))",
            DONE,
        ],
    );
    other.expect("x NOOP\r\n", &[DONE]);
}

#[test]
fn exists_never_shrinks() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    world.deliver_many(1);
    one.send("x NOOP\r\n");
    // Held: two that are gone, and the new one.
    other.expect(
        "x FETCH 1 UID\r\n",
        &["* 1 FETCH (UID 1)", "* 3 EXISTS", "* 0 RECENT", DONE],
    );
    other.expect("x NOOP\r\n", &["* 1 EXPUNGE", "* 1 EXPUNGE", DONE]);
    other.expect("x FETCH 1 UID\r\n", &["* 1 FETCH (UID 3)", DONE]);
}

#[test]
fn a_message_that_came_and_went_unseen_is_never_told() {
    let world = World::new();
    world.deliver_many(1);
    let mut one = world.select();
    let mut other = world.select();
    world.deliver_many(1);
    one.expect("x NOOP\r\n", &["* 2 EXISTS", "* 2 RECENT", DONE]);
    one.send("x STORE 2 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    other.expect("x NOOP\r\n", &[DONE]);
}

#[test]
fn flags_set_by_others_arrive() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 2 +FLAGS (\\Answered)\r\n");
    other.expect("x NOOP\r\n", &["* 2 FETCH (FLAGS (\\Answered))", DONE]);
    one.send("x STORE 2 -FLAGS (\\Answered)\r\n");
    // In UID commands with the UID (RFC 3501 §6.4.8).
    other.expect(
        "x UID SEARCH 1\r\n",
        &["* SEARCH 1", "* 2 FETCH (UID 2 FLAGS ())", DONE],
    );
}

#[test]
fn silent_changes_are_not_told_unless_somebody_else_took_part() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.examine();
    let mut other = world.select();
    one.send("x NOOP\r\n");
    let mut third = world.select();
    other.expect("x STORE 1 +FLAGS.SILENT (\\Seen)\r\n", &[DONE]);
    other.expect("x NOOP\r\n", &[DONE]);
    third.send("x STORE 1 +FLAGS (\\Flagged)\r\n");
    other.expect(
        "x STORE 1 +FLAGS.SILENT (\\Draft)\r\n",
        &[
            "* 1 FETCH (FLAGS (\\Flagged \\Seen \\Draft \\Recent))",
            DONE,
        ],
    );
    one.expect(
        "x NOOP\r\n",
        &[
            "* 1 FETCH (FLAGS (\\Flagged \\Seen \\Draft \\Recent))",
            DONE,
        ],
    );
}

#[test]
fn store_tells_flags_that_did_not_change() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.select();
    client.send("x STORE 1 +FLAGS.SILENT (\\Seen)\r\n");
    client.expect(
        "x STORE 1:2 +FLAGS (\\Seen)\r\n",
        &[
            "* 1 FETCH (FLAGS (\\Seen \\Recent))",
            "* 2 FETCH (FLAGS (\\Seen \\Recent))",
            DONE,
        ],
    );
    client.expect(
        "x UID STORE 2 -FLAGS (\\Draft)\r\n",
        &["* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))", DONE],
    );
}

#[test]
fn a_message_expunged_elsewhere_can_be_fetched_until_it_is_told() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    other.expect(
        "x FETCH 1 BODY.PEEK[TEXT]\r\n",
        &["* 1 FETCH (BODY[TEXT] {8}", "body 1", ")", DONE],
    );
    other.expect("x NOOP\r\n", &["* 1 EXPUNGE", DONE]);
}

#[test]
fn bytes_that_are_gone_fail_after_the_rest_was_sent() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    let mut files = world.files("cur");
    files.sort();
    std::fs::remove_file(&files[1]).unwrap();
    let answer = client.send("x FETCH 1:3 BODY.PEEK[TEXT]\r\n");
    assert!(answer.contains("body 1"), "{answer}");
    assert!(answer.contains("body 3"), "{answer}");
    assert!(!answer.contains("* 2 FETCH"), "{answer}");
    assert!(answer.contains("x NO [EXPUNGEISSUED] "), "{answer}");
}

#[test]
fn storing_to_a_message_expunged_elsewhere_is_harmless() {
    let world = World::new();
    world.deliver_many(3);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    // RFC 2180 §4.2: only for what is gone it fails, if an answer was wanted.
    other.expect(
        "x STORE 1 +FLAGS.SILENT (\\Seen)\r\n",
        &["x OK [EXPUNGEISSUED] …"],
    );
    other.expect("x STORE 1 +FLAGS (\\Seen)\r\n", &["x NO [EXPUNGEISSUED] …"]);
    other.expect(
        "x STORE 1:2 +FLAGS (\\Seen)\r\n",
        &["* 2 FETCH (FLAGS (\\Seen))", "x OK [EXPUNGEISSUED] …"],
    );
    other.expect("x NOOP\r\n", &["* 1 EXPUNGE", DONE]);
}

#[test]
fn copying_a_message_expunged_elsewhere_copies_nothing() {
    let world = World::new();
    world.deliver_many(2);
    let mut one = world.select();
    let mut other = world.select();
    one.send("x CREATE box\r\n");
    one.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    std::fs::read_dir(world.root()).unwrap();
    let answer = other.send("x COPY 1:2 box\r\n");
    if answer.contains("x NO [EXPUNGEISSUED]") {
        let status = other.send("x STATUS box (MESSAGES)\r\n");
        assert!(status.contains("(MESSAGES 0)"), "{status}");
    } else {
        // The bytes were still reachable: then all of it was copied.
        assert!(answer.contains("[COPYUID "), "{answer}");
        let status = other.send("x STATUS box (MESSAGES)\r\n");
        assert!(status.contains("(MESSAGES 2)"), "{status}");
    }
}

#[test]
fn pipelined_commands_run_in_order() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.expect(
        "a STORE 1:2 +FLAGS.SILENT (\\Deleted)\r\nb EXPUNGE\r\nc FETCH 1 UID\r\nd NOOP\r\n",
        &[
            "a OK …",
            "* 1 EXPUNGE",
            "* 1 EXPUNGE",
            "* 1 RECENT",
            "b OK …",
            "* 1 FETCH (UID 3)",
            "c OK …",
            "d OK …",
        ],
    );
}

#[test]
fn a_mailbox_deleted_by_another_session_ends_the_connection() {
    let world = World::new();
    let mut one = world.log_in();
    one.send("x CREATE box\r\n");
    let mut other = world.log_in();
    other.send("x SELECT box\r\n");
    one.expect("x DELETE box\r\n", &[DONE]);
    other.expect("x NOOP\r\n", &["* BYE [NONEXISTENT] …"]);
    assert!(!other.open);
}

#[test]
fn uids_never_change_their_meaning_under_a_session() {
    let world = World::new();
    world.deliver_many(3);
    for damage in ["remove", "empty", "garbage"] {
        let mut client = world.select();
        let before = client.send("x UID FETCH 1:* BODY.PEEK[TEXT]\r\n");
        let index = world.root().join("pillarbox.index");
        match damage {
            "remove" => std::fs::remove_file(index).unwrap(),
            "empty" => std::fs::write(index, "").unwrap(),
            _ => std::fs::write(index, "garbage").unwrap(),
        }
        world.deliver("Subject: 4\r\n\r\nbody 4\r\n");
        // Another process comes first, and numbers the messages anew.
        let other = mailstore::Store::new(world.settings.store.options().clone());
        let account = other.account(&world.root()).unwrap();
        let inbox = account.open(&mailstore::MailboxName::inbox());
        inbox.unwrap().refresh().unwrap();
        let answer = client.send("x NOOP\r\n");
        if !client.open {
            assert!(
                answer.starts_with("* BYE [NONEXISTENT] "),
                "{damage}: {answer}"
            );
            continue;
        }
        let after = client.send("x UID FETCH 1:* BODY.PEEK[TEXT]\r\n");
        let told = before.strip_suffix("x OK FETCH completed\r\n").unwrap();
        assert!(after.starts_with(told), "{damage}: {after}");
    }
}

#[test]
fn a_client_that_deletes_its_mailbox_has_none_selected() {
    let world = World::new();
    for command in ["x DELETE box\r\n", "x RENAME box elsewhere\r\n"] {
        let mut client = world.log_in();
        client.send("x CREATE box\r\nx SELECT box\r\n");
        client.expect(command, &[DONE]);
        client.expect("y FETCH 1 FLAGS\r\n", &["y BAD …"]);
        client.expect("y NOOP\r\n", &["y OK …"]);
    }
}

#[test]
fn a_failed_select_leaves_no_mailbox_selected() {
    let world = World::new();
    world.deliver_many(1);
    let mut client = world.select();
    client.expect(
        "x SELECT nowhere\r\n",
        &["* OK [CLOSED] …", "x NO [NONEXISTENT] …"],
    );
    client.expect("x FETCH 1 FLAGS\r\n", &["x BAD …"]);
}

#[test]
fn commands_of_earlier_and_later_states_are_bad() {
    let world = World::new();
    let mut client = world.log_in();
    for _ in 0..30 {
        client.expect("x FETCH 1 FLAGS\r\n", &["x BAD …"]);
        client.expect("x LOGIN user secret\r\n", &["x BAD …"]);
        client.expect("x STARTTLS\r\n", &["x BAD …"]);
        client.expect("x XYZZY\r\n", &["x BAD …"]);
    }
    assert!(client.open, "bad commands never close a good session");
}

#[test]
fn nothing_is_changed_through_examine() {
    let world = World::new();
    world.deliver_many(2);
    let mut other = world.select();
    other.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\n");
    let mut client = world.examine();
    for command in [
        "x STORE 1 +FLAGS (\\Seen)\r\n",
        "x EXPUNGE\r\n",
        "x UID EXPUNGE 1\r\n",
    ] {
        client.expect(command, &["x NO [READ-ONLY] …"]);
    }
    let answer = client.send("x FETCH 2 BODY[TEXT]\r\n");
    assert!(!answer.contains("FLAGS"), "{answer}");
    client.expect("x CLOSE\r\n", &[DONE]);
    other.expect("x SEARCH ALL\r\n", &["* SEARCH 1 2", DONE]);
    other.expect("x SEARCH SEEN\r\n", &["* SEARCH", DONE]);
}

#[test]
fn close_expunges_silently_and_unselect_not_at_all() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.select();
    client.send("x STORE 1 +FLAGS.SILENT (\\Deleted)\r\n");
    client.expect("x UNSELECT\r\n", &[DONE]);
    client.expect(
        "x STATUS INBOX (MESSAGES)\r\n",
        &["* STATUS INBOX (MESSAGES 2)", DONE],
    );
    client.send("x SELECT INBOX\r\n");
    client.expect("x CLOSE\r\n", &[DONE]);
    client.expect(
        "x STATUS INBOX (MESSAGES)\r\n",
        &["* STATUS INBOX (MESSAGES 1)", DONE],
    );
    client.expect("x CLOSE\r\n", &["x BAD …"]);
}

#[test]
fn uid_expunge_removes_only_what_it_names() {
    let world = World::new();
    world.deliver_many(4);
    // Somebody else has been told of them first: no RECENT here.
    world.select();
    let mut client = world.select();
    client.send("x STORE 1:3 +FLAGS.SILENT (\\Deleted)\r\n");
    client.expect(
        "x UID EXPUNGE 2:4\r\n",
        &["* 2 EXPUNGE", "* 2 EXPUNGE", DONE],
    );
    client.expect("x UID SEARCH ALL\r\n", &["* SEARCH 1 4", DONE]);
}

#[test]
fn a_sequence_number_that_no_message_has_is_bad() {
    let world = World::new();
    let mut client = world.select();
    for set in ["1", "*", "1:*"] {
        client.expect(format!("x FETCH {set} FLAGS\r\n"), &["x BAD …"]);
        client.expect(format!("x UID FETCH {set} FLAGS\r\n"), &[DONE]);
    }
    world.deliver_many(2);
    client.send("x NOOP\r\n");
    for set in ["3", "1:3", "3:*"] {
        client.expect(format!("x STORE {set} FLAGS ()\r\n"), &["x BAD …"]);
    }
    client.expect("x UID FETCH 77:* UID\r\n", &["* 2 FETCH (UID 2)", DONE]);
    client.expect(
        "x FETCH 2,*:1 UID\r\n",
        &["* 1 FETCH (UID 1)", "* 2 FETCH (UID 2)", DONE],
    );
}

#[test]
fn copy_tells_where_the_copies_are() {
    let world = World::new();
    world.deliver_many(3);
    let mut client = world.select();
    client.expect("x COPY 1 nowhere\r\n", &["x NO [TRYCREATE] …"]);
    client.send("x CREATE box\r\n");
    let answer = client.send("x COPY 1,3 box\r\n");
    assert!(answer.starts_with("x OK [COPYUID "), "{answer}");
    assert!(answer.contains(" 1,3 1:2] "), "{answer}");
    client.expect("x UID COPY 9 box\r\n", &[DONE]);
    // Into the selected mailbox itself.
    let answer = client.send("x UID COPY 2 INBOX\r\n");
    check(&answer, &["* 4 EXISTS", "* 4 RECENT", "x OK [COPYUID …"]);
}

#[test]
fn a_message_that_came_and_went_during_a_command_is_never_told() {
    let world = World::new();
    world.deliver_many(250);
    let mut client = world.select();
    let mut other = world.select();
    // Each slice sets `\Seen` on some messages, and so learns what the mailbox is by then.
    let mut answer = client.send_for_one_slice("x UID FETCH 1:* BODY[TEXT]\r\n");
    other.send("x APPEND INBOX (\\Deleted) {1+}\r\nx\r\n");
    answer += &client.slice();
    other.send("x EXPUNGE\r\n");
    other.send("x STORE 250 +FLAGS.SILENT (\\Deleted)\r\nx EXPUNGE\r\n");
    answer += &client.settle();
    assert!(!answer.contains("EXISTS"), "{answer}");
    assert!(!answer.contains("* 251 "), "{answer}");
    assert_eq!(answer.matches(" EXPUNGE\r\n").count(), 1, "{answer}");
    assert!(answer.contains("* 250 EXPUNGE\r\n"), "{answer}");
    assert!(answer.contains("body 250"), "{answer}");
}
