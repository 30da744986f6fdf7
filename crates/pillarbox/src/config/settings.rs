//! Everything that can be set, checked, with its default.

mod accounts;
mod log;
mod mailboxes;
mod oauth;
mod quota;
mod sharing;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use auth::MailTemplate;
use auth::password::Cost;
use auth::scram::NewKeys;
use auth::throttle::Delays;
use imapd::extension::Capabilities;
use serde::Deserialize;

use super::raw;
use super::unit::{GIB, HOUR, KIB, MIB, MINUTE, SECOND};
use super::value::{duration, number, size};

pub use accounts::{Accounts, Backend, DatabaseTls};
pub use log::{Log, LogFormat, LogLevel};
pub use mailboxes::Mailboxes;
pub(crate) use mailboxes::without_prefix;
pub use oauth::{OAuth, Place};
pub use quota::Quota;
pub use sharing::Sharing;

/// Everything that can be set, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name of this server in greetings and in the names of new files.
    pub hostname: String,
    /// Where the mail of a user is.
    pub mail: MailTemplate,
    /// The users file.
    pub users: PathBuf,
    /// Where the accounts are, if not there.
    pub accounts: Accounts,
    /// The certificate and its key; looked at only if a listener [needs](Self::needs_tls) them.
    pub tls: Tls,
    /// Where failed logins are kept over restarts, if they are.
    pub state_dir: Option<PathBuf>,
    /// Where to listen, one entry per address.
    pub listeners: Vec<Listener>,
    /// What is hidden from IMAP clients.
    pub capabilities: Vec<imapd::Hidden>,
    /// Sizes and counts.
    pub limits: Limits,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How mail is kept.
    pub storage: Storage,
    /// What mailboxes are for.
    pub mailboxes: Mailboxes,
    /// How much accounts may hold.
    pub quota: Quota,
    /// How users get to mailboxes of others.
    pub sharing: Sharing,
    /// What is particular to IMAP.
    pub imap: Imap,
    /// What is particular to POP3.
    pub pop3: Pop3,
    /// How logins are checked.
    pub auth: Auth,
    /// How tokens of OAuth are checked.
    pub oauth: OAuth,
    /// What is logged.
    pub log: Log,
}

impl Settings {
    /// Whether any listener uses TLS.
    pub fn needs_tls(&self) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.tls != TlsMode::None)
    }

    /// How the accounts of the users file are authenticated.
    pub fn authentication(&self) -> auth::Options {
        auth::Options {
            accounts: auth::Accounts::File(self.users.clone()),
            default_domain: self.auth.default_domain.clone(),
            mail: self.mail.clone(),
            cost: self.auth.cost.clone(),
            memory: self.auth.verify_memory,
            delays: self.auth.delays,
            cache: self.auth.cache,
            upgrade_hashes: self.auth.upgrade_hashes,
            log_unknown_users: self.log.unknown_users,
            new_keys: self.auth.new_keys.clone(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a constant that the tests parse")]
        let mail = MailTemplate::parse(DEFAULT_MAIL).expect("the default is a template");
        Self {
            hostname: "localhost".to_owned(),
            mail,
            users: PathBuf::from("/etc/pillarbox/users"),
            accounts: Accounts::default(),
            tls: Tls::default(),
            state_dir: Some(PathBuf::from("/var/lib/pillarbox")),
            listeners: Listener::defaults(),
            capabilities: Vec::new(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            storage: Storage::default(),
            mailboxes: Mailboxes::default(),
            quota: Quota::default(),
            sharing: Sharing::default(),
            imap: Imap::default(),
            pop3: Pop3::default(),
            auth: Auth::default(),
            oauth: OAuth::default(),
            log: Log::default(),
        }
    }
}

/// The files that TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: PathBuf::from("/etc/pillarbox/certificate.pem"),
            key: PathBuf::from("/etc/pillarbox/key.pem"),
        }
    }
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// The address; an IPv6 one never takes IPv4 connections.
    pub address: SocketAddr,
    /// Whether and how TLS begins.
    pub tls: TlsMode,
    /// Whether a password may be sent without TLS.
    pub plaintext_auth: PlaintextAuth,
    /// What is hidden from IMAP clients that come here.
    pub hide: Capabilities,
}

