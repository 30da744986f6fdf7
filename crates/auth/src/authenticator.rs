//! The one place where a [`Credential`] becomes a [`Verdict`].

mod memory;
mod upgrade;

use std::collections::HashMap;
use std::fmt;
use std::fs::Metadata;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use crate::budget::Budget;
use crate::cache::Cache;
use crate::password::{Cost, HashingFailed, Stored};
use crate::throttle::{Delays, Keeper, Throttle};
use crate::users::{LoadError, Users};
use crate::{Credential, Identity, MailTemplate, Name, Origin, Secret, Verdict, prepare};

/// How an [`Authenticator`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who has an account.
    pub accounts: Accounts,
    /// The domain of names that have none.
    pub default_domain: Option<String>,
    /// Where the mail of an account is.
    pub mail: MailTemplate,
    /// What an unknown user costs as long as the users file is empty.
    pub cost: Cost,
    /// Memory of all verifications at once, in octets; more wait. One that needs more by itself
    /// runs alone.
    pub memory: u64,
    /// How failures are delayed.
    pub delays: Delays,
    /// How long a right password is remembered; zero is not at all.
    pub cache: Duration,
    /// Whether a login whose hash costs less than `cost`, or is not argon2id, gets a new hash in
    /// the users file.
    pub upgrade_hashes: bool,
}

/// Who has an account.
#[derive(Clone, Debug)]
pub enum Accounts {
    /// Whoever is in this users file.
    File(PathBuf),
    /// These, and anybody else: the first login of a name makes its account, with its password for
    /// as long as the process runs. For `pillarbox dev` and for tests.
    Open(Vec<(String, Secret)>),
}

/// What came of checking a credential, and when to say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// How long to wait before it is answered.
    pub delay: Duration,
}

/// Checks credentials. Shared by all connections.
pub struct Authenticator {
    accounts: Backend,
    default_domain: Option<String>,
    mail: MailTemplate,
    /// What an unknown user is checked against while there is no known one.
    decoy: Stored,
    /// What outdated hashes are replaced by, if they are.
    upgrade_to: Option<Cost>,
    /// Chooses the known user that an unknown one is checked against.
    chooser: RandomState,
    cache: Cache,
    memory: Budget,
    throttle: Mutex<Throttle>,
    /// Where failures are kept over restarts, if they are.
    keeper: Mutex<Option<Keeper>>,
    random: Random,
}

/// A source of random numbers.
type Random = Box<dyn Fn() -> u64 + Send + Sync>;

/// [`Accounts`] at work.
enum Backend {
    /// A users file.
    File {
        path: PathBuf,
        loaded: RwLock<Loaded>,
    },
    /// The accounts made so far.
    Open(Mutex<HashMap<Name, Secret>>),
}

/// A users file as it was when it was last looked at.
struct Loaded {
    users: Arc<Users>,
    stamp: Option<Stamp>,
}

/// Tells a changed file from an unchanged one: device, inode, length and time of modification.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, u64, u64, i64, i64);

