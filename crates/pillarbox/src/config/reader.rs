//! From what was written to what it means: every key, its range, and what must hold between them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use auth::name::TemplateError;
use auth::password::Cost;
use auth::{MailTemplate, Name};
use mailstore::Fsync;
use pop3d::Utf8Headers;
use toml::de::DeValue;

use super::finding::Report;
use super::settings::{
    Auth, Limits, Listener, Log, LogFormat, LogLevel, PlaintextAuth, Protocol, Settings, Storage,
    Timeouts, TlsMode,
};
use super::table::{Document, Table};
use super::value::{
    Read, Refused, addresses, boolean, choice, duration, number, show_duration, size, string,
};

/// Reads settings; see [`super::parse`].
pub(super) fn settings(path: &Path, text: &str) -> (Settings, Report) {
    let (document, entries) = Document::parse(path, text);
    let settings = all(&document, document.table("", entries, 1), path);
    (settings, document.finish())
}

/// All keys that reading `text` asks for, by table; `""` is the top.
#[cfg(test)]
pub(super) fn known_keys(
    text: &str,
) -> std::collections::BTreeMap<&'static str, Vec<&'static str>> {
    let (document, entries) = Document::parse(Path::new(""), text);
    all(&document, document.table("", entries, 1), Path::new(""));
    document.known()
}

/// The top of the file.
fn all<'i>(document: &Document<'i>, mut top: Table<'i, '_>, path: &Path) -> Settings {
    let mut settings = Settings::default();
    let directory = path.parent().unwrap_or(Path::new(""));
    let file = |value: &DeValue<'_>| file(value, directory);
    top.set("hostname", &mut settings.hostname, hostname);
    top.set("mail", &mut settings.mail, template);
    top.set("users", &mut settings.users, file);
    top.set("certificate", &mut settings.tls.certificate, file);
    top.set("key", &mut settings.tls.key, file);
    if let Some(tables) = top.tables("listeners") {
        settings.listeners = listeners(document, tables);
    } else {
        document.know("listeners", &LISTENER_KEYS);
    }
    settings.limits = limits(document, top.table("limits"));
    settings.timeouts = timeouts(document, top.table("timeouts"));
    settings.storage = storage(top.table("storage"));
    let mut pop3 = top.table("pop3");
    let choices = &[("send", Utf8Headers::Send), ("refuse", Utf8Headers::Refuse)];
    pop3.set(
        "utf8_headers",
        &mut settings.pop3.utf8_headers,
        choice(choices),
    );
    pop3.finish();
    settings.auth = auth(document, top.table("auth"));
    settings.log = log(top.table("log"));
    top.finish();
    settings
}

/// `[[listeners]]`
fn listeners(document: &Document<'_>, tables: Vec<Table<'_, '_>>) -> Vec<Listener> {
    let mut all = Vec::new();
    let mut lines: HashMap<SocketAddr, usize> = HashMap::new();
    if tables.is_empty() {
        document.error(
            None,
            "`listeners` is empty: there is nothing to listen on",
            "remove the line to listen on 110, 143, 993 and 995",
        );
    }
    for table in tables {
        let line = table.line();
        for listener in listener(document, table) {
            match lines.get(&listener.address) {
                // Each port 0 is another free port.
                Some(first) if listener.address.port() != 0 => document.error(
                    Some(line),
                    format!(
                        "{} already has a listener, on line {first}",
                        listener.address
                    ),
                    "give one of them another address or remove it",
                ),
                Some(_) | None => {
                    lines.insert(listener.address, line);
                    all.push(listener);
                }
            }
        }
    }
    all
}

/// One of `[[listeners]]`, as a listener for each of its addresses.
fn listener(document: &Document<'_>, mut table: Table<'_, '_>) -> Vec<Listener> {
    const PROTOCOLS: &[(&str, Protocol)] = &[("imap", Protocol::Imap), ("pop3", Protocol::Pop3)];
    const TLS: &[(&str, TlsMode)] = &[
        ("starttls", TlsMode::StartTls),
        ("implicit", TlsMode::Implicit),
        ("none", TlsMode::None),
    ];
    let line = table.line();
    let (mut protocol, mut tls, mut plaintext) = (Protocol::Imap, TlsMode::StartTls, false);
    let mut at = Vec::new();
    if table
        .set("protocol", &mut protocol, choice(PROTOCOLS))
        .is_none()
    {
        let fix = "write protocol = \"imap\" or protocol = \"pop3\"";
        document.error(Some(line), "listener has no `protocol`", fix);
    }
    if table.set("address", &mut at, addresses).is_none() {
        let fix = "write address = \"[::]:143\", or a list of such";
        document.error(Some(line), "listener has no `address`", fix);
    }
    table.set("tls", &mut tls, choice(TLS));
    let plaintext_line = table.set("plaintext_auth", &mut plaintext, boolean);
    table.finish();
    let plaintext_auth = if plaintext {
        PlaintextAuth::Allowed
    } else {
        PlaintextAuth::Refused
    };
    let all: Vec<Listener> = at
        .into_iter()
        .map(|address| Listener {
            protocol,
            address,
            tls,
            plaintext_auth,
        })
        .collect();
    if tls == TlsMode::None && !plaintext {
        document.error(
            Some(line),
            "nobody can log in here: there is no TLS, and plaintext_auth is false",
            "write tls = \"starttls\", or plaintext_auth = true if the network can be trusted",
        );
    }
    for listener in &all {
        look_at_listener(document, listener, line, plaintext_line);
    }
    all
}

