//! Tests of the configuration: every mistake with its message, and the example file.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::MailTemplate;
use auth::password::Cost;
use auth::scram::{Hash, Iterations, NewKeys};
use mailstore::quota::{Grace, Limits as QuotaLimits, Maildirsize};
use proptest::prelude::*;

use super::*;

mod oauth;

const EXAMPLE: &str = include_str!("../../../../conf/pillarbox.toml");

/// The example with its settings in force: one `# ` less where a setting follows.
fn uncommented() -> String {
    let is_setting = |line: &&str| {
        line.starts_with('[')
            || line.split_once(" = ").is_some_and(|(key, _)| {
                key.chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            })
    };
    EXAMPLE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(is_setting).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The settings that `text` makes, which has no mistakes.
fn good(text: &str) -> Settings {
    let (settings, report) = parse(Path::new("/etc/p.toml"), text);
    assert_eq!(report.to_string(), "", "{text}");
    settings
}

/// Everything that is found in `text`.
fn found(text: &str) -> String {
    parse(Path::new("p.toml"), text).1.to_string()
}

#[test]
fn the_example_as_it_is_sets_nothing() {
    assert_eq!(good(EXAMPLE), Settings::default());
    assert!(
        EXAMPLE
            .lines()
            .all(|line| line.is_empty() || line.starts_with("# ") || line == "#"),
        "a setting is in force"
    );
}

#[test]
fn the_defaults_in_the_example_agree() {
    assert_eq!(good(&uncommented()), Settings::default());
}

#[test]
fn the_example_has_every_setting_and_no_other() {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut table = String::new();
    for line in uncommented().lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']).to_owned();
            let (above, key) = table.rsplit_once('.').unwrap_or(("", &table));
            let keys = shown.entry(above.to_owned()).or_default();
            keys.push(key.to_owned());
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.entry(table.clone()).or_default().push(key.to_owned());
        }
    }
    let mut known: BTreeMap<String, Vec<String>> = reader::known_keys("")
        .into_iter()
        .map(|(table, keys)| {
            (
                table.to_owned(),
                keys.into_iter().map(str::to_owned).collect(),
            )
        })
        .collect();
    for keys in shown.values_mut().chain(known.values_mut()) {
        keys.sort();
        keys.dedup();
    }
    assert_eq!(shown, known);
    assert!(known.len() > 6, "the tables were not found");
}

#[test]
fn the_keys_of_listeners_are_known_without_one() {
    assert_eq!(reader::known_keys(""), reader::known_keys("[[listeners]]"));
}

#[test]
fn the_document_names_every_setting() {
    let document = include_str!("../../../../docs/config.md");
    for (table, keys) in reader::known_keys("") {
        for key in keys {
            assert!(document.contains(&format!("`{key}`")), "[{table}] {key}");
        }
    }
}

/// What administrators copy from the page about folders.
#[test]
fn the_examples_of_the_page_about_folders_are_good() {
    let page = include_str!("../../../../docs/folders.md");
    let blocks = page.split("```toml\n").skip(1);
    let examples: Vec<&str> = blocks.filter_map(|it| it.split("```").next()).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    let settings: Vec<Settings> = examples.into_iter().map(good).collect();
    assert_eq!(settings[0], Settings::default());
    assert_eq!(settings[1].mailboxes.sent, ["Gesendet", "Sent"]);
    assert!(settings[2].mailboxes.create);
    assert!(settings[3].imap.admin.is_some());
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(good(""), Settings::default());
}

