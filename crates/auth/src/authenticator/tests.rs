//! Tests of verification: work done, delays, reloads and accounts that anybody may open.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::UserPassword;
use crate::application::{ApplicationPassword, Label};
use crate::password::Work;
use crate::password::tests::work_done;
use crate::sasl::{Channel, Exchange, Mechanism, Step};
use crate::scram::{Iterations, Keys};
use crate::users::{Editor, Users};

const BOB: &str = "{BLF-CRYPT}$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const SECOND: Duration = Duration::from_secs(1);

/// An authenticator over a users file in a directory of its own.
struct World {
    dir: tempfile::TempDir,
    auth: Authenticator,
    now: Instant,
}

impl World {
    /// `ann@example.org` with password `secret` (argon2id) and `bob@example.org` with `U*U`
    /// (bcrypt).
    fn new(cache: Duration, delays: Delays) -> Self {
        Self::with(|options| {
            options.cache = cache;
            options.delays = delays;
        })
    }

    /// Without cache and delays, but for what `change` does.
    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ann = cost().hash(&Secret::new("secret"), [3; 16]).unwrap();
        let text = format!("ann@example.org:{ann}\nbob:{BOB}:1000:1000::/home/bob\n");
        fs::write(dir.path().join("users"), text).unwrap();
        let mut options = Options {
            accounts: Accounts::File(dir.path().join("users")),
            ..options()
        };
        change(&mut options);
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do, and std has no other"
        )]
        let now = Instant::now();
        Self {
            auth: Authenticator::new(options, || 500_000_000).unwrap(),
            dir,
            now,
        }
    }

    /// Without cache and delays.
    fn plain() -> Self {
        Self::new(Duration::ZERO, Delays::NONE)
    }

    fn users(&self) -> String {
        fs::read_to_string(self.dir.path().join("users")).unwrap()
    }

    fn write_users(&self, text: &str) {
        let new = self.dir.path().join("other");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join("users")).unwrap();
    }

    fn login(&self, user: &str, password: &str) -> Outcome {
        self.auth
            .verify(&credential(user, password), origin(1), self.now)
    }

    /// Who is let in.
    fn who(&self, user: &str, password: &str) -> Option<String> {
        match self.login(user, password).verdict {
            Verdict::Granted(identity) => Some(identity.name),
            Verdict::Denied => None,
            other @ (Verdict::Continue(_) | Verdict::Unavailable | Verdict::TooManySessions) => {
                panic!("{other:?}")
            }
        }
    }

    /// The hashes that a login costs.
    fn work(&self, user: &str, password: &str) -> Vec<Work> {
        work_done();
        self.login(user, password);
        work_done()
    }
}

/// Without accounts, cache and delays.
fn options() -> Options {
    Options {
        accounts: Accounts::Open(Vec::new()),
        default_domain: Some("Example.org".to_owned()),
        mail: MailTemplate::parse("/srv/mail/{domain}/{local}").unwrap(),
        cost: cost(),
        memory: 1 << 20,
        delays: Delays::NONE,
        cache: Duration::ZERO,
        upgrade_hashes: false,
        log_unknown_users: false,
        new_keys: no_keys(),
    }
}

/// No keys for SCRAM.
fn no_keys() -> NewKeys {
    NewKeys {
        hashes: Vec::new(),
        iterations: Iterations::FEWEST,
    }
}

/// The lowest cost, so that tests are fast.
fn cost() -> Cost {
    Cost::new(8, 1, 1).unwrap()
}

fn credential(user: &str, password: &str) -> Credential {
    Credential::new(user, Secret::new(password))
}

fn acting(user: &str, acting_as: Option<&str>, password: &str) -> Credential {
    Credential::Password(UserPassword {
        user: user.to_owned(),
        acting_as: acting_as.map(str::to_owned),
        password: Secret::new(password),
    })
}

fn origin(last: u8) -> Origin {
    Origin {
        address: IpAddr::from([192, 0, 2, last]),
    }
}

