//! Before login: greeting, capabilities, limits, TLS and authentication.

use std::time::Duration;

use auth::sasl::{Mechanism, Mechanisms};
use auth::{Challenge, Credential, Verdict};
use imapd::Hidden;
use imapd::extension::{Capabilities, Capability};
use machine::{Event, PlaintextAuth, Security, Tls};

use crate::world::World;

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 …";

#[test]
fn the_greeting_tells_the_capabilities() {
    let world = World::new();
    let mut client = world.connect_as(Security::StartTlsOffered, PlaintextAuth::Refused);
    client.hear(&["* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+ …"]);
    client.expect(
        "a CAPABILITY\r\n",
        &[
            "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+ …",
            "a OK CAPABILITY completed",
        ],
    );
    client.expect(
        "b LOGOUT\r\n",
        &["* BYE Logging out", "b OK LOGOUT completed"],
    );
    assert!(!client.open);
}

#[test]
fn passwords_are_refused_in_the_clear() {
    let world = World::new();
    // Neither are proofs of them taken (RFC 5802 §9).
    world.offer(Mechanism::ALL.into_iter().collect());
    let mut client = world.connect_as(Security::StartTlsOffered, PlaintextAuth::Refused);
    client.hear(&["* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED LITERAL+ …"]);
    for command in [
        "a AUTHENTICATE SCRAM-SHA-256\r\n",
        "a AUTHENTICATE SCRAM-SHA-256 biwsbj11c2VyLHI9Y2xpZW50\r\n",
        "a LOGIN user secret\r\n",
        "a AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0\r\n",
        "a AUTHENTICATE LOGIN\r\n",
    ] {
        client.expect(command, &["a NO [PRIVACYREQUIRED] …"]);
    }
    assert!(client.asked.is_none());
}

#[test]
fn verdicts_have_their_response_codes() {
    let rows = [
        (Verdict::Denied, "a NO [AUTHENTICATIONFAILED] …"),
        (Verdict::Unavailable, "a NO [UNAVAILABLE] …"),
        (Verdict::TooManySessions, "a NO [LIMIT] …"),
    ];
    for (verdict, expected) in rows {
        let world = World::new();
        let mut client = world.connect();
        client.hear(&[GREETING]);
        client.verdict = verdict;
        client.expect("a LOGIN user secret\r\n", &[expected]);
        assert!(client.open);
        client.expect("b NOOP\r\n", &["b OK NOOP completed"]);
    }
}

#[test]
fn sasl_exchanges_reach_the_authenticator() {
    const DENIED: &str = "a NO [AUTHENTICATIONFAILED] …";
    let rows: [&[(&str, &[&str])]; 4] = [
        &[("a AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0\r\n", &[DENIED])],
        &[
            ("a AUTHENTICATE PLAIN\r\n", &["+ "]),
            ("AHVzZXIAc2VjcmV0\r\n", &[DENIED]),
        ],
        &[
            ("a AUTHENTICATE LOGIN\r\n", &["+ VXNlcm5hbWU6"]),
            ("dXNlcg==\r\n", &["+ UGFzc3dvcmQ6"]),
            ("c2VjcmV0\r\n", &[DENIED]),
        ],
        // All in one packet.
        &[(
            "a AUTHENTICATE PLAIN\r\nAHVzZXIAc2VjcmV0\r\nb NOOP\r\n",
            &["+ ", DENIED, "b OK NOOP completed"],
        )],
    ];
    for steps in rows {
        let world = World::new();
        let mut client = world.connect();
        client.hear(&[GREETING]);
        client.verdict = Verdict::Denied;
        for (line, expected) in steps {
            client.expect(line, expected);
        }
        let Some(Credential::Password(asked)) = client.asked else {
            panic!("no password was verified");
        };
        assert_eq!(asked.user, "user");
        assert_eq!(asked.password.expose(), b"secret");
    }
}

#[test]
fn the_last_word_of_a_verifier_is_a_challenge() {
    const PLAIN: &str = "a AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0\r\n";
    let rows = [
        ("\r\n", "a OK [CAPABILITY IMAP4rev1 …"),
        ("*\r\n", "a BAD …"),
        ("AAAA\r\n", "a BAD …"),
    ];
    for (line, expected) in rows {
        let world = World::new();
        let mut client = world.connect();
        client.hear(&[GREETING]);
        let Verdict::Granted(identity) = client.verdict.clone() else {
            panic!("not let in");
        };
        client.verdict = Verdict::Continue(Challenge::before_success("v=proof", identity));
        client.expect(PLAIN, &["+ dj1wcm9vZg=="]);
        client.expect(line, &[expected]);
    }
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    client.verdict = Verdict::Continue(Challenge::before_failure("{}"));
    client.expect(PLAIN, &["+ e30="]);
    client.expect("AQ==\r\n", &["a NO [AUTHENTICATIONFAILED] …"]);
}

#[test]
fn a_mechanism_that_is_not_offered_is_refused() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR …"]);
    world.offer(Mechanisms::NONE.with(Mechanism::Login));
    client.expect(
        "a CAPABILITY\r\n",
        &[
            "* CAPABILITY IMAP4rev1 AUTH=LOGIN SASL-IR …",
            "a OK CAPABILITY completed",
        ],
    );
    client.expect("b AUTHENTICATE PLAIN\r\n", &["b NO [CANNOT] …"]);
    client.expect("c AUTHENTICATE LOGIN\r\n", &["+ VXNlcm5hbWU6"]);
}

