//! A capability that is hidden is refused: each row of the registry, with what it brings.

use std::sync::Arc;
use std::time::Duration;

use auth::sasl::{Mechanism, Mechanisms};
use imapd::Hidden;
use imapd::extension::{Capabilities, Capability, Extension, REGISTRY, Shown};
use machine::{PlaintextAuth, Security, Tls};
use mailstore::quota::{Limits, Policies, Policy};

use super::world::{Client, World};

/// Where a client has come to when it tries something.
#[derive(Clone, Copy)]
enum Place {
    /// Before login, where passwords may be sent and STARTTLS is offered.
    Connected,
    /// After login.
    LoggedIn,
    /// With INBOX selected, which has one message.
    Selected,
}

/// What a client tries, and what in the answer says that it was understood.
struct Probe(Place, &'static str, &'static str);

/// What shows that a capability works. Whoever adds a capability says here what it brings: each of
/// its commands, arguments and responses.
#[expect(clippy::too_many_lines, reason = "a row for each capability")]
fn probes(capability: Capability) -> Vec<Probe> {
    use Place::{Connected, LoggedIn, Selected};
    match capability {
        Capability::ImapRev1 | Capability::LoginDisabled => Vec::new(),
        Capability::StartTls => vec![Probe(Connected, "STARTTLS", "x OK")],
        Capability::AuthScramSha256Plus => {
            vec![Probe(Connected, "AUTHENTICATE SCRAM-SHA-256-PLUS", "+ ")]
        }
        Capability::AuthScramSha256 => vec![Probe(Connected, "AUTHENTICATE SCRAM-SHA-256", "+ ")],
        Capability::AuthScramSha1Plus => {
            vec![Probe(Connected, "AUTHENTICATE SCRAM-SHA-1-PLUS", "+ ")]
        }
        Capability::AuthScramSha1 => vec![Probe(Connected, "AUTHENTICATE SCRAM-SHA-1", "+ ")],
        Capability::AuthPlain => vec![Probe(Connected, "AUTHENTICATE PLAIN", "+ ")],
        Capability::AuthLogin => vec![Probe(Connected, "AUTHENTICATE LOGIN", "+ ")],
        Capability::AuthOAuthBearer => vec![Probe(Connected, "AUTHENTICATE OAUTHBEARER", "+ ")],
        Capability::AuthXOAuth2 => vec![Probe(Connected, "AUTHENTICATE XOAUTH2", "+ ")],
        Capability::SaslIr => vec![Probe(
            Connected,
            "AUTHENTICATE PLAIN AHUAcA==",
            "x OK [CAPABILITY",
        )],
        Capability::LiteralPlus => {
            // More than LITERAL- would take.
            let large = format!("ID (\"name\" {{5000+}}\r\n{:5000})", "x");
            vec![Probe(LoggedIn, large.leak(), "x OK")]
        }
        Capability::LiteralMinus => {
            vec![Probe(LoggedIn, "STATUS {5+}\r\nINBOX (MESSAGES)", "x OK")]
        }
        Capability::Id => vec![Probe(Connected, "ID NIL", "x OK")],
        Capability::Enable => vec![Probe(LoggedIn, "ENABLE X-GOOD-IDEA", "x OK")],
        Capability::Compress => vec![
            Probe(LoggedIn, "COMPRESS DEFLATE", "x OK"),
            Probe(Selected, "COMPRESS DEFLATE", "x OK"),
        ],
        Capability::Idle => vec![Probe(LoggedIn, "IDLE", "+ ")],
        Capability::Notify => vec![
            Probe(LoggedIn, "NOTIFY NONE", "x OK"),
            Probe(Selected, "NOTIFY SET (PERSONAL (MailboxName))", "x OK"),
        ],
        Capability::Namespace => vec![Probe(LoggedIn, "NAMESPACE", "x OK")],
        Capability::Acl => vec![
            Probe(LoggedIn, "SETACL INBOX bob lr", "x OK"),
            Probe(LoggedIn, "DELETEACL INBOX bob", "x OK"),
            Probe(LoggedIn, "GETACL INBOX", "x OK"),
            Probe(LoggedIn, "LISTRIGHTS INBOX bob", "x OK"),
            Probe(Selected, "MYRIGHTS INBOX", "x OK"),
        ],
        Capability::Rights => vec![Probe(LoggedIn, "SETACL INBOX bob +te", "x OK")],
        Capability::ListMyRights => vec![Probe(
            LoggedIn,
            "LIST \"\" * RETURN (MYRIGHTS)",
            "* MYRIGHTS INBOX",
        )],
        Capability::Unauthenticate => vec![
            Probe(LoggedIn, "UNAUTHENTICATE", "x OK"),
            Probe(Selected, "UNAUTHENTICATE", "x OK"),
        ],
        Capability::Unselect => vec![Probe(Selected, "UNSELECT", "x OK")],
        Capability::Children => vec![
            Probe(LoggedIn, "LIST \"\" *", "\\HasNoChildren"),
            Probe(LoggedIn, "LIST \"\" (INBOX)", "\\HasNoChildren"),
        ],
        Capability::UidPlus => uid_plus(),
        Capability::ListExtended => list_extended(),
        Capability::ListStatus => vec![Probe(
            LoggedIn,
            "LIST \"\" * RETURN (STATUS (MESSAGES))",
            "x OK",
        )],
        Capability::SpecialUse => special_use(),
        Capability::Metadata => metadata(),
        Capability::MetadataServer => metadata_server(),
        Capability::ListMetadata => list_metadata(),
        Capability::CreateSpecialUse => vec![Probe(LoggedIn, "CREATE a (USE ())", "x OK")],
        Capability::Xlist => vec![Probe(LoggedIn, "XLIST \"\" *", "* XLIST (")],
        Capability::Esearch => vec![
            Probe(Selected, "SEARCH RETURN (MIN) ALL", "* ESEARCH "),
            Probe(Selected, "UID SEARCH RETURN () ALL", "* ESEARCH "),
        ],
        Capability::SearchRes => search_res(),
        Capability::StatusSize => vec![
            Probe(LoggedIn, "STATUS INBOX (SIZE)", "(SIZE "),
            Probe(LoggedIn, "LIST \"\" * RETURN (STATUS (SIZE))", "(SIZE "),
        ],
        Capability::SaveDate => save_date(),
        Capability::ObjectId => object_id(),
        Capability::Preview => understood(&["FETCH 1 PREVIEW", "FETCH 1 (UID PREVIEW (LAZY))"]),
        Capability::ImapRev2 => {
            vec![Probe(LoggedIn, "ENABLE IMAP4rev2", "* ENABLED IMAP4rev2")]
        }
        Capability::Utf8Accept => vec![
            Probe(LoggedIn, "CREATE \"Entwürfe\"", "x OK"),
            Probe(LoggedIn, "APPEND INBOX UTF8 (~{6+}\r\na: b\r\n)", "x OK"),
        ],
        Capability::AppendLimit => {
            vec![Probe(LoggedIn, "STATUS INBOX (APPENDLIMIT)", "x OK")]
        }
        Capability::Quota => vec![
            Probe(LoggedIn, "GETQUOTAROOT INBOX", "x OK"),
            Probe(LoggedIn, "GETQUOTA #user/user@test", "x OK"),
            Probe(LoggedIn, "SETQUOTA #user/user@test ()", "x OK"),
        ],
        Capability::QuotaStorage => vec![
            Probe(LoggedIn, "GETQUOTAROOT INBOX", "STORAGE "),
            Probe(LoggedIn, "STATUS INBOX (DELETED-STORAGE)", "x OK"),
        ],
        Capability::QuotaMessage => vec![
            Probe(LoggedIn, "GETQUOTAROOT INBOX", "MESSAGE "),
            Probe(LoggedIn, "STATUS INBOX (DELETED)", "x OK"),
        ],
        Capability::QuotaSet => {
            vec![Probe(LoggedIn, "SETQUOTA #user/user@test ()", "x OK")]
        }
        Capability::MultiAppend => multi_append(),
        Capability::Condstore => condstore(),
        Capability::Qresync => qresync(),
        Capability::Binary => binary(),
        Capability::Catenate => catenate(),
        Capability::UidOnly => vec![Probe(LoggedIn, "ENABLE UIDONLY", "* ENABLED UIDONLY")],
        // It is prepared in one slice and done in the next.
        Capability::InProgress => vec![Probe(Selected, "MOVE 1 INBOX", "* OK [INPROGRESS (")],
        Capability::Replace => replace(),
        Capability::Move => vec![
            Probe(Selected, "MOVE 1 INBOX", "x OK"),
            Probe(Selected, "UID MOVE 1 INBOX", "x OK"),
        ],
    }
}