#[test]
fn the_right_password_is_granted_whatever_the_scheme_and_the_case_of_the_name() {
    let world = World::plain();
    for (user, password, expected) in [
        ("ann@example.org", "secret", Some("ann@example.org")),
        ("Ann@EXAMPLE.org", "secret", Some("ann@example.org")),
        ("ann", "secret", Some("ann@example.org")),
        ("bob", "U*U", Some("bob@example.org")),
        ("bob@example.org", "U*U", Some("bob@example.org")),
        ("ann", "Secret", None),
        ("ann", "", None),
        ("bob", "secret", None),
        ("carol", "secret", None),
        ("ann@example.com", "secret", None),
    ] {
        assert_eq!(world.who(user, password).as_deref(), expected, "{user}");
    }
    let Verdict::Granted(identity) = world.login("ann", "secret").verdict else {
        panic!("denied");
    };
    assert_eq!(identity.mail, Path::new("/srv/mail/example.org/ann"));
}

#[test]
fn names_and_passwords_are_compared_as_saslprep_has_them() {
    let world = World::plain();
    let hash = |password: &str| cost().hash(&Secret::new(password), [3; 16]).unwrap();
    world.write_users(&format!(
        "jo\u{308}rg:{}\nold:{}\nplain:{{PLAIN}}e\u{301}t\u{e9}\nbidi:{}\nbell:{}\n",
        hash("\u{e9}t\u{e9}"),
        hash("e\u{301}te\u{301}"),
        hash("שלום123"),
        hash("bell\u{7}"),
    ));
    for (user, password, granted) in [
        ("j\u{f6}rg", "\u{e9}t\u{e9}", true),
        ("jo\u{308}rg", "e\u{301}te\u{301}", true),
        ("Jo\u{308}RG@example.org", "e\u{301}t\u{e9}\u{ad}", true),
        ("jorg", "\u{e9}t\u{e9}", false),
        ("j\u{f6}rg", "ete", false),
        // Hashed by another server as it was typed there.
        ("old", "e\u{301}te\u{301}", true),
        ("old", "\u{e9}t\u{e9}", false),
        ("plain", "\u{e9}t\u{e9}", true),
        ("plain", "e\u{301}te\u{301}", true),
        ("bidi", "שלום123", true),
        ("bell", "bell\u{7}", false),
    ] {
        let name = world.who(user, password);
        assert_eq!(name.is_some(), granted, "{user:?} {password:?}");
    }
    assert_eq!(
        world.who("jo\u{308}rg", "\u{e9}t\u{e9}").as_deref(),
        Some("j\u{f6}rg@example.org")
    );
}

#[test]
fn both_forms_of_a_password_cost_the_same_for_known_and_unknown_users() {
    let world = World::plain();
    world.write_users(&format!("bob:{BOB}\n"));
    for password in ["wrong", "e\u{301}", "bell\u{7}", "שלום123"] {
        let known = world.work("bob", password);
        assert_eq!(known, world.work("nobody", password), "{password:?}");
        let forms = if password == "e\u{301}" { 2 } else { 1 };
        assert_eq!(known.len(), forms, "{password:?}");
    }
}

#[test]
fn names_that_climb_out_of_the_mail_root_are_denied() {
    let world = World::plain();
    for user in [
        "",
        "@",
        "..",
        "../ann@example.org",
        "ann@..",
        "ann/../bob",
        "/etc/passwd",
        ".ann",
        "ann\0",
        "ann\n",
        "ann@example.org/..",
    ] {
        assert_eq!(
            world.login(user, "secret").verdict,
            Verdict::Denied,
            "{user:?}"
        );
    }
}

#[test]
fn nobody_may_act_as_somebody_else() {
    let world = World::plain();
    for (acting_as, granted) in [
        (Some("ann@example.org"), true),
        (Some("ANN"), true),
        (Some("bob"), false),
        (Some("../ann"), false),
        (Some(""), false),
        (None, true),
    ] {
        let credential = acting("ann", acting_as, "secret");
        work_done();
        let verdict = world.auth.verify(&credential, origin(1), world.now).verdict;
        assert_eq!(
            matches!(verdict, Verdict::Granted(_)),
            granted,
            "{acting_as:?}"
        );
        assert_eq!(
            work_done().len(),
            1,
            "refused before the password was looked at"
        );
    }
}

