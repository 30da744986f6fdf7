//! Accounts in real databases: PostgreSQL, started, stopped, killed and held still by the tests, and
//! SQLite. The schema and the configuration are those of `docs/accounts.md`.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use pillarbox_tests::binary::executable;
use pillarbox_tests::client::Client;
use pillarbox_tests::postgres::Postgres;
use pillarbox_tests::program::{have, run};
use pillarbox_tests::serve::{Serve, Setup};
use pillarbox_tests::server::identity_files;

/// The blocks of this language in the document, in their order.
fn documented(language: &str) -> Vec<String> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/accounts.md");
    let text = fs::read_to_string(document).unwrap();
    let (_, section) = text.split_once("\n## In a database\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    section
        .split(&format!("```{language}\n"))
        .skip(1)
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

/// A PostgreSQL server with the documented schema, and the documented configuration for it.
fn database() -> Option<(Postgres, String)> {
    database_in("UTF8")
}

/// The same in this encoding.
fn database_in(encoding: &str) -> Option<(Postgres, String)> {
    let postgres = Postgres::start().unwrap()?;
    let create = format!("CREATE DATABASE mail ENCODING '{encoding}' TEMPLATE template0");
    postgres.sql("postgres", &create).unwrap();
    let schema = &documented("sql")[0];
    postgres.sql("mail", schema).unwrap();
    postgres
        .sql(
            "mail",
            "INSERT INTO accounts SELECT n || '@example.org', '{PLAIN}pw', NULL FROM \
             unnest(ARRAY['bob', 'carol', 'dave', 'eve']) AS n",
        )
        .unwrap();
    let secret = postgres.socket().join("database-password");
    fs::write(&secret, "change me\n").unwrap();
    let configuration = documented("toml")[0]
        .replace("/run/postgresql", &postgres.socket().display().to_string())
        .replace("5432", &postgres.port().to_string())
        .replace(
            "/etc/pillarbox/database-password",
            &secret.display().to_string(),
        );
    assert!(configuration.contains(&secret.display().to_string()));
    Some((postgres, configuration + "timeout = \"2s\"\n"))
}

/// A server with these tables, where failures are answered soon.
fn serve(tables: &str) -> Serve {
    Serve::start(&Setup {
        users: Vec::new(),
        tables: format!(
            "{tables}[auth]\ndefault_domain = \"example.org\"\nfailure_delay = \"1ms\"\n\
             failure_jitter = \"1ms\"\nfailure_delay_max = \"200ms\"\n"
        ),
        ..Setup::default()
    })
    .unwrap()
}

fn login(server: &Serve, user: &str, password: &str) -> String {
    let mut client = Client::greeted(server, "imap");
    let name = format!("{{{}+}}\r\n{user}", user.len());
    client.completion(format!("LOGIN {name} {password}"))
}

/// Tries until the database is asked again, and then logs in. The answer to a failure waits, so that
/// this does not spin.
fn logs_in_soon(server: &Serve, user: &str) {
    let mut tries = 0..300;
    let asked = tries.any(|_| login(server, "nobody", "pw").starts_with(DENIED));
    assert!(asked, "{}", server.log());
    assert!(login(server, user, "pw").starts_with("OK"));
}

fn check(server: &Serve) -> Output {
    Command::new(executable().unwrap())
        .args(["check", "--config"])
        .arg(server.dir().join("pillarbox.toml"))
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

const DENIED: &str = "NO [AUTHENTICATIONFAILED]";
const UNAVAILABLE: &str = "NO [UNAVAILABLE]";

#[test]
fn accounts_are_found_in_the_documented_database() {
    let Some((postgres, tables)) = database() else {
        return;
    };
    let server = serve(&tables);
    assert!(login(&server, "ann@example.org", "example").starts_with("OK"));
    assert!(login(&server, "Ann", "example").starts_with("OK"));
    for (user, password) in [
        ("ann", "Example"),
        ("nobody", "pw"),
        ("' OR '1'='1", "pw"),
        ("bob@example.org' --", "pw"),
        ("x'; DROP TABLE accounts; --", "pw"),
        ("x' UNION SELECT '{PLAIN}pw', NULL --", "pw"),
        ("$1", "pw"),
        ("_ob@example.org", "pw"),
    ] {
        let answer = login(&server, user, password);
        assert!(answer.starts_with(DENIED), "{user}: {answer}");
    }
    // What is changed counts at the next login.
    assert!(login(&server, "bob", "pw").starts_with("OK"));
    let change = "UPDATE accounts SET active = false WHERE name = 'bob@example.org'";
    postgres.sql("mail", change).unwrap();
    assert!(login(&server, "bob", "pw").starts_with(DENIED));
    // Mail is where the database says, below where mail may be.
    let places = format!(
        "UPDATE accounts SET mail = '{0}/mail/other/carol' WHERE name = 'carol@example.org'; \
         UPDATE accounts SET mail = '{0}/mail/../outside' WHERE name = 'dave@example.org'; \
         UPDATE accounts SET mail = '/etc/eve' WHERE name = 'eve@example.org'",
        server.dir().display()
    );
    postgres.sql("mail", &places).unwrap();
    let mut carol = Client::greeted(&server, "imap");
    carol.ok("LOGIN carol pw");
    carol.ok("APPEND INBOX {14+}\r\nSubject: x\r\n\r\n");
    assert!(server.dir().join("mail/other/carol/cur").is_dir());
    for user in ["dave", "eve"] {
        assert!(login(&server, user, "pw").starts_with(UNAVAILABLE));
    }
    assert!(server.logs("account cannot be used: mail: ", 2));
    // A renamed table is told, and by `check` too.
    let sound = check(&server);
    assert!(!said(&sound).contains("error: "), "{}", said(&sound));
    postgres
        .sql("mail", "ALTER TABLE accounts RENAME TO people")
        .unwrap();
    let broken = check(&server);
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        said(&broken).contains("relation \"accounts\" does not exist"),
        "{}",
        said(&broken)
    );
    assert!(!server.log().contains("change me") && !said(&broken).contains("change me"));
}

#[test]
fn a_name_that_the_database_cannot_hold_keeps_nobody_out() {
    let Some((_postgres, tables)) = database_in("LATIN1") else {
        return;
    };
    let server = serve(&tables);
    assert!(login(&server, "ann", "example").starts_with("OK"));
    for name in ["мария", "j\u{f6}rg", "\u{1f600}"] {
        let answer = login(&server, name, "pw");
        assert!(answer.starts_with(DENIED), "{name}: {answer}");
        // An account that has not been asked for before, and so is not remembered.
        let answer = login(&server, "bob", "pw");
        assert!(answer.starts_with("OK"), "{name}: {answer}");
    }
    assert!(!server.log().contains("cannot be looked up"));
}

#[test]
fn a_database_that_goes_away_is_told_once_and_comes_back_by_itself() {
    let Some((mut postgres, tables)) = database() else {
        return;
    };
    let server = serve(&tables);
    assert!(login(&server, "bob", "pw").starts_with("OK"));
    let ways: [fn(&mut Postgres); 2] = [
        |postgres| postgres.stop().unwrap(),
        |postgres| postgres.kill().unwrap(),
    ];
    for (round, go_away) in (1..).zip(ways) {
        go_away(&mut postgres);
        for _ in 0..5 {
            let new = login(&server, "dave", "pw");
            assert!(new.starts_with(UNAVAILABLE), "{new}");
            let unknown = login(&server, "nobody", "pw");
            assert_eq!(new, unknown);
            // Nobody learns who has logged in lately, but they go on logging in.
            assert_eq!(login(&server, "bob", "wrong"), unknown);
            assert!(login(&server, "bob", "pw").starts_with("OK"));
        }
        assert!(server.logs("accounts cannot be looked up: ", round));
        let count = server.log().matches("accounts cannot be looked up").count();
        assert_eq!(count, round, "once and not for each login");
        postgres.run_server().unwrap();
        logs_in_soon(&server, "carol");
        assert!(server.logs("accounts can be looked up again", round));
        assert!(login(&server, "bob", "wrong").starts_with(DENIED));
    }
    // A restart that falls between two logins is not noticed at all.
    postgres.stop().unwrap();
    postgres.run_server().unwrap();
    assert!(login(&server, "dave", "pw").starts_with("OK"));
    assert_eq!(server.log().matches("cannot be looked up").count(), 2);
    // A server that is there and says nothing costs `timeout` once.
    postgres.freeze().unwrap();
    assert!(login(&server, "eve", "pw").starts_with(UNAVAILABLE));
    assert!(login(&server, "bob", "pw").starts_with("OK"));
    assert!(server.logs("no answer within 2s", 1));
    postgres.thaw().unwrap();
    logs_in_soon(&server, "eve");
}

#[test]
fn a_server_starts_and_waits_for_its_database() {
    let Some((mut postgres, tables)) = database() else {
        return;
    };
    postgres.stop().unwrap();
    let server = serve(&tables);
    assert!(login(&server, "bob", "pw").starts_with(UNAVAILABLE));
    assert_eq!(check(&server).status.code(), Some(1));
    postgres.run_server().unwrap();
    logs_in_soon(&server, "bob");
}

#[test]
fn the_connection_to_another_machine_is_in_tls() {
    let Some((mut postgres, tables)) = database() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    identity_files(&certificate, &key).unwrap();
    let socket = format!("host={}", postgres.socket().display());
    let tls = |authority: &Path| {
        let tables = tables.replace(&socket, "host=localhost").replace(
            "AND active",
            "AND (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())",
        );
        format!(
            "{tables}connection_tls = \"always\"\nconnection_ca = \"{}\"\n",
            authority.display()
        )
    };
    // A server without it is not spoken to.
    let server = serve(&tls(&certificate));
    assert!(login(&server, "bob", "pw").starts_with(UNAVAILABLE));
    assert!(server.logs("TLS", 1), "{}", server.log());
    postgres.stop().unwrap();
    postgres.use_tls(&certificate, &key).unwrap();
    postgres.run_server().unwrap();
    logs_in_soon(&server, "bob");
    // Nor one that nobody vouches for.
    let other = dir.path().join("other.pem");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&other, made.cert.pem()).unwrap();
    let server = serve(&tls(&other));
    assert!(login(&server, "bob", "pw").starts_with(UNAVAILABLE));
    assert!(server.logs("certificate", 1), "{}", server.log());
}

