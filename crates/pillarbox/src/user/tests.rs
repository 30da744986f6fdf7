//! Tests of managing accounts.

use std::fs;
use std::io::Cursor;

use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// A directory with a cheap configuration.
struct World(tempfile::TempDir);

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "users = \"users\"\n\
                    [auth]\ndefault_domain = \"example.org\"\nargon2_memory = \"8 KiB\"\n\
                    scram_iterations = 5000\n";
        fs::write(dir.path().join("p.toml"), text).unwrap();
        Self(dir)
    }

    /// Runs `pillarbox user LINE --config p.toml`, with this on standard input.
    fn run(&self, line: &str, stdin: &str) -> Result<String> {
        self.run_bare(
            &format!("{line} --config {}/p.toml", self.0.path().display()),
            stdin,
        )
    }

    /// Runs `pillarbox user LINE`.
    fn run_bare(&self, line: &str, stdin: &str) -> Result<String> {
        let words = ["pillarbox", "user"].into_iter().chain(line.split(' '));
        let Command::User(command) = Cli::try_parse_from(words)?.command else {
            panic!("not a user command");
        };
        let (mut stdin, mut out) = (Cursor::new(stdin.as_bytes()), Vec::new());
        match command {
            UserCommand::Add(args) => set(&args, Change::Add, &mut stdin, &mut out),
            UserCommand::Passwd(args) => set(&args, Change::Password, &mut stdin, &mut out),
            UserCommand::List(args) => list(&args, &mut out),
            UserCommand::Remove(args) => remove(&args, &mut out),
            UserCommand::AppPassword(command) => application::run(&command, &mut out),
            UserCommand::Hash(args) => hash(&args, &mut stdin, &mut out),
        }?;
        let shown = String::from_utf8(out)?;
        Ok(shown.replace(&self.0.path().display().to_string(), "DIR"))
    }

    /// The error that a line ends in.
    fn fails(&self, line: &str, stdin: &str) -> String {
        let error = format!("{:#}", self.run(line, stdin).unwrap_err());
        error.replace(&self.0.path().display().to_string(), "DIR")
    }

    fn users(&self) -> String {
        fs::read_to_string(self.0.path().join("users")).unwrap_or_default()
    }

    /// Whether a password is the one of an account.
    fn verifies(&self, name: &str, password: &str) -> bool {
        let users = Users::parse(self.users().as_bytes(), Some("example.org")).unwrap();
        let name = Name::parse(name, Some("example.org")).unwrap();
        users
            .get(&name)
            .unwrap()
            .password
            .as_ref()
            .unwrap()
            .verify(&Secret::new(password))
            .unwrap()
    }
}

#[test]
fn an_account_is_added_changed_listed_and_removed() {
    let world = World::new();
    assert_eq!(
        world.run("add Ann --stdin", "first\nrest").unwrap(),
        "added ann@example.org to DIR/users\n"
    );
    assert!(
        world
            .users()
            .starts_with("ann@example.org:{ARGON2ID}$argon2id$v=19$m=8,t=2,p=1$")
    );
    assert!(world.users().contains("::::::scram_sha_256=5000,"));
    assert!(world.verifies("ann", "first"));
    world.run("add bob@example.net --stdin", "b\r\n").unwrap();
    assert!(world.verifies("bob@example.net", "b"));
    assert_eq!(
        world
            .run("passwd ann@EXAMPLE.org --stdin", "second")
            .unwrap(),
        "changed the password of ann@example.org in DIR/users\n"
    );
    assert!(world.verifies("ann", "second") && !world.verifies("ann", "first"));
    assert_eq!(
        world.run("list", "").unwrap(),
        "ann@example.org\targon2id scram-sha-256\nbob@example.net\targon2id scram-sha-256\n"
    );
    assert_eq!(
        world.run("remove ann", "").unwrap(),
        "removed ann@example.org from DIR/users; its mail is still there\n"
    );
    assert_eq!(
        world.run("list", "").unwrap(),
        "bob@example.net\targon2id scram-sha-256\n"
    );
}

#[test]
fn what_cannot_be_done_is_told_and_changes_nothing() {
    let world = World::new();
    assert_eq!(
        world.fails("passwd ann --stdin", "x"),
        "there is no users file DIR/users"
    );
    assert_eq!(
        world.fails("remove ann", ""),
        "there is no users file DIR/users"
    );
    assert!(!world.0.path().join("users").exists());
    world.run("add ann --stdin", "secret").unwrap();
    let before = world.users();
    for (line, stdin, expected) in [
        (
            "add ANN --stdin",
            "x",
            "ann@example.org is already in DIR/users; `pillarbox user passwd` changes its password",
        ),
        (
            "passwd bob --stdin",
            "x",
            "bob@example.org is not in DIR/users; `pillarbox user add` adds it",
        ),
        ("remove bob", "", "bob@example.org is not in DIR/users"),
        (
            "add ../bob --stdin",
            "x",
            "\"../bob\" cannot be an account: name holds '/' or ':'",
        ),
        (
            "add b\u{a0}ob@example.org --stdin",
            "x",
            "\"b\\u{a0}ob@example.org\" cannot be an account: name holds white space",
        ),
        ("add bob --stdin", "", "the password is empty"),
        ("add bob --stdin", "\nx", "the password is empty"),
        (
            "add bob --stdin",
            "a\tb",
            "the password holds a control character, which no mail client can send",
        ),
    ] {
        assert_eq!(world.fails(line, stdin), expected);
    }
    let long = "x".repeat(MAX_PASSWORD + 1);
    assert_eq!(
        world.fails("add bob --stdin", &long),
        "the password is longer than 1000 octets"
    );
    assert_eq!(world.users(), before);
}

