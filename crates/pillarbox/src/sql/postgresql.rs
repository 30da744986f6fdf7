//! PostgreSQL: a few connections, each with its prepared query, made when they are needed.

mod tls;

use std::error::Error as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use auth::{Name, Secret};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::query::Query;
use super::row::{COLUMNS, Row};
use super::{Answer, Problem};
use crate::config::{Accounts, DatabaseTls};

/// A PostgreSQL server.
pub(super) struct Postgresql {
    config: Config,
    password_file: Option<PathBuf>,
    tls: Option<tls::Connector>,
    query: Query,
    timeout: Duration,
    handle: Handle,
    /// Bounds the connections.
    places: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// A connection with its query.
struct Session {
    client: Client,
    statement: Statement,
}

/// Reads where the server is.
pub(super) fn read_connection(accounts: &Accounts) -> Result<Config, Problem> {
    let config: Config = accounts.connection.parse().map_err(|error| {
        let error: tokio_postgres::Error = error;
        Problem(format!("`connection` cannot be read: {}", explain(&error)))
    })?;
    if config.get_password().is_some() {
        let problem = "`connection` holds a password, which belongs into a file of its own: \
                       name that in `password_file`";
        return Err(Problem(problem.to_owned()));
    }
    if config.get_user().is_none() || config.get_hosts().is_empty() {
        let problem = "`connection` does not say who connects to what: it needs host and user, as \
                       in \"host=/run/postgresql dbname=mail user=pillarbox\"";
        return Err(Problem(problem.to_owned()));
    }
    Ok(config)
}

impl Postgresql {
    /// The server that the settings name. Nothing is connected to yet.
    pub(super) fn new(accounts: &Accounts, query: Query, handle: Handle) -> Result<Self, Problem> {
        let mut config = read_connection(accounts)?;
        config.connect_timeout(accounts.timeout);
        config.application_name("pillarbox");
        let wanted = match accounts.tls {
            DatabaseTls::Always => true,
            DatabaseTls::Never => false,
            DatabaseTls::Auto => config.get_hosts().iter().any(is_remote),
        };
        let tls = wanted.then(|| tls::Connector::new(&accounts.tls_ca));
        config.ssl_mode(if wanted {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        Ok(Self {
            config,
            password_file: accounts.password_file.clone(),
            tls: tls.transpose()?,
            query,
            timeout: accounts.timeout,
            handle,
            places: Semaphore::new(accounts.connections),
            idle: Mutex::default(),
        })
    }

    /// Asks for an account. Waits, so it must not be called on a thread of the runtime.
    pub(super) fn ask(&self, name: &Name) -> Result<Answer, Problem> {
        let limit = self.timeout;
        let asked = self
            .handle
            .block_on(async { timeout(limit, self.try_ask(name)).await });
        match asked {
            Ok(answer) => answer,
            Err(_) => Err(Problem(format!("PostgreSQL: no answer within {limit:?}"))),
        }
    }

    async fn try_ask(&self, name: &Name) -> Result<Answer, Problem> {
        let place = self.places.acquire().await;
        let _place = place.map_err(|_| Problem("PostgreSQL: stopping".to_owned()))?;
        // Connections that the server has closed meanwhile are found here, and not by the user.
        while let Some(session) = self.take_idle() {
            match session.ask(&self.query, name).await {
                Ok(answer) => {
                    self.put_back(session);
                    return Ok(answer);
                }
                Err(_) if session.client.is_closed() => {}
                // The statement may be older than a change of the table: once more, anew.
                Err(_) => break,
            }
        }
        let session = self.connect().await?;
        let answer = session.ask(&self.query, name).await?;
        self.put_back(session);
        Ok(answer)
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn put_back(&self, session: Session) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(session);
    }

    async fn connect(&self) -> Result<Session, Problem> {
        let mut config = self.config.clone();
        if let Some(file) = &self.password_file {
            let read = fs::read(file).map(Secret::new);
            let password = read
                .map_err(|error| Problem(format!("{} cannot be read: {error}", file.display())))?;
            let password = password.expose();
            let end = password.iter().position(|octet| b"\r\n".contains(octet));
            let password = end.and_then(|end| password.get(..end)).unwrap_or(password);
            config.password(password);
        }
        let client = match &self.tls {
            Some(tls) => {
                let made = config.connect(tls.clone()).await;
                let (client, connection) = made.map_err(|error| problem(&error))?;
                self.handle.spawn(drive(connection));
                client
            }
            None => {
                let made = config.connect(NoTls).await;
                let (client, connection) = made.map_err(|error| problem(&error))?;
                self.handle.spawn(drive(connection));
                client
            }
        };
        let prepared = client.prepare(self.query.text()).await;
        let statement = prepared.map_err(|error| problem(&error))?;
        Ok(Session { client, statement })
    }
}

impl Session {
    async fn ask(&self, query: &Query, name: &Name) -> Result<Answer, Problem> {
        let values = query.values(name);
        let values: Vec<&(dyn ToSql + Sync)> = values
            .iter()
            .map(|value| value as &(dyn ToSql + Sync))
            .collect();
        let found = match self.client.query(&self.statement, &values).await {
            Ok(found) => found,
            Err(error) if cannot_hold(&error) => {
                // Without the text, which quotes the name.
                let code = error.code().map_or("", SqlState::code);
                tracing::debug!(code, "no account: the database cannot hold such a name");
                Vec::new()
            }
            Err(error) => return Err(problem(&error)),
        };
        let columns = self.statement.columns();
        let mut rows = Vec::new();
        // More than one is wrong, however many there are.
        for values in found.iter().take(2) {
            let mut row = Row::default();
            for (at, column) in columns.iter().enumerate() {
                if COLUMNS.contains(&column.name()) {
                    let value = values.try_get::<_, Option<String>>(at).map_err(|_| {
                        let (name, kind) = (column.name(), column.type_());
                        Problem(format!(
                            "`query` gives {name} as {kind}; write {name}::text"
                        ))
                    })?;
                    row.set(column.name(), value);
                }
            }
            rows.push(row);
        }
        Ok(Answer {
            columns: columns.iter().map(|it| it.name().to_owned()).collect(),
            rows,
        })
    }
}

/// Runs a connection to its end; whoever uses it notices that.
async fn drive<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    if let Err(error) = connection.await {
        tracing::debug!("connection to PostgreSQL ended: {}", explain(&error));
    }
}

/// Whether a host is another machine, as far as its name tells.
fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            let address = name.parse::<std::net::IpAddr>();
            name != "localhost" && !address.is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => false,
    }
}

/// Whether the database is there, and cannot take the name for what the query compares it with: it
/// has a letter that the encoding lacks, or is no number where one is wanted. Anybody can send such a
/// name, so it must not count as the database being away.
fn cannot_hold(error: &tokio_postgres::Error) -> bool {
    let states = [
        SqlState::UNTRANSLATABLE_CHARACTER,
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        SqlState::INVALID_TEXT_REPRESENTATION,
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    ];
    error.code().is_some_and(|code| states.contains(code))
}

fn problem(error: &tokio_postgres::Error) -> Problem {
    Problem(format!("PostgreSQL: {}", explain(error)))
}

/// An error with what is behind it.
fn explain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
