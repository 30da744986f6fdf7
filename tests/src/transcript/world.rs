//! The surroundings of a transcript: mail on disk, users, settings, and the server or machines.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use auth::{Accounts, Credential, Identity, MailTemplate, Name, Origin, Verdict, prepare};
use imapd::extension::Capability;
use machine::{Link, PlaintextAuth, Security, Tls};
use mailstore::Store;
use tempfile::TempDir;

use super::Transport;
use super::client::{BareLine, Client, Line, NetworkLine};
use super::script::{self, Fate, Header, Mail, Protocol, User};
use super::tokens::Tokens;
use crate::bare::Bare;
use crate::server::{Server, TlsStart};

/// Everything around the dialogue.
#[derive(Debug)]
pub(super) struct World {
    security: Option<script::Security>,
    plaintext: PlaintextAuth,
    users: Arc<Vec<User>>,
    settings: pillarbox::Settings,
    tokens: Tokens,
    service: Service,
    /// Base names of delivered files, by mailbox and in order.
    delivered: Vec<(String, String)>,
    lock: Option<File>,
    dir: TempDir,
}

/// What the clients talk to.
#[derive(Debug)]
enum Service {
    /// Machines on this store.
    Bare(Arc<Store>),
    /// A server, over TCP or TLS.
    Network(Server, TlsStart),
}