impl Authenticator {
    /// Reads the accounts. `random` must not be foreseeable, but in tests.
    ///
    /// # Errors
    /// If the users file cannot be read or is malformed.
    pub fn new(
        options: Options,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Self, LoadError> {
        let domain = options.default_domain.as_deref();
        let accounts = match options.accounts {
            Accounts::File(path) => {
                let stamp = Stamp::of(&path);
                let users = Arc::new(Users::load(&path, domain)?);
                let loaded = RwLock::new(Loaded { users, stamp });
                Backend::File { path, loaded }
            }
            Accounts::Open(known) => Backend::Open(Mutex::new(
                known
                    .into_iter()
                    .filter_map(|(name, secret)| {
                        let secret = prepare::password(&secret).ok()?;
                        Some((Name::parse(&name, domain).ok()?, secret))
                    })
                    .collect(),
            )),
        };
        Ok(Self {
            accounts,
            decoy: options.cost.decoy(&random),
            upgrade_to: options.upgrade_hashes.then_some(options.cost),
            chooser: RandomState::new(),
            cache: Cache::new(options.cache, &random),
            memory: Budget::new(options.memory >> 10),
            throttle: Mutex::new(Throttle::new(options.delays, &random)),
            keeper: Mutex::default(),
            random: Box::new(random),
            default_domain: options.default_domain,
            mail: options.mail,
        })
    }

    /// Checks a credential. Takes as long as its hash takes, so it belongs on a thread that may
    /// block; the caller waits for [`Outcome::delay`] itself.
    ///
    /// An unknown user, a name that can never exist and a wrong password cost the same and get the
    /// same verdict (S24).
    pub fn verify(&self, credential: &Credential, origin: Origin, now: Instant) -> Outcome {
        let account = self.account(&credential.user);
        let Some(wait) = self.throttle().begin(&account, origin.address, now) else {
            // Too many attempts from there: not looked at, and so not a guess.
            return Outcome {
                verdict: Verdict::Unavailable,
                delay: MIN_DELAY_WHEN_BUSY,
            };
        };
        match self.judge(credential, now) {
            Ok(Some(identity)) => {
                self.throttle().succeeded(&account, origin.address, now);
                Outcome {
                    verdict: Verdict::Granted(identity),
                    delay: wait,
                }
            }
            Ok(None) => Outcome {
                verdict: Verdict::Denied,
                delay: self
                    .throttle()
                    .failed(&account, origin.address, now, (self.random)())
                    .max(wait),
            },
            Err(HashingFailed) => {
                tracing::error!("password could not be hashed: not enough memory");
                Outcome {
                    verdict: Verdict::Unavailable,
                    delay: wait,
                }
            }
        }
    }

    /// What failures for `user` are counted under: the canonical name, if it can be one.
    fn account(&self, user: &str) -> String {
        Name::parse(user, self.default_domain.as_deref())
            .map_or_else(|_| user.to_owned(), |name| name.as_str().to_owned())
    }

    /// Reads the users file again, and forgets remembered logins.
    ///
    /// A changed file is also noticed by itself, at the next login.
    ///
    /// # Errors
    /// If it cannot be read or is malformed; then the accounts stay as they were.
    pub fn reload(&self) -> Result<(), LoadError> {
        let Backend::File { path, loaded } = &self.accounts else {
            return Ok(());
        };
        // The stamp is taken first: a change while reading is then noticed at the next login.
        let stamp = Stamp::of(path);
        let users = Users::load(path, self.default_domain.as_deref());
        let mut loaded = loaded.write().unwrap_or_else(PoisonError::into_inner);
        loaded.stamp = stamp;
        loaded.users = Arc::new(users?);
        drop(loaded);
        self.cache.clear();
        Ok(())
    }

    /// Who this is, if they are.
    fn judge(
        &self,
        credential: &Credential,
        now: Instant,
    ) -> Result<Option<Identity>, HashingFailed> {
        let domain = self.default_domain.as_deref();
        let name = Name::parse(&credential.user, domain).ok();
        let mail = name.as_ref().and_then(|name| self.mail.expand(name));
        let forms = Forms::of(&credential.password);
        let right = match &self.accounts {
            Backend::File { path, loaded } => {
                let users = self.users(path, loaded);
                let right = self.check(&users, name.as_ref(), credential, &forms, now)?;
                if right
                    && let Some(name) = &name
                    && let Some(old) = users.get(name)
                {
                    self.upgrade(path, name, old, forms.first());
                }
                right
            }
            Backend::Open(known) => name
                .as_ref()
                .filter(|_| mail.is_some())
                .is_some_and(|name| forms.may_match && welcome(known, name, forms.first())),
        };
        let Some((name, mail)) = name.zip(mail) else {
            return Ok(None);
        };
        // RFC 4616 §2: nobody may act as somebody else.
        let themselves = credential
            .acting_as
            .as_ref()
            .is_none_or(|other| Name::parse(other, domain).is_ok_and(|other| other == name));
        Ok((right && themselves).then(|| Identity {
            name: name.as_str().to_owned(),
            mail,
        }))
    }

    /// Whether the password is the one of `name`. The same work is done whether there is such a
    /// user or not.
    fn check(
        &self,
        users: &Users,
        name: Option<&Name>,
        credential: &Credential,
        forms: &Forms<'_>,
        now: Instant,
    ) -> Result<bool, HashingFailed> {
        let known = name.and_then(|name| Some((name, users.get(name)?)));
        let stored = known.map_or_else(
            || {
                let number = match name {
                    Some(name) => self.chooser.hash_one(name.as_str()),
                    None => self.chooser.hash_one(&credential.user),
                };
                users.decoy(number).unwrap_or(&self.decoy)
            },
            |(_, stored)| stored,
        );
        let id = name.map_or(credential.user.as_str(), Name::as_str);
        let known = known.filter(|_| forms.may_match).map(|(name, _)| name);
        for form in forms.all() {
            if self.check_form(id, known, stored, form, now)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this form of the password is the one that was `stored` for `known`, or for nobody.
    fn check_form(
        &self,
        id: &str,
        known: Option<&Name>,
        stored: &Stored,
        form: &Secret,
        now: Instant,
    ) -> Result<bool, HashingFailed> {
        let code = self.cache.code(id.as_bytes(), stored, form);
        if let (Some(name), Some(code)) = (known, &code)
            && self.cache.knows(name, code, now)
        {
            return Ok(true);
        }
        let share = self.memory.take(stored.work().memory_kib());
        let right = stored.verify(form)?;
        drop(share);
        let Some(name) = known else {
            return Ok(false);
        };
        if let (true, Some(code)) = (right, code) {
            self.cache.remember(name, code, now);
        }
        Ok(right)
    }

    /// The accounts of the users file as it is now.
    fn users(&self, path: &Path, loaded: &RwLock<Loaded>) -> Arc<Users> {
        let stamp = Stamp::of(path);
        let read = || loaded.read().unwrap_or_else(PoisonError::into_inner);
        if read().stamp != stamp
            && let Err(error) = self.reload()
        {
            // Once for each change, because the new stamp is kept; the old accounts stay.
            tracing::error!("kept the accounts as they were: {error}");
        }
        Arc::clone(&read().users)
    }

    /// The failures; a panic elsewhere cannot leave them half-written.
    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accounts = match &self.accounts {
            Backend::File { path, .. } => path.as_path(),
            Backend::Open(_) => Path::new("(open)"),
        };
        f.debug_struct("Authenticator")
            .field("accounts", &accounts)
            .field("default_domain", &self.default_domain)
            .field("mail", &self.mail)
            .finish_non_exhaustive()
    }
}

/// The forms in which a password is compared: as SASLprep has it (RFC 4013), and as it was typed,
/// if that differs, for hashes that other servers made without it.
struct Forms<'a> {
    prepared: Option<Secret>,
    typed: &'a Secret,
    /// Whether it can be a password at all; if not, it is hashed for nothing.
    may_match: bool,
}

impl<'a> Forms<'a> {
    /// The forms of what a client sent.
    fn of(typed: &'a Secret) -> Self {
        let prepared = prepare::password(typed);
        Self {
            may_match: prepared.is_ok(),
            prepared: prepared
                .ok()
                .filter(|prepared| prepared.expose() != typed.expose()),
            typed,
        }
    }

    /// All forms, the prepared one first.
    fn all(&self) -> impl Iterator<Item = &Secret> {
        self.prepared.iter().chain([self.typed])
    }

    /// The form for a new hash.
    fn first(&self) -> &Secret {
        self.prepared.as_ref().unwrap_or(self.typed)
    }
}

impl Stamp {
    /// The stamp of the file at `path`, if there is one.
    fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self(
            found.dev(),
            found.ino(),
            found.len(),
            found.mtime(),
            found.mtime_nsec(),
        )
    }
}

/// Lets a known name in with its password, and an unknown one with any.
fn welcome(known: &Mutex<HashMap<Name, Secret>>, name: &Name, password: &Secret) -> bool {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let expected = known
        .entry(name.clone())
        .or_insert_with(|| password.clone());
    expected.expose().ct_eq(password.expose()).into()
}

/// How long an attempt waits that is not looked at.
const MIN_DELAY_WHEN_BUSY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
