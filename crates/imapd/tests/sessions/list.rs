//! LIST with options, in slices.

use crate::world::World;

/// Makes mailboxes as other programs do, each with a message.
fn make_mailboxes(world: &World, count: usize) {
    for number in 0..count {
        let directory = world.root().join(format!(".m{number:04}"));
        for part in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(directory.join(part)).unwrap();
        }
        let name = "cur/1600000000.M1.mta:2,";
        std::fs::write(directory.join(name), "Subject: x\n\n").unwrap();
    }
}

#[test]
fn status_of_many_mailboxes_goes_in_slices() {
    let world = World::new();
    let mut client = world.log_in();
    make_mailboxes(&world, 100);
    let before = client.slices;
    let answer = client.send("x LIST \"\" m* RETURN (STATUS (MESSAGES UNSEEN))\r\n");
    assert!(client.slices - before >= 12, "too few slices");
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines.len(), 201);
    for (number, lines) in lines.chunks(2).take(100).enumerate() {
        let list = format!("* LIST (\\HasNoChildren) \"/\" m{number:04}");
        let status = format!("* STATUS m{number:04} (MESSAGES 1 UNSEEN 1)");
        assert_eq!(lines, [list, status]);
    }
    assert_eq!(lines[200], "x OK LIST completed");
}

#[test]
fn status_in_list_holds_no_descriptors() {
    let world = World::new();
    let mut client = world.log_in();
    make_mailboxes(&world, 40);
    client.send_only(b"x LIST \"\" m* RETURN (STATUS (MESSAGES))\r\n");
    let root = world.root();
    let mut most = 0;
    while client.step().is_some() {
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let ours =
            open.filter(|it| std::fs::read_link(it.path()).is_ok_and(|it| it.starts_with(&root)));
        most = most.max(ours.count());
    }
    assert_eq!(most, 0);
}

#[test]
fn a_mailbox_that_goes_away_meanwhile_is_told_without_status() {
    let world = World::new();
    let mut client = world.log_in();
    let mut other = world.log_in();
    make_mailboxes(&world, 20);
    client.send_only(b"x LIST \"\" m* RETURN (STATUS (MESSAGES))\r\n");
    let mut answer = String::new();
    while !answer.contains("m0000") {
        answer.push_str(&String::from_utf8(client.step().unwrap()).unwrap());
    }
    other.expect("x DELETE m0019\r\n", &["x OK …"]);
    answer.push_str(&client.settle());
    let end = "* STATUS m0018 (MESSAGES 1)\r\n\
         * LIST (\\HasNoChildren \\Noselect) \"/\" m0019\r\n\
         x OK LIST completed\r\n";
    assert!(answer.ends_with(end), "{answer}");
}

#[test]
fn many_patterns_go_in_slices() {
    let world = World::new();
    let mut client = world.log_in();
    make_mailboxes(&world, 60);
    let patterns = vec!["*x*y*z*"; 999].join(" ");
    let before = client.slices;
    let answer = client.send(format!("x LIST \"\" ({patterns} m0007)\r\n"));
    assert_eq!(
        answer,
        "* LIST (\\HasNoChildren) \"/\" m0007\r\nx OK LIST completed\r\n"
    );
    assert!(client.slices - before >= 30, "too few slices");
}

#[test]
fn a_prefix_is_part_of_every_listed_name() {
    let mut world = World::new();
    let mut options = world.settings.store.options().clone();
    options.namespace.prefix = "Mail/".to_owned();
    world.settings.store = mailstore::Store::new(options);
    let mut client = world.log_in();
    client.expect("x CREATE Mail/a\r\n", &["x OK …"]);
    client.expect("x SUBSCRIBE Mail/a\r\n", &["x OK …"]);
    client.expect(
        "x LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %\r\n",
        &[
            "* LIST (\\NonExistent \\HasChildren) \"/\" Mail (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "x OK …",
        ],
    );
    client.expect(
        "x LIST () Mail/ % RETURN (SUBSCRIBED)\r\n",
        &[
            "* LIST (\\Subscribed \\HasNoChildren) \"/\" Mail/a",
            "x OK …",
        ],
    );
}

#[test]
fn inbox_is_listed_once_in_any_letter_case() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect("x CREATE iNbOx/Sub\r\n", &["x OK …"]);
    client.expect("x SUBSCRIBE inbox/Other\r\n", &["x OK …"]);
    client.expect(
        "x LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %\r\n",
        &[
            "* LIST (\\HasChildren) \"/\" INBOX (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "x OK …",
        ],
    );
    client.expect(
        "x LIST \"\" (%)\r\n",
        &["* LIST (\\HasChildren) \"/\" INBOX", "x OK …"],
    );
}
