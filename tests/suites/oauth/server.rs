//! The real server and the issuers that it asks: good ones, slow ones, and such as are away.

use std::fs;
use std::path::Path;
use std::process::Command;

use pillarbox_tests::client::Client;
use pillarbox_tests::issuer::{Answer, SigningKey};
use pillarbox_tests::serve::Serve;
use serde_json::json;

use crate::world::{World, bearer, in_an_hour, log_in};

const INVALID: &str = r#"{"status":"invalid_token"}"#;

/// What an administrator does after a change.
fn reload(server: &Serve) {
    let id = server.pid().to_string();
    let kill = Command::new("kill").args(["-HUP", &id]).status().unwrap();
    assert!(kill.success());
}

#[test]
fn signed_tokens_log_in_and_leave_no_trace() {
    let world = World::new();
    let keys = ["RS256", "ES256", "EdDSA"].map(|name| SigningKey::new(name, name).unwrap());
    world.issuer.publish(&keys.each_ref());
    let server = world.serve_signed();
    let mut tokens = Vec::new();
    for key in &keys {
        let token = world.token(key, "ann@localhost");
        let told = log_in(&server, "ann@localhost", &token);
        assert!(told.starts_with("a OK [CAPABILITY "), "{told}");
        let mut pop3 = Client::greeted(&server, "pop3");
        let told = pop3.ask(&format!(
            "AUTH OAUTHBEARER {}",
            bearer("ann@localhost", &token)
        ));
        assert!(told.starts_with("+OK maildrop has "), "{told}");
        tokens.push(token);
    }
    let stranger = SigningKey::new("ES256", "ES256").unwrap();
    for (token, cause) in [
        (
            world.token(&stranger, "ann@localhost"),
            "signature of the token is wrong",
        ),
        (
            world.token(&keys[0], "bob@localhost"),
            "token is of another user",
        ),
        ("opaque".to_owned(), "token is not a signed JWT"),
    ] {
        assert_eq!(log_in(&server, "ann@localhost", &token), INVALID, "{cause}");
        assert!(server.logs(cause, 1), "{cause}");
        tokens.push(token);
    }
    // The configuration and the keys, once.
    assert_eq!(world.issuer.asked("/keys").len(), 1);
    let log = server.log();
    assert!(
        log.contains("DEBUG"),
        "too little is logged to show anything"
    );
    for token in tokens {
        assert!(!log.contains(&token), "a token is in the log");
        let (_, signature) = token.rsplit_once('.').unwrap_or(("", &token));
        assert!(signature == "opaque" || !log.contains(signature));
    }
}

#[test]
fn a_changed_key_is_known_after_a_reload_and_an_issuer_that_is_away_is_not_needed() {
    let world = World::new();
    let (old, new) = (
        SigningKey::new("ES256", "old").unwrap(),
        SigningKey::new("ES256", "new").unwrap(),
    );
    world.issuer.publish(&[&old]);
    let server = world.serve_signed();
    let (token, newer) = (world.token(&old, "ann"), world.token(&new, "ann"));
    assert!(log_in(&server, "ann", &token).starts_with("a OK "));
    world.issuer.publish(&[&new]);
    // Asked a moment ago: not again, whoever comes.
    for _ in 0..3 {
        assert_eq!(log_in(&server, "ann", &newer), INVALID);
    }
    assert_eq!(world.issuer.asked("/keys").len(), 1);
    reload(&server);
    assert!(server.logs("users read again", 1), "{}", server.log());
    assert!(log_in(&server, "ann", &newer).starts_with("a OK "));
    assert_eq!(
        log_in(&server, "ann", &token),
        INVALID,
        "the old key is gone"
    );
    // Away: what is known stays in use.
    world.issuer.answer("/keys", Answer::Status(503));
    reload(&server);
    assert!(server.logs("users read again", 2), "{}", server.log());
    assert!(log_in(&server, "ann", &newer).starts_with("a OK "));
    assert!(server.logs("the issuer's keys stay as they were", 1));
}

#[test]
fn an_issuer_that_was_never_there_is_told_as_such() {
    let world = World::new();
    let key = SigningKey::new("EdDSA", "one").unwrap();
    let server = world.serve_signed();
    let told = log_in(&server, "ann", &world.token(&key, "ann"));
    assert!(told.starts_with("a NO [UNAVAILABLE] "), "{told}");
    assert!(server.logs("no token can be checked without the issuer's keys", 1));
    let mut pop3 = Client::greeted(&server, "pop3");
    let message = bearer("ann", &world.token(&key, "ann"));
    let told = pop3.ask(&format!("AUTH OAUTHBEARER {message}"));
    assert!(told.starts_with("-ERR [SYS/TEMP] "), "{told}");
}

