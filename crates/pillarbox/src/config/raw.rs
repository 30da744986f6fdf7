//! Tables as they are written, where that is not how [`Settings`] has them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use auth::name::TemplateError;
use auth::scram::{Hash, Iterations};
use auth::{MailTemplate, Name};
use imapd::extension::{Capabilities, Capability};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::settings::{self, Backend, ChangeNotices, DatabaseTls, Protocol, Settings, TlsMode};
use super::unit::{GIB, HOUR, KIB, MIB, MINUTE, SECOND};
use super::value::{Refused, addresses, duration, list, number, one_of, size, text};

/// The top of the file.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Top {
    #[serde(deserialize_with = "hostname")]
    pub(super) hostname: String,
    #[serde(deserialize_with = "template")]
    pub(super) mail: MailTemplate,
    #[serde(deserialize_with = "path")]
    pub(super) users: PathBuf,
    #[serde(deserialize_with = "path")]
    pub(super) certificate: PathBuf,
    #[serde(deserialize_with = "path")]
    pub(super) key: PathBuf,
    #[serde(deserialize_with = "optional_path")]
    pub(super) state_dir: Option<PathBuf>,
}

impl Default for Top {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            hostname: settings.hostname,
            mail: settings.mail,
            users: settings.users,
            certificate: settings.tls.certificate,
            key: settings.tls.key,
            state_dir: settings.state_dir,
        }
    }
}

/// One of `[[listeners]]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) protocol: Option<Protocol>,
    #[serde(deserialize_with = "addresses")]
    pub(super) address: Vec<SocketAddr>,
    pub(super) tls: TlsMode,
    pub(super) plaintext_auth: bool,
    #[serde(deserialize_with = "capabilities")]
    pub(super) hide: Capabilities,
}

/// `[capabilities]`, without the tables below it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Hidden {
    #[serde(deserialize_with = "capabilities")]
    pub(super) hide: Capabilities,
}

/// One of `[[capabilities.clients]]`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct HiddenFrom {
    #[serde(deserialize_with = "capabilities")]
    pub(super) hide: Capabilities,
    #[serde(deserialize_with = "ranges")]
    pub(super) addresses: Vec<IpNet>,
    #[serde(deserialize_with = "users")]
    pub(super) users: Vec<String>,
}

/// `[storage]`
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Storage {
    #[serde(with = "Fsync")]
    pub(super) fsync: mailstore::Fsync,
    #[serde(deserialize_with = "separator")]
    pub(super) separator: char,
    pub(super) prefix: String,
    pub(super) directory_names: DirectoryNames,
    #[serde(deserialize_with = "duration::<_, SECOND, { 10 * MINUTE }>")]
    pub(super) lock_timeout: Duration,
    pub(super) change_notices: ChangeNotices,
    #[serde(deserialize_with = "duration::<_, 100, MINUTE>")]
    pub(super) poll_interval: Duration,
    #[serde(deserialize_with = "duration::<_, 0, MINUTE>")]
    pub(super) mtime_guard: Duration,
    #[serde(deserialize_with = "size::<_, _, 0, { 64 * GIB }>")]
    pub(super) cache: usize,
}

impl Default for Storage {
    fn default() -> Self {
        let settings = settings::Storage::default();
        Self {
            fsync: settings.fsync,
            separator: settings.namespace.separator,
            prefix: settings.namespace.prefix,
            directory_names: DirectoryNames::Utf7,
            lock_timeout: settings.lock_timeout,
            change_notices: settings.change_notices,
            poll_interval: settings.poll_interval,
            mtime_guard: settings.mtime_guard,
            cache: settings.cache,
        }
    }
}

/// When data is forced to the disk.
#[derive(Deserialize)]
#[serde(remote = "mailstore::Fsync", rename_all = "lowercase")]
pub(super) enum Fsync {
    Optimized,
    Always,
    Never,
}

/// How names are written on disk.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DirectoryNames {
    Utf7,
    Utf8,
}

/// What becomes of an APPEND with octets of 8 bits in its header.
#[derive(Deserialize)]
#[serde(remote = "imapd::Utf8Headers", rename_all = "lowercase")]
pub(super) enum AppendedHeaders {
    Take,
    Refuse,
}

/// What a client that has not said UTF8 gets of a message with UTF-8 in its header.
#[derive(Deserialize)]
#[serde(remote = "pop3d::Utf8Headers", rename_all = "lowercase")]
pub(super) enum Utf8Headers {
    Send,
    Refuse,
}

