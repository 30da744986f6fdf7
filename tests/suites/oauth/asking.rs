//! How issuers are asked: over TLS, with limits, and without going elsewhere.

use std::time::Duration;

use auth::Secret;
use auth::oauth::{FetchError, Form, Request};
use pillarbox::config::OAuth;
use pillarbox::issuer::fetcher;
use pillarbox_tests::issuer::{Answer, Issuer};
use serde_json::json;

/// What comes of a GET, in short.
fn get(settings: &OAuth, url: &str) -> String {
    let fetch = fetcher(settings).unwrap();
    let answer = fetch(&Request {
        url,
        form: None,
        limit: 10_000,
    });
    match answer {
        Ok(body) => String::from_utf8(body).unwrap(),
        Err(FetchError::Status(status)) => format!("status {status}"),
        Err(FetchError::TooLong(limit)) => format!("more than {limit}"),
        Err(FetchError::Away(error)) => format!("away: {error}"),
    }
}

/// Settings with the system's certificate authorities, or those in a file.
fn settings(ca: Option<&std::path::Path>) -> OAuth {
    OAuth {
        ca: ca.map(ToOwned::to_owned),
        timeout: Duration::from_millis(500),
        ..OAuth::default()
    }
}

/// An issuer under HTTPS, its certificate as the only authority, and where that is.
fn issuer() -> (Issuer, OAuth, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let issuer = Issuer::https(&ca).unwrap();
    let settings = settings(Some(&ca));
    (issuer, settings, dir)
}

#[test]
fn a_good_answer_is_taken() {
    let (issuer, settings, _dir) = issuer();
    issuer.answer("/good", Answer::Json(json!({"keys": []})));
    assert_eq!(get(&settings, &issuer.url("/good")), "{\"keys\":[]}");
    assert_eq!(get(&settings, &issuer.url("/other")), "status 404");
}

#[test]
fn a_question_has_its_form_and_who_asks() {
    let (issuer, settings, _dir) = issuer();
    issuer.answer("/ask", Answer::Json(json!({"active": false})));
    let fetch = fetcher(&settings).unwrap();
    // Twice, over one connection.
    for _ in 0..2 {
        let answer = fetch(&Request {
            url: &issuer.url("/ask"),
            form: Some(Form {
                body: Secret::new("token=abc"),
                authorization: Some(Secret::new("Basic eHg=")),
            }),
            limit: 100,
        });
        assert_eq!(answer.unwrap(), b"{\"active\":false}");
    }
    let asked = issuer.asked("/ask");
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert_eq!(asked.body, "token=abc");
        assert_eq!(asked.authorization.as_deref(), Some("Basic eHg="));
    }
}

#[test]
fn bad_answers_end_in_time_and_within_bounds() {
    let (issuer, settings, _dir) = issuer();
    for (path, answer) in [
        ("/endless", Answer::Endless),
        ("/short", Answer::Short(100)),
        ("/huge", Answer::Short(1 << 40)),
        ("/silent", Answer::Silence),
        ("/garbage", Answer::Garbage),
        ("/broken", Answer::Status(500)),
    ] {
        issuer.answer(path, answer);
    }
    let get = |path: &str| get(&settings, &issuer.url(path));
    assert_eq!(get("/endless"), "more than 10000");
    assert!(get("/short").starts_with("away: "), "{}", get("/short"));
    assert!(!get("/huge").starts_with('{'), "{}", get("/huge"));
    assert!(
        get("/silent").starts_with("away: timeout"),
        "{}",
        get("/silent")
    );
    assert!(get("/garbage").starts_with("away: "), "{}", get("/garbage"));
    assert_eq!(get("/broken"), "status 500");
}

#[test]
fn nobody_is_sent_elsewhere() {
    let (issuer, settings, _dir) = issuer();
    let other = Issuer::http().unwrap();
    other.answer("/keys", Answer::Json(json!({"keys": []})));
    issuer.answer("/there", Answer::Redirect(other.url("/keys")));
    issuer.answer("/here", Answer::Redirect(issuer.url("/keys")));
    assert_eq!(get(&settings, &issuer.url("/there")), "status 302");
    assert_eq!(get(&settings, &issuer.url("/here")), "status 302");
    assert!(other.asked("/keys").is_empty());
}

#[test]
fn a_stranger_is_not_believed() {
    let (issuer, _, _dir) = issuer();
    issuer.answer("/keys", Answer::Json(json!({"keys": []})));
    // Another authority than the one that vouches for it.
    let other = tempfile::tempdir().unwrap();
    let ca = other.path().join("ca.pem");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let told = get(&settings(Some(&ca)), &issuer.url("/keys"));
    assert!(told.starts_with("away: "), "{told}");
    // The right authority, but another name.
    let (issuer, settings, _dir) = self::issuer();
    issuer.answer("/keys", Answer::Json(json!({"keys": []})));
    let url = issuer.url("/keys").replace("localhost", "127.0.0.1");
    let told = get(&settings, &url);
    assert!(told.starts_with("away: "), "{told}");
    assert!(issuer.asked("/keys").is_empty());
}

#[test]
fn nobody_there_is_told_as_such() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://localhost:{}/", nobody.local_addr().unwrap().port());
    drop(nobody);
    let (_issuer, settings, _dir) = issuer();
    let told = get(&settings, &url);
    assert!(told.contains("refused"), "{told}");
}
