//! Tests of where keys come from, and when.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::world::*;
use crate::oauth::*;

#[test]
fn a_new_key_of_the_issuer_is_fetched_once_a_minute_at_most() {
    let (old, new) = (TestKey::ed("old"), TestKey::ed("new"));
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    world.answer(KEYS, set(&[&old]));
    let mut lasting = claims();
    lasting["exp"] = json!(START + 100_000);
    let (token, newer) = (old.token(&lasting), new.token(&lasting));
    assert_eq!(world.check(&token), ann());
    // The issuer changes its key: it is not asked again in the first minute.
    world.answer(KEYS, set(&[&new]));
    for _ in 0..5 {
        let told = world.check_at(&newer, MINUTE - Duration::from_secs(1));
        assert_eq!(told, invalid(Reason::Key));
    }
    assert_eq!(world.asked(), 1);
    assert_eq!(world.check_at(&newer, MINUTE), ann());
    assert_eq!(world.asked(), 2);
    // The old key is gone with it.
    assert_eq!(world.check_at(&token, MINUTE), invalid(Reason::Key));
    // Tokens that name keys that nobody has cost a question a minute, together.
    let stranger = TestKey::ed("stranger");
    for second in 0..120 {
        let at = 2 * MINUTE + Duration::from_secs(second);
        let told = world.check_at(&stranger.token(&lasting), at);
        assert_eq!(told, invalid(Reason::Key));
    }
    assert_eq!(world.asked(), 4);
    // And what is known is not asked for before its time.
    assert_eq!(world.check_at(&newer, 62 * MINUTE), ann());
    assert_eq!(world.asked(), 4);
    assert_eq!(world.check_at(&newer, 64 * MINUTE), ann());
    assert_eq!(world.asked(), 5);
}

#[test]
fn known_keys_stay_in_use_while_the_issuer_is_away() {
    let (key, new) = (TestKey::ed("one"), TestKey::ed("two"));
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    let mut lasting = claims();
    lasting["exp"] = json!(START + 1_000_000);
    let (token, newer) = (key.token(&lasting), new.token(&lasting));
    // Away from the beginning: asked once a minute.
    for second in 0..60 {
        let told = world.check_at(&token, Duration::from_secs(second));
        assert_eq!(told, Err(Refusal::Unavailable));
    }
    assert_eq!(world.asked(), 1);
    world.answer(KEYS, set(&[&key]));
    assert_eq!(world.check_at(&token, MINUTE), ann());
    for bad in ["away", "status 500", "{}", "{\"keys\":[]}", "no JSON"] {
        if bad == "away" {
            world.is_away();
        } else {
            world.answer(KEYS, bad);
        }
        let at = 61 * MINUTE + MINUTE * u32::try_from(world.asked()).unwrap();
        let asked = world.asked();
        assert_eq!(world.check_at(&token, at), ann(), "{bad}");
        assert_eq!(world.asked(), asked + 1, "{bad}");
        // It may be signed with a key that only the issuer knows.
        let told = world.check_at(&newer, at);
        assert_eq!(told, Err(Refusal::Unavailable), "{bad}");
        assert_eq!(world.asked(), asked + 1, "{bad}");
    }
    // Asked for at once when somebody says so.
    world.answer(KEYS, set(&[&new]));
    world.issuer.forget();
    assert_eq!(world.check_at(&newer, 70 * MINUTE), ann());
}

#[test]
fn keys_are_where_the_configuration_says() {
    let key = TestKey::ec("one", "ES256");
    let configuration = "https://issuer.example/realm/.well-known/openid-configuration";
    let elsewhere = "https://keys.example/all";
    let token = key.token(&claims());
    for (text, expected) in [
        (json!({"issuer": ISSUER, "jwks_uri": elsewhere}), ann()),
        // One that says to be somebody else.
        (
            json!({"issuer": "https://issuer.example", "jwks_uri": elsewhere}),
            Err(Refusal::Unavailable),
        ),
        // One that would have us fetch keys in the clear.
        (
            json!({"issuer": ISSUER, "jwks_uri": "http://keys.example/all"}),
            Err(Refusal::Unavailable),
        ),
        (
            json!({"issuer": ISSUER, "jwks_uri": "file:///etc/keys"}),
            Err(Refusal::Unavailable),
        ),
        (json!({"issuer": ISSUER}), Err(Refusal::Unavailable)),
    ] {
        let world = World::new(signature(KeySource::Discovery));
        world.answer(configuration, &text);
        for url in [elsewhere, "http://keys.example/all", "file:///etc/keys"] {
            world.answer(url, set(&[&key]));
        }
        assert_eq!(world.check(&token), expected, "{text}");
    }
    assert_eq!(
        configuration_of("https://issuer.example/"),
        "https://issuer.example/.well-known/openid-configuration"
    );
    let nobody = Wanted {
        issuer: None,
        ..wanted()
    };
    let without = World::with(signature(KeySource::Discovery), nobody).err();
    assert!(matches!(without, Some(KeySetError::NoIssuer)));
}

#[test]
fn keys_in_a_file_are_read_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let (old, new) = (TestKey::ed("old"), TestKey::ed("newer"));
    let write = |text: &str| {
        fs::write(dir.path().join("other"), text).unwrap();
        fs::rename(dir.path().join("other"), &path).unwrap();
    };
    let proof = || signature(KeySource::File(path.clone()));
    let missing = World::with(proof(), wanted()).err().unwrap();
    assert!(matches!(missing, KeySetError::Io { .. }), "{missing}");
    write("{\"keys\": 7}");
    let malformed = World::with(proof(), wanted()).err().unwrap().to_string();
    let told = "keys.json: it is not a JWK set (RFC 7517): an object with a list \"keys\"";
    assert!(malformed.ends_with(told), "{malformed}");
    write(&set(&[&old]));
    let world = World::new(proof());
    assert_eq!(world.check(&old.token(&claims())), ann());
    assert_eq!(world.check(&new.token(&claims())), invalid(Reason::Key));
    write(&set(&[&new, &old]));
    assert_eq!(world.check(&new.token(&claims())), ann());
    write("{}");
    assert_eq!(world.check(&new.token(&claims())), ann(), "as they were");
    assert_eq!(world.asked(), 0);
}

#[test]
fn a_key_set_must_be_of_use() {
    let parse = |text: &str| KeySet::parse(text.as_bytes()).map(|keys| keys.len());
    for text in [
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":",
        &"[".repeat(5000),
    ] {
        assert!(
            matches!(parse(text), Err(KeySetError::Malformed)),
            "{text:.9}"
        );
    }
    for text in [
        r#"{"keys":[]}"#,
        r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#,
        r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"X25519","x":"AA"}]}"#,
        r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#,
        r#"{"keys":[{}, null, 7]}"#,
    ] {
        assert!(matches!(parse(text), Err(KeySetError::NoKey)), "{text}");
    }
    let key = TestKey::ed("one").public();
    let many = |count: usize| json!({"keys": vec![key.clone(); count]}).to_string();
    assert_eq!(parse(&many(100)).unwrap(), 100);
    assert!(matches!(parse(&many(101)), Err(KeySetError::TooMany)));
}