/// Warns about what is allowed on a listener but seldom meant.
fn look_at_listener(
    document: &Document<'_>,
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

/// `[limits]`
fn limits(document: &Document<'_>, mut table: Table<'_, '_>) -> Limits {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let mut limits = Limits::default();
    let l = &mut limits;
    table.set(
        "line_before_login",
        &mut l.line_before_login,
        size(KIB..=64 * KIB),
    );
    table.set(
        "literal_before_login",
        &mut l.literal_before_login,
        size(KIB..=64 * KIB),
    );
    table.set(
        "arguments_before_login",
        &mut l.arguments_before_login,
        size(KIB..=MIB),
    );
    let line = table.set("line", &mut l.line, size(8 * KIB..=MIB));
    let arguments = table.set("arguments", &mut l.arguments, size(64 * KIB..=64 * MIB));
    table.set("nesting", &mut l.nesting, number(10..=1_000));
    table.set("message", &mut l.message, size(64 << 10..=4 << 30));
    table.set(
        "sessions_per_user",
        &mut l.sessions_per_user,
        number(1..=100_000),
    );
    table.set("connections", &mut l.connections, number(1..=1_000_000));
    table.set("bad_commands", &mut l.bad_commands, number(1..=1_000));
    table.finish();
    if limits.arguments < limits.line {
        document.error(
            arguments.or(line),
            "`arguments` is less than `line`, so that a line may be too much for itself",
            "make `arguments` at least as large as `line`",
        );
    }
    limits
}

/// `[timeouts]`
fn timeouts(document: &Document<'_>, mut table: Table<'_, '_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let t = &mut timeouts;
    table.set("login", &mut t.login, duration(seconds(1, 3_600)));
    table.set("handshake", &mut t.handshake, duration(seconds(1, 600)));
    let imap = table.set("imap_idle", &mut t.imap_idle, duration(seconds(1, DAY)));
    let pop3 = table.set("pop3_idle", &mut t.pop3_idle, duration(seconds(1, DAY)));
    table.set("write", &mut t.write, duration(seconds(1, 3_600)));
    table.set("keepalive", &mut t.keepalive, duration(seconds(1, 1_740)));
    table.set("shutdown", &mut t.shutdown, duration(seconds(0, 600)));
    table.finish();
    for (key, line, value, least, section) in [
        (
            "imap_idle",
            imap,
            timeouts.imap_idle,
            30,
            "RFC 3501 section 5.4",
        ),
        (
            "pop3_idle",
            pop3,
            timeouts.pop3_idle,
            10,
            "RFC 1939 section 3",
        ),
    ] {
        if value < Duration::from_mins(least) {
            document.warning(
                line,
                format!(
                    "`{key}` is {}, but {section} promises clients {least} minutes",
                    show_duration(value)
                ),
                format!("write \"{least}m\" or more"),
            );
        }
    }
    timeouts
}

/// `[storage]`
fn storage(mut table: Table<'_, '_>) -> Storage {
    const FSYNC: &[(&str, Fsync)] = &[
        ("optimized", Fsync::Optimized),
        ("always", Fsync::Always),
        ("never", Fsync::Never),
    ];
    let mut storage = Storage::default();
    let s = &mut storage;
    table.set("fsync", &mut s.fsync, choice(FSYNC));
    let separators = &[("/", '/'), (".", '.')];
    table.set("separator", &mut s.namespace.separator, choice(separators));
    let separator = s.namespace.separator;
    table.set("prefix", &mut s.namespace.prefix, |value| {
        prefix(value, separator)
    });
    let names = &[("utf7", false), ("utf8", true)];
    table.set(
        "directory_names",
        &mut s.namespace.utf8_on_disk,
        choice(names),
    );
    table.set(
        "lock_timeout",
        &mut s.lock_timeout,
        duration(seconds(1, 600)),
    );
    table.set(
        "poll_interval",
        &mut s.poll_interval,
        duration(Duration::from_millis(100)..=Duration::from_mins(1)),
    );
    table.set("mtime_guard", &mut s.mtime_guard, duration(seconds(0, 60)));
    table.set("cache", &mut s.cache, size(0..=64 << 30));
    table.finish();
    storage
}

/// `[auth]`
fn auth(document: &Document<'_>, mut table: Table<'_, '_>) -> Auth {
    let mut auth = Auth::default();
    table.set("default_domain", &mut auth.default_domain, default_domain);
    let (mut memory, mut passes, mut lanes) = (u64::from(auth.cost.memory_kib()) << 10, 2, 1);
    let line = table.set("argon2_memory", &mut memory, size(8 << 10..=1 << 30));
    table.set("argon2_passes", &mut passes, number(1..=1_000));
    table.set("argon2_lanes", &mut lanes, number(1..=255));
    match u32::try_from(memory >> 10).map(|memory| Cost::new(memory, passes, lanes)) {
        Ok(Ok(cost)) => auth.cost = cost,
        Ok(Err(_)) | Err(_) => document.error(
            line,
            format!("argon2 needs 8 KiB of memory for each of {lanes} lanes"),
            "raise `argon2_memory` or lower `argon2_lanes`",
        ),
    }
    let verify = table.set(
        "verify_memory",
        &mut auth.verify_memory,
        size(1 << 20..=1 << 40),
    );
    if auth.verify_memory < memory {
        document.error(
            verify.or(line),
            "`verify_memory` is less than `argon2_memory`, which one login needs",
            "raise `verify_memory` or lower `argon2_memory`",
        );
    }
    let delays = &mut auth.delays;
    let range = || duration(seconds(0, 60));
    let first = table.set("failure_delay", &mut delays.first, range());
    table.set("failure_jitter", &mut delays.jitter, range());
    let max = table.set(
        "failure_delay_max",
        &mut delays.max,
        duration(seconds(0, 600)),
    );
    table.set("cache", &mut auth.cache, duration(seconds(0, 3_600)));
    table.finish();
    let none = [(auth.delays.first, first), (auth.delays.max, max)];
    if let Some((_, line)) = none.iter().find(|(delay, _)| delay.is_zero()) {
        document.warning(
            *line,
            "failed logins are answered at once, so that passwords can be guessed fast",
            "remove `failure_delay` and `failure_delay_max`, but in tests",
        );
    }
    auth
}

/// `[log]`
fn log(mut table: Table<'_, '_>) -> Log {
    let mut log = Log::default();
    let formats = &[("human", LogFormat::Human), ("json", LogFormat::Json)];
    table.set("format", &mut log.format, choice(formats));
    let levels = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
    table.set("level", &mut log.level, choice(levels));
    table.finish();
    log
}

/// A path, relative to the directory of the configuration.
fn file(value: &DeValue<'_>, directory: &Path) -> Read<PathBuf> {
    let path = string(value)?;
    if path.is_empty() || path.contains('\0') {
        return Err(Refused::new("is not a path", "write the path of a file"));
    }
    Ok(directory.join(path))
}

/// A host name (RFC 1123 §2.1).
fn hostname(value: &DeValue<'_>) -> Read<String> {
    let name = string(value)?;
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner)
    };
    if name.len() <= 255 && name.split('.').all(label) {
        Ok(name)
    } else {
        Err(Refused::new(
            format!("{name:?} is not a host name"),
            "write letters, digits and hyphens, with dots between: \"mail.example.org\"",
        ))
    }
}