#[test]
fn five_lines_are_enough() {
    let settings = good(
        "hostname = \"mail.example.org\"\n\
         mail = \"/srv/mail/{domain}/{local}\"\n\
         users = \"users\"\n\
         certificate = \"/etc/ssl/mail.pem\"\n\
         key = \"../ssl/mail.key\"\n",
    );
    let expected = Settings {
        hostname: "mail.example.org".into(),
        mail: MailTemplate::parse("/srv/mail/{domain}/{local}").unwrap(),
        users: "/etc/users".into(),
        tls: Tls {
            certificate: "/etc/ssl/mail.pem".into(),
            key: "/etc/../ssl/mail.key".into(),
        },
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    assert_eq!(settings.listeners.len(), 8);
    assert!(settings.needs_tls());
}

/// Every setting, each with another value than its default.
const EVERYTHING: &str = r#"
[[listeners]]
protocol = "pop3"
address = "127.0.0.1:1110"
tls = "none"
plaintext_auth = true
[limits]
line_before_login = "4 KiB"
literal_before_login = 4096
arguments_before_login = "32k"
line = "128 KiB"
arguments = "2 MiB"
nesting = 50
message = "2 GiB"
messages = 200
acl_entries = 50
notify_mailboxes = 300
metadata_value = "2 KiB"
metadata_entries = 20
metadata = "128 KiB"
sessions_per_user = 5
connections = 7
bad_commands = 3
[timeouts]
login = "1m"
handshake = "10s"
imap_idle = "1h"
pop3_idle = "11m"
write = "1m 30s"
keepalive = "29m"
shutdown = "0s"
[storage]
fsync = "always"
separator = "."
prefix = "INBOX."
directory_names = "utf8"
lock_timeout = "20s"
change_notices = "poll"
poll_interval = "100ms"
mtime_guard = "3s"
cache = 0
[mailboxes]
create = true
drafts = ["Entwürfe"]
sent = ["Mail.Gesendet", "Sent"]
trash = []
junk = ["Spam"]
archive = ["Archiv"]
[sharing]
index = "/var/lib/sharers"
[pop3]
utf8_headers = "refuse"
uidl_format = "UID%u-%v"
[auth]
default_domain = "Example.ORG"
argon2_memory = "64 MiB"
argon2_passes = 3
argon2_lanes = 4
verify_memory = "512 MiB"
failure_delay = "2s"
failure_jitter = "3s"
failure_delay_max = "20s"
failure_window = "5m"
known_addresses = "2d"
failure_entries = 1000
cache = "0s"
upgrade_hashes = true
scram = ["sha-256", "sha-1"]
scram_iterations = 50_000
[log]
format = "json"
level = "debug"
client_id = true
unknown_users = true
[capabilities]
hide = ["idle"]
[imap]
utf8_headers = "refuse"
comment = "For staff only"
admin = "mailto:postmaster@example.org"
[quota]
storage = "5 GiB"
messages = 1000
grace = "1 MiB"
recheck = "1m"
maildirsize = true
administrators = ["Root"]
[[quota.users]]
users = ["Ann", "bob@example.net"]
storage = 0
[[quota.users]]
users = ["cy"]
messages = 7
[[capabilities.clients]]
hide = ["MOVE", "UIDPLUS"]
users = ["Ann"]
addresses = ["192.0.2.0/24", "2001:db8::7"]
"#;

fn named(names: &[&str]) -> Capabilities {
    let named = names
        .iter()
        .map(|name| imapd::extension::Capability::from_name(name));
    named.map(Option::unwrap).collect()
}

/// What [`EVERYTHING`] hides.
fn everything_hidden() -> Vec<imapd::Hidden> {
    vec![
        imapd::Hidden {
            capabilities: named(&["IDLE"]),
            ..imapd::Hidden::default()
        },
        imapd::Hidden {
            capabilities: named(&["MOVE", "UIDPLUS"]),
            addresses: ["192.0.2.0/24", "2001:db8::7/128"]
                .map(|range| range.parse().unwrap())
                .to_vec(),
            users: vec!["ann".to_owned()],
        },
    ]
}

#[test]
fn users_that_something_is_hidden_from_have_the_default_domain() {
    let store = mailstore::Store::new(Settings::default().store(&crate::Source::system()));
    let imap = good(EVERYTHING).imap(&store);
    assert_eq!(imap.hidden[1].users, ["ann@example.org"]);
}

/// The delays of [`every_setting_is_taken`].
fn every_delay() -> auth::throttle::Delays {
    auth::throttle::Delays {
        first: Duration::from_secs(2),
        jitter: Duration::from_secs(3),
        max: Duration::from_secs(20),
        window: Duration::from_mins(5),
        known_for: Duration::from_hours(48),
        entries: 1000,
    }
}

fn all_mailboxes() -> Mailboxes {
    Mailboxes {
        create: true,
        drafts: vec!["Entwürfe".into()],
        sent: vec!["Mail.Gesendet".into(), "Sent".into()],
        trash: Vec::new(),
        junk: vec!["Spam".into()],
        archive: vec!["Archiv".into()],
    }
}

fn all_of_imap() -> Imap {
    Imap {
        utf8_headers: imapd::Utf8Headers::Refuse,
        comment: Some("For staff only".into()),
        admin: Some("mailto:postmaster@example.org".into()),
    }
}

/// The quotas of [`EVERYTHING`].
fn everything_quota() -> Quota {
    let limits = |storage, messages| QuotaLimits { storage, messages };
    let of_users = [
        ("ann", limits(None, Some(1000))),
        ("bob@example.net", limits(None, Some(1000))),
        ("cy", limits(Some(5 << 30), Some(7))),
    ];
    Quota {
        limits: limits(Some(5 << 30), Some(1000)),
        users: of_users
            .map(|(user, limits)| (user.to_owned(), limits))
            .into(),
        grace: Grace::Octets(1 << 20),
        recheck: Duration::from_mins(1),
        maildirsize: Maildirsize::Always,
        administrators: vec!["root".to_owned()],
    }
}

#[test]
fn the_store_knows_what_names_say() {
    let store = good(EVERYTHING).open_store(&crate::Source::system());
    let names = store.special_names();
    assert_eq!(names.missing, mailstore::Missing::Made);
    let sent = &names.names[1];
    assert_eq!(sent.0, mailstore::SpecialUse::Sent);
    assert_eq!(sent.1[0].as_str(), "Mail.Gesendet");
}

#[test]
fn quotas_are_of_users_as_they_log_in() {
    let policies = good(EVERYTHING).quotas();
    assert_eq!(policies.of("ann@example.org").limits.storage, None);
    assert_eq!(policies.of("ann@example.org").grace, Grace::Octets(1 << 20));
    assert_eq!(policies.of("cy@example.org").limits.messages, Some(7));
    assert_eq!(policies.of("dan@example.org").limits.messages, Some(1000));
    assert!(policies.is_administrator("root@example.org"));
    assert!(!policies.is_administrator("ann@example.org"));
}

#[test]
fn quotas_in_the_users_file_come_between() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    let rule = "{PLAIN}x::::::userdb_quota_rule=*:storage=1M";
    fs::write(&path, format!("ann:{rule}\nbob:{rule}\ncy:{{PLAIN}}x\n")).unwrap();
    let mut settings =
        good("[quota]\nstorage = 5\n[[quota.users]]\nusers = [\"bob\"]\nstorage = 7\n");
    settings.users = path;
    let policies = settings.quotas();
    let storage = ["ann", "bob", "cy"].map(|user| policies.of(user).limits.storage);
    assert_eq!(storage, [Some(1 << 20), Some(7), Some(5)]);
}