/// Reads how POP3 unique-ids are made.
pub(super) fn uidl_format<'de, D>(from: D) -> Result<pop3d::UidlFormat, D::Error>
where
    D: Deserializer<'de>,
{
    use pop3d::{UidlFormat, UidlFormatError};

    let refused = |error: UidlFormatError| {
        let names = UidlFormat::NAMES.map(|(name, _)| name);
        let fix = match &error {
            UidlFormatError::Unknown(_) => {
                format!("{}, or a format like \"%08Xu%08Xv\"", one_of(&names))
            }
            UidlFormatError::Variable(_) | UidlFormatError::Incomplete => {
                "use %u, %v, %f, %g or %m, with X, L, U, M or a width after the %".to_owned()
            }
            UidlFormatError::Width => "write a width from 0 to 70".to_owned(),
            UidlFormatError::NoNumber => "write X first, and only with %u or %v".to_owned(),
            UidlFormatError::Constant => "put %u, %f, %g or %m into it".to_owned(),
            UidlFormatError::Text => {
                "use printable ASCII characters without blanks (RFC 1939)".to_owned()
            }
        };
        Refused::new(error.to_string(), fix)
    };
    text(from, |text| UidlFormat::parse(&text).map_err(refused))
}

/// `[accounts]`
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Accounts {
    pub(super) backend: Backend,
    pub(super) connection: String,
    #[serde(deserialize_with = "optional_path")]
    pub(super) password_file: Option<PathBuf>,
    pub(super) connection_tls: DatabaseTls,
    #[serde(deserialize_with = "path")]
    pub(super) connection_ca: PathBuf,
    pub(super) query: String,
    #[serde(deserialize_with = "duration::<_, 100, MINUTE>")]
    pub(super) timeout: Duration,
    #[serde(deserialize_with = "number::<_, _, 1, 1_000>")]
    pub(super) connections: usize,
    #[serde(deserialize_with = "duration::<_, 0, { 30 * 24 * HOUR }>")]
    pub(super) keep: Duration,
    #[serde(deserialize_with = "number::<_, _, 1, 10_000_000>")]
    pub(super) keep_accounts: usize,
    pub(super) mail_anywhere: bool,
}

impl Default for Accounts {
    fn default() -> Self {
        let settings = settings::Accounts::default();
        Self {
            backend: settings.backend,
            connection: settings.connection,
            password_file: settings.password_file,
            connection_tls: settings.tls,
            connection_ca: settings.tls_ca,
            query: settings.query,
            timeout: settings.timeout,
            connections: settings.connections,
            keep: settings.keep,
            keep_accounts: settings.keep_accounts,
            mail_anywhere: settings.mail_anywhere,
        }
    }
}

/// `[auth]`
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Auth {
    #[serde(deserialize_with = "domain")]
    pub(super) default_domain: Option<String>,
    #[serde(deserialize_with = "size::<_, _, { 8 * KIB }, GIB>")]
    pub(super) argon2_memory: u64,
    #[serde(deserialize_with = "number::<_, _, 1, 1_000>")]
    pub(super) argon2_passes: u32,
    #[serde(deserialize_with = "number::<_, _, 1, 255>")]
    pub(super) argon2_lanes: u32,
    #[serde(deserialize_with = "size::<_, _, MIB, { 1024 * GIB }>")]
    pub(super) verify_memory: u64,
    #[serde(deserialize_with = "duration::<_, 0, MINUTE>")]
    pub(super) failure_delay: Duration,
    #[serde(deserialize_with = "duration::<_, 0, MINUTE>")]
    pub(super) failure_jitter: Duration,
    #[serde(deserialize_with = "duration::<_, 0, { 10 * MINUTE }>")]
    pub(super) failure_delay_max: Duration,
    #[serde(deserialize_with = "duration::<_, MINUTE, { 24 * HOUR }>")]
    pub(super) failure_window: Duration,
    #[serde(deserialize_with = "duration::<_, 0, { 365 * 24 * HOUR }>")]
    pub(super) known_addresses: Duration,
    #[serde(deserialize_with = "number::<_, _, 256, 1_000_000>")]
    pub(super) failure_entries: usize,
    #[serde(deserialize_with = "duration::<_, 0, HOUR>")]
    pub(super) cache: Duration,
    pub(super) upgrade_hashes: bool,
    #[serde(deserialize_with = "hashes")]
    pub(super) scram: Vec<Hash>,
    #[serde(deserialize_with = "iterations")]
    pub(super) scram_iterations: Iterations,
}

impl Default for Auth {
    fn default() -> Self {
        let settings = settings::Auth::default();
        Self {
            default_domain: settings.default_domain,
            argon2_memory: u64::from(settings.cost.memory_kib()) << 10,
            argon2_passes: 2,
            argon2_lanes: 1,
            verify_memory: settings.verify_memory,
            failure_delay: settings.delays.first,
            failure_jitter: settings.delays.jitter,
            failure_delay_max: settings.delays.max,
            failure_window: settings.delays.window,
            known_addresses: settings.delays.known_for,
            failure_entries: settings.delays.entries,
            cache: settings.cache,
            upgrade_hashes: settings.upgrade_hashes,
            scram: settings.new_keys.hashes,
            scram_iterations: settings.new_keys.iterations,
        }
    }
}