#[test]
fn unknown_users_do_the_same_work_as_wrong_passwords() {
    let world = World::plain();
    let ann = world.work("ann", "wrong");
    let bob = world.work("bob", "wrong");
    assert!(matches!(ann[..], [Work::Argon2 { .. }]), "{ann:?}");
    assert!(matches!(bob[..], [Work::Bcrypt(5)]), "{bob:?}");
    let mut seen = Vec::new();
    for number in 0..64 {
        let user = format!("nobody{number}");
        let work = world.work(&user, "wrong");
        assert!(work == ann || work == bob, "{work:?}");
        assert_eq!(
            work,
            world.work(&user, "other"),
            "an unknown user is steady"
        );
        seen.push(work);
    }
    assert!(
        seen.contains(&ann) && seen.contains(&bob),
        "both schemes occur"
    );
    let hostile = world.work("../ann", "wrong");
    assert!(hostile == ann || hostile == bob, "{hostile:?}");
    // Also when the password is the one of the account that the unknown user is checked against.
    for number in 0..64 {
        let user = format!("nobody{number}");
        assert_eq!(world.who(&user, "secret"), None);
        assert_eq!(world.who(&user, "U*U"), None);
    }
}

#[test]
fn unknown_users_of_an_empty_file_cost_what_a_new_hash_costs() {
    let world = World::plain();
    world.write_users("# nobody yet\n");
    let work = world.work("ann", "secret");
    let hash = cost().hash(&Secret::new("x"), [0; 16]).unwrap();
    assert_eq!(work, [Stored::parse(&hash).unwrap().work().clone()]);
}

#[test]
fn failures_wait_and_successes_do_not() {
    let world = World::new(Duration::ZERO, Delays::default());
    assert_eq!(world.login("ann", "secret").delay, Duration::ZERO);
    let unknown = World::new(Duration::ZERO, Delays::default());
    for expected in [1_500, 2_500, 4_500, 8_500, 15_000, 15_000] {
        let expected = Duration::from_millis(expected);
        assert_eq!(world.login("ann", "wrong").delay, expected);
        assert_eq!(
            unknown.login("carol", "wrong"),
            Outcome {
                verdict: Verdict::Denied,
                delay: expected
            },
            "unknown users wait as long"
        );
    }
    let elsewhere = world
        .auth
        .verify(&credential("ann", "secret"), origin(2), world.now);
    assert_eq!(elsewhere.delay, Duration::ZERO);
    // The right password from the address that has failed waits for its place in the queue only.
    let outcome = world.login("ann", "secret");
    assert!(matches!(outcome.verdict, Verdict::Granted(_)));
    assert!(outcome.delay < SECOND, "{:?}", outcome.delay);
    assert_eq!(
        world.login("ann", "wrong").delay,
        Duration::from_millis(1_500)
    );
}

#[test]
fn an_address_that_floods_is_not_looked_at() {
    let world = World::new(Duration::ZERO, Delays::default());
    work_done();
    for _ in 0..1_000 {
        world.login("ann", "wrong");
    }
    assert!(work_done().len() <= 152, "at most ten guesses a second");
    assert_eq!(
        world.login("ann", "secret").verdict,
        Verdict::Unavailable,
        "also the right password is not looked at"
    );
}

#[test]
fn right_passwords_are_remembered_for_a_while() {
    let mut world = World::new(60 * SECOND, Delays::NONE);
    assert_eq!(world.work("ann", "secret").len(), 1);
    assert_eq!(world.work("ANN@example.org", "secret").len(), 0);
    assert_eq!(
        world.who("ann", "secret").as_deref(),
        Some("ann@example.org")
    );
    assert_eq!(world.work("ann", "wrong").len(), 1, "a wrong one is hashed");
    assert_eq!(world.who("ann", "wrong"), None);
    assert_eq!(world.work("bob", "secret").len(), 1, "it is one user's");
    world.now += 59 * SECOND;
    assert_eq!(world.work("ann", "secret").len(), 0);
    world.now += SECOND;
    assert_eq!(world.work("ann", "secret").len(), 1);
}

#[test]
fn wrong_passwords_and_unknown_users_are_never_remembered() {
    let world = World::new(60 * SECOND, Delays::NONE);
    for _ in 0..3 {
        assert_eq!(world.work("ann", "wrong").len(), 1);
        assert_eq!(world.work("carol", "secret").len(), 1);
    }
}

#[test]
fn a_changed_users_file_counts_at_the_next_login() {
    let world = World::new(60 * SECOND, Delays::NONE);
    assert!(world.who("ann", "secret").is_some());
    world.write_users("ann:{PLAIN}changed\n");
    assert_eq!(
        world.who("ann", "secret"),
        None,
        "the remembered one is forgotten"
    );
    assert!(world.who("ann", "changed").is_some());
    assert_eq!(world.who("bob", "U*U"), None);
}

