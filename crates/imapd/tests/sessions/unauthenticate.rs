//! UNAUTHENTICATE: what belonged to a user does not go to the next one (RFC 8437, S44).

use auth::{Identity, Verdict};
use machine::{PlaintextAuth, Security};

use super::world::{Client, World};

/// Lets the next login be that of another user, who has no mail.
fn become_other(world: &World, client: &mut Client) {
    client.verdict = Verdict::Granted(Identity {
        name: "other@test".to_owned(),
        mail: world.root().with_file_name("other"),
    });
}

#[test]
fn the_next_user_gets_nothing_of_the_first() {
    let world = World::new();
    world.deliver_many(2);
    let mut client = world.log_in();
    client.expect("a CREATE Secret\r\n", &["a OK [MAILBOXID (…"]);
    client.expect(
        "b ENABLE QRESYNC UTF8=ACCEPT\r\n",
        &["* ENABLED QRESYNC UTF8=ACCEPT", "b OK ENABLE completed"],
    );
    client.expect(
        "c NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange)) \
         (PERSONAL (MailboxName MessageNew MessageExpunge))\r\n",
        &["c OK …"],
    );
    let answer = client.send("d SELECT INBOX\r\ne UID SEARCH RETURN (SAVE) ALL\r\n");
    assert!(answer.contains("e OK "), "{answer}");
    become_other(&world, &mut client);
    client.expect(
        "f UNAUTHENTICATE\r\ng FETCH 1 FLAGS\r\nh LOGIN other@test secret\r\n",
        &["f OK UNAUTHENTICATE completed", "g BAD …", "h OK …"],
    );
    assert_eq!(client.forgotten, 1);
    // Neither news of the first account, nor its mailboxes, nor what was switched on.
    world.deliver("Subject: new\r\n\r\n");
    world.settings.store.poll();
    client.hear(&[]);
    client.expect(
        "i LIST \"\" *\r\n",
        &["* LIST (\\HasNoChildren) \"/\" INBOX", "i OK …"],
    );
    client.expect("j FETCH $ FLAGS\r\n", &["j BAD …"]);
    let answer = client.send("k SELECT INBOX\r\n");
    assert!(answer.contains("* 0 EXISTS"), "{answer}");
    client.expect("l FETCH $ FLAGS\r\n", &["l OK …"]);
    client.expect(
        "m APPEND INBOX {6+}\r\na: b\r\n\r\nn STORE 1 +FLAGS (\\Deleted)\r\n",
        &[
            "* 1 EXISTS",
            "* 1 RECENT",
            "m OK …",
            "* 1 FETCH …",
            "n OK …",
        ],
    );
    client.expect("o EXPUNGE\r\n", &["* 1 EXPUNGE", "* 0 RECENT", "o OK …"]);
}

#[test]
fn it_is_possible_again_and_again() {
    let world = World::new();
    let mut client = world.log_in();
    for round in 1..=3 {
        client.expect("a UNAUTHENTICATE\r\n", &["a OK …"]);
        assert_eq!(client.forgotten, round);
        client.expect("b UNAUTHENTICATE\r\n", &["b BAD log in first"]);
        client.expect("c LOGIN user@test secret\r\n", &["c OK …"]);
    }
}

#[test]
fn limits_are_those_of_before_the_login_again() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect("a UNAUTHENTICATE\r\n", &["a OK …"]);
    let literal = world.settings.limits.literal_before_login + 1;
    let answer = client.send(format!("b LOGIN {{{literal}}}\r\n"));
    assert!(answer.starts_with("b BAD "), "{answer}");
    let answer = client.wait(world.settings.timeouts.login);
    assert!(answer.starts_with("* BYE "), "{answer}");
}

#[test]
fn passwords_in_the_clear_are_refused_as_before() {
    let world = World::new();
    let mut client = world.connect_as(Security::StartTlsOffered, PlaintextAuth::Refused);
    client.hear(&["* OK …"]);
    client.expect("a STARTTLS\r\n", &["a OK …"]);
    client.expect("b LOGIN user@test secret\r\n", &["b OK …"]);
    client.expect("c UNAUTHENTICATE\r\n", &["c OK …"]);
    client.expect("d STARTTLS\r\n", &["d BAD TLS is active already"]);
    client.expect("e LOGIN user@test secret\r\n", &["e OK …"]);
}

#[test]
fn compression_ends_with_the_command() {
    let world = World::new();
    let mut client = world.log_in();
    client.expect("a COMPRESS DEFLATE\r\n", &["a OK …"]);
    client.expect("b UNAUTHENTICATE\r\n", &["b OK …"]);
    client.expect("c LOGIN user@test secret\r\n", &["c OK …"]);
    client.expect("d COMPRESS DEFLATE\r\n", &["d OK …"]);
    // What was compressed behind it is never taken for a command in the clear.
    client.expect(
        "e UNAUTHENTICATE\r\nf LOGIN user@test secret\r\n",
        &["e OK …", "* BYE [CLIENTBUG] …"],
    );
    assert!(!client.open);
}