/// Reads the names of capabilities.
fn capabilities<'de, D: Deserializer<'de>>(from: D) -> Result<Capabilities, D::Error> {
    const FIX: &str = "name capabilities that IMAP shows, like \"IDLE\"";
    let named = |name: &String| match Capability::from_name(name) {
        Some(capability) if capability.can_be_hidden() => Ok(capability),
        Some(capability) => {
            let problem = format!("has {}, which cannot be hidden", capability.name());
            Err(Refused::new(problem, "take it out"))
        }
        None => {
            let mut known = Capabilities::all().iter().map(Capability::name);
            let fix = known
                .find(|known| known.split('=').any(|part| part.eq_ignore_ascii_case(name)))
                .map_or(FIX.to_owned(), |known| format!("write {known:?}"));
            Err(Refused::new(
                format!("has {name:?}, which is not known"),
                fix,
            ))
        }
    };
    list(from, FIX, named)
}

/// Reads hash functions of SCRAM.
fn hashes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hash>, D::Error> {
    const FIX: &str =
        "write [\"sha-256\"], [\"sha-256\", \"sha-1\"] for old clients, or [] for none";
    list(from, FIX, |name| match name.as_str() {
        "sha-256" => Ok(Hash::Sha256),
        "sha-1" => Ok(Hash::Sha1),
        name => Err(Refused::new(
            format!("has {name:?}, which is not known"),
            FIX,
        )),
    })
}

/// Reads how often SCRAM hashes a password.
fn iterations<'de, D: Deserializer<'de>>(from: D) -> Result<Iterations, D::Error> {
    const LOW: u64 = Iterations::MIN as u64;
    const HIGH: u64 = Iterations::MAX as u64;
    let iterations: u32 = number::<_, _, LOW, HIGH>(from)?;
    Ok(Iterations::new(iterations).unwrap_or_default())
}

/// Reads a comment, or the empty string for none.
pub(super) fn comment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, |comment| match comment.len() {
        0 => Ok(None),
        1..=1024 => Ok(Some(comment)),
        _ => Err(Refused::new("is too long", "write at most 1024 octets")),
    })
}

/// Reads a URI, or the empty string for none (RFC 3986 §3).
pub(super) fn uri<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, |uri| {
        if uri.is_empty() {
            return Ok(None);
        }
        let is_scheme = |scheme: &str| {
            let mut octets = scheme.bytes();
            octets.next().is_some_and(|it| it.is_ascii_alphabetic())
                && octets.all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it))
        };
        let is_sound = uri.split_once(':').is_some_and(|(scheme, rest)| {
            is_scheme(scheme) && !rest.is_empty() && rest.bytes().all(|it| it.is_ascii_graphic())
        });
        if is_sound && uri.len() <= 1024 {
            return Ok(Some(uri));
        }
        Err(Refused::new(
            format!("{uri:?} is not a URI"),
            "write for example \"mailto:postmaster@example.org\"",
        ))
    })
}

/// Reads user names.
pub(super) fn users<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    const FIX: &str = "write for example \"ann@example.org\"";
    list(from, FIX, |user| match Name::parse(user, None) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(error) => Err(Refused::new(format!("has {user:?}: {error}"), FIX)),
    })
}

/// Reads ranges of addresses.
fn ranges<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    const FIX: &str = "write for example \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"";
    let range = |text: &String| {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let range = text.parse::<IpNet>().ok().or_else(|| address().ok());
        let problem = || format!("has {text:?}, which is no range of addresses");
        range.ok_or_else(|| Refused::new(problem(), FIX))
    };
    list(from, FIX, range)
}

/// Reads a path.
fn path<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    text(from, |path| {
        if path.is_empty() || path.contains('\0') {
            return Err(Refused::new("is not a path", "write the path of a file"));
        }
        Ok(PathBuf::from(path))
    })
}

/// Reads a path, or the empty string for none.
fn optional_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    text(from, |path| {
        if path.contains('\0') {
            return Err(Refused::new(
                "is not a path",
                "write a path, or \"\" for none",
            ));
        }
        Ok((!path.is_empty()).then(|| PathBuf::from(path)))
    })
}

/// Reads a host name (RFC 1123 §2.1).
fn hostname<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(inner)
    };
    text(from, |name| {
        if name.len() <= 255 && name.split('.').all(label) {
            return Ok(name);
        }
        Err(Refused::new(
            format!("{name:?} is not a host name"),
            "write letters, digits and hyphens, with dots between: \"mail.example.org\"",
        ))
    })
}

/// Reads where mail is.
fn template<'de, D: Deserializer<'de>>(from: D) -> Result<MailTemplate, D::Error> {
    const EXAMPLE: &str = "write for example \"/var/vmail/{domain}/{local}\"";
    let refused = |error| match error {
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
    };
    text(from, |text| MailTemplate::parse(&text).map_err(refused))
}

/// Reads a hierarchy separator.
fn separator<'de, D: Deserializer<'de>>(from: D) -> Result<char, D::Error> {
    text(from, |text| match text.as_str() {
        "/" => Ok('/'),
        "." => Ok('.'),
        text => Err(Refused::new(
            format!("{text:?} is not known"),
            one_of(&["/", "."]),
        )),
    })
}

/// Reads a domain, or the empty string for none.
fn domain<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text(from, |domain| {
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
    })
}
