//! The one place where a [`Credential`] becomes a [`Verdict`].

mod cause;
mod memory;
mod password;
mod scram;
mod token;
mod upgrade;

use std::fmt;
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cause::Cause;
use zeroize::Zeroizing;

use crate::budget::Budget;
use crate::cache::Cache;
use crate::directory::{Away, OpenHouse, UsersFile};
use crate::oauth::{self, Clock, Fetch, Issuer, KeySetError};
use crate::password::{Cost, HashingFailed, Stored};
use crate::sasl::scram::Message;
use crate::sasl::{Mechanisms, Offer};
use crate::scram::{Hash, NewKeys};
use crate::throttle::{Delays, Keeper, Throttle};
use crate::users::LoadError;
use crate::{Credential, Directory, MailTemplate, Name, Origin, Secret, Secrets, Verdict, prepare};

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
    /// the users file, and keys for SCRAM that it lacks.
    pub upgrade_hashes: bool,
    /// Whether names without an account are logged when they fail to log in. Some of them are
    /// passwords that somebody has typed into the wrong field.
    pub log_unknown_users: bool,
    /// Which keys for SCRAM are made of new passwords, and which mechanisms are offered.
    pub new_keys: NewKeys,
}

/// Who has an account.
#[derive(Clone, Debug)]
pub enum Accounts {
    /// Whoever is in this users file.
    File(PathBuf),
    /// These, and anybody else: the first login of a name makes its account, with its password for
    /// as long as the process runs. For `pillarbox dev` and for tests.
    Open(Vec<(String, Secret)>),
    /// Whoever is in here.
    In(Arc<dyn Directory>),
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
    directory: Arc<dyn Directory>,
    /// Checks tokens, if they are taken.
    issuer: Option<Issuer>,
    offer: Offer,
    default_domain: Option<String>,
    mail: MailTemplate,
    /// What an unknown user is checked against while there is no known one.
    decoy: Stored,
    /// The key that the salts of unknown users are made with.
    decoy_key: Zeroizing<Vec<u8>>,
    /// What outdated hashes are replaced by, if they are.
    upgrade_to: Option<Cost>,
    new_keys: NewKeys,
    /// Chooses the known user that an unknown one is checked against.
    chooser: RandomState,
    cache: Cache,
    memory: Budget,
    throttle: Mutex<Throttle>,
    /// Where failures are kept over restarts, if they are.
    keeper: Mutex<Option<Keeper>>,
    random: Random,
    log_unknown_users: bool,
}

