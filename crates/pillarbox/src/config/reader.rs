//! From what was written to what it means: the tables one after the other, and what must hold
//! between their values.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use auth::password::Cost;
use auth::scram::NewKeys;
use auth::throttle::Delays;
use toml::de::DeTable;

use super::finding::Report;
use super::quota::quota;
use super::raw;
use super::settings::{
    Accounts, Auth, Backend, Limits, Listener, Mailboxes, OAuth, PlaintextAuth, Protocol, Settings,
    Sharing, Storage, Timeouts, Tls, TlsMode, without_prefix,
};
use super::table::{Document, Lines};
use super::unit::show_duration;

/// Reads settings; see [`super::parse_with_lines`].
pub(super) fn settings(path: &Path, text: &str) -> (Settings, Report, Lines) {
    let (mut document, top) = Document::parse(path, text);
    let (settings, lines) = all(&mut document, top, path);
    (settings, document.finish(), lines)
}

/// All keys that reading `text` asks for, by table; `""` is the top.
#[cfg(test)]
pub(super) fn known_keys(
    text: &str,
) -> std::collections::BTreeMap<&'static str, Vec<&'static str>> {
    let (mut document, top) = Document::parse(Path::new(""), text);
    all(&mut document, top, Path::new(""));
    document.known()
}

/// The whole file, and the lines of what is at its top.
fn all<'i>(document: &mut Document<'i>, mut top: DeTable<'i>, path: &Path) -> (Settings, Lines) {
    let directory = path.parent().unwrap_or(Path::new(""));
    let (values, lines): (raw::Top, _) = document.read("", &top);
    let storage = storage(document, &mut top);
    let settings = Settings {
        hostname: values.hostname,
        mail: values.mail,
        users: directory.join(values.users),
        accounts: accounts(document, &mut top, directory),
        tls: Tls {
            certificate: directory.join(values.certificate),
            key: directory.join(values.key),
        },
        state_dir: values.state_dir.map(|path| directory.join(path)),
        listeners: listeners(document, &mut top),
        capabilities: capabilities(document, &mut top),
        limits: limits(document, &mut top),
        timeouts: timeouts(document, &mut top),
        mailboxes: mailboxes(document, &mut top, &storage.namespace),
        sharing: sharing(document, &mut top, &storage.namespace, directory),
        storage,
        quota: quota(document, &mut top),
        imap: document.table("imap", &mut top).0,
        pop3: document.table("pop3", &mut top).0,
        auth: auth(document, &mut top),
        oauth: oauth(document, &mut top).below(directory),
        log: document.table("log", &mut top).0,
    };
    (settings, lines)
}

/// `[[listeners]]`
fn listeners<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Vec<Listener> {
    let Some(tables) = document.tables("listeners", top) else {
        let (raw::Listener { .. }, _) = document.read("listeners", &DeTable::default());
        return Listener::defaults();
    };
    let mut all = Vec::new();
    let mut lines: HashMap<SocketAddr, usize> = HashMap::new();
    if tables.is_empty() {
        document.error(
            None,
            "`listeners` is empty: there is nothing to listen on",
            "remove the line to listen on 110, 143, 993 and 995",
        );
    }
    for (table, line) in tables {
        for listener in listener(document, &table, line) {
            let address = listener.address;
            match lines.get(&address) {
                // Each port 0 is another free port.
                Some(first) if address.port() != 0 => document.error(
                    Some(line),
                    format!("{address} already has a listener, on line {first}"),
                    "give one of them another address or remove it",
                ),
                Some(_) | None => {
                    lines.insert(address, line);
                    all.push(listener);
                }
            }
        }
    }
    all
}

/// One of `[[listeners]]`, as a listener for each of its addresses.
fn listener<'i>(document: &mut Document<'i>, table: &DeTable<'i>, line: usize) -> Vec<Listener> {
    let (raw, lines): (raw::Listener, _) = document.read("listeners", table);
    for (key, fix) in [
        (
            "protocol",
            "write protocol = \"imap\" or protocol = \"pop3\"",
        ),
        ("address", "write address = \"[::]:143\", or a list of such"),
    ] {
        if lines.of(key).is_none() {
            document.error(Some(line), format!("listener has no `{key}`"), fix);
        }
    }
    if raw.tls == TlsMode::None && !raw.plaintext_auth {
        document.error(
            Some(line),
            "nobody can log in here: there is no TLS, and plaintext_auth is false",
            "write tls = \"starttls\", or plaintext_auth = true if the network can be trusted",
        );
    }
    let of = |address| Listener {
        protocol: raw.protocol.unwrap_or(Protocol::Imap),
        address,
        tls: raw.tls,
        plaintext_auth: if raw.plaintext_auth {
            PlaintextAuth::Allowed
        } else {
            PlaintextAuth::Refused
        },
        hide: raw.hide,
    };
    if raw.protocol == Some(Protocol::Pop3) && !raw.hide.is_empty() {
        document.error(
            lines.of("hide"),
            "`hide` names capabilities of IMAP, but this listener speaks POP3",
            "remove it",
        );
    }
    let all: Vec<Listener> = raw.address.iter().copied().map(of).collect();
    for listener in &all {
        look_at_listener(document, listener, line, lines.of("plaintext_auth"));
    }
    all
}