impl Listener {
    /// Ports 110, 143, 993 and 995, on IPv4 and IPv6.
    pub fn defaults() -> Vec<Self> {
        let ports = [
            (Protocol::Imap, 143, TlsMode::StartTls),
            (Protocol::Imap, 993, TlsMode::Implicit),
            (Protocol::Pop3, 110, TlsMode::StartTls),
            (Protocol::Pop3, 995, TlsMode::Implicit),
        ];
        let hosts = [
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from(Ipv6Addr::UNSPECIFIED),
        ];
        ports
            .into_iter()
            .flat_map(|(protocol, port, tls)| {
                hosts.into_iter().map(move |host| Self {
                    protocol,
                    address: SocketAddr::new(host, port),
                    tls,
                    plaintext_auth: PlaintextAuth::Refused,
                    hide: Capabilities::NONE,
                })
            })
            .collect()
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP4rev1 (RFC 3501).
    Imap,
    /// POP3 (RFC 1939).
    Pop3,
}

impl Protocol {
    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }
}

/// Whether and how TLS begins on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// In the clear, until the client asks for TLS with STARTTLS or STLS (RFC 2595).
    #[default]
    StartTls,
    /// From the first byte (RFC 8314 §3).
    Implicit,
    /// Never.
    None,
}

impl TlsMode {
    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Implicit => "implicit",
            Self::None => "none",
        }
    }
}

/// Whether a password may be sent without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlaintextAuth {
    /// No: LOGINDISABLED, and no USER in CAPA.
    #[default]
    Refused,
    /// Yes.
    Allowed,
}

/// Sizes in octets, and counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The longest command line before login.
    #[serde(deserialize_with = "size::<_, _, KIB, { 64 * KIB }>")]
    pub line_before_login: usize,
    /// The longest literal before login.
    #[serde(deserialize_with = "size::<_, _, KIB, { 64 * KIB }>")]
    pub literal_before_login: usize,
    /// All arguments of a command together before login.
    #[serde(deserialize_with = "size::<_, _, KIB, MIB>")]
    pub arguments_before_login: usize,
    /// The longest command line after login.
    #[serde(deserialize_with = "size::<_, _, { 8 * KIB }, MIB>")]
    pub line: usize,
    /// All arguments of a command together after login, but the message of APPEND.
    #[serde(deserialize_with = "size::<_, _, { 64 * KIB }, { 64 * MIB }>")]
    pub arguments: usize,
    /// Levels of parentheses and of search keys.
    #[serde(deserialize_with = "number::<_, _, 10, 1_000>")]
    pub nesting: usize,
    /// The largest message that APPEND takes.
    #[serde(deserialize_with = "size::<_, _, { 64 * KIB }, { 4 * GIB }>")]
    pub message: u64,
    /// Messages that one APPEND takes.
    #[serde(deserialize_with = "number::<_, _, 1, 1_000_000>")]
    pub messages: usize,
    /// Identifiers that have rights to one mailbox.
    #[serde(deserialize_with = "number::<_, _, 1, 100_000>")]
    pub acl_entries: usize,
    /// Mailboxes that NOTIFY watches for one session.
    #[serde(deserialize_with = "number::<_, _, 1, 1_000_000>")]
    pub notify_mailboxes: usize,
    /// The largest value of an annotation.
    #[serde(deserialize_with = "size::<_, _, KIB, MIB>")]
    pub metadata_value: usize,
    /// Annotations of one mailbox.
    #[serde(deserialize_with = "number::<_, _, 10, 10_000>")]
    pub metadata_entries: usize,
    /// All annotations of an account.
    #[serde(deserialize_with = "size::<_, _, { 64 * KIB }, { 8 * MIB }>")]
    pub metadata: usize,
    /// Sessions of one user from one address.
    #[serde(deserialize_with = "number::<_, _, 1, 100_000>")]
    pub sessions_per_user: usize,
    /// Connections in all.
    #[serde(deserialize_with = "number::<_, _, 1, 1_000_000>")]
    pub connections: usize,
    /// Bad commands and failed logins before login, until the connection is closed.
    #[serde(deserialize_with = "number::<_, _, 1, 1_000>")]
    pub bad_commands: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_before_login: 8 << 10,
            literal_before_login: 8 << 10,
            arguments_before_login: 64 << 10,
            line: 64 << 10,
            arguments: 1 << 20,
            nesting: 100,
            message: 50 << 20,
            messages: 10_000,
            acl_entries: 1000,
            notify_mailboxes: 1000,
            metadata_value: 64 << 10,
            metadata_entries: 100,
            metadata: 1 << 20,
            sessions_per_user: 20,
            connections: 20_000,
            bad_commands: 10,
        }
    }
}