/// What SAVEDATE brings.
fn save_date() -> Vec<Probe> {
    let lines = [
        "FETCH 1 SAVEDATE",
        "SEARCH SAVEDON 1-Jan-2020",
        "SEARCH NOT SAVEDBEFORE 1-Jan-2020",
        "SEARCH OR SAVEDSINCE 1-Jan-2020 SEEN",
        "SEARCH SAVEDATESUPPORTED",
    ];
    understood(&lines)
}

/// What OBJECTID brings.
fn object_id() -> Vec<Probe> {
    use Place::LoggedIn;
    let mut probes = understood(&[
        "FETCH 1 EMAILID",
        "FETCH 1 (UID THREADID)",
        "SEARCH NOT EMAILID M1",
        "SEARCH OR THREADID T1 SEEN",
    ]);
    probes.extend([
        Probe(LoggedIn, "CREATE new", "x OK [MAILBOXID ("),
        Probe(LoggedIn, "SELECT INBOX", "* OK [MAILBOXID ("),
        Probe(LoggedIn, "EXAMINE INBOX", "* OK [MAILBOXID ("),
        Probe(LoggedIn, "STATUS INBOX (MAILBOXID)", "(MAILBOXID ("),
        Probe(
            LoggedIn,
            "LIST \"\" * RETURN (STATUS (MAILBOXID))",
            "(MAILBOXID (",
        ),
    ]);
    probes
}