#[test]
fn an_application_password_counts_until_it_is_revoked() {
    let world = World::with(|options| {
        options.cache = 60 * SECOND;
        options.upgrade_hashes = true;
    });
    let path = world.dir.path().join("users");
    let name = Name::parse("bob", None).unwrap();
    let label = Label::new("my phone").unwrap();
    let one = ApplicationPassword::new(label, 1, [5; 16], &Secret::new("abcde-fghjk"));
    let mut editor = Editor::open(&path, None).unwrap();
    editor.add_application(&name, &one).unwrap();
    editor.save().unwrap();
    let before = world.users();
    for _ in 0..2 {
        assert!(world.who("bob", "abcde-fghjk").is_some());
    }
    assert_eq!(world.users(), before, "it is nothing to make a hash of");
    assert_eq!(world.who("ann", "abcde-fghjk"), None);
    assert_eq!(world.who("bob", "abcde-fghjx"), None);
    assert!(world.who("bob", "U*U").is_some(), "the account's own");
    assert_ne!(world.users(), before, "upgraded");
    assert!(world.who("bob", "abcde-fghjk").is_some(), "kept");
    let mut editor = Editor::open(&path, None).unwrap();
    editor.revoke_application(&name, "my phone").unwrap();
    editor.save().unwrap();
    assert_eq!(world.who("bob", "abcde-fghjk"), None);
    assert!(world.who("bob", "U*U").is_some());
}

#[test]
fn a_broken_users_file_changes_nothing() {
    let world = World::plain();
    world.write_users("ann:nonsense\nbob\n");
    assert!(world.who("ann", "secret").is_some());
    let error = world.auth.reload().unwrap_err().to_string();
    assert!(
        error.contains("line 1") && error.contains("line 2"),
        "{error}"
    );
    assert!(!error.contains("nonsense"), "{error}");
    fs::remove_file(world.dir.path().join("users")).unwrap();
    assert!(world.who("ann", "secret").is_some());
    world.write_users("carol:{PLAIN}x\n");
    assert!(world.who("carol", "x").is_some());
}

#[test]
fn outdated_hashes_stay_unless_they_are_to_be_upgraded() {
    let world = World::plain();
    let before = world.users();
    assert!(world.who("bob", "U*U").is_some());
    assert_eq!(world.users(), before);
}

#[test]
fn a_login_upgrades_its_own_outdated_hash() {
    let world = World::with(|options| options.upgrade_hashes = true);
    let before = world.users();
    for (user, password) in [("bob", "wrong"), ("carol", "U*U"), ("ann", "secret")] {
        world.login(user, password);
        assert_eq!(world.users(), before, "{user}");
    }
    assert!(world.who("bob", "U*U").is_some());
    let after = world.users();
    let (ann, bob) = after.split_once('\n').unwrap();
    assert_eq!(Some(ann), before.lines().next());
    assert!(
        bob.starts_with("bob:{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$"),
        "{bob}"
    );
    assert!(bob.ends_with(":1000:1000::/home/bob\n"), "{bob}");
    assert_eq!(world.who("bob", "U*V"), None);
    assert!(world.who("bob", "U*U").is_some());
    assert_eq!(world.users(), after, "once is enough");
    let names: Vec<_> = fs::read_dir(world.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["users"]);
}

#[test]
fn an_upgrade_never_undoes_a_change_of_the_password() {
    let world = World::with(|options| options.upgrade_hashes = true);
    let name = Name::parse("bob", Some("example.org")).unwrap();
    let path = world.dir.path().join("users");
    let old = Users::load(&path, Some("example.org")).unwrap();
    let old = old.get(&name).unwrap();
    let changed = "bob:{PLAIN}changed meanwhile\n";
    world.write_users(changed);
    world.auth.upgrade(&name, old, &Secret::new("U*U"));
    assert_eq!(world.users(), changed);
    // Nor does it wait for whoever is changing it now, or make a file that was taken away.
    world.write_users(&format!("bob:{BOB}\n"));
    let editor = Editor::open(&path, None).unwrap();
    world.auth.upgrade(&name, old, &Secret::new("U*U"));
    assert_eq!(world.users(), format!("bob:{BOB}\n"));
    drop(editor);
    fs::remove_file(&path).unwrap();
    world.auth.upgrade(&name, old, &Secret::new("U*U"));
    assert!(!path.exists());
}

