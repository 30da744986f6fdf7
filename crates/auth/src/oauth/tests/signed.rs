//! Tests of signed tokens: how they are signed, and what they say.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::*;
use crate::oauth::*;

#[test]
fn every_algorithm_that_is_allowed_proves_a_token() {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let ec = ["ES256", "ES384", "ES512"];
    let keys: Vec<TestKey> = rsa
        .map(|algorithm| TestKey::rsa(algorithm, algorithm))
        .into_iter()
        .chain(ec.map(|algorithm| TestKey::ec(algorithm, algorithm)))
        .chain([TestKey::ed("EdDSA")])
        .collect();
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    world.answer(KEYS, set(&keys.iter().collect::<Vec<_>>()));
    for key in &keys {
        let token = key.token(&claims());
        assert_eq!(world.check(&token), ann(), "{}", key.algorithm);
        // Without a name, all keys that fit are tried.
        let nameless = json!({"alg": key.algorithm}).to_string();
        let token = key.token_with(&nameless, &claims().to_string());
        assert_eq!(world.check(&token), ann(), "{}", key.algorithm);
        // The signature of something else.
        let other = key.token(&claims_with("email", json!("bob@example.org")));
        let (signed, _) = token.rsplit_once('.').unwrap();
        let (_, signature) = other.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{signature}");
        let told = world.check(&forged);
        assert_eq!(told, invalid(Reason::Signature), "{}", key.algorithm);
        assert_eq!(
            world.check(&format!("{signed}.")),
            invalid(Reason::Signature)
        );
    }
    let fully_specified = json!({"alg": "Ed25519"}).to_string();
    let token = keys[9].token_with(&fully_specified, &claims().to_string());
    assert_eq!(world.check(&token), ann(), "RFC 9864");
    assert_eq!(world.asked(), 1);
}

#[test]
fn what_is_not_signed_or_signed_with_a_public_key_is_refused() {
    let key = TestKey::rsa("one", "RS256");
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    // A symmetric key that the issuer should never have published.
    let secret = b"a secret that everybody knows...";
    let shared = json!({"kty": "oct", "kid": "one", "alg": "HS256",
        "k": URL_SAFE_NO_PAD.encode(secret)});
    world.answer(KEYS, json!({"keys": [key.public(), shared]}));
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    for alg in [
        "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS1", "ES256K",
    ] {
        for id in [json!("one"), Value::Null] {
            let header = json!({"alg": alg, "kid": id}).to_string();
            let signed = format!("{}.{}", encode(&header), encode(&claims().to_string()));
            let unsigned = format!("{signed}.");
            assert_eq!(world.check(&unsigned), invalid(Reason::Algorithm), "{alg}");
            // Signed with what is public: the key's parts, or the whole key as text.
            let public = key.public();
            let n = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap());
            for octets in [n.unwrap(), public.to_string().into_bytes(), secret.to_vec()] {
                let hmac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &octets);
                let code = aws_lc_rs::hmac::sign(&hmac, signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code));
                assert_eq!(world.check(&token), invalid(Reason::Algorithm), "{alg}");
            }
        }
    }
    assert_eq!(world.asked(), 0, "nothing of it is worth a question");
}

#[test]
fn a_key_is_used_for_nothing_but_its_purpose() {
    let key = TestKey::rsa("one", "RS256");
    let with = |name: &str, value: Value| {
        let mut public = key.public();
        public[name] = value;
        public
    };
    let other = TestKey::ec("other", "ES256");
    let cases = [
        (with("use", json!("sig")), ann()),
        (with("use", json!("enc")), invalid(Reason::Key)),
        (with("key_ops", json!(["verify"])), ann()),
        (with("key_ops", json!(["encrypt"])), invalid(Reason::Key)),
        (with("alg", json!("RS256")), ann()),
        (with("alg", json!("RS512")), invalid(Reason::Key)),
        (with("alg", json!("RSA-OAEP")), invalid(Reason::Key)),
        (with("kid", json!("two")), invalid(Reason::Key)),
        (with("kid", Value::Null), ann()),
        (with("n", json!("AQAB")), invalid(Reason::Key)),
        (with("kty", json!("EC")), invalid(Reason::Key)),
        (json!("no key"), invalid(Reason::Key)),
    ];
    for (public, expected) in cases {
        let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
        world.answer(KEYS, json!({"keys": [public, other.public()]}));
        assert_eq!(world.check(&key.token(&claims())), expected, "{public}");
    }
    // A name that two keys have is no reason to refuse either.
    let twin = TestKey::rsa("one", "RS256");
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    world.answer(KEYS, set(&[&twin, &key]));
    assert_eq!(world.check(&key.token(&claims())), ann());
    assert_eq!(world.check(&twin.token(&claims())), ann());
}