#[test]
fn a_malformed_line_does_not_stop_work_on_others_but_a_listing() {
    let world = World::new();
    fs::write(world.0.path().join("users"), "broken\n").unwrap();
    world.run("add ann --stdin", "secret").unwrap();
    assert!(world.users().starts_with("broken\nann@example.org:"));
    assert_eq!(
        world.fails("list", ""),
        "users file DIR/users is malformed: line 1: no ':' between name and password hash"
    );
}

#[test]
fn application_passwords_belong_to_an_account() {
    let world = World::new();
    world.run("add ann --stdin", "secret\n").unwrap();
    for label in ["phone", "laptop"] {
        world
            .run(&format!("app-password add ann {label}"), "")
            .unwrap();
    }
    let listed = world.run("list", "").unwrap();
    assert!(listed.ends_with(" app-passwords=2\n"), "{listed}");
    world.run("passwd ann --stdin", "other\n").unwrap();
    let listed = world.run("app-password list ann", "").unwrap();
    let labels: Vec<_> = listed.lines().map(|line| line.split('\t').next()).collect();
    assert_eq!(labels, [Some("phone"), Some("laptop")]);
    for (line, problem) in [
        (
            "app-password add ann phone",
            "ann@example.org has an application password of that name already; revoke it first",
        ),
        (
            "app-password revoke ann car",
            "ann@example.org has no application password of that name",
        ),
        (
            "app-password add bob phone",
            "bob@example.org is not in the users file",
        ),
        (
            "app-password list bob",
            "bob@example.org is not in DIR/users",
        ),
    ] {
        assert_eq!(world.fails(line, ""), problem);
    }
    for number in 2..16 {
        world
            .run(&format!("app-password add ann p{number}"), "")
            .unwrap();
    }
    assert_eq!(
        world.fails("app-password add ann more", ""),
        "ann@example.org has 16 application passwords already; revoke one first"
    );
    world.run("remove ann", "").unwrap();
    assert_eq!(world.users(), "");
}

#[test]
fn the_users_file_can_be_named_itself() {
    let world = World::new();
    let file = world.0.path().join("other");
    let line = format!("list --users {}", file.display());
    let keys = "4096,dTuKTS8yk6hTxKvbt4tGhw==,Knis89ylaI2h11hbvOlRIO8CrvN1vgyWOmwdmRH/a0Y=,rj11ZP1G0LMHvkpZ3vOBleh+VrAPvdIa1nheBdVwyvQ=";
    let text = format!("carol:{{PLAIN}}x\ndora:{{SCRAM-SHA-256}}{keys}\n");
    fs::write(&file, text).unwrap();
    let listed = world.run_bare(&line, "").unwrap();
    assert_eq!(listed, "carol\tplain\ndora\tscram-sha-256\n");
}

#[test]
fn an_account_that_could_not_log_in_is_refused() {
    let world = World::new();
    let text = "users = \"users\"\n[auth]\nargon2_memory = \"8 KiB\"\n\
                    scram_iterations = 5000\n";
    fs::write(world.0.path().join("p.toml"), text).unwrap();
    assert_eq!(
        world.fails("add ann --stdin", "secret"),
        "ann could not log in: it has no domain, and `mail` wants one; \
         add the account as ann@DOMAIN, or set `default_domain` in [auth]"
    );
    assert_eq!(world.users(), "");
    let line = format!("add ann --stdin --users {}/u", world.0.path().display());
    assert_eq!(
        world.run_bare(&line, "secret").unwrap(),
        "added ann to DIR/u\n",
        "without a configuration, nobody knows"
    );
}

#[test]
fn a_broken_configuration_is_told() {
    let world = World::new();
    fs::write(world.0.path().join("p.toml"), "usres = \"x\"\n").unwrap();
    assert_eq!(
        world.fails("list", ""),
        "error: DIR/p.toml:1: unknown key `usres`\n  fix: write `users`\n\
         mend the configuration, or name the users file with --users"
    );
}

#[test]
fn a_hash_is_printed_for_other_tools() {
    let world = World::new();
    let shown = world.run("hash --stdin", "secret\n").unwrap();
    let stored = auth::password::Stored::parse(shown.trim_end()).unwrap();
    assert_eq!(stored.verify(&Secret::new("secret")), Ok(true));
    assert!(
        shown.starts_with("{ARGON2ID}$argon2id$v=19$m=8,"),
        "{shown}"
    );
    let again = world.run("hash --stdin", "secret\n").unwrap();
    assert_ne!(shown, again, "each hash has a salt of its own");
}