/// Warns about what is allowed on a listener but seldom meant.
fn look_at_listener(
    document: &mut Document<'_>,
    listener: &Listener,
    line: usize,
    plaintext_line: Option<usize>,
) {
    let address = listener.address;
    if listener.plaintext_auth == PlaintextAuth::Allowed
        && listener.tls != TlsMode::Implicit
        && !address.ip().to_canonical().is_loopback()
    {
        document.warning(
            plaintext_line,
            format!("passwords may cross the network in the clear to {address}"),
            "remove plaintext_auth, or listen on 127.0.0.1 only",
        );
    }
    let usual = match address.port() {
        110 => Some((Protocol::Pop3, false)),
        143 => Some((Protocol::Imap, false)),
        993 => Some((Protocol::Imap, true)),
        995 => Some((Protocol::Pop3, true)),
        _ => None,
    };
    let Some((protocol, implicit)) = usual else {
        return;
    };
    if protocol != listener.protocol || implicit != (listener.tls == TlsMode::Implicit) {
        let name = match protocol {
            Protocol::Imap => "IMAP",
            Protocol::Pop3 => "POP3",
        };
        let how = if implicit {
            "TLS from the first byte"
        } else {
            "no TLS at first"
        };
        document.warning(
            Some(line),
            format!(
                "clients expect {name} with {how} on port {}",
                address.port()
            ),
            "change the port, the protocol or tls",
        );
    }
}

/// `[capabilities]` and `[[capabilities.clients]]`
fn capabilities<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Vec<imapd::Hidden> {
    const CLIENTS: &str = "capabilities.clients";
    let mut entries = document.entries("capabilities", top);
    let below = ("capabilities", "clients");
    let clients = document.tables_below(below, CLIENTS, &mut entries);
    let (raw, _): (raw::Hidden, _) = document.read("capabilities", &entries);
    let everybody = imapd::Hidden {
        capabilities: raw.hide,
        ..imapd::Hidden::default()
    };
    if clients.is_none() {
        let (raw::HiddenFrom { .. }, _) = document.read(CLIENTS, &DeTable::default());
    }
    let mut all = vec![everybody];
    for (table, line) in clients.unwrap_or_default() {
        let (raw, lines): (raw::HiddenFrom, _) = document.read(CLIENTS, &table);
        let is_left_out = |key| lines.of(key).is_none();
        let nobody = raw.users.is_empty() && raw.addresses.is_empty();
        if nobody && is_left_out("users") && is_left_out("addresses") {
            document.error(
                Some(line),
                "neither `users` nor `addresses` says which clients are meant",
                "write users = [\"ann@example.org\"] or addresses = [\"192.0.2.0/24\"]",
            );
        }
        all.push(imapd::Hidden {
            capabilities: raw.hide,
            addresses: raw.addresses,
            users: raw.users,
        });
    }
    all.retain(|hidden| !hidden.capabilities.is_empty());
    all
}

/// `[limits]`
fn limits<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Limits {
    let (limits, lines): (Limits, _) = document.table("limits", top);
    if limits.arguments < limits.line {
        document.error(
            lines.of("arguments").or(lines.of("line")),
            "`arguments` is less than `line`, so that a line may be too much for itself",
            "make `arguments` at least as large as `line`",
        );
    }
    if limits.metadata < limits.metadata_value {
        document.error(
            lines.of("metadata").or(lines.of("metadata_value")),
            "`metadata` is less than `metadata_value`, so that one value may be too much",
            "make `metadata` larger than `metadata_value`",
        );
    }
    limits
}

/// `[timeouts]`
fn timeouts<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Timeouts {
    let (timeouts, lines): (Timeouts, _) = document.table("timeouts", top);
    for (key, value, least, section) in [
        ("imap_idle", timeouts.imap_idle, 30, "RFC 3501 section 5.4"),
        ("pop3_idle", timeouts.pop3_idle, 10, "RFC 1939 section 3"),
    ] {
        if value < Duration::from_mins(least) {
            let value = show_duration(value);
            document.warning(
                lines.of(key),
                format!("`{key}` is {value}, but {section} promises clients {least} minutes"),
                format!("write \"{least}m\" or more"),
            );
        }
    }
    timeouts
}