#[test]
fn an_upgrade_that_fails_lets_the_user_in() {
    let world = World::with(|options| options.upgrade_hashes = true);
    // In the way of the new file, and not to be removed like a file.
    fs::create_dir(world.dir.path().join("users.new")).unwrap();
    let before = world.users();
    assert!(world.who("bob", "U*U").is_some());
    assert_eq!(world.users(), before);
}

#[test]
fn many_logins_at_once_share_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    let costly = Cost::new(1_024, 1, 1).unwrap();
    let hash = costly.hash(&Secret::new("secret"), [3; 16]).unwrap();
    fs::write(dir.path().join("users"), format!("ann:{hash}\n")).unwrap();
    let options = Options {
        accounts: Accounts::File(dir.path().join("users")),
        default_domain: None,
        mail: MailTemplate::parse("/srv/{user}").unwrap(),
        cost: costly,
        // Less than one hash takes: they run one after the other, and all are answered.
        memory: 1 << 10,
        delays: Delays::NONE,
        cache: Duration::ZERO,
        upgrade_hashes: false,
        log_unknown_users: false,
        new_keys: no_keys(),
    };
    let auth = Authenticator::new(options, || 0).unwrap();
    let now = World::plain().now;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let outcome = auth.verify(&credential("ann", "secret"), origin(1), now);
                assert!(matches!(outcome.verdict, Verdict::Granted(_)));
            });
        }
    });
}

#[test]
fn a_missing_users_file_is_told_at_the_start() {
    let options = Options {
        accounts: Accounts::File("/nonexistent/users".into()),
        default_domain: None,
        mail: MailTemplate::parse("/srv/{user}").unwrap(),
        cost: cost(),
        memory: 1 << 20,
        delays: Delays::NONE,
        cache: Duration::ZERO,
        upgrade_hashes: false,
        log_unknown_users: false,
        new_keys: no_keys(),
    };
    let error = Authenticator::new(options, || 0).unwrap_err().to_string();
    assert!(
        error.starts_with("users file /nonexistent/users could not be read: "),
        "{error}"
    );
}

#[test]
fn open_accounts_are_made_by_their_first_login() {
    let mut world = World::plain();
    let options = Options {
        accounts: Accounts::Open(vec![("demo@localhost".to_owned(), Secret::new("demo"))]),
        default_domain: Some("localhost".to_owned()),
        mail: MailTemplate::parse("/tmp/mail/{user}").unwrap(),
        cost: cost(),
        memory: 1 << 20,
        delays: Delays::NONE,
        cache: Duration::ZERO,
        upgrade_hashes: false,
        log_unknown_users: false,
        new_keys: no_keys(),
    };
    world.auth = Authenticator::new(options, || 0).unwrap();
    assert_eq!(world.who("demo", "demo").as_deref(), Some("demo@localhost"));
    assert_eq!(world.who("demo", "other"), None);
    assert_eq!(
        world.who("Eve@example.org", "x").as_deref(),
        Some("eve@example.org")
    );
    assert_eq!(world.who("eve@example.org", "y"), None);
    assert_eq!(
        world.who("eve@example.org", "x").as_deref(),
        Some("eve@example.org")
    );
    assert_eq!(world.who("../eve", "x"), None);
}

/// A client that speaks SCRAM.
fn scram(auth: &Authenticator, now: Instant, user: &str, password: &str) -> (String, Outcome) {
    scram_as(auth, now, "n,,", user, password)
}

/// The same with a GS2 header; gives the server's first message and what came of the second.
fn scram_as(
    auth: &Authenticator,
    now: Instant,
    header: &str,
    user: &str,
    password: &str,
) -> (String, Outcome) {
    let line = |text: &str| STANDARD.encode(text);
    let bare = format!("n={user},r=client");
    let initial = line(&format!("{header}{bare}"));
    let (mut exchange, step) = Exchange::start(
        Mechanism::ScramSha256,
        Some(initial.as_bytes()),
        &Channel::default(),
        auth.offer().now().on(&Channel::default()),
    );
    let Step::Verify(credential) = step else {
        panic!("{step:?}");
    };
    let outcome = auth.verify(&credential, origin(1), now);
    assert_eq!(outcome.delay, Duration::ZERO, "asking is no guess");
    let Step::Challenge(challenge) = exchange.verified(outcome.verdict) else {
        panic!("no challenge");
    };
    let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
    let [nonce, salt, iterations] = challenge.split(',').collect::<Vec<_>>()[..] else {
        panic!("{challenge}");
    };
    let salt = STANDARD.decode(salt.strip_prefix("s=").unwrap()).unwrap();
    let iterations = iterations.strip_prefix("i=").unwrap().parse().unwrap();
    let iterations = Iterations::new(iterations).unwrap();
    let keys = Keys::derive(Hash::Sha256, &Secret::new(password), &salt, iterations);
    let without = format!("c={},{nonce}", line(header));
    let auth_message = format!("{bare},{challenge},{without}");
    let proof = keys.proof(password.as_bytes(), auth_message.as_bytes());
    let step = exchange.respond(line(&format!("{without},p={proof}")).as_bytes());
    let Step::Verify(credential) = step else {
        panic!("{step:?}");
    };
    (challenge.clone(), auth.verify(&credential, origin(1), now))
}