/// With INBOX selected, each of these lines is done.
fn understood(lines: &[&'static str]) -> Vec<Probe> {
    let probe = |line: &&'static str| Probe(Place::Selected, line, "x OK");
    lines.iter().map(probe).collect()
}

/// What LIST-EXTENDED brings.
fn list_extended() -> Vec<Probe> {
    use Place::LoggedIn;
    vec![
        Probe(LoggedIn, "LIST (SUBSCRIBED) \"\" *", "x OK"),
        Probe(LoggedIn, "LIST \"\" (INBOX)", "x OK"),
        Probe(LoggedIn, "LIST \"\" * RETURN (CHILDREN)", "x OK"),
    ]
}

/// What METADATA brings.
fn metadata() -> Vec<Probe> {
    use Place::LoggedIn;
    let event = "NOTIFY SET (PERSONAL (MailboxMetadataChange))";
    vec![
        Probe(LoggedIn, "GETMETADATA INBOX /private/comment", "x OK"),
        Probe(
            LoggedIn,
            "SETMETADATA INBOX (/private/comment \"x\")",
            "x OK",
        ),
        Probe(LoggedIn, event, "x OK"),
    ]
}

/// What METADATA-SERVER brings.
fn metadata_server() -> Vec<Probe> {
    use Place::LoggedIn;
    let event = "NOTIFY SET (PERSONAL (ServerMetadataChange))";
    vec![
        Probe(LoggedIn, "GETMETADATA \"\" /shared/admin", "x OK"),
        Probe(LoggedIn, "SETMETADATA \"\" (/private/comment NIL)", "x OK"),
        Probe(LoggedIn, event, "x OK"),
    ]
}

/// What LIST-METADATA brings.
fn list_metadata() -> Vec<Probe> {
    let list = "LIST \"\" * RETURN (METADATA (/private/comment))";
    vec![Probe(Place::LoggedIn, list, "* METADATA INBOX (")]
}

/// What SPECIAL-USE brings.
fn special_use() -> Vec<Probe> {
    use Place::LoggedIn;
    let made = "CREATE a (USE (\\Sent))\r\nx LIST \"\" a";
    vec![
        Probe(LoggedIn, "LIST (SPECIAL-USE) \"\" *", "x OK"),
        Probe(LoggedIn, "LIST \"\" * RETURN (SPECIAL-USE)", "x OK"),
        Probe(LoggedIn, made, "(\\HasNoChildren \\Sent)"),
    ]
}

/// What CONDSTORE brings (RFC 7162 §3.1).
fn condstore() -> Vec<Probe> {
    use Place::{LoggedIn, Selected};
    vec![
        Probe(LoggedIn, "ENABLE CONDSTORE", "* ENABLED CONDSTORE"),
        Probe(LoggedIn, "SELECT INBOX", "[HIGHESTMODSEQ "),
        Probe(LoggedIn, "SELECT INBOX (CONDSTORE)", "x OK"),
        Probe(LoggedIn, "STATUS INBOX (HIGHESTMODSEQ)", "x OK"),
        Probe(Selected, "SELECT INBOX", "[CLOSED]"),
        Probe(Selected, "FETCH 1 MODSEQ", "x OK"),
        Probe(Selected, "FETCH 1 FLAGS (CHANGEDSINCE 1)", "x OK"),
        Probe(Selected, "SEARCH NOT MODSEQ 1", "x OK"),
        Probe(Selected, "STORE 1 (UNCHANGEDSINCE 1) FLAGS ()", "x OK"),
    ]
}

/// What QRESYNC brings (RFC 7162 §3.2).
fn qresync() -> Vec<Probe> {
    use Place::LoggedIn;
    vec![
        Probe(LoggedIn, "ENABLE QRESYNC", "* ENABLED QRESYNC"),
        Probe(
            LoggedIn,
            "ENABLE QRESYNC\r\nx SELECT INBOX (QRESYNC (1 1))",
            "x OK [READ-WRITE]",
        ),
        Probe(
            LoggedIn,
            "ENABLE QRESYNC\r\nx SELECT INBOX\r\n\
                 x UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
            "x OK FETCH",
        ),
    ]
}

/// What MULTIAPPEND brings.
fn multi_append() -> Vec<Probe> {
    let two = "APPEND INBOX {6+}\r\na: b\r\n {6+}\r\nc: d\r\n";
    vec![Probe(Place::LoggedIn, two, "x OK")]
}

/// What CATENATE brings.
fn catenate() -> Vec<Probe> {
    let first = "APPEND INBOX CATENATE (TEXT {6+}\r\na: b\r\n)";
    let only = "APPEND INBOX CATENATE (URL /INBOX/;UID=1)";
    let later = "APPEND INBOX {6+}\r\na: b\r\n CATENATE (URL /INBOX/;UID=1)";
    let replacing = "REPLACE 1 INBOX CATENATE (TEXT {6+}\r\na: b\r\n)";
    understood(&[first, only, later, replacing])
}

/// What REPLACE brings.
fn replace() -> Vec<Probe> {
    let numbered = "REPLACE 1 INBOX {6+}\r\na: b\r\n";
    let by_uid = "UID REPLACE 1 INBOX {6+}\r\na: b\r\n";
    let whole = "UID REPLACE 1 INBOX CATENATE (URL /INBOX/;UID=1)";
    understood(&[numbered, by_uid, whole])
}

/// What BINARY brings.
fn binary() -> Vec<Probe> {
    use Place::{LoggedIn, Selected};
    vec![
        Probe(Selected, "FETCH 1 BINARY[1]", "x OK"),
        Probe(Selected, "FETCH 1 (BINARY.PEEK[1])", "x OK"),
        Probe(Selected, "FETCH 1 BINARY.SIZE[1]", "x OK"),
        Probe(LoggedIn, "APPEND INBOX ~{6+}\r\na: b\r\n", "x OK"),
        Probe(Selected, "REPLACE 1 INBOX ~{6+}\r\na: b\r\n", "x OK"),
        Probe(
            LoggedIn,
            "APPEND INBOX {6+}\r\na: b\r\n ~{6+}\r\nc: d\r\n",
            "x OK",
        ),
    ]
}

/// What UIDPLUS brings.
fn uid_plus() -> Vec<Probe> {
    use Place::{LoggedIn, Selected};
    vec![
        Probe(Selected, "UID EXPUNGE 1", "x OK"),
        Probe(Selected, "COPY 1 INBOX", "[COPYUID "),
        Probe(Selected, "MOVE 1 INBOX", "[COPYUID "),
        Probe(LoggedIn, "APPEND INBOX {6+}\r\na: b\r\n", "[APPENDUID "),
        Probe(Selected, "REPLACE 1 INBOX {6+}\r\na: b\r\n", "[APPENDUID "),
    ]
}

/// What SEARCHRES brings.
fn search_res() -> Vec<Probe> {
    use Place::Selected;
    vec![
        Probe(Selected, "SEARCH RETURN (SAVE) ALL", "x OK"),
        Probe(Selected, "FETCH $ FLAGS", "x OK"),
        Probe(Selected, "UID SEARCH NOT $", "x OK"),
    ]
}

/// What must be hidden for a capability to be offered at all.
fn in_its_place(row: &Extension) -> Capabilities {
    match row.shown {
        Shown::InPlaceOf(other) => Capabilities::NONE.with(other),
        Shown::Always
        | Shown::AfterLogin
        | Shown::StartTls
        | Shown::PasswordsAllowed
        | Shown::Mechanism(_)
        | Shown::PasswordsRefused => Capabilities::NONE,
    }
}

/// Limits, and an administrator.
fn quotas() -> Policies {
    let limits = Limits {
        storage: Some(1 << 20),
        messages: Some(100),
    };
    Policies {
        default: Policy {
            limits,
            ..Policy::default()
        },
        administrators: vec!["user@test".to_owned()],
        ..Policies::default()
    }
}

/// How long a slice of work takes, so that every command with several is a long one.
const LONG: Duration = Duration::from_secs(10);

/// A server that hides `hidden`, with a client of it.
fn client(place: Place, hidden: Capabilities) -> (World, Client) {
    let world = World::with(|settings| {
        settings.hidden = vec![Hidden {
            capabilities: hidden,
            ..Hidden::default()
        }];
        settings.quotas = Arc::new(quotas());
    });
    world.offer(
        Mechanism::ALL
            .into_iter()
            .fold(Mechanisms::NONE, Mechanisms::with),
    );
    world.deliver_many(1);
    let client = match place {
        Place::Connected => {
            world.offer(Mechanism::ALL.into_iter().collect());
            let tls = Tls {
                exporter: Some([7; 32]),
                ..Tls::default()
            };
            let security = Security::StartTlsOffered;
            let mut client = world.connect_over(security, PlaintextAuth::Allowed, tls);
            client.hear(&["* OK …"]);
            client
        }
        Place::LoggedIn => world.log_in(),
        Place::Selected => world.select(),
    };
    (world, client)
}

#[test]
fn what_is_hidden_is_refused() {
    for row in REGISTRY {
        let probes = probes(row.is);
        assert_eq!(row.is.can_be_hidden(), !probes.is_empty(), "{:?}", row.is);
        let hidden = Capabilities::NONE.with(row.is);
        for Probe(place, line, understood) in probes {
            let tried = |hidden| {
                let (_world, mut client) = client(place, hidden);
                client.slice = LONG;
                client.send(format!("x {line}\r\n"))
            };
            let others = in_its_place(row);
            let answer = tried(others);
            assert!(answer.contains(understood), "{line}: {answer}");
            let answer = tried(others.union(hidden));
            assert!(
                !answer.contains(understood),
                "{:?} {line}: {answer}",
                row.is
            );
            assert!(answer.contains("x "), "{:?} {line}: {answer}", row.is);
        }
    }
}

#[test]
fn what_is_hidden_is_not_shown() {
    for row in REGISTRY.iter().filter(|row| row.is.can_be_hidden()) {
        for place in [Place::Connected, Place::LoggedIn] {
            let shown = |hidden| {
                let (_world, mut client) = client(place, hidden);
                let answer = client.send("x CAPABILITY\r\n");
                answer
                    .split_ascii_whitespace()
                    .any(|name| name == row.capability)
            };
            assert!(!shown(Capabilities::NONE.with(row.is)), "{:?}", row.is);
        }
    }
}

#[test]
fn what_is_hidden_is_not_enabled() {
    for row in REGISTRY.iter().filter(|row| row.enables.is_some()) {
        let enabled = |hidden| {
            let (_world, mut client) = client(Place::LoggedIn, hidden);
            client.send(format!("x ENABLE {}\r\n", row.capability))
        };
        let name = format!("* ENABLED {}\r\n", row.capability);
        assert!(
            enabled(Capabilities::NONE).starts_with(&name),
            "{:?}",
            row.is
        );
        let answer = enabled(Capabilities::NONE.with(row.is));
        assert!(
            answer.starts_with("* ENABLED\r\nx OK"),
            "{:?}: {answer}",
            row.is
        );
    }
}

#[test]
fn qresync_is_not_offered_without_what_it_needs() {
    for hidden in [Capability::Condstore, Capability::Enable] {
        let (_world, mut client) = client(Place::LoggedIn, Capabilities::NONE.with(hidden));
        let answer = client.send("x CAPABILITY\r\n");
        assert!(!answer.contains("QRESYNC"), "{hidden:?}: {answer}");
    }
}

#[test]
fn from_a_user_it_is_hidden_from_the_login_on() {
    let world = World::with(|settings| {
        settings.hidden = vec![Hidden {
            capabilities: Capabilities::NONE.with(Capability::Namespace),
            addresses: Vec::new(),
            users: vec!["user@test".to_owned()],
        }];
    });
    let mut client = world.connect();
    assert!(client.send("a CAPABILITY\r\n").contains(" NAMESPACE "));
    let answer = client.send("b LOGIN user@test secret\r\n");
    assert!(
        answer.contains("b OK ") && !answer.contains("NAMESPACE"),
        "{answer}"
    );
    client.expect("c NAMESPACE\r\n", &["c BAD NAMESPACE is not offered"]);
}
