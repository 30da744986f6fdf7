//! The arguments of `pillarbox index …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::DEFAULT_CONFIG;

/// `pillarbox index …`
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Take over the UIDs, keywords and unique-ids that Dovecot or Courier gave
    ///
    /// Every mailbox that has no index yet gets one, now instead of when a client first opens it.
    /// Without --dry-run, nothing of the other server is changed or removed either.
    Import(ImportArgs),
    /// Write the UIDs, keywords and subscriptions for Dovecot, to go back to it
    ///
    /// Stop the server before, so that what is written stays true, and start Dovecot after.
    Export(ExportArgs),
    /// Compare the index with the files, and with what Dovecot keeps beside it; change nothing
    Check(CheckArgs),
    /// Make the index of a mailbox anew, under a new UIDVALIDITY: clients download it again
    Rebuild(RebuildArgs),
    /// Print all that the index of a mailbox holds; change nothing
    Dump(DumpArgs),
}

/// How mail is kept.
#[derive(Args, Clone, Debug)]
pub struct StoreArgs {
    /// The configuration file; if this is not given, nor that file there, PATH is needed, and
    /// every setting has its default
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// What every mailbox name but INBOX begins with for clients, instead of `prefix`
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// What is between the levels of a mailbox name for clients, instead of `separator`
    #[arg(long, value_name = "CHARACTER", value_parser = ["/", "."])]
    pub separator: Option<String>,
    /// How mailbox names are written on disk, instead of `directory_names`
    #[arg(long, value_name = "ENCODING")]
    pub directory_names: Option<DirectoryNames>,
}

/// How mailbox names are written on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectoryNames {
    /// Modified UTF-7, as Dovecot writes them and Courier before version 5.
    Utf7,
    /// UTF-8, as Courier writes them from version 5 on.
    Utf8,
}

/// Which mail is meant.
#[derive(Args, Clone, Debug)]
pub struct MailArgs {
    /// A mailbox, an account, or a directory with accounts at any depth below it; without, all
    /// accounts of the users file
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// How mail is kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `pillarbox index import`
#[derive(Args, Clone, Debug)]
pub struct ImportArgs {
    /// Tell what would be taken over, and change nothing at all
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Use the other server's list even where Pillarbox has an index with another UIDVALIDITY
    #[arg(long, conflicts_with = "dry_run")]
    pub again: bool,
    /// Which mail is meant.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// `pillarbox index export`
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// For which server
    #[arg(long, value_name = "FORMAT")]
    pub format: Format,
    /// Which mail is meant.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// A server that mail can go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Dovecot: dovecot-uidlist (version 3), dovecot-keywords, dovecot-uidvalidity, subscriptions
    Dovecot,
}

/// `pillarbox index check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Read every message to compare its size, instead of a hundred of each mailbox
    #[arg(long)]
    pub sizes: bool,
    /// Which mail is meant.
    #[command(flatten)]
    pub mail: MailArgs,
}

/// `pillarbox index rebuild`
#[derive(Args, Clone, Debug)]
pub struct RebuildArgs {
    /// The directory of the mailbox; the root of an account is its INBOX
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Every mailbox of the account whose root PATH is
    #[arg(long)]
    pub all: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// How mail is kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

/// `pillarbox index dump`
#[derive(Args, Clone, Debug)]
pub struct DumpArgs {
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// The directory of the mailbox; the root of an account is its INBOX
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// How mail is kept.
    #[command(flatten)]
    pub store: StoreArgs,
}

#[cfg(test)]
mod tests {
    use super::super::{Cli, Command};
    use super::*;
    use clap::Parser;

    fn parse(line: &str) -> Result<IndexCommand, clap::Error> {
        let command = Cli::try_parse_from(line.split_whitespace())?.command;
        let Command::Index(command) = command else {
            panic!("{command:?}");
        };
        Ok(command)
    }

    #[test]
    fn paths_are_optional_where_all_accounts_can_be_meant() {
        for command in ["import", "import -n", "export --format dovecot", "check"] {
            parse(&format!("pillarbox index {command}")).unwrap();
            parse(&format!("pillarbox index {command} a b")).unwrap();
        }
        for command in ["rebuild", "rebuild --all", "dump"] {
            assert!(parse(&format!("pillarbox index {command}")).is_err());
            parse(&format!("pillarbox index {command} a")).unwrap();
        }
    }

    #[test]
    fn a_format_must_be_named_and_known() {
        assert!(parse("pillarbox index export a").is_err());
        assert!(parse("pillarbox index export --format mbox a").is_err());
    }

    #[test]
    fn the_namespace_can_be_given() {
        let line = "pillarbox index check --prefix INBOX. --separator . --directory-names utf8 a";
        let IndexCommand::Check(args) = parse(line).unwrap() else {
            panic!("not check");
        };
        assert_eq!(args.mail.store.prefix.as_deref(), Some("INBOX."));
        assert_eq!(args.mail.store.separator.as_deref(), Some("."));
        let names = args.mail.store.directory_names;
        assert_eq!(names, Some(DirectoryNames::Utf8));
        assert!(parse("pillarbox index check --separator : a").is_err());
    }
}