impl World {
    /// As [`Self::new`], where ann has keys for SCRAM.
    fn with_keys(delays: Delays) -> Self {
        let world = Self::with(|options| {
            options.delays = delays;
            options.new_keys.hashes = vec![Hash::Sha256];
        });
        let salt = [5; 16];
        let keys = Keys::derive(
            Hash::Sha256,
            &Secret::new("secret"),
            &salt,
            Iterations::FEWEST,
        );
        let ann = format!("ann:{{PLAIN}}secret::::::scram_sha_256={}", keys.text());
        world.write_users(&format!("{ann}\nbob:{BOB}\n"));
        world.auth.reload().unwrap();
        world
    }

    /// Who is let in with SCRAM.
    fn scram(&self, user: &str, password: &str) -> Option<String> {
        let (_, outcome) = scram(&self.auth, self.now, user, password);
        outcome.verdict.identity().map(|who| who.name.clone())
    }
}

#[test]
fn scram_lets_in_who_knows_the_password() {
    let world = World::with_keys(Delays::NONE);
    for (user, password, expected) in [
        ("ann", "secret", Some("ann@example.org")),
        ("ANN@example.org", "secret", Some("ann@example.org")),
        ("ann", "wrong", None),
        // Has a password and no keys.
        ("bob", "U*U", None),
        ("nobody", "secret", None),
        ("../ann", "secret", None),
    ] {
        assert_eq!(world.scram(user, password).as_deref(), expected, "{user}");
    }
    for (acting_as, granted) in [("ann@example.org", true), ("bob", false), ("../ann", false)] {
        let header = format!("n,a={acting_as},");
        let (_, outcome) = scram_as(&world.auth, world.now, &header, "ann", "secret");
        assert_eq!(outcome.verdict.identity().is_some(), granted, "{acting_as}");
    }
}

#[test]
fn scram_asks_unknown_users_what_it_asks_known_ones() {
    let world = World::with_keys(Delays::NONE);
    let shape = |challenge: &str| {
        let [nonce, salt, iterations] = challenge.split(',').collect::<Vec<_>>()[..] else {
            panic!("{challenge}");
        };
        (nonce.len(), salt.len(), iterations.to_owned())
    };
    let ask = |world: &World, user: &str| scram(&world.auth, world.now, user, "x").0;
    let known = ask(&world, "ann");
    let salt = |challenge: &str| challenge.split(',').nth(1).unwrap().to_owned();
    for user in ["bob", "nobody", "../ann"] {
        let asked = ask(&world, user);
        assert_eq!(shape(&asked), shape(&known), "{user}");
        assert_eq!(salt(&asked), salt(&ask(&world, user)), "a salt is steady");
        assert_ne!(salt(&asked), salt(&known));
        assert_ne!(salt(&asked), salt(&ask(&world, "somebody")));
    }
    assert_eq!(
        salt(&ask(&world, "NOBODY@example.org")),
        salt(&ask(&world, "nobody"))
    );
}

#[test]
fn salts_of_unknown_users_stay_over_restarts() {
    let state = tempfile::tempdir().unwrap();
    let salt = |world: &World| {
        let (challenge, _) = scram(&world.auth, world.now, "nobody", "x");
        challenge.split(',').nth(1).unwrap().to_owned()
    };
    let start = |random: u64| {
        let mut world = World::with_keys(Delays::NONE);
        let file = Accounts::File(world.dir.path().join("users"));
        let options = Options {
            accounts: file,
            new_keys: NewKeys::default(),
            ..options()
        };
        world.auth = Authenticator::new(options, move || random).unwrap();
        let forgetful = salt(&world);
        world.auth.keep_salts_in(state.path());
        (forgetful, salt(&world))
    };
    let (_, first) = start(1);
    let (forgetful, second) = start(2);
    assert_ne!(forgetful, first);
    assert_eq!(second, first);
    // What is damaged is made anew.
    fs::write(state.path().join("salts"), "x").unwrap();
    let (forgetful, third) = start(3);
    assert_eq!(third, forgetful);
    assert_eq!(start(4).1, third);
}

