//! `pillarbox quota …`: what accounts take up, and how much they may.
//!
//! It counts as the server does, and while the server runs, so it must run as the owner of the mail
//! as well: what root makes in it others could not use.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use auth::Name;
use mailstore::quota::{Limits, Origin, Policies};
use mailstore::{Account, Store, Usage};
use serde::Serialize;

use crate::accounts;
use crate::cli::{QuotaArgs, QuotaCommand};
use crate::config;
use crate::index::context::check_owner;
use crate::index::table::{Align, Table};
use crate::index::target::is_account;
use crate::source::Source;

/// Does what the arguments say.
///
/// # Errors
/// In words for the person at the terminal.
pub fn run(command: &QuotaCommand) -> Result<ExitCode> {
    let mut stdout = io::stdout().lock();
    match command {
        QuotaCommand::Show(args) => {
            let quotas = each(&args.accounts, count)?;
            if args.json {
                serde_json::to_writer(&mut stdout, &quotas).map_err(io::Error::from)?;
                writeln!(stdout)?;
            } else {
                write!(stdout, "{}", table(&quotas))?;
            }
        }
        QuotaCommand::Recalculate(args) => {
            let recount = |account: &Account| Ok(account.recount()?);
            write!(stdout, "{}", table(&each(args, recount)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What an account takes up, and how much it may.
#[derive(Debug, Serialize)]
struct Quota {
    user: String,
    storage: u64,
    storage_limit: Option<u64>,
    messages: u64,
    messages_limit: Option<u64>,
    /// Who says so.
    limits_from: &'static str,
    /// More than it may.
    exceeded: bool,
}

impl Quota {
    fn of(user: &str, usage: Usage, (limits, origin): (Limits, Origin)) -> Self {
        Self {
            user: user.to_owned(),
            storage: usage.octets,
            storage_limit: limits.storage,
            messages: usage.messages,
            messages_limit: limits.messages,
            limits_from: match origin {
                Origin::Set => "setquota",
                Origin::Policy => "configuration",
                Origin::Maildirsize => "maildirsize",
            },
            exceeded: limits.exceeded_by(usage).is_some(),
        }
    }
}

/// Looks at each account that is meant: those that are named, or all that have mail.
fn each(args: &QuotaArgs, look: impl Fn(&Account) -> Result<Usage>) -> Result<Vec<Quota>> {
    let (settings, report) = config::load(&args.config);
    ensure!(!report.has_errors(), "{report}");
    let store = Store::new(settings.store(&Source::system()));
    let policies = settings.quotas();
    let places = if args.names.is_empty() {
        accounts::all(&settings, "name those that are meant")?
    } else {
        accounts::named(&settings, &args.names)?
    };
    let mut quotas = Vec::new();
    for place in places {
        let Some(root) = place.mail.filter(|root| is_account(root)) else {
            let name = place.name.as_str();
            ensure!(args.names.is_empty(), "{name} has no mail yet");
            continue;
        };
        let quota = of_user(&place.name, &root, &policies, &store, &look);
        quotas.push(quota.with_context(|| place.name.as_str().to_owned())?);
    }
    Ok(quotas)
}

/// The quota of a user, whose mail is in `root`.
fn of_user(
    name: &Name,
    root: &Path,
    policies: &Policies,
    store: &Arc<Store>,
    look: impl Fn(&Account) -> Result<Usage>,
) -> Result<Quota> {
    check_owner(root)?;
    let account = store.account(root)?;
    account.set_policy(policies.of(name.as_str()));
    let usage = look(&account)?;
    Ok(Quota::of(name.as_str(), usage, account.limits()))
}

fn count(account: &Account) -> Result<Usage> {
    let mut counting = mailstore::Counting::default();
    loop {
        if let Some(usage) = account.count(&mut counting)? {
            return Ok(usage);
        }
    }
}

fn table(quotas: &[Quota]) -> Table {
    let mut table = Table::new(&[
        ("ACCOUNT", Align::Left),
        ("STORAGE", Align::Right),
        ("LIMIT", Align::Right),
        ("MESSAGES", Align::Right),
        ("LIMIT", Align::Right),
        ("LIMITS FROM", Align::Left),
        ("", Align::Left),
    ]);
    for quota in quotas {
        let octets = |octets: Option<u64>| octets.map_or("none".to_owned(), shown);
        let number = |limit: Option<u64>| limit.map_or("none".to_owned(), |it| it.to_string());
        table.row(vec![
            quota.user.clone(),
            shown(quota.storage),
            octets(quota.storage_limit),
            quota.messages.to_string(),
            number(quota.messages_limit),
            quota.limits_from.to_owned(),
            if quota.exceeded { "over" } else { "" }.to_owned(),
        ]);
    }
    table
}

/// Octets for people: a tenth of the unit is near enough.
fn shown(octets: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = "B";
    // In tenths.
    let mut number = octets.saturating_mul(10);
    for next in units {
        if number < 10 * 1024 {
            break;
        }
        unit = next;
        number /= 1024;
    }
    match unit {
        "B" => format!("{octets} B"),
        unit => format!("{}.{} {unit}", number / 10, number % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn octets_are_shown_with_a_unit() {
        let rows = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "1638.3 PiB"),
        ];
        for (octets, text) in rows {
            assert_eq!(shown(octets), text);
        }
    }
}