#[test]
fn an_issuer_that_does_not_answer_keeps_nobody_with_a_password_waiting() {
    let world = World::new();
    world.issuer.answer("/ask", Answer::Silence);
    let ask = world.issuer.url("/ask");
    let server = world.serve(&format!("introspection = {ask:?}\ntimeout = \"1m\"\n"));
    let mut waiting: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = Client::greeted(&server, "imap");
            let message = bearer("ann", "token");
            client.send(format!("a AUTHENTICATE OAUTHBEARER {message}\r\n"));
            client
        })
        .collect();
    let mut bob = Client::greeted(&server, "imap");
    assert!(bob.ask("a LOGIN bob pw").starts_with("a OK "));
    world.issuer.answer("/ask", Answer::Status(500));
    drop(world);
    drop(server);
    // None of them was answered meanwhile.
    for client in &mut waiting {
        assert_eq!(client.line(), "");
    }
}

#[test]
fn the_issuer_is_asked_with_its_secret_and_not_twice() {
    let world = World::new();
    let good = json!({"active": true, "username": "Ann", "exp": in_an_hour()});
    let tokens = vec![("opaque".to_owned(), good)];
    world.issuer.answer("/ask", Answer::Tokens(tokens));
    let secret = world.ca.with_file_name("secret");
    fs::write(&secret, "hunter2\n").unwrap();
    let server = world.serve(&format!(
        "introspection = {:?}\nclient_id = \"mail\"\nclient_secret = {:?}\nuser_claim = \"username\"\n",
        world.issuer.url("/ask"),
        secret.display().to_string()
    ));
    for _ in 0..2 {
        assert!(log_in(&server, "ann@localhost", "opaque").starts_with("a OK "));
    }
    assert_eq!(log_in(&server, "bob", "opaque"), INVALID);
    assert_eq!(world.issuer.asked("/ask").len(), 1, "remembered");
    assert_eq!(log_in(&server, "ann", "other"), INVALID);
    let asked = world.issuer.asked("/ask");
    // mail:hunter2
    assert_eq!(
        asked[0].authorization.as_deref(),
        Some("Basic bWFpbDpodW50ZXIy")
    );
    assert_eq!(asked[1].body, "token=other&token_type_hint=access_token");
    let log = server.log();
    // Of what is sent to the issuer, nothing is shown, in whatever form.
    assert!(!log.contains("HTTP/1.1") && !log.contains("POST"), "{log}");
    for hidden in ["hunter2", "bWFpbDpodW50ZXIy", "opaque"] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
}

#[test]
fn the_issuer_alone_decides_if_it_is_to() {
    let world = World::new();
    let key = SigningKey::new("ES256", "one").unwrap();
    world.issuer.publish(&[&key]);
    let token = world.token(&key, "zoe@localhost");
    let lines = format!(
        "issuer = {:?}\naudience = [\"mail\"]\njwks = {:?}\n",
        world.issuer.url(""),
        world.issuer.url("/keys")
    );
    let server = world.serve(&lines);
    assert_eq!(log_in(&server, "zoe@localhost", &token), INVALID);
    assert!(server.logs("user of the token has no account", 1));
    let server = world.serve(&format!("{lines}accounts = \"any\"\n"));
    assert!(log_in(&server, "zoe@localhost", &token).starts_with("a OK "));
}

#[test]
fn the_examples_of_the_document_work() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/oauth.md");
    let page = fs::read_to_string(page).unwrap();
    let examples: Vec<&str> = page
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(examples.len(), 2);
    for example in &examples {
        let (_, report) = pillarbox::config::parse(Path::new("/etc/p.toml"), example);
        assert_eq!(report.to_string(), "", "{example}");
    }
    let world = World::new();
    let lines = examples[0]
        .replace("[oauth]\n", "")
        .replace("https://id.example.org/realms/mail", &world.issuer.url(""));
    let key = SigningKey::new("RS256", "one").unwrap();
    world.issuer.publish(&[&key]);
    let server = world.serve(&lines);
    let mut claims = world.claims("ann@localhost");
    claims["aud"] = json!(["account", "mail.example.org"]);
    let token = key.token(&claims).unwrap();
    assert!(log_in(&server, "ann@localhost", &token).starts_with("a OK "));
}
