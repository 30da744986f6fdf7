//! The one place where a [`Credential`] becomes a [`Verdict`].

mod cause;
mod memory;
mod password;
mod token;
mod upgrade;

use std::fmt;
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cause::Cause;

use crate::budget::Budget;
use crate::cache::Cache;
use crate::directory::{Away, OpenHouse, UsersFile};
use crate::oauth::{self, Clock, Fetch, Issuer, KeySetError};
use crate::password::{Cost, HashingFailed, Stored};
use crate::sasl::{Mechanisms, Offer};
use crate::throttle::{Delays, Keeper, Throttle};
use crate::users::LoadError;
use crate::{Credential, Directory, MailTemplate, Name, Origin, Secret, Verdict, prepare};

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
    /// Whether names without an account are logged when they fail to log in. Some of them are
    /// passwords that somebody has typed into the wrong field.
    pub log_unknown_users: bool,
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
    directory: Box<dyn Directory>,
    /// Checks tokens, if they are taken.
    issuer: Option<Issuer>,
    offer: Offer,
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
    log_unknown_users: bool,
}

/// A source of random numbers.
type Random = Box<dyn Fn() -> u64 + Send + Sync>;

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
        let directory: Box<dyn Directory> = match options.accounts {
            Accounts::File(path) => {
                Box::new(UsersFile::load(path, options.default_domain.clone())?)
            }
            Accounts::Open(known) => Box::new(OpenHouse::new(known.into_iter().filter_map(
                |(name, secret)| {
                    let secret = prepare::password(&secret).ok()?;
                    Some((Name::parse(&name, domain).ok()?, secret))
                },
            ))),
        };
        Ok(Self {
            offer: Offer::new(directory.mechanisms()),
            directory,
            issuer: None,
            decoy: options.cost.decoy(&random),
            upgrade_to: options.upgrade_hashes.then_some(options.cost),
            chooser: RandomState::new(),
            cache: Cache::new(options.cache, &random),
            memory: Budget::new(options.memory >> 10),
            throttle: Mutex::new(Throttle::new(options.delays, &random)),
            keeper: Mutex::default(),
            random: Box::new(random),
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
        let account = match credential.user() {
            Some(user) => self.account(user),
            // Whose token it is, is not known yet. No name has a slash.
            None => format!("/{}", origin.address),
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
        };
        self.offer.set(self.mechanisms());
        let verdict = judged.unwrap_or_else(|error| {
            tracing::error!("credential not checked: {error}");
            Verdict::Unavailable
        });
        let delay = match &verdict {
            denied if denied.is_denied() => {
                self.log_failure(credential.user(), cause);
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
        self.directory.mechanisms().union(tokens)
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
