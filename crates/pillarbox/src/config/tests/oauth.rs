//! Tests of the table that says how tokens are checked.

use std::path::PathBuf;
use std::time::Duration;

use auth::Secret;
use auth::oauth::{Admitted, KeySource, Proof};

use super::*;

#[test]
fn everything_about_tokens_can_be_set() {
    let settings = good(
        "[oauth]\n\
         issuer = \"https://id.example.org/realms/mail\"\n\
         audience = [\"mail\", \"imap\"]\n\
         scope = [\"mail.read\"]\n\
         user_claim = \"preferred_username\"\n\
         accounts = \"any\"\n\
         introspection = \"https://id.example.org/introspect\"\n\
         client_id = \"mail\"\n\
         client_secret = \"secret\"\n\
         cache = \"0s\"\n\
         leeway = \"0s\"\n\
         timeout = \"500ms\"\n\
         ca = \"ca.pem\"\n\
         openid_configuration = \"https://id.example.org/.well-known/openid-configuration\"\n\
         hosts = [\"mail.example.org\"]\n",
    );
    let expected = OAuth {
        issuer: Some("https://id.example.org/realms/mail".to_owned()),
        audience: vec!["mail".to_owned(), "imap".to_owned()],
        scope: vec!["mail.read".to_owned()],
        user_claim: "preferred_username".to_owned(),
        accounts: Admitted::Any,
        jwks: None,
        jwks_refresh: Duration::from_hours(1),
        introspection: Some("https://id.example.org/introspect".to_owned()),
        client_id: Some("mail".to_owned()),
        client_secret: Some(PathBuf::from("/etc/secret")),
        cache: Duration::ZERO,
        leeway: Duration::ZERO,
        timeout: Duration::from_millis(500),
        ca: Some(PathBuf::from("/etc/ca.pem")),
        openid_configuration: Some(
            "https://id.example.org/.well-known/openid-configuration".to_owned(),
        ),
        hosts: vec!["mail.example.org".to_owned()],
    };
    assert_eq!(settings.oauth, expected);
    assert!(settings.oauth.is_on());
    let checks = settings.oauth.checks(Some(Secret::new("hunter2")));
    let Proof::Introspection(asked) = &checks.proof else {
        panic!("{checks:?}");
    };
    let (id, secret) = asked.client.as_ref().unwrap();
    assert_eq!((id.as_str(), secret.expose()), ("mail", &b"hunter2"[..]));
}

#[test]
fn keys_are_in_a_file_or_at_a_url_or_where_the_issuer_says() {
    let keys = |line: &str| {
        let text = "[oauth]\nissuer = \"https://id.example.org\"\naudience = [\"mail\"]\n";
        match good(&format!("{text}{line}\n")).oauth.checks(None).proof {
            Proof::Signature(signature) => signature.keys,
            Proof::Introspection(asked) => panic!("{asked:?}"),
        }
    };
    assert_eq!(keys(""), KeySource::Discovery);
    assert_eq!(
        keys("jwks = \"keys.json\""),
        KeySource::File(PathBuf::from("/etc/keys.json"))
    );
    assert_eq!(
        keys("jwks = \"http://127.0.0.1:8080/keys\""),
        KeySource::Url("http://127.0.0.1:8080/keys".to_owned())
    );
    assert!(!Settings::default().oauth.is_on());
}

#[test]
fn mistakes_about_tokens_have_their_lines() {
    let not_url = |text: &str| {
        format!(
            "error: p.toml:2: `introspection` {text:?} is not a URL\n  \
             fix: write for example \"https://id.example.org/realms/mail\""
        )
    };
    let in_the_clear = |text: &str| {
        format!(
            "error: p.toml:2: `introspection` {text:?} is not under TLS\n  \
             fix: use https://; without TLS, a host can only be this one: localhost, 127.0.0.1 or [::1]"
        )
    };
    for url in [
        "id.example.org/",
        "https://",
        "https:///x",
        "https://a b/",
        "/x",
    ] {
        let text = format!("[oauth]\nintrospection = {url:?}\n");
        assert!(
            [not_url(url), in_the_clear(url)].contains(&found(&text)),
            "{}",
            found(&text)
        );
    }
    for url in [
        "http://id.example.org/",
        "http://localhost.example.org/",
        "ftp://127.0.0.1/",
    ] {
        let text = format!("[oauth]\nintrospection = {url:?}\n");
        assert_eq!(found(&text), in_the_clear(url));
    }
    for (text, expected) in [
        (
            "introspection = \"https://me:secret@id.example.org/\"",
            "error: p.toml:2: `introspection` has a password in it\n  fix: use `client_id` and `client_secret`",
        ),
        (
            "leeway = \"10s\"\naudience = [\"mail\"]",
            "error: p.toml:2: nothing says how tokens are checked, so that none is taken\n  fix: set `issuer`, or `introspection`, or remove the table",
        ),
        (
            "issuer = \"https://id.example.org\"",
            "error: p.toml:2: `audience` is missing: tokens for any other service would do for mail\n  fix: write audience = [\"…\"] with what the issuer puts into `aud` for this server",
        ),
        (
            "introspection = \"https://id.example.org\"\njwks = \"keys\"",
            "error: p.toml:3: `jwks` and `introspection` are two ways to check a token\n  fix: remove one of them",
        ),
        (
            "introspection = \"https://id.example.org\"\nclient_id = \"mail\"",
            "error: p.toml:3: `client_id` and `client_secret` belong together\n  fix: set both or none",
        ),
        (
            "issuer = \"https://id.example.org\"\naudience = [\"mail\"]\nclient_id = \"mail\"\nclient_secret = \"s\"",
            "error: p.toml:4: `client_id` is of use only with `introspection`\n  fix: remove it, and `client_secret`, or set `introspection`",
        ),
        (
            "accounts = \"all\"",
            "error: p.toml:2: `accounts` \"all\" is not known\n  fix: write \"listed\" or \"any\"",
        ),
        (
            "audience = [\"a b\"]",
            "error: p.toml:2: `audience` has \"a b\", which is empty or holds white space\n  fix: write for example [\"mail\"]",
        ),
        (
            "leeway = \"1h\"",
            "error: p.toml:2: `leeway` is out of range\n  fix: write a time from \"0s\" to \"5m\"",
        ),
        (
            "user_claim = \"\"",
            "error: p.toml:2: `user_claim` is empty\n  fix: write for example \"email\", \"preferred_username\" or \"username\"",
        ),
    ] {
        assert_eq!(found(&format!("[oauth]\n{text}\n")), expected, "{text}");
    }
}