#[test]
fn scram_failures_wait_as_others_do() {
    let world = World::with_keys(Delays::default());
    let unknown = World::with_keys(Delays::default());
    for expected in [1_500, 2_500, 4_500] {
        let expected = Outcome {
            verdict: Verdict::Denied,
            delay: Duration::from_millis(expected),
        };
        assert_eq!(scram(&world.auth, world.now, "ann", "wrong").1, expected);
        assert_eq!(
            scram(&unknown.auth, unknown.now, "carol", "wrong").1,
            expected
        );
    }
}

#[test]
fn scram_is_offered_while_somebody_has_keys_and_the_settings_allow_it() {
    let scram = Mechanism::ScramSha256;
    let world = World::with_keys(Delays::NONE);
    let offer = world.auth.offer();
    assert!(offer.now().has(scram) && !offer.now().has(Mechanism::ScramSha1));
    world.write_users(&format!("bob:{BOB}\n"));
    assert!(world.who("bob", "U*U").is_some());
    assert!(!offer.now().has(scram), "the last keys are gone");
    let keys = Keys::derive(Hash::Sha1, &Secret::new("x"), b"salt", Iterations::FEWEST);
    world.write_users(&format!("ann:{{SCRAM-SHA-1}}{}\n", keys.text()));
    assert!(
        world.who("ann", "x").is_some(),
        "by PLAIN, against the keys"
    );
    assert!(!offer.now().has(Mechanism::ScramSha1), "by setting only");
    let with_sha_1 = World::with(|options| options.new_keys.hashes = Hash::ALL.to_vec());
    with_sha_1.write_users(&world.users());
    with_sha_1.auth.reload().unwrap();
    assert!(with_sha_1.auth.offer().now().has(Mechanism::ScramSha1));
}

#[test]
fn a_login_makes_the_keys_that_are_missing() {
    let world = World::with(|options| {
        options.upgrade_hashes = true;
        options.new_keys.hashes = vec![Hash::Sha256];
    });
    assert!(world.who("ann", "secret").is_some());
    assert!(
        world.users().contains("::::::scram_sha_256=4096,"),
        "{}",
        world.users()
    );
    let after = world.users();
    assert!(world.who("ann", "secret").is_some());
    assert_eq!(world.users(), after, "once is enough");
    assert_eq!(
        world.scram("ann", "secret").as_deref(),
        Some("ann@example.org")
    );
}

#[test]
fn open_accounts_have_keys() {
    let mut world = World::plain();
    world.auth = Authenticator::new(
        Options {
            accounts: Accounts::Open(vec![("demo".to_owned(), Secret::new("demo"))]),
            new_keys: NewKeys::default(),
            ..options()
        },
        || 7,
    )
    .unwrap();
    assert_eq!(
        world.scram("demo", "demo").as_deref(),
        Some("demo@example.org")
    );
    assert_eq!(
        world.scram("eve", "x"),
        None,
        "nobody knows the password yet"
    );
    assert!(world.who("eve", "x").is_some());
    assert_eq!(world.scram("eve", "x").as_deref(), Some("eve@example.org"));
}

#[test]
fn debug_shows_no_secret() {
    let world = World::new(60 * SECOND, Delays::NONE);
    world.write_users("ann:{PLAIN}hunter2\n");
    assert!(world.who("ann", "hunter2").is_some());
    let shown = format!("{:?} {:?}", world.auth, credential("ann", "hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("104, 117"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_credential_is_judged(user in ".{0,12}", acting_as in proptest::option::of(".{0,12}"), password in ".{0,12}") {
        thread_local! { static WORLD: World = World::plain(); }
        WORLD.with(|world| {
            let credential = acting(&user, acting_as.as_deref(), &password);
            let outcome = world.auth.verify(&credential, origin(1), world.now);
            assert_eq!(outcome.verdict, Verdict::Denied);
        });
    }
}
