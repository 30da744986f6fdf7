//! SQLite: opened for reading at each lookup, so that a file that was replaced counts at once.

use std::path::PathBuf;
use std::time::Duration;

use auth::Name;
use rusqlite::{Connection, OpenFlags, params_from_iter, types::ValueRef};

use super::query::Query;
use super::row::{COLUMNS, Row};
use super::{Answer, Problem};
use crate::config::Accounts;

/// A database in a file.
pub(super) struct Sqlite {
    path: PathBuf,
    query: Query,
    timeout: Duration,
}

impl Sqlite {
    /// The database that the settings name.
    pub(super) fn new(accounts: &Accounts, query: Query) -> Self {
        Self {
            path: PathBuf::from(&accounts.connection),
            query,
            timeout: accounts.timeout,
        }
    }

    /// Asks for an account.
    pub(super) fn ask(&self, name: &Name) -> Result<Answer, Problem> {
        self.try_ask(name)
            .map_err(|error| Problem(format!("SQLite database {}: {error}", self.path.display())))
    }

    fn try_ask(&self, name: &Name) -> rusqlite::Result<Answer> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(self.timeout)?;
        let mut statement = connection.prepare(self.query.text())?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query(params_from_iter(self.query.values(name)))?;
        let mut rows = Vec::new();
        while let Some(values) = found.next()? {
            let mut row = Row::default();
            for (at, column) in columns.iter().enumerate() {
                if COLUMNS.contains(&column.as_str()) {
                    let value = match values.get_ref(at)? {
                        ValueRef::Null => None,
                        // A hash that was stored as a blob is text all the same.
                        ValueRef::Text(text) | ValueRef::Blob(text) => {
                            Some(String::from_utf8_lossy(text).into_owned())
                        }
                        ValueRef::Integer(number) => Some(number.to_string()),
                        ValueRef::Real(number) => Some(number.to_string()),
                    };
                    row.set(column, value);
                }
            }
            rows.push(row);
            // More than one is wrong, however many there are.
            if rows.len() > 1 {
                break;
            }
        }
        Ok(Answer { columns, rows })
    }
}
