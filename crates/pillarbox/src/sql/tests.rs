//! Tests of accounts in SQLite, and of what is remembered while a database is away.

use std::time::Duration;

use auth::password::Stored;
use rusqlite::Connection;

use super::*;
use crate::accounts;

/// A database in a file of its own.
struct World {
    dir: tempfile::TempDir,
    settings: Settings,
}

impl World {
    fn new(query: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            mail: auth::MailTemplate::parse("/srv/mail/{user}").unwrap(),
            ..Settings::default()
        };
        settings.accounts = Accounts {
            backend: Backend::Sqlite,
            connection: dir.path().join("db").display().to_string(),
            query: query.to_owned(),
            ..Accounts::default()
        };
        let world = Self { dir, settings };
        world.execute(
            "CREATE TABLE accounts (name TEXT PRIMARY KEY, password TEXT, mail TEXT, quota INTEGER);
             INSERT INTO accounts VALUES ('ann@example.org', '{PLAIN}pw', NULL, 5),
                ('bob@example.org', '{PLAIN}pw', '/srv/mail/elsewhere/bob', 5),
                ('eve@example.org', '{PLAIN}pw', '/etc', 5), ('odd', 'nonsense', NULL, 5)",
        );
        world
    }

    fn execute(&self, sql: &str) {
        let database = Connection::open(self.dir.path().join("db")).unwrap();
        database.execute_batch(sql).unwrap();
    }

    fn open(&self) -> Database {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        Database::new(&self.settings, &Source::system(), runtime.handle())
            .unwrap()
            .unwrap()
    }
}

fn name(text: &str) -> Name {
    Name::parse(text, None).unwrap()
}

const QUERY: &str = "SELECT password, mail, quota FROM accounts WHERE name = :user";

#[test]
fn accounts_are_found_by_name() {
    let world = World::new(QUERY);
    let database = world.open();
    let ann = database.lookup(&name("ann@example.org")).unwrap().unwrap();
    assert_eq!(ann.password, Stored::parse("{PLAIN}pw").ok());
    assert_eq!(ann.mail, None);
    let bob = database.lookup(&name("BOB@example.org")).unwrap().unwrap();
    assert_eq!(bob.mail, Some("/srv/mail/elsewhere/bob".into()));
    assert_eq!(database.lookup(&name("nobody")), Ok(None));
    for unusable in ["eve@example.org", "odd"] {
        let away = database.lookup(&name(unusable)).unwrap_err();
        assert!(!away.reason.contains("nonsense"), "{away}");
        assert!(!database.is_away(), "the database itself is there");
    }
    let columns = database.probe(&name("nobody")).unwrap();
    assert_eq!(columns, ["password", "mail", "quota"]);
}

#[test]
fn commands_find_the_accounts_that_are_named() {
    let World { settings, dir } = World::new(QUERY);
    let names = ["Ann@example.org", "bob@example.org"].map(str::to_owned);
    let places = accounts::named(&settings, &names).unwrap();
    let mail = |place: &accounts::Place| place.mail.clone().unwrap();
    let mail: Vec<PathBuf> = places.iter().map(mail).collect();
    let expected = ["/srv/mail/ann@example.org", "/srv/mail/elsewhere/bob"];
    assert_eq!(mail, expected.map(PathBuf::from));

    let told = |name: &str| {
        let error = accounts::named(&settings, &[name.to_owned()]).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        told("zed@example.org"),
        "zed@example.org is not in the database"
    );
    assert!(told("eve@example.org").contains("mail_anywhere"));

    let error = accounts::all(&settings, "name those that are meant").unwrap_err();
    let all = "the accounts are in a database, by [accounts], which does not list them: \
               name those that are meant";
    assert_eq!(error.to_string(), all);
    drop(dir);
}

