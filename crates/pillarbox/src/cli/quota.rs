//! The arguments of `pillarbox quota …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DEFAULT_CONFIG;

/// `pillarbox quota …`
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Show what accounts take up, and how much they may
    Show(QuotaShowArgs),
    /// Count accounts anew from the messages that there are, and write what is kept of it again
    ///
    /// It may be run while the server runs. What is kept is pillarbox.quota in each account, and
    /// maildirsize where other programs use it.
    Recalculate(QuotaArgs),
}

/// Which accounts are meant.
#[derive(Args, Clone, Debug)]
pub struct QuotaArgs {
    /// Accounts of the users file, like user@domain; without, all of them
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
}

/// `pillarbox quota show`
#[derive(Args, Clone, Debug)]
pub struct QuotaShowArgs {
    /// As JSON, for programs: a list, with octets and `null` for what is not limited
    #[arg(long)]
    pub json: bool,
    /// Which accounts are meant.
    #[command(flatten)]
    pub accounts: QuotaArgs,
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn parse(line: &str) -> Result<QuotaCommand, clap::Error> {
        let command = Cli::try_parse_from(line.split_whitespace())?.command;
        let Command::Quota(command) = command else {
            panic!("{command:?}");
        };
        Ok(command)
    }

    #[test]
    fn one_account_is_meant_or_all() {
        let QuotaCommand::Show(show) = parse("pillarbox quota show --json -c x").unwrap() else {
            panic!("not show");
        };
        assert!(show.json && show.accounts.names.is_empty());
        let line = "pillarbox quota recalculate ann bob";
        let QuotaCommand::Recalculate(args) = parse(line).unwrap() else {
            panic!("not recalculate");
        };
        assert_eq!(args.names, ["ann", "bob"]);
        assert!(parse("pillarbox quota").is_err());
    }
}
