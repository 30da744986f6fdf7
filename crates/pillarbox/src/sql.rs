//! Accounts in a PostgreSQL or SQLite database: one query, asked at each login.
//!
//! A database that is away is told of once, and once when it is back. Meanwhile it is tried again at
//! growing intervals and not at each login, and whoever has been found lately can still log in by
//! what was found then.

mod health;
mod postgresql;
pub(crate) mod query;
mod recent;
mod row;
mod sqlite;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use auth::directory::{Away, Directory, Secrets};
use auth::sasl::Mechanisms;
use auth::users::{EditError, LoadError};
use auth::{Name, Secret};
use tokio::runtime::{Handle, Runtime};

use crate::config::{Accounts, Backend, Settings};
use crate::source::Source;
use health::Health;
use postgresql::Postgresql;
use query::{Placeholders, Query};
use recent::Recent;
pub(crate) use row::COLUMNS;
use row::Row;
use sqlite::Sqlite;

/// The accounts of a database.
pub(crate) struct Database {
    backend: Kind,
    source: Source,
    health: Health,
    recent: Recent,
    /// Mail may only be below this, if anything.
    mail_root: Option<PathBuf>,
}

/// The database at work.
enum Kind {
    Postgresql(Box<Postgresql>),
    Sqlite(Sqlite),
}

impl Database {
    /// The accounts that the settings name; `None` if they are in the users file. Nothing is
    /// connected to yet. What has to wait for the network does so on the runtime of `handle`.
    pub(crate) fn new(
        settings: &Settings,
        source: &Source,
        handle: &Handle,
    ) -> Result<Option<Self>, Problem> {
        let accounts = &settings.accounts;
        let query = |placeholders| {
            Query::parse(&accounts.query, placeholders)
                .map_err(|error| Problem(format!("`query` {error}")))
        };
        let backend = match accounts.backend {
            Backend::File => return Ok(None),
            Backend::Postgresql => {
                let query = query(Placeholders::Dollar)?;
                Kind::Postgresql(Box::new(Postgresql::new(accounts, query, handle.clone())?))
            }
            Backend::Sqlite => Kind::Sqlite(Sqlite::new(accounts, query(Placeholders::Question)?)),
        };
        let root = settings.mail.root().to_owned();
        Ok(Some(Self {
            backend,
            source: source.clone(),
            health: Health::default(),
            recent: Recent::new(accounts.keep, accounts.keep_accounts),
            mail_root: (!accounts.mail_anywhere).then_some(root),
        }))
    }

    /// Asks for `name`, whatever the health of the database, and says what the columns of the answer
    /// are called. For `pillarbox check`.
    pub(crate) fn probe(&self, name: &Name) -> Result<Vec<String>, Problem> {
        let answer = self.ask(name)?;
        row::check_columns(&answer.columns)?;
        if let Some(row) = answer.row(name)? {
            row.secrets(self.mail_root.as_deref())?;
        }
        Ok(answer.columns)
    }

    /// Looks `name` up, whatever the health of the database. For commands at the terminal.
    pub(crate) fn find(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Problem> {
        self.read(name, &self.ask(name)?)
    }

    fn ask(&self, name: &Name) -> Result<Answer, Problem> {
        match &self.backend {
            Kind::Postgresql(database) => database.ask(name),
            Kind::Sqlite(database) => database.ask(name),
        }
    }

    /// What an answer says of `name`.
    fn read(&self, name: &Name, answer: &Answer) -> Result<Option<Arc<Secrets>>, Problem> {
        row::check_columns(&answer.columns)?;
        let row = answer.row(name)?;
        let secrets = row.map(|row| row.secrets(self.mail_root.as_deref()));
        Ok(secrets.transpose()?.map(Arc::new))
    }
}

impl Directory for Database {
    fn lookup(&self, name: &Name) -> Result<Option<Arc<Secrets>>, Away> {
        let now = self.source.now().instant;
        let asked = self.health.may_try(now).and_then(|()| {
            let asked = self.ask(name);
            match &asked {
                Ok(_) => self.health.worked(),
                Err(Problem(reason)) => self.health.failed(reason, self.source.now().instant),
            }
            asked
        });
        let answer = match asked {
            Ok(answer) => answer,
            Err(Problem(reason)) => {
                let kept = self.recent.get(name, now);
                return kept.map(Some).ok_or(Away { reason });
            }
        };
        match self.read(name, &answer) {
            Ok(found) => {
                self.recent.note(name, found.as_ref(), now);
                Ok(found)
            }
            // The database is there, and what it says of this account is of no use.
            Err(Problem(reason)) => {
                tracing::error!(user = name.as_str(), "account cannot be used: {reason}");
                Err(Away { reason })
            }
        }
    }

    fn decoy(&self, number: u64) -> Option<Arc<Secrets>> {
        self.recent.some(number)
    }

    fn welcome(&self, _: &Name, _: &Secret) -> bool {
        false
    }

    fn upgrade(&self, _: &Name, _: &Secrets, _: &Secrets) -> Result<bool, EditError> {
        // Whoever keeps the database changes it.
        Ok(false)
    }

    fn mechanisms(&self) -> Mechanisms {
        self.recent.mechanisms()
    }

    fn reload(&self) -> Result<(), LoadError> {
        Ok(())
    }

    fn is_away(&self) -> bool {
        self.health.is_away()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.backend {
            Kind::Postgresql(_) => "PostgreSQL",
            Kind::Sqlite(_) => "SQLite",
        };
        write!(f, "Database({kind})")
    }
}

/// What keeps accounts from being looked up, in words. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Problem(pub(crate) String);

/// What the query found.
struct Answer {
    columns: Vec<String>,
    rows: Vec<Row>,
}

impl Answer {
    /// The only row, if there is one.
    fn row(&self, name: &Name) -> Result<Option<&Row>, Problem> {
        match self.rows.as_slice() {
            [] => Ok(None),
            [row] => Ok(Some(row)),
            _ => Err(Problem(format!(
                "`query` finds more than one account for {name}"
            ))),
        }
    }
}

/// A runtime for a database that is asked outside of the server.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build()
}

/// Checks what can be told of the settings without a database.
pub(crate) fn check(accounts: &Accounts) -> Result<(), Problem> {
    let query = |placeholders| {
        Query::parse(&accounts.query, placeholders)
            .map_err(|error| Problem(format!("`query` {error}")))
    };
    match accounts.backend {
        Backend::File => Ok(()),
        Backend::Postgresql => {
            query(Placeholders::Dollar)?;
            postgresql::read_connection(accounts).map(drop)
        }
        Backend::Sqlite => query(Placeholders::Question).map(drop),
    }
}

#[cfg(test)]
mod tests;
