//! Mailboxes of other users (RFC 4314, RFC 2342): what somebody without rights can find out, which is
//! nothing, and what becomes of sessions whose rights are taken away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use auth::{Identity, MailTemplate, Verdict};
use imapd::Sharing;
use mailstore::Sharers;
use mailstore::quota::{Limits, Policies};

use crate::world::{Client, World};

/// A server whose users share mailboxes. The owner of them is `user@test`.
pub(crate) struct Shared(pub(crate) World);

impl Shared {
    pub(crate) fn new() -> Self {
        let mut world = World::with(|it| it.default_domain = Some("test".to_owned()));
        let above = world.root().parent().unwrap().to_owned();
        let template = format!("{}/{{user}}", above.display());
        world.settings.sharing = Some(Arc::new(Sharing {
            prefix: "Other Users/".to_owned(),
            mail: MailTemplate::parse(&template).unwrap(),
            sharers: Arc::new(Sharers::new(above.join("sharers"), Duration::from_secs(5))),
        }));
        Self(world)
    }

    /// Where the mail of somebody at `test` is.
    pub(crate) fn root(&self, user: &str) -> PathBuf {
        self.0.root().with_file_name(format!("{user}@test"))
    }

    /// A client of somebody at `test` who has logged in.
    pub(crate) fn log_in(&self, user: &str) -> Client {
        let mut client = self.0.connect();
        client.verdict = Verdict::Granted(Identity {
            name: format!("{user}@test"),
            mail: self.root(user),
        });
        client.expect("in LOGIN a secret\r\n", &["* OK …", "in OK …"]);
        client
    }

    /// A client of `bob` with his own INBOX selected, which has one message.
    fn bob(&self) -> Client {
        let mut bob = self.log_in("bob");
        bob.expect("in APPEND INBOX {3+}\r\nx\r\n\r\n", &["in OK …"]);
        let answer = bob.send("in SELECT INBOX\r\n");
        assert!(answer.contains("in OK "), "{answer}");
        bob
    }
}

/// All files below a directory that say what mailboxes there are, what is in them, and who may do
/// what: their names, with the contents of the small ones.
pub(crate) fn state_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut state = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                state.insert(path.clone(), Vec::new());
                directories.push(path);
            } else if matches!(&*name, "dovecot-acl" | "subscriptions" | "sharers") {
                state.insert(path.clone(), std::fs::read(path).unwrap());
            } else if path.parent().unwrap().ends_with("cur")
                || path.parent().unwrap().ends_with("new")
            {
                state.insert(path, Vec::new());
            }
        }
    }
    state
}

/// Each command that takes the name of a mailbox, with `~` for that name. They are sent with a
/// mailbox selected.
const COMMANDS: &[&str] = &[
    "EXAMINE ~",
    "CREATE ~",
    "CREATE ~ (USE (\\Sent))",
    "DELETE ~",
    "RENAME ~ Mine",
    "RENAME INBOX ~",
    "RENAME ~ ~",
    "RENAME ~ \"Bad&AIU-\"",
    "SUBSCRIBE ~",
    "UNSUBSCRIBE ~",
    "LIST \"\" ~",
    "LIST ~ *",
    "LIST ~ %",
    "LIST \"\" (~ x) RETURN (CHILDREN SUBSCRIBED MYRIGHTS STATUS (MESSAGES))",
    "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" ~ RETURN (METADATA (/shared/comment))",
    "XLIST \"\" ~",
    "LSUB \"\" ~",
    "STATUS ~ (MESSAGES SIZE UIDVALIDITY)",
    "APPEND ~ {1+}\r\nx",
    "APPEND ~ CATENATE (TEXT {1+}\r\nx)",
    "APPEND ~ (\\Seen) {1+}\r\nx {1+}\r\ny",
    "COPY 1 ~",
    "UID COPY 1:* ~",
    "MOVE 1 ~",
    "UID MOVE 1:* ~",
    "REPLACE 1 ~ {1+}\r\nx",
    "UID REPLACE 1 ~ {1+}\r\nx",
    "GETMETADATA ~ /shared/comment",
    "SETMETADATA ~ (/shared/comment \"x\")",
    "GETQUOTAROOT ~",
    "NOTIFY SET STATUS (MAILBOXES ~ (MessageNew MessageExpunge))",
    "NOTIFY SET STATUS (SUBTREE ~ (MessageNew MessageExpunge))",
    "NOTIFY NONE",
    "SETACL ~ bob lrswipkxtea",
    "DELETEACL ~ bob",
    "GETACL ~",
    "LISTRIGHTS ~ bob",
    "MYRIGHTS ~",
];