/// `[storage]`
fn storage<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Storage {
    let (raw, lines): (raw::Storage, _) = document.table("storage", top);
    let separator = raw.separator;
    let sound = raw.prefix.is_empty()
        || raw.prefix.strip_suffix(separator).is_some_and(|level| {
            let fits = |c: char| c.is_ascii_graphic() && !"./~&%*\"\\".contains(c);
            !level.is_empty() && level.chars().all(fits)
        });
    if !sound {
        document.error(
            lines.of("prefix"),
            format!("`prefix` {:?} is not a prefix", raw.prefix),
            format!("write \"\", or a name and the separator: \"INBOX{separator}\""),
        );
    }
    Storage {
        fsync: raw.fsync,
        namespace: mailstore::Namespace {
            prefix: if sound { raw.prefix } else { String::new() },
            separator,
            utf8_on_disk: raw.directory_names == raw::DirectoryNames::Utf8,
        },
        lock_timeout: raw.lock_timeout,
        change_notices: raw.change_notices,
        poll_interval: raw.poll_interval,
        mtime_guard: raw.mtime_guard,
        cache: raw.cache,
    }
}

/// `[mailboxes]`
fn mailboxes<'i>(
    document: &mut Document<'i>,
    top: &mut DeTable<'i>,
    namespace: &mailstore::Namespace,
) -> Mailboxes {
    let (mailboxes, lines): (Mailboxes, _) = document.table("mailboxes", top);
    let namespace = without_prefix(namespace);
    for (_, key, names) in mailboxes.each() {
        for name in names {
            match namespace.parse_utf8(name.as_bytes()) {
                Err(error) => document.error(
                    lines.of(key),
                    format!("`{key}` has {name:?}: {error}"),
                    "write the names of mailboxes, like \"Sent\"",
                ),
                Ok(name) if name.is_inbox() => document.error(
                    lines.of(key),
                    format!("`{key}` has INBOX, which is for nothing else"),
                    "take it out",
                ),
                Ok(_) => {}
            }
        }
    }
    mailboxes
}

/// `[accounts]`
fn accounts<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>, directory: &Path) -> Accounts {
    let (raw, lines): (raw::Accounts, _) = document.table("accounts", top);
    let connection = match raw.backend {
        Backend::Sqlite if !raw.connection.is_empty() => {
            directory.join(raw.connection).display().to_string()
        }
        Backend::File | Backend::Postgresql | Backend::Sqlite => raw.connection,
    };
    let accounts = Accounts {
        backend: raw.backend,
        connection,
        password_file: raw.password_file.map(|path| directory.join(path)),
        tls: raw.connection_tls,
        tls_ca: directory.join(raw.connection_ca),
        query: raw.query,
        timeout: raw.timeout,
        connections: raw.connections,
        keep: raw.keep,
        keep_accounts: raw.keep_accounts,
        mail_anywhere: raw.mail_anywhere,
    };
    look_at_accounts(document, &accounts, &lines);
    accounts
}

/// Tells what keeps a database from being asked.
fn look_at_accounts(document: &mut Document<'_>, accounts: &Accounts, lines: &Lines) {
    let example = match accounts.backend {
        Backend::File => {
            let set = [
                ("connection", &accounts.connection),
                ("query", &accounts.query),
            ];
            for (key, value) in set {
                if !value.is_empty() {
                    let problem =
                        format!("`{key}` has no effect: the accounts are in the users file");
                    let fix =
                        "write backend = \"postgresql\" or backend = \"sqlite\", or remove it";
                    document.warning(lines.of(key), problem, fix);
                }
            }
            return;
        }
        Backend::Postgresql => {
            "write for example connection = \"host=/run/postgresql dbname=mail user=pillarbox\""
        }
        Backend::Sqlite => "write for example connection = \"/var/lib/pillarbox/accounts.db\"",
    };
    let line = lines.of("backend");
    #[cfg(not(feature = "sql"))]
    document.error(
        line,
        "this Pillarbox was built without databases",
        "build it with the Cargo feature `sql`, or remove [accounts]",
    );
    if accounts.connection.is_empty() {
        document.error(
            lines.of("connection").or(line),
            "`connection` does not say where the database is",
            example,
        );
    }
    #[cfg(feature = "sql")]
    if !accounts.connection.is_empty()
        && let Err(problem) = crate::sql::check(accounts)
    {
        let problem = problem.to_string();
        let (key, fix) = if problem.starts_with("`query`") {
            let fix = "write for example query = \"SELECT password FROM accounts WHERE name = :user\"; docs/accounts.md has more";
            ("query", fix)
        } else {
            ("connection", example)
        };
        document.error(lines.of(key).or(line), problem, fix);
    }
}

