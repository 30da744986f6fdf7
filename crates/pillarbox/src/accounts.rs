//! The accounts that a command at the terminal is about, and where their mail is.

use std::path::PathBuf;

#[cfg(not(feature = "sql"))]
use anyhow::bail;
use anyhow::{Context, Result, ensure};
use auth::Name;
use auth::users::Users;

use crate::config::{Backend, Settings};

/// An account.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: Name,
    /// Where its mail is, if its name leads anywhere.
    pub(crate) mail: Option<PathBuf>,
}

/// All accounts of the users file.
///
/// # Errors
/// If it cannot be read. If the accounts are in a database, which is asked for one at a time: `instead`
/// says what else to do.
pub(crate) fn all(settings: &Settings, instead: &str) -> Result<Vec<Place>> {
    ensure!(
        settings.accounts.backend == Backend::File,
        "the accounts are in a database, by [accounts], which does not list them: {instead}"
    );
    let users = Users::load(&settings.users, settings.auth.default_domain.as_deref())?;
    let place = |name: &Name| Place {
        name: name.clone(),
        mail: settings.mail.expand(name),
    };
    Ok(users.names().map(place).collect())
}

/// The accounts of these names, wherever accounts are.
///
/// # Errors
/// If one is not there, or that cannot be found out.
pub(crate) fn named(settings: &Settings, names: &[String]) -> Result<Vec<Place>> {
    let domain = settings.auth.default_domain.as_deref();
    let parse = |text: &String| Name::parse(text, domain).with_context(|| text.clone());
    let names = names.iter().map(parse).collect::<Result<Vec<_>>>()?;
    if settings.accounts.backend != Backend::File {
        return in_database(settings, names);
    }
    let users = Users::load(&settings.users, domain)?;
    let place = |name: Name| {
        let (text, file) = (name.as_str(), settings.users.display());
        ensure!(users.get(&name).is_some(), "{text} is not in {file}");
        let mail = settings.mail.expand(&name);
        Ok(Place { name, mail })
    };
    names.into_iter().map(place).collect()
}

/// Asks the database for each.
#[cfg(feature = "sql")]
fn in_database(settings: &Settings, names: Vec<Name>) -> Result<Vec<Place>> {
    let runtime = crate::sql::runtime()?;
    let source = crate::source::Source::system();
    let database = crate::sql::Database::new(settings, &source, runtime.handle())?;
    let place = |name: Name| {
        let found = database.as_ref().map(|database| database.find(&name));
        let found = found.transpose()?.flatten();
        let secrets = found.with_context(|| format!("{} is not in the database", name.as_str()))?;
        let mail = secrets.mail.clone();
        let mail = mail.or_else(|| settings.mail.expand(&name));
        Ok(Place { name, mail })
    };
    names.into_iter().map(place).collect()
}

/// There is none in this build, which the configuration was told.
#[cfg(not(feature = "sql"))]
fn in_database(_: &Settings, _: Vec<Name>) -> Result<Vec<Place>> {
    bail!("this Pillarbox is built without databases")
}