#[test]
fn accounts_are_found_in_sqlite() {
    if !have("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.db");
    let schema = documented("sql")[0].clone();
    let (table, _) = schema.split_once("CREATE ROLE").unwrap();
    let (_, ann) = schema.split_once("INSERT").unwrap();
    let script = format!("{table}\nINSERT {ann}");
    let mut python = Command::new("python3");
    let program = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    run(python.args(["-c", program]).arg(&file).arg(script));
    let tables = documented("toml")[1].replace(
        "/var/lib/pillarbox/accounts.db",
        &file.display().to_string(),
    );
    let server = serve(&tables);
    assert!(login(&server, "ann", "example").starts_with("OK"));
    assert!(login(&server, "ann", "wrong").starts_with(DENIED));
    assert!(login(&server, "' OR '1'='1", "example").starts_with(DENIED));
    assert!(!said(&check(&server)).contains("error: "));
    fs::rename(&file, dir.path().join("aside")).unwrap();
    assert!(login(&server, "ann", "example").starts_with("OK"));
    assert!(login(&server, "bob", "example").starts_with(UNAVAILABLE));
    let users = Command::new(executable().unwrap())
        .args(["user", "add", "bob@example.org", "--stdin", "--config"])
        .arg(server.dir().join("pillarbox.toml"))
        .output()
        .unwrap();
    assert_eq!(users.status.code(), Some(1));
    assert!(
        said(&users).contains("the accounts are in a database"),
        "{}",
        said(&users)
    );
}