/// `[sharing]`
fn sharing<'i>(
    document: &mut Document<'i>,
    top: &mut DeTable<'i>,
    namespace: &mailstore::Namespace,
    directory: &Path,
) -> Sharing {
    let (mut sharing, lines): (Sharing, _) = document.table("sharing", top);
    sharing.index = sharing.index.map(|path| directory.join(path));
    if sharing.prefix.is_empty() {
        return sharing;
    }
    let problem = if !sharing.is_sound() {
        Some((
            format!("`prefix` {:?} is not a prefix", sharing.prefix),
            "write \"\", or a name and the separator: \"Other Users/\"",
        ))
    } else if namespace.separator != imapd::Sharing::SEPARATOR {
        Some((
            format!("[sharing] needs names with the separator {:?}", '/'),
            "write `separator = \"/\"` below [storage], or remove `prefix` here",
        ))
    } else if namespace.prefix == sharing.prefix {
        Some((
            "`prefix` is that of the users' own mailboxes, too".to_owned(),
            "write another one: \"Other Users/\"",
        ))
    } else {
        None
    };
    if let Some((problem, fix)) = problem {
        document.error(lines.of("prefix"), problem, fix);
        sharing.prefix = String::new();
    }
    sharing
}

/// `[auth]`
fn auth<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> Auth {
    let (raw, lines): (raw::Auth, _) = document.table("auth", top);
    let (memory, lanes) = (raw.argon2_memory, raw.argon2_lanes);
    let cost = u32::try_from(memory >> 10)
        .ok()
        .and_then(|memory| Cost::new(memory, raw.argon2_passes, lanes).ok());
    if cost.is_none() {
        document.error(
            lines.of("argon2_memory"),
            format!("argon2 needs 8 KiB of memory for each of {lanes} lanes"),
            "raise `argon2_memory` or lower `argon2_lanes`",
        );
    }
    if raw.verify_memory < memory {
        document.error(
            lines.of("verify_memory").or(lines.of("argon2_memory")),
            "`verify_memory` is less than `argon2_memory`, which one login needs",
            "raise `verify_memory` or lower `argon2_memory`",
        );
    }
    for (key, delay) in [
        ("failure_delay", raw.failure_delay),
        ("failure_delay_max", raw.failure_delay_max),
    ] {
        if delay.is_zero() {
            document.warning(
                lines.of(key),
                "failed logins are answered at once, so that passwords can be guessed fast",
                "remove `failure_delay` and `failure_delay_max`, but in tests",
            );
            break;
        }
    }
    Auth {
        default_domain: raw.default_domain,
        cost: cost.unwrap_or_default(),
        verify_memory: raw.verify_memory,
        delays: Delays {
            first: raw.failure_delay,
            jitter: raw.failure_jitter,
            max: raw.failure_delay_max,
            window: raw.failure_window,
            known_for: raw.known_addresses,
            entries: raw.failure_entries,
        },
        cache: raw.cache,
        upgrade_hashes: raw.upgrade_hashes,
        new_keys: NewKeys {
            hashes: raw.scram,
            iterations: raw.scram_iterations,
        },
    }
}

/// `[oauth]`
fn oauth<'i>(document: &mut Document<'i>, top: &mut DeTable<'i>) -> OAuth {
    let (oauth, lines): (OAuth, _) = document.table("oauth", top);
    let is_signed = oauth.issuer.is_some() && oauth.introspection.is_none();
    let checks = [
        (
            !oauth.is_on() && oauth != OAuth::default(),
            lines.first(),
            "nothing says how tokens are checked, so that none is taken",
            "set `issuer`, or `introspection`, or remove the table",
        ),
        (
            is_signed && oauth.audience.is_empty(),
            lines.of("issuer"),
            "`audience` is missing: tokens for any other service would do for mail",
            "write audience = [\"…\"] with what the issuer puts into `aud` for this server",
        ),
        (
            oauth.introspection.is_some() && oauth.jwks.is_some(),
            lines.of("jwks"),
            "`jwks` and `introspection` are two ways to check a token",
            "remove one of them",
        ),
        (
            oauth.introspection.is_none() && oauth.client_id.is_some(),
            lines.of("client_id"),
            "`client_id` is of use only with `introspection`",
            "remove it, and `client_secret`, or set `introspection`",
        ),
        (
            oauth.client_id.is_some() != oauth.client_secret.is_some(),
            lines.of("client_id").or(lines.of("client_secret")),
            "`client_id` and `client_secret` belong together",
            "set both or none",
        ),
    ];
    for (is_wrong, line, problem, fix) in checks {
        if is_wrong {
            document.error(line, problem, fix);
        }
    }
    oauth
}