#[test]
fn the_example_for_quotas_means_what_is_said() {
    let page = include_str!("../../../../docs/quota.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let policies = good(example).quotas();
    let limits = |user| policies.of(user).limits;
    let usual = QuotaLimits {
        storage: Some(5 << 30),
        messages: Some(100_000),
    };
    let more = QuotaLimits {
        storage: Some(20 << 30),
        ..usual
    };
    assert_eq!(limits("cy@example.org"), usual);
    assert_eq!(limits("ann@example.org"), more);
    assert_eq!(limits("bob@example.org"), more);
    assert_eq!(limits("archive@example.org"), QuotaLimits::NONE);
    assert!(policies.is_administrator("postmaster@example.org"));
}

#[test]
fn administrators_find_accounts_that_have_mail() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        mail: MailTemplate::parse(&format!("{}/{{local}}", dir.path().display())).unwrap(),
        ..Settings::default()
    };
    fs::create_dir(dir.path().join("ann")).unwrap();
    let policies = settings.quotas();
    let found = policies.locate("ann@example.org");
    assert_eq!(found, Some(dir.path().join("ann")));
    for user in ["bob@example.org", "../ann@example.org", ".@x", "", "ann@"] {
        assert_eq!(policies.locate(user), None, "{user}");
    }
}

fn old_keys_too() -> NewKeys {
    NewKeys {
        hashes: vec![Hash::Sha256, Hash::Sha1],
        iterations: Iterations::new(50_000).unwrap(),
    }
}

/// The log of [`every_setting_is_taken`].
fn every_log() -> Log {
    Log {
        format: LogFormat::Json,
        level: LogLevel::Debug,
        client_id: true,
        unknown_users: true,
    }
}