#[test]
fn names_are_values_and_never_a_part_of_the_query() {
    let world = World::new(QUERY);
    let database = world.open();
    for hostile in [
        "' OR '1'='1",
        "'; DROP TABLE accounts; --",
        "ann@example.org' --",
        "\" OR 1=1",
        "%",
        "_nn@example.org",
        "x' UNION SELECT '{PLAIN}x', NULL, 1 --",
        "$1",
        "?1",
        "\\' OR 1=1",
    ] {
        assert_eq!(database.lookup(&name(hostile)), Ok(None), "{hostile}");
    }
    assert!(database.lookup(&name("ann@example.org")).unwrap().is_some());
}

#[test]
fn a_query_that_cannot_be_meant_is_told() {
    for (query, expected) in [
        (
            "SELECT mail FROM accounts WHERE name = :user",
            "no column password",
        ),
        (
            "SELECT password FROM nowhere WHERE name = :user",
            "no such table",
        ),
        (
            "SELECT password FROM accounts WHERE name <> :user",
            "more than one account",
        ),
        ("SELEC :user", "syntax error"),
    ] {
        let world = World::new(query);
        let problem = world.open().probe(&name("nobody")).unwrap_err();
        assert!(problem.0.contains(expected), "{problem}");
    }
}

#[test]
fn whoever_was_found_lately_is_found_while_the_database_is_away() {
    let mut world = World::new(QUERY);
    let database = world.open();
    database.lookup(&name("ann@example.org")).unwrap();
    let file = world.dir.path().join("db");
    let aside = world.dir.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    for _ in 0..3 {
        assert!(database.lookup(&name("ann@example.org")).unwrap().is_some());
        assert!(database.lookup(&name("bob@example.org")).is_err());
        assert!(database.lookup(&name("nobody")).is_err());
        assert!(database.is_away());
    }
    assert!(!file.exists(), "it is never made");
    world.settings.accounts.keep = Duration::ZERO;
    std::fs::rename(&aside, &file).unwrap();
    let forgetful = world.open();
    forgetful.lookup(&name("ann@example.org")).unwrap();
    std::fs::rename(&file, &aside).unwrap();
    assert!(forgetful.lookup(&name("ann@example.org")).is_err());
}

#[test]
fn unknown_users_are_checked_against_accounts_that_were_found() {
    let world = World::new(QUERY);
    let database = world.open();
    assert_eq!(database.decoy(7), None);
    let ann = database.lookup(&name("ann@example.org")).unwrap();
    assert_eq!(database.decoy(7), ann);
    assert_eq!(database.decoy(8), ann);
}

#[test]
fn the_memory_of_accounts_is_bounded() {
    let recent = Recent::new(Duration::from_secs(60), 10);
    let mut now = Source::system().now().instant;
    let secrets = Arc::new(Secrets::default());
    for number in 0..100 {
        now += Duration::from_millis(1);
        recent.note(&name(&format!("u{number}")), Some(&secrets), now);
    }
    let kept = |number| recent.get(&name(&format!("u{number}")), now).is_some();
    assert!((0..100).filter(|&number| kept(number)).count() <= 10);
    assert!(kept(99));
    recent.note(&name("u99"), None, now);
    assert!(!kept(99), "it is an account no more");
    recent.note(&name("u99"), Some(&secrets), now);
    now += Duration::from_secs(60);
    assert_eq!(recent.get(&name("u99"), now), None);
}

#[test]
fn a_database_that_is_away_is_tried_now_and_then() {
    let health = Health::default();
    let mut now = Source::system().now().instant;
    assert!(health.may_try(now).is_ok());
    health.failed("gone", now);
    let mut tries = 0;
    for _ in 0..1_000 {
        now += Duration::from_millis(100);
        if health.may_try(now).is_ok() {
            tries += 1;
            health.failed("gone", now);
        }
    }
    assert!((20..=60).contains(&tries), "{tries} in 100 seconds");
    health.worked();
    assert!(!health.is_away() && health.may_try(now).is_ok());
}
