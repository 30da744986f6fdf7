//! Tests of introspection.

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use super::world::*;
use crate::Secret;
use crate::oauth::*;

#[test]
fn the_issuer_is_asked_as_the_rfc_has_it() {
    let world = World::new(introspection());
    world.answer(
        ASK,
        json!({"active": true, "aud": "mail", "email": "ann@example.org"}),
    );
    assert_eq!(world.check("2YotnFZFEjr1zCsicMWpAA+/~=="), ann());
    let asked = &world.answers.lock().unwrap().asked[0];
    assert_eq!(asked.0, ASK);
    assert_eq!(
        asked.1,
        "token=2YotnFZFEjr1zCsicMWpAA%2B%2F~%3D%3D&token_type_hint=access_token"
    );
    // RFC 6749 §2.3.1: encoded as in a form, then in base64.
    let pair = base64::engine::general_purpose::STANDARD.encode("mail%20server:s%3Acret");
    assert_eq!(asked.2, format!("Basic {pair}"));
}

#[test]
fn what_the_issuer_says_of_a_token_is_checked() {
    let good = json!({"active": true, "aud": "mail", "email": "ann@example.org"});
    for (name, value, expected) in [
        ("active", json!(true), ann()),
        ("active", json!(false), invalid(Reason::Inactive)),
        ("active", json!("true"), invalid(Reason::Inactive)),
        ("active", Value::Null, invalid(Reason::Inactive)),
        ("iss", json!(ISSUER), ann()),
        (
            "iss",
            json!("https://other.example"),
            invalid(Reason::Issuer),
        ),
        ("aud", json!("web"), invalid(Reason::Audience)),
        ("aud", Value::Null, invalid(Reason::Audience)),
        ("exp", json!(START + 1), ann()),
        ("exp", json!(START - 30), invalid(Reason::Expired)),
        ("nbf", json!(START + 31), invalid(Reason::NotYet)),
        ("email", Value::Null, invalid(Reason::Nobody)),
    ] {
        let world = World::new(introspection());
        let mut answer = good.clone();
        answer[name] = value.clone();
        world.answer(ASK, answer);
        assert_eq!(world.check("token"), expected, "{name} {value}");
    }
    for bad in ["status 401", "status 500", "[]", "<html>", ""] {
        let world = World::new(introspection());
        world.answer(ASK, bad);
        assert_eq!(world.check("token"), Err(Refusal::Unavailable), "{bad}");
    }
    let world = World::new(introspection());
    assert_eq!(world.check("token"), Err(Refusal::Unavailable), "away");
}

#[test]
fn an_answer_is_remembered_for_a_short_time_and_not_beyond_the_end_of_the_token() {
    let second = Duration::from_secs(1);
    let world = World::new(introspection());
    let answer =
        |exp: u64| json!({"active": true, "aud": "mail", "email": "ann@example.org", "exp": exp});
    world.answer(ASK, answer(START + 1000));
    assert_eq!(world.check("one"), ann());
    world.answer(ASK, json!({"active": false}));
    assert_eq!(world.check_at("one", 59 * second), ann(), "remembered");
    assert_eq!(
        world.check_at("two", 59 * second),
        invalid(Reason::Inactive)
    );
    assert_eq!(
        world.check_at("one", 60 * second),
        invalid(Reason::Inactive)
    );
    // A refusal is not remembered.
    world.answer(ASK, answer(START + 10));
    assert_eq!(world.check_at("one", 61 * second), ann());
    world.answer(ASK, json!({"active": false}));
    assert_eq!(world.check_at("one", 70 * second), ann());
    assert_eq!(
        world.check_at("one", 71 * second),
        invalid(Reason::Inactive),
        "its end"
    );
    // Also if only the clock on the wall says so.
    world.answer(ASK, answer(START + 10));
    assert_eq!(world.check_at("one", 72 * second), ann());
    world.answer(ASK, json!({"active": false}));
    world.later(10 * second);
    assert_eq!(
        world.check_at("one", 73 * second),
        invalid(Reason::Inactive)
    );
    // Already past its end, and good by the leeway only.
    world.answer(ASK, answer(START + 5));
    let asked = world.asked();
    assert_eq!(world.check_at("one", 74 * second), ann());
    assert_eq!(world.check_at("one", 74 * second), ann());
    assert_eq!(world.asked(), asked + 2);
    // Forgotten when somebody says so.
    world.answer(ASK, answer(START + 1000));
    assert_eq!(world.check_at("one", 75 * second), ann());
    world.is_away();
    assert_eq!(world.check_at("one", 75 * second), ann());
    world.issuer.forget();
    assert_eq!(
        world.check_at("one", 75 * second),
        Err(Refusal::Unavailable)
    );
}

#[test]
fn nothing_secret_is_shown() {
    let world = World::new(introspection());
    world.answer(
        ASK,
        json!({"active": true, "aud": "mail", "email": "ann@example.org"}),
    );
    assert_eq!(world.check("hunter2"), ann());
    let shown = format!("{:?}", world.issuer);
    for secret in ["hunter2", "s:cret", "ann@"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let form = Form {
        body: Secret::new("token=hunter2"),
        authorization: Some(Secret::new("Basic hunter2")),
    };
    assert!(!format!("{form:?}").contains("hunter2"));
}