/// Where mail is.
fn template(value: &DeValue<'_>) -> Read<MailTemplate> {
    const EXAMPLE: &str = "write for example \"/var/vmail/{domain}/{local}\"";
    let text = string(value)?;
    MailTemplate::parse(&text).map_err(|error| match error {
        TemplateError::Relative => Refused::new("must begin with /", EXAMPLE),
        TemplateError::Shared => Refused::new(
            "is the same for all users",
            "put {user}, or {domain} and {local}, into it",
        ),
        TemplateError::Unknown(word) => Refused::new(
            format!("holds {{{word}}}, which is not known"),
            "use {user}, {domain} or {local}",
        ),
        TemplateError::Brace => Refused::new("has a brace without its partner", EXAMPLE),
        TemplateError::Unsafe => Refused::new("holds .. or a control character", EXAMPLE),
    })
}

/// The prefix of mailbox names: empty, or a level and the separator.
fn prefix(value: &DeValue<'_>, separator: char) -> Read<String> {
    let prefix = string(value)?;
    let sound = prefix.is_empty()
        || prefix.strip_suffix(separator).is_some_and(|level| {
            !level.is_empty()
                && level
                    .chars()
                    .all(|c| c.is_ascii_graphic() && !"./~&%*\"\\".contains(c))
        });
    if sound {
        Ok(prefix)
    } else {
        Err(Refused::new(
            format!("{prefix:?} is not a prefix"),
            format!("write \"\", or a name and the separator: \"INBOX{separator}\""),
        ))
    }
}

/// A domain, or the empty string for none.
fn default_domain(value: &DeValue<'_>) -> Read<Option<String>> {
    let domain = string(value)?;
    if domain.is_empty() {
        return Ok(None);
    }
    match Name::parse("user", Some(&domain)) {
        Ok(_) if !domain.contains('@') => Ok(Some(domain.to_ascii_lowercase())),
        Ok(_) | Err(_) => Err(Refused::new(
            format!("{domain:?} is not a domain"),
            "write for example \"example.org\"",
        )),
    }
}

/// Whole seconds, from and to.
fn seconds(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_secs(from)..=Duration::from_secs(to)
}

/// What [`listener`] asks for, for files without one.
const LISTENER_KEYS: [&str; 4] = ["protocol", "address", "tls", "plaintext_auth"];

/// A day in seconds.
const DAY: u64 = 86_400;