#[test]
fn every_claim_is_checked() {
    let key = TestKey::ed("one");
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    world.answer(KEYS, set(&[&key]));
    let at = |offset: i64| json!(START.checked_add_signed(offset).unwrap());
    for (name, value, expected) in [
        (
            "iss",
            json!("https://issuer.example/realm/"),
            invalid(Reason::Issuer),
        ),
        ("iss", json!([ISSUER]), invalid(Reason::Issuer)),
        ("iss", Value::Null, invalid(Reason::Issuer)),
        ("aud", json!(["web", "imap"]), ann()),
        ("aud", json!(["web"]), invalid(Reason::Audience)),
        ("aud", json!("Mail"), invalid(Reason::Audience)),
        ("aud", json!("mail imap"), invalid(Reason::Audience)),
        ("aud", json!([]), invalid(Reason::Audience)),
        ("aud", json!({"mail": "mail"}), invalid(Reason::Audience)),
        ("aud", Value::Null, invalid(Reason::Audience)),
        ("exp", at(-29), ann()),
        ("exp", at(-30), invalid(Reason::Expired)),
        ("exp", json!(START as f64 + 0.5), ann()),
        (
            "exp",
            json!((START + 60).to_string()),
            invalid(Reason::Expired),
        ),
        ("exp", json!(-1), invalid(Reason::Expired)),
        ("exp", json!(1e300), invalid(Reason::Expired)),
        ("exp", json!(u64::MAX), ann()),
        ("exp", Value::Null, invalid(Reason::Expired)),
        ("nbf", at(30), ann()),
        ("nbf", at(31), invalid(Reason::NotYet)),
        ("nbf", json!("now"), invalid(Reason::NotYet)),
        ("email", json!(""), invalid(Reason::Nobody)),
        ("email", json!(["ann@example.org"]), invalid(Reason::Nobody)),
        ("email", Value::Null, invalid(Reason::Nobody)),
        ("email_verified", json!(true), ann()),
        ("email_verified", json!("true"), ann()),
        ("email_verified", json!(false), invalid(Reason::Nobody)),
        ("email_verified", json!("false"), invalid(Reason::Nobody)),
    ] {
        let token = key.token(&claims_with(name, value.clone()));
        assert_eq!(world.check(&token), expected, "{name} {value}");
    }
    for (left_out, expected) in [
        ("iss", invalid(Reason::Issuer)),
        ("aud", invalid(Reason::Audience)),
        ("exp", invalid(Reason::Expired)),
        ("email", invalid(Reason::Nobody)),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(left_out);
        assert_eq!(world.check(&key.token(&claims)), expected, "{left_out}");
    }
}

#[test]
fn the_scope_may_be_written_in_three_ways() {
    let key = TestKey::ed("one");
    let mut wanted = wanted();
    wanted.scope = vec!["mail".to_owned(), "imap".to_owned()];
    wanted.user_claim = "sub".to_owned();
    let keys = signature(KeySource::Url(KEYS.to_owned()));
    let world = World::with(keys, wanted).unwrap();
    world.answer(KEYS, set(&[&key]));
    let missing = Err(Refusal::InsufficientScope);
    for (name, value, expected) in [
        ("scope", json!("openid imap mail"), Ok("ann".to_owned())),
        ("scp", json!("imap mail"), Ok("ann".to_owned())),
        ("scp", json!(["mail", "imap"]), Ok("ann".to_owned())),
        ("scope", json!("mail"), missing.clone()),
        ("scope", json!("mailimap"), missing.clone()),
        ("scope", json!(1), missing.clone()),
        ("other", json!("imap mail"), missing.clone()),
    ] {
        let mut claims = claims_with(name, value.clone());
        claims["sub"] = json!("ann");
        // Of no meaning here: it is not the user.
        claims["email_verified"] = json!(false);
        assert_eq!(world.check(&key.token(&claims)), expected, "{value}");
        // What is wrong otherwise is not a matter of scope.
        claims["exp"] = json!(1);
        let told = world.check(&key.token(&claims));
        assert_eq!(told, invalid(Reason::Expired), "{value}");
    }
}

#[test]
fn what_is_no_token_is_refused_without_a_question() {
    let key = TestKey::ed("one");
    let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
    world.answer(KEYS, set(&[&key]));
    let token = key.token(&claims());
    for text in ["", "=", "a b", "a\u{e9}", "a\r\nb", "a=b"] {
        assert_eq!(world.check(text), invalid(Reason::NoToken), "{text:?}");
    }
    let header = |header: &str| key.token_with(header, &claims().to_string());
    for text in [
        "a".to_owned(),
        "..".to_owned(),
        "a.b".to_owned(),
        "a.b.c.d.e".to_owned(),
        format!("{token}."),
        format!("{token}="),
        format!("+{token}"),
        header(""),
        header("[]"),
        header("{}"),
        header(r#"{"alg":["EdDSA"]}"#),
        header(r#"{"alg":"EdDSA","alg":"EdDSA"}"#),
        header(&"[".repeat(5000)),
    ] {
        assert_eq!(world.check(&text), invalid(Reason::NoJwt), "{text:?}");
    }
    for critical in [r#"["exp"]"#, "[]", "null1"] {
        let token = header(&format!(r#"{{"alg":"EdDSA","crit":{critical}}}"#));
        let told = world.check(&token);
        let expected = if critical == "null1" {
            Reason::NoJwt
        } else {
            Reason::Critical
        };
        assert_eq!(told, invalid(expected), "{critical}");
    }
    assert_eq!(world.asked(), 0);
    // Signed well, but the payload is nothing.
    let header = key.header().to_string();
    for payload in ["", "[]", "7", "{\"exp\":}", &"[".repeat(5000)] {
        let told = world.check(&key.token_with(&header, payload));
        assert_eq!(told, invalid(Reason::NoJwt), "{payload:.9}");
    }
}

proptest! {
    #[test]
    fn any_token_never_panics(token in "[-a-zA-Z0-9._~+/= ]{0,60}") {
        let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
        world.answer(KEYS, key);
        prop_assert!(world.check(&token).is_err());
    }

    #[test]
    fn any_header_and_payload_never_panic(header in any::<String>(), payload in any::<String>()) {
        let world = World::new(signature(KeySource::Url(KEYS.to_owned())));
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.AAAA", encode(&header), encode(&payload));
        prop_assert!(world.check(&token).is_err());
    }
}