#[test]
fn every_setting_is_taken() {
    let settings = good(EVERYTHING);
    let seconds = Duration::from_secs;
    let expected = Settings {
        listeners: vec![Listener {
            protocol: Protocol::Pop3,
            address: "127.0.0.1:1110".parse().unwrap(),
            tls: TlsMode::None,
            plaintext_auth: PlaintextAuth::Allowed,
            hide: Capabilities::NONE,
        }],
        limits: Limits {
            line_before_login: 4_096,
            literal_before_login: 4_096,
            arguments_before_login: 32_768,
            line: 131_072,
            arguments: 2 << 20,
            nesting: 50,
            message: 2 << 30,
            messages: 200,
            acl_entries: 50,
            notify_mailboxes: 300,
            metadata_value: 2 << 10,
            metadata_entries: 20,
            metadata: 128 << 10,
            sessions_per_user: 5,
            connections: 7,
            bad_commands: 3,
        },
        capabilities: everything_hidden(),
        quota: everything_quota(),
        timeouts: Timeouts {
            login: seconds(60),
            handshake: seconds(10),
            imap_idle: seconds(3_600),
            pop3_idle: seconds(660),
            write: seconds(90),
            keepalive: seconds(1_740),
            shutdown: Duration::ZERO,
        },
        storage: Storage {
            fsync: mailstore::Fsync::Always,
            namespace: mailstore::Namespace {
                prefix: "INBOX.".into(),
                separator: '.',
                utf8_on_disk: true,
            },
            lock_timeout: seconds(20),
            change_notices: ChangeNotices::Poll,
            poll_interval: Duration::from_millis(100),
            mtime_guard: seconds(3),
            cache: 0,
        },
        mailboxes: all_mailboxes(),
        sharing: Sharing {
            prefix: String::new(),
            index: Some("/var/lib/sharers".into()),
        },
        imap: all_of_imap(),
        pop3: Pop3 {
            utf8_headers: pop3d::Utf8Headers::Refuse,
            uidl_format: pop3d::UidlFormat::parse("UID%u-%v").unwrap(),
        },
        auth: Auth {
            default_domain: Some("example.org".into()),
            cost: Cost::new(65_536, 3, 4).unwrap(),
            verify_memory: 512 << 20,
            delays: every_delay(),
            cache: Duration::ZERO,
            upgrade_hashes: true,
            new_keys: old_keys_too(),
        },
        log: every_log(),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    assert!(!settings.needs_tls());
    assert_eq!(settings.auth.parallel(8), 8);
    assert_eq!(settings.auth.parallel(2), 4);
    let options = settings.authentication();
    assert_eq!(options.default_domain.as_deref(), Some("example.org"));
}

/// Asserts what is found in a text, to the letter.
macro_rules! mistakes {
    ($($name:ident: $text:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(found($text), $expected);
        }
    )*};
}