impl World {
    /// Makes the mail that a transcript wants, and what serves it.
    pub(super) fn new(header: &Header, transport: Transport) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let users = Arc::new(header.users.clone());
        let plaintext = if header.plaintext_refused {
            PlaintextAuth::Refused
        } else {
            PlaintextAuth::Allowed
        };
        let mut settings = settings(header, dir.path())?;
        let tokens = Tokens::new(header, &mut settings)?;
        let start = match (transport, header.security) {
            (Transport::Tls, _) => TlsStart::AtOnce,
            (_, Some(script::Security::StartTls)) => TlsStart::OnDemand,
            _ => TlsStart::Never,
        };
        let service = match transport {
            Transport::Bare => Service::Bare(settings.open_store(&pillarbox::Source::system())),
            Transport::Tcp | Transport::Tls => {
                let accounts = Accounts::File(users_file(dir.path(), &users)?);
                Service::Network(Server::start(settings.clone(), plaintext, accounts)?, start)
            }
        };
        let mut world = Self {
            security: header.security,
            plaintext,
            users,
            settings,
            tokens,
            service,
            delivered: Vec::new(),
            lock: None,
            dir,
        };
        for mail in &header.mail {
            world.deliver(mail)?;
        }
        Ok(world)
    }

    /// Connects a client.
    pub(super) fn connect(&self, protocol: Protocol) -> Result<Client> {
        let line: Box<dyn Line> = match &self.service {
            Service::Network(server, start) => {
                let spoken = match protocol {
                    Protocol::Pop3 => pillarbox::config::Protocol::Pop3,
                    Protocol::Imap => pillarbox::config::Protocol::Imap,
                };
                Box::new(NetworkLine(server.connect(spoken, *start)?))
            }
            Service::Bare(store) => self.bare(store, protocol)?,
        };
        Ok(Client::new(line, protocol))
    }

    /// Puts messages into a mailbox as a delivery agent does, making it if need be.
    pub(super) fn deliver(&mut self, mail: &Mail) -> Result<()> {
        let maildir = self.maildir(&mail.mailbox)?;
        for directory in ["cur", "new", "tmp"] {
            fs::create_dir_all(maildir.join(directory))?;
        }
        if maildir != self.root() {
            fs::write(maildir.join("maildirfolder"), "")?;
        }
        let Some(message) = &mail.message else {
            return Ok(());
        };
        for _ in 0..mail.times {
            let number = self.delivered.len() + 1;
            let base = format!("{}.M{number:06}P1.test", 1_700_000_000 + number);
            let temporary = maildir.join("tmp").join(&base);
            fs::write(&temporary, message)?;
            if let Some(date) = mail.date {
                let date = SystemTime::UNIX_EPOCH + Duration::from_secs(date);
                File::options()
                    .append(true)
                    .open(&temporary)?
                    .set_modified(date)?;
            }
            let place = match &mail.flags {
                Some(flags) => maildir.join("cur").join(format!("{base}:2,{flags}")),
                None => maildir.join("new").join(&base),
            };
            fs::rename(temporary, place)?;
            self.delivered.push((mail.mailbox.clone(), base));
        }
        self.look();
        Ok(())
    }

    /// Removes the file of a message.
    pub(super) fn remove(&self, mailbox: &str, number: usize) -> Result<()> {
        fs::remove_file(self.file(mailbox, number)?)?;
        self.look();
        Ok(())
    }

    /// Sets the flags in the name of a message's file.
    pub(super) fn set_flags(&self, mailbox: &str, number: usize, flags: &str) -> Result<()> {
        let base = self.base(mailbox, number)?;
        let place = self
            .maildir(mailbox)?
            .join("cur")
            .join(format!("{base}:2,{flags}"));
        fs::rename(self.file(mailbox, number)?, place)?;
        self.look();
        Ok(())
    }

    /// Takes the lock of a mailbox, as another process would.
    pub(super) fn lock(&mut self, mailbox: &str) -> Result<()> {
        let path = self.maildir(mailbox)?.join("pillarbox.lock");
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| path.display().to_string())?;
        file.lock()?;
        self.lock = Some(file);
        Ok(())
    }

    /// Releases the lock.
    pub(super) fn unlock(&mut self) {
        self.lock = None;
    }

    /// How many message files a mailbox has.
    pub(super) fn files(&self, mailbox: &str) -> Result<usize> {
        let maildir = self.maildir(mailbox)?;
        let mut count = 0;
        for directory in ["cur", "new"] {
            count += fs::read_dir(maildir.join(directory))?.count();
        }
        Ok(count)
    }

    /// The first user, whose mail all directives are about.
    pub(super) fn first_user(&self) -> Result<&User> {
        self.users.first().context("no user")
    }

    /// Looks for what other programs did, as the server does every poll interval.
    fn look(&self) {
        if let Service::Bare(store) = &self.service {
            store.poll();
        }
    }

    /// The first user's Maildir++ tree.
    fn root(&self) -> PathBuf {
        let name = self.users.first().map(|user| user.name.as_str());
        mail_root(self.dir.path(), name.unwrap_or_default())
    }

    /// The directory of a mailbox.
    fn maildir(&self, mailbox: &str) -> Result<PathBuf> {
        let namespace = &self.settings.storage.namespace;
        let name = namespace
            .parse(mailbox.as_bytes())
            .with_context(|| mailbox.to_owned())?;
        Ok(self.root().join(namespace.directory(&name)))
    }

    /// The base name of the n-th message delivered to a mailbox.
    fn base(&self, mailbox: &str, number: usize) -> Result<&str> {
        self.delivered
            .iter()
            .filter(|(delivered_to, _)| delivered_to == mailbox)
            .nth(number.checked_sub(1).context("counted from 1")?)
            .map(|(_, base)| base.as_str())
            .context("not delivered")
    }

    /// The file of the n-th message delivered to a mailbox, wherever it is.
    fn file(&self, mailbox: &str, number: usize) -> Result<PathBuf> {
        let base = self.base(mailbox, number)?;
        let maildir = self.maildir(mailbox)?;
        for directory in ["new", "cur"] {
            for entry in fs::read_dir(maildir.join(directory))? {
                let entry = entry?;
                if entry.file_name().to_string_lossy().starts_with(base) {
                    return Ok(entry.path());
                }
            }
        }
        bail!("the file of message {number} is gone");
    }

    /// Connects to a bare machine.
    fn bare(&self, store: &Arc<Store>, protocol: Protocol) -> Result<Box<dyn Line>> {
        let now = pillarbox::Source::system().now();
        let (users, root) = (Arc::clone(&self.users), self.dir.path().to_owned());
        let tokens = self.tokens.authenticator(&self.settings, &root, &users)?;
        let offer = tokens.offer();
        let check = move |credential: Credential| match credential {
            Credential::Password(_) => verdict(&users, &root, &credential),
            Credential::Token(..) | Credential::Scram(_) => {
                let origin = Origin {
                    address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                };
                tokens.verify(&credential, origin, now.instant).verdict
            }
        };
        let security = match self.security {
            None | Some(script::Security::Clear) => Security::Clear,
            Some(script::Security::StartTls) => Security::StartTlsOffered,
            Some(script::Security::Tls) => Security::Tls,
        };
        let link = |waker| Link {
            security,
            plaintext_auth: self.plaintext,
            tls: Tls::default(),
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            waker,
        };
        match protocol {
            Protocol::Pop3 => {
                let settings = Arc::new(pop3d::Settings {
                    mechanisms: offer,
                    ..self.settings.pop3(store)
                });
                let bare = Bare::new(now, check, |waker| {
                    pop3d::Session::new(settings, link(waker), now)
                });
                Ok(Box::new(BareLine::new(bare)))
            }
            Protocol::Imap => {
                let settings = Arc::new(imapd::Settings {
                    mechanisms: offer,
                    ..self.settings.imap(store)
                });
                let bare = Bare::new(now, check, |waker| {
                    imapd::Session::new(settings, link(waker), now)
                });
                Ok(Box::new(BareLine::new(bare)))
            }
        }
    }
}

/// Writes the users file of a server. The passwords stand there as they are, so that a login costs
/// nothing.
pub(super) fn users_file(dir: &Path, users: &[User]) -> Result<PathBuf> {
    let path = dir.join("users");
    let line = |user: &User| format!("{}:{{PLAIN}}{}::::::\n", user.name, user.password);
    fs::write(&path, users.iter().map(line).collect::<String>())?;
    Ok(path)
}

