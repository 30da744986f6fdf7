//! The database of the accounts: whether it answers, and whether its answer makes sense.

use super::Check;

/// Asks the database for a name that nobody has.
#[cfg(feature = "sql")]
pub(super) fn check(check: &mut Check<'_>) {
    use super::{Purpose, is_world_readable};
    use crate::config::{Finding, Severity};

    if check.settings.auth.upgrade_hashes {
        let problem = "`upgrade_hashes` has no effect: the accounts are in a database";
        let finding = Finding::warning(check.path, None, problem, "remove it");
        check.push("accounts", finding);
    }
    if let Some(file) = &check.settings.accounts.password_file
        && is_world_readable(file)
    {
        let problem = "other users of this machine can read the password of the database";
        let fix = format!("chmod o-rwx {}", file.display());
        let finding = Finding::warning(file, None, problem, fix);
        check.push("accounts", finding);
    }
    let severity = match check.purpose {
        Purpose::Check => Severity::Error,
        // It may only be late; the server goes on asking.
        Purpose::Serve => return,
    };
    match ask(check) {
        Ok(columns) => {
            let ours = crate::sql::COLUMNS;
            let others: Vec<&str> = columns
                .iter()
                .map(String::as_str)
                .filter(|column| !ours.contains(column))
                .collect();
            if !others.is_empty() {
                let problem = format!("`query` gives {}, which has no effect", others.join(", "));
                let fix = format!("name it {} with AS, or take it out", ours.join(" or "));
                let finding = Finding::warning(check.path, None, problem, fix);
                check.push("accounts", finding);
            }
        }
        Err(problem) => {
            let fix = "correct [accounts], or the database; the user that Pillarbox runs as must \
                       be let in";
            let finding = Finding::error(check.path, None, problem, fix);
            let finding = Finding {
                severity,
                ..finding
            };
            check.push("accounts", finding);
        }
    }
}

/// The columns that the query gives.
#[cfg(feature = "sql")]
fn ask(check: &Check<'_>) -> Result<Vec<String>, String> {
    let runtime = crate::sql::runtime().map_err(|error| error.to_string())?;
    let name = auth::Name::parse("nobody@pillarbox.invalid", None);
    let name = name.map_err(|error| error.to_string())?;
    let source = crate::source::Source::system();
    let asked = crate::sql::Database::new(check.settings, &source, runtime.handle())
        .and_then(|database| database.map(|database| database.probe(&name)).transpose());
    Ok(asked
        .map_err(|problem| problem.to_string())?
        .unwrap_or_default())
}

/// There is none in this build, which the configuration was told.
#[cfg(not(feature = "sql"))]
pub(super) fn check(_: &mut Check<'_>) {}