mistakes! {
    unknown_key_is_named_with_the_nearest:
        "hostnam = \"mail.example.org\"\n"
        => "error: p.toml:1: unknown key `hostnam`\n  fix: write `hostname`";
    unknown_key_in_a_table:
        "[limits]\n\nsession_per_user = 3\n"
        => "error: p.toml:3: unknown key `session_per_user` in [limits]\n  fix: write `sessions_per_user`";
    key_below_the_wrong_line_in_brackets:
        "[log]\nlevel = \"info\"\nhostname = \"mail.example.org\"\n"
        => "error: p.toml:3: unknown key `hostname` in [log]\n  fix: move it above the first line in brackets";
    scram_with_an_unknown_hash:
        "[auth]\nscram = [\"sha-512\"]\n"
        => "error: p.toml:2: `scram` has \"sha-512\", which is not known\n  fix: write [\"sha-256\"], [\"sha-256\", \"sha-1\"] for old clients, or [] for none";
    scram_with_too_few_iterations:
        "[auth]\nscram_iterations = 4095\n"
        => "error: p.toml:2: `scram_iterations` is out of range\n  fix: write a number from 4096 to 10000000";
    state_dir_unusable:
        "state_dir = \"a\\u0000b\"\n"
        => "error: p.toml:1: `state_dir` is not a path\n  fix: write a path, or \"\" for none";
    key_of_a_table_at_the_top:
        "poll_interval = \"1s\"\n"
        => "error: p.toml:1: unknown key `poll_interval`\n  fix: move it below the line [storage]";
    key_with_a_known_one_in_it:
        "tls_certificate = \"/c.pem\"\ntls_key = \"/k.pem\"\n"
        => "error: p.toml:1: unknown key `tls_certificate`\n  fix: write `certificate`\n\
            error: p.toml:2: unknown key `tls_key`\n  fix: write `key`";
    key_of_a_listener_at_the_top:
        "tls = \"none\"\n"
        => "error: p.toml:1: unknown key `tls`\n  fix: move it below the line [[listeners]]";
    an_administrator_without_a_uri:
        "[imap]\nadmin = \"postmaster@example.org\"\n[limits]\nmetadata = \"64 KiB\"\nmetadata_value = \"128 KiB\"\n"
        => "error: p.toml:2: `admin` \"postmaster@example.org\" is not a URI\n  \
            fix: write for example \"mailto:postmaster@example.org\"\n\
            error: p.toml:4: `metadata` is less than `metadata_value`, so that one value may be too much\n  \
            fix: make `metadata` larger than `metadata_value`";
    names_of_mailboxes_that_cannot_be:
        "[mailboxes]\nsent = [\"Sent\", \"../x\"]\ntrash = [\"inbox\"]\njunk = \"Junk\"\n"
        => "error: p.toml:2: `sent` has \"../x\": mailbox name contains a character that cannot be stored: '.' or '/' inside a level, or '~' at its start\n  \
            fix: write the names of mailboxes, like \"Sent\"\n\
            error: p.toml:3: `trash` has INBOX, which is for nothing else\n  fix: take it out\n\
            error: p.toml:4: `junk` must be a list of strings\n  fix: write for example [\"Sent\"]";
    prefix_of_others_that_cannot_be:
        "[sharing]\nprefix = \"Other Users\"\n"
        => "error: p.toml:2: `prefix` \"Other Users\" is not a prefix\n  fix: write \"\", or a name and the separator: \"Other Users/\"";
    sharing_with_another_separator:
        "[storage]\nseparator = \".\"\n[sharing]\nprefix = \"Other Users/\"\n"
        => "error: p.toml:4: [sharing] needs names with the separator '/'\n  fix: write `separator = \"/\"` below [storage], or remove `prefix` here";
    one_prefix_for_all:
        "[storage]\nprefix = \"Mail/\"\n[sharing]\nprefix = \"Mail/\"\n"
        => "error: p.toml:4: `prefix` is that of the users' own mailboxes, too\n  fix: write another one: \"Other Users/\"";
    key_like_no_other:
        "[log]\nzzz = 1\n"
        => "error: p.toml:2: unknown key `zzz` in [log]\n  fix: remove it; what can be set is format, level, client_id, unknown_users";
    unknown_table:
        "[timeout]\nlogin = \"1m\"\n"
        => "error: p.toml:1: unknown key `timeout`\n  fix: write `timeouts`";
    unknown_key_of_a_listener:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\nplain_auth = true\n"
        => "error: p.toml:4: unknown key `plain_auth` in [[listeners]]\n  fix: write `plaintext_auth`";
    wrong_type_string:
        "hostname = 5\n"
        => "error: p.toml:1: `hostname` is a number, but must be a string\n  fix: write it in quotes";
    wrong_type_number:
        "[limits]\nnesting = \"many\"\n"
        => "error: p.toml:2: `nesting` is a string, but must be a whole number\n  fix: write a number from 10 to 1000";
    wrong_type_boolean:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\nplaintext_auth = \"no\"\n"
        => "error: p.toml:4: `plaintext_auth` is a string, but must be true or false\n  fix: write true or false, without quotes";
    wrong_type_choice:
        "[storage]\nfsync = true\nseparator = 1979-05-27\n"
        => "error: p.toml:2: `fsync` is true or false, but must be a string\n  fix: write \"optimized\" or \"always\" or \"never\"\n\
            error: p.toml:3: `separator` is a date, but must be a string\n  fix: write it in quotes";
    wrong_type_size:
        "[limits]\nline = 1.5\nmessage = [1]\nconnections = {}\n"
        => "error: p.toml:2: `line` is a fraction, but must be a size\n  fix: write a size from \"8 KiB\" to \"1 MiB\"\n\
            error: p.toml:3: `message` is a list, but must be a size\n  fix: write a size from \"64 KiB\" to \"4 GiB\"\n\
            error: p.toml:4: `connections` is a table, but must be a whole number\n  fix: write a number from 1 to 1000000";
    wrong_type_address:
        "[[listeners]]\nprotocol = \"imap\"\naddress = 143\n"
        => "error: p.toml:3: `address` is a number, but must be an address with a port\n  fix: write \"192.0.2.1:143\" or \"[::]:143\", or a list of such";
    wrong_type_table:
        "limits = 3\n"
        => "error: p.toml:1: `limits` must be a table\n  fix: write [limits] on a line of its own, and its settings below";
    hidden_unknown:
        "[capabilities]\nhide = [\"COMPRES\"]\n"
        => "error: p.toml:2: `hide` has \"COMPRES\", which is not known\n  fix: name capabilities that IMAP shows, like \"IDLE\"";
    hidden_mechanism:
        "[capabilities]\nhide = [\"plain\"]\n"
        => "error: p.toml:2: `hide` has \"plain\", which is not known\n  fix: write \"AUTH=PLAIN\"";
    hidden_protocol:
        "[capabilities]\nhide = [\"IMAP4rev1\"]\n"
        => "error: p.toml:2: `hide` has IMAP4rev1, which cannot be hidden\n  fix: take it out";
    hidden_several:
        "[capabilities]\nhide = [\"COMPRES\", \"IDLE\", \"plain\", \"SORT\"]\n"
        => "error: p.toml:2: `hide` has \"COMPRES\", which is not known; has \"plain\", which is not known; has \"SORT\", which is not known\n  fix: name capabilities that IMAP shows, like \"IDLE\"; write \"AUTH=PLAIN\"";
    database_without_backend:
        "[accounts]\nconnection = \"/var/lib/db\"\n"
        => "warning: p.toml:2: `connection` has no effect: the accounts are in the users file\n  fix: write backend = \"postgresql\" or backend = \"sqlite\", or remove it";
    hidden_no_list:
        "[capabilities]\nhide = \"IDLE\"\n"
        => "error: p.toml:2: `hide` must be a list of strings\n  fix: name capabilities that IMAP shows, like \"IDLE\"";
    quota_no_size:
        "[quota]\nstorage = \"5 apples\"\n"
        => "error: p.toml:2: `storage` \"5 apples\" is not a size\n  fix: write a size from \"0 B\" to \"1048576 GiB\"";
    quota_bad_grace:
        "[quota]\ngrace = \"110%\"\n"
        => "error: p.toml:2: `grace` \"110%\" is neither a part nor a size\n  fix: write for example \"10%\", up to \"100%\", or \"50 MiB\"";
    quota_bad_maildirsize:
        "[quota]\nmaildirsize = \"yes\"\n"
        => "error: p.toml:2: `maildirsize` \"yes\" is not known\n  fix: write true, false or \"auto\"";
    quota_maildirsize_number:
        "[quota]\nmaildirsize = 1\n"
        => "error: p.toml:2: `maildirsize` is a number, but must be true, false or \"auto\"\n  fix: write true, false or \"auto\"";
    quota_of_nobody:
        "[[quota.users]]\nstorage = 1\n"
        => "error: p.toml:1: no `users` say whose quota this is\n  fix: write users = [\"ann@example.org\"]";
    quota_of_one_twice:
        "[[quota.users]]\nusers = [\"ann\"]\n[[quota.users]]\nusers = [\"Ann\"]\n"
        => "error: p.toml:4: \"ann\" has a quota already, on line 1\n  fix: remove one of them";
    quota_misspelled:
        "[quota]\nmessage = 5\n"
        => "error: p.toml:2: unknown key `message` in [quota]\n  fix: write `messages`";
    hidden_from_nobody:
        "[[capabilities.clients]]\nhide = [\"IDLE\"]\n"
        => "error: p.toml:1: neither `users` nor `addresses` says which clients are meant\n  fix: write users = [\"ann@example.org\"] or addresses = [\"192.0.2.0/24\"]";
    hidden_from_a_bad_range:
        "[[capabilities.clients]]\nhide = [\"IDLE\"]\naddresses = [\"192.0.2.0/33\"]\nusers = [\"ann\"]\n"
        => "error: p.toml:3: `addresses` has \"192.0.2.0/33\", which is no range of addresses\n  fix: write for example \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"";
    hidden_unknown_key:
        "[[capabilities.clients]]\nhide = [\"IDLE\"]\nuser = [\"ann\"]\nusers = [\"ann\"]\n"
        => "error: p.toml:3: unknown key `user` in [[capabilities.clients]]\n  fix: write `users`";
    hidden_from_pop3:
        "[[listeners]]\nprotocol = \"pop3\"\naddress = \"127.0.0.1:1110\"\nhide = [\"IDLE\"]\n"
        => "error: p.toml:4: `hide` names capabilities of IMAP, but this listener speaks POP3\n  fix: remove it";
    wrong_type_listeners:
        "[listeners]\nprotocol = \"imap\"\n"
        => "error: p.toml:1: `listeners` must be a list of tables\n  fix: write [[listeners]] on a line of its own, and its settings below";
    number_out_of_range:
        "[limits]\nconnections = 0\n"
        => "error: p.toml:2: `connections` is out of range\n  fix: write a number from 1 to 1000000";
    number_negative:
        "[limits]\nconnections = -3\n"
        => "error: p.toml:2: `connections` is negative\n  fix: write a number from 0 up";
    number_huge:
        "[limits]\nbad_commands = 99999999999999999999\n"
        => "error: p.toml:2: `bad_commands` is out of range\n  fix: write a number from 0 up";
    size_out_of_range:
        "[limits]\nmessage = \"5 GiB\"\n"
        => "error: p.toml:2: `message` is out of range\n  fix: write a size from \"64 KiB\" to \"4 GiB\"";
    size_unreadable:
        "[limits]\nmessage = \"50 megs\"\n"
        => "error: p.toml:2: `message` \"50 megs\" is not a size\n  fix: write a size from \"64 KiB\" to \"4 GiB\"";
    duration_without_unit:
        "[timeouts]\nlogin = 180\n"
        => "error: p.toml:2: `login` is a number, but must be a string with a unit\n  fix: say which unit: \"180s\" or \"180m\"";
    duration_unreadable:
        "[timeouts]\nlogin = \"soon\"\n"
        => "error: p.toml:2: `login` \"soon\" is not a time\n  fix: write a time from \"1s\" to \"1h\"";
    duration_out_of_range:
        "[timeouts]\nkeepalive = \"30m\"\n"
        => "error: p.toml:2: `keepalive` is out of range\n  fix: write a time from \"1s\" to \"29m\"";
    choice_unknown:
        "[storage]\nfsync = \"sometimes\"\n"
        => "error: p.toml:2: `fsync` \"sometimes\" is not known\n  fix: write \"optimized\" or \"always\" or \"never\"";
    hostname_unusable:
        "hostname = \"mail example\"\n"
        => "error: p.toml:1: `hostname` \"mail example\" is not a host name\n  fix: write letters, digits and hyphens, with dots between: \"mail.example.org\"";
    mail_relative:
        "mail = \"mail/{user}\"\n"
        => "error: p.toml:1: `mail` must begin with /\n  fix: write for example \"/var/vmail/{domain}/{local}\"";
    mail_shared:
        "mail = \"/srv/mail\"\n"
        => "error: p.toml:1: `mail` is the same for all users\n  fix: put {user}, or {domain} and {local}, into it";
    mail_of_dovecot:
        "mail = \"/srv/mail/{username}\"\n"
        => "error: p.toml:1: `mail` holds {username}, which is not known\n  fix: use {user}, {domain} or {local}";
    domain_unusable:
        "[auth]\ndefault_domain = \"@example.org\"\n"
        => "error: p.toml:2: `default_domain` \"@example.org\" is not a domain\n  fix: write for example \"example.org\"";
    prefix_without_separator:
        "[storage]\nprefix = \"INBOX.\"\n"
        => "error: p.toml:2: `prefix` \"INBOX.\" is not a prefix\n  fix: write \"\", or a name and the separator: \"INBOX/\"";
    uidl_format_unknown:
        "[pop3]\nuidl_format = \"uid\"\n"
        => "error: p.toml:2: `uidl_format` \"uid\" is not known\n  fix: write \"dovecot\" or \"courier\" or \"cyrus\" or \"filename\" or \"guid\" or \"md5\", or a format like \"%08Xu%08Xv\"";
    uidl_format_with_a_variable_too_many:
        "[pop3]\nuidl_format = \"%{uid}\"\n"
        => "error: p.toml:2: `uidl_format` holds %{, which is not known\n  fix: use %u, %v, %f, %g or %m, with X, L, U, M or a width after the %";
    uidl_format_that_tells_nothing_apart:
        "[pop3]\nuidl_format = \"%v\"\n"
        => "error: p.toml:2: `uidl_format` is the same for all messages\n  fix: put %u, %f, %g or %m into it";
    listener_without_anything:
        "[[listeners]]\n"
        => "error: p.toml:1: listener has no `protocol`\n  fix: write protocol = \"imap\" or protocol = \"pop3\"\n\
            error: p.toml:1: listener has no `address`\n  fix: write address = \"[::]:143\", or a list of such";
    listener_with_a_star:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"*:143\"\n"
        => "error: p.toml:3: `address` \"*:143\" is not an address with a port\n  fix: write [\"0.0.0.0:143\", \"[::]:143\"]";
    listener_without_port:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"::1\"\n"
        => "error: p.toml:3: `address` \"::1\" is not an address with a port\n  fix: write \"[::1]:143\"";
    listener_on_localhost:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"localhost:1143\"\n"
        => "error: p.toml:3: `address` \"localhost:1143\" is not an address with a port\n  fix: write [\"127.0.0.1:1143\", \"[::1]:1143\"]";
    listener_with_a_name:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"mail.example.org:143\"\n"
        => "error: p.toml:3: `address` \"mail.example.org:143\" is not an address with a port\n  fix: write \"192.0.2.1:143\" or \"[::]:143\", or a list of such";
    listener_twice:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\n\
         [[listeners]]\nprotocol = \"pop3\"\naddress = [\"127.0.0.1:1110\", \"127.0.0.1:1143\"]\n"
        => "error: p.toml:4: 127.0.0.1:1143 already has a listener, on line 1\n  fix: give one of them another address or remove it";
    listener_where_nobody_can_log_in:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"127.0.0.1:1143\"\ntls = \"none\"\n"
        => "error: p.toml:1: nobody can log in here: there is no TLS, and plaintext_auth is false\n  fix: write tls = \"starttls\", or plaintext_auth = true if the network can be trusted";
    no_listeners:
        "listeners = []\n"
        => "error: p.toml: `listeners` is empty: there is nothing to listen on\n  fix: remove the line to listen on 110, 143, 993 and 995";
    arguments_less_than_a_line:
        "[limits]\nline = \"1 MiB\"\narguments = \"512 KiB\"\n"
        => "error: p.toml:3: `arguments` is less than `line`, so that a line may be too much for itself\n  fix: make `arguments` at least as large as `line`";
    argon2_with_too_little_memory:
        "[auth]\nargon2_memory = \"8 KiB\"\nargon2_lanes = 4\n"
        => "error: p.toml:2: argon2 needs 8 KiB of memory for each of 4 lanes\n  fix: raise `argon2_memory` or lower `argon2_lanes`";
    verification_with_too_little_memory:
        "[auth]\nverify_memory = \"16 MiB\"\n"
        => "error: p.toml:2: `verify_memory` is less than `argon2_memory`, which one login needs\n  fix: raise `verify_memory` or lower `argon2_memory`";
    warns_of_passwords_in_the_clear:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"0.0.0.0:143\"\nplaintext_auth = true\n"
        => "warning: p.toml:4: passwords may cross the network in the clear to 0.0.0.0:143\n  fix: remove plaintext_auth, or listen on 127.0.0.1 only";
    warns_of_unusual_ports:
        "[[listeners]]\nprotocol = \"imap\"\naddress = \"0.0.0.0:993\"\n"
        => "warning: p.toml:1: clients expect IMAP with TLS from the first byte on port 993\n  fix: change the port, the protocol or tls";
    warns_of_short_timeouts:
        "[timeouts]\nimap_idle = \"29m\"\npop3_idle = \"90s\"\n"
        => "warning: p.toml:2: `imap_idle` is 29m, but RFC 3501 section 5.4 promises clients 30 minutes\n  fix: write \"30m\" or more\n\
            warning: p.toml:3: `pop3_idle` is 90s, but RFC 1939 section 3 promises clients 10 minutes\n  fix: write \"10m\" or more";
    warns_of_fast_guesses_without_a_delay:
        "[auth]\nfailure_delay = \"0s\"\nfailure_delay_max = \"15s\"\n"
        => "warning: p.toml:2: failed logins are answered at once, so that passwords can be guessed fast\n  fix: remove `failure_delay` and `failure_delay_max`, but in tests";
    warns_of_fast_guesses:
        "[auth]\nfailure_delay_max = \"0s\"\n"
        => "warning: p.toml:2: failed logins are answered at once, so that passwords can be guessed fast\n  fix: remove `failure_delay` and `failure_delay_max`, but in tests";
}