#[test]
fn whoever_has_no_rights_finds_out_nothing() {
    let world = Shared::new();
    let mut owner = world.log_in("user");
    owner.expect("a CREATE Hidden/Below\r\n", &["a OK …"]);
    owner.expect("a CREATE Given/Hidden\r\n", &["a OK …"]);
    owner.expect("a CREATE Given\r\n", &["a OK …"]);
    owner.expect("a SETACL Given/Hidden bob \"\"\r\n", &["a OK …"]);
    let too_long = "&AQU-".repeat(45);
    // In form C each is two characters.
    let grows = "&CVg-".repeat(60);
    let names = [
        "Hidden",
        "Hidden/Below",
        "Nothing",
        "INBOX",
        "inbox/x",
        "Given/Hidden",
        "Control&AIU-",
        "&AOQ-",
        &too_long,
        &grows,
        ".",
        "..",
        "../bob",
        "~",
        "a//b",
        "a/",
        "",
    ];
    for rev2 in [false, true] {
        let mut bob = world.bob();
        if rev2 {
            bob.send("a ENABLE IMAP4rev2 CONDSTORE METADATA\r\n");
        }
        let before = state_of(&world.root("user"));
        let mine = world.root("bob").join("cur");
        let kept = std::fs::read_dir(&mine).unwrap().count();
        for name in names {
            for command in COMMANDS {
                let mut ask = |owner: &str| {
                    // EXAMINE has let it go.
                    bob.send("s SELECT INBOX\r\n");
                    let name = format!("\"Other Users/{owner}/{name}\"");
                    let answer = bob.send(format!("a {}\r\n", command.replace('~', &name)));
                    assert!(bob.open, "{command} {name}: {answer}");
                    // It is not there to be subscribed to.
                    bob.send(format!("u UNSUBSCRIBE {name}\r\n"));
                    answer.replace(owner, "OWNER")
                };
                let (there, missing) = (ask("user@test"), ask("nobo@test"));
                assert_eq!(there, missing, "{command} of {name}");
                assert!(!there.contains("INTERNAL"), "{there}");
            }
        }
        assert_eq!(state_of(&world.root("user")), before);
        assert!(!world.root("nobo").exists());
        assert_eq!(std::fs::read_dir(&mine).unwrap().count(), kept);
    }
}

#[test]
fn names_of_users_lead_nowhere_else() {
    let world = Shared::new();
    let mut owner = world.log_in("user");
    owner.expect("a CREATE Work\r\n", &["a OK …"]);
    owner.expect("a SETACL Work bob lrswipkxtea\r\n", &["a OK …"]);
    let mut other = world.log_in("user0");
    other.expect("a CREATE Work\r\n", &["a OK …"]);
    let mut bob = world.bob();
    let above = world.root("user").parent().unwrap().to_owned();
    let before = state_of(&above);
    let longer = "u".repeat(300);
    for owner in [
        "",
        ".",
        "..",
        "~",
        "~user",
        "*",
        "%",
        "us%r@test",
        "use*",
        "user0@test",
        "user@test.",
        "user@",
        "@test",
        "user@test@test",
        "&AOQ-@test",
        "&-",
        "&AAA-",
        "../user@test",
        "./user@test",
        "user@test/..",
        "user@test/../user0",
        "/user@test",
        "user\\\\@test",
        &longer,
    ] {
        for name in ["Work", "INBOX", "x"] {
            for command in COMMANDS {
                let harmless = ["LIST", "XLIST", "LSUB", "UNSUBSCRIBE", "NOTIFY"];
                let path = format!("\"Other Users/{owner}/{name}\"");
                let line = command.replace('~', &path);
                bob.send("s SELECT INBOX\r\n");
                let answer = bob.send(format!("a {line}\r\n"));
                assert!(bob.open, "{line}: {answer}");
                let word = command.split(' ').next().unwrap();
                if harmless.contains(&word) {
                    let shown = answer.contains("Work") && answer.contains("user0");
                    assert!(!shown, "{line}: {answer}");
                } else {
                    let refused = answer.contains("a NO ") || answer.contains("a BAD ");
                    assert!(refused, "{line}: {answer}");
                }
            }
        }
    }
    assert_eq!(state_of(&above), before);
    // What is meant is meant in all of its forms.
    for owner in ["user@test", "USER@test", "User@TEST"] {
        let asked = format!("a MYRIGHTS \"Other Users/{owner}/Work\"\r\n");
        let told = "* MYRIGHTS \"Other Users/user@test/Work\" lrswipkxtecda";
        bob.expect(asked, &[told, "a OK …"]);
        let work = format!("\"Other Users/{owner}/Work\"");
        bob.expect(format!("a SUBSCRIBE {work}\r\n"), &["a OK …"]);
        bob.expect("a LSUB \"\" *\r\n", &["* LSUB …", "a OK …"]);
        bob.expect(format!("a UNSUBSCRIBE {work}\r\n"), &["a OK …"]);
        bob.expect("a LSUB \"\" *\r\n", &["a OK …"]);
    }
}