/// Stands in for the users file on the bare machine.
fn verdict(users: &[User], root: &Path, credential: &Credential) -> Verdict {
    let name = |name: &str| Name::parse(name, None).ok();
    let Credential::Password(claim) = credential else {
        return Verdict::Unavailable;
    };
    let (claimed, password) = (name(&claim.user), prepare::password(&claim.password));
    let known = users.iter().find(|user| {
        name(&user.name) == claimed
            && password
                .as_ref()
                .is_ok_and(|password| user.password.as_bytes() == password.expose())
    });
    let Some(user) = known else {
        return Verdict::Denied;
    };
    if claim
        .acting_as
        .as_ref()
        .is_some_and(|other| name(other) != claimed)
    {
        return Verdict::Denied;
    }
    match user.fate {
        Fate::Granted => Verdict::Granted(Identity {
            name: user.name.clone(),
            mail: mail_root(root, &user.name),
        }),
        Fate::Unavailable => Verdict::Unavailable,
        Fate::TooManySessions => Verdict::TooManySessions,
    }
}

/// Where the mail of a user is.
fn mail_root(dir: &Path, user: &str) -> PathBuf {
    dir.join("mail").join(user)
}

/// The settings that a transcript wants: those of a server, with what it sets by name.
fn settings(header: &Header, dir: &Path) -> Result<pillarbox::Settings> {
    let mut settings = pillarbox::Settings {
        hostname: "dewey.example".to_owned(),
        mail: MailTemplate::parse(&format!("{}/mail/{{user}}", dir.display()))?,
        mailboxes: pillarbox::config::Mailboxes::none(),
        ..pillarbox::Settings::default()
    };
    settings.auth.delays = auth::throttle::Delays::NONE;
    settings.storage.fsync = mailstore::Fsync::Never;
    settings.storage.lock_timeout = Duration::from_millis(100);
    settings.storage.poll_interval = Duration::from_millis(50);
    for (name, value) in &header.settings {
        match name.as_str() {
            "hostname" => settings.hostname.clone_from(value),
            "bad-commands" => settings.limits.bad_commands = value.parse()?,
            "sharing" => settings.sharing.prefix.clone_from(value),
            "notify-mailboxes" => settings.limits.notify_mailboxes = value.parse()?,
            "message-limit" => settings.limits.message = value.parse()?,
            "quota-storage" => settings.quota.limits.storage = Some(value.parse()?),
            "quota-messages" => settings.quota.limits.messages = Some(value.parse()?),
            "quota-recheck" => {
                settings.quota.recheck = Duration::from_millis(value.parse()?);
            }
            "quota-administrator" => settings.quota.administrators.push(value.clone()),
            "hide" => {
                let named = |name| Capability::from_name(name).with_context(|| name.to_owned());
                let names = value.split(' ').map(named);
                settings.capabilities.push(imapd::Hidden {
                    capabilities: names.collect::<Result<_>>()?,
                    ..imapd::Hidden::default()
                });
            }
            "separator" => {
                settings.storage.namespace.separator = value.parse()?;
            }
            "prefix" => settings.storage.namespace.prefix.clone_from(value),
            "metadata-value" => settings.limits.metadata_value = value.parse()?,
            "metadata-entries" => settings.limits.metadata_entries = value.parse()?,
            "metadata-comment" => settings.imap.comment = Some(value.clone()),
            "metadata-admin" => settings.imap.admin = Some(value.clone()),
            "special-mailboxes" => settings.mailboxes.create = value == "create",
            "special-names" => {
                let (special_use, names) = value.split_once(' ').context("a use and names")?;
                let names = names.split(',').map(str::to_owned).collect();
                match special_use {
                    "drafts" => settings.mailboxes.drafts = names,
                    "sent" => settings.mailboxes.sent = names,
                    "trash" => settings.mailboxes.trash = names,
                    _ => bail!("drafts, sent or trash"),
                }
            }
            "append-utf8-headers" => {
                settings.imap.utf8_headers = match value.as_str() {
                    "take" => imapd::Utf8Headers::Take,
                    "refuse" => imapd::Utf8Headers::Refuse,
                    _ => bail!("take or refuse"),
                };
            }
            "utf8-headers" => {
                settings.pop3.utf8_headers = match value.as_str() {
                    "send" => pop3d::Utf8Headers::Send,
                    "refuse" => pop3d::Utf8Headers::Refuse,
                    _ => bail!("send or refuse"),
                };
            }
            "token" => {}
            "oauth-scope" => settings.oauth.scope.push(value.clone()),
            "oauth-host" => settings.oauth.hosts.push(value.clone()),
            "openid-configuration" => {
                settings.oauth.openid_configuration = Some(value.clone());
            }
            _ => bail!("no such setting: {name}"),
        }
    }
    Ok(settings)
}