#[test]
fn every_mistake_is_found_at_once_and_by_line() {
    let report = found(
        "hostname = \"\"\n\
         [limits]\n\
         nesting = 5\n\
         lime = 3\n\
         [timeouts]\n\
         imap_idle = \"1m\"\n\
         login = 1\n\
         [storag]\n",
    );
    let lines: Vec<&str> = report
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .filter(|place| place.starts_with("p.toml"))
        .collect();
    assert_eq!(
        lines,
        [
            "p.toml:1", "p.toml:3", "p.toml:4", "p.toml:6", "p.toml:7", "p.toml:8"
        ]
    );
}

#[test]
fn syntax_errors_do_not_hide_the_rest() {
    let report = found("hostname = mail.example.org\n[limits]\nnestin = 5\n");
    assert!(
        report.starts_with("error: p.toml:1: not TOML: "),
        "{report}"
    );
    assert!(
        report.contains("  fix: write the value in double quotes\n"),
        "{report}"
    );
    assert!(
        report.contains("unknown key `nestin` in [limits]"),
        "{report}"
    );
    let report = found("users = \"/a\"\nusers = \"/b\"\n");
    assert!(
        report.starts_with("error: p.toml:2: not TOML: "),
        "{report}"
    );
    assert!(report.contains("  fix: keep one of them"), "{report}");
}