#[test]
fn who_may_not_read_any_more_is_told_goodbye() {
    let line = "a SELECT \"Other Users/user@test/Work\"\r\n";
    let world = Shared::new();
    let mut owner = world.log_in("user");
    owner.expect("a CREATE Work\r\n", &["a OK …"]);
    let large = format!("Subject: x\r\n\r\n{}\r\n", "y".repeat(300_000));
    for _ in 0..3 {
        let append = format!("a APPEND Work {{{}+}}\r\n{large}\r\n", large.len());
        owner.expect(append, &["a OK …"]);
    }
    for begun in ["b NOOP\r\n", "b IDLE\r\n", "b FETCH 1:3 BODY.PEEK[]\r\n"] {
        owner.expect("a SETACL Work bob lr\r\n", &["a OK …"]);
        let mut bob = world.log_in("bob");
        let answer = bob.send(line);
        assert!(answer.contains("a OK "), "{answer}");
        bob.send_only(begun.as_bytes());
        let mut answer = String::new();
        while answer.len() < 2 {
            let Some(octets) = bob.step() else { break };
            answer.push_str(&String::from_utf8_lossy(&octets));
        }
        owner.expect("a DELETEACL Work bob\r\n", &["a OK …"]);
        if begun.contains("NOOP") {
            answer.push_str(&bob.send(begun));
        }
        answer.push_str(&bob.settle());
        answer.push_str(&bob.listen());
        if bob.open {
            answer.push_str(&bob.wait(Duration::from_secs(60)));
        }
        assert!(answer.contains("* BYE "), "{begun}{}", answer.len());
        assert!(!bob.open, "{begun}");
        let told = answer.matches(" FETCH (").count();
        assert!(told < 3, "{begun}{told}");
        let mut bob = world.log_in("bob");
        bob.expect(line, &["a NO [NONEXISTENT] …"]);
    }
}

#[test]
fn limits_of_owners_hold_who_have_not_logged_in() {
    let mut world = Shared::new();
    let limits = Limits {
        messages: Some(1),
        ..Limits::NONE
    };
    world.0.settings.quotas = Arc::new(Policies {
        users: [("user@test".to_owned(), limits)].into(),
        ..Policies::default()
    });
    let mut owner = world.log_in("user");
    owner.expect("a CREATE Work\r\n", &["a OK …"]);
    owner.expect("a SETACL Work bob lrswit\r\n", &["a OK …"]);
    owner.expect("a APPEND Work {1+}\r\nx\r\n", &["a OK …"]);
    drop(owner);
    world.0.restart();
    let mut bob = world.bob();
    let work = "\"Other Users/user@test/Work\"";
    for command in ["COPY 1", "MOVE 1"] {
        bob.expect(format!("a {command} {work}\r\n"), &["a NO [OVERQUOTA] …"]);
    }
    let refused = bob.send(format!("a APPEND {work} {{1+}}\r\nx\r\n"));
    assert!(refused.contains("a NO [OVERQUOTA] "), "{refused}");
    let told = bob.send(format!("a GETQUOTAROOT {work}\r\n"));
    assert!(
        told.contains("* QUOTA \"#user/user@test\" (MESSAGE 1 1)\r\n"),
        "{told}"
    );
    // His own are not limited.
    bob.expect(
        "a COPY 1 INBOX\r\n",
        &["* 2 EXISTS", "* 2 RECENT", "a OK …"],
    );
}