#[test]
fn channels_are_bound_where_tls_tells_what_to() {
    const PLUS: &str = "AUTH=SCRAM-SHA-256-PLUS";
    let tls = Tls {
        exporter: Some([7; 32]),
        ..Tls::default()
    };
    for (tls, hidden, bound) in [
        (Tls::default(), Capabilities::NONE, false),
        (tls.clone(), Capabilities::NONE, true),
        (
            tls.clone(),
            Capabilities::NONE.with(Capability::AuthScramSha256Plus),
            false,
        ),
    ] {
        let world = World::with(|settings| {
            settings.hidden = vec![Hidden {
                capabilities: hidden,
                ..Hidden::default()
            }];
        });
        world.offer(Mechanism::ALL.into_iter().collect());
        let mut client = world.connect_over(Security::Tls, PlaintextAuth::Refused, tls);
        assert_eq!(client.listen().contains(PLUS), bound);
        client.verdict = Verdict::Denied;
        // `y`: the client could bind the channel and has not seen that we can. Where we said so,
        // somebody has changed our offer, and nothing is asked for (RFC 5802 §6).
        client.expect("a AUTHENTICATE SCRAM-SHA-256\r\n", &["+ "]);
        client.expect(
            "eSwsbj11c2VyLHI9Y2xpZW50\r\n",
            &["a NO [AUTHENTICATIONFAILED] …"],
        );
        assert_eq!(client.asked.is_some(), !bound);
        let plus = if bound { "+ " } else { "b NO [CANNOT] …" };
        client.expect("b AUTHENTICATE SCRAM-SHA-256-PLUS\r\n", &[plus]);
    }
}

#[test]
fn a_broken_sasl_exchange_leaves_the_session_usable() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    for line in ["*\r\n", "not base64\r\n", "AAAA\r\n"] {
        client.expect("a AUTHENTICATE PLAIN\r\n", &["+ "]);
        client.expect(line, &["a BAD …"]);
    }
    client.expect("b AUTHENTICATE CRAM-MD5\r\n", &["b NO [CANNOT] …"]);
    client.expect("c NOOP\r\n", &["c OK NOOP completed"]);
    assert!(client.asked.is_none());
}

#[test]
fn starttls_forgets_what_came_in_the_clear() {
    let world = World::new();
    let mut client = world.connect_as(Security::StartTlsOffered, PlaintextAuth::Refused);
    client.hear(&[GREETING]);
    // The injected command is never answered (S19).
    client.expect(
        "a STARTTLS\r\nevil NOOP\r\n",
        &["a OK Begin TLS negotiation now"],
    );
    client.expect(
        "b CAPABILITY\r\n",
        &[
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN SASL-IR LITERAL+ …",
            "b OK CAPABILITY completed",
        ],
    );
    client.expect("c STARTTLS\r\n", &["c BAD …"]);
    client.verdict = Verdict::Denied;
    client.expect(
        "d LOGIN user secret\r\n",
        &["d NO [AUTHENTICATIONFAILED] …"],
    );
}

#[test]
fn starttls_is_not_possible_where_it_is_not_offered() {
    let world = World::new();
    let mut client = world.connect_as(Security::Clear, PlaintextAuth::Refused);
    client.expect("a STARTTLS\r\n", &[GREETING, "a BAD …"]);
}

#[test]
fn ten_bad_commands_end_the_connection() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    client.verdict = Verdict::Denied;
    for number in 0..9 {
        let command = match number % 3 {
            0 => "GET / HTTP/1.1\r\n",
            1 => "a SELECT INBOX\r\n",
            _ => "a LOGIN user wrong\r\n",
        };
        client.send(command);
        assert!(client.open, "after {number}");
    }
    client.expect("a XYZZY\r\n", &["a BAD …", "* BYE …"]);
    assert!(!client.open);
}

#[test]
fn the_time_to_log_in_is_not_extended_by_trickling() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    for _ in 0..17 {
        assert_eq!(client.wait(Duration::from_secs(10)), "");
        assert_eq!(client.send("x"), "");
    }
    let answer = client.wait(Duration::from_secs(10));
    assert!(answer.starts_with("* BYE "), "{answer}");
    assert!(!client.open);
}

#[test]
fn commands_of_later_states_are_bad() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    for command in ["a SELECT INBOX\r\n", "a FETCH 1 FLAGS\r\n", "a IDLE\r\n"] {
        client.expect(command, &["a BAD …"]);
    }
    client.expect("a APPEND INBOX {5}\r\n", &["a BAD …"]);
    client.expect("a APPEND INBOX {5+}\r\nhello\r\n", &["a BAD …"]);
    client.expect("b NOOP\r\n", &["b OK NOOP completed"]);
}

#[test]
fn shutdown_says_goodbye_at_once_when_nothing_runs() {
    let world = World::new();
    for before in ["", "a LOG", "a AUTHENTICATE PLAIN\r\n"] {
        let mut client = world.connect();
        client.hear(&[GREETING]);
        client.send(before);
        let answer = client.event(Event::Shutdown);
        assert!(answer.starts_with("* BYE [UNAVAILABLE] "), "{answer}");
        assert!(!client.open);
    }
}

#[test]
fn the_end_of_the_connection_says_nothing() {
    let world = World::new();
    let mut client = world.connect();
    client.hear(&[GREETING]);
    assert_eq!(client.event(Event::Eof), "");
    assert!(!client.open);
}