#[test]
fn a_missing_file_is_told() {
    let (settings, report) = load(Path::new("/nonexistent/p.toml"));
    assert_eq!(settings, Settings::default());
    let shown = report.to_string();
    assert!(
        shown.starts_with("error: /nonexistent/p.toml: cannot be read: "),
        "{shown}"
    );
    assert!(
        shown.ends_with("fix: make it from conf/pillarbox.toml, or name another one with --config"),
        "{shown}"
    );
}

#[test]
fn several_free_ports_are_allowed() {
    let settings =
        good("[[listeners]]\nprotocol = \"imap\"\naddress = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n");
    assert_eq!(settings.listeners.len(), 2);
}

proptest! {
    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}|([a-z_]{1,10} = [0-9a-z\"{}\\[\\], ]{0,10}\n|\\[{1,2}[a-z]{1,8}\\]{1,2}\n){0,6}") {
        let (_settings, _report) = parse(Path::new("p.toml"), &text);
    }

    #[test]
    fn any_value_of_any_key_never_panics(
        table in 0_usize..8,
        key in 0_usize..12,
        value in "-?[0-9]{1,22}|\"[0-9a-zA-Z:./{} ]{0,12}\"|\\[\"[0-9:.]{0,8}\"\\]|true|\\{\\}|1979-05-27|1e9",
    ) {
        let known = reader::known_keys("");
        let (table, keys) = known.iter().nth(table % known.len()).unwrap();
        let key = keys[key % keys.len()];
        let header = match *table {
            "" => String::new(),
            "listeners" => "[[listeners]]\n".to_owned(),
            table => format!("[{table}]\n"),
        };
        let (_settings, _report) = parse(Path::new("p.toml"), &format!("{header}{key} = {value}\n"));
    }
}