/// A source of random numbers.
pub(crate) type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

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
        let random: Random = Arc::new(random);
        let directory: Arc<dyn Directory> = match options.accounts {
            Accounts::File(path) => {
                Arc::new(UsersFile::load(path, options.default_domain.clone())?)
            }
            Accounts::In(directory) => directory,
            Accounts::Open(known) => Arc::new(OpenHouse::new(
                known.into_iter().filter_map(|(name, secret)| {
                    let secret = prepare::password(&secret).ok()?;
                    Some((Name::parse(&name, domain).ok()?, secret))
                }),
                &options.new_keys.hashes,
                Arc::clone(&random),
            )),
        };
        let draw = || random();
        Ok(Self {
            offer: Offer::new(allowed(directory.mechanisms(), &options.new_keys)),
            directory,
            issuer: None,
            decoy_key: Zeroizing::new((0..4).flat_map(|_| random().to_le_bytes()).collect()),
            new_keys: options.new_keys,
            decoy: options.cost.decoy(&draw),
            upgrade_to: options.upgrade_hashes.then_some(options.cost),
            chooser: RandomState::new(),
            cache: Cache::new(options.cache, &draw),
            memory: Budget::new(options.memory >> 10),
            throttle: Mutex::new(Throttle::new(options.delays, &draw)),
            keeper: Mutex::default(),
            random,
            log_unknown_users: options.log_unknown_users,
            default_domain: options.default_domain,
            mail: options.mail,
        })
    }

    /// Takes tokens of OAuth, too. `fetch` asks the issuer, and `clock` tells the time on the wall.
    ///
    /// # Errors
    /// If the issuer's keys are in a file, and that cannot be used.
    pub fn with_tokens(
        mut self,
        options: oauth::Options,
        fetch: Box<Fetch>,
        clock: Box<Clock>,
    ) -> Result<Self, KeySetError> {
        let issuer = Issuer::new(options, fetch, clock, &*self.random)?;
        self.issuer = Some(issuer);
        self.offer.set(self.mechanisms());
        Ok(self)
    }

    /// Checks a credential. Takes as long as its hash takes, so it belongs on a thread that may
    /// block; the caller waits for [`Outcome::delay`] itself.
    ///
    /// An unknown user, a name that can never exist and a wrong password cost the same and get the
    /// same verdict (S24).
    pub fn verify(&self, credential: &Credential, origin: Origin, now: Instant) -> Outcome {
        let judged = match credential {
            // Asking for a salt is no guess: it neither waits nor counts.
            Credential::Scram(message @ Message::First(_)) => {
                self.judge_scram(message, &mut Cause::default())
            }
            Credential::Scram(Message::Final(_))
            | Credential::Password(_)
            | Credential::Token(..) => {
                return self.verify_guess(credential, origin, now);
            }
        };
        Outcome {
            verdict: self.told(judged),
            delay: Duration::ZERO,
        }
    }

    /// Checks what may be a guess at a password.
    fn verify_guess(&self, credential: &Credential, origin: Origin, now: Instant) -> Outcome {
        let account = match credential.user() {
            Some(user) => self.account(user),
            // Whose token it is, is not known yet. No client can send a name with NUL.
            None => format!("\0{}", origin.address),
        };
        let Some(wait) = self.throttle().begin(&account, origin.address, now) else {
            // Too many attempts from there: not looked at, and so not a guess.
            self.log_failure(credential.user(), Cause::TooManyAttempts);
            return Outcome {
                verdict: Verdict::Unavailable,
                delay: MIN_DELAY_WHEN_BUSY,
            };
        };
        let mut cause = Cause::default();
        let judged = match credential {
            Credential::Password(claim) => self.judge_password(claim, now, &mut cause),
            Credential::Token(dialect, message) => {
                self.judge_token(*dialect, message, now, &mut cause)
            }
            Credential::Scram(message) => self.judge_scram(message, &mut cause),
        };
        let verdict = self.told(judged);
        let delay = match &verdict {
            denied if denied.is_denied() || self.directory.is_away() && !is_granted(denied) => {
                if denied.is_denied() {
                    self.log_failure(credential.user(), cause);
                }
                self.throttle()
                    .failed(&account, origin.address, now, (self.random)())
                    .max(wait)
            }
            granted if granted.identity().is_some() => {
                self.throttle().succeeded(&account, origin.address, now);
                wait
            }
            _ => wait,
        };
        Outcome { verdict, delay }
    }

    /// The verdict; what kept us from one is logged. The accounts have just been looked at, so what
    /// is offered follows them.
    fn told(&self, judged: Result<Verdict, Unable>) -> Verdict {
        self.offer.set(self.mechanisms());
        match judged {
            // Who was found before the accounts were away is not to be told from who was not.
            Ok(denied) if denied.is_denied() && self.directory.is_away() => Verdict::Unavailable,
            Ok(verdict) => verdict,
            Err(Unable::Away(away)) => {
                // Whoever looks accounts up tells once that it cannot.
                tracing::debug!("credential not checked: {away}");
                Verdict::Unavailable
            }
            Err(error) => {
                tracing::error!("credential not checked: {error}");
                Verdict::Unavailable
            }
        }
    }

    /// Whether a user wants to act as nobody else, which nobody may (RFC 4616 §2).
    fn is_themselves(&self, name: &Name, acting_as: Option<&str>) -> bool {
        let domain = self.default_domain.as_deref();
        acting_as.is_none_or(|other| Name::parse(other, domain).is_ok_and(|other| other == *name))
    }

    /// Where the mail of an account is.
    fn place(&self, name: &Name, account: Option<&Secrets>) -> Option<PathBuf> {
        let place = account.and_then(|account| account.mail.clone());
        place.or_else(|| self.mail.expand(name))
    }

    /// What failures for `user` are counted under: the canonical name, if it can be one.
    fn account(&self, user: &str) -> String {
        Name::parse(user, self.default_domain.as_deref())
            .map_or_else(|_| user.to_owned(), |name| name.as_str().to_owned())
    }

    /// The mechanisms that the server can do; follows the accounts.
    pub fn offer(&self) -> Offer {
        self.offer.clone()
    }

    /// The mechanisms that somebody can log in with.
    fn mechanisms(&self) -> Mechanisms {
        let tokens = match &self.issuer {
            Some(_) => Mechanisms::WITH_TOKEN,
            None => Mechanisms::NONE,
        };
        allowed(self.directory.mechanisms(), &self.new_keys).union(tokens)
    }

    /// Reads the accounts again, and forgets remembered logins.
    ///
    /// A changed users file is also noticed by itself, at the next login.
    ///
    /// # Errors
    /// If they cannot be read; then they stay as they were.
    pub fn reload(&self) -> Result<(), LoadError> {
        if let Some(issuer) = &self.issuer {
            issuer.forget();
        }
        self.directory.reload()?;
        self.offer.set(self.mechanisms());
        self.cache.clear();
        Ok(())
    }

    /// The failures; a panic elsewhere cannot leave them half-written.
    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("directory", &self.directory)
            .field("issuer", &self.issuer)
            .field("default_domain", &self.default_domain)
            .field("mail", &self.mail)
            .finish_non_exhaustive()
    }
}

/// Those of some mechanisms that the settings allow.
fn allowed(mechanisms: Mechanisms, new_keys: &NewKeys) -> Mechanisms {
    let refused = Hash::ALL
        .into_iter()
        .filter(|hash| !new_keys.hashes.contains(hash))
        .map(Mechanisms::with_keys)
        .fold(Mechanisms::NONE, Mechanisms::union);
    mechanisms.without(refused)
}

/// Whether a verdict lets somebody in, or goes on.
fn is_granted(verdict: &Verdict) -> bool {
    verdict.identity().is_some() || matches!(verdict, Verdict::Continue(_))
}

/// Why a credential could not be checked.
#[derive(Debug, thiserror::Error)]
enum Unable {
    #[error("not enough memory to hash a password")]
    Hashing(#[from] HashingFailed),
    #[error(transparent)]
    Away(#[from] Away),
}

/// How long an attempt waits that is not looked at.
const MIN_DELAY_WHEN_BUSY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