/// How long to wait.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Timeouts {
    /// From connecting to having logged in, in all.
    #[serde(deserialize_with = "duration::<_, SECOND, HOUR>")]
    pub login: Duration,
    /// For the TLS handshake.
    #[serde(deserialize_with = "duration::<_, SECOND, { 10 * MINUTE }>")]
    pub handshake: Duration,
    /// For the next IMAP command after login (RFC 3501 §5.4 wants 30 minutes at least).
    #[serde(deserialize_with = "duration::<_, SECOND, { 24 * HOUR }>")]
    pub imap_idle: Duration,
    /// For the next POP3 command after login (RFC 1939 §3 wants 10 minutes at least).
    #[serde(deserialize_with = "duration::<_, SECOND, { 24 * HOUR }>")]
    pub pop3_idle: Duration,
    /// For the peer to take bytes that are ready for it.
    #[serde(deserialize_with = "duration::<_, SECOND, HOUR>")]
    pub write: Duration,
    /// Between two signs of life during IDLE (RFC 2177).
    #[serde(deserialize_with = "duration::<_, SECOND, { 29 * MINUTE }>")]
    pub keepalive: Duration,
    /// For sessions to end when the server stops.
    #[serde(deserialize_with = "duration::<_, 0, { 10 * MINUTE }>")]
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(180),
            handshake: Duration::from_secs(30),
            imap_idle: Duration::from_mins(30),
            pop3_idle: Duration::from_mins(10),
            write: Duration::from_mins(5),
            keepalive: Duration::from_mins(2),
            shutdown: Duration::from_secs(10),
        }
    }
}

/// How mail is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// When data is forced to the disk.
    pub fsync: mailstore::Fsync,
    /// Prefix, hierarchy separator and encoding of mailbox names.
    pub namespace: mailstore::Namespace,
    /// How long to wait for another process's lock.
    pub lock_timeout: Duration,
    /// How changes by other programs are found.
    pub change_notices: ChangeNotices,
    /// How often to look for changes by other programs where the kernel does not tell of them.
    pub poll_interval: Duration,
    /// A directory modified less than this before a scan may still change unseen.
    pub mtime_guard: Duration,
    /// Octets of mailboxes that nobody has open and that stay in memory.
    pub cache: usize,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            fsync: mailstore::Fsync::Optimized,
            namespace: mailstore::Namespace::default(),
            lock_timeout: Duration::from_secs(10),
            change_notices: ChangeNotices::Auto,
            poll_interval: Duration::from_secs(1),
            mtime_guard: Duration::from_secs(1),
            cache: 64 << 20,
        }
    }
}

/// How changes by other programs are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeNotices {
    /// The kernel tells of them where it can; else by polling.
    #[default]
    Auto,
    /// By polling only.
    Poll,
}

/// What is particular to IMAP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Imap {
    /// What becomes of an APPEND with octets of 8 bits in its header, by a client that has not
    /// enabled UTF-8.
    #[serde(with = "raw::AppendedHeaders")]
    pub utf8_headers: imapd::Utf8Headers,
    /// A comment about the server (METADATA, RFC 5464).
    #[serde(deserialize_with = "raw::comment")]
    pub comment: Option<String>,
    /// A URI by which users reach the administrator (METADATA, RFC 5464).
    #[serde(deserialize_with = "raw::uri")]
    pub admin: Option<String>,
}

/// What is particular to POP3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pop3 {
    /// What a client that has not said UTF8 gets of a message with UTF-8 in its header.
    #[serde(with = "raw::Utf8Headers")]
    pub utf8_headers: pop3d::Utf8Headers,
    /// How unique-ids are made where no other server has given one.
    #[serde(deserialize_with = "raw::uidl_format")]
    pub uidl_format: pop3d::UidlFormat,
}

/// How logins are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The domain of names that have none.
    pub default_domain: Option<String>,
    /// What a new argon2id hash costs.
    pub cost: Cost,
    /// Memory of all verifications that run at once, in octets.
    pub verify_memory: u64,
    /// When failed logins are answered.
    pub delays: Delays,
    /// How long a right password is remembered; zero is not at all.
    pub cache: Duration,
    /// Whether a login gets a new hash in the users file if its old one costs less.
    pub upgrade_hashes: bool,
    /// Which keys for SCRAM are made of new passwords, and which mechanisms are offered.
    pub new_keys: NewKeys,
}

impl Auth {
    /// How many verifications may run at once on a machine with `cores`: twice as many, as long
    /// as their memory suffices, and at least one (S25).
    pub fn parallel(&self, cores: usize) -> usize {
        let fit = self.verify_memory / (u64::from(self.cost.memory_kib()) << 10).max(1);
        usize::try_from(fit)
            .unwrap_or(usize::MAX)
            .clamp(1, cores.saturating_mul(2).max(1))
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            default_domain: None,
            cost: Cost::default(),
            verify_memory: 256 << 20,
            delays: Delays::default(),
            cache: Duration::from_mins(1),
            upgrade_hashes: false,
            new_keys: NewKeys::default(),
        }
    }
}

/// Where mail is if nothing is said.
const DEFAULT_MAIL: &str = "/var/vmail/{domain}/{local}";
